"""BERT (Devlin et al., 2019, "BERT: Pre-training of Deep Bidirectional Transformers").

arXiv:1810.04805, section 3, without the pooler: the encoder with LayerNorm after each sum. Two of
its sizes: base (12 layers, 768 wide, 12 heads; 108,891,648 parameters, 25 LayerNorms) and small
(4 layers, 512 wide, 8 heads; Turc et al., 2019, arXiv:1908.08962). Attention and mask are written
out in matrix products, as Hugging Face's "eager" code does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.layers import BranchLinear
from models.network import Interface, Network, Size, assemble
from models.weights import Array

_EPSILON = 1e-12


@dataclass(frozen=True, slots=True)
class Config:
    """How large a BERT is; the feed-forward layers are four times as wide."""

    layers: int
    width: int
    heads: int
    vocabulary: int = 30_522
    positions: int = 512


BASE = Config(layers=12, width=768, heads=12)
SMALL = Config(layers=4, width=512, heads=8)


class Embeddings(nn.Module):
    """The sum of a token's, its position's and its segment's embedding, normalized."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocabulary, config.width)
        self.position = nn.Embedding(config.positions, config.width)
        self.token_type = nn.Embedding(2, config.width)
        self.norm = nn.LayerNorm(config.width, eps=_EPSILON)

    def forward(self, ids: Tensor, types: Tensor) -> Tensor:
        """Two of (N, tokens) to (N, tokens, width)."""
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        y = self.word(ids) + self.token_type(types) + self.position(positions)
        out: Tensor = self.norm(y)
        return out


class Attention(nn.Module):
    """Attention of all heads, a linear layer, plus the input, normalized."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.size = config.width // config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.output = BranchLinear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=_EPSILON)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, tokens, width) to the same; `mask` (N, 1, 1, tokens) is added to the scores."""
        query, key, value = (self._split(f(x)) for f in (self.query, self.key, self.value))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.size)
        context = torch.softmax(scores + mask, dim=-1) @ value
        joined = context.transpose(1, 2).reshape(x.shape)
        out: Tensor = self.norm(self.output(joined) + x)
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(N, tokens, width) to (N, heads, tokens, size)."""
        return x.view(x.shape[0], x.shape[1], self.heads, self.size).transpose(1, 2)


class Layer(nn.Module):
    """Attention, then two linear layers with GELU between, plus their input, normalized."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = nn.Linear(config.width, 4 * config.width)
        self.gelu = nn.GELU()
        self.output = BranchLinear(4 * config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=_EPSILON)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, tokens, width) to the same."""
        attended = self.attention(x, mask)
        y = self.output(self.gelu(self.intermediate(attended)))
        out: Tensor = self.norm(y + attended)
        return out


class BERT(nn.Module):
    """The encoder: token numbers, segments and mask, each (N, tokens), to (N, tokens, width)."""

    def __init__(self, config: Config = BASE) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The last hidden state; tokens whose mask is 0 are not looked at."""
        y: Tensor = self.embeddings(input_ids, token_type_ids)
        hidden = 1.0 - attention_mask[:, None, None, :].to(y.dtype)
        mask = hidden * torch.finfo(y.dtype).min
        for layer in self.layers:
            y = layer(y, mask)
        return y


def build_base(*, size: Size = "full", seed: int = 0) -> Network:
    """BERT-base on 128 tokens; at test size a sixteenth as wide, 100 words, 16 tokens."""
    narrow = Config(layers=12, width=48, heads=12, vocabulary=100, positions=32)
    return _build("bert_base", BASE if size == "full" else narrow, size, seed)


def build_small(*, size: Size = "full", seed: int = 0) -> Network:
    """BERT-small on 128 tokens; at test size a sixteenth as wide, 100 words, 16 tokens."""
    narrow = Config(layers=4, width=32, heads=8, vocabulary=100, positions=32)
    return _build("bert_small", SMALL if size == "full" else narrow, size, seed)


def _build(name: str, config: Config, size: Size, seed: int) -> Network:
    tokens = 128 if size == "full" else 16

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        """Two sentences each, padded to different lengths."""
        places = np.arange(tokens)
        first = rng.integers(1, tokens // 2, (batch, 1))
        length = rng.integers(tokens // 2, tokens + 1, (batch, 1))
        return {
            "input_ids": rng.integers(0, config.vocabulary, (batch, tokens)),
            "token_type_ids": (places >= first).astype(np.int64),
            "attention_mask": (places < length).astype(np.int64),
        }

    names = ("input_ids", "token_type_ids", "attention_mask", "last_hidden_state")
    dynamic = {key: {0: "batch", 1: "sequence"} for key in names}
    return assemble(name, lambda: BERT(config), Interface(draw, names[-1], dynamic), seed=seed)
