"""Any fitted scaler, on any data: scikit-learn's bits, and right in front of any linear layer."""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

import normonnx
from normonnx.core.verdicts import Verdict
from normonnx.runtime.oracle import evaluate
from normonnx.validation.measures import relative_error
from tests.drawing import examples
from tests.unit.catalogue.uses import run
from tests.unit.exporting.fitted import Array, ColumnTransformer, make_pipeline, preprocessing

pytest.importorskip("onnxruntime", reason="scalers run on it: install normonnx[cpu]")

U: Final = 2.0**-24


@st.composite
def tables(draw: st.DrawFn) -> Array:
    """Rows of 1 to 5 features, each with a spread and a distance from 0 of its own."""
    width, rows = draw(st.integers(1, 5)), draw(st.integers(2, 40))
    source = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = np.array([10.0 ** draw(st.integers(-6, 6)) for _ in range(width)])
    far = np.array([draw(st.sampled_from([0.0, 1.0, -30.0, 1e4])) for _ in range(width)])
    constant = np.array([draw(st.sampled_from([1.0, 1.0, 1.0, 0.0])) for _ in range(width)])
    x = (source.standard_normal((rows, width)) * constant + far) * spread
    return np.asarray(x.astype(np.float32).astype(np.float64))


@st.composite
def linear_scalers(draw: st.DrawFn) -> Any:  # noqa: ANN401  # of scikit-learn
    """Not fitted yet."""
    flag = st.booleans()
    low = draw(st.floats(-10, 10))
    made = [
        preprocessing.StandardScaler(with_mean=draw(flag), with_std=draw(flag)),
        preprocessing.MinMaxScaler((low, low + draw(st.floats(0.1, 10))), clip=draw(flag)),
        preprocessing.RobustScaler(
            with_centering=draw(flag), with_scaling=draw(flag), unit_variance=draw(flag)
        ),
        preprocessing.MaxAbsScaler(),
        preprocessing.Normalizer("max"),
    ]
    count = draw(st.integers(1, 3))
    chosen = [draw(st.sampled_from(made)) for _ in range(count)]
    if draw(flag):
        return make_pipeline(*chosen)
    parts = [(f"part{k}", each, [draw(st.integers(0, 0))]) for k, each in enumerate(chosen)]
    return ColumnTransformer(parts, remainder=draw(st.sampled_from(["passthrough", "drop"])))


@examples(25)
@given(
    tables(),
    linear_scalers(),
    st.sampled_from([13, 17, 18, 21, 23]),
    st.sampled_from(["function", "native", "primitive"]),
)
def test_linear_scalers(x: Array, scaler: Any, opset: int, style: Any) -> None:  # noqa: ANN401  # as above
    """Bit for bit in float64, and rounded once in float32; new rows are beyond the old."""
    fitted = scaler.fit(x)
    new = (3 * x[::-1]).astype(np.float32).astype(np.float64)
    wanted = fitted.transform(new)
    wide = normonnx.export_scaler(fitted, opset=opset, style=style, dtype="float64")
    np.testing.assert_array_equal(run(wide, {"X": new})[0], wanted)
    narrow = normonnx.export_scaler(fitted, opset=opset, style=style)
    y = run(narrow, {"X": new.astype(np.float32)})[0].astype(np.float64)
    size = np.abs(wanted)
    within = size < np.finfo(np.float32).max
    assert np.isfinite(y[within]).all()
    assert (np.abs(y - wanted) <= U * size + 1e-45)[within].all()


@examples(25)
@given(tables(), st.data(), st.sampled_from([13, 17, 18, 21, 23]), st.booleans())
def test_power_transforms(x: Array, data: st.DataObject, opset: int, box_cox: bool) -> None:  # noqa: FBT001  # drawn
    """Within 64 u in float32, with powers near 0 and 2 and any others.

    Mostly within 1; the mean of what is constant takes digits away, from scikit-learn's own.
    """
    x = np.abs(x) + 1e-6 if box_cox else x
    near = st.sampled_from([0.0, 1e-12, -1e-8, 2.0, 2 - 1e-12, 2 + 1e-6, 1.0])
    powers = [data.draw(st.one_of(near, st.floats(-4, 4))) for _ in range(x.shape[1])]
    fitted = preprocessing.PowerTransformer("box-cox" if box_cox else "yeo-johnson")
    fitted.standardize = data.draw(st.booleans())
    fitted.lambdas_, fitted.n_features_in_ = np.array(powers), x.shape[1]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fitted._scaler = preprocessing.StandardScaler().fit(
            preprocessing.PowerTransformer.transform(_alone(fitted), x)
        )
    new = x[::-1].astype(np.float32)
    wanted = fitted.transform(new.astype(np.float64))
    y = run(normonnx.export_scaler(fitted, opset=opset), {"X": new})[0].astype(np.float64)
    np.testing.assert_array_equal(np.isfinite(y), np.abs(wanted) <= float(np.finfo(np.float32).max))
    for k in range(x.shape[1]):
        if np.abs(wanted[:, k]).max() > 1e-9:  # else all of it is rounding of what is constant
            assert relative_error(y[:, k], wanted[:, k], U) <= 64


def _alone(fitted: Any) -> Any:  # noqa: ANN401  # as above
    """The same transformer, without what it does after the power."""
    made = preprocessing.PowerTransformer(fitted.method, standardize=False)
    made.lambdas_, made.n_features_in_ = fitted.lambdas_, fitted.n_features_in_
    return made


@examples(15)
@given(
    tables(), linear_scalers(), st.sampled_from([9, 13, 17, 21]), st.integers(0, 100), st.booleans()
)
def test_in_front_of_a_layer(
    x: Array,
    scaler: Any,  # noqa: ANN401  # as above
    opset: int,
    seed: int,
    bias: bool,  # noqa: FBT001  # drawn
) -> None:
    """Folded or not, it passes its check and holds on ONNX Runtime."""
    fitted = scaler.fit(x)
    width = fitted.transform(x).shape[1]
    source = np.random.default_rng(seed)
    text = "{ h = Gemm(x, w, b) y = Relu(h) }" if bias else "{ h = MatMul(x, w) y = Tanh(h) }"
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g (float[N,{width}] x) => (float[N,3] y) '
        + text
    )
    for name, shape in (("w", (width, 3)), ("b", (3,))):
        if name == "w" or bias:
            array = source.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    result = normonnx.prepend(fitted, model)
    verification = result.report.verification
    assert verification is not None
    assert verification.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE)
    truth = evaluate(ir.from_proto(model), {"x": fitted.transform(x)})["y"]
    y = run(result.model, {"x": x.astype(np.float32)})[0].astype(np.float64)
    size = max(1e-3, float(np.sqrt(np.mean(truth**2))))
    assert np.sqrt(np.mean((y - truth) ** 2)) / size <= 200 * U, result.folded
