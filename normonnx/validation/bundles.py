"""Golden bundles: one file that holds what a backend computed, to be judged on another machine.

A bundle is a zip archive. `manifest.json` (compressed) says what ran: model, backend, settings,
versions, device, where each node ran, the inputs and outputs of each case, and how they were judged
there. Tensors are members of their own, raw bytes in C order, not compressed, so a bundle is hardly
larger than they are. The manifest has the SHA-256 of every tensor, the archive's comment that of
the manifest: damage, truncation and edits by hand are found before anything is believed.

A bundle of digests holds no tensors, only their SHA-256 and a few figures of each: a few kilobytes
that can be committed, enough to tell whether another run gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import ml_dtypes  # noqa: F401  # numpy learns bfloat16 and its like by name
import numpy as np

from normonnx.core.dtypes import is_float
from normonnx.core.errors import UsageError
from normonnx.core.files import replacing
from normonnx.runtime.exchange import Array

SCHEMA: Final = "normonnx.bundle/1"
_SEAL: Final = b"normonnx.bundle sha256="
_MANIFEST: Final = "manifest.json"
_MODEL: Final = "model/"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # zip's own; bundles of the same content are the same bytes
_LARGEST_MANIFEST: Final = 1 << 28  # bytes; no run has that much to say


@dataclass(frozen=True, slots=True, eq=False)
class RecordedCase:
    """One run.

    Attributes:
        name: Name of the inputs, for example "random".
        inputs: Arrays by input name; without tensors in a bundle of digests, None.
        outputs: What the backend answered, by output name; None where it was no tensor.
        digests: SHA-256 of each tensor, by ("inputs" or "outputs", name).
        draws: Number of perturbed evaluations that the noise floor was taken from.
    """

    name: str
    inputs: Mapping[str, Any] | None
    outputs: Mapping[str, Any] | None
    digests: Mapping[tuple[str, str], str]
    draws: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """What was recorded.

    Attributes:
        facts: What stands in the manifest besides cases: model, backend, machine, settings,
            comparisons. Plain JSON.
        cases: The runs.
        model: The model's files by name, where they are in the bundle.
    """

    facts: Mapping[str, Any]
    cases: Sequence[RecordedCase]
    model: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def has_tensors(self) -> bool:
        """Whether it holds the tensors themselves, not only their digests."""
        return all(case.inputs is not None and case.outputs is not None for case in self.cases)


def digest(array: Any) -> str:  # noqa: ANN401  # an array, or None
    """SHA-256 of an array: its type, its shape and its bytes."""
    if array is None:
        return ""
    found = hashlib.sha256(f"{_type_name(array)} {list(np.shape(array))} ".encode())
    found.update(_raw(array))
    return found.hexdigest()


def write(bundle: Bundle, path: Path, *, tensors: bool) -> None:
    """Write a bundle, whole or not at all.

    Args:
        bundle: What to write; its cases hold their tensors.
        path: The file; one that exists is replaced.
        tensors: Whether to keep the tensors, or their digests alone.

    Raises:
        UsageError: The file can't be written.
    """
    try:
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            cases = [_written(archive, case, tensors=tensors) for case in bundle.cases]
            files = {name: hashlib.sha256(raw).hexdigest() for name, raw in bundle.model.items()}
            for name, raw in bundle.model.items():
                _add(archive, _MODEL + name, raw, zipfile.ZIP_DEFLATED)
            facts = {"schema": SCHEMA, **bundle.facts, "cases": cases, "model_files": files}
            text = json.dumps(facts, allow_nan=False, sort_keys=True).encode()
            _add(archive, _MANIFEST, text, zipfile.ZIP_DEFLATED)
            archive.comment = _SEAL + hashlib.sha256(text).hexdigest().encode()
    except OSError as error:
        message = f"can't write {path}: {error.strerror or error}; nothing was changed"
        raise UsageError(message) from error


def read(path: Path) -> Bundle:
    """Read a bundle and check every byte of it.

    Raises:
        UsageError: There is no such file, it is no bundle, or it is damaged, truncated or altered.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            facts = _read_manifest(archive, path)
            cases = [_read_case(archive, entry, path) for entry in facts.pop("cases")]
            model = {
                name: _member(archive, _MODEL + name, expected, path)
                for name, expected in facts.pop("model_files").items()
            }
            return Bundle(facts, cases, model)
    except OSError as error:
        message = f"{path} can't be read: {error.strerror or error}"
        raise UsageError(message) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        message = f"{path} is no bundle, or is truncated ({error}); record it again"
        raise UsageError(message) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path} is damaged: its manifest lacks or misstates {error}; record it again"
        raise UsageError(message) from None


