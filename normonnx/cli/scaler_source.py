"""The scaler that is named on a command line: an ONNX file, an object of Python, or a pickle.

Reading a pickle runs whatever it holds, so that is done only where the user says so.
"""

from __future__ import annotations

import contextlib
import difflib
import pickle
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from normonnx.core.errors import UnavailableError, UsageError
from normonnx.core.objects import is_file_name, module_at

PICKLES: Final = (".joblib", ".pkl", ".pickle")
_INSTALL: Final = "install normonnx[sklearn]"
_EXPECTED: Final = (
    "expected an .onnx file, MODULE:NAME or FILE.py:NAME for a fitted scaler or a function that "
    "returns one, or a .joblib or .pkl file with --trust-pickle"
)


def scaler_named(text: str, *, trust_pickle: bool) -> Any:  # noqa: ANN401  # a path, or an estimator
    """What a scaler on the command line stands for.

    Args:
        text: FILE.onnx, MODULE:NAME, FILE.py:NAME, or a pickle.
        trust_pickle: Whether a pickle may be read, which runs code.

    Returns:
        A path of an ONNX file, or whatever the object is.

    Raises:
        UsageError: There is no such thing, it fails, or it is a pickle that is not trusted.
        UnavailableError: A package that it needs is not installed.
    """
    path = Path(text)
    if path.suffix == ".onnx":
        return path
    if path.suffix in PICKLES:
        return _unpickled(path, trusted=trust_pickle)
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        message = f"scaler {text!r}: {_EXPECTED}"
        raise UsageError(message)
    with _told(text):
        module = _module(place)
        found: Any = module
        for part in name.split("."):
            if not hasattr(found, part):
                raise UsageError(_no_such(place, name, found))
            found = getattr(found, part)
        is_factory = callable(found) and not hasattr(found, "transform")
        return found() if is_factory else found


def file_of(text: str) -> Path | None:
    """The file that a scaler is read from; None where it comes from a module."""
    for path in (Path(text), Path(text.rpartition(":")[0])):
        if path.is_file():
            return path
    return None


@contextlib.contextmanager
def _told(text: str) -> Iterator[None]:
    """Failures of the user's code as one line; what it prints goes to stderr."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (UsageError, UnavailableError):
        raise
    except ModuleNotFoundError as error:
        missing = str(error.name or "").partition(".")[0]
        if missing in ("sklearn", "joblib"):
            message = f"scaler {text!r} needs scikit-learn, which is not installed; {_INSTALL}"
            raise UnavailableError(message) from None
        message = f"scaler {text!r} can't be loaded: {error}; install it, or mend the name"
        raise UsageError(message) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the user's code
        first = (str(error).strip().splitlines() or [""])[0]
        message = f"scaler {text!r} can't be loaded: {type(error).__name__}: {first}"
        raise UsageError(message) from None


def _module(place: str) -> ModuleType:
    if is_file_name(place) and not Path(place).is_file():
        message = f"there is no file {place}; {_EXPECTED}"
        raise UsageError(message)
    return module_at(place)


def _no_such(place: str, name: str, found: object) -> str:
    public = [each for each in dir(found) if not each.startswith("_")]
    close = difflib.get_close_matches(name.rpartition(".")[2], public, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{place} has no {name}{hint}"


def _unpickled(path: Path, *, trusted: bool) -> Any:  # noqa: ANN401  # whatever it holds
    if not path.is_file():
        message = f"there is no file {path}; {_EXPECTED}"
        raise UsageError(message)
    if not trusted:
        message = (
            f"{path} is a pickle: reading it runs whatever code it holds; give --trust-pickle if "
            "you know where it comes from, or export it with normonnx.export_scaler where it was "
            "made and give the .onnx file"
        )
        raise UsageError(message)
    with _told(str(path)):
        if path.suffix == ".joblib":
            return import_module("joblib").load(path)
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301  # trusted, as the user says
