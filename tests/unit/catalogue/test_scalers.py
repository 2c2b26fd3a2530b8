"""scikit-learn's scalers and Normalizer: the numbers of scikit-learn, in every form and type."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Array
from normonnx.core.dtypes import unit_roundoff
from normonnx.core.errors import UnsupportedOperatorError, UsageError
from normonnx.runtime.oracle import evaluate
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import forms_at, highest_opset, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT = 16.0
OPSETS = (7, 9, 11, 13, 14, 17, 18, 21, 23, highest_opset())
FEATURES = 7
SCALES = (1e-4, 1.0, 1e4)

ESTIMATORS: list[tuple[str, dict[str, Any], str]] = [
    ("StandardScaler", {}, "StandardScaler"),
    ("StandardScaler", {"with_mean": False}, "StandardScaler"),
    ("StandardScaler", {"with_std": False}, "StandardScaler"),
    ("StandardScaler", {"with_mean": False, "with_std": False}, "StandardScaler"),
    ("StandardScaler", {"copy": False}, "StandardScaler"),
    ("RobustScaler", {}, "RobustScaler"),
    ("RobustScaler", {"with_centering": False}, "RobustScaler"),
    ("RobustScaler", {"with_scaling": False}, "RobustScaler"),
    ("RobustScaler", {"quantile_range": (5.0, 80.0), "unit_variance": True}, "RobustScaler"),
    ("MaxAbsScaler", {}, "MaxAbsScaler"),
    ("MaxAbsScaler", {"clip": True}, "MaxAbsScaler"),
    ("MinMaxScaler", {}, "MinMaxScaler"),
    ("MinMaxScaler", {"feature_range": (-1, 1), "clip": True}, "MinMaxScaler"),
    ("MinMaxScaler", {"feature_range": (0.25, 8.5), "copy": False}, "MinMaxScaler"),
    ("Normalizer", {"norm": "l1"}, "Normalizer"),
    ("Normalizer", {}, "Normalizer"),
    ("Normalizer", {"norm": "max"}, "Normalizer"),
]
IDS = [" ".join([name, *(f"{k}={v}" for k, v in given.items())]) for name, given, _ in ESTIMATORS]


def _data(scale: float, *, seed: int = 0, rows: int = 60) -> Array:
    """Rows of features about 0, one of them constant."""
    x = np.random.default_rng(seed).standard_normal((rows, FEATURES)) * scale
    x[:, 2] = 0.5 * scale
    return x


def _estimator(name: str, given: Mapping[str, Any], scale: float | None) -> Any:  # noqa: ANN401  # of scikit-learn
    """Fitted to data of that scale, with a feature of zeros."""
    reason = "scalers are read from it: install normonnx[sklearn]"
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason=reason)
    made = getattr(preprocessing, name)(**given)
    if scale is None:
        return made
    x = _data(scale)
    x[:, 4] = 0
    return made.fit(x)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("name", "given", "norm"), ESTIMATORS, ids=IDS)
def test_the_reference_is_scikit_learn(
    name: str, given: dict[str, Any], norm: str, scale: float
) -> None:
    """To 1e-12 in float64, with every option, new data, a constant feature and a row of zeros."""
    estimator = _estimator(name, given, scale)
    x = _data(2 * scale, seed=1)
    x[3] = 0
    call = CATALOGUE.from_layer(estimator, x.shape, np.float64)
    assert call.norm.name == norm
    wanted = estimator.transform(x.copy())
    np.testing.assert_allclose(call.reference(x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize(("name", "given", "norm"), ESTIMATORS, ids=IDS)
def test_every_form_of_a_fitted_estimator(
    name: str, given: dict[str, Any], norm: str, dtype: npt.DTypeLike
) -> None:
    """Its statistics stay float64 in the model, and each form is right within 16 roundoffs."""
    for scale in SCALES:
        estimator = _estimator(name, given, scale)
        x = _data(scale, seed=1).astype(dtype)
        x[3] = 0
        call = CATALOGUE.from_layer(estimator, ("N", FEATURES), dtype)
        assert call.norm.name == norm
        truth = call.reference(x)
        for opset in OPSETS:
            if dtype == ml_dtypes.bfloat16 and opset < 13:
                continue  # ONNX has no bfloat16 before
            for form in forms_at(call, opset):
                y = run(call.model(form, opset=opset), {"X": x})[0]
                assert y.dtype == x.dtype
                error = relative_error(y.astype(np.float64), truth, unit_roundoff(dtype))
                assert error <= LIMIT, (scale, opset, form)


def test_forms_tell_a_wrong_scaler() -> None:
    """So the test above can fail: another mean is off by thousands."""
    x = _data(1.0).astype(np.float32)
    call = CATALOGUE["StandardScaler"].define(x.shape, mean=np.full(FEATURES, 0.01))
    y = run(call.model("native"), {"X": x})[0].astype(np.float64)
    other = CATALOGUE["StandardScaler"].reference(x)
    assert relative_error(y, other, 2.0**-24) > 1000


UNFITTED = ["StandardScaler", "RobustScaler", "MaxAbsScaler", "MinMaxScaler"]


@pytest.mark.parametrize("name", UNFITTED)
def test_an_unfitted_estimator_is_refused(name: str) -> None:
    """With the way out."""
    with pytest.raises(UsageError, match=rf"{name} is not fitted.*{name}\.fit\(X\)"):
        CATALOGUE.from_layer(_estimator(name, {}, None), ("N", FEATURES))


def test_normalizer_needs_no_fit() -> None:
    """It learns nothing."""
    call = CATALOGUE.from_layer(_estimator("Normalizer", {"norm": "l1"}, None), ("N", 3))
    assert call.attributes["norm"] == 1.0


@pytest.mark.parametrize("scale", [1e-17, 1e-300])
@pytest.mark.parametrize("name", ["MinMaxScaler", "MaxAbsScaler", "StandardScaler"])
def test_what_is_constant_within_roundoff(name: str, scale: float) -> None:
    """scikit-learn takes spreads below ten roundoffs for 0, and so do we."""
    x = _data(scale)
    estimator = _estimator(name, {}, None).fit(x)
    call = CATALOGUE.from_layer(estimator, x.shape)
    np.testing.assert_allclose(call.reference(x), estimator.transform(x), rtol=1e-12, atol=0)


@functools.cache
def _vector(*values: float) -> Array:
    return np.array(values, np.float64)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_of_zeros_stay_zero(norm: str, opset: int) -> None:
    """In every form, and beside rows that are not."""
    x = np.zeros((3, 4), np.float32)
    x[1] = [1, -2, 3, -4]
    call = CATALOGUE["Normalizer"].define(("N", 4), norm=norm)
    for form in forms_at(call, opset):
        y = run(call.model(form, opset=opset), {"X": x})[0]
        assert not y[[0, 2]].any(), form
        assert np.allclose(y, call.reference(x), rtol=1e-6), form


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_huge_and_tiny_rows_in_the_function(norm: str) -> None:
    """No square overflows or vanishes: rows are divided by their largest first."""
    x = np.random.default_rng(0).standard_normal((2, 6)) * np.array([[1e30], [1e-30]])
    x = x.astype(np.float32)
    call = CATALOGUE["Normalizer"].define(x.shape, norm=norm)
    y = run(call.model("function"), {"X": x})[0]
    assert np.allclose(y, call.reference(x), rtol=1e-6)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 5), (2, 2, 3, 5)])
def test_rows_lie_along_the_last_axis_at_any_rank(norm: str, shape: tuple[int, ...]) -> None:
    """The operator of ai.onnx.ml is for matrices alone and is not offered."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    call = CATALOGUE["Normalizer"].define(shape, norm=norm)
    for opset in (7, 13, 18):
        names = list(forms_at(call, opset))
        assert "native" not in names
        for form in names:
            y = run(call.model(form, opset=opset), {"X": x})[0]
            assert np.allclose(y, call.reference(x), rtol=1e-6), (opset, form)


