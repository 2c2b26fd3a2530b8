"""What counts as constant, what it holds, and what is left alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from normonnx.graph import constants as module
from normonnx.graph.constants import Constants, reads_content
from normonnx.graph.element_types import element_type
from normonnx.graph.folding import constant_attribute
from tests.rewriting import parsed


def _constants(
    text: str, *, opset: int = 18, ir_version: int = 8, keep: tuple[str, ...] = ()
) -> tuple[Constants, dict[str, ir.Value]]:
    model = ir.from_proto(parsed(text, opset=opset, ir_version=ir_version))
    values = {v.name or "": v for v in (*model.graph.inputs, *model.graph.initializers.values())}
    values.update((v.name or "", v) for node in model.graph for v in node.outputs)
    return Constants(model, keep), values


EVALUATED = [
    # nodes that compute k from the weights a = [[1,2,3],[4,5,6]] and b = [2,-1,0.5], expected
    pytest.param("k = Identity(a)", [[1, 2, 3], [4, 5, 6]], id="Identity"),
    pytest.param("k = Constant<value = float[2] {1, 2}>()", [1, 2], id="Constant tensor"),
    pytest.param("k = Constant<value_float = 1.5>()", 1.5, id="Constant float"),
    pytest.param("k = Constant<value_floats = [1.5, 2.0]>()", [1.5, 2], id="Constant floats"),
    pytest.param("k = Constant<value_int = 3>()", 3, id="Constant int"),
    pytest.param("k = Constant<value_ints = [3, 4]>()", [3, 4], id="Constant ints"),
    pytest.param("k = Cast<to = 7>(b)", [2, -1, 0], id="Cast rounds towards zero"),
    pytest.param("k = CastLike(i, b)", [2, 3], id="CastLike a weight"),
    pytest.param("y = Relu(x) k = CastLike(b, y)", [2, -1, 0.5], id="CastLike an activation"),
    pytest.param("k = Expand(b, i)", [[2, -1, 0.5]] * 2, id="Expand"),
    pytest.param("k = ConstantOfShape(i)", np.zeros((2, 3)), id="ConstantOfShape"),
    pytest.param(
        "k = ConstantOfShape<value = float[1] {4}>(i)",
        np.full((2, 3), 4),
        id="ConstantOfShape of 4",
    ),
    pytest.param("k = Transpose(a)", [[1, 4], [2, 5], [3, 6]], id="Transpose"),
    pytest.param("k = Transpose<perm = [0, 1]>(a)", [[1, 2, 3], [4, 5, 6]], id="Transpose perm"),
    pytest.param(
        "s = Constant<value_ints = [-1, 0]>() t = Transpose(a) k = Reshape(t, s)",
        [[1, 4], [2, 5], [3, 6]],
        id="Reshape 0 and -1",
    ),
    pytest.param(
        "s = Constant<value_ints = [0, 3]>() k = Unsqueeze(b, s)", None, id="Unsqueeze too far"
    ),
    pytest.param(
        "s = Constant<value_ints = [0, 2]>() k = Unsqueeze(b, s)",
        [[[2], [-1], [0.5]]],
        id="Unsqueeze",
    ),
    pytest.param(
        "s = Constant<value_ints = [0]>() u = Unsqueeze(b, s) k = Squeeze(u)",
        [2, -1, 0.5],
        id="Squeeze",
    ),
    pytest.param("k = Flatten<axis = 0>(a)", [[1, 2, 3, 4, 5, 6]], id="Flatten"),
    pytest.param("k = Shape(a)", [2, 3], id="Shape"),
    pytest.param("k = Shape<start = 1>(a)", [3], id="Shape start"),
    pytest.param("k = Shape<start = -2, end = -1>(a)", [2], id="Shape start and end"),
    pytest.param("k = Size(a)", 6, id="Size"),
    pytest.param("k = Concat<axis = -1>(a, a)", [[1, 2, 3] * 2, [4, 5, 6] * 2], id="Concat"),
    pytest.param(
        "s = Constant<value_ints = [-1]>() k = Gather<axis = 1>(a, s)", [[3], [6]], id="Gather"
    ),
    pytest.param(
        "s = Constant<value_ints = [3]>() k = Gather(a, s)", None, id="Gather out of range"
    ),
    pytest.param(
        "s = Constant<value_ints = [1]>() e = Constant<value_ints = [99]>() k = Slice(b, s, e)",
        [-1, 0.5],
        id="Slice",
    ),
    pytest.param(
        "s = Constant<value_ints = [2]>() e = Constant<value_ints = [-9]>() r = Constant<value_ints = [-1]>() z = Constant<value_ints = [0]>() k = Slice(b, s, e, z, r)",
        [0.5, -1, 2],
        id="Slice backwards",
    ),
    pytest.param(
        "s = Constant<value_ints = [2]>() e = Constant<value_ints = [-9]>() k = Slice(b, s, e, s)",
        None,
        id="Slice along an axis that is not there",
    ),
    pytest.param("k = Add(a, b)", [[3, 1, 3.5], [6, 4, 6.5]], id="Add"),
    pytest.param("k = Sub(b, b)", [0, 0, 0], id="Sub"),
    pytest.param("k = Mul(b, b)", [4, 1, 0.25], id="Mul"),
    pytest.param("k = Div(b, b)", [1, 1, 1], id="Div"),
    pytest.param("m = Neg(i) t = Abs(m) k = Div(m, i)", [-1, -1], id="integer Neg, Div"),
    pytest.param(
        "j = Constant<value_ints = [-7, 7]>() k = Div(j, i)", [-3, 2], id="integer Div towards zero"
    ),
    pytest.param("t = Abs(b) k = Sqrt(t)", np.sqrt([2, 1, 0.5]), id="Abs, Sqrt"),
    pytest.param("k = Reciprocal(b)", [0.5, -1, 2], id="Reciprocal"),
    pytest.param("k = Exp(b)", np.exp([2, -1, 0.5]), id="Exp"),
    pytest.param("k = Pow(b, b)", [4, -1, 0.5**0.5], id="Pow"),
    pytest.param(
        "j = Constant<value_int = 2>() k = Pow(b, j)", [4, 1, 0.25], id="Pow with an integer"
    ),
    pytest.param("k = Add(a, x)", None, id="an activation"),
    pytest.param("k = Tanh(b)", None, id="an operator that is not evaluated"),
    pytest.param("k = local.Identity(b)", None, id="a custom operator"),
    pytest.param("k = Shape(x)", None, id="the shape of an activation"),
    pytest.param('k = Constant<value_string = "text">()', None, id="a string"),
]
MODEL = """g (float[N,3] x) => (float[a] k)
    <float[2,3] a = {{1,2,3,4,5,6}}, float[3] b = {{2,-1,0.5}}, int64[2] i = {{2,3}}> {{ {} }}"""


@pytest.mark.parametrize(("nodes", "expected"), EVALUATED)
def test_partial_evaluation(nodes: str, expected: npt.ArrayLike | None) -> None:
    """What exporters write around constants is computed, in the element type of the operands."""
    constants, values = _constants(MODEL.format(nodes))
    found = constants.get(values["k"])
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    assert found.shape == np.shape(expected)
    assert np.allclose(found, np.asarray(expected, np.float64), rtol=1e-6)


def test_arithmetic_stays_in_its_type() -> None:
    """0.1 + 0.2 in fp16 is what fp16 gives, not what float64 would."""
    constants, values = _constants(
        "g (float[1] x) => (float16[1] k) <float16[1] a, float16[1] b> { k = Add(a, b) }"
    )
    a, b, k = (constants.get(values[name]) for name in "abk")
    assert a is not None
    assert b is not None
    assert k is not None
    assert k.dtype == np.float16
    assert np.array_equal(k, (a.astype(np.float64) + b).astype(np.float16))


def test_attribute_forms_of_older_opsets() -> None:
    """Axes and shapes were attributes before they were inputs."""
    constants, values = _constants(
        "g (float[1] x) => (float[a,b] k) <float[3] b> { u = Unsqueeze<axes = [0, 2]>(b) k = Squeeze<axes = [0]>(u) }",
        opset=11,
    )
    found = constants.get(values["k"])
    assert found is not None
    assert found.shape == (3, 1)


def test_size_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computed constant above the bound is no constant, and is never made; a weight is a view."""
    text = "g (float[1] x) => (float[a] k) <int64[2] huge = {4000000, 650000}, float[4] w> { k = ConstantOfShape(huge) e = Expand(x, huge) m = Mul(w, w) i = Identity(w) }"
    constants, values = _constants(text)
    assert constants.get(values["k"]) is None
    monkeypatch.setattr(module, "LARGEST_COMPUTED", 3)
    constants, values = _constants(text)
    assert constants.get(values["m"]) is None
    assert constants.get(values["i"]) is not None


