"""Each normalization as it is drawn: shapes, views, precision, scale and bias."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from onnx import TensorProto

from tests.property.moments import Affine, Moments, normalize, scaled
from tests.property.writing import NARROW, Array, Dim, Value, Writer, dtype_of, product, size

CENTERED: Final = frozenset(
    ["LayerNorm", "LayerNorm2d", "GroupNorm", "InstanceNorm", "BatchNormTraining"]
)
UNCENTERED: Final = frozenset(["RMSNorm", "FilterResponseNorm"])
WIDE: Final = TensorProto.FLOAT


@dataclass(frozen=True, eq=False)
class Spec:
    """What is to be found.

    Attributes:
        norm: Its name.
        accepted: Names that may be the same function.
        attributes: By name.
        parameters: By name; those that are inputs at run time are left out.
    """

    norm: str
    accepted: frozenset[str]
    attributes: Mapping[str, Any]
    parameters: Mapping[str, Array] = field(default_factory=dict)


class Setting:
    """What is normalized, and in which precision.

    Attributes:
        x: What is normalized, once it was drawn.
        precision: "plain", "all" to cast before and after, "statistics" to cast within.
        exact: Whether every dimension is static and as long as the others.
    """

    def __init__(
        self, w: Writer, kind: int, *, exact: bool = False, given: Value | None = None
    ) -> None:
        self.x = given
        self.kind = kind
        self.exact = exact
        narrow = kind in NARROW
        self.precision = w.one_of("plain", "all", "statistics") if narrow else "plain"
        self._w = w

    @property
    def working(self) -> int:
        """The type that statistics are computed in."""
        return self.kind if self.precision == "plain" else WIDE

    def dims(self, rank: int, known: Sequence[int] = ()) -> tuple[Dim, ...]:
        """Dimensions; those at some places are static."""
        if self.exact:
            apart = 0 in known or self._w.fails("transposed")
            first: Dim = 4 if apart else self._w.pick([4, 4, "W"])
            return (first, *(4,) * (rank - 1))
        free = self._w.one_of((), ("N",), ("N",), ("N", "H", "W", "T"))
        names = dict(enumerate(("N", "T", "H", "W", "D")))
        found = list[Dim]()
        for axis in range(rank):
            symbolic = names[axis] in free and axis not in known
            found.append(names[axis] if symbolic else self._w.one_of(2, 3, 4, 6))
        return tuple(found)

    def root(self, dims: Sequence[Dim]) -> Value:
        """What is normalized, from where it comes."""
        w, part = self._w, self._w.part
        w.part = "outer"
        x = w.input("x", dims, self.kind)
        how = w.one_of("input", "input", "Add", "Relu", "MatMul", "Conv")
        if how == "Add":
            x = w.op("Add", [x, w.input("x", dims, self.kind)])
        if how == "Relu":
            x = w.op("Relu", [x])
        if how == "MatMul" and isinstance(dims[-1], int):
            x = w.op("MatMul", [x, w.constant(w.random((dims[-1], dims[-1]), self.kind))])
        channels = dims[1] if len(dims) > 2 else None
        if how == "Conv" and isinstance(channels, int) and self.kind == TensorProto.FLOAT:
            weight = w.random((channels, channels, *(1,) * (len(dims) - 2)), self.kind)
            x = w.op("Conv", [x, w.constant(weight)])
        w.part = part
        self.x = x
        return x

    def other(self, x: Value) -> Value | None:
        """Another value of the same shape, for faults that need one."""
        wanted = self._w.fault in {"numerator", "subtrahend"}
        return self._w.input("z", x.dims, x.kind) if wanted else None

    def epsilon(self, *choices: float) -> float:
        """A small number that the working type holds."""
        if self.working in NARROW:
            return self._w.one_of(1e-3, 1e-2)
        drawn = self._w.one_of(*(choices or (1e-5, 1e-5, 1e-6, 1e-3, 1e-12)))
        return float(np.float32(drawn))  # as attributes are: in float64 another one is refused

    def spell(
        self, x: Value, inner: Callable[[Value, int | None], Value], affine: Affine | None
    ) -> Value:
        """A normalization in this precision, with scale and bias before or after the cast back."""
        w = self._w
        if self.precision != "all":
            wide = WIDE if self.precision == "statistics" else None
            return scaled(w, inner(x, wide), affine)
        y = inner(w.cast(x, WIDE), None)
        if affine is not None and w.chance(50):
            return w.cast(scaled(w, y, _cast(affine, WIDE)), self.kind)
        return scaled(w, w.cast(y, self.kind), affine)


def _cast(affine: Affine, kind: int) -> Affine:
    scale, bias = (
        None if each is None else each.astype(dtype_of(kind))
        for each in (affine.scale, affine.bias)
    )
    return Affine(scale, bias, affine.axes)


def _affine(
    w: Writer, kind: int, dims: Sequence[Dim], axes: Sequence[int], *, bias: bool = True
) -> Affine:
    """Scale and bias along some axes: each missing, a number, or a vector where lengths are known."""
    sizes = [dims[axis] for axis in axes]
    found: list[Array | None] = []
    for wanted in (True, bias):
        how = w.one_of("none", "one", "full", "full", "full")
        if w.fails("gamma") and wanted and not found:
            how = "full"
        if not wanted or how == "none":
            found.append(None)
            continue
        known = [each if isinstance(each, int) and how == "full" else 1 for each in sizes]
        found.append(w.random(known, kind))
    return Affine(found[0], found[1], tuple(axes))


def _parameters(affine: Affine) -> dict[str, Array]:
    named = {"scale": affine.scale, "bias": affine.bias}
    return {name: array for name, array in named.items() if array is not None}


def _before(w: Writer, x: Value) -> Value:
    """Times a vector before it is normalized, as a fault that may leave a normalization."""
    if not w.fails("affine before"):
        return x
    axis = w.pick([axis for axis, dim in enumerate(x.dims) if isinstance(dim, int)])
    length = size(x.dims[axis])
    return w.pair("Mul", x, w.along(w.random((length,), x.kind), [axis], x.rank))


def _moved(w: Writer, x: Value, axes: Sequence[int]) -> tuple[Value, list[int], list[int]]:
    """A transposed view, where its axes went, and how to turn it back."""
    order = w.shuffled(range(x.rank))
    view = w.transpose(x, order)
    back = [order.index(axis) for axis in range(x.rank)]
    return view, [back[axis] for axis in axes], back


def _standing(affine: Affine, places: Sequence[int]) -> Affine:
    """The same scale and bias along other axes, in ascending order."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    scale, bias = (
        None if each is None else np.ascontiguousarray(each.transpose(order))
        for each in (affine.scale, affine.bias)
    )
    return Affine(scale, bias, tuple(sorted(places)))


