"""Networks to export: reference networks, the beginning of GoogLeNet, and those of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from models import NETWORKS

REFERENCE: Final = (
    "alexnet", "gn_unet", "convnext", "bert_small", "llama", "style_transfer", "convnext_v2",
    "mobilenet_v2",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What to export."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    dynamic: Any = "batch"


def reference(name: str) -> Subject:
    """A network of models/, at test size."""
    built = NETWORKS[name](size="test")
    return Subject(built.module, tuple(built.inputs.values()), {})


class Inception(nn.Module):
    """The beginning of GoogLeNet: two LocalResponseNorms and one module of four branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.lrn1 = nn.Conv2d(3, 16, 7, 2, 3), nn.LocalResponseNorm(5)
        self.conv2, self.lrn2 = nn.Conv2d(16, 24, 3, padding=1), nn.LocalResponseNorm(5)
        self.branches = nn.ModuleList(
            [nn.Conv2d(24, 8, 1), nn.Conv2d(24, 8, 3, padding=1), nn.Conv2d(24, 4, 5, padding=2)]
        )
        self.head = nn.Linear(20, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to (N, 10)."""
        y = functional.max_pool2d(torch.relu(self.conv1(x)), 3, 2, ceil_mode=True)
        y = self.lrn2(torch.relu(self.conv2(self.lrn1(y))))
        y = torch.cat([torch.relu(branch(y)) for branch in self.branches], 1)
        out: torch.Tensor = self.head(y.mean((2, 3)))
        return out


def googlenet() -> Subject:
    """The same, on a batch of two."""
    torch.manual_seed(0)
    return Subject(Inception().eval(), (torch.randn(2, 3, 32, 32),), {})


_SMALL: Final[Mapping[str, Any]] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 99,
}
_IMAGE: Final[Mapping[str, Any]] = {"image_size": 32, "patch_size": 8}
_GROUPED: Final[Mapping[str, Any]] = {
    **_SMALL,
    "num_key_value_heads": 2,
    "attn_implementation": "eager",
}
_HEADED: Final[Mapping[str, Any]] = {**_GROUPED, "head_dim": 8}
_STAGES: Final[Mapping[str, Any]] = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
# By name: the beginning of the class names, what kind of model, its configuration, its input.
_NETWORKS: Final[Mapping[str, tuple[str, str, Mapping[str, Any], str]]] = {
    "hf_bert": ("Bert", "Model", _SMALL, "text"),
    "hf_distilbert": (
        "DistilBert",
        "Model",
        {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48},
        "text",
    ),
    "hf_vit": ("ViT", "Model", {**_SMALL, **_IMAGE}, "pixels"),
    "hf_dinov2": ("Dinov2", "Model", {**_SMALL, **_IMAGE}, "pixels"),
    "hf_t5": (
        "T5",
        "EncoderModel",
        {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4},
        "text",
    ),
    "hf_llama": ("Llama", "Model", _GROUPED, "uncached"),
    "hf_gemma": ("Gemma", "Model", _HEADED, "uncached"),
    "hf_qwen3": ("Qwen3", "Model", _HEADED, "uncached"),
    "hf_gpt2": (
        "GPT2",
        "Model",
        {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 32},
        "uncached",
    ),
    "hf_convnext": ("ConvNext", "Model", _STAGES, "pixels"),
    "hf_convnextv2": ("ConvNextV2", "Model", _STAGES, "pixels"),
    "hf_swin": (
        "Swin",
        "Model",
        {
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [1, 2],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        "pixels",
    ),
    "hf_resnet": (
        "ResNet",
        "Model",
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2], "layer_type": "basic"},
        "pixels",
    ),
    "hf_wav2vec2": (
        "Wav2Vec2",
        "Model",
        {
            **_SMALL,
            "vocab_size": 32,
            "conv_dim": (16, 16),
            "conv_stride": (5, 2),
            "conv_kernel": (10, 3),
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
            "num_feat_extract_layers": 2,
        },
        "wave",
    ),
    "hf_whisper": (
        "Whisper",
        "Model",
        {
            "vocab_size": 99,
            "num_mel_bins": 8,
            "d_model": 32,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_layers": 1,
            "decoder_attention_heads": 4,
            "decoder_ffn_dim": 48,
            "max_source_positions": 16,
            "pad_token_id": 0,
        },
        "features",
    ),
}


def _transformers() -> Mapping[str, Callable[[], Subject]]:
    try:
        import transformers
    except ImportError:
        return {}
    return {
        name: partial(_of_transformers, transformers, *each) for name, each in _NETWORKS.items()
    }


def _of_transformers(
    package: Any,  # noqa: ANN401  # a module without types
    stem: str,
    kind: str,
    config: Mapping[str, Any],
    given: str,
) -> Subject:
    """A network of random weights; of Whisper, which takes both ends, the encoder."""
    torch.manual_seed(0)
    module = getattr(package, f"{stem}{kind}")(getattr(package, f"{stem}Config")(**config))
    module = (module.encoder if stem == "Whisper" else module).eval()
    _shake(module)
    return Subject(_Tensors(module).eval(), (), _given(given))


def _given(kind: str) -> dict[str, Any]:
    """Arguments of a network, two of each."""
    source = torch.Generator().manual_seed(0)
    if kind == "pixels":
        return {"pixel_values": torch.randn(2, 3, 32, 32, generator=source)}
    if kind == "wave":
        return {"input_values": torch.randn(2, 400, generator=source)}
    if kind == "features":
        return {"input_features": torch.randn(2, 8, 32, generator=source)}
    text = {"input_ids": torch.arange(14).reshape(2, 7) % 99}
    return {**text, "use_cache": False} if kind == "uncached" else text


class _Tensors(nn.Module):
    """The tensors that a network of transformers returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **kwargs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the network is given, by name."""
        found = self.model(**kwargs).to_tuple()
        return tuple(each for each in found if isinstance(each, torch.Tensor))


@torch.no_grad()
def _shake(module: nn.Module) -> None:
    """Move parameters off 0 and 1, where a wrong one would not be seen."""
    source = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=source))
    for name, value in module.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=source)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.3, generator=source)


def subjects() -> dict[str, Callable[[], Subject]]:
    """Everything that can be exported here, by name."""
    found = {name: partial(reference, name) for name in REFERENCE}
    return {**found, "googlenet": googlenet, **_transformers()}
