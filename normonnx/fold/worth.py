"""Whether a plan pays: nodes that go, against weights rewritten and bytes added.

Rewriting a weight costs nothing at run time but rounds it once more, and a weight that others also
read has to be copied. So a node that goes is worth a few weights, and no huge copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.fold.moving import Weight
from normonnx.fold.plan import Edit, Plan, Refusal, ReplaceNode, ScaledWeight, SetInput
from normonnx.fold.surroundings import Surroundings

MOST_WEIGHTS: Final = 8  # rewritten for each node that goes
LARGEST_COPY: Final = 64 << 20  # bytes added, by copying shared weights, to drop a node
LARGEST_GROWTH: Final = 1 << 20  # bytes added, where some are shared, to merge operators


def too_dear(surroundings: Surroundings, plan: Plan) -> Refusal | None:
    """A Refusal, in figures, when a plan costs more than it saves."""
    weights = [tensor for edit in plan.edits for tensor in _weights(edit)]
    allowed = MOST_WEIGHTS * max(plan.removed, 1)
    if len(weights) > allowed:
        return Refusal(
            f"it would rewrite {len(weights)} weights to save {plan.removed} node(s); at most "
            f"{allowed} are worth it"
        )
    added = 0
    for tensor in weights:
        kind = surroundings.kind(tensor.value)
        if kind is None or len(tensor.value.uses()) < 2:  # noqa: PLR2004
            continue
        added += int(np.prod(kind[0])) * kind[1].itemsize
        if added > LARGEST_COPY:
            return Refusal(
                f"weight {tensor.value.name!r} is also read elsewhere; a second copy would add "
                f"{added >> 20} MiB to drop one node"
            )
    return None


def growth(nodes: Iterable[ir.Node], weights: Iterable[Weight], added: int) -> Refusal | None:
    """A Refusal where weights that others read, too, make the model much larger.

    Args:
        nodes: The nodes that are merged.
        weights: What they read now.
        added: Number of elements of the merged weight.
    """
    merged = {id(node) for node in nodes}
    distinct = {id(weight.value): weight for weight in weights}
    freed, itemsize = 0, 0
    for weight in distinct.values():
        itemsize = weight.dtype.itemsize
        if all(id(use.node) in merged for use in weight.value.uses()):
            freed += int(np.prod(weight.shape)) * itemsize
    more = added * itemsize - freed
    if more <= LARGEST_GROWTH:
        return None
    return Refusal(
        f"weights that are also read elsewhere would make the model {more >> 20} MiB larger"
    )


def _weights(edit: Edit) -> list[ScaledWeight]:
    if isinstance(edit, SetInput):
        return [edit.tensor] if isinstance(edit.tensor, ScaledWeight) else []
    if isinstance(edit, ReplaceNode):
        return [operand for operand in edit.inputs if isinstance(operand, ScaledWeight)]
    return []
