"""Assertions for other people's test suites."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest

from normonnx.core.errors import UsageError
from normonnx.core.verdicts import Verdict
from normonnx.testing import (
    assert_computes,
    assert_equivalent,
    assert_same_function,
    assert_valid,
)

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

HEAD = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'


def _model(body: str, outputs: str = "float[N, 4] y") -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} g (float[N, 4] x) => ({outputs}) {{ {body} }}")


DOUBLE, SUM = _model("y = Add(x, x)"), _model("t = Constant<value_float = 2.0>() y = Mul(t, x)")
OFF = _model("t = Constant<value_float = 2.001>() y = Mul(t, x)")
CUSTOM = _model("y = odd.Frobnicate(x)")


def test_what_is_right_gives_its_report(tmp_path: Path) -> None:
    """To look at, if one wishes; models may be files."""
    onnx.save(DOUBLE, tmp_path / "m.onnx")
    report = assert_equivalent(tmp_path / "m.onnx", SUM, profiles="all")
    assert report.passed
    assert {one.question for one in report.comparisons} == {"computes", "equivalent"}
    assert assert_computes(DOUBLE, seed=3).seed == 3


def test_what_differs_is_told(tmp_path: Path) -> None:
    """Which output, on what, by how much."""
    onnx.save(OFF, tmp_path / "off.onnx")
    with pytest.raises(AssertionError) as failed:
        assert_equivalent(tmp_path / "off.onnx", DOUBLE)
    lines = str(failed.value).splitlines()
    assert lines[0] == f"{tmp_path / 'off.onnx'} against the model given: mismatch"
    assert lines[1].startswith("  not the same function, output 'y' on ")
    assert "times the noise floor, allowed is 6; largest difference " in lines[1]
    assert len(lines) < 14


def test_many_outputs_are_not_all_told() -> None:
    """The worst, and how many more."""
    names = [f"y{i}" for i in range(30)]
    outputs = ", ".join(f"float[N, 4] {name}" for name in names)
    right = _model(" ".join(f"{name} = Neg(x)" for name in names), outputs)
    wrong = _model(" ".join(f"{name} = Abs(x)" for name in names), outputs)
    with pytest.raises(AssertionError, match="and 52 more") as failed:
        assert_equivalent(wrong, right, backends=())
    assert len(str(failed.value).splitlines()) < 14


def test_without_backends_only_the_functions_are_compared() -> None:
    """In float64."""
    report = assert_equivalent(DOUBLE, SUM, backends=())
    assert report.backends == ()
    assert {one.question for one in report.comparisons} == {"equivalent"}


def test_the_same_function_is_asked_in_float64_alone() -> None:
    """No backend is run, whatever is passed."""
    report = assert_same_function(DOUBLE, SUM, seed=1)
    assert report.backends == ()
    assert report.seed == 1
    with pytest.raises(AssertionError, match="not the same function, output 'y'"):
        assert_same_function(OFF, DOUBLE)


def test_what_is_legal_is_valid(tmp_path: Path) -> None:
    """As a file, a proto and in memory, with external data; custom operators are legal."""
    weights = onnx.numpy_helper.from_array(np.ones(4, np.float32), "w")
    model = _model("y = Add(x, w)")
    model.graph.initializer.append(weights)
    assert_valid(model)
    place = tmp_path / "m.onnx"
    onnx.save(model, place, save_as_external_data=True, location="w.bin", size_threshold=0)
    for one in (place, CUSTOM, onnx_ir.load(place)):
        assert_valid(one)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(AssertionError, match=r"m\.onnx: invalid\n  .*w\.bin"):
        assert_valid(place)


@pytest.mark.parametrize(
    "body",
    ["y = Add(x, nothing)", "y = Add(x)", "y = Frobnicate(x)", "t = Shape(x) y = Add(x, t)"],
)
def test_what_is_illegal_is_not(body: str) -> None:
    """Dangling inputs, too few of them, operators that ONNX hasn't, types that don't fit."""
    with pytest.raises(AssertionError, match="the model given: invalid\n  "):
        assert_valid(_model(body))


def test_nothing_compared_never_passes() -> None:
    """A custom operator, the truth asked about itself, a backend that is missing."""
    with pytest.raises(AssertionError, match=r"inconclusive|unavailable|invalid"):
        assert_computes(CUSTOM)
    with pytest.raises(AssertionError, match="nothing was compared"):
        assert_computes(DOUBLE, backends=("oracle",))
    with pytest.raises(AssertionError, match=r"unavailable\n  nothing was compared\n  abacus: "):
        assert_computes(DOUBLE, backends=("abacus",))


def test_options_are_those_of_validate() -> None:
    """Tolerance, factor, inputs and shapes."""
    report = assert_equivalent(OFF, DOUBLE, rtol=1e-2)
    assert report.tolerance is not None
    assert report.tolerance.rtol == 1e-2
    with pytest.raises(AssertionError):
        assert_equivalent(OFF, DOUBLE, rtol=1e-5)
    assert assert_equivalent(OFF, DOUBLE, factor=1e6).verdict is Verdict.PASS
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert {one.case for one in assert_computes(DOUBLE, inputs={"x": x}).comparisons} == {"given"}
    assert_computes(DOUBLE, shapes={"x": (3, 4)}, atol=1e-3)
    with pytest.raises(UsageError):
        assert_computes(DOUBLE, profiles="wrong")


@pytest.mark.parametrize("heavy", ["onnx", "onnx_ir", "onnxruntime", "rich", "torch"])
def test_importing_it_is_light(heavy: str) -> None:
    """A test suite pays only when it asks."""
    code = f"import normonnx.testing, sys; print({heavy!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
