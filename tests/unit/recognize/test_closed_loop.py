"""Every form of a normalization with a statistic is recognised as what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from tests.unit.catalogue.uses import FUNCTION, Use, call_of, highest_opset, input_of, uses_of
from tests.unit.recognize.test_closed_loop_fixed import FIXED

OPSETS: Final = (7, 9, 11, 13, 17, 18, 21, 23)
FEWER: Final = {  # where operators change
    np.dtype(np.float16): (7, 12, 13, 18, 21),
    np.dtype(ml_dtypes.bfloat16): (13, 18, 23),
    np.dtype(np.float64): (9, 13, 18),
}
KINDS: Final = (np.float32, *FEWER)
USES: Final = tuple(
    use for name, norm in CATALOGUE.items() if name not in FIXED for use in uses_of(norm)
)


def _opsets(kind: np.dtype[Any]) -> Sequence[int]:
    return FEWER.get(kind, tuple(sorted({*OPSETS, highest_opset()})))


def _models(call: NormCall, kind: np.dtype[Any]) -> Iterator[tuple[str, ir.Model]]:
    """Each form at each opset; those that are the same nodes at several opsets once."""
    seen: set[bytes] = set()
    for opset in _opsets(kind):
        forms = [form.name for form in call.forms_at(opset)]
        for form in [*forms, *([FUNCTION] if opset >= 13 and forms else [])]:
            proto = ir.to_proto(call.model(form, opset=opset))
            proto.graph.name = ""
            nodes = proto.graph.SerializeToString(deterministic=True) + form.encode()
            if nodes not in seen:
                seen.add(nodes)
                yield f"{form} at opset {opset}", ir.from_proto(proto)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: np.dtype(kind).name)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_closed_loop(use: Use, kind: Any) -> None:  # noqa: ANN401  # a dtype
    """One normalization from X to Y: the same, or one that is the same function of these numbers."""
    call, runtime = call_of(use, kind)
    x = input_of(use, kind)
    tried = 0
    for where, model in _models(call, np.dtype(kind)):
        found = find(model)
        reasons = [miss.reason for miss in found.near_misses]
        assert [norm.output.name for norm in found.norms] == ["Y"], (where, reasons)
        assert not reasons, where
        _check_same(call, found.norms[0], (x, runtime), where)
        tried += 1
    assert tried


def _check_same(
    call: NormCall, found: Found, given: tuple[Any, dict[str, Any]], where: str
) -> None:
    """The same attributes and parameters; under another name the same numbers."""
    x, runtime = given
    assert found.root.name == "X", where
    tolerance = 1e-6 if call.dtype != np.float64 else 1e-7  # epsilon is kept in float32
    if found.call.norm.name == call.norm.name:
        _check_attributes(call, found.call, tolerance, where)
    inputs = {
        each.name: runtime[str(each.value.name)]
        for each in found.arguments
        if each.value is not None and str(each.value.name) in runtime
    }
    truth, result = (
        np.asarray(each[0] if isinstance(each, tuple) else each)
        for each in (call.reference(x, **runtime), found.call.reference(x, **inputs))
    )
    size = np.abs(truth).max()
    np.testing.assert_allclose(result, truth, tolerance, tolerance * size, err_msg=where)


def _check_attributes(call: NormCall, found: NormCall, tolerance: float, where: str) -> None:
    """Those that say what is computed, an axis as a place among all."""
    for name, wanted in call.stored.items():
        stored = found.stored[name]
        if name in {"stash_type", "momentum", "ddof"}:
            continue
        if name == "axis":
            rank = len(call.shape)
            assert np.mod(stored, rank) == np.mod(wanted, rank), (where, name)
        elif name != "torch_window" or np.mod(call.attributes["size"], 2) == 0:
            assert np.allclose(stored, wanted, tolerance), (where, name)
