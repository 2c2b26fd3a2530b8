"""Modules of a user's own, as they lie beside a user's script; tests copy this file."""

# ruff: noqa: D101, D102, D103, ANN401  # a user's file

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Scaled(nn.Module):
    def __init__(self, scale: float = 1 / 3) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Less(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first - second


class LessByName(nn.Module):
    def forward(self, *, z: Tensor, x: Tensor) -> Tensor:
        return x - z


class LessOfAny(nn.Module):
    def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        if kwargs:
            raise TypeError(kwargs)
        return args[0] - args[1]


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()

    def forward(self, x: Tensor) -> Any:
        return -self.drop(x)


@dataclasses.dataclass
class Pair:
    one: Tensor
    other: object
    label: str = "none"


RETURNED: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "one": lambda y, _: y,
    "tuple": lambda y, z: (y, z),
    "nested": lambda y, z: [y, (None, (z,))],
    "mapping": lambda y, z: {"b": y, "a": [z]},
    "dataclass": lambda y, z: Pair(y, {"z": z}),
    "three": lambda y, z: (y, z, y),
    "number": lambda y, _: (y, 1.0),
    "bfloat16": lambda y, _: y.bfloat16(),
    "float8": lambda y, _: y.to(torch.float8_e5m2),
    "int32": lambda y, _: y.to(torch.int32),
    "expanded": lambda y, _: y[:1].expand(5),
    "negative view": lambda y, _: torch.complex(y, y).conj().imag,
    "conjugate view": lambda y, _: torch.complex(y, y).conj(),
}


class Returning(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Any:
        return RETURNED[self.how](-x, x + 1)


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError(f"sore {x.ndim}\nthroat")  # noqa: EM102


class Single(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.dtype is not torch.float32:
            raise TypeError(x.dtype)
        return -x


def failing() -> nn.Module:
    raise OSError("no weights\nat all")  # noqa: EM101


def leaving() -> nn.Module:
    sys.exit(0)


made = Scaled()
number = 3


class Making:
    @staticmethod
    def make() -> nn.Module:
        return Scaled(0.5)
