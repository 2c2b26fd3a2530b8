"""Python modules that a command line names, and what is in them: MODULE:NAME, FILE.py:NAME."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from normonnx.core.files import real


def is_file_name(place: str) -> bool:
    """Whether a place is a path rather than the name of a module."""
    return place.endswith(".py") or "/" in place


def module_at(place: str) -> ModuleType:
    """Import a module by name, also from the current folder, or by its file.

    A file's own folder can be imported from, as where Python runs it.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It is no Python file, or there is no such module.
        Exception: Whatever it raises.
    """
    if not is_file_name(place):
        _put_on_path(Path.cwd())
        return importlib.import_module(place)
    path = Path(place)
    if not path.is_file():
        raise FileNotFoundError(place)
    _put_on_path(real(path).parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        message = f"{place} is no Python file"
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
