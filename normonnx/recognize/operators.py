"""Operators that are normalizations themselves: ONNX's own and ONNX Runtime's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import ONNX_EPSILON
from normonnx.graph.attributes import axes_within, float_of, int_of, ints_of
from normonnx.graph.lengths import Length
from normonnx.recognize import algebra, frames, means, powers
from normonnx.recognize.asking import Asked, Operand, Operands
from normonnx.recognize.facts import (
    SQUARE,
    ZERO,
    Combination,
    Count,
    Fact,
    Runtime,
    Spread,
    Statistic,
)
from normonnx.recognize.fields import Field, field, number
from normonnx.recognize.frames import Atoms, Frame
from normonnx.recognize.table import Transfer

_MVN_EPSILON: Final = float(np.float32(1e-9))
_TRAINING_IS_AN_ATTRIBUTE: Final = 14
_PER_CHANNEL: Final = 21
_LEAST_RANK: Final = 2  # of what has channels


def _view(ask: Asked, node: ir.Node, operands: Operands) -> Combination | None:
    """The input as a combination whose rank is known."""
    first = operands[0]
    fact = None if first is None else first.fact
    lengths = ask.lengths(node.inputs[0])
    if not isinstance(fact, Combination) or lengths is None or len(lengths) != len(fact.frame):
        return None
    return fact if fact.is_linear and fact.is_fixed else None


def _standardized(fact: Combination, gone: Atoms, epsilon: float) -> Combination | None:
    """A value standardized over some digits; what is the same along them doesn't matter."""
    constant = not fact.c0.varies_along(gone) and means.is_constant_over(fact, gone)
    if not fact.cx.is_number(1.0) or not constant:
        return None
    rest = frames.atoms_of(fact.frame) - gone
    frame = _without(fact.frame, gone) if rest else tuple(() for _ in fact.frame)
    statistic = Statistic(frame, gone, SQUARE, 1.0, -1.0, epsilon=epsilon)
    return Combination(fact.frame, fact.cx, number(-1.0), gone, ZERO, Spread(frame, statistic))


def _without(frame: Frame, gone: Atoms) -> Frame:
    """A frame without some digits."""
    return tuple(tuple(atom for atom in dim if not frames.overlap([atom], gone)) for dim in frame)


def _divided(fact: Combination, gone: Atoms, epsilon: float) -> Combination | None:
    """A value divided by its root mean square."""
    if not fact.cx.is_number(1.0) or not fact.is_plain:
        return None
    frame = _without(fact.frame, gone)
    statistic = Statistic(frame, gone, SQUARE, 1.0, epsilon=epsilon)
    return replace(fact, spread=Spread(frame, statistic))


def _with_affine(
    ask: Asked, fact: Combination | None, operands: Iterable[Operand | None], axis: int | None
) -> Fact | None:
    """A normalized value times a scale, plus a bias; vectors stand along `axis`."""
    found: Fact | None = fact
    for operand, apply in zip(operands, (algebra.scaled, algebra.shifted), strict=False):
        if operand is None or not isinstance(found, Combination):
            continue
        uniform = ask.uniform(operand.value) if operand.constant is None else None
        if uniform is not None:
            operand = replace(operand, constant=uniform)  # noqa: PLW2901
        if operand.constant is None:
            found = _at_run_time(ask, found, operand, axis, scales=apply is algebra.scaled)
            continue
        numbers = _standing(operand, found.frame, axis)
        found = None if numbers is None else apply(found, numbers, found.frame)
    return found


