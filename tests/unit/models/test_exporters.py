"""The three export styles differ in what becomes of normalizations, and in nothing that counts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="exports a torch module")
pytest.importorskip("onnxscript", reason="torch's dynamo exporter needs it")
ort = pytest.importorskip("onnxruntime", reason="runs what was exported: install normonnx[cpu]")

import torch  # noqa: E402  # only where importorskip let us come here, as what follows

import models  # noqa: E402
import normonnx  # noqa: E402
from models.__main__ import main  # noqa: E402
from models.exporters import EXPORTERS, Exporter, export  # noqa: E402
from models.network import Network  # noqa: E402
from normonnx.recognize.finding import find  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # torch's exporters warn about themselves

_BN = "BatchNormalization"
_COUNTED = {
    _BN,
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "Pow",  # the square in a LayerNorm or RMSNorm taken apart, and LocalResponseNorm's beta
    "RMSNormalization",
    "ReduceL2",  # the length in a GlobalResponseNorm
}
_LEFT: dict[str, dict[Exporter, dict[str, int]]] = {
    # name: normalizations in the file by exporter; a Conv absorbs a BatchNorm only in "dynamo"
    "resnet50": {"legacy": {_BN: 53}, "dynamo-raw": {_BN: 53}, "dynamo": {}},
    "mobilenet_v2": {"legacy": {_BN: 52}},
    "densenet121": {"legacy": {_BN: 121}},
    "unet": {"legacy": {_BN: 22}, "dynamo": {}},
    "mlp": {"legacy": {_BN: 3}, "dynamo-raw": {_BN: 3}, "dynamo": {}},
    "demo": {"legacy": {_BN: 12, "InstanceNormalization": 1, "Pow": 3}},
    "alexnet": {"legacy": {"Pow": 2}, "dynamo": {"Pow": 2}},
    "bert_base": {"legacy": {"Pow": 25}},
    "bert_small": {"legacy": {"Pow": 9}, "dynamo": {"LayerNormalization": 9}},
    "convnext": {"legacy": {"Pow": 23}},
    "convnext_v2": {
        "legacy": {"Pow": 17, "ReduceL2": 12},
        "dynamo": {"LayerNormalization": 13, "Pow": 4, "ReduceL2": 12},
    },
    "dcgan": {"legacy": {_BN: 4}, "dynamo-raw": {_BN: 4}, "dynamo": {}},
    "gn_unet": {"legacy": {"InstanceNormalization": 51}, "dynamo": {"InstanceNormalization": 51}},
    "levit": {"legacy": {_BN: 52}, "dynamo": {_BN: 48}},
    "llama": {"legacy": {"Pow": 9}, "dynamo": {"Pow": 9}},
    "pointnet": {"legacy": {_BN: 17}, "dynamo": {}},
    "pointnet_linear": {"legacy": {_BN: 4}, "dynamo-raw": {_BN: 4}, "dynamo": {_BN: 4}},
    # Not dynamo-raw: onnxscript 0.7 gives a Conv3d without bias a bias with two axes.
    "r3d_18": {"legacy": {_BN: 20}, "dynamo": {}},
    "repvgg": {"legacy": {_BN: 61}, "dynamo": {_BN: 17}},
    "style_transfer": {
        "legacy": {"InstanceNormalization": 15},
        "dynamo": {"InstanceNormalization": 15},
    },
}
_CASES = [(name, exporter, left) for name, row in _LEFT.items() for exporter, left in row.items()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Exporter], Path]:
    """Each network at test size by each exporter, written once; alone in its folder."""

    @functools.cache
    def write(name: str, exporter: Exporter) -> Path:
        path = tmp_path_factory.mktemp(f"{name}-{exporter}") / "network.onnx"
        export(models.NETWORKS[name](size="test"), path, exporter)
        return path

    return write


@pytest.mark.parametrize(("name", "exporter", "left"), _CASES)
def test_norms_left_by_each_exporter(
    name: str,
    exporter: Exporter,
    left: dict[str, int],
    exported: Callable[[str, Exporter], Path],
) -> None:
    """Each style writes one valid file with the expected norms, found again, computing what torch does."""
    path = exported(name, exporter)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == (13 if exporter == "legacy" else 18)
    assert {op: count for op, count in _operators(model).items() if op in _COUNTED} == left
    network = models.NETWORKS[name](size="test")
    _assert_axes(network, model.graph)
    _assert_same_as_torch(network, path)
    _assert_recognised(network, path, judged=exporter == "legacy")  # others differ in spelling


def _assert_recognised(network: Network, path: Path, *, judged: bool) -> None:
    """As many calls of functions as the network has layers, whoever wrote it, and the same function."""
    layers = dict(network.norms)
    layers.pop("BatchNorm", None)  # computes nothing from its input at inference
    near_misses = find(normonnx.load(path)).near_misses
    assert [miss.reason for miss in near_misses] == []
    if not layers:
        return
    result = normonnx.optimize(path, passes=("recognize",), verify="final" if judged else None)
    calls = Counter(
        "LayerNorm" if node.op_type == "LayerNorm2d" else node.op_type
        for node in result.model.graph
        if node.domain == "normonnx" and node.op_type != "BatchNorm"
    )
    assert calls == layers
    verification = result.report.verification
    assert verification is None or verification.passed, verification


def test_every_network_is_exported_here() -> None:
    """A new row of NETWORKS needs one in the table of this test."""
    assert sorted(models.NETWORKS) == sorted(_LEFT)


def test_a_raw_dynamo_bias_is_computed(exported: Callable[[str, Exporter], Path]) -> None:
    """optimize=False gives each bias-free Conv a bias Expand(CastLike(0, x), Shape)."""
    model = onnx.load(exported("resnet50", "dynamo-raw"))
    writers = {output: node for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    biases = [writers[node.input[2]] for node in convolutions]
    assert [bias.op_type for bias in biases] == ["Expand"] * 53
    assert {writers[bias.input[0]].op_type for bias in biases} == {"CastLike"}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_batch_is_dynamic(
    exporter: Exporter, exported: Callable[[str, Exporter], Path]
) -> None:
    """The batch axis has a name, in input and output, and any size runs."""
    network = models.NETWORKS["mlp"](size="test")
    path = exported("mlp", exporter)
    graph = onnx.load(path).graph
    for value in (graph.input[0], graph.output[0]):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [value.name for value in (*graph.input, *graph.output)] == ["input", "output"]
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (1, 5):
        example = np.zeros((batch, *network.inputs["input"].shape[1:]), np.float32)
        assert session.run(None, {"input": example})[0].shape == (batch, 10)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_export_is_repeatable(exporter: Exporter, tmp_path: Path) -> None:
    """Two exports of one network are the same nodes and weights."""
    files = [tmp_path / name for name in ("first.onnx", "second.onnx")]
    for file in files:
        export(models.NETWORKS["mlp"](size="test"), file, exporter)
    first, second = (onnx.load(file).graph for file in files)
    assert list(first.initializer) == list(second.initializer)
    assert [n.op_type for n in first.node] == [n.op_type for n in second.node]


def test_an_unknown_exporter_is_named(tmp_path: Path) -> None:
    """A wrong exporter is an error that lists the right ones, before anything is written."""
    network = models.NETWORKS["mlp"](size="test")
    with pytest.raises(ValueError, match="'onnx2' is unknown; choose one of dynamo, dynamo-raw"):
        export(network, tmp_path / "x.onnx", "onnx2")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_command_line_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m models NAME -o OUT` exports and says what it wrote."""
    path = tmp_path / "mlp.onnx"
    assert main(["mlp", "--exporter", "legacy", "--size", "test", "-o", str(path)]) == 0
    assert _operators(onnx.load(path))["BatchNormalization"] == 3
    assert "3 BatchNorms" in capsys.readouterr().out


