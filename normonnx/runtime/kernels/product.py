"""Gemm and MatMul in float64 (ONNX operator specification)."""

from __future__ import annotations

import numpy as np

from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel


def gemm(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Y = alpha A' B' + beta C."""
    a = inputs[0].T if call.int("transA", 0) else inputs[0]
    b = inputs[1].T if call.int("transB", 0) else inputs[1]
    product = np.matmul(a, b)
    alpha, beta = call.float("alpha", 1.0), call.float("beta", 1.0)
    y = product if alpha == 1.0 else (alpha * product).astype(product.dtype)
    if len(inputs) > 2 and inputs[2] is not None and beta != 0:  # noqa: PLR2004
        y = y + (inputs[2] if beta == 1.0 else (beta * inputs[2]).astype(product.dtype))
    return (y,)


def matmul(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Matrix product as in numpy."""
    return (np.asarray(np.matmul(inputs[0], inputs[1])),)


PRODUCTS: dict[str, Kernel] = {"Gemm": gemm, "MatMul": matmul}
