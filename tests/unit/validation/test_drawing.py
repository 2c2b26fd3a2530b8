"""Inputs: drawn for what the graph allows, or given and checked."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.core.errors import UsageError
from normonnx.validation import drawing
from normonnx.validation.bounds import exclusive_bound

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'


def _model(body: str, head: str = HEAD) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(head + body))


def _drawn(body: str, seed: int = 0, shapes: Any = None) -> dict[str, drawing.Case]:
    model = _model(body)
    sizes = next(drawing.attempts(model, shapes or {}))
    return {case.name: case for case in drawing.drawn(model, sizes, shapes or {}, seed)}


PLAIN = "g (float[2, 500] x) => (float[2, 500] y) { y = Neg(x) }"


def test_two_cases_one_of_them_far_from_zero() -> None:
    """N(0, 1), and N(0, 1) shifted by 100: where a one-pass variance loses four digits."""
    cases = _drawn(PLAIN)
    assert list(cases) == ["random", "shifted-mean"]
    for case, mean in zip(cases.values(), (0, drawing.SHIFT), strict=True):
        x = case.feeds["x"]
        assert x.dtype == np.float32
        assert x.mean() == pytest.approx(mean, abs=0.2)
        assert x.std() == pytest.approx(1, abs=0.1)


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    """Reports can be repeated."""
    first, again, other = (_drawn(PLAIN, seed)["random"].feeds["x"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("double", np.float64)],
)
def test_inputs_have_the_type_that_the_model_declares(kind: str, dtype: Any) -> None:
    """Rounded once to that type."""
    found = _drawn(f"g ({kind}[3] x) => ({kind}[3] y) {{ y = Identity(x) }}")
    assert found["random"].feeds["x"].dtype == dtype


def test_booleans_and_bytes_use_their_whole_range() -> None:
    """Flags are both; uint8 is an image, most likely."""
    body = "g (bool[99] b, uint8[9999] i) => (bool[99] c, uint8[9999] j)"
    feeds = _drawn(body + " { c = Identity(b) j = Identity(i) }")["random"].feeds
    assert set(feeds["b"].tolist()) == {False, True}
    assert (feeds["i"].min(), feeds["i"].max()) == (0, 255)


def test_without_floating_point_there_is_nothing_to_shift() -> None:
    """One case only."""
    assert list(_drawn("g (int64[3] i) => (int64[3] j) { j = Identity(i) }")) == ["random"]


def test_integers_that_index_nothing_are_flags_that_begin_with_one() -> None:
    """A mask whose first entry is 0 would leave a softmax nothing."""
    found = _drawn("g (int64[4, 99] m) => (int64[4, 99] y) { y = Identity(m) }")["random"].feeds
    assert set(found["m"].reshape(-1).tolist()) == {0, 1}
    assert found["m"][:, 0].tolist() == [1, 1, 1, 1]


GATHERS = {
    "rows": ("g (int64[9] i) => (float[9, 2] y) <float[5, 2] t = {}> { y = Gather(t, i) }", 5),
    "another axis": (
        "g (int32[9] i) => (float[5, 9] y) <float[5, 3] t = {}> { y = Gather<axis = 1>(t, i) }",
        3,
    ),
    "a negative axis": (
        "g (int32[9] i) => (float[5, 9] y) <float[5, 3] t = {}> { y = Gather<axis = -1>(t, i) }",
        3,
    ),
    "through casts and shapes": (
        (
            "g (int32[3, 3] i) => (float[k, 2] y) <float[7, 2] t = {}> { c = Cast<to = 7>(i)"
            " f = Flatten(c) y = Gather(t, f) }"
        ),
        7,
    ),
    "the smaller of two tables": (
        (
            "g (int64[9] i) => (float[9] y, float[9] z) <float[5] t = {}, float[4] u = {}>"
            " { y = Gather(t, i) z = Gather(u, i) }"
        ),
        4,
    ),
    "into an activation": ("g (int64[9] i, float[6] x) => (float[9] y) { y = Gather(x, i) }", 6),
    "one-hot": (
        "g (int64[9] i, float[2] v) => (float[9, 8] y) <int64 d = {8}> { y = OneHot(i, d, v) }",
        8,
    ),
    "tuples of indices": (
        "g (int64[9, 2] i) => (float[9, 2] y) <float[8, 5, 2] t = {}> { y = GatherND(t, i) }",
        5,
    ),
    "tuples behind batch dimensions": (
        (
            "g (int64[3, 1] i) => (float[3] y) <float[3, 7] t = {}>"
            " { y = GatherND<batch_dims = 1>(t, i) }"
        ),
        7,
    ),
    "where to scatter": (
        (
            "g (int64[9, 1] i, float[6, 2] x, float[9, 2] u) => (float[6, 2] y)"
            " { y = ScatterND(x, i, u) }"
        ),
        6,
    ),
    "where to scatter along an axis": (
        (
            "g (int64[2, 9] i, float[2, 6] x, float[2, 9] u) => (float[2, 6] y)"
            " { y = ScatterElements<axis = 1>(x, i, u) }"
        ),
        6,
    ),
    "one-hot after a cast and a reshape": (
        (
            "g (int32[3, 3] i, float[2] v) => (float[9, 8] y) <int64 d = {8}, int64[1] s = {9}>"
            " { c = Cast<to = 7>(i) r = Reshape(c, s) y = OneHot(r, d, v) }"
        ),
        8,
    ),
    "positions that begin at two": (
        (
            "g (int64[9] i) => (float[9, 2] y) <float[10, 2] t = {}, int64 two = {2}>"
            " { p = Add(i, two) y = Gather(t, p) }"
        ),
        8,
    ),
    "less a constant": (
        (
            "g (int64[9] i) => (float[9, 2] y) <float[10, 2] t = {}, int64 two = {2}>"
            " { p = Sub(i, two) y = Gather(t, p) }"
        ),
        12,
    ),
    "the sum of two inputs": (
        (
            "g (int64[9] i, int64[9] j) => (float[9, 2] y) <float[10, 2] t = {}>"
            " { p = Add(j, i) y = Gather(t, p) }"
        ),
        10,
    ),
    "picked and chosen before it is used": (
        (
            "g (int64[9] i, bool[9] b, int64[9] k) => (float[9, 2] y) <float[4, 2] t = {}>"
            " { w = Where(b, i, k) e = Gather(w, k) y = Gather(t, e) }"
        ),
        4,
    ),
    "an offset larger than the table": (
        (
            "g (int64[9] i) => (float[9, 2] y) <float[3, 2] t = {}, int64 five = {5}>"
            " { p = Add(i, five) y = Gather(t, p) }"
        ),
        1,
    ),
    "nothing": ("g (int64[9] i) => (int64[9] y) { y = Neg(i) }", None),
}


def _filled(body: str) -> str:
    """`t = {}` filled with as many zeros as its shape wants."""
    import re

    def fill(match: re.Match[str]) -> str:
        dims = [int(dim) for dim in match[1].split(",")]
        return f"float[{match[1]}] {match[2]} = {{{', '.join(['0'] * int(np.prod(dims)))}}}"

    return re.sub(r"float\[([\d, ]+)\] (\w) = \{\}", fill, body)


@pytest.mark.parametrize(("body", "bound"), GATHERS.values(), ids=GATHERS)
def test_indices_stay_inside_their_table(body: str, bound: int | None) -> None:
    """Found by following the input to where it indexes; drawn over all of it."""
    model = _model(_filled(body))
    assert exclusive_bound(model, model.graph.inputs[0]) == bound


def test_an_index_is_followed_into_a_function() -> None:
    """The table may be inside."""
    model = _model(
        "g (int64[9] i) => (float[9] y) { y = own.Look(i) }\n"
        '<domain: "own", opset_import: ["": 17]> Look (k) => (r)'
        " { t = Constant<value = float[6] {1, 2, 3, 4, 5, 6}>() r = Gather(t, k) }",
        head='<ir_version: 8, opset_import: ["": 17, "own": 1]>\n',
    )
    assert exclusive_bound(model, model.graph.inputs[0]) == 6


def test_dimensions_of_one_name_have_one_size() -> None:
    """The batch is 2 at first, which shows what mixes samples up; fixed dimensions stay."""
    feeds = _drawn(
        "g (float[N, 3, S, S] x, float[N, T] z, float[?, 7] w) => (float[N] y)"
        " { y = ReduceSum<keepdims = 0>(x) }".replace("?", "M")
    )["random"].feeds
    assert feeds["x"].shape[:2] == (2, 3)
    assert feeds["x"].shape[2] == feeds["x"].shape[3]
    assert feeds["z"].shape[0] == 2
    assert feeds["w"].shape[1] == 7


def test_minus_one_is_a_dynamic_dimension() -> None:
    """Some exporters write it; it can't be drawn as a size."""
    model = onnx.parser.parse_model(HEAD + PLAIN)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    found = ir.from_proto(model)
    sizes = next(drawing.attempts(found, {}))
    assert drawing.drawn(found, sizes, {}, 0)[0].feeds["x"].shape == (2, 500)


