"""RepVGG as torch's exporters write it: each block of three branches becomes one Conv."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import onnx_ir as ir
import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import normonnx  # only where importorskip let us come here, as what follows
from models import NETWORKS
from models.exporters import Exporter, export
from tests.rewriting import rewritten

_BLOCKS = 22


@pytest.mark.slow
@pytest.mark.parametrize("exporter", get_args(Exporter))
def test_each_block_becomes_one_conv(exporter: Exporter, tmp_path: Path) -> None:
    """No BatchNormalization and no Add is left, and the function is the same."""
    path = tmp_path / "repvgg.onnx"
    export(NETWORKS["repvgg"](size="test"), path, exporter)
    model = ir.to_proto(normonnx.load(path))
    for info in (*model.graph.input, *model.graph.output):
        info.type.tensor_type.shape.dim[0].dim_param = "N"
    found = rewritten(model)
    assert found.report.nodes_after["Conv"] == _BLOCKS
    assert not {"BatchNormalization", "Add"} & set(found.report.nodes_after)
    merged = [event for event in found.report.applied if event.rule == "merge-parallel"]
    assert len(merged) == _BLOCKS
    assert not found.report.refused


def test_inspect_says_that_the_identity_folds(tmp_path: Path) -> None:
    """The BatchNormalizations of the input itself, too, with the Conv that takes them."""
    path = tmp_path / "repvgg.onnx"
    export(NETWORKS["repvgg"](size="test"), path, "legacy")
    norms = normonnx.inspect(path).norms
    assert len(norms) == 61
    assert all(norm.foldable for norm in norms)
    identities = [norm for norm in norms if "identity" in norm.node]
    assert len(identities) == 17
    assert all("merged into Conv" in norm.reason for norm in identities)
