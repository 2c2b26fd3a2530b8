"""What an optimization did and what it left alone, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from normonnx.core.verdicts import ValidationReport


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stops a scale and shift on its way up or down.

    Attributes:
        reason: Why it goes no further, as a sentence for users.
        node: Name of the node where that is; its first output's name where the node has none.
    """

    reason: str
    node: str


@dataclass(frozen=True, slots=True)
class Event:
    """One rewrite that was applied, or one that was refused.

    Attributes:
        rule: Which rule spoke, for example "fold-affine".
        node: Name of the node it is about; its first output's name where the node has none.
        op_type: Operator of that node, for example "BatchNormalization".
        reason: What was done, or why it was not, as a sentence for users.
        removed: Number of nodes that the rewrite removed.
        added: Number of nodes that the rewrite added.
        nodes: Names of the nodes that went, as for `node`.
        up: What stops it on the way to what makes its input, where it is a scale and shift that
            stays; None where that way was not asked.
        down: The same on the way to what reads its output.
    """

    rule: str
    node: str
    op_type: str
    reason: str
    removed: int = 0
    added: int = 0
    nodes: tuple[str, ...] = ()
    up: Obstacle | None = None
    down: Obstacle | None = None


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What `normonnx.optimize` did.

    Attributes:
        applied: Rewrites that were made, in order.
        refused: Rewrites that were considered and not made, with reasons.
        nodes_before, nodes_after: Number of nodes per operator type, over all graphs.
        opset_before, opset_after: Version of the default domain.
        target: The target asked for.
        verification: Outcome of checking the result against the original in float64;
            None when no check was asked for.
        checked: Number of rewrites that were each proven right over the nodes that they changed;
            None when that was not asked for.
    """

    applied: tuple[Event, ...] = ()
    refused: tuple[Event, ...] = ()
    nodes_before: Mapping[str, int] = field(default_factory=dict)
    nodes_after: Mapping[str, int] = field(default_factory=dict)
    opset_before: int = 0
    opset_after: int = 0
    target: str = "portable"
    verification: ValidationReport | None = None
    checked: int | None = None

    @property
    def modified(self) -> bool:
        """Whether the model was changed at all."""
        return bool(self.applied)
