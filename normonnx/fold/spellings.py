"""Constants by which an operator taken apart is recognised stay with it.

x / Sqrt(...) * scale + bias is how exporters and older opsets spell a normalization, and
x * (1 + Erf(...)) * 0.5 a GELU. Runtimes, and recognition here, find them by that tail; moved into
the weights that follow, it would leave a chain that nothing recognises any more. Once a
normalization is one node, its scale and bias move: see `normalization`.
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.fold.plan import Refusal
from normonnx.fold.sources import Source
from normonnx.fold.surroundings import described

_LONGEST_TAIL: Final = 4  # nodes after a normalization: Cast, Mul, Add
_ROOTS: Final = frozenset(["Pow", "Reciprocal", "Sqrt"])
_GATES: Final = frozenset(["Erf", "Tanh"])


def belongs_to_a_spelling(source: Source) -> Refusal | None:
    """A Refusal for the scale and bias of a normalization, or the half of a GELU, taken apart."""
    found = _normalization_above(source)
    if found is not None:
        return Refusal(
            f"it is the scale or bias of a normalization taken apart at {described(found)}, "
            "which runtimes recognise by it",
            quiet=True,
        )
    gate = _producer(source.node.inputs[source.index])
    if gate is not None and gate.op_type == "Mul" and any(map(_is_gate, gate.inputs)):
        return Refusal("it is part of a GELU, which runtimes recognise by it", quiet=True)
    return None


def _normalization_above(source: Source) -> ir.Node | None:
    """The division by a root, or the product with one over it, that this is the tail of."""
    node, index = source.node, source.index
    for _ in range(_LONGEST_TAIL):
        producer = _producer(node.inputs[index])
        if producer is None:
            return None
        if producer.op_type in ("Div", "Mul") and any(map(_is_root, producer.inputs)):
            return producer
        computed = [i for i, value in enumerate(producer.inputs) if _producer(value) is not None]
        if producer.op_type not in ("Add", "Cast", "Mul") or not computed:
            return None
        node, index = producer, computed[0]
    return None


def _is_root(value: ir.Value | None) -> bool:
    """Whether a value is a square root, or one over one: what a normalization divides by."""
    producer = _producer(value)
    return producer is not None and producer.op_type in _ROOTS


def _is_gate(value: ir.Value | None) -> bool:
    """Whether a value is 1 + Erf(...) or 1 + Tanh(...)."""
    producer = _producer(value)
    if producer is None or producer.op_type != "Add":
        return False
    return any(
        below is not None and below.op_type in _GATES for below in map(_producer, producer.inputs)
    )


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()
