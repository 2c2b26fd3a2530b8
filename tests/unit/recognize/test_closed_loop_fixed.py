"""Every form of a normalization without a statistic is recognised as what it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from tests.unit.catalogue.uses import Use, call_of, input_of, uses_of

FIXED: Final = (
    "BatchNorm",
    "StandardScaler",
    "RobustScaler",
    "MaxAbsScaler",
    "MinMaxScaler",
    "DynamicTanh",
    "YeoJohnson",
    "BoxCox",
)
OPSETS: Final = (7, 11, 13, 17, 18, 23)
KINDS: Final = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
SAME: Final = {  # as functions, on rows of features or where nothing is clipped
    "BatchNorm": {"StandardScaler"},
    "RobustScaler": {"StandardScaler"},
    "MinMaxScaler": {"BatchNorm", "StandardScaler"},
    "StandardScaler": {"BatchNorm", "MaxAbsScaler"},  # the latter where the mean is 0
}
USES: Final = (
    *(use for name in FIXED for use in uses_of(CATALOGUE[name])),
    Use("BatchNorm", (4, 6, 5, 3), given=("mean", "var")),
    Use("StandardScaler", (4,), static=True),
    Use("StandardScaler", (6, 3, 4)),
    Use("StandardScaler", (6, 3, 4), given=("scale",)),
    Use("MaxAbsScaler", (6, 3, 4)),
    Use("MinMaxScaler", (6, 4), given=("scale", "shift")),
    Use("MinMaxScaler", (6, 4), given=("scale", "minimum", "maximum")),
    Use("MinMaxScaler", (6, 3, 4)),
    Use("DynamicTanh", (6, 4)),
    Use("DynamicTanh", (6, 4), given=("alpha", "bias")),
    Use("YeoJohnson", (6, 3, 4)),
    Use("YeoJohnson", (6, 4), {"stash_type": 1}),
    Use("YeoJohnson", (6, 4), given=("lambdas",)),
    Use("BoxCox", (6, 4), {"stash_type": 1}),
    Use("BoxCox", (6, 4), given=("lambdas", "mean")),
)


def _models(call: NormCall) -> Iterator[tuple[str, int, ir.Model]]:
    for opset in OPSETS:
        for form in call.forms_at(opset):
            model = call.model(form.name, opset=opset)
            yield form.name, opset, ir.from_proto(ir.to_proto(model))  # which names all values


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_closed_loop(use: Use, kind: Any) -> None:  # noqa: ANN401  # a dtype
    """One normalization from X to Y: the same, or one that is the same function of these numbers."""
    call, _ = call_of(use, kind)
    tried = 0
    for form, opset, model in _models(call):
        found = find(model)
        where = f"{form} at opset {opset}: {[miss.reason for miss in found.near_misses]}"
        assert len(found.norms) == 1, where
        assert not found.near_misses, where
        _check_same(call, found.norms[0], input_of(use, kind), where)
        stash = CATALOGUE[use.norm].form(form).working or call.attributes["stash_type"]
        wanted = int(ir.DataType.DOUBLE) if kind == np.float64 else stash
        assert found.norms[0].call.attributes["stash_type"] == wanted, where
        tried += 1
    assert tried >= 4


def _check_same(call: NormCall, found: Found, x: Any, where: str) -> None:  # noqa: ANN401
    assert (found.root.name, found.output.name) == ("X", "Y"), where
    assert found.fixed, where
    name = found.call.norm.name
    tolerance = 1e-12 if call.dtype == np.float64 else 2e-6
    if name == call.norm.name and name != "BatchNorm":
        for parameter, wanted in call.parameters.items():
            given = np.asarray(found.call.parameters[parameter], np.float64)
            np.testing.assert_allclose(
                given, np.asarray(wanted, np.float64), tolerance, tolerance, err_msg=where
            )
    else:
        assert name in {call.norm.name} | SAME[call.norm.name], where
    truth, result = call.reference(x), found.call.reference(x)
    size = np.abs(truth).max()
    np.testing.assert_allclose(result, truth, tolerance, tolerance * size, err_msg=where)


@pytest.mark.parametrize("rank", [2, 3, 4, 5])
def test_native_batch_norm_keeps_its_own_parameters(rank: int) -> None:
    """The arguments are the node's inputs, and epsilon is its attribute."""
    use = Use("BatchNorm", (4, 6, 5, 3, 2)[:rank], {"epsilon": 1e-3})
    call, _ = call_of(use, np.float32)
    found = find(ir.from_proto(ir.to_proto(call.model("native", opset=15)))).norms[0]
    assert [each.value.name for each in found.arguments if each.value is not None] == [
        "scale",
        "bias",
        "mean",
        "var",
    ]
    assert found.call.attributes["epsilon"] == pytest.approx(1e-3)
