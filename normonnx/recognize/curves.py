"""Normalizations that bend each number: DynamicTanh, power transforms, a scaler with a clip.

Their core is a pointwise function; what comes after it is an affine, known from facts. tanh is one
operator. The others are spelled in many ways, so what stands between two values is computed in
float64 for numbers of every size and sign, and near every constant that it has, and compared with
the reference for each exponent that its constants offer. Pieces are analytic: where they agree on
all of these, they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Number
from normonnx.graph.lengths import Lengths
from normonnx.recognize.affines import is_affine
from normonnx.recognize.asking import Asked
from normonnx.recognize.facts import Combination
from normonnx.recognize.fields import Array
from normonnx.recognize.frames import same, whole
from normonnx.recognize.places import Place
from normonnx.recognize.pointwise import constants_of, cuts, evaluated, is_pointwise
from normonnx.recognize.spans import LINEAR
from normonnx.recognize.walk import Known

_COMPARING: Final = frozenset(
    ["Clip", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min"]
)
_USUAL_POWERS: Final = frozenset([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0])
_ROUNDING: Final = 2.0**-20  # of constants in float32, a few times over
_STEEPEST: Final = 30.0  # exponent; a larger one leaves too few numbers to compare
_LARGEST_POWER: Final = 300.0  # exponent times logarithm: float64 ends at 709
_SIZES: Final = 2.0 ** np.arange(-100.0, 101.0, 1.25)
_FAR: Final = 1e30
_NUMBERS: Final = 64  # constants whose neighbourhood is tried, at most
_FEATURES: Final = 1 << 14
_LONGEST_POWER: Final = 32  # nodes in a row after a power, within one power transform
_LONGEST_CLIP: Final = 12  # nodes in a row after a comparison, within one clip
_MOST_CUTS: Final = 24  # of a chain, at each of which it may begin


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A value that is a bent root.

    Attributes:
        norm: Name of the normalization that it is the core of.
        value: The value.
        root: What is bent.
        attributes: Of the normalization, by name.
        parameters: Of the normalization, as far as they belong to the core.
    """

    norm: str
    value: ir.Value
    root: ir.Value
    parameters: Mapping[str, Array]
    attributes: Mapping[str, Number] = field(default_factory=dict)


def curves_of(known: Known, nodes: Iterable[ir.Node]) -> dict[int, Sequence[Curve]]:
    """The cores among the values that nodes, in order, give; by the id of the value.

    Several where a value has several roots, the oldest first.
    """
    found: dict[int, Sequence[Curve]] = {}
    bent, reached = list[ir.Node](), dict[int, int]()  # with how many nodes more may belong to it
    for node in nodes:
        if node.op_type == "Tanh":
            tanhs = list(_tanh(known, node))
            if tanhs:
                found[id(node.outputs[0])] = tanhs
        if not is_pointwise(node):
            continue
        more = _may_follow(known, node, reached)
        if more >= 0:
            reached[id(node.outputs[0])] = more
            bent.append(node)
    taken = set[int]()
    for node in reversed(bent):
        if id(node) not in taken:
            curve, within = _bent(known, node.outputs[0])
            taken |= within
            if curve is not None:
                found[id(curve.value)] = [curve]
    return found


def _may_follow(known: Known, node: ir.Node, reached: Mapping[int, int]) -> int:
    """How many nodes after this one may belong to a curve with it; negative where it doesn't."""
    more = max((reached.get(id(value), 0) for value in node.inputs), default=0) - 1
    if _starts_power(known.asked, node):
        return _LONGEST_POWER
    return max(more, _LONGEST_CLIP) if _starts_clip(known, node) else more


def _tanh(known: Known, node: ir.Node) -> Iterator[Curve]:
    """Of a number times X. A slope of 1 is an activation, and what comes after it a scale."""
    inner = node.inputs[0]
    if inner is None:
        return
    for key, fact in known.facts(inner).items():
        if not isinstance(fact, Combination) or not is_affine(fact) or not fact.is_plain:
            continue
        lengths = known.asked.lengths(known.root(key))
        slope = fact.cx.number
        if slope is None or slope == 1.0 or lengths is None:
            continue
        if same(fact.frame, whole(lengths)):
            alpha = {"alpha": np.asarray([slope])}
            yield Curve("DynamicTanh", node.outputs[0], known.root(key), alpha)


