"""Convolutions of one input whose outputs are summed become one, the input's own affines with them.

Conv is linear in its kernel: conv(x, W_1) + conv(x, W_2) = conv(x, W_1 + W_2), the smaller kernel
padded with zeros where the taps of both lie on one lattice (`window`). A Conv of more groups is one
of fewer whose kernel is zero outside its blocks; s x + t is a Conv of one tap and as many groups as
channels (Ding et al., 2021, "RepVGG: Making VGG-style ConvNets Great Again", section 3.3).

Branches are merged only as long as the one does not multiply more than the two did, for which an
affine of the input counts nothing: its tap has to lie among those of a Conv.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import Placed, Scaled, Summed
from normonnx.fold.constant_convolution import (
    Convolution,
    bias_edits,
    convolution_of,
    is_convolution,
    rows_of,
)
from normonnx.fold.plan import CombinedWeight, Plan, Refusal, Rows, SetInput, merge
from normonnx.fold.sum_tree import AffineBranch, Leaf, SumTree, affine_branch, is_read_once
from normonnx.fold.surroundings import Surroundings, described
from normonnx.fold.window import Window, attribute_edits, identity, joined, size
from normonnx.fold.worth import growth
from normonnx.graph.walk import label

_CHANNEL_AXIS: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """One summand as a convolution.

    Attributes:
        leaf: Where it enters the sum.
        convolution: The Conv; None for an affine of the input itself.
        nodes: The nodes that compute it.
        shape: Output and input channels.
        group: Number of groups.
        window: Where it reads its input.
        kernel: Its weight.
        bias: Shape (M,); None when it has none.
    """

    leaf: Leaf
    convolution: Convolution | None
    nodes: tuple[ir.Node, ...]
    shape: tuple[int, int]
    group: int
    window: Window
    kernel: Rows
    bias: FloatArray | None

    @property
    def name(self) -> str:
        """What to call it."""
        return described(self.nodes[0]) if self.nodes else "the input itself"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Groups and window of a Conv that computes several branches."""

    group: int
    window: Window

    def weights(self, shape: tuple[int, int]) -> int:
        """Elements of the weight: the multiplications for each place of the output."""
        return shape[0] * shape[1] // self.group * size(self.window)


def plan(surroundings: Surroundings, tree: SumTree) -> Plan | Refusal | None:
    """One Conv for branches of a sum; None where no two of them have one input."""
    refusal = None
    for value, leaves in _by_input(tree):
        branches, problem = _branches(surroundings, tree, value, leaves)
        refusal = refusal or problem
        found = _merged(tree, branches)
        if isinstance(found, Plan):
            return found
        refusal = refusal or found
    return refusal


def _by_input(tree: SumTree) -> list[tuple[ir.Value, list[Leaf]]]:
    """The inputs of the Convs among the leaves, each with these, in order."""
    found: dict[int, tuple[ir.Value, list[Leaf]]] = {}
    for leaf in tree.leaves:
        node = leaf.value.producer()
        if node is not None and is_convolution(node) and node.inputs[0] is not None:
            data = node.inputs[0]
            found.setdefault(id(data), (data, []))[1].append(leaf)
    return list(found.values())


def _branches(
    surroundings: Surroundings, tree: SumTree, value: ir.Value, convolutions: Sequence[Leaf]
) -> tuple[list[Branch], Refusal | None]:
    """The branches of one input, and why the first that is none isn't."""
    branches: list[Branch] = []
    problems: list[Refusal] = []
    own = {leaf.place for leaf in convolutions}
    for leaf in convolutions:
        found = _convolution(surroundings, tree, leaf)
        if isinstance(found, Refusal):
            problems.append(found)
        else:
            branches.append(found)
    if not branches:
        return [], problems[0] if len(problems) > 1 else None
    channels = branches[0].shape[1]
    spatial = len(branches[0].window)
    for leaf in tree.leaves:
        if leaf.place in own:
            continue
        affine = affine_branch(surroundings, leaf, (value,))
        if isinstance(affine, AffineBranch):
            affine_found = _identity(leaf, affine, channels, spatial)
            if isinstance(affine_found, Branch):
                branches.append(affine_found)
                continue
            affine = affine_found
        if affine is not None:
            problems.append(affine)
    return branches, problems[0] if problems else None


def _convolution(surroundings: Surroundings, tree: SumTree, leaf: Leaf) -> Branch | Refusal:
    node = leaf.value.producer()
    if node is None or node.graph is not tree.root.graph:
        return Refusal(f"{leaf.value.name!r} comes from outside the subgraph")
    if not is_read_once(leaf.value):
        return Refusal(f"the output of {described(node)} is also read elsewhere")
    found = convolution_of(surroundings, node)
    if isinstance(found, Refusal):
        return Refusal(f"{label(node)!r}: {found.reason}")
    return Branch(
        leaf,
        found,
        (node,),
        (found.outputs, found.inputs),
        found.group,
        found.window,
        rows_of(surroundings, found.weight),
        found.bias,
    )


