"""One node for each normalization, in every style and at every opset."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.exporting import adopting, styles
from normonnx.lower import opsets

pytest.importorskip("torch", reason="modules are torch's: install normonnx[torch]")

from tests.unit.exporting.spelled import Everything, everything, image

Style = Literal["native", "function", "primitive"]
_OPSETS = (13, 17, 18, 21, 23)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of one export, as functions at opset 18, checked against the module."""
    path = tmp_path_factory.mktemp("export") / "everything.onnx"
    normonnx.export(everything(), image(), path, style="function", opset=18, dynamic="batch")
    return path


def _kinds(model: ir.Model) -> Counter[str]:
    return Counter(
        f"{node.domain}::{node.op_type}".removeprefix("::")
        for node in model.graph.all_nodes()
        if node.domain or node.op_type.endswith(("Normalization", "LRN"))
    )


def _written(path: Path, style: Style, opset: int) -> ir.Model:
    model = normonnx.load(path)
    opsets.move(model, opset)
    adopting.declare(model, opset)
    styles.as_asked(model, style)
    adopting.declare(model, opset)
    adopting.only_used_domains(model)
    return model


def test_functions_are_one_call_each(traced: Path) -> None:
    """Whatever way they were called or spelled; nothing else normalizes."""
    kinds = _kinds(normonnx.load(traced))
    assert kinds == {
        "normonnx::BatchNorm": 2,  # one is InstanceNorm with running statistics
        "normonnx::GroupNorm": 1,
        "normonnx::InstanceNorm": 1,
        "normonnx::LayerNorm": 5,
        "normonnx::LocalResponseNorm": 3,
        "normonnx::LpNorm": 1,
        "normonnx::RMSNorm": 2,
    }
    assert sum(kinds.values()) == Everything.LAYERS


@pytest.mark.parametrize("opset", [*_OPSETS, 26])
def test_native_is_onnx_own_operator_where_it_means_the_same(traced: Path, opset: int) -> None:
    """Else the call stays: even windows, clamped norms, and what came with a later opset."""
    kinds = _kinds(_written(traced, "native", opset))
    native = {"BatchNormalization": 2, "InstanceNormalization": 1, "LRN": 1}
    calls = {"normonnx::LocalResponseNorm": 2, "normonnx::LpNorm": 1}
    for name, since, number in (
        ("LayerNorm", 17, 5),
        ("GroupNorm", 21, 1),
        ("RMSNorm", 23, 2),
    ):
        if opset >= since:
            native[f"{name}alization"] = number
        else:
            calls[f"normonnx::{name}"] = number
    assert kinds == {**native, **calls}


@pytest.mark.parametrize("opset", [13, 23])
@pytest.mark.parametrize("style", ["native", "function", "primitive"])
def test_every_file_is_valid_and_the_same_function(
    traced: Path, tmp_path: Path, style: Style, opset: int
) -> None:
    """ONNX's checker takes it, and in float64 it is what the first one is."""
    model = _written(traced, style, opset)
    path = tmp_path / "model.onnx"
    normonnx.save(model, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    found = normonnx.validate(path, against=traced, backends=["ort:cpu"], profiles=["random"])
    assert found.passed
    if style == "primitive":
        assert not _kinds(model)


def test_a_file_runs_at_another_batch_and_gives_what_the_module_gives(traced: Path) -> None:
    """Dynamic dimensions are dynamic."""
    ort = pytest.importorskip("onnxruntime")
    x = image(5)
    session = ort.InferenceSession(traced, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.numpy()})
    expected = everything()(x).detach().numpy()
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("norm", "given", "opset"),
    [
        ("BatchNorm", {}, 13),
        ("LayerNorm", {}, 17),
        ("GroupNorm", {"num_groups": 2}, 21),
        ("RMSNorm", {}, 23),
        ("LocalResponseNorm", {"size": 3}, 13),
        ("LocalResponseNorm", {"size": 2, "torch_window": 1}, 13),
        ("LpNorm", {"epsilon": 1e-12}, 13),
    ],
)
def test_the_lowest_opset_is_where_all_are_native_that_ever_are(
    norm: str, given: dict[str, Any], opset: int
) -> None:
    """LayerNorm is there at 17, GroupNorm at 21, RMSNorm at 23; an even window never is."""
    norms = normonnx.norms
    full: dict[str, Any] = {each.name: (4,) for each in norms[norm].parameters}
    model = norms[norm].define((2, 4, 4, 4), **full, **given).model("function", opset=18)
    assert styles.lowest_native(model, 26) == opset


def test_without_an_opset_that_one_is_taken() -> None:
    """Of a module."""
    from torch import nn

    model = normonnx.export(nn.LayerNorm(4).eval(), image()[..., :4], verify=False)
    assert adopting.opset_of(model) == 17
