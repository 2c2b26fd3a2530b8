"""torch as a backend: factories, what goes in, and what comes out. In this very process."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

from normonnx.runtime.engines import torch as engine
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded
from normonnx.runtime.naming import parse
from tests.unit.runtime.engines.conftest import HEAD, NEG, X

torch = pytest.importorskip("torch")

Load = Callable[..., Loaded]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a module, by name or live, for a model in ONNX text."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def loaded(backend: str, text: str = NEG, module: object = None) -> Loaded:
        model, stored = tmp_path / "model.onnx", None
        text = text if text.startswith("<") else HEAD + text
        onnx.save(onnx.parser.parse_model(text), model)
        if module is not None:
            stored = tmp_path / "module.pt"
            engine.save(module, stored)
        return engine.load(Job(model, parse(backend), stored))

    return loaded


# --- factories ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    ("factory", "scale"), [("Scaled", 1 / 3), ("made", 1 / 3), ("Making.make", 0.5)]
)
def test_a_factory_is_a_class_a_function_or_a_module(
    load: Load, factory: str, scale: float
) -> None:
    """Dots lead into classes; a module that is there already is taken as it is."""
    found = load(f"torch:own_nets:{factory}").run({"x": np.asarray([3, 6], np.float32)})
    np.testing.assert_allclose(found["y"], [3 * scale, 6 * scale], rtol=1e-7)


@pytest.mark.usefixtures("nets")
def test_float64_unless_its_own_precision_is_asked_for(load: Load) -> None:
    """Inputs and weights are widened; which it was is told."""
    wide, own = (load(f"torch:own_nets:Scaled{how}") for how in ("", ",precision=own"))
    assert (wide.wide, wide.settings["precision"]) == (True, "float64")
    assert wide.run(X)["y"].dtype == np.float64
    assert (own.wide, own.settings["precision"]) == (False, "own")
    assert own.run(X)["y"].dtype == np.float32
    assert {wide.asked, own.asked} == {"CPU"}


FACTORIES = {
    "torch": "there is no module to run; name it torch:MODULE:FACTORY, or give module=",
    "torch:own_nets": "there is no module to run",
    "torch::Scaled": "there is no module to run",
    "torch:no_nets:Net": "torch:no_nets:Net failed: ModuleNotFoundError: No module named 'no_nets'",
    "torch:own_nets:Missing": "torch:own_nets:Missing failed: AttributeError",
    "torch:own_nets:failing": "torch:own_nets:failing failed: OSError: no weights",
    "torch:own_nets:Less.forward": "failed: TypeError",
    "torch:own_nets:number": "torch:own_nets:number is a int, no torch.nn.Module",
}


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("backend", FACTORIES)
def test_a_factory_that_makes_no_module_is_one_line(load: Load, backend: str) -> None:
    """What was asked for, and what happened."""
    with pytest.raises(GivenUpError) as caught:
        load(backend)
    assert caught.value.verdict == "unavailable"
    assert FACTORIES[backend] in str(caught.value)
    assert "\n" not in str(caught.value)


RUNNING = {
    "torch:own_nets:Failing": "failed while running: sore 1; add ,precision=own to its name",
    "torch:own_nets:Failing,precision=own": "failed while running: sore 1",
    "torch:own_nets:Single": "failed while running: torch.float64; add ,precision=own to its name",
}


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("backend", RUNNING)
def test_failing_while_running_is_one_line(load: Load, backend: str) -> None:
    """With the way out, where there is one."""
    with pytest.raises(GivenUpError) as caught:
        load(backend).run(X)
    assert str(caught.value) == RUNNING[backend]


@pytest.mark.usefixtures("nets")
def test_a_module_that_minds_its_type_runs_in_its_own(load: Load) -> None:
    """As the hint says."""
    found = load("torch:own_nets:Single,precision=own").run(X)
    assert found["y"].tolist() == [-1, -2, -3, -4, -5]


def test_what_is_no_module_is_said_by_its_type(load: Load) -> None:
    """The path of a checkpoint, for example."""
    with pytest.raises(GivenUpError, match=r"^module= is a str, no torch\.nn\.Module$"):
        load("torch", module="weights.pt")


def test_training_mode_is_left_and_noted(load: Load, nets: Any) -> None:
    """An export is of eval mode: a Dropout would be random. Nothing is to be noted without it."""
    module = nets.Dropping()
    found = load("torch", module=module)
    assert found.notes == ("the module was in training mode and has been put into eval mode",)
    assert found.run(X)["y"].tolist() == [-1, -2, -3, -4, -5]
    assert load("torch", module=module.eval()).notes == ()


# --- inputs -------------------------------------------------------------------------------------

LESS = "g (float[n] x, float[n] z) => (float[n] y) { y = Sub(x, z) }"


@pytest.mark.parametrize("kind", ["Less", "LessByName", "LessOfAny"])
@pytest.mark.parametrize("order", ["xz", "zx"])
def test_inputs_go_by_name_or_in_the_models_order(
    load: Load, nets: Any, kind: str, order: str
) -> None:
    """By name where they are parameters of `forward`; never in the order they were given in."""
    arrays = {"x": np.asarray([5, 7], np.float32), "z": np.asarray([1, 2], np.float32)}
    found = load("torch", LESS, getattr(nets, kind)())
    assert found.run({name: arrays[name] for name in order})["y"].tolist() == [4, 5]


def test_inputs_of_the_names_of_catch_alls_go_in_order(load: Load, nets: Any) -> None:
    """Inputs called args and kwargs are no keywords of *args and **kwargs."""
    text = "g (float[n] args, float[n] kwargs) => (float[n] y) { y = Sub(args, kwargs) }"
    feeds = {"args": np.asarray([5], np.float32), "kwargs": np.asarray([1], np.float32)}
    assert load("torch", text, nets.LessOfAny()).run(feeds)["y"].tolist() == [4]


KINDS = {
    "bfloat16": ml_dtypes.bfloat16,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float16": np.float16,
    "float": np.float32,
    "double": np.float64,
    "int64": np.int64,
    "uint8": np.uint8,
    "bool": np.bool_,
}


@pytest.mark.parametrize("how", ["", ",precision=own"])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_any_type_arrive(load: Load, kind: str, how: str) -> None:
    """Floating point is widened, or left as it is; integers and booleans stay."""
    x = np.asarray([1, 0]).astype(KINDS[kind])
    head = '<ir_version: 10, opset_import: ["": 21]>'
    text = f"{head} g ({kind}[n] x) => ({kind}[n] y) {{ y = Identity(x) }}"
    y = load(f"torch{how}", text, torch.nn.Identity()).run({"x": x})["y"]
    widened = not how and ("float" in kind or kind == "double")
    assert y.dtype == (np.float64 if widened else x.dtype)
    assert y.tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["string", "int4"])
def test_types_that_torch_lacks_are_one_line(load: Load, kind: str) -> None:
    """Strings, and what is narrower than a byte in its own precision."""
    x = np.asarray(["a"], object) if kind == "string" else np.asarray([1], ml_dtypes.int4)
    head = '<ir_version: 10, opset_import: ["": 21]>'
    text = f"{head} g ({kind}[n] x) => ({kind}[n] y) {{ y = Identity(x) }}"
    loaded = load("torch,precision=own", text, torch.nn.Identity())
    with pytest.raises(GivenUpError, match=r"^failed while running: "):
        loaded.run({"x": x})


# --- outputs ------------------------------------------------------------------------------------

TWO = "g (float[n] x) => (float[n] y, float[n] z) { y = Neg(x) z = Abs(x) }"


@pytest.mark.parametrize("how", ["tuple", "nested", "mapping", "dataclass"])
def test_tensors_of_any_structure_are_outputs_in_order(load: Load, nets: Any, how: str) -> None:
    """What is no tensor does not count."""
    found = load("torch", TWO, nets.Returning(how)).run(X)
    assert list(found) == ["y", "z"]
    assert found["y"].tolist() == [-1, -2, -3, -4, -5]
    assert found["z"].tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("how", "number"), [("one", 1), ("three", 3), ("number", 1)])
def test_another_number_of_outputs_is_not_guessed(
    load: Load, nets: Any, how: str, number: int
) -> None:
    """Which belongs to which would be anybody's guess."""
    loaded = load("torch", TWO, nets.Returning(how))
    words = f"^the module returns {number} tensors, the model has 2 outputs$"
    with pytest.raises(GivenUpError, match=words):
        loaded.run(X)


TYPES = {
    "bfloat16": ml_dtypes.bfloat16,
    "float8": ml_dtypes.float8_e5m2,
    "int32": np.int32,
    "expanded": np.float64,
    "negative view": np.float64,
    "conjugate view": np.complex128,
}


@pytest.mark.parametrize("how", TYPES)
def test_outputs_of_any_type_arrive(load: Load, nets: Any, how: str) -> None:
    """Those that NumPy lacks, and views into other tensors, with the sign that they stand for."""
    expected: dict[str, list[complex]] = {
        "expanded": [-1] * 5,
        "negative view": [1, 2, 3, 4, 5],
        "conjugate view": [n * (-1 + 1j) for n in range(1, 6)],
    }
    y = load("torch", NEG, nets.Returning(how)).run(X)["y"]
    assert y.dtype == np.dtype(TYPES[how])
    assert y.tolist() == expected.get(how, [-1, -2, -3, -4, -5])
