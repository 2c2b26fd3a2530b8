"""What there is to say about a normalization, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from normonnx.core.regions import Region

Number = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InputExplained:
    """An input besides X.

    Attributes:
        name: As ONNX or the layer names it.
        extent: Along what it runs.
        default: What stands for one left out; None where it may not be.
        meaning: What it is.
    """

    name: str
    extent: str
    default: float | None
    meaning: str


@dataclass(frozen=True, slots=True)
class AttributeExplained:
    """A number known when the model is made.

    Attributes:
        name: As ONNX or the layer names it.
        kind: Its ONNX type, for example "FLOAT".
        default: None where it must be given.
        meaning: What it is.
        choices: Names that stand for values.
    """

    name: str
    kind: str
    default: Number | None
    meaning: str
    choices: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class FormExplained:
    """One equivalent subgraph.

    Attributes:
        name: What it is made of.
        since: Lowest opset that has its operators.
        until: Highest opset, None for all.
        native: Whether it is one operator that is this normalization.
        body: Whether the ONNX function is made of it.
        centered: Whether it stays right at any mean of the input.
        operators: The normalization operators that it may write, other domains as "domain::name".
        caveat: Where a well-known runtime's kernel gets it wrong, and how; empty where none does.
    """

    name: str
    since: int
    until: int | None
    native: bool
    body: bool
    centered: bool
    operators: tuple[str, ...]
    caveat: str


@dataclass(frozen=True, slots=True)
class NormExplained:
    """A normalization.

    Attributes:
        name: Name of its ONNX function, too.
        aliases: Other names of the field.
        equation: The formula as text.
        region: What enters a statistic.
        centered: Whether it subtracts a mean of X.
        inputs: Besides X.
        outputs: Names; the first is the result.
        attributes: What is known when the model is made.
        forms: Equivalent subgraphs.
        operators: The ONNX operators that are this normalization, with their domain.
        layers: The torch or scikit-learn classes that are.
        use: What it is good for.
        source: The paper, or the specification.
    """

    name: str
    aliases: tuple[str, ...]
    equation: str
    region: Region
    centered: bool
    inputs: tuple[InputExplained, ...]
    outputs: tuple[str, ...]
    attributes: tuple[AttributeExplained, ...]
    forms: tuple[FormExplained, ...]
    operators: tuple[str, ...]
    layers: tuple[str, ...]
    use: str
    source: str
