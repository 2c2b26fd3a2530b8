"""The image transformation network of Johnson et al., 2016, arXiv:1603.08155, with InstanceNorm.

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution", supplementary Table 1: two
halvings, five residual blocks, two doublings. From what followed: InstanceNorm in place of
BatchNorm (Ulyanov et al., 2016, arXiv:1607.08022), nearest-neighbour upsampling before a
convolution in place of transposed convolutions (Odena et al., 2016, Distill), and reflection
padding in every layer. 15 InstanceNorms with weights; 1,679,235 parameters at full size, as in
PyTorch's fast_neural_style.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.network import Interface, Network, Size, assemble, normal

_RESIDUALS = 5


class Residual(nn.Module):
    """3x3, InstanceNorm, ReLU, 3x3, InstanceNorm, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(channels, channels, 3)
        self.relu = nn.ReLU()
        self.conv2 = _conv_norm(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same."""
        out: Tensor = x + self.conv2(self.relu(self.conv1(x)))
        return out


class StyleTransfer(nn.Module):
    """Repaints images (N, 3, H, W), H and W multiples of 4.

    Args:
        width: Channels at full resolution, doubled at each halving; 32 in the paper.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=_conv_norm(3, width, 9),
            relu1=nn.ReLU(),
            conv2=_conv_norm(width, 2 * width, 3, 2),
            relu2=nn.ReLU(),
            conv3=_conv_norm(2 * width, 4 * width, 3, 2),
            relu3=nn.ReLU(),
        )
        for index in range(1, _RESIDUALS + 1):
            layers[f"residual{index}"] = Residual(4 * width)
        for index, channels in enumerate((2 * width, width), start=1):
            layers[f"up{index}"] = nn.Upsample(scale_factor=2, mode="nearest")
            layers[f"up_conv{index}"] = _conv_norm(2 * channels, channels, 3)
            layers[f"up_relu{index}"] = nn.ReLU()
        layers["pad"] = nn.ReflectionPad2d(4)
        layers["image"] = nn.Conv2d(width, 3, 9)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the same."""
        out: Tensor = self.layers(x)
        return out


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            pad=nn.ReflectionPad2d(kernel // 2),
            conv=nn.Conv2d(inputs, outputs, kernel, stride),
            norm=nn.InstanceNorm2d(outputs, affine=True),
        )
    )


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """The network for 256x256 images; at test size a quarter as wide, 32x32."""
    width, side = (32, 256) if size == "full" else (8, 32)
    # Given a dynamic batch alone, torch's legacy exporter names the output's height "batch".
    axes = {0: "batch", 2: "height", 3: "width"}
    interface = Interface(normal(3, side, side), dynamic={"input": axes, "output": axes})
    return assemble("style_transfer", lambda: StyleTransfer(width), interface, seed=seed)
