"""Where a rewritten model first leaves its reference, both evaluated in float64.

Names and structure may differ, so tensors are matched by their numbers, unless a node of the same
name gives a tensor of the same name in both: a tensor of the rewritten
model is good where the reference has one that is the same, in order, up to a few noise floors; or,
where the name is new, one with the same numbers in another order. Only sketches are kept of either.

From the output that is wrong a walk goes backwards over tensors that are not good. The nodes where
it ends have only good inputs and a bad output: the first of them is where the models part. What a
rewrite did before, and what came right again, is not on the way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Comparison, Divergence
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation.drawing import Case, fitting
from normonnx.validation.islands import captured
from normonnx.validation.measures import LEAST_FLOOR
from normonnx.validation.sketch import Array, Sketch, distance, moved_by, sketch
from normonnx.validation.truths import Settings

_DRAW: Final = 0
_SLACK: Final = 1.5  # a distance between sketches is an estimate
_FEW: Final = 8  # entries; their moments say too little


@dataclass(slots=True, eq=False)
class _Known:
    """The reference's tensors of one size.

    Attributes:
        names: Of the tensors.
        sketches: Of each.
        allowed: How far off each may be.
    """

    names: list[str] = field(default_factory=list)
    sketches: list[Sketch] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)
    stacked: Array | None = None

    def distances(self, found: Sketch) -> Array:
        """From each of them to a tensor."""
        if self.stacked is None:
            self.stacked = np.stack([one.entries for one in self.sketches])
        return np.asarray(np.sqrt(np.mean(np.square(self.stacked - found.entries), axis=1)))


def first_divergence(
    reference: ir.Model,
    model: ir.Model,
    case: Case,
    compared: Comparison,
    settings: Settings,
) -> Divergence | None:
    """The first node of `model` that leaves the reference on the way to an output.

    Args:
        reference: What is right.
        model: What is not.
        case: Inputs on which it shows.
        compared: The output that is wrong.
        settings: Seed and factor.

    Raises:
        InvalidModelError, UnsupportedOperatorError: As `evaluate`.
    """
    known = _sketched(reference, fitting(case, reference), settings, compared.u)
    seen = _Trace()
    evaluate(model, fitting(case, model).feeds, watch=seen.watch, narrow=compared.narrow)
    judged = _Judged(model, known, seen.found, settings.factor * _SLACK, _same(reference, model))
    node = _source(model, compared.output, judged)
    if node is None:
        return None
    tensor = next(v.name or "" for v in node.outputs if v.name and v.name in judged.bad)
    nearest, off = judged.nearest(tensor)
    upstream = max((judged.error(v.name or "") for v in node.inputs if v is not None), default=0.0)
    u = compared.u if np.isfinite(compared.u) else 1.0
    return Divergence(
        node.name or tensor,
        node.op_type,
        tensor,
        off / u,
        upstream / u,
        question="equivalent",
        backend=compared.backend,
        case=compared.case,
        floor=judged.floor(tensor, nearest) / u,
        counterpart=nearest,
    )


class _Trace:
    """Sketches of what each node gives."""

    def __init__(self) -> None:
        self.found: dict[str, Sketch] = {}

    def watch(self, node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle."""
        for value, result in zip(node.outputs, results, strict=False):
            made = sketch(result) if value.name else None
            if made is not None and value.name:
                self.found[value.name] = made


def _sketched(
    reference: ir.Model, case: Case, settings: Settings, u: float
) -> Mapping[int, _Known]:
    exact, moved = _Trace(), _Trace()
    evaluate(reference, case.feeds, watch=exact.watch)
    noise = Perturbation(settings.seed * 1000 + _DRAW)
    evaluate(reference, case.feeds, watch=moved.watch, perturb=noise)
    for name, given in case.feeds.items():
        made = sketch(np.asarray(given))
        if made is not None:
            exact.found[name] = made
    least = LEAST_FLOOR * (u if np.isfinite(u) else 0.0)
    found: dict[int, _Known] = {}
    for name, one in exact.found.items():
        other = moved.found.get(name, one)
        noisy = distance(one, other) if other.size == one.size else one.norm
        known = found.setdefault(one.size, _Known())
        known.names.append(name)
        known.sketches.append(one)
        known.allowed.append(max(noisy, least * one.norm) if one.is_float else 0.0)
    return found


