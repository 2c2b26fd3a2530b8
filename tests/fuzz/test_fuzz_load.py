"""Whatever a file holds, load, inspect, optimize and save work or raise a NormonnxError."""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

import normonnx
from normonnx.core.errors import NormonnxError
from normonnx.graph import files
from tests.fuzz import mutations

BYTE_CASES = 150  # for each seed model
STRUCTURE_CASES = 150


def through(path: Path, out: Path) -> bool:
    """Load, inspect, optimize and save; whether all of it worked. Other exceptions escape."""
    try:
        normonnx.inspect(path)
        files.save(normonnx.optimize(path).model, out)
    except NormonnxError as error:
        problem = str(error)
    else:
        return True
    assert problem
    assert "\n" not in problem
    return False


def interface(path: Path) -> tuple[list[str], list[str]] | None:
    """Names of inputs and outputs if ONNX Runtime accepts a model, else None."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  # pybind gives each kind of failure a type of its own
        return None
    return [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]


def accepted(path: Path) -> tuple[list[str], list[str]] | None:
    """As `interface`, for a model that is legal for the onnx package, too."""
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception:  # noqa: BLE001  # checker, inference and decoding raise their own
        return None
    return interface(path)


def check_structure(name: str, seed: int, folder: Path) -> None:
    """Break the structure of a seed model in one way, and hold everything to the rules."""
    model = mutations.seed_model(name)
    mutations.mutate_structure(model, random.Random(f"{name} {seed}"))  # noqa: S311
    path, out = folder / "m.onnx", folder / "out.onnx"
    path.write_bytes(model.SerializeToString())
    if through(path, out) and (names := accepted(path)) is not None:
        assert interface(out) == names


def check_bytes(name: str, seed: int, folder: Path) -> None:
    """Break the bytes of a seed model in one way: no exception but NormonnxError."""
    encoded = mutations.seed_model(name).SerializeToString()
    path = folder / "m.onnx"
    path.write_bytes(mutations.mutated_bytes(encoded, random.Random(f"{name} {seed}")))  # noqa: S311
    through(path, folder / "out.onnx")


@pytest.mark.parametrize("name", mutations.SEEDS)
def test_seeds_are_sound(tmp_path: Path, name: str) -> None:
    """What is broken below works to begin with, and keeps its interface."""
    path, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    onnx.save(mutations.seed_model(name), path)
    assert through(path, out)
    assert accepted(path) is not None
    assert interface(out) == accepted(path)


@pytest.mark.parametrize("name", mutations.SEEDS)
def test_broken_bytes(tmp_path: Path, name: str) -> None:
    """Flipped, cut, spliced, repeated bytes."""
    for seed in range(BYTE_CASES):
        check_bytes(name, seed, tmp_path)


@pytest.mark.parametrize("name", mutations.SEEDS)
def test_broken_structure(tmp_path: Path, name: str) -> None:
    """Dropped, repeated, renamed, retyped nodes, values, weights and attributes."""
    for seed in range(STRUCTURE_CASES):
        check_structure(name, seed, tmp_path)
