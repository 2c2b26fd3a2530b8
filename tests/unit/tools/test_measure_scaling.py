"""The tool that tells how optimizing grows."""

from __future__ import annotations

import json
from pathlib import Path

from tools.measure_scaling import main


def test_nodes_and_weights_are_measured(tmp_path: Path) -> None:
    """Figures of each model, and an exponent between the first and the last."""
    where = tmp_path / "found.json"
    main(["--nodes", "100,300", "--json", str(where)])
    found = json.loads(where.read_text())
    assert 0 < found["nodes"]["exponent"] < 3
