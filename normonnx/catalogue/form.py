"""A form: one way to write a normalization as ONNX, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall
    from normonnx.catalogue.tracing import Tracer

Build = Callable[..., ir.Value | Sequence[ir.Value]]


@dataclass(frozen=True, slots=True)
class Form:
    """One equivalent subgraph.

    Attributes:
        name: What `explain` calls it.
        build: Writes it: `build(op, x, *parameters)` with a `Tracer`, giving the outputs.
        since: Lowest opset that has its operators.
        until: Highest opset, None for all.
        generic: Whether it needs neither rank nor type nor numbers, so it can be a function's body.
        centered: Whether it stays right at any mean of the input.
        native: Whether it is one operator that is this normalization.
        outputs: How many outputs it gives.
        requires: Why a call can't take this form; None where it can.
        working: Type that it computes in, whatever `stash_type` says; None to follow it.
        caveat: Where a well-known runtime's kernel gets it wrong, and how.
        wrong_on: Names of the targets where that is so bad that it is never chosen.
        operators: The normalization operators that it may write; those beyond ONNX's own domain
            as "com.microsoft::GroupNorm".
    """

    name: str
    build: Build
    since: int = 7
    until: int | None = None
    generic: bool = False
    centered: bool = False
    native: bool = False
    outputs: int = 1
    requires: Callable[[NormCall], str | None] = lambda _call: None
    working: ir.DataType | None = None
    caveat: str = ""
    wrong_on: frozenset[str] = frozenset()
    operators: tuple[str, ...] = ()

    @property
    def domains(self) -> frozenset[str]:
        """Operator domains beyond ONNX's own that it is written in."""
        return frozenset(each.rpartition("::")[0] for each in self.operators) - {""}

    @property
    def primitive(self) -> bool:
        """Whether it writes no operator that is a normalization itself."""
        return not self.operators

    def write(
        self, op: Tracer, x: ir.Value, parameters: Sequence[ir.Value]
    ) -> tuple[ir.Value, ...]:
        """Trace the form; one value for each output."""
        found = self.build(op, x, *parameters)
        return (found,) if isinstance(found, ir.Value) else tuple(found)
