"""Normalizations by lengths, by the other channels and by a window of channels, as they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from onnx import TensorProto

from tests.property.drawn_norms import NORMS as BY_MOMENTS
from tests.property.drawn_norms import Setting, Spec, _affine, _before, _parameters, _trailing
from tests.property.moments import root, square
from tests.property.writing import NARROW, Array, Value, Writer, dtype_of, size

Norming = Callable[[Writer, Setting], tuple[Value, Spec]]


def lp_norm(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over the length of each row; a small bound keeps zeros from dividing."""
    rank = w.one_of(2, 3, 4)
    axis, power = w.pick(range(rank)), w.one_of(1, 2, 2)
    if w.fault is not None and w.fault.startswith("exponent"):
        power = 2
    x = setting.root(setting.dims(rank))
    bound = w.one_of(1e-12, 1e-6, 1e-4) if setting.working not in NARROW else 1e-3
    bound = float(np.float32(bound))
    if w.fails("bound"):
        bound = w.one_of(0.1, 1.0)
    other = setting.other(x)

    def inner(source: Value, wide: int | None) -> Value:
        numbers = w.cast(source, wide or source.kind)
        length = w.cast(_guarded(w, numbers, axis, power, bound), source.kind)
        w.leakable.append(length)
        return _by_length(w, source if other is None else w.cast(other, source.kind), length)

    w.inverse = False
    y = setting.spell(_before(w, x), inner, None)
    attributes = {"axis": axis - rank, "p": float(power), "epsilon": bound}
    return y, Spec("LpNorm", frozenset(["LpNorm"]), attributes)


def _guarded(w: Writer, x: Value, axis: int, power: int, bound: float) -> Value:
    """The length of each row, at least the bound; one over it at times."""
    special = w.fault is not None and w.fault.startswith("exponent")
    if power == 1:
        if w.chance(50):
            length = w.reduce("ReduceL1", x, [axis])
        else:
            length = w.reduce("ReduceSum", w.op("Abs", [x]), [axis])
        return _at_least(w, length, bound)
    how = w.one_of("norm", "squares", "sum") if not special else "sum"
    if how == "norm":
        return _at_least(w, w.reduce("ReduceL2", x, [axis]), bound)
    if how == "squares":
        total = w.reduce("ReduceSumSquare", x, [axis])
    else:
        total = w.reduce("ReduceSum", square(w, x), [axis])
    if w.chance(40) and x.kind not in NARROW:
        total = _at_least(w, total, bound**2)
        if w.chance(40):
            w.inverse = True
            return w.power(total, -0.5)
        return root(w, total)
    return _at_least(w, root(w, total), bound)


def _at_least(w: Writer, value: Value, bound: float) -> Value:
    how = w.one_of("Max", "Clip", "Clip")
    if how == "Clip":
        least = w.constant(np.asarray(bound).astype(dtype_of(value.kind)))
        found = w.op("Clip", [value, least])
    else:
        found = w.op(
            "Max", w.shuffled([value, w.number(bound, value.kind)]), value.dims, value.kind
        )
    return w.blame(found) if w.fails("bound") else found


def _by_length(w: Writer, x: Value, length: Value) -> Value:
    if not w.inverse and w.chance(30):
        length = w.op("Reciprocal", [length])
        w.inverse = True
    if w.chance(30):
        shape = w.op("Shape", [x], [x.rank], TensorProto.INT64)
        length = w.op("Expand", [length, shape], x.dims)
    if w.inverse:
        y = w.op("Mul", w.shuffled([x, length]), x.dims, x.kind)
    else:
        y = w.op("Div", [x, length])
    return w.blame(y) if w.fails("numerator") else y


