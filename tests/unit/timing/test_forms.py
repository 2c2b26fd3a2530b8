"""Forms measured on a backend. What is asserted are names, errors and reasons, never a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.catalogue.call import NormCall
from normonnx.core.errors import UnavailableError, UsageError
from normonnx.runtime.staying import Staying
from normonnx.timing import worker
from normonnx.timing.forms import Measurer, entry_of, measure

pytest.importorskip("onnxruntime", reason="forms run on ONNX Runtime: install normonnx[cpu]")


def _layer_norm(dtype: str = "float32") -> NormCall:
    scale = np.linspace(0.5, 1.5, 16).astype(np.dtype(dtype))
    return normonnx.norms["LayerNorm"].define((2, 4, 16), dtype, scale=scale, epsilon=1e-6)


@pytest.fixture(scope="module")
def measurer() -> Iterator[Measurer]:
    """One on ONNX Runtime's CPU that takes no time."""
    with Measurer("ort:cpu", seconds=0.0) as found:
        yield found


def test_all_forms_are_measured_the_native_one_first(measurer: Measurer) -> None:
    """With a ratio to it, in an interval, and an error on each profile."""
    call = _layer_norm()
    entry = measurer.measure(call, 17)
    names = [form.name for form in call.forms_at(17)]
    assert entry.forms[0].form == "native"
    assert sorted(form.form for form in entry.forms) == sorted(names)
    assert entry.forms[0].ratio == entry.forms[0].low == entry.forms[0].high == 1.0
    for form in entry.forms:
        assert form.milliseconds > 0
        assert form.low <= form.ratio <= form.high
        profiles = ["random", "mean 1e2", "mean 1e4", "tiny", "huge", "constant"]
        assert list(form.errors) == profiles
        assert form.errors["random"] < 16


def test_errors_are_those_of_the_backend(measurer: Measurer) -> None:
    """Far from zero the native kernel is off and the centered one is not."""
    errors = {form.form: form.errors for form in measurer.measure(_layer_norm(), 17).forms}
    assert errors["native"]["mean 1e4"] > 100 * errors["centered, then native"]["mean 1e4"]
    assert errors["centered, then native"]["mean 1e4"] < 16


def test_an_entry_says_what_was_used(measurer: Measurer) -> None:
    """Numbers as short as float32 tells them apart; only what was given."""
    entry = measurer.measure(_layer_norm(), 17)
    assert (entry.norm, entry.dtype, entry.opset) == ("LayerNorm", "float32", 17)
    assert entry.shape == (2, 4, 16)
    assert entry.attributes == {"axis": -1, "epsilon": 1e-6, "stash_type": 1}
    assert entry.given == {"scale"}
    stored = normonnx.norms["LayerNorm"].define((2, 4, 16), epsilon=float(np.float32(1e-6)))
    assert entry_of(stored, 17).attributes == entry.attributes
    assert measurer.machine["threads"] == "1"
    assert set(measurer.versions) == {"normonnx", "onnx", "onnxruntime"}


def test_opsets_have_their_own_forms(measurer: Measurer) -> None:
    """At 11 there is no operator; the first of the catalogue is what others are held against."""
    call = _layer_norm()
    entry = measurer.measure(call, 11)
    assert [form.form for form in entry.forms] == [form.name for form in call.forms_at(11)]


def test_further_models_compete(measurer: Measurer) -> None:
    """What is no form of the catalogue is measured beside them."""
    call = _layer_norm()
    entry = measurer.measure(call, 17, extra={"my own": call.model("native", opset=17)})
    mine = next(form for form in entry.forms if form.form == "my own")
    assert mine.errors == entry.forms[0].errors


def test_what_does_not_load_is_left_out(measurer: Measurer) -> None:
    """The others are measured."""
    text = '<ir_version: 8, opset_import: ["": 17, "acme": 1]> g (float[2,4,16] X) => (float[2,4,16] Y) { Y = acme.Norm(X) }'
    strange = ir.from_proto(onnx.parser.parse_model(text))
    entry = measurer.measure(_layer_norm(), 17, extra={"strange": strange})
    assert len(entry.forms) == len(_layer_norm().forms_at(17))


def test_where_no_form_runs_there_are_none(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry without forms."""
    text = '<ir_version: 8, opset_import: ["": 17, "acme": 1]> g (float[2,4,16] X) => (float[2,4,16] Y) { Y = acme.Norm(X) }'
    strange = ir.from_proto(onnx.parser.parse_model(text))
    monkeypatch.setattr(NormCall, "model", lambda *_args, **_more: strange)
    assert measurer.measure(_layer_norm(), 17).forms == ()


def test_parameters_may_come_at_run_time(measurer: Measurer) -> None:
    """They are inputs of the model."""
    call = normonnx.norms["AdaptiveLayerNorm"].define((2, 4, 16), scale=(2, 16), bias=(2, 16))
    entry = measurer.measure(call, 17)
    assert entry.given == {"scale", "bias"}
    assert all(form.errors["random"] < 16 for form in entry.forms)


def test_half_precision_is_measured_in_its_own_roundoffs(measurer: Measurer) -> None:
    """Errors of a few u, and what overflows is infinite."""
    entry = measurer.measure(_layer_norm("float16"), 17)
    assert entry.dtype == "float16"
    assert entry.forms[0].errors["random"] < 16


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("ort:no-such", "ort:no-such: this onnxruntime has no"),
        ("abacus:cpu", "there is no backend 'abacus:cpu'"),
        ("oracle", "oracle can't be timed; use ONNX Runtime"),
    ],
)
def test_a_backend_that_is_not_here_is_said_at_once(backend: str, reason: str) -> None:
    """Before anything is measured."""
    with pytest.raises(UnavailableError, match=reason):
        Measurer(backend)


def test_an_unknown_size_is_refused(measurer: Measurer) -> None:
    """Nothing is chosen in secret."""
    with pytest.raises(UsageError, match="expected a number for each size"):
        measurer.measure(normonnx.norms["LayerNorm"].define(("N", 8)), 17)


def test_a_form_that_brings_the_worker_down_is_left_out(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is asked for again."""
    asked: list[list[str]] = []
    real = Staying.ask

    def ask(self: Staying, place: Path, request: Mapping[str, Any]) -> dict[str, Any] | str:
        asked.append(request["forms"])
        if "native" in request["forms"]:
            (place / worker.CURRENT).write_text("native")
            return "crashed: its process was ended by SIGSEGV"
        return real(self, place, request)

    monkeypatch.setattr(Staying, "ask", ask)
    entry = measurer.measure(_layer_norm(), 17)
    assert len(asked) == 2
    assert "native" not in [form.form for form in entry.forms]
    assert entry.forms[0].ratio == 1.0


def test_a_worker_that_no_form_brought_down_is_an_error(
    measurer: Measurer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said why, and nothing is tried for ever."""
    monkeypatch.setattr(Staying, "ask", lambda *_args: "its process failed: no space left")
    with pytest.raises(UnavailableError, match="no space left"):
        measurer.measure(_layer_norm(), 17)


def test_another_runtime_is_measured_as_well() -> None:
    """OpenVINO, in a worker of its own."""
    pytest.importorskip("openvino")
    entry = measure(_layer_norm(), 17, "openvino:cpu", seconds=0.0)
    assert entry.forms
    assert all(math.isfinite(form.errors["random"]) for form in entry.forms)
