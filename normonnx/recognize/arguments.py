"""What to give a norm's function for each of its parameters: a constant, or a value of the graph.

A parameter that the model holds as it is stays that constant. An operand at run time may have to be
reshaped, since (N, 1, D) is added where the function wants (N, D).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.checking import expected_shape
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOUBLE, Extent, Parameter
from normonnx.core.dtypes import is_float
from normonnx.graph.lengths import Length, Lengths
from normonnx.recognize.asking import Asked
from normonnx.recognize.facts import Runtime
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.readings import Missing, Reading

_VIEWS: Final = frozenset(["Identity", "Reshape", "Squeeze", "Unsqueeze"])
_NARROW: Final = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """What a parameter is given.

    Attributes:
        name: Of the parameter.
        array: A new constant; None where it is a value of the graph.
        value: That value.
        shape: What the value is reshaped to first; None where it fits.
        is_default: Whether the graph gives nothing for it.
    """

    name: str
    array: npt.NDArray[Any] | None = None
    value: ir.Value | None = None
    shape: tuple[int, ...] | None = None
    is_default: bool = False


Bound = tuple[Mapping[str, Any], tuple[Argument, ...], Mapping[str, Any]]


def arguments_of(
    ask: Asked, reading: Reading, lengths: Lengths, kind: np.dtype[Any]
) -> Bound | Missing:
    """What is given by name, the arguments in order, and attributes that they bring along."""
    least = CATALOGUE[reading.norm].min_rank
    if len(lengths) < least:
        return Missing(f"{reading.norm} needs {least} axes or more")
    given: dict[str, Any] = {}
    arguments: list[Argument] = []
    attributes: dict[str, Any] = {}
    dims = tuple(length if isinstance(length, int) else None for length in lengths)
    axis = reading.attributes.get("axis", -1)
    for parameter in CATALOGUE[reading.norm].parameters:
        found = reading.parameters.get(parameter.name)
        if found is None:
            default = np.asarray([parameter.default], kind)
            arguments.append(Argument(parameter.name, default, is_default=True))
            continue
        if isinstance(found, Runtime):
            wanted = expected_shape(parameter, dims, int(axis) if isinstance(axis, int) else -1)
            argument, offset = _at_run_time(ask, parameter, found, lengths, len(wanted))
            if argument is None:
                return Missing(f"its {parameter.name} has an unsuitable shape")
            attributes |= offset
            given[parameter.name] = wanted
            arguments.append(argument)
            continue
        source = reading.sources.get(parameter.name)
        argument = _constant(ask, parameter, found, source, _type_of(parameter, reading, kind))
        given[parameter.name] = (
            argument.array if argument.array is not None else _held(ask, argument)
        )
        arguments.append(argument)
    return given, tuple(arguments), attributes


def _type_of(parameter: Parameter, reading: Reading, kind: np.dtype[Any]) -> np.dtype[Any]:
    """That of X; of what was measured float64 where that is computed in, as in scalers."""
    wide = parameter.statistic and reading.attributes.get("stash_type") == DOUBLE
    return np.dtype(np.float64) if wide else kind


def _held(ask: Asked, argument: Argument) -> npt.NDArray[Any] | None:
    return ask.constants.get(argument.value)


def _constant(
    ask: Asked, parameter: Parameter, array: Array, source: Field | None, kind: np.dtype[Any]
) -> Argument:
    """The model's own constant where it is the parameter as it stands."""
    shaped = array if parameter.extent is Extent.TRAILING else array.reshape(-1)
    held = None if source is None or source.source is None else ask.constants.get(source.source)
    same = held is not None and held.dtype == kind and np.array_equal(held, shaped)
    if source is not None and same:  # in a view, equal lengths may stand for other axes
        return Argument(parameter.name, value=source.source)
    return Argument(parameter.name, _rounded(shaped, kind))


