"""Stage "models": whole models recorded and judged, and every tensor on the way.

A model is recorded into a bundle as `normonnx record` does it. Its inner tensors are then made
outputs, in a session of their own at a lower optimization level, and each is compared with the
oracle's in units of its own noise floor: that shows whether the calibrated factor holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir

import normonnx
from normonnx.core.distances import rms
from normonnx.core.dtypes import is_float, largest, unit_roundoff
from normonnx.core.verdicts import Comparison, ValidationReport, Verdict
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.timing.intervals import round_to
from normonnx.validation.measures import FACTOR, noise_floor, relative_error
from tools.evidence import sessions
from tools.evidence.items import Item, skipped, with_option
from tools.evidence.manifest import Array, Entry, Manifest
from tools.evidence.subjects import Context, Subject

_TENSORS: Final = (
    200_000  # bytes of inputs and outputs up to which a bundle keeps the tensors themselves
)
_WORST: Final = 3
_LONGEST: Final = 180.0  # seconds
_BEFORE_TF32: Final = 6  # models, in either precision
_TF32: Final = "use_tf32=1"


def items(manifest: Manifest, backend: str) -> Sequence[Item]:
    """Each model whole, then tensor by tensor; after the first few all with TF32.

    Those with TF32 come in a row: they take a process of their own.
    """
    columns = [_of_one(entry, backend) for entry in manifest.models]
    single = [entry for entry in manifest.models if entry.precision == "float32"]
    tf32 = [_with_tf32(entry, backend) for entry in single]
    first, rest = columns[:_BEFORE_TF32], columns[_BEFORE_TF32:]
    return [item for column in (*first, tf32, *rest) for item in column]


def _of_one(entry: Entry, backend: str) -> list[Item]:
    told = {"model": entry.name}
    found = [Item(f"models:{entry.name}", f"{__name__}:whole", backend, told, _LONGEST)]
    for level in ("basic", "extended") if entry.precision == "float32" else ("basic",):
        leveled = with_option(backend, f"level={level}")
        key = f"models:{entry.name}:tensors:{level}"
        found.append(Item(key, f"{__name__}:tensors", leveled, told, _LONGEST))
    return found


def _with_tf32(entry: Entry, backend: str) -> Item:
    key, told = f"models:{entry.name}:tf32", {"model": entry.name, "tf32": True}
    if not backend.lower().startswith("ort:cuda"):
        return Item(key, f"{__name__}:no_tf32", backend, told)
    return Item(key, f"{__name__}:whole", with_option(backend, _TF32), told, _LONGEST)


def no_tf32(_context: Context, _arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """TF32 is a format of NVIDIA's."""
    return skipped("only the CUDA provider has TF32")


def whole(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Record a model into a bundle, and judge it."""
    entry = context.manifest.entry(arguments["model"])
    suffix = "-tf32" if arguments.get("tf32") else ""
    bundle = context.bundles / f"{entry.name}{suffix}.bundle"
    report = normonnx.record(
        context.models / entry.file,
        bundle,
        backend=context.backend,
        shapes=entry.shapes,
        seed=context.manifest.seed,
        tensors=_is_small(entry),
        timeout=_LONGEST,
    )
    return {**judged(report), "bundle": bundle.name if bundle.exists() else None}


def judged(report: ValidationReport) -> dict[str, Any]:
    """A report in short."""
    run = report.backends[0]
    return {
        "status": status_of(report.verdict),
        "reason": run.reason,
        "verdict": str(report.verdict),
        "ratio": max((one.ratio for one in report.comparisons), default=float("nan")),
        "comparisons": [compared(one) for one in report.comparisons],
        "coverage": run.coverage,
        "placement": run.placement,
        "reduced": run.reduced,
        "settings": run.settings,
    }


def compared(one: Comparison) -> dict[str, Any]:
    """A comparison in short."""
    figures = {"error": one.error, "floor": one.floor, "ratio": one.ratio, "max_abs": one.max_abs}
    return {
        "case": one.case,
        "output": one.output,
        "verdict": str(one.verdict),
        **{name: round_to(value, 4) for name, value in figures.items()},
        **({"reason": one.reason} if one.reason else {}),
    }


def status_of(verdict: Verdict) -> str:
    """A verdict as the status of an item."""
    return "ok" if verdict is Verdict.PASS else str(verdict)


def tensors(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Compare every floating-point tensor on the way with the oracle's."""
    subject = context.subject(arguments["model"])
    feeds = subject.truths[0].case.feeds
    names = [
        value.name or ""
        for node in subject.model.graph
        if node.op_type != "Constant"
        for value in node.outputs
    ]
    noises = [Perturbation(context.manifest.seed * 1000 + draw, kernels=True) for draw in range(2)]
    truth = evaluate(subject.model, feeds, keep=names)
    moved = [evaluate(subject.model, feeds, perturb=noise, keep=names) for noise in noises]
    wanted = [name for name in truth if _is_worth_comparing(truth[name])]
    session = sessions.opened(_exposing(subject, wanted), context.backend)
    found = dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))
    least = unit_roundoff(subject.entry.precision)  # what is wider was rounded before
    ratios = {
        name: _ratio(found[name], truth[name], [one[name] for one in moved], least)
        for name in wanted
        if is_float(found[name].dtype)
    }
    provider = sessions.provider_of(context.backend)
    return {
        **_summary(ratios, subject.model),
        "drift": subject.drift,
        **sessions.placement(session, provider),
    }


