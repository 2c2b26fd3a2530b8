"""The process that runs a model on ONNX Runtime: `python -m normonnx.runtime.worker FOLDER`.

It reads request.json and inputs-N.npz from the folder, writes outputs-N.npz and answer.json, and
ends at once when its standard input is closed, that is when its parent dies.

A model that does not load is `invalid` where onnx's own checker rejects it as well; otherwise it is
legal, only not for this runtime (a newer opset, a custom operator, no kernel): `unavailable`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CPU = "CPUExecutionProvider"
_UNAVAILABLE = "unavailable"
_INSTALL = {
    "CUDAExecutionProvider": "pip install 'normonnx[cuda]'",
    "TensorrtExecutionProvider": "pip install 'normonnx[cuda]' and TensorRT",
    "OpenVINOExecutionProvider": "pip install onnxruntime-openvino",
}


class _GivenUpError(Exception):
    """The backend can't run the model; carries the verdict and the reason."""

    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one request."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    threading.Thread(target=_end_with_parent, daemon=True).start()
    place = Path(folder)
    try:
        answer = _run(place, json.loads((place / "request.json").read_text()))
    except _GivenUpError as error:
        answer = {"verdict": error.verdict, "reason": str(error)}
    (place / "answer.json").write_text(json.dumps(answer))
    return 0


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _run(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    provider = _provider(request["backend"])
    runtime = _runtime()
    if provider not in runtime.get_available_providers():
        installed = ", ".join(runtime.get_available_providers())
        way_out = _INSTALL.get(provider, "check its name")
        reason = f"this onnxruntime has no {provider}, only {installed}; {way_out}"
        raise _GivenUpError(_UNAVAILABLE, reason)
    session = _session(runtime, request["model"], provider)
    placement = _placement(session, provider)
    names = [output.name for output in session.get_outputs()]
    for number in range(request["cases"]):
        with np.load(place / f"inputs-{number}.npz", allow_pickle=False) as arrays:
            feeds = {name: arrays[f"i{i}"] for i, name in enumerate(request["inputs"])}
        results = _outputs(session, feeds)
        arrays_out = {f"o{i}": _savable(found) for i, found in enumerate(results) if _is_one(found)}
        np.savez(place / f"outputs-{number}.npz", allow_pickle=False, **arrays_out)
    return {
        "verdict": "pass",
        "reason": "",
        "outputs": names,
        "placement": placement,
        "settings": {
            "onnxruntime": runtime.__version__,
            "provider": provider,
            "optimization level": "ORT_ENABLE_ALL",
            "intra-op threads": "1",
        },
    }


def _provider(backend: str) -> str:
    name = backend.removeprefix("ort:")
    return _PROVIDERS.get(name.lower(), name)


def _runtime() -> Any:  # noqa: ANN401
    try:
        import onnxruntime
    except ImportError:
        reason = "onnxruntime is not installed; pip install 'normonnx[cpu]'"
        raise _GivenUpError(_UNAVAILABLE, reason) from None
    return onnxruntime


def _session(runtime: Any, model: str, provider: str) -> Any:  # noqa: ANN401
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # the same result at each run
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers = [provider] if provider == _CPU else [provider, _CPU]
    try:
        session = runtime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # noqa: BLE001  # onnxruntime raises many kinds
        reason = f"can't load the model: {_first_line(error)}"
        kind = "invalid" if _is_illegal(model) else "unavailable"
        raise _GivenUpError(kind, reason) from None
    if provider not in session.get_providers():
        reason = f"{provider} was asked for but not used"
        raise _GivenUpError(_UNAVAILABLE, reason)
    return session


def _is_illegal(model: str) -> bool:
    """Whether onnx's checker rejects the model, too. External data is not its business here."""
    import onnx

    try:
        onnx.checker.check_model(onnx.load(model, load_external_data=False), full_check=True)
    except Exception as error:  # noqa: BLE001  # of many kinds
        return "external" not in str(error)
    return False


def _is_one(result: Any) -> bool:  # noqa: ANN401
    """Whether an output is one tensor; sequences, maps and absent optionals are not compared."""
    return isinstance(result, np.ndarray | np.generic)


def _savable(result: Any) -> Any:  # noqa: ANN401
    """An array that .npz can hold; strings get a fixed width."""
    array = np.asarray(result)
    return array.astype(np.str_) if array.dtype == object else array


def _outputs(session: Any, feeds: Mapping[str, Any]) -> Sequence[Any]:  # noqa: ANN401
    known = {value.name for value in session.get_inputs()}
    known |= {value.name for value in session.get_overridable_initializers()}
    try:
        found: Sequence[Any] = session.run(
            None, {name: array for name, array in feeds.items() if name in known}
        )
    except Exception as error:  # noqa: BLE001
        reason = f"failed while running: {_first_line(error)}"
        raise _GivenUpError(_UNAVAILABLE, reason) from None
    return found


def _placement(session: Any, provider: str) -> dict[str, int]:  # noqa: ANN401
    """Number of nodes that each provider runs, after onnxruntime's own rewriting."""
    counts: Counter[str] = Counter()
    read = getattr(session, "get_provider_graph_assignment_info", None)  # since 1.24
    for part in read() if read is not None else ():
        counts[part.ep_name] += len(part.get_nodes())
    if provider != _CPU and read is not None and not counts[provider]:
        reason = f"{provider} was asked for but ran no node"
        raise _GivenUpError(_UNAVAILABLE, reason)
    return dict(counts)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


if __name__ == "__main__":
    sys.exit(main())