def _identity(leaf: Leaf, found: AffineBranch, channels: int, spatial: int) -> Branch | Refusal:
    """The input times scale plus shift, as a Conv of one tap with a group for each channel."""
    scale, bias = np.ones(channels), None
    if found.affine is not None:
        along = found.affine.over(_CHANNEL_AXIS, channels)
        if along is None:
            return Refusal(
                f"{described(found.nodes[0])} varies along axes {found.affine.axes}, "
                f"not along the {channels} channels"
            )
        scale, bias = along.scale, None if along.is_scale else along.shift
    kernel = Scaled(scale.reshape(channels, *(1,) * (spatial + 1)), np.ones((1,) * (spatial + 2)))
    window = identity(spatial)
    return Branch(leaf, None, found.nodes, (channels,) * 2, channels, window, kernel, bias)


def _merged(tree: SumTree, branches: Sequence[Branch]) -> Plan | Refusal | None:
    """The plan for the first Conv, largest first, that another branch can be merged into."""
    anchors = [branch for branch in branches if branch.convolution is not None]
    anchors.sort(key=lambda branch: -size(branch.window))
    refusal = None
    for anchor in anchors:
        members, layout, problem = _company(anchor, branches)
        if len(members) > 1:
            return _plan(tree, members, layout)
        refusal = refusal or problem
    return refusal


def _company(
    anchor: Branch, branches: Sequence[Branch]
) -> tuple[list[Branch], _Layout, Refusal | None]:
    """The anchor and those that one Conv can compute with it, its layout, and why no more."""
    members, layout = [anchor], _Layout(anchor.group, anchor.window)
    refusal = None
    waiting = [branch for branch in branches if branch is not anchor]
    growing = True
    while growing:
        growing = False
        for branch in list(waiting):
            found = _together(anchor, layout, branch)
            if isinstance(found, Refusal):
                refusal = refusal or found
                continue
            members.append(branch)
            waiting.remove(branch)
            growing, layout = True, found
    return members, layout, refusal


def _together(anchor: Branch, layout: _Layout, branch: Branch) -> _Layout | Refusal:
    """The layout of one Conv for those merged so far and one branch more."""
    pair = f"{anchor.name} and {branch.name} stay two: "
    if branch.shape != anchor.shape or len(branch.window) != len(anchor.window):
        return Refusal(
            f"{pair}they map {anchor.shape[1]} to {anchor.shape[0]} and "
            f"{branch.shape[1]} to {branch.shape[0]} channels"
        )
    kinds = [b.convolution.weight.dtype for b in (anchor, branch) if b.convolution is not None]
    if len(set(kinds)) > 1:
        return Refusal(f"{pair}their weights are {kinds[0]} and {kinds[1]}")
    window = joined(layout.window, branch.window)
    if isinstance(window, Refusal):
        return Refusal(f"{pair}{window.reason}")
    found = _Layout(math.gcd(layout.group, branch.group), window)
    own = _Layout(branch.group, branch.window).weights(branch.shape)
    before = layout.weights(anchor.shape) + (own if branch.convolution is not None else 0)
    after = found.weights(anchor.shape)
    if after > before:
        return Refusal(
            f"{pair}one would multiply {after} times for each place of its output, "
            f"the two do {before} times"
        )
    return found


def _plan(tree: SumTree, members: Sequence[Branch], layout: _Layout) -> Plan | Refusal:
    others = members[1:]
    found = [member.convolution for member in members if member.convolution is not None]
    keeper, added = found[0], layout.weights(members[0].shape)
    too_large = growth([one.node for one in found], [one.weight for one in found], added)
    if too_large is not None:
        return too_large
    structure, dead = tree.without([other.leaf for other in others])
    dropped = (*dead, *(node for other in others for node in other.nodes))
    weight = keeper.weight
    rows = Summed(tuple(_placed(member, layout) for member in members))
    combined = CombinedWeight(rows, weight.dtype, weight.value.name or "weight", weight.value)
    edits = (
        *structure,
        SetInput(keeper.node, 1, combined),
        *bias_edits(keeper.node, _total_bias(members), weight),
        *attribute_edits(keeper.node, layout.window, layout.group),
    )
    names = " and ".join(other.name for other in others)
    reason = f"{names} merged into {described(keeper.node)}, parallel to it"
    return merge(tree.root, edits, reason, dropped)


def _placed(member: Branch, layout: _Layout) -> Placed:
    shape = (
        member.shape[0],
        member.shape[1] // layout.group,
        *(taps.count for taps in layout.window),
    )
    taps = tuple(own.within(whole) for own, whole in zip(member.window, layout.window, strict=True))
    return Placed(member.kernel, member.group, shape, layout.group, taps)


def _total_bias(members: Sequence[Branch]) -> FloatArray | None:
    biases = [member.bias for member in members if member.bias is not None]
    return np.sum(biases, axis=0) if biases else None
