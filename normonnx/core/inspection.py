"""What a model holds that normonnx can say something about, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from normonnx.core.events import Obstacle


@dataclass(frozen=True, slots=True)
class NormFound:
    """One normalization in a model, however it is spelled.

    Attributes:
        node: Name of the node that gives the result; its first output's name where it has none.
        op_type: Operator of that node, for example "BatchNormalization".
        norm: Which normalization it is, for example "BatchNorm" or "LayerNorm".
        graph: Name of the graph or function that holds it; empty for the main graph.
        foldable: Whether it can be computed away into a neighbour.
        reason: Where it folds to, or why it can't, as a sentence for users.
        up: What stops it on the way to what makes its input; None where it folds, or was not
            asked to go there.
        down: The same on the way to what reads its output.
        normalizes: Name of the value that is normalized; empty where it was not made out.
        shape: Of that value; None for a length that is not known.
        spelling: The operators that it is made of, in their order.
        nodes: The names of these nodes.
        attributes: What it has for each attribute of the normalization, by name.
        parameters: The shape of each parameter that it is given, by name.
    """

    node: str
    op_type: str
    norm: str
    graph: str
    foldable: bool
    reason: str
    up: Obstacle | None = None
    down: Obstacle | None = None
    normalizes: str = ""
    shape: tuple[int | str | None, ...] = ()
    spelling: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    attributes: Mapping[str, float | tuple[int, ...]] = field(default_factory=dict)
    parameters: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)

    @property
    def spelled(self) -> str:
        """What to call it: its operator, or what it is and of how many nodes."""
        return self.op_type if len(self.spelling) < 2 else f"{self.norm}, taken apart"  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class NearMiss:
    """What looks like a normalization and is none.

    Attributes:
        node: Name of the node where it ends; its first output's name where it has none.
        op_type: Operator of that node.
        graph: Name of the graph or function that holds it; empty for the main graph.
        reason: What is missing, as a sentence for users.
    """

    node: str
    op_type: str
    graph: str
    reason: str


@dataclass(frozen=True, slots=True)
class AffineFound:
    """One multiplication or addition by a channel constant that is not part of a normalization.

    Attributes:
        node: Name of the node; its first output's name where the node has none.
        op_type: Operator of that node, for example "Mul".
        graph: Name of the graph or function that holds it; empty for the main graph.
        foldable: Whether it can be computed away into a neighbour.
        reason: Where it folds to, or why it can't, as a sentence for users.
        up: What stops it on the way to what makes its input; None where it folds, or was not
            asked to go there.
        down: The same on the way to what reads its output.
    """

    node: str
    op_type: str
    graph: str
    foldable: bool
    reason: str
    up: Obstacle | None = None
    down: Obstacle | None = None

    @property
    def spelled(self) -> str:
        """What to call it."""
        return self.op_type


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `normonnx.inspect` found in a model.

    Attributes:
        norms: Every normalization, in graph order.
        affines: Every other per-channel Mul, Add, Sub, Div or Neg, in graph order.
        near_misses: What looks like a normalization and is none, in graph order.
        nodes: Number of nodes per operator type, over all graphs and functions.
        opset: Version of the default operator set; 0 where the model imports none.
        ir_version: ONNX IR version of the file.
        producer: Name and version of the program that wrote the model; may be empty.
    """

    norms: tuple[NormFound, ...] = ()
    affines: tuple[AffineFound, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    nodes: Mapping[str, int] = field(default_factory=dict)
    opset: int = 0
    ir_version: int = 0
    producer: str = ""

    @property
    def foldable(self) -> int:
        """Number of normalizations and affines that can be computed away."""
        norms = sum(found.foldable for found in self.norms)
        return norms + sum(found.foldable for found in self.affines)
