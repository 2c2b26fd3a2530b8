"""What a model file says about the session that runs it best, as data.

Some of what makes a model fast is no part of its graph: ONNX Runtime inserts
SkipLayerNormalization by itself, and on CPUs that is slower than what it replaces. Such advice
travels in the file's metadata, where every runtime leaves it alone. lower/ writes it, runtime/
reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

KEY: Final = "normonnx.session"  # in the model's metadata_props
FUSED: Final = "normonnx.fused"  # of nodes that change nothing, but let a runtime fuse others
VERSION: Final = 1
DISABLED: Final = "optimization.disable_specified_optimizers"
_SEPARATOR: Final = ";"


class UnknownHintsError(ValueError):
    """The metadata is damaged, or was written by a newer normonnx."""


@dataclass(frozen=True, slots=True)
class SessionHints:
    """Advice on the session of one model.

    Attributes:
        target: Name of the target that the model was optimized for.
        provider: Execution provider that the advice is for.
        entries: Session config entries, as ONNX Runtime names them.
    """

    target: str
    provider: str
    entries: Mapping[str, str] = field(default_factory=dict)

    @property
    def disabled(self) -> tuple[str, ...]:
        """Graph optimizers that should be left out."""
        return split(self.entries.get(DISABLED, ""))

    @property
    def text(self) -> str:
        """As it stands in a model's metadata."""
        plain = {
            "version": VERSION,
            "target": self.target,
            "provider": self.provider,
            "entries": dict(self.entries),
        }
        return json.dumps(plain, sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> SessionHints:
        """From a model's metadata.

        Raises:
            UnknownHintsError: It is none of this version.
        """
        try:
            found = json.loads(text)
            version = found["version"]
            if version == VERSION:
                entries = {str(name): str(value) for name, value in found["entries"].items()}
                return cls(str(found["target"]), str(found["provider"]), entries)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = f"they are damaged: {error!r}"
            raise UnknownHintsError(message) from None
        message = f"they have version {version!r}, expected {VERSION}"
        raise UnknownHintsError(message)


def split(optimizers: str) -> tuple[str, ...]:
    """Names of optimizers from the value of a config entry."""
    return tuple(filter(None, (name.strip() for name in optimizers.split(_SEPARATOR))))


def joined(optimizers: tuple[str, ...]) -> str:
    """The value of a config entry from names of optimizers."""
    return _SEPARATOR.join(optimizers)
