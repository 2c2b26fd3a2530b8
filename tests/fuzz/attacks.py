"""Models made to do harm: bombs of a few bytes, graphs without an end, numbers beyond all bounds.

Each attack takes a random generator and returns a model, so a seed names a case for good. What one
asks for may be impossible to give; nothing may crash on it, hang, or take memory without bounds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Attack = Callable[[random.Random], onnx.ModelProto]
_ODD_NAMES: Final = (
    "a\nb",
    "../../up",
    "/etc/cron.d/x",
    "C:\\x",
    "a\0b",
    "\u202egnp.exe",
    "x" * 5000,
    "%s%n{0}",
    "\x1b[31m",
    "--force",
    "?",
    "a b*2",
    "\ufeff",
    "\U0001f4a3",
    ";rm -rf .",
    "",
)
_DIMENSIONS: Final = (0, 1, -1, -(2**63), 2**31, 2**40, 2**62, 2**63 - 1, 10**13)


def _model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[TensorProto] = (),
    *,
    shape: Sequence[int | str] = (2, 8),
    output: str = "y",
    functions: Sequence[onnx.FunctionProto] = (),
    opset: int = 17,
) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [given], [made], list(constants))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("f", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model.functions.extend(functions)
    return model


def _ints(name: str, *numbers: int) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def _float(name: str, *numbers: float) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.float32), name)


def _many(rng: random.Random) -> list[int]:
    """Dimensions that multiply to terabytes."""
    return rng.choice(([10**13], [10**6, 10**7], [3, 10**12], [2**31, 2**31], [1] * 60 + [2**43]))


def bomb(rng: random.Random) -> onnx.ModelProto:
    """One small operator on constants whose result would take terabytes, added to x."""
    dims = _many(rng)
    kind = rng.randrange(9)
    constants = [_ints("dims", *dims), _float("one", 1.0), _ints("n", dims[-1])]
    made: list[onnx.NodeProto]
    if kind == 0:
        made = [helper.make_node("ConstantOfShape", ["dims"], ["big"])]
    elif kind == 1:
        made = [helper.make_node("Expand", ["one", "dims"], ["big"])]
    elif kind == 2:
        made = [helper.make_node("Tile", ["one", "n"], ["big"])]
    elif kind == 3:
        constants += [_float("start", 0.0), _float("end", 1e13), _float("step", 1.0)]
        scalars = [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in _RANGE]
        constants = [*constants[:3], *scalars]
        made = [helper.make_node("Range", ["start", "end", "step"], ["big"])]
    elif kind == 4:
        constants.append(_ints("pads", rng.choice((0, 10**13)), dims[-1]))
        made = [helper.make_node("Pad", ["one", "pads"], ["big"])]
    elif kind == 5:
        constants += [_ints("sizes", 1, 1, 10**6, 10**7)]
        constants.append(numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "image"))
        made = [helper.make_node("Resize", ["image", "", "", "sizes"], ["big"])]
    elif kind == 6:
        constants += [_float("pair", 0.0, 1.0), _ints("index", *range(8))]
        made = [helper.make_node("OneHot", ["index", "n", "pair"], ["big"])]
    elif kind == 7:
        constants.append(_float("scales", 1e7, 1e6))
        constants.append(numpy_helper.from_array(np.ones((1, 1), np.float32), "image"))
        made = [helper.make_node("Resize", ["image", "", "scales"], ["big"])]
    else:
        made = [
            helper.make_node("ConstantOfShape", ["dims"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["big"], keepdims=0),
        ]
    last = rng.choice(("Add", "Mul", "Div", "Where"))
    inputs = ["x", "big"] if last != "Where" else ["cond", "x", "big"]
    constants.append(numpy_helper.from_array(np.array([True]), "cond"))
    made.append(helper.make_node(last, inputs, ["y"]))
    return _model(made, constants, opset=rng.choice((13, 17, 18, 21)))


_RANGE: Final = (("start", 0.0), ("end", 1e13), ("step", 1.0))


def doubling(rng: random.Random) -> onnx.ModelProto:
    """Each step is small and twice as large as the one before: 2^20 to 2^60 in the end."""
    operator, nodes, value = rng.randrange(5), [], rng.choice(("x", "one"))
    constants = [_float("one", 1.0, 2.0), _ints("two", 2), _ints("axis", 0)]
    for step in range(rng.choice((20, 40, 60))):
        new = f"v{step}"
        if operator == 0:
            nodes.append(helper.make_node("Concat", [value, value], [new], axis=0))
        elif operator == 1:
            tile = ["two"] if value != "x" or step else ["pair"]
            nodes.append(helper.make_node("Tile", [value, *tile], [new]))
        elif operator == 2:
            nodes.append(helper.make_node("Unsqueeze", [value, "axis"], [f"u{step}"]))
            nodes.append(helper.make_node("Concat", [f"u{step}"] * 4, [new], axis=0))
        elif operator == 3:
            nodes.append(helper.make_node("Add", [value, value], [new]))
        else:
            nodes.append(helper.make_node("Gather", [value, "again"], [new], axis=0))
        value = new
    constants.append(_ints("pair", 2, 1))
    constants.append(_ints("again", *([0] * rng.choice((2, 100)))))
    nodes.append(helper.make_node("Identity", [value], ["y"]))
    return _model(nodes, constants)


def laughs(rng: random.Random) -> onnx.ModelProto:
    """Functions that call the one before several times: 2^30 nodes and more where inlined."""
    levels, times = rng.choice((20, 30, 60)), rng.choice((2, 3, 10))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    functions = []
    for level in range(levels):
        called, domain = (f"f{level - 1}", "f") if level else ("Relu", "")
        body = []
        for time in range(times):
            before = f"v{time - 1}" if time else "a"
            body.append(helper.make_node(called, [before], [f"v{time}"], domain=domain))
        functions.append(
            helper.make_function("f", f"f{level}", ["a"], [f"v{times - 1}"], body, opsets)
        )
    node = helper.make_node(f"f{levels - 1}", ["x"], ["y"], domain="f")
    return _model([node], functions=functions)


def recursion(rng: random.Random) -> onnx.ModelProto:
    """Functions that call themselves, or one another in a ring."""
    ring = rng.choice((1, 2, 3, 50))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    functions = [
        helper.make_function(
            "f",
            f"r{place}",
            ["a"],
            ["b"],
            [helper.make_node(f"r{(place + 1) % ring}", ["a"], ["b"], domain="f")],
            opsets,
        )
        for place in range(ring)
    ]
    rng.shuffle(functions)
    return _model([helper.make_node("r0", ["x"], ["y"], domain="f")], functions=functions)


def endless(rng: random.Random) -> onnx.ModelProto:
    """Loops of 2^62 rounds, or as long as a condition that never changes; one in another."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node(rng.choice(("Add", "Mul", "Concat")), ["c", "c"], ["d"], axis=0)
            if rng.random() < 0.3
            else helper.make_node("Neg", ["c"], ["d"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("c", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("d", TensorProto.FLOAT, None),
        ],
    )
    collects = rng.random() < 0.5
    if collects:
        body.output.append(helper.make_tensor_value_info("d", TensorProto.FLOAT, None))
    constants = [
        _ints("trips", rng.choice((2**62, 10**9, 10**6, 3))),
        numpy_helper.from_array(np.array(True), "yes"),  # noqa: FBT003
    ]
    inputs = [rng.choice(("trips", "trips", "")), rng.choice(("yes", "")), "x"]
    outputs = ["y", "all"] if collects else ["y"]
    return _model([helper.make_node("Loop", inputs, outputs, body=body)], constants)


def nested(rng: random.Random) -> onnx.ModelProto:
    """If in If in If, as deep as protobuf lets, and deeper."""
    model = _model([], [numpy_helper.from_array(np.array(True), "c")])  # noqa: FBT003
    graph = model.graph
    for _ in range(rng.choice((5, 25, 30, 32, 33, 34, 60, 200))):
        node = graph.node.add(op_type="If", input=["c"], output=["v"])
        if graph is not model.graph:
            graph.output.add().CopyFrom(helper.make_tensor_value_info("v", TensorProto.FLOAT, None))
        graph = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
    graph.node.add(op_type="Relu", input=["x"], output=["v"])
    graph.output.add().CopyFrom(helper.make_tensor_value_info("v", TensorProto.FLOAT, None))
    model.graph.node.add(op_type="Relu", input=["v"], output=["y"])
    return model


def cycle(rng: random.Random) -> onnx.ModelProto:
    """Nodes in a ring, behind what looks like a sound start."""
    length = rng.choice((1, 2, 3, 100))
    nodes = [
        helper.make_node("Add", [f"v{(place - 1) % length}", "x"], [f"v{place}"])
        for place in range(length)
    ]
    rng.shuffle(nodes)
    nodes.append(helper.make_node("Relu", [f"v{length - 1}"], ["y"]))
    if rng.random() < 0.3:
        nodes.append(helper.make_node("Relu", ["x"], ["y"]))
    return _model(nodes)


def numbers(rng: random.Random) -> onnx.ModelProto:
    """Attributes and dimensions of any size and sign where a shape, axis or window is due."""
    drawn = [rng.choice(_DIMENSIONS) for _ in range(rng.choice((1, 2, 4, 8)))]
    operator, attributes, weight = rng.choice(
        (
            ("Conv", {"pads": drawn}, True),
            ("Conv", {"dilations": drawn[:2]}, True),
            ("Conv", {"group": drawn[0]}, True),
            ("ConvTranspose", {"output_padding": drawn[:2]}, True),
            ("ConvTranspose", {"output_shape": drawn[:2]}, True),
            ("MaxPool", {"kernel_shape": drawn[:2], "pads": drawn}, False),
            ("AveragePool", {"kernel_shape": drawn[:2], "strides": drawn[:2]}, False),
            ("LRN", {"size": drawn[0]}, False),
            ("Transpose", {"perm": drawn}, False),
            ("Softmax", {"axis": drawn[0]}, False),
            ("Flatten", {"axis": drawn[0]}, False),
            ("ReduceMean", {"axes": drawn}, False),
            ("DepthToSpace", {"blocksize": drawn[0]}, False),
            ("SpaceToDepth", {"blocksize": drawn[0]}, False),
            ("Split", {"axis": drawn[0]}, False),
            ("LpNormalization", {"axis": drawn[0], "p": drawn[-1]}, False),
            ("LpPool", {"kernel_shape": drawn[:2], "p": drawn[-1]}, False),
            ("Concat", {"axis": drawn[0]}, False),
        )
    )
    node = helper.make_node(operator, ["x", "w"] if weight else ["x"], ["v"], **attributes)
    constants = [numpy_helper.from_array(np.ones((8, 8, 3, 3), np.float32), "w")]
    constants += [_float(name, *[1.0] * 8) for name in "stmv"]
    constants[-1].name = "u"
    nodes = [node, helper.make_node("BatchNormalization", ["v", "s", "t", "m", "u"], ["y"])]
    images: tuple[list[int | str], ...] = ([2, 8, 4, 4], ["n", 8, 4, 4], ["n", 8, "h", "w"])
    return _model(nodes, constants, shape=rng.choice(images))


def shapes(rng: random.Random) -> onnx.ModelProto:
    """Shapes computed and given: negative, zero, huge, of the wrong rank; and inputs so declared."""
    drawn = [rng.choice(_DIMENSIONS) for _ in range(rng.choice((0, 1, 2, 3, 70)))]
    operator = rng.choice(("Reshape", "Expand", "Slice", "Unsqueeze", "Squeeze", "Tile", "Split"))
    constants = [_ints("d", *drawn), _ints("e", *[rng.choice(_DIMENSIONS) for _ in drawn])]
    inputs = ["x", "d", "e"] if operator == "Slice" else ["x", "d"]
    nodes = [
        helper.make_node(operator, inputs, ["v"]),
        helper.make_node("Sigmoid", ["v"], ["y"]),
    ]
    declared = rng.choice(([2, 8], drawn[:8], ["n"], [2**62, 2**62], [10**6, 10**7], [-3, 2]))
    return _model(nodes, constants, shape=declared, opset=rng.choice((13, 17, 21)))


def giants(rng: random.Random) -> onnx.ModelProto:
    """Attributes, names, doc strings and lists of a hundred thousand entries."""
    size = rng.choice((1000, 30_000, 100_000))
    kind = rng.randrange(5)
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    if kind == 0:
        nodes[0].attribute.append(helper.make_attribute("axes", list(range(size))))
    elif kind == 1:
        nodes[0].doc_string = "d" * size
        nodes[0].attribute.append(helper.make_attribute("text", "t" * size))
    elif kind == 2:
        nodes = [helper.make_node("Sum", ["x"] * size, ["y"])]
    elif kind == 3:
        nodes = [helper.make_node("Split", ["x"], [f"o{k}" for k in range(min(size, 20_000))])]
        nodes.append(helper.make_node("Relu", ["o0"], ["y"]))
    else:
        nodes = [helper.make_node("Constant", [], ["c"], value_floats=[0.5] * size)]
        nodes.append(helper.make_node("Add", ["x", "c"], ["y"]))
    return _model(nodes)


def names(rng: random.Random) -> onnx.ModelProto:
    """Names with newlines, path characters, terminal escapes; of the model's own and others'."""
    first, second = rng.choice(_ODD_NAMES), rng.choice(_ODD_NAMES)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], [first], name=second),
        helper.make_node("Mul", [first, second], ["v"], name=rng.choice(_ODD_NAMES)),
        helper.make_node("Relu", ["v"], ["y"]),
    ]
    weight = numpy_helper.from_array(np.ones((8, 8), np.float32), "w")
    model = _model(nodes, [weight, _float(second, *[2.0] * 8)], shape=["n", 8])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = rng.choice(_ODD_NAMES)
    model.graph.name, model.producer_name = rng.choice(_ODD_NAMES), rng.choice(_ODD_NAMES)
    model.metadata_props.add(key=rng.choice(_ODD_NAMES), value=rng.choice(_ODD_NAMES))
    if rng.random() < 0.3:
        model.graph.output[0].name = nodes[2].output[0] = rng.choice(_ODD_NAMES)
    return model


