"""Which operators are a per-channel affine of one of their inputs.

BatchNormalization (inference, ONNX operator specification, versions 7, 9, 14, 15):
    y = scale * (x - mean) / sqrt(var + epsilon) + B,  population variance, channel axis 1.
Mul, Add, Sub, Div by a constant that is uniform or varies along channels, either operand first
where the result is affine; Neg; ai.onnx.ml Scaler: (x - offset) * scale, for each feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray, is_float
from normonnx.core.hints import FUSED
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Refusal
from normonnx.fold.surroundings import STANDARD, Surroundings

DEFAULT_EPSILON: Final = float(np.float32(1e-5))
_PARAMETERS: Final = ("scale", "B", "mean", "var")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A node that computes an affine of its index-th input."""

    node: ir.Node
    index: int
    affine: ChannelAffine


def affine_of(surroundings: Surroundings, node: ir.Node) -> Source | Refusal | None:
    """The affine that a node computes; a Refusal when it looks like one; None when it is none."""
    reader = SOURCES.get(node.op_type)
    if reader is None or node.domain not in (_DOMAINS.get(node.op_type, STANDARD)):
        return None
    if surroundings.is_kept(node):
        return Refusal("kept as asked for")
    if FUSED in node.metadata_props:
        return Refusal("it changes nothing, and lets runtimes fuse what is before it", quiet=True)
    return reader(surroundings, node)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """The constants of an inference BatchNormalization, in float64, each of shape (C,)."""

    scale: FloatArray
    bias: FloatArray
    mean: FloatArray
    deviation: FloatArray  # sqrt(var + epsilon)


def statistics_of(surroundings: Surroundings, node: ir.Node) -> Statistics | Refusal:
    """The constants of a BatchNormalization, or why it can't be folded."""
    refusal = _uses_batch_statistics(surroundings, node)
    if refusal is not None:
        return refusal
    arrays: list[npt.NDArray[Any]] = []
    for role, value in zip(_PARAMETERS, node.inputs[1:5], strict=True):
        array = surroundings.constants.get(value)
        if array is None:
            return Refusal(surroundings.why_not_constant(value, role))
        if array.ndim != 1:
            return Refusal(f"its {role} has shape {list(array.shape)}, expected one dimension (C)")
        arrays.append(array)
    if len({array.size for array in arrays}) > 1:
        return Refusal("its scale, B, mean and var differ in length")
    table = np.array(arrays, dtype=np.float64)
    if not np.isfinite(table).all():
        role, bad = next(
            (role, ~np.isfinite(row))
            for role, row in zip(_PARAMETERS, table, strict=True)
            if not np.isfinite(row).all()
        )
        return Refusal(f"its {role} holds NaN or infinity in {_channels(bad)}")
    scale, bias, mean, var = table
    shifted = var + _epsilon(node)
    if np.any(shifted <= 0):
        return Refusal(f"var + epsilon is not positive in {_channels(shifted <= 0)}")
    return Statistics(scale, bias, mean, np.sqrt(shifted))


def _epsilon(node: ir.Node) -> float:
    return (
        float(node.attributes["epsilon"].as_float())
        if "epsilon" in node.attributes
        else DEFAULT_EPSILON
    )


def _uses_batch_statistics(surroundings: Surroundings, node: ir.Node) -> Refusal | None:
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return Refusal("its attributes are parameters of the function it stands in")
    if len(node.inputs) != 5 or any(value is None for value in node.inputs):  # noqa: PLR2004
        return Refusal("it lacks one of its inputs X, scale, B, mean, var")
    if "training_mode" in node.attributes and node.attributes["training_mode"].as_int() != 0:
        return Refusal(
            "training_mode is 1: it normalizes with the statistics of the batch; "
            "export the model in inference mode (model.eval())"
        )
    if any(value.name for value in node.outputs[1:]):
        return Refusal(
            "it has outputs for running statistics, so it is in training mode; "
            "export the model in inference mode (model.eval())"
        )
    spatial_ended = 9
    if (
        surroundings.opset(node) < spatial_ended
        and "spatial" in node.attributes
        and node.attributes["spatial"].as_int() == 0
    ):
        return Refusal("spatial is 0: it has statistics for each activation, not for each channel")
    return None


def _batch_normalization(surroundings: Surroundings, node: ir.Node) -> Source | Refusal:
    found = statistics_of(surroundings, node)
    if isinstance(found, Refusal):
        return found
    scale = found.scale / found.deviation
    affine = ChannelAffine((1,), scale, found.bias - found.mean * scale)
    return Source(node, 0, affine)


def _channels(bad: npt.NDArray[np.bool_]) -> str:
    indices = np.flatnonzero(bad)
    shown = ", ".join(str(index) for index in indices[:5])
    more = f" and {indices.size - 5} more" if indices.size > 5 else ""  # noqa: PLR2004
    return f"channel {shown}{more}" if indices.size == 1 else f"channels {shown}{more}"


