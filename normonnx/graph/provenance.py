"""Where a model came from: digests of its source's files, what made it, and how it was judged.

It says nothing about when, where and under which names, so that the same work gives the same bytes.
It stands in the model's metadata, or in a file beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from normonnx.core.version import VERSION
from normonnx.graph.reading import files_of

KEY: Final = "normonnx.provenance"  # in a model's metadata
SCHEMA: Final = "normonnx.provenance/1"


@dataclass(frozen=True, slots=True)
class Digest:
    """The bytes of a file.

    Attributes:
        sha256: In hexadecimal, as `sha256sum` prints it.
        nbytes: Its size.
    """

    sha256: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a model came about.

    Attributes:
        source: The model file that it was made from.
        weights: The external data files of that, in the order of their names.
        verb: What made it.
        options: With what options.
        verdict: How it was judged against its source; None where it was not.
        normonnx: The version that made it.
    """

    source: Digest
    weights: tuple[Digest, ...]
    verb: str
    options: Mapping[str, Any]
    verdict: str | None
    normonnx: str = VERSION

    @property
    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "schema": SCHEMA,
            "normonnx": self.normonnx,
            "source": {"sha256": self.source.sha256, "bytes": self.source.nbytes},
            "weights": [{"sha256": one.sha256, "bytes": one.nbytes} for one in self.weights],
            "verb": self.verb,
            "options": dict(self.options),
            "verdict": self.verdict,
        }


def digest(path: Path) -> Digest:
    """The digest of a file.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return Digest(found, path.stat().st_size)


def of_files(path: Path) -> tuple[Digest, tuple[Digest, ...]]:
    """Digests of a model file and of its external data.

    Raises:
        UsageError: There is no such file, or it can't be read.
        OSError: A file can't be read.
    """
    model, *weights = files_of(path)
    return digest(model), tuple(digest(one) for one in weights)


def put(model: ir.Model, found: Provenance, *, changed: bool) -> None:
    """Write it into a model's metadata.

    A model that was not changed keeps what it says of itself, if that was made in the same way: a
    second run changes nothing.

    Args:
        model: Is changed.
        found: What to write.
        changed: Whether the model is another than its source.
    """
    if not changed and _made_alike(model.metadata_props.get(KEY), found):
        return
    text = json.dumps(found.document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    model.metadata_props[KEY] = text


def _made_alike(text: str | None, found: Provenance) -> bool:
    try:
        before = json.loads(text or "")
    except ValueError:
        return False
    if not isinstance(before, dict):
        return False
    now = found.document
    return all(before.get(key) == now[key] for key in now.keys() - {"source", "weights"})
