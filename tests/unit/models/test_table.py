"""The table of networks: names without torch, builders on demand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import models

_ROOT = Path(models.__file__).parent


def test_naming_networks_loads_no_torch() -> None:
    """`list(models.NETWORKS)` works, and stays quick, where torch is not installed."""
    code = (
        "import sys, models; assert len(list(models.NETWORKS)) > 4; print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT.parent, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_an_unknown_network_is_a_key_error() -> None:
    """The table behaves as any mapping does."""
    assert "nosuchnet" not in models.NETWORKS
    with pytest.raises(KeyError, match="nosuchnet"):
        models.NETWORKS["nosuchnet"]


@pytest.mark.parametrize("name", models.NETWORKS)
def test_every_row_has_its_file(name: str) -> None:
    """Each network lies in a file of models/ that says where its topology comes from."""
    module = models.NETWORKS._modules[name]  # type: ignore[attr-defined]
    file = _ROOT / f"{module.removeprefix('models.').partition(':')[0]}.py"
    assert "arXiv:" in file.read_text(encoding="utf-8")
