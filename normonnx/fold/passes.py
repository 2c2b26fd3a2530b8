"""Folding as one function over a model, and as an onnx_ir pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from normonnx.core.events import Event
from normonnx.fold.apply import Applier
from normonnx.fold.plan import Plan, Refusal
from normonnx.fold.planner import plan
from normonnx.fold.surroundings import Surroundings, label
from normonnx.graph import walk
from normonnx.graph.editing import Editor

logger = logging.getLogger(__name__)

RULE = "fold-affine"
Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """What became of one node: whether it was folded away, and where to or why not."""

    node: ir.Node
    folded: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Folding:
    """What folding did to a model, and what it left alone; `fates` says it node by node."""

    applied: tuple[Event, ...]
    refused: tuple[Event, ...]
    fates: tuple[Fate, ...] = ()


def fold_affines(
    model: ir.Model,
    *,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    only: Collection[str] | None = None,
    observer: Observer | None = None,
) -> Folding:
    """Fold every constant per-channel affine that an operator above it absorbs, in place.

    Args:
        model: Changed in place.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        only: Operators to start from, for example ("BatchNormalization",); None for all.
        observer: Called after each rewrite, with the model already changed.

    Returns:
        The rewrites made, in order, and the reasons for those not made.
    """
    surroundings = Surroundings.of(model, keep, keep_inputs)
    applier = Applier(surroundings, Editor(model, keep))
    applied: list[Event] = []
    fates: list[Fate] = []
    while True:
        with np.errstate(all="ignore"):  # numbers that are not finite are refused by name
            found = _sweep(surroundings, applier, only, observer)
        applied += found.applied
        applier.editor.finish()
        fates += [fate for fate in found.fates if fate.folded or not found.applied]
        if not found.applied:
            return Folding(tuple(applied), found.refused, tuple(fates))


def _sweep(
    surroundings: Surroundings,
    applier: Applier,
    only: Collection[str] | None,
    observer: Observer | None,
) -> Folding:
    """Go once over all nodes, last first, so that a chain is met at its end."""
    applied: list[Event] = []
    refused: list[Event] = []
    fates: list[Fate] = []
    for graph in list(walk.all_graphs(surroundings.model)):
        for node in reversed(list(graph)):
            if node.graph is not graph or (only is not None and node.op_type not in only):
                continue
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                continue  # dead: an edit below would remove it before its own turn
            found = plan(surroundings, node)
            if isinstance(found, Plan):
                event = _applied(node, found)
                problem = applier.apply(found)
                if problem is None:
                    applied.append(event)
                    fates += [Fate(member, True, found.reason) for member in found.folded]  # noqa: FBT003
                    if observer is not None:
                        observer(event)
                    continue
                found = problem
            if isinstance(found, Refusal) and (not found.quiet or _is_norm(node)):
                refused.append(Event(RULE, label(node), node.op_type, found.reason))
                fates.append(Fate(node, False, found.reason))  # noqa: FBT003
    return Folding(tuple(applied), tuple(reversed(refused)), tuple(fates))


def _applied(node: ir.Node, found: Plan) -> Event:
    return Event(
        RULE,
        label(node),
        node.op_type,
        found.reason,
        found.removed,
        found.added,
        tuple(label(member) for member in found.folded),
    )


def _is_norm(node: ir.Node) -> bool:
    return node.op_type == "BatchNormalization"


class FoldAffine(ir.passes.InPlacePass):
    """`fold_affines` as a pass, to be combined with those of onnx-ir and onnxscript."""

    def __init__(
        self,
        *,
        keep: Collection[str] = (),
        keep_inputs: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.keep = frozenset(keep)
        self.keep_inputs = frozenset(keep_inputs)
        self.only = None if only is None else frozenset(only)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place; refusals are logged at level INFO."""
        found = fold_affines(model, keep=self.keep, keep_inputs=self.keep_inputs, only=self.only)
        for event in found.refused:
            logger.info("%s %s stays: %s", event.op_type, event.node, event.reason)
        return ir.passes.PassResult(model, modified=bool(found.applied))