def _starts_power(ask: Asked, node: ir.Node) -> bool:
    """Whether it is a power, such as none but a power transform needs."""
    if node.op_type == "Exp":
        return _is_exponent(node.inputs[0])
    if node.op_type != "Pow" or ask.constants.get(node.inputs[0]) is not None:
        return False
    exponent = ask.constants.get(node.inputs[1])
    if exponent is None:
        return True
    return exponent.size > 0 and not _USUAL_POWERS.issuperset(exponent.reshape(-1).tolist())


def _is_exponent(value: ir.Value | None) -> bool:
    """Whether it is a product with a logarithm."""
    product = None if value is None else value.producer()
    if product is None or product.op_type != "Mul":
        return False
    makers = [each.producer() for each in product.inputs if each is not None]
    return any(maker is not None and maker.op_type == "Log" for maker in makers)


def has_power_by_feature(ask: Asked, node: ir.Node) -> bool:
    """Whether it is a Pow whose exponents are constants that differ."""
    if node.op_type != "Pow" or not _starts_power(ask, node):
        return False
    exponent = ask.constants.get(node.inputs[1])
    return exponent is not None and bool((exponent != exponent.reshape(-1)[0]).any())


def _starts_clip(known: Known, node: ir.Node) -> bool:
    """Whether it compares X times a number for each feature."""
    return node.op_type in _COMPARING and any(
        isinstance(fact, Combination) and is_affine(fact) and fact.cx.atoms
        for value in node.inputs
        if value is not None
        for fact in known.facts(value).values()
    )


def _bent(known: Known, value: ir.Value) -> tuple[Curve | None, set[int]]:
    """The curve that a value is, of the oldest root, and the nodes that it is made of."""
    found: Curve | None = None
    within = set[int]()
    for root, nodes in islice(cuts(known.asked, value), _MOST_CUTS):
        producer = root.producer()
        is_power = any(_starts_power(known.asked, node) for node in nodes)
        lengths = known.asked.lengths(root)
        if not lengths or not known.asked.is_floating(root):
            continue
        if is_power:
            curve = _power(known.asked, value, root, nodes, lengths)
        elif producer is not None and producer.op_type in LINEAR:
            return None, set()  # an activation with an upper bound
        else:
            curve = _clipped(known, value, root, nodes, lengths)
        if curve is not None:
            found, within = curve, {id(node) for node in nodes}
        elif found is not None:
            break
    return found, within


def _width(lengths: Lengths) -> int:
    return lengths[-1] if isinstance(lengths[-1], int) else 1


def _columns(numbers: Array, width: int) -> Array:
    return np.repeat(numbers.reshape(-1, 1), width, axis=1)


def _power(
    ask: Asked,
    value: ir.Value,
    root: ir.Value,
    nodes: Sequence[ir.Node],
    lengths: Lengths,
) -> Curve | None:
    """(base^lambda - 1) / lambda of 1 + |x|, with the sign of x, or of x itself."""
    same_for_all = all(array.size == 1 for _, array in constants_of(ask, nodes))
    width = 1 if same_for_all else _width(lengths)
    if width > _FEATURES:
        return None
    sizes = np.concatenate([_SIZES, _near(ask, nodes)])
    for norm, numbers in (
        ("YeoJohnson", np.concatenate([sizes, [0.0], -sizes])),
        ("BoxCox", sizes),
    ):
        x = _columns(numbers, width)
        y = evaluated(ask, nodes, root, x, len(lengths))
        if y is None:
            return None
        for lambdas in _exponents(ask, nodes, width):
            if _is_power(norm, x, y, lambdas):
                return Curve(norm, value, root, {"lambdas": lambdas})
    return None


