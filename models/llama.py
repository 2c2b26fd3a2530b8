"""A small Llama (Touvron et al., 2023, "LLaMA: Open and Efficient Foundation Language Models").

arXiv:2302.13971, section 2.2: RMSNorm before each part, rotary positions (Su et al., 2021,
arXiv:2104.09864), SwiGLU, no biases; heads that share keys and values in groups (Ainslie et al.,
2023, arXiv:2305.13245), as in Llama 2 and later. Its size is that of SmolLM2-135M (Ben Allal et
al., 2025, arXiv:2502.02737), whose last layer is its table of embeddings: 61 RMSNorms, 134,515,008
parameters. Spelled as Hugging Face's "eager" code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.layers import RMSNorm
from models.network import Interface, Network, Size, assemble
from models.weights import Array

_BASE = 10_000.0


@dataclass(frozen=True, slots=True)
class Config:
    """How large a Llama is; `shared` heads of keys and values serve all `heads`."""

    layers: int = 30
    width: int = 576
    heads: int = 9
    shared: int = 3
    hidden: int = 1536
    vocabulary: int = 49_152

    @property
    def head(self) -> int:
        """Width of a head."""
        return self.width // self.heads


class Rotary(nn.Module):
    """The angles of rotary positions, as cosines and sines."""

    def __init__(self, size: int) -> None:
        super().__init__()
        frequency = _BASE ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("frequency", frequency, persistent=False)
        self.frequency: Tensor

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(tokens) to two of (tokens, size)."""
        half = positions[:, None].to(self.frequency.dtype) * self.frequency
        angles = torch.cat([half, half], dim=-1)
        return angles.cos(), angles.sin()


class Attention(nn.Module):
    """Attention of all heads to what came before, then a linear layer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        shared = config.shared * config.head
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, shared, bias=False)
        self.value = nn.Linear(config.width, shared, bias=False)
        self.output = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """(N, tokens, width) to the same; `mask` (tokens, tokens) is added to the scores."""
        query = _rotated(self._split(self.query(x)), *turn)
        key = self._repeated(_rotated(self._split(self.key(x)), *turn))
        value = self._repeated(self._split(self.value(x)))
        scores = query @ key.transpose(2, 3) / math.sqrt(self.config.head)
        context = torch.softmax(scores + mask, dim=-1) @ value
        out: Tensor = self.output(context.transpose(1, 2).reshape(x.shape))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(N, tokens, heads·size) to (N, heads, tokens, size)."""
        return x.view(x.shape[0], x.shape[1], -1, self.config.head).transpose(1, 2)

    def _repeated(self, x: Tensor) -> Tensor:
        """(N, shared, tokens, size) to (N, heads, tokens, size)."""
        batch, shared, tokens, size = x.shape
        times = self.config.heads // self.config.shared
        wide = x[:, :, None].expand(batch, shared, times, tokens, size)
        return wide.reshape(batch, shared * times, tokens, size)


class Layer(nn.Module):
    """Attention and SwiGLU, each normalized before and added to its input after."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config)
        self.norm = RMSNorm(config.width)
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.silu = nn.SiLU()
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """(N, tokens, width) to the same."""
        x = x + self.attention(self.attention_norm(x), turn, mask)
        y = self.norm(x)
        out: Tensor = x + self.down(self.silu(self.gate(y)) * self.up(y))
        return out


class Llama(nn.Module):
    """Token numbers (N, tokens) to the next token's logits (N, tokens, vocabulary)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.rotary = Rotary(config.head)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits; those of a token depend on no later one."""
        y: Tensor = self.embedding(input_ids)
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        later = positions[None, :] > positions[:, None]
        mask = later.to(y.dtype) * torch.finfo(y.dtype).min
        turn = self.rotary(positions)
        for layer in self.layers:
            y = layer(y, turn, mask)
        out: Tensor = self.norm(y) @ self.embedding.weight.T
        return out


def _rotated(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn pairs of channels, half a head apart, by their position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def build(*, size: Size = "full", seed: int = 0) -> Network:
    """SmolLM2-135M's Llama on 128 tokens; at test size a sixteenth as wide, 4 layers, 16 tokens.

    The test size is shallower: what four equal layers do not show, thirty do not.
    """
    narrow = Config(layers=4, width=36, heads=9, shared=3, hidden=96, vocabulary=100)
    config, tokens = (Config(), 128) if size == "full" else (narrow, 16)

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        return {"input_ids": rng.integers(0, config.vocabulary, (batch, tokens))}

    dynamic = {key: {0: "batch", 1: "sequence"} for key in ("input_ids", "logits")}
    return assemble("llama", lambda: Llama(config), Interface(draw, "logits", dynamic), seed=seed)
