"""Cost tables made of several uses."""

from __future__ import annotations

import pytest

import normonnx
from normonnx.core.costs import CostTable, Entry
from normonnx.core.errors import UnavailableError, UsageError
from normonnx.lower.targets import TARGETS, Target
from normonnx.timing.tuning import backend_of, tune

pytest.importorskip("onnxruntime", reason="forms run on ONNX Runtime: install normonnx[cpu]")


def test_each_distinct_use_is_measured_once() -> None:
    """Two of one shape are one entry; the table survives as JSON."""
    norm = normonnx.norms["RMSNorm"]
    calls = [norm.define((2, 8)), norm.define((2, 8)), norm.define((3, 8))]
    told: list[Entry] = []
    table = tune(calls, 17, "ort-cpu", seconds=0.0, told=told.append)
    assert [entry.shape for entry in table.entries] == [(2, 8), (3, 8)]
    assert told == list(table.entries)
    assert table.target == "ort-cpu"
    assert set(table.machine) == {"processor", "threads"}
    assert CostTable.of_plain(table.plain) == table


@pytest.mark.parametrize(
    ("target", "backend"),
    [("ort-cpu", "ort:cpu"), ("ort-cuda", "ort:cuda"), ("openvino", "openvino")],
)
def test_a_target_is_a_runtime_and_a_device(target: str, backend: str) -> None:
    """As backends are, but for the colon."""
    assert backend_of(target) == backend


@pytest.mark.parametrize("target", ["portable", "ort", "oracle-cpu", ""])
def test_what_nothing_can_run_on_is_no_target(target: str) -> None:
    """The message names those that there are."""
    with pytest.raises(UsageError, match="can't be measured; expected one of ort-cpu, ort-cuda"):
        backend_of(target)


def test_a_target_that_is_not_here_is_unavailable_even_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No table of nothing is made for it."""
    toaster = Target("toaster", "what nobody has", backend="ort:no_such_provider")
    monkeypatch.setitem(TARGETS, "toaster", toaster)
    with pytest.raises(UnavailableError, match="has no"):
        tune([], 17, "toaster")
