"""The verbs, and the command that finds them.

A verb is a file with a click command, and one row of `VERBS`. Its module is imported when it is
called, and imports what it works with inside the function, so that help is there at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import copy
from importlib import import_module
from typing import Any, Final, cast

import click

from normonnx.core.version import VERSION
from normonnx.reporting.loudness import Loudness, loudness, set_loudness

VERBS: Final[Mapping[str, str]] = {
    "demo": "normonnx.cli.verb_demo:demo",
    "inspect": "normonnx.cli.verb_inspect:inspect",
    "optimize": "normonnx.cli.verb_optimize:optimize",
    "lower": "normonnx.cli.verb_lower:lower",
    "prepend": "normonnx.cli.verb_prepend:prepend",
    "export": "normonnx.cli.verb_export:export",
    "validate": "normonnx.cli.verb_validate:validate",
    "record": "normonnx.cli.verb_record:record",
    "compare": "normonnx.cli.verb_compare:compare",
    "tune": "normonnx.cli.verb_tune:tune",
    "sweep": "normonnx.cli.verb_sweep:sweep",
    "bench": "normonnx.cli.verb_bench:bench",
    "explain": "normonnx.cli.verb_explain:explain",
    "list": "normonnx.cli.verb_list:list_",
}
TRACEBACK: Final = "NORMONNX_TRACEBACK"

_EPILOG: Final = """\b
Results go to stdout, everything else to stderr. Exit codes:
  0  all good
  1  mismatch: a result is wrong; optimize and export then write nothing
  2  usage: an option, a path, or a failure of normonnx itself
  3  a backend or extra that was asked for is not installed
  4  inconclusive: nothing could be compared; optimize writes, unverified
  5  the model is invalid"""


class LazyGroup(click.Group):
    """A command whose verbs are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a user's work."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of one verb; None where there is none of that name."""
        del ctx
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command = copy(cast("click.Command", getattr(import_module(module), name)))
        command.params = [*command.params, *LOUDNESS]
        return command


def _show_tracebacks(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401  # click's signature
    del ctx, param
    if value:
        os.environ[TRACEBACK] = "1"


def _set_loudness(ctx: click.Context, param: click.Parameter, value: Any) -> None:  # noqa: ANN401  # click's signature
    if not value:
        return
    wanted = Loudness(param.name)
    if loudness() not in (Loudness.NORMAL, wanted):
        message = "--quiet and --verbose exclude one another"
        raise click.UsageError(message, ctx)
    set_loudness(wanted)


LOUDNESS: Final = tuple(
    click.Option(
        [short, f"--{wanted.value}"],
        is_flag=True,
        expose_value=False,
        callback=_set_loudness,
        help=said,
    )
    for short, wanted, said in (
        ("-q", Loudness.QUIET, "Print errors alone; the exit code, and --json, tell the rest."),
        ("-v", Loudness.VERBOSE, "Also say on stderr what is done, and how long it takes."),
    )
)


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG,
    params=list(LOUDNESS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--traceback",
    is_flag=True,
    expose_value=False,
    callback=_show_tracebacks,
    help="Show a Python traceback when normonnx itself fails.",
)
@click.version_option(VERSION, prog_name="normonnx")
def normonnx() -> None:
    """Optimize and validate the normalizations of ONNX models.

    Folds BatchNorm, and any per-channel scale and shift, into the operator before it, and checks
    the result against the original in float64.
    """
