"""ResNet-50 (He et al., 2016, "Deep Residual Learning for Image Recognition", arXiv:1512.03385).

Table 1, column 50-layer, in the usual v1.5 form: the stride of a downsampling block sits on its
3x3 convolution (Goyal et al., 2017, arXiv:1706.02677). 53 BatchNorms, each directly after a
bias-free convolution; 25,557,032 parameters at full size.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.layers import BranchNorm2d
from models.network import Network, Size, assemble

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand by four, plus the shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.reduce = _conv_bn(inputs, width, 1)
        self.conv = _conv_bn(width, width, 3, stride)
        self.expand = _conv_bn(width, outputs, 1, norm=BranchNorm2d)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _conv_bn(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, 4·width, H/stride, W/stride)."""
        y = self.relu(self.conv(self.relu(self.reduce(x))))
        out: Tensor = self.relu(self.expand(y) + self.shortcut(x))
        return out


class ResNet50(nn.Module):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        width: Channels of the first stage; 64 in the paper.
        classes: Number of logits.
    """

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.stem = _conv_bn(3, width, 7, 2)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = width
        for index, blocks in enumerate(_BLOCKS):
            for block in range(blocks):
                stride = 2 if index > 0 and block == 0 else 1
                stages[f"stage{index + 1}_block{block + 1}"] = Bottleneck(
                    inputs, width << index, stride
                )
                inputs = (width << index) * _EXPANSION
        self.stages = nn.Sequential(stages)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        y = self.stages(self.pool(self.relu(self.stem(x))))
        out: Tensor = self.classifier(self.average(y).flatten(1))
        return out


def _conv_bn(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    norm: type[nn.BatchNorm2d] = nn.BatchNorm2d,
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=norm(outputs)))


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """ResNet-50 at 224x224; at test size an eighth as wide, 10 classes, 64x64."""
    width, classes, side = (64, 1000, 224) if size == "full" else (8, 10, 64)
    return assemble("resnet50", lambda: ResNet50(width, classes), (3, side, side), seed=seed)
