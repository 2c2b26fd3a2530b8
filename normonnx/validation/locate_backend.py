"""Where a backend first leaves the truth of a model: the node, and the proof.

Each node is run alone on the backend, fed with what the oracle has there, so that it is judged by
what it adds and not by what it inherits. Its output is held against the oracle's, in units of how
far roundoff of the model's inputs and weights moves that tensor: a variance taken as
E[x²] - E[x]² is named there, at the subtraction, although the subtraction itself is exact.

A node that is off is a suspect. It is the place where the model goes wrong if the oracle, given the
suspect's output instead of its own, goes wrong as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.core.verdicts import Comparison, Divergence, Verdict
from normonnx.graph import files
from normonnx.runtime import workers
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.runtime.serving import Server
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.dependence import DECISIONS, RANDOM
from normonnx.validation.islands import Island, Types, archipelago, can_stand_alone
from normonnx.validation.measures import LEAST_FLOOR, noise_floor, relative_error
from normonnx.validation.sketch import Array
from normonnx.validation.truths import Settings, Truth

_MOST_NODES: Final = 64  # in one model
_MOST_BYTES: Final = 48 << 20  # of values in one model
_SAMPLES: Final = 4096
_TRIED: Final = 12  # suspects that are put into the oracle


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A node that is off by itself.

    Attributes:
        island: The node with the truth around it; arrays are kept for few suspects only.
        tensor: The output that is off.
        found: What the backend gave.
        local: Its error in u.
        floor: How far roundoff moves the tensor, in u.
    """

    island: Island
    tensor: str
    found: Array
    local: float
    floor: float

    @property
    def ratio(self) -> float:
        """Error over floor."""
        return self.local / self.floor


def suspects(
    model: ir.Model, truth: Truth, backend: str, settings: Settings, limits: workers.Limits
) -> list[Suspect]:
    """Nodes that are off when they are fed with the truth, in the order of the graph.

    At most a dozen, so that memory stays bounded: intermediate values are compared and dropped.
    """
    moved = _samples_of_moved(model, truth, settings)
    with Server(backend, limits) as server, tempfile.TemporaryDirectory() as folder:
        crew = _Crew(model, server, Path(folder) / "islands.onnx", moved, settings.factor)
        evaluate(model, truth.case.feeds, watch=crew.watch)
        crew.flush()
    return crew.found


def first_divergence(
    model: ir.Model,
    truth: Truth,
    compared: Comparison,
    settings: Settings,
    limits: workers.Limits,
) -> tuple[Divergence, Suspect] | None:
    """The first node whose own error makes an output of the model wrong; None where none does.

    Args:
        model: The model.
        truth: What it computes on the case where the backend is wrong.
        compared: An output that is wrong.
        settings: Seed and factor.
        limits: Of the worker.
    """
    found = suspects(model, truth, compared.backend, settings, limits)
    for suspect in found:
        if _is_decisive(model, truth, suspect, settings):
            return _divergence(suspect, compared), suspect
    if found:
        worst = max(found, key=lambda one: one.ratio)
        return _divergence(worst, compared, note="by itself it makes no output wrong"), worst
    return None


def _divergence(suspect: Suspect, compared: Comparison, note: str = "") -> Divergence:
    node = suspect.island.node
    return Divergence(
        node.name or suspect.tensor,
        node.op_type,
        suspect.tensor,
        suspect.local,
        0.0,
        backend=compared.backend,
        case=compared.case,
        floor=suspect.floor,
        note=note,
    )