def test_the_command_line_lists_networks_when_the_name_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong name exits with 2 and names those that exist."""
    with pytest.raises(SystemExit, match="2"):
        main(["nosuchnet", "-o", str(tmp_path / "x.onnx")])
    assert "resnet50" in capsys.readouterr().err


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def _assert_axes(network: Network, graph: onnx.GraphProto) -> None:
    """Dynamic axes have their names, and no other axis has one of those names."""
    names = {name for axes in network.dynamic.values() for name in axes.values()}
    for value in (*graph.input, *graph.output):
        dims = [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        found = {axis: dim for axis, dim in enumerate(dims) if dim in names}
        expected = network.dynamic[value.name]
        # dynamo calls what is computed from an axis by its formula.
        assert found == expected or (
            value.name in network.outputs and found.items() < expected.items()
        )


def _assert_same_as_torch(network: Network, path: Path) -> None:
    """The file computes what torch does, on the example and on one longer on each dynamic axis."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    examples = [dict(network.inputs), dict(network.inputs)]
    for name, axes in network.dynamic.items():
        for axis in axes if name in network.inputs else ():
            tensor = examples[1][name]
            examples[1][name] = torch.cat([tensor, tensor.narrow(axis, 0, 1)], dim=axis)
    for example in examples:
        with torch.no_grad():
            expected = network.module(*example.values()).numpy()
        found = session.run(None, {name: tensor.numpy() for name, tensor in example.items()})[0]
        assert found.shape == expected.shape
        error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
        assert error < 1e-4
