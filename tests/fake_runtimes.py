"""Runtimes of a test's own making, put before the real ones on PYTHONPATH, which workers inherit."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_PACKAGE = """
import json, os, signal, time
from pathlib import Path
import numpy as np

__version__ = "1.99.0"
SAID = json.loads(Path(__file__).with_name("said.json").read_text())
{on_import}


def _keep(**found):
    path = Path(__file__).with_name("kept.json")
    kept = json.loads(path.read_text()) if path.exists() else {{}}
    path.write_text(json.dumps({{**kept, **found}}))


def get_available_providers():
    return SAID["available"]


def preload_dlls():
    _keep(preloaded=True, override=os.environ.get("NVIDIA_TF32_OVERRIDE"))


class GraphOptimizationLevel:
    ORT_DISABLE_ALL, ORT_ENABLE_BASIC, ORT_ENABLE_EXTENDED, ORT_ENABLE_ALL = 0, 1, 2, 99


class SessionOptions:
    def __init__(self):
        self.entries = {{}}

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


class _Of:
    def __init__(self, **fields):
        self.__dict__.update(fields)


class InferenceSession:
    def __init__(self, path, options, providers, enable_fallback):
        _keep(options=vars(options), providers=providers, fallback=enable_fallback)
        {on_load}

    def get_providers(self):
        return SAID["used"]

    def get_inputs(self):
        return [_Of(name="x", type="tensor(float)")]

    def get_outputs(self):
        return [_Of(name="y", type="tensor(float)")]

    def get_overridable_initializers(self):
        return []

    def get_provider_graph_assignment_info(self):
        return [
            _Of(ep_name=where, get_nodes=lambda name=name, kind=kind: [_Of(name=name, op_type=kind)])
            for name, kind, where in SAID["nodes"]
        ]

    def run(self, names, feeds):
        {on_run}
        return [-feeds["x"] * np.float32(SAID["scale"])]
"""


@dataclass(frozen=True, slots=True)
class FakeOrt:
    """An onnxruntime that computes y = -x * scale, and says what it is told to say.

    Attributes:
        folder: Where it lies.
    """

    folder: Path

    def says(  # what there is to say
        self,
        *,
        available: tuple[str, ...] = (CUDA, CPU),
        used: tuple[str, ...] = (CUDA, CPU),
        nodes: tuple[tuple[str, str, str], ...] = (("n", "Neg", CUDA),),
        scale: float = 1.0,
        on_import: str = "",
        on_load: str = "pass",
        on_run: str = "pass",
        after: str = "",
    ) -> None:
        """Write the package.

        Args:
            available: Providers that are installed.
            used: Those that a session really uses.
            nodes: Name, operator and provider of each node.
            scale: 1 computes rightly.
            on_import: Statement to run when it is imported.
            on_load: Statement to run when a session is made.
            on_run: Statement to run before each run.
            after: Statements at the end of the package, to change it.
        """
        package = self.folder / "onnxruntime"
        package.mkdir(exist_ok=True)
        source = _PACKAGE.format(on_import=on_import, on_load=on_load, on_run=on_run)
        (package / "__init__.py").write_text(f"{source}\n{after}\n")
        said = {"available": available, "used": used, "nodes": nodes, "scale": scale}
        (package / "said.json").write_text(json.dumps(said))

    @property
    def kept(self) -> Any:  # noqa: ANN401  # JSON can be anything
        """What it was called with."""
        return json.loads((self.folder / "onnxruntime" / "kept.json").read_text())


def put_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find modules in a folder before all others."""
    path = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))


def distribution(folder: Path, name: str, package: str) -> None:
    """Write the metadata of an installed distribution that provides a package."""
    place = folder / f"{name.replace('-', '_')}-1.99.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.99.0\n")
    (place / "top_level.txt").write_text(f"{package}\n")
