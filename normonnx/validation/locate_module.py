"""The submodule of a torch module where its export first goes wrong.

Each submodule's results are known from a run of the module, each node's from an evaluation of the
model, both in float64. A result is good where the model has a tensor with the same numbers, in any
order of axes, up to a few noise floors. The innermost submodule that was given good numbers and
gave what the model has nowhere is where they part; unless what comes after it is good again, as
where a BatchNorm was folded into the layer before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Divergence
from normonnx.runtime.invocation import Array
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation.measures import LEAST_FLOOR
from normonnx.validation.sketch import Sketch, distance, moved_by, sketch
from normonnx.validation.truths import Settings, Truth

_U = 2.0**-24


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
    known = _tensors(model, truth, settings)
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


def _first(
    calls: Sequence[_Call], known: Sequence[_Tensor], factor: float
) -> tuple[_Call, _Tensor | None, float, float] | None:
    by_size: dict[int, list[_Tensor]] = {}
    for tensor in known:
        by_size.setdefault(tensor.sketch.size, []).append(tensor)
    suspects: list[tuple[_Call, _Tensor | None, float, float]] = []
    for call in calls:
        bad = [each for each in call.gave if not _is_good(each, by_size, factor)]
        if not bad:
            read = {_key(each) for each in call.given}
            suspects = [one for one in suspects if not any(_key(g) in read for g in one[0].gave)]
            continue
        if all(_is_good(each, by_size, factor) for each in call.given):
            nearest, off = _nearest(bad[0], by_size)
            suspects.append((call, nearest, off, 0.0))
    return suspects[0] if suspects else None


def _key(one: Sketch) -> tuple[object, ...]:
    return one.shape, one.norm, one.entries.tobytes()


def _is_good(one: Sketch, by_size: dict[int, list[_Tensor]], factor: float) -> bool:
    if not one.is_float or one.size == 0:
        return True
    for tensor in by_size.get(one.size, ()):
        allowed = factor * tensor.floor
        if tensor.sketch.odd != one.odd:
            continue
        if distance(tensor.sketch, one) <= allowed:
            return True
        if moved_by(tensor.sketch, one) <= allowed / np.sqrt(one.size):
            return True
    return False


def _nearest(one: Sketch, by_size: dict[int, list[_Tensor]]) -> tuple[_Tensor | None, float]:
    tensors = by_size.get(one.size, [])
    if not tensors:
        return None, float("inf")
    found = min(tensors, key=lambda each: distance(each.sketch, one))
    return found, distance(found.sketch, one)
