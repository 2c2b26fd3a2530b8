"""A session of ONNX Runtime with its inputs and outputs in place, to be run again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from normonnx.runtime.engines import ort_values

_WITH_CUDA: Final = ("CUDA", "Tensorrt", "NvTensorRT")  # how providers that work there are called


class Bound:
    """A session whose inputs and outputs stay on the device.

    Args:
        session: Of onnxruntime.
        feeds: Arrays by input name; those that it has no input for are left out.
        provider: Where the session runs.
    """

    def __init__(self, session: Any, feeds: Mapping[str, Any], provider: str) -> None:  # noqa: ANN401
        device = "cuda" if provider.startswith(_WITH_CUDA) else "cpu"
        self._session = session
        self._binding = session.io_binding()
        wanted = {value.name for value in session.get_inputs()}
        given = {name: array for name, array in feeds.items() if name in wanted}
        # What is bound must outlive the binding.
        self._kept = [_on_device(array, device) for array in given.values()]
        for name, value in zip(given, self._kept, strict=True):
            self._binding.bind_ortvalue_input(name, value)
        names = [value.name for value in session.get_outputs()]
        for name in names:
            self._binding.bind_output(name, device)
        session.run_with_iobinding(self._binding)
        outputs = self._binding.get_outputs()
        self._kept += outputs
        self._binding.clear_binding_outputs()
        for name, value in zip(names, outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)
        self._binding.synchronize_inputs()

    @property
    def first(self) -> np.ndarray[Any, Any]:
        """A copy of the first output."""
        found: np.ndarray[Any, Any] = self._binding.copy_outputs_to_cpu()[0]
        return found

    def run(self) -> None:
        """Run once; it returns when the outputs are there."""
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()


def _on_device(array: Any, device: str) -> Any:  # noqa: ANN401
    """An array as the runtime holds it; what NumPy doesn't know stays with the CPU."""
    if ort_values.is_foreign(array):
        return ort_values.value_of(array)
    from onnxruntime import OrtValue

    return OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), device, 0)
