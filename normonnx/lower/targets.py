"""Where a model will run: the targets, and which operators each of them has.

To add a target is to add one row here, and a table of its kernels (`tools/list_kernels.py`) beside.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

import onnx

from normonnx.core.hints import DISABLED
from normonnx.core.kernels import Kernels
from normonnx.lower.bodies import inside

PORTABLE: Final = "portable"
ML: Final = "ai.onnx.ml"
MICROSOFT: Final = "com.microsoft"
_ONNX: Final = ("", "ai.onnx")
_TABLES: Final = "normonnx.lower.tables"
_BODIES: Final = ("has_function", "has_context_dependent_function")  # of a schema
_INITIALIZER: Final = "Constant"  # which every runtime reads as one


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model will run.

    Attributes:
        name: What `--target` takes.
        about: What it is.
        domains: Operator domains beyond ONNX's own that its runtime has.
        backend: The backend that runs it here; None where no backend is this runtime.
        provider: The execution provider of ONNX Runtime whose kernels count; None for others.
        highest: Highest version of ONNX's operators that it loads, None where that is not known.
        hints: Session config entries that may gain; `hints.record` says for which models.
    """

    name: str
    about: str
    domains: frozenset[str] = frozenset()
    backend: str | None = None
    provider: str | None = None
    highest: int | None = None
    hints: Mapping[str, str] = field(default_factory=dict)


_ROWS: Final = (
    Target(PORTABLE, "standard ONNX operators only; any runtime"),
    Target(
        "ort-cpu",
        "ONNX Runtime on CPUs",
        frozenset({ML, MICROSOFT}),
        backend="ort:cpu",
        provider="CPUExecutionProvider",
        highest=26,
        hints={DISABLED: "SkipLayerNormFusion"},
    ),
    Target(
        "ort-cuda",
        "ONNX Runtime on NVIDIA cards, CUDA execution provider",
        frozenset({ML, MICROSOFT}),
        backend="ort:cuda",
        provider="CUDAExecutionProvider",
        highest=26,
    ),
    Target(
        "tensorrt",
        "TensorRT's own ONNX parser, or ONNX Runtime's TensorRT execution provider",
        backend="ort:tensorrt",
        highest=24,
    ),
    Target("openvino", "OpenVINO's own runtime", frozenset({ML, MICROSOFT}), backend="openvino"),
)
TARGETS: Final[Mapping[str, Target]] = {target.name: target for target in _ROWS}


def kernels_of(target: Target, installed: Kernels | None = None) -> Kernels | None:
    """The kernels of a target; None where any operator of ONNX will do.

    Args:
        target: One of `TARGETS`.
        installed: What the runtime itself says that it has, where it is here; that counts then.
    """
    return _shipped(target.name) if installed is None else installed


def runs(kernels: Kernels | None, node_domain: str, op_type: str, opset: int, dtype: str) -> bool:
    """Whether a runtime runs an operator: by a kernel, as its body, or with casts.

    Args:
        kernels: What it has; None for all operators of ONNX and no others.
        node_domain: Of the operator; "" or "ai.onnx" for ONNX's own.
        op_type: Its name.
        opset: Version of that domain's operator set.
        dtype: Element type of the first input, as numpy names it.
    """
    domain = "" if node_domain in _ONNX else node_domain
    if not domain and op_type == _INITIALIZER:
        return True
    schema = _schema(domain, op_type, opset)
    if kernels is None:
        return schema is not None and not domain
    version = opset if schema is None else schema.since_version
    if kernels.has(domain, op_type, version, dtype):
        return True
    if schema is not None and any(getattr(schema, name) for name in _BODIES):
        inner = inside(domain, op_type, opset, dtype)
        return inner is not None and all(runs(kernels, *each[:2], opset, each[2]) for each in inner)
    return kernels.has(domain, op_type, version, kernels.casts.get(dtype, dtype))


@functools.cache
def _schema(domain: str, op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """What onnx says about an operator; None where it has none, or none any more."""
    try:
        found = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    return None if found.deprecated else found


@functools.cache
def _shipped(name: str) -> Kernels | None:
    found = _table(f"kernels-{name}.json")
    return None if found is None else Kernels.of_plain(found)


def _table(name: str) -> dict[str, Any] | None:
    path = resources.files(_TABLES) / name
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
