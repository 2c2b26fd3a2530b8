"""YeoJohnson and BoxCox: nothing cancels, at any lambda and any magnitude of X."""

from __future__ import annotations

import decimal
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Array
from normonnx.core.dtypes import unit_roundoff
from normonnx.core.errors import UsageError
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import forms_at, highest_opset, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT = 64.0
OPSETS = (7, 9, 11, 13, 14, 17, 18, 21, 23, highest_opset())
SCALES = (1e-4, 1.0, 1e4)
NEAR = [sign * 10.0**power for power in (-15, -9, -6, -3, -1) for sign in (-1, 1)]
LAMBDAS = np.array([*np.linspace(-3, 5, 33), *NEAR, *(2 + each for each in NEAR)])
POWERS = ("YeoJohnson", "BoxCox")


def _input(name: str, scale: float, columns: int = len(LAMBDAS), rows: int = 50) -> Array:
    x = np.random.default_rng(0).standard_normal((rows, columns)) * scale
    return np.abs(x) if name == "BoxCox" else x


def _call(name: str, dtype: npt.DTypeLike = np.float32, **given: Any) -> NormCall:  # noqa: ANN401  # parameters
    return CATALOGUE[name].define(("N", len(LAMBDAS)), dtype, **{"lambdas": LAMBDAS, **given})


def _columns(y: Array, truth: Array, dtype: npt.DTypeLike) -> float:
    """The largest error of a column, so that no feature hides behind a larger one."""
    found = y.astype(np.float64)
    u = unit_roundoff(dtype)
    return max(relative_error(found[:, i], truth[:, i], u) for i in range(y.shape[1]))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", POWERS)
def test_every_lambda_in_float32(name: str, scale: float, opset: int) -> None:
    """Each feature within 64 roundoffs, in float64 and in float32, and nothing infinite or NaN."""
    x = _input(name, scale).astype(np.float32)
    call = _call(name)
    truth = call.reference(x)
    names = list(forms_at(call, opset))
    assert {"in float64", "in float32"} <= set(names)
    for form in names:
        y = run(call.model(form, opset=opset), {"X": x})[0]
        assert np.isfinite(y).all(), form
        assert _columns(y, truth, np.float32) <= (1 if form != "in float32" else LIMIT), form


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("name", POWERS)
def test_every_lambda_in_other_types(name: str, dtype: npt.DTypeLike) -> None:
    """Where the truth leaves float16, so does the result, and no branch makes NaN."""
    for scale in SCALES:
        x = np.clip(_input(name, scale), -6e4, 6e4).astype(dtype)
        x = np.where(x == 0, np.asarray(1e-4, dtype), x)
        call = _call(name, dtype)
        truth = call.reference(x)
        with np.errstate(over="ignore"):
            fits = np.isfinite(truth.astype(dtype))
        for opset in OPSETS:
            if dtype == ml_dtypes.bfloat16 and opset < 13:
                continue  # ONNX has no bfloat16 before
            for form in forms_at(call, opset):
                y = run(call.model(form, opset=opset), {"X": x})[0]
                assert not np.isnan(y.astype(np.float64)).any(), (scale, opset, form)
                found, wanted = y[fits].astype(np.float64), truth[fits]
                assert relative_error(found, wanted, unit_roundoff(dtype)) <= 16, (opset, form)


def test_as_it_is_written_it_cancels() -> None:
    """So the tests above can fail: ((1 + x)^lambda - 1) / lambda in float32 is off by thousands."""
    x = np.abs(_input("YeoJohnson", 1e-4)).astype(np.float32)
    power = np.float32(0.5)
    found = ((1 + x) ** power - 1) / power
    truth = CATALOGUE["YeoJohnson"].reference(x, lambdas=np.full(1, 0.5))
    assert relative_error(found.astype(np.float64), truth, 2.0**-24) > 1000


@pytest.mark.parametrize("power", [-3.0, -1e-12, 0.0, 1e-300, 1e-9, 0.3, 1.0, 2.0, 2 + 1e-9, 5.0])
@pytest.mark.parametrize("name", POWERS)
def test_the_truth_is_right_to_the_last_digits(name: str, power: float) -> None:
    """Against 60 decimal digits."""
    values = [1e-12, 3e-5, 0.2, 0.999999, 1.0, 1.7, 12345.6789]
    if name == "YeoJohnson":
        values += [-each for each in values]
    found = CATALOGUE[name].reference(np.array(values), lambdas=np.array([power]))
    with decimal.localcontext(prec=400):
        wanted = [float(_exactly(name, each, power)) for each in values]
    np.testing.assert_allclose(found, wanted, rtol=4e-15, atol=0)


