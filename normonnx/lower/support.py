"""Whether a target runs every operator of a form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Form
from normonnx.graph.element_types import element_type
from normonnx.lower.form_graph import form_graph, placeholders
from normonnx.lower.targets import runs

if TYPE_CHECKING:
    from normonnx.lower.choosing import Wanted


def runs_form(call: NormCall, form: Form, opset: int, wanted: Wanted) -> bool:
    """Whether the target has kernels for all nodes of a form, in the types that they work in."""
    if wanted.kernels is None:
        return True
    return all(
        runs(wanted.kernels, domain, op_type, opset, dtype)
        for domain, op_type, dtype in _operators(call, form, opset)
    )


def _operators(call: NormCall, form: Form, opset: int) -> Sequence[tuple[str, str, str]]:
    """Each operator of a form, with the element type of its first input."""
    made = form_graph(call, form, opset, placeholders(call))
    found = []
    for node in made.nodes:
        kind = element_type(node.inputs[0]) if node.inputs else None
        found.append((node.domain, node.op_type, (kind or call.dtype).name))
    made.drop()
    return found
