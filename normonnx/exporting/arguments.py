"""What a module is called with: checked, called once, and named."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from normonnx.core.errors import UsageError
from normonnx.exporting.blaming import first


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One call of a module.

    Attributes:
        args: By position.
        kwargs: By name.
        inputs: The tensors among them in order, by name.
        signature: Of the module's `forward`.
        outputs: Names of the tensors that came back, in order.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: Mapping[str, torch.Tensor]
    signature: inspect.Signature
    outputs: tuple[str, ...] = ()

    @property
    def bound(self) -> dict[str, Any]:
        """The arguments by the names of `forward`'s parameters, **kwargs by their own."""
        found = dict(self.signature.bind(*self.args, **self.kwargs).arguments)
        for each in self.signature.parameters.values():
            if each.kind is inspect.Parameter.VAR_KEYWORD and each.name in found:
                found |= found.pop(each.name)
        return found

    def having(self, tensors: Sequence[torch.Tensor]) -> Example:
        """The same call with other tensors, in order."""
        left = iter(tensors)

        def of(leaf: Any) -> Any:  # noqa: ANN401
            return next(left) if isinstance(leaf, torch.Tensor) else leaf

        args, kwargs = pytree.tree_map(of, (self.args, dict(self.kwargs)))
        inputs = dict(zip(self.inputs, tensors, strict=True))
        return Example(args, kwargs, inputs, self.signature, self.outputs)


def example_of(module: nn.Module, args: Any, kwargs: Mapping[str, Any] | None) -> Example:  # noqa: ANN401
    """A call, made once to see that it can be.

    Args:
        module: What is called.
        args: A tensor, or arguments by position.
        kwargs: Arguments by name.

    Raises:
        UsageError: The module doesn't take them, or gives no tensor.
    """
    if isinstance(args, Mapping) and kwargs is None:
        args, kwargs = (), args
    given = (args,) if isinstance(args, torch.Tensor) else tuple(args or ())
    named = _in_order(module, given, dict(kwargs or {}))
    inputs = dict(_named_tensors(module, given, named))
    result = _called(module, given, named)
    outputs = tuple(_result_names(result))
    if not outputs:
        message = (
            f"{type(module).__name__} returns {type(result).__name__}, with no tensor in it; an "
            "export needs one"
        )
        raise UsageError(message)
    return Example(given, named, inputs, inspect.signature(module.forward), outputs)


def _in_order(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments in the order of `forward`'s parameters, as torch has its inputs.

    Raises:
        UsageError: They don't fit.
    """
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        message = (
            f"{type(module).__name__} can't be called so: {error}; its forward takes "
            f"{signature}, and args has {len(args)} entries"
        )
        raise UsageError(message) from error
    first_ones = [name for name in bound.arguments if name in kwargs]
    return {name: kwargs[name] for name in dict.fromkeys([*first_ones, *kwargs])}


@torch.no_grad()
def _called(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        return module(*args, **kwargs)
    except Exception as error:  # whatever the user's module raises
        shapes = ", ".join(
            f"{tuple(x.shape)} {x.dtype}" for x in pytree.tree_leaves((args, kwargs))
            if isinstance(x, torch.Tensor)
        )  # fmt: skip
        message = (
            f"{type(module).__name__} fails on the arguments given ({shapes or 'no tensors'}): "
            f"{type(error).__name__}: {first(error)}; give arguments that it accepts"
        )
        raise UsageError(message) from error


def _named_tensors(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Named after `forward`'s parameters, as torch's exporter does."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs)
    kinds = inspect.signature(module.forward).parameters
    for name, value in bound.arguments.items():
        if kinds[name].kind is inspect.Parameter.VAR_POSITIONAL:
            nested: Any = {f"{name}_{number}": each for number, each in enumerate(value)}
        elif kinds[name].kind is inspect.Parameter.VAR_KEYWORD:
            nested = value
        else:
            nested = {name: value}
        for path, leaf in pytree.tree_leaves_with_path(nested):
            if isinstance(leaf, torch.Tensor):
                yield "_".join(_key(each) for each in path), leaf


def _key(entry: Any) -> str:  # noqa: ANN401  # one of torch's kinds of keys
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            return str(getattr(entry, name))
    return str(entry)


def _result_names(result: Any) -> Iterator[str]:  # noqa: ANN401
    """Names of a result's tensors: its own keys, "output" for a single one, else numbers."""
    found = [
        ("_".join(_key(each) for each in path), leaf)
        for path, leaf in pytree.tree_leaves_with_path(result)
        if isinstance(leaf, torch.Tensor)
    ]
    if len(found) == 1 and not found[0][0]:
        yield "output"
        return
    for name, _ in found:
        yield f"output_{name}" if not name or name[0].isdigit() else name


def name_keywords(module: nn.Module, example: Example) -> None:
    """Let `forward` of a copy name the keyword arguments that it takes as **kwargs, in place.

    torch.export loses track of their dynamic dimensions otherwise (2.13).
    """
    parameters = list(example.signature.parameters.values())
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    known = {each.name for each in parameters}
    named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    named += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
        for name in example.kwargs
        if name not in known
    ]
    original = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return original(*args, **kwargs)

    forward.__signature__ = example.signature.replace(parameters=named)  # type: ignore[attr-defined]
    module.forward = forward


def check_training(module: nn.Module, *, training: bool) -> None:
    """Refuse a module in training mode, unless that is asked for.

    Raises:
        UsageError: It, or a submodule, is in training mode.
    """
    found = next((path for path, each in module.named_modules() if each.training), None)
    if training or found is None:
        return
    what = f"submodule {found!r}" if found else "module"
    message = (
        f"the {what} ({type(module.get_submodule(found)).__name__}) is in training mode, where "
        "BatchNorm uses the batch's own statistics; call .eval() first, or say training=True "
        "(--training)"
    )
    raise UsageError(message)
