"""Forms that say they are centered stay within 16 roundoffs of float64 at any mean of the input.

On ONNX Runtime's CPU kernels in float32, spread 1: the mean is up to 10,000 times as large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.dtypes import unit_roundoff
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import FUNCTION, Use, call_of, has_cpu_kernels, input_of, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT: Final = 16.0
MEANS: Final = (0.0, 1e2, 1e3, 1e4)
OPSETS: Final = (7, 13, 17, 18, 21, 23)
IMAGE: Final = (2, 32, 16, 16)
ROWS: Final = (8, 16, 256)
USES: Final = (
    Use("LayerNorm", ROWS),
    Use("LayerNorm", IMAGE, {"axis": 1}, given=()),
    Use("InstanceNorm", IMAGE),
    Use("InstanceNorm", ROWS, given=()),
    Use("GroupNorm", IMAGE, {"num_groups": 8}),
    Use("LayerNorm2d", IMAGE),
    Use("MeanVarianceNorm", IMAGE),
    Use("AdaptiveLayerNorm", ROWS),
    Use("AdaptiveInstanceNorm", IMAGE),
    Use("BatchNormTraining", IMAGE),
)


def _forms(call: NormCall, *, centered: bool) -> Iterator[tuple[str, int]]:
    for opset in OPSETS:
        for form in call.forms_at(opset):
            if form.centered == centered and has_cpu_kernels(form):
                yield form.name, opset
        if centered and opset >= 13:
            yield FUNCTION, opset


def _errors(use: Use, mean: float, *, centered: bool) -> dict[tuple[str, int], float]:
    """In roundoffs, rms."""
    call, runtime = call_of(use, np.float32)
    x = input_of(use, np.float32, mean=mean)
    truth = call.reference(x, **runtime)
    return {
        (name, opset): relative_error(
            run(call.model(name, opset=opset), {"X": x, **runtime})[0].astype(np.float64),
            truth,
            unit_roundoff(np.float32),
        )
        for name, opset in _forms(call, centered=centered)
    }


def test_every_norm_that_subtracts_a_mean_is_here() -> None:
    """BatchNorm subtracts a number that it was given."""
    centered = {name for name, norm in CATALOGUE.items() if norm.centered}
    assert {use.norm for use in USES} == centered
    for name in centered:
        assert any(form.centered and form.since == 7 for form in CATALOGUE[name].forms), name


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_centered_forms_hold_at_any_mean(use: Use, mean: float) -> None:
    """Each at each opset, as ONNX Runtime optimizes it."""
    found = _errors(use, mean, centered=True)
    assert {form: error for form, error in found.items() if not error <= LIMIT} == {}
    assert {opset for _, opset in found} == set(OPSETS)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_other_forms_do_not(use: Use) -> None:
    """So the test above can fail: all that is left out loses digits at a mean of 10,000."""
    found = _errors(use, 1e4, centered=False)
    assert found
    assert max(found.values()) > 10 * LIMIT
