"""What forms of normalizations cost, as it was measured: data, and its JSON.

A table belongs to one target. Each entry is one use of one normalization, in all forms that it may
take at one opset, timed in turns on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from normonnx.core.errors import UsageError

SCHEMA: Final = 1
Number = int | float | tuple[int, ...]
Use = tuple[
    str, str, tuple[int, ...], tuple[tuple[str, str], ...], tuple[str, ...], int
]  # norm, dtype, shape, attributes, given, opset


@dataclass(frozen=True, slots=True)
class FormCost:
    """One form of an entry.

    Attributes:
        form: Its name.
        milliseconds: Median time of one run.
        ratio: Median of its time over that of the entry's first form, pair by pair; below 1 is
            faster.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end.
        errors: Error against float64 in roundoffs u, rms, by the name of an edge profile; infinite
            where what came out is NaN or infinite and the truth is not.
    """

    form: str
    milliseconds: float
    ratio: float
    low: float
    high: float
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One use of a normalization.

    Attributes:
        norm: Its name.
        dtype: Of X, as numpy names it.
        opset: That all forms were built at.
        shape: Of X.
        attributes: Of the normalization, all of them; floating-point ones as `shortest` has them.
        given: Names of the parameters that were given; the others have their defaults.
        forms: What was measured.
    """

    norm: str
    dtype: str
    opset: int
    shape: tuple[int, ...]
    attributes: Mapping[str, Number]
    given: frozenset[str]
    forms: tuple[FormCost, ...]

    @property
    def fastest(self) -> FormCost:
        """The form of the lowest ratio; the first where that one is not surely faster.

        Raises:
            ValueError: There are no forms.
        """
        found = min(self.forms, key=lambda form: form.ratio)
        return found if found.high < 1 else self.forms[0]

    @property
    def use(self) -> Use:
        """What tells it from other entries of a table, in an order that sorts."""
        attributes = tuple(sorted((name, str(value)) for name, value in self.attributes.items()))
        given = tuple(sorted(self.given))
        return self.norm, self.dtype, self.shape, attributes, given, self.opset


@dataclass(frozen=True, slots=True)
class CostTable:
    """What was measured on one machine.

    Attributes:
        target: Where the models will run.
        machine: What it was measured on: processor or card, threads.
        versions: Of the packages that matter.
        entries: In the order in which they were measured.
    """

    target: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    entries: tuple[Entry, ...]

    @property
    def plain(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "schema": SCHEMA,
            "target": self.target,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "entries": [_plain_entry(each) for each in self.entries],
        }

    @classmethod
    def of_plain(cls, found: Mapping[str, Any], name: str = "the cost table") -> CostTable:
        """From plain JSON.

        Raises:
            UsageError: It is no cost table, or one of another version of normonnx.
        """
        try:
            if found["schema"] != SCHEMA:
                message = (
                    f"{name} has schema {found['schema']}, expected {SCHEMA}; measure it again "
                    "with `normonnx tune`"
                )
                raise UsageError(message)
            return cls(
                str(found["target"]),
                dict(found["machine"]),
                dict(found["versions"]),
                tuple(map(_entry, found["entries"])),
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"{name} is damaged ({error!r}); measure it again with `normonnx tune`"
            raise UsageError(message) from None


def shortest(value: Number) -> Number:
    """An attribute as entries have it: as short as float32, in which models keep it, allows."""
    import numpy as np  # the package is imported without it

    return float(str(np.float32(value))) if isinstance(value, float) else value


def _plain_entry(entry: Entry) -> dict[str, Any]:
    return {
        "norm": entry.norm,
        "dtype": entry.dtype,
        "opset": entry.opset,
        "shape": list(entry.shape),
        "attributes": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in entry.attributes.items()
        },
        "given": sorted(entry.given),
        "forms": {
            each.form: {
                "ms": each.milliseconds,
                "ratio": [each.ratio, each.low, each.high],
                "errors": {name: _finite(value) for name, value in each.errors.items()},
            }
            for each in entry.forms
        },
    }


def _finite(value: float) -> float | str:
    return value if value < float("inf") else "inf"  # JSON has no infinity


def _entry(found: Mapping[str, Any]) -> Entry:
    return Entry(
        str(found["norm"]),
        str(found["dtype"]),
        int(found["opset"]),
        tuple(map(int, found["shape"])),
        {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found["attributes"].items()
        },
        frozenset(found["given"]),
        tuple(_form_cost(name, each) for name, each in found["forms"].items()),
    )


def _form_cost(name: str, found: Mapping[str, Any]) -> FormCost:
    ratio, low, high = map(float, found["ratio"])
    errors = {kind: float(value) for kind, value in found["errors"].items()}
    return FormCost(name, float(found["ms"]), ratio, low, high, errors)
