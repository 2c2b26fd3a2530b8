"""`normonnx sweep VERB`: a verb over many models, on local processes or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from normonnx.cli.judging import size
from normonnx.cli.options import (
    check_json,
    check_junit,
    check_written,
    examples,
    json_option,
    report,
)
from normonnx.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from normonnx.cli.sweeping import CommandLines
    from normonnx.core.sweeps import SweepReport
    from normonnx.sweep.discovery import Subject
    from normonnx.sweep.executor import Executor, Limits
    from normonnx.sweep.store import Store

_HELP: Final = {
    "inspect": "List the normalizations of many models.",
    "optimize": "Optimize many models, each checked against its original.",
    "lower": "Take normalizations of many models apart, or move them to another opset.",
    "validate": "Judge what backends compute for many models.",
}
_MORE: Final = """

MODELS are files, folders (every .onnx below), patterns such as 'models/**/*.onnx', and --manifest
files. Each model runs in a process of its own, with limits on time and memory. Results go to --out:
run the same command again after an interruption, and only what is missing is done."""
_EPILOG: Final = """\b
Examples:
  normonnx sweep {verb} models --out swept
  normonnx sweep {verb} 'models/**/*.onnx' --out swept --jobs 8 --timeout 300
  normonnx sweep {verb} models --out swept --junit swept.xml --fail-fast
  normonnx sweep {verb} --manifest models.jsonl --out swept --ray auto"""


@dataclass(frozen=True, slots=True)
class _Work:
    """What was asked on the command line, besides the options of the verb."""

    models: tuple[str, ...]
    manifests: tuple[Path, ...]
    out: Path
    jobs: int | None
    timeout: float
    memory: int | None
    fail_fast: bool
    ray_address: str | None
    shared: bool
    every_model: bool
    html_to: str | None
    junit_to: str | None
    json_to: str | None


def _own_params() -> list[click.Parameter]:
    """The arguments and options of every sweep, made anew for each."""

    def none() -> None:
        """Carry the options until they are taken off."""

    command: Callable[..., Any] = none
    for option in reversed(_OWN):
        command = option(command)
    return list(reversed(command.__click_params__))  # type: ignore[attr-defined]


_OWN: Final = (
    click.argument("models", nargs=-1),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        metavar="DIR",
        help="Folder for results: results.jsonl, dashboard.html, models/.",
    ),
    click.option(
        "--manifest",
        "manifests",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Models to sweep, one path a line, or a JSON object with options of its own: "
        '{"model": "a.onnx", "opset": 17}. Repeatable.',
    ),
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Models at a time; as many as there are cores by default.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=600.0,
        show_default=True,
        metavar="S",
        help="Seconds that one model may take.",
    ),
    click.option(
        "--memory",
        type=size,
        metavar="SIZE",
        help="Memory that one model may take, such as 4GB; its share of the machine by default.",
    ),
    click.option("--fail-fast", is_flag=True, help="Stop at the first model that isn't good."),
    click.option(
        "--ray",
        "ray_address",
        metavar="ADDRESS",
        help="Run on the Ray cluster at this address (auto, HOST:PORT, ray://HOST:PORT); "
        "local starts one here.",
    ),
    click.option(
        "--shared",
        is_flag=True,
        help="With --ray: all machines see the models at the same paths, so don't send them.",
    ),
    click.option(
        "--all", "every_model", is_flag=True, help="List every model, not only those not good."
    ),
    click.option(
        "--html",
        "html_to",
        metavar="FILE",
        help="Also write the dashboard to FILE; it is DIR/dashboard.html anyway.",
    ),
    click.option(
        "--junit",
        "junit_to",
        metavar="FILE",
        help="Also write the result as JUnit XML, for CI: a case for each model.",
    ),
    json_option,
)


class SweepGroup(click.Group):
    """A command for each verb that can be swept, made when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs."""
        del ctx
        return list(_HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one verb; None where there is none of that name."""
        del ctx
        return sweep_command(cmd_name) if cmd_name in _HELP else None


def sweep_command(verb: str) -> click.Command:
    """`normonnx sweep VERB`: the options of a sweep, and those of the verb that it hands on."""
    from normonnx.cli.sweeping import passed_options

    return click.Command(
        verb,
        callback=lambda **options: _run(verb, options),
        params=[*_own_params(), *passed_options(verb)],
        help=_HELP[verb] + _MORE,
        short_help=_HELP[verb],
        epilog=_EPILOG.format(verb=verb),
    )


