"""OpenVINO's own runtime: an implementation that shares no kernel with ONNX Runtime.

On CPUs that have bfloat16 it computes in bfloat16 unless told otherwise (an error 5,000 times
larger); here float32 is asked for, and each node's real precision is read from the compiled model.
It has no float64 kernels: such a model is computed in float32, which is told as well.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final, cast

import ml_dtypes
import numpy as np

from normonnx.core.clocks import Stopwatch
from normonnx.core.verdicts import NodePlacement
from normonnx.runtime.engines.contract import Job, Loaded, can_not_load, first_line, unavailable
from normonnx.runtime.naming import INSTALL

_MISSING: Final = f"openvino is not installed; {INSTALL['openvino']}"
_OWN: Final = frozenset({"precision", "threads"})
_NARROW: Final[Mapping[str, str]] = {"bf16": "bfloat16", "f16": "float16"}
_WIDE: Final = "f64"
_PLUMBING: Final = frozenset({"Input", "Output", "Const", "Reorder"})
_CONVERTING: Final = "Convert"  # its precision is that of what it reads
# Lines of OpenVINO's errors that say where in its source, not what.
_NOISE: Final = re.compile(r"Exception from |Check '.*' failed at |FrontEnd API failed|Summary:$")
_LONGEST: Final = 300


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
    watch = Stopwatch.started()
    try:
        model = core.read_model(str(job.model))
        compiled = core.compile_model(model, device, properties)
    except Exception as error:  # noqa: BLE001  # of many kinds
        raise can_not_load(job.model, _said(error)) from None
    took = watch.took()
    nodes = () if job.timed else _nodes(compiled, device)
    return Loaded(
        lambda feeds: _run(compiled, feeds),
        asked=device,
        settings={
            "openvino": runtime.__version__.partition("-")[0],
            "device": str(core.get_property(device, "FULL_DEVICE_NAME")),
            **properties,
        },
        nodes=nodes,
        reduced=() if job.timed else _reduced(model, nodes),
        bind=lambda feeds: _bound(compiled, feeds),
        took=took,
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


def imported() -> Any:  # noqa: ANN401  # the package
    """OpenVINO, without its usage statistics.

    On import it sends some to its makers, from a copy of the process that never ends where another
    thread reads standard input, as in a worker. Without openvino_telemetry it sends none.

    Raises:
        ImportError: It is not installed, or damaged.
    """
    sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))  # "not installed"
    import openvino

    return openvino


def _runtime() -> Any:  # noqa: ANN401
    try:
        openvino = imported()
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


def _reduced(model: Any, nodes: tuple[NodePlacement, ...]) -> tuple[str, ...]:  # noqa: ANN401
    """Formats that nodes ran in and the model does not ask for anywhere."""
    ran = {node.precision for node in nodes if node.op_type != _CONVERTING}
    own = {_type_of(port) for op in model.get_ops() for port in op.outputs()}
    found = sorted(_NARROW[name] for name in (ran & set(_NARROW)) - own)
    if _WIDE in {_type_of(port) for port in (*model.inputs, *model.outputs)} and "f32" in ran:
        found.append("float32")
    return tuple(found)


def _type_of(port: Any) -> str:  # noqa: ANN401
    return str(port.get_element_type().get_type_name())


def _run(compiled: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    given = _given(compiled, feeds)
    try:
        results = compiled(given)
        return {  # one tensor may have several names
            name: _array(results[port], _type_of(port))
            for port in compiled.outputs
            for name in port.get_names()
        }
    except Exception as error:  # noqa: BLE001
        raise unavailable(f"failed while running: {_said(error)}") from None


def _bound(compiled: Any, feeds: Mapping[str, Any]) -> Callable[[], None]:  # noqa: ANN401
    request, given = compiled.create_infer_request(), _given(compiled, feeds)
    try:
        request.infer(given)
    except Exception as error:  # noqa: BLE001
        raise unavailable(f"failed while running: {_said(error)}") from None

    def run() -> None:
        request.start_async()  # infer() would also hand out the outputs
        request.wait()

    return run


def _given(compiled: Any, feeds: Mapping[str, Any]) -> dict[Any, Any]:  # noqa: ANN401
    """Arrays by input."""
    given = {}
    for port in compiled.inputs:
        name = next((name for name in port.get_names() if name in feeds), None)
        if name is None:  # OpenVINO would compute with whatever lies there
            named = " or ".join(map(repr, sorted(port.get_names()))) or "without a name"
            raise unavailable(f"nothing was given for its input {named}")
        array = np.asarray(feeds[name])
        given[port] = array.astype(str) if array.dtype == np.object_ else array
    return given


def _array(found: Any, kind: str) -> Any:  # noqa: ANN401
    """A copy of an output; OpenVINO hands out the bits of a bfloat16 as those of a float16."""
    array = np.array(found)
    return array.view(ml_dtypes.bfloat16) if kind == "bf16" else array


def _said(error: BaseException) -> str:
    """What went wrong, in one line."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    found = "; ".join(line for line in lines if line and not _NOISE.match(line))
    return found[:_LONGEST] or first_line(error)
