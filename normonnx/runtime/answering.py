"""A worker's side of a request: it comes as a folder, and the answer appears there, whole.

Started with a folder a worker answers that and ends. Without one it serves: each line of its
standard input names a folder. It ends at once when its standard input is closed, that is when its
parent dies.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from normonnx.runtime import exchange
from normonnx.runtime.engines.contract import GivenUpError

Work = Callable[[Path, Mapping[str, Any]], Mapping[str, Any]]


def serve(work: Work) -> int:
    """Answer the request that the command line names, or serve requests as they come.

    Args:
        work: Folder and request to the answer; may raise GivenUpError.
    """
    folders = sys.argv[1:]
    if folders:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _answer(work, Path(folders[0]))
        return 0
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        _answer(work, Path(lines.get()))


def _answer(work: Work, place: Path) -> None:
    try:
        answer = work(place, json.loads((place / exchange.REQUEST).read_text()))
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
