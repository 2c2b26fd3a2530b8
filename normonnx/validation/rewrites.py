"""Each rewrite of a model, judged over the nodes that it changed.

While a model is rewritten in place, what each rewrite changed is noted as a region before and after
(`changes`). Then the original is evaluated once, in float64, and as soon as all that enters a
region has been computed the two sides of it are compared on that: statistics there are as they are
when the model runs. A value that a rewrite put in another's place stands for that one of the
original. Where the original computes no such value, inputs are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError, NormonnxError
from normonnx.core.verdicts import RewritesJudged, ValidationReport, Verdict
from normonnx.graph import walk
from normonnx.runtime.oracle import evaluate
from normonnx.validation import drawing
from normonnx.validation.changes import Change, change_between
from normonnx.validation.drawing import Case
from normonnx.validation.islands import Types
from normonnx.validation.judge import equivalence, equivalence_on
from normonnx.validation.regions import both_sides, input_names
from normonnx.validation.sketch import Array
from normonnx.validation.snapshots import snapshot

_SEED: Final = 0
_CASE: Final = "random"

_Key = tuple[int, str]  # a value of the original: number of its graph, and name
_NOWHERE: Final = (-1, "")


@dataclass(slots=True, eq=False)
class _Rewrite:
    """One rewrite; `wanted` are the values of the original that enter it, `feeds` what they are."""

    change: Change | None
    wanted: dict[_Key, list[ir.Value]] = field(default_factory=dict)
    feeds: dict[ir.Value, Array] = field(default_factory=dict)
    judged: ValidationReport | None = None


_Ready = Callable[[_Rewrite, Types], None]


class Rewrites:
    """The rewrites of one model.

    Args:
        original: The model as it was; never changed.
        work: Its copy, before the first rewrite.
    """

    def __init__(self, original: ir.Model, work: ir.Model) -> None:
        self._original, self._work = original, work
        self._seen: list[_Rewrite] = []
        self._now = snapshot(work)
        self._numbers = {graph: number for number, graph in enumerate(walk.all_graphs(work))}
        self._origins: dict[ir.Value, _Key] = {}
        for graph, number in self._numbers.items():
            for value in (*graph.inputs, *(made for node in graph for made in node.outputs)):
                self._origins[value] = number, value.name or ""

    def note(self) -> None:
        """Look at what has changed since the last rewrite."""
        before, self._now = self._now, snapshot(self._work)
        change = change_between(before, self._now)
        seen = _Rewrite(change)
        self._seen.append(seen)
        if change is None:
            return
        for value in change.inputs:
            seen.wanted.setdefault(self._origins.get(value, _NOWHERE), []).append(value)
        for step in change.after:
            for value, name in zip(step.node.outputs, step.names, strict=True):
                self._origins.setdefault(value, (self._numbers[change.graph], name or ""))
        for old, new in (*change.moved, *change.outputs):
            if new is not old:
                self._origins[new] = self._origins.get(old, _NOWHERE)

    def judged(self) -> RewritesJudged:
        """Judge all that was noted."""
        types = Types(self._original)
        if any(one.change is not None for one in self._seen):
            self._run_through(types)
        for one in self._seen:
            if one.judged is None and one.change is not None:
                one.judged = self._on_drawn(one.change, types)
        verdicts = [None if one.judged is None else one.judged.verdict for one in self._seen]
        wrong = tuple(
            (number, one.judged)
            for number, one in enumerate(self._seen)
            if one.judged is not None and one.judged.verdict is Verdict.MISMATCH
        )
        return RewritesJudged(len(verdicts), verdicts.count(Verdict.PASS), wrong)

    def _run_through(self, types: Types) -> None:
        """Evaluate the original and judge each rewrite on what it computes there."""
        for sizes in drawing.attempts(self._original, {}):
            try:
                case = drawing.drawn(self._original, sizes, {}, _SEED)[0]
                sources = _Sources(self._original, self._seen, types, self._on_given)
                for value in drawing.required_inputs(self._original):
                    sources.give(value, case.feeds[value.name or ""])
                evaluate(self._original, case.feeds, watch=sources.watch, inside=True)
            except InvalidModelError:
                continue
            except NormonnxError:
                return
            return

    def _on_given(self, one: _Rewrite, types: Types) -> None:
        if one.change is None:
            return
        sides = both_sides(self._work, one.change, types, one.feeds)
        names = input_names(one.change)
        case = Case(_CASE, {names[value]: array for value, array in one.feeds.items()})
        one.judged = equivalence_on(*sides, case)
        one.feeds = {}

    def _on_drawn(self, change: Change, types: Types) -> ValidationReport | None:
        """On inputs drawn as declared; None where that would not be what the model has there."""
        before, after = both_sides(self._work, change, types, {})
        if any(v.dtype is None or not v.dtype.is_floating_point() for v in before.graph.inputs):
            return None
        return equivalence(before, after)


class _Sources:
    """Hands what the original computes to the rewrites that wait for it."""

    def __init__(
        self, original: ir.Model, seen: Sequence[_Rewrite], types: Types, ready: _Ready
    ) -> None:
        self._types, self._ready = types, ready
        self._numbers = {graph: number for number, graph in enumerate(walk.all_graphs(original))}
        self._waiting: dict[_Key, list[_Rewrite]] = {}
        for one in seen:
            one.feeds = {}
            for key in one.wanted if one.judged is None else ():
                self._waiting.setdefault(key, []).append(one)

    def watch(self, node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle after each node."""
        for values, arrays in ((node.inputs, inputs), (node.outputs, results)):
            for value, found in zip(values, arrays, strict=False):
                if value is not None and isinstance(found, np.ndarray | np.generic):
                    self.give(value, found)

    def give(self, value: ir.Value, found: Any) -> None:  # noqa: ANN401  # what the oracle gave
        """Hand on a value; a rewrite that has all it waits for is judged."""
        if value.graph is None:
            return
        key = self._numbers.get(value.graph, -1), value.name or ""
        for one in self._waiting.pop(key, ()):
            array = self._types.given(value, found)
            one.feeds |= dict.fromkeys(one.wanted[key], array)
            if len(one.feeds) == sum(len(values) for values in one.wanted.values()):
                self._ready(one, self._types)
