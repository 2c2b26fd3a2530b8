"""A module that the command line names: MODULE:FACTORY, or path/to/file.py:FACTORY."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import torch
from torch import nn

from normonnx.core.errors import UsageError
from normonnx.core.objects import module_at
from normonnx.exporting.blaming import first

_EXAMPLE: Final = "name it MODULE:FACTORY or path/to/file.py:FACTORY, such as models.my:build"
_PAIR: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What a factory gave.

    Attributes:
        module: The module.
        args: Arguments of `forward` by position; None where the factory gave none.
        kwargs: By name.
    """

    module: nn.Module
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def made_by(name: str) -> Made:
    """Import and call a factory.

    It returns a module; or a pair of a module and its arguments, a tensor, a tuple or a dict; or
    three, the third being keyword arguments. A name that is a module already is taken as it is.

    Raises:
        UsageError: There is no such file, module or name, it raises, or returns something else.
    """
    place, colon, factory = name.rpartition(":")
    if not colon or not place or not factory:
        message = f"{name!r} names no factory; {_EXAMPLE}"
        raise UsageError(message)
    found: Any = _imported(place)
    for part in factory.split("."):
        if not hasattr(found, part):
            named = [n for n in vars(found) if not n.startswith("_")]
            message = f"{place} has no {factory!r}; it has {', '.join(named[:20]) or 'nothing'}"
            raise UsageError(message)
        found = getattr(found, part)
    if isinstance(found, nn.Module):
        return Made(found)
    if not callable(found):
        message = f"{name} is a {type(found).__name__}; expected a function that makes a module"
        raise UsageError(message)
    return _read(name, _called(name, found))


def _called(name: str, factory: Any) -> Any:  # noqa: ANN401
    try:
        return factory()
    except Exception as error:  # the user's code
        message = (
            f"{name} raised {type(error).__name__}: {first(error)}; it is called without arguments"
        )
        raise UsageError(message) from error


def _read(name: str, result: Any) -> Made:  # noqa: ANN401
    parts = tuple(result) if isinstance(result, tuple | list) else (result,)
    if not parts or not isinstance(parts[0], nn.Module) or len(parts) > _PAIR + 1:
        kinds = ", ".join(type(part).__name__ for part in parts)
        message = (
            f"{name} returned ({kinds}); expected a torch.nn.Module, or (module, args), or "
            "(module, args, kwargs)"
        )
        raise UsageError(message)
    if len(parts) == 1:
        return Made(parts[0])
    args = parts[1]
    if isinstance(args, Mapping):
        return Made(parts[0], (), dict(args))
    args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
    kwargs = dict(parts[2]) if len(parts) > _PAIR else {}
    return Made(parts[0], args, kwargs)


def _imported(place: str) -> ModuleType:
    try:
        return module_at(place)
    except FileNotFoundError as error:
        if error.filename is not None:  # raised by the user's code
            raise UsageError(_fails(place, error)) from error
        message = f"{place}: no such file; {_EXAMPLE}"
        raise UsageError(message) from error
    except ModuleNotFoundError as error:
        if error.name and (place == error.name or place.startswith(f"{error.name}.")):
            message = f"there is no module {place!r}; run where it can be imported, or {_EXAMPLE}"
        else:
            message = f"{place} needs {error.name!r}, which is not installed"
        raise UsageError(message) from error
    except Exception as error:  # the user's code
        raise UsageError(_fails(place, error)) from error


def _fails(place: str, error: Exception) -> str:
    return f"{place} can't be imported: {type(error).__name__}: {first(error)}"
