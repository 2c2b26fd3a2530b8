"""What may be put in front of a model: a fitted scaler, or a scaler that was exported before."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from normonnx.catalogue.norm import DOMAIN, FUNCTIONS_SINCE
from normonnx.core.errors import UsageError
from normonnx.exporting import rows
from normonnx.exporting.assembling import TITLE, DType, ScalerStyle, Wanted, model_of
from normonnx.exporting.estimators import is_scaler, scaling_of
from normonnx.exporting.reading import scaling_of_model
from normonnx.exporting.rows import Rows
from normonnx.exporting.scalers import OPSET
from normonnx.exporting.stages import Scaling
from normonnx.graph import checks
from normonnx.graph.source import as_model, own_model
from normonnx.lower import opsets

_TYPES: Final[dict[ir.DataType, DType]] = {
    ir.DataType.FLOAT: "float32",
    ir.DataType.DOUBLE: "float64",
}
_MATRIX: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """A scaler, to be put in front of models.

    Attributes:
        title: What to call it.
        incoming: Number of features that come in; None where that is not known.
        outgoing: Number of features that go out.
        write: Makes it a model, for an opset and a type of input and output.
        spelled: A model of it in which each normalization is as it was given.
        transform: What it makes of rows in float64, in Python; None where only its model knows.
        draw: Rows of that number such as it was fitted to; None where nothing is known of them.
    """

    title: str
    incoming: int | None
    outgoing: int | None
    write: Callable[[int, DType], ir.Model]
    spelled: ir.Model
    transform: Callable[[Rows], Rows] | None = None
    draw: Callable[[int], Rows] | None = None


def front_of(scaler: Any, style: ScalerStyle, stash_type: DType) -> Front:  # noqa: ANN401  # an estimator, or a model
    """Read a scaler: an estimator of scikit-learn, or an ONNX model or its path.

    Raises:
        UsageError: It is neither, not fitted, or can't be exported.
        InvalidModelError: The model is damaged, or no legal ONNX model.
    """
    if is_scaler(scaler):
        front = _of_scaling(scaling_of(scaler), style, stash_type)
        draw = front.draw
        return replace(
            front,
            transform=lambda found: rows.transformed(scaler, found),
            draw=None if draw is None else lambda count: rows.accepted(scaler, draw(count)),
        )
    if not isinstance(scaler, str | os.PathLike | onnx.ModelProto | ir.Model):
        kind = "a class" if isinstance(scaler, type) else f"a {type(scaler).__name__}"
        message = (
            f"the scaler given, {kind}, is neither one of scikit-learn that is fitted, nor an ONNX "
            "model of one"
        )
        raise UsageError(message)
    model = as_model(scaler)
    x, y = _interface(model)
    read = scaling_of_model(model)
    if read is not None:
        scaling, stash = read
        return _of_scaling(scaling, style, "float32" if "float32" in (stash, stash_type) else stash)
    return _of_model(model, x, y)


def _of_scaling(
    scaling: Scaling,
    style: ScalerStyle,
    stash_type: DType,
) -> Front:
    def write(opset: int, dtype: DType) -> ir.Model:
        low = opset < FUNCTIONS_SINCE and style == "function"
        stash: DType = "float64" if dtype == "float64" else stash_type
        return model_of(scaling, Wanted(opset, dtype, stash, "primitive" if low else style))

    return Front(
        scaling.title,
        scaling.width,
        scaling.outgoing,
        write,
        model_of(scaling, Wanted(OPSET, "float64")),
        draw=lambda count: rows.drawn(scaling, count, seed=0),
    )


def _of_model(model: ir.Model, x: ir.Value, y: ir.Value) -> Front:
    """Of whatever computes rows from rows."""
    title = model.metadata_props.get(TITLE) or model.graph.name or "scaler"

    def write(opset: int, dtype: DType) -> ir.Model:
        if _TYPES[_type(x)] != dtype:
            message = (
                f"the scaler takes {_TYPES[_type(x)]} and the model {dtype}; export the scaler "
                f"with dtype={dtype!r}"
            )
            raise UsageError(message)
        copy = own_model(model)
        if copy.functions and opset < FUNCTIONS_SINCE:
            InlinePass()(copy)
            copy.opset_imports.pop(DOMAIN, None)
        if checks.opset_of(copy) not in (0, opset):
            opsets.move(copy, opset)
        return copy

    return Front(title, _features(x), _features(y), write, model)


def _interface(model: ir.Model) -> tuple[ir.Value, ir.Value]:
    """The one input and the one output of a scaler.

    Raises:
        UsageError: There are more, or they are no rows of features.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if len(inputs) != 1 or len(model.graph.outputs) != 1:
        message = (
            f"the scaler has {len(inputs)} inputs and {len(model.graph.outputs)} outputs; expected "
            "one of each"
        )
        raise UsageError(message)
    for value in (inputs[0], model.graph.outputs[0]):
        _type(value)
        if value.shape is not None and len(value.shape) != _MATRIX:
            message = (
                f"{value.name!r} of the scaler has shape {_shown(value)}; expected rows of "
                "features, (N, features)"
            )
            raise UsageError(message)
    return inputs[0], model.graph.outputs[0]


