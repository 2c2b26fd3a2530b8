"""What each architecture promises beyond its size: masks, causality, symmetry, ranges, shapes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import torch  # only where importorskip let us come here, as what follows
from torch import Tensor, nn

from models.demo_net import DemoNet
from models.layers import GlobalResponseNorm, LayerNorm2d, RMSNorm
from models.unet import UNet


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        pytest.param(DemoNet(4), (3, 3, 20, 36), id="denoiser"),
    ],
)
def test_an_image_keeps_its_shape(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Networks from image to image return what they get, for any batch and any multiple of four."""
    assert _run(module.eval(), torch.zeros(shape)).shape == shape


def test_the_unet_has_the_layers_of_figure_1() -> None:
    """The U-Net has 23 convolutions, as the paper counts, and doubles its channels four times."""
    with torch.device("meta"):
        layers = list(UNet().modules())
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 23
    assert max(m.out_channels for m in convolutions) == 1024


def test_hand_written_norms_are_torchs() -> None:
    """LayerNorm2d and RMSNorm compute what nn.LayerNorm and nn.RMSNorm do."""
    x = torch.randn(2, 6, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    last = x.movedim(1, -1)
    expected = nn.functional.layer_norm(last, (6,), eps=1e-6).movedim(-1, 1)
    assert torch.allclose(_run(LayerNorm2d(6).double(), x), expected)
    assert torch.allclose(
        _run(RMSNorm(6).double(), last), nn.functional.rms_norm(last, (6,), eps=1e-5)
    )


def test_global_response_norm_compares_channels() -> None:
    """A channel twice as long as the average is doubled before gamma; gamma 0 is the identity."""
    norm = GlobalResponseNorm(2)
    x = torch.ones(1, 2, 2, 2) * torch.tensor([1.0, 3.0])
    assert torch.equal(_run(norm, x), x)
    norm.gamma.data.fill_(1.0)
    assert torch.allclose(_run(norm, x), x * torch.tensor([1.5, 2.5]))


def _run(module: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = module(*inputs)
    return out
