"""What torch's errors mean for whoever exports, in one line with a way out."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from normonnx.core.errors import UsageError

_OPERATOR: Final = re.compile(r"OpOverload\(op='([^']+)'")
_MISSING: Final = ("No ONNX function found", "No decompositions registered", "DispatchError")
_LONGEST: Final = 300
_DEPENDENT: Final = (
    "data-dependent",
    "Dynamic control flow",
    "data dependent",
    "unbacked symint",
    "aten._local_scalar_dense",
)


def in_words(error: BaseException, doing: str, module: object) -> UsageError:
    """The error to raise.

    Args:
        error: What torch raised.
        doing: What was being done, as in "export".
        module: The user's module, to tell its frames from torch's.
    """
    text = " ".join(str(each) for each in _chain(error))
    where = _where(error)
    operator = _OPERATOR.search(text)
    if any(words in text for words in _DEPENDENT):
        message = (
            f"{doing}: {type(module).__name__} decides by the numbers in a tensor{where}; write it "
            "with torch.where or torch.cond, or pass the decision as an argument that is no tensor"
        )
    elif any(words in text for words in _MISSING) and operator:
        message = (
            f"{doing}: torch's ONNX exporter has no translation for {operator[1]}{where}; write "
            "that part with other operators, or give a translation with custom_translation_table="
        )
    elif "onstraint" in type(error).__name__ or "onstraint" in text or "pecializ" in text:
        message = (
            f"{doing}: a dimension that is to be dynamic can't be{where}: {first(error)}; leave it "
            "out of dynamic, or compute with x.shape instead of numbers"
        )
    else:
        message = (
            f"{doing}: torch can't trace {type(module).__name__}{where}: {type(error).__name__}: "
            f"{first(error)}; see its documentation of torch.export, or run with --traceback"
        )
    return UsageError(message)


def first(error: BaseException) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:_LONGEST]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _where(error: BaseException) -> str:
    """The last line of code on the way that is neither torch's nor normonnx's nor Python's own."""
    for each in list(_chain(error))[::-1]:
        for frame in reversed(traceback.extract_tb(each.__traceback__)):
            parts = Path(frame.filename).parts
            ours = "normonnx" in parts and "exporting" in parts
            if not ours and not {"torch", "onnxscript", "onnx_ir"} & set(parts) and _is_file(frame):
                return f" at {frame.filename}:{frame.lineno}, in {frame.name}"
    return ""


def _is_file(frame: traceback.FrameSummary) -> bool:
    library = Path(traceback.__file__).parent
    inside = library in Path(frame.filename).parents
    return Path(frame.filename).is_file() and (not inside or "site-packages" in frame.filename)
