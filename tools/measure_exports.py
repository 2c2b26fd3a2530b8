"""Export networks in every style at several opsets, and count what became of their normalizations.

    python tools/measure_exports.py [NAME ...] [--styles native function] [--opsets 17 23]

A row for each: normalization layers that the module executed, nodes that are one in the file, the
verdict in float64 on the example and on drawn inputs at another batch, and whether ONNX Runtime
loads the file and runs it at a batch other than the export's. Networks of `transformers` are built
from small configurations with random weights, where it is installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

sys.path.insert(0, str(Path(__file__).parents[1]))

import normonnx
from models import NETWORKS
from normonnx.exporting import adopting, styles
from normonnx.lower import opsets as opsets_of
from normonnx.runtime.eager import Eager
from normonnx.runtime.kernel_registry import highest_opset
from normonnx.validation.live import against_live

STYLES: Final = ("native", "function", "primitive")
REFERENCE: Final = (
    "alexnet", "gn_unet", "convnext", "bert_small", "llama", "style_transfer", "convnext_v2",
    "mobilenet_v2",
)  # fmt: skip
_CALLED: Final = {
    functional.layer_norm, functional.group_norm, functional.batch_norm, functional.rms_norm,
    functional.instance_norm, functional.local_response_norm, functional.normalize,
}  # fmt: skip
# Layers that spell it by hand: each call of one is a normalization.
_SPELLED: Final = ("RMSNorm", "T5LayerNorm", "LayerNorm2d", "GlobalResponseNorm", "Grn", "GRN")


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What to export."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    dynamic: Any = "batch"


class _Counting(TorchFunctionMode):
    """Counts calls of torch's own normalizations, where no layer that spells one makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Any = (),
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        del types
        self.count += func in _CALLED
        return func(*args, **(kwargs or {}))


def executed(subject: Subject) -> int:
    """How many normalizations a module executes, counted without normonnx."""
    spelled = [m for m in subject.module.modules() if _spells(m)]
    calls = []
    handles = [m.register_forward_hook(lambda *_: calls.append(1)) for m in spelled]
    with torch.no_grad(), _Counting() as counting:
        subject.module(*subject.args, **subject.kwargs)
    for handle in handles:
        handle.remove()
    return counting.count + len(calls)


def _spells(module: nn.Module) -> bool:
    name = type(module).__name__
    own = type(module).__module__.startswith("torch.nn")
    return not own and any(name.endswith(each) for each in _SPELLED)


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


def _transformers() -> Mapping[str, Callable[[], Subject]]:
    try:
        import transformers as t
    except ImportError:
        return {}

    small: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "vocab_size": 99,
    }
    image = {"image_size": 32, "patch_size": 8}
    tokens = torch.arange(14).reshape(2, 7) % 99
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def of(model: Any, config: Any, **kwargs: Any) -> Callable[[], Subject]:  # noqa: ANN401
        def build() -> Subject:
            torch.manual_seed(0)
            module = model(config()).eval()
            _shake(module)
            return Subject(_First(module).eval(), (), kwargs)

        return build

    eager = {"attn_implementation": "eager"}
    text = {"input_ids": tokens}
    cached = {**text, "use_cache": False}
    return {
        "hf_bert": of(t.BertModel, lambda: t.BertConfig(**small), **text),
        "hf_distilbert": of(
            t.DistilBertModel,
            lambda: t.DistilBertConfig(vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=48),
            **text,
        ),
        "hf_vit": of(t.ViTModel, lambda: t.ViTConfig(**small, **image), pixel_values=pixels),
        "hf_dinov2": of(t.Dinov2Model, lambda: t.Dinov2Config(**small, **image), pixel_values=pixels),
        "hf_t5": of(
            t.T5EncoderModel,
            lambda: t.T5Config(vocab_size=99, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4),
            **text,
        ),
        "hf_llama": of(
            t.LlamaModel, lambda: t.LlamaConfig(**small, num_key_value_heads=2, **eager), **cached
        ),
        "hf_gemma": of(
            t.GemmaModel,
            lambda: t.GemmaConfig(**small, num_key_value_heads=2, head_dim=8, **eager),
            **cached,
        ),
        "hf_qwen3": of(
            t.Qwen3Model,
            lambda: t.Qwen3Config(**small, num_key_value_heads=2, head_dim=8, **eager),
            **cached,
        ),
        "hf_gpt2": of(
            t.GPT2Model,
            lambda: t.GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=32),
            **cached,
        ),
        "hf_convnext": of(
            t.ConvNextModel,
            lambda: t.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1]),
            pixel_values=pixels,
        ),
        "hf_convnextv2": of(
            t.ConvNextV2Model,
            lambda: t.ConvNextV2Config(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1]),
            pixel_values=pixels,
        ),
        "hf_swin": of(
            t.SwinModel,
            lambda: t.SwinConfig(
                image_size=32, patch_size=2, embed_dim=8, depths=[1, 2], num_heads=[2, 4], window_size=4
            ),
            pixel_values=pixels,
        ),
        "hf_resnet": of(
            t.ResNetModel,
            lambda: t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="basic"),
            pixel_values=pixels,
        ),
        "hf_wav2vec2": of(
            t.Wav2Vec2Model,
            lambda: t.Wav2Vec2Config(
                **{**small, "vocab_size": 32}, conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3),
                num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, num_feat_extract_layers=2,
            ),
            input_values=torch.randn(2, 400, generator=torch.Generator().manual_seed(0)),
        ),
        "hf_whisper": of(
            lambda config: t.WhisperModel(config).encoder,
            lambda: t.WhisperConfig(
                vocab_size=99, num_mel_bins=8, d_model=32, encoder_layers=2, encoder_attention_heads=4,
                encoder_ffn_dim=48, decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=48,
                max_source_positions=16, pad_token_id=0,
            ),
            input_features=torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0)),
        ),
    }  # fmt: skip


