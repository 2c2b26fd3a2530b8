"""Inputs to judge a model on, drawn from a seed. What a user gives is read in `given`.

Two cases are drawn. "random" is N(0, 1). "shifted-mean" is N(0, 1) + 100: a variance computed as
E[x²] - E[x]² loses there four digits more than the input's own roundoff explains (Higham, Accuracy
and Stability of Numerical Algorithms, section 1.9). Integers are drawn from what the graph allows,
dynamic dimensions from a list of sizes until the model accepts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float
from normonnx.core.errors import UsageError
from normonnx.runtime.invocation import Array
from normonnx.runtime.sizes import allowed
from normonnx.validation.bounds import exclusive_bound

SHIFT: Final = 100.0
_SPATIAL: Final = (64, 224, 32, 256, 128, 320, 512, 16, 8, 48, 1)
_SEQUENCE: Final = (16, 64, 8, 32, 128, 1, 256, 224)
_MOST: Final = 1 << 21  # numbers in one larger input; an image has 786,432 at 512 pixels a side
_LARGER: Final = (224, 512, 4096, 16000)  # 16000 is a second of sound
_IMAGE_RANK: Final = 4
_COLOURS: Final = 4
_INK: Final = 0.35  # share of blocks of a page that are blank
_STROKES: Final = 0.5
_BYTES: Final = (np.uint8, np.int8)
_DRAWN: Final = 8  # bytes of a number while it is drawn


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Inputs for one run.

    Attributes:
        name: For example "random".
        feeds: Array by input name.
        profile: Name of the profile that it was drawn for, of those in `profiles`; empty for the
            cases drawn by default and for given ones.
        expected: What is expected, by output name, where that was given: it takes the place of what
            the oracle computes.
        floors: Noise floor in u, by output name, where that was given.
    """

    name: str
    feeds: Mapping[str, Array]
    profile: str = ""
    expected: Mapping[str, Array] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)


Shapes = Mapping[str, Sequence[int]]


def required_inputs(model: ir.Model) -> list[ir.Value]:
    """Graph inputs that have no default."""
    return [value for value in model.graph.inputs if not value.is_initializer()]


def fitting(case: Case, model: ir.Model) -> Case:
    """A case for another model, of the inputs that it takes: initializers may have left them.

    What was expected of the first model is left out.
    """
    known: set[str | None] = {value.name for value in model.graph.inputs}
    feeds = {name: array for name, array in case.feeds.items() if name in known}
    return replace(case, feeds=feeds, expected={}, floors={})


def drawn(model: ir.Model, sizes: tuple[int, int], shapes: Shapes, seed: int) -> tuple[Case, ...]:
    """The cases "random" and "shifted-mean".

    Args:
        model: What the inputs are for.
        sizes: Size of a dynamic first dimension, and of any other dynamic dimension.
        shapes: Shapes by input name, where they are fixed by the user.
        seed: The same seed gives the same inputs.
    """
    inputs = required_inputs(model)
    chosen = chosen_shapes(inputs, sizes, shapes)
    bounds = {value.name: exclusive_bound(model, value) for value in inputs if not _is_float(value)}
    cases: list[Case] = []
    for name, shift in (("random", 0.0), ("shifted-mean", SHIFT)):
        source = np.random.default_rng([seed, len(cases)])
        feeds = {}
        for value in inputs:
            shape = chosen[value.name or ""]
            feeds[value.name or ""] = _draw(value, shape, (source, shift, bounds.get(value.name)))
        cases.append(Case(name, feeds))
    if not any(_is_float(value) for value in inputs):
        return tuple(cases[:1])  # nothing to shift
    return tuple(cases)


def page(model: ir.Model, like: Case, seed: int) -> Case | None:
    """A case of images like a printed page, from -1 (ink) to 1; None where no input is an image."""
    source = np.random.default_rng([seed, 99])
    feeds = dict(like.feeds)
    for value in required_inputs(model):
        array = feeds[value.name or ""]
        if not is_float(array.dtype) or array.ndim != _IMAGE_RANK:
            continue
        last = array.shape[3] <= _COLOURS < array.shape[1]  # N, H, W, C
        height, width = array.shape[1:3] if last else array.shape[2:4]
        drawing = _words(height, width, source)
        drawing = drawing[None, :, :, None] if last else drawing[None, None]
        feeds[value.name or ""] = np.broadcast_to(drawing, array.shape).astype(array.dtype)
    return Case("page", feeds) if any(feeds[k] is not like.feeds[k] for k in feeds) else None