def _by_moments(
    w: Writer, setting: Setting, x: Value, how: Moments, affine: Affine | None
) -> Value:
    """Normalized in the view it is in, or a transposed one."""
    viewed = w.fault is None and w.chance(20)
    start = _before(w, x)

    def inner(source: Value, wide: int | None) -> Value:
        return normalize(w, source, how, wide)

    if not viewed:
        return setting.spell(start, inner, affine)
    view, axes, back = _moved(w, start, how.axes)
    turned = Moments(tuple(sorted(axes)), how.centered, how.epsilon, how.outside)
    places = None if affine is None else [back[axis] for axis in affine.axes]
    within = affine is not None and w.chance(50)

    def moved(source: Value, wide: int | None) -> Value:
        return normalize(w, source, turned, wide)

    tail = _standing(affine, places) if within and affine and places else None
    y = w.transpose(setting.spell(view, moved, tail), back)
    return y if within else scaled(w, y, affine)


def _spoiled(w: Writer, rank: int, axes: Sequence[int]) -> tuple[int, ...]:
    """Other axes, as many where possible."""
    if not w.fails("axes"):
        return ()
    free = [axis for axis in range(rank) if axis not in axes]
    return (*axes[1:], w.pick(free)) if free else tuple(axes[1:])


def _moments(
    w: Writer, setting: Setting, x: Value, axes: Sequence[int], *, centered: bool = True,
    outside: bool = False, epsilon: float | None = None,
) -> Moments:  # fmt: skip
    chosen = setting.epsilon() if epsilon is None else epsilon
    other = setting.other(x)
    spoiled = tuple(sorted(_spoiled(w, x.rank, axes)))
    return Moments(tuple(axes), centered, chosen, outside, other=other, spoiled=spoiled)


def _wrong_gamma(w: Writer, affine: Affine, x: Value, allowed: Sequence[int]) -> Affine:
    """Scale along an axis that the normalization has none for, as a fault."""
    if not w.fails("gamma"):
        return affine
    axis = w.pick([axis for axis in range(x.rank) if axis not in allowed])
    return Affine(w.random((size(x.dims[axis]),), x.kind), None, (axis,))


