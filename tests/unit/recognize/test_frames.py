"""Which part of the root each dimension of a view runs over, whatever is reshaped or unknown."""

from __future__ import annotations

import pytest

from normonnx.graph.lengths import Length, Unknown
from normonnx.recognize import frames
from normonnx.recognize.frames import Atom, Frame

N, H, W = Unknown(), Unknown(), Unknown()
BATCH, HEIGHT, WIDTH = Atom(0, 1, N), Atom(2, 1, H), Atom(3, 1, W)
WHOLE = frames.whole((N, 6, H, W))
GROUPS, INNER, CHANNELS = Atom(1, 3, 2), Atom(1, 1, 3), Atom(1, 1, 6)


def test_whole_has_no_digit_where_the_length_is_1() -> None:
    """A dimension of one element runs over nothing."""
    assert frames.whole((N, 1, 3)) == ((BATCH,), (), (Atom(2, 1, 3),))


RESHAPED: dict[str, tuple[tuple[Length, ...], Frame | None]] = {
    "channels into groups": ((N, 2, 3, H, W), ((BATCH,), (GROUPS,), (INNER,), (HEIGHT,), (WIDTH,))),
    "groups, the rest joined": ((N, 2, Unknown()), ((BATCH,), (GROUPS,), (INNER, HEIGHT, WIDTH))),
    "one group": ((N, 1, Unknown()), ((BATCH,), (), (CHANNELS, HEIGHT, WIDTH))),
    "the same": ((N, 6, H, W), WHOLE),
    "with a 1 in between": ((N, 1, 6, H, W), ((BATCH,), (), (CHANNELS,), (HEIGHT,), (WIDTH,))),
    "positions joined": ((N, 6, Unknown()), ((BATCH,), (CHANNELS,), (HEIGHT, WIDTH))),
    "no divisor of the channels": ((N, 4, Unknown()), None),
    "two lengths that nobody knows": ((Unknown(), 6, Unknown(), 5), None),
    "another order of unknown lengths": ((N, 6, W, H), None),
}


@pytest.mark.parametrize("name", RESHAPED)
def test_reshaped(name: str) -> None:
    """Digits follow the elements in order; where that is not certain, nothing is known."""
    after, expected = RESHAPED[name]
    assert frames.reshaped(WHOLE, (N, 6, H, W), after) == expected


@pytest.mark.parametrize("name", [name for name, (_, frame) in RESHAPED.items() if frame])
def test_reshaped_and_back(name: str) -> None:
    """The way back joins digits again."""
    after, frame = RESHAPED[name]
    assert frame is not None
    back = frames.reshaped(frame, after, (N, 6, H, W))
    assert back is not None
    assert frames.same(back, WHOLE)


def test_digits_of_a_transposed_view_are_not_joined_out_of_order() -> None:
    """(C/G, G) joined is a shuffle of channels and not the channels."""
    shuffled: Frame = ((BATCH,), (INNER,), (GROUPS,))
    joined = frames.reshaped(shuffled, (N, 3, 2), (N, 6))
    assert joined == ((BATCH,), (INNER, GROUPS))
    assert not frames.same(joined, ((BATCH,), (CHANNELS,)))


BROADCAST: dict[str, tuple[Frame, Frame, Frame | None]] = {
    "a mean over channels": (WHOLE, ((BATCH,), (), (HEIGHT,), (WIDTH,)), WHOLE),
    "from the right": (WHOLE, ((CHANNELS,), (), ()), WHOLE),
    "along another axis of equal length": (
        ((Atom(0, 1, 4),), (Atom(1, 1, 4),)),
        ((), (Atom(0, 1, 4),)),
        None,
    ),
    "joined and in digits": (((GROUPS, INNER),), ((CHANNELS,),), ((GROUPS, INNER),)),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_broadcast(name: str) -> None:
    """Only dimensions that run over the same meet; lengths don't count."""
    one, other, expected = BROADCAST[name]
    assert frames.broadcast(one, other) == expected
    found = frames.broadcast(other, one)
    assert (found is None) == (expected is None)


def test_sets_of_digits() -> None:
    """Digits are compared where they are cut alike."""
    assert frames.overlap([CHANNELS], [INNER])
    assert not frames.overlap([GROUPS], [INNER])
    assert frames.within([INNER], [CHANNELS])
    assert not frames.within([CHANNELS], [INNER])
    assert frames.joined(frozenset([GROUPS]), frozenset([INNER])) == {CHANNELS}
    assert frames.atoms_of(((GROUPS,), (INNER,), (HEIGHT,))) == {CHANNELS, HEIGHT}


def test_reduced() -> None:
    """A reduction empties a dimension or drops it."""
    assert frames.reduced(WHOLE, [1, 3], keep=True) == ((BATCH,), (), (HEIGHT,), ())
    assert frames.reduced(WHOLE, [1, 3], keep=False) == ((BATCH,), (HEIGHT,))
