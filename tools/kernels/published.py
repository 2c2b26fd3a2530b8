"""Kernels as the makers of a runtime publish them, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import onnx

from normonnx.core.kernels import Kernel, Kernels
from normonnx.runtime import kernel_registry

_SECTION: Final = re.compile(r"^## Operators implemented by CUDAExecutionProvider$", re.MULTILINE)
_DOMAIN: Final = re.compile(r"\*\*Operator Domain:\*\* \*([\w.]+)\*")
_FIRST_INPUT: Final = re.compile(r"\*in\* \w+:\*\*([^*]+)\*\*")
_CONSTRAINT: Final = re.compile(r"\*\*(\w+)\*\* = ([^*]+?)(?=<br/>|$)")
_TENSORRT: Final = re.compile(r"TensorRT ([\d.]+) supports .* opset (\d+) to opset (\d+)")
_TENSORRT_TYPES: Final = {
    "FP32": "float32",
    "FP16": "float16",
    "BF16": "bfloat16",
    "INT64": "int64",
    "INT32": "int32",
    "INT8": "int8",
    "UINT8": "uint8",
    "BOOL": "bool",
}
_SUPPORTED: Final = "Y"


def onnxruntime_cuda(text: str, version: str) -> Kernels:
    """What docs/OperatorKernels.md of microsoft/onnxruntime says of the CUDA provider.

    Args:
        text: The file.
        version: Branch and commit, or release, that it is of.

    Raises:
        SystemExit: It has no such section.
    """
    start = _SECTION.search(text)
    if start is None:
        message = "this is no OperatorKernels.md: it has no section on CUDAExecutionProvider"
        raise SystemExit(message)
    section = text[start.end() :].partition("\n## ")[0]
    source = "docs/OperatorKernels.md of microsoft/onnxruntime, CUDAExecutionProvider"
    rows = kernel_registry.merged(_cuda_kernels(section))
    return Kernels(f"{source}, {version}" if version else source, rows)


def _cuda_kernels(section: str) -> Iterator[Kernel]:
    domain = operator = ""
    inputs: list[str] = []
    for line in section.splitlines():
        if found := _DOMAIN.search(line):
            domain = found[1].replace("ai.onnx", "") if found[1] == "ai.onnx" else found[1]
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|||"):
            cells = [operator, "", *cells]
        elif len(cells) == _COLUMNS and re.match(r"[\[\d]", cells[2]):
            operator, inputs = cells[0], _FIRST_INPUT.findall(cells[1])
        if len(cells) != _COLUMNS or not re.match(r"[\[\d]", cells[2]):
            continue
        first, last = _span(cells[2])
        constraints = dict(_CONSTRAINT.findall(cells[3]))
        named = next((name for name in inputs if name in constraints), inputs[0] if inputs else "")
        types = constraints.get(named, named if "(" in named else "")
        yield Kernel(
            domain,
            operator,
            first,
            kernel_registry.ending(first, last, _versions(domain, operator)),
            kernel_registry.element_types(filter(None, types.split(", "))),
        )


_COLUMNS: Final = 4


def _span(cell: str) -> tuple[int, int | None]:
    """First and last version: "13+", "13" or "[9, 12]"."""
    numbers = [int(number) for number in re.findall(r"\d+", cell)]
    return numbers[0], None if cell.endswith("+") else numbers[-1]


def _versions(domain: str, operator: str) -> list[int]:
    schemas = onnx.defs.get_all_schemas_with_history()
    return [s.since_version for s in schemas if (s.domain, s.name) == (domain, operator)]


def tensorrt(text: str, _version: str) -> Kernels:
    """What docs/operators.md of onnx/onnx-tensorrt says.

    Raises:
        SystemExit: It does not say which versions it is about.
    """
    about = _TENSORRT.search(text)
    if about is None:
        message = "this is no operators.md of onnx-tensorrt: it names no versions"
        raise SystemExit(message)
    version, _, highest = about.groups()
    kernels = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) > 1 and cells[1] == _SUPPORTED:
            named = re.findall(r"\w+", cells[2]) if len(cells) > 2 else []  # noqa: PLR2004
            types = frozenset(_TENSORRT_TYPES[name] for name in named if name in _TENSORRT_TYPES)
            kernels.append(Kernel("", cells[0], 1, int(highest), types))
    source = f"docs/operators.md of onnx/onnx-tensorrt, TensorRT {version}"
    return Kernels(source, kernel_registry.merged(kernels))
