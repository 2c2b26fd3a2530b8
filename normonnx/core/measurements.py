"""What a model costs on a backend, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from normonnx.core.intervals import Interval


@dataclass(frozen=True, slots=True)
class Measured:
    """One model.

    Attributes:
        label: What it is called, for example "before".
        session: Milliseconds to create a session.
        run: Milliseconds of one run.
    """

    label: str
    session: Interval
    run: Interval


@dataclass(frozen=True, slots=True)
class Measurements:
    """Several models, run in turns on one backend.

    Attributes:
        backend: What ran them.
        threads: That a run may take.
        models: What was measured, in the order given.
        speedup: Time of a run of the first over that of the last, pair by pair; None for one model
            alone.
        shapes: Of the inputs.
        settings: Versions, provider, optimization level.
        reason: Why nothing was measured; empty where it was.
    """

    backend: str
    threads: int = 1
    models: tuple[Measured, ...] = ()
    speedup: Interval | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
