"""The float64 oracle: promotion, scopes, functions, control flow, refusals and perturbations."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError
from normonnx.runtime import control_flow
from normonnx.runtime.oracle import Perturbation, evaluate

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'


def _model(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(text))


def _run(body: str, **feeds: Any) -> dict[str, Any]:
    return evaluate(_model(HEAD + body), {name: np.asarray(x) for name, x in feeds.items()})


def test_floating_point_becomes_float64_and_nothing_else_does() -> None:
    """Floats of every width are promoted; integers, booleans and strings keep their type."""
    found = _run(
        "g (float16[2] a, int32[2] b, bool[2] c, string[2] d)"
        " => (float16[2] w, int32[2] x, bool[2] y, string[2] z)"
        "{ w = Identity(a) x = Identity(b) y = Identity(c) z = Identity(d) }",
        a=np.ones(2, np.float16),
        b=np.ones(2, np.int32),
        c=np.ones(2, np.bool_),
        d=np.asarray(["p", "q"], object),
    )
    kinds = {name: array.dtype for name, array in found.items()}
    assert kinds == {"w": np.float64, "x": np.int32, "y": np.bool_, "z": np.dtype(object)}


def test_a_cast_to_a_narrow_type_loses_nothing() -> None:
    """There and back through float16 is the identity: the truth has no roundoff."""
    x = np.asarray([1 + 2**-20, 1e30])
    found = _run(
        "g (double[2] x) => (double[2] y) { h = Cast<to = 10>(x) y = Cast<to = 11>(h) }", x=x
    )
    np.testing.assert_array_equal(found["y"], x)


def test_a_cast_to_an_integer_truncates() -> None:
    """Towards zero, as the specification says."""
    found = _run("g (float[3] x) => (int64[3] y) { y = Cast<to = 7>(x) }", x=[-1.7, 0.5, 2.9])
    assert found["y"].tolist() == [-1, 0, 2]


def test_constants_of_every_spelling_are_float64() -> None:
    """Constant by float, by list and by tensor, and ConstantOfShape."""
    found = _run(
        "g () => (float a, float[2] b, float[1] c, float[2] d) {"
        " a = Constant<value_float = 0.5>() b = Constant<value_floats = [1.0, 2.0]>()"
        " c = Constant<value = float[1] {3}>() s = Constant<value_ints = [2]>()"
        " d = ConstantOfShape<value = float[1] {4}>(s) }"
    )
    assert {array.dtype for array in found.values()} == {np.dtype(np.float64)}
    assert [found[name].tolist() for name in "abcd"] == [0.5, [1, 2], [3], [4, 4]]


def test_values_in_the_middle_can_be_kept() -> None:
    """`keep` returns named intermediate values beside the outputs."""
    text = HEAD + "g (float[2] x) => (float[2] y) { m = Neg(x) y = Abs(m) }"
    found = evaluate(_model(text), {"x": np.ones(2, np.float32)}, keep=["m"])
    assert found["m"].tolist() == [-1, -1]
    assert set(found) == {"m", "y"}


def test_inputs_with_a_default_may_be_left_out() -> None:
    """As in IR version 3, where every initializer is also an input; a value given wins."""
    model = _model(
        '<ir_version: 3, opset_import: ["": 9]>\n'
        "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {2, 3}> { y = Mul(x, w) }"
    )
    x = np.ones(2, np.float32)
    assert evaluate(model, {"x": x})["y"].tolist() == [2, 3]
    assert evaluate(model, {"x": x, "w": 5 * x})["y"].tolist() == [5, 5]


def test_a_missing_input_is_named() -> None:
    """An input without a default that is not fed."""
    with pytest.raises(InvalidModelError, match="input 'x'"):
        _run("g (float[2] x) => (float[2] y) { y = Neg(x) }")


def test_functions_see_their_own_attributes_and_defaults() -> None:
    """An attribute given by the caller, or the function's default for it."""
    model = _model("""
        <ir_version: 9, opset_import: ["": 18, "own": 1]>
        g (float[1, 2] x) => (float[1, 2] a, float[1, 2] b) {
          a = own.Leak<slope = 0.5>(x)  b = own.Leak(x)
        }
        <domain: "own", opset_import: ["": 18]>
        Leak <slope: float = 0.25> (x) => (y) { y = LeakyRelu<alpha: float = @slope>(x) }
    """)
    found = evaluate(model, {"x": np.asarray([[-4, 4]], np.float32)})
    assert found["a"].tolist() == [[-2, 4]]
    assert found["b"].tolist() == [[-1, 4]]