def _exactly(name: str, value: float, power: float) -> decimal.Decimal:
    x, p = decimal.Decimal(value), decimal.Decimal(power)
    sign = 1
    if name == "YeoJohnson":
        sign, p = (-1, 2 - p) if x < 0 else (1, p)
        x = 1 + abs(x)
    return sign * (x.ln() if p == 0 else ((p * x.ln()).exp() - 1) / p)


@pytest.mark.parametrize("opset", OPSETS)
def test_where_the_power_vanishes(opset: int) -> None:
    """(1 + |x|)^-38 is 0 in float32, and what remains is 1 / 38."""
    x = np.array([[-1e4, -1e30, -3.0]], np.float32)
    call = CATALOGUE["YeoJohnson"].define(x.shape, lambdas=np.full(1, 40.0))
    for form in forms_at(call, opset):
        y = run(call.model(form, opset=opset), {"X": x})[0]
        assert np.allclose(y, -1 / 38, rtol=1e-6), form


@pytest.mark.parametrize("opset", OPSETS)
def test_what_overflows_is_infinite(opset: int) -> None:
    """And no NaN, nor anything to its neighbours, also where there is no Where."""
    x = np.array([[1e4, -1e4, 0.0]], np.float32)
    call = CATALOGUE["YeoJohnson"].define(x.shape, lambdas=np.full(1, 40.0))
    for form in forms_at(call, opset):
        y = run(call.model(form, opset=opset), {"X": x})[0]
        assert y[0, 0] == np.inf, form
        assert np.allclose(y[0, 1:], [-1 / 38, 0], rtol=1e-6), form


@pytest.mark.parametrize("name", POWERS)
def test_large_numbers(name: str) -> None:
    """1e30 neither overflows on the way nor spoils its neighbours."""
    x = np.array([[1e30, 1e-30, 1e30, 2.0]], np.float32)
    call = CATALOGUE[name].define(x.shape, lambdas=np.array([0.0, 0.0, -2.0, 1.2]))
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x})[0]
            assert np.allclose(y, call.reference(x), rtol=1e-6, atol=0), (opset, form)


def test_float32_on_request() -> None:
    """With stash_type float32 the function computes in it, and there is no form in float64."""
    call = _call("YeoJohnson", stash_type="float32")
    x = _input("YeoJohnson", 1.0).astype(np.float32)
    assert [form.name for form in call.forms] == ["in float32"]
    with pytest.raises(UsageError, match="stash_type is float32"):
        call.model("in float64")
    y = run(call.model("function"), {"X": x})[0]
    assert 1 < _columns(y, call.reference(x), np.float32) <= LIMIT


def test_a_mean_that_drowns_float32() -> None:
    """What is left after subtracting 1,000 deviations has lost three digits; float64 has them."""
    mean, scale = np.full(1, 100.0), np.full(1, 0.1)
    call = _call("YeoJohnson", mean=mean, scale=scale)
    assert [form.name for form in call.forms] == ["in float64"]
    with pytest.raises(UsageError, match="a mean is 1000 times its scale"):
        call.model("in float32")
    with pytest.raises(UsageError, match="X is float64"):
        _call("YeoJohnson", np.float64).model("in float32")


def test_standardizing_parameters_may_be_inputs() -> None:
    """And lambdas, too."""
    call = _call("BoxCox", lambdas=(len(LAMBDAS),), mean=(1,), scale=(1,))
    x = _input("BoxCox", 1.0).astype(np.float32)
    fed = {
        "lambdas": LAMBDAS.astype(np.float32),
        "mean": np.full(1, 0.5, np.float32),
        "scale": np.full(1, 2.0, np.float32),
    }
    truth = call.reference(x, **fed)
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x, **fed})[0]
            assert relative_error(y.astype(np.float64), truth, 2.0**-24) <= LIMIT, (opset, form)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("YeoJohnson", {}, "lambdas is missing"),
    ("YeoJohnson", {"lambdas": np.array([1.0, np.nan])}, "lambdas holds nan at place 1"),
    ("YeoJohnson", {"lambdas": np.ones(3)}, r"lambdas has shape \(3\); expected \(2\)"),
    ("YeoJohnson", {"lambdas": np.arange(2)}, "lambdas is int64"),
    ("BoxCox", {"lambdas": np.ones(2), "scale": np.zeros(1)}, "scale is 0 at place 0"),
    ("BoxCox", {"lambdas": np.ones(2), "mean": np.full(1, np.inf)}, "mean holds inf"),
    ("BoxCox", {"lambdas": np.ones(2), "stash_type": 10}, "stash_type is 10"),
]


