"""`normonnx list`."""

from __future__ import annotations

import pytest

from tests.cli.running import Cli


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("norms", "BatchNorm"),
        ("passes", "fold-affine"),
        ("targets", "portable"),
        ("backends", "ort:cpu"),
    ],
)
def test_it_lists_names_with_what_they_mean(cli: Cli, what: str, name: str) -> None:
    """Each name has a row, and the same entry in JSON."""
    ran = cli("list", what)
    assert (ran.code, ran.err) == (0, "")
    assert any(row.split(None, 1)[0] == name for row in ran.out.splitlines())
    found = cli("list", what, "--json", "-").json
    assert (found["schema"], found["what"]) == ("normonnx.list/1", what)
    assert all(entry["name"] and entry["description"] for entry in found["entries"])
    assert name in [entry["name"] for entry in found["entries"]]
