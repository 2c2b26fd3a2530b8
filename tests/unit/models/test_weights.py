"""How weights are drawn: what is a matrix, a table, a scale or a shift, and how large it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference networks are torch modules")

import torch  # only where importorskip let us come here, as what follows
from torch import nn

import models
from models.convnext import LayerScale
from models.layers import BranchLinear, BranchNorm2d, GlobalResponseNorm, RMSNorm
from models.weights import calibrate, draw_weights


@pytest.mark.parametrize(
    ("layer", "deviation"),
    [
        pytest.param(nn.Linear(200, 300), (2 / 200) ** 0.5, id="linear"),
        pytest.param(nn.Conv2d(64, 64, 3, groups=4), (2 / 144) ** 0.5, id="grouped convolution"),
        pytest.param(nn.ConvTranspose2d(64, 32, 4, stride=2), (2 / 256) ** 0.5, id="transposed"),
        pytest.param(nn.Embedding(300, 64), 1 / 8, id="embedding"),
        pytest.param(BranchLinear(200, 300), 0.1 * (2 / 200) ** 0.5, id="end of a branch"),
    ],
)
def test_matrices_and_tables_are_normal(layer: nn.Module, deviation: float) -> None:
    """Weights have the deviation that keeps activations, or rows of a table, of order 1."""
    weight = _drawn(layer)["weight"]
    assert float(weight.std()) == pytest.approx(deviation, rel=0.05)
    assert abs(float(weight.mean())) < 0.05 * deviation


@pytest.mark.parametrize(
    ("layer", "scale", "shift", "size"),
    [
        pytest.param(nn.LayerNorm(800), "weight", "bias", 1.0, id="LayerNorm"),
        pytest.param(nn.LayerNorm((20, 40)), "weight", "bias", 1.0, id="LayerNorm over two axes"),
        pytest.param(nn.GroupNorm(8, 800), "weight", "bias", 1.0, id="GroupNorm"),
        pytest.param(nn.InstanceNorm2d(800, affine=True), "weight", "bias", 1.0, id="InstanceNorm"),
        pytest.param(RMSNorm(800), "weight", None, 1.0, id="RMSNorm"),
        pytest.param(GlobalResponseNorm(800), "gamma", "beta", 1.0, id="GRN, of four axes"),
        pytest.param(LayerScale(800), "gamma", None, 0.3, id="LayerScale"),
    ],
)
def test_scales_are_far_from_zero(
    layer: nn.Module, scale: str, shift: str | None, size: float
) -> None:
    """A scale is 0.63 to 1.58 of its size, one in eight negative; a shift is a quarter."""
    drawn = _drawn(layer)
    assert 0.6 * size < float(drawn[scale].abs().min()) < 0.7 * size
    assert 1.5 * size < float(drawn[scale].abs().max()) < 1.6 * size
    assert 0.09 < float((drawn[scale] < 0).float().mean()) < 0.16
    if shift is not None:
        assert float(drawn[shift].std()) == pytest.approx(0.25, rel=0.1)


def test_a_branch_norm_is_drawn_smaller() -> None:
    """gamma at the end of a residual branch is a quarter of what it is elsewhere."""
    plain = _gamma(nn.BatchNorm2d(64))
    branch = _gamma(BranchNorm2d(64))
    assert torch.allclose(branch, plain / 4, rtol=0.01)


def test_calibration_leaves_no_hook_behind() -> None:
    """A network can be copied and exported: the hooks that calibrated it are gone."""
    network = models.NETWORKS["mlp"](size="test")
    # Private, but there is no public way to ask a module for its hooks.
    assert not any(module._forward_pre_hooks for module in network.module.modules())


def _drawn(layer: nn.Module) -> dict[str, torch.Tensor]:
    draw_weights(layer, np.random.default_rng(0))
    return {name: parameter.detach() for name, parameter in layer.named_parameters()}


def _gamma(norm: nn.BatchNorm2d) -> torch.Tensor:
    images = np.random.default_rng(0).standard_normal((2, 64, 4, 4))
    calibrate(norm, images, rng=np.random.default_rng(1))
    return norm.weight.detach()
