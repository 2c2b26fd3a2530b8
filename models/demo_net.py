"""The network behind `normonnx demo`: a small U-shaped denoiser with every normalization once.

Its blocks are those of known networks, so that what the demo shows is what users meet:

- a stem with LocalResponseNorm (Krizhevsky et al., 2012, "ImageNet Classification with Deep
  Convolutional Neural Networks", section 3.3);
- a depthwise inverted residual (MobileNetV2, arXiv:1801.04381) and a grouped one (ResNeXt,
  arXiv:1611.05431), each with a BatchNorm after each convolution;
- a bottom with GroupNorm (Wu and He, 2018, arXiv:1803.08494), a ConvNeXt block whose LayerNorm
  over channels is written out in elementary operations (Liu et al., 2022, arXiv:2201.03545), and
  a transformer's feed-forward block with LayerNorm over tokens;
- a decoder with BatchNorm after a grouped and after a depthwise ConvTranspose; the joined skip
  connection enters a DenseNet layer (arXiv:1608.06993): BatchNorm after Concat and before ReLU,
  which nothing can absorb.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.layers import BranchNorm2d, LayerNorm2d
from models.network import Network, Size, assemble

_GROUPS = 4


class Residual(nn.Module):
    """1x1, 3x3 in groups, 1x1, each with BatchNorm, plus the input."""

    def __init__(self, channels: int, width: int, groups: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            OrderedDict(
                expand=nn.Conv2d(channels, width, 1, bias=False),
                bn1=nn.BatchNorm2d(width),
                relu1=nn.ReLU(),
                conv=nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=False),
                bn2=nn.BatchNorm2d(width),
                relu2=nn.ReLU(),
                project=nn.Conv2d(width, channels, 1, bias=False),
                bn3=BranchNorm2d(channels),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y: Tensor = self.branch(x)
        return x + y


class ConvNeXtBlock(nn.Module):
    """7x7 depthwise, LayerNorm over channels, 1x1, GELU, 1x1, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = LayerNorm2d(channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.gelu = nn.GELU()
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y = self.norm(self.depthwise(x))
        out: Tensor = x + self.project(self.gelu(self.expand(y)))
        return out


class FeedForward(nn.Module):
    """A transformer's feed-forward block over the pixels as tokens, LayerNorm first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, 2 * channels)
        self.gelu = nn.GELU()
        self.project = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.project(self.gelu(self.expand(self.norm(tokens))))
        out: Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return out


class Up(nn.Module):
    """Double the size, append the skip connection, then one DenseNet layer: BN, ReLU, 3x3."""

    def __init__(self, channels: int, skip: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(
            channels, channels, 4, stride=2, padding=1, groups=groups, bias=False
        )
        self.up_bn = nn.BatchNorm2d(channels)
        self.join_bn = nn.BatchNorm2d(channels + skip)
        self.conv = nn.Conv2d(channels + skip, outputs, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, channels, H, W) and (N, skip, 2H, 2W) to (N, outputs, 2H, 2W)."""
        y = self.relu(self.up_bn(self.up(x)))
        joined = self.join_bn(torch.cat([skip, y], dim=1))
        out: Tensor = self.conv(self.relu(joined))
        return out


class DemoNet(nn.Module):
    """Denoises images (N, 3, H, W), H and W multiples of 4.

    Args:
        width: Channels at full resolution; doubled at each of two halvings.
    """

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, width, 3, padding=1, bias=False),
                bn=nn.BatchNorm2d(width),
                relu=nn.ReLU(),
                lrn=nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=1.0),
                block=Residual(width, 3 * width, groups=3 * width),
            )
        )
        self.down = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
                bn=nn.BatchNorm2d(2 * width),
                relu=nn.ReLU(),
                block=Residual(2 * width, 2 * width, groups=_GROUPS),
            )
        )
        self.bottom = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
                norm=nn.GroupNorm(_GROUPS, 4 * width),
                relu=nn.ReLU(),
                convnext=ConvNeXtBlock(4 * width),
                tokens=FeedForward(4 * width),
            )
        )
        self.up1 = Up(4 * width, 2 * width, 2 * width, groups=_GROUPS)
        self.up2 = Up(2 * width, width, width, groups=2 * width)
        self.head = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        fine = self.stem(x)
        coarse = self.down(fine)
        y = self.up1(self.bottom(coarse), coarse)
        out: Tensor = x + self.head(self.up2(y, fine))
        return out


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The denoiser for 32x32 images, 12 channels wide; at test size four."""
    width = 12 if size == "full" else 4
    return assemble("demo", lambda: DemoNet(width), (3, 32, 32), seed=seed)
