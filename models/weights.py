"""How the weights of a reference network come to be.

Random weights with fresh BatchNorm statistics prove little: with running mean 0 and variance 1 a
wrong fold is invisible, and activations either die or explode within fifty layers. So the
statistics are first calibrated, layer by layer in the order of execution, on the activations that
really arrive, and then moved away from them by known amounts:

    running_mean = mean(x) + std(x)·N(0, 1/4)
    running_var  = var(x)·10**U(-1/2, 1/2)            (a decade wide)
    gamma        = ±10**U(-0.2, 0.2)·gain             (one in eight negative)
    beta         = N(0, 1/4)·gain

with deviations, not variances, in N. Each layer therefore hands on activations of order 1,
whatever came before. `gain` is 1, and 1/4 at the end of a residual branch (`BranchNorm2d`): there
training starts from gamma = 0 (Goyal et al., 2017, arXiv:1706.02677, section 5.1) and leaves it
small, and without it roundoff grows tenfold over fifty layers, which no trained network shows.
The gamma and beta of other normalizations, which keep no statistics, are drawn alike.

Everything is drawn by NumPy, calibrated in float64 and rounded to three decimal digits (the
statistics), so that another machine's convolutions do not change the weights.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.layers import BATCH_NORMS

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_SUMS = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)
_SCALES = ("weight", "gamma")
_NEGATIVE_SHARE = 0.125
_SMALLEST_SHARE = 1e-2


def draw_weights(module: nn.Module, rng: np.random.Generator) -> None:
    """Draw all parameters, each times its layer's `gain`, which is 1 unless the layer has one.

    - Weights of linear layers and convolutions are N(0, 2/fan), where fan is the number of products
      in one sum (He et al., 2015, arXiv:1502.01852, eq. 10).
    - Tables of embeddings are N(0, 1/width): a row has length 1, so that a table which is also the
      last linear layer hands on logits of order 1.
    - Of all others, those named "weight" or "gamma" scale, and the rest shift.
    """
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            size = tuple(parameter.shape)
            if isinstance(layer, nn.Embedding):
                drawn = rng.standard_normal(size) / math.sqrt(layer.embedding_dim)
            elif isinstance(layer, _SUMS) and name == "weight":
                drawn = rng.standard_normal(size) * math.sqrt(2 / _products(layer, parameter))
            elif name in _SCALES:
                drawn = _scales(rng, size)
            else:
                drawn = _shifts(rng, size)
            parameter.data.copy_(torch.from_numpy(_gain(layer) * drawn))


def calibrate(module: nn.Module, *inputs: Array, rng: np.random.Generator) -> None:
    """Set each BatchNorm's statistics from the activations that reach it, then jitter them.

    Leaves the module in eval mode and float32. Channels are axis 1 of every activation.
    """
    module.eval()
    norms = [layer for layer in module.modules() if isinstance(layer, BATCH_NORMS)]
    if not norms:
        return
    hook = partial(_set_statistics, rng=rng)
    handles = [norm.register_forward_pre_hook(hook) for norm in norms]
    try:
        with torch.no_grad():
            module.double()(*map(torch.from_numpy, inputs))
    finally:
        module.float()
        for handle in handles:
            handle.remove()


def _set_statistics(
    norm: nn.Module, arguments: tuple[Tensor, ...], *, rng: np.random.Generator
) -> None:
    """Forward pre-hook of `calibrate`: one BatchNorm, just before it runs."""
    x = arguments[0].transpose(0, 1).flatten(1)
    found_var, found_mean = (s.numpy() for s in torch.var_mean(x, dim=1, correction=0))
    var = np.maximum(found_var, _SMALLEST_SHARE * found_var.mean() + 1e-6)
    size = var.shape
    mean = found_mean + np.sqrt(var) * rng.standard_normal(size) / 4
    drawn = {
        "running_mean": mean,
        "running_var": var * 10 ** rng.uniform(-0.5, 0.5, size),
        "weight": _gain(norm) * _scales(rng, size),
        "bias": _gain(norm) * _shifts(rng, size),
    }
    for name, values in drawn.items():
        tensor = getattr(norm, name)
        if tensor is not None:
            tensor.copy_(torch.from_numpy(_three_digits(values)))


def _gain(layer: nn.Module) -> float:
    return float(getattr(layer, "gain", 1.0))


def _products(layer: nn.Module, weight: Tensor) -> float:
    """Number of products in one sum of a convolution, transposed convolution or linear layer."""
    if isinstance(layer, _TRANSPOSED):
        inputs = layer.in_channels // layer.groups
        return inputs * math.prod(layer.kernel_size) / math.prod(layer.stride)
    return math.prod(weight.shape[1:])


def _scales(rng: np.random.Generator, size: tuple[int, ...]) -> Floats:
    sign = np.where(rng.random(size) < _NEGATIVE_SHARE, -1.0, 1.0)
    return np.asarray(sign * 10 ** rng.uniform(-0.2, 0.2, size))


def _shifts(rng: np.random.Generator, size: tuple[int, ...]) -> Floats:
    return rng.standard_normal(size) / 4


def _three_digits(x: Floats) -> Floats:
    """Round to three significant decimal digits."""
    unit = 10 ** (np.floor(np.log10(np.maximum(np.abs(x), 1e-30))) - 2)
    return np.asarray(np.round(x / unit) * unit)
