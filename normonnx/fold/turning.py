"""Transposing a product before a reduction: what `TurnProduct` does to a graph."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.fold.plan import TurnProduct
from normonnx.graph import tensors
from normonnx.graph.editing import Editor, Operand

_REDUCE_AXES_ARE_AN_INPUT: Final = 18  # opset; an attribute before
_UNSQUEEZE_AXES_ARE_AN_INPUT: Final = 13


def turn(editor: Editor, edit: TurnProduct, opset: int) -> None:
    """Let a reduction read W' x' along its last axis in place of x W along the one before.

    Args:
        editor: Of the model.
        edit: The reduction and the product, whose constant holds W' by now.
        opset: Version of the default operator set that the nodes are written in.
    """
    node, rank, name = edit.node, edit.rank, edit.node.outputs[0].name
    turned = _turned(editor, edit)
    axes, attributes = _along(rank - 1, f"{name}_axes", as_input=opset >= _REDUCE_AXES_ARE_AN_INPUT)
    attributes.append(ir.AttrInt64("keepdims", 0))
    if not edit.keeps:
        editor.put(node, "", node.op_type, [turned, *axes], attributes=attributes)
        return
    reduced = editor.add_before(
        node, node.op_type, [turned, *axes], f"{name}_squeezed", attributes=attributes
    )
    axes, attributes = _along(
        rank - 2, f"{name}_axes", as_input=opset >= _UNSQUEEZE_AXES_ARE_AN_INPUT
    )
    editor.put(node, "", "Unsqueeze", [reduced, *axes], attributes=attributes)


def _turned(editor: Editor, edit: TurnProduct) -> ir.Value:
    """The transposed product, by a node of the same name."""
    product, source = edit.product, edit.source
    data, weight = product.inputs
    if data is None or weight is None:
        message = f"MatMul {product.name!r} has no two inputs"
        raise ValueError(message)
    if source is None:
        perm = [*range(edit.rank - 2), edit.rank - 1, edit.rank - 2]
        source = editor.add_before(
            product,
            "Transpose",
            [data],
            f"{data.name}_transposed",
            attributes=[ir.AttrInt64s("perm", perm)],
        )
    name = f"{product.outputs[0].name}_transposed"
    turned = editor.add_before(product, "MatMul", [weight, source], name)
    new = turned.producer()
    if new is not None:
        new.name, new.doc_string = product.name, product.doc_string
        new.metadata_props.update(product.metadata_props)
    return turned


def _along(axis: int, name: str, *, as_input: bool) -> tuple[list[Operand], list[ir.Attr]]:
    """The inputs and attributes that say which axis an operator is about."""
    if as_input:
        return [(tensors.of_array(np.array([axis], np.int64)), name)], []
    return [], [ir.AttrInt64s("axes", [axis])]
