"""What is read from a fitted torch or scikit-learn layer, without importing either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from normonnx.catalogue.norm import Array, Dim
from normonnx.core.errors import UsageError


def array(found: Any) -> Array:  # a torch tensor or what numpy takes
    """A torch tensor, or any sequence of numbers, as an array of its own type.

    Raises:
        UsageError: The tensor holds no numbers, or numpy has no such type.
    """
    if not hasattr(found, "detach"):
        return np.asarray(found)
    if found.is_meta:
        message = "a tensor is on the meta device, so it has no numbers; load the weights first"
        raise UsageError(message)
    tensor = found.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import ml_dtypes

        return np.asarray(tensor.float().numpy().astype(ml_dtypes.bfloat16))
    try:
        return np.asarray(tensor.numpy())
    except TypeError as error:
        message = f"a tensor is {tensor.dtype}; expected float16, bfloat16, float32 or float64"
        raise UsageError(message) from error


def affine_of(module: Any) -> dict[str, Array]:  # a torch module
    """Weight and bias of a layer as scale and bias; what it lacks is left out."""
    found = {}
    for name, ours in (("weight", "scale"), ("bias", "bias")):
        value = getattr(module, name, None)
        if value is not None:
            found[ours] = array(value)
    return found


def check_rank(module: Any, shape: Sequence[Dim], *ranks: int) -> None:  # a torch module
    """X has a rank that the layer takes; an image without a batch would be read as a batch.

    Raises:
        UsageError: It has another.
    """
    if len(shape) not in ranks:
        expected = " or ".join(map(str, ranks))
        message = (
            f"{type(module).__name__} is given X of rank {len(shape)}, shape {tuple(shape)}; "
            f"expected rank {expected}, the batch first"
        )
        raise UsageError(message)


def check_sizes(layer: Any, shape: Sequence[Dim]) -> None:  # a module or an estimator
    """X has the sizes that the layer was made for; a length of 1 would be stretched to any.

    Raises:
        UsageError: It has others.
    """
    rows = tuple(getattr(layer, "normalized_shape", ()))
    wanted = dict(zip(range(-len(rows), 0), rows, strict=True))
    learned = (getattr(layer, name, None) for name in ("weight", "running_mean"))
    if any(each is not None for each in learned):
        for name in ("num_features", "num_channels"):
            wanted |= {1: getattr(layer, name)} if hasattr(layer, name) else {}
    if hasattr(layer, "n_features_in_"):
        wanted[-1] = layer.n_features_in_
    for axis, size in wanted.items():
        found = shape[axis] if -len(shape) <= axis < len(shape) else None
        if isinstance(found, int) and found != size:
            message = (
                f"{type(layer).__name__} is made for size {size} of axis {axis}; X has {found}, "
                f"shape {tuple(shape)}"
            )
            raise UsageError(message)
