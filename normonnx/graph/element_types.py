"""Element types of values, as declared or as their producers imply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.version import DOMAIN
from normonnx.graph.folding import constant_attribute


def element_type(value: ir.Value | None) -> np.dtype[Any] | None:
    """Element type of a value, as declared or as its producers imply; None when unknown."""
    while value is not None:
        found, value = _declared_type(value)
        if found is not None:
            return found
    return None


class ElementTypes:
    """Element types of the values of one model, remembered: chains may be long."""

    def __init__(self, given: Callable[[ir.Value], Sequence[ir.Value]]) -> None:
        self._given = given  # what is given for the parameter of a function
        self._known: dict[int, tuple[ir.Value, np.dtype[Any] | None]] = {}

    def get(self, value: ir.Value | None) -> np.dtype[Any] | None:
        """As `element_type`."""
        passed: list[ir.Value] = []
        found = None
        while value is not None:
            if id(value) in self._known:
                found = self._known[id(value)][1]
                break
            passed.append(value)
            arguments = self._given(value)
            found, value = _declared_type(value)
            if found is not None:
                break
            value = arguments[0] if value is None and arguments else value
        for each in passed:
            self._known[id(each)] = (each, found)
        return found


def _declared_type(value: ir.Value) -> tuple[np.dtype[Any] | None, ir.Value | None]:
    """What is said about a value itself, or else the value whose type it shares."""
    if value.dtype is not None and value.dtype is not ir.DataType.UNDEFINED:
        return numpy_type(value.dtype), None
    node = value.producer()
    if node is not None and node.domain == DOMAIN and value is node.outputs[0]:
        return None, node.inputs[0]
    if node is None or node.domain not in ("", "ai.onnx"):
        return None, None
    if node.op_type in ("Constant", "Cast") or node.op_type in _TRUTH:
        return _said(node), None
    return None, _alike(node, value)


def _said(node: ir.Node) -> np.dtype[Any] | None:
    """The type that a node gives whatever its inputs are."""
    if node.op_type == "Constant":
        array = constant_attribute(node)
        return None if array is None else array.dtype
    if node.op_type == "Cast":
        target = node.attributes["to"]
        return None if target.is_ref() else numpy_type(ir.DataType(target.as_int()))
    return np.dtype(np.bool_)


def _alike(node: ir.Node, value: ir.Value) -> ir.Value | None:
    """A value of the same type as an output of a node."""
    if node.op_type in ("CastLike", "Where"):
        return node.inputs[1]
    if value is not node.outputs[0] and node.op_type != "Split":
        return None  # the indices of MaxPool are integers, and the mask of Dropout is none
    if node.op_type == "If":
        return _branch_output(node)
    if node.op_type not in _KEEPS_TYPE or not node.inputs:
        return None
    weight = node.inputs[1] if node.op_type in _WEIGHED and len(node.inputs) > 1 else None
    return weight if weight is not None and weight.is_initializer() else node.inputs[0]


_TRUTH: Final = frozenset(
    [
        "And",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "IsInf",
        "IsNaN",
        "Less",
        "LessOrEqual",
        "Not",
        "Or",
    ]
)


def _branch_output(node: ir.Node) -> ir.Value | None:
    """What a branch of an If gives first: the other gives the same type."""
    branch = node.attributes.get("then_branch")
    if branch is None or branch.is_ref() or not branch.as_graph().outputs:
        return None
    return branch.as_graph().outputs[0]


_WEIGHED: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})  # of one type


_KEEPS_TYPE: Final = frozenset(
    [
        "Abs",
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Ceil",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Cos",
        "CumSum",
        "DepthToSpace",
        "Div",
        "Dropout",
        "Einsum",
        "Elu",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GridSample",
        "GroupNormalization",
        "HardMax",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "LpPool",
        "MatMul",
        "Max",
        "MaxPool",
        "Mean",
        "MeanVarianceNormalization",
        "Min",
        "Mish",
        "Mul",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "RMSNormalization",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Resize",
        "RotaryEmbedding",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Slice",
        "Softmax",
        "Softplus",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Upsample",
    ]
)


def numpy_type(dtype: ir.DataType) -> np.dtype[Any] | None:
    """numpy's name for an element type; None where it has none."""
    try:
        return np.dtype(dtype.numpy())
    except (TypeError, KeyError):
        return None
