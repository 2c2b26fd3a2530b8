"""What a reference network is, and how its weights come to be.

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

Everything is drawn by NumPy, calibrated in float64 and rounded to three decimal digits (the
statistics), so that another machine's convolutions do not change the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Size = Literal["test", "full"]
Floats = npt.NDArray[np.float64]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NEGATIVE_SHARE = 0.125
_SMALLEST_SHARE = 1e-2


@dataclass(frozen=True, slots=True)
class Network:
    """A torch module in eval mode, with what an exporter has to know.

    Attributes:
        name: Key in `models.NETWORKS`.
        module: The network; takes the tensors of `inputs` in order, by position.
        inputs: Example inputs by name; their sizes on dynamic axes are above 1.
        outputs: Names of the outputs.
        dynamic: Input or output name to axis to the name of the dynamic dimension.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ("output",)
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def batch_norms(self) -> int:
        """Number of BatchNorm modules."""
        return sum(isinstance(m, BATCH_NORMS) for m in self.module.modules())

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, as papers and model zoos count them."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)


class BranchNorm2d(nn.BatchNorm2d):
    """The last BatchNorm of a residual branch: drawn with a smaller gamma and beta."""

    gain = 0.25


def assemble(
    name: str,
    module: Callable[[], nn.Module],
    shape: tuple[int, ...],
    *,
    seed: int,
    calibration_batch: int = 4,
) -> Network:
    """Build a network of one input: draw its weights, calibrate its BatchNorms, describe it.

    Args:
        name: Key in `models.NETWORKS`.
        module: Makes the module.
        shape: Shape of one example, without the batch axis.
        seed: Seed of everything that is drawn.
        calibration_batch: Batch size that the statistics are taken from.

    Returns:
        The network in eval mode and float32, with one "input", one "output" and a dynamic batch.
    """
    rng = np.random.default_rng(seed)
    with seeded(seed):
        net = module()
    draw_weights(net, rng)
    calibrate(net, rng.standard_normal((calibration_batch, *shape)), rng=rng)
    example = torch.from_numpy(rng.standard_normal((2, *shape), dtype=np.float32))
    batch = {0: "batch"}
    dynamic = {"input": batch, "output": batch}
    return Network(name, net, {"input": example}, dynamic=dynamic)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside the block, and leave the outside alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def draw_weights(module: nn.Module, rng: np.random.Generator) -> None:
    """Draw all parameters: He initialisation for weights, gamma and beta for vectors.

    Weights of two axes or more are N(0, 2/fan), where fan is the number of products in one sum
    (He et al., 2015, arXiv:1502.01852, eq. 10). Vectors named "weight" scale, the others shift.
    """
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            size = tuple(parameter.shape)
            if parameter.ndim > 1:
                drawn = rng.standard_normal(size) * math.sqrt(2 / _products(layer, parameter))
            elif name == "weight":
                drawn = _scales(rng, size)
            else:
                drawn = _shifts(rng, size)
            parameter.data.copy_(torch.from_numpy(drawn))


def calibrate(module: nn.Module, *inputs: Floats, rng: np.random.Generator) -> None:
    """Set each BatchNorm's statistics from the activations that reach it, then jitter them.

    Leaves the module in eval mode and float32. Channels are axis 1 of every activation.
    """
    hook = partial(_set_statistics, rng=rng)
    norms = [layer for layer in module.modules() if isinstance(layer, BATCH_NORMS)]
    handles = [norm.register_forward_pre_hook(hook) for norm in norms]
    try:
        with torch.no_grad():
            module.eval().double()(*map(torch.from_numpy, inputs))
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
    gain = getattr(norm, "gain", 1.0)
    drawn = {
        "running_mean": mean,
        "running_var": var * 10 ** rng.uniform(-0.5, 0.5, size),
        "weight": gain * _scales(rng, size),
        "bias": gain * _shifts(rng, size),
    }
    for name, values in drawn.items():
        tensor = getattr(norm, name)
        if tensor is not None:
            tensor.copy_(torch.from_numpy(_three_digits(values)))


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
