"""Precision that a model loses by itself: float16 and its like on the way.

In float64 a cast to float16 changes nothing, so a model with a stretch in float16 is "the same
function" as one without. Evaluated with such casts rounding as they do (`evaluate(narrow=True)`) it
is not: it is off by roundoffs of float16. What the reference loses in the same way is allowed, so
that a float16 model may be rewritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Comparison, Verdict
from normonnx.graph import walk
from normonnx.runtime.oracle import evaluate
from normonnx.runtime.precision import narrow_format
from normonnx.validation.drawing import fitting
from normonnx.validation.measures import relative_error
from normonnx.validation.truths import Truth

_CASTS: Final = frozenset({"Cast", "CastLike"})


def narrow_types(model: ir.Model) -> tuple[str, ...]:
    """Floating-point types below float32 that a model computes in, by name, sorted."""
    found: set[ir.DataType] = set()
    for graph in walk.all_graphs(model):
        values = [*graph.inputs, *graph.initializers.values()]
        for node in graph:
            values += node.outputs
            if node.op_type in _CASTS and "to" in node.attributes:
                attribute = node.attributes["to"]
                if not attribute.is_ref():
                    found.add(ir.DataType(attribute.as_int()))
        found |= {value.dtype for value in values if value.dtype is not None}
    return tuple(sorted(one.name.lower() for one in found if narrow_format(one) is not None))


def with_lost_precision(
    reference: ir.Model, model: ir.Model, truth: Truth, comparisons: Sequence[Comparison]
) -> list[Comparison]:
    """Comparisons that pass in float64, judged again with what narrow types lose on the way.

    Args:
        reference: What `model` is compared with.
        model: What is judged.
        truth: What the reference computes in float64.
        comparisons: How the outputs of `model` compare in float64.
    """
    kinds = narrow_types(model)
    if not kinds or all(one.verdict is not Verdict.PASS for one in comparisons):
        return list(comparisons)
    ours = evaluate(model, fitting(truth.case, model).feeds, narrow=True)
    theirs: Mapping[str, Any] = truth.outputs
    if narrow_types(reference):
        theirs = evaluate(reference, fitting(truth.case, reference).feeds, narrow=True)
    return [
        _judged(one, (ours[one.output], theirs[one.output], truth.outputs[one.output]), kinds)
        if one.verdict is Verdict.PASS
        else one
        for one in comparisons
    ]


def _judged(one: Comparison, outputs: tuple[Any, Any, Any], kinds: Sequence[str]) -> Comparison:
    ours, theirs, truth = outputs
    if not np.isfinite(one.u) or truth.dtype.kind != "f":
        return one
    names = ", ".join(kinds)
    if np.any(np.isfinite(ours) != np.isfinite(theirs)):
        reason = f"the same function, but {names} on the way overflows"
        return replace(one, verdict=Verdict.MISMATCH, reason=reason, narrow=True)
    error = relative_error(ours, truth, one.u)
    floor = max(one.floor, relative_error(theirs, truth, one.u))
    if error <= one.allowed * floor:
        return one
    reason = (
        f"the same function, but {names} on the way costs {error:.3g} u, "
        f"{error / floor:.3g} times the noise floor, allowed is {one.allowed:g}"
    )
    return replace(
        one, verdict=Verdict.MISMATCH, reason=reason, error=error, floor=floor, narrow=True
    )
