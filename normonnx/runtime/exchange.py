"""What parent and worker hand each other: a folder with JSON and plain binary arrays.

`request.json` and `inputs-N/` go in, `outputs-N/` and `answer.json` come out. An array is a file
of its raw bytes; type and shape stand in an index beside it, so every ONNX type travels, those
that only ml_dtypes knows included. Strings are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import ml_dtypes  # noqa: F401  # numpy learns bfloat16 and its like by name
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
REQUEST: Final = "request.json"
ANSWER: Final = "answer.json"
_INDEX: Final = "index.json"


def write_arrays(place: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays by name into a new folder; None stays None."""
    place.mkdir()
    index: list[dict[str, Any]] = []
    for number, (name, found) in enumerate(arrays.items()):
        entry: dict[str, Any] = {"name": name}
        if found is not None:
            array = np.asarray(found)
            entry |= {"shape": list(array.shape)}
            if array.dtype.kind in "OUS":
                entry |= {"dtype": "str", "strings": [_text(one) for one in array.reshape(-1)]}
            else:
                array = array.astype(array.dtype.newbyteorder("="), copy=False)
                entry |= {"dtype": array.dtype.name}
                _bytes_of(array).tofile(place / str(number))
        index.append(entry)
    (place / _INDEX).write_text(json.dumps(index))


def read_arrays(place: Path) -> dict[str, Any]:
    """Read what `write_arrays` wrote; strings are objects, as in ONNX."""
    found: dict[str, Any] = {}
    for number, entry in enumerate(json.loads((place / _INDEX).read_text())):
        if "dtype" not in entry:
            found[entry["name"]] = None
        elif entry["dtype"] == "str":
            strings = np.empty(len(entry["strings"]), dtype=object)
            strings[:] = entry["strings"]
            found[entry["name"]] = strings.reshape(entry["shape"])
        else:
            raw = np.fromfile(place / str(number), dtype=np.uint8)
            found[entry["name"]] = raw.view(np.dtype(entry["dtype"])).reshape(entry["shape"])
    return found


def folder(place: Path, kind: str, number: int) -> Path:
    """Where the arrays of one case lie; `kind` is "inputs" or "outputs"."""
    return place / f"{kind}-{number}"


def write_cases(place: Path, cases: Iterable[Mapping[str, Any]]) -> None:
    """Write the inputs of each case."""
    for number, feeds in enumerate(cases):
        write_arrays(folder(place, "inputs", number), feeds)


def _bytes_of(array: Array) -> Array:
    """The bytes of an array of any type, in C order."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _text(found: Any) -> str:  # noqa: ANN401  # str or bytes
    return found.decode("utf-8", "surrogateescape") if isinstance(found, bytes) else str(found)
