"""What every rewrite must satisfy, checked in one place, and models written as ONNX text for it.

A value that a model text declares among its weights without giving numbers gets random ones, and graph
inputs are fed random numbers; what is called `var...` is positive. Symbolic dimensions have the sizes in
`SIZES`. In the text, `NORM4` stands for the declarations of scale, bias, mean and var of four channels
(`NORM4:float16` of that type) and `BN(x)` for a BatchNormalization of x that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import numpy_helper

import normonnx
from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.core.events import OptimizeReport
from normonnx.pipeline import PASSES
from normonnx.runtime.oracle import evaluate

SIZES: Final[Mapping[str, int]] = {"N": 2, "T": 3, "H": 5, "W": 4, "D": 3}
FOLDING: Final = tuple(name for name in PASSES if name not in ("lower", "recognize"))
FLOORS: Final = 16.0  # how many noise floors a rewrite may move the result
_DRAWS: Final = 3

Feeds = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Rewritten:
    """A model before and after, with the report."""

    original: onnx.ModelProto
    proto: onnx.ModelProto
    model: ir.Model
    report: OptimizeReport

    @property
    def ops(self) -> str:
        """Operators of all graphs in order, one word each."""
        return " ".join(node.op_type for graph in graphs_of(self.proto) for node in graph.node)

    @property
    def applied(self) -> str:
        """What was done, one line each."""
        return "\n".join(event.reason for event in self.report.applied)

    @property
    def refused(self) -> dict[str, str]:
        """The reason for each node that stays."""
        return {event.node: event.reason for event in self.report.refused}

    def weight(self, name: str) -> npt.NDArray[Any]:
        """An initializer of the main graph after the rewrite."""
        found = {tensor.name: tensor for tensor in self.proto.graph.initializer}
        return numpy_helper.to_array(found[name])

    def attributes(self, op_type: str) -> dict[str, Any]:
        """The attributes of the first node of a type."""
        node = next(n for g in graphs_of(self.proto) for n in g.node if n.op_type == op_type)
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def parsed(text: str, *, opset: int = 17, ir_version: int = 8, seed: int = 0) -> onnx.ModelProto:
    """A model in ONNX text with random numbers for every weight that is declared without any.

    Args:
        text: See the module; without a header one is made of `opset` and `ir_version`.
        opset: Version of the default domain.
        ir_version: IR version of the file.
        seed: Of the random numbers.
    """
    if not text.lstrip().startswith("<"):
        text = f'<ir_version: {ir_version}, opset_import: ["": {opset}, "local": 1]> {text}'
    text = re.sub(r"NORM(\d+)(?::(\w+))?", _norm_declarations, text)
    text = re.sub(r"BN\((\w+)\)", r"BatchNormalization(\1, scale, bias, mean, var)", text)
    model = onnx.parser.parse_model(text)
    random = np.random.default_rng(seed)
    for graph in graphs_of(model):
        if isinstance(graph, onnx.GraphProto):
            _fill_weights(graph, random)
    return model


def _norm_declarations(found: re.Match[str]) -> str:
    kind = f"{found[2] or 'float'}[{found[1]}]"
    return ", ".join(f"{kind} {name}" for name in ("scale", "bias", "mean", "var"))


def _fill_weights(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    given = {tensor.name for tensor in graph.initializer}
    given.update(name for node in graph.node for name in node.output)
    declared = list(graph.value_info)
    del graph.value_info[:]
    for info in declared:
        if info.name in given:
            graph.value_info.append(info)
            continue
        array = _drawn(info, random)
        graph.initializer.append(numpy_helper.from_array(array, info.name))


def _drawn(info: onnx.ValueInfoProto, random: np.random.Generator) -> npt.NDArray[Any]:
    tensor = info.type.tensor_type
    shape = [
        d.dim_value if d.HasField("dim_value") else SIZES[d.dim_param] for d in tensor.shape.dim
    ]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    if dtype.kind in "iu":
        return random.integers(0, 3, shape).astype(dtype)
    array = random.normal(size=shape)
    array = np.abs(array) + 0.5 if info.name.startswith("var") else array
    return np.asarray(array.astype(dtype))


def graphs_of(model: onnx.ModelProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """The main graph, its subgraphs and the functions."""
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop(0)
        yield graph
        for node in graph.node:
            waiting += [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]


def rewritten(
    model: str | onnx.ModelProto,
    *,
    opset: int = 17,
    ir_version: int = 8,
    seed: int = 0,
    compare: bool = True,
    **options: Any,  # noqa: ANN401
) -> Rewritten:
    """Optimize a model and check everything that holds for every rewrite.

    Args:
        model: ONNX text, see `parsed`, or a model.
        opset: Of a text without header.
        ir_version: Of a text without header.
        seed: Of the weights and inputs.
        compare: Evaluate both in float64; not possible where a model is of no use, only legal.
        options: Those of `normonnx.optimize`; unless they say what to do, normalizations keep their
            spelling.
    """
    original = model
    if isinstance(model, str):
        original = parsed(model, opset=opset, ir_version=ir_version, seed=seed)
    assert isinstance(original, onnx.ModelProto)
    onnx.checker.check_model(original)
    before = original.SerializeToString(deterministic=True)
    if not {"passes", "style", "target"} & set(options):
        options["passes"] = FOLDING
    result = normonnx.optimize(original, **options)
    found = Rewritten(original, ir.to_proto(result.model), result.model, result.report)
    assert original.SerializeToString(deterministic=True) == before, "the source was changed"
    assert result.report.modified == bool(result.report.applied)
    _check_signature(found)
    _check_residue(found)
    _check_legal(found)
    _check_same_again(found, options)
    if compare and found.report.modified:
        for feeds in feeds_of(original, seed):
            check_same_function(original, found.proto, feeds)
    return found


def _signature(graph: onnx.GraphProto) -> list[bytes]:
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    return [info.SerializeToString(deterministic=True) for info in (*inputs, *graph.output)]


def _check_signature(found: Rewritten) -> None:
    """Inputs and outputs keep names, types and shapes; the model keeps what describes it."""
    was, now = found.original, found.proto
    assert _signature(now.graph) == _signature(was.graph)
    if was.ir_version >= 4:
        assert [i.name for i in now.graph.input] == [i.name for i in was.graph.input]
    assert now.ir_version == was.ir_version
    assert list(now.opset_import) == list(was.opset_import)
    assert (now.producer_name, now.doc_string) == (was.producer_name, was.doc_string)


def _check_residue(found: Rewritten) -> None:
    """No initializer without a reader, no node without one, no name given twice."""
    graphs = list(graphs_of(found.proto))
    read = {name for graph in graphs for node in graph.node for name in node.input}
    defined: list[str] = []
    for graph in graphs:
        wanted = read | {o if isinstance(o, str) else o.name for o in graph.output}
        for node in graph.node:
            assert not wanted.isdisjoint(node.output), f"{node.op_type} is not read"
        if isinstance(graph, onnx.GraphProto):
            initializers = [tensor.name for tensor in graph.initializer]
            assert wanted.issuperset(initializers), "unused initializer"
            defined += initializers
            defined += [name for node in graph.node for name in node.output if name]
    assert len(set(defined)) == len(defined), "a name is given twice"


def _check_legal(found: Rewritten) -> None:
    """The checker passes, in full where the original does, and ONNX Runtime loads it where it could."""
    onnx.checker.check_model(found.proto)
    if found.report.modified:
        if passes_in_full(found.original):
            onnx.checker.check_model(found.proto, full_check=True)
        if _loads(found.original):
            _load(found.proto)


def passes_in_full(model: onnx.ModelProto) -> bool:
    """Whether onnx's checker finds no fault when it infers shapes, too."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False
    return True


