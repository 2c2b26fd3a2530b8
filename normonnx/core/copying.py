"""A copy of a torch module, without importing torch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any


def copied(module: Any) -> Any:  # noqa: ANN401  # a torch.nn.Module, which core knows nothing of
    """A deep copy of a module whose tensors may have a history.

    torch refuses to copy a tensor that was computed with gradients, such as the weight that
    `torch.nn.utils.weight_norm` leaves on its layer; of these the numbers are copied.

    Raises:
        Exception: Whatever the module's own `__deepcopy__` raises.
    """
    memo: dict[int, Any] = {
        id(found): found.detach().clone() for found in _attributes(module) if _is_computed(found)
    }
    return copy.deepcopy(module, memo)


def _attributes(module: Any) -> Iterator[Any]:  # noqa: ANN401
    for each in module.modules():
        yield from vars(each).values()


def _is_computed(found: Any) -> bool:  # noqa: ANN401
    return getattr(found, "is_leaf", True) is False and hasattr(found, "detach")
