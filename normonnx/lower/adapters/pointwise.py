"""Elementwise operators: limits of Clip, integers and broadcasting where older opsets lack them."""

from __future__ import annotations

import math
from functools import reduce
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.lower.crossing import Crossing, RefusalError, Table, Written

_IS_NAN: Final = 9
_WHOLE: Final = frozenset(
    {
        ir.DataType.INT8,
        ir.DataType.INT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.UINT8,
        ir.DataType.UINT16,
        ir.DataType.UINT32,
        ir.DataType.UINT64,
    }
)


def is_whole(dtype: ir.DataType | None) -> bool:
    """Whether a type is one of integers."""
    return dtype in _WHOLE


def _clip_up(at: Crossing) -> Written | None:
    limits = [
        at.number(at.float(name, 0.0)) if name in at.node.attributes else None
        for name in ("min", "max")
    ]
    return at.again(inputs=[at.input(0), *limits], drop=["min", "max"])


def _clip_down(at: Crossing) -> Written | None:
    """Numbers as attributes, in float32; what is computed at run time by Max and Min."""
    limits = {name: index for index, name in ((1, "min"), (2, "max")) if at.given(index)}
    numbers = {name: at.single(index) for name, index in limits.items()}
    if None not in numbers.values():
        return at.again(inputs=[at.input(0)], attributes=numbers)
    found = at.input(0)
    for name, index in limits.items():
        found = at.op("Max" if name == "min" else "Min", found, at.input(index))
    return [found]


def _clip_whole(at: Crossing) -> Written | None:
    """Integers: a comparison chooses."""
    if not is_whole(at.dtype()):
        return None
    found = at.input(0)
    for index, comparison in ((1, "Less"), (2, "Greater")):
        limit = at.optional(index)
        if limit is not None:
            found = at.op("Where", at.op(comparison, found, limit), limit, found)
    return [found if found is not at.input(0) else at.op("Identity", found)]


def _extreme_whole(at: Crossing) -> Written | None:
    """Max and Min of integers: a comparison chooses."""
    if not is_whole(at.dtype()):
        return None
    comparison = "Greater" if at.node.op_type == "Max" else "Less"

    def better(one: ir.Value, other: ir.Value) -> ir.Value:
        return at.op("Where", at.op(comparison, one, other), one, other)

    inputs = [at.input(index) for index in range(len(at.node.inputs))]
    return [reduce(better, inputs) if len(inputs) > 1 else at.op("Identity", inputs[0])]


def _same_shapes(at: Crossing) -> bool:
    shapes = [at.dims(index) for index in range(len(at.node.inputs))]
    first = shapes[0]
    return first is not None and None not in first and all(each == first for each in shapes)


def _sum_without_broadcasting(at: Crossing) -> Written | None:
    """Adds, which broadcast since opset 7, and a division for Mean."""
    if len(at.node.inputs) == 1 or _same_shapes(at):
        return None
    inputs = [at.input(index) for index in range(len(at.node.inputs))]
    total = reduce(lambda one, other: at.op("Add", one, other), inputs)
    if at.node.op_type == "Sum":
        return [total]
    return [at.op("Div", total, at.number(float(len(inputs))))]


def _extreme_without_broadcasting(at: Crossing) -> Written | None:
    """A limit that is one number is Clip's."""
    if len(at.node.inputs) == 1 or _same_shapes(at):
        return None
    numbers = [at.single(index) for index in range(len(at.node.inputs))]
    if len(numbers) != 2 or numbers.count(None) != 1:  # noqa: PLR2004
        message = "its inputs differ in shape, and it broadcasts since opset 8 only"
        raise RefusalError(message)
    index = numbers.index(None)
    if len(at.known_dims(index)) < len(at.known_dims(1 - index)):
        message = "its result has more axes than what it limits, and it broadcasts since opset 8"
        raise RefusalError(message)
    name = "min" if at.node.op_type == "Max" else "max"
    limit = {name: numbers[1 - index]}
    return at.again(op_type="Clip", inputs=[at.input(index)], attributes=limit)


def _power_of_one_type(at: Crossing) -> Written | None:
    """Base and exponent of one type; integers in float64, which is exact up to 2^53."""
    base, exponent = at.known_dtype(0), at.known_dtype(1)
    if is_whole(base):
        if base is ir.DataType.INT64:
            message = "its base is of type int64, which came with opset 12"
            raise RefusalError(message)
        double = int(ir.DataType.DOUBLE)
        wide = [at.op("Cast", at.input(index), to=double) for index in (0, 1)]
        return [at.op("Cast", at.op("Pow", *wide), to=int(base))]
    if base is exponent:
        return None
    return [at.op("Pow", at.input(0), at.op("Cast", at.input(1), to=int(base)))]


