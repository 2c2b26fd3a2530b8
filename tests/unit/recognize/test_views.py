"""Views within a chain: operators that change the shape or type and not the numbers."""

from __future__ import annotations

import pytest

from tests.unit.recognize.chains import FREE, LAYER, chain, described

LAYER_NORM = "LayerNorm axis=-1 epsilon=0.1"
FLAT = "g (float[N,4,6] x) => (float[N,24] y)"
FLAG = "g (float[N,4,6] x, bool flag) => (float[N,4,6] y)"
GROUPS = {
    "g": "Reshape(x, split)",
    "m": "ReduceMean<axes = [2, 3]>(g)",
    "d": "Sub(g, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [2, 3]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "n": "Div(d, r)",
    "y": "Reshape(n, back)",
}
IN_GROUPS = "int64[4] split = {0, 2, 2, 15}, int64[4] back = {0, 4, 3, 5}"
IMAGE = "g (float[N,4,3,5] x) => (float[N,4,3,5] y)"
GROUP_NORM = "GroupNorm num_groups=2 epsilon=0.1"
LAYER_2D = {
    "m": "ReduceMean<axes = [1]>(x)",
    "d": "Sub(x, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [1]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "y": "Div(d, r)",
}

FOUND = [
    pytest.param(
        chain(
            LAYER,
            more="int64[5] parts = {0, 2, 2, 2, 3}",
            m="c = Reshape(x, parts); ReduceMean<axes = [1, 2, 3, 4]>(c)",
            d="Sub(c, m)",
            v="ReduceMean<axes = [1, 2, 3, 4]>(q)",
            y="n = Div(d, r); h = Shape(x); Reshape(n, h)",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="two axes in parts",
    ),
    pytest.param(
        chain(LAYER, d="c = Pad(x, none); Sub(c, m)", more="int64[6] none = {0, 0, 0, 0, 0, 0}"),
        17,
        LAYER_NORM,
        id="Pad of nothing",
    ),
    pytest.param(
        chain(LAYER, "g (float[6] x) => (float[6] y)"), 17, LAYER_NORM, id="one axis alone"
    ),
    pytest.param(
        chain(
            LAYER,
            m="c = Flatten<axis = 0>(x); u = ReduceMean<axes = [1]>(c); Unsqueeze(u, k)",
            v="z = Flatten<axis = 0>(q); t = ReduceMean<axes = [1]>(z); Unsqueeze(t, k)",
        ),
        17,
        "LayerNorm axis=-3 epsilon=0.1",
        id="moments of Flatten, axis 0",
    ),
    pytest.param(
        chain(
            LAYER,
            m="c = Flatten(x); u = ReduceMean<axes = [1]>(c); Unsqueeze(u, k)",
            v="z = Flatten(q); t = ReduceMean<axes = [1]>(z); Unsqueeze(t, k)",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="moments of Flatten",
    ),
    pytest.param(
        chain(
            LAYER,
            more="int64[3] rows = {-1, 4, 1}",
            m="c = Flatten<axis = -1>(x); u = ReduceMean<axes = [1]>(c); Reshape(u, rows)",
            v="z = Flatten<axis = 2>(q); t = ReduceMean<axes = [1]>(z); Reshape(t, rows)",
        ),
        17,
        LAYER_NORM,
        id="moments of Flatten, axis -1",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,T,12] x) => (float[N,T,12] y)",
            "int64[4] parts = {-1, 2, 2, 3}",
            m="c = Reshape(x, parts); ReduceMean<axes = [1, 2, 3]>(c)",
            d="Sub(c, m)",
            v="ReduceMean<axes = [1, 2, 3]>(q)",
            y="n = Div(d, r); h = Shape(x); Reshape(n, h)",
        ),
        17,
        LAYER_NORM,
        id="rows in three parts",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,T,12] x) => (float[N,T,12] y)",
            "int64[3] parts = {-1, 4, 3}",
            m="c = Reshape(x, parts); ReduceMean<axes = [1, 2]>(c)",
            d="Sub(c, m)",
            v="ReduceMean<axes = [1, 2]>(q)",
            y="n = Div(d, r); h = Shape(x); Reshape(n, h)",
        ),
        17,
        LAYER_NORM,
        id="rows in parts",
    ),
    pytest.param(
        chain(
            LAYER,
            more="int64[4] to4 = {0, 4, 6, 1}",
            m="m0 = ReduceMean<axes = [-1]>(x); h = Shape(x); m1 = Expand(m0, h); m2 = Reshape(m1, to4); Squeeze(m2, last)",
        ),
        17,
        LAYER_NORM,
        id="means that were expanded, with an axis of 1",
    ),
    pytest.param(
        chain(
            LAYER,
            more="int64[3] h = {1, 1, 1}",
            m="u = ReduceMean<keepdims = 0>(x); z2 = Expand(u, h); Transpose<perm = [0, 2, 1]>(z2)",
            v="z = ReduceMean<keepdims = 0>(q); Expand(z, h)",
        ),
        17,
        "LayerNorm axis=-3 epsilon=0.1",
        id="Expand to more axes, transposed",
    ),
    pytest.param(
        chain(LAYER, d="c = Dropout(x, , no); Sub(c, m)", more="bool no = {0}"),
        17,
        LAYER_NORM,
        id="Dropout, no training and no ratio",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,T,3,5] x) => (float[N,T,3,5] y)",
            "int64[2] flat = {-1, 15}, float[15] s15",
            m="c = Reshape(x, flat); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
            y="n = Div(d, r); a = Mul(n, s15); h = Shape(x); Reshape(a, h)",
        ),
        17,
        "LayerNorm scale axis=-2 epsilon=0.1",
        id="rows of several unknown axes",
    ),
    pytest.param(chain(LAYER, d="c = Identity(x); Sub(c, m)"), 17, LAYER_NORM, id="Identity"),
    pytest.param(chain(LAYER, d="c = Dropout(x); Sub(c, m)"), 17, LAYER_NORM, id="Dropout"),
    pytest.param(
        chain(LAYER, d="c = Dropout(x, half); Sub(c, m)"), 17, LAYER_NORM, id="Dropout, a ratio"
    ),
    pytest.param(
        chain(LAYER, d="c = Dropout(x, half, no); Sub(c, m)", more="bool no = {0}"),
        17,
        LAYER_NORM,
        id="Dropout, no training",
    ),
    pytest.param(
        chain(LAYER, d="c = Dropout<ratio = 0.5>(x); Sub(c, m)"),
        10,
        LAYER_NORM,
        id="Dropout below opset 12",
    ),
    pytest.param(
        chain(LAYER, d="h = Cast<to = 11>(x); c = Cast<to = 1>(h); Sub(c, m)"),
        17,
        LAYER_NORM,
        id="Casts",
    ),
    pytest.param(chain(LAYER, d="c = CastLike(x, m); Sub(c, m)"), 17, LAYER_NORM, id="CastLike"),
    # Reshape
    pytest.param(
        chain(
            LAYER,
            m="c = Reshape(x, flat); u = ReduceMean<axes = [-1]>(c); Reshape(u, rows)",
            more="int64[2] flat = {-1, 6}, int64[3] rows = {-1, 4, 1}",
        ),
        17,
        LAYER_NORM,
        id="the mean of rows",
    ),
    pytest.param(
        chain(LAYER, FREE, y="n = Div(d, r); h = Shape(x); Reshape(n, h)"),
        17,
        LAYER_NORM,
        id="to its own shape",
    ),
    pytest.param(
        chain(
            LAYER,
            m="u = ReduceMean<axes = [-1], keepdims = 0>(x); Reshape(u, rows)",
            more="int64[3] rows = {0, 4, 1}",
        ),
        17,
        LAYER_NORM,
        id="an axis of 1",
    ),
    pytest.param(chain(GROUPS, IMAGE, IN_GROUPS), 17, GROUP_NORM, id="groups"),
    pytest.param(
        chain(GROUPS, IMAGE, "int64[4] split = {0, 2, 2, -1}, int64[4] back = {0, 4, 3, 5}"),
        17,
        GROUP_NORM,
        id="groups, the rest",
    ),
    pytest.param(
        chain(
            GROUPS,
            "g (float[N,4,H,W] x) => (float[N,4,H,W] y)",
            "int64[4] split = {0, 2, 2, -1}",
            y="h = Shape(x); Reshape(n, h)",
        ),
        17,
        GROUP_NORM,
        id="groups of unknown size",
    ),
    pytest.param(
        chain(
            GROUPS,
            IMAGE,
            "int64[4] split = {0, 2, 2, 15}, int64[4] back = {0, 4, 3, 5}, float[1,2,2,1] sg, float[1,2,1,1] bg = {3, 4}",
            n="t0 = Div(d, r); t1 = Mul(t0, sg); Add(t1, bg)",
        ),
        17,
        "GroupNorm bias scale num_groups=2 epsilon=0.1",
        id="groups with an affine within",
    ),
    # Transpose
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[N,6,4] y)",
            y="n = Div(d, r); Transpose<perm = [0, 2, 1]>(n)",
        ),
        17,
        LAYER_NORM,
        id="Transpose behind",
    ),
    pytest.param(
        chain(
            LAYER_2D,
            y="n = Div(d, r); t = Transpose<perm = [2, 0, 1]>(n); Transpose<perm = [1, 2, 0]>(t)",
        ),
        17,
        "LayerNorm2d epsilon=0.1",
        id="Transposes behind",
    ),
    pytest.param(
        chain(LAYER_2D, m="t = Transpose(x); u = ReduceMean<axes = [1]>(t); Transpose(u)"),
        17,
        "LayerNorm2d epsilon=0.1",
        id="Transposes that reverse",
    ),
    # Unsqueeze, Squeeze
    pytest.param(
        chain(LAYER, m="u = ReduceMean<axes = [-1], keepdims = 0>(x); Unsqueeze(u, last)"),
        17,
        LAYER_NORM,
        id="Unsqueeze",
    ),
    pytest.param(
        chain(LAYER, m="u = ReduceMean<axes = [-1], keepdims = 0>(x); Unsqueeze<axes = [2]>(u)"),
        11,
        LAYER_NORM,
        id="Unsqueeze below opset 13",
    ),
    pytest.param(
        chain(LAYER_2D, m="u = ReduceMean<axes = [1], keepdims = 0>(x); Unsqueeze<axes = [-2]>(u)"),
        11,
        "LayerNorm2d epsilon=0.1",
        id="Unsqueeze of axis -2",
    ),
    pytest.param(
        chain(
            LAYER,
            m="u = ReduceMean<axes = [1, 2], keepdims = 0>(x); Unsqueeze(u, both)",
            v="u2 = ReduceMean<axes = [1, 2], keepdims = 0>(q); Unsqueeze(u2, both)",
            more="int64[2] both = {2, -2}",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="Unsqueeze twice",
    ),
    pytest.param(
        chain(LAYER, m="u = ReduceMean<axes = [-1]>(x); z = Squeeze(u, last); Unsqueeze(z, last)"),
        17,
        LAYER_NORM,
        id="Squeeze",
    ),
    pytest.param(
        chain(
            LAYER,
            m="u = ReduceMean<axes = [-1]>(x); z = Squeeze<axes = [2]>(u); Unsqueeze<axes = [2]>(z)",
        ),
        11,
        LAYER_NORM,
        id="Squeeze below opset 13",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[3,4,6] x) => (float[3,4,6] y)",
            m="u = ReduceMean<axes = [-1]>(x); z = Squeeze(u); Unsqueeze(z, last)",
        ),
        17,
        LAYER_NORM,
        id="Squeeze of all",
    ),
    pytest.param(
        chain(LAYER, "g (float[1,4,6] x) => (float[4,6] y)", y="n = Div(d, r); Squeeze(n)"),
        17,
        LAYER_NORM,
        id="a batch of 1",
    ),
    # Expand
    pytest.param(
        chain(LAYER, m="u = ReduceMean<axes = [-1]>(x); h = Shape(x); Expand(u, h)"),
        17,
        LAYER_NORM,
        id="Expand",
    ),
    pytest.param(
        chain(LAYER, FREE, m="u = ReduceMean<axes = [-1]>(x); h = Shape(x); Expand(u, h)"),
        17,
        LAYER_NORM,
        id="Expand of unknown length",
    ),
    pytest.param(
        chain(
            LAYER,
            m="u = ReduceMean<keepdims = 0>(x); Expand(u, h)",
            v="z = ReduceMean<keepdims = 0>(q); Expand(z, h)",
            more="int64[3] h = {1, 1, 1}",
        ),
        17,
        "LayerNorm axis=-3 epsilon=0.1",
        id="Expand to more axes",
    ),
    # Flatten
    pytest.param(
        chain(LAYER, FLAT, m="c = Flatten(x); ReduceMean<axes = [-1]>(c)", d="Sub(c, m)"),
        17,
        LAYER_NORM,
        id="Flatten",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[T,6] y)",
            m="c = Flatten<axis = 2>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
        ),
        17,
        LAYER_NORM,
        id="Flatten, axis 2",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[T,6] y)",
            m="c = Flatten<axis = -1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
        ),
        17,
        LAYER_NORM,
        id="Flatten, axis -1",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[1,T] y)",
            m="c = Flatten<axis = 0>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
        ),
        17,
        LAYER_NORM,
        id="Flatten, axis 0",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), FOUND)
