"""Stages "versions" and "registry": what the figures were measured on, and which kernels it has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from normonnx.runtime.machine import processor
from tools.evidence import sessions
from tools.evidence.items import Item
from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context

_PACKAGES: Final = (
    "ml_dtypes",
    "normonnx",
    "numpy",
    "onnx",
    "onnx-ir",
    "onnx-shape-inference",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
)
_CARD: Final = ("name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm")
_NORMS: Final = frozenset(
    {
        "BatchNormalization",
        "BiasAdd",
        "BiasSplitGelu",
        "GroupNorm",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "SkipGroupNorm",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
    }
)
_PARTS: Final = frozenset(
    {"ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare", "Pow", "Reciprocal", "Sqrt"}
)
_LINEAR: Final = frozenset(
    {
        "Conv",
        "ConvTranspose",
        "Einsum",
        "FusedConv",
        "FusedGemm",
        "FusedMatMul",
        "Gemm",
        "GroupNormalization",
        "MatMul",
        "NhwcConv",
    }
)


def items(_manifest: Manifest, backend: str) -> Sequence[Item]:
    """The machine."""
    return [Item("versions:machine", f"{__name__}:versions", backend)]


def registry_items(_manifest: Manifest, backend: str) -> Sequence[Item]:
    """The kernels."""
    return [Item("registry:kernels", f"{__name__}:registry", backend)]


def versions(context: Context, _arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Versions of everything that figures may depend on, and the devices."""
    import onnxruntime

    installed = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return {
        "status": "ok",
        "backend": context.backend,
        "provider": sessions.provider_of(context.backend),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "card": card(),
        "packages": {name: installed[name] for name in _PACKAGES if name in installed},
        "nvidia": {n: v for n, v in sorted(installed.items()) if n.startswith("nvidia-")},
        "onnxruntime": {
            "version": onnxruntime.__version__,
            "build": onnxruntime.get_build_info(),
            "providers": onnxruntime.get_available_providers(),
            **_built_with(),
        },
        "prepared_with": dict(context.manifest.versions),
    }


def registry(context: Context, _arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Kernels of the provider for normalizations, their parts, and linear operators."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    provider = sessions.provider_of(context.backend)
    kernels: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for kernel in state.get_all_opkernel_def():
        if kernel.provider == provider and kernel.op_name in _NORMS | _PARTS | _LINEAR:
            first, last = kernel.version_range
            versions_ = f"{first}+" if last > 1 << 16 else f"{first}-{last}"
            types = ["/".join(sorted(map(_short, t))) for t in kernel.type_constraints.values()]
            key = kernel.op_name, kernel.domain or "ai.onnx", versions_
            kernels[key].add(" ".join(types))
    rows = [[*key, sorted(types)] for key, types in sorted(kernels.items())]
    have = {row[0] for row in rows}
    missing = sorted((_NORMS | _LINEAR) - have)
    return {"status": "ok", "provider": provider, "kernels": rows, "missing": missing}


def canary(context: Context, _arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Run the simplest model: before anything else, is the provider used at all?"""
    sessions.check_used(context.backend)
    return {"status": "ok"}


def card() -> dict[str, str]:
    """The first NVIDIA card; what it is not told about is left out."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"note": "nvidia-smi is not installed"}
    found = {}
    for field in _CARD:  # one by one: older drivers don't know all of them
        command = [tool, f"--query-gpu={field}", "--format=csv,noheader"]
        try:
            said = subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)
        except (OSError, subprocess.SubprocessError):
            continue
        lines = said.stdout.strip().splitlines()
        if said.returncode == 0 and lines:
            found[field] = lines[0].strip()
    return found or {"note": "nvidia-smi tells nothing"}


def _built_with() -> dict[str, str]:
    """CUDA and cuDNN that onnxruntime was built with, where its package tells."""
    try:
        from onnxruntime.capi import build_and_package_info as info
    except ImportError:
        return {}
    names = ("package_name", "cuda_version", "cudnn_version")
    return {name: str(getattr(info, name)) for name in names if getattr(info, name, "")}


def _short(kind: str) -> str:
    return kind.removeprefix("tensor(").removesuffix(")")
