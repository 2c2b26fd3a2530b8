"""The bundle file: what goes in comes out, and whatever was done to it is noticed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from normonnx.core.errors import UsageError
from normonnx.validation import bundles
from normonnx.validation.bundles import Bundle, RecordedCase, digest

rng = np.random.default_rng(3)
INPUTS: dict[str, Any] = {
    "x": rng.standard_normal((2, 3, 4)).astype(np.float32),
    "half": rng.standard_normal(5).astype(np.float16),
    "brain": np.asarray([1.5, -2], ml_dtypes.bfloat16),
    "index/../odd": np.arange(4, dtype=np.int64),
}
OUTPUTS: dict[str, Any] = {
    "y": rng.standard_normal((7, 1)).astype(np.float32),
    "flag": np.asarray(True),  # noqa: FBT003  # an array of no axes
    "empty": np.zeros((0, 3), np.float32),
    "words": np.asarray(["a", "ÿ"], dtype=object),
    "none": None,
    "odd": np.asarray([np.nan, np.inf, -0.0], np.float32),
}


def _bundle(outputs: Mapping[str, Any] = OUTPUTS) -> Bundle:
    cases = [
        RecordedCase("random", INPUTS, outputs, {}, 2),
        RecordedCase("shifted-mean", INPUTS, outputs, {}, 1),
    ]
    return Bundle({"backend": "ort:cpu", "seed": 3}, cases)


def _written(folder: Path, *, tensors: bool = True, bundle: Bundle | None = None) -> Path:
    path = folder / "run.bundle"
    bundles.write(bundle or _bundle(), path, tensors=tensors)
    return path


def test_everything_comes_back(tmp_path: Path) -> None:
    """Names, types, shapes and bits of every kind of array, and the facts."""
    found = bundles.read(_written(tmp_path))
    assert found.facts == {"backend": "ort:cpu", "seed": 3}
    assert [(one.name, one.draws) for one in found.cases] == [("random", 2), ("shifted-mean", 1)]
    assert found.has_tensors
    for case in found.cases:
        for expected, arrays in ((INPUTS, case.inputs), (OUTPUTS, case.outputs)):
            assert arrays is not None
            assert list(arrays) == list(expected)
            for name, array in expected.items():
                assert digest(arrays[name]) == digest(array), name
                if array is not None and array.dtype != object:
                    assert arrays[name].dtype == array.dtype
                    assert arrays[name].shape == array.shape
        assert case.digests["inputs", "x"] == digest(INPUTS["x"])


def test_a_bundle_is_hardly_larger_than_its_tensors(tmp_path: Path) -> None:
    """At most a tenth, also for an image of ordinary size."""
    image = np.zeros((1, 3, 64, 64), np.float32)
    case = RecordedCase("random", {"x": image}, {"y": np.zeros((1, 1000), np.float32)}, {}, 2)
    path = _written(tmp_path, bundle=Bundle({}, [case]))
    assert path.stat().st_size <= 1.1 * (image.nbytes + 4000)


def test_digests_need_a_few_kilobytes(tmp_path: Path) -> None:
    """No tensors; their SHA-256, and figures to check by eye."""
    big = np.full((1000, 1000), 2, np.float32)
    path = _written(
        tmp_path, tensors=False, bundle=Bundle({}, [RecordedCase("r", {"x": big}, {}, {}, 1)])
    )
    assert path.stat().st_size < 4096
    found = bundles.read(path)
    assert not found.has_tensors
    assert found.cases[0].inputs is None
    assert found.cases[0].digests == {("inputs", "x"): digest(big)}
    with zipfile.ZipFile(path) as archive:
        (case,) = json.loads(archive.read("manifest.json"))["cases"]
    assert (case["inputs"][0]["mean"], case["inputs"][0]["finite"]) == (2.0, 1_000_000)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    """No time and no random name is inside."""
    first = _written(tmp_path).read_bytes()
    assert _written(tmp_path).read_bytes() == first


def test_models_travel_with_it(tmp_path: Path) -> None:
    """As files by name, checked like everything else."""
    files = {"m.onnx": b"model", "m.data": b"weights" * 1000}
    path = tmp_path / "run.bundle"
    bundles.write(Bundle({}, _bundle().cases, files), path, tensors=True)
    assert bundles.read(path).model == files


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_bundle_is_refused(tmp_path: Path, share: float) -> None:
    """At any length."""
    path = _written(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    with pytest.raises(UsageError, match=r"no bundle|truncated"):
        bundles.read(path)


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    """Every byte counts: what is read is either refused or the very same."""
    path = _written(tmp_path)
    raw = path.read_bytes()
    expected = [dict(case.digests) for case in bundles.read(path).cases]
    for position in range(0, len(raw), 97):
        damaged = bytearray(raw)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            found = bundles.read(path)
        except UsageError:
            continue
        assert [dict(case.digests) for case in found.cases] == expected


def _repacked(path: Path, change: Mapping[str, bytes]) -> None:
    """The archive with other members, as someone with an archive tool would make it."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        comment = archive.comment
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in {**members, **change}.items():
            archive.writestr(name, raw)
        archive.comment = comment


def test_an_edited_tensor_is_refused(tmp_path: Path) -> None:
    """A valid archive with another number in it."""
    path = _written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        raw = bytearray(archive.read("t/0"))
    raw[2] ^= 1
    _repacked(path, {"t/0": bytes(raw)})
    with pytest.raises(UsageError, match=r"altered: tensor 'x'"):
        bundles.read(path)


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    """A verdict changed by hand."""
    path = _written(tmp_path)
    with zipfile.ZipFile(path) as archive:
        text = archive.read("manifest.json")
    _repacked(path, {"manifest.json": text.replace(b"ort:cpu", b"ort:cux")})
    with pytest.raises(UsageError, match=r"altered: manifest\.json"):
        bundles.read(path)


def test_another_archive_is_no_bundle(tmp_path: Path) -> None:
    """Nor is a text, a folder or nothing."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(UsageError, match=r"no bundle of normonnx"):
        bundles.read(path)
    path.write_text("text")
    with pytest.raises(UsageError, match="no bundle"):
        bundles.read(path)
    with pytest.raises(UsageError, match="can't be read"):
        bundles.read(tmp_path)
    with pytest.raises(UsageError, match="can't be read"):
        bundles.read(tmp_path / "missing.bundle")


def test_a_bundle_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says which it expects."""
    path = _written(tmp_path)
    monkeypatch.setattr(bundles, "SCHEMA", "normonnx.bundle/2")
    with pytest.raises(UsageError, match=r"expected normonnx\.bundle/2"):
        bundles.read(path)


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The old bundle stays, and no temporary file is left."""
    path = _written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        bundles.write(Bundle({"bad": object()}, []), path, tensors=True)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.bundle"]
    with pytest.raises(UsageError, match="nothing was changed"):
        bundles.write(_bundle(), tmp_path / "no" / "folder.bundle", tensors=True)


def test_a_digest_tells_type_and_shape_apart() -> None:
    """The same bytes under another type or shape are another tensor."""
    zeros = np.zeros(4, np.float32)
    others = [zeros.reshape(2, 2), zeros.astype(np.int32), zeros.astype(np.float64), None]
    assert len({digest(one) for one in (zeros, *others)}) == 5
    strided = np.arange(8, dtype=np.float32)[::2]
    assert digest(strided) == digest(strided.copy())
