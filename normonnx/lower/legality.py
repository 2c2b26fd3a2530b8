"""Is a node legal in an opset, and does it mean the same? What no adapter needs to know.

An attribute that only the newer opset has may go where it says what was always so. One whose
default changed is written out. A type that the operator doesn't take is cast to one that holds the
same numbers, and back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import onnx_ir as ir

from normonnx.lower.crossing import Crossing, RefusalError, Written
from normonnx.lower.versions import Definition, Formal, changes, definition, type_name

_T = ir.DataType
# What to compute in where a type is not taken: it holds all numbers of the narrower one.
_WIDER: Final[Mapping[ir.DataType, Sequence[ir.DataType]]] = {
    _T.BFLOAT16: (_T.FLOAT,),
    _T.FLOAT16: (_T.FLOAT,),
    _T.BOOL: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.INT8: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.UINT8: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.INT16: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.UINT16: (_T.INT32, _T.INT64, _T.FLOAT),
    _T.INT32: (_T.INT64, _T.DOUBLE),
    _T.UINT32: (_T.INT64, _T.DOUBLE),
}
# Their types are what they are about, so nothing can be cast around them.
_TYPED: Final = frozenset(
    [
        "BitCast",
        "Cast",
        "CastLike",
        "Constant",
        "ConstantOfShape",
        "DequantizeLinear",
        "If",
        "Loop",
        "QLinearConv",
        "QLinearMatMul",
        "QuantizeLinear",
        "Scan",
    ]
)


def crossed(at: Crossing, *, up: bool) -> Written | None:
    """A node for which there is no adapter, in the next opset; None where it stays as it is.

    Raises:
        RefusalError: The operator, an input, an output or an attribute exists in one opset only.
    """
    node = at.node
    here = definition(node.op_type, at.opset - 1 if up else at.opset + 1)
    there = definition(node.op_type, at.opset)
    if here is None or there is None or there.deprecated > here.deprecated:
        verb = "is no longer in" if up else "is not in"
        message = f"{node.op_type} {verb} opset {at.opset}"
        raise RefusalError(message)
    _check_counts(at, there)
    drop = [name for name in node.attributes if name not in there.defaults]
    for name in drop:
        if not _says_nothing(node.attributes[name], here.defaults.get(name)):
            said = node.attributes[name].value
            message = f"its attribute {name} = {said} is not in {node.op_type}-{there.since}"
            raise RefusalError(message)
    written = {
        name: default
        for name, default in here.defaults.items()
        if default is not None
        and name not in node.attributes
        and there.defaults.get(name, default) != default
    }
    return at.again(drop=drop, attributes=written) if drop or written else None


def _check_counts(at: Crossing, there: Definition) -> None:
    node = at.node
    for index in range(there.most[0], len(node.inputs)):
        if at.given(index):
            message = f"it has {index + 1} inputs and {node.op_type}-{there.since} {there.most[0]}"
            raise RefusalError(message)
    for index in range(there.most[1], len(node.outputs)):
        if at.is_read(index) or node.outputs[index].name:
            found = len(node.outputs)
            message = f"it has {found} outputs and {node.op_type}-{there.since} {there.most[1]}"
            raise RefusalError(message)


def _says_nothing(attribute: ir.Attr, default: Any) -> bool:  # noqa: ANN401  # of any type
    """Whether an attribute says what is so without it."""
    if attribute.is_ref():
        return False
    if attribute.name == "dilations":
        return all(step == 1 for step in attribute.as_ints())
    return bool(attribute.value == default) and default is not None


def typed(at: Crossing) -> Written | None:
    """Casts around a node whose types its operator doesn't take; None where it does.

    Raises:
        RefusalError: No other type would do.
    """
    node = at.node
    found = definition(node.op_type, at.opset)
    if found is None:
        return None
    wrong = dict(_not_taken(at, found))
    _check_results(at, found, wrong)
    if not wrong:
        return None
    wider: dict[str, ir.DataType] = {}
    for kind, (dtype, types) in wrong.items():
        chosen = next((each for each in _WIDER.get(dtype, ()) if type_name(each) in types), None)
        if chosen is None or node.op_type in _TYPED:
            message = f"{node.op_type}-{found.since} doesn't take {dtype.name.lower()}"
            raise RefusalError(message)
        wider[kind] = chosen
    return _cast_around(at, found, wider, {kind: dtype for kind, (dtype, _) in wrong.items()})


def _check_results(at: Crossing, found: Definition, taken_care_of: Collection[str]) -> None:
    for index, value in enumerate(at.node.outputs):
        formal, dtype = found.output(index), at.asked.dtype(value)
        if formal is None or dtype is None or formal.kind in taken_care_of:
            continue
        if type_name(dtype) not in formal.types and _of_tensors(formal):
            message = f"{at.node.op_type}-{found.since} doesn't give {dtype.name.lower()}"
            raise RefusalError(message)


def _of_tensors(formal: Formal) -> bool:
    return any(each.startswith("tensor(") for each in formal.types)


def _not_taken(
    at: Crossing, found: Definition
) -> Iterator[tuple[str, tuple[ir.DataType, frozenset[str]]]]:
    """The kinds of types that inputs have and may not, with what they may be."""
    for index in range(len(at.node.inputs)):
        formal, dtype = found.input(index), at.dtype(index)
        if formal is None or dtype is None:
            continue
        if type_name(dtype) not in formal.types and _of_tensors(formal):
            yield formal.kind, (dtype, formal.types)


def _cast_around(
    at: Crossing,
    found: Definition,
    wider: Mapping[str, ir.DataType],
    narrow: Mapping[str, ir.DataType],
) -> Written:
    inputs: list[ir.Value | None] = []
    for index in range(len(at.node.inputs)):
        value, formal = at.optional(index), found.input(index)
        if value is not None and formal is not None and formal.kind in wider:
            value = at.op("Cast", value, to=int(wider[formal.kind]))
        inputs.append(value)
    outputs: list[ir.Value] = []
    for index, value in enumerate(at.again(inputs=inputs)):
        kind = "" if (formal := found.output(index)) is None else formal.kind
        narrowed = kind in wider
        outputs.append(at.op("Cast", value, to=int(narrow[kind])) if narrowed else value)
    return outputs


def borders(op_type: str, before: int, after: int) -> list[int]:
    """The opsets that changed an operator on the way, in order; each the higher of its two."""
    low, high = sorted((before, after))
    found = [version for version in changes(op_type) if low < version <= high]
    return found if after > before else found[::-1]
