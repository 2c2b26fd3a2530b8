"""LpNorm: rows along an axis divided by their p-norm.

y = x / max((sum |x|^p)^(1/p), epsilon); a row of zeros stays zero. ONNX's LpNormalization has
epsilon 0, torch.nn.functional.normalize has 1e-12. The body scales by the largest element first, so
that no square overflows or vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Form,
    Norm,
    Operator,
    Reading,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer

_MANHATTAN: Final = 1.0
_EUCLIDEAN: Final = 2.0
_AXES_ARE_INPUTS: Final = 18
_SMALLEST: Final = float(np.finfo(np.float32).tiny)
SQUARES_VANISH: Final = 2.0**-66  # the length of rows whose squares float32 keeps few digits of
_TINY: Final = 2.0**-100  # an epsilon that only rows of zeros see


def formula(x: Array, *, axis: int, p: float, epsilon: float, **_: object) -> Array:
    """Divided by the p-norm, or by epsilon where that is larger."""
    largest = np.abs(x).max(axis=axis, keepdims=True)
    unit = np.where((largest == 0) | np.isinf(largest), 1, largest)
    norm = unit * np.sum(np.abs(x / unit) ** p, axis=axis, keepdims=True) ** (1 / p)
    norm = np.maximum(np.where(largest == 0, 0, norm), epsilon)
    return x / np.where(norm == 0, 1, norm)


def _body(op: Tracer, x: ir.Value) -> ir.Value:
    wide = op.wide(x)
    size = op("Abs", wide)
    largest = _largest(op, size)
    zero, one = op.numbers(0.0), op.numbers(1.0)
    unit = op.choose(op("Greater", largest, zero), largest, one)
    order = op.scalar("p")
    powers = op("Pow", op("Div", size, unit), order)
    total = op("Pow", _sum(op, powers), op("Div", one, order))
    norm = op.larger(op("Mul", unit, total), op.scalar("epsilon"))
    divisor = op.choose(op("Greater", norm, zero), norm, one)
    return op.back(op("Div", wide, divisor), x)


def _sum(op: Tracer, powers: ir.Value) -> ir.Value:
    """The sum along the axis, kept as 1."""
    if op.is_function:
        return op.sum_over(powers, op.index("axis"))
    return op.reduce("ReduceSum", powers, _axis(op))


def _largest(op: Tracer, size: ir.Value) -> ir.Value:
    """The largest element along the axis, kept as 1."""
    if not op.is_function:
        return op.reduce("ReduceMax", size, _axis(op))
    if op.opset >= _AXES_ARE_INPUTS:
        return op("ReduceMax", size, op.index("axis"), keepdims=1)
    return op.many("TopK", size, op.ints(1), outputs=2, axis=op.slot("axis"))[0]


def _axis(op: Tracer) -> tuple[int]:
    return (op.known("axis"),)


def _reduced(op: Tracer, wide: ir.Value) -> ir.Value:
    kind = "ReduceL1" if op.known("p") == _MANHATTAN else "ReduceL2"
    return op.reduce(kind, wide, _axis(op))


def _guard(op: Tracer) -> ir.Value:
    """What a row is divided by at least: where squares are 0, X over it is still next to 0."""
    least = _SMALLEST if op.known("p") == _MANHATTAN else SQUARES_VANISH
    return op.numbers(max(least, op.known("epsilon")))


def _clip(op: Tracer, x: ir.Value) -> ir.Value:
    """As torch writes normalize()."""
    wide = op.wide(x)
    divisor = op("Clip", _reduced(op, wide), op.scalar("epsilon"))
    return op.back(op("Div", wide, divisor), x)


def _guarded(op: Tracer, x: ir.Value) -> ir.Value:
    """A row of zeros is divided by a small number."""
    wide = op.wide(x)
    norm = op.larger(_reduced(op, wide), _guard(op))
    return op.back(op("Div", wide, norm), x)


def _chain(op: Tracer, x: ir.Value) -> ir.Value:
    """Taken apart down to the sum."""
    wide = op.wide(x)
    total = op.reduce("ReduceSum", op("Mul", wide, wide), _axis(op))
    norm = op.larger(op("Sqrt", total), _guard(op))
    return op.back(op("Div", wide, norm), x)


def _native(op: Tracer, x: ir.Value) -> ir.Value:
    order = int(op.known("p"))
    return op.back(op("LpNormalization", op.wide(x), axis=op.slot("axis"), p=order), x)


def _rms(op: Tracer, x: ir.Value) -> ir.Value:
    """The mean square is the sum over n, so 1 / sqrt(n) remains to be multiplied."""
    y = op("RMSNormalization", op.wide(x), _share(op), axis=-1, epsilon=_SMALLEST, v=op.stash())
    return op.back(y, x)


def _share(op: Tracer) -> ir.Value:
    width = op.size(-1)
    return op.numbers(np.full(width, 1 / math.sqrt(width)))


def _rms_chain(op: Tracer, x: ir.Value) -> ir.Value:
    """Likewise, as ONNX Runtime makes one kernel of it at any opset."""
    z = steps.uncentered_chain(op, op.wide(x), -1, added=op.numbers(_SMALLEST))
    return op.back(op("Mul", z, _share(op)), x)


def _of_order(*orders: float) -> conditions.Condition:
    def check(call: NormCall) -> str | None:
        order = call.attributes["p"]
        return None if order in orders else f"p is {order:g}"

    return check


def _never_clips(call: NormCall) -> str | None:
    """Epsilon 0."""
    added = cast("float", call.attributes["epsilon"])
    return None if added == 0 else f"epsilon is {added:g}: the operator never clips"


def _clips(call: NormCall) -> str | None:
    added = cast("float", call.attributes["epsilon"])
    return None if added > 0 else "epsilon is 0: a row of zeros would be divided by zero"


def _clips_little(call: NormCall) -> str | None:
    """What is clipped is as good as zero."""
    added = cast("float", call.attributes["epsilon"])
    return None if added <= _TINY else f"epsilon is {added:g}: smaller rows would not be clipped"


def read(op: Operator, _inputs: Sequence[Array | None]) -> Reading:
    """LpNormalization 1 and 22: a zero norm gives 0."""
    order = float(op.int("p", 2))
    return Reading("LpNorm", {}, {"axis": op.int("axis", -1), "p": order, "epsilon": 0.0})


_BOTH: Final = _of_order(_MANHATTAN, _EUCLIDEAN)
_ROOT_MEAN_SQUARE: Final = conditions.every(
    _of_order(_EUCLIDEAN), conditions.last_axis_only, conditions.knows_features, _clips_little
)

LP_NORM: Final = Norm(
    name="LpNorm",
    aliases=("L2Norm", "normalize", "torch.nn.functional.normalize"),
    parameters=(),
    attributes=(
        Attribute.int("axis", -1, "axis of the rows"),
        Attribute.float(
            "p",
            2.0,
            "order of the norm",
            least=1.0,
            choices={"l1": _MANHATTAN, "l2": _EUCLIDEAN, "max": math.inf},
        ),
        epsilon(0.0, to="nothing: a smaller norm is replaced by it; torch has 1e-12"),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            native=True,
            requires=conditions.every(_BOTH, _never_clips),
            operators=("LpNormalization",),
            caveat="OpenVINO adds to the sum: short rows are off by thousands of roundoffs",
            wrong_on=frozenset({"openvino"}),
        ),
        Form("scaled by the largest", _body, generic=True),
        Form("Reduce-Clip-Div", _clip, since=12, requires=conditions.every(_BOTH, _clips)),
        Form("Reduce-Max-Div", _guarded, requires=_BOTH),
        Form("chain with ReduceSum and Sqrt", _chain, requires=_of_order(_EUCLIDEAN)),
        Form(
            "RMSNormalization",
            _rms,
            since=23,
            requires=_ROOT_MEAN_SQUARE,
            operators=("RMSNormalization",),
        ),
        Form(
            "chain of an RMS norm",
            _rms_chain,
            requires=_ROOT_MEAN_SQUARE,
        ),
    ),
    equation="y = x / max((sum |x|^p)^(1/p), epsilon); a row of zeros stays zero",
    region=Region(Share.ONE, Share.ALL, Share.ONE, layout="N*C"),
    source="ONNX LpNormalization-22; torch.nn.functional.normalize",
    use="embeddings that are compared by cosine, attention with normalized keys, metric learning",
    min_rank=1,
    readers={("", "LpNormalization"): read},
)
