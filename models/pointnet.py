"""PointNet (Qi et al., 2017, "PointNet: Deep Learning on Point Sets", arXiv:1612.00593).

The classification network of Figure 2 with both of its alignment networks (appendix C); every
layer but the last of each part is followed by BatchNorm and ReLU. 17 BatchNorms: 11 after Conv1d,
over points, and six after a linear layer. 3,480,049 parameters at full size; Table 6 rounds to
3.5 million.

PointNetLinear is the baseline of Table 5 without alignment, as many codes for point clouds write
it: clouds are (N, points, channels), a layer over points is a linear one, and BatchNorm1d, which
wants channels second, stands between two transposes. Four BatchNorms.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from models.network import Interface, Network, Size, assemble
from models.weights import Array


class Offset(nn.Linear):
    """What an alignment adds to the identity: small, as the paper's regularization (eq. 2) asks."""

    gain = 1 / 16


class Alignment(nn.Module):
    """T-Net: a matrix for each cloud that its points are multiplied by.

    Args:
        channels: Coordinates or features of a point.
        width: Channels of the first layer; 64 in the paper.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.points = _pointwise(channels, width, 2 * width, 16 * width)
        self.cloud = _dense(16 * width, 8 * width, 4 * width)
        self.offset = Offset(4 * width, channels * channels)
        self.register_buffer("identity", torch.eye(channels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, points) to the same."""
        offset = self.offset(self.cloud(self.points(x).amax(2)))
        matrix = offset.reshape(-1, x.shape[1], x.shape[1]) + self.identity
        out: Tensor = matrix @ x
        return out


class PointNet(nn.Module):
    """Classifies clouds (N, 3, points) of any number of points; returns logits (N, classes).

    Args:
        width: Channels of the first layer; 64 in the paper.
        classes: Number of logits; 40 in the paper.
    """

    def __init__(self, width: int = 64, classes: int = 40) -> None:
        super().__init__()
        self.align_points = Alignment(3, width)
        self.points = _pointwise(3, width, width)
        self.align_features = Alignment(width, width)
        self.features = _pointwise(width, width, 2 * width, 16 * width)
        self.cloud = _dense(16 * width, 8 * width, 4 * width)
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, points) to (N, classes)."""
        y = self.align_features(self.points(self.align_points(x)))
        out: Tensor = self.classifier(self.cloud(self.features(y).amax(2)))
        return out


class PointwiseNorm(nn.Module):
    """BatchNorm of the channels of (N, points, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, points, channels) to the same."""
        out: Tensor = self.bn(x.transpose(1, 2)).transpose(1, 2)
        return out


class PointNetLinear(nn.Module):
    """Classifies clouds (N, points, 3) of any number of points; returns logits (N, classes).

    Args:
        width: Channels of the first layer; 64 in the paper.
        classes: Number of logits; 40 in the paper.
    """

    def __init__(self, width: int = 64, classes: int = 40) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = (3, width, width, 2 * width, 16 * width)
        for index, (inputs, outputs) in enumerate(pairwise(channels), start=1):
            layers[f"linear{index}"] = nn.Linear(inputs, outputs)
            layers[f"bn{index}"] = PointwiseNorm(outputs)
            layers[f"relu{index}"] = nn.ReLU()
        self.points = nn.Sequential(layers)
        self.cloud = nn.Sequential(
            nn.Linear(16 * width, 8 * width), nn.ReLU(), nn.Linear(8 * width, 4 * width), nn.ReLU()
        )
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, points, 3) to (N, classes)."""
        out: Tensor = self.classifier(self.cloud(self.points(x).amax(1)))
        return out


def _pointwise(*channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        layers[f"conv{index}"] = nn.Conv1d(inputs, outputs, 1)
        layers[f"bn{index}"] = nn.BatchNorm1d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
    return nn.Sequential(layers)


def _dense(*widths: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        layers[f"linear{index}"] = nn.Linear(inputs, outputs)
        layers[f"bn{index}"] = nn.BatchNorm1d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
    return nn.Sequential(layers)


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """PointNet for clouds of 1024 points; at test size an eighth as wide, 128 points."""
    width, classes, points = _sizes(size)
    dynamic = {"input": {0: "batch", 2: "points"}, "output": {0: "batch"}}
    return assemble(
        "pointnet",
        lambda: PointNet(width, classes),
        Interface(lambda rng, batch: {"input": _clouds(rng, batch, points)}, dynamic=dynamic),
        seed=seed,
        calibration_batch=32,
    )


def build_linear(*, size: Size = "full", seed: int = 0) -> Network:
    """PointNetLinear in the same sizes."""
    width, classes, points = _sizes(size)

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        return {"input": np.ascontiguousarray(_clouds(rng, batch, points).transpose(0, 2, 1))}

    dynamic = {"input": {0: "batch", 1: "points"}, "output": {0: "batch"}}
    return assemble(
        "pointnet_linear",
        lambda: PointNetLinear(width, classes),
        Interface(draw, dynamic=dynamic),
        seed=seed,
        calibration_batch=32,
    )


def _sizes(size: Size) -> tuple[int, int, int]:
    return (64, 40, 1024) if size == "full" else (8, 10, 128)


def _clouds(rng: np.random.Generator, batch: int, points: int) -> Array:
    """Normal clouds, each stretched its own way: the largest feature tells them apart."""
    stretch = rng.standard_normal((batch, 3, 3))
    return np.asarray(stretch @ rng.standard_normal((batch, 3, points)))
