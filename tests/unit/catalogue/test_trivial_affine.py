"""Where a scale is 1 and a bias 0, no form writes a node for it; every number stays what it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.checking import expected_shape
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import trace
from normonnx.runtime.oracle import evaluate
from tests.unit.catalogue.uses import Use, attributes_of, every_use, input_of, parameters_of

OPSETS: Final = (7, 13, 17, 23)
NEUTRAL: Final = (1.0, 0.0, -math.inf)  # defaults that change nothing: scale, bias, threshold
VIEWS: Final = ("Cast", "Unsqueeze", "Reshape")
IDLE: Final = {"Mul": 1.0, "Div": 1.0, "Add": 0.0, "Sub": 0.0, "Max": -math.inf}
FUSED: Final = {  # ONNX Runtime makes one kernel of these, and only with a Mul and an Add
    "LayerNorm": ("chain with Pow and Div", "centered, then chain with Pow and Div"),
    "RMSNorm": ("chain with Pow and Div",),
    "AdaptiveLayerNorm": ("chain with Mul and Add, then Mul-Add",),
}
USES: Final = [
    use
    for use in every_use()
    if any(each.default in NEUTRAL for each in CATALOGUE[use.norm].parameters)
]


def _axis(use: Use) -> int:
    return int(use.attributes.get("axis", -1))


def _neutral(use: Use, *, full: bool) -> dict[str, Any]:
    """Parameters that change nothing, in full or left out; the others drawn."""
    found: dict[str, Any] = parameters_of(use, np.float32)
    for each in CATALOGUE[use.norm].parameters:
        if each.default not in NEUTRAL:
            continue
        found.pop(each.name, None)
        neutral = each.default
        if "offset" in use.attributes and each.name == "scale":
            neutral = 1.0 - use.attributes["offset"]
        if full or neutral != each.default:
            dims = expected_shape(each, use.shape, _axis(use))
            found[each.name] = np.full(dims, neutral, np.float32)
    return found


def _call(use: Use, given: dict[str, Any]) -> NormCall:
    norm = CATALOGUE[use.norm]
    return norm.define(use.shape, np.float32, **given, **attributes_of(norm, use.attributes))


def _models(call: NormCall) -> Iterator[tuple[str, ir.Model]]:
    for opset in OPSETS:
        for form in call.forms_at(opset):
            yield f"{form.name} at opset {opset}", call.model(form.name, opset=opset)


def _numbers(value: ir.Value | None) -> np.ndarray | None:
    """What a value always is, through views of it."""
    while value is not None and value.const_value is None:
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type in VIEWS else None
    return None if value is None or value.const_value is None else value.const_value.numpy()


def _is(value: ir.Value | None, number: float) -> bool:
    found = _numbers(value)
    if found is None or found.dtype.kind != "f" or not found.ndim:  # a form's own number
        return False
    return bool((found == number).all())


def _idle(model: ir.Model) -> list[str]:
    """The nodes that change no number."""
    found = []
    for node in model.graph:
        number = IDLE.get(node.op_type)
        if number is not None and any(_is(value, number) for value in node.inputs[-1:]):
            found.append(node.op_type)
        if number is not None and node.op_type in ("Mul", "Add") and _is(node.inputs[0], number):
            found.append(node.op_type)
        if node.op_type == "BatchNormalization" and all(
            _is(value, number)
            for value, number in zip(node.inputs[1:], (1.0, 0.0, 0.0, 1.0), strict=True)
        ):
            found.append(node.op_type)
    return found


@pytest.mark.parametrize("full", [False, True], ids=["left out", "in full"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_what_changes_nothing_is_not_written(use: Use, *, full: bool) -> None:
    """In no form at no opset, and float64 says that it is the same function."""
    call = _call(use, _neutral(use, full=full))
    x = input_of(use, np.float32)
    truth = call.reference(x)
    for where, model in _models(call):
        if not where.startswith(tuple(FUSED.get(use.norm, ()))):
            assert _idle(model) == [], where
        y = evaluate(model, {"X": x})["Y"]
        np.testing.assert_allclose(y, truth, 1e-6, 1e-9, err_msg=where)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_what_changes_one_number_is_written(use: Use) -> None:
    """One entry of one parameter is another: the result is, too, in every form."""
    norm = CATALOGUE[use.norm]
    x = input_of(use, np.float32)
    plain = _neutral(use, full=True)
    for each in norm.parameters:
        if each.name not in plain or each.default not in NEUTRAL:
            continue
        other = plain[each.name].copy()
        other.reshape(-1)[-1] = 0.75
        call = _call(use, {**plain, each.name: other})
        truth = call.reference(x)
        for where, model in _models(call):
            y = evaluate(model, {"X": x})["Y"]
            np.testing.assert_allclose(y, truth, 1e-6, 1e-9, err_msg=f"{each.name}: {where}")


@pytest.mark.parametrize("name", ["LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm", "BatchNorm"])
def test_a_parameter_given_at_run_time_is_written(name: str) -> None:
    """Whatever it is when the model is made, and also where an initializer stands in for it."""
    use = next(use for use in USES if use.norm == name)
    given = _neutral(use, full=True)
    scale = given.pop("scale")
    call = _call(use, {**given, "scale": scale.shape})
    x = input_of(use, np.float32)
    truth = call.reference(x, scale=3.0 * scale)
    for where, model in _models(call):
        y = evaluate(model, {"X": x, "scale": 3.0 * scale})["Y"]
        np.testing.assert_allclose(y, truth, 1e-6, 1e-9, err_msg=where)


def test_an_initializer_that_may_be_overridden_is_not_known() -> None:
    """A graph input with a value of its own: whoever runs the model may give another."""
    call = CATALOGUE["RMSNorm"].define((2, 4), np.float32)
    form = call.norm.form("chain with Mul and Div")

    def written(*, overridable: bool) -> list[str]:
        kind = ir.TensorType(ir.DataType.FLOAT)
        x, scale = (ir.Value(name=name, type=kind, shape=ir.Shape([4])) for name in ("X", "scale"))
        scale.const_value = ir.tensor(np.ones(4, np.float32))
        ir.Graph([x, scale] if overridable else [x], [], nodes=[], initializers=[scale])
        return [node.op_type for node in trace(call, form, 17, [x, scale]).nodes]

    assert written(overridable=True) == [*written(overridable=False), "Mul"]
