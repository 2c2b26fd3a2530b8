"""All rewrites of linear operators in their order, by the names of their passes.

One may make room for another (branches become one Conv, which absorbs the affine after the sum), so
they run in rounds until nothing changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.fold import (
    early_reduction,
    last_axis_reduction,
    parallel_convolutions,
    parallel_products,
    sequential_convolutions,
    sequential_products,
    views,
)
from normonnx.fold.passes import (
    RULE,
    Folding,
    Observer,
    Rule,
    applier_of,
    apply_rule,
    fold_at_once,
    fold_with,
)
from normonnx.fold.plan import Plan, Refusal
from normonnx.fold.sum_tree import sum_tree
from normonnx.fold.surroundings import Surroundings


def _parallel(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    tree = sum_tree(surroundings, node)
    if tree is None:
        return None
    found = parallel_convolutions.plan(surroundings, tree)
    if isinstance(found, Plan):
        return found
    return parallel_products.plan(surroundings, tree) or found


def _sequential(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    if node.op_type == "Conv":
        return sequential_convolutions.plan(surroundings, node)
    return sequential_products.plan(surroundings, node)


RULES: Final[Mapping[str, Rule]] = {
    "merge-parallel": _parallel,
    "merge-sequential": _sequential,
    "reduce-early": early_reduction.plan,
    "reduce-last": last_axis_reduction.plan,
    "remove-views": views.plan,
}


def rewrite(  # noqa: PLR0913
    model: ir.Model,
    *,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    passes: Collection[str] | None = None,
    only: Collection[str] | None = None,
    observer: Observer | None = None,
) -> Folding:
    """Fold affines, then merge what is linear, in rounds until nothing changes, in place.

    Args:
        model: Changed in place.
        keep: Names of nodes or values that must stay as they are.
        keep_inputs: IR version 3 only: initializers that the caller will override, so no constants.
        passes: Names of the passes to run; None for all.
        only: Fold nothing but affines that start at these operators; None for everything.
        observer: Called after each rewrite, with the model already changed.

    Returns:
        The rewrites made, in order, and the reasons for those not made in the end.
    """
    names = set(RULES if passes is None else passes) if only is None else set[str]()
    folds = passes is None or RULE in passes
    done = Folding((), ())
    while True:
        applier = applier_of(model, keep, keep_inputs)  # what was unknown may be known by now
        with np.errstate(all="ignore"):  # numbers that are not finite are refused by name
            found = Folding((), ())
            if folds:
                found = fold_with(applier, only, observer)
            merged = Folding((), ())
            for name in (name for name in RULES if name in names):
                merged = _both(merged, apply_rule(applier, name, RULES[name], observer))
        done = _then(done, _both(found, _about_affines(merged, found)))
        if not merged.applied:
            return done


def fold_first(
    model: ir.Model,
    *,
    keep: Collection[str] = (),
    keep_inputs: Collection[str] = (),
    observer: Observer | None = None,
) -> Folding:
    """`fold_at_once` on a model; arguments are as for `rewrite`."""
    with np.errstate(all="ignore"):
        return fold_at_once(applier_of(model, keep, keep_inputs), observer)


def _about_affines(merged: Folding, folding: Folding) -> Folding:
    """Fates for affines alone: nobody asks what became of a Conv."""
    affines = {id(fate.node) for fate in folding.fates}
    fates = tuple(fate for fate in merged.fates if fate.folded and id(fate.node) in affines)
    return replace(merged, fates=fates)


def _both(first: Folding, second: Folding) -> Folding:
    return Folding(
        (*first.applied, *second.applied),
        (*first.refused, *second.refused),
        (*first.fates, *second.fates),
    )


def _then(earlier: Folding, later: Folding) -> Folding:
    """Two rounds: what the first refused was tried again in the second."""
    folded = tuple(fate for fate in earlier.fates if fate.folded)
    return Folding((*earlier.applied, *later.applied), later.refused, (*folded, *later.fates))
