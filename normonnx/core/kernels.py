"""Which operators a runtime has kernels for, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SCHEMA: Final = 1
_ONNX: Final = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Kernel:
    """An operator that a runtime computes itself.

    Attributes:
        domain: Of the operator; "" for ONNX's own.
        op_type: Its name.
        first: First version of its operator set that it is for.
        last: Last version; None for all that follow.
        types: Element types of its first input, as numpy names them; empty where any will do.
    """

    domain: str
    op_type: str
    first: int = 1
    last: int | None = None
    types: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kernels:
    """All kernels of one runtime on one device.

    Attributes:
        source: Where the list comes from: the runtime and its version.
        kernels: In the order of their operators.
        casts: Element types that it computes in another where it has no kernel for them.
    """

    source: str
    kernels: tuple[Kernel, ...]
    casts: Mapping[str, str] = field(default_factory=dict)
    _by_operator: dict[tuple[str, str], list[Kernel]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Sort them by operator."""
        for each in self.kernels:
            self._by_operator.setdefault((each.domain, each.op_type), []).append(each)

    def has(self, domain: str, op_type: str, version: int, dtype: str) -> bool:
        """Whether there is a kernel.

        Args:
            domain: Of the operator; "" or "ai.onnx" for ONNX's own.
            op_type: Its name.
            version: Of the operator, that is, the opset in which it last changed.
            dtype: Element type of its first input, as numpy names it: "float32", "bfloat16".
        """
        found = self._by_operator.get(("" if domain in _ONNX else domain, op_type), ())
        return any(
            each.first <= version
            and (each.last is None or version <= each.last)
            and (not each.types or dtype in each.types)
            for each in found
        )

    @property
    def plain(self) -> dict[str, Any]:
        """As plain JSON."""
        rows = [
            [each.domain, each.op_type, each.first, each.last, sorted(each.types)]
            for each in self.kernels
        ]
        return {
            "schema": SCHEMA,
            "source": self.source,
            "casts": dict(self.casts),
            "kernels": sorted(rows, key=str),
        }

    @classmethod
    def of_plain(cls, found: Mapping[str, Any]) -> Kernels:
        """From plain JSON."""
        rows: Iterable[Sequence[Any]] = found["kernels"]
        return cls(
            str(found["source"]),
            tuple(
                Kernel(domain, op_type, first, last, frozenset(types))
                for domain, op_type, first, last, types in rows
            ),
            dict(found.get("casts", {})),
        )