class _Judged:
    """Which tensors of a model have their like in the reference."""

    def __init__(
        self,
        model: ir.Model,
        known: Mapping[int, _Known],
        found: Mapping[str, Sketch],
        factor: float,
        kept: Collection[str],
    ) -> None:
        self._known = known
        self._kept = kept
        self._found = found
        self._factor = factor
        self._names = {name for one in known.values() for name in one.names}
        self._varying = _varying(model)
        self.bad = {n for n in found if n in self._varying and not self._is_good(n, found[n])}

    def _is_good(self, name: str, found: Sketch) -> bool:
        known = self._known.get(found.size)
        if known is None:
            return False
        off = known.distances(found)
        odd = np.array([one.odd == found.odd for one in known.sketches])
        allowed = self._factor * np.array(known.allowed)
        same = (off <= allowed) & odd
        if name in self._kept and name in known.names:
            return bool(same[known.names.index(name)])
        if bool(np.any(same)):
            return True
        if name in self._names or found.size <= _FEW or not found.is_float:
            return False
        share = allowed / np.sqrt(found.size)
        return any(
            moved_by(found, one) <= most and one.odd == found.odd
            for one, most in zip(known.sketches, share, strict=True)
        )

    def nearest(self, name: str) -> tuple[str, float]:
        """The reference's tensor that is held against one, and how far off it is, relative.

        That of the same name, else the nearest with as many elements.
        """
        found = self._found[name]
        known = self._known.get(found.size)
        if name in self._names and (known is None or name not in known.names):
            return name, float("inf")  # of another size there
        if known is None:
            return "", float("inf")
        off = known.distances(found)
        place = known.names.index(name) if name in known.names else int(np.argmin(off))
        norm = known.sketches[place].norm
        return known.names[place], float(off[place] / norm) if norm else float("inf")

    def error(self, name: str) -> float:
        """How far a tensor is from the nearest of the reference, relative; 0 for a constant."""
        constant = name not in self._varying or name not in self._found
        if constant or self._found[name].size not in self._known:
            return 0.0
        known = self._known[self._found[name].size]
        off = known.distances(self._found[name])
        place = int(np.argmin(off))
        norm = known.sketches[place].norm
        return float(off[place] / norm) if norm else 0.0

    def floor(self, name: str, counterpart: str) -> float:
        """How far roundoff moves the counterpart of a tensor, relative."""
        known = self._known.get(self._found[name].size)
        if known is None or counterpart not in known.names:
            return float("nan")
        place = known.names.index(counterpart)
        norm = known.sketches[place].norm
        return known.allowed[place] / norm if norm else float("nan")


def _same(reference: ir.Model, model: ir.Model) -> set[str]:
    """Names of values that a node of the same name gives in both: there a name means something."""
    theirs = {v.name: node.name for node in reference.graph for v in node.outputs if v.name}
    return {
        v.name
        for node in model.graph
        for v in node.outputs
        if v.name and node.name and theirs.get(v.name) == node.name
    }


def _varying(model: ir.Model) -> set[str]:
    """Names of the values that depend on a graph input."""
    found = {v.name for v in model.graph.inputs if v.name and not v.is_initializer()}
    for node in model.graph:
        read = {v.name for v in node.inputs if v is not None and v.name}
        inner = {v.name for v in captured(node) if v.name}
        if (read | inner) & found:
            found |= {v.name for v in node.outputs if v.name}
    return found


def _source(model: ir.Model, output: str, judged: _Judged) -> ir.Node | None:
    """The earliest node on the way to an output whose inputs are good and whose output is bad."""
    values = {v.name: v for node in model.graph for v in node.outputs if v.name}
    bad = judged.bad | {output}
    waiting, region = [output], {output}
    while waiting:
        value = values.get(waiting.pop())
        node = None if value is None else value.producer()
        if node is None:
            continue
        for before in (*node.inputs, *captured(node)):
            name = "" if before is None else before.name or ""
            if name in bad and name not in region:
                region.add(name)
                waiting.append(name)
    for node in model.graph:
        if not any(v.name in region for v in node.outputs if v.name):
            continue
        if not any(v is not None and v.name in bad for v in (*node.inputs, *captured(node))):
            judged.bad |= {v.name for v in node.outputs if v.name in region and v.name}
            return node
    return None