def _equal_numbers(at: Crossing) -> Written | None:
    """Neither less nor greater, nor not a number."""
    dtype = at.known_dtype()
    if dtype in (ir.DataType.BOOL, ir.DataType.INT32, ir.DataType.INT64) or is_whole(dtype):
        return None
    if at.opset < _IS_NAN:
        message = "it compares floating-point numbers, which opset 8 can't (NaN equals nothing)"
        raise RefusalError(message)
    one, other = at.input(0), at.input(1)
    different = at.op("Or", at.op("Less", one, other), at.op("Greater", one, other))
    missing = at.op("Or", at.op("IsNaN", one), at.op("IsNaN", other))
    return [at.op("Not", at.op("Or", different, missing))]


def _gemm_with_bias(at: Crossing) -> Written | None:
    if at.given(2):
        return None
    return at.again(inputs=[at.input(0), at.input(1), at.number(0.0)])


def _dropout_up(at: Crossing) -> Written | None:
    ratio = at.op.constant(np.asarray(at.float("ratio", 0.5), np.float32))
    return at.again(inputs=[at.input(0), ratio], drop=["ratio"])


def _dropout_down(at: Crossing) -> Written | None:
    """What training_mode asks for, older opsets do only in a trainer."""
    if at.given(2) and bool(at.array(2, "training_mode").reshape(-1)[0]):
        message = "it drops at random (training_mode is true), and older opsets never do"
        raise RefusalError(message)
    ratio = float(at.array(1, "ratio").reshape(-1)[0]) if at.given(1) else 0.5
    return at.again(inputs=[at.input(0)], drop=["seed"], attributes={"ratio": ratio})


def _dropout_mask(at: Crossing) -> Written | None:
    """The mask is of type bool since opset 10; one that nothing reads goes."""
    if len(at.node.outputs) == 1:
        return None
    if at.is_read(1):
        message = "its mask is read, and has another type on the other side of opset 10"
        raise RefusalError(message)
    return [at.op("Dropout", at.input(0), ratio=at.node.attributes.get("ratio")), None]


def _cast_like_down(at: Crossing) -> Written | None:
    target = at.known_dtype(1)
    return at.again(op_type="Cast", inputs=[at.input(0)], attributes={"to": int(target)})


def _constant_as_tensor(at: Crossing) -> Written | None:
    """A number or a list as a tensor."""
    for name, kind in _NUMBERS.items():
        found = at.known(name)
        if found is not None:
            return [at.op("Constant", value=ir.tensor(np.asarray(found.value, kind)))]
    return None


def _constant_of_floats(at: Crossing) -> Written | None:
    """Below opset 9 a Constant holds floating-point numbers; others are initializers."""
    found = at.known("value")
    if found is None or found.as_tensor().dtype in _FLOATS:
        return None
    return [at.op("Identity", at.op.constant(found.as_tensor().numpy()))]


_FLOATS: Final = frozenset({ir.DataType.DOUBLE, ir.DataType.FLOAT, ir.DataType.FLOAT16})
_NUMBERS: Final = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def _gelu_down(at: Crossing) -> Written | None:
    """x / 2 (1 + erf(x / sqrt 2)), as runtimes fuse it, or with tanh."""
    x, half, one = at.input(0), at.number(0.5), at.number(1.0)
    op = at.op
    if at.text("approximate", "none") == "tanh":
        cube = op("Mul", op("Mul", x, x), x)
        inner = op("Add", x, op("Mul", at.number(0.044715), cube))
        gate = op("Tanh", op("Mul", at.number(math.sqrt(2 / math.pi)), inner))
    else:
        gate = op("Erf", op("Div", x, at.number(math.sqrt(2))))
    return [op("Mul", op("Mul", x, op("Add", gate, one)), half)]


def _modulo_of_floats(at: Crossing) -> Written | None:
    """A - floor(A / B) B, which Mod computes for floating-point numbers since opset 28."""
    if at.int("fmod", 0) or at.dtype() is None or is_whole(at.dtype()):
        return None
    a, b = at.input(0), at.input(1)
    return [at.op("Sub", a, at.op("Mul", at.op("Floor", at.op("Div", a, b)), b))]


UP: Final[Table] = {
    ("Clip", 11): _clip_up,
    ("Dropout", 12): _dropout_up,
    ("Dropout", 10): _dropout_mask,
}
DOWN: Final[Table] = {
    ("Clip", 11): _clip_down,
    ("Clip", 12): _clip_whole,
    ("Max", 12): _extreme_whole,
    ("Min", 12): _extreme_whole,
    ("Sum", 8): _sum_without_broadcasting,
    ("Mean", 8): _sum_without_broadcasting,
    ("Max", 8): _extreme_without_broadcasting,
    ("Min", 8): _extreme_without_broadcasting,
    ("Pow", 12): _power_of_one_type,
    ("Equal", 11): _equal_numbers,
    ("Gemm", 11): _gemm_with_bias,
    ("Dropout", 12): _dropout_down,
    ("Dropout", 10): _dropout_mask,
    ("CastLike", 15): _cast_like_down,
    ("Constant", 9): _constant_of_floats,
    ("Constant", 12): _constant_as_tensor,
    ("Gelu", 20): _gelu_down,
    ("Mod", 28): _modulo_of_floats,
}
