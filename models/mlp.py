"""The BatchNorm MLP (Ioffe and Szegedy, 2015, "Batch Normalization", arXiv:1502.03167).

Section 4.1: a 28x28 image, three fully connected hidden layers of 100 sigmoids, ten logits;
BatchNorm before each sigmoid. Its BatchNorms are of rank 2 and follow a linear layer with bias.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.network import Network, Size, assemble

_HIDDEN_LAYERS = 3


class MLP(nn.Module):
    """The network for flat images (N, pixels); returns logits (N, classes).

    Args:
        pixels: Length of an image.
        hidden: Width of the hidden layers; 100 in the paper.
        classes: Number of logits.
    """

    def __init__(self, pixels: int = 784, hidden: int = 100, classes: int = 10) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        inputs = pixels
        for index in range(1, _HIDDEN_LAYERS + 1):
            layers[f"linear{index}"] = nn.Linear(inputs, hidden)
            layers[f"bn{index}"] = nn.BatchNorm1d(hidden)
            layers[f"sigmoid{index}"] = nn.Sigmoid()
            inputs = hidden
        layers["logits"] = nn.Linear(hidden, classes)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, pixels) to (N, classes)."""
        out: Tensor = self.layers(x)
        return out


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The MLP of the paper; at test size for 8x8 images, hidden layers of 16."""
    pixels, hidden = (784, 100) if size == "full" else (64, 16)
    return assemble("mlp", lambda: MLP(pixels, hidden), (pixels,), seed=seed, calibration_batch=512)
