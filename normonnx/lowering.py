"""Each normalization that is recognised, in the form that its target runs best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Form
from normonnx.core.events import Event
from normonnx.graph import checks
from normonnx.graph.constants import Constants
from normonnx.graph.editing import Editor
from normonnx.graph.ranks import Ranks
from normonnx.lower import writing
from normonnx.lower.choosing import Choice, Style, Wanted, choose
from normonnx.lower.form_graph import form_graph, placeholders
from normonnx.lower.lookup import nearest
from normonnx.lower.spelled import is_spelled
from normonnx.recognize.emitting import Observer, emit, event_of
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from normonnx.recognize.passes import Recognition

RULE: Final = "lower"
_MEANS: Final = 2  # of x, and of the squares


def lower(
    model: ir.Model,
    wanted: Wanted,
    *,
    limit: int | None = None,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    observer: Observer | None = None,
) -> Recognition:
    """Write each normalization in its best form, in place; one that has it already stays.

    Args:
        model: Changed in place.
        wanted: What to choose by.
        limit: Only forms that exist at this opset, too; None for no limit.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        observer: Called after each rewrite, with the model already changed.
    """
    findings = find(model, keep_inputs)
    forms = Forms(model, wanted, limit, keep_inputs)
    applied, refused = emit(model, findings, keep=keep, observer=observer, writer=forms)
    return Recognition(applied, tuple(event for event in refused if event.rule == RULE))


class Forms:
    """Writes normalizations as forms."""

    rule: str = RULE

    def __init__(
        self,
        model: ir.Model,
        wanted: Wanted,
        limit: int | None = None,
        keep_inputs: Collection[str] = (),
    ) -> None:
        self._model = model
        self._wanted = wanted
        self._limit = limit
        self._constants = Constants(model, keep_inputs)
        self._ranks = Ranks(model, self._constants)
        self._choices: dict[int, Choice] = {}
        self._alike: dict[tuple[object, ...], Choice] = {}

    def why_not(self, found: Found) -> str | None:
        """Why it stays, where a call can't; "" where it is as it should be."""
        if self._wanted.style is Style.ANY and self._limit is None and _is_fixed(found):
            return ""
        form = self._choice(found).form
        if form is None:
            return self._choice(found).reason if found.is_call else ""
        return "" if self._is(found, form) else None

    def event(self, found: Found) -> Event:
        """What it became and why."""
        choice = self._choice(found)
        if choice.form is None:
            message = f"{found.output.name!r} stays as it is"
            raise ValueError(message)
        made = form_graph(found.call, choice.form, self._opset(found), placeholders(found.call))
        made.drop()
        became = f"{found.call.norm.name} as {choice.form.name!r}: {choice.reason}"
        return event_of(RULE, found, became, len(made.nodes))

    def put(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> None:
        """In place of the node that gives the result."""
        call, form, opset = self._plan(found)
        writing.put(editor, found.node, call, form, opset, inputs, found.extras)

    def write(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> ir.Value:
        """Ahead of the node that gives the result."""
        call, form, opset = self._plan(found)
        return writing.write(editor, found.node, call, form, opset, inputs)

    def _plan(self, found: Found) -> tuple[NormCall, Form, int]:
        form = self._choice(found).form
        if form is None:
            message = f"{found.output.name!r} stays as it is"
            raise ValueError(message)
        return found.call, form, self._opset(found)

    def _opset(self, found: Found) -> int:
        return checks.opset_at(self._model, found.node)

    def _choice(self, found: Found) -> Choice:
        """Remembered, as the graph changes; uses that are alike are decided once."""
        if id(found) not in self._choices:
            opset, outputs = self._opset(found), 1 + max(found.extras, default=0)
            opset = opset if self._limit is None else min(opset, self._limit)
            as_is = self._as_is(found, opset) if self._matters(found, opset) else None
            key = (*_key(found.call), opset, outputs, as_is)
            if key not in self._alike:
                wanted = self._wanted
                self._alike[key] = choose(found.call, opset, wanted, outputs=outputs, as_is=as_is)
            self._choices[id(found)] = self._alike[key]
        return self._choices[id(found)]

    def _matters(self, found: Found, opset: int) -> bool:
        """Whether the choice depends on the spelling: nothing was measured, or it centers twice."""
        spelled = Counter(node.op_type for node in found.region.nodes)
        if spelled["Sub"] and (spelled["Sub"] > 1 or spelled["ReduceMean"] != _MEANS):
            return True
        return not any(nearest(table, found.call, opset) for table in self._wanted.tables)

    def _as_is(self, found: Found, opset: int) -> Form | None:
        """The form that it is spelled as."""
        return next((form for form in found.call.forms_at(opset) if self._is(found, form)), None)

    def _is(self, found: Found, form: Form) -> bool:
        """Whether it is spelled as a form."""
        surplus = found.surplus
        if surplus.channels_last or surplus.activation or surplus.addends or found.is_call:
            return False
        opset, inputs = self._opset(found), placeholders(found.call)
        outputs = 1 + max(found.extras, default=0)
        if outputs > form.outputs:
            return False
        made = form_graph(found.call, form, opset, inputs, outputs=outputs)
        entering: dict[int, ir.Value | npt.NDArray[Any]] = {id(inputs[0]): found.root}
        for value, argument in zip(inputs[1:], found.arguments, strict=True):
            given = argument.array if argument.value is None else argument.value
            if given is not None and argument.shape is None:
                entering[id(value)] = given
        places = range(outputs)
        theirs = [found.output if not place else found.extras.get(place) for place in places]
        pairs = [
            (mine, value)
            for mine, value in zip(made.outputs, theirs, strict=True)
            if value is not None
        ]
        same = is_spelled(made, pairs, entering, self._constants.get, self._ranks.rank, opset)
        made.drop()
        return same


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
