"""What was found in a model, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import DOMAIN, Dim
from normonnx.graph.ranks import Ranks
from normonnx.recognize.arguments import Argument
from normonnx.recognize.fused import Surplus
from normonnx.recognize.regions import Region

_AFFINES: Final = frozenset(
    ["BatchNorm", "MaxAbsScaler", "MinMaxScaler", "RobustScaler", "StandardScaler"]
)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A normalization in a graph.

    Attributes:
        call: Which one it is, with its parameters and attributes.
        root: What is normalized.
        output: The result.
        arguments: For each parameter of the norm, what to give it.
        region: The nodes that it is made of.
        extras: Values that it gives besides the result, by the place among the norm's outputs.
        surplus: What else the operator does that it is, where that is one of ONNX Runtime's.
    """

    call: NormCall
    root: ir.Value
    output: ir.Value
    arguments: tuple[Argument, ...]
    region: Region
    extras: Mapping[int, ir.Value] = field(default_factory=dict)
    surplus: Surplus = field(default_factory=Surplus)

    @property
    def node(self) -> ir.Node:
        """The node that gives the result."""
        node = self.output.producer()
        if node is None:
            message = f"{self.output.name!r} is computed by no node"
            raise ValueError(message)
        return node

    @property
    def spelling(self) -> tuple[str, ...]:
        """The operators that it is made of, in their order."""
        return tuple(node.op_type for node in reversed(self.region.nodes))

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Of what is normalized, as the graph has it."""
        dims = self.call.shape
        return (dims[0], *dims[2:], dims[1]) if self.surplus.channels_last else dims

    @property
    def given(self) -> frozenset[str]:
        """Names of the parameters that the graph gives; the others have their defaults."""
        return frozenset(each.name for each in self.arguments if not each.is_default)

    @property
    def fixed(self) -> bool:
        """Whether it has no statistic of X."""
        region = self.call.norm.region
        return region.fixed or not region.measures

    @property
    def is_affine(self) -> bool:
        """Whether it is but a scale and a shift, which may fold."""
        return self.call.norm.name in _AFFINES and not self.call.attributes.get("clip")

    @property
    def is_call(self) -> bool:
        """Whether it is a call of the catalogue's function already."""
        return self.node.domain == DOMAIN


@dataclass(frozen=True, slots=True, eq=False)
class NearMiss:
    """What looks like a normalization and is none, or can't be taken for one.

    Attributes:
        node: Where it ends.
        reason: What is missing, as a sentence.
        is_affine: Whether it is about a scale and a shift, without a statistic.
    """

    node: ir.Node
    reason: str
    is_affine: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """What a model holds.

    Attributes:
        norms: Each normalization, in graph order.
        near_misses: Each chain that is nearly one, in graph order.
        ranks: Of the model's values, as it was; rewrites leave every value as long as it is.
    """

    norms: tuple[Found, ...]
    near_misses: tuple[NearMiss, ...]
    ranks: Ranks

    def only(self, *, affine: bool) -> Findings:
        """Those that are but a scale and a shift, or all others."""
        return Findings(
            tuple(found for found in self.norms if found.is_affine == affine),
            tuple(miss for miss in self.near_misses if miss.is_affine == affine),
            self.ranks,
        )
