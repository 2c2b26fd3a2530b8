"""What a file tells the session that will run it, written into its metadata.

A hint is recorded only in a model that it changes. ONNX Runtime replaces Add -> LayerNormalization
by SkipLayerNormalization, whose CPU kernel is slower than the two; `SkipLayerNormFusion` is named
where the model has such a pair, in whatever spelling ONNX Runtime will see it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import onnx_ir as ir

from normonnx.core.hints import DISABLED, KEY, SessionHints, joined, split
from normonnx.core.version import DOMAIN
from normonnx.graph import walk
from normonnx.lower.targets import Target

_ONNX: Final = ("", "ai.onnx")
_RANK: Final = 3  # batch, position, feature: all that SkipLayerNormFusion looks at
_NORMS: Final = frozenset(
    {
        *((domain, "LayerNormalization") for domain in _ONNX),
        *((domain, "SimplifiedLayerNormalization") for domain in _ONNX),
        *((domain, "RMSNormalization") for domain in _ONNX),
        (DOMAIN, "LayerNorm"),
        (DOMAIN, "RMSNorm"),
    }
)
_MEAN: Final = "ReduceMean"
_REST: Final = frozenset({"Sub", "Div", "Mul"})  # of a normalization that was taken apart


def record(model: ir.Model, target: Target) -> bool:
    """Write what the target's session should know into the model's metadata, or take it out.

    Args:
        model: Is changed: the hints of another target are replaced, and removed where this one has
            none for this model.
        target: What the model was optimized for.

    Returns:
        Whether the model has hints now.
    """
    model.metadata_props.pop(KEY, None)
    entries = dict(filter(None, (_entry(model, *each) for each in target.hints.items())))
    if not entries or target.provider is None:
        return False
    model.metadata_props[KEY] = SessionHints(target.name, target.provider, entries).text
    return True


def _entry(model: ir.Model, name: str, value: str) -> tuple[str, str] | None:
    """The entry as far as it gains something for this model."""
    if name != DISABLED:
        return name, value
    gaining = tuple(optimizer for optimizer in split(value) if _GAINS[optimizer](model))
    return (name, joined(gaining)) if gaining else None


def _adds_before_norm(model: ir.Model) -> bool:
    """Whether something normalizes a sum of two values over the last of three axes."""
    return any(
        _is_sum(value) and _is_normalized(value)
        for graph in walk.all_graphs(model)
        for node in graph
        for value in node.outputs[:1]
    )


def _is_sum(value: ir.Value) -> bool:
    node = value.producer()
    known = value.shape is None or len(value.shape) == _RANK
    return known and node is not None and node.op_type == "Add" and node.domain in _ONNX


def _is_normalized(value: ir.Value) -> bool:
    readers = [use.node for use in value.uses() if use.idx == 0 or use.node.op_type in _REST]
    if any((node.domain, node.op_type) in _NORMS for node in readers):
        return True
    kinds = {node.op_type for node in readers}
    squared = {
        after.op_type
        for node in readers
        if node.op_type in {"Pow", "Mul"}
        for after in node.outputs[0].consumers()
    }
    return bool(kinds & _REST) and _MEAN in kinds | squared


_GAINS: Final[Mapping[str, Callable[[ir.Model], bool]]] = {
    "SkipLayerNormFusion": _adds_before_norm,
}
