"""ONNX Runtime, on any execution provider that is installed.

Asking for a provider that is missing, or that can't be used, makes ONNX Runtime fall back to the
CPU without an error (onnxruntime#23372, #17801). Here that is `unavailable`: providers are compared
with those installed, those of the session, and those that the nodes were really assigned to.

Settings that change numbers are pinned and told: TF32 off (it costs 13 bits and is CUDA's default),
cuDNN's algorithms chosen by heuristic instead of by timing them (which differs from run to run),
reduced precision of TensorRT and OpenVINO off.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from normonnx.core.clocks import Stopwatch, Took
from normonnx.core.verdicts import NodePlacement
from normonnx.runtime.engines import ort_binding, ort_hints, ort_rewriting, ort_values
from normonnx.runtime.engines.contract import Job, Loaded, can_not_load, first_line, unavailable
from normonnx.runtime.naming import DEFAULT_LEVEL, INSTALL, LEVELS, Backend
from normonnx.runtime.rewriting import Rewriting

_CPU: Final = "CPUExecutionProvider"
_SUFFIX: Final = "executionprovider"
_PINNED: Final[Mapping[str, Mapping[str, str]]] = {
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"},
    "TensorrtExecutionProvider": {
        "trt_fp16_enable": "0",
        "trt_bf16_enable": "0",
        "trt_int8_enable": "0",
    },
    "OpenVINOExecutionProvider": {"device_type": "CPU", "precision": "FP32"},
}
# Options by what they allow when they are not off.
_REDUCING: Final[Mapping[str, str]] = {
    "use_tf32": "TF32",
    "trt_fp16_enable": "float16",
    "trt_bf16_enable": "bfloat16",
    "trt_int8_enable": "int8",
    "enable_fp16": "float16",
}
_OFF: Final = frozenset({"0", "false"})
# How the folders with the metadata of its many distributions are called: the metadata of all that
# is installed would take a third of a second to read.
_DISTRIBUTIONS: Final = ("onnxruntime*-info", "ort_*-info", "*_onnxruntime*-info")
_CUDA: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_OWN: Final = frozenset({"level", "threads", "without"})


def load(job: Job) -> Loaded:
    """Make a session on the provider asked for.

    Raises:
        GivenUpError: It is not installed, or not used, or the model does not load on it.
    """
    runtime = installed_runtime()
    provider, options = provider_options_of(runtime, job.backend)
    reduced = _reduced(options)
    environment = _set_environment(provider, reduced)
    made = _session(runtime, job, provider, options)
    session = made.session
    nodes = () if _is_plain(job, provider) else _placement(session, provider)
    level = LEVELS[job.backend.options.get("level", DEFAULT_LEVEL)]
    return Loaded(
        lambda feeds: _run(session, feeds),
        asked=provider,
        settings={
            "onnxruntime": runtime.__version__,
            "provider": provider,
            "optimization level": level,
            **({"without optimizers": ", ".join(made.without)} if made.without else {}),
            "intra-op threads": str(job.backend.threads),
            **options,
            **environment,
            **(_graphics_card() if provider in _CUDA else {}),
        },
        nodes=nodes,
        reduced=reduced,
        notes=tuple(_conflicts()),
        rewriting=made.rewriting,
        bind=lambda feeds: _bound(session, feeds, provider),
        took=made.took,
    )


def probe() -> dict[str, str]:
    """Backends that are here, by name, with the version.

    Raises:
        GivenUpError: onnxruntime is not installed.
    """
    runtime = installed_runtime()
    said = "; ".join([f"onnxruntime {runtime.__version__}", *_conflicts()])
    installed = [str(name).lower() for name in runtime.get_available_providers()]
    return {f"ort:{name.removesuffix(_SUFFIX)}": said for name in installed}


@functools.cache
def installed_over_each_other() -> tuple[str, ...]:
    """Distributions that provide the package onnxruntime, where there is more than one."""
    found = {
        found.metadata["Name"]
        for folder in sys.path
        for pattern in _DISTRIBUTIONS
        for place in Path(folder or ".").glob(pattern)
        for found in (metadata.Distribution.at(place),)
        if "onnxruntime" in (found.read_text("top_level.txt") or "").split()
    }
    return tuple(sorted(found)) if len(found) > 1 else ()


def _conflicts() -> list[str]:
    several = installed_over_each_other()
    if not several:
        return []
    names = " and ".join(several)
    said = f"{names} are installed over each other and overwrite each other's files; "
    return [said + "uninstall all of them, then install one"]


def installed_runtime() -> Any:  # noqa: ANN401
    """The package onnxruntime.

    Raises:
        GivenUpError: It is not installed, or damaged.
    """
    try:
        import onnxruntime
    except ImportError as error:
        reason = f"onnxruntime is not installed; {INSTALL['ort:cpu']}"
        if not isinstance(error, ModuleNotFoundError):
            reason = f"onnxruntime can't be imported: {first_line(error)}"
        raise unavailable("; ".join([reason, *_conflicts()])) from None
    if not hasattr(onnxruntime, "InferenceSession"):
        reason = "onnxruntime is damaged: it has no InferenceSession; install it again"
        raise unavailable("; ".join([reason, *_conflicts()]))
    return onnxruntime


def _provider(runtime: Any, device: str) -> str:  # noqa: ANN401
    """The installed provider that a device names, in any case and with or without its suffix."""
    installed = list(runtime.get_available_providers())
    wanted = device.lower().removesuffix(_SUFFIX)
    for found in installed:
        if found.lower().removesuffix(_SUFFIX) == wanted:
            return str(found)
    known = {name.lower().removesuffix(_SUFFIX): name for name in (*_PINNED, _CPU)}
    name = known.get(wanted, device)
    way_out = INSTALL.get(f"ort:{wanted}", "check its name")
    reason = f"this onnxruntime has no {name}, only {', '.join(installed)}; {way_out}"
    raise unavailable("; ".join([reason, *_conflicts()]))


def _reduced(options: Mapping[str, str]) -> tuple[str, ...]:
    on = {option for option, value in options.items() if value.lower() not in _OFF}
    found = [name for option, name in _REDUCING.items() if option in on]
    if options.get("precision", "FP32").upper() not in ("FP32", "ACCURACY"):
        found.append(options["precision"])
    return tuple(dict.fromkeys(found))


def _set_environment(provider: str, reduced: tuple[str, ...]) -> dict[str, str]:
    """Libraries below CUDA and TensorRT use TF32 unless this variable says no."""
    if provider not in _CUDA or "TF32" in reduced:
        return {}
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
    return {"NVIDIA_TF32_OVERRIDE": "0"}


def _graphics_card() -> dict[str, str]:
    """Name and driver of the first NVIDIA card; nothing where its tool is not installed."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(  # noqa: S603  # NVIDIA's own tool, read-only
            command, capture_output=True, check=False, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return {}  # only told, so a broken tool breaks nothing
    if found.returncode != 0:
        return {}
    name, _, driver = (found.stdout.splitlines() or [""])[0].partition(",")
    return {"device": name.strip(), "driver": driver.strip()} if name.strip() else {}


