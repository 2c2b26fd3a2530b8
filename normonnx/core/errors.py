"""Errors that a user can act on, and the exit codes of the command line.

Every error of normonnx is a `NormonnxError`. Its message names the thing, the value found, the
value expected and the way out, in one line; the command line prints it and exits with its
`exit_code`. Anything else that escapes is a bug of normonnx.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, Final


class ExitCode(IntEnum):
    """What the command line returns; part of the public contract."""

    OK = 0
    MISMATCH = 1
    USAGE = 2
    UNAVAILABLE = 3
    INCONCLUSIVE = 4
    INVALID = 5


_SEVERITY = (
    ExitCode.USAGE,
    ExitCode.INVALID,
    ExitCode.MISMATCH,
    ExitCode.UNAVAILABLE,
    ExitCode.INCONCLUSIVE,
    ExitCode.OK,
)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The code to exit with when several apply: 5, 1, 3, 4, 0 in this order; OK for none."""
    return min(codes, key=_SEVERITY.index, default=ExitCode.OK)


# What asking about nodes raises whose shapes don't fit together: no legal model, but loading can't
# tell, as it infers no shapes. Whoever asks knows nothing then.
ILL_FORMED: Final = (
    IndexError,
    KeyError,
    OverflowError,
    StopIteration,
    TypeError,
    ValueError,
    ZeroDivisionError,
)


class NormonnxError(Exception):
    """Base of all errors raised on purpose. `exit_code` is what the command line returns."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE


class UsageError(NormonnxError):
    """The call itself is at fault: a bad option, a missing file, an unwritable output."""


class MismatchError(NormonnxError):
    """A result is not the same function as what it was made of, so it is not given out."""

    exit_code: ClassVar[ExitCode] = ExitCode.MISMATCH


class UnavailableError(NormonnxError):
    """A backend, execution provider or extra that was asked for is not installed."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNAVAILABLE


class UnsupportedOperatorError(NormonnxError):
    """The float64 oracle can't evaluate an operator, so nothing can be said about its outputs."""

    exit_code: ClassVar[ExitCode] = ExitCode.INCONCLUSIVE


class InvalidModelError(NormonnxError):
    """The model file is damaged, or is not a legal ONNX model."""

    exit_code: ClassVar[ExitCode] = ExitCode.INVALID
