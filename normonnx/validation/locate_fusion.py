"""A fault that only a runtime's own rewriting of the graph brings in: the optimizer, and the node.

ONNX Runtime fuses several nodes into one, at one of its optimization levels. A fault of such a
kernel, or of the rule that put it there, is not seen where each node runs as it was written. So
the lowest level at which the model goes wrong is found, then which of the optimizers at work there
it takes, by leaving them out, and from what they changed which nodes of the model now run as one.
These are run together, fed with the truth, and judged as a single node is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import onnx_ir as ir

from normonnx.core.verdicts import Divergence
from normonnx.runtime import naming
from normonnx.runtime.oracle import evaluate
from normonnx.runtime.rewriting import Rewriting, RewrittenNode
from normonnx.validation.deployed import Deployed
from normonnx.validation.islands import Types
from normonnx.validation.locate_backend import inherited
from normonnx.validation.segments import Segment, Walk, is_constant
from normonnx.validation.sketch import Array
from normonnx.validation.suspects import MOST_SUSPECTS, Jury, Suspect, called

_NAMED: Final = 6  # nodes in a sentence


def first_divergence(
    deployed: Deployed, level: str, jury: Jury
) -> tuple[Divergence, Suspect | None] | None:
    """The node that a runtime puts in the place of others, and that goes wrong.

    Args:
        deployed: The model, right at every level below.
        level: The lowest at which it is wrong.
        jury: Says what is off.

    Returns:
        Without a suspect where none of the nodes that changed is off when it runs alone; None where
        the runtime can't tell what it changes, or changes nothing.
    """
    name = deployed.named.having(level=level)
    there = deployed.rewriting(name)
    if there is None:
        return None
    culprits = _culprits(deployed, name, there.optimizers)
    without = _without(deployed, name, level, culprits)
    before = {node.key for node in without.nodes} if without is not None else set()
    changed = [node for node in there.nodes if node.key not in before]
    said = f"not reproducible below optimization level {level}"
    way_out = ""
    if culprits:
        said = f"{said}, where {_and(culprits)} of ONNX Runtime rewrites the graph"
        way_out = f"; right with {_right_name(deployed, name, culprits)}"
    if not changed and not culprits:
        return None
    found = _off(deployed, there, changed, name, jury)
    if found is None:
        return _unproven(deployed, changed, culprits, said + way_out), None
    suspect, note, instead_of = found
    said = f"{said}: one {suspect.label} instead of {instead_of}"
    note = "; ".join(part for part in (said + way_out, note) if part)
    bench = deployed.bench.at(name)
    upstream = inherited(deployed.model, deployed.truth, suspect, bench, jury)
    divergence = suspect.divergence(deployed.compared, note=note, upstream=upstream)
    fused = _giving(there, suspect.tensor)
    return replace(divergence, node=fused.name or suspect.tensor, op_type=fused.op_type), suspect


def _culprits(deployed: Deployed, name: str, optimizers: Sequence[str]) -> tuple[str, ...]:
    """Optimizers without which the model is right; as few as leaving out one by one shows."""

    def is_right(left_out: Sequence[str]) -> bool:
        return deployed.goes_wrong(_leaving_out(name, left_out)) is False

    if not optimizers or not is_right(optimizers):
        return ()
    low, high = 0, len(optimizers)  # right without the first `high`, wrong without the first `low`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_right(optimizers[:middle]) else (middle, high)
    last = optimizers[high - 1]
    if is_right([last]):
        return (last,)
    needed = list(optimizers[:high])
    for one in optimizers[: high - 1]:
        fewer = [other for other in needed if other != one]
        needed = fewer if is_right(fewer) else needed
    return tuple(needed)


def _leaving_out(name: str, optimizers: Iterable[str]) -> str:
    """A backend without further optimizers."""
    named = naming.parse(name)
    return named.having(without="+".join([*named.without, *optimizers]))


def _right_name(deployed: Deployed, name: str, culprits: Sequence[str]) -> str:
    """The backend as deployed, where the culprits are all that it takes; else at this level."""
    as_deployed = _leaving_out(deployed.named.name, culprits)
    is_right = deployed.goes_wrong(as_deployed) is False
    return as_deployed if is_right else _leaving_out(name, culprits)


def _without(
    deployed: Deployed, name: str, level: str, culprits: Collection[str]
) -> Rewriting | None:
    """The graph that is right: without the culprits, or at the level below."""
    if culprits:
        return deployed.rewriting(_leaving_out(name, culprits))
    levels = list(naming.LEVELS)
    below = levels[levels.index(level) - 1]
    return deployed.rewriting(deployed.named.having(level=below))


def _off(
    deployed: Deployed,
    there: Rewriting,
    changed: Sequence[RewrittenNode],
    name: str,
    jury: Jury,
) -> tuple[Suspect, str, str] | None:
    """The first of the nodes that changed which is off by itself, and what it stands for."""
    segments = _segments(deployed.model, there, changed)
    bench = deployed.bench.at(name)
    producers = {v.name: n for n in deployed.model.graph for v in n.outputs if v.name}
    found: list[Suspect] = []

    def tried(
        segment: Segment, part: ir.Model, feeds: Mapping[str, Array], truths: Mapping[str, Array]
    ) -> None:
        if len(found) >= MOST_SUSPECTS:
            return
        outputs = bench.run(part, feeds) or {}
        for tensor, truth in truths.items():
            if outputs.get(tensor) is not None:
                node = producers[tensor]
                one = Suspect.of(node, tensor, feeds, truth, outputs[tensor], part, segment.label)
                judged = jury.judged(one)
                found.extend([judged] if judged is not None else [])

    feeds = deployed.truth.case.feeds
    walk = Walk(deployed.model, Types(deployed.model), segments, feeds, tried)
    evaluate(deployed.model, feeds, watch=walk.watch)
    chosen = jury.first(found)
    if chosen is None:
        return None
    suspect, note = chosen
    part = suspect.model or deployed.model
    replaced = [called(node) for node in part.graph if node.op_type != "Constant"]
    return suspect, note, _and(replaced)


def _segments(model: ir.Model, there: Rewriting, changed: Sequence[RewrittenNode]) -> list[Segment]:
    """What the nodes that changed stand for in the model, where both have the values around."""
    values = {v.name: v for v in model.graph.inputs if v.name}
    values |= {v.name: v for node in model.graph for v in node.outputs if v.name}
    makers = {name: node for node in there.nodes for name in node.outputs if name}
    found = []
    for node in changed:
        outputs = tuple(name for name in node.outputs if name in values and name)
        if outputs:
            inputs = _read(node, makers, lambda name: name in values)
            kept = tuple(name for name in inputs if not is_constant(values[name]))
            found.append(Segment(kept, outputs, node.op_type))
    return found


def _read(
    node: RewrittenNode, makers: Mapping[str, RewrittenNode], is_known: Callable[[str], bool]
) -> dict[str, None]:
    """Names that the model knows, of what a node reads; what lies between belongs to the node."""
    found: dict[str, None] = {}
    waiting, seen = list(reversed(node.inputs)), set(node.outputs)
    while waiting:
        name = waiting.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        if is_known(name):
            found[name] = None
        elif name in makers:
            waiting += reversed(makers[name].inputs)
    return found


def _unproven(
    deployed: Deployed, changed: Sequence[RewrittenNode], culprits: Sequence[str], said: str
) -> Divergence:
    """The suspect where none of the nodes that changed is off when it runs alone."""
    compared = deployed.compared
    nan = float("nan")
    known = {v.name for node in deployed.model.graph for v in node.outputs if v.name}
    node = next((n for n in changed if known.intersection(n.outputs)), None)
    node = node or next(iter(changed), None)
    label = (node.name or node.outputs[0]) if node is not None else culprits[0]
    op_type = node.op_type if node is not None else "graph optimizer"
    more = f" (it changed {len(changed)} nodes)" if len(changed) > 1 else ""
    note = f"{said}; run alone, no node that it made is off{more}"
    tensor = node.outputs[0] if node is not None else compared.output
    return Divergence(
        label, op_type, tensor, nan, nan, "computes", compared.backend, compared.case, note=note
    )


def _giving(there: Rewriting, tensor: str) -> RewrittenNode:
    return next(node for node in there.nodes if tensor in node.outputs)


def _and(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        shown.append(f"{len(names) - _NAMED} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
