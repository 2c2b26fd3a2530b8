"""What a report says of its own making: command, files, versions, machine."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from normonnx.core.version import VERSION

if TYPE_CHECKING:
    from normonnx.reporting.html.reproduction import Circumstances

ARGUMENTS: Final = "normonnx.arguments"  # key of the context's meta: the command line
_PACKAGES: Final = (
    "onnx",
    "onnx-ir",
    "onnxscript",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "torch",
)
_CHUNK: Final = 1 << 20


def command_line() -> str:
    """The command that is running, as a shell takes it."""
    context = click.get_current_context(silent=True)
    arguments: Sequence[str] = () if context is None else context.meta.get(ARGUMENTS, ())
    return shlex.join(["normonnx", *arguments])


def circumstances(*files: tuple[str, Path | None]) -> Circumstances:
    """How the report that is being made comes about.

    Args:
        files: What was read or written, with what to call it; None is left out.
    """
    from normonnx.reporting.html.reproduction import Circumstances
    from normonnx.runtime.machine import processor

    machine = (
        ("processor", processor() or "unknown"),
        ("cores", str(os.cpu_count() or "unknown")),
        ("system", f"{platform.system()} {platform.machine()}"),
    )
    versions = [("normonnx", VERSION), ("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            versions.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    told = tuple((name, _file(path)) for name, path in files if path is not None)
    return Circumstances(command_line(), made, told, tuple(versions), machine)


def _file(path: Path) -> str:
    """Name and digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return f"{path.name}, SHA-256 {digest.hexdigest()}"
