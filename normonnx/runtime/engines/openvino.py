"""OpenVINO's own runtime: an implementation that shares no kernel with ONNX Runtime.

On CPUs that have bfloat16 it computes in bfloat16 unless told otherwise (an error 5,000 times
larger); here float32 is asked for, and each node's real precision is read from the compiled model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from normonnx.core.verdicts import NodePlacement
from normonnx.runtime.engines.contract import Job, Loaded, can_not_load, first_line, unavailable
from normonnx.runtime.naming import INSTALL

_MISSING: Final = f"openvino is not installed; {INSTALL['openvino']}"
_OWN: Final = frozenset({"precision", "threads"})
_NARROW: Final[Mapping[str, str]] = {"bf16": "bfloat16", "f16": "float16"}
_PLUMBING: Final = frozenset({"Input", "Output", "Const", "Reorder"})


def load(job: Job) -> Loaded:
    """Compile the model for a device.

    Raises:
        GivenUpError: OpenVINO or the device is missing, or the model does not load.
    """
    runtime = _runtime()
    core = runtime.Core()
    device, options = job.backend.device.upper(), job.backend.options
    known = [name.partition(".")[0] for name in core.available_devices]
    if device.partition(".")[0] not in known:
        devices = ", ".join(core.available_devices) or "none"
        raise unavailable(f"OpenVINO finds no device {device!r} here, only {devices}")
    precision = options.get("precision", "f32")
    properties = {
        "INFERENCE_PRECISION_HINT": precision,
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == "f32" else "PERFORMANCE",
        "PERFORMANCE_HINT": "LATENCY",
        **({"INFERENCE_NUM_THREADS": str(job.backend.threads)} if device == "CPU" else {}),
        **{name: value for name, value in options.items() if name not in _OWN},
    }
    try:
        model = core.read_model(str(job.model))
        compiled = core.compile_model(model, device, properties)
    except Exception as error:  # noqa: BLE001  # of many kinds
        raise can_not_load(job.model, error) from None
    nodes = _nodes(compiled, device)
    declared = {str(found.get_element_type().get_type_name()) for found in model.inputs}
    narrow = {node.precision for node in nodes} & set(_NARROW) - declared
    return Loaded(
        lambda feeds: _run(compiled, feeds),
        asked=device,
        settings={
            "openvino": runtime.__version__.partition("-")[0],
            "device": str(core.get_property(device, "FULL_DEVICE_NAME")),
            **properties,
        },
        nodes=nodes,
        reduced=tuple(sorted(_NARROW[name] for name in narrow)),
    )


def probe() -> dict[str, str]:
    """Backends that are here, by name, with the version and the device.

    Raises:
        GivenUpError: OpenVINO is not installed.
    """
    runtime = _runtime()
    core = runtime.Core()
    version = runtime.__version__.partition("-")[0]
    return {
        "openvino" if device == "CPU" else f"openvino:{device}": (
            f"openvino {version}, {core.get_property(device, 'FULL_DEVICE_NAME')}"
        )
        for device in core.available_devices
    }


def _runtime() -> Any:  # noqa: ANN401
    try:
        import openvino
    except ImportError as error:
        reason = _MISSING
        if not isinstance(error, ModuleNotFoundError):
            reason = f"openvino can't be imported: {first_line(error)}"
        raise unavailable(reason) from None
    if not hasattr(openvino, "Core"):
        raise unavailable(_MISSING)
    return openvino


def _nodes(compiled: Any, device: str) -> tuple[NodePlacement, ...]:  # noqa: ANN401
    found = []
    for op in compiled.get_runtime_model().get_ordered_ops():
        info = {key: value.astype(str) for key, value in op.get_rt_info().items()}
        kind = info.get("layerType", op.get_type_name())
        if kind not in _PLUMBING:
            precision = info.get("runtimePrecision", "")
            found.append(NodePlacement(op.get_friendly_name(), kind, device, precision))
    return tuple(found)


def _run(compiled: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    given = {}
    for port in compiled.inputs:
        name = next((name for name in port.get_names() if name in feeds), None)
        if name is not None:
            given[port] = feeds[name]
    try:
        results = compiled(given)
        return {  # one tensor may have several names
            name: np.array(results[port]) for port in compiled.outputs for name in port.get_names()
        }
    except Exception as error:  # noqa: BLE001
        raise unavailable(f"failed while running: {first_line(error)}") from None
