"""Whether a plan pays: nodes that go, against weights rewritten and bytes added.

Rewriting a weight costs nothing at run time but rounds it once more, and a weight that others also
read has to be copied. So a node that goes is worth a few weights, and no huge copy.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from normonnx.fold.plan import Edit, Plan, Refusal, ReplaceNode, ScaledWeight, SetInput
from normonnx.fold.surroundings import Surroundings

MOST_WEIGHTS: Final = 8  # rewritten for each node that goes
LARGEST_COPY: Final = 64 << 20  # bytes added, by copying shared weights, to drop a node


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


def _weights(edit: Edit) -> list[ScaledWeight]:
    if isinstance(edit, SetInput):
        return [edit.tensor] if isinstance(edit.tensor, ScaledWeight) else []
    if isinstance(edit, ReplaceNode):
        return [operand for operand in edit.inputs if isinstance(operand, ScaledWeight)]
    return []
