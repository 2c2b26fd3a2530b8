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
from collections.abc import Iterator, Sequence
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
from normonnx.exporting import adopting, styles
from normonnx.lower import opsets as opsets_of
from normonnx.runtime.eager import Eager
from normonnx.runtime.kernel_registry import highest_opset
from normonnx.validation.live import against_live
from tools.exports.networks import Subject, subjects

STYLES: Final = ("native", "function", "primitive")
_CALLED: Final = {
    functional.layer_norm, functional.group_norm, functional.batch_norm, functional.rms_norm,
    functional.instance_norm, functional.local_response_norm, functional.normalize,
}  # fmt: skip
# Layers that spell it by hand: each call of one is a normalization.
_SPELLED: Final = ("RMSNorm", "T5LayerNorm", "LayerNorm2d", "GlobalResponseNorm", "Grn", "GRN")


class _Counting(TorchFunctionMode):
    """Counts calls of torch's own normalizations, where no layer that spells one makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401  # torch's signature
        types: Any,  # noqa: ANN401
        args: Any = (),  # noqa: ANN401
        kwargs: Any = None,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        del types
        self.count += int(func in _CALLED)
        return func(*args, **(kwargs or {}))


def executed(subject: Subject) -> int:
    """How many normalizations a module executes, counted without normonnx."""
    spelled = [m for m in subject.module.modules() if _spells(m)]
    calls: list[int] = []
    handles = [m.register_forward_hook(lambda *_: calls.append(1)) for m in spelled]
    with torch.no_grad(), _Counting() as counting:
        subject.module(*subject.args, **subject.kwargs)
    for handle in handles:
        handle.remove()
    return int(counting.count) + len(calls)


def _spells(module: nn.Module) -> bool:
    name = type(module).__name__
    own = type(module).__module__.startswith("torch.nn")
    return not own and any(name.endswith(each) for each in _SPELLED)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a row is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--styles", nargs="+", default=list(STYLES), choices=STYLES)
    highest = highest_opset() or 23
    parser.add_argument("--opsets", nargs="+", type=int, default=[13, 17, 18, 21, 23, highest])
    asked = parser.parse_args(arguments)
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
