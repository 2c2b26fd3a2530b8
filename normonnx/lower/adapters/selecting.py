"""Slice, Split, Pad, TopK and the like: what steers them, as attribute or as input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from normonnx.graph.constants import LARGEST_COMPUTED
from normonnx.lower.crossing import Crossing, RefusalError, Table, Written


def _slice_up(at: Crossing) -> Written | None:
    names = ("starts", "ends", "axes")
    found = [at.int_list(name) for name in names]
    given = [None if each is None else at.op.ints(*each) for each in found]
    return at.again(inputs=[at.input(0), *given], drop=names)


def _slice_down(at: Crossing) -> Written | None:
    steps = at.ints(4, "steps")
    if steps is not None and any(step != 1 for step in steps):
        message = f"its steps are {steps}, which came with opset 10"
        raise RefusalError(message)
    starts, ends, axes = (
        at.ints(index, name) for index, name in enumerate(("starts", "ends", "axes"), start=1)
    )
    axes = _positive(at, axes)
    return at.again(inputs=[at.input(0)], attributes={"starts": starts, "ends": ends, "axes": axes})


def _positive(at: Crossing, axes: list[int] | None) -> list[int] | None:
    """Axes counted from the front."""
    if axes is None or min(axes, default=0) >= 0:
        return axes
    rank = len(at.known_dims())
    return [axis % rank for axis in axes]


def _slice_axes(at: Crossing) -> Written | None:
    axes = at.asked.array(at.optional(3))
    if axes is None or (axes >= 0).all():
        return None
    positive = at.op.constant((axes % len(at.known_dims())).astype(axes.dtype))
    inputs = list(at.node.inputs)
    inputs[3] = positive
    return at.again(inputs=inputs)


def _split_up(at: Crossing) -> Written | None:
    sizes = at.int_list("split")
    if sizes is None:
        return None
    return at.again(inputs=[at.input(0), at.op.ints(*sizes)], drop=["split"])


def _split_down(at: Crossing) -> Written | None:
    sizes = at.ints(1, "split")
    return None if sizes is None else at.again(inputs=[at.input(0)], attributes={"split": sizes})


def _split_counts(at: Crossing) -> Written | None:
    """From 18 on, equal parts are asked for by their number."""
    if at.given(1):
        return None
    return at.again(attributes={"num_outputs": len(at.node.outputs)})


def _split_counts_not(at: Crossing) -> Written | None:
    """Equal parts need no sizes; where the last is smaller, it is said."""
    if at.given(1):
        return None
    count = len(at.node.outputs)
    axis = at.int("axis", 0)
    length = at.known_dims()[axis]
    if length is None:
        message = f"whether axis {axis} divides into {count} equal parts is not known"
        raise RefusalError(message)
    if length % count == 0:
        return at.again(drop=["num_outputs"])
    part = -(-length // count)
    sizes = [part] * (count - 1) + [length - part * (count - 1)]
    return at.again(inputs=[at.input(0), at.op.ints(*sizes)], drop=["num_outputs"])


def _pad_up(at: Crossing) -> Written | None:
    pads = at.int_list("pads") or []
    value = at.float("value", 0.0)
    inputs = [at.input(0), at.op.ints(*pads)]
    if value and at.text("mode", "constant") == "constant":
        inputs.append(at.number(value))
    return at.again(inputs=inputs, drop=["pads", "value"])


def _pad_down(at: Crossing) -> Written | None:
    attributes: dict[str, Any] = {"pads": at.ints(1, "pads")}
    if at.given(2):
        attributes["value"] = at.single(2)
        if attributes["value"] is None:
            message = "what it fills with is no constant that float32 has"
            raise RefusalError(message)
    return at.again(inputs=[at.input(0)], attributes=attributes)


def _pad_all_axes(at: Crossing) -> Written | None:
    """Pads of some axes as pads of all."""
    if not at.given(3):
        return None
    rank = len(at.known_dims())
    axes, pads = at.ints(3, "axes") or [], at.ints(1, "pads") or []
    full = [0] * (2 * rank)
    for position, axis in enumerate(axes):
        full[axis % rank] = pads[position]
        full[axis % rank + rank] = pads[position + len(axes)]
    return at.again(inputs=[at.input(0), at.op.ints(*full), at.optional(2)])


def _pad_does_not_wrap(at: Crossing) -> Written | None:
    if at.text("mode", "constant") == "wrap":
        message = "its mode 'wrap' came with opset 19"
        raise RefusalError(message)
    return None


def _top_k_up(at: Crossing) -> Written | None:
    return at.again(inputs=[at.input(0), at.op.ints(at.int("k", 1))], drop=["k"])


def _top_k_down(at: Crossing) -> Written | None:
    k = at.ints(1, "K") or [1]
    return at.again(inputs=[at.input(0)], attributes={"k": k[0]})


def _top_k_largest(at: Crossing) -> Written | None:
    """The smallest are the largest of what is negated."""
    drop = ("largest", "sorted")
    if at.int("largest", 1):
        found = set(drop) & set(at.node.attributes)
        return at.again(drop=drop) if found else None
    negated = at.op("Neg", at.input(0))
    values, indices = at.again(inputs=[negated, at.input(1)], drop=drop)
    return [at.op("Neg", values), indices]


def _trilu_down(at: Crossing) -> Written | None:
    """Where column - row is at most k (lower triangle) or at least k (upper), X; 0 elsewhere."""
    op, x = at.op, at.input(0)
    sizes = op("Shape", x)
    zero, one = op.whole(0), op.whole(1)
    rows, columns = (
        op("Range", zero, op.scalar_of(op("Slice", sizes, op.ints(start), op.ints(end))), one)
        for start, end in ((-2, -1), (-1, _TO_THE_END))
    )
    distance = op("Sub", columns, op.unsqueeze(rows, 1))
    k = at.optional(1)
    if k is not None:
        distance = op("Sub", distance, k)
    outside = op("Less" if at.int("upper", 1) else "Greater", distance, zero)
    return [op("Where", outside, at.number(0.0), x)]


_TO_THE_END: Final = np.iinfo(np.int64).max


def _scatter(op_type: str) -> Any:  # noqa: ANN401  # an adapter
    return lambda at: at.again(op_type=op_type)


def _scatter_reduction(at: Crossing) -> Written | None:
    reduction = at.text("reduction", "none")
    if reduction in ("max", "min"):
        message = f"its reduction {reduction!r} came with opset 18"
        raise RefusalError(message)
    return None


def _depth_to_space(at: Crossing) -> Written | None:
    """Columns, rows, depth: taken apart, transposed and put together."""
    if at.text("mode", "DCR") == "DCR":
        return at.again(drop=["mode"]) if "mode" in at.node.attributes else None
    size = at.int("blocksize", 1)
    dims = at.known_dims()
    channels, height, width = dims[1:]
    if channels is None or height is None or width is None:
        message = "its mode 'CRD' came with opset 11, and the size of X is not known"
        raise RefusalError(message)
    rest = channels // (size * size)
    apart = at.op.reshape(at.input(0), -1, rest, size, size, height, width)
    moved = at.op.transpose(apart, 0, 1, 4, 2, 5, 3)
    return [at.op.reshape(moved, -1, rest, height * size, width * size)]


def _shape_part(at: Crossing) -> Written | None:
    """Part of a shape is a Slice of it."""
    start, end = at.int("start", 0), at.int("end", _TO_THE_END)
    if not start and end == _TO_THE_END:
        return None
    sizes = at.op("Shape", at.input(0))
    return [at.op("Slice", sizes, at.op.ints(start), at.op.ints(end))]


def _reshape_without_zeros(at: Crossing) -> Written | None:
    """A length that is computed from other shapes is 0 only where there are no numbers at all."""
    if not at.int("allowzero", 0):
        return None
    if 0 in at.asked.entries(at.input(1)):
        message = "it makes an axis of length 0 (allowzero), which came with opset 14"
        raise RefusalError(message)
    return at.again(drop=["allowzero"])


def _holdable(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that a constant may have.

    Raises:
        RefusalError: It has a negative length, or a constant of that shape would be too large.
    """
    if min(shape, default=0) < 0:
        message = f"its shape {list(shape)} has a negative length"
        raise RefusalError(message)
    if math.prod(length or 1 for length in shape) > LARGEST_COMPUTED:
        message = f"a constant of its shape {list(shape)} would be too large to be held"
        raise RefusalError(message)
    return tuple(shape)


