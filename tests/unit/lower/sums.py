"""Sums that are normalized, in ONNX text: those that ONNX Runtime fuses, and those it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import onnx

FEATURES: Final = 16
_CENTERED: Final = (
    "m = ReduceMean <axes = [-1]> (a) d = Sub(a, m) two = Constant <value = float {2.0}> () "
)
_DIVIDED: Final = (
    "eps = Constant <value = float {0.00001}> () e = Add(v, eps) r = Sqrt(e) n = Div(d, r) "
    "p = Mul(n, s) z = Add(p, b)"
)
FUSED: Final[Mapping[str, tuple[int, str]]] = {
    "operator": (17, "a = Add(x, y) z = LayerNormalization <axis = -1> (a, s, b)"),
    "two sums": (17, "c = Add(x, b) a = Add(c, y) z = LayerNormalization <axis = -1> (a, s, b)"),
    "taken apart": (
        13,
        f"a = Add(x, y) {_CENTERED} q = Pow(d, two) v = ReduceMean <axes = [-1]> (q) {_DIVIDED}",
    ),
}
LEFT_ALONE: Final[Mapping[str, tuple[int, str]]] = {
    "no norm": (17, "z = Add(x, y)"),
    "no sum": (17, "a = Mul(x, y) z = LayerNormalization <axis = -1> (a, s, b)"),
    "sum after": (17, "a = LayerNormalization <axis = -1> (x, s, b) z = Add(a, y)"),
    "read again": (17, "a = Add(x, y) n = LayerNormalization <axis = -1> (a, s, b) z = Mul(n, a)"),
    "broadcast": (17, "a = Add(x, s) z = LayerNormalization <axis = -1> (a, s, b)"),
    "root mean square": (
        23,
        "a = Add(x, y) z = RMSNormalization <axis = -1> (a, s)",
    ),
    "root mean square taken apart": (
        13,
        """a = Add(x, y) two = Constant <value = float {2.0}> () q = Pow(a, two)
        v = ReduceMean <axes = [-1]> (q) eps = Constant <value = float {0.00001}> ()
        e = Add(v, eps) r = Sqrt(e) n = Div(a, r) z = Mul(n, s)""",
    ),
    "softmax": (17, "a = Add(x, y) z = Softmax(a)"),
}


def model(body: str, opset: int = 17) -> onnx.ModelProto:
    """A model of x and y, (2, 3, 16), with a scale s and a bias b."""
    numbers = ", ".join("1.5" for _ in range(FEATURES))
    made = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> '
        f"g (float[2, 3, {FEATURES}] x, float[2, 3, {FEATURES}] y) => (float[2, 3, {FEATURES}] z) "
        f"<float[{FEATURES}] s = {{{numbers}}}, float[{FEATURES}] b = {{{numbers}}}> "
        f"{{ {body} }}"
    )
    onnx.checker.check_model(made)
    return made
