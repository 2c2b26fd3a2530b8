"""Each normalization that is recognised, in the form that its target runs best."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.group_norm import by_group
from normonnx.catalogue.norm import Form
from normonnx.catalogue.operators import norm_of
from normonnx.core.events import Event
from normonnx.graph import checks, walk
from normonnx.graph.constants import Constants
from normonnx.graph.editing import Editor
from normonnx.graph.ranks import Ranks
from normonnx.graph.walk import label
from normonnx.lower.choosing import Choice, Spelling, Style, Wanted, choose
from normonnx.lower.form_graph import FormGraph, form_graph, placeholders
from normonnx.lower.spelled import Knowledge, is_spelled
from normonnx.lower.writing import Writing
from normonnx.recognize.emitting import Observer, emit
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from normonnx.recognize.structures import Structures

RULE: Final = "lower"
_DIVIDING: Final = frozenset({"Div", "Pow", "Reciprocal", "ReduceL1", "ReduceL2", "Sqrt"})
_REMEMBERED: Final = 256  # forms with the content of their parameters
Placed = tuple[FormGraph, list[ir.Value]]  # a form, and X and the parameters that it reads
SPELLED: Final = "normonnx.spelled"  # key in the metadata of nodes: the form that stood there first


@dataclass(frozen=True, slots=True)
class Lowered:
    """What became of the normalizations of a model.

    Attributes:
        applied: Those that were written in another form.
        refused: Those that can't be, and why.
        nodes: Names of the nodes that normalizations were made of, and are; a scale and shift among
            them is none that was left behind.
        in_chains: Whether one was written without an operator for it: what is around such a chain
            may belong to it, or make another norm of it.
    """

    applied: tuple[Event, ...]
    refused: tuple[Event, ...]
    nodes: frozenset[str]
    in_chains: bool = False


def lower(  # noqa: PLR0913
    model: ir.Model,
    wanted: Wanted,
    *,
    limit: int | None = None,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    observer: Observer | None = None,
) -> Lowered:
    """Write each normalization in its best form, in place; one that has it already stays.

    Args:
        model: Changed in place.
        wanted: What to choose by.
        limit: Only forms that exist at this opset, too; None for no limit.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        observer: Called after each rewrite, with the model already changed.
    """
    if wanted.style is Style.ANY and limit is None and not _may_normalize(model):
        return Lowered((), (), frozenset())
    findings = find(model, keep_inputs)
    forms = Forms(model, wanted, limit, findings.ranks)
    before = _nodes(model)
    applied, refused = emit(model, findings, keep=keep, observer=observer, writer=forms)
    measuring = [found for found in findings.norms if not found.fixed]
    nodes = {label(node) for found in measuring for node in found.region.nodes}
    if applied:
        nodes |= {label(node) for key, node in _nodes(model).items() if key not in before}
    told = tuple(event for event in refused if event.rule == RULE)
    return Lowered(applied, told, frozenset(nodes), forms.in_chains)


def _nodes(model: ir.Model) -> dict[int, ir.Node]:
    """All nodes by their ids, which no later node has while this is held."""
    return {id(node): node for graph in walk.all_graphs(model) for node in graph}


def _may_normalize(model: ir.Model) -> bool:
    """Whether something may be divided by a statistic: most convolutional networks have nothing."""
    for graph in walk.all_graphs(model):
        for node in graph:
            norm = norm_of(node.domain, node.op_type)
            if node.op_type in _DIVIDING or (norm and not CATALOGUE[norm].region.fixed):
                return True
    return False


class Forms:
    """Writes normalizations as forms."""

    rule: str = RULE

    def __init__(
        self,
        model: ir.Model,
        wanted: Wanted,
        limit: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.in_chains = False
        self._model = model
        self._wanted = wanted
        self._limit = limit
        self._ranks = ranks or Ranks(model, Constants(model))
        self._constants = self._ranks.constants
        self._structures = Structures(self._constants.get, self._ranks.rank)
        self._fitting: dict[tuple[object, ...], bool] = {}
        self._choices: dict[int, Choice] = {}
        self._alike: dict[tuple[object, ...], Choice] = {}
        self._spellings: dict[int, Spelling] = {}
        self._keys: dict[int, tuple[object, ...]] = {}
        self._kinds_known: dict[int, tuple[object, ...]] = {}
        self._graphs: dict[tuple[object, ...], Placed] = {}
        self._templates: dict[tuple[object, ...], Placed] = {}

    def why_not(self, found: Found) -> str | None:
        """Why it stays, where a call can't; "" where it is as it should be."""
        if self._wanted.style is Style.ANY and self._limit is None and _is_fixed(found):
            return ""
        form = self._choice(found).form
        if form is None:
            return self._choice(found).reason if found.is_call else ""
        if found.extras and not form.native and _is_primitive(found):
            return ""  # in another chain its mean, which is read elsewhere, would take more
        return "" if self.is_spelled_as(found, form, strictly=True) else None

    def event(self, found: Found) -> Event:
        """What it became and why."""
        form, choice = self._writing(found).form, self._choice(found)
        made, _ = self._template(found, form, 1)
        nodes, norm = found.region.nodes, found.call.norm.name
        spelled = found.spelling[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
        return Event(
            RULE,
            label(found.node),
            found.node.op_type,
            f"{norm}, {spelled}, became {form.name}: {choice.reason}",
            len(nodes),
            len(made.nodes),
            tuple(label(node) for node in reversed(nodes)),
        )

    def put(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> None:
        """In place of the node that gives the result, which remembers its first spelling."""
        self._remember(found)
        self._writing(found).put(editor, found.node, inputs, found.extras)

    def write(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> ir.Value:
        """Ahead of the node that gives the result, which remembers its first spelling."""
        self._remember(found)
        return self._writing(found).ahead_of(editor, found.node, inputs)

    def _remember(self, found: Found) -> None:
        """Note on the node what a later run may go back to."""
        first, chosen = self._spelling(found).at_first, self._choice(found).form
        self.in_chains |= chosen is not None and not chosen.operators
        found.node.metadata_props.pop(SPELLED, None)
        if first is not None and first is not chosen:
            found.node.metadata_props[SPELLED] = first.name

    def _writing(self, found: Found) -> Writing:
        form = self._choice(found).form
        if form is None:
            message = f"{found.output.name!r} stays as it is"
            raise ValueError(message)
        return Writing(found.call, form, self._opset(found))

    def _opset(self, found: Found) -> int:
        return checks.opset_at(self._model, found.node)

    def _choice(self, found: Found) -> Choice:
        """Remembered, as the graph changes; uses that are alike are decided once."""
        if id(found) not in self._choices:
            opset, outputs = self._opset(found), 1 + max(found.extras, default=0)
            opset = opset if self._limit is None else min(opset, self._limit)
            spelling = self._spelling(found)
            key = (*self._key(found), opset, outputs, spelling)
            if key not in self._alike:
                # Curves are no faster in another form, only less right for other exponents.
                wanted = replace(self._wanted, tables=()) if found.fixed else self._wanted
                self._alike[key] = choose(
                    found.call, opset, wanted, outputs=outputs, spelling=spelling
                )
            self._choices[id(found)] = self._alike[key]
        return self._choices[id(found)]

    def _spelling(self, found: Found) -> Spelling:
        """The forms that it is, and was, spelled as; remembered, as the graph changes."""
        if id(found) not in self._spellings:
            forms = found.call.forms_at(self._opset(found))
            now = next((form for form in forms if self.is_spelled_as(found, form)), None)
            if now is None and self._centers_twice(found):
                now = next((form for form in forms if form.centered and not form.generic), None)
            name = found.node.metadata_props.get(SPELLED)
            first = next((form for form in forms if form.name == name), now)
            self._spellings[id(found)] = Spelling(now, first, found.is_call)
        return self._spellings[id(found)]

    def _centers_twice(self, found: Found) -> bool:
        """Whether something is subtracted ahead of what subtracts the mean: right at any mean."""
        makers = {id(value): node for node in found.region.nodes for value in node.outputs}
        inside = {id(found.root), *makers}
        known: dict[int, int] = {}

        def depth(value: ir.Value | None) -> int:
            node = makers.get(id(value))
            if node is None:
                return 0
            if id(value) not in known:
                below = max(map(depth, node.inputs), default=0)
                known[id(value)] = below + _centers(node, inside)
            return known[id(value)]

        return depth(found.output) > 1

    def is_spelled_as(self, found: Found, form: Form, *, strictly: bool = False) -> bool:
        """Whether it is spelled as a form; strictly, as this form comes to stand in a graph."""
        surplus, outputs = found.surplus, 1 + max(found.extras, default=0)
        if surplus.channels_last or surplus.activation or surplus.addends or found.is_call:
            return False
        if outputs > form.outputs:
            return False
        known = Knowledge(self._constants.get, self._ranks.rank, strictly)
        if not self._may_stand(found, form, outputs, known):
            return False
        return self._stands(found, self._made(found, form, outputs), known)

    def _may_stand(self, found: Found, form: Form, outputs: int, known: Knowledge) -> bool:
        """Whether it stands there as far as operators, attributes and wires go; remembered."""
        weaker = replace(known, any_content=True)
        structure = self._structures.of(found)
        if structure is None:
            return self._stands(found, self._template(found, form, outputs), weaker)
        key = (structure, known.strictly, form.name, outputs, *self._key(found), self._kinds(found))
        if key not in self._fitting:
            template = self._template(found, form, outputs)
            self._fitting[key] = self._stands(found, template, weaker)
        return self._fitting[key]

    def _stands(self, found: Found, placed: Placed, known: Knowledge) -> bool:
        """Whether a form, written on placeholders, stands where something was found."""
        made, inputs = placed
        entering: dict[int, ir.Value | npt.NDArray[Any]] = {id(inputs[0]): found.root}
        for value, argument in zip(inputs[1:], found.arguments, strict=True):
            given = argument.array if argument.value is None else argument.value
            if given is not None and argument.shape is None:
                entering[id(value)] = given
        places = range(len(made.outputs))
        theirs = [found.extras.get(place) if place else found.output for place in places]
        pairs = [
            (mine, value)
            for mine, value in zip(made.outputs, theirs, strict=True)
            if value is not None
        ]
        return is_spelled(made, pairs, entering, known, self._opset(found))

    def _template(self, found: Found, form: Form, outputs: int) -> Placed:
        """A form as it is written for any parameters of this kind: its constants may be others'."""
        return self._written(self._templates, found, form, outputs, self._kinds(found))

    def _made(self, found: Found, form: Form, outputs: int) -> Placed:
        if len(self._graphs) >= _REMEMBERED:
            self._graphs.clear()
        content = tuple(each.tobytes() for each in _arrays(found.call))
        return self._written(self._graphs, found, form, outputs, content)

    def _written(
        self,
        known: dict[tuple[object, ...], Placed],
        found: Found,
        form: Form,
        outputs: int,
        content: tuple[object, ...],
    ) -> Placed:
        """A form on placeholders, by what it is a form of."""
        opset = self._opset(found)
        key = (*self._key(found), form.name, opset, outputs, content)
        if key not in known:
            inputs = placeholders(found.call)
            made = form_graph(found.call, form, opset, inputs, outputs=outputs)
            known[key] = made, inputs
        return known[key]

    def _key(self, found: Found) -> tuple[object, ...]:
        if id(found) not in self._keys:
            self._keys[id(found)] = _key(found.call)
        return self._keys[id(found)]

    def _kinds(self, found: Found) -> tuple[object, ...]:
        if id(found) not in self._kinds_known:
            self._kinds_known[id(found)] = _kinds(found)
        return self._kinds_known[id(found)]


def _arrays(call: NormCall) -> list[npt.NDArray[Any]]:
    return [each for each in call.parameters.values() if not isinstance(each, tuple)]


def _kinds(found: Found) -> tuple[object, ...]:
    """What of its parameters decides which nodes a form has: whether they are one number, which.

    Those of a scaler decide more; and those of groups, whether they are one number for each.
    """
    arrays = _arrays(found.call)
    if found.fixed:
        return tuple(each.tobytes() for each in arrays)
    groups = found.call.attributes.get("num_groups")
    shared = [isinstance(groups, int) and by_group(each, groups) is not None for each in arrays]
    return (*map(_uniform, arrays), *shared)


def _uniform(array: npt.NDArray[Any]) -> bytes | None:
    """The one number that an array holds."""
    first = array.reshape(-1)[:1]
    return first.tobytes() if array.size and (array == first).all() else None


def _centers(node: ir.Node, inside: Collection[int]) -> bool:
    """Whether a node takes a mean away: its operator does, or both operands come from the root."""
    if node.op_type in ("Add", "Sub"):
        return all(id(value) in inside for value in node.inputs)
    norm = norm_of(node.domain, node.op_type)
    return norm is not None and CATALOGUE[norm].centered


def _is_primitive(found: Found) -> bool:
    """Whether it is made of no normalization, of ONNX or of the catalogue."""
    return not any(norm_of(node.domain, node.op_type) for node in found.region.nodes)


def _key(call: NormCall) -> tuple[object, ...]:
    """What a choice depends on: of parameters their shapes, and whether they are known."""
    parameters = [
        (isinstance(each, tuple), each if isinstance(each, tuple) else each.shape)
        for each in call.parameters.values()
    ]
    attributes = tuple(sorted(call.attributes.items()))
    return call.norm.name, call.shape, call.dtype, attributes, tuple(parameters), call.given


def _is_fixed(found: Found) -> bool:
    """Without a statistic of X: folding has had its turn, and its spelling is as good as any."""
    return found.fixed and not found.is_call
