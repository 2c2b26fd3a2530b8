"""Every normalization of a model, as one call each, and what nearly is one.

Values are looked at from the end: the last one that is a complete normalization takes its whole
chain with it, affine included. Of several roots the oldest that has all it takes is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN
from normonnx.catalogue.operators import norm_of
from normonnx.core.errors import UsageError
from normonnx.core.hints import FUSED
from normonnx.graph import walk
from normonnx.graph.constants import Constants
from normonnx.graph.lengths import Lengths
from normonnx.graph.ranks import Ranks
from normonnx.recognize.arguments import Argument, arguments_of
from normonnx.recognize.calls import call_of, norm_called
from normonnx.recognize.channels_last import complete_channels_last
from normonnx.recognize.completing import complete, is_centered, output_of_layer_norm
from normonnx.recognize.facts import Combination
from normonnx.recognize.findings import Findings, Found, NearMiss
from normonnx.recognize.fixed import FixedSearch
from normonnx.recognize.fused import Surplus, is_fused, taken_apart
from normonnx.recognize.readings import Missing, Reading
from normonnx.recognize.regions import Leak, Region, region_of
from normonnx.recognize.walk import Known

_EXACT: Final = 2.0**-45  # float64, a few roundings later
_LONGEST: Final = 1 << 26  # of an axis; parameters are as long as one
_STASH: Final = 4  # bytes of the type that LayerNorm gives its mean in


def find(model: ir.Model, keep_inputs: Collection[str] = ()) -> Findings:
    """Every normalization of a model, in all graphs and functions; nothing is changed.

    The catalogue's own functions say what calls of them mean, and are not looked into.
    """
    constants = Constants(model, keep_inputs)
    ranks = Ranks(model, constants)
    constants.learn_shapes(ranks.certain_dims)
    known = Known(constants, ranks)
    norms: list[Found] = []
    near_misses: list[NearMiss] = []
    definitions = {id(made.graph) for made in model.functions.values() if made.domain == DOMAIN}
    within: set[int] = set()  # an If that always takes one branch is found whole
    with np.errstate(all="ignore"):
        for graph in walk.all_graphs(model):
            if id(graph) in definitions:
                continue
            known.walk(graph)
            search = _Search(known, within)
            search.look(graph)
            fixed = FixedSearch(known, search.taken, search.bound)
            fixed.look(graph)
            missed = [NearMiss(node, reason, is_affine=True) for node, reason in fixed.near_misses]
            found = _in_order(graph, [*search.norms, *fixed.norms])
            norms += found
            near_misses += _in_order(graph, [*search.near_misses, *missed])
            within |= {id(node) for each in found for node in each.region.nodes}
    return Findings(tuple(norms), tuple(near_misses), ranks)


_Ended = TypeVar("_Ended", "Found", "NearMiss")


def _in_order(graph: ir.Graph, found: Iterable[_Ended]) -> list[_Ended]:
    place = {id(node): index for index, node in enumerate(graph)}
    return sorted(found, key=lambda each: place.get(id(each.node), 0))


class _Search:
    """One graph, from its end; what is within a normalization of another is taken already."""

    def __init__(self, known: Known, taken: Iterable[int]) -> None:
        self._known = known
        self.taken = set(taken)
        self.norms: list[Found] = []
        self.near_misses: list[NearMiss] = []

    def look(self, graph: ir.Graph) -> None:
        """At every node, the last first."""
        missed: list[tuple[NearMiss, Region]] = []
        for node in reversed(graph):
            if id(node) in self.taken or not node.outputs:
                continue
            outcome = self._at(node, node.outputs[0])
            if isinstance(outcome, Found):
                self.norms.append(outcome)
                self.taken |= {id(member) for member in outcome.region.nodes}
            elif outcome is not None:
                missed.append(outcome)
        for miss, region in missed:
            members = {id(member) for member in region.nodes}
            if self.taken.isdisjoint(members):
                self.near_misses.append(miss)
                self.taken |= members

    def _at(self, node: ir.Node, value: ir.Value) -> Found | tuple[NearMiss, Region] | None:
        missed: tuple[NearMiss, Region, int] | None = None
        if norm_called(node) is not None:
            return self._called(node)
        if is_fused(node):
            return self._fused(node)
        for key, fact in self._known.facts(value).items():
            if not isinstance(fact, Combination) or fact.spread is None:
                continue
            root = self._known.root(key)
            outcome = self._relative_to(root, value, fact)
            if isinstance(outcome, Found):
                return outcome
            if isinstance(outcome, Missing) and (missed is None or outcome.near > missed[2]):
                miss = NearMiss(node, outcome.reason)
                missed = miss, region_of(self._known, value, root), outcome.near
        return None if missed is None else missed[:2]

    def _relative_to(
        self, root: ir.Value, value: ir.Value, fact: Combination
    ) -> Found | Missing | None:
        lengths = self._known.asked.lengths(root)
        outcome = None if lengths is None else complete(fact, lengths)
        if lengths is not None and isinstance(outcome, Missing):
            turned = complete_channels_last(fact, lengths)
            if isinstance(turned, Reading):
                return self.bound(turned, root, value, lengths, last=True)
        if not isinstance(outcome, Reading) or lengths is None:
            return outcome if isinstance(outcome, Missing) else None
        olders = (self._known.fact(root, older) for older in self._known.facts(root))
        if not CATALOGUE[outcome.norm].centered and any(map(is_centered, olders)):
            return Missing("what is divided is centered over other axes than its statistic", 0)
        return self.bound(outcome, root, value, lengths)

    def _called(self, node: ir.Node) -> Found | tuple[NearMiss, Region]:
        region = Region((node,))
        call, root = call_of(self._known.asked, node), node.inputs[0]
        if isinstance(call, str) or root is None:
            return NearMiss(node, str(call)), region
        arguments = tuple(
            Argument(parameter.name, value=value)
            for parameter, value in zip(call.norm.parameters, node.inputs[1:], strict=False)
        )
        return Found(call, root, node.outputs[0], arguments, region)

    def _fused(self, node: ir.Node) -> Found | tuple[NearMiss, Region]:
        region = Region((node,))
        fused, root = taken_apart(self._known.asked, node), node.inputs[0]
        if isinstance(fused, str) or root is None:
            return NearMiss(node, str(fused)), region
        value = node.outputs[0]
        return Found(fused.call, root, value, fused.arguments, region, surplus=fused.surplus)

    def bound(  # noqa: PLR0913
        self,
        reading: Reading,
        root: ir.Value,
        value: ir.Value,
        lengths: Lengths,
        region: Region | None = None,
        *,
        last: bool = False,
    ) -> Found | Missing:
        """A reading as a call with its arguments, if the graph lets it be one.

        Args:
            reading: Of the root; of the root with channels first where they are last.
            root: What is normalized.
            value: The result.
            lengths: Of the root.
            region: The nodes between, where they are known.
            last: Whether channels are the last axis.
        """
        ask = self._known.asked
        kinds = ask.element_type(root), ask.element_type(value)
        kind = kinds[1] or kinds[0]
        if kind is None or (kinds[0] is not None and kinds[0] != kind):
            return Missing("its result has another element type than what is normalized")
        region = region or region_of(self._known, value, root)
        if any(FUSED in node.metadata_props and root in node.inputs for node in region.nodes):
            return Missing("it begins within another, whose last step lets runtimes fuse it")
        extras = self._extras(region, root, value)
        if isinstance(extras, Leak):
            return Missing(_used_outside(extras), 2)
        ends = self._known.asked.lengths(value)
        if ends is None or not _fits(lengths, ends):
            return Missing("its result is larger than what is normalized")
        reading = reading.spelled(_suggested(region))
        if last:
            lengths = (lengths[0], lengths[-1], *lengths[1:-1])
        if extras:
            reading = reading.spelled({"LayerNorm"})
            if reading.norm != "LayerNorm" or kind.itemsize < _STASH:
                return Missing(_used_outside(region.leaks[0]), 2)
        found = arguments_of(self._known.asked, reading, lengths, kind)
        if isinstance(found, Missing):
            return found
        if extras and any(isinstance(each, tuple) for each in found[0].values()):
            # What reads its mean may give its scale.
            return Missing(_used_outside(region.leaks[0]), 2)
        call = _call(reading, found, (root, value), (lengths, kind), region)
        surplus = Surplus(channels_last=last)
        return replace(call, extras=extras, surplus=surplus) if isinstance(call, Found) else call

    def _extras(
        self, region: Region, root: ir.Value, value: ir.Value
    ) -> Mapping[int, ir.Value] | Leak:
        """What is read outside and LayerNorm gives as well; else the leak that it doesn't give."""
        found: dict[int, ir.Value] = {}
        y = self._known.fact(value, id(root))
        for leak in region.leaks:
            fact = self._known.fact(leak.value, id(root))
            place = output_of_layer_norm(y, fact)
            node = region.nodes[0]
            if place is None and leak.value in node.outputs[1:] and self._sees(node, root):
                place = node.outputs.index(leak.value)  # it is a LayerNormalization
            if place is None or found.setdefault(place, leak.value) is not leak.value:
                return leak
        return found

    def _sees(self, node: ir.Node, root: ir.Value) -> bool:
        """Whether a node works on the root itself, or on a view of it."""
        fact = self._known.fact(node.inputs[0], id(root)) if node.inputs[0] is not None else None
        return node.inputs[0] is root or (isinstance(fact, Combination) and fact.is_view)


