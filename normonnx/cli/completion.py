"""Shell completion: click's own, started by _NORMONNX_COMPLETE, and names that it can't know.

eval "$(_NORMONNX_COMPLETE=bash_source normonnx)"
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class, shell_complete

from normonnx.core.errors import ExitCode, UsageError

VARIABLE: Final = "_NORMONNX_COMPLETE"
_PROGRAM: Final = "normonnx"
_SHELLS: Final = ("bash", "zsh", "fish")

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def asked_for() -> bool:
    """Whether a shell, not a person, is calling."""
    return bool(os.environ.get(VARIABLE))


def complete(command: click.Command) -> int:
    """Write a shell's script, or what the command line can go on with, to stdout.

    Raises:
        UsageError: There is no completion for the shell.
    """
    instruction = os.environ[VARIABLE]
    shell, _, action = instruction.partition("_")
    if get_completion_class(shell) is None or action not in ("source", "complete"):
        expected = ", ".join(f"{name}_source" for name in _SHELLS)
        message = f"{VARIABLE}={instruction} names no shell; expected one of {expected}"
        raise UsageError(message)
    return ExitCode(shell_complete(command, {}, _PROGRAM, VARIABLE, instruction))


def completing(names: Callable[[], Iterable[str]]) -> Completer:
    """Complete a parameter by names, which are looked up when a shell asks.

    Args:
        names: Gives them.
    """

    def found(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        wanted = begun.lower()
        return [CompletionItem(name) for name in names() if name.lower().startswith(wanted)]

    return found


def backend_names() -> Iterable[str]:
    """Of backends, without those that stand for others."""
    from normonnx.runtime.naming import BACKENDS

    return [name for name in BACKENDS if not name.endswith("PROVIDER")]


def target_names() -> Iterable[str]:
    """Of targets."""
    from normonnx.lower.targets import TARGETS

    return TARGETS


def norm_names() -> Iterable[str]:
    """Of normalizations."""
    from normonnx.catalogue.contents import CATALOGUE

    return CATALOGUE
