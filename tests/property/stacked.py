"""Norms, affines and layers one behind the other, at random: what each is becomes what is around others."""

from __future__ import annotations

import random
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_CHANNELS: Final = 8
_SHAPES: Final = ((2, _CHANNELS, 4, 4), (2, 5, _CHANNELS), (3, _CHANNELS))
_IMAGE: Final = 4
_MOST: Final = 7  # blocks


class Stack:
    """One model, drawn from a number."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # no secret
        self._numbers = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._kept: list[str] = []
        self.shape = self._random.choice(_SHAPES)
        self._last = (self.shape[-1],)
        self._channels = (_CHANNELS, 1, 1) if len(self.shape) == _IMAGE else (_CHANNELS,)
        self._opset = self._random.choice([12, 17])

    def model(self) -> onnx.ModelProto:
        """The model."""
        value = "x"
        for _ in range(self._random.randint(1, _MOST)):
            value = self._block(value)
        ends = [value, *self._kept[:1]]
        graph = helper.make_graph(
            self._nodes,
            "stack",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(end, TensorProto.FLOAT, None) for end in ends],
            self._weights,
        )
        opset = helper.make_opsetid("", self._opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    def _op(self, op_type: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op_type, inputs, [name], name=f"n{name}", **attributes))
        return name

    def _constant(self, array: object) -> str:
        name = f"c{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def _weight(self, *shape: int, positive: bool = False) -> str:
        drawn = self._numbers.standard_normal(shape)
        if self._random.random() < 0.2:
            drawn = np.full(shape, self._random.choice([0.0, 1.0, 2.0]))  # as one number, too
        return self._constant(np.abs(drawn) + 0.5 if positive else drawn)

    def _block(self, x: str) -> str:
        kinds = [
            "affine",
            "scaled",
            "standard",
            "layer",
            "rms",
            "lp",
            "relu",
            "residual",
            "centered",
        ]
        if len(self.shape) == _IMAGE:
            kinds += ["batch", "instance", "group", "conv"]
        elif self._opset >= 17:
            kinds += ["product", "native"]
        return str(getattr(self, f"_{self._random.choice(kinds)}")(x))

    def _affine(self, x: str) -> str:
        scaled = self._op("Mul", x, self._weight(*self._channels))
        return self._op("Add", scaled, self._weight(*self._channels))

    def _scaled(self, x: str) -> str:
        operator = self._random.choice(["Mul", "Add", "Div"])
        return self._op(operator, x, self._weight(*self._last, positive=True))

    def _standard(self, x: str) -> str:
        return self._op(
            "Div",
            self._op("Sub", x, self._weight(*self._last)),
            self._weight(*self._last, positive=True),
        )

    def _layer(self, x: str) -> str:
        mean = self._op("ReduceMean", x, axes=[-1])
        apart = self._op("Sub", x, mean)
        spread = self._op("ReduceMean", self._op("Mul", apart, apart), axes=[-1])
        y = self._op("Div", apart, self._op("Sqrt", self._op("Add", spread, self._constant(1e-5))))
        if self._random.random() < 0.2:
            self._kept.append(self._random.choice([mean, apart, spread]))
        for operator in ("Mul", "Add"):
            if self._random.random() < 0.7:
                y = self._op(operator, y, self._weight(*self._last))
        return y

    def _rms(self, x: str) -> str:
        square = self._op("ReduceMean", self._op("Mul", x, x), axes=[-1])
        y = self._op("Div", x, self._op("Sqrt", self._op("Add", square, self._constant(1e-6))))
        return self._op("Mul", y, self._weight(*self._last)) if self._random.random() < 0.7 else y

    def _lp(self, x: str) -> str:
        return self._op("LpNormalization", x, axis=-1, p=2)

    def _relu(self, x: str) -> str:
        return self._op("Relu", x)

    def _residual(self, x: str) -> str:
        return self._op("Add", x, self._block(x))

    def _centered(self, x: str) -> str:
        return self._op("Sub", x, self._op("ReduceMean", x, axes=[1]))

    def _native(self, x: str) -> str:
        return self._op(
            "LayerNormalization", x, self._weight(*self._last), self._weight(*self._last), axis=-1
        )

    def _product(self, x: str) -> str:
        product = self._op("MatMul", x, self._weight(_CHANNELS, _CHANNELS))
        return self._op("Add", product, self._weight(*self._last))

    def _batch(self, x: str) -> str:
        given = [self._weight(_CHANNELS) for _ in range(3)]
        return self._op("BatchNormalization", x, *given, self._weight(_CHANNELS, positive=True))

    def _instance(self, x: str) -> str:
        return self._op(
            "InstanceNormalization", x, self._weight(_CHANNELS), self._weight(_CHANNELS)
        )

    def _group(self, x: str) -> str:
        rows = self._op("Reshape", x, self._shape(0, 2, -1))
        unit = self._op("InstanceNormalization", rows, self._weight(2), self._weight(2))
        return self._affine(self._op("Reshape", unit, self._shape(*self.shape)))

    def _shape(self, *lengths: int) -> str:
        name = f"s{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(lengths, np.int64), name))
        return name

    def _conv(self, x: str) -> str:
        return self._op(
            "Conv", x, self._weight(_CHANNELS, _CHANNELS, 1, 1), self._weight(_CHANNELS)
        )