DYNAMIC = "g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Neg(x) }"


def test_shapes_may_be_given() -> None:
    """Then nothing is guessed for that input."""
    feeds = _drawn(DYNAMIC, shapes={"x": (4, 3, 5, 6)})["random"].feeds
    assert feeds["x"].shape == (4, 3, 5, 6)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"x": (1, 4, 5, 6)}, r"\[1, 4, 5, 6\].*'x'"),
        ({"x": (1, 3, 5)}, "does not fit"),
        ({"x": (1, 3, -5, 6)}, "negative"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shapes: dict[str, Any], words: str) -> None:
    """Naming the input, the shape found and the shape expected."""
    with pytest.raises(UsageError, match=words):
        _drawn(DYNAMIC, shapes=shapes)


@pytest.mark.parametrize("dims", ["1300000, 1000000", "0, 4611686018427387904"])
def test_what_no_memory_holds_is_not_drawn(dims: str) -> None:
    """Also of no elements: numpy has no such array. The way out is said."""
    with pytest.raises(UsageError, match=r"'x'.*GiB.*--shape"):
        _drawn(f"g (float[{dims}] x) => (float[a, b] y) {{ y = Neg(x) }}")


def test_a_shape_for_an_input_that_is_not_there_is_refused() -> None:
    """A typing error would go unnoticed."""
    with pytest.raises(UsageError, match="no input 'z'; it has x"):
        drawing.check_names(_model(DYNAMIC), {"z": (1,)})


