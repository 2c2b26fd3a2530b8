"""Faults of known kind, planted into an ONNX model: what a validation must find.

`FAULTS[name](model)` returns a spoiled copy that is a legal model with the same inputs and outputs.
The kinds are those that optimizers and exporters have had: a flipped sign, an epsilon that got lost
or grew, one channel's scale, a wrong axis or number of groups, a transposed weight, a variance
computed as E[x²] - E[x]², a stretch in float16. Each goes to the node in the middle of those that
it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Fault = Callable[[onnx.ModelProto], onnx.ModelProto]
Array = npt.NDArray[Any]

_PRODUCTS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_NORMS: Final = (
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "RMSNormalization",
)
_EPSILON: Final = 1e-5
_LARGEST_EPSILON: Final = 1e-3
_VECTOR, _MATRIX = 1, 2  # ranks


class NothingToSpoilError(ValueError):
    """A model has no node that a fault fits."""


def flipped_sign(model: onnx.ModelProto) -> onnx.ModelProto:
    """One output channel of a weight is negated."""
    return _with_channel(model, lambda channel: -channel)


def stretched_channel(model: onnx.ModelProto) -> onnx.ModelProto:
    """One output channel of a weight is a thousandth too large."""
    return _with_channel(model, lambda channel: channel * channel.dtype.type(1.001))


def transposed_weight(model: onnx.ModelProto) -> onnx.ModelProto:
    """A square weight, or kernel, is transposed."""
    spoiled = _copy(model)
    found = []
    for _, tensor in _weights(spoiled, _PRODUCTS):
        shape = list(tensor.dims)
        if len(shape) >= _MATRIX and shape[-1] == shape[-2] > 1:
            found.append(tensor)
    tensor = _middle(found, "square weight")
    _replace(tensor, np.swapaxes(numpy_helper.to_array(tensor), -1, -2))
    return spoiled


def lost_epsilon(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every epsilon of a normalization is 0."""
    return _with_epsilon(model, 0.0)


