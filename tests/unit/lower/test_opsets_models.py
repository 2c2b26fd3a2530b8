"""Networks as exporters write them, up and down through the opsets: the same function throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
import pytest

import normonnx
from models import NETWORKS, exporters, installed
from normonnx.lower.opsets import move

pytest.importorskip("torch", reason="the networks are torch's: install normonnx[torch]")

JOURNEY: Final = (13, 23, 13, 9)
EXPORTED: Final[tuple[tuple[str, exporters.Exporter, tuple[int, ...]], ...]] = (
    ("gn_unet", "legacy", (*JOURNEY, 7)),
)


def _check(model: ir.Model, against: Path, opset: int) -> None:
    written = ir.to_proto(model)
    assert {each.domain: each.version for each in written.opset_import}[""] == opset
    onnx.checker.check_model(written, full_check=True)
    report = normonnx.validate(model, against=against)
    assert report.passed, report


@pytest.mark.slow
@pytest.mark.parametrize(("name", "exporter", "journey"), EXPORTED)
def test_an_exported_network_moves(
    name: str, exporter: exporters.Exporter, journey: tuple[int, ...], tmp_path: Path
) -> None:
    """Every stop is a legal model of the same function; interface and weights stay."""
    path = tmp_path / f"{name}.onnx"
    exporters.export(NETWORKS[name](size="test"), path, exporter)
    model, original = normonnx.load(path), normonnx.load(path)
    for opset in journey:
        move(model, opset)
        _check(model, path, opset)
    assert [v.name for v in model.graph.inputs] == [v.name for v in original.graph.inputs]
    assert [v.name for v in model.graph.outputs] == [v.name for v in original.graph.outputs]
    names = {node.name for node in original.graph if node.op_type in ("Conv", "MatMul", "Gemm")}
    assert names <= {node.name for node in model.graph}


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_a_model_of_an_early_opset_moves_up_and_back(name: str, tmp_path: Path) -> None:
    """IR version 3, in which every initializer is an input."""
    path = tmp_path / f"{name}.onnx"
    onnx.save(installed.randomised_light(name), path)
    model = normonnx.load(path)
    lowest = model.opset_imports[""]
    inputs = [value.name for value in model.graph.inputs]
    for opset in (23, lowest):
        move(model, opset)
        _check(model, path, opset)
    assert [value.name for value in model.graph.inputs] == inputs
    assert model.ir_version == normonnx.load(path).ir_version