def _suggested(region: Region) -> set[str]:
    """Normalizations that the operators of a region are, or are used to spell."""
    names = {norm_of(node.domain, node.op_type) or "" for node in region.nodes}
    if "InstanceNorm" in names and any(node.op_type == "Reshape" for node in region.nodes):
        return {"GroupNorm"}  # groups are made the channels of an InstanceNormalization
    return names


def _fits(root: Lengths, result: Lengths) -> bool:
    """Whether the result is as long; a length of 1 may have been repeated to an unknown one."""
    return len(root) == len(result) and all(
        one == other or not isinstance(one, int) or (not isinstance(other, int) and one != 1)
        for one, other in zip(root, result, strict=True)
    )


def _call(
    reading: Reading,
    found: tuple[Mapping[str, Any], tuple[Argument, ...], Mapping[str, Any]],
    ends: tuple[ir.Value, ir.Value],
    kind: tuple[Lengths, npt.DTypeLike],
    region: Region,
) -> Found | Missing:
    given, arguments, attributes = found
    attributes = {**reading.attributes, **attributes}
    coarse = _rounded_away(attributes) if np.dtype(kind[1]) == np.float64 else None
    if coarse is not None:
        return Missing(f"its {coarse} is no float32 number, as attributes are, and X is float64")
    shape = tuple(length if isinstance(length, int) else None for length in kind[0])
    if any(length is not None and length > _LONGEST for length in shape[1:]):
        return Missing(f"what it normalizes is of shape {list(shape)}, beyond any memory")
    try:
        call = CATALOGUE[reading.norm].define(shape, kind[1], **given, **attributes)
    except UsageError as error:
        return Missing(str(error))
    return Found(call, ends[0], ends[1], arguments, region)


def _rounded_away(attributes: Mapping[str, Any]) -> str | None:
    """The first attribute that float32 would move, with its value; None where there is none."""
    for name, value in attributes.items():
        if isinstance(value, float) and not math.isclose(
            float(np.float32(value)), value, rel_tol=_EXACT
        ):
            return f"{name} {value!r}"
    return None


def _used_outside(leak: Leak) -> str:
    name = f"{leak.node.op_type} {leak.node.name or leak.value.name!r}"
    if leak.reader is None:
        return f"the result of {name} is an output of the graph"
    other = f"{leak.reader.op_type} {leak.reader.name or leak.reader.outputs[0].name!r}"
    return f"the result of {name} is used by {other}, too"
