"""What each architecture promises beyond its size: masks, causality, symmetry, ranges, shapes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import torch  # only where importorskip let us come here, as what follows
from torch import Tensor, nn

import models
from models.alexnet import AlexNet
from models.demo_net import DemoNet
from models.gn_unet import GNUNet
from models.layers import GlobalResponseNorm, LayerNorm2d, RMSNorm
from models.levit import Attention, LeViT
from models.levit import Config as LeViTConfig
from models.llama import Config, Llama
from models.network import Network
from models.r3d_18 import R3D18
from models.style_transfer import StyleTransfer
from models.unet import UNet


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        pytest.param(DemoNet(4), (3, 3, 20, 36), id="denoiser"),
        pytest.param(StyleTransfer(4), (3, 3, 20, 36), id="style transfer"),
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


def test_alexnet_has_the_sizes_of_figure_2() -> None:
    """Heights after its five convolutions are 55, 27, 13, 13 and 13."""
    with torch.device("meta"):
        net = AlexNet()
        heights = []
        x = torch.zeros(1, 3, 227, 227)
        for layer in net.features:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                heights.append(x.shape[2])
    assert heights == [55, 27, 13, 13, 13]


def test_the_ddpm_unet_attends_at_half_resolution_alone() -> None:
    """Attention stands twice on the way down, once at the bottom and three times on the way up."""
    with torch.device("meta"):
        names = [name for name, _ in GNUNet().named_modules() if name.endswith("attention.norm")]
    assert [name.split(".")[0] for name in names] == ["downs"] * 2 + ["ups"] * 3 + ["middle1"]


def test_r3d_halves_time_with_space() -> None:
    """16 frames become two: each later stage halves frames, height and width."""
    with torch.device("meta"):
        net = R3D18()
        found = net.stages(net.stem(torch.zeros(1, 3, 16, 112, 112))).shape
    assert found == (1, 512, 2, 7, 7)


def test_llama_shares_keys_and_values() -> None:
    """Nine heads share three heads of keys and values; there is no bias and no last layer."""
    with torch.device("meta"):
        net = Llama(Config())
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters() if "layers.0." in name}
    assert shapes["layers.0.attention.query.weight"] == (576, 576)
    assert shapes["layers.0.attention.key.weight"] == (192, 576)
    assert not any("bias" in name for name, _ in net.named_parameters())


def test_llama_is_causal() -> None:
    """Logits of a token depend on no later token, and do depend on an earlier one."""
    network = models.NETWORKS["llama"](size="test")
    ids = network.inputs["input_ids"]
    changed = ids.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 100
    before, after = _run(network.module, ids), _run(network.module, changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert float((before[:, 10:] - after[:, 10:]).abs().amax(2).min()) > 1e-3


@pytest.mark.parametrize("name", ["bert_small", "bert_base"])
def test_bert_does_not_look_at_masked_tokens(name: str) -> None:
    """A masked token changes no other; a token that is not masked changes all."""
    network = models.NETWORKS[name](size="test")
    ids, types, mask = (x.clone() for x in network.inputs.values())
    mask[:, 5] = 0
    changed = ids.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 100
    others = torch.arange(ids.shape[1]) != 5
    masked = _run(network.module, ids, types, mask) - _run(network.module, changed, types, mask)
    assert float(masked[:, others].abs().max()) == 0
    mask[:, 5] = 1
    seen = _run(network.module, ids, types, mask) - _run(network.module, changed, types, mask)
    assert float(seen[:, others].abs().amax(2).min()) > 1e-4


def test_bert_pads_its_examples() -> None:
    """Masks hold ones, then zeros, and not in every example alike."""
    mask = models.NETWORKS["bert_small"](size="test").inputs["attention_mask"]
    assert torch.equal(mask, mask.cummin(1).values)
    assert len(set(mask.sum(1).tolist())) > 1


def test_pointnet_does_not_know_the_order_of_points() -> None:
    """A cloud is a set: its points in another order give the same logits."""
    network = models.NETWORKS["pointnet"](size="test")
    cloud = network.inputs["input"]
    found, turned = _run(network.module, cloud), _run(network.module, cloud.flip(2))
    assert torch.allclose(found, turned, atol=1e-5)


def test_pointnet_without_alignment_does_not_know_the_order_either() -> None:
    """Its points stand along axis 1."""
    network = models.NETWORKS["pointnet_linear"](size="test")
    cloud = network.inputs["input"]
    found, turned = _run(network.module, cloud), _run(network.module, cloud.flip(1))
    assert torch.allclose(found, turned, atol=1e-5)


def test_levit_has_the_tokens_of_figure_2() -> None:
    """14x14, 7x7 and 4x4 of 128, 256 and 384 channels; one bias for each offset."""
    with torch.device("meta"):
        net = LeViT(LeViTConfig())
        x = net.patches(torch.zeros(1, 3, 224, 224)).flatten(2).transpose(1, 2)
        shapes = [x.shape[1:]]
        for block in net.blocks:
            x = block(x)
            shapes.append(x.shape[1:])
    assert list(dict.fromkeys(tuple(s) for s in shapes)) == [(196, 128), (49, 256), (16, 384)]
    biases = [m.biases.shape[1] for m in net.modules() if isinstance(m, Attention)]
    assert sorted(set(biases)) == [16, 49, 196]


def test_a_token_is_seen_from_everywhere() -> None:
    """Attention is not masked: one patch of the image changes all tokens of a stage."""
    module = models.NETWORKS["levit"](size="test").module
    assert isinstance(module, LeViT)
    attention = next(m for m in module.modules() if isinstance(m, Attention))
    tokens = torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[0, 5] += 1
    difference = _run(attention, tokens) - _run(attention, other)
    assert float(difference.abs().amax(2).min()) > 0


def test_the_noise_estimate_depends_on_the_time_step() -> None:
    """The DDPM U-Net uses its second input."""
    network = models.NETWORKS["gn_unet"](size="test")
    sample, step = network.inputs.values()
    difference = _run(network.module, sample, step) - _run(network.module, sample, step // 2)
    assert float(difference.abs().max()) > 0.1


def test_the_generators_tanh_is_not_saturated() -> None:
    """Few pixels come near -1 or 1, where an error would be invisible."""
    network = models.NETWORKS["dcgan"](size="test")
    image = _run(network.module, *network.inputs.values())
    assert float((image.abs() > 0.95).float().mean()) < 0.02


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


def test_bert_keeps_tokens_apart() -> None:
    """Twelve layers do not make all tokens one: they differ by a tenth of their size at least."""
    output = _output(models.NETWORKS["bert_base"](size="test"))
    spread = (output - output.mean(1, keepdim=True)).square().mean().sqrt()
    assert float(spread / output.square().mean().sqrt()) > 0.1


def _output(network: Network) -> Tensor:
    return _run(network.module, *network.inputs.values())


def _run(module: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        out: Tensor = module(*inputs)
    return out
