"""Models without their weights: a network at full size in a few hundred kilobytes.

Its large weights are drawn anew where it is timed, normal with their mean and deviation, and not
negative where they were not. Latency does not depend on them; answers do, and are not looked at.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

_DRAWN: Final = "drawn weights"  # key of the model's metadata
_LEAST: Final = 512  # numbers; smaller weights are kept


def hollowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without its large floating-point weights."""
    hollow = onnx.ModelProto()
    hollow.CopyFrom(model)
    told: dict[str, list[float]] = {}
    for tensor in hollow.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _LEAST:
            continue
        least = float(array.min())
        told[tensor.name] = [float(array.mean()), float(array.std()), float(least >= 0)]
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
    hollow.metadata_props.add(key=_DRAWN, value=json.dumps(told))
    return hollow


def filled(hollow: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model with weights drawn from a seed; `hollow` is changed and returned."""
    told: dict[str, Any] = {}
    for prop in hollow.metadata_props:
        if prop.key == _DRAWN:
            told = json.loads(prop.value)
    source = np.random.default_rng(seed)
    for tensor in hollow.graph.initializer:
        if tensor.name not in told:
            continue
        mean, deviation, positive = told[tensor.name]
        drawn: npt.NDArray[np.float32] = source.standard_normal(list(tensor.dims), np.float32)
        drawn *= np.float32(deviation)
        drawn += np.float32(mean)
        tensor.raw_data = (np.abs(drawn) if positive else drawn).tobytes()
    return hollow
