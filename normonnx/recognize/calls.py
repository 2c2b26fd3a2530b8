"""Calls of the catalogue's functions, which say themselves what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN, Norm
from normonnx.core.errors import UsageError
from normonnx.recognize.asking import Asked


def norm_called(node: ir.Node) -> Norm | None:
    """The normalization that a node calls; None for other nodes."""
    if node.domain != DOMAIN or node.op_type not in set(CATALOGUE):
        return None
    return CATALOGUE[node.op_type]


def call_of(ask: Asked, node: ir.Node) -> NormCall | str:
    """What a call of a function says, or why it can't be read."""
    norm = norm_called(node)
    x = node.inputs[0] if node.inputs else None
    lengths = ask.lengths(x)
    if norm is None or x is None or lengths is None:
        return "the number of axes of what is normalized is not known"
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return "its attributes are parameters of the function around it"
    shape = tuple(length if isinstance(length, int) else None for length in lengths)
    given: dict[str, Any] = {
        name: attribute.value
        for name, attribute in node.attributes.items()
        if name in {each.name for each in norm.attributes}
    }
    for parameter, value in zip(norm.parameters, node.inputs[1:], strict=False):
        constant = ask.constants.get(value)
        dims = ask.lengths(value)
        if constant is not None:
            given[parameter.name] = constant
        elif dims is not None:
            given[parameter.name] = tuple(n if isinstance(n, int) else None for n in dims)
        else:
            return f"the shape of its {parameter.name} is not known"
    try:
        return norm.define(shape, ask.element_type(x) or np.dtype(np.float32), **given)
    except UsageError as error:
        return str(error)
