"""Assertions for test suites: a model computes what it says, two models are the same function.

    from normonnx.testing import assert_equivalent

    def test_my_rewrite() -> None:
        assert_equivalent("rewritten.onnx", "original.onnx")

They ask what `normonnx.validate` asks, and say on failure what differs, by how much, and where it
begins. Importing this module loads neither torch nor onnxruntime.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from normonnx.core.verdicts import Comparison, Tolerance, ValidationReport, Verdict

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx
    import onnx_ir as ir

    Model = str | os.PathLike[str] | onnx.ModelProto | ir.Model
    Inputs = str | os.PathLike[str] | Mapping[str, npt.NDArray[Any]]

__all__ = [
    "Options",
    "assert_computes",
    "assert_equivalent",
    "assert_same_function",
    "assert_valid",
]

_TOLD: Final = 8  # comparisons told in a failure


class Options(TypedDict, total=False):
    """What both assertions take besides models; all as in `normonnx.validate`."""

    backends: Sequence[str]
    inputs: Inputs | Sequence[Inputs] | None
    profiles: str | Sequence[str]
    shapes: Mapping[str, Sequence[int]] | None
    seed: int
    factor: float | None
    rtol: float | None
    atol: float | None
    timeout: float


def assert_equivalent(
    model: Model, reference: Model, **options: Unpack[Options]
) -> ValidationReport:
    """Assert that two models are the same function, and that backends compute the first rightly.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model.
        reference: What it is to be the same function as.
        options: As in `normonnx.validate`. `backends=()` asks only whether the functions are the
            same, in float64.

    Returns:
        The report, which passed.

    Raises:
        AssertionError: Something differs, a backend is unavailable, or nothing could be compared.
        UsageError, InvalidModelError: As `normonnx.validate`.
    """
    __tracebackhide__ = True
    report = _judged(model, reference, options)
    return _passed(report, f"{_called(model)} against {_called(reference)}")


def assert_computes(model: Model, **options: Unpack[Options]) -> ValidationReport:
    """Assert that backends compute a model rightly, in the eyes of float64.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model.
        options: As in `normonnx.validate`.

    Returns:
        The report, which passed.

    Raises:
        AssertionError: A result is wrong, a backend is unavailable, or nothing could be compared.
        UsageError, InvalidModelError: As `normonnx.validate`.
    """
    __tracebackhide__ = True
    return _passed(_judged(model, None, options), _called(model))


def assert_same_function(
    model: Model, reference: Model, **options: Unpack[Options]
) -> ValidationReport:
    """Assert that two models are the same function, in float64; no runtime is needed.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model.
        reference: What it is to be the same function as.
        options: As in `normonnx.validate`, but for `backends`.

    Returns:
        The report, which passed.

    Raises:
        AssertionError: Something differs, or nothing could be compared.
        UsageError, InvalidModelError: As `normonnx.validate`.
    """
    __tracebackhide__ = True
    options["backends"] = ()
    return assert_equivalent(model, reference, **options)


def assert_valid(model: Model) -> None:
    """Assert that a model is legal ONNX: it loads, with all its weights, and the checker agrees.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model.

    Raises:
        AssertionError: It is damaged or no legal ONNX model; says what is wrong.
        UsageError: There is no such file.
    """
    __tracebackhide__ = True
    said = _illegal(model)
    if said:
        message = f"{_called(model)}: invalid\n  {said}"
        raise AssertionError(message)


def _judged(model: Model, reference: Model | None, options: Options) -> ValidationReport:
    from normonnx.validation.answers import Limits
    from normonnx.validation.judge import validate

    rest = dict(options)
    limits = Limits(timeout=options["timeout"]) if "timeout" in options else Limits()
    tolerance = Tolerance.of(options.get("rtol"), options.get("atol"))
    for name in ("timeout", "rtol", "atol"):
        rest.pop(name, None)
    return validate(model, against=reference, tolerance=tolerance, limits=limits, **rest)  # type: ignore[arg-type]


def _illegal(model: Model) -> str:
    """What makes a model illegal; empty for nothing."""
    import onnx

    from normonnx.core.errors import InvalidModelError
    from normonnx.graph import files
    from normonnx.graph.source import as_model

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            files.save(as_model(model), path)  # whole, with its weights, as others will see it
            onnx.checker.check_model(str(path), full_check=True)
    except (
        InvalidModelError,
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as e:
        return " ".join(str(e).split())
    return ""


def _called(model: object) -> str:
    return os.fspath(model) if isinstance(model, str | os.PathLike) else "the model given"


def _passed(report: ValidationReport, subject: str) -> ValidationReport:
    __tracebackhide__ = True
    if report.passed:
        return report
    raise AssertionError("\n  ".join([f"{subject}: {report.verdict}", *_summary(report)]))


def _summary(report: ValidationReport) -> Iterator[str]:
    """What differs and by how much, the worst first; where it begins; what did not run."""
    if not report.comparisons:
        yield "nothing was compared"
    told = [one for one in report.comparisons if one.verdict is report.verdict] or [
        one for one in report.comparisons if one.verdict is not Verdict.PASS
    ]
    told.sort(key=lambda one: math.inf if math.isnan(one.ratio) else one.ratio, reverse=True)
    yield from map(_told, told[:_TOLD])
    if len(told) > _TOLD:
        yield f"and {len(told) - _TOLD} more"
    if report.divergence is not None:
        from normonnx.reporting.verdict_view import where

        yield where(report.divergence)
    yield from (
        f"{run.backend}: {run.verdict}, {run.reason}" for run in report.backends if run.reason
    )
    yield from report.notes


def _told(one: Comparison) -> str:
    asked = "not the same function" if one.question == "equivalent" else one.backend
    output = f", output {one.output!r}" if one.output else ""
    case = f" on {one.case}" if one.case else ""
    largest = "" if math.isnan(one.max_abs) else f"; largest difference {one.max_abs:.3g}"
    if one.question == "equivalent" and one.verdict is not Verdict.MISMATCH:
        asked = "the same function?"
    return f"{asked}{output}{case}: {one.reason or one.verdict}{largest}"
