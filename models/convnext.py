"""ConvNeXt-T (Liu et al., 2022, "A ConvNet for the 2020s", arXiv:2201.03545).

Section 2 and Figure 4, spelled as in the authors' code: inside a block LayerNorm over the last axis
between two transpositions, and linear layers for the 1x1 convolutions; in the stem and before each
downsampling LayerNorm over axis 1 in elementary operations. 23 LayerNorms; 28,589,128 parameters at
full size.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.layers import LayerNorm2d
from models.network import Network, Size, assemble

_DEPTHS = (3, 3, 9, 3)
_EPSILON = 1e-6


class LayerScale(nn.Module):
    """A factor for each channel of the last axis (Touvron et al., 2021, arXiv:2103.17239).

    Training starts from 1e-6; such a factor would hide every error of the branch before it.
    """

    gain = 0.3

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) to the same."""
        return self.gamma * x


class Block(nn.Module):
    """7x7 depthwise, LayerNorm, four times as wide, GELU, back, LayerScale, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.expand = nn.Linear(channels, 4 * channels)
        self.gelu = nn.GELU()
        self.project = nn.Linear(4 * channels, channels)
        self.scale = LayerScale(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale(self.project(self.gelu(self.expand(y))))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out


class ConvNeXt(nn.Module):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        width: Channels of the first stage, doubled at each of three more; 96 in ConvNeXt-T.
        classes: Number of logits.
        depths: Blocks of each stage.
        block: Makes a block of the given number of channels.
    """

    def __init__(
        self,
        width: int = 96,
        classes: int = 1000,
        depths: tuple[int, ...] = _DEPTHS,
        block: Callable[[int], nn.Module] = Block,
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            stem=nn.Conv2d(3, width, 4, 4),
            stem_norm=LayerNorm2d(width, _EPSILON),
        )
        channels = width
        for stage, depth in enumerate(depths, start=1):
            if stage > 1:
                layers[f"down{stage}_norm"] = LayerNorm2d(channels, _EPSILON)
                layers[f"down{stage}"] = nn.Conv2d(channels, 2 * channels, 2, 2)
                channels *= 2
            for index in range(1, depth + 1):
                layers[f"stage{stage}_block{index}"] = block(channels)
        self.features = nn.Sequential(layers)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        out: Tensor = self.classifier(self.norm(self.features(x).mean((-2, -1))))
        return out


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """ConvNeXt-T at 224x224; at test size an eighth as wide, 10 classes, 64x64."""
    width, classes, side = (96, 1000, 224) if size == "full" else (12, 10, 64)
    return assemble("convnext", lambda: ConvNeXt(width, classes), (3, side, side), seed=seed)
