"""The process that runs a model: `python -m normonnx.runtime.worker [FOLDER]`.

It reads the request and the inputs from the folder (see `exchange`), hands them to the engine of
the backend's family, and writes the outputs, one case at a time, and the answer; see `answering`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from normonnx.runtime import exchange, naming
from normonnx.runtime.answering import serve
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import Job


def _run(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    if "probe" in request:
        found = loading.probe(request["probe"])
        return {"verdict": "pass", "reason": "", "found": dict(found)}
    module = request["module"]
    loaded = loading.load(
        Job(
            Path(request["model"]),
            naming.parse(request["backend"]),
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
    os._exit(serve(_run))
