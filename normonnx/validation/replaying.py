"""Judge what was recorded, again or against backends here.

The recorded answers are judged anew where the model is at hand: given, in the bundle, where it was
when it was recorded (relative to the bundle), or beside the bundle. Its SHA-256 must be the
recorded one. Truth, noise floor and draws are those of the recording, so the figures are those of
the live run. Without the model the recorded figures are reported, and said to be that.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.errors import UsageError
from normonnx.core.files import real
from normonnx.core.verdicts import ValidationReport, conclusion
from normonnx.graph import reading
from normonnx.runtime.backends import Outcome
from normonnx.runtime.naming import parse
from normonnx.validation import bundles
from normonnx.validation.answers import Answer, Limits, Subject, ask, judged
from normonnx.validation.bundles import Bundle
from normonnx.validation.drawing import Case
from normonnx.validation.judge import judging, report
from normonnx.validation.packing import unpacked, unpacked_run
from normonnx.validation.recording import hash_of
from normonnx.validation.truths import DRAWS, Settings, Truth, truth_of, truths_of


def compare(
    bundle: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    backends: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> ValidationReport:
    """Judge a bundle, and backends here on its inputs; see `normonnx.compare`."""
    backends = (backends,) if isinstance(backends, str) else backends
    for backend in backends:
        parse(backend)
    path = Path(bundle)
    found = bundles.read(path)
    facts = found.facts
    settings = judging(facts["settings"]["seed"], facts["settings"]["factor"], kernels=True)
    with _model_of(found, path, model) as at_hand:
        if at_hand is None:
            if backends:
                message = (
                    f"the model {facts['model']['name']!r} of {path} is needed to run "
                    f"{', '.join(backends)}; give it with --model"
                )
                raise UsageError(message)
            return _as_recorded(found, settings)
        loaded = reading.load(at_hand)
        truths = _truths(found, loaded, settings)
        subject = Subject(at_hand, loaded, truths)
        recorded = _judged_again(found, subject, settings)
        live = [ask(backend, subject, settings, limits) for backend in backends]
        answers = [recorded, *(_told_same_bits(one, found) for one in live)]
    return report([c for one in answers for c in one.comparisons], answers, settings)


@contextmanager
def _model_of(
    bundle: Bundle, path: Path, given: str | os.PathLike[str] | None
) -> Iterator[Path | None]:
    """The recorded model's file, wherever it is; None where it is nowhere."""
    facts = bundle.facts["model"]
    if given is not None:
        if hash_of(reading.files_of(Path(given))) != facts["sha256"]:
            message = (
                f"{given} is not the model that was recorded in {path} ({facts['name']}): its "
                "SHA-256 differs; give that one, or record this one"
            )
            raise UsageError(message)
        yield Path(given)
        return
    with ExitStack() as stack:
        if bundle.model:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="normonnx-")))
            yield _unpacked_model(bundle.model, folder) / facts["entry"]
            return
        places = [path.parent / facts["place"]] if facts["place"] else []
        places += [path.parent / facts["name"], Path(facts["name"])]
        for place in places:
            if place.is_file() and hash_of(reading.files_of(place)) == facts["sha256"]:
                yield place
                return
        yield None


def _unpacked_model(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, raw in files.items():
        target = real(folder / name)
        if not target.is_relative_to(real(folder)):
            message = f"a file of the model lies outside its folder: {name!r}; record it again"
            raise UsageError(message)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
    return folder


def _truths(bundle: Bundle, model: ir.Model, settings: Settings) -> list[Truth]:
    """The truths of the recorded cases, drawn again where the bundle holds digests alone."""
    cases = [None if one.inputs is None else Case(one.name, one.inputs) for one in bundle.cases]
    if all(case is not None for case in cases):
        pairs = zip(cases, bundle.cases, strict=True)
        return [
            truth_of(model, case, settings, draws=one.draws or DRAWS)
            for case, one in pairs
            if case is not None
        ]
    if bundle.facts["given_inputs"]:
        return []
    shapes = bundle.facts["shapes"]
    again = {truth.case.name: truth for truth in truths_of(model, None, shapes, settings)}
    found = [again.get(one.name) for one in bundle.cases]
    if any(
        truth is None or bundles.digest(array) != one.digests.get(("inputs", name))
        for truth, one in zip(found, bundle.cases, strict=True)
        for name, array in ({} if truth is None else truth.case.feeds).items()
    ):
        return []  # another NumPy draws other numbers
    return [truth for truth in found if truth is not None]


def _judged_again(bundle: Bundle, subject: Subject, settings: Settings) -> Answer:
    """What the recorded answers say, judged here; as recorded where only digests are left."""
    if not bundle.has_tensors:
        note = "only digests were recorded, so the figures are those of the recording"
        return _recorded_answer(bundle, note)
    run = unpacked_run(bundle)
    outputs = tuple(one.outputs or {} for one in bundle.cases)
    outcome = Outcome(run, outputs, wide=bundle.facts["run"]["wide"])
    found = judged(subject.model, subject.truths, outcome, settings)
    return Answer(replace(run, verdict=conclusion(found)), tuple(found))


def _as_recorded(bundle: Bundle, settings: Settings) -> ValidationReport:
    note = "the model is not at hand, so the figures are those of the recording; give --model"
    answer = _recorded_answer(bundle, note)
    return report(answer.comparisons, [answer], settings)


def _recorded_answer(bundle: Bundle, note: str) -> Answer:
    found = tuple(unpacked(one) for one in bundle.facts["comparisons"])
    run = unpacked_run(bundle)
    run = replace(run, verdict=conclusion(found), notes=(*run.notes, note))
    return Answer(run, found)


def _told_same_bits(answer: Answer, bundle: Bundle) -> Answer:
    """A live run says whether it gave the recorded bits: no two figures can be closer."""
    if not answer.outputs:
        return answer
    pairs = [
        (expected, bundles.digest(outputs.get(name)))
        for one, outputs in zip(bundle.cases, answer.outputs, strict=False)
        for (kind, name), expected in one.digests.items()
        if kind == "outputs"
    ]
    same = sum(expected == found for expected, found in pairs)
    note = f"{same} of {len(pairs)} outputs are the recorded ones bit by bit"
    return replace(answer, run=replace(answer.run, notes=(*answer.run.notes, note)))
