"""Benchmarks of models: what runs, on which inputs, whether it may be compared, and the report.

Models that are not the same function, or that a backend computes wrongly, have no speed that could
be compared: outputs are held against the truth in float64 first.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import onnx_ir as ir

from normonnx.core.benchmark import NOISY, BenchReport, InputUsed, Noise, Timing
from normonnx.core.clocks import Took
from normonnx.core.errors import UsageError
from normonnx.core.hints import KEY
from normonnx.core.verdicts import ValidationReport, Verdict, worst_verdict
from normonnx.graph.reading import files_of
from normonnx.graph.source import ModelLike, as_model
from normonnx.runtime import naming
from normonnx.runtime.machine import cores, processor
from normonnx.runtime.workers import Limits as WorkerLimits
from normonnx.timing import figures
from normonnx.timing.contenders import MOST_ROUNDS, Contender, Effort, Feeds, Race
from normonnx.validation import drawing
from normonnx.validation.answers import Limits
from normonnx.validation.given import Sources, given
from normonnx.validation.judge import on_disk, validate

_IMAGE: Final = (224, 64, 256, 32, 128, 320, 512, 16, 8, 48, 1)  # sizes of dynamic dimensions
_SEQUENCE: Final = (128, 64, 16, 8, 32, 256, 1, 224)
_IMAGE_RANK: Final = 4
_FAILED: Final = "failed while running"  # as workers say it

Told = Callable[[str, int, int | None], None]  # what is done, steps of it, of how many


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run the models on, and how.

    Attributes:
        backends: Names as `naming` has them.
        inputs: Arrays or files instead of drawn inputs.
        shapes: Shapes of inputs with dynamic dimensions, by input name.
        batch: Size of a dynamic first dimension; None for 1.
        seed: Of drawn inputs.
        threads: That a run may take.
        check: Whether to compare outputs before anything is timed.
        timeout: Seconds that a worker may take for one step.
        memory: Bytes that it may take; None for most of what is free.
    """

    backends: tuple[str, ...] = ("ort:cpu",)
    inputs: Sources | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    batch: int | None = None
    seed: int = 0
    threads: int = 1
    check: bool = True
    timeout: float = 600.0
    memory: int | None = None


def effort_of(
    asked: Asked, *, seconds: float, runs: int | None, sessions: int, warmup: int
) -> Effort:
    """How much to measure, checked.

    Raises:
        UsageError: A number is too small.
    """
    least = {"sessions": sessions, "warmup": warmup, "threads": asked.threads, "runs": runs or 1}
    for name, value in least.items():
        if value < 1:
            message = f"{name} {value} must be 1 or more"
            raise UsageError(message)
    if not seconds >= 0 or not asked.timeout > 0:
        message = f"seconds {seconds} must be 0 or more, and timeout {asked.timeout} more than 0"
        raise UsageError(message)
    rounds = MOST_ROUNDS if runs is None else runs
    limits = WorkerLimits(asked.timeout + seconds, asked.memory)
    return Effort(seconds, rounds, min(sessions, rounds), warmup, limits)


def bench_models(
    model: ModelLike,
    against: ModelLike | None,
    asked: Asked,
    effort: Effort,
    told: Told | None = None,
) -> BenchReport:
    """Time a model, and another in turns with it; see `normonnx.bench`.

    Args:
        model: What it is about.
        against: The base that it is held against, if any.
        asked: What to run them on, and how.
        effort: How much to measure.
        told: Hears how far it is; None for nobody.

    Raises:
        UsageError: An option makes no sense, or inputs don't fit the model.
        InvalidModelError: A model is damaged.
    """
    tell = told or (lambda _what, _done, _total: None)
    backends = [_threaded(name, asked.threads) for name in dict.fromkeys(asked.backends)]
    models = [one for one in (against, model) if one is not None]
    loaded = [as_model(one) for one in models]
    candidates = _candidates(loaded[-1], asked)
    with ExitStack() as stack:
        pairs = zip(models, loaded, strict=True)
        paths = [stack.enter_context(on_disk(one, own)) for one, own in pairs]
        race = stack.enter_context(Race(list(_contenders(paths, loaded, backends)), effort))
        tell("trying", 0, None)
        feeds = _try(race, paths[-1], candidates)
        checks: tuple[ValidationReport, ...] = ()
        if asked.check and len({(one.model, one.backend) for one in race.able}) > 1:
            tell("comparing outputs", 0, None)
            able = [name for name in backends if name in {one.backend for one in race.able}]
            checks = _checks(models, able, asked)
        again: list[Took] = []
        if all(check.verdict is not Verdict.MISMATCH for check in checks):
            again = race.run(lambda done, total: tell("timing", done, total))
        found = _report(race, again, checks, asked)
        return replace(found, inputs=_used(feeds), sessions=effort.sessions)