def _type(value: ir.Value) -> ir.DataType:
    if value.dtype not in _TYPES:
        found = "of no known type" if value.dtype is None else value.dtype.name
        message = f"{value.name!r} of the scaler is {found}; expected float32 or float64"
        raise UsageError(message)
    return value.dtype


def _features(value: ir.Value) -> int | None:
    dim = None if value.shape is None else value.shape[1]
    return dim if isinstance(dim, int) else None


def _shown(value: ir.Value) -> str:
    dims = [] if value.shape is None else [str(dim) for dim in value.shape]
    return f"({', '.join(dims)})"


def chosen_input(model: ir.Model, wanted: str | None) -> ir.Value:
    """The input of a model that a scaler is put in front of.

    Raises:
        UsageError: There are several and none was named, none of that name, or it is no rows of
            floating-point features.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    names = ", ".join(repr(value.name) for value in inputs)
    if wanted is None and len(inputs) != 1:
        message = f"the model has {len(inputs)} inputs ({names}); name one with input="
        raise UsageError(message)
    found = next((v for v in inputs if wanted is None or v.name == wanted), None)
    if found is None:
        message = f"the model has no input {wanted!r}; it has {names}"
        raise UsageError(message)
    if found.dtype is None or not found.dtype.is_floating_point():
        kind = "of no tensor type" if found.dtype is None else found.dtype.name
        message = f"input {found.name!r} is {kind}; a scaler gives floating-point numbers"
        raise UsageError(message)
    if found.is_graph_output():
        message = f"input {found.name!r} is an output, too, which would then be scaled"
        raise UsageError(message)
    if found.shape is not None and len(found.shape) != _MATRIX:
        message = (
            f"input {found.name!r} has shape {_shown(found)}; a scaler gives rows of features, "
            "(N, features)"
        )
        raise UsageError(message)
    return found


def match(front: Front, target: ir.Value) -> None:
    """Let an input have the width that a scaler gives, where that was not known.

    Raises:
        UsageError: It has another.
    """
    found = _features(target)
    if front.outgoing is not None and found is not None and found != front.outgoing:
        message = (
            f"{front.title} gives {front.outgoing} features and input {target.name!r} takes "
            f"{found}, shape {_shown(target)}; fit it to the model's features"
        )
        raise UsageError(message)
    width = found if front.outgoing is None else front.outgoing
    batch = ir.SymbolicDim("N") if target.shape is None else target.shape[0]
    if width is not None:
        target.shape = ir.Shape([batch, width])


def scaler_type(target: ir.Value) -> DType:
    """The type of a scaler in front of an input: float32 for narrower ones.

    Features before scaling may be beyond what a float16 holds.
    """
    return "float64" if target.dtype == ir.DataType.DOUBLE else "float32"
