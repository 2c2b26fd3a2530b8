"""Weights that a module computes from others, evaluated away: weight norm, spectral norm and so on.

torch has two ways to say that a weight is computed: parametrizations (`torch.nn.utils.parametrize`,
which also `parametrizations.weight_norm` and `orthogonal` use) and the older hooks of
`torch.nn.utils.weight_norm` and `spectral_norm`, which compute it before each forward. Both are
evaluated in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from normonnx.core.copying import copied
from normonnx.core.errors import UsageError

_HOOKS: Final = ("WeightNorm", "SpectralNorm")


def evaluated(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy of a module whose computed weights are plain parameters, and the names of these.

    Raises:
        UsageError: The module can't be copied.
    """
    try:
        own: nn.Module = copied(module)
    except Exception as error:  # whatever the module's own copying raises
        message = (
            f"{type(module).__name__} can't be copied ({type(error).__name__}: {error}); let its "
            "attributes be things that copy.deepcopy takes"
        )
        raise UsageError(message) from error
    computed = list(_computed(own))
    if not computed:
        return own, ()
    kinds = {path: getattr(own.get_submodule(path), name).dtype for path, name in computed}
    values = _values(module, computed)
    for (path, name), value in zip(computed, values, strict=True):
        _fix(own.get_submodule(path), name, value.to(kinds[path]))
    return own, tuple(f"{path}.{name}".lstrip(".") for path, name in computed)


def _computed(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Path of a submodule and the name of a tensor that it computes."""
    for path, each in module.named_modules():
        if parametrize.is_parametrized(each):
            yield from ((path, name) for name in each.parametrizations)
        yield from ((path, hook.name) for hook in _hooks(each))


def _hooks(module: nn.Module) -> list[Any]:
    """The older hooks; their class says what they are."""
    found = module._forward_pre_hooks.values()  # noqa: SLF001  # torch has no other way to ask
    return [hook for hook in found if type(hook).__name__ in _HOOKS and hasattr(hook, "name")]


@torch.no_grad()
def _values(module: nn.Module, computed: list[tuple[str, str]]) -> list[Tensor]:
    """In float64, of a module that stays as it is."""
    wide = copied(module).double().eval()
    found = []
    for path, name in computed:
        layer = wide.get_submodule(path)
        for hook in _hooks(layer):
            hook(layer, ())
        found.append(getattr(layer, name).detach().clone())
    return found


@torch.no_grad()
def _fix(layer: nn.Module, name: str, value: Tensor) -> None:
    """Make a computed tensor a parameter."""
    if parametrize.is_parametrized(layer):
        _unparametrize(layer)
    for key, hook in list(layer._forward_pre_hooks.items()):  # noqa: SLF001
        if type(hook).__name__ in _HOOKS and getattr(hook, "name", None) == name:
            del layer._forward_pre_hooks[key]  # noqa: SLF001
    for suffix in ("_g", "_v", "_orig"):
        layer._parameters.pop(name + suffix, None)  # noqa: SLF001
    for suffix in ("_u", "_v"):
        layer._buffers.pop(name + suffix, None)  # noqa: SLF001
    if name in vars(layer):
        delattr(layer, name)
    layer.register_parameter(name, nn.Parameter(value))


def _unparametrize(layer: nn.Module) -> None:
    """Give a layer its own class back.

    torch's own way would take the computed attribute from the class, which the copy shares with the
    user's module.
    """
    del layer._modules["parametrizations"]  # noqa: SLF001
    layer.__class__ = type(layer).__bases__[0]