def _threaded(backend: str, threads: int) -> str:
    """The backend with that many threads, unless its name says how many."""
    named = naming.parse(backend)
    if not named.is_known or "threads" in named.options or named.family not in ("ort", "openvino"):
        return backend
    return named.having(threads=str(threads))


def _contenders(
    paths: Sequence[Path], loaded: Sequence[ir.Model], backends: Sequence[str]
) -> Iterator[Contender]:
    """Each model on each backend, the base first; with hints behind it where a file holds them."""
    names = _names(paths)
    for backend in backends:
        on = f" on {backend}" if len(backends) > 1 else ""
        family = naming.parse(backend).family
        for name, path, model in zip(names, paths, loaded, strict=True):
            yield Contender(f"{name}{on}", path, backend)
            if KEY in model.metadata_props and family == "ort":
                yield Contender(f"{name}{on}, session hints", path, backend, hinted=True)


def _names(paths: Sequence[Path]) -> list[str]:
    """File names, with their folders where those alone tell them apart."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{names[0]} (as reference)", *names[1:]]
    return names


def _candidates(model: ir.Model, asked: Asked) -> Iterator[Feeds]:
    """Inputs to try, the likeliest first.

    Raises:
        UsageError: They don't fit the model.
    """
    shapes = asked.shapes or {}
    drawing.check_names(model, shapes)
    if asked.inputs is not None:
        cases = given(model, asked.inputs)
        if len(cases) > 1:
            message = f"{len(cases)} cases of inputs were given; a benchmark runs on one"
            raise UsageError(message)
        if asked.batch is not None:
            message = "--batch is the batch of drawn inputs; leave it out where inputs are given"
            raise UsageError(message)
        return iter([cases[0].feeds])
    inputs = drawing.required_inputs(model)
    batch = _batch(inputs, asked)
    sizes = _IMAGE if any(map(_is_image, inputs)) else _SEQUENCE
    tried: list[Mapping[str, tuple[int, ...]]] = []
    for size in sizes:
        chosen = drawing.chosen_shapes(inputs, (batch, size), shapes)
        if chosen not in tried:
            tried.append(chosen)
    return (drawing.drawn(model, (batch, 1), each, asked.seed)[0].feeds for each in tried)


def _is_image(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) >= _IMAGE_RANK


def _batch(inputs: Sequence[ir.Value], asked: Asked) -> int:
    """The batch asked for, or 1.

    Raises:
        UsageError: The model has another.
    """
    if asked.batch is None:
        return 1
    free = [value for value in inputs if value.name not in (asked.shapes or {})]
    firsts = [value.shape[0] for value in free if value.shape is not None and len(value.shape)]
    fixed = [dim for dim in firsts if isinstance(dim, int) and dim >= 0]
    if firsts and len(fixed) == len(firsts) and asked.batch not in fixed:
        message = (
            f"--batch {asked.batch}: the model's first dimensions are fixed, to "
            f"{', '.join(map(str, dict.fromkeys(fixed)))}; leave --batch out"
        )
        raise UsageError(message)
    return asked.batch


def _try(race: Race, subject: Path, candidates: Iterator[Feeds]) -> Feeds:
    """Find inputs on which a model runs on a backend, and try all contenders on them.

    Returns:
        The inputs; the first tried where it runs on none.
    """
    own = [one for one in race.contenders if one.model == subject and not one.hinted]
    tried: list[Feeds] = []
    for feeds in candidates:
        tried.append(feeds)
        race.give(feeds)
        reasons = [race.tried(one) for one in own]
        if not all(reasons):
            break
        if not any(_FAILED in reason for reason in reasons):  # whatever the inputs are
            break
    else:
        race.give(tried[0])
        for one in own:  # whose reason is likeliest to help
            race.tried(one)
        del tried[1:]
    for one in race.contenders:
        if one not in own:
            race.tried(one)
    return tried[-1]


def _checks(
    models: Sequence[ModelLike], backends: Sequence[str], asked: Asked
) -> tuple[ValidationReport, ...]:
    """What each backend computes for each model, and whether the models are the same function."""
    *reference, model = models
    pairs = [(model, reference[0] if reference else None), *((one, None) for one in reference)]
    return tuple(
        validate(
            one,
            against=other,
            backends=backends,
            inputs=asked.inputs,
            shapes=asked.shapes,
            seed=asked.seed,
            limits=Limits(asked.timeout, asked.memory),
            locate=False,
        )
        for one, other in pairs
    )


def _report(
    race: Race, again: Sequence[Took], checks: tuple[ValidationReport, ...], asked: Asked
) -> BenchReport:
    """What was measured, the base first."""
    ran = [one for one in race.contenders if race.measured[one.name].runs]
    base = ran[0] if ran else None
    timings = tuple(_timing(race, one, base) for one in race.contenders)
    verdicts = [*(one.verdict for one in timings), *(check.verdict for check in checks)]
    noise = None
    if base is not None:
        noise = figures.noise(base.name, race.measured[base.name].runs, again)
    return BenchReport(
        worst_verdict(verdicts),
        timings,
        noise,
        checks,
        rounds=0 if base is None else len(race.measured[base.name].runs),
        threads=asked.threads,
        machine=_machine(),
        notes=tuple(_notes(timings, noise)),
    )


def _timing(race: Race, contender: Contender, base: Contender | None) -> Timing:
    own = race.measured[contender.name]
    first = None if base is None or base == contender else race.measured[base.name]
    runs = None if first is None else first.runs
    sessions = None if first is None else first.sessions
    return Timing(
        contender.name,
        str(contender.model),
        contender.backend,
        contender.hinted,
        own.verdict,
        own.reason,
        latency=figures.times(own.runs, runs, figures.wall),
        latency_cpu=figures.times(own.runs, runs, figures.cpu),
        session=figures.times(own.sessions, sessions, figures.wall),
        session_cpu=figures.times(own.sessions, sessions, figures.cpu),
        memory=own.memory,
        size=sum(file.stat().st_size for file in files_of(contender.model)),
        settings=own.settings,
    )


def _notes(timings: Sequence[Timing], noise: Noise | None) -> Iterator[str]:
    """What a reader must know of the machine and of the figures."""
    if noise is not None and noise.noisy:
        yield (
            f"the machine is noisy: {noise.name} against itself is {noise.wall.median:.3f} "
            f"[{noise.wall.low:.3f} {noise.wall.high:.3f}], which should be 1 within "
            f"{NOISY:.0%}; stop what else runs here, give more --seconds, or go by the "
            "processor's time"
        )
    if any(one.hinted and one.latency is not None for one in timings):
        yield (
            "what session hints gain is told apart: a plain session ignores them, "
            "normonnx.runtime.session follows them"
        )


def _used(feeds: Feeds) -> tuple[InputUsed, ...]:
    return tuple(
        InputUsed(name, str(array.dtype), tuple(array.shape)) for name, array in feeds.items()
    )


def _machine() -> dict[str, str]:
    """Processor, cores, and how busy they are with all that runs here."""
    found = {"processor": processor(), "cores": str(cores()), "system": platform.system()}
    if hasattr(os, "getloadavg"):
        found["load"] = f"{os.getloadavg()[0]:.1f}"
    return found
