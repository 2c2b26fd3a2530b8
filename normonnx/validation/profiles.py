"""Profiles of inputs: where runtimes go wrong although they are right on N(0, 1).

- random, shifted-mean: the default, see `drawing`.
- constant: every entry is the same number. The variance is 0, which a one-pass formula makes
  negative.
- tiny: N(0, 1) times 1e-4. The variance, 1e-8, is a thousandth of the usual epsilon of 1e-5: an
  epsilon that is missing, or on the wrong side of the root, decides here.
- huge: N(0, 1) times 1e4. Squares are 1e8: far beyond float16, and all that epsilon was is gone.
- subnormal: below the smallest normal number of the input's type.
- one-hot: one entry of each sample is 1, the rest 0.
- batch-1, 1x1: a first dimension of 1, spatial dimensions of 1, where they are dynamic.
- nan, inf: one NaN, or one infinity of each sign, in the last sample. Only on request.

tiny and huge stay within what the input's type holds: they are about scale, and subnormal numbers
and overflow of the inputs are no part of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, largest, smallest_normal, smallest_subnormal
from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.runtime.invocation import Array
from normonnx.validation import drawing
from normonnx.validation.drawing import Case, required_inputs
from normonnx.validation.truths import Inputs, Settings, Truth, truth_of

DEFAULT: Final = ("random", "shifted-mean")
ON_REQUEST: Final = ("nan", "inf")
_CONSTANT: Final = 3.3  # no power of two, and no short sum of them: sums of it are rounded
_TINY: Final = 1e-4
_HUGE: Final = 1e4
_CLEAR: Final = 16.0  # times the smallest normal number, so that few numbers are subnormal
_HEADROOM: Final = 8.0  # standard deviations below the largest number
_SPATIAL_RANK: Final = 3

Profiles = str | Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class _Like:
    """The case that the others are drawn like: same shapes, same integers."""

    model: ir.Model
    case: Case
    shapes: drawing.Shapes
    source: np.random.Generator


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """A profile that does not apply, and why."""

    reason: str


def _numbers(draw: Callable[[Array, np.random.Generator], Array | None]) -> _Drawer:
    """A profile that changes the numbers of each floating-point input and nothing else."""

    def drawn(like: _Like) -> Mapping[str, Array] | _LeftOut:
        feeds = dict(like.case.feeds)
        for name, array in feeds.items():
            if is_float(array.dtype):
                numbers = draw(array, like.source)
                if numbers is None:
                    return _LeftOut(f"{array.dtype} of input {name!r} has no such numbers")
                feeds[name] = np.asarray(numbers).astype(array.dtype).reshape(array.shape)
        if all(feeds[name] is array for name, array in like.case.feeds.items()):
            return _LeftOut("no input holds floating-point numbers")
        return feeds

    return drawn


_Drawer = Callable[[_Like], "Mapping[str, Array] | _LeftOut"]


def _constant(array: Array, _: np.random.Generator) -> Array:
    return np.full(array.shape, _CONSTANT)


def _tiny(array: Array, source: np.random.Generator) -> Array:
    scale = max(_TINY, _CLEAR * smallest_normal(array.dtype))
    return np.asarray(source.standard_normal(array.shape) * scale)


def _huge(array: Array, source: np.random.Generator) -> Array:
    scale = min(_HUGE, largest(array.dtype) / _HEADROOM)
    return np.asarray(source.standard_normal(array.shape) * scale)


def _subnormal(array: Array, source: np.random.Generator) -> Array | None:
    least, normal = smallest_subnormal(array.dtype), smallest_normal(array.dtype)
    if least >= normal:
        return None
    steps = np.rint(source.uniform(1, normal / least - 1, array.shape))
    return np.asarray(steps * least * source.choice((-1.0, 1.0), array.shape))


def _one_hot(array: Array, source: np.random.Generator) -> Array:
    samples = array.shape[0] if array.ndim > 1 else 1
    flat = np.zeros((samples, array.size // max(1, samples)))
    if flat.size:
        flat[np.arange(samples), source.integers(0, flat.shape[1], samples)] = 1
    return flat.reshape(array.shape)


def _with(*odd: float) -> Callable[[Array, np.random.Generator], Array | None]:
    """The numbers as they are, some of the last sample replaced."""

    def draw(array: Array, source: np.random.Generator) -> Array | None:
        found = array.astype(np.float64)
        with np.errstate(all="ignore"):
            held = np.asarray(odd).astype(array.dtype).astype(np.float64)
            if not np.array_equal(held, np.asarray(odd), equal_nan=True):
                return None  # a type without NaN or infinity
        last = (found[-1] if found.ndim > 1 else found).reshape(-1)
        where = source.permutation(last.size)[: len(odd)]
        last[where] = odd[: len(where)]
        if found.ndim > 1:
            found[-1] = last.reshape(found.shape[1:])
        return found

    return draw


def _batch_of_one(like: _Like) -> Mapping[str, Array] | _LeftOut:
    return _cut(like, lambda axis, rank: axis == 0 and rank > 1, "the batch is static, or 1 anyway")


def _one_by_one(like: _Like) -> Mapping[str, Array] | _LeftOut:
    return _cut(
        like, lambda axis, rank: axis > 0 and rank >= _SPATIAL_RANK, "no spatial size is dynamic"
    )


def _cut(
    like: _Like, chosen: Callable[[int, int], bool], reason: str
) -> Mapping[str, Array] | _LeftOut:
    """Dynamic dimensions cut to 1: those that are chosen, and others of the same name."""
    free = [
        value
        for value in required_inputs(like.model)
        if value.shape is not None and (value.name or "") not in like.shapes
    ]
    symbols = {
        dim.value
        for value in free
        for axis, dim in enumerate(value.shape or ())
        if not isinstance(dim, int) and dim.value and chosen(axis, len(value.shape or ()))
    }
    feeds = dict(like.case.feeds)
    for value in free:
        array = feeds[value.name or ""]
        for axis, dim in enumerate(value.shape or ()):
            unnamed = (isinstance(dim, int) and dim < 0) or getattr(dim, "value", "") is None
            named = not isinstance(dim, int) and dim.value in symbols
            if (named or (unnamed and chosen(axis, array.ndim))) and array.shape[axis] > 1:
                array = array.take([0], axis)
        feeds[value.name or ""] = array
    if all(feeds[name] is array for name, array in like.case.feeds.items()):
        return _LeftOut(reason)
    return feeds


PROFILES: Final[Mapping[str, _Drawer]] = {
    "constant": _numbers(_constant),
    "tiny": _numbers(_tiny),
    "huge": _numbers(_huge),
    "subnormal": _numbers(_subnormal),
    "one-hot": _numbers(_one_hot),
    "batch-1": _batch_of_one,
    "1x1": _one_by_one,
    "nan": _numbers(_with(math.nan)),
    "inf": _numbers(_with(math.inf, -math.inf)),
}
NAMES: Final = (*DEFAULT, *PROFILES)


def named(profiles: Profiles) -> tuple[str, ...]:
    """Names of profiles, in the order they are run.

    Args:
        profiles: Names, or one text of names with commas between; "default" and "all" stand for
            several.

    Raises:
        UsageError: There is no such profile.
    """
    parts = profiles.split(",") if isinstance(profiles, str) else list(profiles)
    groups = {
        "default": DEFAULT,
        "all": tuple(name for name in NAMES if name not in ON_REQUEST),
    }
    chosen: set[str] = set()
    for part in parts:
        name = part.strip()
        if name not in groups and name not in NAMES:
            known = ", ".join((*groups, *NAMES))
            message = f"there is no profile {name!r} of inputs; choose from {known}"
            raise UsageError(message)
        chosen.update(groups.get(name, (name,)))
    if not chosen:
        message = "no profile of inputs was named; leave profiles out for the default"
        raise UsageError(message)
    return tuple(name for name in NAMES if name in chosen)


def chosen_profiles(profiles: Profiles, inputs: Inputs) -> tuple[str, ...]:
    """Names of the profiles to draw; none where inputs were given.

    Raises:
        UsageError: There is no such profile, or inputs were given as well.
    """
    names = named(profiles)
    if inputs is None:
        return names
    if names != DEFAULT:
        message = "profiles are of drawn inputs, and inputs were given; leave one of the two out"
        raise UsageError(message)
    return ()


def with_profiles(
    model: ir.Model,
    truths: Sequence[Truth],
    names: Sequence[str],
    shapes: drawing.Shapes,
    settings: Settings,
) -> tuple[list[Truth], tuple[str, ...]]:
    """Truths of the profiles asked for.

    Args:
        model: What they are truths of.
        truths: Those of the default profiles; the first gives shapes and integers to the others.
        names: Profiles, as `named` returns them.
        shapes: Shapes by input name, where they are fixed by the user.
        settings: How to judge.

    Returns:
        The truths, and a sentence for each profile that was left out.
    """
    if not names:
        return list(truths), ()
    default = set(DEFAULT) <= set(names)
    found = [one for one in truths if default or one.case.name in names]
    notes: list[str] = []
    for number, name in enumerate(PROFILES):
        if name not in names:
            continue
        source = np.random.default_rng([settings.seed, 200 + number])
        made = _truth(_Like(model, truths[0].case, shapes, source), name, settings)
        if isinstance(made, Truth):
            found.append(made)
        else:
            notes.append(f"profile {name} was left out: {made.reason}")
    return found, tuple(notes)


def _truth(like: _Like, name: str, settings: Settings) -> Truth | _LeftOut:
    feeds = PROFILES[name](like)
    if isinstance(feeds, _LeftOut):
        return feeds
    case = replace(like.case, name=name, feeds=feeds, profile=name)
    try:
        truth = truth_of(like.model, case, settings)
    except (InvalidModelError, UnsupportedOperatorError) as error:
        return _LeftOut(f"the model does not accept it ({error})")
    if not all(np.size(output) for output in truth.outputs.values()):
        return _LeftOut("it leaves an output empty")
    return truth
