"""Forms of normalizations over the last axis: LayerNorm, RMSNorm, L2."""

from __future__ import annotations

import math

import numpy as np

from models.norm_forms.sheet import EPSILON, INSTANCE, LAYER, Sheet

_TINY = 2.0**-100  # an epsilon that only rows of zeros see
_CENTER = "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) "


def layer_native(sheet: Sheet) -> str:
    """The operator."""
    sheet.affine(sheet.shape[-1])
    return f"y = {LAYER}(x, w, b)"


def layer_chain(sheet: Sheet) -> str:
    """As torch wrote it before opset 17, and as runtimes fuse it."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        f"{_CENTER} q = Pow(d, two) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " z = Div(d, s) p = Mul(z, w) y = Add(p, b)"
    )


def layer_reciprocal(sheet: Sheet) -> str:
    """Spelled so that runtimes don't recognise it."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    return (
        f"{_CENTER} q = Mul(d, d) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " r = Reciprocal(s) z = Mul(d, r) p = Mul(z, w) y = Add(p, b)"
    )


def layer_accurate(sheet: Sheet) -> str:
    """What is subtracted first cancels, and what is left has a mean near zero."""
    sheet.affine(sheet.shape[-1])
    return f"{_CENTER} y = {LAYER}(d, w, b)"


def layer_instance(sheet: Sheet) -> str:
    """Each row is a channel of one example."""
    rows = math.prod(sheet.shape[:-1])
    sheet.affine(sheet.shape[-1])
    sheet.sizes("flat", 1, rows, sheet.shape[-1])
    sheet.sizes("full", *sheet.shape)
    sheet.numbers("one", np.ones(rows))
    sheet.numbers("zero", np.zeros(rows))
    return (
        f"r = Reshape(x, flat) i = {INSTANCE}(r, one, zero) z = Reshape(i, full)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def rms_native(sheet: Sheet) -> str:
    """The operator."""
    sheet.affine(sheet.shape[-1])
    return f"y = RMSNormalization<axis = -1, epsilon = {EPSILON}>(x, w)"


def rms_chain(sheet: Sheet) -> str:
    """As torch writes it below opset 23."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        "q = Pow(x, two) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " r = Reciprocal(s) z = Mul(x, r) y = Mul(z, w)"
    )


def rms_division(sheet: Sheet) -> str:
    """A product instead of a power, a division instead of a reciprocal."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    return (
        "q = Mul(x, x) v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t)"
        " z = Div(x, s) y = Mul(z, w)"
    )


def rms_sum(sheet: Sheet) -> str:
    """One operator sums the squares."""
    sheet.affine(sheet.shape[-1])
    sheet.numbers("e", EPSILON)
    sheet.numbers("n", float(sheet.shape[-1]))
    return (
        "q = ReduceSumSquare<axes = [-1]>(x) v = Div(q, n) t = Add(v, e) s = Sqrt(t)"
        " z = Div(x, s) y = Mul(z, w)"
    )


def l2_clip(sheet: Sheet) -> str:
    """As torch writes normalize(), which never divides by less than 1e-12."""
    sheet.numbers("least", 1e-12)
    return "n = ReduceL2<axes = [-1]>(x) c = Clip(n, least) y = Div(x, c)"


def l2_native(_sheet: Sheet) -> str:
    """The operator, which never clips; the same unless a row is zero."""
    return "y = LpNormalization<axis = -1, p = 2>(x)"


def l2_rms(sheet: Sheet) -> str:
    """1/sqrt(n) of the sum instead of the mean; the sizes are powers of 4, so it is exact."""
    width = sheet.shape[-1]
    sheet.numbers("w", np.full(width, 1 / math.sqrt(width)))
    return f"y = RMSNormalization<axis = -1, epsilon = {_TINY}>(x, w)"


def l2_chain(sheet: Sheet) -> str:
    """Taken apart down to the sum."""
    sheet.sizes("last", -1)
    sheet.numbers("least", 1e-12)
    return (
        "q = Mul(x, x) s = ReduceSum<keepdims = 1>(q, last) n = Sqrt(s) c = Max(n, least)"
        " y = Div(x, c)"
    )
