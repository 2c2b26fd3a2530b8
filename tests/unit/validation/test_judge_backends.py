"""Backends in a validation: limits, tolerances, the oracle among them, and models as they lie."""

# ruff: noqa: ANN401  # arrays and options of every type

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import normonnx
from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.core.verdicts import BackendRun, NodePlacement, Tolerance, ValidationReport, Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
NEG = HEAD + "g (float[n] x) => (float[n] y) { y = Neg(x) }"
TEXTS = HEAD + "g (string[2] s) => (string[2] y) { y = Identity(s) }"
CUSTOM = (
    '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    "g (float[N, 2] x) => (float[N, 2] y) { y = odd.Frobnicate(x) }"
)
X = {"x": np.linspace(1, 2, 6, dtype=np.float32)}


def _judged(text: str = NEG, **options: Any) -> ValidationReport:
    return normonnx.validate(onnx.parser.parse_model(text), **options)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """A backend that answers y = -1.001 x on three of four nodes; what it was asked for."""
    asked: list[Request] = []
    places = ("there", "there", "elsewhere", "there")
    nodes = tuple(NodePlacement(f"n{i}", "Neg", place) for i, place in enumerate(places))

    def run(backend: str, request: Request) -> Outcome:
        asked.append(request)
        found = BackendRun(backend, Verdict.PASS, asked="there", nodes=nodes)
        cases = [{"y": (feeds["x"] * -1.001).astype(np.float32)} for feeds in request.cases]
        return Outcome(found, tuple(cases))

    monkeypatch.setattr(backends, "run", run)
    return asked


# --- a plain tolerance --------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, Verdict.MISMATCH),
        ({"rtol": 2e-3}, Verdict.PASS),
        ({"rtol": 5e-4}, Verdict.MISMATCH),
        ({"atol": 3e-3}, Verdict.PASS),
        ({"atol": 5e-4}, Verdict.MISMATCH),
        ({"rtol": 5e-4, "atol": 1.1e-3}, Verdict.PASS),
        ({"rtol": 0.0}, Verdict.MISMATCH),
    ],
    ids=str,
)
def test_rtol_and_atol_judge_instead_of_the_floor(
    options: dict[str, Any], verdict: Verdict
) -> None:
    """Off by a thousandth of 1 to 2; what they were is in the report."""
    found = _judged(inputs=X, **options)
    assert found.verdict is verdict
    expected = Tolerance(options.get("rtol", 0.0), options.get("atol", 0.0))
    assert found.tolerance == (expected if options else None)
    statistics = found.comparisons[0].statistics
    assert statistics is not None
    assert statistics.max_rel == pytest.approx(1e-3, rel=1e-3)


def test_a_tolerance_judges_two_models_as_well() -> None:
    """Both questions by the same measure."""
    against = onnx.parser.parse_model(NEG)
    text = (
        HEAD
        + "g (float[n] x) => (float[n] y) { k = Constant<value_float = -1.001>() y = Mul(x, k) }"
    )
    options: dict[str, Any] = {"against": against, "backends": (), "inputs": X}
    assert _judged(text, **options).verdict is Verdict.MISMATCH
    assert _judged(text, **options, rtol=2e-3).verdict is Verdict.PASS
    assert _judged(text, **options, rtol=5e-4).verdict is Verdict.MISMATCH


MISUSED = {
    "negative rtol": ({"rtol": -1e-3}, "rtol"),
    "negative atol": ({"atol": -1.0}, "atol"),
    "rtol not a number": ({"rtol": float("nan")}, "rtol"),
    "infinite atol": ({"atol": float("inf")}, "atol"),
    "coverage in percent": ({"require_coverage": 75.0}, "between 0 and 1"),
    "negative coverage": ({"require_coverage": -0.1}, "between 0 and 1"),
    "coverage not a number": ({"require_coverage": float("nan")}, "between 0 and 1"),
    "no time": ({"timeout": 0.0}, "timeout"),
    "time not a number": ({"timeout": float("nan")}, "timeout"),
    "no memory": ({"memory": 0}, "memory"),
    "an option of a backend": ({"backends": ["oracle", "ort:cpu,level=x"]}, "level 'x'"),
}


