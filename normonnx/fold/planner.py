"""From a source to what absorbs it, upwards or downwards: the plan, or why there is none.

`up` asks what makes a value to apply an affine to it as well: nothing else may read that value.
`down` asks everything that reads a value to apply an affine first: all agree, or nothing happens.
Handlers answer by asking further, so a chain of any length composes itself, and is rounded once.
Plans stay within one graph: what another graph captures is not moved past.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import onnx_ir as ir

from normonnx.fold import affine_nodes, normalization, table_lookup
from normonnx.fold.affine import ChannelAffine, broadcastable
from normonnx.fold.moving import Draft, joined
from normonnx.fold.plan import (
    Bypass,
    Edit,
    NewConstant,
    Plan,
    Refusal,
    ReplaceNode,
    SetInput,
    merge,
)
from normonnx.fold.quantized import settled
from normonnx.fold.sources import Source, affine_of
from normonnx.fold.spellings import belongs_to_a_spelling
from normonnx.fold.surroundings import STANDARD, Surroundings, described
from normonnx.fold.tables import DOWN, UP
from normonnx.fold.worth import too_dear
from normonnx.graph.constants import reads_content

_DEEPEST: Final = 96  # handlers asked in a row; what lies further is met by a later plan
_SPLITS: Final = ("BatchNormalization", "Scaler")  # worth a plan that leaves an Add in their place
_WITHOUT_BIAS: Final = ("MatMul", "RMSNormalization")

_Key = tuple[str, int, int, tuple[int, ...], bytes, bytes]


class Planner:
    """Plans for one model as it is now; forget it when the model changes."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._answers: dict[_Key, Draft | Refusal] = {}
        self._sources: dict[int, Source | Refusal | None] = {}
        self._depth = 0

    def plan_up(self, node: ir.Node) -> Plan | Refusal | None:
        """The plan that moves the affine of `node` up; a Refusal, or None when it is no affine."""
        found = self._up_from(node)
        return found.at(node) if isinstance(found, Refusal) else found

    def plan_down(self, node: ir.Node) -> Plan | Refusal | None:
        """The plan that moves the affine of `node` down; as `plan_up`."""
        found = self._down_from(node)
        return found.at(node) if isinstance(found, Refusal) else found

    def _up_from(self, node: ir.Node) -> Plan | Refusal | None:
        source = self._source_of(node)
        if source is None or isinstance(source, Refusal):
            return source
        constant = self._of_constant(source)
        if constant is not None:
            return constant
        found = self.up(node, source.index, source.affine)
        if isinstance(found, Draft):
            return self._plan(node, found.also(Bypass(node, source.index)), "")
        split = self._leaving_an_add(source) if found.lacks_bias else None
        return split if isinstance(split, Plan) else found

    def _down_from(self, node: ir.Node) -> Plan | Refusal | None:
        source = self._source_of(node)
        if source is None:
            return self._own_affine_down(node)
        if isinstance(source, Refusal):
            return source
        refusal = belongs_to_a_spelling(source) or affine_nodes.enlarges(self.surroundings, source)
        found = refusal or self.down(node.outputs[0], source.affine)
        if isinstance(found, Refusal):
            return replace(found, quiet=found.quiet or source.affine.is_shift)
        gone = Draft((Bypass(node, source.index),))
        return self._plan(node, joined([gone, found]), " further down")

    def up(self, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
        """Let what makes the index-th input of a node apply `affine` to it as well."""
        affine = affine.simplified()
        if affine.is_identity:
            return Draft()
        if self.surroundings.kind(node.inputs[index]) is not None:
            return table_lookup.into_constant(self.surroundings, node, index, affine)
        while True:
            producer = self.surroundings.sole_producer(node, index)
            if isinstance(producer, Refusal):
                return producer.at(_producer(node.inputs[index]) or node)
            if self.surroundings.is_kept(producer):
                return Refusal(f"{described(producer)} is kept as asked for", node=producer)
            if not _is_identity(producer):
                break
            node, index = producer, 0
        return self._asked("up", (producer, _position(producer, node.inputs[index])), affine)

    def down(self, value: ir.Value, affine: ChannelAffine) -> Draft | Refusal:
        """Let everything that reads a value apply `affine` to it first."""
        affine = affine.simplified()
        if affine.is_identity:
            return Draft()
        if value.is_graph_output():
            found = Refusal(f"its output {value.name!r} is an output of the graph", quiet=True)
            return found.at(value.producer())
        if not value.uses():
            return Refusal(f"nothing reads {value.name!r}", quiet=True, node=value.producer())
        return joined(self._answers_below(value, affine))

    def _answers_below(self, value: ir.Value, affine: ChannelAffine) -> Iterable[Draft | Refusal]:
        graph = value.graph
        for use in sorted(value.uses(), key=lambda use: _effort(use.node)):
            node = use.node
            if not reads_content(node, use.idx):
                continue
            if node.graph is not graph:
                reason = f"{described(node)}, which reads it, stands in another graph"
                yield Refusal(reason, node=node)
            elif self.surroundings.is_kept(node):
                yield Refusal(f"{described(node)} is kept as asked for", node=node)
            elif _is_identity(node):
                yield self._asked("through", (node, 0), affine)
            else:
                yield self._asked("down", (node, use.idx), affine)

    def _asked(
        self, way: str, place: tuple[ir.Node, int], affine: ChannelAffine
    ) -> Draft | Refusal:
        """What a node answers; asked once for each affine."""
        node, index = place
        numbers = affine.scale.tobytes(), affine.shift.tobytes()
        key = (way, id(node), index, affine.axes, *numbers)
        if key in self._answers:
            return self._answers[key]
        if self._depth >= _DEEPEST:
            return Refusal(f"nothing within {_DEEPEST} operators takes it", quiet=True, node=node)
        if not affine.is_finite:
            return Refusal("its scale or shift would be infinite or NaN", node=node)
        self._depth += 1
        try:
            answer = self._answer(way, node, index, affine)
        finally:
            self._depth -= 1
        if isinstance(answer, Refusal):
            answer = answer.at(node)
        self._answers[key] = answer
        return answer

    def _answer(
        self, way: str, node: ir.Node, index: int, affine: ChannelAffine
    ) -> Draft | Refusal:
        if way == "through":
            return self.down(node.outputs[0], affine)
        where = "before" if way == "up" else "after"
        other = self._source_of(node)
        if isinstance(other, Refusal):
            return Refusal(f"{described(node)} {where} it stays ({other.reason})", other.quiet)
        if other is not None and (way == "up" or other.index == index):
            ask = affine_nodes.up if way == "up" else affine_nodes.down
            return ask(self, other, affine)
        handler = (UP if way == "up" else DOWN).get(node.op_type)
        if handler is None or node.domain not in STANDARD:
            return Refusal(f"{described(node)} {where} it can't take a scale and shift", quiet=True)
        return handler(self, node, index, affine)

    def is_affine(self, node: ir.Node) -> bool:
        """Whether a node applies a constant per-channel affine."""
        return isinstance(self._source_of(node), Source)

    def _source_of(self, node: ir.Node) -> Source | Refusal | None:
        """The affine that a node computes, worked out once."""
        if id(node) not in self._sources:
            self._sources[id(node)] = affine_of(self.surroundings, node)
        return self._sources[id(node)]

    def _of_constant(self, source: Source) -> Plan | Refusal | None:
        """An affine of a constant is evaluated: whatever reads it reads the result."""
        node = source.node
        value = node.inputs[source.index]
        kind = self.surroundings.kind(value)
        if value is None or kind is None:
            return None
        new = table_lookup.applied(value, kind, source.affine)
        output = node.outputs[0]
        if isinstance(new, Refusal):
            return new
        if output.is_graph_output():
            return Refusal("it is applied to a constant, and is an output of the graph")
        edits: list[Edit] = [SetInput(use.node, use.idx, new) for use in output.uses()]
        reason = f"{described(node)} evaluated, since its input {value.name!r} is a constant"
        plan = merge(node, edits, reason)
        if isinstance(plan, Refusal):
            return plan
        return too_dear(self.surroundings, plan) or replace(plan, dropped=(node,))

    def _leaving_an_add(self, source: Source) -> Plan | Refusal | None:
        """Move only the scale up, and leave the shift as one Add, where no bias could take it."""
        node, affine = source.node, source.affine
        if node.op_type not in _SPLITS or affine.is_scale or affine.is_shift:
            return None
        found = self.up(node, source.index, affine.scaling)
        if isinstance(found, Refusal) or any(n.op_type not in _WITHOUT_BIAS for n in found.into):
            return None
        data = node.inputs[source.index]
        rank = self.surroundings.ranks.rank(data)
        dtype = self.surroundings.element_type(data)
        if dtype is None or (rank is None and affine.axes):
            return None
        shift = NewConstant(
            broadcastable(affine.shift, affine.axes, rank or 0), dtype, _shift(node)
        )
        return self._plan(
            node,
            found.also(ReplaceNode(node, "Add", (source.index, shift))),
            ", its shift left as one Add",
        )

    def _own_affine_down(self, node: ir.Node) -> Plan | Refusal | None:
        """Move the scale and bias of a normalization into everything that reads it."""
        if node.domain not in STANDARD:
            return None
        own = normalization.own_affine(self, node)
        if own is None or own[0].is_identity:
            return None
        affine, edits = own
        found = self.down(node.outputs[0], affine)
        if isinstance(found, Refusal):
            return replace(found, quiet=True)
        into = _names(found.into)
        plan = merge(
            node,
            (*edits, *found.edits),
            f"scale and bias of {described(node)} folded into {into}{_through(found)} further down",
        )
        return plan if isinstance(plan, Refusal) else too_dear(self.surroundings, plan) or plan

    def _plan(self, node: ir.Node, draft: Draft | Refusal, rest: str) -> Plan | Refusal:
        if not isinstance(draft, Refusal):
            draft = settled(self.surroundings, draft)
        if isinstance(draft, Refusal):
            return draft
        gone = [other for other in draft.gone if other not in draft.into]
        into = _names(draft.into)
        merges = bool(draft.into) and all(
            self._source_of(other) is not None for other in draft.into
        )
        verb = "merged" if merges else "folded"
        reason = f"{_names(gone)} {verb} into {into}{_through(draft)}{rest}"
        if not draft.into:
            reason = f"{_names(gone)} dropped, since it changes nothing"
        lost = _loses_output(draft.edits)
        if lost is not None:
            return lost
        plan = merge(node, draft.edits, reason)
        return plan if isinstance(plan, Refusal) else too_dear(self.surroundings, plan) or plan


def _loses_output(edits: Iterable[Edit]) -> Refusal | None:
    """A Refusal when a graph output would have to be an input, a constant, or another output."""
    past = {id(edit.node): edit.index for edit in edits if isinstance(edit, Bypass)}
    for edit in edits:
        if not isinstance(edit, Bypass) or not edit.node.outputs[0].is_graph_output():
            continue
        value, node = edit.node.inputs[edit.index], edit.node
        while value is not None and (producer := value.producer()) is not None:
            if id(producer) not in past:
                break
            value, node = producer.inputs[past[id(producer)]], producer
        stays = value is not None and (value.producer() is None or value.is_graph_output())
        if value is None or stays or value.graph is not edit.node.graph:
            return Refusal(
                f"{edit.node.outputs[0].name!r} is an output of the graph, and what enters "
                f"{described(node)} can't take its place",
                quiet=True,
            )
    return None


def _effort(node: ir.Node) -> int:
    """Ask first what refuses at once, and last what has numbers to compute."""
    if node.op_type in DOWN or node.op_type == "Identity":
        return 2 if node.op_type == "MatMul" else 1
    return 0


def _names(nodes: Iterable[ir.Node]) -> str:
    names = [described(node) for node in nodes]
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""  # noqa: PLR2004
    return (", ".join(names[:3]) + more) if more else " and ".join(names)


def _through(draft: Draft) -> str:
    return f" through {_names(draft.through)}" if draft.through else ""


def _shift(node: ir.Node) -> str:
    bias = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    return (bias.name if bias is not None else None) or "shift"


def _position(node: ir.Node, value: ir.Value | None) -> int:
    return next(i for i, output in enumerate(node.outputs) if output is value)


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def _is_identity(node: ir.Node) -> bool:
    """Identity, or Dropout in inference: its third input, since version 12, is false or absent."""
    if node.domain not in STANDARD:
        return False
    if node.op_type == "Identity":
        return True
    return (
        node.op_type == "Dropout"
        and len([value for value in node.inputs if value is not None]) < 3  # noqa: PLR2004
        and not any(value.uses() for value in node.outputs[1:])
    )
