"""LeViT and PointNet as torch's exporters write them: BatchNorm1d behind views of tokens and points."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import normonnx  # only where importorskip let us come here, as what follows
from models import NETWORKS
from models.exporters import Exporter, export


@pytest.mark.slow
@pytest.mark.parametrize("exporter", get_args(Exporter))
def test_pointnet_loses_its_batch_norms_and_their_transposes(
    exporter: Exporter, tmp_path: Path
) -> None:
    """MatMul, Add and Relu are left of each layer over points."""
    path = tmp_path / "pointnet.onnx"
    export(NETWORKS["pointnet_linear"](size="test"), path, exporter)
    report = normonnx.optimize(path, verify="each").report
    assert report.nodes_before["BatchNormalization"] == 4
    assert report.nodes_before["Transpose"] >= 8
    assert not {"BatchNormalization", "Transpose"} & set(report.nodes_after)
    assert report.nodes_after["MatMul"] == report.nodes_after["Add"] == 4
    (narrow,) = report.refused  # at this size
    assert (narrow.rule, narrow.op_type) == ("reduce-last", "ReduceMax")
    assert narrow.reason.endswith("this pays from 256 on")
    _assert_checked(report)


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["legacy", "dynamo-raw"])  # an export takes half a minute
def test_levit_loses_its_batch_norms(exporter: Exporter, tmp_path: Path) -> None:
    """Behind flatten and before reshape_as, after a Conv, before the last linear layers."""
    path = tmp_path / "levit.onnx"
    export(NETWORKS["levit"](size="test"), path, exporter)
    report = normonnx.optimize(path, verify="each").report
    assert report.nodes_before["BatchNormalization"] >= 48
    assert "BatchNormalization" not in report.nodes_after
    assert report.nodes_after["MatMul"] == report.nodes_before["MatMul"]
    assert report.nodes_after["Reshape"] < report.nodes_before["Reshape"]
    assert {event.op_type for event in report.refused} <= {"Add", "Mul"}  # inside attention
    _assert_checked(report)


def _assert_checked(report: normonnx.OptimizeReport) -> None:
    assert report.verification is not None
    assert report.verification.passed
    assert report.checked == len(report.applied)
