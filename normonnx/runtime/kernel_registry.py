"""Which kernels the installed ONNX Runtime has, asked of its own registry.

A kernel is registered for a span of versions of its operator, and for element types of the type
parameters in the operator's schema. Two rules of ONNX Runtime are applied here, so that nobody else
must know them. A span without an end covers only the version that it begins with: where the
operator changed later, the kernel is not for the newer one. And the types that count are those of
the operator's first input.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from normonnx.core.kernels import Kernel, Kernels

_ENDLESS: Final = 1 << 16  # what is greater is no version
_MAIN: Final = ("T", "T1")  # what most operators call the type of their first input
_TENSOR: Final = re.compile(r"^tensor\((\w+)\)$")
_NAMES: Final[Mapping[str, str]] = {
    "float": "float32",
    "double": "float64",
    "float8e4m3fn": "float8_e4m3fn",
    "float8e4m3fnuz": "float8_e4m3fnuz",
    "float8e5m2": "float8_e5m2",
    "float8e5m2fnuz": "float8_e5m2fnuz",
    "float8e8m0": "float8_e8m0fnu",
    "float4e2m1": "float4_e2m1fn",
}
# ONNX Runtime puts casts around a float16 node that no provider has taken; of other types, none.
_CASTS: Final[Mapping[str, Mapping[str, str]]] = {"CPUExecutionProvider": {"float16": "float32"}}
_SMALLEST: Final = (
    '<ir_version: 8, opset_import: ["": {}]> g (float[1] x) => (float[1] y) {{ y = Neg(x) }}'
)

Schemas = Mapping[tuple[str, str], Mapping[int, Any]]  # by operator, then by first version


@functools.cache
def installed(provider: str) -> Kernels | None:
    """The kernels of an execution provider; None where it, or ONNX Runtime, is not installed.

    Args:
        provider: Its full name: "CPUExecutionProvider".
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        registered = [each for each in state.get_all_opkernel_def() if each.provider == provider]
        schemas = _by_operator(state.get_all_operator_schema())
        source = f"onnxruntime {onnxruntime.__version__}, {provider}"
    except (AttributeError, ImportError):
        return None
    if not registered:
        return None
    rows = merged(_kernel(each, schemas) for each in registered)
    return Kernels(source, rows, _CASTS.get(provider, {}))


@functools.cache
def highest_opset() -> int | None:
    """The highest version of ONNX's operators that the installed ONNX Runtime loads."""
    import onnx

    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
    except (AttributeError, ImportError):
        return None
    options.log_severity_level = 4
    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        model = onnx.parser.parse_model(_SMALLEST.format(opset)).SerializeToString()
        try:
            onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception:  # noqa: BLE001, S112  # onnxruntime raises many kinds
            continue
        return opset
    return None


def element_types(types: Iterable[str]) -> frozenset[str]:
    """ONNX's names of types as numpy's names of their elements: "tensor(float)" is "float32"."""
    return frozenset(
        _TENSOR.sub(lambda found: _NAMES.get(found[1], found[1]), each) for each in types
    )


def merged(kernels: Iterable[Kernel]) -> tuple[Kernel, ...]:
    """The same kernels in fewer rows: types of one span together, and spans that follow on."""
    types: dict[tuple[str, str, int, int | None], frozenset[str] | None] = {}
    for each in kernels:
        key = each.domain, each.op_type, each.first, each.last
        known = types.get(key, frozenset())
        types[key] = known | each.types if each.types and known is not None else None
    rows: list[Kernel] = []
    for key in sorted(types, key=lambda key: key[:3]):
        row = Kernel(*key, types[key] or frozenset())
        before = rows[-1] if rows else None
        if before is not None and _follows(before, row):
            row = Kernel(row.domain, row.op_type, before.first, row.last, row.types)
            rows.pop()
        rows.append(row)
    return tuple(rows)


def ending(first: int, last: int | None, versions: Iterable[int]) -> int | None:
    """Last version that a kernel is for.

    Args:
        first: First version that it is registered for.
        last: Last version; None for an open end.
        versions: All that the operator changed in.
    """
    later = [version for version in versions if version > first]
    return min(later) - 1 if last is None and later else last


def _follows(before: Kernel, row: Kernel) -> bool:
    same = (before.domain, before.op_type, before.types) == (row.domain, row.op_type, row.types)
    return same and before.last is not None and before.last + 1 == row.first


def _by_operator(schemas: Iterable[Any]) -> Schemas:
    found: dict[tuple[str, str], dict[int, Any]] = defaultdict(dict)
    for schema in schemas:
        found[schema.domain, schema.name][schema.since_version] = schema
    return found


def _kernel(registered: Any, schemas: Schemas) -> Kernel:  # noqa: ANN401
    first, last = registered.version_range
    versions = schemas.get((registered.domain, registered.op_name), {})
    known = max((version for version in versions if version <= first), default=None)
    return Kernel(
        registered.domain,
        registered.op_name,
        first,
        ending(first, None if last > _ENDLESS else last, versions),
        _types(registered.type_constraints, None if known is None else versions[known]),
    )


def _types(constraints: Mapping[str, Sequence[str]], schema: Any) -> frozenset[str]:  # noqa: ANN401
    """Element types of the first input; none where any will do."""
    if schema is None:
        main = [constraints[name] for name in _MAIN if name in constraints][:1]
        chosen = main or list(constraints.values())
        return element_types(each for types in chosen for each in types)
    if not schema.inputs:
        return frozenset()
    first = schema.inputs[0]
    for name in (first.typeStr, first.name):  # a kernel may name the input instead of its type
        if name in constraints:
            return element_types(constraints[name])
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    return element_types(allowed.get(first.typeStr, [first.typeStr]))
