"""What normonnx does to a model, as passes to combine with those of onnx-ir and onnxscript.

    from onnx_ir.passes import Sequential
    from onnx_ir.passes.common import LiftConstantsToInitializersPass

    from normonnx.passes import OptimizeNorms

    result = Sequential(LiftConstantsToInitializersPass(), OptimizeNorms(target="ort-cpu"))(model)

Each works in place on an onnx_ir.Model and says in its PassResult whether it changed anything. None
checks its work: give the model before and after to `normonnx.validate`. `OptimizeNorms` is all of
`normonnx.optimize`; the others are its parts.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Final, Literal

import onnx_ir as ir

from normonnx.core.kernels import Kernels
from normonnx.fold.passes import FoldAffine
from normonnx.fold.rules import RULES, rewrite
from normonnx.lower.targets import TARGETS
from normonnx.pipeline import Options, check_options, rewrite_in_place
from normonnx.recognize.passes import RecognizeNorms
from normonnx.runtime.kernel_registry import installed

__all__ = ["ChooseForms", "FoldAffine", "MergeLinear", "OptimizeNorms", "RecognizeNorms"]

logger: Final = logging.getLogger(__name__)
StyleName = Literal["function", "native", "primitive"]


class OptimizeNorms(ir.passes.InPlacePass):
    """All that `normonnx.optimize` does to a model, as one pass.

    Args:
        target, style, prefer, keep, keep_inputs, passes: As in `normonnx.optimize`.

    Raises:
        UsageError: An option has no such value; when called, `keep` names nothing in the model.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        target: str = "portable",
        style: StyleName | None = None,
        prefer: Literal["speed", "accuracy"] = "speed",
        keep: Sequence[str] = (),
        keep_inputs: Sequence[str] = (),
        passes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._options = Options(
            target=target,
            kernels=_kernels_for(target),
            style=style,
            prefer=prefer,
            keep=tuple(keep),
            keep_inputs=tuple(keep_inputs),
            passes=None if passes is None else tuple(passes),
        )
        check_options(self._options)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Optimize in place; what stays is logged at level INFO.

        Raises:
            InvalidModelError: The model is no legal ONNX model.
        """
        found = rewrite_in_place(model, self._options)
        for event in found.refused:
            logger.info("%s %s stays: %s", event.op_type, event.node, event.reason)
        return ir.passes.PassResult(model, modified=bool(found.applied))


class ChooseForms(OptimizeNorms):
    """Each normalization, however spelled, in the form that its target runs best.

    Args:
        target, style, prefer, keep, keep_inputs: As in `normonnx.optimize`.
    """

    def __init__(
        self,
        *,
        target: str = "portable",
        style: Literal["native", "primitive"] | None = None,
        prefer: Literal["speed", "accuracy"] = "speed",
        keep: Sequence[str] = (),
        keep_inputs: Sequence[str] = (),
    ) -> None:
        super().__init__(
            target=target,
            style=style,
            prefer=prefer,
            keep=keep,
            keep_inputs=keep_inputs,
            passes=("lower",),
        )


class MergeLinear(ir.passes.InPlacePass):
    """Convs and matrix products, side by side or in a row, into one; views and maxima moved.

    Args:
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override.
    """

    def __init__(self, *, keep: Collection[str] = (), keep_inputs: Collection[str] = ()) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.keep_inputs = frozenset(keep_inputs)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Merge in place; what stays is logged at level INFO."""
        found = rewrite(model, keep=self.keep, keep_inputs=self.keep_inputs, passes=tuple(RULES))
        for event in found.refused:
            logger.info("%s %s stays: %s", event.op_type, event.node, event.reason)
        return ir.passes.PassResult(model, modified=bool(found.applied))


def _kernels_for(target: str) -> Kernels | None:
    """What the runtime of a target says that it has, where it is installed here."""
    found = TARGETS.get(target)
    return None if found is None or found.provider is None else installed(found.provider)
