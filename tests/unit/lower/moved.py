"""A model moved to another opset, checked for all that holds of every move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from normonnx.core.errors import UsageError
from normonnx.lower.opsets import Moved, move, obstacles
from normonnx.runtime.oracle import evaluate
from tests.rewriting import SIZES, graphs_of, parsed, passes_in_full

LOADS: Final = 26  # the newest opset that the installed ONNX Runtime loads
NOT_KNOWN: Final = {"GridSample", "RoiAlign"}  # to onnx's reference below opsets 20 and 16
ROUNDOFFS: Final = 1e-6  # what constants in float32 may add


@dataclass(frozen=True, slots=True, eq=False)
class After:
    """A model in its new opset."""

    before: onnx.ModelProto
    proto: onnx.ModelProto
    done: Moved

    @property
    def ops(self) -> str:
        """Operators of all graphs in order, one word each."""
        return " ".join(node.op_type for graph in graphs_of(self.proto) for node in graph.node)

    def node(self, op_type: str) -> onnx.NodeProto:
        """The first node of a type."""
        found = [n for g in graphs_of(self.proto) for n in g.node if n.op_type == op_type]
        node: onnx.NodeProto = found[0]
        return node

    def attributes(self, op_type: str) -> dict[str, Any]:
        """The attributes of the first node of a type."""
        return {a.name: onnx.helper.get_attribute_value(a) for a in self.node(op_type).attribute}


def moved(model: str | onnx.ModelProto, before: int, after: int, **options: Any) -> After:  # noqa: ANN401
    """Move a model and hold it to the float64 truth, to onnx's checker and to ONNX Runtime.

    Args:
        model: ONNX text as for `tests.rewriting.parsed`, or a model.
        before: The opset of a text.
        after: The opset to move to.
        options: Those of `move`.
    """
    proto = parsed(model, opset=before) if isinstance(model, str) else model
    named = onnx.ModelProto.FromString(proto.SerializeToString())
    for number, node in enumerate(n for g in graphs_of(named) for n in g.node):
        node.name = f"node_{number}"
        node.doc_string = f"what node {number} is for"
    if "GroupNormalization" not in str(model) or before >= 21:  # deprecated in 18
        onnx.checker.check_model(named)
    work = _ir(named)
    assert obstacles(work, after) == ()
    assert _bytes(work) == _bytes(_ir(named)), "asking changed the model"
    done = move(work, after, **options)
    found = After(named, ir.to_proto(work), done)
    _check_versions(found, after)
    _check_kept(found)
    onnx.checker.check_model(found.proto, full_check=passes_in_full(named))
    _check_again(found, work, after, options)
    for feeds in _feeds(named):
        _check_same(found, feeds)
    return found


def refused(model: str | onnx.ModelProto, before: int, after: int) -> str:
    """The reason why a model can't move; it must be unchanged."""
    proto = parsed(model, opset=before) if isinstance(model, str) else model
    work = _ir(proto)
    found = obstacles(work, after)
    assert found, "it can move"
    uses = {value: len(value.uses()) for node in work.graph for value in node.inputs if value}
    with pytest.raises(UsageError) as raised:
        move(work, after)
    message = str(raised.value)
    assert f"can't move from opset {before} to {after}, and is unchanged: " in message
    assert all(each.reason in message and repr(each.node) in message for each in found)
    assert _bytes(work) == _bytes(_ir(proto)), "a refusal changed the model"
    assert uses == {value: len(value.uses()) for value in uses}, "something still reads its values"
    return "; ".join(each.reason for each in found)


def _ir(proto: onnx.ModelProto) -> ir.Model:
    model: ir.Model = ir.from_proto(onnx.ModelProto.FromString(proto.SerializeToString()))
    return model


def _bytes(model: ir.Model) -> bytes:
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def _check_versions(found: After, after: int) -> None:
    imports = {each.domain: each.version for each in found.proto.opset_import}
    before = {each.domain: each.version for each in found.before.opset_import}
    assert imports == {**before, "": after}
    for function in found.proto.functions:
        assert {each.version for each in function.opset_import if not each.domain} <= {after}
    assert found.proto.ir_version == found.before.ir_version


