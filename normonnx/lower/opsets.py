"""Moving a model to another version of the default operator set, up or down.

First every node is asked what it becomes; only when all can move is anything changed. Weights are
never copied: what a node needs besides its inputs are small constants of its own. Functions of the
catalogue are built anew, others move as the main graph does, each from the opset that it imports.
Other domains, the IR version, names, metadata and doc strings stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import function
from normonnx.catalogue.norm import DOMAIN, FUNCTIONS_SINCE
from normonnx.catalogue.recording import OUTPUT_TYPE
from normonnx.core.errors import UsageError
from normonnx.core.events import Event
from normonnx.graph import checks, tensors, walk
from normonnx.graph.editing import Constants, Editor
from normonnx.lower.crossing import Asked, RefusalError
from normonnx.lower.moving import Replacement, replacement
from normonnx.lower.versions import STANDARD, definition

RULE: Final = "move-opset"
_TYPE_IS_ASKED: Final = 15  # below, a call of a function of the catalogue says the type of Y
_MOST_NAMED: Final = 20
Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What moving a model to another opset changed.

    Attributes:
        applied: One event for each node that had to be written anew, in the model's order.
    """

    applied: tuple[Event, ...] = ()

    @property
    def modified(self) -> bool:
        """Whether a node was written anew; the opset may have changed without that."""
        return bool(self.applied)


@dataclass(frozen=True, slots=True)
class _Plan:
    replacements: tuple[Replacement, ...]
    events: tuple[Event, ...]
    refusals: tuple[Event, ...]


def move(
    model: ir.Model,
    opset: int,
    *,
    keep: Collection[str] = (),
    observer: Observer | None = None,
) -> Moved:
    """Write a model in another opset, in place.

    Args:
        model: Changed in place; not at all where a node can't move.
        opset: Version of the default operator set, 7 or later.
        keep: Names of nodes and values that must stay as they are.
        observer: Called once for each rewrite, when all are made: in between, the model is written
            in two opsets at once and computes nothing.

    Raises:
        UsageError: The opset is not one that onnx knows, or nodes can't be written in it; all of
            them are named, with the reasons.
    """
    _check(opset)
    plan = _planned(model, opset, frozenset(keep))
    if plan.refusals:
        for each in plan.replacements:
            each.release()
        raise UsageError(_message(model, opset, plan.refusals))
    editor = Editor(model, keep)
    for each in plan.replacements:
        editor.splice(each.node, each.nodes, _constants(each), each.outputs)
    editor.finish()
    _declare(model, opset)
    applied = tuple(
        event
        for each, event in zip(plan.replacements, plan.events, strict=True)
        if any(node.graph is not None for node in each.nodes)  # nothing reads a Constant any more
    )
    if observer is not None:
        for event in applied:
            observer(event)
    return Moved(applied)


def obstacles(model: ir.Model, opset: int, *, keep: Collection[str] = ()) -> tuple[Event, ...]:
    """What keeps a model from moving to an opset; the model stays as it is.

    Raises:
        UsageError: The opset is not one that onnx knows.
    """
    _check(opset)
    plan = _planned(model, opset, frozenset(keep))
    for each in plan.replacements:
        each.release()
    return plan.refusals


def _constants(each: Replacement) -> Constants:
    first = each.node.outputs[0].name or each.node.op_type
    return {
        id(value): (
            tensors.of_array(value.const_value.numpy()),
            f"{first}_{value.name or 'constant'}",
        )
        for value in each.constants
        if value.const_value is not None
    }


def _check(opset: int) -> None:
    highest = onnx.defs.onnx_opset_version()
    if not checks.LOWEST_OPSET <= opset <= highest:
        message = (
            f"opset {opset} is not supported, expected {checks.LOWEST_OPSET} to {highest}, the "
            f"newest that onnx {onnx.__version__} knows"
        )
        raise UsageError(message)


def _message(model: ir.Model, opset: int, refusals: Collection[Event]) -> str:
    named = [f"{each.node!r} ({each.op_type}): {each.reason}" for each in refusals][:_MOST_NAMED]
    more = len(refusals) - len(named)
    rest = f"; and {more} more" if more else ""
    return (
        f"the model can't move from opset {checks.opset_of(model)} to {opset}, and is unchanged: "
        f"{'; '.join(named)}{rest}. Choose another opset, or export the model again for {opset}"
    )