class _First(nn.Module):
    """The first tensor that a network of transformers returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **kwargs: torch.Tensor) -> torch.Tensor:
        """What the network is given, by name."""
        found: torch.Tensor = self.model(**kwargs)[0]
        return found


@torch.no_grad()
def _shake(module: nn.Module) -> None:
    """Move parameters off 0 and 1, where a wrong one would not be seen."""
    source = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=source)
    for name, value in module.named_buffers():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0, generator=source)
        elif name.endswith("running_mean"):
            value.normal_(0, 0.3, generator=source)


def subjects() -> dict[str, Callable[[], Subject]]:
    """Everything that can be exported here, by name."""
    found: dict[str, Callable[[], Subject]] = {
        name: (lambda name=name: reference(name))
        for name in REFERENCE  # type: ignore[misc]
    }
    return {**found, "googlenet": googlenet, **_transformers()}


def norm_nodes(model: Any) -> int:  # noqa: ANN401
    """Nodes that are one normalization, by their operator."""
    named = ("Normalization", "LRN")
    return sum(
        node.domain == "normonnx" or (node.domain == "" and node.op_type.endswith(named))
        for node in model.graph.all_nodes()
    )


def runs(path: Path, subject: Subject) -> str:
    """Whether ONNX Runtime runs a file at a batch that it was not exported with."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = [x for x in (*subject.args, *subject.kwargs.values()) if isinstance(x, torch.Tensor)]
    feeds = {
        value.name: np.concatenate([x.numpy()] * 2 + [x.numpy()[:1]])
        for value, x in zip(session.get_inputs(), given, strict=True)
    }
    outputs = session.run(None, feeds)
    return "yes" if all(np.isfinite(one).all() for one in outputs) else "not finite"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one network in one style at one opset."""

    network: str
    style: str
    opset: int
    layers: int
    nodes: int
    verdict: str
    ran: str
    seconds: float

    @property
    def is_right(self) -> bool:
        """One node for each layer, the same function, and it runs."""
        return (self.layers, "pass", "yes") == (self.nodes, self.verdict, self.ran)


def rows(names: list[str], wanted: list[str], opsets: list[int]) -> Iterator[Row]:
    """One for each network, style and opset; a network is traced once."""
    known = subjects()
    for name in names:
        subject = known[name]()
        layers = executed(subject)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "traced.onnx"
            try:
                normonnx.export(
                    subject.module,
                    subject.args,
                    path,
                    kwargs=subject.kwargs,
                    style="function",
                    opset=18,
                    dynamic=subject.dynamic,
                    verify=False,
                )
            except normonnx.NormonnxError as error:
                yield Row(name, "", 18, layers, 0, f"{type(error).__name__}: {error}", "", 0.0)
                continue
            live = Eager(subject.module, subject.args, subject.kwargs)
            for style in wanted:
                for opset in opsets:
                    started = time.perf_counter()
                    found = _row(path, live, subject, style, opset)
                    yield Row(name, style, opset, layers, *found, time.perf_counter() - started)


def _row(
    traced: Path, live: Eager, subject: Subject, style: str, opset: int
) -> tuple[int, str, str]:
    model = normonnx.load(traced)
    if opset != adopting.opset_of(model):
        try:
            opsets_of.move(model, opset)
        except normonnx.NormonnxError as error:
            return 0, f"{type(error).__name__}: {str(error)[:300]}", ""
    adopting.declare(model, opset)
    calls = norm_nodes(model)
    styles.as_asked(model, style)
    adopting.declare(model, opset)
    adopting.only_used_domains(model)
    path = traced.with_name("model.onnx")
    normonnx.save(model, path)
    report = against_live(normonnx.load(path), live, {}, example=False)
    verdict = report.verdict.value
    if style == "primitive":
        left = norm_nodes(model)
        verdict += f", {left} nodes are no primitives" if left else ""
        return calls, verdict, runs(path, subject)
    return norm_nodes(model), verdict, runs(path, subject)


def main() -> int:
    """Print the table; 1 where a row is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), choices=STYLES)
    highest = highest_opset() or 23
    parser.add_argument("--opsets", nargs="+", type=int, default=[13, 17, 18, 21, 23, highest])
    asked = parser.parse_args()
    names = asked.names or list(subjects())
    bad: Counter[str] = Counter()
    print(f"{'network':<16}{'style':<11}opset layers nodes verdict  ORT at 5  s")
    for row in rows(names, asked.styles, asked.opsets):
        bad[row.network] += not row.is_right
        print(
            f"{row.network:<16}{row.style:<11}{row.opset:>5}{row.layers:>7}{row.nodes:>6} "
            f"{row.verdict:<8} {row.ran:<8}{row.seconds:5.1f}{'' if row.is_right else '  <--'}",
            flush=True,
        )
    wrong = {name: number for name, number in bad.items() if number}
    print(f"{sum(bad.values())} rows are not right", wrong or "")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
