"""A verb that is quick and does as it is told, to sweep with.

A model of it is a text file: "pass", "sleep 60", "eat 400000000", "exit 1", "signal 11", ...
Imports little: it starts in a process of its own for each model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

TRACE = "NORMONNX_TEST_TRACE"


def verb(arguments: list[str]) -> int:
    """Do what the model says; leave a document, and a file where one is asked for."""
    named = dict(pairwise(arguments))
    model = Path(arguments[1])
    if TRACE in os.environ:
        with Path(os.environ[TRACE]).open("a", encoding="utf-8") as trace:
            trace.write(f"{model.name}\n")
    what, _, number = model.read_text(encoding="utf-8").strip().partition(" ")
    return _told(what, number, model, named)


def _told(what: str, number: str, model: Path, named: dict[str, str]) -> int:
    if what in ("sleep", "write"):
        for part in range(4):  # slowly, so that a kill falls into the middle
            if what == "write":
                with Path(named["--output"]).open("ab") as output:
                    output.write(f"{model.name} {part}\n".encode() * 100)
            time.sleep(float(number) / 4)
    if what == "eat":
        eaten = b"x" * int(number)
        time.sleep(60 + len(eaten) * 0)
    if what == "fork":
        subprocess.run(
            [sys.executable, "-c", f"import time; x = b'x' * {number}; time.sleep(60)"], check=False
        )
    if what == "signal":
        os.kill(os.getpid(), int(number))
    code = int(number) if what == "exit" else 0
    if code:
        sys.stderr.write(f"normonnx: error: {model}: exits with {code}\n")
    else:
        said = os.environ.get(number, "") if what == "env" else what
        document = {"model": str(model), "output": named.get("--output"), "said": said}
        Path(named["--json"]).write_text(json.dumps(document), encoding="utf-8")
    return code
