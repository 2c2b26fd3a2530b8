"""From a source up to an absorber: the plan, or why there is none.

The walk starts at the last affine of a chain and composes what it passes, so a chain of any length
is folded, and rounded, once. Where no absorber is reached, the chain itself is merged into one
node, if there is one that can hold it: a BatchNormalization, or a single Mul or Add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.fold import absorb_convolution, absorb_product
from normonnx.fold.absorb import Absorbed, Absorber
from normonnx.fold.affine import ChannelAffine, broadcastable
from normonnx.fold.merge_chain import merged_chain
from normonnx.fold.plan import (
    Bypass,
    Edit,
    NewConstant,
    Plan,
    Refusal,
    ReplaceNode,
    ScaledWeight,
    SetInput,
    merge,
)
from normonnx.fold.sources import Source, affine_of
from normonnx.fold.surroundings import STANDARD, Surroundings, described

UP: Final[Mapping[str, Absorber]] = {
    "Conv": absorb_convolution.conv,
    "ConvTranspose": absorb_convolution.conv_transpose,
    "Gemm": absorb_product.gemm,
    "MatMul": absorb_product.matmul,
}
_LONGEST_CHAIN: Final = 128  # looked at from one source; what it leaves is met again
_LARGEST_COPY: Final = 64 << 20  # bytes worth adding, by copying a shared weight, to drop a node


@dataclass(slots=True)
class _Chain:
    """Affines met so far, the source first, and what they are together."""

    sources: list[Source]
    affine: ChannelAffine
    stop: Refusal = field(default_factory=lambda: Refusal(""))


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """The rewrite that folds the affine of `node` away; a Refusal, or None when it is no affine."""
    source = affine_of(surroundings, node)
    if source is None or isinstance(source, Refusal):
        return source
    chain = _Chain([source], source.affine)
    absorber = _walk(surroundings, chain)
    if absorber is not None:
        found = _absorbed(surroundings, chain, absorber)
        if isinstance(found, Plan):
            return found
        chain.stop = found
    if len(chain.sources) > 1:
        merged = merged_chain(surroundings, chain.sources, chain.affine)
        if merged is not None:
            return merged
    return chain.stop


def _walk(surroundings: Surroundings, chain: _Chain) -> ir.Node | None:
    """Walk up, composing affines; the absorber reached, or None with the reason in `chain.stop`."""
    node, index = chain.sources[0].node, chain.sources[0].index
    while len(chain.sources) < _LONGEST_CHAIN:
        producer = surroundings.sole_producer(node, index)
        if isinstance(producer, Refusal):
            chain.stop = producer
            return None
        if surroundings.is_kept(producer):
            chain.stop = Refusal(f"{described(producer)} is kept as asked for")
            return None
        if producer.domain in STANDARD and producer.op_type in UP:
            return producer
        if _is_identity(producer):
            node, index = producer, 0
            continue
        above = affine_of(surroundings, producer)
        if not isinstance(above, Source):
            reason = f"{described(producer)} before it can't take a scale and shift"
            if isinstance(above, Refusal):
                reason = f"{described(producer)} before it stays ({above.reason})"
            chain.stop = Refusal(reason, quiet=not _is_normalization(chain))
            return None
        try:
            composed = chain.affine.after(above.affine)
        except ValueError:
            chain.stop = Refusal(f"it and {described(producer)} before it differ in channels")
            return None
        if len(composed.axes) > 1:  # a matrix of numbers to save one node of two vectors
            chain.stop = Refusal(
                f"it and {described(producer)} before it vary along different axes"
            )
            return None
        chain.affine = composed
        chain.sources.append(above)
        node, index = producer, above.index
    chain.stop = Refusal(
        f"it ends a chain of {_LONGEST_CHAIN} affines without an absorber", quiet=True
    )
    return None


def _is_normalization(chain: _Chain) -> bool:
    return any(source.node.op_type == "BatchNormalization" for source in chain.sources)


def _is_identity(node: ir.Node) -> bool:
    """Identity, or Dropout in inference: its third input, since version 12, is false or absent."""
    if node.domain not in STANDARD:
        return False
    if node.op_type == "Identity":
        return True
    return (
        node.op_type == "Dropout"
        and len([value for value in node.inputs if value is not None]) < 3  # noqa: PLR2004
        and not any(value.name and value.uses() for value in node.outputs[1:])
    )


def _absorbed(surroundings: Surroundings, chain: _Chain, absorber: ir.Node) -> Plan | Refusal:
    """The plan in which `absorber` takes the chain's affine."""
    found = UP[absorber.op_type](surroundings, absorber, chain.affine)
    if isinstance(found, Refusal):
        return found
    shared = _refuse_large_copy(surroundings, found.edits)
    if shared is not None:
        return shared
    rest = _left_over(surroundings, chain.sources, found)
    if isinstance(rest, Refusal):
        return rest
    source = chain.sources[0].node
    names = " and ".join(described(member.node) for member in reversed(chain.sources))
    remainder = ", its shift left as one Add" if found.left is not None else ""
    reason = f"{names} folded into {described(absorber)}{remainder}"
    return merge(source, (*found.edits, *rest), reason)


