"""What a transfer function is: from facts of a node's operands to the fact of its first output."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from normonnx.recognize.asking import Asked, Operands
from normonnx.recognize.facts import Fact

Transfer = Callable[[Asked, ir.Node, Operands], Fact | None]
