"""U-Net (Ronneberger et al., 2015, arXiv:1505.04597) with BatchNorm.

Figure 1: four halvings, a bottom, four doublings by 2x2 transposed convolutions, skip connections
by concatenation. As usual since, convolutions are padded, so that sizes agree without cropping, and
every convolution, transposed ones included, is followed by BatchNorm and ReLU (Çiçek et al., 2016,
arXiv:1606.06650, section 2, put BatchNorm before each ReLU). 22 BatchNorms, four of them after
ConvTranspose.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.network import Network, Size, assemble

_LEVELS = 4


class Up(nn.Module):
    """Double the size, append the skip connection, convolve twice."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        outputs = inputs // 2
        self.up = nn.Sequential(
            OrderedDict(
                conv=nn.ConvTranspose2d(inputs, outputs, 2, stride=2),
                bn=nn.BatchNorm2d(outputs),
                relu=nn.ReLU(),
            )
        )
        self.convs = _double_conv(inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, inputs, H, W) and (N, inputs/2, 2H, 2W) to (N, inputs/2, 2H, 2W)."""
        out: Tensor = self.convs(torch.cat([skip, self.up(x)], dim=1))
        return out


class UNet(nn.Module):
    """Segmentation of images (N, channels, H, W), H and W multiples of 16.

    Args:
        width: Channels of the first level; 64 in the paper.
        channels: Channels of the image.
        classes: Number of logits for each pixel; the result is (N, classes, H, W).
    """

    def __init__(self, width: int = 64, channels: int = 1, classes: int = 2) -> None:
        super().__init__()
        self.stem = _double_conv(channels, width)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), _double_conv(width << level, width << (level + 1)))
            for level in range(_LEVELS)
        )
        self.ups = nn.ModuleList(Up(width << level) for level in range(_LEVELS, 0, -1))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes, H, W)."""
        y: Tensor = self.stem(x)
        skips = []
        for down in self.downs:
            skips.append(y)
            y = down(y)
        for up in self.ups:
            y = up(y, skips.pop())
        out: Tensor = self.head(y)
        return out


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, channels in enumerate((inputs, outputs), start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
        layers[f"bn{index}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
    return nn.Sequential(layers)


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The U-Net for one-channel images of 128x128; at test size an eighth as wide, 32x32."""
    width, side = (64, 128) if size == "full" else (8, 32)
    return assemble("unet", lambda: UNet(width), (1, side, side), seed=seed)
