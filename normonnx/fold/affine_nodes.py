"""An affine meets another: they compose and move on together, or one node holds both.

A BatchNormalization holds any affine of its channels: it becomes one whose B and scale are chosen
so that the whole is the same, mean and var unchanged: scale' = S d and B' = T + S mean, where S, T
are the composed affine and d = sqrt(var + epsilon). A Mul or Div holds scales, an Add or Sub
shifts. Upwards an Add also takes the shift of what it lets pass: s (x + k) + t = s x + (s k + t).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.fold.affine import ChannelAffine, broadcastable
from normonnx.fold.moving import Draft, Planner
from normonnx.fold.plan import Bypass, Edit, NewConstant, Refusal, ReplaceNode, SetInput
from normonnx.fold.sources import Source, Statistics, statistics_of
from normonnx.fold.surroundings import Surroundings, described

_COARSEST = 0.5  # a roundoff that no type exceeds: types are asked for only where it matters
_MOST_AXES = 1  # of what two affines make: a matrix of numbers is no gain over two vectors


def up(planner: Planner, source: Source, affine: ChannelAffine) -> Draft | Refusal:
    """Compose with the affine of a node above, and go on; else let that node hold both."""
    composed = _composed(planner.surroundings, source, (affine, source.affine), "before")
    if isinstance(composed, Refusal):
        return composed
    node, index = source.node, source.index
    beyond = planner.up(node, index, composed)
    if isinstance(beyond, Draft):
        return beyond.also(Bypass(node, index))
    held = _held(planner.surroundings, source, composed)
    if held is not None:
        return Draft(held, into=(node,))
    if node.op_type in ("Add", "Sub") and not affine.is_shift:
        return _split(planner, source, affine, composed) or beyond
    return beyond


def _split(
    planner: Planner, source: Source, affine: ChannelAffine, composed: ChannelAffine
) -> Draft | None:
    """Send the scale on up and keep the shift in the Add's own constant."""
    node, index = source.node, source.index
    beyond = planner.up(node, index, affine.scaling)
    if isinstance(beyond, Refusal):
        return None
    alone = ChannelAffine(
        composed.axes, source.affine.scale.flat[0] * np.ones_like(composed.scale), composed.shift
    )
    held = _held(planner.surroundings, source, alone)
    return None if held is None else beyond.also(*held)


def down(planner: Planner, source: Source, affine: ChannelAffine) -> Draft | Refusal:
    """Compose with the affine of a node below, and go on; else let that node hold both."""
    composed = _composed(planner.surroundings, source, (source.affine, affine), "after")
    if isinstance(composed, Refusal):
        return composed
    node = source.node
    enlarging = enlarges(planner.surroundings, source)
    beyond = enlarging or planner.down(node.outputs[0], composed)
    if isinstance(beyond, Draft):
        return beyond.also(Bypass(node, source.index))
    held = _held(planner.surroundings, source, composed)
    return beyond if held is None else Draft(held, into=(node,))


def _composed(
    surroundings: Surroundings,
    source: Source,
    pair: tuple[ChannelAffine, ChannelAffine],
    where: str,
) -> ChannelAffine | Refusal:
    """The second affine, then the first; one of the two is the source's."""
    outer, inner = pair
    other = f"{described(source.node)} {where} it"
    try:
        composed = outer.after(inner)
    except ValueError:
        return Refusal(f"it and {other} differ in channels")
    if len(composed.axes) > max(_MOST_AXES, len(outer.axes), len(inner.axes)):
        return Refusal(f"it and {other} vary along different axes")
    if _is_guard(outer, composed, _COARSEST) and _is_guard(
        outer, composed, _roundoff(surroundings, source.node.outputs[0])
    ):
        adds = "it adds" if where == "before" else f"{other} adds"
        return Refusal(f"the little that {adds} would be lost in what is added before that")
    return composed


