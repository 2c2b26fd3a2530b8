"""Which form a normalization takes: the fastest that is right, as far as it was measured.

A form is eligible where the target runs every operator of it, the style allows it, and it is no
less accurate than forms of the norm are: on no edge profile may its error be more than `FACTOR`
times that of the most accurate form that doesn't center twice. With `prefer="accuracy"`, and where
what stands in the graph is right at any mean, only forms that are right at any mean will do.

The choice depends on the use and the target, and not on the spelling: so a second run, or one for
another target in between, changes nothing. Only where nothing was measured a spelling may stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Form
from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.core.kernels import Kernels
from normonnx.lower.lookup import nearest
from normonnx.lower.support import runs_form
from normonnx.lower.targets import Target

FACTOR: Final = 16.0
ACCURATE: Final = 16.0  # u, at any mean of the input up to 1e4
_ALIKE: Final = 1.03  # as far as the same form is from itself in another run
_LEAST_ERROR: Final = 4.0  # u: below, a difference says nothing


class Style(Enum):
    """What forms may be made of."""

    ANY = "any"
    NATIVE = "native"
    PRIMITIVE = "primitive"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to choose by.

    Attributes:
        target: Where the model will run.
        style: What forms may be made of.
        accurate: Whether accuracy is preferred to speed.
        kernels: What the target has kernels for; None where any operator of ONNX will do.
        tables: What was measured; the first that has a norm counts for each target.
    """

    target: Target
    style: Style = Style.ANY
    accurate: bool = False
    kernels: Kernels | None = None
    tables: tuple[CostTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a normalization becomes.

    Attributes:
        form: The form; None where it stays as it is.
        reason: Why, as a phrase.
    """

    form: Form | None
    reason: str


def choose(
    call: NormCall, opset: int, wanted: Wanted, *, outputs: int = 1, as_is: Form | None = None
) -> Choice:
    """The form of one use.

    Args:
        call: The use.
        opset: Version of the default operator set.
        wanted: What to choose by.
        outputs: How many outputs are read.
        as_is: The form that it is spelled as; None where it is none of them.
    """
    candidates = [
        form
        for form in call.forms_at(opset)
        if form.outputs >= outputs
        and _allowed(form, wanted)
        and runs_form(call, form, opset, wanted)
    ]
    candidates = [form for form in candidates if not form.generic] or candidates
    if not candidates:
        return Choice(None, f"no form of it is for {wanted.target.name} at opset {opset}")
    accurate = wanted.accurate or (as_is is not None and as_is.centered and not as_is.generic)
    measured = [found for found in (nearest(each, call, opset) for each in wanted.tables) if found]
    chosen = _fastest(candidates, measured, accurate=accurate) if measured else None
    if chosen is not None:
        return chosen
    return _unmeasured(candidates, as_is, accurate=accurate)


def _allowed(form: Form, wanted: Wanted) -> bool:
    if not form.domains <= wanted.target.domains:
        return False
    return not (wanted.style is Style.PRIMITIVE and not form.primitive)


def _fastest(
    candidates: Sequence[Form], measured: Sequence[Sequence[Entry]], *, accurate: bool
) -> Choice | None:
    """The form whose time, relative to the fastest, is least where it is worst."""
    names = {form.name: form for form in candidates}
    worst: dict[str, float] = {}
    for entries in measured:
        for entry in entries:
            eligible = _eligible(entry, names, accurate=accurate)
            if not eligible:
                continue
            best = min(cost.ratio for cost in eligible.values())
            for name in list(names):
                cost = eligible.get(name)
                slower = math.inf if cost is None else cost.ratio / best
                worst[name] = max(worst.get(name, 0.0), slower)
    usable = {
        name: slower for name, slower in worst.items() if slower <= _ALIKE * min(worst.values())
    }
    if not all(map(math.isfinite, usable.values())):
        return None
    order = sorted(usable, key=lambda each: (not names[each].native, usable[each]))
    return Choice(names[order[0]], "the fastest that is accurate, as measured")


def _eligible(entry: Entry, names: Mapping[str, Form], *, accurate: bool) -> dict[str, FormCost]:
    """The forms of an entry that may be taken."""
    bounds = accuracy_bounds(entry)
    return {
        cost.form: cost
        for cost in entry.forms
        if cost.form in names
        and all(cost.errors[name] <= bounds.get(name, math.inf) for name in cost.errors)
        and (not accurate or _is_accurate(cost))
    }


def accuracy_bounds(entry: Entry) -> dict[str, float]:
    """The error, in u, up to which a form of an entry is eligible, by edge profile."""
    centered = {form.name for form in CATALOGUE[entry.norm].forms if form.centered}
    plain = [cost for cost in entry.forms if cost.form not in centered] or list(entry.forms)
    bounds: dict[str, float] = {}
    for cost in plain:
        for name, error in cost.errors.items():
            bounds[name] = min(bounds.get(name, math.inf), error)
    return {name: FACTOR * max(least, _LEAST_ERROR) for name, least in bounds.items()}


def _is_accurate(cost: FormCost) -> bool:
    return all(error <= ACCURATE for name, error in cost.errors.items() if name.startswith("mean"))


def _unmeasured(candidates: Sequence[Form], as_is: Form | None, *, accurate: bool) -> Choice:
    """The native operator; else what stands there; else what exporters write."""
    usable = [form for form in candidates if form.centered] if accurate else list(candidates)
    native = next((form for form in usable if form.native), None)
    if native is not None:
        return Choice(native, "ONNX's own operator; nothing was measured")
    if accurate and usable:
        return Choice(usable[0], "right at any mean; nothing was measured")
    if as_is is None or as_is in usable:
        return Choice(None, "nothing was measured, and no operator of ONNX is it")
    return Choice(usable[0] if usable else None, "nothing was measured")