def test_found(text: str, opset: int, expected: str) -> None:
    """The same normalization, whatever view it is computed in."""
    assert described(text, opset=opset) == expected


REFUSED = [
    pytest.param(
        chain(LAYER, FLAG, d="c = Dropout(x, , flag); Sub(c, m)"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="Dropout in training or not, without a ratio",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[1,6,6] x) => (float[1,6,6] y)",
            "int64[2] flat = {6, 6}, int64[3] full = {1, 6, 6}",
            m="m0 = ReduceMean<axes = [-1]>(x); m1 = Expand(m0, full); Reshape(m1, flat)",
            d="t = Transpose<perm = [0, 2, 1]>(x); c = Reshape(t, flat); Sub(c, m)",
            v="ReduceMean<axes = [0]>(q)",
            y="n = Div(d, r); u = Transpose<perm = [1, 0]>(n); Reshape(u, full)",
        ),
        17,
        "its result has other axes than what is normalized",
        id="means that were expanded, then reshaped",
    ),
    pytest.param(
        chain(LAYER, d="c = Dropout(x, , yes); Sub(c, m)", more="bool yes = {1}"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="Dropout in training without a ratio",
    ),
    pytest.param(
        chain(LAYER, d="c = Dropout(x, half, yes); Sub(c, m)", more="bool yes = {1}"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="Dropout in training",
    ),
    pytest.param(
        chain(LAYER, FLAG, d="c = Dropout(x, half, flag); Sub(c, m)"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="Dropout in training or not",
    ),
    pytest.param(
        chain(LAYER, d="h = Cast<to = 6>(x); c = Cast<to = 1>(h); Sub(c, m)"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="rounded to integers",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (int32[N,4,6] x) => (float[N,4,6] y)",
            m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
        ),
        17,
        "LayerNorm axis=-1 epsilon=0.1",
        id="of integers",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[4,4,6] x) => (float[4,4,6] y)",
            m="u = ReduceMean<axes = [-1]>(x); Transpose<perm = [1, 0, 2]>(u)",
        ),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="means transposed",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[6,6,6] x) => (float[6,6,6] y)",
            m="u = ReduceMean<axes = [-1], keepdims = 0>(x); Unsqueeze(u, k)",
        ),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="means along another axis",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[6,6,6] x) => (float[6,6,6] y)",
            m="u = ReduceMean<axes = [-1], keepdims = 0>(x); z = Unsqueeze(u, k); h = Shape(x); Expand(z, h)",
        ),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="means along another axis, expanded",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[1,4,6] x, int64[1] at) => (float[1,4,6] y)",
            m="u = ReduceMean<axes = [-1], keepdims = 0>(x); Unsqueeze(u, at)",
        ),
        17,
        "",
        id="Unsqueeze at run time",
    ),
    pytest.param(
        chain(LAYER, m="u = ReduceMean<axes = [-1]>(x); z = Squeeze(u); Unsqueeze(z, last)"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="Squeeze of what may be 1",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[7,N,4,6] y)",
            y="n = Div(d, r); Expand(n, h)",
            more="int64[4] h = {7, 1, 4, 6}",
        ),
        17,
        "LayerNorm axis=-1 epsilon=0.1",
        id="Expand of the result",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[1,4,6] x) => (float[7,4,6] y)",
            y="n = Div(d, r); Expand(n, h)",
            more="int64[3] h = {7, 4, 6}",
        ),
        17,
        "LayerNorm axis=-1 epsilon=0.1",
        id="Expand of a batch of 1",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[1,4,6] x) => (float[7,24] y)",
            m="c = Expand(x, h); z = Flatten(c); ReduceMean<axes = [-1]>(z)",
            d="Sub(z, m)",
            more="int64[3] h = {7, 4, 6}",
        ),
        17,
        "LayerNorm axis=-1 epsilon=0.1",
        id="Flatten of what was expanded",
    ),
    pytest.param(
        chain(LAYER, m="c = Flatten(x); u = ReduceMean<axes = [-1]>(c); Unsqueeze(u, last)"),
        17,
        "what is divided is centered over other axes than its statistic",
        id="the mean of all, not the variance",
    ),
    pytest.param(
        chain(GROUPS, IMAGE, "int64[4] split = {0, 2, 2, 15}, int64[4] back = {0, 4, 5, 3}"),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="groups, another shape",
    ),
    pytest.param(
        chain(GROUPS, IMAGE, "int64[4] split = {0, 3, 5, 4}, int64[4] back = {0, 4, 3, 5}"),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="groups that are none",
    ),
    pytest.param(
        chain(
            GROUPS,
            "g (float[N,6,4,5] x) => (float[N,6,4,5] y)",
            "int64[4] split = {0, 4, 2, -1}, int64[4] back = {0, 6, 4, 5}",
        ),
        17,
        "LayerNorm axis=-2 epsilon=0.1",
        id="groups across positions",
    ),
    pytest.param(
        chain(
            GROUPS,
            IMAGE,
            IN_GROUPS,
            m="u = ReduceMean<axes = [1, 3]>(g); Transpose<perm = [0, 2, 1, 3]>(u)",
        ),
        17,
        "RMSNorm axis=-2 epsilon=0.1",
        id="groups the other way",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), REFUSED)
def test_refused(text: str, opset: int, expected: str) -> None:
    """What is moved otherwise is no normalization, or one of something else."""
    assert described(text, opset=opset) == expected