def large_epsilon(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every epsilon of a normalization is ten times as large."""
    return _with_epsilon(model, 10.0)


def wrong_axis(model: onnx.ModelProto) -> onnx.ModelProto:
    """Means that keep their dimensions, or a softmax, go over a neighbour of the right axis."""
    spoiled = _copy(model)
    changed = 0
    for node in spoiled.graph.node:
        if node.op_type == "ReduceMean" and _attribute(node, "keepdims", 1).i:
            for axes in (a.ints for a in node.attribute if a.name == "axes"):
                axes[0] = _neighbour(axes[0])
                changed += 1
        elif node.op_type == "Softmax":
            axis = _attribute(node, "axis", -1)
            axis.i = _neighbour(axis.i)
            changed += 1
    if not changed:
        message = "the model has no ReduceMean with an attribute axes, and no Softmax"
        raise NothingToSpoilError(message)
    return spoiled


def wrong_groups(model: onnx.ModelProto) -> onnx.ModelProto:
    """A GroupNorm has half as many groups: GroupNormalization, or Reshape around InstanceNorm."""
    spoiled = _copy(model)
    for node in spoiled.graph.node:
        if node.op_type == "GroupNormalization":
            _attribute(node, "num_groups").i //= 2
            return spoiled
        if node.op_type == "InstanceNormalization" and _halve_groups(spoiled, node):
            return spoiled
    message = "the model has no GroupNorm"
    raise NothingToSpoilError(message)


def one_pass_variance(model: onnx.ModelProto) -> onnx.ModelProto:
    """An InstanceNormalization or a LayerNormalization computes E[x²] - E[x]²."""
    spoiled = _copy(model)
    kinds = ("InstanceNormalization", "LayerNormalization")
    shaped = {n.output[0] for n in spoiled.graph.node if n.op_type == "Reshape"}
    found = [n for n in spoiled.graph.node if n.op_type in kinds]
    # Behind a Reshape an InstanceNormalization is the heart of a GroupNorm, and of rank 3.
    node = _middle(
        [n for n in found if n.op_type == kinds[1] or n.input[0] not in shaped], "centered norm"
    )
    position = list(spoiled.graph.node).index(node)
    chain = _one_pass(node)
    del spoiled.graph.node[position]
    for offset, made in enumerate(chain):
        spoiled.graph.node.insert(position + offset, made)
    return spoiled


def half_island(model: onnx.ModelProto) -> onnx.ModelProto:
    """What a linear operator reads goes through float16."""
    spoiled = _copy(model)
    candidates = [n for n in spoiled.graph.node if n.op_type in _PRODUCTS and n.input[0]]
    node = _middle(candidates, "linear operator")
    position, source = list(spoiled.graph.node).index(node), node.input[0]
    names = f"{source}_half", f"{source}_single"
    casts = [
        helper.make_node("Cast", [source], [names[0]], to=onnx.TensorProto.FLOAT16),
        helper.make_node("Cast", [names[0]], [names[1]], to=onnx.TensorProto.FLOAT),
    ]
    node.input[0] = names[1]
    for offset, made in enumerate(casts):
        spoiled.graph.node.insert(position + offset, made)
    return spoiled


FAULTS: Final[Mapping[str, Fault]] = {
    "flipped-sign": flipped_sign,
    "stretched-channel": stretched_channel,
    "transposed-weight": transposed_weight,
    "lost-epsilon": lost_epsilon,
    "large-epsilon": large_epsilon,
    "wrong-axis": wrong_axis,
    "wrong-groups": wrong_groups,
    "one-pass-variance": one_pass_variance,
    "half-island": half_island,
}


def scaled_outputs(model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """Every floating-point output times a factor: no fault, but it fools fixed tolerances."""
    scaled = _copy(model)
    for output in scaled.graph.output:
        inner = f"{output.name}_unscaled"
        for node in scaled.graph.node:
            for names in (node.input, node.output):
                names[:] = [inner if name == output.name else name for name in names]
        constant = numpy_helper.from_array(np.array(factor, np.float32), f"{output.name}_factor")
        scaled.graph.initializer.append(constant)
        scaled.graph.node.append(helper.make_node("Mul", [inner, constant.name], [output.name]))
    return scaled


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _middle(found: Sequence[Any], what: str) -> Any:  # noqa: ANN401
    if not found:
        message = f"the model has no {what}"
        raise NothingToSpoilError(message)
    return found[len(found) // 2]


def _weights(
    model: onnx.ModelProto, kinds: Iterable[str]
) -> list[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Nodes of these kinds with the initializer that is their second input, read by no other."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = [name for node in model.graph.node for name in node.input]
    wanted = set(kinds)
    return [
        (node, tensors[node.input[1]])
        for node in model.graph.node
        if node.op_type in wanted and node.input[1] in tensors and uses.count(node.input[1]) == 1
    ]


def _with_channel(model: onnx.ModelProto, change: Callable[[Array], Array]) -> onnx.ModelProto:
    spoiled = _copy(model)
    node, tensor = _middle(_weights(spoiled, _PRODUCTS), "weight")
    weight = numpy_helper.to_array(tensor).copy()
    last = node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    )
    axis = weight.ndim - 1 if last else int(node.op_type == "ConvTranspose")
    middle = [slice(None)] * weight.ndim
    middle[axis] = slice(weight.shape[axis] // 2, weight.shape[axis] // 2 + 1)
    weight[tuple(middle)] = change(weight[tuple(middle)])
    _replace(tensor, weight)
    return spoiled


def _replace(tensor: onnx.TensorProto, array: Array) -> None:
    tensor.CopyFrom(numpy_helper.from_array(array.copy(order="C"), tensor.name))


def _with_epsilon(model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """Scale the epsilon of every native norm, and what is added before a square root."""
    spoiled = _copy(model)
    changed = 0
    for node in spoiled.graph.node:
        if node.op_type in _NORMS:
            attribute = _attribute(node, "epsilon", _EPSILON)
            attribute.f *= factor
            changed += 1
    changed += sum(_scale(tensor, factor) for tensor in _taken_apart(spoiled))
    if not changed:
        message = "the model has no epsilon"
        raise NothingToSpoilError(message)
    return spoiled


def _taken_apart(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Small constants that are added just before a square root."""
    roots = {n.input[0] for n in model.graph.node if n.op_type == "Sqrt"}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    names = {
        name
        for node in model.graph.node
        if node.op_type == "Add" and node.output[0] in roots
        for name in node.input
        if name in constants
    }
    return [constants[name] for name in sorted(names)]


def _scale(tensor: onnx.TensorProto, factor: float) -> bool:
    array = numpy_helper.to_array(tensor)
    small = array.size == 1 and 0 < float(array.reshape(-1)[0]) <= _LARGEST_EPSILON
    if small:
        _replace(tensor, np.asarray(array * array.dtype.type(factor)))
    return small


def _attribute(node: onnx.NodeProto, name: str, default: float = 0.0) -> onnx.AttributeProto:
    """An attribute of a node, added with its default where it is absent."""
    if not any(attribute.name == name for attribute in node.attribute):
        node.attribute.append(helper.make_attribute(name, default))
    found: onnx.AttributeProto = next(a for a in node.attribute if a.name == name)
    return found


def _neighbour(axis: int) -> int:
    """The axis before, never the batch."""
    return axis + 1 if axis == 1 else axis - 1


def _halve_groups(model: onnx.ModelProto, norm: onnx.NodeProto) -> bool:
    """Reshape(x, [0, G, -1]) -> InstanceNormalization with half as many groups."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    before = [n for n in model.graph.node if norm.input[0] in n.output and n.op_type == "Reshape"]
    if not before or before[0].input[1] not in constants:
        return False
    shape = constants[before[0].input[1]]
    dims = numpy_helper.to_array(shape).copy()
    parameters = [constants.get(name) for name in norm.input[1:3]]
    if dims.size <= _VECTOR or dims[1] % 2 or None in parameters:
        return False
    dims[1] //= 2
    _replace(shape, dims)
    for tensor in parameters:
        if tensor is not None:
            _replace(tensor, numpy_helper.to_array(tensor)[: int(dims[1])])
    return True


def _one_pass(norm: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The norm as a chain of primitives (opset 13 to 17) that loses digits far from zero."""
    x, scale, bias, y = norm.input[0], norm.input[1], norm.input[2], norm.output[0]
    names = {
        part: f"{y}_{part}" for part in ("m", "q", "w", "n", "v", "e", "t", "r", "d", "z", "s")
    }
    instance = norm.op_type == "InstanceNormalization"
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), _EPSILON)
    make, n = helper.make_node, names
    axes: dict[str, Any] = {"axes": [2, 3] if instance else [-1]}
    chain = [
        make("ReduceMean", [x], [n["m"]], **axes),
        make("Mul", [x, x], [n["q"]]),
        make("ReduceMean", [n["q"]], [n["w"]], **axes),
        make("Mul", [n["m"], n["m"]], [n["n"]]),
        make("Sub", [n["w"], n["n"]], [n["v"]]),
        make("Constant", [], [n["e"]], value_float=epsilon),
        make("Add", [n["v"], n["e"]], [n["t"]]),
        make("Sqrt", [n["t"]], [n["r"]]),
        make("Sub", [x, n["m"]], [n["d"]]),
        make("Div", [n["d"], n["r"]], [n["z"]]),
    ]
    factors = [scale, bias]
    if instance:
        chain.append(make("Constant", [], [f"{y}_axes"], value_ints=[1, 2]))
        factors = [f"{y}_scale", f"{y}_bias"]
        pairs = zip((scale, bias), factors, strict=True)
        chain += [make("Unsqueeze", [a, f"{y}_axes"], [b]) for a, b in pairs]
    chain.append(make("Mul", [n["z"], factors[0]], [n["s"]]))
    chain.append(make("Add", [n["s"], factors[1]], [y]))
    return chain
