"""Folding, and every other rule, as one function over a model, and as an onnx_ir pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.errors import ILL_FORMED
from normonnx.core.events import Event, Obstacle
from normonnx.fold.apply import Applier
from normonnx.fold.plan import Plan, Refusal
from normonnx.fold.planner import Planner
from normonnx.fold.surroundings import Surroundings
from normonnx.graph import walk
from normonnx.graph.editing import Editor
from normonnx.graph.walk import label

logger = logging.getLogger(__name__)

RULE = "fold-affine"
_FIRST: Final = ("BatchNormalization",)
_LINEAR: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
Observer = Callable[[Event], None]
Rule = Callable[[Surroundings, ir.Node], Plan | Refusal | None]
_Ask = Callable[[Planner, ir.Node], Plan | Refusal | None]


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """What became of one node: whether it was folded away, and where to or why not.

    Attributes:
        node: The node.
        folded: Whether it went.
        reason: Where to, or why not.
        up: What stops it on the way up, where it stays.
        down: The same on the way down.
    """

    node: ir.Node
    folded: bool
    reason: str
    up: Obstacle | None = None
    down: Obstacle | None = None


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
    """Fold every constant per-channel affine that operators above or below it absorb, in place.

    Args:
        model: Changed in place.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        only: Operators to start from, for example ("BatchNormalization",); None for all.
        observer: Called after each rewrite, with the model already changed.

    Returns:
        The rewrites made, in order, and the reasons for those not made.
    """
    with np.errstate(all="ignore"):  # numbers that are not finite are refused by name
        return fold_with(applier_of(model, keep, keep_inputs), only, observer)


def applier_of(
    model: ir.Model, keep: Collection[str] = (), keep_inputs: Collection[str] = ()
) -> Applier:
    """What applies the plans of any number of rules to one model."""
    return Applier(Surroundings.of(model, keep, keep_inputs), Editor(model, keep))


def fold_with(
    applier: Applier, only: Collection[str] | None = None, observer: Observer | None = None
) -> Folding:
    """As `fold_affines`, with what applies plans to the model."""
    work = _Work(applier.surroundings, applier, only, observer)
    while True:
        while work.swept_up():
            pass
        if not work.swept_down():
            return work.folding()


def fold_at_once(applier: Applier, observer: Observer | None = None) -> Folding:
    """Fold each BatchNormalization right behind a Conv, Gemm or MatMul, and nothing else.

    Neither is a part of another normalization, so this may come ahead of looking for those, which
    has less to look at then. One that another affine follows waits to be folded together with it.
    """
    work = _Work(applier.surroundings, applier, _FIRST, observer)
    work.swept_up(_is_between)
    return Folding(tuple(work.applied), (), tuple(work.folded))


def _is_between(planner: Planner, node: ir.Node) -> bool:
    """Whether a node stands behind a linear operator, and no affine behind it."""
    source = node.inputs[0] if node.inputs else None
    producer = None if source is None else source.producer()
    if producer is None or producer.op_type not in _LINEAR:
        return False
    return not any(planner.is_affine(use.node) for value in node.outputs for use in value.uses())


def apply_rule(
    applier: Applier, name: str, rule: Rule, observer: Observer | None = None
) -> Folding:
    """Apply the plans for the nodes of a model, in place, until there are none.

    Args:
        applier: Of the model.
        name: Of the rule, in reports.
        rule: The plan for a node; a Refusal, or None where the rule has nothing to say.
        observer: Called after each rewrite, with the model already changed.
    """
    applied: list[Event] = []
    folded: list[Fate] = []
    while True:
        found = _swept_once(applier, name, rule, observer)
        applied += found.applied
        folded += found.fates
        applier.editor.finish()
        if not found.applied:
            return Folding(tuple(applied), found.refused, tuple(folded))


def _swept_once(applier: Applier, name: str, rule: Rule, observer: Observer | None) -> Folding:
    """Go once over all nodes, last first, so that a chain is met at its end."""
    applied: list[Event] = []
    refused: list[Event] = []
    fates: list[Fate] = []
    graphs = list(walk.all_graphs(applier.surroundings.model))
    for node in _nodes(graphs, backwards=True):
        try:
            found = rule(applier.surroundings, node)
        except ILL_FORMED as error:
            found = _no_legal_node(node, error)
        if found is None or _is_dead(node):
            continue
        if isinstance(found, Plan):
            event = _event(node, found, name)
            problem = applier.apply(found)
            if problem is None:
                applied.append(event)
                fates += [Fate(member, True, found.reason) for member in found.folded]  # noqa: FBT003
                if observer is not None:
                    observer(event)
                continue
            found = problem
        if not found.quiet:
            refused.append(Event(name, label(node), node.op_type, found.reason))
    return Folding(tuple(applied), tuple(reversed(refused)), tuple(fates))


def _no_legal_node(node: ir.Node, error: Exception) -> Refusal:
    """What is said of a node, or of one near it, that no runtime would load: of wrong shapes, say.

    Loading checks what operators are given, not whether shapes fit.
    """
    logger.debug("%s %s tells nothing: %s", node.op_type, node.name, error)
    return Refusal(f"{node.op_type}: shapes around it don't fit together", quiet=True)


def _nodes(graphs: Iterable[ir.Graph], *, backwards: bool) -> Iterator[ir.Node]:
    """The nodes that are still there when it is their turn."""
    for graph in graphs:
        for node in list(reversed(graph)) if backwards else list(graph):
            if node.graph is graph:
                yield node


def _is_dead(node: ir.Node) -> bool:
    """Whether nothing reads a node: an edit below would remove it before its own turn."""
    return not any(value.uses() or value.is_graph_output() for value in node.outputs)


@dataclass(slots=True)
class _Work:
    """Sweeps over one model, and what they did."""

    surroundings: Surroundings
    applier: Applier
    only: Collection[str] | None
    observer: Observer | None
    applied: list[Event] = field(default_factory=list)
    folded: list[Fate] = field(default_factory=list)
    refusals: dict[ir.Node, dict[str, Refusal]] = field(default_factory=dict)  # by way
    planner: Planner | None = None  # of the model as it is now
    graphs: list[ir.Graph] | None = None

    def swept_up(self, where: Callable[[Planner, ir.Node], bool] | None = None) -> bool:
        """Go once over all nodes, last first, so that a chain is met at its end."""
        self.refusals.clear()
        return self._swept(Planner.plan_up, backwards=True, where=where)

    def swept_down(self) -> bool:
        """Go once over all nodes, first first, so that a chain is met at its start."""
        return self._swept(Planner.plan_down, backwards=False)

    def _swept(
        self,
        ask: _Ask,
        *,
        backwards: bool,
        where: Callable[[Planner, ir.Node], bool] | None = None,
    ) -> bool:
        before = len(self.applied)
        for node in _nodes(self._all_graphs(), backwards=backwards):
            if not self._is_asked_about(node):
                continue
            self.planner = self.planner or Planner(self.surroundings)
            if where is not None and not where(self.planner, node):
                continue
            try:
                found = ask(self.planner, node)
            except ILL_FORMED as error:
                found = _no_legal_node(node, error)
            if found is None or _is_dead(node):
                continue
            if isinstance(found, Plan):
                found = self._applied(node, found)
            if isinstance(found, Refusal):
                way = "up" if backwards else "down"
                self.refusals.setdefault(node, {})[way] = found
        self.applier.editor.finish()
        if len(self.applied) > before:
            self.graphs = None
            return True
        return False

    def _all_graphs(self) -> list[ir.Graph]:
        """The graphs of the model, walked anew when a sweep has changed it."""
        if self.graphs is None:
            self.graphs = list(walk.all_graphs(self.surroundings.model))
        return self.graphs

    def _is_asked_about(self, node: ir.Node) -> bool:
        return self.only is None or node.op_type in self.only

    def _applied(self, node: ir.Node, plan: Plan) -> Refusal | None:
        event = _event(node, plan, RULE)
        self.planner = None
        problem = self.applier.apply(plan)
        if problem is not None:
            return problem
        self.applied.append(event)
        self.folded += [Fate(member, True, plan.reason) for member in plan.folded]  # noqa: FBT003
        if self.observer is not None:
            self.observer(event)
        return None

    def folding(self) -> Folding:
        """What was done, and for each node that stays the reasons of the last two sweeps."""
        refused, fates = [], []
        for node in (node for graph in self._all_graphs() for node in graph):
            refusals = self.refusals.get(node, {})
            told = list(refusals.values())
            if not _is_norm(node):  # of others, a way that nobody would expect is not told
                told = [refusal for refusal in told if not refusal.quiet]
            if not told:
                continue
            reason = "; below, ".join(dict.fromkeys(refusal.reason for refusal in told))
            up, down = (_obstacle(refusals.get(way), node) for way in ("up", "down"))
            refused.append(Event(RULE, label(node), node.op_type, reason, up=up, down=down))
            fates.append(Fate(node, False, reason, up, down))  # noqa: FBT003
        return Folding(tuple(self.applied), tuple(refused), (*self.folded, *fates))


def _obstacle(refusal: Refusal | None, node: ir.Node) -> Obstacle | None:
    return None if refusal is None else Obstacle(refusal.reason, label(refusal.node or node))


def _event(node: ir.Node, found: Plan, rule: str) -> Event:
    return Event(
        rule,
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
