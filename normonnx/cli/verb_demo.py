"""`normonnx demo`: the whole story on a model inside the package, nothing to download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from normonnx.cli.html import check_html, html_options, write_html
from normonnx.cli.options import check_json, examples, json_option, report
from normonnx.core.errors import ExitCode, UsageError

MODEL = "demo.onnx"
OPTIMIZED = "demo.optimized.onnx"
_NO_RUNTIME = "onnxruntime is not installed, so nothing was run: pip install 'normonnx[cpu]'"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for on the command line."""

    kept: bool
    html_to: str | None
    no_measure: bool
    json_to: str | None


@click.command(
    "demo",
    epilog=examples(
        ("nothing to download, no torch", "demo"),
        ("keep the two models", "demo --out demo-models"),
    ),
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the model and its optimized form in this folder.",
)
@html_options
@json_option
def demo(
    out: Path | None, *, html_to: str | None, no_measure: bool, json_to: str | None
) -> ExitCode:
    """Show the whole story on a bundled model.

    Inspects, optimizes and validates it; needs no torch and no network. The model has BatchNorm
    after Conv and ConvTranspose, a LayerNorm, and a GroupNorm and an LRN taken apart.
    """
    check_json(json_to)
    check_html(html_to, json_to, no_measure=no_measure)
    with _folder(out) as folder:
        asked = _Asked(out is not None, html_to, no_measure, json_to)
        return _tell(folder, asked)


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that goes away.

    Raises:
        UsageError: The folder can't be made, or holds files of the demo's names.
    """
    if out is None:
        with TemporaryDirectory(prefix="normonnx-demo-") as name:
            yield Path(name)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"can't make the folder {out}: {error.strerror}; choose another with --out"
        raise UsageError(message) from error
    for name in (MODEL, OPTIMIZED):
        if (out / name).exists():
            message = f"{out / name} exists already; choose an empty folder with --out"
            raise UsageError(message)
    yield out


def _tell(folder: Path, asked: _Asked) -> ExitCode:
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.cli.pages import Optimized, of_optimization
    from normonnx.reporting import inspection_view, rewrite_view, terminal, verdict_view

    model, optimized = folder / MODEL, folder / OPTIMIZED
    with as_file(files("normonnx.cli") / MODEL) as resource:
        model.write_bytes(resource.read_bytes())
    found = normonnx.inspect(model)
    with terminal.progress("optimizing"):
        result = normonnx.optimize(model)
    normonnx.save(result.model, optimized)
    has_runtime = find_spec("onnxruntime") is not None
    with terminal.progress("validating"):
        judged = normonnx.validate(
            optimized,
            against=model,
            backends=("ort:cpu",) if has_runtime else (),
            each_node=asked.html_to is not None and not asked.no_measure,
        )
    before, after = size_on_disk(model), size_on_disk(optimized)
    blocks = (
        terminal.heading("1. normonnx inspect demo.onnx"),
        inspection_view.inspection(found, name=MODEL, nbytes=before),
        terminal.line(""),
        terminal.heading(f"2. normonnx optimize {MODEL} -o {OPTIMIZED}"),
        rewrite_view.rewrites(result.report, sizes=(before, after)),
        terminal.line(""),
        terminal.heading(f"3. normonnx validate {OPTIMIZED} --against {MODEL}"),
        *([] if has_runtime else [terminal.line(_NO_RUNTIME)]),
        *([terminal.line(f"{model} and {optimized} written")] if asked.kept else []),
        verdict_view.validation(judged),
    )
    if asked.html_to is not None:
        done = Optimized(
            "demo", model, optimized, result, (before, after), judged, asked.no_measure, found
        )
        with terminal.progress(f"measuring for {asked.html_to}"):
            write_html(of_optimization(done), asked.html_to)
    content = {"inspection": found, "optimization": result.report, "validation": judged}
    return report("demo", judged.verdict.exit_code, content, *blocks, json_to=asked.json_to)
