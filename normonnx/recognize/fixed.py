"""Normalizations without a statistic of X: affines with constants, and curves with such a tail.

At inference BatchNorm and the scalers are factor (X - mean) + bias for each channel or feature. At
least a factor and a shift make one, or a Div at the model's input; a lone Mul or Add is none, and
neither is the same number for all channels. Such an affine is BatchNorm along axis 1; along the
last axis, where that isn't axis 1, it is StandardScaler, which can't have a factor of 0 or below.
The bias of a linear operator belongs to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeVar

import numpy as np
import onnx_ir as ir

from normonnx.graph.lengths import Lengths
from normonnx.recognize.affines import Affine, affine_of, is_affine, sources_of
from normonnx.recognize.curves import Curve, curves_of, has_power_by_feature
from normonnx.recognize.facts import Combination
from normonnx.recognize.fields import Array
from normonnx.recognize.frames import same, whole
from normonnx.recognize.natives import Candidate, native_of
from normonnx.recognize.places import Place
from normonnx.recognize.pointwise import operator_of
from normonnx.recognize.readings import Missing, Reading
from normonnx.recognize.regions import Region, enclosing
from normonnx.recognize.spans import LINEAR, NATIVE, adds, arithmetic, multiplies, span, stash_of
from normonnx.recognize.walk import Known

T = TypeVar("T")
Curves = Mapping[int, Sequence[Curve]]
Bind = Callable[[Reading, ir.Value, ir.Value, Lengths, Region], "T | Missing"]
_MATRIX: Final = 2
_CHANNELS_FIRST: Final = frozenset(
    [
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "MaxPool",
        *("BatchNorm", "GroupNorm", "InstanceNorm", "LocalResponseNorm"),  # of the catalogue
    ]
)
_SELECTING: Final = frozenset(
    ["ArrayFeatureExtractor", "Cast", "Concat", "FeatureVectorizer", "Imputer", "Slice", "Split"]
)
_LAST: Final = "its scale and bias run along the last axis, which isn't the channels' after {}"
_OTHER: Final = "its scale and bias run along axis {} of {}: neither channels nor the last axis"
_TAIL: Final = "its scale and bias run along axis {} of {}, and those of {} along the last"
_POWER: Final = (
    "each feature has a power of its own, yet what is made of it is neither Box-Cox nor "
    "Yeo-Johnson for any of its constants"
)
_NOT_POSITIVE: Final = (
    "a factor is {:g} at place {}, and along the last axis only StandardScaler would do, which "
    "divides by a positive number"
)


class FixedSearch(Generic[T]):
    """One graph, from its end, after normalizations with statistics have been found.

    Attributes:
        norms: What was found, the last first.
        near_misses: Where one ends that isn't, and why.
    """

    def __init__(self, known: Known, taken: Iterable[int], bind: Bind[T]) -> None:
        self._known = known
        self._taken = set(taken)
        self._bind = bind
        self.norms: list[T] = []
        self.near_misses: list[tuple[ir.Node, str]] = []

    def look(self, graph: Sequence[ir.Node] | ir.Graph) -> None:
        """At every node, the last first."""
        curves = curves_of(self._known, graph)
        missed: list[tuple[ir.Node, str, frozenset[int]]] = []
        for node in reversed(graph):
            if id(node) in self._taken or not node.outputs:
                continue
            for reading, root, value, nodes in self._readings(node, curves):
                members = frozenset(id(member) for member in nodes)
                if not self._taken.isdisjoint(members):
                    continue
                found = self._bound(reading, root, value, nodes)
                if not isinstance(found, Missing):
                    self.norms.append(found)
                    self._taken |= members
                    break
                missed.append((node, found.reason, members))
        powers = [node for node in graph if has_power_by_feature(self._known.asked, node)]
        missed += [(node, _POWER, frozenset([id(node)])) for node in powers]
        for node, reason, members in missed:
            if self._taken.isdisjoint(members):
                self.near_misses.append((node, reason))
                self._taken |= members

    def _readings(self, node: ir.Node, curves: Curves) -> Iterable[Candidate]:
        """What a node's result may be, the best first."""
        value = node.outputs[0]
        if curves:
            yield from self._bent(value, curves)
        if operator_of(node) in NATIVE:
            yield from native_of(self._known.asked, node)
        for key, fact in self._known.facts(value).items():
            if not isinstance(fact, Combination) or not _may_be_norm(fact):
                continue
            root = self._known.root(key)
            lengths = self._known.asked.lengths(root)
            if lengths is None or not same(fact.frame, whole(lengths)):
                continue
            nodes = span(self._known.asked, value, root)
            if nodes is None:
                continue
            reading = self._affine(fact, root, nodes, lengths)
            if reading is not None:
                yield reading, root, value, nodes

    def _bent(self, value: ir.Value, curves: Curves) -> Iterable[Candidate]:
        for key in (*self._known.facts(value), id(value)):
            fact = self._known.fact(value, key) if key in curves else None
            if not isinstance(fact, Combination) or not is_affine(fact):
                continue
            for curve in curves[key]:
                nodes = span(self._known.asked, value, curve.root)
                lengths = self._known.asked.lengths(curve.value)
                if nodes is None or lengths is None or not same(fact.frame, whole(lengths)):
                    continue
                reading = self._with_tail(curve, fact, nodes, lengths)
                if reading is not None:
                    yield reading, curve.root, value, nodes

    def _bound(
        self, reading: Reading | Missing, root: ir.Value, value: ir.Value, nodes: Sequence[ir.Node]
    ) -> T | Missing:
        lengths = self._known.asked.lengths(root)
        if isinstance(reading, Missing) or lengths is None:
            return reading if isinstance(reading, Missing) else Missing("its rank is not known")
        region = enclosing(self._known, {id(node): node for node in nodes}, value, root)
        return self._bind(reading, root, value, lengths, region)

    def _reading(
        self,
        norm: str,
        parameters: dict[str, Array],
        nodes: Sequence[ir.Node],
        curve: Curve | None = None,
    ) -> Reading:
        """A reading with the type that is computed in, and the model's own constants."""
        known = {} if curve is None else dict(curve.parameters)
        attributes = {} if curve is None else dict(curve.attributes)
        kind = self._known.asked.element_type(nodes[0].outputs[0]) or np.dtype(np.float32)
        every = {**known, **parameters}
        sources = sources_of(self._known.asked, nodes, every, kind)
        return Reading(norm, {**attributes, "stash_type": stash_of(nodes)}, every, sources)

    def _affine(
        self, fact: Combination, root: ir.Value, nodes: Sequence[ir.Node], lengths: Lengths
    ) -> Reading | Missing | None:
        """A chain of operators as one normalization."""
        steps = arithmetic(nodes)
        producer = root.producer()
        if any(operator_of(node) in NATIVE for node in steps):
            return None
        if producer is not None and _owns(producer, steps[0]):
            return None
        if fact.cx.number is not None and steps[0].op_type != "Sub":
            return None  # such as the scale of an attention, and a bias of each head
        lone = [node.op_type for node in steps] == ["Div"]
        both = any(map(adds, steps)) and any(map(multiplies, steps)) and len(steps) > 1
        if not (both or (lone and _is_data(root))):
            return None
        place, rank = Place(lengths, frozenset()), len(lengths)
        axes = [axis for axis in range(rank) if _runs_along(place, fact, axis)]
        if len(axes) != 1:
            return None
        affine = affine_of(self._known, nodes, root, fact, (place, axes[0]))
        if not lone and axes == [1] and not _is_scaler(affine, root, rank):
            return self._batch_norm(affine, nodes)
        if axes != [rank - 1]:
            return None if lone else Missing(_OTHER.format(axes[0], rank))
        if any(node.op_type == "Transpose" for node in nodes):
            return None  # what stands between two of them is looked at by itself
        if producer is not None and producer.op_type in _CHANNELS_FIRST and rank > _MATRIX:
            return None if lone else Missing(_LAST.format(producer.op_type))
        return self._scaler(affine, nodes, lone=lone)

    def _batch_norm(self, affine: Affine, nodes: Sequence[ir.Node]) -> Reading:
        parameters = {"mean": affine.mean, "var": np.ones(1)}
        if (affine.factor != 1.0).any():
            parameters["scale"] = affine.factor
        if affine.bias.any():
            parameters["bias"] = affine.bias
        reading = self._reading("BatchNorm", parameters, nodes)
        return Reading(
            "BatchNorm", {**reading.attributes, "epsilon": 0.0}, parameters, reading.sources
        )

    def _scaler(
        self, affine: Affine, nodes: Sequence[ir.Node], *, lone: bool
    ) -> Reading | Missing | None:
        factor = affine.factor
        if not (factor > 0).all():
            if lone:
                return None
            place = int(np.argmin(factor))
            return Missing(_NOT_POSITIVE.format(float(factor.reshape(-1)[place]), place))
        if lone:
            return self._reading("MaxAbsScaler", {"max_abs": 1.0 / factor}, nodes)
        parameters = {"mean": affine.centre, "scale": 1.0 / factor}
        return self._reading("StandardScaler", parameters, nodes)

    def _with_tail(
        self, curve: Curve, fact: Combination, nodes: Sequence[ir.Node], lengths: Lengths
    ) -> Reading | Missing | None:
        """A curve and the affine after it."""
        if curve.norm == "MinMaxScaler":
            return self._reading(curve.norm, {}, nodes, curve) if fact.is_view else None
        place, rank = Place(lengths, frozenset()), len(lengths)
        if not all(place.stands(each, [rank - 1]) for each in (fact.cx, fact.c0)):
            axes = [axis for axis in range(rank) if _runs_along(place, fact, axis)]
            return Missing(_TAIL.format(axes[0], rank, curve.norm)) if len(axes) == 1 else None
        if curve.norm == "DynamicTanh":
            if fact.cx.number is not None and fact.c0.number is not None:
                return None
            parts = {"scale": fact.cx, "bias": fact.c0}
            found = {name: place.array(each, [rank - 1]) for name, each in parts.items()}
            return self._reading(curve.norm, found, nodes, curve)
        affine = affine_of(self._known, nodes, curve.value, fact, (place, rank - 1))
        if not (affine.factor > 0).all():
            return Missing("what a power is divided by afterwards is not positive")
        found = {"mean": affine.centre, "scale": 1.0 / affine.factor}
        return self._reading(curve.norm, found, nodes, curve)


def _owns(producer: ir.Node, first: ir.Node) -> bool:
    """Whether what follows a node is part of it: its bias, or what makes a power a transform."""
    return producer.op_type == "Pow" or (producer.op_type in LINEAR and first.op_type == "Add")


def _may_be_norm(fact: Combination) -> bool:
    """Whether it scales, and not all channels alike."""
    if fact.cx.is_number(1.0) or (fact.cx.number is not None and fact.c0.number is not None):
        return False
    return is_affine(fact)


def _is_data(root: ir.Value) -> bool:
    """Whether it comes from outside as it is: scalers stand before the first layer."""
    producer = root.producer()
    return producer is None or producer.op_type in _SELECTING


def _runs_along(place: Place, fact: Combination, axis: int) -> bool:
    return all(place.stands(each, [axis]) for each in (fact.cx, fact.c0))


def _is_scaler(affine: Affine, root: ir.Value, rank: int) -> bool:
    """Whether it is a scaler of rows of features: at the model's input, and nothing added last."""
    return (
        rank == _MATRIX
        and _is_data(root)
        and affine.is_centered
        and bool((affine.factor > 0).all())
    )
