"""From the command line to an exit code: every error is one line on stderr.

Exit codes are those of `ExitCode`. Beyond them: 130 after Ctrl-C, 141 when whoever read stdout
went away, as a shell reports the two signals. A failure of normonnx itself exits with 2, since
every other code would say something about the model.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TextIO

import click

from normonnx.cli import completion, faults, logs
from normonnx.cli.circumstances import ARGUMENTS
from normonnx.cli.verbs import TRACEBACK, normonnx
from normonnx.core.errors import ExitCode, NormonnxError
from normonnx.reporting.loudness import Loudness, set_loudness

INTERRUPTED = 128 + 2
NO_READER = 128 + 13


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        argv: The arguments without the program's name; those of the process when None.
    """
    for stream in (sys.stdout, sys.stderr):
        _accept_any_name(stream)
    set_loudness(Loudness.NORMAL)
    faults.say_lost_files()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # third parties warn about what our users can't change
    logs.listen()
    try:
        code = _invoke(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
        return NO_READER
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted")
        return INTERRUPTED
    except click.ClickException as error:
        return _refused(error)
    except NormonnxError as error:
        _say(f"error: {error}")
        return error.exit_code
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        _say(f"error: {where}{error.strerror or error}")
        return ExitCode.USAGE
    except MemoryError:
        _say("error: out of memory; close other programs or use a machine with more")
        return ExitCode.USAGE
    except Exception as error:  # noqa: BLE001  # the last resort; said to be a bug of ours
        return _failed(error)
    return code


def _invoke(arguments: list[str]) -> int:
    if completion.asked_for():
        return completion.complete(normonnx)
    try:
        with normonnx.make_context("normonnx", list(arguments)) as context:
            context.meta[ARGUMENTS] = tuple(arguments)
            code = normonnx.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return int(code)


def _refused(error: click.ClickException) -> int:
    """Print what click refuses, in our words; without a verb, the whole help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show(sys.stderr)
        return ExitCode.USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    way_out = f"; see {context.command_path} --help" if context is not None else ""
    _say(f"error: {error.format_message().rstrip('.')}{way_out}")
    return ExitCode.USAGE


def _failed(error: Exception) -> int:
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    _say(
        f"internal error: {type(error).__name__}: {error}; this is a bug of normonnx, "
        f"rerun with `normonnx --traceback ...` or {TRACEBACK}=1 to see where"
    )
    return ExitCode.USAGE


def _say(message: str) -> None:
    """Print one line to stderr, whatever the message holds."""
    from normonnx.reporting.figures import printable

    line = " ".join(message.split())
    try:
        sys.stderr.write(f"normonnx: {printable(line)}\n")
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _accept_any_name(stream: TextIO) -> None:
    """Let a stream escape what its encoding lacks, instead of failing on it."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _silence(stream: TextIO) -> None:
    """Send what is still buffered nowhere, so that closing the stream can't fail."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    sys.exit(main())
