"""What the attributes and constant inputs say that steer an operator's shape.

Each is an attribute in older opsets and an input in newer ones; None means that it is computed at
run time, or doesn't fit.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from normonnx.graph.attributes import axes_within, int_of, ints_of, is_given, steering, text_of
from normonnx.graph.constants import Constants
from normonnx.graph.lengths import Length


def windows(
    node: ir.Node, lengths: Sequence[Length], kernel: Sequence[Length]
) -> list[Length | None]:
    """Number of windows along each spatial axis (Conv, ONNX operator specification)."""
    number = len(lengths)
    strides = ints_of(node, "strides") or [1] * number
    dilations = ints_of(node, "dilations") or [1] * number
    padding = text_of(node, "auto_pad", "NOTSET")
    pads = (ints_of(node, "pads") if padding == "NOTSET" else None) or [0] * (2 * number)
    if len(strides) != number or len(dilations) != number or len(pads) != 2 * number:
        return [None] * number
    found: list[Length | None] = []
    for axis, (length, size) in enumerate(zip(lengths, kernel, strict=True)):
        if not isinstance(size, int):
            found.append(None)
            continue
        span = dilations[axis] * (size - 1) + 1
        total = pads[axis] + pads[axis + number]
        if strides[axis] == 1 and (total == span - 1 or padding.startswith("SAME")):
            found.append(length)
        elif not isinstance(length, int):
            found.append(None)
        elif padding.startswith("SAME"):
            found.append(-(-length // strides[axis]))
        else:
            found.append((length + total - span) // strides[axis] + 1)
    return found


def permutation(node: ir.Node, rank: int | None) -> list[int] | None:
    """Which input axis each output axis of a Transpose is; None when unknown or illegal."""
    perm = node.attributes.get("perm")
    if perm is None:
        return None if rank is None else list(range(rank))[::-1]
    if perm.is_ref():
        return None
    axes = [int(axis) for axis in perm.as_ints()]
    legal = sorted(axes) == list(range(len(axes))) and rank in (None, len(axes))
    return axes if legal else None


def split_sizes(node: ir.Node, constants: Constants, length: Length | None) -> list[int] | None:
    """Length of each output of a Split along its axis; None when that is not certain."""
    sizes = steering(node, "split", constants, 1)
    parts = len(node.outputs)
    if sizes is not None or is_given(node, 1):
        return sizes if sizes is not None and len(sizes) == parts else None
    if not isinstance(length, int):
        return None
    size = -(-length // parts)
    return [*[size] * (parts - 1), length - size * (parts - 1)]


def reduced_axes(node: ir.Node, constants: Constants, rank: int) -> list[int] | None:
    """The axes that a Reduce operator reduces, counted from the front; None when unknown."""
    axes = steering(node, "axes", constants, 1)
    if axes is None and is_given(node, 1):
        return None
    if not axes:
        return [] if int_of(node, "noop_with_empty_axes", 0) else list(range(rank))
    return axes_within(axes, rank)


def slices(node: ir.Node, constants: Constants, rank: int) -> dict[int, slice] | None:
    """What a Slice keeps along each axis it cuts, as Python writes it; None when unknown."""
    starts = steering(node, "starts", constants, 1)
    ends = steering(node, "ends", constants, 2)
    axes = steering(node, "axes", constants, 3)
    steps = steering(node, "steps", constants, 4)
    unknown = (axes is None and is_given(node, 3)) or (steps is None and is_given(node, 4))
    if starts is None or ends is None or unknown or len(starts) != len(ends):
        return None
    found = axes_within(axes if axes is not None else list(range(len(starts))), rank)
    steps = steps or [1] * len(starts)
    if found is None or len(found) != len(starts) or len(steps) != len(starts) or 0 in steps:
        return None
    return {
        axis: slice(start, end, step)
        for axis, start, end, step in zip(found, starts, ends, steps, strict=True)
    }


def padding_of(node: ir.Node, constants: Constants, rank: int) -> list[tuple[int, int]] | None:
    """What a Pad adds before and after each axis; None when unknown."""
    pads = steering(node, "pads", constants, 1)
    axes: list[int] | None = list(range(rank))
    if is_given(node, 3):
        given = steering(node, "axes", constants, 3)
        axes = None if given is None else axes_within(given, rank)
    if pads is None or axes is None or len(pads) != 2 * len(axes):
        return None
    found = [(0, 0)] * rank
    for position, axis in enumerate(axes):
        found[axis] = (pads[position], pads[position + len(axes)])
    return found


def taken_branch(node: ir.Node, constants: Constants) -> ir.Graph | None:
    """The branch that an If always takes; None where that depends on the input."""
    condition = constants.get(node.inputs[0]) if node.inputs else None
    if condition is None or condition.size != 1:
        return None
    attribute = node.attributes.get("then_branch" if condition.all() else "else_branch")
    return None if attribute is None or attribute.is_ref() else attribute.as_graph()
