"""Forms of normalizations over channels, groups and pixels of (N, C, H, W)."""

from __future__ import annotations

import math

import numpy as np

from models.norm_forms.sheet import EPSILON, INSTANCE, LAYER, Sheet


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


def group_native(sheet: Sheet) -> str:
    """The operator."""
    sheet.affine(sheet.shape[1])
    return f"y = GroupNormalization<num_groups = {_groups(sheet)}, epsilon = {EPSILON}>(x, w, b)"


def group_instance(sheet: Sheet) -> str:
    """As torch writes it below opset 21."""
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    return (
        f"r = Reshape(x, flat) i = {INSTANCE}(r, one, zero) z = Reshape(i, full)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def group_batch(sheet: Sheet) -> str:
    """BatchNormalization of mean 0 and variance 1 is the affine."""
    channels = sheet.shape[1]
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    sheet.affine(channels)
    sheet.numbers("mean", np.zeros(channels))
    sheet.numbers("var", np.full(channels, 1 - EPSILON))
    return (
        f"r = Reshape(x, flat) i = {INSTANCE}(r, one, zero) z = Reshape(i, full)"
        f" y = BatchNormalization<epsilon = {EPSILON}>(z, w, b, mean, var)"
    )


def _rows_layer(sheet: Sheet, parts: int) -> str:
    _by_group(sheet, parts)
    sheet.numbers("one", np.ones(math.prod(sheet.shape[1:]) // parts))
    return (
        f"r = Reshape(x, flat) i = {LAYER}(r, one) z = Reshape(i, full) p = Mul(z, w) y = Add(p, b)"
    )


def group_layer(sheet: Sheet) -> str:
    """Each group is a row; LayerNormalization scales nothing."""
    return _rows_layer(sheet, _groups(sheet))


def group_chain(sheet: Sheet) -> str:
    """Taken apart, variance of what is centered."""
    _by_group(sheet, _groups(sheet))
    sheet.numbers("e", EPSILON)
    return (
        "r = Reshape(x, flat) m = ReduceMean<axes = [-1]>(r) d = Sub(r, m) q = Mul(d, d)"
        " v = ReduceMean<axes = [-1]>(q) t = Add(v, e) s = Sqrt(t) i = Div(d, s)"
        " z = Reshape(i, full) p = Mul(z, w) y = Add(p, b)"
    )


def group_accurate(sheet: Sheet) -> str:
    """What is subtracted first cancels, and what is left has a mean near zero."""
    _by_group(sheet, _groups(sheet))
    _unit(sheet, _groups(sheet))
    return (
        "r = Reshape(x, flat) m = ReduceMean<axes = [-1]>(r) d = Sub(r, m)"
        f" i = {INSTANCE}(d, one, zero) z = Reshape(i, full) p = Mul(z, w) y = Add(p, b)"
    )


def instance_native(sheet: Sheet) -> str:
    """The operator."""
    sheet.affine(sheet.shape[1])
    return f"y = {INSTANCE}(x, w, b)"


def instance_chain(sheet: Sheet) -> str:
    """Taken apart, variance of what is centered."""
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("e", EPSILON)
    return (
        "m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) q = Mul(d, d)"
        " v = ReduceMean<axes = [2, 3]>(q) t = Add(v, e) s = Sqrt(t) z = Div(d, s)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def instance_layer(sheet: Sheet) -> str:
    """Each channel is a row."""
    return _rows_layer(sheet, sheet.shape[1])


def instance_group(sheet: Sheet) -> str:
    """As many groups as channels."""
    sheet.affine(sheet.shape[1])
    return f"y = GroupNormalization<num_groups = {sheet.shape[1]}, epsilon = {EPSILON}>(x, w, b)"


def instance_accurate(sheet: Sheet) -> str:
    """What is subtracted first cancels."""
    sheet.affine(sheet.shape[1])
    return f"m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) y = {INSTANCE}(d, w, b)"


def channels_chain(sheet: Sheet) -> str:
    """LayerNorm over axis 1, as ConvNeXt's own code spells it."""
    sheet.affine(sheet.shape[1], rank=3)
    sheet.numbers("two", 2.0)
    sheet.numbers("e", EPSILON)
    return (
        "m = ReduceMean<axes = [1]>(x) d = Sub(x, m) q = Pow(d, two)"
        " v = ReduceMean<axes = [1]>(q) t = Add(v, e) s = Sqrt(t) z = Div(d, s)"
        " p = Mul(z, w) y = Add(p, b)"
    )


def channels_transposed(sheet: Sheet) -> str:
    """Channels last, where LayerNormalization wants them, and back."""
    sheet.affine(sheet.shape[1])
    return (
        f"r = Transpose<perm = [0, 2, 3, 1]>(x) z = {LAYER}(r, w, b)"
        " y = Transpose<perm = [0, 3, 1, 2]>(z)"
    )
