"""What a fitted estimator of scikit-learn does to rows of features, without importing scikit-learn.

Scalers are read by the catalogue, each from the class that it is or inherits its transform from. A
Pipeline is its steps in a row, a ColumnTransformer its branches side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np

from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UsageError
from normonnx.exporting.stages import Branch, Branches, Scaled, Scaling, Stage

_PACKAGE: Final = "sklearn"
_PIPELINE: Final = "sklearn.pipeline.Pipeline"
_COLUMNS: Final = "sklearn.compose.ColumnTransformer"
_FUNCTION: Final = "sklearn.preprocessing.FunctionTransformer"
SCALERS: Final = tuple(sorted(name for name in CATALOGUE.layers if name.startswith(_PACKAGE)))

_LEARNED: Final = ("mean_", "scale_", "center_", "min_", "lambdas_")
_Reader = Callable[[Any, str, "int | None"], tuple[Stage, ...]]


def is_scaler(found: object) -> bool:
    """Whether it is an estimator of scikit-learn, or a class derived from one: no torch module."""
    if isinstance(found, type):
        return False
    return any(kind.__module__.split(".")[0] == _PACKAGE for kind in type(found).__mro__)


def scaling_of(fitted: Any) -> Scaling:  # noqa: ANN401  # an estimator, of a package not imported
    """Read a fitted scaler.

    Raises:
        UsageError: It is not fitted, or no scaler that is known; the message says which are.
    """
    _refuse_others(fitted)
    width = _width(fitted)
    stages = _stages(fitted, "", width)
    named = getattr(fitted, "feature_names_in_", None)
    features = () if named is None else tuple(map(str, named))
    if width is None and stages:
        width = stages[0].width
    return Scaling(_title(fitted), stages, width, features)


def _refuse_others(found: Any) -> None:  # noqa: ANN401  # as above
    """Say what was passed in place of a fitted scaler."""
    if isinstance(found, type):
        message = f"{found.__name__} is a class; pass an instance that is fitted"
        raise UsageError(message)
    if not is_scaler(found):
        kind = type(found)
        message = (
            f"{kind.__module__}.{kind.__qualname__} is no estimator of scikit-learn; expected a "
            f"fitted scaler: {_known()}"
        )
        raise UsageError(message)


def _width(fitted: Any) -> int | None:  # noqa: ANN401  # as above
    found = getattr(fitted, "n_features_in_", None)
    return None if found is None else int(found)


def _stages(fitted: Any, name: str, width: int | None) -> tuple[Stage, ...]:  # noqa: ANN401  # as above
    """What an estimator does; names of nodes begin with `name`."""
    if isinstance(fitted, str) and fitted == "passthrough":
        return ()
    if fitted is None:
        return ()
    for kind, reader in _READERS.items():
        if _inherits(fitted, kind):
            return reader(fitted, name, width)
    if any(_inherits(fitted, kind) for kind in SCALERS):
        return (_scaled(fitted, name, width),)
    raise UsageError(_unknown(fitted, name))


def _scaled(fitted: Any, name: str, width: int | None) -> Scaled:  # noqa: ANN401  # as above
    _refuse_nonfinite(fitted)
    call = CATALOGUE.from_layer(fitted, ("N", width))
    lengths = [
        array.size
        for array in call.parameters.values()
        if not isinstance(array, tuple) and array.size > 1
    ]
    attributes = {key: found for key, found in call.attributes.items() if key != "stash_type"}
    parameters = {key: call.parameters[key] for key in call.given}
    known = width if width is not None else next(iter(lengths), None)
    label = _joined(name, call.norm.name)
    low, high = getattr(fitted, "feature_range", (0, 1))
    image = float(low), float(high)
    return Scaled(label, call.norm, {**attributes, **parameters}, known, image)


def _refuse_nonfinite(fitted: Any) -> None:  # noqa: ANN401  # as above
    """Say which feature has no statistics: scikit-learn makes NaN of all its numbers.

    Raises:
        UsageError: One has none.
    """
    names = getattr(fitted, "feature_names_in_", None)
    inner = getattr(fitted, "_scaler", None)  # of a PowerTransformer
    for owner, attribute in product((fitted, inner), _LEARNED):
        found = getattr(owner, attribute, None)
        if found is None:
            continue
        numbers = np.asarray(found, np.float64).reshape(-1)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            place = int(bad[0])
            which = f" ({str(names[place])!r})" if names is not None else ""
            message = (
                f"{type(fitted).__name__}: {attribute} is {numbers[place]} for feature "
                f"{place}{which}: its training data was missing, or overflowed; drop the feature, "
                "or fit again without what is wrong with it"
            )
            raise UsageError(message)


def _pipeline(fitted: Any, name: str, width: int | None) -> tuple[Stage, ...]:  # noqa: ANN401  # as above
    stages: list[Stage] = []
    for step, estimator in fitted.steps:
        stages += _stages(estimator, _joined(name, step), _width(estimator) or width)
        width = _width(estimator) if stages else width
    return tuple(stages)


def _columns(fitted: Any, name: str, _width_given: int | None) -> tuple[Stage, ...]:  # noqa: ANN401  # as above
    if not hasattr(fitted, "transformers_"):
        message = (
            "this ColumnTransformer is not fitted: it has no transformers_; call fit(X) with the "
            "training data first"
        )
        raise UsageError(message)
    weights: Mapping[str, float] = fitted.transformer_weights or {}
    if any(float(weight) != 1 for weight in weights.values()):
        message = (
            f"ColumnTransformer has transformer_weights {dict(weights)}, which are not exported; "
            "scale the outputs in the model instead"
        )
        raise UsageError(message)
    width = int(fitted.n_features_in_)
    names = getattr(fitted, "feature_names_in_", None)
    branches = []
    for label, estimator, columns in fitted.transformers_:
        if isinstance(estimator, str) and estimator == "drop":
            continue
        chosen = _chosen(columns, width, None if names is None else list(names))
        if chosen:
            stages = _stages(estimator, _joined(name, label), len(chosen))
            branches.append(Branch(chosen, stages))
    return (Branches(name or "ColumnTransformer", tuple(branches), width),)


def _chosen(columns: Any, width: int, names: Sequence[str] | None) -> tuple[int, ...]:  # noqa: ANN401  # as scikit-learn takes it
    """Numbers of the columns that a transformer is given: by name, number, slice or mask."""
    if isinstance(columns, slice):
        start, stop = (_number(end, names) for end in (columns.start, columns.stop))
        by_name = isinstance(columns.stop, str)  # then the last is included, as in pandas
        stop = stop + 1 if by_name and stop is not None else stop
        return tuple(range(width))[slice(start, stop, columns.step)]
    if isinstance(columns, str | int | np.integer):
        message = (
            f"ColumnTransformer selects the single column {columns!r} as a vector, which no scaler "
            f"takes; select [{columns!r}]"
        )
        raise UsageError(message)
    array = np.asarray(columns)
    if array.dtype == bool:
        return tuple(int(place) for place in np.flatnonzero(array))
    found = [_number(each, names) for each in array.tolist()]
    return tuple(each % width for each in found if each is not None)


def _number(column: Any, names: Sequence[str] | None) -> int | None:  # noqa: ANN401  # as above
    if column is None:
        return None
    if isinstance(column, str):
        if names is None or column not in names:
            message = f"ColumnTransformer selects {column!r}, which is none of its features {names}"
            raise UsageError(message)
        return list(names).index(column)
    return int(column)


def _function(fitted: Any, name: str, _width_given: int | None) -> tuple[Stage, ...]:  # noqa: ANN401  # as above
    if fitted.func is None:
        return ()
    raise UsageError(_unknown(fitted, name))


_READERS: Final[Mapping[str, _Reader]] = {
    _PIPELINE: _pipeline,
    _COLUMNS: _columns,
    _FUNCTION: _function,
}


def _inherits(fitted: Any, wanted: str) -> bool:  # noqa: ANN401  # as above
    """Whether an estimator is of that class, or of one that doesn't transform otherwise."""
    for kind in type(fitted).__mro__:
        package = ".".join(kind.__module__.split(".")[:2])
        if wanted in (f"{package}.{kind.__qualname__}", f"{kind.__module__}.{kind.__qualname__}"):
            return True
        if "transform" in vars(kind):
            return False
    return False


def _unknown(fitted: Any, name: str) -> str:  # noqa: ANN401  # as above
    """What to say of an estimator that can't be exported."""
    where = f" (step {name!r})" if name else ""
    way_out = (
        "; a pipeline is exported without its model by pipeline[:-1]"
        if hasattr(fitted, "predict")
        else "; leave it to Python, ahead of the model"
    )
    return f"{type(fitted).__name__}{where} can't be exported; these can: {_known()}{way_out}"


def _known() -> str:
    names = [name.rpartition(".")[2] for name in SCALERS]
    return f"{', '.join(names)}, and a Pipeline or ColumnTransformer of them"


def _title(fitted: Any) -> str:  # noqa: ANN401  # as above
    """The class, with the classes of what it is made of."""
    parts: Iterable[Any] = ()
    if _inherits(fitted, _PIPELINE):
        parts = [each for _, each in fitted.steps]
    elif _inherits(fitted, _COLUMNS):
        parts = [each for _, each, _ in fitted.transformers_]
    inner = [_title(each) for each in parts if not isinstance(each, str) and each is not None]
    kind = type(fitted).__name__
    return f"{kind}({', '.join(inner)})" if inner else kind


def _joined(name: str, part: str) -> str:
    return f"{name}/{part}" if name else part