@dataclass(frozen=True, slots=True)
class _Made:
    """A session, what it makes of the graph where that was asked, and what making it took."""

    session: Any
    rewriting: Rewriting | None
    without: Sequence[str]
    took: Took


def _is_plain(job: Job, provider: str) -> bool:
    """Whether the session is to be as a user makes it; elsewhere nodes may have fallen back."""
    return job.timed and provider == _CPU


def _session(
    runtime: Any,  # noqa: ANN401
    job: Job,
    provider: str,
    options: Mapping[str, str],
) -> _Made:
    if provider in _CUDA and hasattr(runtime, "preload_dlls"):  # onnxruntime 1.21 and newer
        runtime.preload_dlls()  # CUDA and cuDNN as pip packages
    plain = _is_plain(job, provider)
    session_options = session_options_of(runtime, job.backend, placed=not plain)
    providers: list[Any] = [(provider, dict(options))]
    if provider != _CPU:
        providers.append(_CPU)
    without = _left_out(job, provider, session_options)
    more = {"disabled_optimizers": without} if without else {}

    def make() -> Any:  # noqa: ANN401
        return runtime.InferenceSession(
            job.model, session_options, providers=providers, enable_fallback=0, **more
        )

    rewriting = None
    watch = Stopwatch.started()
    try:
        if job.trace is None:
            session = make()
        else:
            session, rewriting = ort_rewriting.traced(make, session_options, job.trace)
    except Exception as error:  # noqa: BLE001  # onnxruntime raises many kinds
        raise can_not_load(job.model, first_line(error)) from None
    took = watch.took()
    if provider not in session.get_providers():
        raise unavailable(f"{provider} was asked for but not used: it could not be loaded")
    return _Made(session, rewriting, without, took)


