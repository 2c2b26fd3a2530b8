"""Every form of every normalization is the same function as its float64 reference.

Forms run on ONNX Runtime with a dynamic batch. A form with a caveat is one whose kernel is wrong there;
what the caveat says is a test as well, so that the caveat goes when the kernel is mended.
"""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import trace
from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.oracle import evaluate
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import (
    Use,
    call_of,
    every_use,
    forms_at,
    highest_opset,
    input_of,
    run,
    uses_of,
)

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT = 16.0
POWERS = ("YeoJohnson", "BoxCox")
OPSETS = (7, 9, 11, 13, 14, 17, 18, 20, 21, 23)
USES = every_use()
IDS = [use.id for use in USES]


def _limit(use: Use) -> float:
    return 64.0 if use.norm in POWERS else LIMIT


def _errors(
    use: Use,
    dtype: npt.DTypeLike,
    opset: int,
    scale: float,
    mean: float = 0.0,
    only: Callable[[str], bool] = bool,
) -> dict[str, float]:
    """Error of each form in roundoffs."""
    call, runtime = call_of(use, dtype, scale)
    x = input_of(use, dtype, scale=scale, mean=mean)
    truth = call.reference(x, **runtime)
    found = {}
    for name in forms_at(call, opset, caveats=False):
        if only(name):
            y = run(call.model(name, opset=opset), {"X": x, **runtime})[0]
            assert y.dtype == x.dtype
            assert y.shape == x.shape
            found[name] = relative_error(y.astype(np.float64), truth, unit_roundoff(dtype))
    return found


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("use", USES, ids=IDS)
def test_every_form_is_the_reference_in_float32(use: Use, scale: float) -> None:
    """Within 16 roundoffs of float64 for normal inputs of any scale, at every opset."""
    for opset in (*OPSETS, highest_opset()):
        wrong = {
            n: e for n, e in _errors(use, np.float32, opset, scale).items() if not e <= _limit(use)
        }
        assert wrong == {}, opset


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize("use", USES, ids=IDS)
def test_every_form_is_the_reference_in_other_types(use: Use, dtype: npt.DTypeLike) -> None:
    """Narrow types are computed in float32 and rounded once; float64 keeps its digits."""
    for opset in (7, 13, 17, highest_opset()):
        if dtype == ml_dtypes.bfloat16 and opset < 13:
            continue  # ONNX has no bfloat16 before
        wrong = {n: e for n, e in _errors(use, dtype, opset, 1.0).items() if not e <= _limit(use)}
        assert wrong == {}, opset


CENTERED = [use for use in USES if CATALOGUE[use.norm].centered]


@pytest.mark.parametrize("mean", [100.0, 1e3, 1e4])
@pytest.mark.parametrize("use", CENTERED, ids=[use.id for use in CENTERED])
def test_functions_of_centered_norms_hold_at_any_mean(use: Use, mean: float) -> None:
    """And so does every form that says so."""
    call, _ = call_of(use, np.float32)
    holding = {form.name for form in call.norm.forms if form.centered} | {"function"}
    for opset in (13, 17, 21, highest_opset()):
        errors = _errors(use, np.float32, opset, 1.0, mean, only=holding.__contains__)
        assert "function" in errors
        assert {n: e for n, e in errors.items() if not e <= LIMIT} == {}, opset


def test_a_native_kernel_does_not_hold_at_any_mean() -> None:
    """So the test above can fail: ONNX Runtime's InstanceNormalization is off by thousands."""
    use = Use("InstanceNorm", (2, 8, 56, 56))
    errors = _errors(use, np.float32, 17, 1.0, 1e4)
    assert errors["native"] > 1000
    assert errors["centered, then native"] <= LIMIT


@pytest.mark.parametrize("use", USES, ids=IDS)
def test_float16_of_magnitude_1000_overflows_nowhere(use: Use) -> None:
    """A square of 1,000 is beyond float16; sums are taken in float32."""
    call, runtime = call_of(use, np.float16, 1000.0 if use.norm not in POWERS else 1.0)
    x = input_of(use, np.float16, scale=1000.0)
    truth = call.reference(x, **runtime)
    fits = np.abs(truth) < 65504
    for opset in (7, 13, 17, 21, highest_opset()):
        for name in forms_at(call, opset, caveats=False):
            y = run(call.model(name, opset=opset), {"X": x, **runtime})[0]
            assert np.isfinite(y[fits]).all(), (opset, name)
            assert not np.isnan(y).any(), (opset, name)
            found, wanted = y[fits].astype(np.float64), truth[fits]
            assert relative_error(found, wanted, 2.0**-11) <= LIMIT, (opset, name)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_every_form_is_tried(name: str) -> None:
    """None is out of reach of all the uses above."""
    reached = {
        form.name for use in uses_of(CATALOGUE[name]) for form in call_of(use, np.float32)[0].forms
    }
    assert reached == {form.name for form in CATALOGUE[name].forms}