def _load(model: onnx.ModelProto) -> None:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )


def _loads(model: onnx.ModelProto) -> bool:
    try:
        _load(model)
    except Exception:  # noqa: BLE001  # onnxruntime has its own, without a common base
        return False
    return True


def _check_same_again(found: Rewritten, options: Mapping[str, Any]) -> None:
    """The same bytes from IR and on a second run; optimizing the result changes nothing."""
    written = found.proto.SerializeToString(deterministic=True)
    given = ir.from_proto(onnx.ModelProto.FromString(found.original.SerializeToString()))
    before = ir.to_proto(given).SerializeToString(deterministic=True)
    again = normonnx.optimize(given, **options).model
    assert ir.to_proto(again).SerializeToString(deterministic=True) == written
    assert ir.to_proto(given).SerializeToString(deterministic=True) == before, "the IR was changed"
    if not found.report.modified:
        assert written == before
    kept = {name: value for name, value in options.items() if not name.startswith("keep")}
    second = normonnx.optimize(found.proto, **(kept if found.report.modified else options))
    if kept == dict(options):
        assert not second.report.modified, second.report.applied
        assert ir.to_proto(second.model).SerializeToString(deterministic=True) == written


def feeds_of(model: onnx.ModelProto, seed: int = 0) -> Iterator[Feeds]:
    """Random inputs; where there are booleans, once all true and once all false."""
    random = np.random.default_rng(seed + 1)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in constants]
    flags = [i.name for i in inputs if i.type.tensor_type.elem_type == onnx.TensorProto.BOOL]
    feeds = {info.name: _drawn(info, random) for info in inputs if info.name not in flags}
    for answer in (True, False) if flags else (True,):
        yield feeds | {name: np.asarray(answer) for name in flags}