@pytest.mark.parametrize(("options", "words"), MISUSED.values(), ids=MISUSED)
def test_options_that_make_no_sense_are_refused(
    fake: list[Request], options: dict[str, Any], words: str
) -> None:
    """Before anything runs; an infinite tolerance would pass everything."""
    with pytest.raises(UsageError, match=words):
        _judged(**options)
    assert fake == []


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("required", "verdict"),
    [(0.0, Verdict.PASS), (0.75, Verdict.PASS), (0.8, Verdict.UNAVAILABLE), (1.0, Verdict.UNAVAILABLE)],
)  # fmt: skip
def test_coverage_that_is_required(required: float, verdict: Verdict) -> None:
    """Too little is unavailable, whatever the numbers are; they are in the report."""
    found = _judged(inputs=X, rtol=1e-2, require_coverage=required)
    assert found.verdict is verdict
    assert [one.verdict for one in found.comparisons] == [Verdict.PASS]
    assert found.backends[0].coverage == 0.75
    assert ("Neg 'n2' on elsewhere" in found.backends[0].reason) == bool(required > 0.75)


def test_coverage_too_small_does_not_hide_a_mismatch(fake: list[Request]) -> None:
    """Both are in the report; the numbers that were found are still wrong."""
    found = _judged(inputs=X, require_coverage=1.0)
    assert fake
    assert found.comparisons[0].verdict is Verdict.MISMATCH
    assert not found.passed


def test_limits_reach_the_backend(fake: list[Request]) -> None:
    """Time and memory."""
    _judged(inputs=X, timeout=7.0, memory=5_000_000)
    assert (fake[0].timeout, fake[0].memory) == (7.0, 5_000_000)


def test_a_backend_that_takes_too_much_memory_is_unavailable() -> None:
    """With the limit; others are judged all the same."""
    found = _judged(inputs=X, memory=1_000_000, backends=("ort:cpu", "oracle"))
    assert found.verdict is Verdict.UNAVAILABLE
    reason = "took more than 0.001 GB of memory, which is its limit"
    assert [run.reason for run in found.backends] == [reason, reason]


def test_a_single_name_is_one_backend(fake: list[Request]) -> None:
    """And not one for each of its letters."""
    found = _judged(inputs=X, backends="ort:cpu")
    assert [run.backend for run in found.backends] == ["ort:cpu"]
    assert len(fake) == 1


# --- the oracle as a backend --------------------------------------------------------------------


def test_the_oracle_alone_proves_nothing() -> None:
    """It would only be compared with itself."""
    found = _judged(backends=("oracle",))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not found.passed
    assert found.comparisons == ()
    assert found.backends[0].notes == (
        "it is the truth that others are compared with, so agreement says nothing",
    )


def test_the_oracle_does_not_spoil_what_others_prove() -> None:
    """Neither a backend's verdict nor that on two models."""
    against = onnx.parser.parse_model(NEG)
    assert _judged(backends=("oracle", "ort:cpu")).passed
    assert _judged(backends=("oracle",), against=against).passed
    other = NEG.replace("Neg", "Abs")
    assert _judged(other, backends=("oracle",), against=against).verdict is Verdict.MISMATCH


def test_an_operator_that_the_oracle_lacks_is_named() -> None:
    """Nothing can be said then, by it or by others."""
    found = _judged(CUSTOM, backends=("oracle",))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "Frobnicate" in found.comparisons[0].reason


# --- a missing backend is said first ------------------------------------------------------------


@pytest.mark.parametrize("backend", ["ort:MadeUp", "abacus", "openvino:MadeUp"])
@pytest.mark.parametrize(
    ("text", "options"),
    [(TEXTS, {}), (NEG, {"inputs": {"z": np.ones(2)}}), (CUSTOM, {}), (NEG, {"shapes": {"x": (1, 2)}})],
    ids=["inputs can't be drawn", "inputs of another name", "no truth", "a shape that does not fit"],
)  # fmt: skip
def test_a_missing_backend_is_said_whatever_else_is_amiss(
    backend: str, text: str, options: dict[str, Any]
) -> None:
    """Whoever asks for CUDA on a machine without it learns that, not the next problem."""
    found = _judged(text, backends=(backend,), **options)
    assert found.verdict is Verdict.UNAVAILABLE
    assert found.backends[0].verdict is Verdict.UNAVAILABLE