def many_dimensions(rng: random.Random) -> onnx.ModelProto:
    """Inputs of rank 0 to 70 and a broadcast of them: outer sums of 2^30 numbers and more."""
    rank, size = rng.choice((0, 1, 8, 30, 31, 64, 70)), rng.choice((1, 2, 8))
    constants = []
    nodes, value = [], "x"
    for axis in range(min(rank, 30)):
        shape = [1] * rank
        shape[axis] = size
        ones = TensorProto(name=f"c{axis}", data_type=TensorProto.FLOAT, dims=shape)
        ones.float_data.extend([1.0] * size)  # of more axes than numpy has
        constants.append(ones)
        nodes.append(helper.make_node("Add", [value, f"c{axis}"], [f"v{axis}"]))
        value = f"v{axis}"
    nodes.append(helper.make_node("Identity", [value], ["y"]))
    return _model(nodes, constants, shape=[1] * rank)


ATTACKS: Final[dict[str, Attack]] = {
    "bomb": bomb,
    "cycle": cycle,
    "doubling": doubling,
    "endless": endless,
    "giants": giants,
    "laughs": laughs,
    "many-dimensions": many_dimensions,
    "names": names,
    "nested": nested,
    "numbers": numbers,
    "recursion": recursion,
    "shapes": shapes,
}
