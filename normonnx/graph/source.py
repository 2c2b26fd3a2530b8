"""A model, however it was handed in, as an onnx_ir.Model that may be read or changed."""

from __future__ import annotations

import os

import onnx
import onnx_ir as ir
from google.protobuf.message import EncodeError

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import checks, reading

ModelLike = str | os.PathLike[str] | onnx.ModelProto | ir.Model

_SOURCE_NAME = "the model given"


def as_model(model: ModelLike) -> ir.Model:
    """Return `model` as IR, to be read only: an onnx_ir.Model is returned as it is.

    Args:
        model: A path, a ModelProto (copied, never changed) or an onnx_ir.Model.

    Raises:
        UsageError: `model` is something else, or a path that can't be read.
        InvalidModelError: The model is damaged or no legal ONNX model.
    """
    if isinstance(model, ir.Model):
        checks.check_versions(model, _SOURCE_NAME)
        checks.check_structure(model, _SOURCE_NAME)
        return model
    if isinstance(model, onnx.ModelProto):
        return _parse_proto(model)
    if isinstance(model, str | os.PathLike):
        return reading.load(model)
    message = (
        f"expected a path, an onnx.ModelProto or an onnx_ir.Model, found {type(model).__name__}; "
        "pass one of these"
    )
    raise UsageError(message)


def own_model(model: ModelLike) -> ir.Model:
    """Return `model` as IR that may be changed: whatever was passed in stays as it is.

    Tensors are shared with an onnx_ir.Model passed in, so they must be replaced, never renamed.

    Raises:
        UsageError, InvalidModelError: As `as_model`.
    """
    found = as_model(model)
    return copied(found) if found is model else found


def copied(model: ir.Model) -> ir.Model:
    """A copy of a model that was looked at already; tensors are shared."""
    copy = model.clone(deep_copy=True)
    copy.meta.update(model.meta)
    return copy


def _parse_proto(proto: onnx.ModelProto) -> ir.Model:
    try:
        encoded = proto.SerializeToString()
    except (EncodeError, ValueError) as error:
        message = f"the ModelProto given can't be encoded ({error}); above 2 GB pass a path instead"
        raise InvalidModelError(message) from None
    if not encoded:
        message = "the ModelProto given is empty, expected a model; load one first"
        raise InvalidModelError(message)
    return reading.parse(memoryview(encoded), name=_SOURCE_NAME)