@pytest.mark.parametrize(("choice", "expected"), [(True, [3, 3]), (False, [1, 1])])
def test_a_branch_sees_the_values_around_it(choice: bool, expected: list[int]) -> None:  # noqa: FBT001
    """Both branches of an If read a value from outside."""
    found = _run(
        "g (float[2] x, bool p) => (float[2] y) {"
        " two = Constant<value_float = 2.0>() s = Add(x, two)"
        " y = If(p) <then_branch = t () => (float[2] w) { w = Identity(s) },"
        " else_branch = e () => (float[2] z) { z = Sub(s, two) }> }",
        x=np.ones(2, np.float32),
        p=choice,
    )
    assert found["y"].tolist() == expected


LOOP = (
    "g (int64 n, bool go, float[1] x) => (float[1] last, float[k, 1] every) {"
    " last, every = Loop(n, go, x) <body = b (int64 i, bool c, float[1] s)"
    " => (bool c2, float[1] s2, float[1] out) {"
    " c2 = Identity(c) s2 = Add(s, x) out = Identity(s2) }> }"
)


@pytest.mark.parametrize("trips", [0, 1, 3])
def test_a_loop_carries_and_collects(trips: int) -> None:
    """Carried values, scanned outputs (also of no round at all), and a captured value."""
    found = _run(LOOP, n=np.asarray(trips, np.int64), go=True, x=np.ones(1, np.float32))
    assert found["last"].tolist() == [1 + trips]
    assert found["every"].shape == (trips, 1)
    assert found["every"].reshape(-1).tolist() == list(range(2, 2 + trips))


def test_a_loop_stops_when_its_condition_fails() -> None:
    """The condition comes first, the trip count only limits."""
    found = _run(
        "g (float[1] x) => (float[1] y) {"
        " yes = Constant<value = bool {1}>() four = Constant<value = float[1] {4}>()"
        ' y = Loop("", yes, x) <body = b (int64 i, bool c, float[1] s) => (bool c2, float[1] s2) {'
        " s2 = Add(s, s) l = Less(s2, four) c2 = Squeeze(l) }> }",
        x=np.ones(1, np.float32),
    )
    assert found["y"].tolist() == [4]


def test_a_loop_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A condition that stays true is an error in the end, not a hang."""
    monkeypatch.setattr(control_flow, "_PATIENCE", 10 + 3 * control_flow._ROUND)
    with pytest.raises(UnsupportedOperatorError, match=r"Loop .* after 3 rounds"):
        _run(LOOP, n=np.asarray(1 << 62, np.int64), go=True, x=np.ones(1, np.float32))


def test_a_scan_runs_over_axes_in_both_directions() -> None:
    """Cumulative sums along axis 1, backwards."""
    found = _run(
        "g (float[1] start, float[1, 3] x) => (float[1] last, float[1, 3] y) {"
        " last, y = Scan<num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],"
        " scan_input_directions = [1], scan_output_directions = [1],"
        " body = b (float[1] s, float[1] e) => (float[1] s2, float[1] o) {"
        " s2 = Add(s, e) o = Identity(s2) }>(start, x) }",
        start=np.zeros(1, np.float32),
        x=np.asarray([[1, 2, 4]], np.float32),
    )
    assert found["last"].tolist() == [7]
    assert found["y"].tolist() == [[7, 6, 4]]


def test_sequences_pass_through() -> None:
    """Lists of arrays, made, read and joined."""
    found = _run(
        "g (float[2] x) => (float[n] y) {"
        " n = Neg(x) s = SequenceConstruct(x, n) y = ConcatFromSequence<axis = 0>(s) }",
        x=np.ones(2, np.float32),
    )
    assert found["y"].tolist() == [1, 1, -1, -1]


def test_outputs_without_a_name_are_skipped() -> None:
    """An operator asked for its second output alone gives just that."""
    found = _run(
        'g (float[3] x, int64[1] k) => (int64[1] i) { "", i = TopK<axis = 0>(x, k) }',
        x=np.asarray([1, 5, 3], np.float32),
        k=np.asarray([1], np.int64),
    )
    assert found["i"].tolist() == [1]


def test_an_operator_that_nobody_knows_is_named() -> None:
    """Its type, its domain and its node."""
    text = (
        '<ir_version: 8, opset_import: ["": 17, "odd.domain": 1]>\n'
        "g (float[2] x) => (float[2] y) { [there] y = odd.domain.Frobnicate(x) }"
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        evaluate(_model(text), {"x": np.ones(2, np.float32)})
    assert all(word in str(caught.value) for word in ("Frobnicate", "odd.domain", "there"))


@pytest.mark.parametrize(
    "body",
    [
        "g (int64[2] s) => (float[a, b] y) { [huge] y = ConstantOfShape(s) }",
        (
            "g (int64[2] s) => (float[a, b] y) { o = Constant<value_floats = [1.0]>()"
            " [huge] y = Expand(o, s) }"
        ),
        (
            "g (int64[2] s) => (float[a, b] y) { o = Constant<value = float[1, 1] {1}>()"
            " [huge] y = Tile(o, s) }"
        ),
    ],
    ids=["ConstantOfShape", "Expand", "Tile"],
)
def test_ten_terabytes_are_refused_before_they_are_made(body: str) -> None:
    """A result that can't fit into memory is one line, naming the node and what it would take."""
    with pytest.raises(UnsupportedOperatorError, match=r"'huge'.*GiB"):
        _run(body, s=np.asarray([1_300_000, 1_000_000], np.int64))


