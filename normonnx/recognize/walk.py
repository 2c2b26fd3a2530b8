"""The walk: once forwards over a graph, what is known of every value relative to every root.

A root is any value that facts start from. Most values are computed by operators that nothing is
known of, and are roots alone. A value has a fact for each root that it is linear in, or a statistic
of, and so on; a sum or product has one for each root that both operands share.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

import onnx_ir as ir

from normonnx.core.errors import ILL_FORMED
from normonnx.graph.constants import Constants
from normonnx.graph.ranks import Ranks
from normonnx.graph.steering import taken_branch
from normonnx.recognize import frames
from normonnx.recognize.asking import Asked, Operand
from normonnx.recognize.choosing import CHOOSING
from normonnx.recognize.convolving import CONVOLVING
from normonnx.recognize.elementwise import ELEMENTWISE
from normonnx.recognize.facts import Combination, Fact
from normonnx.recognize.operators import OPERATORS
from normonnx.recognize.reductions import REDUCTIONS
from normonnx.recognize.table import Transfer
from normonnx.recognize.views import VIEWS
from normonnx.recognize.windows import WINDOWS

logger: Final = logging.getLogger(__name__)
_MOST_ROOTS: Final = 24
_MOST_OPERANDS: Final = 64  # no normalization adds up, or joins, as many
TRANSFERS: Final[Mapping[tuple[str, str], Transfer]] = {
    **{
        ("", name): transfer
        for table in (CHOOSING, ELEMENTWISE, REDUCTIONS, VIEWS, WINDOWS, CONVOLVING)
        for name, transfer in table.items()
    },
    **OPERATORS,
}


class Known:
    """What is known of the values of one model."""

    def __init__(self, constants: Constants, ranks: Ranks) -> None:
        self.asked = Asked(constants, ranks)
        self._facts: dict[int, dict[int, Fact]] = {}
        self._roots: dict[int, tuple[ir.Value, Combination | None]] = {}

    def walk(self, nodes: Iterable[ir.Node]) -> None:
        """Learn what nodes, in order, give."""
        for node in nodes:
            if node.op_type == "If" and node.domain in ("", "ai.onnx"):
                self._learn_branch(node)
                continue
            domain = "" if node.domain == "ai.onnx" else node.domain
            transfer = TRANSFERS.get((domain, node.op_type))
            if transfer is not None and not _has_references(node) and node.outputs:
                self._learn(node, transfer)

    def facts(self, value: ir.Value) -> Mapping[int, Fact]:
        """Facts by the id of the root, the oldest first; not the one about the value itself."""
        return self._facts.get(id(value), {})

    def root(self, key: int) -> ir.Value:
        """The root of that id."""
        return self._roots[key][0]

    def own(self, value: ir.Value) -> Combination | None:
        """A value as its own root; None where its rank is not known."""
        if id(value) not in self._roots:
            lengths = self.asked.lengths(value)
            fact = None if lengths is None else Combination(frames.whole(lengths))
            self._roots[id(value)] = (value, fact)
        return self._roots[id(value)][1]

    def fact(self, value: ir.Value, key: int) -> Fact | None:
        """What is known of a value relative to one root."""
        if id(value) == key:
            return self.own(value)
        return self._facts.get(id(value), {}).get(key)

    def _learn_branch(self, node: ir.Node) -> None:
        """An If that always takes one branch gives what that branch gives."""
        branch = taken_branch(node, self.asked.constants)
        if branch is None:
            return
        self.walk(branch)
        for output, inner in zip(node.outputs, branch.outputs, strict=False):
            facts = dict(self._facts.get(id(inner), {}))
            own = self.own(inner)
            if own is not None:
                facts[id(inner)] = own
            if facts:
                self._facts[id(output)] = facts

    def _learn(self, node: ir.Node, transfer: Transfer) -> None:
        ask = self.asked
        if len(node.inputs) > _MOST_OPERANDS:
            return
        arrays = [None if value is None else ask.constant(value) for value in node.inputs]
        variable = [v for v, a in zip(node.inputs, arrays, strict=True) if a is None and v]
        if not variable or not variable[0].name:
            return
        found: dict[int, Fact] = {}
        lengths = ask.lengths(node.outputs[0])
        rank = None if lengths is None else len(lengths)
        constants = [
            None
            if array is None or value is None or not value.name
            else Operand(value, None, array)
            for value, array in zip(node.inputs, arrays, strict=True)
        ]
        for key in self._candidates(variable):
            operands, known = list(constants), False
            for place, value in enumerate(node.inputs):
                if arrays[place] is None and value is not None and value.name:
                    fact = self.fact(value, key)
                    known = known or fact is not None
                    operands[place] = Operand(value, fact, None)
            if not known:
                continue
            try:
                fact = transfer(ask, node, operands)
            except ILL_FORMED as error:  # no legal node: of wrong shapes, say
                logger.debug("%s %s tells nothing: %s", node.op_type, node.name, error)
                continue
            if fact is not None and (rank is None or len(fact.frame) == rank):
                found[key] = fact
        if found:
            newest = list(found)[-_MOST_ROOTS:]
            self._facts[id(node.outputs[0])] = {key: found[key] for key in newest}

    def _candidates(self, values: list[ir.Value]) -> list[int]:
        """Roots that facts of these values start from, the oldest first."""
        keys: dict[int, None] = {}
        for value in values:
            keys |= dict.fromkeys(self._facts.get(id(value), {}))
        for value in values:
            if self.own(value) is not None:
                keys[id(value)] = None
        return list(keys)


def _has_references(node: ir.Node) -> bool:
    return bool(node.attributes) and any(
        attribute.is_ref() for attribute in node.attributes.values()
    )
