"""What every stage works on: prepared models with their truths, computed once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.graph import files
from normonnx.validation.bundles import digest
from normonnx.validation.judge import judging
from normonnx.validation.truths import Settings, Truth, truths_of
from tools.evidence import manifest
from tools.evidence.manifest import Entry, Manifest

_KEPT: Final = 3  # models whose truths are kept in memory


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A prepared model.

    Attributes:
        entry: What the manifest says of it.
        path: Its file.
        model: The same, loaded.
        truths: What is expected on each case.
        drift: How far they are from those of the machine that prepared it; see `manifest.drift`.
    """

    entry: Entry
    path: Path
    model: ir.Model
    truths: tuple[Truth, ...]
    drift: float

    @property
    def proto(self) -> onnx.ModelProto:
        """A fresh copy of the model, as the onnx package reads it."""
        return onnx.load(self.path)


@dataclass(slots=True)
class Context:
    """Where a worker works.

    Attributes:
        models: Folder that was prepared.
        backend: What to run models on.
        scratch: Folder for temporary files.
        bundles: Folder that new bundles are handed over in.
        manifest: What was prepared.
    """

    models: Path
    backend: str
    scratch: Path
    bundles: Path
    manifest: Manifest
    _subjects: dict[str, Subject] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """How outputs are judged: the calibrated factor."""
        return judging(self.manifest.seed, None, kernels=True)

    def subject(self, name: str) -> Subject:
        """A prepared model with its truths.

        Raises:
            ValueError: Other inputs are drawn here than where it was prepared.
        """
        if name not in self._subjects:
            while len(self._subjects) >= _KEPT:
                del self._subjects[next(iter(self._subjects))]
            entry = self.manifest.entry(name)
            self._subjects[name] = known(entry, self.models / entry.file, self.settings)
        return self._subjects[name]


def known(entry: Entry, path: Path, settings: Settings) -> Subject:
    """Compute the truths of a model and compare them with their digests.

    Raises:
        ValueError: Other inputs are drawn here than where it was prepared.
    """
    model = files.load(path)
    truths = tuple(truths_of(model, None, entry.shapes, settings))
    apart = [0.0]
    for truth in truths:
        expected = entry.inputs.get(truth.case.name)
        if expected is not None and expected != hashes_of(truth.case.feeds):
            message = f"other inputs are drawn here than were prepared for {entry.name}"
            raise ValueError(message)
        digests = entry.truth.get(truth.case.name, {})
        apart += [
            manifest.drift(truth.outputs[name], digests[name])
            for name in digests
            if isinstance(truth.outputs.get(name), np.ndarray)
        ]
    return Subject(entry, path, model, truths, max(apart))


def hashes_of(feeds: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of inputs by name."""
    return {name: digest(array) for name, array in feeds.items()}