def _left_over(
    surroundings: Surroundings, sources: Sequence[Source], found: Absorbed
) -> tuple[Edit, ...] | Refusal:
    """Remove the chain, but keep one Add for a shift that the absorber could not take."""
    if found.left is None:
        return tuple(Bypass(source.node, source.index) for source in sources)
    adds = [source for source in sources if source.node.op_type == "Add"]
    if len(sources) == 1 and not found.edits and sources[0].node.op_type in ("Add", "Sub"):
        return Refusal("it is already all that is left", quiet=True)
    keeper = adds[0] if adds else sources[0]
    others = [Bypass(s.node, s.index) for s in sources if s is not keeper]
    constant = _added_constant(surroundings, keeper, found)
    if isinstance(constant, Refusal):
        return constant
    data = keeper.node.inputs[keeper.index]
    if adds:
        return (SetInput(keeper.node, 1 - keeper.index, constant), *others)
    if data is None:
        return Refusal("its input is missing")
    return (ReplaceNode(keeper.node, "Add", (data, constant)), *others)


def _added_constant(
    surroundings: Surroundings, keeper: Source, found: Absorbed
) -> NewConstant | Refusal:
    """The second operand of the Add that stands in the place of `keeper`."""
    rank = surroundings.ranks.rank(keeper.node.inputs[keeper.index])
    left = found.left
    if left is None or found.dtype is None or (rank is None and left.axes):
        return Refusal("the number of dimensions of its input is unknown")
    is_add = keeper.node.op_type == "Add"
    constants = [v for i, v in enumerate(keeper.node.inputs) if v is not None and i != keeper.index]
    old = next(iter(constants), None)
    array = broadcastable(left.shift, left.axes, rank or 0)
    name = (old.name if old is not None else None) or "shift"
    return NewConstant(array, found.dtype, name, instead_of=old if is_add else None)


def _refuse_large_copy(surroundings: Surroundings, edits: Sequence[Edit]) -> Refusal | None:
    """Refuse to copy a huge weight that others also read, only to drop one node."""
    for edit in edits:
        if not isinstance(edit, SetInput) or not isinstance(edit.tensor, ScaledWeight):
            continue
        value = edit.tensor.value
        kind = surroundings.kind(value)
        if kind is None or len(value.uses()) < 2:  # noqa: PLR2004
            continue
        size = int(np.prod(kind[0])) * kind[1].itemsize
        if size > _LARGEST_COPY:
            return Refusal(
                f"weight {value.name!r} is also read elsewhere; a second copy would add "
                f"{size >> 20} MiB to drop one node"
            )
    return None
