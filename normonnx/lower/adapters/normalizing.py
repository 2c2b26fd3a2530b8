"""Normalizations below the opset that brought their operator, and in its other versions.

Each is read as the catalogue has it and written in one of the catalogue's forms. GroupNormalization
18 has a scale and a bias for each group, 21 for each channel; 18 is deprecated, and onnx's checker
refuses it, so nothing is written in it. BatchNormalization trains where it has more than one output
(before 14) or says so (since).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import trace
from normonnx.catalogue.norm import ONNX_EPSILON, Norm
from normonnx.core.errors import UsageError
from normonnx.lower.adapters.bodies import expanded
from normonnx.lower.crossing import Crossing, RefusalError, Table, Written

# Which form to write, the best first: what runtimes fuse, or have a kernel for.
_FORMS: Final[Mapping[str, Sequence[str]]] = {
    "BatchNorm": ("native", "Sub-Mul-Add"),
    "BatchNormTraining": ("centered chain",),
    "GroupNorm": ("Reshape-InstanceNorm-Reshape-Mul-Add", "corrected chain"),
    "LayerNorm": ("chain with Pow and Div", "corrected chain"),
    "MeanVarianceNorm": ("corrected chain",),
    "RMSNorm": ("chain with Pow and Reciprocal",),
}
_MVN_AXES: Final = (0, 2, 3)
_MVN_EPSILON: Final = float(np.float32(1e-9))
_MOMENTUM: Final = 0.9
_STATISTICS: Final = 3


def _written(
    at: Crossing, name: str, parameters: Mapping[str, ir.Value], given: Mapping[str, Any]
) -> Written:
    """A normalization in a form of the catalogue.

    Raises:
        RefusalError: It is none that the catalogue knows.
    """
    norm: Norm = CATALOGUE[name]
    axis = given.get("axis")
    known = {key: _given(at, value, axis) for key, value in parameters.items()}
    outputs = max((i + 1 for i in range(len(at.node.outputs)) if at.is_read(i)), default=1)
    try:
        call = norm.define(at.known_dims(), at.known_dtype().numpy(), **known, **given)
    except UsageError as error:
        raise RefusalError(str(error)) from error
    forms = {form.name: form for form in call.forms_at(at.opset) if form.outputs >= outputs}
    chosen = next((forms[each] for each in _FORMS[name] if each in forms), None)
    chosen = chosen or next((form for form in forms.values() if not form.native), None)
    if chosen is None:
        message = f"no form of {name} in opset {at.opset} has {outputs} outputs"
        raise RefusalError(message)
    inputs = [at.input(0)]
    for each in norm.parameters:
        filler = np.full(1, each.default, call.dtype)
        inputs.append(parameters.get(each.name) or at.op.constant(filler))
    earlier = {id(use.node) for value in inputs for use in value.uses()}
    traced = trace(call, chosen, at.opset, inputs, outputs=outputs)
    at.op.nodes += _left_out(inputs, earlier | {id(node) for node in traced.nodes})
    at.op.nodes += traced.nodes
    at.op.initializers += traced.constants
    return [*traced.outputs, *[None] * (len(at.node.outputs) - outputs)]


def _left_out(inputs: Sequence[ir.Value], known: Collection[int]) -> list[ir.Node]:
    """Nodes of the form that no wanted output depends on; they read the inputs nevertheless."""
    uses = (use.node for value in inputs for use in value.uses())
    return list({id(node): node for node in uses if id(node) not in known}.values())


def _given(at: Crossing, value: ir.Value, axis: int | None) -> Any:  # noqa: ANN401  # or a shape
    """A constant, or the shape of what is computed: it fits what is normalized from `axis` on."""
    array = at.asked.array(value)
    if array is None and axis is not None:
        sizes = at.known_dims()
        return sizes[axis % len(sizes) :]
    dims = at.asked.dims(value) if array is None else None
    if array is None and dims is None:
        message = f"the shape of {value.name!r} is not known"
        raise RefusalError(message)
    found = dims if array is None else array.shape
    if axis is None and found is not None and len(found) != 1:
        message = f"{value.name!r} has {len(found)} dimensions, expected one, for channels"
        raise RefusalError(message)
    return dims if array is None else array


def _stash(at: Crossing) -> dict[str, Any]:
    return {"stash_type": at.int("stash_type", int(ir.DataType.FLOAT))}


def _rows(at: Crossing, name: str, inputs: Sequence[str]) -> Written:
    """LayerNormalization and RMSNormalization; the function of ONNX where the rank isn't known."""
    types = {at.dtype(index) for index in range(len(at.node.inputs)) if at.given(index)}
    if at.dims() is None or len(types - {None}) > 1:
        return expanded(at)
    parameters = {
        each: at.input(index) for index, each in enumerate(inputs, start=1) if at.given(index)
    }
    given = {
        "axis": at.int("axis", -1),
        "epsilon": at.float("epsilon", ONNX_EPSILON),
        **_stash(at),
    }
    return _written(at, name, parameters, given)


def _layer_down(at: Crossing) -> Written | None:
    return _rows(at, "LayerNorm", ("scale", "bias"))


def _rms_down(at: Crossing) -> Written | None:
    return _rows(at, "RMSNorm", ("scale",))


