"""AlexNet (Krizhevsky et al., 2012, "ImageNet Classification with Deep Convolutional ...").

Section 3, with both of its halves as convolutions in two groups: LocalResponseNorm after the first
two ReLUs, overlapping pooling. 60,965,224 parameters at full size, as in Caffe's reference model
(github.com/BVLC/caffe); the paper rounds to 60 million. What other libraries call AlexNet is the
later variant in one column, without LocalResponseNorm (Krizhevsky, 2014, arXiv:1404.5997).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from torch import Tensor, nn

from models.network import Interface, Network, Size, assemble
from models.weights import Array

_NEIGHBOURS = 5
_PIXEL_DEVIATION = 64.0


class Logits(nn.Linear):
    """The last layer: drawn smaller, since pixels and therefore features are of order 10."""

    gain = 0.1


class AlexNet(nn.Module):
    """The network for images (N, 3, side, side), pixels 0 to 255 minus their mean.

    Args:
        width: Channels of the first layer; 96 in the paper.
        hidden: Width of the two fully connected layers; 4096 in the paper.
        classes: Number of logits; the result is (N, classes).
        side: Height and width of an image; 227 gives the paper's 55x55 after the first layer.
    """

    def __init__(
        self, width: int = 96, hidden: int = 4096, classes: int = 1000, side: int = 227
    ) -> None:
        super().__init__()
        middle, wide = width * 8 // 3, 4 * width
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, width, 11, stride=4),
                relu1=nn.ReLU(),
                norm1=_response_norm(),
                pool1=nn.MaxPool2d(3, stride=2),
                conv2=nn.Conv2d(width, middle, 5, padding=2, groups=2),
                relu2=nn.ReLU(),
                norm2=_response_norm(),
                pool2=nn.MaxPool2d(3, stride=2),
                conv3=nn.Conv2d(middle, wide, 3, padding=1),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(wide, wide, 3, padding=1, groups=2),
                relu4=nn.ReLU(),
                conv5=nn.Conv2d(wide, middle, 3, padding=1, groups=2),
                relu5=nn.ReLU(),
                pool5=nn.MaxPool2d(3, stride=2),
            )
        )
        self.classifier = nn.Sequential(
            OrderedDict(
                linear6=nn.Linear(middle * _pooled(side) ** 2, hidden),
                relu6=nn.ReLU(),
                dropout6=nn.Dropout(),
                linear7=nn.Linear(hidden, hidden),
                relu7=nn.ReLU(),
                dropout7=nn.Dropout(),
                logits=Logits(hidden, classes),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, side, side) to (N, classes)."""
        out: Tensor = self.classifier(self.features(x).flatten(1))
        return out


def _response_norm() -> nn.LocalResponseNorm:
    """Section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 3/4; torch divides alpha by n."""
    return nn.LocalResponseNorm(_NEIGHBOURS, alpha=_NEIGHBOURS * 1e-4, beta=0.75, k=2.0)


def _pooled(side: int) -> int:
    """Height after the last pooling; each of the three halves and loses a border."""
    side = (side - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """AlexNet at 227x227; at test size an eighth as wide, 10 classes, 99x99."""
    width, hidden, classes, side = (96, 4096, 1000, 227) if size == "full" else (12, 64, 10, 99)

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        """Noise on a colour of each image's own, with the deviation of natural pixels.

        LocalResponseNorm depends on their scale, and noise alone is all the same to eight layers.
        """
        colour = rng.standard_normal((batch, 3, 1, 1))
        noise = rng.standard_normal((batch, 3, side, side)) / 2
        return {"input": _PIXEL_DEVIATION * (colour + noise)}

    return assemble(
        "alexnet", lambda: AlexNet(width, hidden, classes, side), Interface(draw), seed=seed
    )