def _check_kept(found: After) -> None:
    """Inputs and outputs as they were; every node that was there has a successor of its name."""
    was, now = found.before, found.proto
    assert [i.SerializeToString() for i in now.graph.output] == [
        i.SerializeToString() for i in was.graph.output
    ]
    given = {tensor.name for tensor in was.graph.initializer}
    names = [i.name for i in was.graph.input if i.name not in given]
    assert [i.name for i in now.graph.input if i.name in names] == names
    nodes = {n.name: n.doc_string for g in graphs_of(now) for n in g.node}
    for event in found.done.applied:
        assert nodes[event.node].startswith("what node"), event
    graphs = [g for g in graphs_of(now) if isinstance(g, onnx.GraphProto)]
    defined = [o for g in graphs for n in g.node for o in n.output if o]
    defined += [tensor.name for tensor in now.graph.initializer]
    assert len(set(defined)) == len(defined)
    read = {name for g in graphs_of(now) for n in g.node for name in n.input}
    read |= {o if isinstance(o, str) else o.name for g in graphs_of(now) for o in g.output}
    idle = {tensor.name for tensor in now.graph.initializer} - read
    assert not idle, "a constant that nothing reads"


def _check_again(found: After, work: ir.Model, after: int, options: dict[str, Any]) -> None:
    """Twice is once, and the same bytes come out of a second start."""
    written = _bytes(work)
    assert move(work, after, **options).applied == ()
    assert _bytes(work) == written
    second = _ir(found.before)
    move(second, after, **options)
    assert _bytes(second) == written


def _feeds(proto: onnx.ModelProto) -> list[dict[str, Any]]:
    random = np.random.default_rng(7)
    held = {tensor.name for tensor in proto.graph.initializer}
    drawn: dict[str, Any] = {}
    for info in proto.graph.input:
        if info.name in held:
            continue
        tensor = info.type.tensor_type
        shape = [d.dim_value or SIZES[d.dim_param] for d in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if dtype.kind == "b":
            drawn[info.name] = random.random(shape) > 0.5
        elif dtype.kind in "iu":
            drawn[info.name] = random.integers(1, 4, shape).astype(dtype)
        else:
            drawn[info.name] = random.normal(size=shape).astype(dtype)
    return [drawn]


def _check_same(found: After, feeds: dict[str, Any]) -> None:
    """In float64, and where ONNX Runtime ran the original, there, too."""
    ran = _run(found.before, feeds)
    if NOT_KNOWN.isdisjoint(found.ops.split()):
        truth, result = evaluate(_ir(found.before), feeds), evaluate(_ir(found.proto), feeds)
        for name, expected in truth.items():
            _alike(name, result[name], expected, ROUNDOFFS)
    else:
        assert ran is not None, "nothing judges this"
    if ran is None or max(i.version for i in found.proto.opset_import if not i.domain) > LOADS:
        return
    now = _run(found.proto, feeds)
    assert now is not None, f"ONNX Runtime doesn't run {found.ops}"
    names = [info.name for info in found.proto.graph.output]
    for name, one, other in zip(names, ran, now, strict=True):
        assert one.dtype == other.dtype
        narrow = one.dtype.kind == "V" or one.dtype.itemsize < 4
        _alike(name, other, one, 2e-2 if narrow else 1e-4)


def _alike(name: str, result: Any, expected: Any, tolerance: float) -> None:  # noqa: ANN401  # arrays
    assert result.shape == expected.shape, name
    if expected.dtype.kind in "biuOSU":
        np.testing.assert_array_equal(result, expected, name)
        return
    one, other = np.asarray(result, np.float64), np.asarray(expected, np.float64)
    size = np.abs(other[np.isfinite(other)]).max(initial=0.0) or 1.0
    np.testing.assert_allclose(one, other, tolerance, tolerance * size, err_msg=name)


def _run(proto: onnx.ModelProto, feeds: dict[str, Any]) -> Any:  # noqa: ANN401  # arrays, or None
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    settings.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        )
        return session.run(None, feeds)
    except Exception:  # noqa: BLE001  # onnxruntime has its own, without a common base
        return None
