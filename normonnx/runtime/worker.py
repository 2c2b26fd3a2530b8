"""The process that runs a model: `python -m normonnx.runtime.worker [FOLDER]`.

It reads the request and the inputs from the folder (see `exchange`), hands them to the engine of
the backend's family, and writes the outputs, one case at a time, and the answer. Without a folder
it serves: each line of its standard input names one. It ends at once when its standard input is
closed, that is when its parent dies.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from normonnx.runtime import exchange, naming
from normonnx.runtime.engines.contract import GivenUpError, Job, Load, Probe

# By what comes before the colon of a backend's name; imported when it is asked for.
_ENGINES: Final[Mapping[str, str]] = {
    "ort": "normonnx.runtime.engines.ort",
    "openvino": "normonnx.runtime.engines.openvino",
    "torch": "normonnx.runtime.engines.torch",
    "oracle": "normonnx.runtime.engines.oracle",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one request, or serve them as they come."""
    folders = sys.argv[1:] if arguments is None else arguments
    if folders:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _answer(Path(folders[0]))
        return 0
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        _answer(Path(lines.get()))


def _answer(place: Path) -> None:
    """Run one request; its answer appears at once and whole."""
    try:
        answer = _run(place, json.loads((place / exchange.REQUEST).read_text()))
    except GivenUpError as error:
        answer = {"verdict": error.verdict, "reason": str(error)}
    except MemoryError:
        answer = {"verdict": "unavailable", "reason": "ran out of memory"}
    written = place / f"{exchange.ANSWER}.part"
    written.write_text(json.dumps(answer))
    written.replace(place / exchange.ANSWER)


def _listen(lines: queue.Queue[str]) -> None:
    for line in sys.stdin:
        lines.put(line.rstrip("\n"))
    os._exit(1)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _run(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    if "probe" in request:
        probe: Probe = import_module(_ENGINES[request["probe"]]).probe
        return {"verdict": "pass", "reason": "", "found": dict(probe())}
    backend = naming.parse(request["backend"])
    module = request["module"]
    load: Load = import_module(_ENGINES[backend.family]).load
    loaded = load(
        Job(
            Path(request["model"]),
            backend,
            None if module is None else Path(module),
            tuple(request["paths"]),
            place if request["trace"] else None,
        )
    )
    for number in range(request["cases"]):
        feeds = exchange.read_arrays(exchange.folder(place, "inputs", number))
        exchange.write_arrays(exchange.folder(place, "outputs", number), loaded.run(feeds))
    return {
        "verdict": "pass",
        "reason": "",
        "asked": loaded.asked,
        "nodes": [astuple(node) for node in loaded.nodes],
        "settings": loaded.settings,
        "reduced": list(loaded.reduced),
        "notes": list(loaded.notes),
        "wide": loaded.wide,
        "rewriting": None if loaded.rewriting is None else loaded.rewriting.plain(),
    }


if __name__ == "__main__":
    # Everything is written. Runtimes are known to crash while the interpreter takes them down.
    os._exit(main())
