"""What a file tells the session that will run it, written into its metadata.

A hint is recorded only in a model that it changes. ONNX Runtime replaces Add -> LayerNormalization
by SkipLayerNormalization, whose CPU kernel is slower than the two; `SkipLayerNormFusion` is named
where the model has such a pair, in whatever spelling ONNX Runtime will see it. It fuses sums of two
values of one shape with three axes, that nothing else reads; no sum that is broadcast or goes on
beside the norm (as in Transformers that normalize first), and none before an RMSNorm.
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
_NORMS: Final = frozenset({("", "LayerNormalization"), (DOMAIN, "LayerNorm")})
_TAKEN_APART: Final = frozenset({("", "ReduceMean"), ("", "Sub")})  # what a LayerNorm begins with


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
    """Whether something is a LayerNorm of a sum of two values of one shape, and only of that."""
    return any(
        _is_sum(node) and _is_normalized(node.outputs[0])
        for graph in walk.all_graphs(model)
        for node in graph
    )


def _is_sum(node: ir.Node) -> bool:
    if _operator(node) != ("", "Add"):
        return False
    shapes = [None if value is None else value.shape for value in node.inputs]
    known = [shape for shape in shapes if shape is not None]
    # A shape that the file doesn't tell, ONNX Runtime may infer.
    return all(len(shape) == _RANK and shape == known[0] for shape in known)


def _is_normalized(value: ir.Value) -> bool:
    readers = {_operator(node) for node in value.consumers()}
    if value.is_graph_output() or not readers:
        return False
    return readers == _TAKEN_APART or (len(value.uses()) == 1 and readers <= _NORMS)


def _operator(node: ir.Node) -> tuple[str, str]:
    return ("" if node.domain in _ONNX else node.domain, node.op_type)


_GAINS: Final[Mapping[str, Callable[[ir.Model], bool]]] = {
    "SkipLayerNormFusion": _adds_before_norm,
}
