"""Recorded on one machine and judged on another: the figures are those of the live run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import normonnx
from normonnx.core.errors import UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import Comparison, Verdict
from normonnx.validation import bundles

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
NET = HEAD + (
    "g (float[N, 3] x) => (float[N, 3] y, float[N, 3] z)"
    " <float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 10}> { y = MatMul(x, w) z = Neg(x) }"
)
CUSTOM = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
CUSTOM += "g (float[2] x) => (float[2] y) { y = odd.Frobnicate(x) }"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A small network of two outputs."""
    path = tmp_path / "net.onnx"
    onnx.save(onnx.parser.parse_model(NET), path)
    return path


def _figures(comparisons: tuple[Comparison, ...]) -> list[tuple[object, ...]]:
    return [
        (
            one.case,
            one.output,
            one.verdict,
            one.error,
            one.floor,
            one.max_abs,
            one.allowed,
            one.reason,
        )
        for one in comparisons
    ]


def test_a_bundle_gives_the_figures_of_the_live_run(net: Path, tmp_path: Path) -> None:
    """With the model at hand, and without it."""
    live = normonnx.validate(net)
    recorded = normonnx.record(net, tmp_path / "run.bundle")
    assert _figures(recorded.comparisons) == _figures(live.comparisons)
    again = normonnx.compare(tmp_path / "run.bundle")
    assert again.passed
    assert _figures(again.comparisons) == _figures(live.comparisons)
    assert again.backends[0].nodes == live.backends[0].nodes
    assert again.backends[0].backend == "ort:cpu (recorded)"
    net.unlink()
    alone = normonnx.compare(tmp_path / "run.bundle")
    assert str(_figures(alone.comparisons)) == str(_figures(live.comparisons))
    assert alone.comparisons[0].statistics == live.comparisons[0].statistics
    assert any("not at hand" in note for note in alone.backends[0].notes)


def test_the_judging_is_done_anew_where_the_model_is(net: Path, tmp_path: Path) -> None:
    """A bundle whose outputs are wrong is a mismatch, whatever was judged when it was recorded."""
    path = tmp_path / "run.bundle"
    normonnx.record(net, path)
    found = bundles.read(path)
    for case in found.cases:
        assert case.outputs is not None
        case.outputs["y"] = case.outputs["y"] * np.float32(1.001)  # type: ignore[index]
    bundles.write(found, path, tensors=True)
    assert normonnx.compare(path).verdict is Verdict.MISMATCH


def test_a_backend_here_is_judged_on_the_recorded_inputs(net: Path, tmp_path: Path) -> None:
    """Both rows in one report, and whether the bits agree."""
    path = tmp_path / "run.bundle"
    normonnx.record(net, path, seed=5)
    found = normonnx.compare(path, backends=["ort:cpu"])
    assert {one.backend for one in found.comparisons} == {"ort:cpu (recorded)", "ort:cpu"}
    assert found.passed
    assert "4 of 4 outputs are the recorded ones bit by bit" in found.backends[1].notes


def test_a_missing_backend_is_unavailable_and_nothing_is_written(net: Path, tmp_path: Path) -> None:
    """Recording on it, and comparing on it."""
    path = tmp_path / "run.bundle"
    assert normonnx.record(net, path, backend="ort:MadeUp").verdict is Verdict.UNAVAILABLE
    assert not path.exists()
    normonnx.record(net, path)
    assert normonnx.compare(path, backends=["ort:MadeUp"]).verdict is Verdict.UNAVAILABLE


def test_digests_keep_the_figures_and_tell_the_same_bits(net: Path, tmp_path: Path) -> None:
    """Inputs are drawn again from the recorded seed."""
    path = tmp_path / "run.bundle"
    live = normonnx.record(net, path, tensors=False, seed=3, shapes={"x": (5, 3)})
    found = normonnx.compare(path, backends=["ort:cpu"])
    assert found.passed
    assert str(_figures(found.comparisons[: len(live.comparisons)])) == str(
        _figures(live.comparisons)
    )
    assert "4 of 4 outputs are the recorded ones bit by bit" in found.backends[1].notes


def test_inputs_of_the_user_are_kept(net: Path, tmp_path: Path) -> None:
    """As one case; from digests they can't be had again, so nothing live is compared."""
    x = np.ones((1, 3), np.float32)
    normonnx.record(net, tmp_path / "run.bundle", inputs={"x": x})
    (case,) = bundles.read(tmp_path / "run.bundle").cases
    assert case.inputs is not None
    assert (case.name, case.inputs["x"].tolist()) == ("given", x.tolist())
    normonnx.record(net, tmp_path / "d.bundle", inputs={"x": x}, tensors=False)
    found = normonnx.compare(tmp_path / "d.bundle", backends=["ort:cpu"])
    assert found.backends[1].verdict is Verdict.INCONCLUSIVE