def _roundoff(surroundings: Surroundings, value: ir.Value) -> float:
    """Of the type of a value: 0 of whole numbers, float32's where it is not known."""
    dtype = surroundings.element_type(value) or np.dtype(np.float32)
    return unit_roundoff(dtype) if is_float(dtype) else 0.0


def _is_guard(outer: ChannelAffine, composed: ChannelAffine, u: float) -> bool:
    """Whether what is added last is too small to count beside what was added before.

    (exp(z) - 1) + tiny is tiny at z = 0, to be divided by: exp(z) - (1 - tiny) would be 0.
    """
    _, added = np.broadcast_arrays(composed.shift, outer.along(composed.axes)[1])
    before = np.abs(composed.shift - added)[added != 0]
    return before.size > 0 and bool((np.abs(added[added != 0]) < u / 2 * before).all())


def enlarges(surroundings: Surroundings, source: Source) -> Refusal | None:
    """A Refusal unless what enters the node certainly has the shape of what leaves it."""
    node = source.node
    if node.op_type in ("BatchNormalization", "Neg"):
        return None
    dims = surroundings.ranks.dims(node.inputs[source.index])
    if dims is None:
        return Refusal(f"the number of dimensions of the input of {described(node)} is unknown")
    for axis, length in source.affine.lengths.items():
        if dims[axis] != length:
            return Refusal(
                f"{described(node)} may enlarge its input along axis {axis}, whose length is "
                "unknown"
            )
    return None


def _held(
    surroundings: Surroundings, source: Source, affine: ChannelAffine
) -> tuple[Edit, ...] | None:
    """The edits that make a node compute `affine` of its data input; None when it can't."""
    node = source.node
    if node.op_type == "BatchNormalization":
        return _in_batch_normalization(surroundings, source, affine)
    if node.op_type in ("Mul", "Div") and affine.is_scale:
        return _in_arithmetic(surroundings, source, affine, "Mul")
    if node.op_type in ("Add", "Sub"):
        if affine.is_shift:
            return _in_arithmetic(surroundings, source, affine, "Add")
        if np.all(affine.scale == -1.0):
            return _in_arithmetic(surroundings, source, affine, "Sub")
    return None


def _in_batch_normalization(
    surroundings: Surroundings, source: Source, affine: ChannelAffine
) -> tuple[Edit, ...] | None:
    found = statistics_of(surroundings, source.node)
    if not isinstance(found, Statistics):
        return None
    along = affine.over(1, found.scale.size)
    if along is None:
        return None
    vectors = (along.scale * found.deviation, along.shift + along.scale * found.mean)
    edits = []
    for index, vector in enumerate(vectors, start=1):
        value = source.node.inputs[index]
        kind = surroundings.kind(value)
        if value is None or kind is None:
            return None
        constant = NewConstant(
            vector, kind[1], value.name or "parameter", instead_of=value, is_factor=index == 1
        )
        edits.append(SetInput(source.node, index, constant))
    return tuple(edits)


def _in_arithmetic(
    surroundings: Surroundings, source: Source, affine: ChannelAffine, op_type: str
) -> tuple[Edit, ...] | None:
    node = source.node
    data = node.inputs[source.index]
    constant = next((v for i, v in enumerate(node.inputs) if i != source.index), None)
    kind = surroundings.kind(constant)
    rank = surroundings.ranks.rank(data)
    if kind is None or constant is None or rank is None:
        return None
    vector = affine.scale if op_type == "Mul" else affine.shift
    array = broadcastable(np.asarray(vector), affine.axes, rank)
    new = NewConstant(
        array, kind[1], constant.name or "factor", instead_of=constant, is_factor=op_type == "Mul"
    )
    if op_type == node.op_type and (op_type != "Sub" or source.index == 1):
        return (SetInput(node, 1 - source.index, new),)
    operands = (new, source.index) if op_type == "Sub" else (source.index, new)
    return (ReplaceNode(node, op_type, operands),)
