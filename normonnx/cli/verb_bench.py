"""`normonnx bench`: how fast a model is, alone or in turns with another."""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.html import check_html, html_option, write_html
from normonnx.cli.judging import backend_option, input_files, input_options, resource_options
from normonnx.cli.options import (
    check_json,
    examples,
    json_option,
    model_argument,
    report,
    threads_option,
)
from normonnx.core.errors import ExitCode


@click.command(
    "bench",
    epilog=examples(
        ("one model", "bench model.onnx"),
        ("is it faster than the original?", "bench optimized.onnx --against model.onnx"),
        (
            "four threads, a batch of 8, two runtimes",
            "bench model.onnx --threads 4 --batch 8 --backend ort:cpu --backend openvino",
        ),
    ),
)
@model_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="BASE",
    help="Also run this model, in turns, and say how many times as fast MODEL is.",
)
@backend_option(default=("ort:cpu",))
@threads_option
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Size of a dynamic first dimension of drawn inputs; 1 unless given.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="How long to run all of them in turns, loading aside.",
)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Runs of each at most; as many as there is time for unless given.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=7,
    show_default=True,
    help="How often to load each anew; an interval of 95 % takes six.",
)
@click.option(
    "--warmup",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each session that are not counted.",
)
@input_options
@resource_options
@click.option("--no-check", is_flag=True, help="Time models even though outputs may disagree.")
@html_option
@json_option
def bench(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    against: Path | None,
    backends: tuple[str, ...],
    threads: int,
    batch: int | None,
    seconds: float,
    runs: int | None,
    sessions: int,
    warmup: int,
    inputs: tuple[str, ...],
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    seed: int,
    timeout: float,
    memory: int | None,
    no_check: bool,
    html_to: str | None,
    json_to: str | None,
) -> ExitCode:
    """Measure how fast MODEL runs here, alone or in turns with another.

    Latency, session creation and peak memory; ratios pair by pair with 95 % intervals; and one
    model against itself (A/A), which tells the machine's noise. Models whose outputs disagree are
    not compared (exit code 1). A backend that is missing is exit code 3.
    """
    import normonnx
    from normonnx.cli.pages import of_benchmark
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.bench_view import benchmark

    read = files_of(model) + (files_of(against) if against is not None else ())
    read = (*read, *input_files(inputs))
    check_json(json_to, inputs=read)
    check_html(html_to, json_to, inputs=read)
    with terminal.progress(f"timing {model.name}") as bar:
        found = normonnx.bench(
            model,
            against=against,
            backends=backends,
            inputs=inputs or None,
            shapes=dict(shapes) or None,
            batch=batch,
            seed=seed,
            threads=threads,
            seconds=seconds,
            runs=runs,
            sessions=sessions,
            warmup=warmup,
            check=not no_check,
            timeout=timeout,
            memory=memory,
            told=bar.tell,
        )
    if html_to is not None:
        write_html(of_benchmark(model, against, found), html_to)
    return report(
        "bench",
        found.verdict.exit_code,
        {"model": model, "against": against, "report": found},
        terminal.heading(str(model) if against is None else f"{model} against {against}"),
        benchmark(found),
        json_to=json_to,
    )
