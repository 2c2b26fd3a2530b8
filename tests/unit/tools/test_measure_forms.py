"""The script that measures all normalizations: what it measures, and how it goes on."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

import normonnx
from normonnx.core.costs import CostTable
from normonnx.lower import stored
from normonnx.timing.forms import entry_of

pytest.importorskip("onnxruntime", reason="forms run on ONNX Runtime: install normonnx[cpu]")

from tools import measure_forms  # only where importorskip let us come here, as what follows
from tools.evidence.norm_shapes import SHAPES


def test_every_norm_has_a_shape_and_each_is_legal() -> None:
    """A new normalization needs a row."""
    assert {shaped.norm for shaped in SHAPES} == set(normonnx.norms)
    assert len({entry_of(shaped.call(), 17).use for shaped in SHAPES}) == len(SHAPES)


def test_opsets_that_change_nothing_are_left_out() -> None:
    """LayerNorm is spelled anew at 13, 17 and 18; nothing is new at 20, 21 and 23."""
    opsets = defaultdict(list)
    for call, opset in measure_forms.uses(["LayerNorm"]):
        opsets[call.shape, call.dtype, call.given].append(opset)
    assert set(map(tuple, opsets.values())) == {(11, 13, 17, 18)}


def test_a_run_that_was_cut_off_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there stays; --fresh measures it anew; another machine's figures go."""
    out = tmp_path / "costs.json"
    few = [shaped for shaped in SHAPES if shaped.norm == "ScaleNorm"]
    monkeypatch.setattr(measure_forms, "SHAPES", few)
    arguments = ["--out", str(out), "--seconds", "0", "--norms", "scalenorm"]
    measure_forms.main(arguments)
    first = capsys.readouterr()
    table = stored.read_file(out)
    assert {entry.norm for entry in table.entries} == {"ScaleNorm"}
    assert first.out == f"{out}: {len(table.entries)} entries\n"
    assert first.err.count("ScaleNorm 1x128x512 float32 opset") == len(table.entries)
    written = out.read_bytes()

    stored.write_file(
        CostTable(table.target, table.machine, table.versions, table.entries[1:]), out
    )
    measure_forms.main(arguments)
    assert capsys.readouterr().err.count("ScaleNorm") == 1
    measure_forms.main([*arguments, "--fresh"])
    assert capsys.readouterr().err.count("ScaleNorm") == len(table.entries)

    other = CostTable(table.target, {"processor": "another"}, table.versions, table.entries)
    stored.write_file(other, out)
    measure_forms.main(arguments)
    assert capsys.readouterr().err.count("ScaleNorm") == len(table.entries)
    assert len(out.read_bytes().splitlines()) == len(written.splitlines())
