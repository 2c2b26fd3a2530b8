"""Equivalent spellings of each normalization, as small ONNX models: what a runtime may be given.

`FORMS[norm]` names the forms; the first is the reference, the operator of that name where ONNX has
one. `build(norm, form, shape, dtype)` makes a model with one input x and one output y of that shape
and type. Scale and bias are constants.

All numbers are chosen so that the forms are the same function, not only nearly: epsilons are powers
of two, scales and biases have few bits, and variances plus epsilon have exact square roots. In
float64 the forms agree to 1e-12, whatever type the constants are stored in but float16.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import numpy_helper

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

EPSILON: Final = 2.0**-17  # 7.6e-6, exact in float16 as well
_TINY: Final = 2.0**-100
_LRN: Final = "alpha = 0.001220703125, beta = 0.75, bias = 2.0, size = 5"  # alpha / 5 = 2**-12
_LRN_SHARE: Final = 2.0**-12
_SEED: Final = 5
_IR_VERSION: Final = 10
_TYPES: Final = {"float": np.float32, "float16": np.float16}


@dataclass(slots=True)
class Sheet:
    """What a form is written on.

    Attributes:
        shape: Of the input.
        constants: By name, in float64 or int64.
    """

    shape: Shape
    constants: dict[str, Array] = field(default_factory=dict)

    def sizes(self, name: str, *sizes: int) -> str:
        """Add a shape, or axes."""
        self.constants[name] = np.array(sizes, np.int64)
        return name

    def numbers(self, name: str, values: npt.ArrayLike) -> str:
        """Add floating-point numbers."""
        self.constants[name] = np.asarray(values, np.float64)
        return name

    def affine(self, channels: int, *, rank: int = 1) -> None:
        """Add a scale w and a bias b, with dimensions of 1 behind the channels up to `rank`."""
        source = np.random.default_rng(_SEED)
        shape = (channels, *(1 for _ in range(rank - 1)))
        self.numbers("w", (source.integers(8, 25, channels) / 16).reshape(shape))
        self.numbers("b", (source.integers(-16, 17, channels) / 16).reshape(shape))


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling.

    Attributes:
        opset: The lowest that has its operators.
        write: Writes its nodes, in ONNX text, and adds its constants.
    """

    opset: int
    write: Callable[[Sheet], str]


# --- over the last axis ---------------------------------------------------------------------------

_CENTER = "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) "
_LAYER = f"LayerNormalization<axis = -1, epsilon = {EPSILON}>"
_INSTANCE = f"InstanceNormalization<epsilon = {EPSILON}>"


def _layer_native(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[-1])
    return f"y = {_LAYER}(x, w, b)"


def _layer_chain(sheet: Sheet) -> str:
    """As torch wrote it before opset 17, and as runtimes fuse it."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        f"{_CENTER} q = Pow(d, two) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " z = Div(d, s) p = Mul(z, w) y = Add(p, b)"
    )


def _layer_reciprocal(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    return (
        f"{_CENTER} q = Mul(d, d) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " r = Reciprocal(s) z = Mul(d, r) p = Mul(z, w) y = Add(p, b)"
    )


def _layer_accurate(sheet: Sheet) -> str:
    """What is subtracted first cancels, and what is left has a mean near zero."""
    sheet.affine(sheet.shape[-1])
    return f"{_CENTER} y = {_LAYER}(d, w, b)"


def _layer_instance(sheet: Sheet) -> str:
    """Each row is a channel of one example."""
    rows = math.prod(sheet.shape[:-1])
    sheet.affine(sheet.shape[-1])
    sheet.sizes("flat", 1, rows, sheet.shape[-1])
    sheet.sizes("full", *sheet.shape)
    sheet.numbers("one", np.ones(rows))
    sheet.numbers("zero", np.zeros(rows))
    return (
        f"r = Reshape(x, flat) i = {_INSTANCE}(r, one, zero) z = Reshape(i, full)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def _rms_native(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[-1])
    return f"y = RMSNormalization<axis = -1, epsilon = {EPSILON}>(x, w)"


def _rms_chain(sheet: Sheet) -> str:
    """As torch writes it below opset 23."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        "q = Pow(x, two) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " r = Reciprocal(s) z = Mul(x, r) y = Mul(z, w)"
    )