def _exposing(subject: Subject, names: Sequence[str]) -> onnx.ModelProto:
    """The model with more outputs; onnxruntime works out their types."""
    proto = subject.proto
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    return proto


def _is_worth_comparing(truth: Any) -> bool:  # noqa: ANN401
    """Whether it holds numbers that are not all zero."""
    if not isinstance(truth, np.ndarray) or truth.dtype.kind != "f" or not truth.size:
        return False
    finite = truth[np.isfinite(truth)]
    return bool(finite.size) and rms(finite) > 0


def _ratio(
    found: Array, truth: Array, moved: list[Array], least: float
) -> tuple[float, float, float, int]:
    """Error over floor, error, floor, and the number of entries finite on one side only."""
    u = max(unit_roundoff(found.dtype), least)
    numbers = found.astype(np.float64)
    error, floor = relative_error(numbers, truth, u), noise_floor(truth, moved, u)
    top, finite = largest(found.dtype), np.isfinite(numbers)
    just_above = top * (1 + 4 * unit_roundoff(found.dtype))  # may be rounded either way
    odd = np.where(finite, ~(np.abs(truth) <= just_above), np.abs(truth) <= top)
    return error / floor, error, floor, int(np.count_nonzero(odd))


def _summary(
    ratios: Mapping[str, tuple[float, float, float, int]], model: ir.Model
) -> dict[str, Any]:
    kinds = {value.name: node.op_type for node in model.graph for value in node.outputs}
    order = sorted(ratios, key=lambda name: ratios[name][0], reverse=True)
    values = [ratios[name][0] for name in order]
    beyond = [name for name in order if ratios[name][0] > FACTOR]
    odd = {name: ratios[name][3] for name in order if ratios[name][3]}
    return {
        "status": "mismatch" if beyond or odd else "ok",
        "count": len(values),
        "median": round_to(float(np.median(values)), 4) if values else None,
        "p99": round_to(float(np.percentile(values, 99)), 4) if values else None,
        "max": round_to(values[0], 4) if values else None,
        "beyond": len(beyond),
        "beyond_first": next((name for name in kinds if name in beyond), None),
        "odd": len(odd),
        "worst": [
            [name, kinds.get(name, ""), *(round_to(part, 4) for part in ratios[name][:3])]
            for name in order[:_WORST]
        ],
    }


def _is_small(entry: Entry) -> bool:
    """Whether inputs and outputs of all cases are small enough to be kept."""
    width = 4 if entry.precision == "float32" else 2
    outputs = [digest["shape"] for case in entry.truth.values() for digest in case.values()]
    shapes = [*outputs, *(shape for _ in entry.truth for shape in entry.shapes.values())]
    return sum(width * int(np.prod(shape)) for shape in shapes) < _TENSORS
