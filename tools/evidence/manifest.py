"""What was prepared: models, the inputs to draw for them, and digests of their float64 truths.

Inputs are drawn again from their seed and checked by SHA-256. Truths are computed again: their bits
depend on how a BLAS library adds up, so their digests are a few norms and 64 entries, and how far
those drift from one machine to another is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FILE: Final = "manifest.json"
_SCHEMA: Final = "normonnx-evidence-1"
_SAMPLES: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """A model whose truth is known.

    Attributes:
        name: Unique.
        network: Key of `models.NETWORKS`.
        precision: "float32" or "float16".
        file: Relative to the manifest.
        norms: Normalizations in it, by kind as `models.network` names them.
        shapes: Of the inputs.
        inputs: SHA-256 by case and input.
        truth: Digest by case and output.
        faults: Faults that fit, with how far each moves the truth, in noise floors.
    """

    name: str
    network: str
    precision: str
    file: str
    norms: Mapping[str, int]
    shapes: Mapping[str, list[int]]
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    truth: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    faults: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timed:
    """A model at full size without its weights, which are drawn where it is timed.

    Attributes:
        name: Unique.
        file: Relative to the manifest.
        shapes: Of the inputs.
    """

    name: str
    file: str
    shapes: Mapping[str, list[int]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that was prepared.

    Attributes:
        seed: Of inputs, perturbations and drawn weights.
        versions: Of what it was made with.
        models: To be judged and timed.
        timed: To be timed alone.
    """

    seed: int
    versions: Mapping[str, str]
    models: tuple[Entry, ...]
    timed: tuple[Timed, ...] = ()

    def entry(self, name: str) -> Entry:
        """The model of that name."""
        return next(one for one in self.models if one.name == name)


def write(manifest: Manifest, folder: Path) -> None:
    """Write it, as JSON."""
    text = json.dumps({"schema": _SCHEMA, **asdict(manifest)}, indent=1)
    (folder / FILE).write_text(text + "\n")


def read(folder: Path) -> Manifest:
    """Read it.

    Raises:
        FileNotFoundError: Nothing was prepared there.
        ValueError: It was prepared by another version.
    """
    found = json.loads((folder / FILE).read_text())
    if found.pop("schema") != _SCHEMA:
        message = f"{folder / FILE} was prepared by another version; prepare it again"
        raise ValueError(message)
    models = tuple(Entry(**one) for one in found.pop("models"))
    timed = tuple(Timed(**one) for one in found.pop("timed"))
    return Manifest(models=models, timed=timed, **found)


def digest_of(truth: Array) -> dict[str, Any]:
    """Shape, norms and up to 64 entries, evenly spaced; whole numbers are kept as they are."""
    numbers = np.asarray(truth, np.float64).reshape(-1)
    size = np.abs(numbers[np.isfinite(numbers)])
    return {
        "shape": list(truth.shape),
        "finite": int(size.size),
        "l1": float(size.sum()),
        "l2": float(np.sqrt(np.square(size).sum())),
        "max": float(size.max(initial=0.0)),
        "entries": [one if np.isfinite(one) else str(one) for one in _samples(numbers).tolist()],
    }


def drift(truth: Array, digest: Mapping[str, Any]) -> float:
    """How far a truth is from its digest: the largest difference relative to the largest entry.

    Infinity where shape or number of finite entries differ.
    """
    found = digest_of(truth)
    if found["shape"] != digest["shape"] or found["finite"] != digest["finite"]:
        return float("inf")
    top = digest["max"] or 1.0
    ours, theirs = (np.array([float(one) for one in d["entries"]]) for d in (found, digest))
    both = np.isfinite(ours) & np.isfinite(theirs)
    parts = [float(np.max(np.abs(ours[both] - theirs[both]), initial=0.0)) / top]
    parts += [abs(found[name] - digest[name]) / (digest[name] or 1.0) for name in ("l1", "l2")]
    return max(parts)


def _samples(numbers: Array) -> Array:
    if numbers.size <= _SAMPLES:
        return numbers
    where = np.linspace(0, numbers.size - 1, _SAMPLES).astype(np.int64)
    return np.asarray(numbers[where])
