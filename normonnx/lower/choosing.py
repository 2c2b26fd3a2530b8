"""Which form a normalization takes: the fastest that is right, as far as it was measured.

A form is eligible where the target runs every operator of it, the style allows it, and it is no
less accurate than forms of the norm are: on no edge profile may its error be more than `FACTOR`
times the usual one, the median of those that don't center twice. And where what stands in the graph
is right, within `RIGHT` roundoffs, what takes its place must be right, too. With
`prefer="accuracy"` only forms that are right at any mean will do.

So the choice hardly depends on the spelling, and what was chosen is chosen again: a second run, or
one for another target in between, changes nothing. Only where nothing was measured a spelling may
stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median_low
from typing import Final

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Form
from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.core.distances import FACTOR
from normonnx.core.kernels import Kernels
from normonnx.lower.lookup import nearest
from normonnx.lower.support import runs_form
from normonnx.lower.targets import Target

RIGHT: Final = FACTOR  # u, of a norm whose noise floor is one roundoff
ALIKE: Final = 1.1  # two spellings of one kernel were measured to be as far apart
_MEAN: Final = "mean"  # what edge profiles at a mean far from 0 are called


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


@dataclass(frozen=True, slots=True)
class Spelling:
    """The forms that a normalization is, and was, spelled as.

    Attributes:
        now: None where it is none of them.
        at_first: Before another was chosen for it, in this run or an earlier one; None where that
            is not known.
        called: Whether it is a call of the catalogue's function, which can't stay.
    """

    now: Form | None = None
    at_first: Form | None = None
    called: bool = False


def choose(
    call: NormCall,
    opset: int,
    wanted: Wanted,
    *,
    outputs: int = 1,
    spelling: Spelling | None = None,
) -> Choice:
    """The form of one use.

    Args:
        call: The use.
        opset: Version of the default operator set.
        wanted: What to choose by.
        outputs: How many outputs are read.
        spelling: How it is spelled, where that is known.
    """
    spelling = spelling or Spelling()
    candidates = [
        form
        for form in call.forms_at(opset)
        if form.outputs >= outputs
        and _allowed(form, wanted)
        and runs_form(call, form, opset, wanted)
    ]
    # Forms for functions ask less of the call, and compute what is known at run time.
    fitted = [form for form in candidates if not form.generic]
    if any(form.working is None for form in fitted):
        candidates = fitted
    if not candidates:
        return Choice(None, f"no form of it is for {wanted.target.name} at opset {opset}")
    native = next((form for form in candidates if form.native), None)
    if wanted.style is Style.NATIVE and native is not None:
        return Choice(native, "ONNX's own operator, as asked for")
    measured = [found for each in wanted.tables if (found := nearest(each, call, opset))]
    by_name = {form.name: form for form in candidates}
    if measured:
        chosen = _fastest(by_name, measured, wanted, spelling.now)
        if chosen is not None:
            return chosen
    accurate = wanted.accurate or (spelling.now is not None and spelling.now.centered)
    return _unmeasured(candidates, spelling, accurate=accurate)


def _allowed(form: Form, wanted: Wanted) -> bool:
    if not form.domains <= wanted.target.domains or wanted.target.name in form.wrong_on:
        return False
    return not (wanted.style is Style.PRIMITIVE and not form.primitive)


def _fastest(
    candidates: Mapping[str, Form],
    measured: Sequence[Sequence[Entry]],
    wanted: Wanted,
    as_is: Form | None,
) -> Choice | None:
    """The form whose time, relative to the fastest, is least where it is worst."""
    worst: dict[str, float] = dict.fromkeys(candidates, 0.0)
    for entries in measured:
        for entry in entries:
            eligible = _eligible(entry, candidates, wanted, as_is)
            best = min((cost.ratio for cost in eligible.values()), default=math.inf)
            for name, before in worst.items():
                slower = eligible[name].ratio / best if name in eligible else math.inf
                worst[name] = max(before, slower)
    least = min(worst.values())
    if not math.isfinite(least):
        return None
    native = next((name for name, form in candidates.items() if form.native), None)
    name = min(worst, key=lambda each: worst[each])
    if native is not None and worst[native] <= ALIKE * least:
        name = native
    return Choice(candidates[name], "the fastest that is accurate, as measured")


def _eligible(
    entry: Entry, candidates: Mapping[str, Form], wanted: Wanted, as_is: Form | None
) -> dict[str, FormCost]:
    """The forms of an entry that may be taken."""
    bounds = accuracy_bounds(entry, as_is)
    return {
        cost.form: cost
        for cost in entry.forms
        if cost.form in candidates
        and all(cost.errors[name] <= bounds.get(name, math.inf) for name in cost.errors)
        and (not wanted.accurate or _is_right_at_any_mean(cost))
    }


def accuracy_bounds(entry: Entry, as_is: Form | None = None) -> dict[str, float]:
    """The error, in u, up to which a form of an entry is eligible, by edge profile.

    Args:
        entry: What was measured.
        as_is: The form that it would replace.
    """
    centered = {form.name for form in CATALOGUE[entry.norm].forms if form.centered}
    usual = [cost for cost in entry.forms if cost.form not in centered] or list(entry.forms)
    names = {name for cost in usual for name in cost.errors}
    bounds = {
        name: max(RIGHT, FACTOR * median_low([cost.errors[name] for cost in usual]))
        for name in names
    }
    for cost in entry.forms:
        if as_is is not None and cost.form == as_is.name:
            bounds |= {name: RIGHT for name, error in cost.errors.items() if error <= RIGHT}
    return bounds


def _is_right_at_any_mean(cost: FormCost) -> bool:
    return all(error <= RIGHT for name, error in cost.errors.items() if name.startswith(_MEAN))


def _unmeasured(candidates: Sequence[Form], spelling: Spelling, *, accurate: bool) -> Choice:
    """The native operator; else what stood there before anything was chosen."""
    usable = [form for form in candidates if form.centered] if accurate else list(candidates)
    native = next((form for form in usable if form.native), None)
    if native is not None:
        return Choice(native, "ONNX's own operator; nothing was measured")
    if spelling.at_first in usable:
        return Choice(spelling.at_first, "as it was spelled; nothing was measured")
    if usable and (accurate or spelling.called or spelling.now is not None):
        return Choice(usable[0], "nothing was measured")
    return Choice(None, "nothing was measured, and no operator of ONNX is it")
