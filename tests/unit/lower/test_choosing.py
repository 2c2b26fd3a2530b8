"""Which form is chosen: the fastest that is right, and what stands in for measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.core.kernels import Kernel, Kernels
from normonnx.lower import stored
from normonnx.lower.choosing import ALIKE, RIGHT, Spelling, Style, Wanted, accuracy_bounds, choose
from normonnx.lower.support import runs_form
from normonnx.lower.targets import TARGETS, kernels_of

CHAIN, MUL = "chain with Pow and Div", "chain with Mul and Reciprocal"
CENTERED, CORRECTED = "centered, then native", "corrected chain"
USE = CATALOGUE["LayerNorm"].define((8, 64), scale=np.full(64, 2.0, np.float32))
CPU = Wanted(TARGETS["ort-cpu"])


def cost(form: str, ratio: float, **errors: float) -> FormCost:
    """What a form cost; errors are of the profiles "random" and "mean 1e4"."""
    named = {"random": errors.get("random", 1.0), "mean 1e4": errors.get("mean", 3000.0)}
    return FormCost(form, ratio, ratio, ratio, ratio, named)


def table(*costs: FormCost, target: str = "ort-cpu", use: NormCall = USE) -> CostTable:
    """One entry."""
    name, kind, shape = use.norm.name, use.dtype.name, tuple(map(int, map(str, use.shape)))
    return CostTable(target, {}, {}, (Entry(name, kind, 17, shape, use.stored, use.given, costs),))


ALL = (
    cost("native", 1.0),
    cost(CHAIN, 1.2),
    cost(MUL, 0.5),
    cost(CENTERED, 1.4, mean=1.0),
    cost(CORRECTED, 2.5, mean=1.0),
)


def chosen(wanted: Wanted, opset: int = 17, as_is: str | None = None, outputs: int = 1) -> str:
    """Name of the form that is chosen; "" where the spelling stays."""
    form = None if as_is is None else USE.norm.form(as_is)
    spelling = Spelling(form, form)
    found = choose(USE, opset, wanted, outputs=outputs, spelling=spelling).form
    return "" if found is None else found.name


def test_the_fastest() -> None:
    """Of those that were measured."""
    assert chosen(replace(CPU, tables=(table(*ALL),))) == MUL


def test_the_native_operator_where_it_is_as_fast() -> None:
    """Within what the same form differs from itself."""
    assert chosen(replace(CPU, tables=(table(*ALL[:2], cost(MUL, 0.95)),))) == "native"
    assert chosen(replace(CPU, tables=(table(*ALL[:2], cost(MUL, 0.85)),))) == MUL


@pytest.mark.parametrize("profile", ["random", "mean"])
@pytest.mark.parametrize("error", [60_000.0, math.inf])
def test_not_where_it_is_less_accurate_than_usual(profile: str, error: float) -> None:
    """More than 16 times the usual error, or NaN."""
    costs = (*ALL[:2], cost(MUL, 0.5, **{profile: error}))
    assert chosen(replace(CPU, tables=(table(*costs),))) == "native"


def test_accuracy() -> None:
    """The fastest of those that are right at any mean."""
    wanted = replace(CPU, tables=(table(*ALL),), accurate=True)
    assert chosen(wanted) == CENTERED
    assert chosen(replace(wanted, tables=())) in (CENTERED, CORRECTED)


def test_what_is_right_stays_right() -> None:
    """In place of a form that is right at any mean only another such one."""
    wanted = replace(CPU, tables=(table(*ALL),))
    assert chosen(wanted, as_is=CORRECTED) == CENTERED
    assert chosen(wanted, as_is=CENTERED) == CENTERED
    assert chosen(wanted, as_is="native") == MUL


def test_bounds() -> None:
    """16 times the middle of the usual errors; 16 u at least, and where it was right."""
    (entry,) = table(
        cost("native", 1, mean=100.0), cost(CHAIN, 1, mean=5.0), cost(CENTERED, 1, mean=0.1)
    ).entries
    assert accuracy_bounds(entry) == {"random": RIGHT, "mean 1e4": 80.0}
    assert accuracy_bounds(entry, USE.norm.form(CHAIN))["mean 1e4"] == RIGHT
    assert accuracy_bounds(entry, USE.norm.form("native"))["mean 1e4"] == 80.0


def test_a_style_without_normalization_operators() -> None:
    """The fastest chain."""
    wanted = replace(CPU, style=Style.PRIMITIVE)
    assert chosen(replace(wanted, tables=(table(ALL[0], *ALL[1:2], ALL[4]),))) == CHAIN
    assert chosen(wanted, as_is="native") not in ("", "native", CENTERED)


def test_the_native_style() -> None:
    """ONNX's operator, however slow; where there is none the fastest."""
    wanted = replace(CPU, style=Style.NATIVE, tables=(table(*ALL),))
    assert chosen(wanted) == "native"
    assert chosen(wanted, opset=13) == MUL


