"""Resize, Upsample and Pad carry an affine of the axes that they leave alone.

Each output of Resize is a weighted mean of inputs: the weights sum to 1 in every mode (nearest,
linear, cubic, with antialias or exclude_outside too), except where tf_crop_and_resize fills in its
extrapolation value. Pad in the modes reflect, edge and wrap repeats entries. Its constant v must
follow: s Pad(x, v) + t = Pad(s x + t, s v + t), one number for all channels that are padded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, refuse_parameters
from normonnx.fold.plan import Edit, NewConstant, Refusal, SetAttribute, SetInput
from normonnx.graph.attributes import axes_within, float_of, ints_of, is_given, text_of
from normonnx.graph.lengths import Length
from normonnx.graph.shape_values import entries
from normonnx.graph.steering import padding_of

_VALUE_IS_INPUT = 11  # first opset in which Pad has its constant as an input
_HAS_ROI = 11  # first opset in which a region comes before the scales of Resize


def resize_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Where the axes of the affine are not resized."""
    refusal = _resize_refuses(planner, node, affine)
    if refusal is not None:
        return refusal
    return carried_up(planner, node, affine)


def resize_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Where the axes of the affine are not resized."""
    if index != 0:
        return Refusal(f"{node.op_type}: it reads it as sizes", quiet=True)
    refusal = _resize_refuses(planner, node, affine)
    if refusal is not None:
        return refusal
    return carried_down(planner, node, affine)


def _resize_refuses(planner: Planner, node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    if text_of(node, "coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        filler = float_of(node, "extrapolation_value", 0.0)
        if np.any(affine.scale * filler + affine.shift != filler) or affine.axes:
            return Refusal("Resize: it fills in a value that would not get the scale and shift")
    if not affine.axes:
        return None
    if text_of(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return Refusal("Resize: it chooses the sizes by keep_aspect_ratio_policy")
    kept = _kept_axes(planner, node)
    if kept is None or not set(affine.axes) <= kept:
        return Refusal(
            f"{node.op_type}: the affine varies along axes {affine.axes}, which it may resize"
        )
    return None


def _kept_axes(planner: Planner, node: ir.Node) -> set[int] | None:
    """The axes that certainly keep their length; None when nothing is known."""
    surroundings = planner.surroundings
    lengths = surroundings.ranks.lengths(node.inputs[0])
    if lengths is None:
        return None
    axes = ints_of(node, "axes") or list(range(len(lengths)))
    resized = axes_within(axes, len(lengths))
    unchanged = _unchanged(planner, node)
    if resized is None or unchanged is None or len(unchanged) != len(resized):
        return None
    moved = {
        axis
        for axis, now in zip(resized, unchanged, strict=True)
        if now != 1.0 and now is not lengths[axis] and now != lengths[axis]
    }
    return set(range(len(lengths))) - moved


def _unchanged(planner: Planner, node: ir.Node) -> Sequence[Length | float | None] | None:
    """Entry by entry, 1.0 for a scale of 1, or the length asked for."""
    surroundings = planner.surroundings
    if "scales" in node.attributes:
        return [_scale(number) for number in node.attributes["scales"].as_floats()]
    position = 1 if node.op_type == "Upsample" or surroundings.opset(node) < _HAS_ROI else 2
    if is_given(node, position):
        scales = surroundings.constants.get(node.inputs[position])
        if scales is None:
            return None
        if scales.size:
            return [_scale(float(number)) for number in scales.reshape(-1)]
    if is_given(node, 3):
        sizes = entries(surroundings.ranks, node.inputs[3])
        return None if sizes is None else [None if n == 1 else n for n in sizes]
    return None


def _scale(number: float) -> float | None:
    return 1.0 if number == 1.0 else None


def pad_up(planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine) -> Draft | Refusal:
    """What was padded with the constant v is now padded with s v + t."""
    pads = _pads(planner, node, affine)
    if isinstance(pads, Refusal):
        return pads
    edits: tuple[Edit, ...] = ()
    if text_of(node, "mode", "constant") == "constant":
        value = _constant(planner, node)
        if isinstance(value, Refusal):
            return value
        padded = _padded_entries(affine, pads)
        number = _one_number(affine.scale * value + affine.shift, padded)
        if isinstance(number, Refusal):
            return number
        edits = _with_constant(planner, node, value, value if number is None else number)
    for axis, length in affine.lengths.items():
        before, after = pads[axis]
        if before + after >= length:
            return Refusal(f"Pad: it pads axis {axis} by {before + after} to {length}")
        affine = affine.selected(axis, range(before, length - after))
    found = carried_up(planner, node, affine)
    return found if isinstance(found, Refusal) else found.also(*edits)


def pad_down(planner: Planner, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
    """Padded with (v - t) / s before, it is padded with v after the affine."""
    if index != 0:
        return Refusal("Pad: it reads it as widths or as its constant", quiet=True)
    pads = _pads(planner, node, affine)
    if isinstance(pads, Refusal):
        return pads
    edits: tuple[Edit, ...] = ()
    if text_of(node, "mode", "constant") == "constant":
        value = _constant(planner, node)
        if isinstance(value, Refusal):
            return value
        for axis in affine.axes:
            affine = _widened(affine, axis, pads[axis])
        padded = _padded_entries(affine, pads)
        if np.any(padded & (affine.scale == 0.0)):
            return Refusal("Pad: no constant becomes its own under a scale of zero")
        scale = np.where(affine.scale == 0.0, 1.0, affine.scale)
        number = _one_number((value - affine.shift) / scale, padded)
        if isinstance(number, Refusal):
            return number
        edits = _with_constant(planner, node, value, value if number is None else number)
    found = carried_down(planner, node, affine)
    return found if isinstance(found, Refusal) else found.also(*edits)


def _pads(
    planner: Planner, node: ir.Node, affine: ChannelAffine
) -> list[tuple[int, int]] | Refusal:
    """What is padded along each axis, where the affine allows it."""
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    surroundings = planner.surroundings
    rank = surroundings.ranks.rank(node.inputs[0])
    pads = None if rank is None else padding_of(node, surroundings.constants, rank)
    if pads is None:
        return Refusal("Pad: where it pads is computed at run time")
    own = [pads[axis] for axis in affine.axes]
    repeats = text_of(node, "mode", "constant") != "constant"
    if any(before < 0 or after < 0 or (repeats and before + after) for before, after in own):
        return Refusal(f"Pad: it cuts or repeats along axes {affine.axes} of the affine")
    return pads


def _constant(planner: Planner, node: ir.Node) -> float | Refusal:
    if planner.surroundings.opset(node) < _VALUE_IS_INPUT:
        return float_of(node, "value", 0.0)
    if not is_given(node, 2):
        return 0.0
    array = planner.surroundings.constants.get(node.inputs[2])
    if array is None or array.size != 1 or not np.isfinite(array.astype(np.float64)).all():
        return Refusal("Pad: the value it pads with is not a known, finite constant")
    return float(array.reshape(())[()])


def _padded_entries(
    affine: ChannelAffine, pads: list[tuple[int, int]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which entries of the affine, as long as the padded value, meet the constant."""
    if any(max(pad) > 0 for axis, pad in enumerate(pads) if axis not in affine.axes):
        return np.ones(affine.scale.shape, np.bool_)
    found = np.zeros(affine.scale.shape, np.bool_)
    for position, axis in enumerate(affine.axes):
        before, after = pads[axis]
        along = np.moveaxis(found, position, 0)
        along[:before] = True
        along[len(along) - after :] = True
    return found


