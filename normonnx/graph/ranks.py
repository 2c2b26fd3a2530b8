"""Number of dimensions of each value, and its dimensions where they are certain.

What a file says about its own intermediate values (value_info) can't be trusted, so ranks are
worked out from graph inputs and weights: by `shape_rules` where one operator suffices, else by
onnx-shape-inference, once for the whole model, on a copy. What the file declares is the last
resort.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from normonnx.core.errors import ILL_FORMED
from normonnx.core.version import DOMAIN
from normonnx.graph import checks, folding
from normonnx.graph.arguments import Arguments
from normonnx.graph.constants import Constants, Dims
from normonnx.graph.inference import inferred
from normonnx.graph.lengths import Lengths, completed, static
from normonnx.graph.shape_rules import OTHER_OUTPUTS, RULES
from normonnx.graph.steering import taken_branch

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")  # which have no name in common


class Ranks:
    """Shapes of the values of one model as far as they are known, evaluated on demand."""

    def __init__(self, model: ir.Model, constants: Constants) -> None:
        self._model = model
        self.constants = constants
        self.arguments = Arguments(model)
        self._known: dict[int, tuple[ir.Value, Lengths | None]] = {}
        self._uncertain: dict[int, tuple[ir.Value, Lengths | None]] = {}
        self._inferred: Mapping[str, Dims] | None = None

    def rank(self, value: ir.Value | None) -> int | None:
        """Number of dimensions of a value; None when unknown."""
        lengths = self.lengths(value)
        return None if lengths is None else len(lengths)

    def dims(self, value: ir.Value | None) -> Dims | None:
        """Dimensions of a value, None for each that is not static; None if the rank is unknown."""
        lengths = self.lengths(value)
        return None if lengths is None else static(lengths)

    def certain_dims(self, value: ir.Value) -> Dims | None:
        """Dimensions by the rules alone: what they say doesn't depend on what was asked before."""
        lengths = self._by_rules(value)
        return None if lengths is None else static(lengths)

    def lengths(self, value: ir.Value | None) -> Lengths | None:
        """Dimensions of a value; those of equal `Unknown` are as long as each other."""
        if value is None:
            return None
        known = self._known.get(id(value))
        found = self._by_rules(value) if known is None else known[1]
        if found is not None:
            return found
        if id(value) not in self._uncertain:
            dims = self._by_inference(value)
            self._uncertain[id(value)] = (value, None if dims is None else completed(dims))
        return self._uncertain[id(value)][1]

    def opset(self, node: ir.Node) -> int:
        """Version of the default operator set that a node is written in."""
        return checks.opset_at(self._model, node)

    def forget(self, values: Iterable[ir.Value]) -> None:
        """Work out anew what is asked about values, since the nodes before them were moved."""
        for value in values:
            self._known.pop(id(value), None)
            self._uncertain.pop(id(value), None)
        self._inferred = None

    def known(self, value: ir.Value | None) -> Lengths | None:
        """What has been worked out already about an input of a node."""
        return None if value is None else self._known.get(id(value), (value, None))[1]

    def _by_rules(self, value: ir.Value) -> Lengths | None:
        found = self._known.get(id(value))
        if found is not None:
            return found[1]
        for needed in self._needed(value):
            if id(needed) not in self._known:
                break
        else:  # a walk forwards
            lengths = self._by_rule(value)
            self._known[id(value)] = value, lengths
            return lengths
        for current in self._sources_first(value):
            self._known[id(current)] = (current, self._by_rule(current))
        return self._known[id(value)][1]

    def _sources_first(self, value: ir.Value) -> list[ir.Value]:
        """The values that the rules need for this one, each after what it needs itself."""
        order: list[ir.Value] = []
        seen: set[int] = set()
        waiting = [(value, False)]
        while waiting:
            current, expanded = waiting.pop()
            if expanded:
                order.append(current)
                continue
            if id(current) in seen or id(current) in self._known:
                continue
            seen.add(id(current))
            waiting.append((current, True))
            waiting += [(v, False) for v in self._needed(current) if id(v) not in self._known]
        return order

    def _needed(self, value: ir.Value) -> Iterator[ir.Value]:
        yield from self._elsewhere(value)
        node = value.producer()
        if node is not None and (node.op_type in RULES or node.domain == DOMAIN):
            yield from (v for v in node.inputs if v is not None)
            branch = taken_branch(node, self.constants) if node.op_type == "If" else None
            if branch is not None:
                yield from branch.outputs

    def _elsewhere(self, value: ir.Value) -> Sequence[ir.Value]:
        """Values of other graphs that are as long: what a function is given, and what it gives."""
        given = self.arguments.given(value)
        if given or value.producer() is None:
            return given
        result = self.arguments.result(value)
        return () if result is None else (result,)

    def _common(self, values: Sequence[ir.Value]) -> Lengths | None:
        """The lengths that several values share; unknown where they differ."""
        shapes = [self._known.get(id(each), (each, None))[1] or _promised(each) for each in values]
        known = [lengths for lengths in shapes if lengths is not None]
        if len(known) != len(values) or len({len(lengths) for lengths in known}) != 1:
            return None
        columns = zip(*known, strict=True)
        return completed([each[0] if len(set(each)) == 1 else None for each in columns])

    def _by_rule(self, value: ir.Value) -> Lengths | None:
        node = value.producer()
        if value.const_value is not None and node is None:
            return tuple(value.const_value.shape.numpy())
        elsewhere = self._elsewhere(value)
        if elsewhere:
            return self._common(elsewhere)
        if node is None:
            dims = _declared(value) if value.is_graph_input() else None
            return None if dims is None else completed(dims)
        if node.op_type in folding.EVALUATORS or node.op_type == "Constant":
            constant = self.constants.get(value)
            if constant is not None:
                return constant.shape
        if node.domain == DOMAIN:  # every function of the catalogue keeps the shape of X
            return self._known[id(node.inputs[0])][1] if value is node.outputs[0] else None
        rule = RULES.get(node.op_type)
        if rule is None or node.domain not in _DOMAINS:
            return None
        index = next(i for i, output in enumerate(node.outputs) if output is value)
        if index and node.op_type not in OTHER_OUTPUTS:
            return None
        try:
            found = rule(self, node, index)
        except ILL_FORMED:  # no legal node: a weight of rank 1, say
            return None
        return None if found is None else completed(found)

    def _by_inference(self, value: ir.Value) -> Dims | None:
        if value.graph is not self._model.graph:
            return _declared(value)
        if self._inferred is None:
            self._inferred = _inferred_shapes(self._model)
        found = self._inferred.get(value.name or "")
        return found if found is not None else _declared(value)


def _promised(value: ir.Value) -> Lengths | None:
    dims = _declared(value)
    return None if dims is None else completed(dims)


def _declared(value: ir.Value) -> Dims | None:
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def _inferred_shapes(model: ir.Model) -> dict[str, Dims]:
    """Shapes of the main graph's values, as far as they can be inferred."""
    found = {}
    for node in inferred(model).graph:
        for output in node.outputs:
            dims = _declared(output)
            if dims is not None and output.name:
                found[output.name] = dims
    return found
