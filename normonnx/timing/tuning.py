"""Cost tables: what was measured of several uses of normalizations on one target."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from normonnx.catalogue.call import NormCall
from normonnx.core.costs import CostTable, Entry, Use
from normonnx.core.errors import UsageError
from normonnx.lower.targets import TARGETS
from normonnx.timing.forms import Measurer, entry_of


def backend_of(target: str) -> str:
    """The backend that is measured for a target: "ort:cpu" for "ort-cpu".

    Raises:
        UsageError: There is no such target, or nothing here can be its runtime.
    """
    found = TARGETS.get(target)
    if found is None or found.backend is None:
        names = ", ".join(name for name, each in TARGETS.items() if each.backend)
        message = f"target {target!r} can't be measured; expected one of {names}"
        raise UsageError(message)
    return found.backend


def tune(  # noqa: PLR0913
    calls: Iterable[NormCall],
    opset: int,
    target: str,
    *,
    seconds: float = 2.0,
    threads: int = 1,
    told: Callable[[Entry], None] = lambda _entry: None,
) -> CostTable:
    """Measure the forms of each distinct use, once.

    Args:
        calls: Uses, all sizes of X known.
        opset: That the forms are built at.
        target: What they will run on, such as "ort-cpu".
        seconds: For timing all forms of one use.
        threads: That a run may take.
        told: Hears of each use when it has been measured.

    Returns:
        The table. Uses of which no form runs on the target are left out.

    Raises:
        UnavailableError: What runs the target is not here.
        UsageError: The target is none, or a size of X is not known.
    """
    distinct = {entry_of(call, opset).use: call for call in calls}
    entries: dict[Use, Entry] = {}
    with Measurer(backend_of(target), threads=threads, seconds=seconds) as measurer:
        for use, call in distinct.items():
            entry = measurer.measure(call, opset)
            if entry.forms:
                entries[use] = entry
                told(entry)
        return CostTable(target, measurer.machine, measurer.versions, tuple(entries.values()))
