"""Where an external data file may lie, and where a model may be written.

A model names its data files relative to its own folder. Following such a name out of that folder
would let a downloaded model read any file of the user, so it is refused; but Hugging Face caches
keep model and data as links into one folder of blobs, which is legal: the data must lie, links
resolved, beside or below the model file, links resolved or not (CVE-2024-27318, CVE-2022-25882).
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.core.files import real


def external_file(model_path: Path, location: str) -> Path:
    """The file that `location` names for the model at `model_path`, links resolved.

    Raises:
        InvalidModelError: The name leaves the model's folder, or there is no such regular file.
    """
    named = f"{model_path}: external data {location!r}"
    relative = PurePosixPath(location.replace("\\", "/"))
    if not location:
        message = f"{named} names no file; export the model again"
        raise InvalidModelError(message)
    if "\0" in location or relative.is_absolute() or ".." in relative.parts:
        message = (
            f"{named} leaves the model's own folder, which is not allowed; "
            "keep the data file beside the model and name it without '..' or '/'"
        )
        raise InvalidModelError(message)
    folders = (real(model_path.parent), real(model_path).parent)
    for folder in folders:
        found = real(folder / relative)
        if not os.path.lexists(folder / relative):
            continue
        if not any(found.is_relative_to(allowed) for allowed in folders):
            message = (
                f"{named} is a link to {found}, outside the model's own folder, which is not "
                "allowed; copy the data file beside the model"
            )
            raise InvalidModelError(message)
        if not found.exists():
            message = f"{named} is a link to {found}, which does not exist; fetch that file"
            raise InvalidModelError(message)
        if not stat.S_ISREG(found.stat().st_mode):
            message = f"{named} is not a regular file; put the data file there"
            raise InvalidModelError(message)
        return found
    message = f"{named} is missing; put that file into {folders[0]} or fetch the model again"
    raise InvalidModelError(message)


def readable_model(path: str | os.PathLike[str]) -> Path:
    """Check that `path` is a file that can be read.

    Raises:
        UsageError: It does not exist, is a folder, or can't be read.
    """
    found = _usable(path)
    if not found.exists():
        message = f"{found}: no such file; check the path"
        raise UsageError(message)
    if found.is_dir():
        message = f"{found} is a folder, expected an ONNX file; name the .onnx file inside it"
        raise UsageError(message)
    if not stat.S_ISREG(found.stat().st_mode):
        message = f"{found} is not a regular file, so it can't be mapped; copy it to a file first"
        raise UsageError(message)
    if not os.access(found, os.R_OK):
        message = f"{found} can't be read; check its permissions"
        raise UsageError(message)
    return found


def writable_output(
    path: str | os.PathLike[str],
    *,
    inputs: tuple[Path, ...] = (),
    force: bool = False,
    example: str = "model.onnx",
) -> Path:
    """Check that a model, or another file, can be written to `path`, before any work is done.

    Args:
        path: Where the model is to be written.
        inputs: Files that must not be overwritten, unless `force`.
        force: Allow overwriting an input.
        example: A file's name, for the message that a folder was named.

    Raises:
        UsageError: It is a folder, its folder is missing or can't be written, or it is an input.
    """
    out = _usable(path)
    folder = out.parent
    if out.is_dir():
        message = f"{out} is a folder; name a file in it, for example {out / example}"
        raise UsageError(message)
    if not folder.is_dir():
        message = f"can't write {out}: its folder {folder} does not exist; create it first"
        raise UsageError(message)
    if not os.access(folder, os.W_OK | os.X_OK):
        message = f"can't write {out}: no permission to write in {folder}; choose another folder"
        raise UsageError(message)
    if out.exists() and not stat.S_ISREG(out.stat().st_mode):
        message = f"can't write {out}: it is not a regular file; choose another name"
        raise UsageError(message)
    if out.exists() and not os.access(out, os.W_OK):
        message = f"can't write {out}: it is write-protected; choose another name"
        raise UsageError(message)
    for source in inputs:
        if not force and out.exists() and source.exists() and out.samefile(source):
            message = (
                f"{out} is an input and would be overwritten; choose another name or use --force"
            )
            raise UsageError(message)
    return out


def _usable(path: str | os.PathLike[str]) -> Path:
    """`path` as a Path that can be asked about.

    Raises:
        UsageError: The system can't look at such a path, or ONNX can't hold such a name.
    """
    found = Path(path)
    try:
        found.name.encode()
        with suppress(FileNotFoundError, NotADirectoryError):
            found.stat()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        name = os.fsencode(found).decode(errors="replace")
        message = f"{name!r} can't be used as a path: {reason}; choose another name"
        raise UsageError(message) from None
    return found
