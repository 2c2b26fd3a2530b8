"""What a form says of the operators that it is written in is what it writes."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.form import Form
from normonnx.catalogue.operators import NORM_OPERATORS
from tests.unit.catalogue.uses import call_of, highest_opset, uses_of

OPSETS: Final = (7, 8, 9, 11, 12, 13, 14, 17, 18, 21, 23)
KNOWN: Final = {"", "ai.onnx.ml", "com.microsoft"}


def _written(name: str) -> dict[str, set[str]]:
    """The normalization operators that each form writes, at any opset."""
    found: dict[str, set[str]] = {form.name: set() for form in CATALOGUE[name].forms}
    for use in uses_of(CATALOGUE[name]):
        call, _ = call_of(use, np.float32)
        for opset in sorted({*OPSETS, highest_opset()}):
            for form in call.forms_at(opset):
                model = call.model(form.name, opset=opset)
                domains = {node.domain for node in model.graph}
                assert set(model.opset_imports) == {"", *domains}
                assert domains <= {"", *form.domains}
                found[form.name] |= {
                    f"{node.domain}::{node.op_type}" if node.domain else node.op_type
                    for node in model.graph
                    if (node.domain, node.op_type) in NORM_OPERATORS
                }
    return found


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_forms_write_the_normalization_operators_that_they_name(name: str) -> None:
    """All of them, and no other; a primitive form writes none."""
    written = _written(name)
    for form in CATALOGUE[name].forms:
        assert written[form.name] == set(form.operators), form.name
        assert form.primitive == (not written[form.name]), form.name
        assert form.domains <= KNOWN, form.name
        assert not (form.native and form.primitive), form.name


def test_domains_are_those_of_the_operators() -> None:
    """Beyond ONNX's own, whose name is empty."""
    form = Form("one", lambda *_: [], operators=("LRN", "com.microsoft::GroupNorm"))
    assert form.domains == {"com.microsoft"}
    assert not form.primitive
    assert Form("two", lambda *_: []).domains == frozenset()
    assert Form("two", lambda *_: []).primitive


@pytest.mark.parametrize(
    ("name", "form", "domain", "version"),
    [
        ("GroupNorm", "com.microsoft GroupNorm", "com.microsoft", 1),
        ("StandardScaler", "native", "ai.onnx.ml", 3),
        ("Normalizer", "native", "ai.onnx.ml", 3),
    ],
)
def test_models_import_the_domains_of_their_form(
    name: str, form: str, domain: str, version: int
) -> None:
    """At the version that has the operator."""
    call = next(
        call
        for use in uses_of(CATALOGUE[name])
        for call, _ in [call_of(use, np.float32)]
        if form in {each.name for each in call.forms}
    )
    assert call.model(form, opset=17).opset_imports == {"": 17, domain: version}


@pytest.mark.parametrize(
    ("shape", "groups", "dtype", "reason"),
    [
        ((2, 8, 3, 3), 4, np.float32, None),
        ((2, 8, 3, 3), 4, np.float16, None),
        ((2, 8, 3, 3), 4, np.float64, "float64"),
        ((2, 8, 3), 4, np.float32, "rank 3"),
        ((2, "C", 3, 3), 4, np.float32, "not known"),
        ((2, 12, 3, 3), 4, np.float32, "a group has 3 channels"),
        ((2, 2056, 3, 3), 4, np.float32, "a group has 514 channels"),
    ],
)
def test_the_cuda_kernel_of_group_norm_wants(
    shape: tuple[int | str, ...], groups: int, dtype: type, reason: str | None
) -> None:
    """Images, an even number of channels in a group, float32 or float16."""
    call = CATALOGUE["GroupNorm"].define(shape, dtype, num_groups=groups)
    found = CATALOGUE["GroupNorm"].form("com.microsoft GroupNorm").requires(call)
    assert found is None if reason is None else reason in str(found)