def check_same_function(was: onnx.ModelProto, now: onnx.ModelProto, feeds: Feeds) -> None:
    """Both models agree in float64 within a few noise floors of the first."""
    truth, result = evaluate(ir.from_proto(was), feeds), evaluate(ir.from_proto(now), feeds)
    draws = [_moved(was, feeds, np.random.default_rng(seed)) for seed in range(_DRAWS)]
    for name, expected in truth.items():
        assert result[name].shape == expected.shape
        assert np.all(np.isfinite(expected)), f"{name} proves nothing"
        floor = np.sqrt(np.mean([_mean_square(draw[name] - expected) for draw in draws]))
        error = np.sqrt(_mean_square(result[name] - expected))
        assert error <= FLOORS * floor, f"{name} is off by {error:.3g}, the floor is {floor:.3g}"


def _moved(model: onnx.ModelProto, feeds: Feeds, random: np.random.Generator) -> Feeds:
    """What a model computes when every weight and input is moved by one roundoff of its type.

    The oracle's own perturbation leaves single numbers alone, which here are weights like any other.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    resizes = [node for node in moved.graph.node if node.op_type in ("Resize", "Upsample")]
    fixed = {name for node in resizes for name in node.input}
    for tensor in _tensors_of(moved):
        array = numpy_helper.to_array(tensor)
        if is_float(array.dtype) and tensor.name not in fixed:  # scales decide about shapes
            tensor.CopyFrom(numpy_helper.from_array(_noisy(array, random), tensor.name))
    inputs = {name: _noisy(x, random) if is_float(x.dtype) else x for name, x in feeds.items()}
    return evaluate(ir.from_proto(moved), inputs)


def _tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in graphs_of(model):
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
        for node in graph.node:
            yield from (a.t for a in node.attribute if a.type == onnx.AttributeProto.TENSOR)


def _noisy(array: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
    noise = random.uniform(-1, 1, array.shape) * unit_roundoff(array.dtype)
    return np.asarray(array.astype(np.float64) * (1 + noise))


def _mean_square(array: npt.NDArray[Any]) -> float:
    return float(np.mean(np.square(array))) if array.size else 0.0
