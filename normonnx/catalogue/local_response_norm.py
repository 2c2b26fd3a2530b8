"""LocalResponseNorm: each element damped by its neighbours in a window of channels.

y = x / (bias + alpha / size * sum over the window of x^2) ^ beta, where the window of channel c is
c - below ... c + above. ONNX has below = floor((size - 1) / 2), torch below = floor(size / 2): they
differ where size is even.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Dim,
    Form,
    Norm,
    Operator,
    Reading,
    Region,
    Share,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError

_ALPHA: Final = float(np.float32(1e-4))
_ROOTS: Final = 0.75  # x^0.75 is sqrt(x) sqrt(sqrt(x))
_SLICES: Final = 64  # the most that are written one by one
_CHANNELS: Final = 2048  # the most that a banded matrix is written for


def _window(size: int, torch_window: int) -> tuple[int, int]:
    """Channels below and above."""
    below = (size - 1 + torch_window) // 2
    return below, size - 1 - below


def formula(  # the operator's attributes
    x: Array,
    *,
    size: int,
    alpha: float,
    beta: float,
    bias: float,
    torch_window: int = 0,
    **_: object,
) -> Array:
    """Divided by a power of what stands in the window; channels beyond the ends count as 0."""
    below, above = (min(each, x.shape[1]) for each in _window(size, torch_window))
    squares = np.pad(x * x, [(0, 0), (below, above), *[(0, 0)] * (x.ndim - 2)])
    total = np.zeros_like(x)
    for offset in range(below + 1 + above):
        total += squares[:, offset : offset + x.shape[1]]
    return x / (bias + alpha / size * total) ** beta


def _share(op: Tracer) -> ir.Value:
    return op("Div", op.scalar("alpha"), op.scalar("size"))


def _damped(op: Tracer, x: ir.Value, total: ir.Value) -> ir.Value:
    """From the sum over the window."""
    base = op("Add", op("Mul", total, _share(op)), op.scalar("bias"))
    return op("Div", x, op("Pow", base, op.scalar("beta")))


def _body(op: Tracer, x: ir.Value) -> ir.Value:
    """A banded matrix of ones sums the windows."""
    rows = op.reshape(op.wide(x), 0, 0, -1)
    band = _banded(op, rows)
    total = op("MatMul", band, op("Mul", rows, rows))
    return op.back(op.like(_damped(op, rows, total), x), x)


def _banded(op: Tracer, rows: ir.Value) -> ir.Value:
    size, one, two = op.index("size"), op.ints(1), op.ints(2)
    below = op("Div", op("Add", op("Sub", size, one), op.index("torch_window")), two)
    above = op("Sub", op("Sub", size, one), below)
    channels = op.scalar_of(op("Gather", op("Shape", rows), one))
    index = op("Range", op.whole(0), channels, op.whole(1))
    ahead = op("Sub", op.unsqueeze(index, 0), op.unsqueeze(index, 1))  # column - row
    low = op("Less", ahead, op("Neg", below))
    high = op("Greater", ahead, above)
    outside = op.as_number(op("Or", low, high))
    return op("Sub", op.numbers(1.0), outside)


def _known_window(op: Tracer) -> tuple[int, int]:
    return _window(op.known("size"), op.known("torch_window"))


def _native(op: Tracer, x: ir.Value) -> ir.Value:
    y = op(
        "LRN",
        op.wide(x),
        alpha=op.slot("alpha"),
        beta=op.slot("beta"),
        bias=op.slot("bias"),
        size=op.slot("size"),
    )
    return op.back(y, x)


def _volume(op: Tracer, x: ir.Value) -> ir.Value:
    """As torch's exporter writes it: channels are the depth of a volume."""
    wide, size = op.wide(x), op.known("size")
    below, above = _known_window(op)
    squares = op("Mul", wide, wide)
    sizes = op.facts.shape
    flat = op.reshape(squares, 0, 1, cast("int", sizes[1]), cast("int", sizes[2]), -1)
    padded = op.pad(flat, (0, 0, below, 0, 0), (0, 0, above, 0, 0))
    average = op("AveragePool", padded, kernel_shape=[size, 1, 1])
    return _from_average(op, x, wide, average)


def _plane(op: Tracer, x: ir.Value) -> ir.Value:
    """Channels are the rows of an image and all positions its columns."""
    wide, size = op.wide(x), op.known("size")
    below, above = _known_window(op)
    flat = op.reshape(op("Mul", wide, wide), 0, 1, cast("int", op.facts.shape[1]), -1)
    average = op(
        "AveragePool",
        flat,
        kernel_shape=[size, 1],
        pads=[below, 0, above, 0],
        count_include_pad=1,
    )
    return _from_average(op, x, wide, average)


def _from_average(op: Tracer, x: ir.Value, wide: ir.Value, average: ir.Value) -> ir.Value:
    scaled = op("Mul", op.like(average, x), op.scalar("alpha"))
    base = op("Add", scaled, op.scalar("bias"))
    return op.back(op("Div", wide, op("Pow", base, op.scalar("beta"))), x)


def _slices(op: Tracer, x: ir.Value) -> ir.Value:
    """The neighbours of all channels are slices of the channels with zeros around them.

    There is one zero more than is needed, so that every slice ends before the last.
    """
    wide, size = op.wide(x), op.known("size")
    below, above = _known_window(op)
    others = [0] * (op.rank - 2)
    padded = op.pad(op("Mul", wide, wide), (0, below, *others), (0, above + 1, *others))
    neighbours = [op.cut(padded, 1, start, start - size) for start in range(size)]
    total = reduce(partial(op, "Add"), neighbours)
    return op.back(_damped(op, wide, total), x)


