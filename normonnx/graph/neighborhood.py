"""The nodes around a place of a model, before and after it was rewritten: a handful, as data.

Nodes are known again by their names, which a rewrite leaves alone where a node stays. What has a
name that the model did not have before is new; it belongs to the place where it is connected to
what was there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.core.listing import Drawn, Fate, Neighborhood, Part
from normonnx.graph import walk
from normonnx.graph.listing import operator
from normonnx.graph.walk import label

_MOST: Final = 12  # nodes drawn of one side
_BESIDE: Final = 3  # neighbors drawn above, and as many below
_COMPARED: Final = 1 << 16  # entries of a weight
_OF_SHAPES: Final = frozenset({"Constant", "Shape", "Size"})
# What exporters compute shapes with; other operators don't take them.
_ON_SHAPES: Final = frozenset(
    {"Add", "Cast", "Concat", "Div", "Equal", "Gather", "Identity", "Mul", "Range", "Reshape"}
    | {"Slice", "Squeeze", "Sub", "Unsqueeze", "Where"}
)
_FARTHEST: Final = 6  # nodes between two that belong to one rewrite


def around(
    before: ir.Model, after: ir.Model | None, names: Collection[str], title: str
) -> Neighborhood | None:
    """The place that some nodes make up, as it was and as it is.

    Args:
        before: The model that has these nodes.
        after: What became of it; None where nothing did.
        names: Names of nodes, as `walk.label` has them. Those that are not there are left out.
        title: What to call the place.

    Returns:
        None where there is no such node.
    """
    graph, core = _found(before, names)
    if graph is None:
        return None
    links = _Links(graph)
    place = _connected(graph, core, links)
    beside = [*_above(place, links), *_below(place, links)]
    shown = _in_order(graph, [*place[:_MOST], *beside])
    if after is None:
        return Neighborhood(title, _part(shown, {}, len(place), links))
    later = _same_graph(before, after, graph)
    now = {} if later is None else {label(node): node for node in later}
    earlier = {label(node): node for node in graph}
    fates: dict[str, Fate] = {label(node): _fate(node, now.get(label(node))) for node in shown}
    then = _part(shown, fates, len(place), links)
    if later is None:
        return Neighborhood(title, then)
    sides = place, _above(place, links), _below(place, links)
    left = tuple([now[label(n)] for n in nodes if label(n) in now] for nodes in sides)
    later_links = _Links(later)
    present = _in_order(later, _present(left, earlier, later_links))
    fates = {
        name: "new" if name not in earlier else _fate(earlier[name], node)
        for node in present
        for name in (label(node),)
    }
    fates = {name: "new" if fate == "gone" else fate for name, fate in fates.items()}
    return Neighborhood(title, then, _part(present, fates, len(present), later_links))


def _found(model: ir.Model, names: Collection[str]) -> tuple[ir.Graph | None, list[ir.Node]]:
    """The graph that holds the first of the nodes, and those of them that are in it."""
    wanted = set(names)
    for graph in walk.all_graphs(model):
        core = [node for node in graph if label(node) in wanted and not _is_aside(node)]
        if core:
            return graph, core
    return None, []


def _same_graph(before: ir.Model, after: ir.Model, graph: ir.Graph) -> ir.Graph | None:
    """The graph of another model that stands in the place of this one."""
    if graph is before.graph:
        return after.graph
    return next((one for one in walk.all_graphs(after) if one.name == graph.name), None)


def _connected(graph: ir.Graph, core: Sequence[ir.Node], links: _Links) -> list[ir.Node]:
    """The nodes, and those on the shortest way between any that do not touch."""
    place = {id(node): node for node in _touching(core[0], core, links)}
    for node in core:
        if id(node) not in place:
            together = _touching(node, core, links)
            ways = [_way(one, place, links) for one in together]
            place |= {id(one): one for one in min(filter(None, ways), key=len, default=[])}
            place |= {id(one): one for one in together}
    return [node for node in graph if id(node) in place]


def _touching(start: ir.Node, core: Sequence[ir.Node], links: _Links) -> list[ir.Node]:
    """Those of some nodes that hang together with one of them."""
    wanted = {id(node) for node in core}
    found = {id(start): start}
    waiting = [start]
    while waiting:
        node = waiting.pop()
        for other in (*links.givers(node), *links.readers(node)):
            if id(other) in wanted and id(other) not in found:
                found[id(other)] = other
                waiting.append(other)
    return list(found.values())


def _way(start: ir.Node, place: Collection[int], links: _Links) -> list[ir.Node]:
    """Nodes from one to the nearest of a place, both left out; none where it is too far."""
    came: dict[int, ir.Node | None] = {id(start): None}
    waiting = deque([(start, 0)])
    while waiting:
        node, steps = waiting.popleft()
        if id(node) in place and node is not start:
            way, one = [], came[id(node)]
            while one is not None and one is not start:
                way.append(one)
                one = came[id(one)]
            return way
        if steps > _FARTHEST:
            continue
        for other in (*links.givers(node), *links.readers(node)):
            if id(other) not in came:
                came[id(other)] = node
                waiting.append((other, steps + 1))
    return []


def _above(place: Sequence[ir.Node], links: _Links) -> list[ir.Node]:
    inside = {id(node) for node in place}
    found = {id(one): one for node in place for one in links.givers(node) if id(one) not in inside}
    return list(found.values())[:_BESIDE]


def _below(place: Sequence[ir.Node], links: _Links) -> list[ir.Node]:
    inside = {id(node) for node in place}
    found = {id(one): one for node in place for one in links.readers(node) if id(one) not in inside}
    return list(found.values())[:_BESIDE]


def _present(
    left: tuple[Sequence[ir.Node], ...], earlier: Collection[str], links: _Links
) -> list[ir.Node]:
    """What is left of a place, above and below it, and the new nodes between."""
    kept, above, below = left
    chosen = {id(node): node for node in [*kept, *above, *below][: _MOST + _BESIDE]}
    waiting = deque([*kept, *(one for node in below for one in links.givers(node))])
    waiting += [one for node in above for one in links.readers(node)]
    seen = {id(node) for node in [*above, *below]}
    while waiting and len(chosen) < _MOST + _BESIDE:
        node = waiting.popleft()
        is_kept = id(node) in chosen
        if id(node) in seen or (label(node) in earlier and not is_kept):
            continue
        seen.add(id(node))
        chosen[id(node)] = node
        waiting += [*links.givers(node), *links.readers(node)]
    return list(chosen.values())


def _in_order(graph: ir.Graph, nodes: Iterable[ir.Node]) -> list[ir.Node]:
    chosen = {id(node) for node in nodes}
    return [node for node in graph if id(node) in chosen]


class _Links:
    """Who gives data to whom in a graph: no constants, nothing that is computed of shapes alone."""

    def __init__(self, graph: ir.Graph) -> None:
        self._readers: dict[int, list[ir.Node]] = {}
        self._own = {id(value) for node in graph for value in node.outputs}
        for node in graph:
            for value in self.read_by(node) if not _is_aside(node) else ():
                self._readers.setdefault(id(value), []).append(node)

    def givers(self, node: ir.Node) -> Iterator[ir.Node]:
        """Nodes that a node reads from."""
        for value in self.read_by(node):
            giver = value.producer()
            if giver is not None and id(value) in self._own and not _is_aside(giver):
                yield giver

    def readers(self, node: ir.Node) -> Iterator[ir.Node]:
        """Nodes that read from a node."""
        for value in node.outputs:
            yield from self._readers.get(id(value), ())

    def read_by(self, node: ir.Node) -> Iterator[ir.Value]:
        """What a node reads, and what its subgraphs read of the graph around."""
        yield from (value for value in node.inputs if value is not None)
        for attribute in node.attributes.values():
            if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH:
                for inner in attribute.as_graph().all_nodes():
                    yield from (v for v in inner.inputs if v is not None and id(v) in self._own)


def _is_aside(node: ir.Node) -> bool:
    """Whether a node is a constant, or computes with shapes alone."""
    if node.op_type in _OF_SHAPES:
        return True
    if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
        return False
    if node.op_type not in _ON_SHAPES:
        return False
    read = [v.producer() for v in node.inputs if v is not None and _constant_shape(v) is None]
    return bool(read) and all(one is not None and _is_aside(one) for one in read)


def _fate(node: ir.Node, now: ir.Node | None) -> Fate:
    """What became of a node."""
    if now is None or operator(node) != operator(now):
        return "gone"
    read, reads = list(_weights(node)), list(_weights(now))
    same = len(read) == len(reads) and all(map(_alike, read, reads))
    return "kept" if same else "changed"


def _weights(node: ir.Node) -> Iterator[ir.Value]:
    return (value for value in node.inputs if value and _constant_shape(value) is not None)


def _alike(one: ir.Value, other: ir.Value) -> bool:
    """Whether two constants hold the same numbers; of large ones every few are compared."""
    if _constant_shape(one) != _constant_shape(other):
        return False
    first, second = one.const_value, other.const_value
    if first is None or second is None or first is second:
        return True
    flat = [tensor.numpy().reshape(-1) for tensor in (first, second)]
    step = max(1, flat[0].size // _COMPARED)
    return bool(np.array_equal(flat[0][::step], flat[1][::step]))


def _part(
    shown: Sequence[ir.Node], fates: Mapping[str, Fate], belonging: int, links: _Links
) -> Part:
    keys = {id(node): f"n{number}" for number, node in enumerate(shown)}
    edges, above, below = dict[tuple[str, str], None](), [], []
    for node in shown:
        key = keys[id(node)]
        for value in links.read_by(node):
            giver = value.producer()
            if _constant_shape(value) is not None or (giver is not None and _is_aside(giver)):
                continue
            if giver is not None and id(giver) in keys:
                edges[keys[id(giver)], key] = None
            elif key not in above:
                above.append(key)
        read = list(links.readers(node))
        is_output = any(value.is_graph_output() for value in node.outputs)
        if is_output or any(id(one) not in keys for one in read):
            below.append(key)
    nodes = tuple(
        Drawn(keys[id(n)], operator(n), label(n), _constants(n), fates.get(label(n), "kept"))
        for n in shown
    )
    return Part(nodes, tuple(edges), tuple(above), tuple(below), max(0, belonging - len(shown)))


def _constant_shape(value: ir.Value) -> tuple[int | str | None, ...] | None:
    """The shape of a constant; None for what is computed."""
    giver = value.producer()
    tensor = value.const_value
    if giver is None and tensor is not None:
        return tuple(tensor.shape.numpy())
    if giver is not None and giver.op_type == "Constant":
        shape = next((_size(attr) for attr in giver.attributes.values()), None)
        return () if shape is None else shape
    return None


def _size(attribute: ir.Attr) -> tuple[int, ...] | None:
    if attribute.is_ref():
        return None
    if attribute.type == ir.AttributeType.TENSOR:
        return tuple(attribute.as_tensor().shape.numpy())
    value = attribute.value
    return (len(value),) if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _constants(node: ir.Node) -> tuple[str, ...]:
    """What a node reads that is constant, with the names that its operator gives it."""
    names = list(_formal(node))
    found = []
    for place, value in enumerate(node.inputs):
        shape = None if value is None else _constant_shape(value)
        if shape is None:
            continue
        name = names[place] if place < len(names) else (names[-1] if names else "")
        size = "×".join(map(str, shape)) or "1"
        found.append(f"{name} {size}".strip())
    return tuple(found)


def _formal(node: ir.Node) -> Iterable[str]:
    """Names that an operator of ONNX gives its inputs."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        schema = onnx.defs.get_schema(node.op_type, domain=domain)
    except onnx.defs.SchemaError:
        return ()
    return tuple(parameter.name for parameter in schema.inputs)