@pytest.mark.parametrize(
    ("declared", "words"), [("int64", "declared INT64.*fractions"), ("string", "declared STRING")]
)
def test_an_output_of_another_kind_than_declared_is_no_model(declared: str, words: str) -> None:
    """No runtime loads it; judged as whole numbers, any two such outputs would differ."""
    with pytest.raises(InvalidModelError, match=words):
        _run(f"g (float[2] x) => ({declared}[2] y) {{ y = Neg(x) }}", x=np.ones(2, np.float32))


def test_a_tile_has_a_repeat_for_each_axis() -> None:
    """Numpy would take fewer, whose result nobody foresees."""
    with pytest.raises(InvalidModelError, match="1 repeats for 2 axes"):
        _run(
            "g (float[1, 2] x, int64[1] r) => (float[] y) { y = Tile(x, r) }",
            x=np.ones((1, 2), np.float32),
            r=np.asarray([1 << 40], np.int64),
        )


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ("Split <axis = 1, num_outputs = 3> (x)", [3, 3, 1]),
        ("Split <axis = -1, num_outputs = 2> (x)", [4, 3]),
        ("Split <axis = 1> (x, s)", [4, 1, 2]),
        ("Split <axis = 1, num_outputs = 5> (x)", None),  # 2, 2, 2, 2 are more than 7
        ("Split <axis = 1> (x, few)", None),
        ("Split <axis = 1> (x, whole)", None),
        ("Split <axis = 1, num_outputs = 1000000000> (x)", None),
        ("Split <axis = 1> (x, back)", None),
    ],
)
def test_a_split_gives_away_all_there_is(split: str, sizes: list[int] | None) -> None:
    """Parts of equal size, the last one smaller; sizes that don't add up are refused."""
    names = [f"p{k}" for k in range(len(sizes or range(5 if "5" in split else 3)))]
    outputs = ", ".join(f"float[2, {name}n] {name}" for name in names)
    text = (
        f"g (float[2, 7] x) => ({outputs}) {{ s = Constant<value_ints = [4, 1, 2]>() "
        "few = Constant<value_ints = [4, 1, 1]>() whole = Constant<value_ints = [7]>() "
        "back = Constant<value_ints = [9, -3, 1]>() "
        f"{', '.join(names)} = {split} }}"
    )
    x = np.arange(14, dtype=np.float32).reshape(2, 7)
    if sizes is None:
        with pytest.raises(
            InvalidModelError, match=r"an axis of 7 has no parts of|parts and 3 outputs"
        ):
            evaluate(_model(HEAD.replace("17", "18") + text), {"x": x})
        return
    found = evaluate(_model(HEAD.replace("17", "18") + text), {"x": x})
    assert [found[name].shape[1] for name in names] == sizes
    assert np.array_equal(np.concatenate([found[name] for name in names], axis=1), x)


def test_axes_beyond_any_integer_name_the_node() -> None:
    """As axes do that are only out of range."""
    far = 1 << 40
    with pytest.raises(InvalidModelError, match="'off'"):
        _run(
            f"g (float[2] x) => (float[] y) {{ a = Constant<value_ints = [{far}]>() "
            "[off] y = Unsqueeze(x, a) }",
            x=np.ones(2, np.float32),
        )


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("Sum", [6.0, 9.0]), ("Mean", [2.0, 3.0]), ("Max", [3.0, 5.0]), ("Min", [1.0, 2.0])],
)
def test_operators_of_any_number_of_inputs(operator: str, expected: list[float]) -> None:
    """Which broadcast; of one input they are that input."""
    given = {"a": [1.0, 2.0], "b": [[2.0, 2.0]], "c": [3.0, 5.0]}
    feeds = {name: np.asarray(values, np.float32) for name, values in given.items()}
    body = f"g (float[2] a, float[1, 2] b, float[2] c) => (float[1, 2] y, float[2] z) {{ y = {operator}(a, b, c) z = {operator}(c) }}"
    found = _run(body, **feeds)
    assert found["y"].tolist() == [expected]
    assert found["z"].tolist() == given["c"]


