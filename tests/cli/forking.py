"""A process that has imported what the command line needs, and becomes it by forking.

Each line of its standard input is a request in JSON; it answers each with a line that holds the exit
code. So a run is a process of its own, as a user's is, without a second of imports.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import normonnx.catalogue.contents
import normonnx.inspecting
import normonnx.pipeline
import normonnx.reporting.verdict_view
import normonnx.validation.judge
import normonnx.validation.recording
import normonnx.validation.replaying  # noqa: F401  # imported for the forks
from normonnx.cli.__main__ import main

with suppress(ImportError):  # only the extra `report` brings it
    import matplotlib.backends.backend_svg  # noqa: F401  # imported for the forks


def serve() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(request: Mapping[str, Any]) -> None:
    """Run a command line and end."""
    code = 1
    try:
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, path in ((1, request["out"]), (2, request["err"])):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
        sys.argv = ["normonnx", *request["arguments"]]
        code = main(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve()
