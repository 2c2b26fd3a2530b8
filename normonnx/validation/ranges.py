"""What the range of a type does to numbers on the way: overflow, underflow, subnormals flushed.

The oracle computes in float64, whose range no other type has. On inputs at the edge (`profiles`) a
float32 model may square 1e-39 or take exp(300): a runtime that is right then gives 0 and infinity.
So before a backend is called wrong there, the model is evaluated twice more with every result,
those of functions included, kept to the range of its type:

    |y| > largest: infinity;   |y| < smallest normal: a multiple of the smallest subnormal

and the second time with what is subnormal, inputs included, flushed to 0, as many runtimes do. What
agrees with either is right; what lies between, or where infinities come and go, is inconclusive.
The noise floor takes in the sums of `summing`.

ONNX leaves open what the largest of some numbers is if one of them is NaN. Where NaN reaches
MaxPool, Relu or the like, a NaN on one side only is therefore inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, largest, smallest_normal, smallest_subnormal
from normonnx.core.verdicts import Verdict
from normonnx.runtime.invocation import Array
from normonnx.runtime.oracle import evaluate
from normonnx.runtime.precision import Precision, declared_format
from normonnx.validation.measures import Judgement, judge_output
from normonnx.validation.summing import with_moved_sums
from normonnx.validation.truths import Settings, Truth

_FLUSHED: Final = "it agrees with subnormal numbers flushed to zero, as a runtime may do"
_RANGED: Final = "it agrees with float64 kept to the range of the model's types"
# The largest or smallest of several numbers, in one way or another; NaN compares with nothing.
_ORDERING: Final = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Celu",
        "Clip",
        "Elu",
        "GlobalMaxPool",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Max",
        "MaxPool",
        "Min",
        "PRelu",
        "ReduceMax",
        "ReduceMin",
        "Relu",
        "Selu",
        "ThresholdedRelu",
        "TopK",
    }
)
_LEFT: Final = "numbers on the way leave the range of the model's types, so nothing can be said"


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output to be judged.

    Attributes:
        name: Its name.
        found: What a backend gave.
        dtype: Its type, as the model declares it.
        moved: The truth under perturbation, a few draws.
    """

    name: str
    found: Array
    dtype: np.dtype[Any]
    moved: Sequence[Array]