def test_a_hundred_thousand_inputs_take_no_time() -> None:
    """They are added as they come."""
    many = ", ".join(["x"] * 100_000)
    began = time.process_time()
    y = _run(f"g (float[2] x) => (float[2] y) {{ y = Sum({many}) }}", x=np.ones(2, np.float32))["y"]
    assert y.tolist() == [100_000.0, 100_000.0]
    assert time.process_time() - began < 20


def test_shapes_that_do_not_fit_name_the_node() -> None:
    """The node, its input shapes, one line."""
    with pytest.raises(InvalidModelError, match=r"'off'.*\[2\], \[3\]"):
        _run(
            "g (float[n] a, float[m] b) => (float[k] y) { [off] y = Add(a, b) }",
            a=np.ones(2, np.float32),
            b=np.ones(3, np.float32),
        )


WEIGHTED = HEAD + (
    "g (float[4] x) => (float[4] y) <float[4] w = {0.1, 0.2, 0.3, 0.4}> { y = Mul(x, w) }"
)


def test_a_perturbation_moves_by_at_most_one_roundoff_each() -> None:
    """Input and weight, each by at most u, so their product by at most 2u; and it does move."""
    x = np.ones(4, np.float32)
    model = _model(WEIGHTED)
    truth = evaluate(model, {"x": x})["y"]
    moved = evaluate(model, {"x": x}, perturb=Perturbation(1))["y"]
    relative = np.abs(moved / truth - 1) / 2**-24
    assert 0.01 < relative.max() <= 2 + 1e-6


def test_the_same_seed_moves_alike_and_another_does_not() -> None:
    """Perturbations can be repeated."""
    model, x = _model(WEIGHTED), np.ones(4, np.float32)
    first, again, other = (
        evaluate(model, {"x": x}, perturb=Perturbation(seed))["y"] for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "body",
    [
        "g (int64[2] i) => (float[2] y) <float[3] t = {1, 2, 3}> { y = Gather(t, i) }",
        "g (int64[2] i) => (float[2] y) <float e = {0.3}> { f = Cast<to = 1>(i) y = Pow(f, e) }",
        (
            "g (int64[2] i) => (float[4] y) <float[1] s = {1.7}> {"
            ' f = Cast<to = 1>(i) y = Resize<mode = "nearest">(f, , s) }'
        ),
    ],
    ids=["whole numbers", "an exponent", "scales"],
)
def test_what_is_exact_by_intent_is_not_moved(body: str) -> None:
    """Whole numbers, exponents, and inputs that steer."""
    model = _model(HEAD + body)
    feeds = {"i": np.asarray([1, 2], np.int64)}
    truth = evaluate(model, feeds)["y"]
    assert np.array_equal(evaluate(model, feeds, perturb=Perturbation(1))["y"], truth)


def test_weights_of_linear_operators_are_moved_also_when_whole() -> None:
    """They were learned, or rounded: the norm's scale of ones is one roundoff uncertain, too."""
    model = _model(
        HEAD + "g (int64[1, 2] i) => (float[1, 2] y) <float[2, 2] w = {1, 2, 3, 4}>"
        " { f = Cast<to = 1>(i) y = MatMul(f, w) }"
    )
    feeds = {"i": np.asarray([[1, 2]], np.int64)}
    truth = evaluate(model, feeds)["y"]
    assert not np.array_equal(evaluate(model, feeds, perturb=Perturbation(1))["y"], truth)


def test_half_precision_is_moved_by_its_own_roundoff() -> None:
    """A float16 input moves by up to 2**-11, a cast to float16 as well."""
    x = np.linspace(1, 2, 100)
    body = "g ({kind}[100] x) => (double[100] y) {{ h = Cast<to = {to}>(x) y = Cast<to = 11>(h) }}"
    for kind, to, dtype in (("float16", 11, np.float16), ("double", 10, np.float64)):
        model = _model(HEAD + body.format(kind=kind, to=to))
        feeds = {"x": x.astype(dtype)}
        moved = evaluate(model, feeds, perturb=Perturbation(1))["y"]
        largest = np.abs(moved / feeds["x"].astype(np.float64) - 1).max()
        assert 0.5 * 2**-11 < largest < 1.01 * 2**-11, kind
