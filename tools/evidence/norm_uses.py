"""One normalization of the catalogue as a small model, with parameters drawn at random."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir

import normonnx
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.checking import expected_shape

NORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "LayerNorm": {},
    "RMSNorm": {},
    "GroupNorm": {},
    "InstanceNorm": {},
    "LayerNorm2d": {},
    "LocalResponseNorm": {"size": 5, "alpha": 1e-3, "bias": 2.0},
    "LpNorm": {},
    "BatchNorm": {},
}
LAST_AXIS: Final = frozenset({"LayerNorm", "RMSNorm", "LpNorm"})
_LOWEST: Final = 13
_SEED: Final = 5


def use(norm: str, shape: Sequence[int], dtype: str = "float32") -> NormCall:
    """A use of a normalization on an input of that shape and type."""
    found = normonnx.norms[norm]
    given = dict(NORMS[norm])
    if norm == "GroupNorm":
        given["num_groups"] = math.gcd(shape[1] // 2, 32)
    source = np.random.default_rng(_SEED)
    for parameter in found.parameters:
        dims = expected_shape(parameter, tuple(shape), -1)
        drawn = source.uniform(0.5, 1.5, [int(dim or 1) for dim in dims])
        given[parameter.name] = drawn.astype(dtype)
    return found.define(shape, dtype, **given)


def forms(call: NormCall) -> list[str]:
    """Names of the forms that a use may take, the native one first."""
    return [form.name for form in sorted(call.forms, key=lambda form: not form.native)]


def model(call: NormCall, form: str) -> onnx.ModelProto:
    """A model of a use in one form, at the lowest opset from 13 on that has it."""
    since = call.norm.form(form).since
    return ir.to_proto(call.model(form, opset=max(_LOWEST, since)))
