"""Why a call can't take a form: what several forms need. Each gives None or a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from normonnx.catalogue.norm import DOUBLE
from normonnx.core.dtypes import is_narrow

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

Condition = Callable[["NormCall"], "str | None"]
_LONGEST_FILLER: Final = 1 << 20  # ones and zeros that an operator asks for: 4 MiB in a file


def every(*conditions: Condition) -> Condition:
    """All of them; the first reason."""

    def check(call: NormCall) -> str | None:
        return next((reason for each in conditions if (reason := each(call)) is not None), None)

    return check


def knows_channels(call: NormCall) -> str | None:
    """The size of axis 1 is a number."""
    return _knows(call, 1)


def knows_features(call: NormCall) -> str | None:
    """The size of the last axis is a number."""
    return _knows(call, -1)


def _knows(call: NormCall, axis: int) -> str | None:
    dim = call.shape[axis]
    return None if isinstance(dim, int) else f"the size of axis {axis} is not known ({dim or '?'})"


def knows_all_but_batch(call: NormCall) -> str | None:
    """All sizes but the first are numbers."""
    unknown = [axis for axis, dim in enumerate(call.shape) if axis and not isinstance(dim, int)]
    return f"the size of axis {unknown[0]} is not known" if unknown else None


def has_short_filler(length: Callable[[NormCall], int | None]) -> Condition:
    """A constant of ones, as long as `length` says, is of a known length and short."""

    def check(call: NormCall) -> str | None:
        found = length(call)
        if found is None:
            return "how many numbers are normalized together is not known"
        too_long = found > _LONGEST_FILLER
        return f"it would take a constant of {found:,} numbers" if too_long else None

    return check


def rank_of(least: int, most: int | None = None) -> Condition:
    """X has at least, and at most, that many axes."""

    def check(call: NormCall) -> str | None:
        rank = len(call.shape)
        if rank < least or (most is not None and rank > most):
            wanted = str(least) if most == least else f"{least} to {most or 'more'}"
            return f"X has rank {rank}, not {wanted}"
        return None

    return check


def last_axis_only(call: NormCall) -> str | None:
    """Attribute axis is the last."""
    axis = call.attributes["axis"]
    return None if axis in {-1, len(call.shape) - 1} else f"axis {axis} is not the last"


def not_double(call: NormCall) -> str | None:
    """It is not computed in float64: LRN, InstanceNormalization and the like are in float32."""
    double = call.attributes["stash_type"] == DOUBLE
    return "runtimes have no kernel of it in float64" if double else None


def float32_only(call: NormCall) -> str | None:
    """X is float32: the operators of ai.onnx.ml know no other result."""
    return None if call.dtype == "float32" else f"X is {call.dtype} and the operator gives float32"


def not_fused_through_a_cast(call: NormCall) -> str | None:
    """X needs no cast: ONNX Runtime's LayerNormFusion takes the cast, too, and fails to load."""
    doubled = call.attributes["stash_type"] == DOUBLE and call.dtype != "float64"
    if not (doubled or is_narrow(call.dtype)):
        return None
    computed = "float64" if doubled else "float32"
    return f"ONNX Runtime fuses it wrongly for {call.dtype} computed in {computed}"
