"""R3D-18 (Tran et al., 2018, "A Closer Look at Spatiotemporal Convolutions", arXiv:1711.11248).

Section 3 and Table 1: ResNet-18 with 3x3x3 convolutions over time, height and width. 20
BatchNorms of rank 5, each directly after a bias-free convolution; 33,371,472 parameters at full
size with the 400 classes of Kinetics.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.layers import BranchNorm3d
from models.network import Network, Size, assemble

_STAGES = 4
_BLOCKS = 2


class Block(nn.Module):
    """Two 3x3x3 convolutions plus the shortcut; ReLU after the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn(inputs, outputs, 3, stride)
        self.conv2 = _conv_bn(outputs, outputs, 3, norm=BranchNorm3d)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else _conv_bn(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, T, H, W) to (N, outputs, T/stride, H/stride, W/stride)."""
        y = self.conv2(self.relu(self.conv1(x)))
        out: Tensor = self.relu(y + self.shortcut(x))
        return out


class R3D18(nn.Module):
    """The network for clips (N, 3, frames, H, W); returns logits (N, classes).

    Args:
        width: Channels of the first stage; 64 in the paper.
        classes: Number of logits.
    """

    def __init__(self, width: int = 64, classes: int = 400) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv3d(3, width, (3, 7, 7), (1, 2, 2), padding=(1, 3, 3), bias=False),
                bn=nn.BatchNorm3d(width),
                relu=nn.ReLU(),
            )
        )
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = width
        for index in range(_STAGES):
            for block in range(_BLOCKS):
                stride = 2 if index > 0 and block == 0 else 1
                outputs = width << index
                stages[f"stage{index + 1}_block{block + 1}"] = Block(inputs, outputs, stride)
                inputs = outputs
        self.stages = nn.Sequential(stages)
        self.average = nn.AdaptiveAvgPool3d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, frames, H, W) to (N, classes)."""
        out: Tensor = self.classifier(self.average(self.stages(self.stem(x))).flatten(1))
        return out


def _conv_bn(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    norm: type[nn.BatchNorm3d] = nn.BatchNorm3d,
) -> nn.Sequential:
    conv = nn.Conv3d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=norm(outputs)))


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """R3D-18 for 16 frames of 112x112; at test size an eighth as wide, 8 frames of 32x32."""
    width, classes, frames, side = (64, 400, 16, 112) if size == "full" else (8, 10, 8, 32)
    shape = (3, frames, side, side)
    return assemble("r3d_18", lambda: R3D18(width, classes), shape, seed=seed, calibration_batch=2)
