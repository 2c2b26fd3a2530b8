"""Where a backend first leaves the truth of a model: the node, and the proof.

Each node is run alone on the backend, fed with what the oracle has there, so that it is judged by
what it adds and not by what it inherits: a variance taken as E[x²] - E[x]² is named there, at the
subtraction, although the subtraction itself is exact.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Verdict
from normonnx.graph import files
from normonnx.runtime import workers
from normonnx.runtime.oracle import evaluate
from normonnx.runtime.serving import Server
from normonnx.validation.dependence import RANDOM
from normonnx.validation.islands import Island, Types, archipelago, can_stand_alone, is_weight
from normonnx.validation.segments import Segment, Walk, cut, of_node
from normonnx.validation.sketch import Array
from normonnx.validation.suspects import MOST_SUSPECTS, Jury, Suspect
from normonnx.validation.truths import Truth

_MOST_NODES: Final = 64  # in one model
_MOST_BYTES: Final = 48 << 20  # of values in one model


class Bench:
    """A backend at which small models are run, one after another.

    Attributes:
        server: Its worker.
        backend: Its name, with options.
        path: Where a model is put.
    """

    def __init__(self, server: Server, backend: str, folder: Path) -> None:
        self.server, self.backend, self.path = server, backend, folder / "part.onnx"

    def at(self, backend: str) -> Bench:
        """The same with other options."""
        return Bench(self.server, backend, self.path.parent)

    def run(self, model: ir.Model, feeds: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Outputs by name; None where the model does not run."""
        files.save(model, self.path, durable=False)
        return self.run_file(self.path, feeds)

    def run_file(
        self, path: Path, feeds: Mapping[str, Any], backend: str = ""
    ) -> Mapping[str, Any] | None:
        """The same of a file, on request with other options of the backend."""
        outcome = self.server.run(path, feeds, backend=backend or self.backend)
        return outcome.outputs[0] if outcome.run.verdict is Verdict.PASS else None


@contextmanager
def at_work(backend: str, limits: workers.Limits) -> Iterator[Bench]:
    """A bench with its own worker and folder."""
    with (
        Server(backend, limits) as server,
        tempfile.TemporaryDirectory(prefix="normonnx-") as folder,
    ):
        yield Bench(server, backend, Path(folder))


def suspects(model: ir.Model, truth: Truth, bench: Bench, jury: Jury) -> list[Suspect]:
    """Nodes that are off when they are fed with the truth, in the order of the graph.

    At most a dozen, so that memory stays bounded: intermediate values are compared and dropped.
    """
    with ThreadPoolExecutor(1) as pool:
        crew = Crew(model, bench, jury, pool)
        crew.run(truth)
    order = {id(node): position for position, node in enumerate(model.graph)}
    return sorted(crew.found, key=lambda one: order[id(one.node)])


def inherited(model: ir.Model, truth: Truth, suspect: Suspect, bench: Bench, jury: Jury) -> float:
    """Error of what a suspect reads, in u, when the backend runs all that comes before.

    It is held against the truth in the type of the model. NaN where that can't be run.
    """
    wanted = tuple(name for name, array in suspect.inputs.items() if array.dtype.kind in "fV")
    made = {v.name for node in model.graph for v in node.outputs}
    wanted = tuple(name for name in wanted if name in made)
    if not wanted:
        return 0.0
    read = tuple(v.name or "" for v in model.graph.inputs if v.name in truth.case.feeds)
    part = cut(model, Segment(read, wanted), truth.case.feeds)
    found = None if part is None else bench.run(part, truth.case.feeds)
    if found is None:
        return float("nan")
    truths = {name: suspect.inputs[name].astype(np.float64) for name in wanted}
    return max(jury.measured(name, np.asarray(found[name]), truths[name])[0] for name in wanted)


