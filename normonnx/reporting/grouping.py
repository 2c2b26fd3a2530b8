"""Many events and comparisons, gathered into the few lines that a person reads.

Two reasons are of one kind when they differ only in the names they quote: "Conv 'a' is also read
by Add 'b'" and "Conv 'c' is also read by Add 'd'".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from normonnx.core.events import Event
from normonnx.core.inspection import AffineFound, NearMiss, NormFound
from normonnx.core.verdicts import Comparison, Verdict, conclusion

_QUOTED: Final = re.compile(r"""\s*(?<!\w)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)""")
T = TypeVar("T")


def kind_of(reason: str) -> str:
    """A reason without the names it quotes: "BatchNormalization folded into Conv"."""
    return _QUOTED.sub("", reason)


@dataclass(frozen=True, slots=True)
class Group:
    """Several nodes about which the same is said.

    Attributes:
        op_type: Operator of the nodes.
        kind: The reason, without names.
        example: The reason of the first of them, with names.
        nodes: Their names, in graph order.
    """

    op_type: str
    kind: str
    example: str
    nodes: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of nodes."""
        return len(self.nodes)

    @property
    def reason(self) -> str:
        """The reason in full when it is about one node, else without names."""
        return self.example if self.count == 1 else self.kind


Said = Event | NormFound | AffineFound | NearMiss


def group(found: Iterable[Said]) -> tuple[Group, ...]:
    """One group for each operator and kind of reason, the largest first."""
    gathered = _gather(found, lambda item: (_called(item), kind_of(item.reason)))
    groups = [
        Group(op_type, kind, items[0].reason, tuple(item.node for item in items))
        for (op_type, kind), items in gathered.items()
    ]
    return tuple(sorted(groups, key=lambda one: -one.count))


def _called(item: Said) -> str:
    return item.spelled if isinstance(item, NormFound) else item.op_type


@dataclass(frozen=True, slots=True)
class Judged:
    """All comparisons that answer one question about one backend.

    Attributes:
        question: "computes" or "equivalent".
        backend: What ran.
        verdict: What they say together.
        cases: Number of different inputs.
        outputs: Number of different outputs.
        worst: The comparison to show: the largest error over floor among those of that verdict.
        reasons: Why, without repetitions; empty on a plain pass.
    """

    question: str
    backend: str
    verdict: Verdict
    cases: int
    outputs: int
    worst: Comparison
    reasons: tuple[str, ...]


def judge(comparisons: Iterable[Comparison]) -> tuple[Judged, ...]:
    """One line for each question and backend, in the order they were asked."""
    gathered = _gather(comparisons, lambda one: (one.question, one.backend))
    return tuple(_judged(items) for items in gathered.values())


def _judged(items: list[Comparison]) -> Judged:
    verdict = conclusion(items)
    decisive = [item for item in items if item.verdict is verdict]
    worst = max(decisive, key=lambda item: -1.0 if math.isnan(item.ratio) else item.ratio)
    reasons = dict.fromkeys(f"{item.output!r}: {item.reason}" for item in decisive if item.reason)
    return Judged(
        question=worst.question,
        backend=worst.backend,
        verdict=verdict,
        cases=len({item.case for item in items}),
        outputs=len({item.output for item in items}),
        worst=worst,
        reasons=tuple(reasons),
    )


def _gather(
    items: Iterable[T], key: Callable[[T], tuple[str, str]]
) -> dict[tuple[str, str], list[T]]:
    gathered: dict[tuple[str, str], list[T]] = {}
    for item in items:
        gathered.setdefault(key(item), []).append(item)
    return gathered
