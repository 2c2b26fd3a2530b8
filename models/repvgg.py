"""RepVGG-A0 (Ding et al., 2021, "RepVGG: Making VGG-style ConvNets Great Again", arXiv:2101.03697).

Tables 2 and 3, in the form it is trained in (Figure 2b): 22 blocks, each ReLU(BN(3x3) + BN(1x1))
plus, where the shape stays, BN of the input itself. 61 BatchNorms, 17 of which follow no
convolution that could absorb them; 9,108,968 parameters at full size.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.network import Network, Size, assemble

_BLOCKS = (2, 4, 14, 1)


class Block(nn.Module):
    """The three branches: 3x3, 1x1 and, where inputs and outputs agree, identity."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.dense = _conv_bn(inputs, outputs, 3, stride)
        self.pointwise = _conv_bn(inputs, outputs, 1, stride)
        same = stride == 1 and inputs == outputs
        self.identity = nn.BatchNorm2d(outputs) if same else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        y = self.dense(x) + self.pointwise(x)
        if self.identity is not None:
            y = y + self.identity(x)
        out: Tensor = self.relu(y)
        return out


class RepVGG(nn.Module):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        width: Channels of the first stage, then doubled twice; 48 in A0.
        last: Channels of the last stage; 1280 in A0.
        classes: Number of logits.
    """

    def __init__(self, width: int = 48, last: int = 1280, classes: int = 1000) -> None:
        super().__init__()
        stages: OrderedDict[str, nn.Module] = OrderedDict(stem=Block(3, width, 2))
        inputs = width
        for index, blocks in enumerate(_BLOCKS):
            outputs = last if index == len(_BLOCKS) - 1 else width << index
            for block in range(blocks):
                stride = 2 if block == 0 else 1
                stages[f"stage{index + 1}_block{block + 1}"] = Block(inputs, outputs, stride)
                inputs = outputs
        self.stages = nn.Sequential(stages)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        out: Tensor = self.classifier(self.average(self.stages(x)).flatten(1))
        return out


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs)))


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """RepVGG-A0 at 224x224; at test size a sixth as wide, 10 classes, 64x64."""
    width, last, classes, side = (48, 1280, 1000, 224) if size == "full" else (8, 160, 10, 64)
    return assemble("repvgg", lambda: RepVGG(width, last, classes), (3, side, side), seed=seed)
