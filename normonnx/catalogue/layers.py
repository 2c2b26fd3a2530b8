"""What is read from a fitted torch or scikit-learn layer, without importing either."""

from __future__ import annotations

from typing import Any

import numpy as np

from normonnx.catalogue.norm import Array


def array(found: Any) -> Array:  # a torch tensor or what numpy takes
    """A torch tensor, or any sequence of numbers, as an array of its own type."""
    if not hasattr(found, "detach"):
        return np.asarray(found)
    tensor = found.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import ml_dtypes

        return np.asarray(tensor.float().numpy().astype(ml_dtypes.bfloat16))
    return np.asarray(tensor.numpy())


def affine_of(module: Any) -> dict[str, Array]:  # a torch module
    """Weight and bias of a layer as scale and bias; what it lacks is left out."""
    found = {}
    for name, ours in (("weight", "scale"), ("bias", "bias")):
        value = getattr(module, name, None)
        if value is not None:
            found[ours] = array(value)
    return found
