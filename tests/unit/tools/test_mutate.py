"""The command line of mutation testing: what is drawn, and how it is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import mutate
from tools.mutation.trials import Verdict

FILE = "normonnx/fold/sums.py"


def _keys(*arguments: str) -> list[mutate.Key]:
    options = mutate._parser().parse_args([FILE, *arguments])
    return [mutate._key(mutant) for mutant in mutate._drawn([FILE], options)]


def test_a_draw_depends_on_its_seed_alone() -> None:
    """So that a figure can be had again."""
    assert _keys("--sample", "9", "--seed", "1") == _keys("--sample", "9", "--seed", "1")
    assert _keys("--sample", "9", "--seed", "1") != _keys("--sample", "9", "--seed", "2")
    assert len(_keys("--sample", "9")) == len(_keys("--each", "9")) == 9
    assert len(_keys()) > 50


def test_survivors_are_tried_again_and_the_proven_told_apart(tmp_path: Path) -> None:
    """Both figures are told: with those that change nothing, and without."""
    options = mutate._parser().parse_args([FILE, "--sample", "4"])
    mutants = mutate._drawn([FILE], options)
    fates = ("caught", "hung", "survived", "unreached")
    verdicts = [Verdict(m, fate, 1.0, 1) for m, fate in zip(mutants, fates, strict=True)]
    figures = mutate._figures(verdicts, {mutate._key(mutants[2]): "because"})
    assert (figures["caught"], figures["survived"], figures["equivalent"]) == (2, 2, 1)
    assert (figures["caught_percent"], figures["caught_percent_proven"]) == (50.0, 66.7)
    path = tmp_path / "figures.json"
    path.write_text(json.dumps(figures))
    assert set(_keys("--again", str(path))) == {mutate._key(m) for m in mutants[2:]}


def test_what_changes_nothing_is_still_there() -> None:
    """An entry for a line that has changed proves nothing any more."""
    for path, _, difference in mutate._known():
        lines = (mutate.ROOT / path).read_text().splitlines()
        for line in difference.splitlines():
            assert not line.startswith("-") or line[1:] in lines, f"{path}: {line}"


def test_tests_are_those_of_the_room() -> None:
    """And what is named besides."""
    options = mutate._parser().parse_args(
        [FILE, "--tests", "tests/property", "--without", "tests/unit/fold/test_repvgg.py"]
    )
    found = mutate._tests([FILE], options)
    assert "tests/unit/fold/test_sums.py" in found
    assert "tests/property/test_fold_property.py" in found
    assert "tests/unit/fold/test_repvgg.py" not in found


def test_no_files_is_bad_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is mutated, and nothing is said to be caught."""
    assert mutate.main(["normonnx/nothing.py"]) == 2
    assert "no Python files in normonnx/nothing.py" in capsys.readouterr().err
