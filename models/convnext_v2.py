"""ConvNeXt V2, Atto (Woo et al., 2023, arXiv:2301.00808).

"ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", section 3.2: ConvNeXt's
blocks with global response normalization (GRN) in place of LayerScale. Atto is the smallest, 40
wide, 12 blocks: 17 LayerNorms, of which four over axis 1, and 12 GRNs; 3,708,400 parameters at full
size.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.convnext import ConvNeXt
from models.layers import GlobalResponseNorm
from models.network import Network, Size, assemble

_DEPTHS = (2, 2, 6, 2)
_EPSILON = 1e-6


class Block(nn.Module):
    """7x7 depthwise, LayerNorm, four times as wide, GELU, GRN, back, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.expand = nn.Linear(channels, 4 * channels)
        self.gelu = nn.GELU()
        self.grn = GlobalResponseNorm(4 * channels)
        self.project = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.project(self.grn(self.gelu(self.expand(y))))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out


class ConvNeXtV2(ConvNeXt):
    """The network for images (N, 3, H, W); returns logits (N, classes).

    Args:
        width: Channels of the first stage, doubled at each of three more; 40 in Atto.
        classes: Number of logits.
    """

    def __init__(self, width: int = 40, classes: int = 1000) -> None:
        super().__init__(width, classes, _DEPTHS, Block)


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """ConvNeXt V2 Atto at 224x224; at test size a fifth as wide, 10 classes, 64x64."""
    width, classes, side = (40, 1000, 224) if size == "full" else (8, 10, 64)
    return assemble("convnext_v2", lambda: ConvNeXtV2(width, classes), (3, side, side), seed=seed)
