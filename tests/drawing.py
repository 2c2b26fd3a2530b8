"""Graphs of linear operators that property tests draw piece by piece, and what holds once they are merged."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from normonnx.runtime.oracle import evaluate
from tests.rewriting import Rewritten, feeds_of, graphs_of, rewritten

FLOATS: Final = st.sampled_from(["float", "float", "float16", "bfloat16", "double"])


def examples(usual: int) -> settings:
    """The same examples each time, as many as usual; NORMONNX_FOLD_EXAMPLES asks for new ones."""
    wanted = os.environ.get("NORMONNX_FOLD_EXAMPLES")
    return settings(
        deadline=None,
        max_examples=int(wanted or usual),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        derandomize=wanted is None,
        print_blob=True,
    )


UNTIMED: Final = examples(60)


@dataclass
class DrawnGraph:
    """Declarations and nodes of a graph as they are drawn."""

    dtype: str
    shares: bool
    declared: dict[str, str] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)

    def weight(self, *shape: int, kind: str = "w") -> str:
        """Declare a weight of this shape, or take one that is declared already; its name."""
        text = f"{self.dtype}[{','.join(map(str, shape))}]"
        if self.shares and kind == "w":
            for name, other in self.declared.items():
                if other == text and name.startswith("w"):
                    return name
        name = f"{kind}{len(self.declared)}"
        self.declared[name] = text
        return name

    def node(self, text: str) -> str:
        """Add a node; its output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(f"{name} = {text}")
        return name

    def norm(self, data: str, channels: int) -> str:
        """Add a BatchNormalization; its output."""
        names = [self.weight(channels, kind=kind) for kind in ("s", "b", "m", "var")]
        return self.node(f"BatchNormalization({data}, {', '.join(names)})")

    def model(
        self, shape: Sequence[int], rank: int, outputs: Sequence[str], *, inside: bool
    ) -> str:
        """The whole model; with `inside` everything but the weights stands in the body of an If."""
        dims = ",".join(f"d{axis}" for axis in range(rank))
        data = f"{self.dtype}[{','.join(map(str, shape))}] x"
        declared = ", ".join(f"{text} {name}" for name, text in self.declared.items())
        weights = f"<{declared}>" if declared else ""
        names = [f"y{index}" for index in range(len(outputs))]
        last = [f"{n} = Identity({value})" for n, value in zip(names, outputs, strict=True)]
        body = " ".join([*self.nodes, *last])
        types = ", ".join(
            f"{self.dtype}[{dims.replace('d', f'd{index}_')}] {name}"
            for index, name in enumerate(names)
        )
        if not inside:
            return f"g ({data}) => ({types}) {weights} {{ {body} }}"
        then, other = types.replace("] y", "] t"), types.replace("] y", "] o")
        body = re.sub(r"\by(\d)", r"t\1", body)
        rest = " ".join(f"{n.replace('y', 'o')} = Relu(x)" for n in names)
        return (
            f"g ({data}, bool p) => ({types}) {weights} {{ {', '.join(names)} = If(p) <"
            f"then_branch = a () => ({then}) {{ {body} }}, else_branch = b () => ({other}) {{ {rest} }}> }}"
        )


@st.composite
def affine(
    draw: st.DrawFn, graph: DrawnGraph, data: str, shape: Sequence[int], channels: int
) -> str:
    """The input, or an affine of it: a norm of its channels, or constants of this shape."""
    kind = draw(st.sampled_from(["x", "norm", "Mul", "Add", "Sub", "Neg"]))
    if kind == "norm":
        return graph.norm(data, channels)
    if kind == "x":
        return data
    if kind == "Neg":
        return graph.node(f"Neg({data})")
    return graph.node(f"{kind}({graph.weight(*shape)}, {data})")


@st.composite
def sum_of(draw: st.DrawFn, graph: DrawnGraph, leaves: Sequence[str]) -> str:
    """A tree of Add and Sum over leaves in any order."""
    waiting = list(draw(st.permutations(list(leaves))))
    while len(waiting) > 1:
        count = draw(st.integers(2, min(3, len(waiting))))
        taken = [waiting.pop(draw(st.integers(0, len(waiting) - 1))) for _ in range(count)]
        operator = "Sum" if count > 2 or draw(st.booleans()) else "Add"
        waiting.append(graph.node(f"{operator}({', '.join(taken)})"))
    return waiting[0]


def checked(text: str, seed: int) -> Rewritten:
    """The model rewritten; it computes the same, has no more nodes and multiplies no more."""
    exact = "double[" in text  # moved by one roundoff, its float64 truth may not move at all
    found = rewritten(text, opset=22, seed=seed, compare=not exact)
    if exact and found.report.modified:
        _check_doubles(found, seed)
    assert _multiplications(found.proto) <= _multiplications(found.original)
    assert sum(found.report.nodes_after.values()) <= sum(found.report.nodes_before.values())
    return found


def _check_doubles(found: Rewritten, seed: int) -> None:
    """Both models agree but for the order in which float64 numbers are added."""
    for feeds in feeds_of(found.original, seed):
        truth, result = (
            evaluate(ir.from_proto(model), feeds) for model in (found.original, found.proto)
        )
        for name, expected in truth.items():
            largest = np.max(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(result[name], expected, rtol=0, atol=1e-10 * largest)


def _multiplications(model: onnx.ModelProto) -> int:
    """Elements of the weights of all linear operators, once for each that reads them."""
    sizes: dict[str, int] = {}
    for graph in graphs_of(model):
        if isinstance(graph, onnx.GraphProto):
            sizes |= {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    return sum(
        max(sizes.get(name, 0) for name in node.input[:2])
        for graph in graphs_of(model)
        for node in graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
    )
