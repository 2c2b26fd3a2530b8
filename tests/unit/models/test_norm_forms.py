"""Forms of each normalization: the same function, legal models, and right on a runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from models.norm_forms import FORMS, build
from normonnx.runtime.oracle import evaluate

_LAST_AXIS = ("LayerNorm", "RMSNorm", "L2")
_ALL = [(norm, form) for norm, forms in FORMS.items() for form in forms]


def _shapes(norm: str) -> list[tuple[int, ...]]:
    return [(2, 3, 16), (5, 64)] if norm in _LAST_AXIS else [(2, 8, 4, 5), (1, 6, 3, 3)]


def _input(shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return (np.random.default_rng(0).standard_normal(shape) + 0.5).astype(np.float32)


@pytest.mark.parametrize(("norm", "form"), _ALL)
def test_all_forms_are_the_same_function(norm: str, form: str) -> None:
    """In float64 each agrees with the first to 1e-12."""
    first = next(iter(FORMS[norm]))
    for shape in _shapes(norm):
        feeds = {"x": _input(shape)}
        truth, found = (
            evaluate(ir.from_proto(build(norm, name, shape)), feeds)["y"] for name in (first, form)
        )
        assert found.shape == shape
        assert np.max(np.abs(found - truth)) <= 1e-12 * np.max(np.abs(truth))


@pytest.mark.parametrize("dtype", ["float", "float16"])
@pytest.mark.parametrize(("norm", "form"), _ALL)
def test_each_form_is_a_legal_model(norm: str, form: str, dtype: str) -> None:
    """Of the type asked for, at the lowest opset that has its operators."""
    model = build(norm, form, _shapes(norm)[0], dtype)
    onnx.checker.check_model(model, full_check=True)
    expected = {"float": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16}[dtype]
    assert model.graph.output[0].type.tensor_type.elem_type == expected
    assert model.opset_import[0].version == FORMS[norm][form].opset


@pytest.mark.parametrize(("norm", "form"), _ALL)
def test_a_runtime_computes_each_form(norm: str, form: str) -> None:
    """ONNX Runtime agrees to single precision."""
    runtime = pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")
    shape = _shapes(norm)[0]
    model = build(norm, form, shape)
    feeds = {"x": _input(shape)}
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, feeds)
    truth = evaluate(ir.from_proto(model), feeds)["y"]
    assert np.max(np.abs(found - truth)) <= 1e-5 * np.max(np.abs(truth))


def test_every_norm_has_forms_to_choose_from() -> None:
    """Two at least, and the first is the native operator where ONNX has one."""
    assert all(len(forms) >= 2 for forms in FORMS.values())
    native = {norm for norm, forms in FORMS.items() if next(iter(forms)) == "native"}
    assert native == set(FORMS) - {"ChannelsFirstLayerNorm", "L2"}


def test_a_group_norm_has_groups() -> None:
    """More than one and fewer than channels, so that no other norm could pass for it."""
    model = build("GroupNorm", "native", (2, 8, 4, 5))
    groups = next(a.i for a in model.graph.node[0].attribute if a.name == "num_groups")
    assert 1 < groups < 8