def _rms_division(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    return (
        "q = Mul(x, x) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " z = Div(x, s) y = Mul(z, w)"
    )


def _rms_sum(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    sheet.numbers("n", float(sheet.shape[-1]))
    return (
        "q = ReduceSumSquare<axes = [-1]>(x) v = Div(q, n) t = Add(v, e) s = Sqrt(t)"
        " z = Div(x, s) y = Mul(z, w)"
    )


def _l2_clip(sheet: Sheet) -> str:
    """As torch writes normalize(), which never divides by less than 1e-12."""
    sheet.numbers("least", 1e-12)
    return "n = ReduceL2<axes = [-1]>(x) c = Clip(n, least) y = Div(x, c)"


def _l2_native(_sheet: Sheet) -> str:
    return "y = LpNormalization<axis = -1, p = 2>(x)"


def _l2_rms(sheet: Sheet) -> str:
    """1/sqrt(n) of the sum instead of the mean; the sizes are powers of 4, so it is exact."""
    width = sheet.shape[-1]
    sheet.numbers("w", np.full(width, 1 / math.sqrt(width)))
    return f"y = RMSNormalization<axis = -1, epsilon = {_TINY}>(x, w)"


def _l2_chain(sheet: Sheet) -> str:
    sheet.sizes("last", -1)
    sheet.numbers("least", 1e-12)
    return (
        "q = Mul(x, x) s = ReduceSum<keepdims = 1>(q, last) n = Sqrt(s) c = Max(n, least)"
        " y = Div(x, c)"
    )


# --- over channels, groups and pixels -------------------------------------------------------------


def _groups(sheet: Sheet) -> int:
    return math.gcd(sheet.shape[1] // 2, 32)


def _by_group(sheet: Sheet, parts: int) -> None:
    """Constants that give each part of an example its own row, and lead back."""
    sheet.affine(sheet.shape[1], rank=3)
    sheet.sizes("flat", sheet.shape[0], parts, -1)
    sheet.sizes("full", *sheet.shape)


def _unit(sheet: Sheet, parts: int) -> None:
    sheet.numbers("one", np.ones(parts))
    sheet.numbers("zero", np.zeros(parts))


def _group_native(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[1])
    return f"y = GroupNormalization<num_groups = {_groups(sheet)}, epsilon = {EPSILON}>(x, w, b)"


def _group_instance(sheet: Sheet) -> str:
    """As torch writes it below opset 21."""
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    return (
        f"r = Reshape(x, flat) i = {_INSTANCE}(r, one, zero) z = Reshape(i, full)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def _group_batch(sheet: Sheet) -> str:
    """BatchNormalization of mean 0 and variance 1 is the affine."""
    channels = sheet.shape[1]
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    sheet.affine(channels)
    sheet.numbers("mean", np.zeros(channels))
    sheet.numbers("var", np.full(channels, 1 - EPSILON))
    return (
        f"r = Reshape(x, flat) i = {_INSTANCE}(r, one, zero) z = Reshape(i, full)"
        f" y = BatchNormalization<epsilon = {EPSILON}>(z, w, b, mean, var)"
    )


def _rows_layer(sheet: Sheet, parts: int) -> str:
    _by_group(sheet, parts)
    sheet.numbers("one", np.ones(math.prod(sheet.shape[1:]) // parts))
    return (
        f"r = Reshape(x, flat) i = {_LAYER}(r, one) z = Reshape(i, full)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def _group_layer(sheet: Sheet) -> str:
    return _rows_layer(sheet, _groups(sheet))


def _group_chain(sheet: Sheet) -> str:
    _by_group(sheet, _groups(sheet))
    sheet.numbers("e", EPSILON)
    return (
        "r = Reshape(x, flat) m = ReduceMean<axes = [-1]>(r) d = Sub(r, m) q = Mul(d, d)"
        " v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t) i = Div(d, s)"
        " z = Reshape(i, full) p = Mul(z, w) y = Add(p, b)"
    )


def _group_accurate(sheet: Sheet) -> str:
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    return (
        "r = Reshape(x, flat) m = ReduceMean<axes = [-1]>(r) d = Sub(r, m)"
        f" i = {_INSTANCE}(d, one, zero) z = Reshape(i, full) p = Mul(z, w) y = Add(p, b)"
    )


def _instance_native(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[1])
    return f"y = {_INSTANCE}(x, w, b)"


def _instance_chain(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("e", EPSILON)
    return (
        "m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) q = Mul(d, d)"
        " v = ReduceMean<axes = [2, 3]>(q) t = Add(v, e) s = Sqrt(t) z = Div(d, s)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def _instance_layer(sheet: Sheet) -> str:
    return _rows_layer(sheet, sheet.shape[1])


def _instance_group(sheet: Sheet) -> str:
    """As many groups as channels."""
    sheet.affine(sheet.shape[1])
    return f"y = GroupNormalization<num_groups = {sheet.shape[1]}, epsilon = {EPSILON}>(x, w, b)"


def _instance_accurate(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[1])
    return f"m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) y = {_INSTANCE}(d, w, b)"


def _channels_chain(sheet: Sheet) -> str:
    """LayerNorm over axis 1, as ConvNeXt's own code spells it."""
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        "m = ReduceMean<axes = [1]>(x) d = Sub(x, m) q = Pow(d, two)"
        " v = ReduceMean<axes = [1]>(q) t = Add(v, e) s = Sqrt(t) z = Div(d, s)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def _channels_transposed(sheet: Sheet) -> str:
    sheet.affine(sheet.shape[1])
    return (
        f"r = Transpose<perm = [0, 2, 3, 1]>(x) z = {_LAYER}(r, w, b)"
        " y = Transpose<perm = [0, 3, 1, 2]>(z)"
    )


# --- across channels, and with statistics that are known ------------------------------------------


def _lrn_native(_sheet: Sheet) -> str:
    return f"y = LRN<{_LRN}>(x)"


def _lrn_tail(sheet: Sheet) -> str:
    sheet.numbers("alpha", 5 * _LRN_SHARE)
    sheet.numbers("k", 2.0)
    sheet.numbers("beta", 0.75)
    sheet.sizes("full", *sheet.shape)
    return "s = Reshape(a, full) p = Mul(s, alpha) t = Add(p, k) d = Pow(t, beta) y = Div(x, d)"


def _lrn_volume(sheet: Sheet) -> str:
    """As torch's dynamo exporter writes it: channels as the depth of a volume."""
    batch, channels, height, width = sheet.shape
    sheet.sizes("deep", batch, 1, channels, height, width)
    sheet.sizes("pads", 0, 0, 2, 0, 0, 0, 0, 2, 0, 0)
    return (
        "q = Mul(x, x) r = Reshape(q, deep) f = Pad(r, pads)"
        f" a = AveragePool<kernel_shape = [5, 1, 1]>(f) {_lrn_tail(sheet)}"
    )


def _lrn_plane(sheet: Sheet) -> str:
    """Channels as the rows of an image, all pixels its columns."""
    batch, channels, height, width = sheet.shape
    sheet.sizes("flat", batch, 1, channels, height * width)
    pool = "AveragePool<kernel_shape = [5, 1], pads = [2, 0, 2, 0], count_include_pad = 1>"
    return f"q = Mul(x, x) r = Reshape(q, flat) a = {pool}(r) {_lrn_tail(sheet)}"


def _lrn_banded(sheet: Sheet) -> str:
    """A convolution with one pixel sums the window; its bias is what LRN adds."""
    channels = sheet.shape[1]
    index = np.arange(channels)
    band = np.abs(index[:, None] - index[None, :]) <= 2
    sheet.numbers("band", (_LRN_SHARE * band)[:, :, None, None])
    sheet.numbers("k", np.full(channels, 2.0))
    sheet.numbers("beta", 0.75)
    return "q = Mul(x, x) t = Conv(q, band, k) d = Pow(t, beta) y = Div(x, d)"


def _lrn_roots(sheet: Sheet) -> str:
    """The same; a power of 3/4 is a root times the root's root."""
    before = _lrn_banded(sheet).partition("d = ")[0]
    del sheet.constants["beta"]
    return f"{before} h = Sqrt(t) g = Sqrt(h) d = Mul(h, g) y = Div(x, d)"


def _statistics(sheet: Sheet) -> tuple[Array, Array]:
    """Mean, and standard deviation: a power of two."""
    source = np.random.default_rng(_SEED + 1)
    channels = sheet.shape[1]
    return source.integers(-16, 17, channels) / 16, 2.0 ** source.integers(-1, 2, channels)


def _batch_native(sheet: Sheet) -> str:
    mean, deviation = _statistics(sheet)
    sheet.affine(sheet.shape[1])
    sheet.numbers("mean", mean)
    sheet.numbers("var", deviation**2 - EPSILON)
    return f"y = BatchNormalization<epsilon = {EPSILON}>(x, w, b, mean, var)"


def _folded(sheet: Sheet, *, rank: int) -> None:
    """The whole as a scale w and a shift b."""
    mean, deviation = _statistics(sheet)
    sheet.affine(sheet.shape[1])
    scale = sheet.constants["w"] / deviation
    shift = sheet.constants["b"] - mean * scale
    ones = (1,) * (rank - 1)
    sheet.numbers("w", scale.reshape(-1, *ones))
    sheet.numbers("b", shift.reshape(-1, *ones))


def _batch_affine(sheet: Sheet) -> str:
    _folded(sheet, rank=3)
    return "p = Mul(x, w) y = Add(p, b)"


def _batch_convolution(sheet: Sheet) -> str:
    _folded(sheet, rank=4)
    sheet.numbers("b", sheet.constants["b"].reshape(-1))
    return f"y = Conv<group = {sheet.shape[1]}>(x, w, b)"


def _batch_chain(sheet: Sheet) -> str:
    mean, deviation = _statistics(sheet)
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("mean", mean.reshape(-1, 1, 1))
    sheet.numbers("s", deviation.reshape(-1, 1, 1))
    return "d = Sub(x, mean) z = Div(d, s) p = Mul(z, w) y = Add(p, b)"


# --- the table ------------------------------------------------------------------------------------

FORMS: Final[Mapping[str, Mapping[str, Form]]] = {
    "LayerNorm": {
        "native": Form(17, _layer_native),
        "chain with Pow and Div": Form(13, _layer_chain),
        "chain with Mul and Reciprocal": Form(13, _layer_reciprocal),
        "centered first, native": Form(17, _layer_accurate),
        "Reshape-InstanceNorm-Reshape-Mul-Add": Form(13, _layer_instance),
    },
    "RMSNorm": {
        "native": Form(23, _rms_native),
        "chain with Pow and Reciprocal": Form(13, _rms_chain),
        "chain with Mul and Div": Form(13, _rms_division),
        "chain with ReduceSumSquare": Form(13, _rms_sum),
    },
    "GroupNorm": {
        "native": Form(21, _group_native),
        "Reshape-InstanceNorm-Reshape-Mul-Add": Form(13, _group_instance),
        "Reshape-InstanceNorm-Reshape-BatchNorm": Form(15, _group_batch),
        "Reshape-LayerNorm-Reshape-Mul-Add": Form(17, _group_layer),
        "chain": Form(13, _group_chain),
        "centered first, InstanceNorm": Form(13, _group_accurate),
    },
    "InstanceNorm": {
        "native": Form(13, _instance_native),
        "chain": Form(13, _instance_chain),
        "Reshape-LayerNorm-Reshape-Mul-Add": Form(17, _instance_layer),
        "GroupNormalization": Form(21, _instance_group),
        "centered first, native": Form(13, _instance_accurate),
    },
    "ChannelsFirstLayerNorm": {
        "chain": Form(13, _channels_chain),
        "Transpose-LayerNorm-Transpose": Form(17, _channels_transposed),
    },
    "LRN": {
        "native": Form(13, _lrn_native),
        "AveragePool of a volume": Form(13, _lrn_volume),
        "AveragePool of a plane": Form(13, _lrn_plane),
        "banded Conv": Form(13, _lrn_banded),
        "banded Conv, square roots": Form(13, _lrn_roots),
    },
    "L2": {
        "ReduceL2-Clip-Div": Form(13, _l2_clip),
        "LpNormalization": Form(13, _l2_native),
        "RMSNormalization": Form(23, _l2_rms),
        "chain": Form(13, _l2_chain),
    },
    "BatchNorm": {
        "native": Form(15, _batch_native),
        "Mul-Add": Form(13, _batch_affine),
        "depthwise Conv": Form(13, _batch_convolution),
        "Sub-Div-Mul-Add": Form(13, _batch_chain),
    },
}


def build(norm: str, form: str, shape: Shape, dtype: str = "float") -> onnx.ModelProto:
    """A model of one normalization in one form.

    Args:
        norm: A key of `FORMS`.
        form: A key of `FORMS[norm]`.
        shape: Of x and y; rank 4 (N, C, H, W) for norms over channels and pixels. Norms over the
            last axis take any rank.
        dtype: "float" or "float16", of everything that is no shape.

    Raises:
        KeyError: There is no such norm, form or type.
    """
    chosen, kind = FORMS[norm][form], _TYPES[dtype]
    sheet = Sheet(shape)
    nodes = chosen.write(sheet)
    dims = ",".join(map(str, shape))
    model: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: {_IR_VERSION}, opset_import: ["": {chosen.opset}]>\n'
        f"norm ({dtype}[{dims}] x) => ({dtype}[{dims}] y) {{ {nodes} }}"
    )
    read = {name for node in model.graph.node for name in node.input}
    for name, array in sheet.constants.items():
        if name in read:
            stored = array if array.dtype == np.int64 else array.astype(kind)
            model.graph.initializer.append(numpy_helper.from_array(stored, name))
    return model
