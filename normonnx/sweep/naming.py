"""Names of models in a sweep: relative paths that can be made below any folder.

A name keeps the folders that a model lies in. It has no "..", no empty part, nothing that a file
system or a terminal chokes on; no two names are one on a file system that ignores case, and none is
a folder of another. Where a name had to change or would clash, a digest of the model's path and
options stands before its suffix, so it does not depend on what else is swept.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath, PurePosixPath
from typing import Final

_REFUSED: Final = '<>:"|?*\\'  # by Windows
_LONGEST: Final = 150  # bytes of one part; a file's name may have 255, and we append to it
_DIGITS: Final = 10


def assigned(wanted: Sequence[tuple[PurePath, str]]) -> list[str]:
    """A name for each model.

    Args:
        wanted: Pairs of the relative path that a model is to be called by, and what identifies it
            for good, such as its absolute path; no two of the latter are the same.

    Returns:
        Names with slashes, in the same order.
    """
    plain = [_plain(path) for path, _ in wanted]
    names = [
        _tagged(name, identity) if name != str(PurePosixPath(path)) else name
        for name, (path, identity) in zip(plain, wanted, strict=True)
    ]
    clashing = _clashing(names)
    return [
        _tagged(name, identity) if _folded(name) in clashing else name
        for name, (_, identity) in zip(names, wanted, strict=True)
    ]


def _plain(path: PurePath) -> str:
    parts = [_part(part) for part in path.parts if part not in ("", "/", ".", "..")]
    return "/".join(parts) or "model"


def _part(part: str) -> str:
    fit = (char if char.isprintable() and char not in _REFUSED else "_" for char in part)
    made = "".join(fit).rstrip(" .") or "_"
    while len(made.encode()) > _LONGEST:
        stem, dot, suffix = made.rpartition(".")
        made = f"{stem[:-1]}{dot}{suffix}" if len(stem) > 1 and len(suffix) < _DIGITS else made[:-1]
    return made


def _tagged(name: str, identity: str) -> str:
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}-{digest}{path.suffix}"))


def _folded(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def _clashing(names: Iterable[str]) -> set[str]:
    """Names that are there twice, are a folder of another, or are what a save calls weights."""
    counts = Counter(map(_folded, names))
    found = {name for name, count in counts.items() if count > 1}
    for name in counts:
        found |= {str(parent) for parent in PurePosixPath(name).parents} & set(counts)
        weights = re.fullmatch(r"(.+?)(\.[0-9a-f]{12})?\.data", name)
        if weights is not None and weights[1] in counts:
            found.add(name)
    return found