def second_look(
    model: ir.Model, truth: Truth, output: Output, first: Judgement, settings: Settings
) -> Judgement:
    """Judge a mismatch on inputs at the edge again, with the range of the model's types in mind.

    Args:
        model: The model that the truth is of.
        truth: What is expected.
        output: What was found.
        first: How it was judged; returned where nothing excuses it.
        settings: Factor and seed.
    """
    model = _inlined(model)
    expected = truth.outputs[output.name]
    kept = [within_range(model, truth, flush=flush)[output.name] for flush in (False, True)]
    left = replace(first, verdict=Verdict.INCONCLUSIVE, reason=_LEFT)
    if any(not isinstance(one, np.ndarray) or one.shape != expected.shape for one in kept):
        return left
    if not is_float(output.dtype):
        return first if all(np.array_equal(one, expected) for one in kept) else left
    summed = [one[output.name] for one in with_moved_sums(model, truth)]
    wider = replace(output, moved=(*output.moved, *summed))
    for one, reason in zip(kept, (_RANGED, _FLUSHED), strict=True):
        again = _judged_about(one, expected, output, (truth, settings))
        if again.verdict is not Verdict.MISMATCH:
            return replace(again, reason=again.reason or reason)
    again = _judged_about(expected, expected, wider, (truth, settings))
    if again.verdict is not Verdict.MISMATCH:
        return again
    nearest = _nearest(output.found, [expected, *kept])
    between = _judged_about(nearest, expected, wider, (truth, settings))
    beyond = any(np.any(np.isfinite(one) != np.isfinite(expected)) for one in kept)
    if beyond or between.verdict is not Verdict.MISMATCH:
        return left
    ordering = nan_reaches(model, truth) if np.isnan(again.error) else ()
    if ordering:
        reason = f"NaN reaches {', '.join(ordering)}, whose result ONNX then leaves open"
        return replace(first, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return again


@lru_cache(maxsize=2)
def _inlined(model: ir.Model) -> ir.Model:
    """A model with what its functions compute in its main graph."""
    if not model.functions:
        return model
    from onnx_ir.passes.common import InlinePass

    copy = model.clone()
    InlinePass()(copy)
    return copy


def _judged_about(
    reading: Array, expected: Array, output: Output, how: tuple[Truth, Settings]
) -> Judgement:
    """Judge an output by another reading of the truth, which moves as the truth does."""
    truth, settings = how
    with np.errstate(invalid="ignore"):
        moved = [reading + (one - expected) for one in output.moved if one.shape == expected.shape]
    return judge_output(
        output.found,
        reading,
        output.dtype,
        moved,
        settings.factor,
        odd_places=odd_places(truth),
    )


def _nearest(found: Array, readings: Sequence[Array]) -> Array:
    """What lies between the readings and nearest to an output: it may have flushed at some nodes.

    The first of them where the output is NaN or infinite.
    """
    low, high = np.minimum.reduce(readings), np.maximum.reduce(readings)
    wide = found.astype(np.float64)
    return np.where(np.isfinite(wide), np.clip(wide, low, high), readings[0])


def odd_places(truth: Truth) -> bool:
    """Whether NaN and infinity at the right places are part of what is asked on this case."""
    return truth.case.profile in ("nan", "inf")


@lru_cache(maxsize=2)
def nan_reaches(model: ir.Model, truth: Truth) -> tuple[str, ...]:
    """Operators that look for the largest or smallest of numbers that hold NaN, sorted."""
    found: set[str] = set()

    def watch(node: ir.Node, inputs: Sequence[Any], _: Sequence[Any]) -> None:
        if node.op_type in _ORDERING and any(
            isinstance(one, np.ndarray) and one.dtype.kind == "f" and np.isnan(one).any()
            for one in inputs
        ):
            found.add(node.op_type)

    evaluate(model, truth.case.feeds, watch=watch)
    return tuple(sorted(found))


@lru_cache(maxsize=4)  # for all outputs and backends; a model and a truth are hashed by identity
def within_range(model: ir.Model, truth: Truth, *, flush: bool) -> dict[str, Any]:
    """Outputs of a model with every result kept to the range of its type.

    Args:
        model: The model.
        truth: Inputs.
        flush: Whether subnormal numbers become 0, those of the inputs included.
    """
    precision = Precision()

    def watch(node: ir.Node, _: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        narrow = precision.of_results(node)
        return [
            _kept(result, kind or declared_format(value), flush=flush)
            for result, kind, value in zip(results, narrow, node.outputs, strict=False)
        ]

    feeds = dict(truth.case.feeds)
    if flush:
        feeds = {
            name: _flushed(array, array.dtype) if is_float(array.dtype) else array
            for name, array in feeds.items()
        }
    return evaluate(model, feeds, watch=watch)


def _kept(result: Any, dtype: np.dtype[Any], *, flush: bool) -> Any:  # noqa: ANN401  # what a kernel gives
    if not isinstance(result, np.ndarray) or result.dtype != np.float64:
        return result
    size = np.abs(result)
    if dtype != np.float64:
        result = np.where(size > largest(dtype), np.copysign(np.inf, result), result)
    if flush:
        return _flushed(result, dtype)
    small, step = size < smallest_normal(dtype), smallest_subnormal(dtype)
    if dtype == np.float64 or not small.any():
        return result
    return np.where(small, np.rint(result / step) * step, result)


def _flushed(array: Array, dtype: np.dtype[Any]) -> Array:
    zero = np.zeros((), array.dtype)
    return np.where(np.abs(array).astype(np.float64) < smallest_normal(dtype), zero, array)
