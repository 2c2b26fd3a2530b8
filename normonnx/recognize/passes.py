"""Recognising, as one function over a model, and as an onnx_ir pass."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.core.events import Event
from normonnx.recognize.emitting import RULE as RULE  # noqa: PLC0414  # its name outside
from normonnx.recognize.emitting import Observer, emit
from normonnx.recognize.finding import find

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recognition:
    """The normalizations that became calls, and what is nearly one and why it isn't.

    Attributes:
        applied: What became a call.
        refused: What did not.
        left: Whether there is more that was found and not asked for.
    """

    applied: tuple[Event, ...]
    refused: tuple[Event, ...]
    left: bool = False


def recognize(
    model: ir.Model,
    *,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    affine: bool | None = None,
    observer: Observer | None = None,
) -> Recognition:
    """Make each normalization one call of its function `normonnx::NAME`, in place.

    Args:
        model: Changed in place.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        affine: True for those that are but a scale and a shift and may have been folded before;
            False for all others; None for both.
        observer: Called after each rewrite, with the model already changed.
    """
    found = find(model, keep_inputs)
    findings = found if affine is None else found.only(affine=affine)
    applied, refused = emit(model, findings, keep=keep, observer=observer)
    others = None if affine is None else found.only(affine=not affine)
    left = others is not None and bool(others.norms or others.near_misses)
    return Recognition(applied, refused, left)


class RecognizeNorms(ir.passes.InPlacePass):
    """`recognize` as a pass, to be combined with those of onnx-ir and onnxscript."""

    def __init__(self, *, keep: Collection[str] = (), keep_inputs: Collection[str] = ()) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.keep_inputs = frozenset(keep_inputs)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Recognise in place; what is nearly a normalization is logged at level INFO."""
        found = recognize(model, keep=self.keep, keep_inputs=self.keep_inputs)
        for event in found.refused:
            logger.info("%s %s stays: %s", event.op_type, event.node, event.reason)
        return ir.passes.PassResult(model, modified=bool(found.applied))