def layer_norm(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over trailing axes."""
    rank = w.one_of(2, 3, 3, 4)
    first = w.pick(range(1, rank))
    known = w.one_of((), range(first, rank), range(first, rank))
    x = setting.x or setting.root(setting.dims(rank, known))
    return _trailing(w, setting, x, first, centered=True)


def rms_norm(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over trailing axes, not centered."""
    rank = w.one_of(2, 3, 3, 4)
    first = w.pick(range(1, rank))
    known = w.one_of((), range(first, rank), range(first, rank))
    x = setting.x or setting.root(setting.dims(rank, known))
    return _trailing(w, setting, x, first, centered=False)


def _trailing(
    w: Writer, setting: Setting, x: Value, first: int, *, centered: bool
) -> tuple[Value, Spec]:
    axes = range(first, x.rank)
    how = _moments(w, setting, x, axes, centered=centered)
    affine = _affine(w, setting.kind, x.dims, axes, bias=centered)
    if not centered and w.fails("gamma"):
        affine = _wrong_gamma(w, affine, x, axes)
    y = _by_moments(w, setting, x, how, affine)
    name, names = ("LayerNorm", CENTERED) if centered else ("RMSNorm", UNCENTERED)
    attributes = {"axis": first - x.rank, "epsilon": how.epsilon}
    return y, Spec(name, names, attributes, _parameters(affine))


def _channels(
    name: str, over: Callable[[int], Sequence[int]], ranks: Sequence[int]
) -> Callable[[Writer, Setting], tuple[Value, Spec]]:
    def draw(w: Writer, setting: Setting) -> tuple[Value, Spec]:
        rank = w.pick(ranks)
        x = setting.root(setting.dims(rank, [1] if w.chance(85) else []))
        how = _moments(w, setting, x, over(rank))
        affine = _wrong_gamma(
            w, _affine(w, setting.kind, x.dims, [1]), x, [1, *_last(over(rank), rank)]
        )
        y = _by_moments(w, setting, x, how, affine)
        return y, Spec(name, CENTERED, {"epsilon": how.epsilon}, _parameters(affine))

    return draw


def _last(axes: Sequence[int], rank: int) -> list[int]:
    """Axes that a LayerNorm's scale may run along, where these are trailing."""
    return list(axes) if list(axes) == list(range(axes[0], rank)) else []


def group_norm(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Groups of channels as axes of their own, or as the channels of an InstanceNormalization."""
    rank = w.one_of(3, 4, 4, 5)
    dims = list(setting.dims(rank, [1]))
    groups = w.one_of(1, 2, 2, 3)
    size_of_group = w.one_of(1, 2, 3) if not setting.exact else 4 // (groups if groups < 3 else 2)
    groups = groups if not setting.exact else 4 // size_of_group
    if w.fails("groups"):
        groups = size_of_group = 2
    dims[1] = groups * size_of_group
    x = setting.root(dims)
    affine = _affine(w, setting.kind, x.dims, [1])
    epsilon = setting.epsilon()
    other = setting.other(x)
    start = _before(w, x)

    def inner(source: Value, wide: int | None) -> Value:
        return _grouped(w, source, (groups, size_of_group), (epsilon, other), wide)

    y = setting.spell(start, inner, affine)
    attributes = {"num_groups": groups, "epsilon": epsilon}
    return y, Spec("GroupNorm", CENTERED, attributes, _parameters(affine))


def _grouped(
    w: Writer, x: Value, split: tuple[int, int], more: tuple[float, Value | None], wide: int | None
) -> Value:
    groups, inside = split
    epsilon, other = more
    whole = w.chance(50)
    rest: Sequence[Dim] = (product((inside, *x.dims[2:])),) if whole else (inside, *x.dims[2:])
    target = (x.dims[0], groups, *rest)
    view = w.reshape(x, target)
    if w.fails("groups"):
        return _two_groupings(w, x, view, epsilon)
    if whole and w.fault is None and wide is None and x.kind not in NARROW and w.chance(50):
        kind = dtype_of(x.kind)
        ones, zeros = (w.constant(np.full(groups, value, kind)) for value in (1, 0))
        y = w.op("InstanceNormalization", [view, ones, zeros], epsilon=epsilon)
    else:
        if other is not None:
            other = w.reshape(other, target)
        how = Moments(tuple(range(2, view.rank)), centered=True, epsilon=epsilon, other=other)
        y = normalize(w, view, how, wide)
    return w.reshape(y, x.dims, like=x)


def _two_groupings(w: Writer, x: Value, view: Value, epsilon: float) -> Value:
    """The mean by group, the variance by other groups, as a fault."""
    w.fault = None
    m = w.reduce("ReduceMean", view, range(2, view.rank))
    d = w.reshape(w.op("Sub", [view, m], view.dims), x.dims, like=x)
    w.blame(d)
    again = w.reshape(d, (x.dims[0], 1, product(x.dims[1:])))
    how = Moments((2,), centered=False, epsilon=epsilon)
    return w.reshape(normalize(w, again, how), x.dims, like=x)


def mean_variance(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over any axes, epsilon outside the root."""
    rank = w.one_of(2, 3, 4)
    x = setting.root(setting.dims(rank))
    most = rank if w.fault is None else rank - 1
    least = 2 if w.fails("subset") and rank > 2 else 1
    axes = sorted(w.shuffled(range(rank))[: w.pick(range(least, most + 1))])
    how = _moments(w, setting, x, axes, outside=True, epsilon=setting.epsilon(1e-9, 1e-5, 1e-3))
    y = _by_moments(w, setting, x, how, None)
    attributes = {"axes": tuple(axes), "epsilon": how.epsilon}
    return y, Spec("MeanVarianceNorm", frozenset(["MeanVarianceNorm"]), attributes)


def filter_response(w: Writer, setting: Setting) -> tuple[Value, Spec]:
    """Over positions, not centered, then by channel, then a threshold."""
    rank = w.one_of(3, 4, 4)
    x = setting.root(setting.dims(rank, [1]))
    how = _moments(w, setting, x, range(2, rank), centered=False)
    affine = _wrong_gamma(w, _affine(w, setting.kind, x.dims, [1]), x, [1, *range(2, rank)])
    y = _by_moments(w, setting, x, how, affine)
    parameters = _parameters(affine)
    if w.fault is None and w.chance(60):
        channels = size(x.dims[1])
        parameters["threshold"] = w.random((channels,), setting.kind)
        bound = w.along(parameters["threshold"], [1], rank)
        y = w.op("Max", w.shuffled([y, bound]), y.dims, y.kind)
    names = UNCENTERED
    return y, Spec("FilterResponseNorm", names, {"epsilon": how.epsilon}, parameters)


def adaptive(name: str, *, last: bool) -> Callable[[Writer, Setting], tuple[Value, Spec]]:
    """Scale and bias for each sample, at run time."""

    def draw(w: Writer, setting: Setting) -> tuple[Value, Spec]:
        rank = w.one_of(3, 4) if w.chance(80) or not last else 2
        x = setting.root(setting.dims(rank))
        axis = rank - 1 if last else 1
        how = _moments(w, setting, x, [axis] if last else range(2, rank))
        y = _by_moments(w, setting, x, how, None)
        turn = w.chance(25)  # scale and bias stand in a transposed view
        order = w.shuffled(range(rank)) if turn else list(range(rank))
        y = w.transpose(y, order) if turn else y
        places = (order.index(0), order.index(axis))
        scales = w.chance(80)
        y, offset = _adapted(w, y, places, scales=scales)
        y = w.transpose(y, [order.index(each) for each in range(rank)]) if turn else y
        unknown = turn and all(isinstance(x.dims[each], str) for each in (0, axis))
        # No Reshape to (N, C) can be written; a sum with a matrix may be a residual.
        apart = places[0] > places[1] or unknown or (not scales and _is_full(x, (0, axis)))
        accepted = frozenset([name]) | (CENTERED if apart else frozenset())
        return y, Spec(name, accepted, {"epsilon": how.epsilon, "offset": offset})

    return draw


def _is_full(x: Value, axes: tuple[int, int]) -> bool:
    """Whether nothing else has any length."""
    return all(dim == 1 for at, dim in enumerate(x.dims) if at not in axes)


def _adapted(w: Writer, y: Value, places: tuple[int, int], *, scales: bool) -> tuple[Value, float]:
    """Scale, maybe 1 + scale, and bias for each sample."""
    offset = 0.0
    if scales:
        s = _sample(w, y, places)
        if w.chance(50):
            offset = 1.0
            w.part = "side"
            s = w.pair("Add", s, w.number(1.0, s.kind))
            w.part = "core"
        y = w.pair("Mul", y, s)
    return w.pair("Add", y, _sample(w, y, places)), offset


def _sample(w: Writer, x: Value, places: tuple[int, int]) -> Value:
    """A vector for each sample, as it stands along the channels."""
    dims = tuple(dim if at in places else 1 for at, dim in enumerate(x.dims))
    ones = [at for at in range(x.rank) if at not in places]
    if w.chance(30) or not ones:
        return w.input("s", dims, x.kind)
    flat = w.input("s", tuple(x.dims[at] for at in sorted(places)), x.kind)
    w.part = "side"
    found = w.unsqueezed(flat, ones, dims)
    w.part = "core"
    return found


NORMS: dict[str, Callable[[Writer, Setting], tuple[Value, Spec]]] = {
    "LayerNorm": layer_norm,
    "RMSNorm": rms_norm,
    "LayerNorm2d": _channels("LayerNorm2d", lambda _: [1], (3, 4, 4, 5)),
    "InstanceNorm": _channels("InstanceNorm", lambda rank: range(2, rank), (3, 4, 4, 5)),
    "BatchNormTraining": _channels(
        "BatchNormTraining", lambda rank: [a for a in range(rank) if a != 1], (2, 3, 4)
    ),
    "GroupNorm": group_norm,
    "MeanVarianceNorm": mean_variance,
    "FilterResponseNorm": filter_response,
    "AdaptiveLayerNorm": adaptive("AdaptiveLayerNorm", last=True),
    "AdaptiveInstanceNorm": adaptive("AdaptiveInstanceNorm", last=False),
}
