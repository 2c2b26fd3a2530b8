"""Which normalization an operator is: ONNX's own, fused ones of runtimes, calls of functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN

NORM_OPERATORS: Final[Mapping[tuple[str, str], str]] = {
    (domain, op_type): norm.name
    for norm in CATALOGUE.values()
    for domain, op_type in (*norm.readers, *norm.fused, (DOMAIN, norm.name))
}


def norm_of(domain: str, op_type: str) -> str | None:
    """Name of the normalization that an operator is; None when it is none."""
    return NORM_OPERATORS.get(("" if domain == "ai.onnx" else domain, op_type))
