"""What a normalization in a graph is given, where it begins and ends, and who else reads from it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Verdict
from normonnx.recognize.finding import find
from tests.rewriting import parsed
from tests.unit.recognize.chains import LAYER, LENGTH, RMS, ROWS, chain, described
from tests.unit.recognize.recognising import recognised

INSTANCE = {
    "m": "ReduceMean<axes = [2, 3]>(x)",
    "d": "Sub(x, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [2, 3]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "y": "Div(d, r)",
}
ADAPTED = "n = Div(d, r); z = Mul(n, g); Add(z, h)"
SAMPLES = "g (float[N,4,6] x, float[N,6] p, float[N,6] o) => (float[N,4,6] y)"
STYLED = "g (float[N,4,3,5] x, float[N,4] p, float[N,4] o) => (float[N,4,3,5] y)"
AXES = "int64[1] middle = {1}, int64[2] behind = {2, 3}, int64[4] ends = {0, 0, 1, 1}"


def _given(text: str, opset: int = 17, **numbers: object) -> str:
    """The normalization and what each of its parameters is given."""
    found = recognised(text, opset=opset, **numbers).only
    words = [found.call.norm.name]
    for each in found.arguments:
        source = "default" if each.is_default else "new" if each.value is None else each.value.name
        words.append(f"{each.name}={source}" + (f"{list(each.shape)}" if each.shape else ""))
    words += [f"{k}={v:g}" for k, v in found.call.attributes.items() if k == "offset"]
    return " ".join(words).replace(", ", ",")


GIVEN = [
    pytest.param(
        chain(
            {
                "h": "Shape(x)",
                "o": "Gather(h, last)",
                "f": "ConstantOfShape<value = float[1] {2}>(o)",
                "y": "LayerNormalization<epsilon = 0.1>(x, f)",
            },
            "g (float[N,T,D] x) => (float[N,T,D] y)",
        ),
        "LayerNorm scale=new bias=default",
        id="a filled scale of unknown length",
    ),
    pytest.param(
        chain(
            {
                "h": "Shape(x)",
                "o": "Gather(h, last)",
                "f": "ConstantOfShape(o)",
                "g": "ConstantOfShape<value = float[1] {1}>(o)",
                "y": "LayerNormalization<epsilon = 0.1>(x, g, f)",
            },
            "g (float[N,T,D] x) => (float[N,T,D] y)",
        ),
        "LayerNorm scale=default bias=default",
        id="ones and zeros of unknown length",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES + ", int64[3] to3 = {-1, 1, 6}",
            y="c = Squeeze(p); g = Reshape(c, to3); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=g[0,6] bias=o offset=0",
        id="a view of what has unknown axes",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES.replace("float[N,6] p", "float[2,6] p"),
            AXES,
            y="g = Unsqueeze(p, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=0",
        id="by sample, of a length that X may have",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES.replace("float[N,6] p", "float16[N,6] p"),
            AXES,
            y="c = CastLike(p, o); g = Unsqueeze(c, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=c bias=o offset=0",
        id="not through a CastLike",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,1,6] x, float[1,1,6] p) => (float[N,1,6] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "LayerNorm scale=p[6] bias=default",
        id="at run time, beside an axis of 1",
    ),
    pytest.param(chain(LAYER), "LayerNorm scale=default bias=default", id="nothing"),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); a = Mul(n, s); Add(a, b)"),
        "LayerNorm scale=s bias=b",
        id="the model's own",
    ),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); a = Mul(n, s); Sub(a, b)"),
        "LayerNorm scale=s bias=new",
        id="minus a bias",
    ),
    pytest.param(
        chain(LAYER, more="float[1,1,6] s3", y="n = Div(d, r); Mul(n, s3)"),
        "LayerNorm scale=new bias=default",
        id="of another rank",
    ),
    pytest.param(
        chain(LAYER, more="double[6] s8", y="n = Div(d, r); c = Cast<to = 1>(s8); Mul(n, c)"),
        "LayerNorm scale=c bias=default",
        id="of another type",
    ),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); a = Mul(n, s); Mul(a, two)"),
        "LayerNorm scale=new bias=default",
        id="scaled twice",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "LayerNorm scale=p bias=default",
        id="at run time",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[1,1,6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "LayerNorm scale=p[6] bias=default",
        id="at run time, of rank 3",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,D] x, float[1,1,D] p) => (float[N,4,D] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "LayerNorm scale=p[-1] bias=default",
        id="at run time, of unknown length",
    ),
    pytest.param(
        chain(
            INSTANCE,
            "g (float[N,D,H,W] x, float[1,D,1,1] p) => (float[N,D,H,W] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "InstanceNorm scale=p[-1] bias=default",
        id="channels at run time",
    ),
    pytest.param(
        chain(
            LAYER, SAMPLES, AXES, y="g = Unsqueeze(p, middle); h = Unsqueeze(o, middle); " + ADAPTED
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=0",
        id="by sample",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Add(p, one); g = Unsqueeze(c, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=1",
        id="one more than by sample",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Unsqueeze(p, middle); g = Add(half, c); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=0.5",
        id="half more, behind the view",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Unsqueeze(p, middle); g = Sum(c, two); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=2",
        id="two more in a Sum",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Unsqueeze(p, middle); g = Sub(c, two); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=g[0,6] bias=o offset=0",
        id="two less",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Unsqueeze(p, middle); g = Add(c, s); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=g[0,6] bias=o offset=0",
        id="a vector more",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c = Unsqueeze(p, middle); g = Sum(c, two, two); h = Unsqueeze(o, middle); "
            + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=g[0,6] bias=o offset=0",
        id="two more twice",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="g = Unsqueeze(p, middle); c = Unsqueeze(o, middle); h = Add(c, one); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=h[0,6] offset=0",
        id="a bias with one more",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[N,1,6] p, float[N,6,1] o) => (float[N,4,6] y)",
            AXES,
            y="c = Squeeze(o, last); h = Unsqueeze(c, middle); g = Identity(p); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p[0,6] bias=o[0,6] offset=0",
        id="through several views",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES,
            AXES,
            y="c1 = Identity(p); c2 = Identity(c1); c3 = Identity(c2); c4 = Identity(c3); g = Unsqueeze(c4, middle); h = Unsqueeze(o, middle); "
            + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=c1 bias=o offset=0",
        id="through more views than are looked through",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES.replace("float[N,6] p", "float16[N,6] p"),
            AXES,
            y="c = Cast<to = 1>(p); g = Unsqueeze(c, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=p bias=o offset=0",
        id="through a Cast that loses nothing",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES.replace("float[N,6] p", "double[N,6] p"),
            AXES,
            y="c = Cast<to = 1>(p); g = Unsqueeze(c, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=c bias=o offset=0",
        id="not through a Cast that rounds",
    ),
    pytest.param(
        chain(
            LAYER,
            SAMPLES.replace("float[N,6] p", "int32[N,6] p"),
            AXES,
            y="c = Cast<to = 1>(p); g = Unsqueeze(c, middle); h = Unsqueeze(o, middle); " + ADAPTED,
        ),
        "AdaptiveLayerNorm scale=c bias=o offset=0",
        id="not through a Cast of integers",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[N,1,6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); z = Exp(p); Mul(n, z)",
        ),
        "AdaptiveLayerNorm scale=z[0,6] bias=default offset=0",
        id="computed, of rank 3",
    ),
    pytest.param(
        chain(
            INSTANCE,
            STYLED,
            AXES,
            y="g = Unsqueeze(p, behind); h = Unsqueeze(o, behind); " + ADAPTED,
        ),
        "AdaptiveInstanceNorm scale=p bias=o offset=0",
        id="a style",
    ),
    pytest.param(
        chain(
            INSTANCE,
            STYLED,
            AXES + ", int64[4] to4 = {0, 4, 1, 1}",
            y="c = Reshape(p, to4); g = Add(c, one); h = Reshape(o, to4); " + ADAPTED,
        ),
        "AdaptiveInstanceNorm scale=p bias=o offset=1",
        id="a style, reshaped",
    ),
    pytest.param(
        chain(LENGTH, y="n = Div(x, f); Mul(n, two)"),
        "ScaleNorm scale=new",
        id="a length of its own",
    ),
]


@pytest.mark.parametrize(("text", "expected"), GIVEN)
def test_given(text: str, expected: str) -> None:
    """A constant of the model as it stands, a value at run time, reshaped where needed, or a new one."""
    assert _given(text) == expected


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize(("factor", "expected"), [(4, "narrow"), (0.7, "float32")])
def test_numbers_that_a_narrow_type_holds(kind: str, factor: float, expected: str) -> None:
    """The product of two constants is of the type of X, or of float32 where that would lose digits."""
    head = ROWS.replace("float[", f"{kind}[")
    text = (
        f"{head} <{kind} e, {kind} factor, {kind}[6] s> {{ "
        "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes = [-1]>(q) "
        "w = Add(v, e) r = Sqrt(w) n = Div(d, r) a = Mul(n, s) y = Mul(a, factor) }"
    )
    found = recognised(text, e=0.125, factor=factor, s=[1, 2, 3, 4, 5, 6.5]).only
    array = found.arguments[0].array
    assert array is not None
    assert str(array.dtype) == (kind if expected == "narrow" else expected)


LAST = "g (float[N,3,5,4] x) => (float[N,3,5,4] y)"
CHANNELS = "float[4] sc = {2, 0.5, -1, 3}, float[4] bc = {1, 2, 3, 4}, float[5] s5, float[4] tc = {0.1, 0.2, -1, 0}"
BEHIND = {
    "m": "ReduceMean<axes = [1, 2]>(x)",
    "d": "Sub(x, m)",
    "q": "Mul(d, d)",
    "v": "ReduceMean<axes = [1, 2]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "n": "Div(d, r)",
    "a": "Mul(n, sc)",
    "y": "Add(a, bc)",
}
GROUPS = {
    **BEHIND,
    "g": "Reshape(x, split)",
    "m": "ReduceMean<axes = [1, 2, 4]>(g)",
    "d": "Sub(g, m)",
    "v": "ReduceMean<axes = [1, 2, 4]>(q)",
    "n": "c = Div(d, r); Reshape(c, back)",
}
GROUPS = {"g": GROUPS["g"], **GROUPS}
BATCH = {**BEHIND, "m": "ReduceMean<axes = [0, 1, 2]>(x)", "v": "ReduceMean<axes = [0, 1, 2]>(q)"}
RESPONSE = {
    "q": "Mul(x, x)",
    "v": "ReduceMean<axes = [1, 2]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "n": "Div(x, r)",
    "a": "Mul(n, sc)",
    "z": "Add(a, bc)",
    "y": "Max(z, tc)",
}
SPLIT = CHANNELS + ", int64[5] split = {0, 3, 5, 2, 2}, int64[4] back = {0, 3, 5, 4}"
CHANNELS_LAST = [
    pytest.param(
        chain(
            BEHIND,
            "g (float[N,4,5,4] x, float[4,1,1] p) => (float[N,4,5,4] y)",
            CHANNELS,
            a="Mul(n, p)",
        ),
        "no normalization layer has statistics over axes [1, 2] of 4 and such a scale and bias",
        id="a scale of rows at run time",
    ),
    pytest.param(
        chain(BEHIND, LAST, CHANNELS), "InstanceNorm bias scale epsilon=0.1", id="InstanceNorm"
    ),
    pytest.param(
        chain(BEHIND, LAST.replace("3,5", "H,W"), CHANNELS),
        "InstanceNorm bias scale epsilon=0.1",
        id="InstanceNorm of unknown size",
    ),
    pytest.param(
        chain(GROUPS, LAST, SPLIT), "GroupNorm bias scale num_groups=2 epsilon=0.1", id="GroupNorm"
    ),
    pytest.param(
        chain(BATCH, LAST, CHANNELS),
        "BatchNormTraining bias scale epsilon=0.1 momentum=0.9 ddof=0",
        id="BatchNormTraining",
    ),
    pytest.param(
        chain(RESPONSE, LAST, CHANNELS),
        "FilterResponseNorm bias scale threshold epsilon=0.1",
        id="FilterResponseNorm",
    ),
    pytest.param(
        chain(
            BEHIND,
            "g (float[N,7,4] x) => (float[N,7,4] y)",
            CHANNELS,
            m="ReduceMean<axes = [1]>(x)",
            v="ReduceMean<axes = [1]>(q)",
        ),
        "InstanceNorm bias scale epsilon=0.1",
        id="rank 3",
    ),
    pytest.param(
        chain(BEHIND, LAST, CHANNELS + ", float[5,1] s51", y="Add(a, s51)"),
        "InstanceNorm scale epsilon=0.1",
        id="a bias by column",
    ),
    pytest.param(
        chain(BEHIND, LAST, CHANNELS, m="ReduceMean<axes = [1]>(x)", v="ReduceMean<axes = [1]>(q)"),
        "LayerNorm2d epsilon=0.1",
        id="over rows alone",
    ),
    pytest.param(
        chain(
            BEHIND,
            "g (float[N,3,5,4] x, float[4] p) => (float[N,3,5,4] y)",
            CHANNELS,
            a="Mul(n, p)",
        ),
        "no normalization layer has statistics over axes [1, 2] of 4 and such a scale and bias",
        id="a scale at run time",
    ),
    pytest.param(
        chain(
            BEHIND,
            "g (float[N,4] x) => (float[N,4] y)",
            CHANNELS,
            m="ReduceMean<axes = [0]>(x)",
            v="ReduceMean<axes = [0]>(q)",
        ),
        "BatchNormTraining bias scale epsilon=0.1 momentum=0.9 ddof=0",
        id="rank 2",
    ),
]


@pytest.mark.parametrize(("text", "expected"), CHANNELS_LAST)
def test_channels_last(text: str, expected: str) -> None:
    """The same layers, with channels behind."""
    assert described(text) == expected


ALSO = "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,K] z)"
ENDS = [
    pytest.param(
        chain(
            LAYER,
            "g (float[1,4,6] x, float[N,4,6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); h = Shape(p); Expand(n, h)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="a batch of 1, repeated",
    ),
    pytest.param(
        chain(
            {
                "n": "Identity(x)",
                "y, m, r": "LayerNormalization<epsilon = 0.1>(n, s)",
                "z": "Add(m, r)",
            },
            ALSO,
        ),
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="the other outputs of an operator on a view",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,T,D] x, float[1,T,D] p) => (float[N,T,D] y)",
            m="ReduceMean<axes = [1, 2]>(x)",
            v="ReduceMean<axes = [1, 2]>(q)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        "LayerNorm axis=-2 epsilon=0.1",
        id="two unknown lengths of a scale",
    ),
    pytest.param(
        chain(LAYER, ALSO, r="r0 = Sqrt(w); Div(two, r0)", y="Mul(d, r)", z="Relu(r)"),
        "the result of Div 'r' is used by Relu 'z', too",
        id="twice the inverse deviation",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="m2 = Add(m, one); m3 = Identity(m2); Relu(m3)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the mean and one",
    ),
    # leaks
    pytest.param(chain(LAYER, ALSO, z="Relu(m)"), "LayerNorm axis=-1 epsilon=0.1", id="the mean"),
    pytest.param(
        chain(LAYER, ALSO, r="r0 = Sqrt(w); Reciprocal(r0)", y="Mul(d, r)", z="Relu(r)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the inverse deviation",
    ),
    pytest.param(
        chain(LAYER, ALSO, r="r0 = Sqrt(w); Reciprocal(r0)", y="Mul(d, r)", z="Add(r, m)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="mean and inverse deviation",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="Relu(r)"),
        "the result of Sqrt 'r' is used by Relu 'z', too",
        id="the deviation",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="Relu(d)"),
        "the result of Sub 'd' is used by Relu 'z', too",
        id="the centered",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="Identity(d)"),
        "the result of Sub 'd' is used by Identity 'z', too",
        id="the centered is an output",
    ),
    pytest.param(
        chain(LAYER, ALSO, y="z = Div(d, r); Mul(z, s)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the result before the scale is an output",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="h = Shape(d); Expand(one, h)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the shape of the centered",
    ),
    pytest.param(
        chain(LAYER, ALSO, d="c = Identity(x); Sub(c, m)", z="Relu(c)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="a view of X",
    ),
    pytest.param(
        chain(LAYER, ALSO, z="m2 = Mul(m, two); Relu(m2)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="twice the mean",
    ),
    pytest.param(
        chain(RMS, ALSO, r="r0 = Sqrt(w); Reciprocal(r0)", y="Mul(x, r)", z="Relu(r)"),
        "the result of Reciprocal 'r' is used by Relu 'z', too",
        id="the inverse of an RMSNorm",
    ),
    pytest.param(
        chain(LAYER, "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,1] m)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the mean is an output",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,1] q0)",
            q="q0 = Identity(m); Mul(d, d)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="another name of the mean",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,1] q0, float[N,4,1] m)",
            q="q0 = Identity(m); Mul(d, d)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="both names of the mean",
    ),
    pytest.param(
        chain({"y, m, r": "LayerNormalization<epsilon = 0.1>(x, s)", "z": "Add(m, r)"}, ALSO),
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="the operator's other outputs",
    ),
    pytest.param(
        chain(LAYER, ALSO, y="n = Div(d, r); g = Exp(m); Mul(n, g)", z="Relu(m)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="the mean in a scale",
    ),
    # types and shapes
    pytest.param(
        chain(
            LAYER,
            "g (float16[N,4,6] x) => (float[N,4,6] y)",
            m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="a wider result",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float16[N,4,6] x) => (float16[N,4,6] y)",
            m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
            y="n = Div(d, r); Cast<to = 10>(n)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="float16 through float32",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float16[N,4,6] x) => (float16[N,4,6] y, float[N,4,1] z)",
            m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
            y="n = Div(d, r); Cast<to = 10>(n)",
            z="Relu(m)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="float16 and its mean",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (double[N,4,6] x) => (double[N,4,6] y)",
            m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
            d="Sub(c, m)",
            y="n = Div(d, r); Cast<to = 11>(n)",
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="double through float32",
    ),
    # one after the other
    pytest.param(
        chain(
            LAYER,
            y="n = Div(d, r); q1 = Mul(n, n); v1 = ReduceMean<axes = [-1]>(q1); w1 = Add(v1, e); r1 = Sqrt(w1); Div(n, r1)",
        ),
        "LayerNorm axis=-1 epsilon=0.1; RMSNorm axis=-1 epsilon=0.1",
        id="an RMSNorm of a LayerNorm",
    ),
    pytest.param(
        chain(
            LENGTH, y="n = Div(x, f); l1 = ReduceL2<axes = [1]>(n); f1 = Max(l1, tiny); Div(n, f1)"
        ),
        "LpNorm axis=-1 p=2 epsilon=1e-05; LpNorm axis=-2 p=2 epsilon=1e-05",
        id="a length along another axis",
    ),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); k1 = Add(n, x); Relu(k1)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="a residual",
    ),
    pytest.param(
        chain(
            LENGTH,
            "g (float[N,4,6] x) => (float[N,4,6] y, bool[N,4,1] z)",
            f="z = Equal(l, zero); Where(z, one, l)",
        ),
        "the result of Equal 'z' is an output of the graph",
        id="the comparison is an output",
    ),
    pytest.param(
        chain(
            LENGTH,
            "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,1] z)",
            f="c = Greater(l, tiny); z = Cast<to = 1>(c); p = Mul(l, z); o = Sub(one, z); t = Mul(o, tiny); Add(p, t)",
        ),
        "the result of Cast 'z' is an output of the graph",
        id="the mask is an output",
    ),
    pytest.param(
        chain(
            LENGTH,
            "g (float[N,4,6] x) => (float[N,4,6] y, float[N,4,1] z)",
            f="c = Greater(l, tiny); k1 = Cast<to = 1>(c); p = Mul(l, k1); z = Sub(one, k1); t = Mul(z, tiny); Add(p, t)",
        ),
        "the result of Sub 'z' is an output of the graph",
        id="the rest of a mask is an output",
    ),
]


@pytest.mark.parametrize(("text", "expected"), ENDS)
def test_where_it_ends(text: str, expected: str) -> None:
    """Who else reads what is within, types, shapes, and what comes next."""
    assert described(text) == expected


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        (chain(LAYER, ALSO, z="Relu(m)"), {1: "m"}),
        (
            chain(LAYER, ALSO, r="r0 = Sqrt(w); Reciprocal(r0)", y="Mul(d, r)", z="Add(r, m)"),
            {1: "m", 2: "r"},
        ),
        (
            chain({"y, m, r": "LayerNormalization<epsilon = 0.1>(x, s)", "z": "Add(m, r)"}, ALSO),
            {1: "m", 2: "r"},
        ),
        (chain(LAYER, ALSO, z="m2 = Mul(m, two); Relu(m2)"), {1: "m"}),
        (chain(LAYER), {}),
    ],
)
def test_what_it_gives_besides(text: str, extras: dict[int, str]) -> None:
    """LayerNorm gives its mean and the inverse deviation, where something reads them."""
    found = recognised(text).only.extras
    assert {place: value.name for place, value in found.items()} == extras


BRANCH = (
    "If<then_branch = t1 () => (float[N,4,6] a) {{ a = {0} }}, "
    "else_branch = e1 () => (float[N,4,6] c) {{ c = {1} }}>({2})"
)
BRANCHES = [
    pytest.param(
        f"n = {BRANCH.format('Div(d, r)', 'Exp(d)', 'yes')}; Mul(n, s)",
        "LayerNorm",
        id="always taken, and the other reads what is centered",
    ),
    pytest.param(BRANCH.format("Div(d, r)", "Identity(x)", "flag"), "If", id="may be taken"),
    pytest.param(
        f"n = {BRANCH.format('Div(d, r)', 'Identity(x)', 'yes')}; Mul(n, s)",
        "LayerNorm",
        id="always taken",
    ),
    pytest.param(
        f"n = {BRANCH.format('Identity(x)', 'Div(d, r)', 'no')}; Mul(n, s)",
        "LayerNorm",
        id="never taken",
    ),
]


@pytest.mark.parametrize(("y", "last"), BRANCHES)
def test_branches(y: str, last: str) -> None:
    """A branch that is always taken is part of the chain; one that may be taken is none."""
    text = chain(
        LAYER,
        "g (bool flag, float[N,4,6] x) => (float[N,4,6] y)",
        "bool yes = {1}, bool no = {0}",
        y=y,
    )
    (norm,) = find(ir.from_proto(parsed(text))).norms
    assert norm.output.name == ("a" if last == "If" else "y")
    result = normonnx.optimize(parsed(text), passes=("recognize",), verify="final")
    assert result.model.graph[-1].op_type == last
    assert result.report.verification is not None
    assert result.report.verification.verdict is Verdict.PASS


def test_parameters_at_run_time_have_shapes() -> None:
    """What is not known before is given as its shape."""
    text = chain(
        LAYER, "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)", y="n = Div(d, r); Mul(n, p)"
    )
    call = recognised(text).only.call
    assert (call.parameters["scale"], call.shape) == ((6,), (None, 4, 6))


def test_channels_last_has_the_shape_of_x() -> None:
    """The call is of X with channels first; what is told is the shape in the graph."""
    found = recognised(chain(BEHIND, LAST, CHANNELS)).only
    assert (found.call.shape, found.shape) == ((None, 4, 3, 5), (None, 3, 5, 4))


def test_affines_apart() -> None:
    """What is but a scale and a shift can be told from what has a statistic."""
    both = "n = Div(d, r); m1 = Max(n, s); c = Sub(m1, s); p1 = Exp(x); c1 = Sub(p1, b); a1 = Div(c1, b); Mul(c, a1)"
    findings = find(ir.from_proto(parsed(chain(LAYER, y=both))))
    names = {
        affine: [found.call.norm.name for found in findings.only(affine=affine).norms]
        for affine in (True, False)
    }
    assert names == {True: ["StandardScaler"], False: ["LayerNorm"]}
    assert not findings.near_misses


def test_near_misses_apart() -> None:
    """So can what is nearly one of them."""
    text = chain(
        LAYER,
        v="ReduceSum(q, last)",
        y="z = Exp(x); t = Mul(z, s); u = Add(t, b); n = Div(d, r); Add(n, u)",
    )
    findings = find(ir.from_proto(parsed(text)))
    assert not findings.norms
    reasons = {
        affine: [miss.reason for miss in findings.only(affine=affine).near_misses]
        for affine in (True, False)
    }
    assert "a factor is -1" in reasons[True][0]
    assert "a sum in place of a mean" in reasons[False][0]
    assert [len(each) for each in reasons.values()] == [1, 1]


def test_the_other_outputs_of_an_operator_on_a_view() -> None:
    """The view is part of the chain, as nothing else reads it."""
    nodes = {
        "n": "Identity(x)",
        "y, m, r": "LayerNormalization<epsilon = 0.1>(n, s)",
        "z": "Add(m, r)",
    }
    assert recognised(chain(nodes, ALSO)).only.root.name == "x"


SPELLINGS = [
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); c = Greater(p, zero); k1 = Cast<to = 1>(c); z = Add(k1, half); Mul(n, z)",
        ),
        "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul",
        id="a scale from a comparison and a half",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); c = Greater(p, zero); k1 = Cast<to = 1>(c); a = Abs(k1); z = Mul(a, s); Mul(n, z)",
        ),
        "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul",
        id="a scale from a comparison elsewhere",
    ),
    pytest.param(chain(LAYER), "ReduceMean Sub Mul ReduceMean Add Sqrt Div", id="plain"),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)",
            y="n = Div(d, r); c = Mul(p, p); z = Sub(c, p); Mul(n, z)",
        ),
        "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul",
        id="a scale that is computed",
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); Where(c, one, l)"),
        "ReduceL2 Equal Where Div",
        id="a comparison",
    ),
    pytest.param(
        chain(
            LENGTH,
            f="c = Greater(l, tiny); k1 = Cast<to = 1>(c); p = Mul(l, k1); o = Sub(one, k1); t = Mul(o, tiny); Add(p, t)",
        ),
        "ReduceL2 Greater Cast Mul Sub Mul Add Div",
        id="a mask",
    ),
    pytest.param(
        chain(LAYER, d="c = Identity(x); Sub(c, m)"),
        "ReduceMean Identity Sub Mul ReduceMean Add Sqrt Div",
        id="a view",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x) => (float[N,4,6] y)",
            y="n = Div(d, r); h = Shape(s); o = ConstantOfShape(h); Add(n, o)",
        ),
        "ReduceMean Sub Mul ReduceMean Add Sqrt Div Add",
        id="a constant that is computed",
    ),
]


@pytest.mark.parametrize(("text", "operators"), SPELLINGS)
def test_what_it_is_made_of(text: str, operators: str) -> None:
    """What is computed from X, and nothing that comes from elsewhere."""
    assert sorted(recognised(text).only.spelling) == sorted(operators.split())


def test_the_type_is_that_of_x() -> None:
    """A fused operator may have parameters of another type."""
    text = (
        '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> '
        "g (float16[N,3,5,4] x) => (float16[N,3,5,4] y) <float[4] s, float[4] b> "
        "{ y = com.microsoft.GroupNorm<groups = 2>(x, s, b) }"
    )
    assert recognised(text).only.call.dtype == "float16"


def test_a_threshold_of_the_model_stays() -> None:
    """A vector along channels that are the last axis is the parameter as it stands."""
    assert _given(chain(RESPONSE, LAST, CHANNELS)) == (
        "FilterResponseNorm scale=sc bias=bc threshold=tc"
    )


def test_what_is_normalized_has_the_type_of_the_result() -> None:
    """A LayerNorm in float32 of numbers in float16 is one of their Cast."""
    text = chain(
        LAYER,
        "g (float16[N,4,6] x) => (float[N,4,6] y)",
        m="c = Cast<to = 1>(x); ReduceMean<axes = [-1]>(c)",
        d="Sub(c, m)",
    )
    assert recognised(text).only.root.name == "c"


def test_a_shape_that_others_read_is_no_part_of_it() -> None:
    """JAX casts a shape once for all: it holds nothing of what is normalized."""
    found = recognised("""g (float[N, 3, 4] x) => (float[N, 3, 4] y, float[N, 3, 4] z)
        <float[4] s, float e = {1e-5}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] three = {3}, int64[1] four = {4}> {
            m = ReduceMean<axes = [-1]>(x)
            d = Sub(x, m)
            q = Mul(d, d)
            v = ReduceMean<axes = [-1]>(q)
            w = Add(v, e)
            r = Sqrt(w)
            k = Shape(x)
            f = Slice(k, zero, one)
            l = Concat<axis = 0>(f, three, four)
            i = Cast<to = 6>(l)
            c = Cast<to = 7>(i)
            p = Expand(r, c)
            n = Div(d, p)
            y = Mul(n, s)
            a = Abs(x)
            z = Expand(a, c)
        }""")
    assert found.only.output.name == "y"
    assert found.only.given == {"scale"}