def _words(height: int, width: int, source: np.random.Generator) -> Array:
    """Blocks of 16 pixels, two thirds of them filled with strokes of 2 pixels."""
    blocks = np.kron(source.random((height // 16 + 1, width // 16 + 1)) > _INK, np.ones((16, 16)))
    strokes = np.kron(source.random((height // 2 + 1, width // 2 + 1)) > _STROKES, np.ones((2, 2)))
    lines = (np.arange(height) % 16 < 10)[:, None]  # noqa: PLR2004
    return np.asarray(1 - 2 * blocks[:height, :width] * strokes[:height, :width] * lines)


def attempts(model: ir.Model, shapes: Shapes) -> Iterator[tuple[int, int]]:
    """Sizes to try for dynamic dimensions, the likeliest first."""
    inputs = required_inputs(model)
    unknown = [value for value in inputs if (value.name or "") not in shapes]
    dims = [dim for value in unknown if value.shape is not None for dim in value.shape]
    if all(_is_static(dim) for dim in dims):
        yield (1, 1)
        return
    image = any(value.shape is not None and len(value.shape) >= _IMAGE_RANK for value in inputs)
    for number, size in enumerate(_SPATIAL if image else _SEQUENCE):
        if number < 2:  # noqa: PLR2004  # a batch of two shows what mixes samples up
            yield (2, size)
        yield (1, size)


def larger(model: ir.Model, shapes: Shapes, sizes: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes to try where smaller ones were accepted but gave nothing worth comparing."""
    found = list(attempts(model, shapes))
    if len(found) == 1:
        return []
    return [(1, size) for size in _LARGER if size > sizes[1] and _is_modest(model, shapes, size)]


def _is_modest(model: ir.Model, shapes: Shapes, size: int) -> bool:
    """Whether inputs of that size, and what a network makes of them, surely fit into memory."""
    chosen = chosen_shapes(required_inputs(model), (1, size), shapes)
    return all(math.prod(shape) <= _MOST for shape in chosen.values())


def chosen_shapes(
    inputs: Sequence[ir.Value], sizes: tuple[int, int], shapes: Shapes
) -> dict[str, tuple[int, ...]]:
    """Shapes by input name: as fixed, and of the sizes given where a dimension is dynamic.

    Args:
        inputs: Graph inputs.
        sizes: Size of a dynamic first dimension, and of any other dynamic dimension.
        shapes: Shapes by input name, where they are fixed by the user.

    Raises:
        UsageError: A fixed shape doesn't fit, or an input has no shape at all.
    """
    batch, other = sizes
    symbols: dict[str, int] = {}
    found = {}
    for value in inputs:
        name = value.name or ""
        if name in shapes:
            found[name] = checked_shape(value, shapes[name], "input")
            continue
        if value.shape is None:
            message = f"input {name!r} has no shape in the model; give one with --shape {name}=..."
            raise UsageError(message)
        dims = []
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, int) and _is_static(dim):
                dims.append(dim)
                continue
            size = batch if axis == 0 and len(value.shape) > 1 else other
            symbol = None if isinstance(dim, int) else dim.value
            dims.append(size if symbol is None else symbols.setdefault(symbol, size))
        found[name] = tuple(dims)
    return found


def _is_static(dim: object) -> bool:
    """Some exporters write -1 for a dynamic dimension."""
    return isinstance(dim, int) and dim >= 0


def checked_shape(value: ir.Value, shape: Sequence[int], kind: str) -> tuple[int, ...]:
    """The shape of an input or output, as `kind` says.

    Raises:
        UsageError: It does not fit what the model declares.
    """
    found = tuple(int(dim) for dim in shape)
    expected = None if value.shape is None else list(value.shape)
    if any(dim < 0 for dim in found):
        message = (
            f"shape {list(found)} for {kind} {value.name!r} is negative; give sizes of 0 or more"
        )
        raise UsageError(message)
    if expected is None:
        return found
    fits = len(expected) == len(found) and all(
        not _is_static(want) or want == have for want, have in zip(expected, found, strict=True)
    )
    if not fits:
        wanted = [dim if isinstance(dim, int) else str(dim.value or "?") for dim in expected]
        message = f"shape {list(found)} for {kind} {value.name!r} does not fit the model's {wanted}"
        raise UsageError(message)
    return found


def check_names(model: ir.Model, shapes: Shapes) -> None:
    """Refuse shapes for inputs that the model does not have.

    Raises:
        UsageError: Naming the inputs that there are.
    """
    known = [value.name or "" for value in model.graph.inputs]
    for name in shapes:
        if name not in known:
            message = f"the model has no input {name!r}; it has {', '.join(known)}"
            raise UsageError(message)


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _draw(
    value: ir.Value,
    shape: tuple[int, ...],
    how: tuple[np.random.Generator, float, int | None],
) -> Array:
    source, shift, bound = how
    if value.dtype is None or value.dtype is ir.DataType.STRING:
        message = (
            f"inputs can't be drawn for {value.name!r} of type {value.dtype}; "
            "give them with --inputs"
        )
        raise UsageError(message)
    dtype = np.dtype(value.dtype.numpy())
    size = math.prod(length or 1 for length in shape) * _DRAWN  # numpy's bound is without zeros
    if size > allowed():
        message = (
            f"inputs can't be drawn for {value.name!r}: its shape {list(shape)} would take "
            f"{size / 2**30:.3g} GiB of memory; give a smaller one with "
            f"--shape {value.name}=D,D,..."
        )
        raise UsageError(message)
    if is_float(dtype):
        return np.asarray((source.standard_normal(shape) + shift).astype(dtype))
    if dtype == np.bool_:
        return source.integers(0, 2, shape).astype(np.bool_)
    if bound is not None:
        return source.integers(0, bound, shape).astype(dtype)
    if dtype in _BYTES:  # an image, most likely
        limits = np.iinfo(dtype)
        return source.integers(limits.min, limits.max + 1, shape).astype(dtype)
    flags = source.integers(0, 2, shape)  # a mask, most likely: let it begin with 1
    if flags.ndim:
        flags[..., :1] = 1
    return np.asarray(flags, dtype=dtype)