def test_nan_stays_where_it_is() -> None:
    """A missing value is no zero, and is clipped to nothing."""
    x = np.array([[np.nan, 5.0], [0.5, -5.0]], np.float32)
    bounds = {"minimum": np.zeros(1), "maximum": np.ones(1)}
    call = CATALOGUE["MinMaxScaler"].define(x.shape, scale=np.ones(2), **bounds)
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x})[0]
            assert np.array_equal(y, [[np.nan, 1], [0.5, 0]], equal_nan=True), (opset, form)
    whole = CATALOGUE["Normalizer"].define(x.shape, norm="l1")
    y = run(whole.model("Reduce-Div"), {"X": x})[0]
    assert np.isnan(y[0]).all()


def test_statistics_may_be_inputs() -> None:
    """Given as shapes, they are fed at run time, zeros among them."""
    x, limits = _data(1.0).astype(np.float32), np.array([1, 2, 0, 3, 1, 1, 1], np.float32)
    call = CATALOGUE["MaxAbsScaler"].define(("N", FEATURES), max_abs=(FEATURES,))
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x, "max_abs": limits})[0]
            assert np.allclose(y, call.reference(x, max_abs=limits), rtol=1e-6), (opset, form)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("StandardScaler", {"mean": _vector(0, np.nan)}, "mean holds nan at place 1"),
    ("StandardScaler", {"scale": _vector(np.inf, 1)}, "scale holds inf at place 0"),
    ("StandardScaler", {"scale": _vector(1, 0)}, "scale is 0 at place 1"),
    ("StandardScaler", {"scale": _vector(1, -2)}, "scale is -2 at place 1"),
    ("StandardScaler", {"mean": _vector(1, 2, 3)}, r"mean has shape \(3\); expected \(2\)"),
    ("StandardScaler", {"mean": np.arange(2)}, "mean is int64; expected floating-point"),
    ("StandardScaler", {"median": _vector(1, 2)}, "has no 'median'; it takes mean, scale"),
    ("RobustScaler", {"center": _vector(np.nan)}, "center holds nan"),
    ("RobustScaler", {"scale": _vector(0)}, "scale is 0 at place 0"),
    ("MaxAbsScaler", {}, "max_abs is missing"),
    ("MaxAbsScaler", {"max_abs": _vector(1, -1)}, "max_abs is -1 at place 1; expected 0 or more"),
    ("MaxAbsScaler", {"max_abs": _vector(1), "clip": 2}, r"clip is 2; expected 'no' \(0\)"),
    ("MinMaxScaler", {"shift": _vector(0)}, "scale is missing"),
    ("MinMaxScaler", {"scale": _vector(1, 0)}, "scale is 0 at place 1; expected numbers greater"),
    (
        "MinMaxScaler",
        {"scale": _vector(1), "minimum": _vector(1), "maximum": _vector(1)},
        "minimum is 1 and maximum 1; expected minimum < maximum",
    ),
    (
        "MinMaxScaler",
        {"scale": _vector(1), "minimum": _vector(0, 0)},
        r"minimum has shape \(2\); expected \(1\)",
    ),
    ("Normalizer", {"norm": 3.0}, r"norm is 3.0; expected 'l1' \(1.0\) or 'l2'"),
    ("Normalizer", {"norm": "l3"}, "norm is 'l3'"),
    ("Normalizer", {"least": -1.0}, "least is -1.0; expected 0 or more"),
]


