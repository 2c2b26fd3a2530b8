"""`normonnx export`: from a torch module to ONNX, every normalization in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from normonnx.cli.options import check_json, examples, json_option, report
from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.verdicts import Verdict

if TYPE_CHECKING:
    from normonnx.exporting.exported import Exported
    from normonnx.exporting.modules import Made

_WORTH_WRITING = (Verdict.PASS, Verdict.INCONCLUSIVE)


@click.command(
    "export",
    epilog=examples(
        ("the module of a file", "export net.py:Net -o net.onnx --input 'x:float32[1,3,32,32]'"),
        (
            "any batch, each norm a function",
            "export net.py:build -o net.onnx --dynamic batch --style function",
        ),
    ),
)
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Where to write it."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME:TYPE[D,D,...]",
    help="An input to call the module with, such as x:float32[1,3,224,224], where FACTORY returns "
    "none; integers are zeros. Repeatable.",
)
@click.option("--opset", type=int, metavar="N", help="13 or later; see below.")
@click.option(
    "--style",
    type=click.Choice(["native", "function", "primitive"]),
    default="native",
    show_default=True,
    help="native: ONNX's own operator where it means the same, else the catalogue's function. "
    "function: always that. primitive: neither.",
)
@click.option(
    "--dynamic",
    multiple=True,
    metavar="NAME|INPUT:AXIS=NAME",
    help="A dynamic dimension: a name alone for the first axis of all inputs, such as batch; or "
    "x:2=height. Repeatable.",
)
@click.option("--input-name", "input_names", multiple=True, help="Name of an input, in order.")
@click.option("--output-name", "output_names", multiple=True, help="Name of an output, in order.")
@click.option("--fold-bn", "fold", is_flag=True, help="Fold BatchNorms into what is before them.")
@click.option("--training", is_flag=True, help="Export a module in training mode as it is.")
@click.option("--no-verify", is_flag=True, help="Don't compare with the module in float64.")
@click.option("--force", is_flag=True, help="Allow OUTPUT to replace the file of FACTORY.")
@json_option
def export(**options: Any) -> ExitCode:  # noqa: ANN401  # as many types as options
    """Export what FACTORY() makes, a torch module, and check the result.

    FACTORY is a function of a module, or of path/to/file.py, without arguments. It returns a module
    in eval mode, or (module, args), or (module, args, kwargs). Without --opset the lowest is taken
    at which all normalizations are ONNX's own operators that ever are. The result is compared with
    the module, both in float64. On a mismatch nothing is written (exit code 1); where nothing can
    be compared, it is written, unverified (exit code 4).
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.graph.paths import writable_output
    from normonnx.reporting import terminal
    from normonnx.reporting.export_view import exported as view

    name, output = options["factory"], options["output"]
    source = tuple(path for path in [Path(name.rpartition(":")[0])] if path.is_file())
    writable_output(output, inputs=source, force=options["force"])
    check_json(options["json_to"], inputs=(*source, output))
    with terminal.progress(f"exporting {name}"):
        found = _found(name, options)
    verification = found.report.verification
    sound = verification is None or verification.verdict in _WORTH_WRITING
    written = output if sound else None
    if written is not None:
        normonnx.save(found.model, written, force=True)
    size = size_on_disk(written) if written is not None else None
    return report(
        "export",
        ExitCode.OK if verification is None else verification.verdict.exit_code,
        {"factory": name, "output": written, "bytes": size, "report": found.report},
        terminal.heading(name if written is None else f"{name} -> {written}"),
        view(found.report, size=size),
        terminal.line(_place(found, written)),
        json_to=options["json_to"],
    )


def _found(name: str, options: dict[str, Any]) -> Exported:
    from normonnx.checked_export import check_torch, exported

    check_torch()
    from normonnx.exporting.inputs import drawn, dynamic_axes
    from normonnx.exporting.modules import made_by

    made = made_by(name)
    args, kwargs = _arguments(made, drawn(options["inputs"]))
    return exported(
        made.module,
        args,
        kwargs,
        verify=not options["no_verify"],
        opset=options["opset"],
        style=options["style"],
        dynamic=dynamic_axes(options["dynamic"]),
        input_names=options["input_names"],
        output_names=options["output_names"],
        fold=options["fold"],
        training=options["training"],
    )


def _arguments(made: Made, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What the module is called with: from the command line, else from the factory."""
    if given:
        return (), given
    if made.args is None:
        message = (
            "there is nothing to call the module with; let FACTORY return (module, args), or give "
            "--input, such as --input x:float32[1,3,224,224]"
        )
        raise UsageError(message)
    return made.args, dict(made.kwargs)


def _place(found: Exported, written: Path | None) -> str:
    verification = found.report.verification
    if written is None:
        return "nothing written: the result is not what the module computes"
    unverified = verification is None or verification.verdict is not Verdict.PASS
    return f"{written} written{', unverified' if unverified else ''}"