def _expand_down(at: Crossing) -> Written | None:
    """Times ones of that shape."""
    ones = np.ones(_holdable(at.ints(1, "shape") or ()), at.known_dtype().numpy())
    return [at.op("Mul", at.input(0), at.op.constant(ones))]


def _constant_of_shape_down(at: Crossing) -> Written | None:
    """One number, expanded."""
    filler = at.known("value")
    number = np.float32(0) if filler is None else filler.as_tensor().numpy().reshape(-1)[0]
    shape = at.asked.array(at.input(0))
    if shape is None:
        return [at.op("Expand", at.op.constant(np.asarray(number)), at.input(0))]
    full = np.full(_holdable([int(dim) for dim in shape]), number)
    return [at.op("Identity", at.op.constant(full))]


UP: Final[Table] = {
    ("Slice", 10): _slice_up,
    ("Split", 13): _split_up,
    ("Split", 18): _split_counts,
    ("Pad", 11): _pad_up,
    ("TopK", 10): _top_k_up,
    ("Scatter", 11): _scatter("ScatterElements"),
}
DOWN: Final[Table] = {
    ("Slice", 10): _slice_down,
    ("Slice", 11): _slice_axes,
    ("Split", 13): _split_down,
    ("Split", 18): _split_counts_not,
    ("Pad", 11): _pad_down,
    ("Pad", 18): _pad_all_axes,
    ("Pad", 19): _pad_does_not_wrap,
    ("TopK", 10): _top_k_down,
    ("TopK", 11): _top_k_largest,
    ("Trilu", 14): _trilu_down,
    ("ScatterElements", 11): _scatter("Scatter"),
    ("ScatterElements", 18): _scatter_reduction,
    ("ScatterND", 18): _scatter_reduction,
    ("DepthToSpace", 11): _depth_to_space,
    ("Shape", 15): _shape_part,
    ("Reshape", 14): _reshape_without_zeros,
    ("Expand", 8): _expand_down,
    ("ConstantOfShape", 9): _constant_of_shape_down,
}