def test_nothing_measured() -> None:
    """The native operator; else the spelling stays, and the first one comes back."""
    assert chosen(CPU) == "native"
    assert chosen(CPU, opset=13) == ""
    assert chosen(CPU, opset=13, as_is=MUL) == MUL
    spelling = Spelling(USE.norm.form(CHAIN), USE.norm.form(MUL))
    assert choose(USE, 13, CPU, spelling=spelling).form is USE.norm.form(MUL)


def test_outputs_that_are_read() -> None:
    """Only forms that give the mean as well."""
    assert chosen(replace(CPU, tables=(table(*ALL),)), outputs=2) == "native"


def test_only_what_the_target_has() -> None:
    """Without a kernel of LayerNormalization its body runs, where the parts of it do."""
    parts = ("ReduceMean", "Sub", "Mul", "Add", "Sqrt", "Reciprocal", "Pow", "Div", "Constant")
    kernels = Kernels("test", tuple(Kernel("", name) for name in parts))
    wanted = replace(CPU, tables=(table(*ALL[1:]),), kernels=kernels)
    assert chosen(wanted) == MUL
    fewer = Kernels("test", tuple(Kernel("", name) for name in parts if name != "Reciprocal"))
    assert chosen(replace(wanted, kernels=fewer)) == CHAIN


def test_portable_is_slow_nowhere() -> None:
    """What is fastest on one target and slow on another isn't chosen."""
    other = table(cost("native", 1.0), cost(CHAIN, 1.1), cost(MUL, 5.0), target="ort-cuda")
    wanted = Wanted(TARGETS["portable"], tables=(table(*ALL), other))
    assert chosen(wanted) == "native"


def test_portable_has_no_operators_of_one_runtime() -> None:
    """However fast."""
    use = CATALOGUE["GroupNorm"].define((1, 64, 8, 8), num_groups=8)
    own = next(form for form in use.norm.forms if form.domains)
    found = table(cost(own.name, 0.1), cost("chain", 1.0), use=use)
    for target in ("portable", "tensorrt"):
        choice = choose(use, 13, Wanted(TARGETS[target], tables=(found,)))
        assert choice.form is not None
        assert choice.form.name == "chain"


SHIPPED: Mapping[str, CostTable] = {
    name: found for name in TARGETS if (found := stored.shipped(name)) is not None
}


@pytest.mark.parametrize("target", SHIPPED)
def test_the_shipped_tables(target: str) -> None:
    """At every use that was measured the fastest form that is eligible there is chosen."""
    found = SHIPPED[target]
    kernels = kernels_of(TARGETS[target])
    wanted = Wanted(TARGETS[target], kernels=kernels, tables=(found,))
    assert found.entries
    for entry in found.entries:
        norm = CATALOGUE[entry.norm]
        given = {
            each.name: np.full(1, 2.0 + number, entry.dtype)  # a maximum above the minimum
            for number, each in enumerate(norm.parameters)
            if each.name in entry.given
        }
        call = norm.define(entry.shape, entry.dtype, **given, **entry.attributes)
        forms = call.forms_at(entry.opset)
        fitted = [form for form in forms if not form.generic]
        fitted = fitted if any(form.working is None for form in fitted) else [*forms]
        names = {form.name for form in fitted}
        bounds = accuracy_bounds(entry)
        costs = {
            each.form: each.ratio
            for each in entry.forms
            if all(error <= bounds[name] for name, error in each.errors.items())
            and each.form in names
            and runs_form(call, norm.form(each.form), entry.opset, wanted)
        }
        choice = choose(call, entry.opset, wanted).form
        assert choice is not None, entry
        slower = costs[choice.name] / min(costs.values())
        assert slower <= (ALIKE if choice.native else 1), (entry.use, choice.name)


def test_the_shipped_table_of_onnxruntime_is_whole() -> None:
    """A run of the tool that was cut off leaves a table of a few norms, and choices get worse."""
    assert {entry.norm for entry in SHIPPED["ort-cpu"].entries} == set(CATALOGUE)
