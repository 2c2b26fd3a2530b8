"""The generator of DCGAN (Radford et al., 2016, arXiv:1511.06434).

"Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
Figure 1: noise to 4x4x1024, then four doublings by transposed convolutions, BatchNorm and ReLU
after each but the last, tanh at the end. Kernels are 4x4, as in Chintala's own Torch code, which
gives 12,658,432 parameters at full size. Its four BatchNorms follow ConvTranspose.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.network import Network, Size, assemble

_DOUBLINGS = 3


class ToImage(nn.ConvTranspose2d):
    """The last layer: drawn smaller, so that tanh is not saturated."""

    gain = 0.5


class DCGAN(nn.Module):
    """Images (N, 3, 64, 64) between -1 and 1 out of noise (N, noise, 1, 1).

    Args:
        width: Channels before the last layer; 128 in the paper, 64 in its code by default.
        noise: Length of the noise.
    """

    def __init__(self, width: int = 128, noise: int = 100) -> None:
        super().__init__()
        channels = width << _DOUBLINGS
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            project=nn.ConvTranspose2d(noise, channels, 4, bias=False),
            bn0=nn.BatchNorm2d(channels),
            relu0=nn.ReLU(),
        )
        for index in range(1, _DOUBLINGS + 1):
            layers[f"up{index}"] = nn.ConvTranspose2d(
                channels, channels // 2, 4, stride=2, padding=1, bias=False
            )
            channels //= 2
            layers[f"bn{index}"] = nn.BatchNorm2d(channels)
            layers[f"relu{index}"] = nn.ReLU()
        layers["image"] = ToImage(channels, 3, 4, stride=2, padding=1, bias=False)
        layers["tanh"] = nn.Tanh()
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, noise, 1, 1) to (N, 3, 64, 64)."""
        out: Tensor = self.layers(x)
        return out


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The generator of the paper; at test size a sixteenth as wide."""
    width = 128 if size == "full" else 8
    return assemble("dcgan", lambda: DCGAN(width), (100, 1, 1), seed=seed, calibration_batch=16)