def _group_up(at: Crossing) -> Written | None:
    """Each group's scale and bias for each of its channels."""
    scale, bias = _by_channel(at, 1), _by_channel(at, 2)
    return at.again(inputs=[at.input(0), scale, bias])


def _by_channel(at: Crossing, index: int) -> ir.Value:
    """A parameter for each group as one for each channel."""
    groups, channels = at.int("num_groups", 1), (at.dims() or (None, None))[1]
    value, dims = at.input(index), at.dims(index)
    length = None if dims is None else dims[0]
    if channels is not None and length == channels:
        return value
    if length not in (None, groups):
        message = f"its parameter {value.name!r} has {length} entries for {groups} groups"
        raise RefusalError(message)
    if channels is None:
        message = f"how many channels X has is not known, so neither how often to repeat {groups}"
        raise RefusalError(message)
    share = channels // groups
    array = at.asked.array(value)
    if array is not None:
        return at.op.constant(np.repeat(array, share))
    rows = at.op.reshape(value, groups, 1)
    spread = at.op("Expand", rows, at.op.ints(groups, share))
    return at.op.reshape(spread, channels)


def _group_down(at: Crossing) -> Written | None:
    parameters = {"scale": _by_channel(at, 1), "bias": _by_channel(at, 2)}
    return _group_written(at, parameters)


def _group_by_channel_down(at: Crossing) -> Written | None:
    return _group_written(at, {"scale": at.input(1), "bias": at.input(2)})


def _group_written(at: Crossing, parameters: Mapping[str, ir.Value]) -> Written:
    given = {
        "num_groups": at.int("num_groups", 1),
        "epsilon": at.float("epsilon", ONNX_EPSILON),
        **_stash(at),
    }
    return _written(at, "GroupNorm", parameters, given)


def _mean_variance_down(at: Crossing) -> Written | None:
    axes = tuple(at.int_list("axes") or _MVN_AXES)
    return _written(at, "MeanVarianceNorm", {}, {"axes": axes, "epsilon": _MVN_EPSILON})


def _parameters(at: Crossing) -> dict[str, ir.Value]:
    names = ("scale", "bias", "mean", "var")
    return {name: at.input(index) for index, name in enumerate(names, start=1)}


def _batch_written(at: Crossing) -> Written | None:
    """Inference with all of one type stays; what is of several is computed in float32."""
    types = {at.dtype(index) for index in range(5)} - {None}
    if len(types) <= 1:
        return at.again(drop=["training_mode"]) if "training_mode" in at.node.attributes else None
    epsilon = at.float("epsilon", ONNX_EPSILON)
    return _written(at, "BatchNorm", _parameters(at), {"epsilon": epsilon})


def _batch_15_down(at: Crossing) -> Written | None:
    types = {at.dtype(index) for index in range(3)} - {None}
    if len(types) <= 1:
        return None
    return _training_written(at) if at.int("training_mode", 0) else _batch_written(at)


def _batch_14_down(at: Crossing) -> Written | None:
    return _training_written(at) if at.int("training_mode", 0) else _batch_written(at)


def _training_written(at: Crossing) -> Written:
    given = {
        "epsilon": at.float("epsilon", ONNX_EPSILON),
        "momentum": at.float("momentum", _MOMENTUM),
    }
    return _written(at, "BatchNormTraining", _parameters(at), given)


def _batch_14_up(at: Crossing) -> Written | None:
    """More than one output meant training; what it saved besides is no output any more."""
    named = [index for index, value in enumerate(at.node.outputs) if value.name]
    if max(named, default=0) == 0:
        return None
    if any(at.is_read(index) for index in range(_STATISTICS, len(at.node.outputs))):
        message = "its outputs saved_mean or saved_var are read, which opset 14 took away"
        raise RefusalError(message)
    made = at.op.many(
        "BatchNormalization",
        *at.node.inputs,
        outputs=_STATISTICS,
        epsilon=at.node.attributes.get("epsilon"),
        momentum=at.node.attributes.get("momentum"),
        training_mode=1,
    )
    return [*made, None, None][: len(at.node.outputs)]


def _batch_9_up(at: Crossing) -> Written | None:
    """spatial=0 has a mean for each position: parameters in the shape of a sample."""
    if at.int("spatial", 1):
        return at.again(drop=["spatial"]) if "spatial" in at.node.attributes else None
    op, x = at.op, at.input(0)
    scale, bias, mean, var = (at.input(index) for index in range(1, 5))
    epsilon = at.number(at.float("epsilon", ONNX_EPSILON))
    root = op("Sqrt", op("Add", var, epsilon))
    scaled = op("Mul", op("Sub", x, mean), op("Div", scale, root))
    return [op("Add", scaled, bias), *[None] * (len(at.node.outputs) - 1)]


UP: Final[Table] = {
    ("BatchNormalization", 9): _batch_9_up,
    ("BatchNormalization", 14): _batch_14_up,
    ("GroupNormalization", 21): _group_up,
}
DOWN: Final[Table] = {
    ("BatchNormalization", 14): _batch_14_down,
    ("BatchNormalization", 15): _batch_15_down,
    ("GroupNormalization", 18): _group_down,
    ("GroupNormalization", 21): _group_by_channel_down,
    ("LayerNormalization", 17): _layer_down,
    ("MeanVarianceNormalization", 9): _mean_variance_down,
    ("RMSNormalization", 23): _rms_down,
}