@pytest.mark.parametrize("use", USES, ids=IDS)
def test_forms_are_legal_models(use: Use) -> None:
    """The checker and full shape inference pass, and the float64 oracle gives the reference."""
    call, runtime = call_of(use, np.float32)
    x = input_of(use, np.float32)
    truth = call.reference(x, **runtime)
    for opset in (7, 13, 17, 21, highest_opset()):
        for name in forms_at(call, opset):
            model = call.model(name, opset=opset)
            onnx.checker.check_model(ir.to_proto(model), full_check=True)
            if name == "function" or opset in {7, 17}:
                y = evaluate(model, {"X": x, **runtime})["Y"]
                assert np.allclose(y, truth, rtol=1e-5, atol=1e-9)


def test_lrn_kernel_loses_digits_as_its_caveat_says() -> None:
    """Every other form is right on the same numbers."""
    use = Use("LocalResponseNorm", (4, 64, 8, 8), {"size": 3, "alpha": 1.0})
    call, _ = call_of(use, np.float32)
    x = input_of(use, np.float32, scale=1e4)
    truth = call.reference(x)
    y = run(call.model("native", opset=17), {"X": x})[0]
    assert relative_error(y.astype(np.float64), truth, 2.0**-24) > 50
    assert max(_errors(use, np.float32, 17, 1e4).values()) <= LIMIT


def test_mvn_kernel_adds_no_epsilon_as_its_caveat_says() -> None:
    """A constant gives NaN there, and 0 in every other form."""
    call, _ = call_of(Use("MeanVarianceNorm", (2, 3, 4, 5)), np.float32)
    x = np.full((2, 3, 4, 5), 7.0, np.float32)
    assert np.isnan(run(call.model("native", opset=17), {"X": x})[0]).all()
    for name in forms_at(call, 17, caveats=False):
        assert not run(call.model(name, opset=17), {"X": x})[0].any()


@pytest.mark.parametrize(
    "name", ["LayerNorm", "LayerNorm2d", "AdaLN", "AdaIN", "RMSNorm", "LpNorm"]
)
def test_chains_that_need_a_cast_load(name: str) -> None:
    """ONNX Runtime's LayerNormFusion takes the cast along and fails: such a form is not for them."""
    shape, x = ("N", 3, 4), np.random.default_rng(0).standard_normal((2, 3, 4))
    for dtype, stash in ((np.float32, 11), (np.float16, 1), (np.float16, 11)):
        call = CATALOGUE[name].define(shape, dtype, stash_type=stash)
        given = x.astype(dtype)
        for opset in (17, highest_opset()):
            for form in forms_at(call, opset):
                y = run(call.model(form, opset=opset), {"X": given})[0].astype(np.float64)
                error = relative_error(y, call.reference(given), unit_roundoff(dtype))
                assert error <= LIMIT, (opset, form)


def test_the_largest_absolute_value_is_a_norm() -> None:
    """LpNorm of order infinity, by number or by name."""
    x = np.array([[1.0, -4.0, 2.0], [0.0, 0.0, 0.0]], np.float32)
    for order in (np.inf, "max"):
        call = CATALOGUE["LpNorm"].define(x.shape, p=order)
        (y,) = run(call.model(opset=17), {"X": x})
        assert y.tolist() == [[0.25, -1.0, 0.5], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("name", ["LpNorm", "ScaleNorm", "RMSNorm", "GroupNorm", "LayerNorm"])
def test_a_row_of_zeros_stays_zero(name: str) -> None:
    """In every form: nothing divides by zero."""
    for use in uses_of(CATALOGUE[name]):
        call, _ = call_of(Use(use.norm, use.shape, use.attributes, given=()), np.float32)
        x = np.zeros(use.shape, np.float32)
        for opset in (9, 17, 23):
            for form in forms_at(call, opset, caveats=False):
                assert not run(call.model(form, opset=opset), {"X": x})[0].any(), (opset, form)


@pytest.mark.parametrize("use", USES, ids=IDS)
def test_forms_give_the_outputs_that_they_say(use: Use) -> None:
    """As many, so that who needs a statistic knows which form has it."""
    call, _ = call_of(use, np.float32)
    kind = ir.TensorType(ir.DataType.FLOAT)
    inputs = [ir.Value(name="X", type=kind)]
    for parameter in call.norm.parameters:
        given = call.parameters[parameter.name]
        shape = given if isinstance(given, tuple) else given.shape
        inputs.append(ir.Value(name=parameter.name, type=kind, shape=ir.Shape(shape)))
        if not isinstance(given, tuple):
            inputs[-1].const_value = ir.tensor(given)
    for form in call.forms_at(highest_opset()):
        made = trace(call, form, highest_opset(), inputs, outputs=len(call.norm.outputs))
        assert len(made.outputs) == form.outputs, form.name
