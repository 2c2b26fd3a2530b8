"""Folding as a pass of onnx_ir: its options, and what it logs."""

from __future__ import annotations

import logging
from typing import Any

import onnx_ir as ir
import pytest

from normonnx.fold.passes import FoldAffine
from normonnx.fold.rules import fold_first, rewrite
from tests.rewriting import parsed

TEXT = """g (float[N,3,H] x, float[4,3,1] w) => (float[N,4,H] y) <float[4,3,1] v, NORM4, float k> {
    a = Conv(x, v) b = BN(a) c = Conv(x, w) d = Mul(c, k) y = Add(b, d) }"""


def _left(**options: Any) -> str:  # noqa: ANN401  # those of the pass
    """The affines that are left when the initializers of both weights are inputs as well."""
    model = ir.from_proto(
        parsed(TEXT.replace("float[4,3,1] v,", "float[4,3,1] v, float[4,3,1] w,"), ir_version=3)
    )
    FoldAffine(**options)(model)
    return " ".join(node.op_type for node in model.graph if node.op_type not in ("Conv", "Add"))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, ""),
        ({"keep": ["b"]}, "BatchNormalization"),
        ({"keep": ["c"]}, "Mul"),
        ({"keep_inputs": ["w"]}, "Mul"),
        ({"only": ["BatchNormalization"]}, "Mul"),
        ({"only": ["Mul"]}, "BatchNormalization"),
        ({"only": []}, "BatchNormalization Mul"),
    ],
)
def test_options(options: dict[str, Any], left: str) -> None:
    """What is kept, what the caller may override, and where affines start from."""
    assert _left(**options) == left


def test_observers_see_each_rewrite() -> None:
    """With the model already changed, and in order."""
    model = ir.from_proto(
        parsed(
            TEXT.replace("float[4,3,1] w)", "float[4,3,1] u)").replace("Conv(x, w)", "Conv(x, v)")
        )
    )
    seen: list[tuple[str, int]] = []
    done = rewrite(model, observer=lambda event: seen.append((event.rule, len(model.graph))))
    assert [rule for rule, _ in seen] == [event.rule for event in done.applied]
    assert seen == [("fold-affine", 4), ("fold-affine", 3), ("merge-parallel", 1)]


def test_what_stays_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With the reason."""
    model = ir.from_proto(
        parsed("g (float[N,4] x) => (float[N,4] y) <NORM4> { r = Relu(x) [bn] y = BN(r) }")
    )
    with caplog.at_level(logging.INFO):
        assert not FoldAffine()(model).modified
    assert "BatchNormalization bn stays: Relu 'r' before it can't take" in caplog.text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a = Conv(x, v) y = BN(a)", "Conv"),
        ("a = Conv(x, v) b = BN(a) y = Relu(b)", "Conv Relu"),
        ("a = Conv(x, v) b = BN(a) y = Mul(b, k)", "Conv BatchNormalization Mul"),
        ("a = Conv(x, v) b = Mul(a, k) y = BN(b)", "Conv Mul BatchNormalization"),
        ("b = BN(z) y = Conv(b, u)", "BatchNormalization Conv"),
        ("a = Conv(x, v) y = Mul(a, k)", "Conv Mul"),
    ],
)
def test_what_folds_at_once(text: str, left: str) -> None:
    """A BatchNormalization right behind a linear operator, unless another affine goes along."""
    proto = parsed(
        f"g (float[N,3,H] x, float[N,4,H] z) => (float[N,4,H] y) <float[4,3,1] v, float[4,4,1] u, NORM4, float k> {{ {text} }}"
    )
    model = ir.from_proto(proto)
    fold_first(model)
    assert " ".join(node.op_type for node in model.graph) == left
    kept = ir.from_proto(proto)
    assert not fold_first(kept, keep=["a", "b", "y"]).applied
