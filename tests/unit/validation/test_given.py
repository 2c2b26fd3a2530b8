"""Inputs that a user gives: files of several kinds, checked against the model."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx.numpy_helper import from_array

import normonnx
from normonnx.core.errors import UsageError
from normonnx.core.verdicts import BackendRun, Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request
from normonnx.validation.given import given

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
TWO = (
    HEAD + "g (float[N, 2] a, int64[2] b) => (float[N, 2] y) { c = Cast<to = 1>(b) y = Add(a, c) }"
)
ONE = HEAD + "g (float[N, 2] x) => (float[N, 2] y) { y = Neg(x) }"
A, B = np.ones((3, 2), np.float32), np.ones(2, np.int64)
X = np.array([[1, 2], [3, 4]], np.float32)


def _model(text: str = TWO) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(text))


def _pb(path: Path, array: Any, name: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(from_array(np.asarray(array), name).SerializeToString())
    return path


def test_inputs_may_be_given_as_arrays_or_as_a_file(tmp_path: Path) -> None:
    """By name, or in an .npz with those names."""
    np.savez(tmp_path / "in.npz", a=A, b=B)
    for source in ({"a": A, "b": B}, tmp_path / "in.npz", str(tmp_path / "in.npz")):
        (case,) = given(_model(), source)
        assert np.array_equal(case.feeds["a"], A)
        assert case.name == "given"


def test_one_array_is_that_of_the_one_input(tmp_path: Path) -> None:
    """An .npy or a .pb needs no name where there is nothing to choose."""
    np.save(tmp_path / "x.npy", X)
    for source in (tmp_path / "x.npy", _pb(tmp_path / "x.pb", X)):
        (case,) = given(_model(ONE), source)
        assert np.array_equal(case.feeds["x"], X)


def test_arrays_with_names_are_one_case(tmp_path: Path) -> None:
    """NAME=FILE for each input; kinds of files may be mixed, and names hold equals signs."""
    np.save(tmp_path / "a=b.npy", A)
    pb = _pb(tmp_path / "b.pb", B)
    (case,) = given(_model(), [f"a={tmp_path / 'a=b.npy'}", f"b={pb}"])
    assert set(case.feeds) == {"a", "b"}
    odd = _model()
    odd.graph.inputs[0].name = "a=1"
    (case,) = given(odd, [f"a=1={tmp_path / 'a=b.npy'}", f"b={pb}"])
    assert set(case.feeds) == {"a=1", "b"}


def test_several_sources_are_several_cases(tmp_path: Path) -> None:
    """Named after their files, no name twice."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "in.npz", a=A, b=B)
    sources: list[Any] = [
        tmp_path / "one" / "in.npz",
        tmp_path / "two" / "in.npz",
        {"a": A, "b": B},
    ]
    assert [case.name for case in given(_model(), sources)] == ["in", "in-2", "given"]


def test_a_folder_of_test_data_is_read(tmp_path: Path) -> None:
    """Each test_data_set_N is a case, in order of N; arrays without names go by position."""
    for number in (0, 10, 2):
        folder = tmp_path / f"test_data_set_{number}"
        _pb(folder / "input_0.pb", A * number)
        _pb(folder / "input_1.pb", B)
        _pb(folder / "output_0.pb", A * number + 1)
    cases = given(_model(), tmp_path)
    assert [case.name for case in cases] == [f"test_data_set_{n}" for n in (0, 2, 10)]
    assert [float(case.feeds["a"][0, 0]) for case in cases] == [0, 2, 10]
    assert cases[2].expected["y"].dtype == np.float64
    (alone,) = given(_model(), tmp_path / "test_data_set_2")
    assert np.array_equal(alone.feeds["b"], B)


def test_arrays_of_test_data_go_by_name_where_they_have_them(tmp_path: Path) -> None:
    """Whatever their numbers are."""
    _pb(tmp_path / "input_0.pb", B, "b")
    _pb(tmp_path / "input_1.pb", A, "a")
    (case,) = given(_model(), tmp_path)
    assert case.feeds["a"].shape == (3, 2)


