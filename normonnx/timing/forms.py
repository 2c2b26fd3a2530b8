"""What the forms of a normalization cost on a backend, and how right they are there.

All forms of one use are run in turns in one worker process, each sample of at least half a
millisecond; a ratio is the median of those taken round by round. A form that a runtime can't load,
or that brings it down, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Form
from normonnx.core.costs import Entry, FormCost, shortest
from normonnx.core.errors import UnavailableError
from normonnx.core.version import VERSION
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.machine import processor
from normonnx.runtime.staying import Staying
from normonnx.timing import canary, edges, intervals, worker
from normonnx.timing.contenders import hindrance
from normonnx.timing.edges import Case

_PATIENCE: Final = 300.0  # seconds for one use, over what is asked for
_DIGITS: Final = 4
_ALONE: Final = "the simplest model"
_RUNTIMES: Final = ("onnxruntime", "openvino")
_CARD: Final = "device"


class Measurer:
    """A worker on one backend that measures one use after another; a context manager.

    Args:
        backend: A name as `normonnx list backends` has it, with options.
        threads: That a run may take.
        seconds: For timing all forms of one use.

    Attributes:
        machine: What it measures on: processor or card, threads.
        versions: Of the packages that matter.

    Raises:
        UnavailableError: There is no such backend, or it is not here or can't be timed.
        UsageError: The backend has no such option.
    """

    def __init__(self, backend: str, *, threads: int = 1, seconds: float = 2.0) -> None:
        hindered = hindrance(backend)
        if hindered:
            raise UnavailableError(hindered)
        self._backend = naming.parse(backend).having(threads=str(threads))
        self._seconds = seconds
        self._staying = Staying(worker.MODULE, workers.Limits(_PATIENCE + 2 * seconds))
        try:
            settings = self._simplest()
        except UnavailableError as error:
            self._staying.close()
            message = f"{backend}: {error}"
            raise UnavailableError(message) from None
        self.machine: Mapping[str, str] = {
            "processor": settings[_CARD] if _CARD in settings else processor(),
            "threads": str(threads),
        }
        self.versions: Mapping[str, str] = {
            "normonnx": VERSION,
            "onnx": onnx.__version__,
            **{name: settings[name] for name in _RUNTIMES if name in settings},
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._staying.close()

    def measure(
        self, call: NormCall, opset: int, *, extra: Mapping[str, ir.Model] | None = None
    ) -> Entry:
        """Time all forms that a use may take at an opset.

        Args:
            call: The use, all sizes of X known. Parameters that are shapes become inputs.
            opset: That the forms are built at.
            extra: Further models of the same input and output, by what they are called.

        Returns:
            The first form is the native one where there is one that runs, else the first of the
            catalogue that does. There are none where none runs.

        Raises:
            UsageError: A size of X is not known.
            UnavailableError: The backend fails for another reason than one of the forms.
        """
        cases = edges.cases(call)
        models = {
            **{form.name: call.model(form.name, opset=opset) for form in ordered(call, opset)},
            **(extra or {}),
        }
        protos = {name: ir.to_proto(model).SerializeToString() for name, model in models.items()}
        answer = self._answer(protos, list(cases.values()), self._seconds)
        return entry_of(call, opset, _costs(answer, list(cases)))

    def _simplest(self) -> Mapping[str, str]:
        """The settings of the backend, which runs the simplest model."""
        answer = self._answer({_ALONE: canary.MODEL}, [_identity()], 0.0)
        if _ALONE not in answer["samples"]:
            raise UnavailableError(answer["failed"][_ALONE])
        found: Mapping[str, str] = answer["settings"]
        return found

    def _answer(
        self, models: Mapping[str, bytes], cases: Sequence[Case], seconds: float
    ) -> Mapping[str, Any]:
        """What the worker says, without the models that bring it down.

        Raises:
            UnavailableError: It was none of them.
        """
        left = dict(models)
        while True:
            with self._staying.place() as place:
                _write(place, left, cases)
                request = {
                    "backend": self._backend,
                    "forms": list(left),
                    "sizes": [case.size for case in cases],
                    "seconds": seconds,
                }
                found = self._staying.ask(place, request)
                blamed = _current(place)
            if isinstance(found, dict):
                if found["verdict"] != "pass":
                    raise UnavailableError(found["reason"])
                return found
            if blamed not in left or len(left) == 1:
                raise UnavailableError(found)
            del left[blamed]


def measure(  # noqa: PLR0913
    call: NormCall,
    opset: int,
    backend: str,
    *,
    seconds: float = 2.0,
    threads: int = 1,
    extra: Mapping[str, ir.Model] | None = None,
) -> Entry:
    """Time all forms of one use in a worker of its own; see `Measurer`.

    Raises:
        UnavailableError, UsageError: As `Measurer` and its `measure`.
    """
    with Measurer(backend, threads=threads, seconds=seconds) as measurer:
        return measurer.measure(call, opset, extra=extra)


def entry_of(call: NormCall, opset: int, forms: tuple[FormCost, ...] = ()) -> Entry:
    """A use as an entry of a cost table.

    Raises:
        UsageError: A size of X is not known.
    """
    return Entry(
        norm=call.norm.name,
        dtype=call.dtype.name,
        opset=opset,
        shape=edges.concrete(call),
        attributes={name: shortest(value) for name, value in call.attributes.items()},
        given=call.given,
        forms=forms,
    )


def ordered(call: NormCall, opset: int) -> list[Form]:
    """The forms that a use may take at an opset, the native one first."""
    return sorted(call.forms_at(opset), key=lambda form: not form.native)


def _costs(answer: Mapping[str, Any], profiles: Sequence[str]) -> tuple[FormCost, ...]:
    samples: Mapping[str, Sequence[float]] = answer["samples"]
    found = []
    for form, times in samples.items():
        first = next(iter(samples.values()))
        ratio = intervals.of_ratio(times, first[: len(times)])
        errors = dict(zip(profiles, answer["errors"][form], strict=True))
        found.append(
            FormCost(
                form,
                _rounded(1e3 * intervals.of_median(times).median),
                _rounded(ratio.median),
                _rounded(ratio.low),
                _rounded(ratio.high),
                {name: _rounded(error) for name, error in errors.items()},
            )
        )
    return tuple(found)


def _rounded(value: float) -> float:
    return intervals.round_to(value, _DIGITS)


def _identity() -> Case:
    return Case(canary.FEEDS, np.eye(4), 1.0)


def _write(place: Path, models: Mapping[str, bytes], cases: Sequence[Case]) -> None:
    for number, model in enumerate(models.values()):
        worker.model_path(place, number).write_bytes(model)
    exchange.write_cases(place, [case.feeds for case in cases])
    for number, case in enumerate(cases):
        truth = {worker.TRUTH: case.truth}
        exchange.write_arrays(exchange.folder(place, worker.TRUTH, number), truth)


def _current(place: Path) -> str:
    """The form that was at work last; empty for none."""
    path = place / worker.CURRENT
    return path.read_text() if path.exists() else ""
