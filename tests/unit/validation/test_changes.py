"""What a rewrite changed: the region, what enters it and what leaves it, before and after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.graph.editing import Editor
from normonnx.graph.tensors import of_array
from normonnx.validation.changes import Change, change_between
from normonnx.validation.snapshots import snapshot

_HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
_CHAIN = _HEAD + (
    "g (float[N, 2] x, float[N, 2] z) => (float[N, 2] y) <float[2] w = {3, 4}, float[2] v = {1, 2}>"
    " { [a] a = Mul(x, w) [b] b = Neg(a) [c] c = Add(b, v) [d] d = Add(c, z) [e] y = Abs(d) }"
)
_IF = _HEAD + (
    "g (float[N] x, bool c) => (float[N] y) <float[1] w = {3}> {"
    " [a] a = Add(x, w) [b] b = Neg(a) [i] y = If (c)"
    " <then_branch = t () => (float[N] p) { [p] p = Abs(b) },"
    " else_branch = e () => (float[N] q) { [q] q = Exp(b) [r] r = Neg(q) }> }"
)


def _model(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(text))


def _node(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in model.graph.all_nodes() if node.name == name)


def _changed(text: str, edit: Callable[[ir.Model, Editor], None]) -> Change | None:
    model = _model(text)
    before = snapshot(model)
    edit(model, Editor(model))
    return change_between(before, snapshot(model))


def _told(change: Change | None) -> tuple[list[str | None], ...]:
    """Names: of nodes before and after, of what enters, of what leaves before and after."""
    assert change is not None
    return (
        [step.node.name for step in change.before],
        [step.node.name for step in change.after],
        [value.name for value in change.inputs],
        [old.name for old, _ in change.outputs],
        [new.name for _, new in change.outputs],
    )


def _new_constant(model: ir.Model, editor: Editor, name: str) -> None:
    node = _node(model, name)
    editor.set_constant(node, 1, of_array(np.ones(2, np.float32)), "new")


def _attribute(model: ir.Model, *names: str) -> None:
    for name in names:
        _node(model, name).attributes["alpha"] = ir.AttrFloat32("alpha", 1.0)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        pytest.param(
            lambda model, editor: _new_constant(model, editor, "a"),
            (["a"], ["a"], ["x"], ["a"], ["a"]),
            id="another constant",
        ),
        pytest.param(
            lambda model, _: _attribute(model, "d"),
            (["d"], ["d"], ["c", "z"], ["d"], ["d"]),
            id="another attribute",
        ),
        pytest.param(
            lambda model, editor: editor.bypass(_node(model, "b"), 0),
            (["b", "c"], ["c"], ["a"], ["c"], ["c"]),
            id="a node went: what read it is of the region",
        ),
        pytest.param(
            lambda model, editor: editor.bypass(_node(model, "e"), 0),
            (["e"], [], ["y"], [None], ["y"]),
            id="an output of the graph is another value, which takes its name",
        ),
        pytest.param(
            lambda model, _: _attribute(model, "a", "d"),
            (["a", "b", "c", "d"], ["a", "b", "c", "d"], ["x", "z"], ["d"], ["d"]),
            id="what lies between",
        ),
    ],
)
def test_the_region_of_a_change(
    edit: Callable[[ir.Model, Editor], None], told: tuple[list[str], ...]
) -> None:
    """What changed, and no more than lies between."""
    assert _told(_changed(_CHAIN, edit)) == told


def test_what_reads_a_shape_alone_does_not_count() -> None:
    """A value that carries other numbers than before is seen by Shape and the region alone."""
    text = _HEAD + (
        "g (float[N, 2] x) => (float[N, 2] y, int64[2] s) <float[2] w = {3, 4}>"
        " { [a] a = Mul(x, w) [s] s = Shape(a) [b] b = Neg(a) [c] y = Abs(b) }"
    )
    change = _changed(text, lambda model, _: _attribute(model, "a", "b"))
    assert _told(change) == (["a", "b"], ["a", "b"], ["x"], ["b"], ["b"])


def test_nothing_changed() -> None:
    """Then there is no region."""
    assert _changed(_CHAIN, lambda *_: None) is None


def test_a_body_that_reads_the_region_stands_outside() -> None:
    """What captures its value reads another one afterwards: both leave the region."""
    change = _changed(_IF, lambda model, editor: editor.bypass(_node(model, "b"), 0))
    assert _told(change) == (["b"], [], ["a"], ["b"], ["a"])


def test_a_region_in_a_body() -> None:
    """It is of that graph; what comes from around enters it."""
    change = _changed(_IF, lambda model, _: _attribute(model, "p"))
    assert _told(change) == (["p"], ["p"], ["b"], ["p"], ["p"])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda model, _: _attribute(model, "i"), id="a node with bodies"),
        pytest.param(lambda model, _: _attribute(model, "a", "p"), id="two graphs"),
        pytest.param(lambda model, _: _attribute(model, "r"), id="nothing reads it"),
    ],
)
def test_what_is_no_region(edit: Callable[[ir.Model, Editor], None]) -> None:
    """It is said to be none, so that nobody takes it for proven."""
    assert _changed(_IF, edit) is None
