"""Windows of convolutions: what they read, and what holds two of them."""

from __future__ import annotations

import itertools

import onnx
import onnx_ir as ir
import pytest

from normonnx.fold.plan import Refusal, SetAttribute
from normonnx.fold.window import Taps, attribute_edits, joined, size, window_of


def _conv(attributes: str = "") -> ir.Node:
    text = f"""<ir_version: 8, opset_import: ["": 17]> g (float[1,1,9,9] x, float[1,1,3,3] w)
        => (float[a,b,c,d] y) {{ y = Conv{attributes}(x, w) }}"""
    return next(iter(ir.from_proto(onnx.parser.parse_model(text)).graph))


def _places(taps: Taps, output: int) -> list[int]:
    return [output * taps.stride + taps.start + tap * taps.step for tap in range(taps.count)]


def _joined(one: Taps, other: Taps) -> Taps:
    found = joined((one,), (other,))
    assert not isinstance(found, Refusal)
    return found[0]


READ = [
    pytest.param("", (3, 1), [(0, 1, 3, 1, -2), (0, 1, 1, 1, 0)], id="nothing given"),
    pytest.param(
        "<pads=[1,0,2,0], strides=[2,3], dilations=[2,5]>",
        (3, 1),
        [(-1, 2, 3, 2, -1), (0, 1, 1, 3, 0)],
        id="everything given",
    ),
    pytest.param('<auto_pad="SAME_UPPER">', (4, 3), [(-1, 1, 4, 1, 0), (-1, 1, 3, 1, 0)], id="up"),
    pytest.param('<auto_pad="SAME_LOWER">', (4, 3), [(-2, 1, 4, 1, 0), (-1, 1, 3, 1, 0)], id="low"),
    pytest.param('<auto_pad="VALID">', (2, 2), [(0, 1, 2, 1, -1), (0, 1, 2, 1, -1)], id="valid"),
    pytest.param(
        '<auto_pad="SAME_UPPER", strides=[2,2]>',
        (1, 1),
        [(0, 1, 1, 2, 0), (0, 1, 1, 2, 0)],
        id="SAME with stride around one tap",
    ),
]


@pytest.mark.parametrize(("attributes", "kernel", "expected"), READ)
def test_windows_are_read(
    attributes: str, kernel: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    """Start, step, count, stride and excess by axis."""
    assert window_of(_conv(attributes), kernel) == tuple(Taps(*taps) for taps in expected)


def test_pads_are_given_back() -> None:
    """From pads to a window and back."""
    window = window_of(_conv("<pads=[1,2,3,0], dilations=[2,1]>"), (3, 2))
    assert not isinstance(window, Refusal)
    assert [taps.pads for taps in window] == [(1, 3), (2, 0)]
    assert [taps.is_padded for taps in window] == [True, True]
    assert size(window) == 6


@pytest.mark.parametrize(("start", "other"), list(itertools.product(range(-3, 1), range(-3, 1))))
@pytest.mark.parametrize(("step", "other_step"), [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_a_joined_window_reads_what_both_read(
    start: int, other: int, step: int, other_step: int
) -> None:
    """The taps of each lie in the window where `within` says, and the ends are one of theirs."""
    one = Taps(start, step, 3, 2, 0)
    two = Taps(other, other_step, 2, 2, 0)
    found = _joined(one, two)
    for taps in (one, two):
        assert _places(found, 3)[taps.within(found)] == _places(taps, 3)
    assert (found.start, found.last) == (min(start, other), max(one.last, two.last))
    assert (found.stride, found.excess) == (2, 0)


@pytest.mark.parametrize("distance", range(4))
def test_single_taps(distance: int) -> None:
    """Two single taps make a window of two, as far apart as they lie, or one."""
    one, two = Taps(0, 1, 1, 1, 0), Taps(-distance, 1, 1, 1, 0)
    found = _joined(one, two)
    assert (found.count, found.step) == ((2, distance) if distance else (1, 1))
    assert _places(found, 0)[two.within(found)] == [-distance]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Taps(0, 1, 1, 2, 0), "their strides differ (1 and 2)"),
        (Taps(-1, 1, 1, 1, 1), "(pads (0, 0) for 1 taps, (1, 0) for 1)"),
    ],
)
def test_windows_that_do_not_line_up(other: Taps, words: str) -> None:
    """Other strides, or another number of outputs."""
    found = joined((Taps(0, 1, 1, 1, 0),), (other,))
    assert isinstance(found, Refusal)
    assert words in found.reason


def _edits(attributes: str, kernel: tuple[int, int], group: int = 1) -> dict[str, object]:
    node = _conv(attributes)
    window = window_of(node, kernel)
    assert not isinstance(window, Refusal)
    edits = attribute_edits(node, window, group)
    found: dict[str, object] = {}
    for edit in edits:
        assert isinstance(edit, SetAttribute)
        found[edit.name] = edit.value
    return found


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", {}),
        ("<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,1], group=1>", {}),
        ('<auto_pad="NOTSET", pads=[1,0,0,1]>', {}),
        ('<auto_pad="SAME_UPPER">', {"auto_pad": None, "pads": (1, 1, 1, 1)}),
        ('<auto_pad="VALID">', {"auto_pad": None}),
    ],
)
def test_only_what_changes_is_edited(attributes: str, expected: dict[str, object]) -> None:
    """A window's own Conv needs no other attributes than explicit pads."""
    assert _edits(attributes, (3, 3)) == expected


def test_everything_may_change() -> None:
    """Kernel, dilations, pads, strides and group."""
    node = _conv("<kernel_shape=[3,3], group=2>")
    window = (Taps(-2, 2, 2, 3, 0), Taps(0, 1, 1, 1, 0))
    edits = attribute_edits(node, window, 1)
    assert {e.name: e.value for e in edits if isinstance(e, SetAttribute)} == {
        "kernel_shape": (2, 1),
        "strides": (3, 1),
        "dilations": (2, 1),
        "pads": (2, 0, 0, 0),
        "group": 1,
    }
