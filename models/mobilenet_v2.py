"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381).

"MobileNetV2: Inverted Residuals and Linear Bottlenecks", Table 2. 52 BatchNorms, 17 of them after a
depthwise convolution, 17 at the end of a bottleneck without activation, ten of which end a
residual branch; 3,504,872 parameters at full size.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.layers import BranchNorm2d
from models.network import Network, Size, assemble

_BOTTLENECKS = (
    # expansion, channels, repeats, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _HEAD = 32, 1280


class InvertedResidual(nn.Module):
    """1x1 expand, 3x3 depthwise, 1x1 project; shortcut where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        norm = BranchNorm2d if self.residual else nn.BatchNorm2d
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand"] = _conv_bn_relu(inputs, width, 1)
        layers["depthwise"] = _conv_bn_relu(width, width, 3, stride, groups=width)
        layers["project"] = nn.Conv2d(width, outputs, 1, bias=False)
        layers["project_bn"] = norm(outputs)
        self.branch = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        y: Tensor = self.branch(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        multiplier: Width multiplier of the paper; the head is not narrowed below 1.
        classes: Number of logits.
    """

    def __init__(self, multiplier: float = 1.0, classes: int = 1000) -> None:
        super().__init__()
        inputs = _to_eight(_STEM * multiplier)
        head = _to_eight(_HEAD * max(1.0, multiplier))
        blocks: list[nn.Module] = [_conv_bn_relu(3, inputs, 3, 2)]
        for expansion, channels, repeats, stride in _BOTTLENECKS:
            outputs = _to_eight(channels * multiplier)
            for index in range(repeats):
                first = stride if index == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, first, expansion))
                inputs = outputs
        blocks.append(_conv_bn_relu(inputs, head, 1))
        self.features = nn.Sequential(*blocks)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, classes)."""
        out: Tensor = self.classifier(self.average(self.features(x)).flatten(1))
        return out


def _conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU6()))


def _to_eight(channels: float) -> int:
    """Round to a multiple of 8, at least 8, and lose no more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """MobileNetV2 at 224x224; at test size a quarter as wide, 10 classes, 64x64."""
    multiplier, classes, side = (1.0, 1000, 224) if size == "full" else (0.25, 10, 64)
    return assemble(
        "mobilenet_v2", lambda: MobileNetV2(multiplier, classes), (3, side, side), seed=seed
    )
