"""Resize, Upsample and Pad."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

UP = "g (float[N,3,5,4] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4, {}> {{ c = Conv(x, w) r = {} [bn] y = BN(r) }}"
SCALES = "float[4] k = {1, 1, 2, 2}"
SIZES = "int64[4] k = {2, 4, 7, 9}"
RESIZED = [
    (SCALES, 'Resize<mode="nearest">(c, "", k)', 13),
    (SCALES, 'Resize<mode="linear", coordinate_transformation_mode="align_corners">(c, "", k)', 13),
    (SCALES, 'Resize<mode="cubic">(c, "", k)', 13),
    (SCALES, 'Resize<mode="cubic", exclude_outside=1>(c, "", k)', 13),
    (SIZES, 'Resize<mode="linear">(c, "", "", k)', 13),
    (SIZES, 'Resize<mode="linear", antialias=1>(c, "", "", k)', 18),
    ("int64[2] k = {7, 9}", 'Resize<mode="linear", axes=[2,3]>(c, "", "", k)', 18),
    (SCALES, "Upsample(c, k)", 9),
    (SCALES, "Resize(c, k)", 10),
]


@pytest.mark.parametrize(("declared", "node", "opset"), RESIZED)
def test_resizing_carries(declared: str, node: str, opset: int) -> None:
    """Weighted means of the input, whose weights sum to 1."""
    found = rewritten(UP.format(declared, node), opset=opset, compare=opset > 10)
    assert found.ops.split() == ["Conv", node.split("<", maxsplit=1)[0].split("(", maxsplit=1)[0]]


@pytest.mark.parametrize(
    ("scales", "folds"), [("1.0,1.0,2.0,2.0", True), ("1.0,2.0,1.0,1.0", False)]
)
def test_scales_of_older_opsets(scales: str, folds: bool) -> None:  # noqa: FBT001
    """Before opset 9 they are an attribute of Upsample."""
    text = UP.format("", f"Upsample<scales=[{scales}]>(c)").replace(", >", ">")
    found = rewritten(text if folds else text.replace("NORM4", "NORM8"), opset=8, compare=False)
    assert found.report.modified == folds


def test_sizes_computed_from_the_shape() -> None:
    """Batch and channels of the sizes are those of the input, whatever they are."""
    found = rewritten(
        """g (float[N,3,H,W] x) => (float[N,a,b,c] y)
        <float[4,3,1,1] w, NORM4, int64[1] zero = {0}, int64[1] two = {2}, int64[2] k = {7, 9}> {
            c = Conv(x, w) s = Shape(c) e = Slice(s, zero, two) t = Concat<axis = 0>(e, k)
            r = Resize<mode = "linear">(c, "", "", t) y = BN(r) }""",
        opset=13,
    )
    assert "BatchNormalization" not in found.ops


def test_resizing_carries_down() -> None:
    """An affine moves past Resize into a Conv."""
    found = rewritten(
        """g (float[N,4,5,4] x) => (float[N,a,b,c] y) <float[2,4,2,2] w, NORM4, float[4] k = {1, 1, 2, 2}> {
            n = BN(x) r = Resize<mode = "nearest">(n, "", k) y = Conv(r, w) }""",
        opset=13,
    )
    assert found.ops == "Resize Conv"


@pytest.mark.parametrize(
    ("declared", "node", "words"),
    [
        ("float[4] k = {1, 2, 1, 1}", 'Resize<mode="nearest">(c, "", k)', "which it may resize"),
        (
            SCALES + ", float[8] roi = {0, 0, 0, 0, 1, 1, 1.5, 1.5}",
            'Resize<mode="linear", coordinate_transformation_mode="tf_crop_and_resize">(c, roi, k)',
            "it fills in a value",
        ),
        (
            SIZES,
            'Resize<mode="linear", keep_aspect_ratio_policy="not_larger">(c, "", "", k)',
            "keep_aspect_ratio_policy",
        ),
    ],
)
def test_resizing_refuses(declared: str, node: str, words: str) -> None:
    """Along the channels, or where a value is filled in that would get no shift."""
    text = UP.format(declared, node)
    if "{1, 2," in declared:
        text = text.replace("NORM4", "NORM8")
    found = rewritten(text, opset=18 if "keep" in node else 13, compare=False)
    assert words in found.refused["bn"]


@pytest.mark.parametrize("node", ['Resize(c, "", k)', 'Resize(c, "", "", k)'])
def test_scales_given_at_run_time_refuse(node: str) -> None:
    """Channels might be resized."""
    kind = "int64[4] k" if '"", "", k' in node else "float[4] k"
    text = UP.format("", node).replace(", >", ">").replace(" x)", f" x, {kind})")
    found = rewritten(text, opset=13, compare=False)
    assert "which it may resize" in found.refused["bn"]


PADS = "int64[8] p = {0, 0, 1, 2, 0, 0, 1, 0}"
PADDED = [
    pytest.param(UP.format(PADS, 'Pad<mode="reflect">(c, p)'), "Conv Pad", id="reflect"),
    pytest.param(UP.format(PADS, 'Pad<mode="edge">(c, p)'), "Conv Pad", id="edge"),
    pytest.param(
        UP.format(PADS, "Pad(c, p)").replace("NORM4", "float[4,1,1] k").replace("BN(r)", "Mul(r, k)"),
        "Conv Pad",
        id="zero stays zero under a scale",
    ),
    pytest.param(
        UP.format(PADS + ", float v = {0.5}", "Pad(c, p, v)").replace("NORM4", "float k").replace("BN(r)", "Sub(k, r)"),
        "Conv Pad",
        id="the constant follows a uniform affine",
    ),
    pytest.param(
        UP.format("int64[8] p = {0, 1, 0, 0, 0, 1, 0, 0}", "Pad(c, p)").replace("NORM4", "NORM6"),
        None,
        id="channels padded: another constant for each",
    ),
    pytest.param(
        UP.format("int64[8] p = {0, 1, 0, 0, 0, 1, 0, 0}", "Pad(c, p)")
        .replace("NORM4", "float[6,1,1] k")
        .replace("BN(r)", "Mul(r, k)"),
        "Conv Pad",
        id="channels padded with zeros, which stay zero",
    ),
    pytest.param(
        UP.format("int64[8] p = {0, 1, 0, 0, 0, 0, 0, 0}", "Pad(c, p)")
        .replace("NORM4", "float[5,1,1] k")
        .replace("BN(r)", "Mul(r, k)"),
        "Conv Pad",
        id="one channel more, before the others",
    ),
    pytest.param(
        UP.format("int64[8] p = {0, 0, 0, 0, 0, 1, 0, 0}", "Pad(c, p)")
        .replace("NORM4", "float[5,1,1] k")
        .replace("BN(r)", "Mul(r, k)"),
        "Conv Pad",
        id="one channel more, behind the others",
    ),
    pytest.param(
        """g (float[N,3,5,4] x) => (float[N,6,20] y) <float[4,3,1,1] w, int64[4] f = {0, 2, 2, -1}, int64[3] t = {0, 6, -1},
            int64[8] p = {0, 0, 0, 0, 0, 1, 0, 0}, float v = {0.5}, float[6,1] k = {1, 2, 3, 4, 5, 5}> {
            c = Conv(x, w) g = Reshape(c, f) q = Pad(g, p, v) r = Reshape(q, t) y = Mul(r, k) }""",
        "Conv Reshape Pad Reshape",
        id="groups of channels padded at the end, where they share one factor",
    ),
    pytest.param(
        """g (float[N,3,5,4] x) => (float[N,6,20] y) <float[4,3,1,1] w, int64[4] f = {0, 2, 2, -1}, int64[3] t = {0, 6, -1},
            int64[8] p = {0, 0, 1, 0, 0, 0, 0, 0}, float v = {0.5}, float[6,1] k = {5, 1, 2, 5, 3, 4}> {
            c = Conv(x, w) g = Reshape(c, f) q = Pad(g, p, v) r = Reshape(q, t) y = Mul(r, k) }""",
        "Conv Reshape Pad Reshape",
        id="groups padded within at the start, where they share one factor",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ops"), PADDED)
def test_padding_carries_up(text: str, ops: str | None) -> None:
    """Repeated entries are scaled like the others; a constant must be able to follow."""
    found = rewritten(text, opset=13)
    if ops is None:
        assert "would have to differ from channel to channel" in found.refused["bn"]
    else:
        assert found.ops == ops


@pytest.mark.parametrize(("value", "name"), [("", "pad_value"), (", v", "v")])
def test_the_name_of_the_constant(value: str, name: str) -> None:
    """It keeps its own; one that comes is called what it is."""
    text = UP.format(PADS + ", float k" + (", float v" if value else ""), f"Pad(c, p{value})")
    found = rewritten(text.replace("NORM4, ", "").replace("BN(r)", "Add(r, k)"), opset=13)
    assert found.ops == "Conv Pad"
    assert found.weight(name) != 0


def test_cuts_carry() -> None:
    """Negative widths along other axes pad with nothing."""
    cut = UP.format("int64[8] p = {0, 0, -1, 0, 0, 0, 0, -1}", "Pad(c, p)")
    assert rewritten(cut, opset=13, compare=False).ops == "Conv Pad"


def test_a_cut_at_one_end_does_not_make_up_for_the_other() -> None:
    """Rows that move by one are padded at one end all the same."""
    moved = UP.format("int64[8] p = {0, 0, 1, 0, 0, 0, -1, 0}", "Pad(c, p)")
    found = rewritten(moved, opset=13, compare=False)
    assert not found.report.modified
    assert "would have to differ from channel to channel" in found.refused["bn"]


UNKNOWN_VALUE = [
    UP.format(PADS + ", float[2] v = {1, 1}", "Pad(c, p, v)"),
    UP.format(PADS, "Pad(c, p, v)").replace(" x)", " x, float v)"),
    UP.format(PADS + ", float v = {inf}", "Pad(c, p, v)"),
    """g (float[N,4,5,4] x, float v) => (float[N,a,b,c] y) <float[2,4,1,1] w, NORM4, int64[8] p = {0, 0, 1, 2, 0, 0, 1, 0}> {
        [bn] n = BN(x) r = Pad(n, p, v) y = Conv(r, w) }""",
]


@pytest.mark.parametrize("text", UNKNOWN_VALUE)
def test_an_unknown_value_can_not_follow(text: str) -> None:
    """It is given at run time, or is none that could be scaled."""
    found = rewritten(text, opset=13, compare=False)
    assert "Pad: the value it pads with is not a known, finite constant" in found.refused["bn"]


def test_padding_of_older_opsets() -> None:
    """Before opset 11 widths and constant are attributes, and the constant follows there."""
    text = UP.format("float k", "Pad<pads=[0,0,1,2,0,0,1,0], value=0.5>(c)").replace("NORM4, ", "")
    found = rewritten(text.replace("BN(r)", "Add(r, k)"), opset=9)
    assert found.ops == "Conv Pad"
    assert found.attributes("Pad")["value"] != 0.5


DOWN = "g (float[N,4,5,4] x) => (float[N,a,b,c] y) <float[2,{},1,1] w, {}, {}> {{ [bn] n = {} r = {} y = Conv(r, w) }}"
PADDED_DOWN = [
    pytest.param(DOWN.format(4, "NORM4", PADS, "BN(x)", 'Pad<mode="reflect">(n, p)'), "Pad Conv", id="reflect"),
    pytest.param(DOWN.format(4, "float[4,1,1] k", PADS, "Mul(x, k)", "Pad(n, p)"), "Pad Conv", id="zero"),
    pytest.param(DOWN.format(4, "float k", PADS, "Add(x, k)", "Pad(n, p)"), "Pad Conv", id="follows"),
    pytest.param(
        DOWN.format(8, "NORM4", "int64[8] p = {0, 4, 0, 0, 0, 0, 0, 0}", "BN(x)", "Pad(n, p)"),
        "Pad Conv",
        id="padded channels get no affine",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ops"), PADDED_DOWN)
def test_padding_carries_down(text: str, ops: str) -> None:
    """Padded before the affine with what the affine makes the constant of."""
    assert rewritten(text, opset=13).ops == ops


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DOWN.format(4, "NORM4", PADS, "BN(x)", "Pad(n, p)"),
            "would have to differ from channel to channel",
        ),
        (
            DOWN.format(4, "float[4,1,1] k = {1, 0, 1, 1}", PADS + ", float v = {1}", "Mul(x, k)", "Pad(n, p, v)"),
            "no constant becomes its own under a scale of zero",
        ),
        (
            DOWN.format(6, "NORM4", "int64[8] p = {0, 1, 0, 0, 0, 1, 0, 0}", "BN(x)", 'Pad<mode="edge">(n, p)'),
            "it cuts or repeats along axes (1,)",
        ),
    ],
)  # fmt: skip
def test_padding_refuses_down(text: str, words: str) -> None:
    """No single constant would do."""
    assert words in rewritten(text, opset=13).refused["bn"]


@pytest.mark.parametrize("widths", ["{0, -1, 0, 0, 0, 0, 0, 0}", "{0, 0, 0, 0, 0, -1, 0, 0}"])
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_channels_that_are_cut_refuse(widths: str, mode: str) -> None:
    """Negative widths take channels away."""
    node = f'Pad<mode="{mode}">(c, p)'
    text = UP.format(f"int64[8] p = {widths}", node).replace("NORM4", "NORM3")
    found = rewritten(text, opset=13)
    assert "it cuts or repeats along axes (1,)" in found.refused["bn"]


@pytest.mark.parametrize("widths", ["{0, 1, 0, 0, 0, 0, 0, 0}", "{0, 0, 0, 0, 0, 1, 0, 0}"])
def test_channels_that_are_repeated_refuse(widths: str) -> None:
    """The first and the second would have to be one channel."""
    text = UP.format(f"int64[8] p = {widths}", 'Pad<mode="edge">(c, p)')
    found = rewritten(text.replace("NORM4", "NORM5"), opset=13)
    assert "it cuts or repeats along axes (1,)" in found.refused["bn"]


def test_padding_by_widths_given_at_run_time_refuses() -> None:
    """Where it pads must be known."""
    found = rewritten(
        """g (float[N,3,5,4] x, int64[8] p) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) r = Pad<mode = "edge">(c, p) [bn] y = BN(r) }""",
        opset=13,
    )
    assert "Pad: where it pads is computed at run time" in found.refused["bn"]
