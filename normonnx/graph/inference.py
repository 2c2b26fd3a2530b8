"""Types and shapes by onnx-shape-inference, whatever a model calls its dimensions."""

from __future__ import annotations

import logging

import onnx_ir as ir

from normonnx.graph import walk

logger = logging.getLogger(__name__)


def inferred(model: ir.Model) -> ir.Model:
    """A copy of a model with the types and shapes of its main graph; what fails is left out.

    What a model declares of the shapes between inputs and outputs is not trusted. A dimension
    whose name is no identifier, such as the "?" that exporters write, would end the inference.
    """
    import onnx_shape_inference  # half a second, rarely needed

    copy = model.clone()
    named = [(tensor, tensor.name) for tensor in walk.all_tensors(copy)]  # shared with the model
    for value in copy.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([_readable(dim) for dim in value.shape])
    for node in copy.graph:
        for value in node.outputs:
            value.shape = None
    try:
        onnx_shape_inference.infer_symbolic_shapes(copy)
    except Exception:  # it raises many kinds
        logger.debug("shape inference failed", exc_info=True)
    for tensor, name in named:
        tensor.name = name
    return copy


def _readable(dim: int | ir.SymbolicDim) -> int | ir.SymbolicDim | None:
    if isinstance(dim, int) or (dim.value or "").isidentifier():
        return dim
    return None
