"""Which dimensions of the inputs are dynamic, and what they are called.

torch.export calls them s77 and so on, since a name of its own would be a promise about sizes; the
names that were asked for are given to the finished model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import onnx_ir as ir
import torch
from torch.export import Dim
from torch.utils import _pytree as pytree

from normonnx.core.errors import UsageError

Axes = Mapping[int, str]
Dynamic = str | Mapping[str, Axes | Sequence[str]] | None
_BATCH: Final = "batch"
_SYMBOL: Final = re.compile(r"[A-Za-z_]\w*")


def asked(dynamic: Dynamic, inputs: Mapping[str, torch.Tensor]) -> dict[str, dict[int, str]]:
    """The dynamic axes of each input, by name.

    Args:
        dynamic: A name, for the first axis of every input; or for inputs by name their axes with a
            name each.
        inputs: The example inputs by name, in order.

    Raises:
        UsageError: An input or an axis is not there.
    """
    if dynamic is None:
        return {}
    if isinstance(dynamic, str):
        _check_name(dynamic)
        found = {name: {0: dynamic} for name, x in inputs.items() if x.ndim}
    else:
        found = {name: _axes(axes) for name, axes in dynamic.items()}
    sizes: dict[str, tuple[str, int]] = {}
    for name, axes in found.items():
        if name not in inputs:
            message = f"dynamic names input {name!r}; the module has {', '.join(inputs)}"
            raise UsageError(message)
        for axis, symbol in axes.items():
            _check_name(symbol)
            _check_axis(name, inputs[name], axis)
            size = int(inputs[name].shape[axis])
            where, before = sizes.setdefault(symbol, (f"{name}:{axis}", size))
            if size != before:
                message = (
                    f"dimension {symbol!r} is {before} at {where} and {size} at {name}:{axis}; "
                    "give examples where it has one size, or two names"
                )
                raise UsageError(message)
    return found


def _axes(given: Axes | Sequence[str]) -> dict[int, str]:
    if isinstance(given, Mapping):
        return {int(axis): name for axis, name in given.items()}
    return {axis: name for axis, name in enumerate(given) if name}


def _check_name(name: str) -> None:
    if not _SYMBOL.fullmatch(name):
        message = f"{name!r} is no name of a dimension; expected letters, such as 'batch'"
        raise UsageError(message)


def _check_axis(name: str, x: torch.Tensor, axis: int) -> None:
    if not 0 <= axis < x.ndim:
        message = f"input {name!r} has axes 0 to {x.ndim - 1}; {axis} can't be dynamic"
        raise UsageError(message)


def widened(x: torch.Tensor, axes: Axes) -> torch.Tensor:
    """An example whose dynamic axes are longer than 1: torch takes a 1 for a constant."""
    for axis in axes:
        if x.shape[axis] == 1:
            x = torch.cat([x, x], dim=axis)
    return x


def specification(
    arguments: Mapping[str, Any], names: Sequence[str], axes: Mapping[str, Axes]
) -> Any:  # noqa: ANN401  # as nested as the inputs
    """What torch.export takes as dynamic_shapes, by the names of `forward`'s parameters.

    Args:
        arguments: The example's, by these names.
        names: Of their tensors, in order.
        axes: The dynamic axes by name.
    """
    left = iter(names)

    def of(leaf: Any) -> Any:  # noqa: ANN401
        if not isinstance(leaf, torch.Tensor):
            return None
        found = axes.get(next(left), {})
        return dict.fromkeys(found, Dim.DYNAMIC) or None

    return pytree.tree_map(of, dict(arguments))


def given_names(
    dynamic_shapes: Any,  # noqa: ANN401  # torch's nested structure
    inputs: Mapping[str, torch.Tensor],
) -> tuple[Any, dict[str, dict[int, str]]]:
    """torch's dynamic_shapes without names for its own use, and the names that it has.

    Strings become Dim.DYNAMIC, as torch.onnx.export reads them. Names are found for leaves in
    order, which are the inputs in order.
    """
    found: list[dict[int, str]] = []

    def of(leaf: Any) -> Any:  # noqa: ANN401
        axes = dict(leaf.items()) if isinstance(leaf, dict) else dict(enumerate(leaf or ()))
        found.append({axis: _name(dim) for axis, dim in axes.items() if _name(dim)})
        plain = {axis: Dim.DYNAMIC if isinstance(d, str) else d for axis, d in axes.items()}
        return plain if isinstance(leaf, dict) or leaf is None else type(leaf)(plain.values())

    shapes = pytree.tree_map(of, dynamic_shapes, is_leaf=_is_axes)
    named = dict(zip(inputs, found, strict=False)) if len(found) == len(inputs) else {}
    return shapes, {name: axes for name, axes in named.items() if axes}


def _name(dim: Any) -> str:  # noqa: ANN401
    if isinstance(dim, str):
        return dim
    return str(getattr(dim, "__name__", "")) if isinstance(dim, Dim) else ""


def _is_axes(node: Any) -> bool:  # noqa: ANN401
    """Whether it says something of one tensor."""
    if node is None:
        return True
    if isinstance(node, dict):
        return all(isinstance(key, int) for key in node)
    plain = (str, int, type(None), Dim, type(Dim.DYNAMIC))
    return isinstance(node, list | tuple) and bool(node) and all(isinstance(d, plain) for d in node)


def rename(model: ir.Model, axes: Mapping[str, Axes]) -> None:
    """Give dimensions the names that were asked for, wherever they occur, in place."""
    names: dict[str, str] = {}
    for value in model.graph.inputs:
        for axis, name in axes.get(value.name or "", {}).items():
            dim = value.shape[axis] if value.shape is not None else None
            if isinstance(dim, ir.SymbolicDim) and dim.value:
                names.setdefault(dim.value, name)
    taken = {new: old for old, new in names.items()}
    if len(taken) < len(names):  # two symbols of torch's under one name: they are the same size
        names = {old: new for old, new in names.items() if _SYMBOL.fullmatch(old)}

    def renamed(text: str) -> str:
        return _SYMBOL.sub(lambda found: names.get(found[0], found[0]), text)

    for value in _values(model):
        _rename_in(value, renamed)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    graph = model.graph
    yield from graph.inputs
    for node in graph.all_nodes():
        yield from node.outputs


def _rename_in(value: ir.Value, renamed: Callable[[str], str]) -> None:
    if value.shape is None:
        return
    dims = [
        ir.SymbolicDim(renamed(dim.value)) if isinstance(dim, ir.SymbolicDim) and dim.value else dim
        for dim in value.shape
    ]
    value.shape = ir.Shape(dims)