def _written(archive: zipfile.ZipFile, case: RecordedCase, *, tensors: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": case.name, "draws": case.draws}
    for kind, arrays in (("inputs", case.inputs or {}), ("outputs", case.outputs or {})):
        entry[kind] = []
        for name, array in arrays.items():
            described = _described(name, array)
            if tensors and array is not None:
                described["member"] = f"t/{len(archive.infolist())}"
                _add(archive, described["member"], _raw(array), zipfile.ZIP_STORED)
            entry[kind].append(described)
    return entry


def _described(name: str, array: Any) -> dict[str, Any]:  # noqa: ANN401
    if array is None:
        return {"name": name, "sha256": ""}
    found = {
        "name": name,
        "dtype": _type_name(array),
        "shape": list(np.shape(array)),
        "sha256": digest(array),
    }
    return found | _summary(np.asarray(array))


def _summary(array: Array) -> dict[str, Any]:
    """A few figures that a reader can check by eye."""
    if not array.size or not (is_float(array.dtype) or array.dtype.kind in "biu"):
        return {}
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    found: dict[str, Any] = {"finite": int(finite.size)}
    if finite.size:
        found |= {
            "mean": float(np.mean(finite)),
            "std": float(np.std(finite)),
            "min": float(np.min(finite)),
            "max": float(np.max(finite)),
        }
    return found


def _add(archive: zipfile.ZipFile, name: str, raw: bytes, method: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, raw)


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    comment = archive.comment
    if not comment.startswith(_SEAL) or _MANIFEST not in archive.namelist():
        message = f"{path} is no bundle of normonnx; make one with `normonnx record`"
        raise UsageError(message)
    if archive.getinfo(_MANIFEST).file_size > _LARGEST_MANIFEST:
        message = f"{path} is damaged: its manifest is too large; record it again"
        raise UsageError(message)
    expected = comment.removeprefix(_SEAL).decode("ascii", "replace")
    text = _member(archive, _MANIFEST, expected, path)
    facts: dict[str, Any] = json.loads(text)
    if facts.pop("schema") != SCHEMA:
        message = f"{path} was written by another version of normonnx; expected {SCHEMA}"
        raise UsageError(message)
    return facts


def _member(archive: zipfile.ZipFile, name: str, expected: str, path: Path) -> bytes:
    """The bytes of a member, which must be those that were written."""
    raw = archive.read(name)
    if hashlib.sha256(raw).hexdigest() != expected:
        message = f"{path} was altered: {name} has another SHA-256 than recorded; record it again"
        raise UsageError(message)
    return raw


def _read_case(archive: zipfile.ZipFile, entry: Mapping[str, Any], path: Path) -> RecordedCase:
    digests: dict[tuple[str, str], str] = {}
    arrays: dict[str, dict[str, Any] | None] = {}
    for kind in ("inputs", "outputs"):
        for described in entry[kind]:
            digests[kind, described["name"]] = described["sha256"]
        held = all("member" in one or not one["sha256"] for one in entry[kind])
        arrays[kind] = (
            {one["name"]: _restored(archive, one, path) for one in entry[kind]} if held else None
        )
    return RecordedCase(entry["name"], arrays["inputs"], arrays["outputs"], digests, entry["draws"])


def _restored(archive: zipfile.ZipFile, described: Mapping[str, Any], path: Path) -> Any:  # noqa: ANN401
    if not described["sha256"]:
        return None
    raw = archive.read(described["member"])
    shape = tuple(described["shape"])
    if described["dtype"] == "str":
        strings = np.empty(len(texts := json.loads(raw)), dtype=object)
        strings[:] = texts
        array = strings.reshape(shape)
    else:
        array = np.frombuffer(raw, np.dtype(described["dtype"])).reshape(shape)
    if digest(array) != described["sha256"]:
        message = (
            f"{path} was altered: tensor {described['name']!r} has another SHA-256 than recorded; "
            "record it again"
        )
        raise UsageError(message)
    return array


def _type_name(array: Any) -> str:  # noqa: ANN401
    dtype = np.asarray(array).dtype
    return "str" if dtype.kind in "OUS" else str(dtype.name)


def _raw(array: Any) -> bytes:  # noqa: ANN401
    found = np.asarray(array)
    if found.dtype.kind in "OUS":
        return json.dumps([str(one) for one in found.reshape(-1)]).encode()
    return found.tobytes()
