"""What an export gave, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from normonnx.core.events import Event
from normonnx.core.verdicts import ValidationReport


@dataclass(frozen=True, slots=True)
class NormExported:
    """One normalization of a module, as it stands in the file.

    Attributes:
        norm: Its name in the catalogue.
        module: Path of the submodule that it belongs to, as `named_modules` has it; "" for the
            module itself.
        node: Name of its node; of the last one where it is written as several.
        written: The operator, or the function `normonnx::NAME`, or "primitives".
        found: Whether a call of torch's was read, or what was spelled by hand was recognised.
    """

    norm: str
    module: str
    node: str
    written: str
    found: Literal["called", "recognised"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `normonnx.export` did.

    Attributes:
        opset: Version of the default operator set.
        style: "native", "function" or "primitive".
        norms: The normalizations, in graph order; those that were folded away are not among them.
        folded: What became of BatchNorms, where folding was asked for.
        refused: What is nearly a normalization and is none, or was not taken, and why.
        checked: How many kinds of calls were also recognised in what torch's own exporter makes of
            them, with the same outcome.
        dynamic: Names of the dynamic dimensions, by input and axis.
        verification: Outcome of the check against the module in float64; None where there was none.
        notes: What else a reader must know, as sentences.
    """

    opset: int
    style: str
    norms: tuple[NormExported, ...] = ()
    folded: tuple[Event, ...] = ()
    refused: tuple[Event, ...] = ()
    checked: int = 0
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    verification: ValidationReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are of each normalization."""
        found: dict[str, int] = {}
        for each in self.norms:
            found[each.norm] = found.get(each.norm, 0) + 1
        return found