def test_narrow_floats_survive_an_npz(tmp_path: Path) -> None:
    """NumPy stores bfloat16 as two plain bytes."""
    array = X.astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "in.npz", x=array)
    model = _model(ONE.replace("float[", "bfloat16["))
    (case,) = given(model, tmp_path / "in.npz")
    assert case.feeds["x"].dtype == ml_dtypes.bfloat16
    assert np.array_equal(case.feeds["x"].astype(np.float32), X)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"a": A}, "no array was given for input 'b'"),
        ({"a": A, "b": B, "c": B}, "no input 'c'; it has a, b"),
        ({"a": A.astype(np.float64), "b": B}, "'a' has type float64, expected float32"),
        ({"a": A[:, :1], "b": B}, r"\[3, 1\].*'a'.*\['N', 2\]"),
        ({"a": A[0], "b": B}, r"\[2\].*'a'"),
        ({"a": A, "b": B, "expected:z": A}, "'expected:z' names no output of the model; it has y"),
        ({"a": A, "b": B, "expected:y": A[0]}, r"\[2\] for output 'y'"),
        ({"a": A, "b": B, "expected:y": A.astype(int)}, "output 'y' has type int64, expected f"),
        ({"a": A, "b": B, "floor:y": A}, "'floor:y' must be one positive number"),
        ({"a": A, "b": B, "floor:y": -1.0}, "'floor:y' must be one positive number"),
        ({"a": A, "b": B, "floor:y": np.nan}, "'floor:y' must be one positive number"),
        ([], "no inputs were given"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: Any, words: str) -> None:
    """Naming the input, what was found and what was expected."""
    with pytest.raises(UsageError, match=words):
        given(_model(), inputs)


@pytest.mark.parametrize("content", [b"", b"no archive", None, "one array", "pickled"])
def test_a_file_that_holds_no_inputs_is_refused(tmp_path: Path, content: Any) -> None:
    """Missing, empty, of another format, a single array, or objects that would run code."""
    path = tmp_path / "in.npz"
    if content == "one array":
        with path.open("wb") as file:
            np.save(file, A)
    elif content == "pickled":
        np.savez(path, a=np.asarray([{}], object), b=B)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"in\.npz"):
        given(_model(), path)


def _external(path: Path) -> None:
    tensor = from_array(X, "x")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(tensor.SerializeToString())


BROKEN: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an empty .npy": ("x.npy", lambda path: path.write_bytes(b"")),
    "a damaged .npy": ("x.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00" + bytes(9))),
    "objects": ("x.npy", lambda path: np.save(path, np.asarray([{}], object))),
    "a missing .npy": ("x.npy", lambda _: None),
    "an empty .pb": ("x.pb", lambda path: path.write_bytes(b"")),
    "a damaged .pb": ("x.pb", lambda path: path.write_bytes(b"\xff" * 40)),
    "a truncated .pb": (
        "x.pb",
        lambda path: path.write_bytes(from_array(X, "x").SerializeToString()[:-3]),
    ),
    "numbers elsewhere": ("x.pb", _external),
    "a missing .pb": ("x.pb", lambda _: None),
    "an empty folder": ("x", lambda path: path.mkdir()),
    "too many inputs": ("x", lambda path: [_pb(path / f"input_{n}.pb", X) for n in (0, 1)]),
    "a wrong type": ("x.npy", lambda path: np.save(path, X.astype(np.int8))),
    "a wrong rank": ("x.npy", lambda path: np.save(path, X[0])),
}


