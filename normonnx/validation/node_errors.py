"""How far off every node of a model is on a backend: what it adds, and what it inherits.

What a node adds is seen when it runs alone, fed with the truth (`locate_backend`). What has
gathered up to a node is seen in a run of the whole model that gives every tensor; a few entries of
each are held against the truth. Neither is quite the model as it is deployed: a runtime fuses less
where tensors are asked for, and nothing where nodes stand alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.core.errors import NormonnxError
from normonnx.core.node_errors import NodeError, NodeErrors
from normonnx.graph.walk import label
from normonnx.runtime import naming, workers
from normonnx.validation.answers import Limits
from normonnx.validation.islands import captured
from normonnx.validation.locate_backend import Bench, Crew, at_work, is_random
from normonnx.validation.measures import relative_error
from normonnx.validation.segments import Segment, cut
from normonnx.validation.sketch import Array
from normonnx.validation.suspects import Jury, Suspect
from normonnx.validation.truths import Settings, Truth

FAMILIES: Final = ("ort", "openvino")
_ENTRIES: Final = 1024  # of each tensor that are compared
_MOST_BYTES: Final = 64 << 20  # of tensors that one run gives
_MOST_RUNS: Final = 24
_ALONE: Final = (
    "each node was also run alone, fed with the float64 truth; what the runtime fuses is judged by "
    "the model's outputs"
)
_ALL_KEPT: Final = "errors that have gathered are those of a run in which every tensor is kept"
_NOT_ALL: Final = (
    "tensors of more than {} MB were not all asked for, so some have no gathered error"
)
_NONE: Final = "the backend does not give the model's inner tensors, so no error has gathered"


def node_errors(
    backend: str, model: ir.Model, truth: Truth, settings: Settings, limits: Limits
) -> NodeErrors | None:
    """What each node of the main graph adds and inherits; None where that can't be measured.

    Args:
        backend: Its name.
        model: What it runs.
        truth: The inputs.
        settings: Seed and factor.
        limits: Of each request to the backend.
    """
    if naming.parse(backend).family not in FAMILIES:
        return None
    try:
        with at_work(backend, workers.Limits(limits.timeout, limits.memory)) as bench:
            return _surveyed(backend, model, truth, settings, bench)
    except NormonnxError:
        return None


def _surveyed(
    backend: str, model: ir.Model, truth: Truth, settings: Settings, bench: Bench
) -> NodeErrors:
    jury = Jury(model, truth, settings)
    with ThreadPoolExecutor(1) as pool:
        survey = _Survey(model, bench, jury, pool)
        survey.run(truth)
    totals, note = _totals(model, truth, bench, survey)
    nodes = [found for node in model.graph if (found := survey.about(node, totals)) is not None]
    return NodeErrors(
        "computes", backend, truth.case.name, settings.factor, tuple(nodes), (_ALONE, note)
    )


class _Survey(Crew):
    """Measures every node, right or wrong.

    Attributes:
        truths: A few entries of each floating-point tensor.
        sizes: Number of entries of each.
    """

    def __init__(self, *crew: Any) -> None:  # noqa: ANN401  # as Crew takes them
        super().__init__(*crew)
        self._local: dict[str, tuple[float, float]] = {}
        self._random: set[str | None] = set()
        self.truths: dict[str, Array] = {}
        self.sizes: dict[str, int] = {}

    def watch(self, node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle after each node."""
        super().watch(node, inputs, results)
        if node.op_type == "Constant":
            return
        if is_random(node) or any(v is not None and v.name in self._random for v in node.inputs):
            self._random.update(value.name for value in node.outputs)
            return
        for value, result in zip(node.outputs, results, strict=False):
            if value.name and isinstance(result, np.ndarray) and result.dtype.kind == "f":
                self.truths[value.name] = _few(result).copy()
                self.sizes[value.name] = result.size

    def take(self, one: Suspect) -> None:
        """What a node gave: measured."""
        found, truth = one.found, one.truth
        if truth.dtype.kind != "f":
            return
        if found.shape != truth.shape:
            self._local[one.tensor] = math.inf, math.nan
            return
        local, floor = self._jury.measured(one.tensor, found, truth)
        if np.any(np.isfinite(found.astype(np.float64)) != np.isfinite(truth)):
            local = math.inf
        self._local[one.tensor] = local, floor

    def about(self, node: ir.Node, totals: Mapping[str, float]) -> NodeError | None:
        """One node; None where it gives no floating-point number or depends on no input."""
        known = [v.name for v in node.outputs if v.name in self._local or v.name in totals]
        is_noise = any(value.name in self._random for value in node.outputs)
        if not known or is_noise or node.op_type == "Constant":
            return None
        nan = (math.nan, math.nan)
        rows = [
            NodeError(
                label(node),
                node.op_type,
                name or "",
                local=self._local.get(name or "", nan)[0],
                floor=self._local.get(name or "", nan)[1],
                total=totals.get(name or "", math.nan),
            )
            for name in known
        ]
        worst = max(rows, key=lambda one: -1.0 if math.isnan(one.ratio) else one.ratio)
        return replace(worst, upstream=_inherited(node, totals))


def _inherited(node: ir.Node, totals: Mapping[str, float]) -> float:
    """The worst error among what a node reads; 0 where that is inputs and weights alone."""
    made = [v.name or "" for v in (*node.inputs, *captured(node)) if v and v.producer()]
    found = [totals[name] for name in made if name in totals]
    if not found:
        return 0.0 if totals else math.nan
    return math.inf if any(map(math.isinf, found)) else max(found)


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Names of tensors, as many at a time as may be held at once."""
    batch: list[str] = []
    nbytes = 0
    for name, size in sizes.items():
        if batch and nbytes + 4 * size > _MOST_BYTES:
            yield batch
            batch, nbytes = [], 0
        batch.append(name)
        nbytes += 4 * size
    if batch:
        yield batch


def _totals(
    model: ir.Model, truth: Truth, bench: Bench, survey: _Survey
) -> tuple[dict[str, float], str]:
    """The error of each tensor, in u, when the backend runs all that comes before; and a note."""
    read = tuple(v.name or "" for v in model.graph.inputs if v.name in truth.case.feeds)
    found: dict[str, float] = {}
    for number, names in enumerate(_batches(survey.sizes)):
        if number >= _MOST_RUNS:
            return found, _NOT_ALL.format(_MOST_RUNS * _MOST_BYTES >> 20)
        part = cut(model, Segment(read, tuple(names)), truth.case.feeds)
        outputs = None if part is None else bench.run(part, truth.case.feeds)
        for name in names if outputs is not None else ():
            array = (outputs or {}).get(name)
            if isinstance(array, np.ndarray) and is_float(array.dtype):
                found[name] = _error(array, survey.truths[name], survey.sizes[name])
    return found, _ALL_KEPT if found else _NONE


def _error(found: Array, truth: Array, size: int) -> float:
    if found.size != size:
        return math.inf
    few = _few(found).astype(np.float64)
    if np.any(np.isfinite(few) != np.isfinite(truth)):
        return math.inf
    return relative_error(few, truth, unit_roundoff(found.dtype))


def _few(array: Array) -> Array:
    """Entries at even steps."""
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // _ENTRIES)]
