"""Operators that are normalizations themselves, on X or on what is computed from it."""

from __future__ import annotations

import pytest

from tests.unit.recognize.chains import IMAGE, ROWS, chain, described

ML = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> '
CHANNELS = "float[4] c4 = {2, 0.5, -1, 3}, float[4] d4 = {1, 2, 3, 4}"
GROUPS = "float[2] g2 = {2, -1}, float[2] h2 = {1, 3}"
GROUPED = {
    "g": "Reshape(x, split)",
    "n": "InstanceNormalization<epsilon = 0.1>(g, ones, zeros)",
    "r": "Reshape(n, back)",
    "a": "Mul(r, s4)",
    "y": "Add(a, b4)",
}
SPLIT = (
    "int64[3] split = {0, 2, -1}, int64[4] back = {0, 4, 3, 5}, float[2] ones = {1, 1}, "
    "float[2] zeros = {0, 0}, float[2] g2 = {2, -1}, float[2] h2 = {1, 3}"
)
AT_RUN_TIME = "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)"
CHANNELS_AT_RUN_TIME = "g (float[N,4,3,5] x, float[4] p) => (float[N,4,3,5] y)"
BATCH = {
    "m": "ReduceMean<axes = [0, 2, 3], keepdims = 0>(x)",
    "k4": "ReduceMean<axes = [0, 2, 3]>(x)",
    "d": "Sub(x, k4)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [0, 2, 3], keepdims = 0>(q)",
    "y": "BatchNormalization<epsilon = 0.1>(x, c4, d4, m, v)",
}
CENTERED = {**BATCH, "m": "", "y": "BatchNormalization<epsilon = 0.1>(d, c4, d4, z4, v)"}
BATCH_NORM = "BatchNormTraining bias scale epsilon=0.1 momentum=0.9 ddof=0"


def _is(node: str, head: str = ROWS, more: str = "", **others: str) -> str:
    return chain({**others, "y": node}, head, more)