@pytest.mark.parametrize(("name", "make"), BROKEN.values(), ids=BROKEN)
def test_damaged_files_are_refused(
    tmp_path: Path, name: str, make: Callable[[Path], object]
) -> None:
    """In one line, naming the file or the input."""
    make(tmp_path / name)
    with pytest.raises(UsageError, match=r"x\.npy|x\.pb|/x holds|'x'") as refused:
        given(_model(ONE), tmp_path / name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["x.npy"], "say which, as NAME="),
        (["z=x.npy"], "no input 'z'.*it has a, b"),
        (["a=x.npy", "a=x.npy"], "'a' was given twice"),
        (["a=x.npy"], "no array was given for input 'b'"),
    ],
)
def test_one_array_of_several_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: list[str], words: str
) -> None:
    """And rightly."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", A)
    with pytest.raises(UsageError, match=words):
        given(_model(), sources)


# --- what is expected ---------------------------------------------------------------------------


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A backend that answers with what this list holds."""
    held: list[Any] = []

    def run(backend: str, request: Request) -> Outcome:
        found = BackendRun(backend, Verdict.PASS)
        return Outcome(found, tuple({"y": held[0]} for _ in request.cases))

    monkeypatch.setattr(backends, "run", run)
    return held


U = 2.0**-24


@pytest.mark.parametrize(
    ("off", "floor", "verdict"),
    [
        (15.0, 1.0, Verdict.PASS),
        (17.0, 1.0, Verdict.MISMATCH),
        (150.0, 10.0, Verdict.PASS),
        (170.0, 10.0, Verdict.MISMATCH),
        (30.0, 1e-9, Verdict.MISMATCH),
    ],
)
@pytest.mark.parametrize("text", [ONE, ONE.replace("Neg", "odd.Unknown")], ids=["known", "custom"])
def test_a_truth_and_a_floor_that_are_given_are_what_is_judged_by(
    answers: list[Any], tmp_path: Path, text: str, off: float, floor: float, verdict: Verdict
) -> None:
    """Not the oracle's, which here says something else, or nothing at all."""
    truth = X.astype(np.float64) * 1.25
    answers.append((truth * (1 + off * U)).astype(np.float64).astype(np.float32))
    text = text.replace('["": 17]', '["": 17, "odd": 1]')
    arrays: dict[str, Any] = {"x": X, "expected:y": truth, "floor:y": floor}
    np.savez(tmp_path / "in.npz", **arrays)
    found = normonnx.validate(onnx.parser.parse_model(text), inputs=tmp_path / "in.npz")
    (one,) = found.comparisons
    assert found.verdict is verdict, one
    assert one.floor == pytest.approx(max(floor, 0.5), rel=1e-6)
    assert one.error == pytest.approx(off, abs=1)


def test_a_truth_without_a_floor_takes_that_of_the_model(answers: list[Any]) -> None:
    """How far the model's outputs move, about the truth that was given."""
    answers.append(X * 2)
    proto = onnx.parser.parse_model(ONE)
    right = normonnx.validate(proto, inputs={"x": X, "expected:y": X * 2})
    wrong = normonnx.validate(proto, inputs={"x": X, "expected:y": X * 2.001})
    assert (right.verdict, wrong.verdict) == (Verdict.PASS, Verdict.MISMATCH)
    assert 0.4 < right.comparisons[0].floor < 1
    assert wrong.comparisons[0].floor < 1


def test_stored_outputs_of_test_data_are_the_truth(answers: list[Any], tmp_path: Path) -> None:
    """As in ONNX's backend tests: does the backend reproduce them?"""
    answers.append(-X)
    for name, array, verdict in (("good", -X, Verdict.PASS), ("bad", -X - 1, Verdict.MISMATCH)):
        _pb(tmp_path / name / "input_0.pb", X)
        _pb(tmp_path / name / "output_0.pb", array)
        found = normonnx.validate(onnx.parser.parse_model(ONE), inputs=tmp_path / name)
        assert found.verdict is verdict


def test_against_another_model_the_oracle_counts(answers: list[Any]) -> None:
    """Whether two models are the same function has nothing to do with what is expected of one."""
    answers.append(X * 2)
    proto = onnx.parser.parse_model(ONE)
    inputs: dict[str, Any] = {"x": X, "expected:y": X * 2, "floor:y": 1.0}
    found = normonnx.validate(proto, against=proto, inputs=inputs)
    assert found.verdict is Verdict.PASS
    assert {one.question for one in found.comparisons} == {"computes", "equivalent"}
