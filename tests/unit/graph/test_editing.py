"""Edits keep names, outputs and types, and leave nothing behind."""

from __future__ import annotations

import time

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.graph import tensors
from normonnx.graph.editing import Editor
from tests.rewriting import parsed


def _model(text: str, *, ir_version: int = 8, opset: int = 17) -> ir.Model:
    return ir.from_proto(parsed(text, opset=opset, ir_version=ir_version))


def _node(model: ir.Model, op_type: str) -> ir.Node:
    return next(node for node in model.graph.all_nodes() if node.op_type == op_type)


def _tensor(*numbers: float) -> tensors.StreamedTensor:
    return tensors.of_array(np.array(numbers, np.float32))


def _summary(model: ir.Model) -> list[str]:
    onnx.checker.check_model(ir.to_proto(model))
    return [
        f"{', '.join(v.name or '' for v in n.outputs)} = {n.op_type}({', '.join((v.name or '') if v else '' for v in n.inputs)})"
        for n in model.graph
    ]


def test_bypass_in_the_middle() -> None:
    """Readers read what came before; names stay."""
    model = _model("g (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Abs(b) }")
    Editor(model).bypass(_node(model, "Neg"), 0)
    assert _summary(model) == ["a = Relu(x)", "y = Abs(a)"]


def test_bypass_of_an_output_keeps_its_name_and_type() -> None:
    """The value that takes the place of a graph output takes over name, type and shape."""
    model = _model(
        "g (float[2] x) => (float[n] y) { a = Relu(x) s = Shape(a) t = Cast<to = 1>(s) y = Mul(a, t) }"
    )
    _node(model, "Mul").outputs[0].metadata_props["of"] = "y"
    Editor(model).bypass(_node(model, "Mul"), 0)
    assert _summary(model) == ["y = Relu(x)"]
    (output,) = model.graph.outputs
    assert (str(output.shape), output.dtype, output.metadata_props["of"]) == (
        "[n]",
        ir.DataType.FLOAT,
        "y",
    )


def test_bypass_serves_subgraphs_and_repeated_outputs() -> None:
    """A value may be read inside an If and listed twice among the outputs."""
    model = _model("""
        g (float[2] x, bool p) => (float[2] y, float[2] z, float[2] y) {
            a = Relu(x) y = Neg(a)
            z = If(p) <then_branch = t () => (float[2] u) { u = Abs(y) },
                       else_branch = e () => (float[2] v) { v = Sqrt(y) }> }""")
    Editor(model).bypass(_node(model, "Neg"), 0)
    assert _summary(model)[0] == "y = Relu(x)"
    assert [value.name for value in model.graph.outputs] == ["y", "z", "y"]
    assert _node(model, "Abs").inputs[0] is model.graph.outputs[0]


def test_bypass_needs_an_input() -> None:
    """There must be something to put in the place."""
    model = _model('g (float[2] x) => (float[2] y) { y = Clip(x, "", x) }')
    with pytest.raises(ValueError, match="has no input 1"):
        Editor(model).bypass(_node(model, "Clip"), 1)


def test_what_is_no_longer_read_goes() -> None:
    """Constants and the nodes that made them go, but not what had no reader before."""
    model = _model("""
        g (float[2] x) => (float[2] y) <float[2] w, float[2] v, float[2] idle> {
            k = Neg(w) l = Add(k, v) dead = Abs(v) a = Relu(x) y = Mul(a, l) }""")
    editor = Editor(model)
    editor.bypass(_node(model, "Mul"), 0)
    editor.finish()
    assert _summary(model) == ["dead = Abs(v)", "y = Relu(x)"]
    assert list(model.graph.initializers) == ["v", "idle"]


@pytest.mark.parametrize("kept", ["w", "k"])
def test_kept_names_are_not_dropped(kept: str) -> None:
    """What the user wants to keep stays, read or not."""
    model = _model(
        "g (float[2] x) => (float[2] y) <float[2] w> { k = Neg(w) a = Relu(x) y = Mul(a, k) }"
    )
    editor = Editor(model, [kept])
    editor.bypass(_node(model, "Mul"), 0)
    editor.finish()
    assert list(model.graph.initializers) == ["w"]
    assert any(node.op_type == "Neg" for node in model.graph) == (kept == "k")


@pytest.mark.parametrize(("ir_version", "inputs"), [(3, ["x"]), (4, ["x", "w"])])
def test_dropped_initializers_leave_the_inputs_only_below_ir_4(
    ir_version: int, inputs: list[str]
) -> None:
    """From IR 4 on an input is the user's, with or without a default."""
    model = _model(
        "g (float[2] x, float[2] w) => (float[2] y) <float[2] w> { a = Relu(x) y = Mul(a, w) }",
        ir_version=ir_version,
        opset=9,
    )
    editor = Editor(model)
    editor.bypass(_node(model, "Mul"), 0)
    editor.finish()
    assert [value.name for value in model.graph.inputs] == inputs