def _one_number(
    numbers: FloatArray, padded: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float | Refusal | None:
    """The one number that all padded entries share; None where nothing is padded."""
    found = np.broadcast_to(numbers, padded.shape)[padded]
    if found.size == 0:
        return None
    if np.any(found != found[0]):
        return Refusal(
            "Pad: the constant it pads with would have to differ from channel to channel"
        )
    return float(found[0])


def _with_constant(planner: Planner, node: ir.Node, old: float, new: float) -> tuple[Edit, ...]:
    """The edits that make Pad fill in another constant."""
    if new == old:
        return ()
    if planner.surroundings.opset(node) < _VALUE_IS_INPUT:
        return (SetAttribute(node, "value", new),)
    value = node.inputs[2] if is_given(node, 2) else None
    kind = planner.surroundings.kind(value)
    dtype = kind[1] if kind is not None else planner.surroundings.element_type(node.inputs[0])
    if dtype is None:
        dtype = np.dtype(np.float32)
    name = (value.name if value is not None else None) or "pad_value"
    return (SetInput(node, 2, NewConstant(np.array(new), dtype, name, instead_of=value)),)


def _widened(affine: ChannelAffine, axis: int, pad: tuple[int, int]) -> ChannelAffine:
    """Entries for padded channels: there the affine leaves the constant as it is."""
    position = affine.axes.index(axis)
    widths = [pad if i == position else (0, 0) for i in range(affine.scale.ndim)]
    return affine.changed(affine.axes, lambda v, filler: np.pad(v, widths, constant_values=filler))
