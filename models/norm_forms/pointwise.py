"""Forms of what scales each pixel by its own channels, or by known statistics: LRN, BatchNorm."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.norm_forms.sheet import EPSILON, Array, Sheet

_LRN: Final = "alpha = 0.001220703125, beta = 0.75, bias = 2.0, size = 5"  # alpha / 5 = 2**-12
_LRN_SHARE: Final = 2.0**-12
_SEED: Final = 6


def lrn_native(_sheet: Sheet) -> str:
    """The operator."""
    return f"y = LRN<{_LRN}>(x)"


def _lrn_tail(sheet: Sheet) -> str:
    sheet.numbers("alpha", 5 * _LRN_SHARE)
    sheet.numbers("k", 2.0)
    sheet.numbers("beta", 0.75)
    sheet.sizes("full", *sheet.shape)
    return "s = Reshape(a, full) p = Mul(s, alpha) t = Add(p, k) d = Pow(t, beta) y = Div(x, d)"


def lrn_volume(sheet: Sheet) -> str:
    """As torch's dynamo exporter writes it: channels as the depth of a volume."""
    batch, channels, height, width = sheet.shape
    sheet.sizes("deep", batch, 1, channels, height, width)
    sheet.sizes("pads", 0, 0, 2, 0, 0, 0, 0, 2, 0, 0)
    return (
        "q = Mul(x, x) r = Reshape(q, deep) f = Pad(r, pads)"
        f" a = AveragePool<kernel_shape = [5, 1, 1]>(f) {_lrn_tail(sheet)}"
    )


def lrn_plane(sheet: Sheet) -> str:
    """Channels as the rows of an image, all pixels its columns."""
    batch, channels, height, width = sheet.shape
    sheet.sizes("flat", batch, 1, channels, height * width)
    pool = "AveragePool<kernel_shape = [5, 1], pads = [2, 0, 2, 0], count_include_pad = 1>"
    return f"q = Mul(x, x) r = Reshape(q, flat) a = {pool}(r) {_lrn_tail(sheet)}"


def lrn_banded(sheet: Sheet) -> str:
    """A convolution with one pixel sums the window; its bias is what LRN adds."""
    channels = sheet.shape[1]
    index = np.arange(channels)
    band = np.abs(index[:, None] - index[None, :]) <= 2
    sheet.numbers("band", (_LRN_SHARE * band)[:, :, None, None])
    sheet.numbers("k", np.full(channels, 2.0))
    sheet.numbers("beta", 0.75)
    return "q = Mul(x, x) t = Conv(q, band, k) d = Pow(t, beta) y = Div(x, d)"


def lrn_roots(sheet: Sheet) -> str:
    """The same; a power of 3/4 is a root times the root's root."""
    before = lrn_banded(sheet).partition("d = ")[0]
    del sheet.constants["beta"]
    return f"{before} h = Sqrt(t) g = Sqrt(h) d = Mul(h, g) y = Div(x, d)"


def _statistics(sheet: Sheet) -> tuple[Array, Array]:
    """Mean, and standard deviation: a power of two."""
    source = np.random.default_rng(_SEED)
    channels = sheet.shape[1]
    return source.integers(-16, 17, channels) / 16, 2.0 ** source.integers(-1, 2, channels)


def batch_native(sheet: Sheet) -> str:
    """The operator."""
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


def batch_affine(sheet: Sheet) -> str:
    """What it comes down to."""
    _folded(sheet, rank=3)
    return "p = Mul(x, w) y = Add(p, b)"


def batch_convolution(sheet: Sheet) -> str:
    """One weight for each channel."""
    _folded(sheet, rank=4)
    sheet.numbers("b", sheet.constants["b"].reshape(-1))
    return f"y = Conv<group = {sheet.shape[1]}>(x, w, b)"


def batch_chain(sheet: Sheet) -> str:
    """The definition, step by step."""
    mean, deviation = _statistics(sheet)
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("mean", mean.reshape(-1, 1, 1))
    sheet.numbers("s", deviation.reshape(-1, 1, 1))
    return "d = Sub(x, mean) z = Div(d, s) p = Mul(z, w) y = Add(p, b)"