def test_misused_inputs_are_still_misuse_where_backends_are_there() -> None:
    """They are not taken for a problem of the backend."""
    with pytest.raises(UsageError, match="'z'"):
        _judged(inputs={"z": np.ones(2, np.float32)})
    with pytest.raises(UsageError, match="--inputs"):
        _judged(TEXTS)


# --- models as they lie -------------------------------------------------------------------------

WEIGHTED = HEAD + "g (float[N, 64] x) => (float[N, 64] y) <float[64, 64] w> { y = MatMul(x, w) }"
BOTH = ("ort:cpu", "openvino")


def _weighted() -> onnx.ModelProto:
    model = onnx.parser.parse_model(WEIGHTED)
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    del model.graph.initializer[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    return model


def _external(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / "mödel 中.onnx"
    onnx.save(
        _weighted(), path, save_as_external_data=True, location="wéights.bin", size_threshold=0
    )
    return path


@pytest.mark.parametrize("backend", BOTH)
def test_external_data_is_found_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    """By a relative path, names of any script, and the folder is left as it was."""
    if backend == "openvino":
        pytest.importorskip("openvino")
    path = _external(tmp_path / "a folder")
    monkeypatch.chdir(tmp_path)
    before = {one: one.stat().st_mtime_ns for one in path.parent.iterdir()}
    found = normonnx.validate(path.relative_to(tmp_path), backends=(backend,))
    assert (found.verdict, found.backends[0].reason) == (Verdict.PASS, "")
    assert {one: one.stat().st_mtime_ns for one in path.parent.iterdir()} == before


def test_links_as_in_a_cache_of_downloads_are_followed(tmp_path: Path) -> None:
    """Model and data are links to files of other names; OpenVINO refuses that, and says so."""
    pytest.importorskip("openvino")
    path, blobs = _external(tmp_path / "snapshot"), tmp_path / "blobs"
    blobs.mkdir()
    for number, found in enumerate(list(path.parent.iterdir())):
        found.rename(blobs / str(number))
        found.symlink_to(blobs / str(number))
    report = normonnx.validate(path, backends=BOTH)
    ort, openvino = report.backends
    assert (ort.verdict, ort.reason) == (Verdict.PASS, "")
    assert openvino.verdict in (
        Verdict.PASS,
        Verdict.UNAVAILABLE,
    )  # never invalid: the model is not


@pytest.mark.parametrize("load", [normonnx.load, onnx.load], ids=["ir", "proto"])
def test_a_model_in_memory_keeps_its_external_data(tmp_path: Path, load: Any) -> None:
    """It is run from a file of its own, which goes away afterwards."""
    path = _external(tmp_path / "a folder")
    found = normonnx.validate(load(path))
    assert (found.verdict, found.backends[0].reason) == (Verdict.PASS, "")


def test_a_proto_without_its_external_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line with the way out; where this process stands does not decide which file it is."""
    path = _external(tmp_path / "a folder")
    proto = onnx.load(path, load_external_data=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidModelError, match=r"tensor 'w'.*pass the model's path"):
        normonnx.validate(proto)


@pytest.mark.parametrize("backend", [*BOTH, "oracle"])
def test_many_outputs_of_many_types_are_each_judged(backend: str) -> None:
    """With names of any script; the inputs as well."""
    if backend == "openvino":
        pytest.importorskip("openvino")
    text = HEAD + "g (float[N, 8] x, int64[N, 8] z) => (float[N, 8] y, int64[N, 8] w, bool[N, 8] b)"
    model = onnx.parser.parse_model(text + "{ y = Neg(x) w = Add(z, z) b = IsInf(x) }")
    model.graph.node[2].op_type = "Not"
    model.graph.node[2].input[0] = "f"
    model.graph.node.insert(2, onnx.helper.make_node("Cast", ["z"], ["f"], to=9))
    model.graph.node[0].input[0] = model.graph.input[0].name = "été/../0:中"
    model.graph.node[0].output[0] = model.graph.output[0].name = "a b,c"
    found = normonnx.validate(model, backends=(backend, "ort:cpu"))
    assert found.passed
    assert {one.output for one in found.comparisons} == {"a b,c", "w", "b"}