@pytest.mark.parametrize("ir_version", [3, 8])
def test_new_constants(ir_version: int) -> None:
    """A new input gets a free name; below IR 4 it is a graph input too; the old one goes."""
    both = ", float[2] k, float[2] k_folded" if ir_version == 3 else ""
    model = _model(
        f"g (float[2] x{both}) => (float[2] y) <float[2] k, float[2] k_folded> {{ a = Mul(x, k) y = Mul(a, k_folded) }}",
        ir_version=ir_version,
        opset=9,
    )
    editor = Editor(model)
    editor.set_constant(_node(model, "Mul"), 1, _tensor(1, 2), "k")
    editor.finish()
    assert _summary(model)[0] == "a = Mul(x, k_folded_2)"
    assert "k" not in model.graph.initializers
    names = [value.name for value in model.graph.inputs]
    assert names == (["x", "k_folded", "k_folded_2"] if ir_version == 3 else ["x"])


def test_names_of_many_new_constants_are_found_at_once() -> None:
    """Each has the lowest free number."""
    model = _model("g (float[2] x) => (float[2] y) <float[2] k> { a = Mul(x, k) y = Mul(a, k) }")
    editor, node = Editor(model), _node(model, "Mul")
    began = time.process_time()
    for _ in range(5000):
        editor.add_before(node, "Neg", [model.graph.inputs[0]], "n")
    assert time.process_time() - began < 20
    names = [each.outputs[0].name for each in model.graph if each.op_type == "Neg"]
    assert names == ["n", "n_folded", *(f"n_folded_{number}" for number in range(2, 5000))]


def test_a_name_that_was_given_back_is_given_again() -> None:
    """So the same edit made twice leaves the same names."""
    model = _model("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    editor, node = Editor(model), _node(model, "Neg")
    for kind in ("Abs", "Exp", "Sqrt"):
        editor.add_before(node, kind, [model.graph.inputs[0]], "n")
    middle = _node(model, "Exp")
    other = editor.add_before(node, "Log", [middle.outputs[0]], "m")
    editor.put(_node(model, "Log"), "", "Sin", [model.graph.inputs[0]])
    assert middle.graph is None
    assert other.name != "n_folded"
    assert editor.add_before(node, "Neg", [model.graph.inputs[0]], "n").name == "n_folded"


def test_new_inputs_may_leave_gaps() -> None:
    """A Gemm or Conv without a bias gets a third input."""
    model = _model("g (float[2,2] x) => (float[2,2] y) <float[2,2] w> { y = Gemm(x, w) }")
    Editor(model).set_constant(_node(model, "Gemm"), 2, _tensor(1, 2), "k")
    assert _summary(model) == ["y = Gemm(x, w, k)"]


def test_constants_of_functions_are_nodes() -> None:
    """A function has no initializers."""
    model = _model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["": 17]>
        f (x) => (y) { k = Constant<value = float[2] {1, 2}>() y = Mul(x, k) }""")
    function = next(iter(model.functions.values()))
    editor = Editor(model)
    editor.set_constant(next(n for n in function if n.op_type == "Mul"), 1, _tensor(3, 4), "k")
    editor.finish()
    assert [node.op_type for node in function] == ["Constant", "Mul"]
    onnx.checker.check_model(ir.to_proto(model))


def test_replaced_content_keeps_the_name() -> None:
    """A weight may change its content and shape."""
    model = _model("g (float[2] x) => (float[2] y) <float k> { y = Mul(x, k) }")
    value = model.graph.initializers["k"]
    Editor(model).replace_content(value, _tensor(1, 2))
    assert (value.name, str(value.shape)) == ("k", "[2]")
    assert value.const_value is not None
    assert value.const_value.name == "k"
    assert _summary(model) == ["y = Mul(x, k)"]


def test_replace_keeps_what_describes_the_node() -> None:
    """Another operator under the same names, with doc string, metadata and output type."""
    model = _model("g (float[2] x) => (float[n] y) <float[2] k> { a = Relu(x) [it] y = Div(a, k) }")
    old = _node(model, "Div")
    old.doc_string, old.metadata_props["of"] = "doc", "it"
    editor = Editor(model)
    new = editor.replace(old, "Mul", [old.inputs[0] or ir.val(""), (_tensor(1, 2), "k")])
    editor.finish()
    assert (new.name, new.doc_string, dict(new.metadata_props)) == ("it", "doc", {"of": "it"})
    assert _summary(model) == ["a = Relu(x)", "y = Mul(a, k_folded)"]
    assert (str(model.graph.outputs[0].shape), model.graph.outputs[0].dtype) == (
        "[n]",
        ir.DataType.FLOAT,
    )
    assert list(model.graph.initializers) == ["k_folded"]


def test_a_node_outside_of_any_graph_is_an_error() -> None:
    """Only what stands in a graph can be edited."""
    node = ir.node("Neg", [ir.val("x")], name="alone")
    model = _model("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    with pytest.raises(ValueError, match="'alone' stands in no graph"):
        Editor(model).bypass(node, 0)
    with pytest.raises(ValueError, match="'alone' stands in no graph"):
        Editor(model).set_constant(node, 0, _tensor(1), "k")
