"""LocalResponseNorm: which sums over a window of channels it has, however they are spelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.unit.recognize.chains import IMAGE, chain, described

LRN = "LocalResponseNorm size=3 alpha=0.5 beta=0.75 bias=2 torch_window=0"
BY_TWO = "LocalResponseNorm size=2 alpha=0.5 beta=0.75 bias=2 torch_window=0"
TORCH = "LocalResponseNorm size=2 alpha=0.5 beta=0.75 bias=2 torch_window=1"
FREE = "g (float[N,4,H,W] x) => (float[N,4,H,W] y)"
NUMBERS = (
    "float beta = {0.75}, int64[1] front = {1}, int64[10] pads = {0, 0, 1, 0, 0, 0, 0, 1, 0, 0}, "
    "int64[5] cube = {0, 1, 4, 3, 5}, int64[4] flat = {0, 4, 3, 5}, "
    "float sixth = {0.16666667}, float[4,4,1,1] band, float[4,4] square, "
    "float[1,1,3,1,1] taps = {1, 1, 1}, float[4] zeros = {0, 0, 0, 0}, float[4] same = {2, 2, 2, 2}, "
    "float[4] other = {2, 2, 2, 1}, float[1] nought = {0}, float[1] b1 = {0.25}"
)
DEEP = {
    "q": "Mul(x, x)",
    "u": "Unsqueeze(q, front)",
    "p": "Pad(u, pads)",
    "c": "AveragePool<kernel_shape = [3, 1, 1]>(p)",
    "t": "Squeeze(c, front)",
    "a": "Mul(t, half)",
    "w": "Add(a, two)",
    "d": "Pow(w, beta)",
    "y": "Div(x, d)",
}
POOLED = {
    **DEEP,
    "p": "",
    "c": "AveragePool<kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0], count_include_pad = 1>(u)",
}
TAPS = {**DEEP, "p": "", "c": "Conv<pads = [1, 0, 0, 1, 0, 0]>(u, taps)", "a": "Mul(t, sixth)"}
BANDED = {
    "q": "Mul(x, x)",
    "c": "Conv(q, band)",
    "a": "Mul(c, sixth)",
    "w": "Add(a, two)",
    "d": "Pow(w, beta)",
    "y": "Div(x, d)",
}
MULTIPLIED = {
    "q": "Mul(x, x)",
    "h": "Transpose<perm = [0, 2, 3, 1]>(q)",
    "c": "MatMul(h, square)",
    "t": "Transpose<perm = [0, 3, 1, 2]>(c)",
    "a": "Mul(t, sixth)",
    "w": "Add(a, two)",
    "d": "Pow(w, beta)",
    "y": "Div(x, d)",
}
ROWS = "g (float[N,4,5] x) => (float[N,4,5] y)"
LEFT = {
    "q": "Mul(x, x)",
    "c": "MatMul(square, q)",
    "a": "Mul(c, sixth)",
    "w": "Add(a, two)",
    "d": "Pow(w, beta)",
    "y": "Div(x, d)",
}


def _band(below: int, above: int, size: int = 4, value: float = 1.0) -> npt.NDArray[np.float64]:
    ahead = np.arange(size)[None, :] - np.arange(size)[:, None]
    return np.where((ahead >= -below) & (ahead <= above), value, 0.0)


BELOW_11 = {
    **DEEP,
    "u": "Unsqueeze<axes = [1]>(q)",
    "p": "Pad<pads = [0, 0, 1, 0, 0, 0, 0, 1, 0, 0], value = 0.0>(u)",
    "t": "Squeeze<axes = [1]>(c)",
}
SLICED = {
    "q": "Mul(x, x)",
    "p": "Pad(q, rim)",
    "n0": "Slice(p, i0, j0, front)",
    "n1": "Slice(p, front, j1, front)",
    "n2": "Slice(p, i2, j2, front)",
    "t0": "Add(n0, n1)",
    "t": "Add(t0, n2)",
    "a": "Mul(t, sixth)",
    "w": "Add(a, two)",
    "d": "Pow(w, beta)",
    "y": "Div(x, d)",
}
CUTS = NUMBERS + (
    ", int64[8] rim = {0, 1, 0, 0, 0, 2, 0, 0}, int64[1] i0 = {0}, int64[1] i2 = {2}, "
    "int64[1] j0 = {-3}, int64[1] j1 = {-2}, int64[1] j2 = {-1}, int64[1] all = {9223372036854775807}, "
    "int64[8] close = {0, 1, 0, 0, 0, 1, 0, 0}, int64[1] four = {4}, int64[1] five = {5}"
)
FOUND = [
    pytest.param(
        chain(LEFT, "g (float[N,4] x) => (float[N,4] y)", NUMBERS, c="MatMul(q, square)"),
        {"square": _band(1, 1)},
        LRN,
        id="MatMul of rows",
    ),
    pytest.param(chain(SLICED, IMAGE, CUTS), {}, LRN, id="slices"),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="Add(n2, n1)", t="Add(n0, t0)"),
        {},
        LRN,
        id="in another order",
    ),
    pytest.param(
        chain(
            SLICED,
            IMAGE,
            CUTS,
            p="Pad(q, close)",
            n0="Slice(p, i0, four, front)",
            n1="Slice(p, front, five, front)",
            n2="Slice(p, i2, all, front)",
        ),
        {},
        LRN,
        id="slices to a place, and to the end",
    ),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, n0="", t0="", t="Add(n1, n2)"),
        {},
        BY_TWO.replace("0.5", "0.33333"),
        id="slices from the channel itself on",
    ),
    pytest.param(chain(BELOW_11, IMAGE, NUMBERS), {"opset": 10}, LRN, id="below opset 11"),
    pytest.param(
        chain({"y": "LRN<size = 3, bias = 0.5>(x)"}, IMAGE),
        {},
        "LocalResponseNorm size=3 alpha=0.0001 beta=0.75 bias=0.5 torch_window=0",
        id="LRN with a small bias",
    ),
    pytest.param(
        chain({"y": "LRN<size = 3, bias = 0.0>(x)"}, IMAGE),
        {},
        "LocalResponseNorm size=3 alpha=0.0001 beta=0.75 bias=0 torch_window=0",
        id="LRN without bias",
    ),
    pytest.param(chain(DEEP, IMAGE, NUMBERS), {}, LRN, id="Pad, AveragePool"),
    pytest.param(chain(DEEP, FREE, NUMBERS), {}, LRN, id="of unknown size"),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, p='Pad<mode = "constant">(u, pads, zero)'),
        {},
        LRN,
        id="Pad with a zero",
    ),
    pytest.param(chain(DEEP, IMAGE, NUMBERS, q="Pow(x, two)"), {}, LRN, id="Pow"),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", float eighth = {0.125}",
            q="s0 = Mul(x, two); Mul(s0, s0)",
            a="Mul(t, eighth)",
        ),
        {},
        LRN,
        id="of twice X",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, y="r = Reciprocal(d); Mul(x, r)"), {}, LRN, id="Reciprocal"
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", float minus_beta = {-0.75}",
            d="Pow(w, minus_beta)",
            y="Mul(x, d)",
        ),
        {},
        LRN,
        id="a negative power",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, d="s1 = Sqrt(w); s2 = Sqrt(s1); Mul(s1, s2)"),
        {},
        LRN,
        id="roots",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, d="Identity(w)"), {}, LRN.replace("0.75", "1"), id="beta 1"
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, d="Identity(w)", y="r = Reciprocal(d); Mul(x, r)"),
        {},
        LRN.replace("0.75", "1"),
        id="Reciprocal with beta 1",
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", int64[10] p10 = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0}",
            p="Pad(u, p10)",
            c="AveragePool<kernel_shape = [2, 1, 1]>(p)",
        ),
        {},
        TORCH,
        id="one before",
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", int64[10] p10 = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0}",
            p="Pad(u, p10)",
            c="AveragePool<kernel_shape = [2, 1, 1]>(p)",
        ),
        {},
        BY_TWO,
        id="one behind",
    ),
    pytest.param(chain(POOLED, IMAGE, NUMBERS), {}, LRN, id="AveragePool with padding"),
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            u="Unsqueeze(q, front)",
            c='z0 = AveragePool<kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0], count_include_pad = 1, strides = [1, 1, 1], ceil_mode = 0, auto_pad = "NOTSET">(u); Identity(z0)',
        ),
        {},
        LRN,
        id="defaults told",
    ),
    pytest.param(
        chain(
            POOLED,
            "g (float[N,4,3] x) => (float[N,4,3] y)",
            NUMBERS,
            c="AveragePool<kernel_shape = [3, 1], pads = [1, 0, 1, 0], count_include_pad = 1>(u)",
        ),
        {},
        LRN,
        id="rank 3",
    ),
    pytest.param(
        chain(
            {**POOLED, "p": "Pad(u, some)"},
            IMAGE,
            NUMBERS + ", int64[10] some = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0}",
            c="AveragePool<kernel_shape = [3, 1, 1], pads = [0, 0, 0, 1, 0, 0], count_include_pad = 1>(p)",
        ),
        {},
        LRN,
        id="padding before, the pool's behind",
    ),
    pytest.param(
        chain(POOLED, IMAGE, NUMBERS, c="AveragePool<kernel_shape = [1, 1, 1]>(u)"),
        {},
        "LocalResponseNorm size=1 alpha=0.5 beta=0.75 bias=2 torch_window=0",
        id="a window of 1",
    ),
    pytest.param(chain(TAPS, IMAGE, NUMBERS), {}, LRN, id="Conv along the depth"),
    pytest.param(
        chain(
            TAPS,
            IMAGE,
            NUMBERS,
            c="Conv<pads = [1, 0, 0, 1, 0, 0], group = 1, kernel_shape = [3, 1, 1]>(u, taps, nought)",
        ),
        {},
        LRN,
        id="Conv with a bias of 0",
    ),
    pytest.param(
        chain(TAPS, IMAGE, NUMBERS, c="Conv<pads = [1, 0, 0, 1, 0, 0]>(u, taps, b1)"),
        {},
        "LocalResponseNorm size=3 alpha=0.5 beta=0.75 bias=2.0417 torch_window=0",
        id="Conv with a bias",
    ),
    pytest.param(chain(BANDED, IMAGE, NUMBERS), {"band": _band(1, 1)}, LRN, id="Conv with a band"),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, c="Conv(q, band, zeros)"),
        {"band": _band(1, 1, value=3)},
        LRN.replace("0.5", "1.5"),
        id="a band of 3s",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, c="Conv(q, band, same)", w="Add(a, one)"),
        {"band": _band(1, 1)},
        LRN.replace("bias=2", "bias=1.3333"),
        id="a band and a bias",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, a="Mul(c, half)"),
        {"band": _band(0, 1, value=0.5)},
        BY_TWO,
        id="a band to one side",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, a="Mul(c, half)"),
        {"band": _band(1, 0, value=0.5)},
        TORCH,
        id="a band to the other side",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, a="Mul(c, half)"),
        {"band": np.eye(4)},
        "LocalResponseNorm size=1 alpha=0.5 beta=0.75 bias=2 torch_window=0",
        id="a diagonal",
    ),
    pytest.param(chain(MULTIPLIED, IMAGE, NUMBERS), {"square": _band(1, 1)}, LRN, id="MatMul"),
    pytest.param(
        chain(MULTIPLIED, IMAGE, NUMBERS, a="Mul(t, half)"),
        {"square": _band(0, 1, value=0.5)},
        TORCH,
        id="MatMul to one side",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS), {"square": _band(1, 1)}, LRN, id="MatMul from the left"
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, a="Mul(c, half)"),
        {"square": _band(0, 1, value=0.5)},
        BY_TWO,
        id="MatMul from the left, one side",
    ),
    pytest.param(
        chain({"y": "LRN<size = 3, alpha = 0.5, beta = 0.75, bias = 2.0>(x)"}, IMAGE),
        {},
        LRN,
        id="LRN",
    ),
    pytest.param(
        chain({"y": "LRN<size = 2, alpha = 0.5, bias = 2.0>(x)"}, IMAGE),
        {},
        BY_TWO,
        id="LRN, an even size",
    ),
    pytest.param(
        chain({"y": "LRN<size = 4>(x)"}, IMAGE),
        {},
        "LocalResponseNorm size=4 alpha=0.0001 beta=0.75 bias=1 torch_window=0",
        id="LRN's defaults",
    ),
    pytest.param(
        chain({"y": "LRN<size = 1, alpha = 0.5>(x)"}, IMAGE),
        {},
        "LocalResponseNorm size=1 alpha=0.5 beta=0.75 bias=1 torch_window=0",
        id="LRN of one",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, p="z1 = Pad(u, pads); Identity(z1)"),
        {},
        LRN,
        id="Identity after Pad",
    ),
]


@pytest.mark.parametrize(("text", "numbers", "expected"), FOUND)
def test_found(text: str, numbers: dict[str, Any], expected: str) -> None:
    """The same window, factor, power and bias."""
    assert described(text, **numbers) == expected


FOUND.append(
    pytest.param(
        chain({"y": "LRN<size = 6, alpha = 0.5>(x)"}, IMAGE),
        {},
        "LocalResponseNorm size=6 alpha=0.5 beta=0.75 bias=1 torch_window=0",
        id="LRN of six",
    )
)

REFUSED = [
    pytest.param(
        chain(TAPS, IMAGE, NUMBERS + ", float[1,1,4,1,1] four = {1, 1, 1, 1}", c="Conv(u, four)"),
        {},
        "",
        id="Conv of all channels",
    ),
    pytest.param(
        chain(
            BELOW_11, IMAGE, NUMBERS, p="Pad<pads = [0, 0, 1, 0, 0, 0, 0, 1, 0, 0], value = 1.0>(u)"
        ),
        {"opset": 10},
        "",
        id="ones around below opset 11",
    ),
    pytest.param(
        chain(
            DEEP,
            "g (float[N,4,3,5] x, int64[10] at) => (float[N,4,3,5] y)",
            NUMBERS,
            p="Pad(u, at)",
        ),
        {},
        "",
        id="padding at run time",
    ),
    *(
        pytest.param(
            chain(
                DEEP,
                IMAGE,
                NUMBERS + ", int64[5] as_is = {0, 0, 0, 0, 0}, int64[5] ones = {1, 1, 1, 1, 1}",
                p=f"z1 = Pad(u, pads); {view}",
            ),
            {},
            "",
            id=f"{view} of what is padded",
        )
        for view in (
            "Transpose<perm = [0, 1, 2, 3, 4]>(z1)",
            "Reshape(z1, as_is)",
            "Expand(z1, ones)",
            "z2 = Unsqueeze(z1, front); Squeeze(z2, front)",
        )
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS + ", float[1,1,1,1] sixth4 = {0.16666667}", a="Mul(c, sixth4)"),
        {"square": _band(1, 1)},
        "its result has other axes than what is normalized",
        id="a factor with more axes",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS + ", float[1,1,1,1] two4 = {2}", w="Add(a, two4)"),
        {"square": _band(1, 1)},
        "its result has other axes than what is normalized",
        id="a bias with more axes",
    ),
    pytest.param(
        chain(POOLED, IMAGE, NUMBERS, c="AveragePool<kernel_shape = [4, 1, 1]>(u)"),
        {},
        "",
        id="all channels in one window",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, c="AveragePool<kernel_shape = [6, 1, 1]>(p)"),
        {},
        "",
        id="all channels and the padding in one window",
    ),
    pytest.param(
        chain(
            BANDED,
            "g (float[N,4,1,5] x) => (float[N,4,3,5] y)",
            NUMBERS,
            c="Conv<pads = [1, 0, 1, 0]>(q, band)",
        ),
        {"band": _band(1, 1)},
        "",
        id="Conv with padding",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, d="d0 = Pow(w, beta); Mul(d0, two)"),
        {"square": _band(1, 1)},
        "",
        id="twice the power",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, d="d0 = Pow(w, beta); Add(d0, two)"),
        {"square": _band(1, 1)},
        "",
        id="two more than the power",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, y="d0 = Add(x, one); Div(d0, d)"),
        {"square": _band(1, 1)},
        "its result is scaled or shifted, which LocalResponseNorm's is not",
        id="of X + 1",
    ),
    # Pad
    pytest.param(chain(DEEP, IMAGE, NUMBERS, p="Pad(u, pads, one)"), {}, "", id="ones around"),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, p='Pad<mode = "edge">(u, pads)'), {}, "", id="the edge around"
    ),
    pytest.param(
        chain(
            DEEP,
            "g (float[N,4,3,5] x, float f) => (float[N,4,3,5] y)",
            NUMBERS,
            p="Pad(u, pads, f)",
        ),
        {},
        "",
        id="a number at run time around",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, u="r0 = Abs(x); Unsqueeze(r0, front)"),
        {},
        "",
        id="sizes and no squares",
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", int64[10] wide = {0, 0, 1, 1, 0, 0, 0, 1, 1, 0}",
            p="Pad(u, wide)",
            c="AveragePool<kernel_shape = [3, 3, 1]>(p)",
        ),
        {},
        "",
        id="a window of two axes",
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", int64[10] wide = {0, 0, 0, 1, 0, 0, 0, 0, 1, 0}",
            p="Pad(u, wide)",
            c="AveragePool<kernel_shape = [1, 3, 1]>(p)",
        ),
        {},
        "its window is not along the channels, axis 1",
        id="a window along another axis",
    ),
    pytest.param(
        chain(
            DEEP,
            IMAGE,
            NUMBERS + ", int64[10] cut = {0, 0, -1, 0, 0, 0, 0, 3, 0, 0}",
            p="Pad(u, cut)",
        ),
        {},
        "",
        id="cut and padded",
    ),
    pytest.param(
        chain(DEEP, IMAGE, NUMBERS, c="c0 = AveragePool<kernel_shape = [3, 1, 1]>(p); Relu(c0)"),
        {},
        "",
        id="Relu of a window",
    ),
    # AveragePool
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            c="AveragePool<kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0]>(u)",
        ),
        {},
        "",
        id="padding does not count",
    ),
    pytest.param(
        chain(
            POOLED,
            "g (float[N,4,3,5] x) => (float[N,5,3,5] y)",
            NUMBERS,
            t="Squeeze(c, front)",
            y="z2 = Identity(d); Neg(z2)",
            c="AveragePool<kernel_shape = [2, 1, 1], pads = [1, 0, 0, 1, 0, 0], count_include_pad = 1>(u)",
        ),
        {},
        "",
        id="one place more",
    ),
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            c="AveragePool<kernel_shape = [3, 3, 1], pads = [1, 1, 0, 1, 1, 0], count_include_pad = 1>(u)",
        ),
        {},
        "",
        id="a pool of two axes",
    ),
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            c="AveragePool<kernel_shape = [1, 3, 1], pads = [0, 1, 0, 0, 1, 0], count_include_pad = 1>(u)",
        ),
        {},
        "its window is not along the channels, axis 1",
        id="a pool of rows",
    ),
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            c='AveragePool<kernel_shape = [3, 1, 1], auto_pad = "SAME_UPPER", count_include_pad = 1>(u)',
        ),
        {},
        "",
        id="automatic padding",
    ),
    pytest.param(
        chain(
            POOLED,
            IMAGE,
            NUMBERS,
            c="MaxPool<kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0]>(u)",
        ),
        {},
        "",
        id="the largest of a window",
    ),
    pytest.param(
        chain(
            POOLED,
            "g (float[N,5,1,5] x) => (float[N,5,1,5] y)",
            NUMBERS,
            q="Mul(x, x)",
            c="AveragePool<kernel_shape = [1, 1, 3], strides = [1, 1, 2], pads = [0, 0, 3, 0, 0, 4], count_include_pad = 1>(u)",
        ),
        {},
        "",
        id="strides",
    ),
    pytest.param(
        chain(
            POOLED,
            "g (float[N,4,3,5] x) => (float[N,4,3,5] y)",
            NUMBERS,
            c="AveragePool<kernel_shape = [3, 1, 1], pads = [1, 0, 0, 1, 0, 0], count_include_pad = 1>(u)",
            a="a0 = Mul(t, half); Neg(a0)",
        ),
        {},
        "",
        id="minus a window",
    ),
    # Conv
    pytest.param(chain(TAPS, IMAGE, NUMBERS), {"taps": [1, 2, 1]}, "", id="weights that differ"),
    pytest.param(chain(TAPS, IMAGE, NUMBERS), {"taps": [-1, -1, -1]}, "", id="negative weights"),
    pytest.param(chain(TAPS, IMAGE, NUMBERS), {"taps": [0, 0, 0]}, "", id="weights of 0"),
    pytest.param(
        chain(
            TAPS,
            IMAGE,
            NUMBERS + ", float[1,1,3,3,1] cube2 = {1, 1, 1, 1, 1, 1, 1, 1, 1}",
            c="Conv<pads = [1, 1, 0, 1, 1, 0]>(u, cube2)",
        ),
        {},
        "",
        id="Conv along two axes",
    ),
    pytest.param(
        chain(TAPS, IMAGE, NUMBERS + ", float[1,1,1,1,1] point = {1}", c="Conv(u, point)"),
        {},
        "",
        id="Conv of one place",
    ),
    pytest.param(
        chain(TAPS, IMAGE, NUMBERS, c='Conv<auto_pad = "SAME_LOWER">(u, taps)'),
        {},
        "",
        id="Conv, automatic padding",
    ),
    pytest.param(
        chain(
            TAPS,
            IMAGE,
            NUMBERS,
            c="Conv<pads = [2, 0, 0, 2, 0, 0], dilations = [2, 1, 1]>(u, taps)",
        ),
        {},
        "",
        id="Conv with gaps",
    ),
    pytest.param(
        chain(TAPS, IMAGE, NUMBERS, c="Conv<pads = [2, 0, 0, 0, 0, 0]>(u, taps)"),
        {},
        "its window reaches 2 below and 0 above",
        id="two below",
    ),
    pytest.param(chain(BANDED, IMAGE, NUMBERS), {}, "", id="random numbers"),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS, c="Conv(q, band, other)"),
        {"band": _band(1, 1)},
        "",
        id="a bias for each channel",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS), {"band": _band(1, 1, value=-1)}, "", id="a negative band"
    ),
    pytest.param(chain(BANDED, IMAGE, NUMBERS), {"band": np.zeros((4, 4))}, "", id="no band"),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS), {"band": np.fliplr(_band(1, 1))}, "", id="the other diagonal"
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS),
        {"band": _band(1, 1) - np.diag([0, 1, 0, 0])},
        "",
        id="a band with a hole",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS),
        {"band": _band(1, 1) + np.diag([0, 1, 0, 0])},
        "",
        id="a band with another number",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS),
        {"band": _band(0, 2)},
        "its window reaches 0 below and 2 above",
        id="two above",
    ),
    pytest.param(
        chain(BANDED, IMAGE, NUMBERS),
        {"band": _band(2, 0)},
        "its window reaches 2 below and 0 above",
        id="two below in a band",
    ),
    pytest.param(
        chain(
            BANDED,
            IMAGE,
            NUMBERS + ", float[4,1,1,1] own = {1, 1, 1, 1}",
            c="Conv<group = 4>(q, own)",
        ),
        {},
        "",
        id="depthwise",
    ),
    pytest.param(
        chain(
            BANDED,
            "g (float[N,4,3,5] x, float[4] p) => (float[N,4,3,5] y)",
            NUMBERS,
            c="Conv(q, band, p)",
        ),
        {"band": _band(1, 1)},
        "",
        id="a bias at run time",
    ),
    pytest.param(
        chain(
            BANDED,
            "g (float[N,4,3,5] x, float[4,4,1,1] p) => (float[N,4,3,5] y)",
            NUMBERS,
            c="Conv(q, p)",
        ),
        {},
        "",
        id="weights at run time",
    ),
    pytest.param(chain(MULTIPLIED, IMAGE, NUMBERS), {}, "", id="MatMul with random numbers"),
    pytest.param(
        chain(
            MULTIPLIED,
            "g (float[N,4,3,5] x, float[4,4] p) => (float[N,4,3,5] y)",
            NUMBERS,
            c="MatMul(h, p)",
        ),
        {},
        "",
        id="MatMul at run time",
    ),
    pytest.param(
        chain(MULTIPLIED, IMAGE, NUMBERS + ", float[3,4,4] many", c="MatMul(h, many)"),
        {"many": np.stack([_band(1, 1)] * 3)},
        "",
        id="a matrix for each row",
    ),
    pytest.param(
        chain(
            MULTIPLIED,
            IMAGE,
            NUMBERS,
            h="n0 = Neg(x); m0 = Mul(x, n0); Transpose<perm = [0, 2, 3, 1]>(m0)",
            q="",
        ),
        {"square": _band(1, 1)},
        "",
        id="minus the squares",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, w="Sub(a, two)"),
        {"square": _band(1, 1)},
        "it is divided by what may be negative",
        id="a negative bias",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, y="z3 = Div(x, d); Mul(z3, two)"),
        {"square": _band(1, 1)},
        "LocalResponseNorm size=3 alpha=0.5 beta=0.75 bias=2 torch_window=0",
        id="scaled",
    ),
    pytest.param(
        chain(LEFT, ROWS, NUMBERS, y="z3 = Div(x, d); Max(z3, half)"),
        {"square": _band(1, 1)},
        "LocalResponseNorm size=3 alpha=0.5 beta=0.75 bias=2 torch_window=0",
        id="bounded",
    ),
    pytest.param(
        chain(LEFT, "g (float[N,5,4] x) => (float[N,5,4] y)", NUMBERS, c="MatMul(q, square)"),
        {"square": _band(1, 1)},
        "its window is not along the channels, axis 1",
        id="along the last axis",
    ),
    pytest.param(chain({"y": "LRN<size = 0>(x)"}, IMAGE), {}, "", id="LRN of nothing"),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="Add(n0, n2)", t="Add(t0, n1)"), {}, "", id="slices apart"
    ),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="Add(n0, n1)", t="Add(t0, n1)"), {}, "", id="one slice twice"
    ),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="Add(n0, n1)", t="Sub(t0, n2)"), {}, "", id="one slice less"
    ),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="h = Mul(n0, half); Add(h, n1)"), {}, "", id="half a slice"
    ),
    pytest.param(
        chain(SLICED, IMAGE, CUTS, t0="h = Add(n0, half); Add(h, n1)"),
        {},
        "",
        id="more than a slice",
    ),
    pytest.param(
        chain(
            SLICED,
            IMAGE,
            CUTS + ", int64[1] across = {2}, int64[8] wide = {0, 0, 1, 0, 0, 0, 2, 0}",
            p="Pad(q, wide)",
            **{
                name: f"Slice(p, {start}, {end}, across)"
                for name, start, end in (
                    ("n0", "i0", "j0"),
                    ("n1", "front", "j1"),
                    ("n2", "i2", "j2"),
                )
            },
        ),
        {},
        "its window is not along the channels, axis 1",
        id="slices along another axis",
    ),
    pytest.param(
        chain(
            {"m": "ReduceMean<axes = [1]>(x)", "y": "LRN<size = 3>(m)"},
            "g (float[N,4,3,5] x) => (float[N,1,3,5] y)",
        ),
        {},
        "",
        id="LRN of a mean",
    ),
]


@pytest.mark.parametrize(("text", "numbers", "expected"), REFUSED)
def test_refused(text: str, numbers: dict[str, Any], expected: str) -> None:
    """Another window, or one with other numbers in it."""
    assert described(text, **numbers) == expected
