"""Number of dimensions of each value, and its static dimensions where they are certain.

What a file says about its own intermediate values (value_info) can't be trusted, so ranks are
worked out from graph inputs and weights: by the rules below where one operator suffices, else by
onnx-shape-inference, once for the whole model, on a copy. What the file declares is the last
resort.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import onnx_ir as ir

from normonnx.graph.constants import Constants, Dims

logger = logging.getLogger(__name__)

_LARGEST_RANK: Final = 64  # numpy's
Rule = Callable[["Ranks", ir.Node], Dims | None]


class Ranks:
    """Shapes of the values of one model as far as they are known, evaluated on demand."""

    def __init__(self, model: ir.Model, constants: Constants) -> None:
        self._model = model
        self.constants = constants
        self._known: dict[int, tuple[ir.Value, Dims | None]] = {}
        self._inferred: Mapping[str, Dims] | None = None

    def rank(self, value: ir.Value | None) -> int | None:
        """Number of dimensions of a value; None when unknown."""
        dims = self.dims(value)
        return None if dims is None else len(dims)

    def dims(self, value: ir.Value | None) -> Dims | None:
        """Dimensions of a value, None for each that is not static; None if the rank is unknown."""
        if value is None:
            return None
        found = self.certain_dims(value)
        return self._by_inference(value) if found is None else found

    def certain_dims(self, value: ir.Value) -> Dims | None:
        """Dimensions by the rules alone: what they say doesn't depend on what was asked before."""
        if id(value) not in self._known:
            for current in self._sources_first(value):
                self._known[id(current)] = (current, self._by_rule(current))
        return self._known[id(value)][1]

    def _sources_first(self, value: ir.Value) -> list[ir.Value]:
        """The values that the rules need for this one, each after what it needs itself."""
        order: list[ir.Value] = []
        seen: set[int] = set()
        waiting = [(value, False)]
        while waiting:
            current, expanded = waiting.pop()
            if expanded:
                order.append(current)
                continue
            if id(current) in seen or id(current) in self._known:
                continue
            seen.add(id(current))
            waiting.append((current, True))
            node = current.producer()
            if node is not None and node.op_type in _RULES:
                waiting += [(v, False) for v in node.inputs if v is not None]
        return order

    def _by_rule(self, value: ir.Value) -> Dims | None:
        node = value.producer()
        if value.const_value is not None and node is None:
            return tuple(value.const_value.shape.numpy())
        if node is None:
            return _declared(value) if value.is_graph_input() else None
        constant = self.constants.get(value)
        if constant is not None:
            return constant.shape
        rule = _RULES.get(node.op_type)
        if rule is None or node.domain not in ("", "ai.onnx"):
            return None
        return rule(self, node)

    def known(self, value: ir.Value | None) -> Dims | None:
        """What has been worked out already about an input of a node."""
        return None if value is None else self._known.get(id(value), (value, None))[1]

    def _by_inference(self, value: ir.Value) -> Dims | None:
        if self._inferred is None:
            self._inferred = _inferred_shapes(self._model)
        found = self._inferred.get(value.name or "") if value.graph is self._model.graph else None
        return found if found is not None else _declared(value)


def _declared(value: ir.Value) -> Dims | None:
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)


def _inferred_shapes(model: ir.Model) -> dict[str, Dims]:
    """Shapes by onnx-shape-inference of the main graph's values; what it fails on is left out."""
    import onnx_shape_inference  # half a second, rarely needed

    copy = model.clone()
    for node in copy.graph:
        for output in node.outputs:
            output.shape = None
    try:
        onnx_shape_inference.infer_symbolic_shapes(copy)
    except Exception:  # it raises many kinds on names that are no expressions
        logger.debug("shape inference failed", exc_info=True)
    found = {}
    for node in copy.graph:
        for output in node.outputs:
            dims = _declared(output)
            if dims is not None and output.name:
                found[output.name] = dims
    return found


def _same(ranks: Ranks, node: ir.Node) -> Dims | None:
    return ranks.known(node.inputs[0])


def _broadcast(ranks: Ranks, node: ir.Node) -> Dims | None:
    shapes = [ranks.known(value) for value in node.inputs]
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or not known:
        return None
    rank = max(len(shape) for shape in known)
    dims: list[int | None] = []
    for axis in range(rank):
        here = [s[axis - rank + len(s)] for s in known if axis - rank + len(s) >= 0]
        dims.append(_broadcast_dim(here))
    return tuple(dims)


def _broadcast_dim(dims: list[int | None]) -> int | None:
    larger = [dim for dim in dims if dim is not None and dim != 1]
    if larger:
        return larger[0]
    return None if None in dims else 1


def _convolution(ranks: Ranks, node: ir.Node) -> Dims | None:
    weight, data = ranks.known(node.inputs[1]), ranks.known(node.inputs[0])
    rank = len(weight) if weight is not None else len(data) if data is not None else 0
    if not rank:
        return None
    channels = weight[0] if weight is not None and node.op_type == "Conv" else None
    return (data[0] if data else None, channels, *[None] * (rank - 2))


def _pool(ranks: Ranks, node: ir.Node) -> Dims | None:
    data = ranks.known(node.inputs[0])
    return None if data is None else (*data[:2], *[None] * (len(data) - 2))


def _matrix_product(ranks: Ranks, node: ir.Node) -> Dims | None:
    left, right = (ranks.known(value) for value in node.inputs[:2])
    if left is None or right is None or len(left) < 2 or len(right) < 2:  # noqa: PLR2004
        return None
    rank = max(len(left), len(right))
    return (*[None] * (rank - 2), left[-2], right[-1])


def _gemm(ranks: Ranks, node: ir.Node) -> Dims | None:
    weight = ranks.known(node.inputs[1])
    transposed = node.attributes.get("transB")
    if weight is None or len(weight) != 2 or (transposed is not None and transposed.is_ref()):  # noqa: PLR2004
        return (None, None)
    return (None, weight[0 if transposed is not None and transposed.as_int() else 1])


def _reshape(ranks: Ranks, node: ir.Node) -> Dims | None:
    if "shape" in node.attributes:
        wanted = list(node.attributes["shape"].as_ints())
    else:
        constant = ranks.constants.get(node.inputs[1])
        if constant is None:
            shape_of_shape = ranks.known(node.inputs[1])
            length = shape_of_shape[0] if shape_of_shape else None
            if length is None or not 0 <= length <= _LARGEST_RANK:
                return None
            return (None,) * length
        wanted = [int(dim) for dim in constant.reshape(-1)]
    return tuple(dim if dim > 0 else None for dim in wanted)


def _transpose(ranks: Ranks, node: ir.Node) -> Dims | None:
    data = ranks.known(node.inputs[0])
    if data is None:
        return None
    perm = node.attributes.get("perm")
    if perm is None:
        return data[::-1]
    if perm.is_ref():
        return (None,) * len(data)
    axes = perm.as_ints()
    if sorted(axes) != list(range(len(data))):
        return None
    return tuple(data[axis] for axis in axes)


def _flatten(_ranks: Ranks, _node: ir.Node) -> Dims:
    return (None, None)


_SAME: Final = [
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Clip",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "Mish",
    "Neg",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
]
_RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(("Add", "Div", "Mul", "Pow", "Sub", "Sum", "Max", "Min", "Where"), _broadcast),
    **dict.fromkeys(("Conv", "ConvTranspose"), _convolution),
    **dict.fromkeys(
        ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"), _pool
    ),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "MatMul": _matrix_product,
    "Reshape": _reshape,
    "Transpose": _transpose,
}
