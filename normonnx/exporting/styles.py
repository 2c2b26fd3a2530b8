"""Each normalization in the style asked for, and the lowest opset where that style is native.

"native" is ONNX's own operator where it means the same at the opset and is one node, else the call
of the catalogue's function; "function" is that call; "primitive" is neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import FUNCTIONS_SINCE, Form
from normonnx.core.errors import UsageError
from normonnx.core.events import Event
from normonnx.exporting.adopting import is_call, module_class, opset_of
from normonnx.graph.editing import Editor
from normonnx.graph.walk import label
from normonnx.lower import opsets, stored
from normonnx.lower.choosing import Style, Wanted
from normonnx.lower.form_graph import form_graph, placeholders
from normonnx.lower.targets import PORTABLE, TARGETS
from normonnx.lower.writing import Writing
from normonnx.lowering import lower
from normonnx.recognize.emitting import emit
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Findings, Found

STYLES: Final = ("native", "function", "primitive")
LOWEST: Final = FUNCTIONS_SINCE
_RULE: Final = "export"
_BATCH_NORM: Final = "BatchNorm"


def recognised(model: ir.Model) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Make what was spelled by hand one call each, in place; what was done, and what was not.

    A scale and a shift alone are a BatchNorm where they were written for a layer that says so by
    its name (a frozen one); elsewhere they are what they are.
    """
    found = find(model)
    norms = tuple(each for each in found.norms if each.is_call or _is_layer(each))
    misses = tuple(each for each in found.near_misses if not each.is_affine)
    return emit(model, Findings(norms, misses, found.ranks))


def _is_layer(found: Found) -> bool:
    if not found.fixed:
        return True
    name = module_class(found.node).rpartition(".")[2].lower()
    return found.call.norm.name == _BATCH_NORM and ("norm" in name or "bn" in name)


def native_form(call: NormCall, opset: int, outputs: int = 1) -> Form | None:
    """The form that is ONNX's own operator, and nothing else, at an opset; None where none is."""
    for form in call.forms_at(opset):
        if form.native and form.outputs >= outputs:
            made = form_graph(call, form, opset, placeholders(call), outputs=outputs)
            single = len(made.nodes) == 1
            made.drop()
            if single:
                return form
    return None


def lowest_native(model: ir.Model, highest: int) -> int:
    """The lowest opset from 13 on where each normalization that ever is native is so.

    Where an operator of the model can't be written there, the next one where it can.
    """
    span = range(LOWEST, highest + 1)
    needs = [LOWEST]
    for found in find(model).norms:
        if found.is_call:
            first = (n for n in span if native_form(found.call, n, _outputs(found)))
            needs.append(next(first, LOWEST))
    lowest = max(needs)
    for opset in range(lowest, highest + 1):
        if opset == opset_of(model) or not opsets.obstacles(model, opset):
            return opset
    return lowest


def _outputs(found: Found) -> int:
    return 1 + max(found.extras, default=0)


class _Natives:
    """Writes calls as ONNX's own operators."""

    rule: str = _RULE

    def __init__(self, model: ir.Model, only: Collection[str] | None = None) -> None:
        self._model = model
        self._only = only

    def _form(self, found: Found) -> Form | None:
        if not found.is_call or (self._only is not None and found.call.norm.name not in self._only):
            return None
        read = sum(1 for value in found.node.outputs if value.uses() or value.is_graph_output())
        last = max((n for n, v in enumerate(found.node.outputs) if v.uses()), default=0)
        return native_form(found.call, opset_of(self._model), max(read, last + 1, 1))

    def why_not(self, found: Found) -> str | None:
        """Nothing is said of a call that stays."""
        return "" if self._form(found) is None else None

    def event(self, found: Found) -> Event:
        """What it became."""
        reason = f"{found.call.norm.name} became ONNX's own operator"
        return Event(_RULE, label(found.node), found.node.op_type, reason, 1, 1)

    def put(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> None:
        """In its place, under its name; a bias of zeros stays, which other forms leave out."""
        with _unknown(inputs[1:]):
            self._writing(found).put(editor, found.node, inputs, _extras(found))

    def write(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> ir.Value:
        """Ahead of it."""
        with _unknown(inputs[1:]):
            return self._writing(found).ahead_of(editor, found.node, inputs)

    def _writing(self, found: Found) -> Writing:
        form = self._form(found)
        if form is None:
            message = f"{label(found.node)} stays a call"
            raise ValueError(message)
        return Writing(found.call, form, opset_of(self._model))


@contextmanager
def _unknown(values: Iterable[ir.Value]) -> Iterator[None]:
    """Hide the numbers of weights, so that nothing is left out for what they are."""
    hidden = [(value, value.const_value) for value in values if value.is_initializer()]
    for value, _ in hidden:
        value.const_value = None
    try:
        yield
    finally:
        for value, tensor in hidden:
            value.const_value = tensor


def _extras(found: Found) -> dict[int, ir.Value]:
    outputs = list(enumerate(found.node.outputs))[1:]
    return {place: value for place, value in outputs if value.uses()}


def write_natives(model: ir.Model, only: Collection[str] | None = None) -> None:
    """Write calls as ONNX's own operators where these mean the same, in place.

    Args:
        model: Changed in place.
        only: Names of normalizations; None for all.
    """
    found = find(model)
    calls = Findings(tuple(each for each in found.norms if each.is_call), (), found.ranks)
    emit(model, calls, writer=_Natives(model, only))


def write_primitives(model: ir.Model) -> None:
    """Write calls in operators that are no normalizations, in place.

    Raises:
        UsageError: There is no such form of one at the model's opset.
    """
    wanted = Wanted(
        TARGETS[PORTABLE],
        style=Style.PRIMITIVE,
        tables=stored.tables_for(PORTABLE),
    )
    done = lower(model, wanted)
    left = [node for node in model.graph.all_nodes() if is_call(node)]
    if left:
        reasons = {event.node: event.reason for event in done.refused}
        said = reasons.get(label(left[0]), "no form of it is made of primitives")
        message = (
            f"{label(left[0])} ({left[0].op_type}) stays: {said}; choose another opset or style"
        )
        raise UsageError(message)


def as_asked(model: ir.Model, style: str) -> None:
    """Write every call in a style, in place."""
    if style == "native":
        write_natives(model)
    elif style == "primitive":
        write_primitives(model)


def check_style(style: str) -> None:
    """Refuse a style that there is not.

    Raises:
        UsageError: Naming those that there are.
    """
    if style not in STYLES:
        message = f"style {style!r} is unknown; expected one of {', '.join(STYLES)}"
        raise UsageError(message)


def names_of(found: Iterable[Found]) -> list[str]:
    """Of the normalizations."""
    return [each.call.norm.name for each in found]