class Crew:
    """Collects nodes while the oracle runs on, and has them run in batches, one at a time.

    Attributes:
        types: Of the model's values.
        found: Nodes that are off.
    """

    def __init__(self, model: ir.Model, bench: Bench, jury: Jury, pool: Executor) -> None:
        self._model, self._bench, self._jury, self._pool = model, bench, jury, pool
        self._running: Future[None] | None = None
        self.types = Types(model)
        self._producers = {v.name: node for node in model.graph for v in node.outputs if v.name}
        self._waiting: list[Island] = []
        self._bytes = 0
        self.found: list[Suspect] = []

    def run(self, truth: Truth) -> None:
        """Run every node on what the truth has there."""
        flow = [n for n in self._model.graph if not can_stand_alone(n) and n.op_type != "Constant"]
        segments = [of_node(node) for node in flow if not is_random(node)]
        walk = Walk(self._model, self.types, segments, truth.case.feeds, self.try_segment)

        def watch(node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> None:
            self.watch(node, inputs, results)
            walk.watch(node, inputs, results)

        evaluate(self._model, truth.case.feeds, watch=watch)
        self.flush()
        self.wait()

    def watch(self, node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle after each node."""
        if len(self.found) >= MOST_SUSPECTS or not can_stand_alone(node) or is_random(node):
            return
        given = {}
        for value, array in zip(node.inputs, inputs, strict=True):
            if value is None or not value.name or is_weight(value):
                continue
            if not _is_numeric(array):
                return  # sequences and strings
            given[value.name] = self.types.given(value, array)
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

    def try_segment(
        self,
        segment: Segment,
        part: ir.Model,
        feeds: Mapping[str, Array],
        truths: Mapping[str, Array],
    ) -> None:
        """Run a node that has subgraphs."""
        self.wait()
        if len(self.found) >= MOST_SUSPECTS:
            return
        outputs = self._bench.run(part, feeds)
        node = self._producers[segment.outputs[0]]
        for name, truth in truths.items():
            if outputs is not None and outputs.get(name) is not None:
                self.take(Suspect.of(node, name, feeds, truth, outputs[name], part))

    def flush(self) -> None:
        """Have what waits run, after what runs now."""
        self.wait()
        islands, self._waiting, self._bytes = self._waiting, [], 0
        if islands:
            self._running = self._pool.submit(self._run, islands)

    def wait(self) -> None:
        """Wait for what runs now."""
        if self._running is not None:
            self._running.result()
            self._running = None

    def _run(self, islands: Sequence[Island]) -> None:
        with np.errstate(all="ignore"):  # infinities are what is looked for
            self._run_and_judge(islands)

    def _run_and_judge(self, islands: Sequence[Island]) -> None:
        made = archipelago(self._model, islands)
        outputs = self._bench.run(made.model, made.feeds)
        if outputs is None:
            if len(islands) > 1:  # one of them can't be run alone; find out which
                half = len(islands) // 2
                self._run_and_judge(islands[:half])
                self._run_and_judge(islands[half:])
            return
        for number, island in enumerate(islands):
            for name, truth in island.truths.items():
                found = outputs.get(made.outputs[number, name])
                if found is not None and len(self.found) < MOST_SUSPECTS:
                    self.take(Suspect.of(island.node, name, island.inputs, truth, found))

    def take(self, one: Suspect) -> None:
        """What a node gave: kept where it is off."""
        judged = self._jury.judged(one)
        if judged is not None:
            self.found.append(judged)


def is_random(node: ir.Node) -> bool:
    """Whether a node, or one in its subgraphs, draws random numbers."""
    inner = (
        one
        for attribute in node.attributes.values()
        if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH
        for one in attribute.as_graph().all_nodes()
    )
    return any(one.op_type in RANDOM for one in (node, *inner))


def _is_numeric(found: Any) -> bool:  # noqa: ANN401  # what the oracle gave
    is_array = isinstance(found, np.ndarray | np.generic)
    return is_array and np.asarray(found).dtype.kind not in "OUS"