def test_constants_are_read_only() -> None:
    """Nobody writes into the file by accident."""
    constants, values = _constants("g (float[1] x) => (float[4] y) <float[4] w> { y = Mul(x, w) }")
    array = constants.get(values["w"])
    assert array is not None
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize(
    ("ir_version", "keep", "constant"),
    [(3, (), True), (3, ("w",), False), (3, ("x",), True), (4, (), False), (8, (), False)],
)
def test_initializers_that_are_inputs(
    ir_version: int,
    keep: tuple[str, ...],
    constant: bool,  # noqa: FBT001
) -> None:
    """They can be overridden from IR 4 on; below only where the user says so."""
    constants, values = _constants(
        "g (float[1] x, float[4] w) => (float[4] y) <float[4] w> { v = Identity(w) y = Mul(x, v) }",
        opset=9,
        ir_version=ir_version,
        keep=keep,
    )
    for name in ("w", "v"):
        assert (constants.get(values[name]) is not None) == constant
    assert constants.is_initializer(values["w"]) == constant
    assert constants.is_overridable(values["w"]) == (not constant)
    assert constants.get(values["x"]) is None
    assert not constants.is_overridable(values["x"])
    assert constants.get(None) is None


def test_replaced_content_is_read_anew() -> None:
    """After a rewrite a constant is evaluated again when it is forgotten."""
    constants, values = _constants("g (float[1] x) => (float[1] y) <float[1] w> { y = Mul(x, w) }")
    constants.get(values["w"])
    values["w"].const_value = ir.tensor(np.array([7], np.float32))
    constants.forget(values["w"])
    found = constants.get(values["w"])
    assert found is not None
    assert found[0] == 7


