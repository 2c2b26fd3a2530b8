"""DenseNet-121 (Huang et al., 2017, "Densely Connected Convolutional Networks", arXiv:1608.06993).

Table 1, DenseNet-BC with growth 32. 121 BatchNorms: every layer is BN, ReLU, convolution, so only
59 follow a convolution directly; the others see a concatenation or a pooling of earlier ones.
7,978,856 parameters at full size.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models.network import Network, Size, assemble

_BLOCKS = (6, 12, 24, 16)
_BOTTLENECK = 4


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1, BN, ReLU, 3x3; its result is appended to its input."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        width = _BOTTLENECK * growth
        self.layers = nn.Sequential(
            OrderedDict(
                bn1=nn.BatchNorm2d(inputs),
                relu1=nn.ReLU(),
                conv1=nn.Conv2d(inputs, width, 1, bias=False),
                bn2=nn.BatchNorm2d(width),
                relu2=nn.ReLU(),
                conv2=nn.Conv2d(width, growth, 3, padding=1, bias=False),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, inputs + growth, H, W)."""
        return torch.cat([x, self.layers(x)], dim=1)


class DenseNet121(nn.Module):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        growth: Channels that a layer adds; 32 in the paper.
        classes: Number of logits.
    """

    def __init__(self, growth: int = 32, classes: int = 1000) -> None:
        super().__init__()
        channels = 2 * growth
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(3, channels, 7, 2, padding=3, bias=False),
            bn=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            pool=nn.MaxPool2d(3, stride=2, padding=1),
        )
        for block, depth in enumerate(_BLOCKS, start=1):
            for index in range(1, depth + 1):
                layers[f"dense{block}_{index}"] = DenseLayer(channels, growth)
                channels += growth
            if block < len(_BLOCKS):
                layers[f"transition{block}"] = _transition(channels)
                channels //= 2
        layers["bn_last"] = nn.BatchNorm2d(channels)
        layers["relu_last"] = nn.ReLU()
        self.features = nn.Sequential(layers)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        out: Tensor = self.classifier(self.average(self.features(x)).flatten(1))
        return out


def _transition(channels: int) -> nn.Sequential:
    """Half as many channels, half the height and width."""
    return nn.Sequential(
        OrderedDict(
            bn=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """DenseNet-121 at 224x224; at test size growth 4, 10 classes, 64x64."""
    growth, classes, side = (32, 1000, 224) if size == "full" else (4, 10, 64)
    return assemble("densenet121", lambda: DenseNet121(growth, classes), (3, side, side), seed=seed)
