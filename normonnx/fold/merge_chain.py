"""Several affines in a row become one node, where nothing above them absorbs them.

A BatchNormalization holds any per-channel affine of its channels: with one of its own between z =
s2 BN(s1 x + t1) + t2 it becomes one whose scale is the product and whose B is chosen so that the
whole is the same, mean and var unchanged: scale' = S d and B' = T + S mean, where S, T are the
composed affine and d = sqrt(var + epsilon). Otherwise scales alone become one Mul, shifts alone
one Add.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normonnx.fold.affine import ChannelAffine, broadcastable
from normonnx.fold.plan import (
    Bypass,
    Edit,
    NewConstant,
    Plan,
    Refusal,
    ReplaceNode,
    SetInput,
    merge,
)
from normonnx.fold.sources import Source, Statistics, statistics_of
from normonnx.fold.surroundings import Surroundings, described


def merged_chain(
    surroundings: Surroundings, sources: Sequence[Source], affine: ChannelAffine
) -> Plan | None:
    """The plan that leaves one node of a chain of affines; None when no node can hold it."""
    keeper = next((s for s in sources if s.node.op_type == "BatchNormalization"), None)
    edits = None
    if keeper is not None:
        edits = _into_batch_normalization(surroundings, keeper, sources, affine)
    elif affine.is_scale or affine.is_shift:
        keeper = next((s for s in sources if len(s.node.inputs) > 1), sources[0])
        edits = _into_arithmetic(surroundings, keeper, affine)
    if keeper is None or edits is None:
        return None
    others = [source for source in sources if source is not keeper]
    bypasses = [Bypass(source.node, source.index) for source in others]
    names = " and ".join(described(source.node) for source in others)
    found = merge(
        sources[0].node, (*edits, *bypasses), f"{names} merged into {described(keeper.node)}"
    )
    return None if isinstance(found, Refusal) else found


def _keeps_channels(surroundings: Surroundings, keeper: Source, sources: Sequence[Source]) -> bool:
    """Whether what enters the chain has the channels that the BatchNormalization expects.

    A Mul or Add before it may have enlarged an axis of length 1, unless that length is known.
    """
    for source in sources[sources.index(keeper) + 1 :]:
        dims = surroundings.ranks.dims(source.node.inputs[source.index])
        is_norm = source.node.op_type == "BatchNormalization"
        if source.affine.axes and not is_norm and (dims is None or dims[1] is None):
            return False
    return True


def _into_batch_normalization(
    surroundings: Surroundings, keeper: Source, sources: Sequence[Source], affine: ChannelAffine
) -> tuple[Edit, ...] | None:
    found = statistics_of(surroundings, keeper.node)
    if not isinstance(found, Statistics):
        return None
    along = affine.over(1, found.scale.size)
    if along is None or not _keeps_channels(surroundings, keeper, sources):
        return None
    vectors = (along.scale * found.deviation, along.shift + along.scale * found.mean)
    edits = []
    for index, vector in enumerate(vectors, start=1):
        value = keeper.node.inputs[index]
        kind = surroundings.kind(value)
        if value is None or kind is None:
            return None
        constant = NewConstant(
            vector, kind[1], value.name or "parameter", instead_of=value, is_factor=index == 1
        )
        edits.append(SetInput(keeper.node, index, constant))
    return tuple(edits)


def _into_arithmetic(
    surroundings: Surroundings, keeper: Source, affine: ChannelAffine
) -> tuple[Edit, ...] | None:
    data = keeper.node.inputs[keeper.index]
    constant = next((v for i, v in enumerate(keeper.node.inputs) if i != keeper.index), None)
    kind = surroundings.kind(constant)
    rank = surroundings.ranks.rank(data)
    if data is None or kind is None or constant is None or rank is None:
        return None
    op_type, vector = ("Mul", affine.scale) if affine.is_scale else ("Add", affine.shift)
    array = broadcastable(np.asarray(vector), affine.axes, rank)
    new = NewConstant(
        array, kind[1], constant.name or "factor", instead_of=constant, is_factor=op_type == "Mul"
    )
    return (ReplaceNode(keeper.node, op_type, (data, new)),)
