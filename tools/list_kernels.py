"""Write the tables of kernels that come with normonnx: normonnx/lower/tables/kernels-TARGET.json.

    python tools/list_kernels.py ort-cpu                          the installed ONNX Runtime
    python tools/list_kernels.py openvino                         the installed OpenVINO, by trying
    python tools/list_kernels.py ort-cuda OperatorKernels.md --version "main at 001d12d2623f"
    python tools/list_kernels.py tensorrt operators.md

The Markdown files are docs/OperatorKernels.md of microsoft/onnxruntime and docs/operators.md of
onnx/onnx-tensorrt. Tables hold the operators that a form of a normalization may use, no others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from normonnx.core.kernels import Kernels
from normonnx.runtime import kernel_registry
from tools.kernels import operators, published, tried

_TABLES: Final = Path(__file__).parents[1] / "normonnx" / "lower" / "tables"


def _installed_ort(_text: str, _version: str) -> Kernels:
    found = kernel_registry.installed("CPUExecutionProvider")
    if found is None:
        message = "onnxruntime is not installed; pip install 'normonnx[cpu]'"
        raise SystemExit(message)
    return found


_SOURCES: Final[Mapping[str, Callable[[str, str], Kernels]]] = {
    "ort-cpu": _installed_ort,
    "ort-cuda": published.onnxruntime_cuda,
    "tensorrt": published.tensorrt,
    "openvino": tried.openvino,
}


def text_of(kernels: Kernels) -> str:
    """The table as JSON, a line for each kernel."""
    plain = kernels.plain
    rows = ",\n".join(f"    {json.dumps(row)}" for row in plain.pop("kernels"))
    head = json.dumps(plain)[:-1]
    return f'{head}, "kernels": [\n{rows}\n]}}\n'


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=list(_SOURCES))
    parser.add_argument("markdown", nargs="?", type=Path, help="the published list")
    parser.add_argument("--version", default="", help="of the published list")
    parser.add_argument("--into", type=Path, default=_TABLES, help="folder of the table")
    chosen = parser.parse_args(arguments)
    text = chosen.markdown.read_text(encoding="utf-8") if chosen.markdown else ""
    found = _SOURCES[chosen.target](text, chosen.version)
    wanted = operators.used()
    kept = tuple(each for each in found.kernels if (each.domain, each.op_type) in wanted)
    path = chosen.into / f"kernels-{chosen.target}.json"
    path.write_text(text_of(Kernels(found.source, kept, found.casts)), encoding="utf-8")
    print(f"{path.name}: {len(kept)} kernels, from {found.source}")


if __name__ == "__main__":
    main()
