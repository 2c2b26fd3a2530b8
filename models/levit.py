"""LeViT (Graham et al., 2021, arXiv:2104.01136).

"LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference": LeViT-128S of Table 1 in
the spelling of the authors' own code. Each linear layer takes tokens (N, T, C), and its BatchNorm
the same numbers as rows, flatten(0, 1), brought back by reshape_as. 52 BatchNorms: 46 like that,
four after a Conv, two before the linear layers at the end, of which one is the head for
distillation. 7,777,058 parameters at full size; Table 3 rounds to 7.8 million.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from models.layers import BranchNorm1d
from models.network import Network, Size, assemble

_DEPTHS = (2, 3, 4)
_PATCH = 16


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of a network.

    Attributes:
        widths: Channels of each stage.
        heads: Heads of each stage.
        key: Channels of a head's keys; its values have twice as many, four times between stages.
        side: Height and width of the image.
        classes: Number of logits.
    """

    widths: tuple[int, ...] = (128, 256, 384)
    heads: tuple[int, ...] = (4, 6, 8)
    key: int = 16
    side: int = 224
    classes: int = 1000


class LinearBN(nn.Module):
    """A linear layer and BatchNorm of its channels, for tokens."""

    def __init__(self, inputs: int, outputs: int, *, ends_branch: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bn = BranchNorm1d(outputs) if ends_branch else nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, inputs) to (N, T, outputs)."""
        y = self.linear(x)
        out: Tensor = self.bn(y.flatten(0, 1)).reshape_as(y)
        return out


class Residual(nn.Module):
    """What is added to its input."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        out: Tensor = x + self.branch(x)
        return out


class Subsample(nn.Module):
    """Every second token along both sides of a square of them."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(N, side·side, C) to (N, T, C)."""
        n, _, c = x.shape
        return x.view(n, self.side, self.side, c)[:, ::2, ::2].reshape(n, -1, c)


class Attention(nn.Module):
    """Attention with a learned bias for each offset between query and key.

    Args:
        inputs: Channels of a token.
        outputs: The same of a result.
        heads: Number of heads.
        sizes: Channels of a key, and of a value.
        side: Height and width of the tokens.
        stride: 1, or 2 for every second token as a query.
    """

    offsets: Tensor

    def __init__(  # noqa: PLR0913, PLR0917  # as many sizes as it has
        self, inputs: int, outputs: int, heads: int, sizes: tuple[int, int], side: int, stride: int
    ) -> None:
        super().__init__()
        self.heads, self.sizes = heads, sizes
        key, value = sizes
        self.kv = LinearBN(inputs, heads * (key + value))
        self.q = nn.Sequential(
            OrderedDict(
                tokens=Subsample(side) if stride == 2 else nn.Identity(),
                linear=LinearBN(inputs, heads * key),
            )
        )
        self.proj = LinearBN(heads * value, outputs, ends_branch=stride == 1)
        offsets, number = _offsets(side, stride)
        self.biases = nn.Parameter(torch.zeros(heads, number))
        self.register_buffer("offsets", offsets, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, side·side, inputs) to (N, queries, outputs)."""
        n, t, _ = x.shape
        key, value = self.sizes
        k, v = self.kv(x).view(n, t, self.heads, key + value).split([key, value], dim=3)
        q = self.q(x).view(n, -1, self.heads, key).permute(0, 2, 1, 3)
        k, v = k.permute(0, 2, 3, 1), v.permute(0, 2, 1, 3)
        weights = ((q @ k) * key**-0.5 + self.biases[:, self.offsets]).softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(n, -1, self.heads * value)
        out: Tensor = self.proj(nn.functional.hardswish(y))
        return out


class SelfAttention(Attention):
    """The same with queries, keys and values from one linear layer."""

    def __init__(self, width: int, heads: int, sizes: tuple[int, int], side: int) -> None:
        super().__init__(width, width, heads, sizes, side, 1)
        del self.q, self.kv
        self.qkv = LinearBN(width, heads * (2 * sizes[0] + sizes[1]))

    def forward(self, x: Tensor) -> Tensor:
        """(N, side·side, width) to the same."""
        n, t, _ = x.shape
        key, value = self.sizes
        parts = self.qkv(x).view(n, t, self.heads, 2 * key + value).split([key, key, value], dim=3)
        q, k, v = (part.permute(0, 2, 1, 3) for part in parts)
        weights = ((q @ k.transpose(-2, -1)) * key**-0.5 + self.biases[:, self.offsets]).softmax(-1)
        y = (weights @ v).transpose(1, 2).reshape(n, t, self.heads * value)
        out: Tensor = self.proj(nn.functional.hardswish(y))
        return out


class LeViT(nn.Module):
    """The network for images (N, 3, side, side); returns logits (N, classes)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        key, side = config.key, config.side // _PATCH
        self.patches = _patches(config.widths[0])
        blocks: list[nn.Module] = []
        for stage, (width, heads) in enumerate(zip(config.widths, config.heads, strict=True)):
            if stage:
                before = config.widths[stage - 1]
                down = Attention(before, width, before // key, (key, 4 * key), side, 2)
                blocks += [down, _mlp(width)]
                side = (side + 1) // 2
            for _ in range(_DEPTHS[stage]):
                attention = SelfAttention(width, heads, (key, 2 * key), side)
                blocks += [Residual(attention), _mlp(width)]
        self.blocks = nn.Sequential(*blocks)
        self.head = _head(config.widths[-1], config.classes)
        self.distilled = _head(config.widths[-1], config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, side, side) to (N, classes)."""
        y = self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1)
        out: Tensor = (self.head(y) + self.distilled(y)) / 2
        return out


def _patches(width: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = (3, width // 8, width // 4, width // 2, width)
    for index, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        layers[f"conv{index}"] = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(outputs)
        layers[f"act{index}"] = nn.Hardswish()
    del layers["act4"]
    return nn.Sequential(layers)


def _mlp(width: int) -> nn.Module:
    return Residual(
        nn.Sequential(
            LinearBN(width, 2 * width),
            nn.Hardswish(),
            LinearBN(2 * width, width, ends_branch=True),
        )
    )


def _head(width: int, classes: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm1d(width), linear=nn.Linear(width, classes)))


def _offsets(side: int, stride: int) -> tuple[Tensor, int]:
    """For each query and key the number of the offset between them, and how many there are."""
    keys = list(product(range(side), range(side)))
    queries = list(product(range(0, side, stride), range(0, side, stride)))
    numbers: dict[tuple[int, int], int] = {}
    found = [
        [numbers.setdefault((abs(a - c), abs(b - d)), len(numbers)) for c, d in keys]
        for a, b in queries
    ]
    return torch.tensor(found), len(numbers)


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """LeViT-128S at 224x224; at test size an eighth to a quarter as wide, 10 classes, 64x64."""
    config = Config() if size == "full" else Config((32, 48, 64), (2, 3, 4), 8, 64, 10)
    shape = (3, config.side, config.side)
    return assemble("levit", lambda: LeViT(config), shape, seed=seed, calibration_batch=8)