def global_response(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Each channel by its length relative to the mean length of all."""
    rank = w.one_of(3, 4, 4)
    axis = w.one_of(1, rank - 1)
    setting.precision = w.one_of("plain", "all") if setting.kind in NARROW else "plain"
    x = setting.root(setting.dims(rank, [axis]))
    spatial = [each for each in range(1, rank) if each != axis]
    affine = _affine(w, setting.working, x.dims, [axis])
    epsilon = setting.epsilon(1e-6)
    source = w.cast(x, setting.working)
    if w.fault is not None or w.chance(40):
        length = root(w, w.reduce("ReduceSum", square(w, source), spatial))
    else:
        length = w.reduce("ReduceL2", source, spatial)
    average = w.reduce("ReduceMean", length, [axis])
    relative = w.op("Div", [length, w.pair("Add", average, w.number(epsilon, source.kind))])
    y = _answered(w, source, relative, affine.scale, [axis])
    bias = [] if affine.bias is None else [w.along(affine.bias, [axis], rank)]
    terms: list[Value] = w.shuffled([source, *bias])
    for term in terms:
        y = w.pair("Add", y, term)
    attributes = {"axis": axis - rank, "epsilon": epsilon}
    names = frozenset(["GlobalResponseNorm"])
    found = w.cast(y, setting.kind)
    return found, Spec("GlobalResponseNorm", names, attributes, _parameters(affine))


def _answered(
    w: Writer, x: Value, relative: Value, scale: Array | None, axes: Sequence[int]
) -> Value:
    """scale x relative, in any order."""
    if scale is None:
        return w.pair("Mul", x, relative)
    gamma = w.along(scale, axes, x.rank)
    if w.chance(50):
        return w.pair("Mul", w.pair("Mul", x, relative), gamma)
    if w.chance(50):
        return w.pair("Mul", w.pair("Mul", x, gamma), relative)
    return w.pair("Mul", x, w.pair("Mul", relative, gamma))


def local_response(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over a power of the squares in a window of channels."""
    rank = w.one_of(3, 4, 4)
    if setting.kind in NARROW:
        setting.kind = TensorProto.FLOAT
    setting.precision = "plain"
    x = setting.root(setting.dims(rank, [1]))
    channels, width = size(x.dims[1]), w.one_of(1, 2, 3, 5)
    width = min(width, channels)
    side = w.one_of(0, 1) if width % 2 == 0 else 0
    below = width // 2 if side or width % 2 else (width - 1) // 2
    alpha, beta, bias = (
        w.one_of(float(np.float32(1e-4)), 0.5),
        w.one_of(0.75, 0.5, 1.0),
        w.one_of(1.0, 2.0),
    )
    sums = w.one_of(_pooled, _banded, _multiplied)
    mean = sums(w, square(w, x), (below, width - 1 - below), channels)
    inner = w.pair("Add", w.pair("Mul", mean, w.number(alpha, x.kind)), w.number(bias, x.kind))
    if w.chance(70):
        y = w.op("Div", [x, w.power(inner, beta)])
    else:
        power = w.power(inner, -beta)
        y = w.op("Mul", w.shuffled([x, power]), x.dims, x.kind)
    attributes = {
        "size": width, "alpha": alpha, "beta": beta, "bias": bias, "torch_window": side,
    }  # fmt: skip
    return y, Spec("LocalResponseNorm", frozenset(["LocalResponseNorm"]), attributes)


def _pooled(w: Writer, x: Value, reach: tuple[int, int], _channels: int) -> Value:
    """AveragePool with channels as the first of the spatial axes."""
    below, above = reach
    width = below + above + 1
    dims = (x.dims[0], 1, *x.dims[1:])
    deep = w.op("Unsqueeze", [x, w.ints([1])], dims)
    kernel = [width, *[1] * (x.rank - 2)]
    ends = [below, *[0] * (x.rank - 2)], [above, *[0] * (x.rank - 2)]
    if w.chance(50):
        pads = [0, 0, *ends[0], 0, 0, *ends[1]]
        padded = w.op("Pad", [deep, w.ints(pads)], dims)
        mean = w.op("AveragePool", [padded], dims, kernel_shape=kernel)
    else:
        pads = [*ends[0], *ends[1]]
        mean = w.op(
            "AveragePool", [deep], dims, kernel_shape=kernel, pads=pads, count_include_pad=1
        )
    return w.op("Squeeze", [mean, w.ints([1])], x.dims)


def _band(x: Value, reach: tuple[int, int], channels: int) -> Array:
    ahead = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    inside = (ahead >= -reach[0]) & (ahead <= reach[1])
    return (inside / (sum(reach) + 1)).astype(dtype_of(x.kind))


def _banded(w: Writer, x: Value, reach: tuple[int, int], channels: int) -> Value:
    """A convolution with a matrix over the channels."""
    band = _band(x, reach, channels)
    return w.op("Conv", [x, w.constant(band.reshape(*band.shape, *(1,) * (x.rank - 2)))])


def _multiplied(w: Writer, x: Value, reach: tuple[int, int], channels: int) -> Value:
    """A product with a matrix, channels last or first."""
    band = _band(x, reach, channels)
    if x.rank == 3 and w.chance(50):
        return w.op("MatMul", [w.constant(band), x], x.dims, x.kind)
    order = [0, *range(2, x.rank), 1]
    last = w.transpose(x, order)
    product = w.op("MatMul", [last, w.constant(np.ascontiguousarray(band.T))], last.dims)
    return w.transpose(product, [order.index(axis) for axis in range(x.rank)])


def magnitude(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """A spectrogram over its own magnitude, sqrt(re^2 + im^2 + epsilon): nothing to be found."""
    x = setting.root((4, 4, 2))
    squares = w.op("Mul", [x, x])
    total = w.blame(w.reduce("ReduceSum", squares, [2]))
    y = w.op("Sqrt", [w.pair("Add", total, w.number(1e-9, x.kind))], (4, 4, 1))
    y = w.op("Div", [x, y]) if w.chance(50) else y
    return y, Spec("nothing", frozenset(), {})


def last(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """A LayerNorm over the last axis of what is there."""
    return _trailing(w, setting, _given(setting), _given(setting).rank - 1, centered=True)


def last_uncentered(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """An RMSNorm over the last axis of what is there."""
    return _trailing(w, setting, _given(setting), _given(setting).rank - 1, centered=False)


def _given(setting: Setting) -> Value:
    if setting.x is None:
        message = "nothing is given to normalize"
        raise ValueError(message)
    return setting.x


NORMS: Final[Mapping[str, Norming]] = {
    **BY_MOMENTS,
    "LpNorm": lp_norm,
    "GlobalResponseNorm": global_response,
    "LocalResponseNorm": local_response,
    "Magnitude": magnitude,
    "Last": last,
    "LastUncentered": last_uncentered,
}
