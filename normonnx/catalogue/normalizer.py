"""Normalizer: each row divided by its norm, so that it has length 1; a row of zeros stays zero.

y = x / (sum |x|^p)^(1/p) over the last axis, p = 1, 2, or infinity for the largest absolute value.
A row whose norm is 0, or less than `least`, stays as it is: scikit-learn takes what is below ten
roundoffs of float64 for 0.
The body divides by the largest first, so that no power overflows or vanishes; what is left to
divide by is (sum z^p)^(1/p) with z = |x| / max |x|. For p infinite, z^p is 1 or 0 and s^(1/p) is 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Dim,
    Form,
    Norm,
    Operator,
    Reading,
    Region,
    Share,
    stash_type,
)
from normonnx.catalogue.scaling import ML, in_float32, nonzero, nonzero_of
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UnsupportedOperatorError

_NORMS: Final[Mapping[str, float]] = {"l1": 1.0, "l2": 2.0, "max": math.inf}
_REDUCED: Final = {1.0: "ReduceL1", 2.0: "ReduceL2", math.inf: "ReduceMax"}
_OPERATOR: Final = {1.0: "L1", 2.0: "L2"}
_MATRIX: Final = 2
LEAST: Final = float(10 * np.finfo(np.float64).eps)  # as _handle_zeros_in_scale; exact in float32


def formula(x: Array, *, norm: float, least: float, **_: Any) -> Array:
    """Rows divided by their norm."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    unit = x / nonzero(largest)
    if math.isinf(norm):
        return np.where(largest < least, x, unit)
    total = np.sum(np.abs(unit) ** norm, axis=-1, keepdims=True)
    root = total ** (1 / norm)
    return np.where(largest * root < least, x, unit / nonzero(root))


def _body(op: Tracer, x: ir.Value) -> ir.Value:
    wide, order = op.wide(x), op.scalar("norm")
    size = op("Abs", wide)
    largest = nonzero_of(op, op.reduce("ReduceMax", size, (-1,)))
    powers = op("Pow", op("Div", size, largest), order)
    total = op.reduce("ReduceSum", powers, (-1,))
    root = op("Pow", nonzero_of(op, total), op("Div", op.numbers(1.0), order))
    y = op("Div", op("Div", wide, largest), root)
    if not op.is_number("least", 0.0):
        found = op.reduce("ReduceMax", size, (-1,))
        tiny = op("Less", op("Mul", found, root), op.scalar("least"))
        y = op.choose(tiny, wide, y)
    return op.back(y, x)


def _divided(op: Tracer, x: ir.Value) -> ir.Value:
    wide, order = op.wide(x), op.known("norm")
    found = op.reduce(_REDUCED[order], op("Abs", wide) if math.isinf(order) else wide, (-1,))
    divisor = nonzero_of(op, found)
    if not op.is_number("least", 0.0):
        divisor = op.choose(op("Less", found, op.scalar("least")), op.numbers(1.0), divisor)
    return op.back(op("Div", wide, divisor), x)


def _native(op: Tracer, x: ir.Value) -> ir.Value:
    return op("Normalizer", x, domain=ML, norm=_OPERATOR[op.known("norm")])


def _not_max(call: NormCall) -> str | None:
    """Max: ai.onnx.ml divides by the largest number, scikit-learn by the largest absolute one."""
    is_max = math.isinf(cast("float", call.attributes["norm"]))
    return "MAX of ai.onnx.ml divides by max(x), not by max |x|" if is_max else None


def _no_least(call: NormCall) -> str | None:
    """The operator divides by every norm but 0."""
    least = cast("float", call.attributes["least"])
    return f"a norm below {least:g} counts as 0, and the operator divides by it" if least else None


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """Normalizer of ai.onnx.ml: L1 and L2 of absolute values, as every runtime computes them.

    Raises:
        UnsupportedOperatorError: With MAX, the largest number of a row is not its largest absolute
            number. The specification and ONNX Runtime divide by the former, ONNX's own reference
            by the latter.
    """
    kind = op.text("norm", "MAX")
    x = cast("Array", inputs[0])
    if kind == "MAX" and not np.array_equal(x.max(-1), np.abs(x).max(-1)):
        message = (
            "Normalizer with MAX is X / max(X) in its specification and X / max|X| in ONNX's "
            "reference; for this X, with negative numbers, the two differ"
        )
        raise UnsupportedOperatorError(message)
    return Reading("Normalizer", {}, {"norm": math.inf if kind == "MAX" else float(kind[1:])})


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.Normalizer, which learns nothing."""
    return "Normalizer", {"norm": _NORMS[estimator.norm], "least": LEAST}


NORMALIZER: Final = Norm(
    name="Normalizer",
    parameters=(),
    attributes=(
        Attribute.float("norm", 2.0, "order of the norm", choices=_NORMS, closed=True),
        Attribute.float("least", 0.0, "rows of a smaller norm stay as they are", least=0.0),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            native=True,
            requires=conditions.every(
                conditions.float32_only,
                in_float32,
                conditions.rank_of(_MATRIX, _MATRIX),
                _not_max,
                _no_least,
            ),
            operators=(f"{ML}::Normalizer",),
        ),
        Form("scaled by the largest", _body, generic=True),
        Form("Reduce-Div", _divided),
    ),
    equation="y = x / (sum |x|^p)^(1/p) over the last axis; a row of zeros stays zero",
    region=Region(Share.ONE, Share.ALL, Share.ONE, layout="NC"),
    source="scikit-learn, sklearn.preprocessing.Normalizer; ONNX ai.onnx.ml Normalizer-1",
    use=(
        "rows that are compared by their direction: term counts of documents, embeddings, "
        "histograms (l1 makes shares of them). It learns nothing, so new rows change no other"
    ),
    min_rank=1,
    readers={(ML, "Normalizer"): read},
    layers={"sklearn.preprocessing.Normalizer": layer},
)
