"""The submodule of a torch module where its export first goes wrong.

Each submodule's results are known from a run of the module, each node's from an evaluation of the
model, both in float64. A result is good where the model has a tensor with the same numbers, in any
order of axes, up to a few noise floors. The innermost submodule that was given good numbers and
gave what the model has nowhere is where they part; unless what comes after it is good again, as
where a BatchNorm was folded into the layer before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Divergence
from normonnx.runtime.invocation import Array
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation.measures import LEAST_FLOOR
from normonnx.validation.sketch import Sketch, distance, moved_by, sketch
from normonnx.validation.truths import Settings, Truth

_U: Final = 2.0**-24
_SCOPES: Final = "pkg.torch.onnx.name_scopes"  # as torch's exporter writes them
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


class _Live(Protocol):
    def run(self, feeds: Sequence[Array], watch: Any = None) -> list[Array]:  # noqa: ANN401
        """What a module gives."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One call of a submodule: its path, its class, sketches of what it was given and gave."""

    path: str
    kind: str
    given: tuple[Sketch, ...]
    gave: tuple[Sketch, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Tensor:
    name: str
    sketch: Sketch
    floor: float


def first_divergence(
    model: ir.Model, live: _Live, truth: Truth, settings: Settings
) -> Divergence | None:
    """Where an export first leaves its module.

    Args:
        model: What was exported.
        live: What it was exported from.
        truth: Of the model, on a case where they differ.
        settings: Seed and factor.
    """
    calls: list[_Call] = []

    def watch(path: str, kind: str, given: Sequence[Array], gave: Sequence[Array]) -> None:
        calls.append(_Call(path, kind, _sketches(given), _sketches(gave)))

    live.run([truth.case.feeds[value.name or ""] for value in model.graph.inputs], watch)
    known = _Known(_tensors(model, truth, settings), leaving(model))
    chosen = _first(calls, known, settings.factor)
    if chosen is None:
        return None
    call, tensor, off, upstream = chosen
    scale = tensor.sketch.norm if tensor is not None and tensor.sketch.norm else 1.0
    return Divergence(
        call.path or "(the module itself)",
        call.kind,
        tensor.name if tensor is not None else "",
        off / scale / _U,
        upstream,
        backend="torch",
        case=truth.case.name,
        floor=tensor.floor / scale / _U if tensor is not None else float("nan"),
        note="submodule of the module that was exported",
    )


def _sketches(arrays: Sequence[Array]) -> tuple[Sketch, ...]:
    return tuple(made for each in arrays if (made := sketch(each)) is not None)


def _tensors(model: ir.Model, truth: Truth, settings: Settings) -> list[_Tensor]:
    """The model's tensors, with how far roundoff moves each."""
    exact = _evaluated(model, truth, None)
    moved = _evaluated(model, truth, Perturbation(settings.seed * 1000))
    for name, array in truth.case.feeds.items():
        made = sketch(np.asarray(array))
        if made is not None:
            exact[name] = made
    found = []
    for name, one in exact.items():
        other = moved.get(name)
        noisy = distance(one, other) if other is not None and other.size == one.size else 0.0
        found.append(_Tensor(name, one, max(noisy, LEAST_FLOOR * _U * one.norm)))
    return found


def _evaluated(model: ir.Model, truth: Truth, perturb: Perturbation | None) -> dict[str, Sketch]:
    found: dict[str, Sketch] = {}

    def watch(node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> None:
        for value, result in zip(node.outputs, results, strict=False):
            made = sketch(result) if value.name else None
            if made is not None and value.name:
                found[value.name] = made

    evaluate(model, truth.case.feeds, watch=watch, perturb=perturb)
    return found


class _Known:
    """The model's tensors, and which of them a submodule may have given."""

    def __init__(self, tensors: Sequence[_Tensor], leaving: Mapping[str, set[str]]) -> None:
        self._leaving = leaving
        self._by_size: dict[int, list[_Tensor]] = {}
        for tensor in tensors:
            self._by_size.setdefault(tensor.sketch.size, []).append(tensor)

    def of(self, one: Sketch, path: str | None) -> list[_Tensor]:
        """Those of one size; of what a submodule gave, where that is known."""
        found = self._by_size.get(one.size, [])
        names = self._leaving.get(path, set()) if path is not None else set()
        return [each for each in found if each.name in names] if names else found

    def has(self, one: Sketch, path: str | None, factor: float) -> bool:
        """Whether a tensor has the same numbers, in any order of axes."""
        if not one.is_float or one.size == 0:
            return True
        for tensor in self.of(one, path):
            allowed = factor * tensor.floor
            if tensor.sketch.odd != one.odd:
                continue
            if distance(tensor.sketch, one) <= allowed:
                return True
            if moved_by(tensor.sketch, one) <= allowed / np.sqrt(one.size):
                return True
        return False

    def nearest(self, one: Sketch, path: str) -> tuple[_Tensor | None, float]:
        """The tensor that comes closest, and how far off it is."""
        tensors = self.of(one, path)
        if not tensors:
            return None, float("inf")
        found = min(tensors, key=lambda each: distance(each.sketch, one))
        return found, distance(found.sketch, one)


def _first(
    calls: Sequence[_Call], known: _Known, factor: float
) -> tuple[_Call, _Tensor | None, float, float] | None:
    suspects: list[tuple[_Call, _Tensor | None, float, float]] = []
    for call in calls:
        bad = [each for each in call.gave if not known.has(each, call.path, factor)]
        if not bad:
            read = {_key(each) for each in call.given}
            suspects = [one for one in suspects if not any(_key(g) in read for g in one[0].gave)]
        elif all(known.has(each, None, factor) for each in call.given):
            suspects.append((call, *known.nearest(bad[0], call.path), 0.0))
    return suspects[0] if suspects else None


def _key(one: Sketch) -> tuple[object, ...]:
    return one.shape, one.norm, one.entries.tobytes()


def leaving(model: ir.Model) -> dict[str, set[str]]:
    """For each submodule the names of the values that nodes of it give to nodes of others.

    Nodes say in their metadata which submodules they were written for, the outermost first.
    """
    found: dict[str, set[str]] = {}
    for node in model.graph:
        own = scopes(node)
        for value in node.outputs:
            readers = [scopes(use) for use in value.consumers()]
            for path in own:
                if value.is_graph_output() or any(path not in reader for reader in readers):
                    found.setdefault(path, set()).add(value.name or "")
    return found


def scopes(node: ir.Node) -> list[str]:
    """Paths of the submodules that a node was written for; none where that is not known."""
    text = node.metadata_props.get(_SCOPES, "")
    return [first or second for first, second in _QUOTED.findall(text)][:-1]
