"""One call of one operator: what a kernel is told besides its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

Array = npt.NDArray[Any]
Integer = int  # Invocation.int hides the type of that name
Integers = list[int]
Floats = list[float]  # as Invocation.float does
Inputs = Sequence[Any]  # arrays, None for one left out, lists for sequences


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """A node with its attributes resolved, in the operator set version it is written in.

    Attributes:
        node: The node.
        attributes: Its attributes; references to those of a function are replaced by their values.
        version: Version of the operator set of the node's domain.
    """

    node: ir.Node
    attributes: Mapping[str, ir.Attr]
    version: int

    def int(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes[name].as_int()) if name in self.attributes else default

    def float(self, name: str, default: float) -> float:
        """A floating-point attribute."""
        return float(self.attributes[name].as_float()) if name in self.attributes else default

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return str(self.attributes[name].as_string()) if name in self.attributes else default

    def ints(self, name: str) -> Integers | None:
        """A list attribute; None when absent."""
        if name not in self.attributes:
            return None
        return [int(number) for number in self.attributes[name].as_ints()]

    def floats(self, name: str) -> Floats | None:
        """A list attribute; None when absent."""
        if name not in self.attributes:
            return None
        return [float(number) for number in self.attributes[name].as_floats()]

    def axes(self, inputs: Inputs, index: Integer = 1, name: str = "axes") -> Integers | None:
        """Axes and the like: an attribute in older versions, an input in newer ones."""
        found = self.ints(name)
        if found is None and len(inputs) > index and inputs[index] is not None:
            found = [int(number) for number in np.asarray(inputs[index]).reshape(-1)]
        return found

    @property
    def outputs(self) -> Integer:
        """Number of outputs up to the last that has a name."""
        named = [k for k, value in enumerate(self.node.outputs, start=1) if value.name]
        return max(named, default=0)

    def proto(self) -> onnx.NodeProto:
        """The node as protobuf, attributes resolved."""
        found = onnx.NodeProto(op_type=self.node.op_type, domain=self.node.domain, name="node")
        found.input.extend("" if v is None else f"i{k}" for k, v in enumerate(self.node.inputs))
        found.output.extend(f"o{k}" if v.name else "" for k, v in enumerate(self.node.outputs))
        found.attribute.extend(ir.to_proto(value) for value in self.attributes.values())
        return found


Kernel = Callable[[Invocation, Inputs], tuple[Any, ...]]