INSTANCE = {
    "m": "ReduceMean<axes = [2, 3]>(x)",
    "d": "Sub(x, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [2, 3]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "n": "Div(d, r)",
    "y": "BatchNormalization(n, c4, d4, m4, v4)",
}
STATISTICS = CHANNELS + ", float[4] m4 = {0.5, 1, -1, 0}, float[4] v4 = {1, 0.25, 4, 2}"
FOUND = [
    pytest.param(
        _is(
            "InstanceNormalization<epsilon = 0.1>(x, g1, h1)",
            "g (float[N,1,3,5] x) => (float[N,1,3,5] y)",
            "float[1] g1 = {2}, float[1] h1 = {3}",
        ),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="InstanceNormalization of one channel",
    ),
    pytest.param(
        ML + _is('ai.onnx.ml.Normalizer<norm = "L2">(x)', "g (float[N,6] x) => (float[N,6] y)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="Normalizer of L2",
    ),
    pytest.param(
        ML + _is('ai.onnx.ml.Normalizer<norm = "L1">(x)', "g (float[N,6] x) => (float[N,6] y)"),
        17,
        "LpNorm axis=-1 p=1 epsilon=0",
        id="Normalizer of L1",
    ),
    pytest.param(
        chain(
            GROUPED,
            IMAGE,
            SPLIT.replace("{0, 2, -1}", "{0, 4, -1}").replace("ones", "o2").replace("zeros", "z2")
            + ", float[4] ones = {1, 1, 1, 1}, float[4] zeros = {0, 0, 0, 0}",
        ),
        17,
        "GroupNorm bias scale num_groups=4 epsilon=0.1",
        id="as many groups as channels, as channels",
    ),
    pytest.param(
        chain(INSTANCE, IMAGE, STATISTICS),
        15,
        "InstanceNorm bias scale epsilon=0.1",
        id="a BatchNormalization behind",
    ),
    pytest.param(
        chain(
            INSTANCE, IMAGE, STATISTICS, y="BatchNormalization<epsilon = 0.5>(n, c4, d4, m4, v4)"
        ),
        15,
        "InstanceNorm bias scale epsilon=0.1",
        id="a BatchNormalization behind, its epsilon",
    ),
    pytest.param(
        chain(
            INSTANCE,
            IMAGE,
            STATISTICS,
            y="BatchNormalization<epsilon = 0.5, spatial = 1>(n, c4, d4, m4, v4)",
        ),
        8,
        "InstanceNorm bias scale epsilon=0.1",
        id="a BatchNormalization behind, spatial",
    ),
    # LayerNormalization and RMSNormalization
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(x, s, b)"),
        17,
        "LayerNorm bias scale axis=-1 epsilon=0.1",
        id="LayerNormalization",
    ),
    pytest.param(
        _is("LayerNormalization(x, s)"),
        17,
        "LayerNorm scale axis=-1 epsilon=1e-05",
        id="without bias and epsilon",
    ),
    pytest.param(
        _is(
            "LayerNormalization<axis = 1, epsilon = 0.1>(x, p, q)", more="float[4,6] p, float[6] q"
        ),
        17,
        "LayerNorm bias scale axis=-2 epsilon=0.1",
        id="over two axes",
    ),
    pytest.param(
        _is("LayerNormalization<axis = -3, epsilon = 0.1>(x, two)"),
        17,
        "LayerNorm scale axis=-3 epsilon=0.1",
        id="over all axes",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(x, p, b)", AT_RUN_TIME),
        17,
        "LayerNorm bias scale axis=-1 epsilon=0.1",
        id="scale at run time",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(x, s, p)", AT_RUN_TIME),
        17,
        "LayerNorm bias scale axis=-1 epsilon=0.1",
        id="bias at run time",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(x, p, p)", AT_RUN_TIME),
        17,
        "LayerNorm bias scale axis=-1 epsilon=0.1",
        id="both at run time",
    ),
    pytest.param(
        _is(
            "LayerNormalization<epsilon = 0.1>(x, p)",
            "g (float[N,4,6] x, float[1,1,6] p) => (float[N,4,6] y)",
        ),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="scale at run time of rank 3",
    ),
    pytest.param(
        _is(
            "LayerNormalization<epsilon = 0.1>(x, f, b)",
            h="Shape(s)",
            f="ConstantOfShape<value = float[1] {2}>(h)",
        ),
        17,
        "LayerNorm bias scale axis=-1 epsilon=0.1",
        id="a filled scale",
    ),
    pytest.param(
        _is("Mul(n, s)", n="LayerNormalization<epsilon = 0.1>(x, s)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="scaled again",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(n, s)", n="Add(x, two)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of X + 2",
    ),
    pytest.param(
        _is(
            "LayerNormalization<epsilon = 0.1>(n, s)", m="ReduceMean<axes = [-1]>(x)", n="Sub(x, m)"
        ),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of the centered",
    ),
    pytest.param(
        _is("RMSNormalization<epsilon = 0.1>(x, s)"),
        23,
        "RMSNorm scale axis=-1 epsilon=0.1",
        id="RMSNormalization",
    ),
    pytest.param(
        _is("RMSNormalization<axis = 1>(x, q)", more="float[4,6] q"),
        23,
        "RMSNorm scale axis=-2 epsilon=1e-05",
        id="RMSNormalization over two axes",
    ),
    # InstanceNormalization and GroupNormalization
    pytest.param(
        _is("InstanceNormalization<epsilon = 0.1>(x, c4, d4)", IMAGE, CHANNELS),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="InstanceNormalization",
    ),
    pytest.param(
        _is("InstanceNormalization(x, c4, d4)", IMAGE, CHANNELS),
        17,
        "InstanceNorm bias scale epsilon=1e-05",
        id="its default epsilon",
    ),
    pytest.param(
        _is("InstanceNormalization<epsilon = 0.1>(x, p, d4)", CHANNELS_AT_RUN_TIME, CHANNELS),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="a scale by channel at run time",
    ),
    pytest.param(
        chain(GROUPED, IMAGE, SPLIT),
        17,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="groups as channels",
    ),
    pytest.param(
        chain(GROUPED, IMAGE, SPLIT, n="InstanceNormalization<epsilon = 0.1>(g, g2, h2)"),
        17,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="groups with a scale each",
    ),
    pytest.param(
        _is("GroupNormalization<num_groups = 2, epsilon = 0.1>(x, g2, h2)", IMAGE, GROUPS),
        18,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="a scale for each group",
    ),
    pytest.param(
        _is("GroupNormalization<num_groups = 4, epsilon = 0.1>(x, c4, d4)", IMAGE, CHANNELS),
        18,
        "GroupNorm bias scale num_groups=4 epsilon=0.1",
        id="as many groups as channels",
    ),
    pytest.param(
        _is(
            "GroupNormalization<num_groups = 1, epsilon = 0.1>(x, g1, h1)",
            IMAGE,
            "float[1] g1 = {2}, float[1] h1 = {3}",
        ),
        18,
        "GroupNorm bias scale num_groups=1 epsilon=0.1",
        id="one group",
    ),
    pytest.param(
        _is("GroupNormalization<num_groups = 2>(x, c4, d4)", IMAGE, CHANNELS),
        21,
        "GroupNorm bias scale num_groups=2 epsilon=1e-05",
        id="a scale for each channel",
    ),
    pytest.param(
        _is(
            "GroupNormalization<num_groups = 2, epsilon = 0.1>(x, p, d4)",
            CHANNELS_AT_RUN_TIME,
            CHANNELS,
        ),
        21,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="groups with a scale at run time",
    ),
    # MeanVarianceNormalization, LpNormalization
    pytest.param(
        _is("MeanVarianceNormalization(x)", IMAGE),
        17,
        "MeanVarianceNorm axes=(0,2,3) epsilon=1e-09",
        id="its default axes",
    ),
    pytest.param(
        _is("MeanVarianceNormalization<axes = [1, -1]>(x)", IMAGE),
        17,
        "MeanVarianceNorm axes=(1,3) epsilon=1e-09",
        id="its axes",
    ),
    pytest.param(
        _is("LpNormalization(x)"), 17, "LpNorm axis=-1 p=2 epsilon=0", id="LpNormalization"
    ),
    pytest.param(
        _is("LpNormalization<axis = 1, p = 1>(x)"),
        17,
        "LpNorm axis=-2 p=1 epsilon=0",
        id="its axis and p",
    ),
    pytest.param(
        _is("LpNormalization<p = 2>(x)", "g (float[N,T,D] x) => (float[N,T,D] y)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="of unknown length",
    ),
    # BatchNormalization of statistics of X
    pytest.param(chain(BATCH, IMAGE, CHANNELS), 15, BATCH_NORM, id="statistics of the batch"),
    pytest.param(
        chain(CENTERED, IMAGE, CHANNELS + ", float[4] z4 = {0, 0, 0, 0}"),
        15,
        BATCH_NORM,
        id="of the centered, mean 0",
    ),
    pytest.param(
        chain(BATCH, IMAGE, CHANNELS, y="BatchNormalization(x, c4, d4, m, v)"),
        15,
        BATCH_NORM.replace("0.1", "1e-05"),
        id="the default epsilon",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), FOUND)
def test_found(text: str, opset: int, expected: str) -> None:
    """What the operator is, with its attributes and parameters."""
    assert described(text, opset=opset) == expected


FOUND += [
    pytest.param(
        chain(
            {
                **INSTANCE,
                "m": "ReduceMean<axes = [0, 2, 3]>(x)",
                "v": "ReduceMean<axes = [0, 2, 3]>(q)",
                "y": "Identity(n)",
            },
            IMAGE.replace("N", size),
        ),
        17,
        expected,
        id=f"a batch of {size}",
    )
    for size, expected in (
        ("2", "BatchNormTraining epsilon=0.1 momentum=0.9 ddof=0"),
        ("1", "LayerNorm axis=-2 epsilon=0.1"),
    )
]

FILTERS = (
    STATISTICS
    + ", float[4,1,1,1] f4 = {2, 0.5, -1, 3}, float[1,1,1,1] f1 = {3}, float[1] o1 = {2}, float[4,1,3,3] f9, float[4,4,1,1] f44"
)
FOUND += [
    pytest.param(
        chain(INSTANCE, IMAGE, FILTERS, y="Conv<group = 4>(n, f4)"),
        17,
        "InstanceNorm scale epsilon=0.1",
        id="a depthwise Conv behind",
    ),
    pytest.param(
        chain(
            INSTANCE,
            IMAGE,
            FILTERS,
            y="Conv<group = 4, strides = [1, 1], pads = [0, 0, 0, 0], kernel_shape = [1, 1]>(n, f4, d4)",
        ),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="a depthwise Conv with a bias behind",
    ),
    pytest.param(
        chain(INSTANCE, IMAGE, FILTERS, y='Conv<group = 4, auto_pad = "SAME_UPPER">(n, f4, d4)'),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="a depthwise Conv with automatic padding behind",
    ),
    pytest.param(
        chain(INSTANCE, "g (float[N,1,3,5] x) => (float[N,1,3,5] y)", FILTERS, y="Conv(n, f1)"),
        17,
        "LayerNorm scale axis=-2 epsilon=0.1",
        id="a Conv of one channel behind",
    ),
    pytest.param(
        chain(INSTANCE, "g (float[N,1,3,5] x) => (float[N,1,3,5] y)", FILTERS, y="Conv(n, f1, o1)"),
        17,
        "LayerNorm bias scale axis=-2 epsilon=0.1",
        id="a Conv of one channel with a bias behind",
    ),
    pytest.param(
        _is(
            "LayerNormalization<epsilon = 0.1>(n, s)",
            m="ReduceMean<axes = [1, 2]>(x)",
            n="Sub(x, m)",
        ),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of what is centered over more",
    ),
]

REFUSED = [
    pytest.param(
        chain(INSTANCE, IMAGE, STATISTICS.replace("v4 = {1, 0.25, 4, 2}", "v4 = {1, -1, 4, 2}")),
        15,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a negative variance behind",
    ),
    pytest.param(
        _is("Mul(n, p)", AT_RUN_TIME, n="MeanVarianceNormalization<axes = [2]>(x)"),
        17,
        "MeanVarianceNorm axes=(2,) epsilon=1e-09",
        id="scaled at run time",
    ),
    pytest.param(
        _is("Add(n, p)", AT_RUN_TIME, n="MeanVarianceNormalization<axes = [2]>(x)"),
        17,
        "MeanVarianceNorm axes=(2,) epsilon=1e-09",
        id="shifted at run time",
    ),
    pytest.param(
        _is("Mul(n, p)", AT_RUN_TIME, n="LpNormalization(x)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="a length of 1 scaled at run time",
    ),
    pytest.param(
        _is(
            "LayerNormalization<axis = 1, epsilon = 0.1>(n, s)",
            m="ReduceMean<axes = [2]>(x)",
            n="Sub(x, m)",
        ),
        17,
        "LayerNorm scale axis=-2 epsilon=0.1",
        id="of what is centered over less",
    ),
    pytest.param(
        chain(INSTANCE, IMAGE, FILTERS, y="Conv(n, f44)"),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a dense Conv",
    ),
    pytest.param(
        chain(INSTANCE, IMAGE, FILTERS, y="Conv<group = 4, pads = [1, 1, 1, 1]>(n, f9)"),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a depthwise Conv of windows",
    ),
    pytest.param(
        chain(
            INSTANCE,
            "g (float[N,4,1,1] x) => (float[N,4,3,3] y)",
            FILTERS,
            m="ReduceMean<axes = [0]>(x)",
            v="ReduceMean<axes = [0]>(q)",
            y="Conv<group = 4, pads = [1, 1, 1, 1]>(n, f4)",
        ),
        17,
        "BatchNormTraining epsilon=0.1 momentum=0.9 ddof=0",
        id="a depthwise Conv with padding",
    ),
    pytest.param(
        chain(
            INSTANCE,
            "g (float[N,4,3,5] x) => (float[N,4,2,3] y)",
            FILTERS,
            y="Conv<group = 4, strides = [2, 2]>(n, f4)",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a depthwise Conv with strides",
    ),
    pytest.param(
        chain(
            INSTANCE,
            "g (float[N,4,3,5] x, float[4,1,1,1] p) => (float[N,4,3,5] y)",
            FILTERS,
            y="Conv<group = 4>(n, p)",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a depthwise Conv at run time",
    ),
    pytest.param(
        chain(
            INSTANCE,
            "g (float[N,4,3,5] x, float[4] p) => (float[N,4,3,5] y)",
            FILTERS,
            y="Conv<group = 4>(n, f4, p)",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="a depthwise Conv with a bias at run time",
    ),
    *(
        pytest.param(
            _is(node, IMAGE, CHANNELS + ", float[5] s5, float[4,3,5] s3", n="Mul(x, x)"),
            17,
            expected,
            id=f"{node.split('(')[0]} of squares",
        )
        for node, expected in (
            ("LayerNormalization<epsilon = 0.1>(n, s5)", "LayerNorm scale axis=-1 epsilon=0.1"),
            (
                "InstanceNormalization<epsilon = 0.1>(n, c4, d4)",
                "InstanceNorm bias scale epsilon=0.1",
            ),
            (
                "MeanVarianceNormalization<axes = [1]>(n)",
                "MeanVarianceNorm axes=(1,) epsilon=1e-09",
            ),
            ("LpNormalization(n)", "LpNorm axis=-1 p=2 epsilon=0"),
            (
                "LRN<size = 3>(n)",
                "LocalResponseNorm size=3 alpha=0.0001 beta=0.75 bias=1 torch_window=0",
            ),
            (
                "BatchNormalization(n, c4, d4, d4, d4)",
                "BatchNorm bias mean scale var epsilon=1e-05",
            ),
        )
    ),
    pytest.param(
        _is(
            "GroupNormalization<num_groups = 2, epsilon = 0.1>(n, c4, d4)",
            IMAGE,
            CHANNELS,
            n="Mul(x, x)",
        ),
        21,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="GroupNormalization of squares",
    ),
    pytest.param(
        _is("RMSNormalization<epsilon = 0.1>(n, s)", n="Mul(x, x)"),
        23,
        "RMSNorm scale axis=-1 epsilon=0.1",
        id="RMSNormalization of squares",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(x, one)", "g (float[N,4,1] x) => (float[N,4,1] y)"),
        17,
        "",
        id="over an axis of 1",
    ),
    pytest.param(
        _is("RMSNormalization<epsilon = 0.1>(x, one)", "g (float[N,4,1] x) => (float[N,4,1] y)"),
        23,
        "",
        id="RMS over an axis of 1",
    ),
    pytest.param(
        _is(
            "InstanceNormalization<epsilon = 0.1>(x, c4, d4)",
            "g (float[N,4,1] x) => (float[N,4,1] y)",
            CHANNELS,
        ),
        17,
        "",
        id="InstanceNormalization of one position",
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 17, "normonnx": 1]> '
        + _is("normonnx.LayerNorm<axis = 7>(x, s, b)"),
        17,
        "LayerNorm: axis is 7; expected -3 to 2 for rank 3",
        id="a call that is illegal",
    ),
    pytest.param(
        _is(
            "LayerNormalization<axis = 1, epsilon = 0.1>(x, p)",
            "g (float[N,4,6] x, float[4,1] p) => (float[N,4,6] y)",
        ),
        17,
        "its scale has an unsuitable shape",
        id="scale at run time along one of two axes",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(n, s)", n="Mul(x, two)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of twice X",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(n, s)", n="Add(x, b)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of X and a vector",
    ),
    pytest.param(
        _is(
            "LayerNormalization<epsilon = 0.1>(n, s)", m="ReduceMean<axes = [1]>(x)", n="Sub(x, m)"
        ),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of what is centered along another axis",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(n, s)", n="LayerNormalization<epsilon = 0.2>(x, s)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.2; LayerNorm scale axis=-1 epsilon=0.1",
        id="one after the other",
    ),
    pytest.param(
        _is("LayerNormalization<epsilon = 0.1>(n, p)", AT_RUN_TIME, n="Mul(x, p)"),
        17,
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="of X times something",
    ),
    pytest.param(
        _is("RMSNormalization<epsilon = 0.1>(n, s)", n="Mul(x, two)"),
        23,
        "RMSNorm scale axis=-1 epsilon=0.1",
        id="RMS of twice X",
    ),
    pytest.param(
        _is("RMSNormalization<epsilon = 0.1>(n, s)", n="Add(x, two)"),
        23,
        "RMSNorm scale axis=-1 epsilon=0.1",
        id="RMS of X + 2",
    ),
    pytest.param(
        _is("InstanceNormalization<epsilon = 0.1>(n, c4, d4)", IMAGE, CHANNELS, n="Mul(x, s4)"),
        17,
        "InstanceNorm bias scale epsilon=0.1",
        id="an instance of scaled channels",
    ),
    pytest.param(
        chain(GROUPED, IMAGE, SPLIT, y="Add(a, half)", a="Max(r, half)"),
        17,
        "GroupNorm num_groups=2 epsilon=0.1",
        id="groups with a bound",
    ),
    pytest.param(
        _is(
            "GroupNormalization<num_groups = 3, epsilon = 0.1>(x, g3, h3)",
            IMAGE,
            "float[3] g3 = {2, -1, 1}, float[3] h3 = {1, 3, 1}",
        ),
        18,
        "",
        id="groups that don't divide",
    ),
    pytest.param(
        _is(
            "GroupNormalization<num_groups = 2, epsilon = 0.1>(x, p, p)",
            "g (float[N,C,3,5] x, float[C] p) => (float[N,C,3,5] y)",
        ),
        21,
        "",
        id="of unknown channels",
    ),
    pytest.param(
        _is("MeanVarianceNormalization<axes = [0, 4]>(x)", IMAGE), 17, "", id="an axis too many"
    ),
    pytest.param(
        _is("MeanVarianceNormalization<axes = [1]>(n)", IMAGE, n="Mul(x, two)"),
        17,
        "MeanVarianceNorm axes=(1,) epsilon=1e-09",
        id="of twice X, over an axis",
    ),
    pytest.param(
        _is("Mul(n, two)", n="MeanVarianceNormalization<axes = [1]>(x)"),
        17,
        "MeanVarianceNorm axes=(1,) epsilon=1e-09",
        id="scaled",
    ),
    pytest.param(
        _is("Add(n, two)", n="MeanVarianceNormalization<axes = [1]>(x)"),
        17,
        "MeanVarianceNorm axes=(1,) epsilon=1e-09",
        id="shifted",
    ),
    pytest.param(
        _is("LpNormalization(n)", n="Mul(x, two)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="a length of twice X",
    ),
    pytest.param(
        _is("LpNormalization(n)", n="Add(x, two)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="a length of X + 2",
    ),
    pytest.param(_is("LpNormalization<axis = 3>(x)"), 17, "", id="an axis too far"),
    pytest.param(
        ML + _is('ai.onnx.ml.Normalizer<norm = "MAX">(x)', "g (float[N,6] x) => (float[N,6] y)"),
        17,
        "",
        id="Normalizer of the largest",
    ),
    pytest.param(
        chain(
            BATCH,
            IMAGE,
            CHANNELS + ", float[4] z4 = {0, 0, 0, 0}",
            m="",
            y="BatchNormalization<epsilon = 0.1>(x, c4, d4, z4, v)",
        ),
        15,
        "what is divided by the deviation is not centered",
        id="the mean is not subtracted",
    ),
    pytest.param(
        chain(
            BATCH,
            IMAGE,
            CHANNELS + ", float[4] z4 = {1, 1, 1, 1}",
            m="",
            y="BatchNormalization<epsilon = 0.1>(d, c4, d4, z4, v)",
        ),
        15,
        "BatchNorm bias mean scale var epsilon=0.1",
        id="another mean is subtracted",
    ),
    pytest.param(
        chain(
            BATCH,
            "g (float[N,4,3,5] x, float[4] p) => (float[N,4,3,5] y)",
            CHANNELS,
            y="BatchNormalization<epsilon = 0.1>(x, p, d4, m, v)",
        ),
        15,
        "BatchNorm bias mean scale var epsilon=0.1",
        id="statistics and a scale at run time",
    ),
    pytest.param(
        chain(
            BATCH,
            "g (float[N,4,3,5] x, float[4] p) => (float[N,4,3,5] y)",
            CHANNELS,
            m="",
            y="BatchNormalization<epsilon = 0.1>(x, c4, d4, p, v)",
        ),
        15,
        "BatchNorm bias mean scale var epsilon=0.1",
        id="the mean from elsewhere",
    ),
    pytest.param(
        _is(
            "BatchNormalization<epsilon = 0.1>(x, c4, d4, d4, v4)",
            IMAGE,
            CHANNELS + ", float[4] v4 = {1, -1, 1, 1}",
        ),
        15,
        "BatchNorm: var is -1 in channel 1 and epsilon 0.1; expected var + epsilon > 0",
        id="a negative variance",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), REFUSED)
def test_refused(text: str, opset: int, expected: str) -> None:
    """One of something else, or none."""
    assert described(text, opset=opset) == expected
