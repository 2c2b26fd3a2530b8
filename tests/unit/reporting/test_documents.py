"""Results as strict JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.events import Event, OptimizeReport
from normonnx.core.verdicts import Comparison, ValidationReport, Verdict
from normonnx.core.version import VERSION
from normonnx.reporting import documents


def test_a_document_names_its_schema_first() -> None:
    """A reader can tell what it has before it looks at anything else."""
    made = documents.document("optimize", ExitCode.MISMATCH, {"model": Path("a.onnx")})
    assert list(made) == ["schema", "normonnx", "exit_code", "model"]
    assert made == {
        "schema": "normonnx.optimize/1",
        "normonnx": VERSION,
        "exit_code": 1,
        "model": "a.onnx",
    }


def test_numbers_that_are_not_finite_become_null() -> None:
    """JSON has no NaN and no Infinity."""
    values = [float("nan"), float("inf"), np.float32("-inf"), np.float64("nan"), 0.5, np.float32(2)]
    assert documents.plain(values) == [None, None, None, None, 0.5, 2.0]
    assert "NaN" not in documents.text({"x": documents.plain(values)})


def test_text_refuses_a_nan_that_slipped_through() -> None:
    """A document is strict JSON or none."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        documents.text({"x": float("nan")})


def test_results_become_objects_of_fields_and_properties() -> None:
    """Nested dataclasses, enums, mappings and derived figures are all there."""
    compared = Comparison("computes", "ort:cpu", "random", "y", Verdict.PASS, error=3.0, floor=2.0)
    report = OptimizeReport(
        applied=(Event("fold-affine", "bn", "BatchNormalization", "folded", removed=1),),
        nodes_before=MappingProxyType({"Conv": 1}),
        verification=ValidationReport(Verdict.PASS, (compared,)),
    )
    found = json.loads(documents.text({"report": documents.plain(report)}))["report"]
    assert found["applied"][0]["node"] == "bn"
    assert found["nodes_before"] == {"Conv": 1}
    assert found["modified"] is True
    assert found["verification"]["passed"] is True
    assert found["verification"]["verdict"] == "pass"
    assert found["verification"]["comparisons"][0]["ratio"] == 1.5
    assert found["verification"]["comparisons"][0]["max_abs"] is None


def test_text_is_ascii_whatever_the_names_are() -> None:
    """Any stream takes it, names with half a surrogate pair included."""
    made = documents.text({"name": "é中\udc80"})
    assert made.isascii()
    assert json.loads(made) == {"name": "é中\udc80"}


@pytest.mark.parametrize("value", [object(), b"bytes", 1j, Verdict])
def test_what_has_no_json_form_is_refused(value: object) -> None:
    """Nothing is turned into its repr in silence."""
    with pytest.raises(TypeError, match="has no JSON form"):
        documents.plain(value)


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When writing fails the old file is intact and no temporary one is left."""
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(self), None, str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        documents.write({"a": 1}, str(path))
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    """A report written through a link lands in the file behind it."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    link.symlink_to(real)
    documents.write({"a": 1}, str(link))
    assert link.is_symlink()
    assert json.loads(real.read_text()) == {"a": 1}


def test_a_device_is_written_in_place() -> None:
    """/dev/null is no file to be replaced."""
    documents.check_destination(os.devnull)
    documents.write({"a": 1}, os.devnull)
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("place", "words"), [("", "is a folder"), ("missing/report.json", "there is no folder")]
)
def test_a_place_that_cannot_be_written_is_refused_beforehand(
    tmp_path: Path, place: str, words: str
) -> None:
    """The error comes before the work, and says what to do."""
    with pytest.raises(UsageError, match=words):
        documents.check_destination(str(tmp_path / place))


def test_stdout_is_always_a_place_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    """A dash is stdout, and gets nothing but the document."""
    documents.check_destination("-")
    documents.write({"a": 1}, "-")
    assert json.loads(capsys.readouterr().out) == {"a": 1}
