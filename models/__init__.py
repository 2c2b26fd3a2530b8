"""Reference networks in plain torch, one file each, for tests, the demo and benchmarks.

`NETWORKS[name]` is a function `build(*, size="full"|"test", seed=0) -> Network`. A new network is
one file with such a function, and one row below, which names the function unless it is `build`.
Naming networks needs no torch; building does.

    python -m models resnet50 --exporter legacy -o resnet50.onnx
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from models.network import Network, Size

__all__ = ["NETWORKS", "Builder"]


class Builder(Protocol):
    """Makes a network with seeded weights, in eval mode."""

    def __call__(self, *, size: Size = "full", seed: int = 0) -> Network:
        """Build it at full size, or small enough for a test."""


class _Networks(Mapping[str, Builder]):
    """Name to builder; a network's file is imported when it is asked for."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> Builder:
        module, _, function = self._modules[name].partition(":")
        return cast("Builder", getattr(import_module(module), function or "build"))

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


NETWORKS: Mapping[str, Builder] = _Networks(
    {
        "alexnet": "models.alexnet",
        "bert_base": "models.bert:build_base",
        "bert_small": "models.bert:build_small",
        "convnext": "models.convnext",
        "convnext_v2": "models.convnext_v2",
        "dcgan": "models.dcgan",
        "demo": "models.demo_net",
        "densenet121": "models.densenet121",
        "gn_unet": "models.gn_unet",
        "levit": "models.levit",
        "llama": "models.llama",
        "mlp": "models.mlp",
        "mobilenet_v2": "models.mobilenet_v2",
        "pointnet": "models.pointnet",
        "pointnet_linear": "models.pointnet:build_linear",
        "r3d_18": "models.r3d_18",
        "repvgg": "models.repvgg",
        "resnet50": "models.resnet50",
        "style_transfer": "models.style_transfer",
        "unet": "models.unet",
    }
)
