"""Which results of a model are in a type below float32, and what such a type makes of numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, is_narrow


@functools.cache
def narrow_format(dtype: ir.DataType | None) -> np.dtype[Any] | None:
    """A floating-point type below float32 as NumPy knows it; None for every other type."""
    if dtype is None or not dtype.is_floating_point():
        return None
    found = np.dtype(dtype.numpy())
    return found if is_narrow(found) else None


def declared_format(value: ir.Value) -> np.dtype[Any]:
    """The declared type of a floating-point value; float32 where nothing is declared."""
    if value.dtype is None or not value.dtype.is_floating_point():
        return np.dtype(np.float32)
    return np.dtype(value.dtype.numpy())


class Precision:
    """Types of the values of one evaluation, as far as they are below float32.

    What is declared counts. Where nothing is declared, an operator hands on the type of its first
    input, as nearly all of ONNX do; Cast says its own, and CastLike that of its second input.
    """

    def __init__(self) -> None:
        self._known: dict[int, ir.DataType] = {}

    def of_results(self, node: ir.Node) -> list[np.dtype[Any] | None]:
        """For each output of a node its type where that is below float32; None otherwise."""
        found: list[np.dtype[Any] | None] = []
        declared = all(value.dtype is not None for value in node.outputs)
        handed_on = None if declared else self._handed_on(node)
        for value in node.outputs:
            dtype = value.dtype if value.dtype is not None else handed_on
            if dtype is not None:
                self._known[id(value)] = dtype
            found.append(narrow_format(dtype))
        return found

    def _handed_on(self, node: ir.Node) -> ir.DataType | None:
        standard = node.domain in ("", "ai.onnx")
        if standard and node.op_type == "Cast" and "to" in node.attributes:
            attribute = node.attributes["to"]
            return None if attribute.is_ref() else ir.DataType(attribute.as_int())
        index = 1 if standard and node.op_type == "CastLike" else 0
        if len(node.inputs) <= index:
            return None
        value = node.inputs[index]
        if value is None:
            return None
        if value.dtype is not None:
            return value.dtype
        if value.const_value is not None:
            return value.const_value.dtype
        return self._known.get(id(value))


def rounded(result: Any, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401  # what a kernel returns
    """Numbers as a narrow type holds them, overflow to infinity included, in float64."""
    if not hasattr(result, "dtype") or not is_float(result.dtype):
        return result
    with np.errstate(over="ignore"):
        return np.asarray(result).astype(dtype).astype(np.float64)


def terms_in_a_sum(node: ir.Node, inputs: Sequence[Any]) -> float:
    """Number of products that a Conv, ConvTranspose, Gemm or MatMul sums for one result."""
    if node.op_type == "Conv":
        return float(math.prod(inputs[1].shape[1:]))
    if node.op_type == "ConvTranspose":
        return float(inputs[1].shape[0] * math.prod(inputs[1].shape[2:]))
    if node.op_type == "MatMul":
        return float(inputs[0].shape[-1])
    if node.op_type == "Gemm":
        transposed = "transA" in node.attributes and node.attributes["transA"].as_int() != 0
        return float(inputs[0].shape[0 if transposed else 1])
    return 1.0
