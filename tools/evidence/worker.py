"""The process that does items: `python -m tools.evidence.worker`, a request and an answer a line.

It keeps truths and the device's context between items. What it prints goes to standard error; it
ends with its parent, that is when its standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from normonnx.runtime.engines.contract import GivenUpError
from tools.evidence import manifest, sessions
from tools.evidence.items import RESTART, Work
from tools.evidence.journal import plain
from tools.evidence.subjects import Context

_LONGEST: Final = 300  # characters of a reason
_UNSURE: Final = frozenset({"unavailable", "error"})


def main() -> None:
    """Do what is asked until nothing more comes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    context: Context | None = None
    while True:
        request = json.loads(requests.get())
        if context is None:
            context = _context(request)
        context.backend = request["backend"]
        answers.write(json.dumps(plain(done(context, request))) + "\n")
        answers.flush()


def done(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    """Do one item. Whatever goes wrong is its result.

    After a failure the simplest model is run: where that does not reach the provider either, the
    status is "fallback". Where it fails, the device's context is broken, and this process as well.
    """
    found = _tried(context, request)
    if found["status"] in _UNSURE:
        try:
            sessions.check_used(context.backend)
        except (sessions.FallbackError, GivenUpError) as error:
            return {"status": "fallback", "reason": _line(error)}
        except Exception as error:  # noqa: BLE001  # a device that no longer works
            found["reason"] = f"{found.get('reason')}; then the simplest model: {_line(error)}"
            found[RESTART] = True
    return found


def _tried(context: Context, request: dict[str, Any]) -> dict[str, Any]:
    module, _, function = request["work"].partition(":")
    try:
        work: Work = getattr(import_module(module), function)
        return work(context, request["arguments"], request["seconds"])
    except sessions.FallbackError as error:
        return {"status": "fallback", "reason": _line(error)}
    except GivenUpError as error:
        return {"status": "unavailable", "reason": _line(error)}
    except Exception as error:  # noqa: BLE001  # one item that fails leaves the others
        return {"status": "error", "reason": f"{type(error).__name__}: {_line(error)}"}


def _context(request: dict[str, Any]) -> Context:
    models, scratch, bundles = (Path(request[name]) for name in ("models", "scratch", "bundles"))
    return Context(models, request["backend"], scratch, bundles, manifest.read(models))


def _read(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(1)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST]


if __name__ == "__main__":
    main()
