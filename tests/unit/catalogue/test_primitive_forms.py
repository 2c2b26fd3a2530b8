"""Every normalization can be taken apart, from opset 7 up: no normalization operator, no function.

Whatever is known of the shape, and in every floating-point type that the opset knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx.defs
import onnx_ir as ir
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.operators import NORM_OPERATORS
from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.oracle import evaluate
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import Use, call_of, every_use, input_of, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

OPSETS: Final = (7, 9, 11, 13, 18, 23)
LIMIT: Final = 16.0
POWERS: Final = ("YeoJohnson", "BoxCox")  # whose own limit is in test_forms
KINDS: Final = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
USES: Final = every_use()


def _calls(use: Use, dtype: npt.DTypeLike) -> Iterator[tuple[str, NormCall, dict[str, Any]]]:
    """With a dynamic batch, and with nothing known but the rank."""
    call, runtime = call_of(use, dtype)
    yield "known", call, runtime
    names = tuple(f"d{axis}" for axis in range(len(use.shape)))
    given = {
        name: tuple(f"{name}{axis}" for axis in range(len(found)))
        if isinstance(found, tuple)
        else found
        for name, found in call.parameters.items()
    }
    yield "dynamic", call.norm.define(names, dtype, **given, **call.attributes), runtime


def _primitives(call: NormCall, opset: int) -> list[str]:
    return [form.name for form in call.forms_at(opset) if form.primitive]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_every_norm_has_a_primitive_form(use: Use, kind: npt.DTypeLike) -> None:
    """At every opset that knows the type, whatever is known of the shape."""
    for opset in OPSETS:
        if kind == ml_dtypes.bfloat16 and opset < 13:
            continue
        for known, call, _ in _calls(use, kind):
            assert _primitives(call, opset), (opset, known)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_primitive_forms_have_operators_of_their_opset_alone(use: Use) -> None:
    """Each is known to onnx at that opset, and none is a normalization."""
    for known, call, _ in _calls(use, np.float32):
        for opset in OPSETS:
            for name in _primitives(call, opset):
                model = call.model(name, opset=opset)
                assert not model.functions
                for node in model.graph:
                    where = (opset, known, name, node.op_type)
                    assert (node.domain, node.op_type) not in NORM_OPERATORS, where
                    assert onnx.defs.has(node.op_type, max_inclusive_version=opset), where


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_primitive_forms_are_the_reference(use: Use) -> None:
    """By the float64 oracle, and on ONNX Runtime in float32."""
    x = input_of(use, np.float64)
    for known, call, runtime in _calls(use, np.float64):
        truth = call.reference(x, **runtime)
        size = np.abs(truth).max()
        for opset in OPSETS:
            for name in _primitives(call, opset):
                y = evaluate(call.model(name, opset=opset), {"X": x, **runtime})["Y"]
                where = f"{name} at opset {opset}, {known}"
                np.testing.assert_allclose(y, truth, 1e-9, 1e-12 * size, err_msg=where)
    x = input_of(use, np.float32)
    for known, call, runtime in _calls(use, np.float32):
        truth = call.reference(x, **runtime)
        for opset in OPSETS:
            for name in _primitives(call, opset):
                y = run(call.model(name, opset=opset), {"X": x, **runtime})[0]
                error = relative_error(y.astype(np.float64), truth, unit_roundoff(np.float32))
                limit = 64.0 if use.norm in POWERS else LIMIT
                assert error <= limit, (opset, known, name)


def test_a_threshold_bounds_below_opset_8_too() -> None:
    """FilterResponseNorm by masks: entries of minus infinity bound nothing."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    threshold = np.array([-np.inf, 0.25, -0.5], np.float32)
    use = Use("FilterResponseNorm", x.shape)
    call = call_of(use, np.float32)[0].norm.define(x.shape, threshold=threshold)
    truth = call.reference(x)
    for opset in (7, 8):
        for name in _primitives(call, opset):
            model = ir.to_proto(call.model(name, opset=opset))
            np.testing.assert_allclose(run(model, {"X": x})[0], truth, 1e-5, 1e-6)
