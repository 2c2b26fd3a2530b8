"""What ONNX Runtime's optimizers make of a graph: the graph it runs, and which of them changed it.

ONNX Runtime saves the graph when it is asked to, and tells in its log, at level INFO, which graph
transformers modified it ("GraphTransformer LayerNormFusion modified: 1"). The log goes to the
process's standard error, wherever Python's own points to, so that is taken aside for a moment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from normonnx.runtime.rewriting import Rewriting, RewrittenNode

_FILE: Final = "rewritten.onnx"
_WEIGHTS: Final = "rewritten.weights"
_LOG: Final = "log.txt"
_INFO: Final = 1
_STANDARD_ERROR: Final = 2
_MODIFIED: Final = re.compile(r"GraphTransformer (\S+) modified: 1 ")


def traced(make: Callable[[], Any], options: Any, folder: Path) -> tuple[Any, Rewriting]:  # noqa: ANN401
    """A session, and what it made of the graph.

    Args:
        make: Makes the session with these options.
        options: Session options; they are changed.
        folder: Where files may be written.
    """
    options.log_severity_level = _INFO
    options.optimized_model_filepath = str(folder / _FILE)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_file_name", _WEIGHTS
    )
    log = folder / _LOG
    kept = os.dup(_STANDARD_ERROR)
    try:
        with log.open("wb") as opened:
            os.dup2(opened.fileno(), _STANDARD_ERROR)
            try:
                session = make()
            finally:
                os.dup2(kept, _STANDARD_ERROR)
    finally:
        os.close(kept)
    return session, Rewriting(_nodes(folder / _FILE), _optimizers(log))


def _optimizers(log: Path) -> tuple[str, ...]:
    said = log.read_text(errors="replace")
    return tuple(dict.fromkeys(match[1] for match in _MODIFIED.finditer(said)))


def _nodes(path: Path) -> tuple[RewrittenNode, ...]:
    import onnx

    if not path.exists():
        return ()
    found = onnx.load(path, load_external_data=False)
    return tuple(
        RewrittenNode(
            node.name,
            "" if node.domain == "ai.onnx" else node.domain,
            node.op_type,
            tuple(node.input),
            tuple(node.output),
        )
        for node in found.graph.node
    )