def _base_by_convolution(op: Tracer, wide: ir.Value) -> ir.Value:
    """A convolution with one position sums the window; its bias is what is added."""
    channels = op.size(1)
    below, above = _known_window(op)
    ahead = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    band = (ahead >= -below) & (ahead <= above)
    weight = band * (op.known("alpha") / op.known("size"))
    kernel = op.numbers(weight.reshape(channels, channels, *[1] * (op.rank - 2)))
    offset = op.numbers(np.full(channels, op.known("bias")))
    return op("Conv", op("Mul", wide, wide), kernel, offset)


def _convolution(op: Tracer, x: ir.Value) -> ir.Value:
    wide = op.wide(x)
    power = op("Pow", _base_by_convolution(op, wide), op.scalar("beta"))
    return op.back(op("Div", wide, power), x)


def _convolution_and_roots(op: Tracer, x: ir.Value) -> ir.Value:
    wide = op.wide(x)
    root = op("Sqrt", _base_by_convolution(op, wide))
    return op.back(op("Div", wide, op("Mul", root, op("Sqrt", root))), x)


def _few_slices(call: NormCall) -> str | None:
    size = cast("int", call.attributes["size"])
    return None if size <= _SLICES else f"size is {size}, a slice for each channel of the window"


def _few_channels(call: NormCall) -> str | None:
    channels = call.shape[1]
    few = isinstance(channels, int) and channels <= _CHANNELS
    return None if few else f"{channels} channels would take as many squared weights"


def _is_onnx_window(call: NormCall) -> str | None:
    size = cast("int", call.attributes["size"])
    if size % 2 == 0:
        return f"size is {size}: even sizes are read in two ways, and ONNX Runtime refuses them"
    return None


def _three_quarters(call: NormCall) -> str | None:
    beta = call.attributes["beta"]
    return None if beta == _ROOTS else f"beta is {beta}, not 0.75"


def check(call: NormCall) -> None:
    """What is raised to a power must be positive.

    Raises:
        UsageError: bias or alpha is negative, or both are 0.
    """
    bias, alpha = (float(cast("float", call.attributes[name])) for name in ("bias", "alpha"))
    if bias < 0 or alpha < 0 or (bias == 0 and alpha == 0):
        message = (
            f"{call.norm.name}: bias is {bias:g} and alpha {alpha:g}; expected both at "
            "least 0 and one of them more, so that a positive number is raised to the power beta"
        )
        raise UsageError(message)


def read(op: Operator, _inputs: Sequence[Array | None]) -> Reading:
    """LRN 1 and 13."""
    attributes: dict[str, int | float | tuple[int, ...]] = {
        "size": op.int("size", 1),
        "alpha": op.float("alpha", _ALPHA),
        "beta": op.float("beta", 0.75),
        "bias": op.float("bias", 1.0),
    }
    return Reading("LocalResponseNorm", {}, attributes)


def layer(module: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:  # a torch module
    """torch.nn.LocalResponseNorm, whose k is ONNX's bias."""
    given = {"size": module.size, "alpha": module.alpha, "beta": module.beta, "bias": module.k}
    given |= {name: float(given[name]) for name in ("alpha", "beta", "bias")}
    return "LocalResponseNorm", {**given, "torch_window": 1}


_WITH_CHANNELS: Final = conditions.every(
    conditions.not_double, conditions.knows_channels, _few_channels, conditions.rank_of(3, 5)
)
_SIZED: Final = conditions.every(conditions.not_double, conditions.knows_channels)

LOCAL_RESPONSE_NORM: Final = Norm(
    name="LocalResponseNorm",
    aliases=("LRN",),
    parameters=(),
    attributes=(
        Attribute.int("size", None, "channels in the window", least=1),
        Attribute.float("alpha", 1e-4, "weight of the window's mean square"),
        Attribute.float("beta", 0.75, "exponent"),
        Attribute.float("bias", 1.0, "added to the window's mean square (k)"),
        Attribute.int(
            "torch_window",
            0,
            "where the middle of an even window lies",
            choices={"onnx": 0, "torch": 1},
            closed=True,
        ),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            native=True,
            caveat=(
                "ONNX Runtime on CPU slides the window by subtracting what leaves it: hundreds of "
                "roundoffs where neighbours differ much and x is large"
            ),
            requires=conditions.every(
                conditions.not_double, _is_onnx_window, conditions.rank_of(4, 4)
            ),
            operators=("LRN",),
        ),
        Form("banded MatMul", _body, since=13, generic=True),
        Form(
            "AveragePool of a volume",
            _volume,
            requires=conditions.every(
                conditions.not_double, conditions.knows_all_but_batch, conditions.rank_of(3)
            ),
        ),
        Form("AveragePool of a plane", _plane, requires=_SIZED),
        Form("sum of slices", _slices, requires=_few_slices),
        Form("banded Conv", _convolution, requires=_WITH_CHANNELS),
        Form(
            "banded Conv, square roots",
            _convolution_and_roots,
            requires=conditions.every(_WITH_CHANNELS, _three_quarters),
        ),
    ),
    equation="y = x / (bias + alpha / size * sum of x^2 over a window of channels) ^ beta",
    region=Region(Share.ONE, Share.WINDOW, Share.ONE, attributes={"size": 3}),
    source="Krizhevsky, Sutskever and Hinton, ImageNet Classification, 2012; ONNX LRN-13",
    use="the networks of 2012 to 2014 (AlexNet, GoogLeNet); BatchNorm took its place",
    check=check,
    readers={("", "LRN"): read},
    layers={"torch.nn.LocalResponseNorm": layer},
)
