"""Numbers and names as people read them."""

from __future__ import annotations

import pytest

from normonnx.reporting.figures import count, listed, multiple, printable, size


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (97_800_000, "97.8 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_147_483_648, "2.1 GB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_have_one_decimal_and_never_four_digits_before_it(nbytes: int, expected: str) -> None:
    """A size changes its unit before it would need a fourth digit, rounding included."""
    assert size(nbytes) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (0.00123, "1.2e-03"),
        (0.9, "0.9"),
        (4.04, "4.0"),
        (41.6, "42"),
        (1004.0, "1,004"),
        (1_600_000.0, "1.6e+06"),
    ],
)
def test_multiples_keep_two_digits(value: float, expected: str) -> None:
    """Errors are shown with the digits that mean something, and NaN as a dash."""
    assert multiple(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layer1.0/bn[weight]", "layer1.0/bn[weight]"),
        ("é中", "é中"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\r\nb", "a\\r\\nb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\udc80b", "a\\udc80b"),
    ],
)
def test_names_from_files_cannot_drive_the_terminal(text: str, expected: str) -> None:
    """Escape sequences, line breaks and direction marks are spelled out; letters stay."""
    assert printable(text) == expected


def test_counts_agree_with_their_noun() -> None:
    """One node, but two nodes."""
    assert (count(1, "node"), count(2, "node"), count(0, "node")) == (
        "1 node",
        "2 nodes",
        "0 nodes",
    )


def test_long_lists_are_cut_and_say_by_how_much() -> None:
    """The first names are shown, the rest is counted."""
    assert listed(("a", "b", "c", "d"), most=2) == "a, b and 2 more"
    assert listed(("a", "b"), most=2) == "a, b"
