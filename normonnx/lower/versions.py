"""What onnx says of an operator in one version of the default operator set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import onnx
import onnx_ir as ir

_Option = onnx.defs.OpSchema.FormalParameterOption
STANDARD: Final = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Formal:
    """An input or output of an operator.

    Attributes:
        name: As the specification has it.
        kind: Name of its type; those of one name are of the same type.
        types: The types that it may have, as "tensor(float)".
    """

    name: str
    kind: str
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Definition:
    """An operator in one version.

    Attributes:
        since: The version that brought this definition.
        deprecated: Whether it is no longer to be used.
        inputs: The last stands for all that follow, where `variadic`.
        outputs: As `inputs`.
        variadic: Whether the last input may be repeated.
        most: Largest number of inputs and of outputs.
        defaults: Attributes by name with their default; None for those without one.
    """

    since: int
    deprecated: bool
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    variadic: bool
    most: tuple[int, int]
    defaults: Mapping[str, Any]

    def input(self, index: int) -> Formal | None:
        """What the specification calls the index-th input."""
        if index < len(self.inputs):
            return self.inputs[index]
        return self.inputs[-1] if self.variadic and self.inputs else None

    def output(self, index: int) -> Formal | None:
        """What the specification calls the index-th output."""
        return self.outputs[min(index, len(self.outputs) - 1)] if self.outputs else None


@lru_cache(maxsize=1)
def _all() -> Mapping[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema.since_version)
    return {name: tuple(sorted(versions)) for name, versions in found.items()}


def changes(op_type: str) -> tuple[int, ...]:
    """The versions that changed an operator, ascending; none for what is no standard operator."""
    return _all().get(op_type, ())


@lru_cache(maxsize=4096)
def definition(op_type: str, opset: int) -> Definition | None:
    """An operator as of an opset; None where the opset doesn't have it."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    return Definition(
        since=schema.since_version,
        deprecated=schema.deprecated,
        inputs=_formals(schema.inputs),
        outputs=_formals(schema.outputs),
        variadic=any(each.option == _Option.Variadic for each in schema.inputs),
        most=(schema.max_input, schema.max_output),
        defaults={name: _default(found) for name, found in schema.attributes.items()},
    )


def _formals(found: Iterable[onnx.defs.OpSchema.FormalParameter]) -> tuple[Formal, ...]:
    return tuple(Formal(each.name, each.type_str, frozenset(each.types)) for each in found)


def _default(attribute: onnx.defs.OpSchema.Attribute) -> Any:  # noqa: ANN401  # of any type
    if not attribute.default_value.name:
        return None
    found = onnx.helper.get_attribute_value(attribute.default_value)
    return found.decode() if isinstance(found, bytes) else found


def named_type(name: str) -> ir.DataType | None:
    """The type that the specification writes so; None where it is none of a tensor."""
    return ir.DataType.__members__.get(name.removeprefix("tensor(").removesuffix(")").upper())


def type_name(dtype: ir.DataType) -> str:
    """A tensor's type as the specification writes it."""
    return f"tensor({dtype.name.lower()})"