def _at_run_time(
    ask: Asked, fact: Combination, operand: Operand, axis: int | None, *, scales: bool
) -> Fact | None:
    lengths = ask.lengths(operand.value)
    if lengths is None or not fact.c1.is_number(0.0) or fact.bias is not None:
        return None
    rank = len(fact.frame)
    if axis is None:
        stands: Frame = ((),) * (rank - len(lengths)) + tuple(
            () if length == 1 else dim
            for length, dim in zip(lengths, fact.frame[rank - len(lengths) :], strict=True)
        )
    else:
        stands = tuple(dim if at == axis else () for at, dim in enumerate(fact.frame))
    runtime = Runtime(operand.value, stands)
    if scales:
        return replace(fact, scale=runtime) if fact.is_fixed else None
    return replace(fact, bias=runtime)


def _standing(operand: Operand, frame: Frame, axis: int | None) -> Field | None:
    """A constant as it stands: broadcast from the right, or a vector along one axis."""
    if axis is None:
        return operand.field(frame)
    constant = operand.constant
    if constant is None or constant.ndim != 1:
        return None
    if constant.size == 1:
        return operand.field(frame)
    shaped = constant.reshape([-1 if at == axis else 1 for at in range(len(frame))])
    return field(shaped, frame, operand.value)


def _given(operands: Operands, index: int) -> Operand | None:
    return operands[index] if index < len(operands) else None


def _from_axis(fact: Combination, node: ir.Node) -> Atoms | None:
    rank = len(fact.frame)
    axes = axes_within([int_of(node, "axis", -1)], rank)
    return None if axes is None else frames.atoms_of(fact.frame, range(axes[0], rank))