@click.command(
    "sweep",
    cls=SweepGroup,
    epilog=examples(
        ("a folder, again where it was interrupted", "sweep optimize models --out swept"),
        ("what many models hold, for CI", "sweep inspect models --out found --junit found.xml"),
    ),
)
def sweep() -> None:
    """Run a verb over many models; resumable.

    Each model runs in a process of its own, here or on a Ray cluster. What is done is kept, so the
    same command goes on where it was interrupted. A model that crashes, or takes more time or
    memory than it may, counts as inconclusive.
    """


def _run(verb: str, options: dict[str, Any]) -> ExitCode:
    from normonnx.cli.sweeping import CommandLines, given_options, passed_options
    from normonnx.reporting import sweep_page
    from normonnx.sweep import results
    from normonnx.sweep.discovery import subjects
    from normonnx.sweep.store import DASHBOARD, LINES, Store

    work = _Work(**{one.name: options[one.name] for one in fields(_Work)})
    _check_asked(work)
    names = dict.fromkeys(str(one.name) for one in passed_options(verb))
    lines = CommandLines(verb, given_options(click.get_current_context(), names))
    found = subjects(work.models, work.manifests, work.out)
    lines.check(found)
    _check_places(work, tuple(subject.path for subject in found))
    with Store(work.out, verb) as store:
        done = _swept(work, lines, found, store)
        store.write(LINES, "".join(map(results.line, done.results)))
        store.write(DASHBOARD, sweep_page.document(done))
    return _reported(work, done)


def _check_asked(work: _Work) -> None:
    """Refuse what can't be meant.

    Raises:
        UsageError: No model is named, or options contradict one another.
    """
    if not work.models and not work.manifests:
        message = "no models; name files, folders or patterns, or a --manifest"
        raise UsageError(message)
    if work.shared and work.ray_address is None:
        message = "--shared is about the machines of a cluster; add --ray ADDRESS or leave it out"
        raise UsageError(message)


def _check_places(work: _Work, models: tuple[Path, ...]) -> None:
    """Look before the work whether results can be written.

    Raises:
        UsageError: One can't be, or would replace a model.
    """
    inputs = (*models, *work.manifests)
    check_json(work.json_to, inputs=inputs)
    check_junit(work.junit_to, work.json_to, inputs=inputs)
    others = [Path(name) for name in (work.json_to, work.junit_to) if name not in (None, "-")]
    check_written("--html", work.html_to, (*inputs, *others))
    if work.html_to == "-":
        message = "--html - is no file; name one, such as sweep.html"
        raise UsageError(message)


def _swept(work: _Work, lines: CommandLines, found: Sequence[Subject], store: Store) -> SweepReport:
    from normonnx.cli.sweeping import ENTRY, versions
    from normonnx.reporting.sweep_progress import SweepProgress
    from normonnx.sweep.hashing import Recipe
    from normonnx.sweep.running import Plan
    from normonnx.sweep.running import sweep as run

    executor, limits = _executor(work, store)
    plan = Plan(
        recipe=Recipe(lines.verb, versions()),
        entry=ENTRY,
        subjects=found,
        words=lines.words,
        limits=limits,
        gpus=lines.gpus,
        fail_fast=work.fail_fast,
    )
    with SweepProgress(lines.verb, len(found)) as progress, executor:
        return run(plan, executor, store, progress)


def _executor(work: _Work, store: Store) -> tuple[Executor, Limits]:
    """Who runs the models, and what each may take."""
    from normonnx.cli.sweeping import MODULES
    from normonnx.sweep.executor import Limits
    from normonnx.sweep.local import LocalExecutor, share_of_memory

    if work.ray_address is not None:
        from normonnx.sweep.cluster import RayExecutor

        limits = Limits(work.timeout, work.memory)
        at = work.ray_address
        return RayExecutor(at, work.jobs, store.staging, MODULES, shared=work.shared), limits
    jobs = work.jobs or os.cpu_count() or 1
    memory = share_of_memory(jobs) if work.memory is None else work.memory
    return LocalExecutor(jobs, store.staging, MODULES), Limits(work.timeout, memory)


def _reported(work: _Work, done: SweepReport) -> ExitCode:
    from normonnx.reporting import documents, sweep_junit, sweep_page, sweep_view
    from normonnx.sweep.results import as_json

    if work.html_to is not None:
        documents.write_text(sweep_page.document(done), work.html_to, "--html")
    if work.junit_to is not None:
        documents.write_text(sweep_junit.document(done), work.junit_to, "--junit")
    content = {
        "verb": done.verb,
        "out": work.out,
        "counts": {outcome.value: number for outcome, number in done.counts.items()},
        "reused": done.reused,
        "not_run": done.not_run,
        "results": [as_json(result) for result in done.results],
    }
    return report(
        "sweep",
        done.exit_code,
        content,
        sweep_view.sweep(done, work.out, every_model=work.every_model),
        json_to=work.json_to,
    )
