"""What is read from estimators, and what is refused with the way out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import normonnx
from normonnx import UsageError
from normonnx.exporting.estimators import _chosen, is_scaler
from tests.unit.catalogue.uses import run
from tests.unit.exporting.fitted import (
    FEATURES,
    ColumnTransformer,
    Pipeline,
    data,
    make_pipeline,
    preprocessing,
)

pytest.importorskip("onnxruntime", reason="scalers run on it: install normonnx[cpu]")
linear_model = pytest.importorskip("sklearn.linear_model")


class Faster(preprocessing.StandardScaler):  # type: ignore[misc]  # untyped
    """A scaler that is fitted otherwise, and scales as its base does."""


class Doubled(preprocessing.StandardScaler):  # type: ignore[misc]  # untyped
    """A scaler that does something else."""

    def transform(self, X: Any, copy: Any = None) -> Any:  # noqa: ANN401, N803  # scikit-learn's names
        """Twice what the base gives."""
        return 2 * super().transform(X, copy)


def _missing() -> Any:  # noqa: ANN401  # of scikit-learn
    x = data()
    x[:, 2] = np.nan
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return preprocessing.StandardScaler().fit(x)


def _overflown() -> Any:  # noqa: ANN401  # of scikit-learn
    fitted = preprocessing.PowerTransformer().fit(data()[:, [0, 4]])
    fitted._scaler.mean_[1] = np.inf
    return fitted


def _weighted() -> Any:  # noqa: ANN401  # of scikit-learn
    parts = [("a", preprocessing.StandardScaler(), [0])]
    return ColumnTransformer(parts, transformer_weights={"a": 2.0}).fit(data())


REFUSED: list[tuple[Any, str]] = [
    (preprocessing.StandardScaler, r"StandardScaler is not fitted.*fit\(X\)"),
    (preprocessing.MinMaxScaler, r"MinMaxScaler is not fitted.*fit\(X\)"),
    (preprocessing.PowerTransformer, r"PowerTransformer is not fitted.*fit\(X\)"),
    (lambda: make_pipeline(preprocessing.MaxAbsScaler()), "MaxAbsScaler is not fitted"),
    (
        lambda: ColumnTransformer([("a", preprocessing.StandardScaler(), [0])]),
        "ColumnTransformer is not fitted: it has no transformers_",
    ),
    (lambda: preprocessing.StandardScaler, "StandardScaler is a class; pass an instance"),
    (
        lambda: preprocessing.QuantileTransformer(n_quantiles=5).fit(data()),
        (
            "QuantileTransformer can't be exported; these can: MaxAbsScaler, MinMaxScaler, "
            "Normalizer, PowerTransformer, RobustScaler, StandardScaler, and a Pipeline or "
            "ColumnTransformer"
        ),
    ),
    (
        lambda: make_pipeline(
            preprocessing.StandardScaler(), preprocessing.PolynomialFeatures()
        ).fit(data()),
        r"PolynomialFeatures \(step 'polynomialfeatures'\) can't be exported",
    ),
    (
        lambda: make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()).fit(
            data(), data()[:, 0]
        ),
        r"Ridge \(step 'ridge'\) can't be exported.*pipeline\[:-1\]",
    ),
    (
        lambda: preprocessing.FunctionTransformer(np.log1p).fit(data()),
        "FunctionTransformer can't be exported",
    ),
    (lambda: Doubled().fit(data()), "Doubled can't be exported"),
    (_missing, "StandardScaler: mean_ is nan for feature 2: its training data was missing"),
    (_overflown, "PowerTransformer: mean_ is inf for feature 1: its training data.*overflowed"),
    (_weighted, "ColumnTransformer has transformer_weights"),
    (lambda: np.zeros(3), r"numpy\.ndarray is no estimator of scikit-learn; expected a fitted"),
    (lambda: "scaler.pkl", r"builtins\.str is no estimator"),
    (lambda: None, "NoneType is no estimator"),
]


@pytest.mark.parametrize(("made", "words"), REFUSED)
def test_refused(made: Any, words: str) -> None:  # noqa: ANN401  # a function
    """In one line that says what would do."""
    with pytest.raises(UsageError, match=words) as caught:
        normonnx.export_scaler(made())
    assert "\n" not in str(caught.value)


def test_dropping_everything_is_refused() -> None:
    """Nothing would come out."""
    fitted = ColumnTransformer([("a", "drop", [0])]).fit(data())
    with pytest.raises(UsageError, match="drops every feature"):
        normonnx.export_scaler(fitted)


def test_a_subclass_with_the_same_transform_is_read() -> None:
    """As its base."""
    x = data()
    fitted = Faster().fit(x)
    y = run(normonnx.export_scaler(fitted, dtype="float64"), {"X": x})[0]
    np.testing.assert_array_equal(y, fitted.transform(x))


def test_normalizer_takes_any_width_without_fit() -> None:
    """It learns nothing; the number of features stays dynamic."""
    model = normonnx.export_scaler(preprocessing.Normalizer("max"), dtype="float64")
    for width in (2, 5):
        x = data()[:, :width]
        np.testing.assert_array_equal(
            run(model, {"X": x})[0], preprocessing.Normalizer("max").transform(x)
        )


def test_box_cox_behind_what_makes_numbers_positive() -> None:
    """Rows that the transformer would not take are not tried."""
    fitted = Pipeline(
        [
            ("range", preprocessing.MinMaxScaler((1, 2))),
            ("power", preprocessing.PowerTransformer("box-cox")),
        ]
    ).fit(data()[:, :4])
    x = data(seed=1, rows=30)[:, [0, 1, 2, 3]]
    x = np.clip(x, data()[:, :4].min(0), data()[:, :4].max(0))
    y = run(normonnx.export_scaler(fitted, dtype="float64"), {"X": x})[0]
    np.testing.assert_allclose(y, fitted.transform(x), rtol=1e-9, atol=1e-9)


def test_fitted_to_sparse_data_and_to_float32() -> None:
    """What was learned is what counts."""
    sparse = pytest.importorskip("scipy.sparse")
    x = data()
    for fitted in (
        preprocessing.StandardScaler(with_mean=False).fit(sparse.csr_matrix(x)),
        preprocessing.MaxAbsScaler().fit(sparse.csr_matrix(x)),
        preprocessing.StandardScaler().fit(x.astype(np.float32)),
        preprocessing.MinMaxScaler(clip=True).fit(x.astype(np.float32)),
        preprocessing.RobustScaler().fit(x.astype(np.float32)),
    ):
        y = run(normonnx.export_scaler(fitted, dtype="float64"), {"X": x})[0]
        np.testing.assert_array_equal(y, fitted.transform(x))


def test_what_is_a_scaler() -> None:
    """Anything of scikit-learn is for `export_scaler`, which says what it doesn't know."""
    assert is_scaler(preprocessing.StandardScaler())
    assert is_scaler(Faster())
    assert is_scaler(make_pipeline(preprocessing.StandardScaler()))
    assert not is_scaler(preprocessing.StandardScaler)
    assert not is_scaler(np.zeros(FEATURES))


NAMES = ["a", "b", "c", "d"]
COLUMNS: list[tuple[Any, tuple[int, ...]]] = [
    ([3, 0], (3, 0)),
    ([-1], (3,)),
    (np.array([1, 2]), (1, 2)),
    (slice(1, 3), (1, 2)),
    (slice(None, None, 2), (0, 2)),
    (slice("b", "d"), (1, 2, 3)),
    ([True, False, False, True], (0, 3)),
    (["d", "a"], (3, 0)),
    ([], ()),
]


@pytest.mark.parametrize(("columns", "wanted"), COLUMNS)
def test_columns_are_chosen_as_scikit_learn_does(columns: Any, wanted: tuple[int, ...]) -> None:  # noqa: ANN401  # as it takes them
    """By number, name, slice or mask; a slice of names includes its end."""
    assert _chosen(columns, 4, NAMES) == wanted


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("a", r"single column 'a' as a vector.*select \['a'\]"),
        (["x"], "selects 'x', which is none"),
    ],
)
def test_columns_that_are_none(columns: Any, words: str) -> None:  # noqa: ANN401  # as above
    """With the way out."""
    with pytest.raises(UsageError, match=words):
        _chosen(columns, 4, NAMES)
