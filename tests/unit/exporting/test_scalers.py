"""Fitted scalers as ONNX: scikit-learn's own numbers, in every style, type and opset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx import MismatchError, UsageError
from normonnx.catalogue.contents import CATALOGUE
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import highest_opset, run
from tests.unit.exporting.fitted import (
    EXTREME,
    FEATURES,
    LINEAR,
    POWERS,
    SUMMED,
    Array,
    bendable,
    data,
    powered,
    preprocessing,
)

pytest.importorskip("onnxruntime", reason="scalers run on it: install normonnx[cpu]")

U: Final = {"float32": 2.0**-24, "float64": 2.0**-53}
OPSETS: Final = (13, 17, 18, 21, 23, highest_opset())
STYLES: Final = ("function", "native", "primitive")


def _export(fitted: Any, **options: Any) -> ir.Model:  # noqa: ANN401  # of scikit-learn
    model = normonnx.export_scaler(fitted, **options)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    return model


def _everywhere(fitted: Any, x: Array, dtype: Any) -> list[Array]:  # noqa: ANN401  # as above
    """What the models of all opsets and styles give."""
    made = []
    for opset in OPSETS:
        for style in STYLES:
            model = _export(fitted, opset=opset, style=style, dtype=dtype, verify=opset == 17)
            made.append(run(model, {"X": x.astype(dtype)})[0])
            assert made[-1].dtype == dtype
    return made


@pytest.mark.parametrize("name", LINEAR)
def test_linear_scalers_have_scikit_learns_bits(name: str) -> None:
    """In float64; with new data beyond the range, and features far from 0, tiny and constant."""
    fitted = LINEAR[name]().fit(data())
    x = 1.5 * data(seed=1)
    wanted = fitted.transform(x)
    for y in _everywhere(fitted, x, np.float64):
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("name", [*LINEAR, *SUMMED])
def test_scalers_are_rounded_once_in_float32(name: str) -> None:
    """Every number is within one roundoff of what scikit-learn gives for it in float64."""
    fitted = {**LINEAR, **SUMMED}[name]().fit(data())
    x = (1.5 * data(seed=1)).astype(np.float32)
    wanted = fitted.transform(x.astype(np.float64))
    for y in _everywhere(fitted, x, "float32"):
        error = np.abs(y - wanted)
        assert (error <= U["float32"] * np.abs(wanted) + 1e-45).all(), error.max()


@pytest.mark.parametrize("name", SUMMED)
def test_row_norms_in_float64(name: str) -> None:
    """Sums are made in another order, and nothing else is."""
    fitted = SUMMED[name]().fit(data())
    x = data(seed=1)
    wanted = fitted.transform(x)
    for y in _everywhere(fitted, x, "float64"):
        np.testing.assert_allclose(y, wanted, rtol=8 * U["float64"])


def _columns(y: Array, wanted: Array, dtype: str, cancels: Array | None = None) -> float:
    """The worst error of a feature, in roundoffs; what is 0 but for rounding is left out.

    Infinite is what float32 does not hold, and nothing else. `cancels` is by how much a roundoff
    on the way counts more in the end, for each feature.
    """
    held = np.abs(wanted) <= float(np.finfo(np.float32 if dtype == "float32" else np.float64).max)
    np.testing.assert_array_equal(np.isfinite(y), held)
    return max(
        relative_error(y[:, k].astype(np.float64), wanted[:, k], U[dtype])
        / (1.0 if cancels is None else max(1.0, cancels[k]))
        for k in range(wanted.shape[1])
        if np.abs(wanted[:, k]).max() > 1e-12
    )


@pytest.mark.parametrize("lambdas", [None, EXTREME], ids=["fitted", "extreme"])
@pytest.mark.parametrize("name", POWERS)
def test_power_transforms_hold_in_float32(name: str, lambdas: Array | None) -> None:
    """Each feature within 64 u, and in fact within 1: powers near 0 and 2, tiny and huge numbers."""
    fitted = powered(name, lambdas)
    x = bendable(name, seed=1).astype(np.float32)
    wanted = fitted.transform(x.astype(np.float64))
    assert np.isfinite(wanted).all()
    for y in _everywhere(fitted, x, "float32"):
        assert _columns(y, wanted, "float32") <= 1


@pytest.mark.parametrize("lambdas", [None, EXTREME], ids=["fitted", "extreme"])
@pytest.mark.parametrize("name", POWERS)
def test_power_transforms_hold_in_float64(name: str, lambdas: Array | None) -> None:
    """Within 16 u of the truth, where scikit-learn itself is up to 49,000 u off.

    Where a mean of many spreads is subtracted, the last digit of Pow, in which libraries differ by
    the processor, counts as often.
    """
    fitted = powered(name, lambdas)
    after = getattr(fitted, "_scaler", None)  # none where it isn't to standardize
    cancels = None if after is None else np.abs(after.mean_) / after.scale_
    x = bendable(name, seed=1)
    truth = CATALOGUE.from_layer(fitted, x.shape, np.float64).reference(x)
    wanted = fitted.transform(x)
    for y in _everywhere(fitted, x, "float64"):
        assert _columns(y, truth, "float64", cancels) <= 16
        np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-9)


def test_a_model_in_float32_throughout_loses_digits() -> None:
    """So the tests above can fail; stash_type="float32" is what scikit-learn does in float32."""
    x = data(seed=1).astype(np.float32)
    fitted = preprocessing.StandardScaler().fit(data())
    wanted = fitted.transform(x.astype(np.float64))
    y = run(_export(fitted, stash_type="float32"), {"X": x})[0]
    assert _columns(y, wanted, "float32") > 1000
    np.testing.assert_array_equal(y, fitted.transform(x))
    plain = _export(fitted, stash_type="float32", style="primitive")
    assert [node.op_type for node in plain.graph] == ["Sub", "Div"]
    assert {value.dtype for value in plain.graph.initializers.values()} == {ir.DataType.FLOAT}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [key for key in (*LINEAR, *POWERS) if "normalizer" not in key])
def test_missing_values_stay_missing(name: str, dtype: Any) -> None:  # noqa: ANN401  # a literal
    """NaN is where scikit-learn has it, clipped or not, and nowhere else."""
    fitted = powered(name) if name in POWERS else LINEAR[name]().fit(data())
    x = bendable(name, seed=1, rows=20) if name in POWERS else data(seed=1, rows=20)
    x[3, 2] = x[4, 5] = x[5] = np.nan
    wanted = np.isnan(fitted.transform(x))
    assert wanted.any()
    assert not wanted.all()
    for style in STYLES:
        y = run(_export(fitted, dtype=dtype, style=style), {"X": x.astype(dtype)})[0]
        np.testing.assert_array_equal(np.isnan(y), wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_rows_too_small_to_divide_stay(norm: str, dtype: Any) -> None:  # noqa: ANN401  # a literal
    """scikit-learn takes a norm below ten roundoffs of float64 for 0."""
    x = np.ones((5, 4)) * np.array([[0.0], [1e-17], [4e-16], [1e-14], [1e-30]])
    x[:, 1] = 0
    x = x.astype(dtype).astype(np.float64)
    fitted = preprocessing.Normalizer(norm).fit(x)
    wanted = fitted.transform(x)
    assert wanted[3].any()
    assert (wanted[[1, 4]] == x[[1, 4]]).all()
    for style in STYLES:
        y = run(_export(fitted, dtype=dtype, style=style), {"X": x.astype(dtype)})[0]
        np.testing.assert_allclose(y, wanted, rtol=2 * U[dtype])


def test_max_abs_scaler_with_a_clip() -> None:
    """Which scikit-learn has since 1.8."""
    scaler = preprocessing.MaxAbsScaler()
    if not hasattr(scaler, "clip"):
        pytest.skip("this scikit-learn has no clip")
    fitted = scaler.set_params(clip=True).fit(data())
    x = 1.5 * data(seed=1)
    for y in _everywhere(fitted, x, "float64"):
        np.testing.assert_array_equal(y, fitted.transform(x))


@pytest.mark.parametrize(
    "name", ["standard", "min-max, clip", "robust", "max-abs", "normalizer, l2", "yeo-johnson"]
)
def test_as_a_function_it_is_one_node(name: str) -> None:
    """In both types, and the batch is dynamic."""
    makes = {**LINEAR, **SUMMED}
    fitted = powered(name) if name in POWERS else makes[name]().fit(data())
    for dtype in ("float32", "float64"):
        for opset in OPSETS:
            model = _export(fitted, dtype=dtype, opset=opset, verify=False)
            (node,) = model.graph
            assert node.domain == "normonnx"
            assert model.opset_imports[""] == opset
            for rows in (1, 3):
                x = data(rows=rows).astype(dtype)
                assert run(model, {"X": x})[0].shape == (rows, FEATURES)


def test_a_pipeline_widens_once() -> None:
    """Between its steps nothing is rounded to float32."""
    model = _export(LINEAR["pipeline"]().fit(data()))
    assert [node.op_type for node in model.graph] == [
        "Cast",
        "MinMaxScaler",
        "StandardScaler",
        "Cast",
    ]


NATIVE: list[tuple[Any, str]] = [
    (preprocessing.StandardScaler(), "StandardScaler"),  # its deviations are no powers of 2
    (preprocessing.StandardScaler(with_std=False), "Scaler"),
    (preprocessing.RobustScaler(with_scaling=False, with_centering=False), "Scaler"),
    (preprocessing.MinMaxScaler(), "MinMaxScaler"),
    (preprocessing.Normalizer(), "Normalizer"),
]


@pytest.mark.parametrize(("scaler", "op_type"), NATIVE)
def test_native_only_where_it_is_exact(scaler: Any, op_type: str) -> None:  # noqa: ANN401  # as above
    """ai.onnx.ml multiplies by a reciprocal, in float32."""
    x = np.array([[1, 2], [3, 8], [5, 5]], np.float32)
    fitted = scaler.fit(x)
    (node,) = _export(fitted, style="native").graph
    assert node.op_type == op_type
    assert node.domain == ("ai.onnx.ml" if op_type == "Scaler" else "normonnx")
    y = run(_export(fitted, style="native"), {"X": x})[0]
    np.testing.assert_allclose(y, fitted.transform(x.astype(np.float64)), rtol=U["float32"])
    low = _export(fitted, style="native", opset=9)
    assert all(node.domain in ("", "ai.onnx.ml") for node in low.graph)


def test_names_go_into_the_model(tmp_path: Path) -> None:
    """Of input and output, and those of the features into the metadata."""
    fitted = preprocessing.StandardScaler().fit(data())
    fitted.feature_names_in_ = np.array([f"größe {k}" for k in range(FEATURES)], object)
    path = tmp_path / "scaler.onnx"
    made = normonnx.export_scaler(fitted, path, input_name="rows", output_name="scaled")
    model = normonnx.load(path)
    assert ir.to_proto(model) == ir.to_proto(made)
    assert [value.name for value in model.graph.inputs] == ["rows"]
    assert [value.name for value in model.graph.outputs] == ["scaled"]
    assert list(model.graph.inputs[0].shape or ()) == ["N", FEATURES]
    assert '"größe 0", "größe 1"' in model.metadata_props["normonnx.feature_names"]
    assert model.metadata_props["normonnx.scaler"] == "StandardScaler"


def test_two_exports_are_the_same_bytes() -> None:
    """Nothing depends on memory or time."""
    fitted = LINEAR["columns"]().fit(data())
    one, other = (ir.to_proto(_export(fitted)).SerializeToString() for _ in range(2))
    assert one == other


def test_it_is_recognised_again() -> None:
    """`inspect` finds the normalization in the function and in what it is written as."""
    fitted = LINEAR["min-max, clip"]().fit(data())
    for style in ("function", "primitive"):
        found = normonnx.inspect(_export(fitted, style=style))
        assert [norm.norm for norm in found.norms] == ["MinMaxScaler"]


def test_what_is_not_what_the_scaler_does_is_refused(tmp_path: Path) -> None:
    """A transform that was replaced: nothing is written, unless without the check."""
    fitted = preprocessing.StandardScaler().fit(data())
    fitted.transform = lambda x: np.asarray(x) * 1.001
    path = tmp_path / "scaler.onnx"
    with pytest.raises(MismatchError, match=r"does not compute what StandardScaler\.transform"):
        normonnx.export_scaler(fitted, path)
    assert not path.exists()
    normonnx.export_scaler(fitted, path, verify=False)
    assert path.exists()


BAD: list[tuple[dict[str, Any], str]] = [
    ({"opset": 12}, "functions need opset 13 or later and 12 was asked for"),
    ({"opset": 6, "style": "primitive"}, "opset 6 is not supported; expected 7 or later"),
    ({"opset": 99}, "opset 99 is newer than onnx"),
    ({"opset": "17"}, "opset is '17'; expected a whole number"),
    ({"dtype": "float16"}, "dtype 'float16' is unknown; expected one of float32, float64"),
    ({"dtype": None}, "dtype 'None' is unknown"),
    ({"stash_type": "half"}, "stash_type 'float16' is unknown"),
    ({"stash_type": "wide"}, "stash_type 'wide' is unknown; expected one of float32, float64"),
    ({"style": "fast"}, "style 'fast' is unknown; expected one of function, native, primitive"),
    ({"input_name": "a", "output_name": "a"}, "expected two different names"),
    ({"output_name": ""}, "expected two different names"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    """With what is expected."""
    fitted = preprocessing.StandardScaler().fit(data())
    with pytest.raises(UsageError, match=words):
        normonnx.export_scaler(fitted, **options)
