"""What runs only with `--exhaustive` is still there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import EXHAUSTIVE

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("pattern", EXHAUSTIVE)
def test_a_pattern_names_a_test(pattern: str) -> None:
    """One that was renamed would run in every run, and nobody would know why it takes long."""
    place = re.match(r"\w+", pattern)
    assert place is not None
    files = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    names = {path.stem for path in files}
    defined = {
        found
        for path in files
        for found in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert any(place[0] in each for each in names | defined)