def _near(ask: Asked, nodes: Sequence[ir.Node]) -> Array:
    """Sizes on both sides of every constant, since pieces may end there."""
    numbers = [array.reshape(-1) for _, array in constants_of(ask, nodes) if array.dtype != bool]
    sizes = np.unique(np.abs(np.concatenate([np.zeros(1), *numbers]).astype(np.float64)))
    sizes = sizes[(sizes > 0) & np.isfinite(sizes)][:_NUMBERS]
    return np.concatenate([sizes * (1 - 1e-3), sizes * (1 + 1e-3)])


def _exponents(ask: Asked, nodes: Sequence[ir.Node], width: int) -> Iterator[Array]:
    """What lambda may be: a constant as it stands, or 2 less one."""
    found: dict[bytes, Array] = {}
    for turned in (False, True):
        for _, array in constants_of(ask, nodes):
            if array.dtype == bool or array.size not in (1, width):
                continue
            numbers = array.reshape(-1).astype(np.float64)
            numbers = 2.0 - numbers if turned else numbers
            found.setdefault(numbers.tobytes(), numbers)
    yield from found.values()


def _is_power(norm: str, x: Array, y: Array, lambdas: Array) -> bool:
    largest = np.maximum(np.abs(lambdas), np.abs(2.0 - lambdas))
    if not (largest <= _STEEPEST).all():
        return False
    wanted = CATALOGUE[norm].formula(x, lambdas, np.zeros(1), np.ones(1))
    logs = np.abs(np.log(x)) if norm == "BoxCox" else np.log1p(np.abs(x))
    steepness = largest * logs
    error = _ROUNDING * (1.0 + steepness) * np.maximum(np.abs(wanted), 1.0)
    tried = steepness <= _LARGEST_POWER
    return bool((np.abs(y - wanted) <= error)[tried].all())


def _clipped(
    known: Known,
    value: ir.Value,
    root: ir.Value,
    nodes: Sequence[ir.Node],
    lengths: Lengths,
) -> Curve | None:
    """A number for each feature times X, plus another, kept within a range."""
    rank, width = len(lengths), _width(lengths)
    inner = _innermost(known, nodes, root, lengths)
    if inner is None or width > _FEATURES:
        return None
    place = Place(lengths, frozenset())
    factor, shift = (place.array(each, [rank - 1]) for each in (inner.cx, inner.c0))
    ends = (np.array([[-_FAR], [_FAR]]) - shift) / factor
    found = evaluated(known.asked, nodes, root, np.broadcast_to(ends, (2, width)), rank)
    if found is None or not (found.min(axis=1) == found.max(axis=1)).all():
        return None
    low, high = float(found[0, 0]), float(found[1, 0])
    if not -_FAR < low < high < _FAR:  # nor is a factor negative, then
        return None
    between = low + (high - low) * np.linspace(-1.0, 2.0, 97)
    images = np.concatenate([between, _SIZES[:80], -_SIZES[:80], _near(known.asked, nodes)])
    x = (_columns(images, width) - shift) / factor
    y = evaluated(known.asked, nodes, root, x, rank)
    wanted = np.clip(x * factor + shift, low, high)
    if y is None or not np.allclose(y, wanted, rtol=0.0, atol=_ROUNDING * (high - low)):
        return None
    bounds = {"minimum": np.asarray([low]), "maximum": np.asarray([high])}
    return Curve("MinMaxScaler", value, root, {"scale": factor, "shift": shift, **bounds})


def _innermost(
    known: Known, nodes: Sequence[ir.Node], root: ir.Value, lengths: Lengths
) -> Combination | None:
    """What is clipped: the last value that is affine in X, along the last axis alone."""
    place = Place(lengths, frozenset())
    for node in nodes:
        fact = known.fact(node.outputs[0], id(root))
        if not isinstance(fact, Combination) or not is_affine(fact):
            continue
        along = all(place.stands(each, [len(lengths) - 1]) for each in (fact.cx, fact.c0))
        if along and fact.cx.atoms and same(fact.frame, whole(lengths)):
            return fact
    return None