def _left_out(job: Job, provider: str, session_options: Any) -> list[str]:  # noqa: ANN401
    """Optimizers to leave out: as asked, else as the file advises; its other advice is followed."""
    hints = ort_hints.hints_of(job.model) if job.hinted else None
    if hints is None or hints.provider != provider:
        return job.backend.without
    ort_hints.add(session_options, hints)
    return job.backend.without or list(hints.disabled)


def session_options_of(runtime: Any, backend: Backend, *, placed: bool = True) -> Any:  # noqa: ANN401
    """Session options: level and threads as asked, no log.

    Args:
        runtime: The package onnxruntime.
        backend: What was asked for.
        placed: Whether it is to be recorded where nodes are placed.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = backend.threads
    options.graph_optimization_level = getattr(
        runtime.GraphOptimizationLevel, LEVELS[backend.options.get("level", DEFAULT_LEVEL)]
    )
    if placed:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def provider_options_of(runtime: Any, backend: Backend) -> tuple[str, dict[str, str]]:  # noqa: ANN401
    """The installed provider that a backend names, and its options: those pinned, then as asked.

    Raises:
        GivenUpError: It is not installed.
    """
    provider = _provider(runtime, backend.device)
    asked = {name: value for name, value in backend.options.items() if name not in _OWN}
    return provider, {**_PINNED.get(provider, {}), **asked}


def _placement(session: Any, provider: str) -> tuple[NodePlacement, ...]:  # noqa: ANN401
    """Where each node was put, after onnxruntime's own rewriting."""
    read = getattr(session, "get_provider_graph_assignment_info", None)
    if read is None:
        if provider == _CPU:
            return ()
        reason = "this onnxruntime can't tell where nodes run; it takes 1.24 or newer"
        raise unavailable(reason)
    found = tuple(
        NodePlacement(node.name, node.op_type, part.ep_name)
        for part in read()
        for node in part.get_nodes()
    )
    if provider != _CPU and not any(node.where == provider for node in found):
        raise unavailable(f"{provider} was asked for but ran no node")
    return found


def _run(session: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    known = {value.name: value.type for value in session.get_inputs()}
    known |= {value.name: value.type for value in session.get_overridable_initializers()}
    given = {name: array for name, array in feeds.items() if name in known}
    names = [value.name for value in session.get_outputs()]
    try:
        if any(map(ort_values.is_foreign, given.values())) or any(
            ort_values.is_exotic(value.type) for value in session.get_outputs()
        ):
            results = ort_values.run(session, given)
        else:
            results = session.run(None, given)
    except Exception as error:  # noqa: BLE001
        raise unavailable(f"failed while running: {first_line(error)}") from None
    return {
        name: found if isinstance(found, np.ndarray | np.generic) else None
        for name, found in zip(names, results, strict=True)
    }


def _bound(session: Any, feeds: Mapping[str, Any], provider: str) -> Callable[[], None]:  # noqa: ANN401
    try:
        return ort_binding.Bound(session, feeds, provider).run
    except Exception as error:  # noqa: BLE001
        raise unavailable(f"failed while running: {first_line(error)}") from None
