"""Changing a graph without losing anything: names, outputs, types, and no residue.

The names of graph inputs and outputs always survive. A constant, or a chain of nodes, that an edit
leaves without a reader is removed; what had no reader before is not touched.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import onnx_ir as ir

from normonnx.graph import tensors, walk

_NUMBERED = re.compile(r"_folded(_\d+)?$")
_INPUTS_ARE_DEFAULTS = 4  # first IR version whose initializers need not be graph inputs

Operand = ir.Value | tuple[tensors.StreamedTensor, str]
# New constants of a graph, with a name to give each, by the id of the value that stands for it.
Constants = Mapping[int, tuple[tensors.StreamedTensor, str]]


class Editor:
    """Edits one model. New names are unique in the whole model.

    Call `finish` after the last edit: constants that nothing reads any more go then.
    """

    def __init__(self, model: ir.Model, kept: Collection[str] = ()) -> None:
        self._model = model
        self._kept = frozenset(kept)
        self._names = _all_names(model)
        self._taken: dict[str, int] = {}  # of a name, how many numbers are taken
        self._to_name: list[tuple[ir.Value, str]] = []
        self._function_graphs = {id(f.graph) for f in model.functions.values()}
        self._maybe_unread: dict[int, ir.Value] = {}
        self._successors: dict[int, tuple[ir.Value, ir.Value]] = {}  # the first keeps its id taken

    def current(self, value: ir.Value) -> ir.Value:
        """What has taken the place of a value by now; the value itself where nothing has."""
        while id(value) in self._successors:
            value = self._successors[id(value)][1]
        return value

    def set_constant(
        self, node: ir.Node, index: int, tensor: tensors.StreamedTensor, name: str
    ) -> None:
        """Make a new constant the index-th input of a node."""
        old = node.inputs[index] if index < len(node.inputs) else None
        if index >= len(node.inputs):
            node.resize_inputs(index + 1)
        node.replace_input_with(index, self._new_constant(node, tensor, name))
        self._drop_unread([old])

    def drop_input(self, node: ir.Node, index: int) -> None:
        """Leave out the index-th input of a node, which must be optional."""
        old = node.inputs[index]
        node.replace_input_with(index, None)
        while node.inputs and node.inputs[-1] is None:
            node.resize_inputs(len(node.inputs) - 1)
        self._drop_unread([old])

    def replace_content(self, value: ir.Value, tensor: tensors.StreamedTensor) -> None:
        """Give an initializer another content under its own name."""
        tensor.name = value.name
        value.const_value = tensor
        value.shape = ir.Shape(tensor.shape.numpy())

    def bypass(self, node: ir.Node, index: int) -> None:
        """Remove a node; whatever read its first output reads its index-th input instead."""
        source = node.inputs[index]
        if source is None:
            message = f"node {node.name!r} has no input {index} to put in its place"
            raise ValueError(message)
        self._take_over(node, source)

    def replace(self, node: ir.Node, op_type: str, inputs: Sequence[Operand]) -> ir.Node:
        """Put a node of the default domain in place of another, under the same names."""
        return self.put(node, "", op_type, inputs)

    def put(  # noqa: PLR0913
        self,
        node: ir.Node,
        domain: str,
        op_type: str,
        inputs: Sequence[Operand],
        *,
        attributes: Iterable[ir.Attr] = (),
        outputs: int = 1,
        extras: Mapping[int, ir.Value] | None = None,
    ) -> ir.Node:
        """Put a node of any domain in place of another, under the same names.

        Args:
            node: Goes, with whatever is read by nothing then.
            domain: Of the new node.
            op_type: Of the new node.
            attributes: Of the new node.
            inputs: Values, or new constants with a name to give them.
            outputs: How many the new node has; the first takes the place of the old one's first.
            extras: Other values whose place outputs take, by the number of the output.
        """
        values = [
            self.current(operand)
            if isinstance(operand, ir.Value)
            else self._new_constant(node, *operand)
            for operand in inputs
        ]
        new = ir.Node(
            domain,
            op_type,
            values,
            attributes,
            num_outputs=outputs,
            name=node.name,
            doc_string=node.doc_string,
        )
        new.metadata_props.update(node.metadata_props)
        old = node.outputs[0]
        graph = node.graph
        if graph is not None:
            graph.insert_before(node, new)
        for index, value in (extras or {}).items():
            self.pass_on(value, new.outputs[index])
        output = new.outputs[0]
        output.type, output.shape = old.type, old.shape
        name = old.name
        self._take_over(node, output)
        output.name = name
        self._drop_unread(list((extras or {}).values()))
        if extras and graph is not None:
            graph.sort()  # what reads them may have stood ahead of the node
        return new

    def add_all_before(
        self,
        node: ir.Node,
        nodes: Sequence[ir.Node],
        constants: Constants,
    ) -> None:
        """New nodes ahead of another; arguments are as for `splice`."""
        graph, stem = node.graph, node.outputs[0].name
        made: dict[int, ir.Value] = {}
        for new in nodes:
            for index, value in enumerate(new.inputs):
                if value is None:
                    continue
                if id(value) in constants and id(value) not in made:
                    made[id(value)] = self._new_constant(node, *constants[id(value)])
                    self._to_name.append((made[id(value)], constants[id(value)][1]))
                new.replace_input_with(index, made.get(id(value), self.current(value)))
            if graph is not None:
                graph.insert_before(node, new)
            for value in new.outputs:
                value.name = self._unique(f"{stem}_{new.op_type}")
                self._to_name.append((value, f"{stem}_{new.op_type}"))

    def pass_on(self, old: ir.Value, new: ir.Value) -> None:
        """Let one value be read wherever another was, under its name."""
        graph, name = old.graph, old.name
        new.type, new.shape = old.type, old.shape
        for position, value in enumerate(graph.outputs if graph is not None else ()):
            if value is old and graph is not None:
                graph.outputs[position] = new
        old.replace_all_uses_with(new)
        self._successors[id(old)] = old, new
        old.name = None
        new.name = name

    def move_ahead(self, node: ir.Node, chain: Sequence[tuple[ir.Node, int]]) -> None:
        """Let a node work before a chain of nodes that it reads the end of; names stay in place.

        Args:
            node: Reads the end of the chain as its first input, and has one output.
            chain: Nodes, the first first, and the input of each that the chain goes through.
        """
        graph, (first, index), last = node.graph, chain[0], chain[-1][0]
        source, result, end = first.inputs[index], node.outputs[0], last.outputs[0]
        if graph is None or source is None:
            message = f"node {node.name!r} stands in no graph, or the chain before it reads nothing"
            raise ValueError(message)
        for position, value in enumerate(list(graph.outputs)):
            if value is result:
                graph.outputs[position] = end
        result.replace_all_uses_with(end)
        node.replace_input_with(0, source)
        first.replace_input_with(index, result)
        graph.remove(node)
        graph.insert_before(first, node)
        if any(value is not None and value.producer() is not None for value in node.inputs[1:]):
            graph.sort()  # its axes may come from a node after the first
        result.name, end.name = None, result.name
        end.type, end.shape = result.type, result.shape
        end.metadata_props.update(result.metadata_props)
        result.metadata_props.clear()
        result.shape = None
        for inner, _ in chain[:-1]:
            inner.outputs[0].shape = None
        result.name = self._unique(f"{end.name}_early")

    def add_before(  # noqa: PLR0913
        self,
        node: ir.Node,
        op_type: str,
        inputs: Sequence[Operand],
        name: str,
        *,
        domain: str = "",
        attributes: Iterable[ir.Attr] = (),
        outputs: int = 1,
    ) -> ir.Value:
        """A new node ahead of another; its first output, of a name like `name`."""
        values = [
            self.current(operand)
            if isinstance(operand, ir.Value)
            else self._new_constant(node, *operand)
            for operand in inputs
        ]
        new = ir.Node(domain, op_type, values, attributes, num_outputs=outputs, name="")
        if node.graph is not None:
            node.graph.insert_before(node, new)
        new.outputs[0].name = self._unique(name)
        return new.outputs[0]

    def splice(
        self,
        node: ir.Node,
        nodes: Sequence[ir.Node],
        constants: Constants,
        outputs: Sequence[ir.Value | None],
        *,
        extras: Mapping[int, ir.Value] | None = None,
    ) -> None:
        """Put nodes that stand in no graph in place of one; its outputs keep their names.

        The names of what lies between are given by `finish`, when those of what went are free.

        Args:
            node: Goes, with whatever is read by nothing then.
            nodes: Come, each after those that it reads.
            constants: What they read and is to be a constant of the graph.
            outputs: For each output of the node one of theirs; None where nothing reads it.
            extras: Other values of the graph, by the id of one of theirs that takes their place.
        """
        graph = node.graph
        if graph is None:
            message = f"node {node.name!r} stands in no graph"
            raise ValueError(message)
        self.add_all_before(node, nodes, constants)
        main = next(value for value in outputs if value is not None).producer()
        if main is not None:
            main.name, main.doc_string = node.name, node.doc_string
            main.metadata_props.update(node.metadata_props)
        pairs = [(old, new) for old, new in zip(node.outputs, outputs, strict=False) if old.name]
        taking = {id(value): value for new in nodes for value in new.outputs}
        pairs += [(old, taking[key]) for key, old in (extras or {}).items()]
        for old, new in pairs:
            if new is not None:
                new.doc_string = old.doc_string
                new.metadata_props.update(old.metadata_props)
                self._free(new)
                self.pass_on(old, new)
        named = {id(new) for _, new in pairs}
        self._to_name = [each for each in self._to_name if id(each[0]) not in named]
        inputs = list(node.inputs)
        graph.remove(node, safe=True)
        self._drop_unread([*inputs, *(extras or {}).values()])
        if extras:
            graph.sort()  # what reads them may have stood ahead of the node

    def _take_over(self, node: ir.Node, source: ir.Value) -> None:
        """Let `source` replace the first output of a node, then remove the node."""
        graph, old = node.graph, node.outputs[0]
        if graph is None:
            message = f"node {node.name!r} stands in no graph"
            raise ValueError(message)
        was_output = False
        for position, value in enumerate(list(graph.outputs)):
            if value is old:
                graph.outputs[position] = source
                was_output = True
        old.replace_all_uses_with(source)
        self._successors[id(old)] = old, source
        inputs = list(node.inputs)
        graph.remove(node, safe=True)
        if was_output:
            name, old.name = old.name, None
            source.name = name
            source.type = old.type or source.type
            source.shape = old.shape if old.shape is not None else source.shape
            source.metadata_props.update(old.metadata_props)
        self._drop_unread(inputs)

    def _new_constant(self, node: ir.Node, tensor: tensors.StreamedTensor, name: str) -> ir.Value:
        graph = node.graph
        if graph is None:
            message = f"node {node.name!r} stands in no graph"
            raise ValueError(message)
        tensor.name = self._unique(name)
        if not self._holds_initializers(graph):
            constant = ir.Node(
                "", "Constant", (), attributes=[ir.AttrTensor("value", tensor)], name=""
            )
            constant.outputs[0].name = tensor.name
            graph.insert_before(node, constant)
            return constant.outputs[0]
        value = ir.Value(
            name=tensor.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
        graph.register_initializer(value)
        if graph is self._model.graph and self._model.ir_version < _INPUTS_ARE_DEFAULTS:
            graph.inputs.append(value)
        return value

    def _holds_initializers(self, graph: ir.Graph) -> bool:
        """Functions have none; in IR version 3 only what can have inputs, the main graph, does."""
        if self._model.ir_version < _INPUTS_ARE_DEFAULTS:
            return graph is self._model.graph
        return id(graph) not in self._function_graphs

    def _unique(self, name: str) -> str:
        number = self._taken.get(name, 0)
        found = _numbered(name, number)
        while self._names[found]:
            number += 1
            found = _numbered(name, number)
        self._taken[name] = number
        self._names[found] += 1
        return found

    def _free(self, value: ir.Value) -> None:
        """Let the name of a value be given again."""
        if value.name:
            self._names[value.name] -= 1
            self._taken.pop(_NUMBERED.sub("", value.name), None)
            self._taken.pop(value.name, None)

    def _drop_unread(self, values: Sequence[ir.Value | None]) -> None:
        """Remove what nothing reads any more, and what only that read."""
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if value is None:
                continue
            node = value.producer()
            if node is None:  # a constant may have thousands of readers: look once, at the end
                self._maybe_unread[id(value)] = value
            elif node.graph is not None and self._is_unread(node):
                waiting += node.inputs
                waiting += _released(node)
                node.graph.remove(node, safe=True)
                for output in node.outputs:
                    self._free(output)

    def finish(self) -> None:
        """Remove the constants that the edits left without a reader."""
        for value in self._maybe_unread.values():
            if not value.uses() and not value.is_graph_output() and value.name not in self._kept:
                self._drop_initializer(value)
        self._maybe_unread.clear()
        for value, name in self._to_name:
            self._free(value)
            value.name = self._unique(name)
            node = value.producer()
            if node is not None and value is node.outputs[0]:
                node.name = value.name
        self._to_name.clear()

    def _is_unread(self, node: ir.Node) -> bool:
        names = {node.name, *(value.name for value in node.outputs)}
        unread = all(not value.uses() and not value.is_graph_output() for value in node.outputs)
        return unread and not names & self._kept

    def _drop_initializer(self, value: ir.Value) -> None:
        graph = value.graph
        if graph is None or not value.is_initializer():
            return
        if value.is_graph_input():
            if graph is not self._model.graph or self._model.ir_version >= _INPUTS_ARE_DEFAULTS:
                return
            graph.inputs.remove(value)
        del graph.initializers[value.name or ""]
        self._free(value)


def _released(node: ir.Node) -> list[ir.Value | None]:
    """Let go of what the bodies of an If, Loop or Scan read; what that was."""
    released: list[ir.Value | None] = []
    for attribute in node.attributes.values():
        if attribute.is_ref() or attribute.type != ir.AttributeType.GRAPH:
            continue
        for inner in attribute.as_graph().all_nodes():
            released += inner.inputs
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)
    return released


def _numbered(name: str, number: int) -> str:
    """The name itself, NAME_folded, NAME_folded_2 and so on."""
    return name if not number else f"{name}_folded" if number == 1 else f"{name}_folded_{number}"


def _all_names(model: ir.Model) -> Counter[str]:
    """How many values have each name; branches of an If may have the same."""
    names: Counter[str] = Counter()
    for graph in walk.all_graphs(model):
        made = {id(value): value for value in graph.inputs}
        made |= {id(value): value for value in graph.initializers.values()}
        made |= {id(value): value for node in graph for value in node.outputs}
        names.update(value.name for value in made.values() if value.name)
    return names
