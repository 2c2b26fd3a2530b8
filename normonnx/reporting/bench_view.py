"""A benchmark as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from normonnx.core.benchmark import BenchReport, Noise, Times, Timing
from normonnx.core.intervals import Interval
from normonnx.core.verdicts import Verdict
from normonnx.reporting import terminal
from normonnx.reporting.figures import count, size
from normonnx.reporting.verdict_view import validation

_TITLES: Final = (
    "model", ">ms", "as fast as the first", ">CPU ms", "by CPU time", ">session ms",
    "as fast to load", ">peak memory",
)  # fmt: skip
_ONE_MODEL: Final = ("model", ">ms", "95 % interval", ">CPU ms", ">session ms", ">peak memory")
_SHARED: Final = ("provider", "optimization level", "device")


def benchmark(report: BenchReport) -> RenderableType:
    """What was run on what, each contender with its ratios, and what follows from them."""
    return terminal.stacked(_blocks(report))


def _blocks(report: BenchReport) -> Iterator[RenderableType]:
    yield from (terminal.indented(terminal.line(one)) for one in _circumstances(report))
    refused = any(check.verdict is Verdict.MISMATCH for check in report.checks)
    if report.checks:
        yield terminal.heading("outputs against the truth in float64")
        if refused or any(check.verdict is not Verdict.PASS for check in report.checks):
            yield from (validation(check) for check in report.checks)
        else:
            yield terminal.indented(terminal.line("all agree, within the models' noise floors"))
    measured = [one for one in report.timings if one.latency is not None]
    if measured:
        several = len(measured) > 1
        titles = _TITLES if several else _ONE_MODEL
        rows = [(_row if several else _alone)(one) for one in measured]
        yield terminal.indented(terminal.table(titles, rows))
    for one in report.timings:
        if one.verdict is not Verdict.PASS:
            said = Text(f"{one.name}: ").append_text(terminal.verdict(one.verdict))
            yield terminal.indented(said.append_text(terminal.line(f", {one.reason}")))
    if report.noise is not None:
        yield terminal.line(_noise(report.noise))
    yield from (terminal.line(note) for note in report.notes)
    yield from _conclusion(report, refused=refused)


def _circumstances(report: BenchReport) -> Iterator[str]:
    inputs = ", ".join(
        f"{one.name} {one.dtype}[{', '.join(map(str, one.shape))}]" for one in report.inputs
    )
    yield f"inputs   {inputs or 'none'}"
    yield f"machine  {', '.join(f'{key} {value}' for key, value in report.machine.items())}"
    seen = [_runtime(one.settings) for one in report.timings if one.settings]
    yield from (f"backend  {one}" for one in dict.fromkeys(seen))
    if report.rounds:
        yield (
            f"measured in turns: {count(report.rounds, 'round')} in "
            f"{count(report.sessions, 'session')}, {count(report.threads, 'thread')}"
        )


def _runtime(settings: Mapping[str, str]) -> str:
    hidden = ("without optimizers", "NVIDIA_TF32_OVERRIDE")
    return ", ".join(f"{key} {value}" for key, value in settings.items() if key not in hidden)


def _row(one: Timing) -> tuple[str, ...]:
    return (
        one.name,
        _median(one.latency),
        _speedup(one.latency),
        _median(one.latency_cpu),
        _speedup(one.latency_cpu),
        _median(one.session),
        _speedup(one.session),
        "-" if one.memory is None else size(one.memory),
    )


def _alone(one: Timing) -> tuple[str, ...]:
    found = one.latency.milliseconds if one.latency is not None else None
    interval = "" if found is None else f"[{_digits(found.low)} {_digits(found.high)}]"
    rest = (_median(one.latency_cpu), _median(one.session))
    memory = "-" if one.memory is None else size(one.memory)
    return (one.name, _median(one.latency), interval, *rest, memory)


def _median(times: Times | None) -> str:
    return "-" if times is None else _digits(times.milliseconds.median)


def _digits(milliseconds: float) -> str:
    return f"{milliseconds:.4g}"


def _speedup(times: Times | None) -> str:
    return "" if times is None or times.speedup is None else ratio(times.speedup)


def ratio(found: Interval) -> str:
    """A ratio with its interval, for example "1.186 [1.182 1.189]"."""
    return f"{found.median:.3f} [{found.low:.3f} {found.high:.3f}]"


def _noise(noise: Noise) -> str:
    return (
        f"A/A: {noise.name} against itself {ratio(noise.wall)}, by CPU time {ratio(noise.cpu)}; "
        "a ratio within that is no difference"
    )


def _conclusion(report: BenchReport, *, refused: bool) -> Iterator[Text]:
    if refused:
        yield terminal.line(
            "not timed: outputs disagree, so there is nothing to compare; `normonnx validate` "
            "says where it begins, --no-check times them all the same"
        )
        return
    base = report.base
    for one in report.timings:
        found = None if one.latency is None else one.latency.speedup
        if base is None or found is None or report.noise is None:
            continue
        yield terminal.line(f"{one.name} {_said(found, report.noise.outcome(found), base.name)}")
    if report.verdict is Verdict.INCONCLUSIVE:
        yield terminal.line("whether outputs agree could not be told in float64")


def _said(speedup: Interval, outcome: int, base: str) -> str:
    if outcome > 0:
        least = f"{speedup.low:.2f}"
        return f"is {speedup.median:.2f} times as fast as {base}, surely at least {least}"
    if outcome < 0:
        least = f"{1 / speedup.high:.2f}"
        return f"takes {1 / speedup.median:.2f} times as long as {base}, surely at least {least}"
    return f"is as fast as {base}, as far as can be told"
