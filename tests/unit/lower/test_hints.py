"""What is recorded in a model's metadata for its session, and in which models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.hints import KEY, SessionHints, UnknownHintsError
from normonnx.lower import hints
from normonnx.lower.targets import TARGETS, Target
from tests.unit.lower import sums

CPU, CUDA, PORTABLE = TARGETS["ort-cpu"], TARGETS["ort-cuda"], TARGETS["portable"]
SKIP = "SkipLayerNormFusion"


def _model(body: str, opset: int = 17) -> ir.Model:
    return ir.from_proto(sums.model(body, opset))


def _hints(model: ir.Model) -> SessionHints:
    return SessionHints.of_text(model.metadata_props[KEY])


@pytest.mark.parametrize("spelled", sums.FUSED)
def test_a_sum_that_is_normalized_gets_the_hint(spelled: str) -> None:
    """In each spelling that ONNX Runtime makes one SkipLayerNormalization of."""
    opset, body = sums.FUSED[spelled]
    model = _model(body, opset)
    assert hints.record(model, CPU)
    found = _hints(model)
    assert (found.target, found.provider) == ("ort-cpu", "CPUExecutionProvider")
    assert found.disabled == (SKIP,)


@pytest.mark.parametrize("spelled", sums.LEFT_ALONE)
def test_other_models_get_none(spelled: str) -> None:
    """There is nothing that the hint would change."""
    opset, body = sums.LEFT_ALONE[spelled]
    model = _model(body, opset)
    assert not hints.record(model, CPU)
    assert KEY not in model.metadata_props


def test_a_function_call_counts_as_what_it_is() -> None:
    """ONNX Runtime inlines it before it looks for what to fuse."""
    _, body = sums.FUSED["operator"]
    model = normonnx.optimize(_model(body), style="function", passes=["recognize"]).model
    assert {node.domain for node in model.graph} == {"", "normonnx"}
    assert hints.record(model, CPU)


def test_recording_twice_changes_nothing() -> None:
    """Byte for byte."""
    model = _model(sums.FUSED["operator"][1])
    hints.record(model, CPU)
    once = dict(model.metadata_props)
    hints.record(model, CPU)
    assert dict(model.metadata_props) == once


@pytest.mark.parametrize("target", [CUDA, PORTABLE], ids=lambda target: target.name)
def test_the_hints_of_another_target_are_removed(target: Target) -> None:
    """A model that is moved to another target takes no advice with it."""
    model = _model(sums.FUSED["operator"][1])
    model.metadata_props["author"] = "somebody"
    hints.record(model, CPU)
    assert not hints.record(model, target)
    assert dict(model.metadata_props) == {"author": "somebody"}


def test_the_hints_of_another_target_are_replaced() -> None:
    """By those of the new one; entries that are no optimizers hold for any model."""
    entries = {"session.intra_op.allow_spinning": "0"}
    model = _model(sums.FUSED["operator"][1])
    hints.record(model, CPU)
    hints.record(model, replace(CUDA, hints=entries))
    assert _hints(model) == SessionHints("ort-cuda", "CUDAExecutionProvider", entries)


def test_hints_survive_a_file(tmp_path: Path) -> None:
    """They are metadata of the model, that any tool reads."""
    model = _model(sums.FUSED["operator"][1])
    hints.record(model, CPU)
    normonnx.save(model, tmp_path / "model.onnx")
    found = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert SessionHints.of_text(found[KEY]) == _hints(model)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ('{"version": 1}', "damaged"),
        ('{"version": 1, "target": "x", "provider": "y", "entries": 3}', "damaged"),
        ('{"version": 2, "steps": []}', "version 2, expected 1"),
    ],
)
def test_what_is_no_hint_is_refused(text: str, reason: str) -> None:
    """With the reason."""
    with pytest.raises(UnknownHintsError, match=reason):
        SessionHints.of_text(text)
