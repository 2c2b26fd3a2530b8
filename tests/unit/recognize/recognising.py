"""What is recognised in a model written as ONNX text, checked for what holds of every finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from normonnx.runtime.oracle import evaluate
from tests.rewriting import feeds_of, parsed

_DEPRECATED = 18  # GroupNormalization, for the checker


@dataclass(frozen=True, slots=True, eq=False)
class Recognised:
    """What `find` says of a model."""

    norms: tuple[Found, ...]
    reasons: tuple[str, ...]

    @property
    def names(self) -> str:
        """The normalizations in order, one word each."""
        return " ".join(found.call.norm.name for found in self.norms)

    @property
    def only(self) -> Found:
        """The one normalization that was found."""
        assert len(self.norms) == 1, (self.names, self.reasons)
        return self.norms[0]

    def parameter(self, name: str) -> Any:  # noqa: ANN401  # an array
        """A parameter of that one, in float64."""
        return np.asarray(self.only.call.parameters[name], np.float64)


def recognised(text: str, *, opset: int = 17, **numbers: Any) -> Recognised:  # noqa: ANN401
    """Find normalizations and hold each to the float64 truth: its reference on what it normalizes.

    Args:
        text: As for `tests.rewriting.parsed`.
        opset: Of a text without header.
        numbers: For weights by name, in place of what the text has or random ones.
    """
    proto = parsed(text, opset=opset)
    for tensor in proto.graph.initializer:
        if tensor.name in numbers:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = np.asarray(numbers[tensor.name], kind).reshape(tuple(tensor.dims))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    if "GroupNormalization" not in text or opset != _DEPRECATED:
        onnx.checker.check_model(proto)
    model = ir.from_proto(proto)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    found = find(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before, "it was changed"
    for norm in found.norms:
        _check_same(proto, norm)
    return Recognised(found.norms, tuple(miss.reason for miss in found.near_misses))


def _check_same(proto: onnx.ModelProto, found: Found) -> None:
    """The normalization of the root is the result, as the oracle computes both."""
    seen = onnx.ModelProto()
    seen.CopyFrom(proto)
    given = {info.name for info in (*seen.graph.input, *seen.graph.output)}
    read = (each.value for each in found.arguments if each.value is not None)
    names = {str(value.name): None for value in (found.root, found.output, *read)}
    held = {tensor.name for tensor in seen.graph.initializer}
    ends = [name for name in names if name not in given | held]
    seen.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ends)
    feeds = next(iter(feeds_of(proto)))
    numbers = {**feeds, **evaluate(ir.from_proto(seen), feeds)}
    x = np.asarray(numbers[str(found.root.name)], found.call.dtype)
    if found.call.norm.name == "BoxCox":
        assert (x > 0).any()
        x = np.where(x > 0, x, np.nan)
    wanted = np.asarray(numbers[str(found.output.name)], np.float64)
    runtime = {
        each.name: _shaped(numbers[str(each.value.name)], each.shape)
        for each in found.arguments
        if each.value is not None and isinstance(found.call.parameters[each.name], tuple)
    }
    last = found.surplus.channels_last
    result = found.call.reference(np.moveaxis(x, -1, 1) if last else x, **runtime)
    result = np.moveaxis(result, 1, -1) if last else result
    tried = np.isfinite(result)
    size = np.abs(wanted[tried]).max() if tried.any() else 1.0
    np.testing.assert_allclose(result[tried], wanted[tried], 4e-6, 4e-6 * size)


def _shaped(array: Any, shape: tuple[int, ...] | None) -> Any:  # noqa: ANN401  # arrays
    """As Reshape does it, where an operand is reshaped first."""
    if shape is None:
        return array
    return array.reshape([array.shape[at] if n == 0 else n for at, n in enumerate(shape)])
