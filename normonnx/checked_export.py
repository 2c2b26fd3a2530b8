"""An export that is checked before it is written: who exports and who judges, brought together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from normonnx.core.errors import MismatchError, UnavailableError
from normonnx.core.verdicts import ValidationReport, Verdict
from normonnx.graph import files
from normonnx.graph.paths import writable_output
from normonnx.lower.targets import TARGETS
from normonnx.runtime.kernel_registry import highest_opset
from normonnx.runtime.naming import INSTALL
from normonnx.runtime.oracle import evaluate

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from normonnx.exporting.arguments import Example
    from normonnx.exporting.assembling import Wanted
    from normonnx.exporting.exported import Exported

_RUNTIME = "ort-cpu"  # the target whose runtime says which opsets there are


def export(
    module: torch.nn.Module,
    args: Any,  # noqa: ANN401  # whatever the module takes
    kwargs: Mapping[str, Any] | None,
    path: str | os.PathLike[str] | None,
    **options: Any,  # noqa: ANN401  # those of `exported`
) -> ir.Model:
    """`normonnx.export`."""
    if path is not None:
        writable_output(path)
    found = exported(module, args, kwargs, **options)
    verification = found.report.verification
    if verification is not None and verification.verdict is Verdict.MISMATCH:
        raise MismatchError(_said_of(verification))
    if path is not None:
        files.save(found.model, path)
    return found.model


def exported(
    module: torch.nn.Module,
    args: Any,  # noqa: ANN401  # whatever the module takes
    kwargs: Mapping[str, Any] | None,
    *,
    verify: bool,
    **options: Any,  # noqa: ANN401  # fields of `exporting.exported.Options`
) -> Exported:
    """A model and how it came about, whatever the verdict.

    Raises:
        UsageError: As `normonnx.export`.
        UnavailableError: torch is not installed.
    """
    check_torch()
    from normonnx.exporting.exported import Judges, Options, run

    highest = highest_opset() or TARGETS[_RUNTIME].highest or 0
    judges = Judges(lambda model: evaluate(model, {}), _compared if verify else None)
    return run(module, args, kwargs, Options(highest=highest, **options), judges)


def check_torch() -> None:
    """Say how to get torch, where it is missing.

    Raises:
        UnavailableError: It is not installed.
    """
    try:
        import torch as _  # noqa: F401
    except ImportError:
        message = f"torch is not installed; {INSTALL['torch']}"
        raise UnavailableError(message) from None


def _compared(
    model: ir.Model, module: torch.nn.Module, example: Example, *, training: bool
) -> ValidationReport:
    from normonnx.runtime.eager import Eager, version
    from normonnx.validation.live import against_live

    live = Eager(module, example.args, example.kwargs, training=training)
    precision = "float64" if live.wide else "own"
    return against_live(model, live, {"torch": version(), "precision": precision})


def _said_of(verification: ValidationReport) -> str:
    """Why nothing is written, in one line."""
    from normonnx.reporting.verdict_view import sentence, where

    said = [str(sentence(verification))]
    if verification.divergence is not None:
        said.insert(0, where(verification.divergence))
    else:
        said += [one.reason for one in verification.comparisons if one.reason][:1]
    return f"the export is not what the module computes, nothing is written: {'; '.join(said)}"


def check_scaler(fitted: Any, wanted: Wanted) -> None:  # noqa: ANN401  # an estimator
    """Hold a scaler's model against the scaler, with the noise floor of float32.

    Args:
        fitted: The scaler.
        wanted: How its model is to be; it is compared in float32.

    Raises:
        MismatchError: They are not the same function.
    """
    from normonnx.exporting import rows
    from normonnx.exporting.estimators import scaling_of
    from normonnx.exporting.scalers import scaler_model
    from normonnx.validation.fronts import COUNT, transforms_alike

    model = scaler_model(fitted, replace(wanted, dtype="float32"))
    tried = rows.accepted(fitted, rows.drawn(scaling_of(fitted), COUNT, seed=0))
    if not tried.size:
        return
    found = transforms_alike(
        model, tried, lambda given: rows.transformed(fitted, given), wanted.names
    )
    if found.verdict is Verdict.MISMATCH:
        message = (
            f"the model does not compute what {type(fitted).__name__}.transform does: "
            f"{found.comparisons[0].reason}; this is a bug of normonnx, or the scaler's transform "
            "was changed; verify=False writes it all the same"
        )
        raise MismatchError(message)
