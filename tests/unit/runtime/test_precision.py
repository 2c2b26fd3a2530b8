"""Types below float32: which results have one, and what it makes of numbers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.runtime.precision import rounded, terms_in_a_sum

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
ISLAND = "g (float[n] x) => (float[n] y) { h = Cast<to = 10>(x) d = Add(h, h) y = Cast<to = 1>(d) }"
NET16 = "g (float16[n] x) => (float16[n] y) { s = Add(x, x) y = Mul(s, x) }"
LIKE = (
    "g (float[n] x, float16[n] t) => (float[n] y)"
    " { h = CastLike(x, t) d = Identity(h) y = CastLike(d, x) }"
)


def _model(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(HEAD + text))


@pytest.mark.parametrize("text", [ISLAND, LIKE], ids=["Cast", "CastLike"])
def test_casts_round_when_that_is_asked_for(text: str) -> None:
    """In float64 a float16 island is invisible; narrow=True rounds to it and overflows like it."""
    x = np.asarray([1 + 2**-13, 1e5], np.float32)
    feeds = {"x": x, "t": np.zeros(2, np.float16)} if text is LIKE else {"x": x}
    factor = 2 if text is ISLAND else 1
    exact = evaluate(_model(text), feeds)["y"]
    assert exact.tolist() == (factor * x.astype(np.float64)).tolist()
    assert evaluate(_model(text), feeds, narrow=True)["y"].tolist() == [factor, np.inf]


def test_every_result_of_a_half_precision_network_rounds() -> None:
    """Also where the type of an inner value is not declared."""
    x = np.asarray([1 + 2**-10], np.float16)
    found = evaluate(_model(NET16), {"x": x}, narrow=True)["y"]
    assert found.tolist() == (((x + x) * x).astype(np.float64)).tolist()
    assert evaluate(_model(NET16), {"x": x})["y"].tolist() != found.tolist()


def test_backends_are_allowed_the_roundoff_of_the_nodes_own_type() -> None:
    """Noise for kernels moves float16 results by roundoffs of float16, others not at all."""
    text = "g (float16[n] x) => (float16[n] y) { y = Sqrt(x) }"
    x = np.full(4096, 2, np.float16)
    truth = evaluate(_model(text), {"x": x})["y"]

    def spread(*, kernels: bool) -> float:
        noise = Perturbation(1, kernels=kernels)
        moved = evaluate(_model(text), {"x": x}, perturb=noise)["y"]
        return float(np.max(np.abs(moved / truth - 1))) / 2**-11

    assert spread(kernels=False) <= 0.51
    assert 1.0 < spread(kernels=True) <= 1.51


@pytest.mark.parametrize("text", [ISLAND, LIKE], ids=["Cast", "CastLike"])
def test_casts_are_noise_for_every_question(text: str) -> None:
    """Both casts round, so a model with one is judged by the roundoff of float16."""
    x = np.full(4096, 2, np.float32)
    feeds = {"x": x, "t": np.zeros(4096, np.float16)} if text is LIKE else {"x": x}
    truth = evaluate(_model(text), feeds)["y"]
    moved = evaluate(_model(text), feeds, perturb=Perturbation(1))["y"]
    assert 0.9 < float(np.max(np.abs(moved / truth - 1))) / 2**-11 < 1.1


def test_a_narrow_sum_rounds_once() -> None:
    """Runtimes sum float16 products in float32: a long sum is allowed no more than a short one."""
    text = "g (float16[8, 4096] a, float16[4096, 8] b) => (float16[8, 8] y) { y = MatMul(a, b) }"
    rng = np.random.default_rng(0)
    feeds = {"a": rng.standard_normal((8, 4096)), "b": rng.standard_normal((4096, 8))}
    feeds = {name: array.astype(np.float16) for name, array in feeds.items()}
    truth = evaluate(_model(text), feeds)["y"]
    moved = evaluate(_model(text), feeds, perturb=Perturbation(1, kernels=True))["y"]
    assert float(np.sqrt(np.mean((moved - truth) ** 2) / np.mean(truth**2))) < 2 * 2**-11


def test_a_long_sum_is_allowed_more_than_a_short_one() -> None:
    """The roundoff of a sum of K products grows with the root of K, for backends alone."""
    rng = np.random.default_rng(0)

    def spread(size: int, *, kernels: bool) -> float:
        text = f"g (float[16, {size}] a, float[{size}, 16] b) => (float[16, 16] y)"
        model = _model(f"{text} {{ y = MatMul(a, b) }}")
        feeds = {"a": rng.standard_normal((16, size)), "b": rng.standard_normal((size, 16))}
        feeds = {name: array.astype(np.float32) for name, array in feeds.items()}
        truth = evaluate(model, feeds)["y"]
        moved = evaluate(model, feeds, perturb=Perturbation(1, kernels=kernels))["y"]
        return float(np.sqrt(np.mean((moved - truth) ** 2) / np.mean(truth**2))) * 2**24

    assert spread(4096, kernels=True) > 5 * spread(16, kernels=True)
    assert spread(4096, kernels=False) < 2


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_numbers_are_those_that_the_type_holds(dtype: type) -> None:
    """In float64, nearest to what was given; integers stay as they are."""
    x = np.asarray([1.0, 1.001, 3.14159])
    found = rounded(x, np.dtype(dtype))
    assert found.dtype == np.float64
    assert found.tolist() == x.astype(dtype).astype(np.float64).tolist()
    whole = np.arange(3)
    assert rounded(whole, np.dtype(dtype)) is whole


@pytest.mark.parametrize(
    ("text", "shapes", "terms"),
    [
        ("y = Conv(a, b)", ((1, 6, 5, 5), (4, 3, 3, 3)), 27),
        ("y = ConvTranspose(a, b)", ((1, 6, 5, 5), (6, 4, 2, 2)), 24),
        ("y = MatMul(a, b)", ((2, 7), (7, 3)), 7),
        ("y = Gemm(a, b)", ((2, 7), (7, 3)), 7),
        ("y = Gemm<transA = 1>(a, b)", ((7, 2), (7, 3)), 7),
        ("y = Add(a, b)", ((2, 7), (2, 7)), 1),
    ],
)
def test_products_in_one_sum(text: str, shapes: tuple[tuple[int, ...], ...], terms: int) -> None:
    """As many as one result adds up."""
    model = _model(f"g (float[n] a, float[n] b) => (float[n] y) {{ {text} }}")
    (node,) = model.graph
    assert terms_in_a_sum(node, [np.zeros(shape) for shape in shapes]) == terms


@pytest.mark.parametrize("declared", ["float[2] y", "y"])
def test_a_cast_of_another_domain_is_none(declared: str) -> None:
    """Its attribute `to` may be anything; what it gives has the type of what it takes."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18, "my" : 1]> '
        'g (float[2] x) => (float[2] z) { y = my.Cast<to = "half">(x) z = Neg(y) } '
        '<domain: "my", opset_import: ["" : 18]> Cast <to>(a) => (b) { b = Identity(a) }'
    )
    if declared == "float[2] y":
        model.graph.value_info.append(onnx.helper.make_tensor_value_info("y", 1, [2]))
    x = np.asarray([1 / 3, 1e-9], np.float32)
    found = evaluate(ir.from_proto(model), {"x": x}, narrow=True)
    assert np.array_equal(found["z"], -x.astype(np.float64))
