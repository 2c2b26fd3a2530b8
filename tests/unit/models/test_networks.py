"""The reference networks: published sizes, sane activations, weights that depend on the seed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import torch  # only where importorskip let us come here, as what follows

import models
from models.alexnet import AlexNet
from models.bert import BASE, BERT, SMALL
from models.convnext import ConvNeXt
from models.convnext_v2 import ConvNeXtV2
from models.dcgan import DCGAN
from models.densenet121 import DenseNet121
from models.gn_unet import GNUNet
from models.layers import BATCH_NORMS, NORMS
from models.levit import Config as LeViTConfig
from models.levit import LeViT
from models.llama import Config, Llama
from models.mlp import MLP
from models.mobilenet_v2 import MobileNetV2
from models.network import Network
from models.pointnet import PointNet, PointNetLinear
from models.r3d_18 import R3D18
from models.repvgg import RepVGG
from models.resnet50 import ResNet50
from models.style_transfer import StyleTransfer

_NORM_COUNTS = {
    "resnet50": {"BatchNorm": 53},
    "mobilenet_v2": {"BatchNorm": 52},
    "densenet121": {"BatchNorm": 121},
    "unet": {"BatchNorm": 22},
    "mlp": {"BatchNorm": 3},
    "demo": {"BatchNorm": 12, "GroupNorm": 1, "LayerNorm": 2, "LocalResponseNorm": 1},
    "alexnet": {"LocalResponseNorm": 2},
    "bert_base": {"LayerNorm": 25},
    "bert_small": {"LayerNorm": 9},
    "convnext": {"LayerNorm": 23},
    "convnext_v2": {"LayerNorm": 17, "GlobalResponseNorm": 12},
    "dcgan": {"BatchNorm": 4},
    "gn_unet": {"GroupNorm": 51},
    "levit": {"BatchNorm": 52},
    "llama": {"RMSNorm": 9},  # 61 at full size, which is deeper
    "pointnet": {"BatchNorm": 17},
    "pointnet_linear": {"BatchNorm": 4},
    "r3d_18": {"BatchNorm": 20},
    "repvgg": {"BatchNorm": 61},
    "style_transfer": {"InstanceNorm": 15},
}
_WITH_BATCH_NORM = sorted(name for name, counts in _NORM_COUNTS.items() if "BatchNorm" in counts)


@pytest.fixture(params=sorted(models.NETWORKS), scope="module")
def network(request: pytest.FixtureRequest) -> Network:
    """Each network at test size; not to be changed."""
    return models.NETWORKS[request.param](size="test")


@pytest.mark.parametrize(
    ("module", "published"),
    [
        pytest.param(ResNet50, 25_557_032, id="ResNet-50, torchvision"),
        pytest.param(MobileNetV2, 3_504_872, id="MobileNetV2, torchvision"),
        pytest.param(DenseNet121, 7_978_856, id="DenseNet-121, torchvision"),
        pytest.param(AlexNet, 60_965_224, id="AlexNet in two groups, Caffe"),
        # 109,482,240 with the pooler's 590,592; 28,763,648 with 262,656.
        pytest.param(lambda: BERT(BASE), 108_891_648, id="BERT-base, Hugging Face"),
        pytest.param(lambda: BERT(SMALL), 28_500_992, id="BERT-small, Hugging Face"),
        pytest.param(ConvNeXt, 28_589_128, id="ConvNeXt-T, the authors' code"),
        pytest.param(ConvNeXtV2, 3_708_400, id="ConvNeXt V2 Atto, the authors' code"),
        pytest.param(lambda: DCGAN(64), 3_576_704, id="DCGAN, PyTorch's tutorial"),
        # Kernels and BatchNorms of 100-1024-512-256-128-3.
        pytest.param(DCGAN, 16 * (102_400 + 688_128 + 384) + 3_840, id="DCGAN of figure 1"),
        pytest.param(GNUNet, 35_746_307, id="DDPM for CIFAR-10, Hugging Face"),
        pytest.param(lambda: Llama(Config()), 134_515_008, id="SmolLM2-135M, Hugging Face"),
        # Table 6 says 3.5 million. Alignment of points and features; points, features; cloud.
        pytest.param(PointNet, 803_081 + 1_857_344 + 151_680 + 667_944, id="PointNet of figure 2"),
        # Weights, biases, gamma and beta of 3-64-64-128-1024, then 1024-512-256-40.
        pytest.param(PointNetLinear, 147_392 + 666_408, id="PointNet without alignment"),
        pytest.param(lambda: LeViT(LeViTConfig()), 7_777_058, id="LeViT-128S, the authors' code"),
        pytest.param(R3D18, 33_371_472, id="R3D-18, torchvision"),
        pytest.param(RepVGG, 9_108_968, id="RepVGG-A0 in training, the authors' code"),
        pytest.param(StyleTransfer, 1_679_235, id="Style transfer, PyTorch's examples"),
        # Weights and biases of 784-100-100-100-10, and gamma and beta of three hidden layers.
        pytest.param(MLP, 78_500 + 2 * 10_100 + 1_010 + 600, id="MLP of section 4.1"),
    ],
)
def test_full_size_has_the_published_number_of_parameters(
    module: Callable[[], torch.nn.Module], published: int
) -> None:
    """At full size a network has as many trainable parameters as its published original."""
    with torch.device("meta"):
        network = Network("counted", module(), {})
    assert network.parameters == published


def test_every_network_has_its_norm_counts_here() -> None:
    """A new row of NETWORKS needs one in the table of this test."""
    assert sorted(models.NETWORKS) == sorted(_NORM_COUNTS)


def test_a_test_size_network_has_all_norms(network: Network) -> None:
    """Test size is narrower, and shallower for Llama alone."""
    assert network.norms == _NORM_COUNTS[network.name]
    assert network.batch_norms == network.norms.get("BatchNorm", 0)
    assert network.parameters < 1_000_000


def test_outputs_are_sane(network: Network) -> None:
    """Outputs are finite, of order 1, and depend on the input."""
    output = _forward(network)
    assert torch.isfinite(output).all()
    assert 0.1 < float(output.std()) < 10
    assert float(output.abs().max()) < 50
    difference = (output[0] - output[1]).square().mean().sqrt()
    assert float(difference / output.square().mean().sqrt()) > 0.1


def test_activations_stay_of_order_one_through_all_layers(network: Network) -> None:
    """What each normalization hands on has a deviation between 0.1 and 10, however deep it sits.

    LocalResponseNorm is no such normalization: it hands on a fraction of what it gets.
    """
    kinds = tuple(t for kind, types in NORMS.items() if kind != "LocalResponseNorm" for t in types)
    deviations: list[float] = []
    watched = copy.deepcopy(network.module)
    for module in watched.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(
                lambda _module, _inputs, output: deviations.append(float(output.std()))
            )
    with torch.no_grad():
        watched(*network.inputs.values())
    assert len(deviations) == sum(network.norms.values()) - network.norms.get(
        "LocalResponseNorm", 0
    )
    assert min(deviations, default=1.0) > 0.1
    assert max(deviations, default=1.0) < 10


@pytest.mark.parametrize("network", _WITH_BATCH_NORM, indirect=True)
def test_statistics_are_spread(network: Network) -> None:
    """Variances span most of a decade at least; means and betas are not 0, some gammas negative."""
    norms = [m for m in network.module.modules() if isinstance(m, BATCH_NORMS)]
    for norm in norms:
        assert norm.running_var is not None
        assert float(norm.running_var.max() / norm.running_var.min()) > 3
        assert float(norm.running_var.min()) > 0
    assert any(float(norm.weight.detach().min()) < 0 for norm in norms)
    assert all(float(norm.bias.detach().abs().min()) > 0 for norm in norms)
    assert all(m is not None and float(m.abs().min()) > 0 for m in (n.running_mean for n in norms))


def test_roundoff_is_that_of_a_trained_network(network: Network) -> None:
    """float32 stays within 200 roundoffs of float64: statistics do not amplify errors."""
    single = _forward(network).double()
    exact = copy.deepcopy(network.module).double()
    with torch.no_grad():
        truth = exact(
            *(x.double() if x.is_floating_point() else x for x in network.inputs.values())
        )
    error = (single - truth).square().mean().sqrt() / truth.square().mean().sqrt()
    assert float(error) * 2**24 < 200


def test_the_seed_decides_everything(network: Network) -> None:
    """The same seed gives the same weights, statistics and inputs; another seed gives others."""
    build = models.NETWORKS[network.name]
    again, other = build(size="test"), build(size="test", seed=1)
    state = network.module.state_dict()
    assert all(torch.equal(t, again.module.state_dict()[name]) for name, t in state.items())
    assert all(torch.equal(x, again.inputs[name]) for name, x in network.inputs.items())
    assert not any(torch.equal(x, other.inputs[name]) for name, x in network.inputs.items())
    weights = {name: t for name, t in state.items() if t.is_floating_point()}
    assert not any(torch.equal(t, other.module.state_dict()[name]) for name, t in weights.items())


def test_building_leaves_torchs_own_random_numbers_alone() -> None:
    """A caller's torch.manual_seed means the same whether or not a network is built after it."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models.NETWORKS["mlp"](size="test")
    assert torch.equal(torch.rand(3), expected)


def test_networks_are_in_eval_mode(network: Network) -> None:
    """No BatchNorm is left in training mode, and parameters are float32."""
    assert not any(module.training for module in network.module.modules())
    assert {p.dtype for p in network.module.parameters()} == {torch.float32}


def _forward(network: Network) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = network.module(*network.inputs.values())
    return output
