"""The U-Net of DDPM (Ho et al., 2020, "Denoising Diffusion Probabilistic Models").

arXiv:2006.11239, appendix B, the model for CIFAR-10: four resolutions, residual blocks of
GroupNorm, SiLU and 3x3 convolution that are told the time step, attention at half resolution. 51
GroupNorms; 35,746,307 parameters at full size, as in google/ddpm-cifar10-32, which the paper rounds
to 35.7 million.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from models.network import Interface, Network, Size, assemble
from models.weights import Array

_MULTIPLES = (1, 2, 2, 2)
_BLOCKS = 2
_ATTENTION_LEVEL = 1
_STEPS = 1000
_EPSILON = 1e-6


class Residual(nn.Module):
    """GroupNorm, SiLU, 3x3, plus the time, GroupNorm, SiLU, 3x3; plus the input."""

    def __init__(self, inputs: int, outputs: int, groups: int, time: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=_EPSILON)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=_EPSILON)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.silu = nn.SiLU()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, inputs, H, W) and (N, time) to (N, outputs, H, W)."""
        y = self.conv1(self.silu(self.norm1(x))) + self.time(self.silu(time))[:, :, None, None]
        y = self.conv2(self.silu(self.norm2(y)))
        out: Tensor = self.shortcut(x) + y
        return out


class Attention(nn.Module):
    """GroupNorm, attention of one head over all pixels, 1x1; plus the input."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=_EPSILON)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y = self.norm(x)
        query, key, value = (f(y).flatten(2) for f in (self.query, self.key, self.value))
        scores = query.transpose(1, 2) @ key / math.sqrt(x.shape[1])
        context = value @ torch.softmax(scores, dim=-1).transpose(1, 2)
        out: Tensor = x + self.output(context.reshape(x.shape))
        return out


class TimeEmbedding(nn.Module):
    """Sines and cosines of the time step, then two linear layers."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        half = width // 2
        frequency = 10_000.0 ** (-torch.arange(half) / (half - 1))
        self.register_buffer("frequency", frequency, persistent=False)
        self.frequency: Tensor
        self.linear1 = nn.Linear(width, outputs)
        self.silu = nn.SiLU()
        self.linear2 = nn.Linear(outputs, outputs)

    def forward(self, step: Tensor) -> Tensor:
        """(N) to (N, outputs)."""
        angles = step[:, None].to(self.frequency.dtype) * self.frequency
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        out: Tensor = self.linear2(self.silu(self.linear1(waves)))
        return out


class Stage(nn.Module):
    """A residual block and, at one resolution, attention."""

    def __init__(self, inputs: int, outputs: int, groups: int, time: int, *, attend: bool) -> None:
        super().__init__()
        self.residual = Residual(inputs, outputs, groups, time)
        self.attention = Attention(outputs, groups) if attend else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(N, inputs, H, W) and (N, time) to (N, outputs, H, W)."""
        out: Tensor = self.attention(self.residual(x, time))
        return out


class GNUNet(nn.Module):
    """The noise in images (N, 3, H, W), H and W multiples of 8, after (N) steps of diffusion.

    Args:
        width: Channels at full resolution; 128 in the paper.
        groups: Groups of each GroupNorm; 32 in the paper.
    """

    def __init__(self, width: int = 128, groups: int = 32) -> None:
        super().__init__()
        stage = partial(Stage, groups=groups, time=4 * width)
        channels = [multiple * width for multiple in _MULTIPLES]
        self.time = TimeEmbedding(width, 4 * width)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        y, skips = width, [width]
        for level, outputs in enumerate(channels):
            if level > 0:
                self.downs.append(nn.Conv2d(y, y, 3, 2, padding=1))
                skips.append(y)
            for _ in range(_BLOCKS):
                self.downs.append(stage(y, outputs, attend=level == _ATTENTION_LEVEL))
                y = outputs
                skips.append(y)
        self.middle1 = stage(y, y, attend=True)
        self.middle2 = stage(y, y, attend=False)
        for level, outputs in reversed(list(enumerate(channels))):
            for _ in range(_BLOCKS + 1):
                inputs = y + skips.pop()
                self.ups.append(stage(inputs, outputs, attend=level == _ATTENTION_LEVEL))
                y = outputs
            if level > 0:
                self.ups.append(_doubling(y))
        self.norm = nn.GroupNorm(groups, y, eps=_EPSILON)
        self.silu = nn.SiLU()
        self.head = nn.Conv2d(y, 3, 3, padding=1)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """(N, 3, H, W) and (N) to (N, 3, H, W)."""
        time = self.time(step)
        y = self.stem(x)
        skips = [y]
        for layer in self.downs:
            y = layer(y, time) if isinstance(layer, Stage) else layer(y)
            skips.append(y)
        y = self.middle2(self.middle1(y, time), time)
        for layer in self.ups:
            if isinstance(layer, Stage):
                y = layer(torch.cat([y, skips.pop()], dim=1), time)
            else:
                y = layer(y)
        out: Tensor = self.head(self.silu(self.norm(y)))
        return out


def _doubling(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            up=nn.Upsample(scale_factor=2, mode="nearest"),
            conv=nn.Conv2d(channels, channels, 3, padding=1),
        )
    )


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The model for 32x32 images; at test size an eighth as wide, 16x16."""
    width, groups, side = (128, 32, 32) if size == "full" else (16, 4, 16)

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        return {
            "sample": rng.standard_normal((batch, 3, side, side)),
            "timestep": rng.integers(0, _STEPS, batch),
        }

    return assemble("gn_unet", lambda: GNUNet(width, groups), Interface(draw), seed=seed)
