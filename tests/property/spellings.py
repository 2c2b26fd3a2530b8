"""Draws a model that spells one normalization, right or with one fault, in one of very many ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.property.drawn_norms import Setting, Spec
from tests.property.drawn_others import NORMS
from tests.property.writing import NotDrawnError as NotDrawnError  # noqa: PLC0414
from tests.property.writing import Pick, Value, Writer

FAULTS: Final[Mapping[str, Sequence[str]]] = {
    "sum": (
        "LayerNorm",
        "LayerNorm2d",
        "GroupNorm",
        "InstanceNorm",
        "RMSNorm",
        "BatchNormTraining",
    ),
    "ddof": (
        "LayerNorm",
        "LayerNorm2d",
        "GroupNorm",
        "InstanceNorm",
        "RMSNorm",
        "BatchNormTraining",
    ),
    "exponent": ("LayerNorm", "InstanceNorm", "RMSNorm", "GlobalResponseNorm", "LocalResponseNorm"),
    "exponent nearly 2": ("LayerNorm", "InstanceNorm", "RMSNorm", "LpNorm", "LocalResponseNorm"),
    "exponent 1.5": ("LayerNorm", "InstanceNorm", "RMSNorm", "GlobalResponseNorm"),
    "root": ("LayerNorm", "GroupNorm", "RMSNorm", "MeanVarianceNorm", "FilterResponseNorm"),
    "vector epsilon": ("LayerNorm", "LayerNorm2d", "RMSNorm", "InstanceNorm"),
    "runtime epsilon": ("LayerNorm", "LayerNorm2d", "RMSNorm", "GroupNorm", "MeanVarianceNorm"),
    "axes": ("LayerNorm", "LayerNorm2d", "InstanceNorm", "MeanVarianceNorm"),
    "subset": ("InstanceNorm", "BatchNormTraining", "MeanVarianceNorm"),
    "transposed": ("LayerNorm", "LayerNorm2d", "RMSNorm", "InstanceNorm"),
    "subtrahend": ("LayerNorm", "LayerNorm2d", "GroupNorm", "InstanceNorm"),
    "numerator": ("LayerNorm", "LayerNorm2d", "InstanceNorm", "RMSNorm", "GroupNorm", "LpNorm"),
    "not centered": ("LayerNorm", "LayerNorm2d", "InstanceNorm", "GroupNorm"),
    "leak": ("LayerNorm", "LayerNorm2d", "GroupNorm", "InstanceNorm", "RMSNorm", "LpNorm"),
    "gamma": ("LayerNorm2d", "InstanceNorm", "RMSNorm", "BatchNormTraining", "FilterResponseNorm"),
    "bound": ("LpNorm",),
    "magnitude": ("Magnitude",),
    "groups": ("GroupNorm",),
    "affine before": ("LayerNorm", "RMSNorm", "InstanceNorm", "GroupNorm", "LpNorm"),
}
HITS: Final = tuple(n for n in NORMS if n not in {"Magnitude", "Last", "LastUncentered"})
KINDS: Final = (
    *[TensorProto.FLOAT] * 5, TensorProto.FLOAT16, TensorProto.FLOAT16, TensorProto.BFLOAT16,
    TensorProto.DOUBLE,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spelled:
    """A drawn model, and what is to be found in it.

    Attributes:
        model: The model.
        specs: The normalizations that it spells, in graph order.
        fault: What was done wrong in it, None for nothing.
        wrong: Names of nodes that no normalization may contain.
    """

    model: onnx.ModelProto
    specs: tuple[Spec, ...]
    fault: str | None = None
    wrong: frozenset[str] = field(default=frozenset())


def spelled(pick: Pick, name: str, fault: str | None = None) -> Spelled:
    """A model that spells a normalization.

    Args:
        pick: Draws one of several options.
        name: Of the normalization.
        fault: What is done wrong, None for nothing.

    Raises:
        NotDrawnError: The fault can't be done in what was drawn.
    """
    opset = pick(range(13, 24))
    kind = TensorProto.FLOAT if fault is not None and pick(range(3)) else pick(KINDS)
    w = Writer(pick, opset, fault)
    setting = Setting(w, kind, exact=fault is not None)
    typed = kind != TensorProto.BFLOAT16 or opset >= 16  # If knows the type
    branched = fault is None and typed and w.chance(6)
    y, spec = NORMS[name](w, setting)
    specs = [spec]
    if fault is None and not branched and w.chance(10):
        y, second = NORMS[w.one_of("Last", "LastUncentered")](w, Setting(w, y.kind, given=y))
        specs.append(second)
    if fault == "leak":
        _leak(w)
    if branched:
        return Spelled(_branching(w, setting, y), tuple(specs))
    w.part = "outer"
    return Spelled(_model(w, _consumed(w, setting, y)), tuple(specs), fault, frozenset(w.wrong))


def _leak(w: Writer) -> None:
    """Something within the normalization is read outside."""
    value = w.blame(w.one_of(*w.leakable))
    w.part = "outer"
    w.leaked = w.op("Exp", [value]) if w.chance(50) else value


def _consumed(w: Writer, setting: Setting, y: Value) -> Value:
    """What reads the result."""
    how = w.one_of("output", "Relu", "residual", "Conv")
    if how == "Relu":
        return w.op("Relu", [y])
    if how == "residual" and setting.x is not None and setting.x.kind == y.kind:
        return w.op("Add", w.shuffled([y, setting.x]), y.dims)
    channels = y.dims[1] if y.rank > 2 else None
    if how == "Conv" and isinstance(channels, int) and y.kind == TensorProto.FLOAT:
        weight = w.random((2, channels, *(1,) * (y.rank - 2)), y.kind)
        return w.op("Conv", [y, w.constant(weight)], (y.dims[0], 2, *y.dims[2:]))
    return y


def _declared(value: Value) -> onnx.ValueInfoProto:
    names = [f"{value.name}_{axis}" for axis in range(value.rank)]
    return helper.make_tensor_value_info(value.name, value.kind, names)


def _model(w: Writer, *outputs: Value) -> onnx.ModelProto:
    extra = [] if w.leaked is None else [w.leaked]
    infos = [_declared(value) for value in (*outputs, *extra)]
    nodes = _alive(w.nodes, {info.name for info in infos})
    used = {name for node in nodes for name in _read(node)}
    graph = helper.make_graph(
        nodes,
        "spelled",
        [info for info in w.inputs if info.name in used],
        infos,
        [numpy_helper.from_array(a, name) for name, a in w.initializers.items() if name in used],
    )
    opsets = [helper.make_opsetid("", w.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _alive(nodes: Sequence[NodeProto], wanted: set[str]) -> list[NodeProto]:
    """Nodes that something depends on."""
    found = list[NodeProto]()
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            found.insert(0, node)
            wanted |= set(_read(node))
    return found


def _read(node: NodeProto) -> list[str]:
    inner = [
        name
        for attribute in node.attribute
        if attribute.HasField("g")
        for each in attribute.g.node
        for name in _read(each)
    ]
    return [*node.input, *inner]


def _branching(w: Writer, setting: Setting, y: Value) -> onnx.ModelProto:
    """The normalization in one branch of an If, what it reads outside."""
    x = setting.x
    if x is None:
        message = "nothing was normalized"
        raise ValueError(message)
    outside = [node for node in w.nodes if node.name.startswith("outer_")]
    inside = [node for node in w.nodes if not node.name.startswith("outer_")]
    branch = helper.make_graph(_alive(inside, {y.name}), "then", [], [_declared(y)])
    same = helper.make_node("Identity", [x.name], ["unchanged"], "outer_identity")
    other = helper.make_graph([same], "else", [], [_declared(Value("unchanged", y.dims, y.kind))])
    w.inputs.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    w.nodes = outside
    w.nodes.append(
        helper.make_node(
            "If", ["flag"], ["chosen"], "outer_if", then_branch=branch, else_branch=other
        )
    )
    return _model(w, Value("chosen", y.dims, y.kind))
