"""Axes: from an attribute to an input (13 and 18) and back, and counted from the end (11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from normonnx.lower.crossing import Crossing, RefusalError, Table, Written

REDUCTIONS: Final = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
)
_PLAIN: Final = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"})
# Operators with an attribute `axis`, and its default below opset 11.
_WITH_AXIS: Final[Mapping[str, int]] = {
    "ArgMax": 0,
    "ArgMin": 0,
    "Concat": 1,
    "Flatten": 1,
    "Gather": 0,
    "Hardmax": 1,
    "LogSoftmax": 1,
    "Softmax": 1,
    "Split": 0,
}


def _to_input(at: Crossing) -> Written | None:
    axes = at.int_list("axes")
    if axes is None:
        return None
    return at.again(inputs=[at.input(0), at.op.ints(*axes)], drop=["axes"])


def _to_attribute(at: Crossing) -> Written | None:
    axes = at.ints(1, "axes")
    return at.again(inputs=[at.input(0)], attributes={"axes": axes})


def _reduction_to_attribute(at: Crossing) -> Written | None:
    """No axes are all axes, unless the node says that they are none."""
    axes = at.ints(1, "axes")
    if not axes and at.int("noop_with_empty_axes", 0):
        if at.node.op_type not in _PLAIN:
            message = "it reduces over no axes, which older opsets can't say"
            raise RefusalError(message)
        return [at.op("Identity", at.input(0))]
    attributes = {"axes": axes} if axes else {}
    return at.again(inputs=[at.input(0)], drop=["noop_with_empty_axes"], attributes=attributes)


def _positive_axis(at: Crossing) -> Written | None:
    axis = at.int("axis", _WITH_AXIS[at.node.op_type])
    if axis >= 0:
        return None
    return at.again(attributes={"axis": axis + len(at.known_dims())})


def _positive_axes(at: Crossing) -> Written | None:
    axes = at.int_list("axes")
    if axes is None or min(axes, default=0) >= 0:
        return None
    rank = len(at.known_dims())
    rank += len(axes) if at.node.op_type == "Unsqueeze" else 0
    return at.again(attributes={"axes": [axis % rank for axis in axes]})


def _positive_indices(at: Crossing) -> Written | None:
    """Axis, and constant indices, too; others are left to the runtime, which counts back anyway."""
    indices, dims = at.asked.array(at.input(1)), at.dims()
    axis = at.int("axis", 0)
    length = None if dims is None else dims[axis]
    if indices is None or length is None or (indices >= 0).all():
        return _positive_axis(at)
    positive = at.op.constant((indices + (indices < 0) * length).astype(indices.dtype))
    return at.again(
        inputs=[at.input(0), positive],
        attributes={"axis": axis % len(at.known_dims())},
    )


UP: Final[Table] = {
    **{(name, 18): _to_input for name in REDUCTIONS},
    **{(name, 13): _to_input for name in ("ReduceSum", "Squeeze", "Unsqueeze")},
}
DOWN: Final[Table] = {
    **{(name, 18): _reduction_to_attribute for name in REDUCTIONS},
    ("ReduceSum", 13): _reduction_to_attribute,
    ("Squeeze", 13): lambda at: _to_attribute(at) if at.given(1) else None,
    ("Unsqueeze", 13): _to_attribute,
    **{(name, 11): _positive_axis for name in _WITH_AXIS},
    **{(name, 11): _positive_axes for name in (*REDUCTIONS, "ReduceSum", "Squeeze", "Unsqueeze")},
    ("Gather", 11): _positive_indices,
}