def _layer_norm(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact = _view(ask, node, operands)
    gone = None if fact is None else _from_axis(fact, node)
    if fact is None or not gone:
        return None
    z = _standardized(fact, gone, float_of(node, "epsilon", ONNX_EPSILON))
    return _with_affine(ask, z, (_given(operands, 1), _given(operands, 2)), None)


def _rms_norm(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact = _view(ask, node, operands)
    gone = None if fact is None else _from_axis(fact, node)
    if fact is None or not gone:
        return None
    z = _divided(fact, gone, float_of(node, "epsilon", ONNX_EPSILON))
    return _with_affine(ask, z, (_given(operands, 1),), None)


def _instance_norm(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact = _view(ask, node, operands)
    if fact is None:
        return None
    gone = frames.atoms_of(fact.frame, range(2, len(fact.frame)))
    if not gone:
        return None
    z = _standardized(fact, gone, float_of(node, "epsilon", ONNX_EPSILON))
    return _with_affine(ask, z, (_given(operands, 1), _given(operands, 2)), 1)


def _group_norm(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    groups, lengths = int_of(node, "num_groups", 0), ask.lengths(node.inputs[0])
    channels = lengths[1] if lengths is not None and len(lengths) > 1 else None
    by_group = [_is_by_group(each, channels, groups) for each in operands[1:3]]
    legal = all(by_group) and ask.ranks.opset(node) < _PER_CHANNEL
    if groups > 1 and any(by_group) and not legal:
        return None
    return _in_groups(ask, node, operands, groups, 1)


def _is_by_group(operand: Operand | None, channels: Length | None, groups: int) -> bool:
    """Whether a parameter has a number for each group of several channels."""
    if operand is None or operand.constant is None:
        return False
    return operand.constant.size == groups != channels


def _group_norm_of_runtime(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Of com.microsoft, where nothing but the normalization is asked of it."""
    if int_of(node, "activation", 0):
        return None
    axis = -1 if int_of(node, "channels_last", 1) else 1
    return _in_groups(ask, node, operands, int_of(node, "groups", 0), axis)


def _in_groups(
    ask: Asked, node: ir.Node, operands: Operands, groups: int, axis: int
) -> Fact | None:
    """Standardized over groups of channels, which stand on an axis, and all positions."""
    fact, lengths = _view(ask, node, operands), ask.lengths(node.inputs[0])
    if fact is None or lengths is None or len(lengths) < 2:  # noqa: PLR2004
        return None
    axis %= len(lengths)
    channels = lengths[axis]
    if not isinstance(channels, int) or groups < 1 or channels % groups:
        return None
    inner = _inner_digits(fact.frame[axis], channels // groups)
    if inner is None:
        return None
    positions = [each for each in range(1, len(lengths)) if each != axis]
    gone = frames.joined(frozenset(inner), frames.atoms_of(fact.frame, positions))
    z = _standardized(fact, gone, float_of(node, "epsilon", ONNX_EPSILON))
    parameters = [_per_channel(each, channels, groups) for each in operands[1:3]]
    if any(each and each.constant is None and not _certain(ask, each) for each in parameters):
        return None
    return _with_affine(ask, z, parameters, axis)


def _inner_digits(dim: frames.Dim, size: int) -> frames.Dim | None:
    """The trailing digits of a dimension that count up to a size."""
    if size == 1:
        return ()
    found = frames.reshaped((dim,), (_product(dim),), (_product(dim) // size, size))
    return None if found is None else found[1]


def _product(dim: frames.Dim) -> int:
    size = 1
    for atom in dim:
        size *= atom.size if isinstance(atom.size, int) else 1
    return size


def _certain(ask: Asked, operand: Operand) -> bool:
    """Whether it is known how many numbers there are: one for each channel, or for each group."""
    lengths = ask.lengths(operand.value)
    uniform = ask.uniform(operand.value) is not None
    return uniform or (lengths is not None and all(isinstance(length, int) for length in lengths))


def _per_channel(operand: Operand | None, channels: int, groups: int) -> Operand | None:
    """GroupNormalization-18 has a scale for each group, 21 for each channel."""
    if operand is None or operand.constant is None or not _is_by_group(operand, channels, groups):
        return operand
    return replace(operand, constant=np.repeat(operand.constant, channels // groups))


def _batch_norm(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """At inference: a constant factor and a constant shift for each channel."""
    first = operands[0]
    fact = None if first is None else first.fact
    if not isinstance(fact, Combination) or len(node.outputs) > 1:
        return None
    if int_of(node, "training_mode", 0) or not int_of(node, "spatial", 1):
        return None
    if any(each is not None and each.fact is not None for each in operands[3:5]):
        return _batch_statistics(fact, node, operands)
    numbers = [None if each is None else each.constant for each in operands[1:5]]
    if any(each is None or each.ndim != 1 for each in numbers) or len(numbers) != 4:  # noqa: PLR2004
        return None
    scale, bias, mean, var = (each.astype(np.float64) for each in numbers if each is not None)
    if len({each.size for each in (scale, bias, mean, var)}) > 1 or len(fact.frame) < _LEAST_RANK:
        return None  # no legal node
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(var + float_of(node, "epsilon", ONNX_EPSILON))
        shift = bias - mean * factor
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        return None
    shape = [-1 if axis == 1 else 1 for axis in range(len(fact.frame))]
    fields = [field(each.reshape(shape), fact.frame) for each in (factor, shift)]
    if fields[0] is None or fields[1] is None:
        return None
    scaled = algebra.scaled(fact, fields[0], fact.frame)
    return None if scaled is None else algebra.shifted(scaled, fields[1], fact.frame)


def _batch_statistics(fact: Combination, node: ir.Node, operands: Operands) -> Fact | None:
    """Its mean and variance were computed from X itself, over the batch."""
    mean, var = operands[3:5]
    variance = None if var is None else var.fact
    if not isinstance(variance, Statistic) or mean is None:
        return None
    variance = replace(variance, frame=_onto_channels(variance.frame, fact.frame))
    epsilon = number(float_of(node, "epsilon", ONNX_EPSILON))
    statistic = algebra.shifted(variance, epsilon, variance.frame)
    root = None if statistic is None else powers.powered(statistic, -1 / SQUARE)
    centered: Fact | None = fact
    if isinstance(mean.fact, Combination):
        found = replace(mean.fact, frame=_onto_channels(mean.fact.frame, fact.frame))
        centered = algebra.total(fact, found, -1.0)
    elif mean.number != 0.0:
        return None
    y = None if centered is None or root is None else algebra.product(centered, root)
    for operand, apply in zip(operands[1:3], (algebra.scaled, algebra.shifted), strict=True):
        numbers = None if operand is None else _standing(operand, fact.frame, 1)
        y = None if y is None or numbers is None else apply(y, numbers, fact.frame)
    return y


def _onto_channels(vector: Frame, frame: Frame) -> Frame:
    """The frame of a vector as it stands along axis 1."""
    return tuple(vector[0] if axis == 1 else () for axis in range(len(frame)))


def _mean_variance(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact = _view(ask, node, operands)
    if fact is None:
        return None
    axes = axes_within(ints_of(node, "axes") or [0, 2, 3], len(fact.frame))
    if axes is None:
        return None
    found = _standardized(fact, frames.atoms_of(fact.frame, axes), 0.0)
    if found is None or not isinstance(found.spread, Spread):
        return None
    return replace(found, spread=replace(found.spread, outer=_MVN_EPSILON))


def _lp_norm(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact = _view(ask, node, operands)
    axes = None if fact is None else axes_within([int_of(node, "axis", -1)], len(fact.frame))
    if fact is None or axes is None or not fact.is_view:
        return None
    return _over_norm(ask, node, fact, axes[0], float(int_of(node, "p", 2)))


def _over_norm(
    ask: Asked, node: ir.Node, fact: Combination, axis: int, power: float
) -> Combination | None:
    gone, lengths = frames.atoms_of(fact.frame, [axis]), ask.lengths(node.inputs[0])
    frame = frames.reduced(fact.frame, [axis], keep=True)
    if lengths is None:
        return None
    size = lengths[axis]
    square, count = (float(size), None) if isinstance(size, int) else (1.0, Count((size,), (size,)))
    statistic = Statistic(frame, gone, power, square, count=count)
    return replace(fact, spread=Spread(frame, statistic, guarded=True))


def _normalizer(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Of ai.onnx.ml: rows divided by their norm; a row of zeros stays."""
    fact = _view(ask, node, operands)
    kind = node.attributes["norm"].as_string() if "norm" in node.attributes else "MAX"
    if fact is None or kind not in ("L1", "L2") or not fact.is_view:
        return None
    return _over_norm(ask, node, fact, len(fact.frame) - 1, float(kind[1:]))


def _scaler(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Of ai.onnx.ml: (x - offset) scale by feature."""
    first = operands[0]
    fact = None if first is None else first.fact
    if not isinstance(fact, Combination) or len(fact.frame) > 2:  # noqa: PLR2004
        return None
    numbers = [
        np.asarray(node.attributes[name].as_floats(), np.float64)
        if name in node.attributes
        else np.asarray([default])
        for name, default in (("offset", 0.0), ("scale", 1.0))
    ]
    fields = [field(each, fact.frame) for each in numbers]
    if fields[0] is None or fields[1] is None:
        return None
    shifted = algebra.shifted(fact, -fields[0], fact.frame)
    return None if shifted is None else algebra.scaled(shifted, fields[1], fact.frame)


OPERATORS: Final[Mapping[tuple[str, str], Transfer]] = {
    ("", "BatchNormalization"): _batch_norm,
    ("", "GroupNormalization"): _group_norm,
    ("", "InstanceNormalization"): _instance_norm,
    ("", "LayerNormalization"): _layer_norm,
    ("", "LpNormalization"): _lp_norm,
    ("", "MeanVarianceNormalization"): _mean_variance,
    ("", "RMSNormalization"): _rms_norm,
    ("", "SimplifiedLayerNormalization"): _rms_norm,
    ("com.microsoft", "GroupNorm"): _group_norm_of_runtime,
    ("ai.onnx.ml", "Normalizer"): _normalizer,
    ("ai.onnx.ml", "Scaler"): _scaler,
}
