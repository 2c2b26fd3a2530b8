"""Modules that normalize, called in every way that torch code has, and spelled by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import layer_norm, local_response_norm, normalize


class LlamaRMSNorm(nn.Module):
    """As transformers spells it: in float32, whatever comes in."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.variance_epsilon = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        """(..., width) to the same."""
        input_dtype = hidden_states.dtype
        hidden_states = hidden_states.to(torch.float32)
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states.to(input_dtype)


class ChannelsFirst(nn.Module):
    """ConvNeXt's LayerNorm of channels, between two transpositions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        out: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class FrozenBatchNorm2d(nn.Module):
    """BatchNorm with constants, as DETR has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.linspace(0.5, 1.5, width))
        self.register_buffer("bias", torch.linspace(-1, 1, width))
        self.register_buffer("running_mean", torch.linspace(-0.5, 0.7, width))
        self.register_buffer("running_var", torch.linspace(0.5, 2, width))
        self.weight: Tensor
        self.bias: Tensor
        self.running_mean: Tensor
        self.running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


class StdConv2d(nn.Conv2d):
    """A convolution whose weight is standardized (Qiao et al., 2019, arXiv:1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        variance, mean = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(variance + 1e-8)
        return functional.conv2d(x, weight, self.bias)


class BatchNormOfWeight(nn.Conv2d):
    """The same as timm spells it: BatchNorm in training mode, of the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = functional.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6)
        return functional.conv2d(x, weight.reshape_as(self.weight), self.bias)


class Everything(nn.Module):
    """One of each: layers, calls, and calls of what was imported by name."""

    LAYERS = 15

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.lrn = nn.LocalResponseNorm(3)
        self.even = nn.LocalResponseNorm(2, alpha=0.1)
        self.gn = nn.GroupNorm(2, 6)
        self.inorm = nn.InstanceNorm2d(6, affine=True)
        self.tracked = nn.InstanceNorm2d(6, track_running_stats=True)
        self.first = ChannelsFirst(6)
        self.ln = nn.LayerNorm(6)
        self.bare = nn.LayerNorm(6, elementwise_affine=False)
        self.rms = nn.RMSNorm(6)
        self.llama = LlamaRMSNorm(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 8, 8) to (N, 36, 4)."""
        y = self.tracked(self.inorm(self.gn(self.bn(self.conv(x)))))
        y = self.first(self.even(self.lrn(y)))
        y = local_response_norm(y, 4).flatten(2).transpose(1, 2)
        y = self.llama(self.rms(self.bare(self.ln(y))))
        y = torch.layer_norm(layer_norm(y, (6,)), (6,))
        return normalize(self.head(y), dim=-1)


def everything() -> Everything:
    """With parameters that are neither 0 nor 1, so that a wrong one is seen."""
    torch.manual_seed(0)
    module = Everything().eval()
    with torch.no_grad():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if value.is_floating_point() and value.ndim == 1:
                low = 0.5 if name.endswith(("weight", "running_var")) else -0.5
                value.copy_(torch.linspace(low, low + 1, value.numel()))
    return module


def image(batch: int = 2) -> Tensor:
    """(batch, 3, 8, 8), seeded."""
    return torch.randn(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0))
