"""normonnx inside other people's pipelines: onnx-ir's Sequential, onnxscript's optimizer."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxscript.optimizer
import pytest
from onnx_ir.passes import InPlacePass, PassManager, Sequential
from onnx_ir.passes.common import (
    CheckerPass,
    CommonSubexpressionEliminationPass,
    LiftConstantsToInitializersPass,
    NameFixPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)

import normonnx
from normonnx import passes
from normonnx.core.errors import UsageError
from normonnx.testing import assert_same_function

DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"


@pytest.fixture
def model() -> ir.Model:
    """The demo's model, as onnx-ir loads it."""
    return ir.load(DEMO)


def _counts(model: ir.Model) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in model.graph:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return found


@pytest.mark.parametrize("name", sorted(passes.__all__))
def test_each_is_an_in_place_pass(model: ir.Model, name: str) -> None:
    """It returns the model itself, says that it changed it, and a second time that it didn't."""
    made = getattr(passes, name)
    assert issubclass(made, InPlacePass)
    assert made.__doc__
    first = made()(model)
    assert first.model is model
    second = made()(model)
    assert (first.modified, second.modified) == (name != "MergeLinear" or first.modified, False)
    ir.to_proto(model)


def test_optimize_norms_is_what_optimize_does(model: ir.Model, tmp_path: Path) -> None:
    """The same model, to the byte, for every target."""
    for target in ("portable", "ort-cpu", "tensorrt"):
        work = ir.load(DEMO)
        passes.OptimizeNorms(target=target)(work)
        normonnx.save(work, tmp_path / "pass.onnx")
        normonnx.save(normonnx.optimize(model, target=target).model, tmp_path / "call.onnx")
        assert (tmp_path / "pass.onnx").read_bytes() == (tmp_path / "call.onnx").read_bytes()


def test_in_a_sequence_with_passes_of_onnx_ir(model: ir.Model) -> None:
    """Before and behind them, and in rounds until nothing changes."""
    pipeline = PassManager(
        [
            LiftConstantsToInitializersPass(),
            CommonSubexpressionEliminationPass(),
            passes.FoldAffine(),
            passes.MergeLinear(),
            passes.ChooseForms(target="ort-cpu"),
            RemoveUnusedNodesPass(),
            RemoveUnusedOpsetsPass(),
            NameFixPass(),
            CheckerPass(),
        ],
        steps=3,
        early_stop=True,
    )
    result = pipeline(model)
    assert result.modified
    assert _counts(model)["BatchNormalization"] < 12
    assert_same_function(model, DEMO)


@pytest.mark.parametrize("order", ["before", "behind"])
def test_with_the_optimizer_of_onnxscript(model: ir.Model, order: str) -> None:
    """In either order."""
    if order == "before":
        onnxscript.optimizer.optimize_ir(model)
    Sequential(passes.OptimizeNorms(target="ort-cpu"), CheckerPass())(model)
    if order == "behind":
        onnxscript.optimizer.optimize_ir(model)
    assert _counts(model).get("BatchNormalization", 0) < 12
    assert_same_function(model, DEMO)


def test_functions_and_forms_there_and_back(model: ir.Model) -> None:
    """Recognised as calls of functions, then lowered again."""
    Sequential(passes.RecognizeNorms(), CheckerPass())(model)
    assert {node.domain for node in model.graph} >= {"normonnx"}
    Sequential(passes.ChooseForms(style="primitive"), CheckerPass())(model)
    assert "normonnx" not in {node.domain for node in model.graph}
    assert_same_function(model, DEMO)


def test_what_passes_keep(model: ir.Model) -> None:
    """Names and patterns, as everywhere."""
    kept = "/stem/bn/*"
    passes.OptimizeNorms(keep=[kept])(model)
    assert any((node.name or "").startswith("/stem/bn/") for node in model.graph)


def test_options_that_can_not_be_are_refused(model: ir.Model) -> None:
    """When the pass is made, or where the model is needed to tell, when it is called."""
    with pytest.raises(UsageError, match="target 'abacus' is unknown"):
        passes.OptimizeNorms(target="abacus")
    with pytest.raises(Exception, match="name to keep 'nothing'"):
        passes.OptimizeNorms(keep=["nothing"])(model)


def test_a_proto_goes_through(model: ir.Model) -> None:
    """To onnx-ir and back, as pipelines of ModelProtos do."""
    del model
    proto = onnx.load(DEMO)
    made = ir.passes.common.RemoveUnusedNodesPass()
    result = Sequential(passes.OptimizeNorms(), made)(ir.from_proto(proto))
    buffer = io.BytesIO(ir.to_proto(result.model).SerializeToString())
    onnx.checker.check_model(onnx.load(buffer), full_check=True)
