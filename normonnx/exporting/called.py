"""What a call of one of torch's functions asks of a normalization.

Each reader has the signature of the function that it reads: torch.nn.functional's, or the other
order of arguments that torch's own operators have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from normonnx.catalogue.norm import Number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Called:
    """A normalization that was called.

    Attributes:
        norm: Its name in the catalogue.
        x: What is normalized.
        parameters: By the names of the catalogue; None for one left out.
        attributes: The same.
    """

    norm: str
    x: Tensor
    parameters: Mapping[str, Tensor | None] = field(default_factory=dict)
    attributes: Mapping[str, Number] = field(default_factory=dict)


Read = Callable[..., Called | None]


def _layer_norm(  # noqa: PLR0913, PLR0917  # torch's signature, as all that follow
    input: Tensor,  # noqa: A002  # its name
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,  # noqa: FBT001, FBT002
) -> Called:
    del cudnn_enable
    return Called(
        "LayerNorm",
        input,
        {"scale": weight, "bias": bias},
        {"axis": -len(normalized_shape), "epsilon": float(eps)},
    )


def _rms_norm(
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Called:
    """Without an epsilon torch takes the spacing at 1 of the numbers that it computes with."""
    import torch

    computed = torch.float64 if input.dtype is torch.float64 else torch.float32
    epsilon = torch.finfo(computed).eps if eps is None else eps
    axis = -len(normalized_shape)
    return Called("RMSNorm", input, {"scale": weight}, {"axis": axis, "epsilon": float(epsilon)})


def _group_norm(  # noqa: PLR0913, PLR0917
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,  # noqa: FBT001, FBT002
) -> Called:
    del cudnn_enabled
    attributes: dict[str, Number] = {"num_groups": int(num_groups), "epsilon": float(eps)}
    return Called("GroupNorm", input, {"scale": weight, "bias": bias}, attributes)


def _instance_norm(  # noqa: PLR0913, PLR0917
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,  # noqa: FBT001, FBT002
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Called | None:
    """With running statistics that are used it is a BatchNorm."""
    if not use_input_stats:
        return _batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)  # noqa: FBT003
    return Called("InstanceNorm", input, {"scale": weight, "bias": bias}, {"epsilon": float(eps)})


def _batch_norm(  # noqa: PLR0913, PLR0917
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,  # noqa: FBT001, FBT002
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Called | None:
    """What it does to its running statistics while training is no part of the result."""
    del momentum
    affine = {"scale": weight, "bias": bias}
    if training:
        return Called("BatchNormTraining", input, affine, {"epsilon": float(eps)})
    if running_mean is None or running_var is None:
        return None
    statistics = {"mean": running_mean, "var": running_var}
    return Called("BatchNorm", input, {**affine, **statistics}, {"epsilon": float(eps)})


def _local_response_norm(
    input: Tensor,  # noqa: A002
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Called:
    """The middle of an even window lies elsewhere than in ONNX."""
    attributes: dict[str, Number] = {
        "size": int(size),
        "alpha": float(alpha),
        "beta": float(beta),
        "bias": float(k),
        "torch_window": int(size % 2 == 0),
    }
    return Called("LocalResponseNorm", input, {}, attributes)


def _normalize(
    input: Tensor,  # noqa: A002
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Called | None:
    """Along one axis; over several at once it is no LpNorm."""
    axes = [dim] if isinstance(dim, int) else list(dim)
    if out is not None or len(axes) != 1:
        return None
    attributes: dict[str, Number] = {"axis": int(axes[0]), "p": float(p), "epsilon": float(eps)}
    return Called("LpNorm", input, {}, attributes)


def _batch_norm_of_aten(  # noqa: PLR0913, PLR0917
    input: Tensor,  # noqa: A002
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,  # noqa: FBT001
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,  # noqa: FBT001, FBT002
) -> Called | None:
    del cudnn_enabled
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _instance_norm_of_aten(  # noqa: PLR0913, PLR0917
    input: Tensor,  # noqa: A002
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,  # noqa: FBT001
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,  # noqa: FBT001, FBT002
) -> Called | None:
    del cudnn_enabled
    statistics = running_mean, running_var
    return _instance_norm(input, *statistics, weight, bias, use_input_stats, momentum, eps)


@cache
def readers() -> Mapping[Any, Read]:
    """The functions that normalize, and how to read a call of each."""
    import torch
    from torch.nn import functional

    by_name: dict[str, tuple[Read, Read]] = {
        "layer_norm": (_layer_norm, _layer_norm),
        "rms_norm": (_rms_norm, _rms_norm),
        "group_norm": (_group_norm, _group_norm),
        "batch_norm": (_batch_norm, _batch_norm_of_aten),
        "instance_norm": (_instance_norm, _instance_norm_of_aten),
    }
    found: dict[Any, Read] = {
        functional.local_response_norm: _local_response_norm,
        functional.normalize: _normalize,
    }
    for name, (of_functional, of_aten) in by_name.items():
        packet = getattr(torch.ops.aten, name)
        found |= {getattr(torch, name): of_aten, packet: of_aten, packet.default: of_aten}
        found[getattr(functional, name)] = of_functional
    return found