def _is_decisive(model: ir.Model, truth: Truth, suspect: Suspect, settings: Settings) -> bool:
    """Whether the oracle goes wrong when it is given what the suspect gave."""

    def put(node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> Sequence[Any] | None:
        if node is not suspect.island.node:
            return None
        given = suspect.found
        given = given.astype(np.float64) if is_float(given.dtype) else given
        pairs = zip(node.outputs, results, strict=False)
        return [given if v.name == suspect.tensor else one for v, one in pairs]

    outputs = evaluate(model, truth.case.feeds, watch=put)
    asked = Asked("computes", "suspect", wide=True)
    return any(
        one.verdict is Verdict.MISMATCH for one in compare(model, truth, outputs, asked, settings)
    )


def _samples_of_moved(model: ir.Model, truth: Truth, settings: Settings) -> Mapping[str, Array]:
    """A few entries of each value when inputs and weights are moved by one roundoff."""
    found: dict[str, Array] = {}

    def watch(node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> None:
        for value, result in zip(node.outputs, results, strict=False):
            if value.name and isinstance(result, np.ndarray) and result.dtype.kind == "f":
                found[value.name] = _sampled(result).copy()

    noise = Perturbation(settings.seed * 1000, kernels=settings.kernels)
    evaluate(model, truth.case.feeds, watch=watch, perturb=noise)
    return found


def _sampled(array: Array) -> Array:
    """Entries at even steps."""
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLES)]


class _Crew:
    """Collects nodes while the oracle runs, and has them run in batches."""

    def __init__(
        self,
        model: ir.Model,
        server: Server,
        path: Path,
        moved: Mapping[str, Array],
        factor: float,
    ) -> None:
        self._model, self._server, self._path = model, server, path
        self._moved, self._factor = moved, factor
        self._types = Types(model)
        self._waiting: list[Island] = []
        self._bytes = 0
        self.found: list[Suspect] = []

    def watch(self, node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle after each node."""
        if len(self.found) >= _TRIED or not can_stand_alone(node) or node.op_type in RANDOM:
            return
        given = {}
        for value, array in zip(node.inputs, inputs, strict=True):
            if value is None or not value.name or _is_weight(value):
                continue
            if (
                not isinstance(array, np.ndarray | np.generic)
                or np.asarray(array).dtype.kind in "OUS"
            ):
                return  # sequences and strings
            given[value.name] = self._types.given(value, array)
        truths = {
            value.name: np.asarray(result)
            for value, result in zip(node.outputs, results, strict=False)
            if value.name and isinstance(result, np.ndarray | np.generic)
        }
        island = Island(node, given, truths)
        if self._bytes + island.nbytes > _MOST_BYTES and self._waiting:
            self.flush()
        self._waiting.append(island)
        self._bytes += island.nbytes
        if len(self._waiting) >= _MOST_NODES:
            self.flush()

    def flush(self) -> None:
        """Run what waits."""
        islands, self._waiting, self._bytes = self._waiting, [], 0
        if islands:
            self._run(islands)

    def _run(self, islands: Sequence[Island]) -> None:
        made = archipelago(self._model, islands)
        files.save(made.model, self._path)
        outcome = self._server.run(self._path, made.feeds)
        if outcome.run.verdict is not Verdict.PASS:
            if len(islands) > 1:  # one of them can't be run alone; find out which
                half = len(islands) // 2
                self._run(islands[:half])
                self._run(islands[half:])
            return
        for number, island in enumerate(islands):
            for name, truth in island.truths.items():
                found = outcome.outputs[0].get(made.outputs[number, name])
                if found is not None and len(self.found) < _TRIED:
                    self._judge(island, name, np.asarray(found), truth)

    def _judge(self, island: Island, name: str, found: Array, truth: Array) -> None:
        if found.shape != truth.shape:
            self.found.append(Suspect(island, name, found, float("inf"), LEAST_FLOOR))
            return
        if truth.dtype.kind != "f":
            decides = island.node.op_type in DECISIONS
            if not decides and not np.array_equal(found, truth):
                self.found.append(Suspect(island, name, found, float("inf"), LEAST_FLOOR))
            return
        u = unit_roundoff(found.dtype)
        error = relative_error(found.astype(np.float64), truth, u)
        draws = [self._moved[name]] if name in self._moved else []
        floor = noise_floor(_sampled(truth), draws, u)
        odd = np.count_nonzero(np.isfinite(found.astype(np.float64)) != np.isfinite(truth))
        if error > self._factor * floor or odd:
            self.found.append(Suspect(island, name, found, error, floor))


def _is_weight(value: ir.Value) -> bool:
    return value.const_value is not None and value.producer() is None and not value.is_graph_input()