@pytest.mark.parametrize(("name", "given", "words"), REFUSED)
def test_refused(name: str, given: dict[str, Any], words: str) -> None:
    """With the value found and the value expected."""
    with pytest.raises(UsageError, match=words):
        CATALOGUE[name].define(("N", 2), **given)


NOT_NATIVE: list[tuple[str, dict[str, Any], Any, tuple[Any, ...], str]] = [
    ("StandardScaler", {}, np.float64, ("N", 2), "X is float64 and the operator gives float32"),
    ("StandardScaler", {}, np.float16, ("N", 2), "X is float16 and the operator gives float32"),
    ("StandardScaler", {}, np.float32, ("N", 3, 2), "X has rank 3"),
    ("StandardScaler", {"mean": (2,)}, np.float32, ("N", 2), "mean is an input"),
    ("RobustScaler", {"scale": _vector(1e-50)}, np.float32, ("N", 2), "scale or its reciprocal"),
    ("RobustScaler", {"center": _vector(1e50)}, np.float32, ("N", 2), "center or its reciprocal"),
    ("Normalizer", {"norm": "max"}, np.float32, ("N", 2), r"divides by max\(x\), not by max \|x\|"),
    ("Normalizer", {}, np.float32, (2,), "X has rank 1, not 2"),
    ("StandardScaler", {"stash_type": 11}, np.float32, ("N", 2), "it is computed in float64"),
    ("Normalizer", {"stash_type": "float64"}, np.float32, ("N", 2), "it is computed in float64"),
    ("Normalizer", {"least": 1e-6}, np.float32, ("N", 2), "a norm below 1e-06 counts as 0"),
]