def _rounded(array: Array, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """In the type of X, or in float32 where that type is narrow and would lose digits."""
    found = array.astype(kind)
    if kind in _NARROW and not np.array_equal(found.astype(np.float64), array):
        return array.astype(np.float32)
    return found


def _at_run_time(
    ask: Asked, parameter: Parameter, operand: Runtime, lengths: Lengths, rank: int
) -> tuple[Argument | None, dict[str, float]]:
    value, offset = operand.value, dict[str, float]()
    atoms = [(atom.axis, -atom.stride) for dim in operand.frame for atom in dim]
    if atoms != sorted(atoms):
        return None, {}  # it met a transposed view
    if parameter.extent in (Extent.SAMPLE_CHANNELS, Extent.SAMPLE_FEATURES):
        if parameter.name == "scale":
            value, offset = _without_offset(ask, value)
        value = _through_views(ask, value, _wanted(parameter, lengths, rank))
    wanted = _wanted(parameter, lengths, rank)
    have = ask.lengths(value)
    if have is None:
        return None, {}
    if _agree(have, wanted):
        return Argument(parameter.name, value=value), offset
    kept = [length for length in have if length != 1]
    if not _agree(kept, [length for length in wanted if length != 1]):
        return None, {}
    shape = _target(have, wanted)
    if shape is None:
        return None, {}
    return Argument(parameter.name, value=value, shape=shape), offset


def _target(have: Sequence[Length], wanted: Sequence[Length]) -> tuple[int, ...] | None:
    """What to reshape to: 0 for a length that stays where it is, -1 for one other unknown one."""
    places = iter([place for place, length in enumerate(have) if length != 1])
    shape = list[int]()
    for at, length in enumerate(wanted):
        place = -1 if length == 1 else next(places)
        known = 1 if length == 1 else have[place]  # where that is unknown it may be 1
        shape.append(known if isinstance(known, int) else 0 if place == at else -1)
    return tuple(shape) if shape.count(-1) <= 1 else None


def _agree(have: Sequence[Length], wanted: Sequence[Length]) -> bool:
    """Lengths that are equal wherever both are known: the model broadcast one to the other."""
    return len(have) == len(wanted) and all(
        one == other or not isinstance(one, int) or not isinstance(other, int)
        for one, other in zip(have, wanted, strict=True)
    )


def _wanted(parameter: Parameter, lengths: Lengths, rank: int) -> tuple[Length, ...]:
    if parameter.extent is Extent.CHANNELS:
        return (lengths[1],)
    if parameter.extent is Extent.SAMPLE_CHANNELS:
        return (lengths[0], lengths[1])
    if parameter.extent is Extent.SAMPLE_FEATURES:
        return (lengths[0], lengths[-1])
    return tuple(lengths[len(lengths) - rank :])


def _through_views(ask: Asked, value: ir.Value, wanted: Sequence[Length] | None = None) -> ir.Value:
    """What an operand is a view of; the function wants fewer axes of size 1.

    A view may have been cut up anew: what it is a view of has to have the lengths that are wanted.
    """
    given = value
    for _ in range(4):
        node = value.producer()
        source = None if node is None or node.domain or not node.inputs else node.inputs[0]
        if node is None or source is None:
            break
        if node.op_type not in _VIEWS and not _widens(ask, node, source):
            break
        value = source
    return value if wanted is None or _only_narrower(ask, given, value) else given


def _only_narrower(ask: Asked, view: ir.Value, source: ir.Value) -> bool:
    """Whether two values certainly have the same lengths, but for those of 1."""
    shapes = ask.lengths(view), ask.lengths(source)
    if shapes[0] is None or shapes[1] is None:
        return False
    kept = [[length for length in shape if length != 1] for shape in shapes if shape is not None]
    return kept[0] == kept[1]


def _widens(ask: Asked, node: ir.Node, source: ir.Value) -> bool:
    """Whether a Cast loses nothing; the function casts what it is given itself."""
    kinds = ask.element_type(source), ask.element_type(node.outputs[0])
    if node.op_type != "Cast" or kinds[0] is None or kinds[1] is None:
        return False
    return is_float(kinds[0]) and kinds[0].itemsize < kinds[1].itemsize


def _without_offset(ask: Asked, value: ir.Value) -> tuple[ir.Value, dict[str, float]]:
    """1 + scale is scale with offset 1."""
    base = _through_views(ask, value)
    node = base.producer()
    sums = node is not None and node.op_type in ("Add", "Sum") and len(node.inputs) == 2  # noqa: PLR2004
    if node is None or not sums or node.domain:
        return value, {}
    for index in (0, 1):
        constant, other = ask.constants.get(node.inputs[index]), node.inputs[1 - index]
        if constant is not None and constant.size == 1 and other is not None:
            return other, {"offset": float(constant.reshape(-1)[0])}
    return value, {}
