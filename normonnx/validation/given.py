"""Inputs given by the user, read from files and checked against the model.

- a mapping, or an .npz: arrays by input name, one case;
- an .npy, or a .pb with a TensorProto: for the one input, or as NAME=FILE for one of several;
- a folder as ONNX keeps test data: input_0.pb, input_1.pb, ... and output_0.pb, ..., or a folder
  of such folders, test_data_set_0 and so on. Each is one case.

What is expected may be given as well: `expected:NAME` in an .npz, or output_N.pb in a folder, takes
the place of what the oracle computes for that output, and `floor:NAME` (one number, in u) that of
the noise floor it is judged by.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from normonnx.core.dtypes import is_float
from normonnx.core.errors import UsageError
from normonnx.runtime.invocation import Array
from normonnx.validation.drawing import Case, checked_shape, required_inputs

Source = str | os.PathLike[str] | Mapping[str, Any]
Sources = Source | Sequence[Source]

EXPECTED: Final = "expected:"
FLOOR: Final = "floor:"
_NUMBERED: Final = re.compile(r"(input|output)_(\d+)\.pb")
_SETS: Final = re.compile(r"test_data_set_(\d+)")
_ONE_ARRAY: Final = (".npy", ".pb")


@dataclass(frozen=True, slots=True)
class _Read:
    """Arrays of one case, as they were read: where from, inputs, and what is expected."""

    name: str
    arrays: Mapping[str, Any]
    expected: Mapping[str, Array] = field(default_factory=dict)


def given(model: ir.Model, inputs: Sources) -> tuple[Case, ...]:
    """The cases that a user gave.

    Args:
        model: What the inputs are for.
        inputs: Arrays by name, a file, a folder, NAME=FILE, or several of these.

    Raises:
        UsageError: A file can't be read, or a name, type or shape does not fit the model.
    """
    sources = [inputs] if isinstance(inputs, str | os.PathLike | Mapping) else list(inputs)
    if not sources:
        message = "no inputs were given; name a file, or leave inputs out to have them drawn"
        raise UsageError(message)
    read: list[_Read] = []
    parts: dict[str, Array] = {}  # NAME=FILE, which together are one case
    for source in sources:
        named = None if isinstance(source, Mapping) else _named_file(model, os.fspath(source))
        if named is None:
            read += _read(model, source)
            continue
        name, path = named
        if name in parts:
            message = f"input {name!r} was given twice; give each NAME=FILE once"
            raise UsageError(message)
        parts[name] = _array(path)
    if parts:
        read.append(_Read("given", parts))
    names = _distinct([one.name for one in read])
    return tuple(_case(model, one, name) for one, name in zip(read, names, strict=True))


def _distinct(names: list[str]) -> list[str]:
    """Names of cases: "given" for a single one, and none twice."""
    if len(names) == 1:
        return ["given"]
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _named_file(model: ir.Model, text: str) -> tuple[str, Path] | None:
    """Name and file of NAME=FILE; None for a plain path. A name may itself hold an equals sign."""
    if "=" not in text or Path(text).exists():
        return None
    names = [value.name or "" for value in model.graph.inputs]
    for found in re.finditer("=", text):
        if text[: found.start()] in names:
            return text[: found.start()], Path(text[found.end() :])
    if Path(text).suffix not in _ONE_ARRAY:
        return None
    message = (
        f"the model has no input {text.partition('=')[0]!r}, as {text!r} says; "
        f"it has {', '.join(names)}"
    )
    raise UsageError(message)


def _read(model: ir.Model, source: Source) -> Iterator[_Read]:
    if isinstance(source, Mapping):
        yield _Read("given", source)
        return
    path = Path(source)
    if path.is_dir():
        yield from _from_folder(model, path)
    elif path.suffix in _ONE_ARRAY:
        inputs = required_inputs(model)
        if len(inputs) != 1:
            names = ", ".join(value.name or "" for value in inputs)
            message = (
                f"{path} holds one array, and the model has {len(inputs)} inputs ({names}); "
                f"say which, as NAME={path}"
            )
            raise UsageError(message)
        yield _Read(path.stem, {inputs[0].name or "": _array(path)})
    else:
        yield _Read(path.stem, _from_npz(path))


def _from_npz(path: Path) -> dict[str, Array]:
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            message = (
                f"{path} holds one array, expected an .npz with one array per input name; "
                "name it .npy"
            )
            raise UsageError(message)
        with stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "not an .npz file of plain arrays"
        message = f"{path}: inputs can't be read: {reason}; make one with numpy.savez"
        raise UsageError(message) from None


def _array(path: Path) -> Array:
    """The one array of an .npy or .pb file."""
    if path.suffix == ".pb":
        return _from_proto(path)
    try:
        with path.open("rb") as file:
            return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "not an .npy file of plain numbers"
        message = f"{path}: inputs can't be read: {reason}; make one with numpy.save"
        raise UsageError(message) from None


def _from_proto(path: Path) -> Array:
    return np.asarray(onnx.numpy_helper.to_array(_tensor(path)))


def _tensor(path: Path) -> onnx.TensorProto:
    """The TensorProto that a file holds, numbers and all."""
    wayout = "write one with onnx.numpy_helper.from_array(...).SerializeToString()"
    try:
        tensor: onnx.TensorProto = onnx.TensorProto.FromString(path.read_bytes())
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            message = f"{path}: its numbers lie in another file; {wayout}"
            raise UsageError(message)
        onnx.numpy_helper.to_array(tensor)
    except (OSError, DecodeError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "not a TensorProto, or a damaged one"
        message = f"{path}: inputs can't be read: {reason}; {wayout}"
        raise UsageError(message) from None
    return tensor


def _from_folder(model: ir.Model, folder: Path) -> Iterator[_Read]:
    if any(_NUMBERED.fullmatch(path.name) for path in folder.iterdir()):
        yield _test_data(model, folder)
        return
    found = [path for path in folder.iterdir() if path.is_dir() and _SETS.fullmatch(path.name)]
    if not found:
        message = (
            f"{folder} holds no test data, expected input_0.pb, ... and output_0.pb, ..., "
            "or folders test_data_set_0, ... with these"
        )
        raise UsageError(message)
    for path in sorted(found, key=lambda one: int(one.name.rpartition("_")[2])):
        yield _test_data(model, path)


def _test_data(model: ir.Model, folder: Path) -> _Read:
    outputs = _by_name(folder, "output", list(model.graph.outputs))
    return _Read(folder.name, _by_name(folder, "input", required_inputs(model)), outputs)


def _by_name(folder: Path, kind: str, values: Sequence[ir.Value]) -> dict[str, Array]:
    """Arrays of a folder by the names that they bear, or by position where they bear none."""
    matches = (_NUMBERED.fullmatch(path.name) for path in folder.iterdir())
    numbers = sorted(int(found[2]) for found in matches if found and found[1] == kind)
    known = [value.name or "" for value in values]
    tensors = {number: _tensor(folder / f"{kind}_{number}.pb") for number in numbers}
    named = len({one.name for one in tensors.values()} & set(known)) == len(tensors)
    if not named and any(number >= len(known) for number in numbers):
        message = (
            f"{folder} holds {kind}_{numbers[-1]}.pb, and the model has {len(known)} {kind}s "
            f"({', '.join(known)}); remove it, or give the model it belongs to"
        )
        raise UsageError(message)
    return {
        tensor.name if named else known[number]: np.asarray(onnx.numpy_helper.to_array(tensor))
        for number, tensor in tensors.items()
    }


def _case(model: ir.Model, read: _Read, name: str) -> Case:
    """A case, checked against the model."""
    inputs = {value.name or "": value for value in model.graph.inputs}
    outputs = {value.name or "": value for value in model.graph.outputs}
    feeds: dict[str, Array] = {}
    expected = {key: _checked_truth(outputs[key], array) for key, array in read.expected.items()}
    floors: dict[str, float] = {}
    for key, array in read.arrays.items():
        if key in inputs:
            feeds[key] = _checked_array(inputs[key], np.asarray(array))
        elif key.startswith(EXPECTED):
            value = _output(outputs, key, EXPECTED)
            expected[value.name or ""] = _checked_truth(value, np.asarray(array))
        elif key.startswith(FLOOR):
            value = _output(outputs, key, FLOOR)
            floors[value.name or ""] = _checked_floor(key, np.asarray(array))
        else:
            message = f"the model has no input {key!r}; it has {', '.join(inputs)}"
            raise UsageError(message)
    missing = sorted({value.name or "" for value in required_inputs(model)} - set(feeds))
    if missing:
        message = f"no array was given for input {', '.join(map(repr, missing))}"
        raise UsageError(message)
    return Case(name, feeds, expected=expected, floors=floors)


def _output(outputs: Mapping[str, ir.Value], key: str, prefix: str) -> ir.Value:
    name = key.removeprefix(prefix)
    if name not in outputs:
        message = f"{key!r} names no output of the model; it has {', '.join(outputs)}"
        raise UsageError(message)
    return outputs[name]


def _checked_array(value: ir.Value, array: Array) -> Array:
    expected = None if value.dtype is None else np.dtype(value.dtype.numpy())
    array = _as_stored(array, expected)
    if expected is not None and array.dtype != expected:
        message = (
            f"input {value.name!r} has type {array.dtype}, expected {expected}; convert it first"
        )
        raise UsageError(message)
    checked_shape(value, array.shape, "input")
    return array


def _checked_truth(value: ir.Value, array: Array) -> Array:
    """What is expected of an output: float64 where it is floating point, else of its own type."""
    declared = None if value.dtype is None else np.dtype(value.dtype.numpy())
    array = _as_stored(array, declared)
    numbers = is_float(array.dtype) and (declared is None or is_float(declared))
    if declared is not None and array.dtype != declared and not numbers:
        message = (
            f"what is expected of output {value.name!r} has type {array.dtype}, "
            f"expected {declared}; convert it first"
        )
        raise UsageError(message)
    checked_shape(value, array.shape, "output")
    return array.astype(np.float64) if numbers else array


def _as_stored(array: Array, expected: np.dtype[Any] | None) -> Array:
    """NumPy writes bfloat16 and its like as plain bytes of that width."""
    plain = array.dtype.kind == "V" and array.dtype.names is None and not is_float(array.dtype)
    if plain and expected is not None and array.dtype.itemsize == expected.itemsize:
        return array.view(expected)
    return array


def _checked_floor(key: str, array: Array) -> float:
    floor = float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "iuf" else 0.0
    if not 0 < floor < float("inf"):
        message = f"{key!r} must be one positive number, the noise floor in u; found {array!r}"
        raise UsageError(" ".join(message.split()))
    return floor