@pytest.mark.parametrize(("name", "given", "dtype", "shape", "words"), NOT_NATIVE)
def test_the_native_operator_is_not_for_every_call(
    name: str, given: dict[str, Any], dtype: npt.DTypeLike, shape: tuple[Any, ...], words: str
) -> None:
    """The reason is said, and the other forms remain."""
    call = CATALOGUE[name].define(shape, dtype, **given)
    assert "native" not in [form.name for form in call.forms]
    assert call.forms
    with pytest.raises(UsageError, match=words):
        call.model("native")


def test_native_scaler_widens_what_is_short() -> None:
    """The operator wants both attributes of one length."""
    x = _data(1.0).astype(np.float32)
    call = CATALOGUE["StandardScaler"].define(x.shape, mean=np.arange(7.0), scale=np.full(1, 3.0))
    y = run(call.model("native"), {"X": x})[0]
    assert np.allclose(y, call.reference(x), rtol=1e-6, atol=1e-6)


def _ml(node: str, x: Array) -> ir.Model:
    """A model of one operator of ai.onnx.ml."""
    kind = {"float32": "float", "float64": "double"}[str(x.dtype)]
    dims = ",".join(map(str, x.shape))
    text = (
        '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]>'
        f" g ({kind}[{dims}] X) => (float[{dims}] Y) {{ Y = ai.onnx.ml.{node}(X) }}"
    )
    return ir.from_proto(onnx.parser.parse_model(text))


READ = [
    "Scaler <offset = [1.0, 2.0, 3.0], scale = [0.5, 2.0, 4.0]>",
    "Scaler <offset = [1.0], scale = [0.5]>",
    "Scaler <offset = [1.0, 0.0, 3.0], scale = [0.0, -2.0, 4.0]>",
    'Normalizer <norm = "L1">',
    'Normalizer <norm = "L2">',
]


@pytest.mark.parametrize("node", READ)
def test_operators_are_read(node: str) -> None:
    """The oracle evaluates them by the catalogue's formulas, as ONNX Runtime does."""
    x = np.array([[1, -3, 2], [0, 0, 0], [-1, -2, -0.5]], np.float32)
    model = _ml(node, x)
    assert np.allclose(evaluate(model, {"X": x})["Y"], run(model, {"X": x})[0], rtol=1e-6)


def test_max_is_read_where_its_two_meanings_agree() -> None:
    """The specification divides by max(x), ONNX's reference and scikit-learn by max |x|."""
    model = _ml('Normalizer <norm = "MAX">', np.zeros((2, 3), np.float32))
    x = np.array([[1, -3, 4], [0, 0, 0]], np.float32)
    assert np.allclose(evaluate(model, {"X": x})["Y"], run(model, {"X": x})[0], rtol=1e-6)
    x[0, 1] = -5
    assert run(model, {"X": x})[0][0, 1] == -1.25  # why MAX is no native form
    with pytest.raises(UnsupportedOperatorError, match=r"X / max\(X\) in its specification"):
        evaluate(model, {"X": x})


def test_scaler_of_many_axes_is_refused() -> None:
    """Nothing says which axis has the features; ONNX Runtime takes axis 1."""
    x = np.zeros((2, 3, 3), np.float32)
    model = _ml("Scaler <offset = [1.0, 2.0, 3.0], scale = [1.0, 1.0, 1.0]>", x)
    with pytest.raises(UnsupportedOperatorError, match="X has rank 3"):
        evaluate(model, {"X": x})


NAMES = {
    "ZScore": "StandardScaler",
    "zscorescaler": "StandardScaler",
    "Standard": "StandardScaler",
    "Scaler": "StandardScaler",
    "MinMax": "MinMaxScaler",
    "Robust": "RobustScaler",
    "MaxAbs": "MaxAbsScaler",
    "sklearn.preprocessing.Normalizer": "Normalizer",
}


@pytest.mark.parametrize(("name", "norm"), NAMES.items())
def test_names(name: str, norm: str) -> None:
    """Those of the field."""
    assert CATALOGUE[name].name == norm
