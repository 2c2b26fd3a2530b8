"""Pictures of places in a model: around a normalization, or around a rewrite."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from normonnx.core.errors import UsageError
from normonnx.core.events import Event
from normonnx.core.inspection import AffineFound, Inspection, NormFound
from normonnx.core.listing import Neighborhood

if TYPE_CHECKING:
    import onnx_ir as ir

_QUOTED: Final = re.compile(r"""(?<!\w)(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")(?!\w)""")
_MOST: Final = 12  # pictures of a report


def of_events(
    before: ir.Model, after: ir.Model, events: Iterable[Event]
) -> dict[tuple[str, str], Neighborhood]:
    """The place of the first rewrite of each kind, by its node and reason."""
    from normonnx.graph.neighborhood import around
    from normonnx.reporting.grouping import group

    every = tuple(events)
    kinds = {(one.op_type, one.kind) for one in group(every)[:_MOST]}
    found = {}
    for event in every:
        (kind,) = group([event])
        if (kind.op_type, kind.kind) not in kinds:
            continue
        kinds.discard((kind.op_type, kind.kind))
        place = around(before, after, _named(event), event.reason)
        if place is not None:
            found[event.node, event.reason] = place
    return found


def _named(event: Event) -> list[str]:
    """Names of the nodes that a rewrite is about: those that went, those that its plan names."""
    return list(dict.fromkeys((event.node, *event.nodes, *_quoted_in(event.reason))))


def chosen(found: Inspection, node: str | None) -> NormFound | AffineFound:
    """What to draw: what a node belongs to, else the first that folds, else the first.

    Raises:
        UsageError: There is nothing to draw, or no normalization and no affine has that node.
    """
    every: tuple[NormFound | AffineFound, ...] = (*found.norms, *found.affines)
    if not every:
        message = (
            "the model has no normalization and no per-channel affine to draw; leave --svg out"
        )
        raise UsageError(message)
    if node is None:
        return next((one for one in every if one.foldable), every[0])
    for one in every:
        nodes = one.nodes if isinstance(one, NormFound) else ()
        if node in (one.node, *nodes):
            return one
    message = (
        f"--node {node!r} is no normalization and no per-channel affine of the model; "
        "`normonnx inspect MODEL --all` lists them"
    )
    raise UsageError(message)


def of_found(model: ir.Model, one: NormFound | AffineFound) -> Neighborhood | None:
    """A normalization or an affine with its neighbors, and what `optimize` makes of the place."""
    import normonnx
    from normonnx.graph.neighborhood import around

    nodes = one.nodes if isinstance(one, NormFound) else ()
    names = [one.node, *nodes, *_quoted_in(one.reason)]
    result = normonnx.optimize(model)
    title = f"{one.spelled} {one.node!r}: {one.reason}"
    place = around(model, result.model, names, title)
    if place is None or place.after is None:
        return place
    changed = any(n.fate != "kept" for part in (place.before, place.after) for n in part.nodes)
    return place if changed else Neighborhood(title, place.before)


def _quoted_in(reason: str) -> list[str]:
    return [one or other for one, other in _QUOTED.findall(reason)]
