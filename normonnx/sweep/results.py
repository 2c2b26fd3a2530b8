"""From a task that ended to a result, and results as JSON.

A result says nothing about when and where it was made: names in place of paths, no times. So the
same sweep gives the same bytes, wherever it runs and however often it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from normonnx.core.sweeps import ModelResult, Outcome, Produced
from normonnx.reporting.documents import plain
from normonnx.sweep.children import last_words
from normonnx.sweep.executor import ANSWER, WRITTEN, Attached, Finished, Output
from normonnx.sweep.hashing import SCHEMA

MODELS: Final = "models"
OUTSIDE: Final = "ended by somebody else"
_LONGEST: Final = 300  # characters of a reason
_WORTH_KEEPING: Final = (Outcome.PASS, Outcome.INCONCLUSIVE)


def result_of(name: str, verb: str, key: str, finished: Finished) -> ModelResult:
    """What became of a model.

    Args:
        name: What it is called.
        verb: What was run on it.
        key: Digest of what the result depends on.
        finished: The task.
    """
    ended = finished.ended
    renamed = _renamed(name, finished)
    if ended.code is None:
        outcome = Outcome(ended.over)
        return ModelResult(name, verb, outcome, ended.reason, key, limit=_limit(outcome, finished))
    outcome = Outcome.of(ended.code)
    document = _document(finished.place / ANSWER, renamed)
    said = _replaced(last_words(finished.place), renamed)
    if outcome is Outcome.CRASHED:
        said = f"its process returned {ended.code}: {said}".rstrip(": ")
    elif document is not None:
        said = reason(document)
    return ModelResult(name, verb, outcome, said, key, document=document)


def written(result: ModelResult, finished: Finished) -> list[Path]:
    """The files that a task wrote and that are worth keeping, weights first."""
    if result.outcome not in _WORTH_KEEPING:
        return []
    names = [word.name for word in finished.task.words if isinstance(word, Output)]
    found = sorted((finished.place / WRITTEN).iterdir())
    kept = [path for path in found if path.is_file() and not path.name.startswith(".")]
    return sorted(kept, key=lambda path: path.name in names)


def _limit(outcome: Outcome, finished: Finished) -> str:
    limits = finished.task.limits
    return {
        Outcome.TIMEOUT: f"timeout {limits.seconds:g}",
        Outcome.MEMORY: f"memory {limits.memory}",
        Outcome.CRASHED: OUTSIDE if finished.ended.outside else "",
    }.get(outcome, "")


def _renamed(name: str, finished: Finished) -> list[tuple[str, str]]:
    """Paths that must not appear in a result, and what stands for them, the longest first."""
    place = finished.place / WRITTEN
    words = finished.task.words
    attached = [word for word in words if isinstance(word, Attached)]
    pairs = [
        (str(place / word.name), f"{MODELS}/{name}") for word in words if isinstance(word, Output)
    ]
    pairs += [(str(word.path), word.path.name if n else name) for n, word in enumerate(attached)]
    for known, here in finished.ended.paths:  # the task ran elsewhere, under other paths
        below = [(path, shown) for path, shown in pairs if PurePath(path).is_relative_to(here)]
        pairs += [(known + path.removeprefix(here), shown) for path, shown in below]
    return sorted(dict(pairs).items(), key=lambda pair: len(pair[0]), reverse=True)


def _document(answer: Path, renamed: Sequence[tuple[str, str]]) -> dict[str, Any] | None:
    try:
        found = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    renamed_document: dict[str, Any] = _everywhere(found, renamed)
    return renamed_document


def _everywhere(found: Any, renamed: Sequence[tuple[str, str]]) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(found, str):
        return _replaced(found, renamed)
    if isinstance(found, list):
        return [_everywhere(one, renamed) for one in found]
    if isinstance(found, dict):
        return {_replaced(key, renamed): _everywhere(one, renamed) for key, one in found.items()}
    return found


def _replaced(text: str, renamed: Sequence[tuple[str, str]]) -> str:
    for path, name in renamed:
        text = text.replace(path, name)
    return text


def reason(document: Mapping[str, Any]) -> str:
    """Why a verb's document has the verdict that it has; empty on a pass."""
    report = document.get("report")
    if not isinstance(report, Mapping):
        return ""
    judged = report.get("verification") if "verification" in report else report
    if not isinstance(judged, Mapping) or judged.get("verdict") in (None, "pass"):
        return ""
    told = [*judged.get("comparisons", ()), *judged.get("backends", ())]
    for one in told:
        if one.get("verdict") == judged["verdict"] and one.get("reason"):
            where = one.get("output") or one.get("backend") or ""
            return f"{where}: {one['reason']}".lstrip(": ")[:_LONGEST]
    notes = judged.get("notes") or ["nothing was compared"]
    return str(notes[0])[:_LONGEST]


def as_json(result: ModelResult) -> dict[str, Any]:
    """A result as JSON; `from_json` reads it back."""
    return {
        "schema": SCHEMA,
        "model": result.model,
        "verb": result.verb,
        "outcome": result.outcome.value,
        "exit_code": int(result.exit_code),
        "reason": result.reason,
        "key": result.key,
        "limit": result.limit,
        "produced": plain(result.produced),
        "document": result.document,
    }


def line(result: ModelResult) -> str:
    """A result as one line of JSON, ASCII only, ending in a newline."""
    return json.dumps(as_json(result), allow_nan=False, separators=(",", ":")) + "\n"


def from_json(text: str) -> ModelResult:
    """Read a result back.

    Raises:
        ValueError: It is no result, or one of another version.
    """
    found = json.loads(text)
    try:
        if found["schema"] != SCHEMA:
            message = f"schema {found['schema']!r}, expected {SCHEMA!r}"
            raise ValueError(message)
        return ModelResult(
            model=found["model"],
            verb=found["verb"],
            outcome=Outcome(found["outcome"]),
            reason=found["reason"],
            key=found["key"],
            produced=tuple(Produced(**one) for one in found["produced"]),
            document=found["document"],
            limit=found["limit"],
        )
    except (KeyError, TypeError) as error:
        message = f"no result of a sweep: {error}"
        raise ValueError(message) from error