def _graphs(model: ir.Model) -> Iterator[tuple[ir.Graph, MutableMapping[str, int]]]:
    """Every graph that moves, with the operator sets that it is written in."""
    yield model.graph, model.opset_imports
    for inner in model.graph.subgraphs():
        yield inner, model.opset_imports
    for found in model.functions.values():
        if not _is_ours(found):
            yield found.graph, found.opset_imports
            for inner in found.subgraphs():
                yield inner, found.opset_imports


def _is_ours(found: ir.Function) -> bool:
    return found.domain == DOMAIN and found.name in set(CATALOGUE)


def _planned(model: ir.Model, opset: int, keep: frozenset[str]) -> _Plan:
    asked = Asked(model)
    found: list[Replacement] = []
    events: list[Event] = []
    refusals: list[Event] = []
    for graph, imports in _graphs(model):
        before = _imported(imports)
        if before in (None, opset):
            continue
        for node in graph:
            try:
                new = _replacement(model, node, (before, opset), asked, keep)
            except RefusalError as refusal:
                refusals.append(Event(RULE, walk.label(node), node.op_type, str(refusal)))
                continue
            if new is not None:
                found.append(new)
                events.append(_event(new, before, opset))
    return _Plan(tuple(found), tuple(events), tuple(refusals))


def _imported(imports: MutableMapping[str, int]) -> int | None:
    return max((imports[name] for name in STANDARD if name in imports), default=None)


def _replacement(
    model: ir.Model,
    node: ir.Node,
    opsets: tuple[int, int],
    asked: Asked,
    keep: frozenset[str],
) -> Replacement | None:
    before, after = opsets
    if node.domain == DOMAIN and node.op_type in set(CATALOGUE):
        new = _call(node, after, asked)
    elif node.op_identifier() in model.functions:
        return None
    else:
        new = replacement(node, before, after, asked)
    if new is not None and keep & {node.name, *(value.name for value in node.outputs)}:
        new.release()
        message = "it is kept as asked, and means something else there"
        raise RefusalError(message)
    return new


def _call(node: ir.Node, after: int, asked: Asked) -> Replacement | None:
    """A call of a function of the catalogue, which below opset 15 says the type of Y."""
    if after < FUNCTIONS_SINCE:
        message = f"functions of the catalogue need opset {FUNCTIONS_SINCE}; write it as primitives"
        raise RefusalError(message)
    if (OUTPUT_TYPE in node.attributes) == (after < _TYPE_IS_ASKED):
        return None
    attributes = [each for name, each in node.attributes.items() if name != OUTPUT_TYPE]
    if after < _TYPE_IS_ASKED:
        kind = asked.dtype(node.inputs[0])
        if kind is None:
            message = "the type of what it normalizes is not known"
            raise RefusalError(message)
        attributes.append(ir.AttrInt64(OUTPUT_TYPE, int(kind)))
    new = ir.Node(node.domain, node.op_type, node.inputs, attributes, num_outputs=len(node.outputs))
    return Replacement(node, [new], (), new.outputs)


def _event(new: Replacement, before: int, after: int) -> Event:
    node = new.node
    written = " ".join(_versioned(each, after) for each in new.nodes)
    reason = f"{_versioned(node, before)} is {written} in opset {after}"
    label = walk.label(node)
    return Event(RULE, label, node.op_type, reason, 1, len(new.nodes), (label,))


def _versioned(node: ir.Node, opset: int) -> str:
    found = definition(node.op_type, opset) if node.domain in STANDARD else None
    return node.op_type if found is None else f"{node.op_type}-{found.since}"


def _declare(model: ir.Model, opset: int) -> None:
    """The new version wherever the default operator set is imported."""
    everywhere = [model.opset_imports, *(each.opset_imports for each in model.functions.values())]
    everywhere += [graph.opset_imports for graph in walk.all_graphs(model)]
    for imports in everywhere:
        for name in STANDARD:
            if name in imports:
                imports[name] = opset
    nodes = (node for graph in walk.all_graphs(model) for node in graph)
    called = {(node.domain, node.op_type) for node in nodes}
    for key, found in list(model.functions.items()):
        if not _is_ours(found):
            continue
        if opset >= FUNCTIONS_SINCE:
            model.functions[key] = function(CATALOGUE[found.name], opset)
        elif (found.domain, found.name) not in called:  # else its calls were refused
            del model.functions[key]