def test_deep_expressions() -> None:
    """Thousands of operators on a constant are no recursion."""
    length = 3000
    body = " ".join(f"v{i + 1} = Identity(v{i})" for i in range(length))
    constants, values = _constants(
        f"g (float[1] x) => (float[1] y) <float[1] v0> {{ {body} y = Mul(x, v{length}) }}"
    )
    assert constants.get(values[f"v{length}"]) is not None


def test_shapes_of_activations_as_far_as_they_are_certain() -> None:
    """Shape is constant where the dimensions that it asks for are, by whoever is asked for shapes."""
    text = "g (float[N,4] x) => (int64[a] y) { whole = Shape(x) y = Shape<start = 1>(x) z = Shape<start = -2, end = -1>(x) }"
    constants, values = _constants(text)
    constants.learn_shapes(lambda value: (None, 4) if value.name == "x" else None)
    found = constants.get(values["y"])
    assert found is not None
    assert found.tolist() == [4]
    assert constants.get(values["whole"]) is None
    assert constants.get(values["z"]) is None


def test_function_attributes_are_not_known() -> None:
    """A Constant or Cast whose attribute the caller gives is no constant."""
    model = ir.from_proto(
        parsed("""
        <ir_version: 8, opset_import: ["": 18, "local": 1]>
        g (float[2] x) => (float[2] y) { y = local.f<number = 1.5, kind = 1>(x) }
        <domain: "local", opset_import: ["": 18]>
        f <number, kind> (x) => (y) {
            a = Constant<value_float: float = @number>()
            b = Constant<value = float {1}>()
            c = Cast<to: int = @kind>(b)
            d = CastLike(b, c)
            y = Mul(x, a)
        }""")
    )
    constants = Constants(model)
    nodes = list(next(iter(model.functions.values())))
    assert constant_attribute(nodes[0]) is None
    assert [constants.get(node.outputs[0]) is None for node in nodes] == [
        True,
        False,
        True,
        True,
        True,
    ]
    assert element_type(nodes[2].outputs[0]) is None


@pytest.mark.parametrize(
    ("op_type", "index", "reads"),
    [
        ("Shape", 0, False),
        ("Size", 0, False),
        ("CastLike", 1, False),
        ("CastLike", 0, True),
        ("Conv", 0, True),
    ],
)
def test_reads_content(op_type: str, index: int, reads: bool) -> None:  # noqa: FBT001
    """Shape, Size and the type operand of CastLike read no numbers; of another domain they might."""
    values = [ir.val("a"), ir.val("b")]
    assert reads_content(ir.node(op_type, values), index) == reads
    assert reads_content(ir.node(op_type, values, domain="local"), index)


def test_element_type_of_further_outputs() -> None:
    """Indices and means have types of their own; all parts of a Split have the whole's."""
    _, values = _constants(
        """g (float16[N,4,H] x, float16[4] s) => (float16[N,a,b] y) {
            a, i = MaxPool<kernel_shape = [2]>(x) b, m = LayerNormalization(x, s)
            p, q = Split<axis = 1, num_outputs = 2>(x) r = RMSNormalization(x, s) y = Sum(p, q) }""",
        opset=23,
    )
    types = {name: element_type(values[name]) for name in "aibmpqr"}
    assert [name for name, found in types.items() if found is None] == ["i", "m"]
    assert {found for found in types.values() if found is not None} == {np.dtype(np.float16)}


def test_element_type_follows_producers() -> None:
    """Without a declared type the producers tell; what they don't tell is unknown."""
    _, values = _constants(
        "g (float16[2] x) => (float[2] y) { a = Relu(x) b = Cast<to = 1>(a) c = local.Any(b) y = Mul(b, b) }"
    )
    assert element_type(values["a"]) == np.float16
    assert element_type(values["b"]) == np.float32
    assert element_type(values["c"]) is None
    assert element_type(None) is None


def test_element_type_is_that_of_a_weight() -> None:
    """Both operands of a product have one type, so a weight tells; Split hands it on."""
    _, values = _constants(
        "g (float16[2, 4] x) => (float16[2, 2] y) <float16[4, 4] w> { a = local.Any(x) b = MatMul(a, w) c, y = Split<axis = 1, num_outputs = 2>(b) d = MatMul(a, a) }"
    )
    for name in ("b", "c", "y"):
        assert element_type(values[name]) == np.float16
    assert element_type(values["d"]) is None