_Coefficients = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
# operator -> (for x op c, for c op x); None where the result is not affine in x.
_ARITHMETIC: Final[Mapping[str, tuple[_Coefficients, _Coefficients | None]]] = {
    "Mul": (lambda c: (c, 0 * c), lambda c: (c, 0 * c)),
    "Add": (lambda c: (1 + 0 * c, c), lambda c: (1 + 0 * c, c)),
    "Sub": (lambda c: (1 + 0 * c, -c), lambda c: (-1 + 0 * c, c)),
    "Div": (lambda c: (1 / c, 0 * c), None),
}


def _arithmetic(surroundings: Surroundings, node: ir.Node) -> Source | Refusal | None:
    constant, index = surroundings.constants.get(node.inputs[1]), 0
    coefficients: _Coefficients | None = _ARITHMETIC[node.op_type][0]
    if constant is None:
        constant, index = surroundings.constants.get(node.inputs[0]), 1
        coefficients = _ARITHMETIC[node.op_type][1]
    elif surroundings.kind(node.inputs[0]) is not None:
        return None  # an expression of constants
    if constant is None or coefficients is None or not is_float(constant.dtype):
        return None
    placed = _along_channels(surroundings, node.inputs[index], constant)
    if isinstance(placed, Refusal):
        return placed
    axes, vector = placed
    if not np.all(np.isfinite(vector)) or (node.op_type == "Div" and np.any(vector == 0)):
        return Refusal("its constant holds NaN, infinity or a zero divisor")
    scale, shift = coefficients(vector)
    return Source(node, index, ChannelAffine(axes, scale, shift))


def _along_channels(
    surroundings: Surroundings, value: ir.Value | None, constant: npt.NDArray[Any]
) -> tuple[tuple[int, ...], FloatArray] | Refusal:
    """Which axes of `value` a constant operand varies along, dimensions aligned at the right."""
    if constant.ndim == 0:
        return (), constant.astype(np.float64)
    dims = surroundings.ranks.dims(value)
    if dims is None:
        return Refusal("the number of dimensions of its input is unknown", quiet=True)
    if constant.ndim > len(dims):
        return Refusal(
            f"its constant of shape {list(constant.shape)} has more dimensions than its input"
        )
    offset = len(dims) - constant.ndim
    axes = tuple(offset + i for i, length in enumerate(constant.shape) if length != 1)
    for axis in axes:
        if dims[axis] is not None and dims[axis] != constant.shape[axis - offset]:
            return Refusal(
                f"its constant of shape {list(constant.shape)} enlarges its input along axis {axis}"
            )
    if len(axes) > 1:
        return Refusal(f"its constant varies along axes {axes}, not along channels", quiet=True)
    return axes, constant.astype(np.float64).reshape([n for n in constant.shape if n != 1])


def _negation(surroundings: Surroundings, node: ir.Node) -> Source | None:
    if surroundings.constants.get(node.inputs[0]) is not None:
        return None
    return Source(node, 0, ChannelAffine((), np.full((), -1.0), np.zeros(())))


def _scaler(surroundings: Surroundings, node: ir.Node) -> Source | Refusal:
    """Scaler of the domain ai.onnx.ml, whose result is float32 whatever it is given."""
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return Refusal("its attributes are parameters of the function it stands in")
    if surroundings.element_type(node.inputs[0]) != np.float32:
        return Refusal("its input is not known to be float32, which its output is")
    if surroundings.ranks.rank(node.inputs[0]) != 2:  # noqa: PLR2004
        return Refusal("its input is not known to have two dimensions, rows and features")
    vectors = []
    for name in ("offset", "scale"):
        if name not in node.attributes:
            return Refusal(f"it lacks its attribute {name}")
        vectors.append(np.asarray(node.attributes[name].as_floats(), np.float64))
    offset, scale = np.broadcast_arrays(*(v.reshape(()) if v.size == 1 else v for v in vectors))
    if not np.all(np.isfinite(offset) & np.isfinite(scale)):
        return Refusal("its offset or scale holds NaN or infinity")
    return Source(node, 0, ChannelAffine((1,)[: scale.ndim], scale, -offset * scale))


Reader = Callable[[Surroundings, ir.Node], Source | Refusal | None]
SOURCES: Final[Mapping[str, Reader]] = {
    "BatchNormalization": _batch_normalization,
    "Mul": _arithmetic,
    "Add": _arithmetic,
    "Sub": _arithmetic,
    "Div": _arithmetic,
    "Neg": _negation,
    "Scaler": _scaler,
}
_DOMAINS: Final[Mapping[str, tuple[str, ...]]] = {"Scaler": ("ai.onnx.ml",)}
