"""What an engine is: a function that loads a model, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from normonnx.core.clocks import Took
from normonnx.core.verdicts import NodePlacement
from normonnx.runtime.naming import Backend
from normonnx.runtime.rewriting import Rewriting

if TYPE_CHECKING:
    import onnx

_LONGEST: Final = 300
_ABOUT_EXTERNAL_DATA: Final = "should be stored in"  # what the checker says of weights in branches


class GivenUpError(Exception):
    """The backend can't run the model; carries the verdict and the reason."""

    def __init__(self, verdict: Literal["unavailable", "invalid"], reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Job:
    """What to load.

    Attributes:
        model: The .onnx file.
        backend: Where, and with which options.
        module: File of a torch module, where one was handed over.
        paths: Folders with the user's own Python modules.
        trace: A folder to work in, where it is also asked what becomes of the graph.
        timed: Whether it is loaded to be timed: as a user would, with nothing recorded besides.
        hinted: Whether to follow the advice on the session that the file holds.
    """

    model: Path
    backend: Backend
    module: Path | None = None
    paths: tuple[str, ...] = ()
    trace: Path | None = None
    timed: bool = False
    hinted: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, ready to run; the other attributes are those of `BackendRun` and `Outcome`.

    Attributes:
        run: Arrays by input name to arrays by output name; None for what is no tensor. Raises
            GivenUpError.
        bind: Arrays by input name, put where the runtime wants them once and for all, to what runs
            it on them: with as little else as can be, for timing. None where that is not to be had.
        took: What the runtime took to load it; None where that was not timed.
    """

    run: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    asked: str
    settings: Mapping[str, str]
    nodes: tuple[NodePlacement, ...] = ()
    reduced: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    wide: bool = False
    rewriting: Rewriting | None = None
    bind: Callable[[Mapping[str, Any]], Callable[[], None]] | None = None
    took: Took | None = None


Load = Callable[[Job], Loaded]
Probe = Callable[[], Mapping[str, str]]  # name of each backend that is here, to its version


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()[:_LONGEST]


def unavailable(reason: str) -> GivenUpError:
    """The error of a backend that can't run this model, although another might."""
    return GivenUpError("unavailable", reason)


def can_not_load(model: Path, said: str) -> GivenUpError:
    """The error of a model that does not load.

    It is `invalid` where onnx's own checker rejects the model as well. Otherwise the model is
    legal, only not for this runtime (a newer opset, a custom operator, no kernel): `unavailable`.
    """
    reason = f"can't load the model: {said}"
    return GivenUpError("invalid" if _is_illegal(model) else "unavailable", reason)


def _is_illegal(model: Path) -> bool:
    """Whether onnx's checker rejects the model, too. External data is not its business here."""
    import onnx

    try:
        found = onnx.load(model, load_external_data=False)
        _take_external_data_out(found.graph)
        onnx.checker.check_model(found, full_check=True)
    except Exception as error:  # noqa: BLE001  # of many kinds
        return _ABOUT_EXTERNAL_DATA not in str(error)
    return False


def _take_external_data_out(graph: onnx.GraphProto) -> None:
    """Make inputs of weights in other files: the checker looks for those in the current folder."""
    import onnx

    inputs = {value.name for value in graph.input}
    outside = [one for one in graph.initializer if one.data_location == one.EXTERNAL]
    inside = [one for one in graph.initializer if one.data_location != one.EXTERNAL]
    graph.input.extend(
        onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims)
        for one in outside
        if one.name not in inputs
    )
    del graph.initializer[:]
    graph.initializer.extend(inside)
