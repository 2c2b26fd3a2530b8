"""However a normalization is spelled, it is found; whatever is wrong with it, nothing wrong is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st

from tests.property.holding import check_hit, check_near_miss
from tests.property.spellings import FAULTS, HITS, NotDrawnError, Spelled, spelled

SETTINGS = settings(
    deadline=None,
    max_examples=10,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a failing model is small, and shrinking it takes minutes
)


def _drawn(data: st.DataObject, name: str, fault: str | None = None) -> Spelled:
    def pick(options: Sequence[Any]) -> Any:  # noqa: ANN401
        return data.draw(st.sampled_from(options))

    try:
        drawn = spelled(pick, name, fault)
    except NotDrawnError:
        assume(condition=False)
        raise
    note(onnx.printer.to_text(drawn.model))
    return drawn


@pytest.mark.parametrize("name", HITS)
@SETTINGS
@given(data=st.data())
def test_every_spelling_is_found(name: str, data: st.DataObject) -> None:
    """One call in place of the chain, of the same function with the same parameters."""
    check_hit(_drawn(data, name))


@pytest.mark.parametrize("fault", FAULTS)
@SETTINGS
@given(data=st.data())
def test_one_fault_is_enough(fault: str, data: st.DataObject) -> None:
    """No normalization contains what is wrong, and what is rewritten is the same function."""
    name = data.draw(st.sampled_from(FAULTS[fault]))
    check_near_miss(_drawn(data, name, fault))
