"""What each target would be given, run on that target's runtime: right, also at the edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UnavailableError
from normonnx.lower.choosing import RIGHT, Wanted, choose
from normonnx.lower.stored import tables_for
from normonnx.lower.targets import TARGETS, kernels_of
from normonnx.timing.forms import Measurer
from tests.unit.catalogue.uses import Use, attributes_of, parameters_of, uses_of

OPSETS: Final = (17,)
USES: Final = tuple(
    next(use for use in uses_of(norm) if use.norm == name)
    for name, norm in CATALOGUE.items()
    if norm.region.measures and not norm.region.fixed
)
PLAIN: Final = ("random", "tiny", "huge")


@pytest.fixture(scope="module", params=["ort-cpu", "openvino"])
def measured(request: pytest.FixtureRequest) -> Iterator[tuple[Measurer, Wanted]]:
    """Something that runs forms on a target, and what is chosen by there."""
    target = TARGETS[request.param]
    assert target.backend is not None
    try:
        measurer = Measurer(target.backend, seconds=0.0)
    except UnavailableError as error:
        pytest.skip(str(error))
    wanted = Wanted(target, kernels=kernels_of(target), tables=tables_for(target.name))
    with measurer:
        yield measurer, wanted


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_it_is_right(use: Use, measured: tuple[Measurer, Wanted]) -> None:
    """Few roundoffs where nothing is extreme, a number everywhere, right where it says so."""
    measurer, wanted = measured
    call = _static(use)
    for opset in OPSETS:
        errors = {cost.form: cost.errors for cost in measurer.measure(call, opset).forms}
        for accurate in (False, True):
            form = choose(call, opset, replace(wanted, accurate=accurate)).form
            if form is None:  # the spelling stays
                continue
            assert form.name in errors, (form.name, opset)
            found = errors[form.name]
            assert all(map(math.isfinite, found.values())), (form.name, opset, found)
            assert all(found[name] <= RIGHT for name in PLAIN), (form.name, opset, found)
            if accurate and form.centered:
                assert max(found.values()) <= RIGHT, (form.name, opset, found)


def _static(use: Use) -> NormCall:
    """With all sizes known; rows for each sample come at run time."""
    norm = CATALOGUE[use.norm]
    given: dict[str, Any] = dict(parameters_of(use, np.float32))
    for parameter in norm.parameters:
        if "SAMPLE" in parameter.extent.name and parameter.name in given:
            given[parameter.name] = given[parameter.name].shape
    return norm.define(use.shape, np.float32, **given, **attributes_of(norm, use.attributes))


def test_all_targets_that_run_here_are_tried() -> None:
    """OpenVINO and ONNX Runtime are what a machine without a card has."""
    runs = {name for name, each in TARGETS.items() if each.backend and "cuda" not in each.backend}
    assert runs - {"tensorrt"} == {"ort-cpu", "openvino"}
