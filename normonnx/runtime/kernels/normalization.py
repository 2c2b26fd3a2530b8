"""Normalizations in float64: ONNX's operators, by the formulas of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Reader
from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Inputs, Invocation, Kernel


def _kernel(reader: Reader) -> Kernel:
    def kernel(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
        reading = reader(call, inputs)
        norm = CATALOGUE[reading.norm]
        parameters = [
            reading.parameters.get(each.name, np.full(1, each.default, np.float64))
            for each in norm.parameters
        ]
        defaults = {each.name: each.default for each in norm.attributes}
        found = norm.formula(inputs[0], *parameters, **{**defaults, **reading.attributes})
        results = found if isinstance(found, tuple) else (found,)
        if call.outputs > len(results):
            message = (
                f"the oracle can't evaluate {call.node.op_type} with {call.outputs} outputs "
                f"({call.node.name!r})"
            )
            raise UnsupportedOperatorError(message)
        return results[: call.outputs]

    return kernel


def _of(domain: str) -> Mapping[str, Kernel]:
    return {
        op_type: _kernel(reader)
        for (found, op_type), reader in CATALOGUE.readers.items()
        if found == domain
    }


NORMALIZATIONS: Final = _of("")
SCALERS: Final = _of("ai.onnx.ml")