def test_the_model_is_found_where_it_was(net: Path, tmp_path: Path) -> None:
    """In the same place relative to the bundle, or beside it; in the bundle it needs no finding."""
    (tmp_path / "a").mkdir()
    normonnx.record(net, tmp_path / "a" / "run.bundle")
    normonnx.record(net, tmp_path / "a" / "own.bundle", include_model=True)
    moved = tmp_path / "moved"
    (moved / "a").mkdir(parents=True)
    for name in ("run.bundle", "own.bundle"):
        shutil.move(tmp_path / "a" / name, moved / "a" / name)
    shutil.move(net, moved / "net.onnx")
    for name in ("run.bundle", "own.bundle"):
        assert normonnx.compare(moved / "a" / name, backends=["ort:cpu"]).passed
    shutil.move(moved / "net.onnx", moved / "a" / "net.onnx")
    assert normonnx.compare(moved / "a" / "run.bundle", backends=["ort:cpu"]).passed
    (moved / "a" / "net.onnx").unlink()
    assert normonnx.compare(moved / "a" / "own.bundle", backends=["ort:cpu"]).passed
    with pytest.raises(UsageError, match="--model"):
        normonnx.compare(moved / "a" / "run.bundle", backends=["ort:cpu"])


def test_external_data_belongs_to_the_model(tmp_path: Path) -> None:
    """It is hashed, and goes into the bundle with the model."""
    proto = onnx.parser.parse_model(NET)
    (weight,) = proto.graph.initializer
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight), "w"))
    path = tmp_path / "net.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    bundle = tmp_path / "run.bundle"
    normonnx.record(path, bundle, include_model=True)
    assert set(bundles.read(bundle).model) == {"net.onnx", "net.data"}
    raw = bytearray((tmp_path / "net.data").read_bytes())
    raw[0] ^= 1
    (tmp_path / "net.data").write_bytes(raw)
    assert normonnx.compare(bundle, backends=["ort:cpu"]).passed  # the one inside
    with pytest.raises(UsageError, match="SHA-256 differs"):
        normonnx.compare(bundle, model=path)


def test_another_model_is_refused(net: Path, tmp_path: Path) -> None:
    """A file of the same name with other weights is not the recorded model."""
    normonnx.record(net, tmp_path / "run.bundle")
    other = onnx.parser.parse_model(NET.replace("10}", "11}"))
    onnx.save(other, net)
    alone = normonnx.compare(tmp_path / "run.bundle")
    assert any("not at hand" in note for note in alone.backends[0].notes)
    with pytest.raises(UsageError, match="SHA-256 differs"):
        normonnx.compare(tmp_path / "run.bundle", model=net)


def test_what_was_not_judged_then_is_judged_now(net: Path, tmp_path: Path) -> None:
    """judge=False asks the oracle nothing; comparing does."""
    path = tmp_path / "run.bundle"
    first = normonnx.record(net, path, judge=False)
    assert (first.verdict, first.comparisons) == (Verdict.INCONCLUSIVE, ())
    assert normonnx.compare(path).passed
    net.unlink()
    assert normonnx.compare(path).verdict is Verdict.INCONCLUSIVE


def test_the_truth_itself_can_be_recorded(net: Path, tmp_path: Path) -> None:
    """In float64; on another machine it agrees with the truth there."""
    normonnx.record(net, tmp_path / "run.bundle", backend="oracle")
    (case, *_) = bundles.read(tmp_path / "run.bundle").cases
    assert case.outputs is not None
    assert case.outputs["y"].dtype == np.float64
    assert normonnx.compare(tmp_path / "run.bundle").passed


def test_settings_with_commas_survive(net: Path, tmp_path: Path) -> None:
    """The name of a backend with settings is kept whole."""
    normonnx.record(net, tmp_path / "run.bundle", backend="ort:cpu,level=basic")
    found = normonnx.compare(tmp_path / "run.bundle")
    assert found.backends[0].settings["optimization level"] == "ORT_ENABLE_BASIC"
    assert found.passed


def test_a_model_that_the_oracle_can_not_evaluate_is_not_recorded_silently(tmp_path: Path) -> None:
    """Nothing is written; judge=False is the way out where a backend knows the operator."""
    with pytest.raises(UnsupportedOperatorError):
        normonnx.record(onnx.parser.parse_model(CUSTOM), tmp_path / "run.bundle")
    assert not (tmp_path / "run.bundle").exists()


def test_no_path_of_this_machine_is_in_a_bundle(net: Path, tmp_path: Path) -> None:
    """It may be committed: names are relative."""
    normonnx.record(net, tmp_path / "run.bundle", tensors=False)
    found = str(bundles.read(tmp_path / "run.bundle").facts)
    assert str(tmp_path) not in found
    assert str(Path.home()) not in found