def test_a_string_can_not_be_drawn() -> None:
    """The way out is said."""
    with pytest.raises(UsageError, match="--inputs"):
        _drawn("g (string[2] s) => (string[2] y) { y = Identity(s) }")


def test_inputs_with_a_default_need_not_be_given() -> None:
    """And are not drawn either."""
    model = _model(
        "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {2, 3}> { y = Mul(x, w) }",
        head='<ir_version: 3, opset_import: ["": 9]>\n',
    )
    assert [value.name for value in drawing.required_inputs(model)] == ["x"]
    assert set(drawing.drawn(model, (1, 1), {}, 0)[0].feeds) == {"x"}


def test_a_page_is_drawn_for_images_only() -> None:
    """Ink on white, between -1 and 1; what is no image stays as it was."""
    model = _model("g (float[1, 3, 64, 48] x, float[5] z) => (float[5] y) { y = Neg(z) }")
    like = drawing.drawn(model, (1, 1), {}, 0)[0]
    page = drawing.page(model, like, 0)
    assert page is not None
    assert set(np.unique(page.feeds["x"])) == {-1, 1}
    assert page.feeds["z"] is like.feeds["z"]
    assert drawing.page(_model(PLAIN), _drawn(PLAIN)["random"], 0) is None


def test_larger_images_stay_within_memory() -> None:
    """A side of 16000 is a second of sound, but not an image; given shapes leave nothing to vary."""
    assert max(drawing.larger(_model(DYNAMIC), {}, (2, 64))) == (1, 512)
    sound = _model("g (float[N, T] x) => (float[N, T] y) { y = Neg(x) }")
    assert max(drawing.larger(sound, {}, (2, 64))) == (1, 16000)
    assert drawing.larger(_model(DYNAMIC), {"x": (1, 3, 5, 6)}, (1, 1)) == []
    square = _model("g (float[N, T, U] x) => (float[N, T, U] y) { y = Neg(x) }")
    assert max(drawing.larger(square, {}, (2, 64))) == (1, 512)
