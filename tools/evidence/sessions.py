"""Sessions of ONNX Runtime in this process: on the provider asked for, or not at all.

The engine of `normonnx.runtime` runs a model and tells where its nodes ran. What is added here is
what measuring takes: sessions that may not fall back to the CPU, and a canary that tells a missing
kernel from a provider that is not used.
"""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.parser

from normonnx.core.verdicts import NodePlacement
from normonnx.runtime import naming
from normonnx.runtime.engines import ort

CPU: Final = "CPUExecutionProvider"
_STRICT: Final = "session.disable_cpu_ep_fallback"
_CANARY: Final = (
    '<ir_version: 8, opset_import: ["": 13]>\n'
    "canary (float[4, 4] x) => (float[4, 4] y) { y = MatMul(x, x) }"
)
_MOST_NAMED: Final = 12


class FallbackError(Exception):
    """A provider was asked for and is not used, without a word from the runtime."""


def provider_of(backend: str) -> str:
    """The installed execution provider that a backend names.

    Raises:
        GivenUpError: It is not installed.
    """
    import onnxruntime

    return ort.provider_options_of(onnxruntime, naming.parse(backend))[0]


def opened(model: Path | onnx.ModelProto, backend: str, *, strict: bool = False) -> Any:  # noqa: ANN401
    """Make a session.

    Args:
        model: A file, or a model.
        backend: A name of the family "ort", with options.
        strict: No node may run on the CPU unless that is the provider asked for.

    Raises:
        FallbackError: The provider is not used.
        GivenUpError: The provider is not installed.
        Exception: Whatever onnxruntime raises where the model does not load.
    """
    import onnxruntime

    named = naming.parse(backend)
    provider, options = ort.provider_options_of(onnxruntime, named)
    if provider != CPU:
        _preload()
    session_options = ort.session_options_of(onnxruntime, named)
    providers: list[Any] = [(provider, options)]
    if strict:
        session_options.add_session_config_entry(_STRICT, "1")
    elif provider != CPU:
        providers.append(CPU)
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(
        source, session_options, providers=providers, enable_fallback=0
    )
    if provider not in session.get_providers():
        message = f"{provider} was asked for but not used: it could not be loaded"
        raise FallbackError(message)
    return session


@functools.cache
def _preload() -> None:
    """Load CUDA and cuDNN where they are pip packages."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):  # onnxruntime 1.21 and newer
        onnxruntime.preload_dlls()


def placed(session: Any) -> tuple[NodePlacement, ...]:  # noqa: ANN401
    """Where each node was put, after onnxruntime's own rewriting."""
    return tuple(
        NodePlacement(node.name, node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def placement(session: Any, provider: str) -> dict[str, Any]:  # noqa: ANN401
    """Where nodes ran, in short: coverage, and what fell back."""
    nodes = placed(session)
    elsewhere = [node for node in nodes if node.where != provider]
    return {
        "nodes": len(nodes),
        "coverage": round(1 - len(elsewhere) / len(nodes), 4) if nodes else None,
        "kinds": dict(Counter(node.op_type for node in nodes).most_common(_MOST_NAMED)),
        "elsewhere": len(elsewhere),
        "elsewhere_kinds": dict(Counter(node.op_type for node in elsewhere)),
        "elsewhere_nodes": [node.node for node in elsewhere[:_MOST_NAMED]],
    }


def check_used(backend: str) -> None:
    """Run one small product on a backend.

    Raises:
        FallbackError: It did not run there.
        GivenUpError: The provider is not installed.
    """
    provider = provider_of(backend)
    session = opened(onnx.parser.parse_model(_CANARY), backend)
    if not any(node.where == provider for node in placed(session)):
        message = f"{provider} was asked for but ran no node of the simplest model"
        raise FallbackError(message)
    x = np.eye(4, dtype=np.float32)
    if not np.array_equal(session.run(None, {"x": x})[0], x):
        message = f"{provider} multiplies the identity by itself and finds something else"
        raise FallbackError(message)