@pytest.mark.parametrize(("name", "given", "words"), REFUSED)
def test_refused(name: str, given: dict[str, Any], words: str) -> None:
    """With the value found and the value expected."""
    with pytest.raises(UsageError, match=words):
        CATALOGUE[name].define(("N", 2), **given)


@pytest.mark.parametrize("wrong", [-2.5, 0.0])
def test_box_cox_of_what_is_not_positive(wrong: float) -> None:
    """Is refused by the reference, with where it stands; missing values pass."""
    x = np.array([[1.0, 2.0], [np.nan, wrong]])
    words = rf"X is {wrong:g} at \[1, 1\]; expected numbers greater than 0.*YeoJohnson"
    with pytest.raises(UsageError, match=words):
        CATALOGUE["BoxCox"].reference(x, lambdas=np.ones(2))
    x[1, 1] = 3
    y = CATALOGUE["BoxCox"].reference(x, lambdas=np.ones(2))
    np.testing.assert_array_equal(y, np.array([[0, 1], [np.nan, 2]]))


@pytest.mark.parametrize("opset", OPSETS)
def test_box_cox_of_negative_numbers_is_nan_in_a_model(opset: int) -> None:
    """Never a number that looks right: (-2)^2 would be one."""
    x = np.array([[-2.0, 3.0]], np.float32)
    call = CATALOGUE["BoxCox"].define(x.shape, lambdas=np.full(1, 2.0))
    for form in forms_at(call, opset):
        y = run(call.model(form, opset=opset), {"X": x})[0]
        assert np.isnan(y[0, 0]), form
        assert y[0, 1] == 4, form


def _transformer(method: str, x: Array | None, *, standardize: bool) -> Any:  # noqa: ANN401  # of scikit-learn
    reason = "transformers are read from it: install normonnx[sklearn]"
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason=reason)
    made = preprocessing.PowerTransformer(method=method, standardize=standardize)
    return made if x is None else made.fit(x)


METHODS = [("yeo-johnson", "YeoJohnson"), ("box-cox", "BoxCox")]


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(("method", "name"), METHODS)
def test_the_reference_is_scikit_learn(method: str, name: str, *, standardize: bool) -> None:
    """To 1e-12 in float64; and forms of what was fitted are right in float32."""
    for scale in SCALES:
        x = _input(name, scale, columns=6, rows=80)
        x[:, 1] = np.exp(x[:, 1] / scale)  # skewed
        x[:, 2] += 3 * scale
        x = np.abs(x) if name == "BoxCox" else x
        estimator = _transformer(method, x, standardize=standardize)
        call = CATALOGUE.from_layer(estimator, x.shape, np.float64)
        assert call.norm.name == name
        np.testing.assert_allclose(
            call.reference(x), estimator.transform(x), rtol=1e-12, atol=1e-12
        )
        narrow = CATALOGUE.from_layer(estimator, ("N", 6), np.float32)
        small = x.astype(np.float32)
        truth = narrow.reference(small)
        for opset in (7, 13, 17):
            for form in forms_at(narrow, opset):
                y = run(narrow.model(form, opset=opset), {"X": small})[0]
                assert _columns(y, truth, np.float32) <= LIMIT, (scale, opset, form)


def test_a_constant_feature_is_left_alone() -> None:
    """scikit-learn gives it lambda 1 and divides by 1."""
    x = _input("YeoJohnson", 1.0, columns=3)
    x[:, 1] = 7.0
    estimator = _transformer("yeo-johnson", x, standardize=True)
    call = CATALOGUE.from_layer(estimator, x.shape)
    np.testing.assert_allclose(call.reference(x), estimator.transform(x), rtol=1e-12, atol=1e-12)
    assert not call.reference(x)[:, 1].any()


@pytest.mark.parametrize("method", [method for method, _ in METHODS])
def test_an_unfitted_transformer_is_refused(method: str) -> None:
    """With the way out."""
    estimator = _transformer(method, None, standardize=True)
    with pytest.raises(UsageError, match=r"PowerTransformer is not fitted.*fit\(X\)"):
        CATALOGUE.from_layer(estimator, ("N", 3))


@pytest.mark.parametrize("name", ["Power", "PowerTransformer", "yeojohnson"])
def test_names(name: str) -> None:
    """Those of the field; the transformer itself says which of the two it is."""
    assert CATALOGUE[name].name == "YeoJohnson"
