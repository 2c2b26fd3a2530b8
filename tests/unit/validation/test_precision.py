"""A float16 island is the same function in float64, and still a mismatch; a float16 net is not."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from normonnx.core.verdicts import Verdict
from normonnx.validation.judge import equivalence
from normonnx.validation.precision import narrow_types

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
PLAIN = "g (float[N, 8] x) => (float[N, 8] y) { y = Tanh(x) }"
ISLAND = "g (float[N, 8] x) => (float[N, 8] y) { h = Cast<to = {kind}>(x) f = Cast<to = 1>(h) y = Tanh(f) }"
BIG = (
    "g (float[N, 8] x) => (float[N, 8] y) {{ k = Constant<value_float = 1e5>() p = Mul(x, k) {cast}"
    " y = Div(f, k) }}"
)
HALF = "g (float16[N, 8] x) => (float16[N, 8] y) { {body} }"


def _model(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(HEAD + text))


@pytest.mark.parametrize(("kind", "name"), [("10", "float16"), ("16", "bfloat16")])
def test_an_inserted_island_is_a_mismatch(kind: str, name: str) -> None:
    """The type is named, and what it costs."""
    found = equivalence(_model(PLAIN), _model(ISLAND.replace("{kind}", kind)))
    assert found.verdict is Verdict.MISMATCH
    worst = next(one for one in found.comparisons if one.verdict is Verdict.MISMATCH)
    assert f"{name} on the way costs" in worst.reason
    assert worst.error > 100


def test_what_the_reference_loses_as_well_is_allowed() -> None:
    """The island was there before."""
    island = ISLAND.replace("{kind}", "10")
    moved = island.replace("y = Tanh(f)", "i = Identity(f) y = Tanh(i)")
    assert equivalence(_model(island), _model(moved)).passed
    assert equivalence(_model(island), _model(PLAIN)).passed  # more precise than it was


def test_an_island_that_overflows_is_named() -> None:
    """Infinity where the reference has a number."""
    with_cast = BIG.format(cast="h = Cast<to = 10>(p) f = Cast<to = 1>(h)")
    found = equivalence(_model(BIG.format(cast="f = Identity(p)")), _model(with_cast))
    assert found.verdict is Verdict.MISMATCH
    assert any("float16 on the way overflows" in one.reason for one in found.comparisons)


def test_a_half_precision_network_may_be_rewritten() -> None:
    """Its own roundoff is the yardstick."""
    plain = _model(HALF.replace("{body}", "s = Add(x, x) y = Tanh(s)"))
    other = _model(HALF.replace("{body}", "s = Add(x, x) i = Identity(s) y = Tanh(i)"))
    assert equivalence(plain, other).passed


def test_narrow_types_are_found_wherever_they_are() -> None:
    """Declared, cast to, or in a subgraph; float32 and integers are none."""
    assert narrow_types(_model(PLAIN)) == ()
    assert narrow_types(_model(ISLAND.replace("{kind}", "10"))) == ("float16",)
    assert narrow_types(_model(HALF.replace("{body}", "y = Neg(x)"))) == ("float16",)
