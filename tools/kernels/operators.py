"""Which operators a normalization may become: all of all forms, and those that runtimes fuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import onnx
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import FUNCTIONS_SINCE
from normonnx.core.version import DOMAIN
from normonnx.lower.bodies import inside
from tests.unit.catalogue import uses

OPSETS: Final = range(7, 27)
TYPES: Final = ("float32", "float16", "bfloat16", "float64")
Operator = tuple[str, str]  # domain and name

_ONNX: Final = ("", "ai.onnx")
# Without a form of their own: what a runtime fuses normalizations into, and where they end up.
_FUSED: Final[frozenset[Operator]] = frozenset(
    {
        ("", "SimplifiedLayerNormalization"),
        ("", "GroupNormalization"),
        ("", "Identity"),
        ("", "MatMul"),
        ("", "Gemm"),
        ("", "ConvTranspose"),
        *(
            ("com.microsoft", name)
            for name in (
                "GroupNorm",
                "SkipGroupNorm",
                "SkipLayerNormalization",
                "SkipSimplifiedLayerNormalization",
            )
        ),
    }
)


def models(dtype: str, most: int | None = None) -> Iterator[onnx.ModelProto]:
    """Every form of every use of every normalization, at every opset, as a model.

    Args:
        dtype: Of X.
        most: How many uses of one normalization, None for all.
    """
    for use in (use for norm in CATALOGUE.values() for use in uses.uses_of(norm)[:most]):
        call, _ = uses.call_of(use, dtype)
        for opset in OPSETS:
            for form in call.forms_at(opset):
                yield ir.to_proto(call.model(form.name, opset=opset))
            if opset >= max(FUNCTIONS_SINCE, call.lowest_opset):
                yield ir.to_proto(call.model("function", opset=opset))


def used() -> frozenset[Operator]:
    """All operators that may come out."""
    found: set[Operator] = set(_FUSED)
    for model in models(TYPES[0]):
        nodes = [*model.graph.node, *(node for body in model.functions for node in body.node)]
        found |= {("" if each.domain in _ONNX else each.domain, each.op_type) for each in nodes}
    found = {operator for operator in found if operator[0] != DOMAIN}
    for domain, name in sorted(found):
        found |= _inside(domain, name)
    return frozenset(found)


def _inside(domain: str, name: str) -> set[Operator]:
    """What it is made of where there is no kernel for it."""
    try:
        inner = inside(domain, name, OPSETS[-1], TYPES[0])
    except onnx.defs.SchemaError:
        return set()
    return {each[:2] for each in inner or ()}
