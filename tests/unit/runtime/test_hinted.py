"""Sessions as a model's own file advises; what comes out is read from the optimized graph."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import numpy_helper

import normonnx
from normonnx import runtime
from normonnx.core.errors import ExitCode, InvalidModelError, UnavailableError, UsageError
from normonnx.core.hints import KEY
from normonnx.lower import hints
from normonnx.lower.targets import TARGETS
from normonnx.runtime import hinted
from tests.unit.lower import sums

CPU = "CPUExecutionProvider"
SKIP = "SkipLayerNormalization"
FUSION = "SkipLayerNormFusion"
_, BODY = sums.FUSED["operator"]


def _saved(path: Path, body: str = BODY, opset: int = 17, hint: str | None = None) -> Path:
    """The model in a file with its hints, or others."""
    model = ir.from_proto(sums.model(body, opset))
    hints.record(model, TARGETS["ort-cpu"])
    if hint is not None:
        model.metadata_props[KEY] = hint
    normonnx.save(model, path)
    return path


def _hint(**entries: str) -> str:
    plain = {"version": 1, "target": "ort-cpu", "provider": CPU, "entries": entries}
    return json.dumps(plain)


def _operators(path: Path, **options: Any) -> list[str]:  # noqa: ANN401  # as session takes them
    """Operators that a session made of the file runs."""
    out = path.with_suffix(".optimized.onnx")
    chosen = options.pop("sess_options", onnxruntime.SessionOptions())
    chosen.optimized_model_filepath = str(out)
    chosen.log_severity_level = 4
    runtime.session(path, sess_options=chosen, **options)
    return [node.op_type for node in onnx.load(out).graph.node]


def test_onnxruntime_fuses_and_the_hint_stops_it(tmp_path: Path) -> None:
    """Where this fails, ONNX Runtime no longer fuses by itself, and the hint can go."""
    path = _saved(tmp_path / "hinted.onnx")
    assert "LayerNormalization" in _operators(path)
    assert SKIP not in _operators(path)
    assert SKIP in _operators(_saved(tmp_path / "plain.onnx", hint=_hint()))


@pytest.mark.parametrize("spelled", sums.FUSED)
def test_every_spelling_that_gets_the_hint_is_fused_without(tmp_path: Path, spelled: str) -> None:
    """The hint is recorded where ONNX Runtime would have built the slow operator."""
    opset, body = sums.FUSED[spelled]
    assert SKIP in _operators(_saved(tmp_path / "plain.onnx", body, opset, _hint()))
    assert SKIP not in _operators(_saved(tmp_path / "hinted.onnx", body, opset))


@pytest.mark.parametrize("spelled", sums.LEFT_ALONE)
def test_what_gets_no_hint_is_never_fused(tmp_path: Path, spelled: str) -> None:
    """Nothing is missed by recording none."""
    opset, body = sums.LEFT_ALONE[spelled]
    assert SKIP not in _operators(_saved(tmp_path / "model.onnx", body, opset))


def test_results_are_the_same_function(tmp_path: Path) -> None:
    """Both against float64."""
    path = _saved(tmp_path / "model.onnx")
    source = np.random.default_rng(0)
    feeds = {name: source.standard_normal((2, 3, sums.FEATURES)) for name in "xy"}
    total = feeds["x"] + feeds["y"]
    centered = total - total.mean(-1, keepdims=True)
    truth = 1.5 * centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5) + 1.5
    (found,) = runtime.session(path).run(
        None, {name: array.astype(np.float32) for name, array in feeds.items()}
    )
    assert np.abs(found - truth).max() < 1e-5


def test_a_file_without_hints_gives_a_plain_session(tmp_path: Path) -> None:
    """The same providers and options as onnxruntime's own."""
    path = _saved(tmp_path / "model.onnx", "z = Add(x, y)")
    assert hinted.hints_of(path) is None
    made = runtime.session(path)
    assert isinstance(made, onnxruntime.InferenceSession)
    assert made.get_providers() == onnxruntime.InferenceSession(path).get_providers()


def test_disabled_optimizers_of_the_caller_replace_those_of_the_file(tmp_path: Path) -> None:
    """An empty list asks for all."""
    path = _saved(tmp_path / "model.onnx")
    assert SKIP in _operators(path, disabled_optimizers=[])


def test_a_caller_who_sets_the_entry_is_left_alone(tmp_path: Path) -> None:
    """What sess_options have already stays."""
    entry = "session.intra_op.allow_spinning"
    path = _saved(tmp_path / "model.onnx", hint=_hint(**{entry: "0", "normonnx.new": "1"}))
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(entry, "1")
    runtime.session(path, sess_options=options)
    assert options.get_session_config_entry(entry) == "1"
    assert options.get_session_config_entry("normonnx.new") == "1"


def test_options_of_the_caller_are_used(tmp_path: Path) -> None:
    """Threads, for one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    made = runtime.session(_saved(tmp_path / "model.onnx"), sess_options=options)
    assert made.get_session_options().intra_op_num_threads == 1


def test_hints_are_for_their_provider_alone(tmp_path: Path) -> None:
    """Where the caller asks for another one first, the advice is no advice."""
    other = json.dumps(
        {
            "version": 1,
            "target": "ort-cuda",
            "provider": "CUDAExecutionProvider",
            "entries": {"optimization.disable_specified_optimizers": FUSION},
        }
    )
    path = _saved(tmp_path / "model.onnx", hint=other)
    assert SKIP in _operators(path, providers=[CPU])
    path = _saved(tmp_path / "model.onnx")
    assert SKIP not in _operators(path, providers=[(CPU, {})])
    assert SKIP not in _operators(path, providers=[CPU], provider_options=[{}])


@pytest.mark.parametrize("text", ['{"version": 99}', "no JSON"])
def test_hints_that_are_not_understood_are_ignored_with_a_warning(
    tmp_path: Path, text: str
) -> None:
    """Those of a newer normonnx, or damaged ones; the session is made all the same."""
    path = _saved(tmp_path / "model.onnx", hint=text)
    with pytest.warns(UserWarning, match=r"model\.onnx: its session hints are ignored, since"):
        assert SKIP in _operators(path)


def test_a_known_hint_warns_of_nothing(tmp_path: Path) -> None:
    """Warnings are for what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runtime.session(_saved(tmp_path / "model.onnx"))


def test_weights_are_not_read(tmp_path: Path) -> None:
    """Metadata is found even where the data file is gone."""
    model = ir.from_proto(sums.model(BODY))
    hints.record(model, TARGETS["ort-cpu"])
    proto = ir.to_proto(model)
    for tensor in proto.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save_model(
        proto,
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="gone",
        size_threshold=0,
    )
    (tmp_path / "gone").unlink()
    found = hinted.hints_of(tmp_path / "model.onnx")
    assert found is not None
    assert found.disabled == (FUSION,)


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    """As everywhere in normonnx."""
    with pytest.raises(UsageError, match="no such file"):
        runtime.session(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="is a folder"):
        runtime.session(tmp_path)
    (tmp_path / "text.onnx").write_text("hello, this is no model at all")
    with pytest.raises(InvalidModelError, match="no ONNX model"):
        runtime.session(tmp_path / "text.onnx")


def test_without_onnxruntime_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error has the exit code of a backend that is not here."""
    path = _saved(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError, match=r"normonnx\[cpu\]") as caught:
        runtime.session(path)
    assert caught.value.exit_code == ExitCode.UNAVAILABLE


def test_importing_the_room_does_not_import_onnxruntime() -> None:
    """It comes with the first session."""
    code = "import sys, normonnx.runtime; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = runtime.no_such_name
