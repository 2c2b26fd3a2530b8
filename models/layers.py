"""Layers that torch lacks or spells otherwise than published code, and layers drawn smaller.

A class attribute `gain` says by which factor `models.weights` draws a layer smaller than others.
`NORMS` names each kind of normalization that a reference network may hold, with its modules.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class BranchNorm2d(nn.BatchNorm2d):
    """The last BatchNorm of a residual branch: drawn with a smaller gamma and beta."""

    gain = 0.25


class BranchNorm1d(nn.BatchNorm1d):
    """The same for rows of features."""

    gain = 0.25


class BranchNorm3d(nn.BatchNorm3d):
    """The same for volumes."""

    gain = 0.25


class BranchLinear(nn.Linear):
    """The last linear layer of a residual branch that no normalization ends.

    At full strength twelve layers of attention make all tokens one (Dong et al., 2021,
    arXiv:2103.03404), and the output no longer depends on the input.
    """

    gain = 0.1


class LayerNorm2d(nn.Module):
    """LayerNorm over axis 1 of (N, C, H, W), spelled as in ConvNeXt's own code."""

    def __init__(self, channels: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        y = (x - mean) / torch.sqrt(variance + self.epsilon)
        return self.weight[:, None, None] * y + self.bias[:, None, None]


class RMSNorm(nn.Module):
    """Root mean square normalization over the last axis, spelled as in Hugging Face's Llama.

    Zhang and Sennrich, 2019, arXiv:1910.07467, eq. 4. torch's legacy exporter knows no nn.RMSNorm.
    """

    def __init__(self, width: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        variance = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x * torch.rsqrt(variance + self.epsilon))


class GlobalResponseNorm(nn.Module):
    """GRN over height and width of (N, H, W, C), spelled as in ConvNeXt V2's own code.

    Woo et al., 2023, arXiv:2301.00808, algorithm 1.
    """

    def __init__(self, channels: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to the same."""
        norm = torch.norm(x, p=2, dim=(1, 2), keepdim=True)
        share = norm / (norm.mean(dim=-1, keepdim=True) + self.epsilon)
        out: Tensor = self.gamma * (x * share) + self.beta + x
        return out


BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
NORMS: Mapping[str, tuple[type[nn.Module], ...]] = {
    "BatchNorm": BATCH_NORMS,
    "LayerNorm": (nn.LayerNorm, LayerNorm2d),
    "GroupNorm": (nn.GroupNorm,),
    "InstanceNorm": (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    "RMSNorm": (RMSNorm,),
    "GlobalResponseNorm": (GlobalResponseNorm,),
    "LocalResponseNorm": (nn.LocalResponseNorm,),
}
