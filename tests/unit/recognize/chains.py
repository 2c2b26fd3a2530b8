"""Chains of operators in ONNX text, to be spelled otherwise node by node, and what is found in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.unit.recognize.recognising import recognised

ROWS: Final = "g (float[N,4,6] x) => (float[N,4,6] y)"
FREE: Final = "g (float[N,T,D] x) => (float[N,T,D] y)"
IMAGE: Final = "g (float[N,4,3,5] x) => (float[N,4,3,5] y)"
WEIGHTS: Final = (
    "float e = {0.1}, float zero = {0}, float half = {0.5}, float one = {1}, float two = {2}, "
    "float tiny = {0.00001}, float minus = {-1}, float[6] s = {2, 1, 0.5, 3, -1, 4}, "
    "float[6] b = {1, 2, 3, 4, 5, 6}, int64[1] last = {-1}, int64 index = {-1}, int64[1] k = {1}, "
    "float[4,1,1] s4 = {2, 0.5, -1, 3}, float[4,1,1] b4 = {1, 2, 3, 4}"
)

LAYER: Final = {
    "m": "ReduceMean<axes = [-1]>(x)",
    "d": "Sub(x, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [-1]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "y": "Div(d, r)",
}
RMS: Final = {
    "q": "Mul(x, x)",
    "v": "ReduceMean<axes = [-1]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "y": "Div(x, r)",
}
LENGTH: Final = {"l": "ReduceL2<axes = [-1]>(x)", "f": "Max(l, tiny)", "y": "Div(x, f)"}


def chain(base: Mapping[str, str], head: str = ROWS, more: str = "", **changed: str) -> str:
    """A model of a chain, some of its nodes written otherwise.

    Args:
        base: For each value the node that gives it.
        head: Name, inputs and outputs of the graph.
        more: Weights besides `WEIGHTS`.
        changed: By value what gives it instead: nodes, all but the last with their outputs.
    """
    nodes = []
    for name, node in {**base, **changed}.items():
        *before, last = node.split("; ")
        nodes += [*before, f"{name} = {last}"] if node else []
    weights = ", ".join(filter(None, (WEIGHTS, more)))
    return f"{head} <{weights}> {{ {' '.join(nodes)} }}"


def described(text: str, *, opset: int = 17, **numbers: Any) -> str:  # noqa: ANN401
    """Each normalization: name, parameters that are given, attributes; else the reasons."""
    found = recognised(text, opset=opset, **numbers)
    lines = list[str]()
    for norm in found.norms:
        attributes = [
            f"{name}={_short(value)}"
            for name, value in norm.call.attributes.items()
            if (name, value) != ("stash_type", 1)
        ]
        lines.append(" ".join([norm.call.norm.name, *sorted(norm.given), *attributes]))
    return "; ".join(lines) or "; ".join(found.reasons)


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value).replace(" ", "")
