"""torch as a backend, in a worker: a module, live or by name, against its export."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import normonnx
from normonnx.core.errors import UsageError
from normonnx.core.verdicts import Verdict
from normonnx.runtime.engines import torch as engine
from tests.fake_runtimes import put_first
from tests.unit.runtime.engines.conftest import HEAD, NEG, Run, X, reason_of

torch = pytest.importorskip("torch")

SCALED = "g (float[n] x) => (float[n] y) { k = Constant<value_float = 0.33333334>() y = Mul(x, k) }"
WRONG = SCALED.replace("0.33333334", "0.3334")


def _report(text: str, **options: Any) -> Any:
    model = onnx.parser.parse_model(HEAD + text)
    return normonnx.validate(model, **{"backends": ["torch"], **options})


# --- by name ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", ["own_nets:Scaled", "own_nets:Scaled,precision=own"])
def test_a_factory_by_name_passes_for_its_export(name: str) -> None:
    """In float64 or as it is; its module is found where this process would find it."""
    found = _report(SCALED, backends=[f"torch:{name}"])
    assert (found.verdict, found.backends[0].reason) == (Verdict.PASS, "")
    assert found.backends[0].settings["torch"] == str(torch.__version__)


@pytest.mark.usefixtures("nets")
def test_a_wrong_export_is_a_mismatch() -> None:
    """One constant off by two ten-thousandths."""
    found = _report(WRONG, backends=["torch:own_nets:Scaled", "ort:cpu"])
    assert found.verdict is Verdict.MISMATCH
    assert [one.verdict for one in found.backends] == [Verdict.MISMATCH, Verdict.PASS]


def test_a_module_in_the_current_folder_is_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the command line is called."""
    (tmp_path / "here_nets.py").write_text("from torch.nn import Identity\n")
    monkeypatch.chdir(tmp_path)
    text = NEG.replace("Neg", "Identity")
    assert run("torch:here_nets:Identity", text, X).outputs[0]["y"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("failing", "torch:own_nets:failing failed: OSError: no weights"),
        ("leaving", "its process failed"),
        ("Failing", "failed while running: sore 1; add ,precision=own to its name"),
    ],
)
def test_what_goes_wrong_is_one_line(run: Run, name: str, words: str) -> None:
    """The user's own error, and an exit in the middle."""
    assert words in reason_of(run(f"torch:own_nets:{name}", NEG, X))


# --- live ---------------------------------------------------------------------------------------


def test_a_live_module_passes_for_its_export(nets: Any) -> None:
    """Its class is found where this process found it; the module itself stays as it is."""
    module = nets.Scaled()
    found = _report(SCALED, module=module)
    assert (found.verdict, found.backends[0].reason) == (Verdict.PASS, "")
    assert module.training
    assert module.scale.dtype is torch.float32


def test_a_wrong_export_of_a_live_module_is_a_mismatch(nets: Any) -> None:
    """Whatever ran it agrees with the model's own truth, the module does not."""
    assert _report(WRONG, module=nets.Scaled()).verdict is Verdict.MISMATCH


def test_a_live_module_may_have_a_name_for_its_precision(nets: Any) -> None:
    """As it is, instead of in float64."""
    found = _report(SCALED, module=nets.Scaled(), backends=["torch,precision=own"])
    assert found.passed
    assert found.backends[0].settings["precision"] == "own"


def test_a_module_that_can_not_be_handed_over_is_unavailable(nets: Any) -> None:
    """A lambda can't be pickled; what to do instead is said."""
    module = nets.Scaled()
    module.change = lambda x: x
    found = _report(SCALED, module=module)
    assert found.verdict is Verdict.UNAVAILABLE
    assert found.backends[0].reason.startswith("the module can't be handed to another process (")
    assert found.backends[0].reason.endswith("; name it torch:MODULE:FACTORY instead")


def test_a_class_that_can_not_be_imported_is_unavailable(
    nets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is defined in a notebook: it is no part of any file."""
    made = type("Net", (nets.Scaled,), {"__module__": "__main__"})
    monkeypatch.setattr(sys.modules["__main__"], "Net", made, raising=False)
    found = _report(SCALED, module=made())
    assert found.verdict is Verdict.UNAVAILABLE
    reason = found.backends[0].reason
    assert reason.startswith("the module can't be made again in another process")
    assert reason.endswith("define its class in a file that can be imported")


@pytest.mark.parametrize("backends", [["ort:cpu"], [], ["torch:own_nets:Scaled"]], ids=str)
def test_a_module_that_no_backend_would_run_is_misuse(nets: Any, backends: list[str]) -> None:
    """It would be ignored, and the report would read as if it had been compared."""
    with pytest.raises(UsageError, match="'torch', which is not among"):
        _report(SCALED, module=nets.Scaled(), backends=backends)


# --- torch itself missing -----------------------------------------------------------------------


def test_without_torch_it_is_unavailable(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how to install it is said."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    (folder / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    put_first(folder, monkeypatch)
    assert reason_of(run("torch:own_nets:Scaled", SCALED, X)) == engine._MISSING
    assert "pip install 'normonnx[torch]'" in engine._MISSING


def test_a_live_module_without_torch_is_unavailable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is, it can't be handed over."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert reason_of(run("torch", SCALED, X, module=object())) == engine._MISSING


def test_inputs_in_another_order_than_the_models_are_sorted(nets: Any) -> None:
    """A user's mapping has any order; `forward` has the model's."""
    inputs = {"z": np.asarray([1, 2], np.float32), "x": np.asarray([5, 7], np.float32)}
    text = "g (float[n] x, float[n] z) => (float[n] y) { y = Sub(x, z) }"
    assert _report(text, module=nets.Less(), inputs=inputs).passed
