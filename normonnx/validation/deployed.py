"""A model as it is deployed: at which of a runtime's optimization levels it goes wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from normonnx.core.verdicts import Comparison, Verdict
from normonnx.runtime import naming
from normonnx.runtime.rewriting import Rewriting
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.locate_backend import Bench
from normonnx.validation.truths import Settings, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Deployed:
    """A model as it is deployed, wrong on one output of one case.

    Attributes:
        model: The model.
        path: Its file.
        truth: What it computes on that case.
        compared: The output that is wrong.
        settings: Seed and factor.
        bench: Where it runs.
        ahead: Outputs by name of a backend, asked for before they are needed.
    """

    model: ir.Model
    path: Path
    truth: Truth
    compared: Comparison
    settings: Settings
    bench: Bench
    ahead: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)

    @property
    def named(self) -> naming.Backend:
        """The backend, taken apart."""
        return naming.parse(self.compared.backend)

    def outputs(self, backend: str) -> Mapping[str, Any] | None:
        """Outputs by name on a backend; None where the model does not run there."""
        return self.bench.run_file(self.path, self.truth.case.feeds, backend)

    def goes_wrong(self, backend: str) -> bool | None:
        """Whether the output is wrong on a backend; None where the model does not run there."""
        outputs = self.ahead[backend] if backend in self.ahead else self.outputs(backend)
        if outputs is None:
            return None
        asked = Asked("computes", backend)
        found = compare(self.model, self.truth, outputs, asked, self.settings)
        return any(
            one.verdict is Verdict.MISMATCH and one.output == self.compared.output for one in found
        )

    def rewriting(self, backend: str) -> Rewriting | None:
        """What the runtime makes of the graph; None where it can't tell."""
        feeds = self.truth.case.feeds
        return self.bench.server.run(self.path, feeds, backend=backend, trace=True).rewriting


def lowest_level(deployed: Deployed) -> str:
    """The lowest optimization level at which the model goes wrong."""
    named = deployed.named
    asked = named.options.get("level", naming.DEFAULT_LEVEL)
    for level in itertools.takewhile(lambda one: one != asked, naming.LEVELS):
        if deployed.goes_wrong(named.having(level=level)):
            return level
    return asked
