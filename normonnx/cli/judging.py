"""Options of the verbs that judge: inputs, limits, tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from normonnx.cli.completion import backend_names, completing

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read NAME=2,3,224,224, the shape of one input; a name may itself hold an equals sign."""
    name, equals, dims = text.rpartition("=")
    parts = [part.strip() for part in dims.split(",")] if dims.strip() else []
    if not name or not equals or not all(part.isdecimal() for part in parts):
        message = f"{text!r} is no shape, expected NAME=D,D,... such as input=2,3,224,224"
        raise click.BadParameter(message)
    return name, tuple(int(part) for part in parts)


def size(text: str) -> int:
    """Read a number of bytes: 800000000, 800MB, 1.5G."""
    number = text.strip().upper().removesuffix("B")
    unit = number[-1:] if number[-1:] in _UNITS else ""
    try:
        found = float(number.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        found = 0.0
    if not 1 <= found < 2**63:
        message = f"{text!r} is no size in memory, expected a number such as 800MB or 4GB"
        raise click.BadParameter(message)
    return int(found)


def backend_option(
    *, default: tuple[str, ...], repeatable: bool = True
) -> Callable[[Command], Command]:
    """What to run the model on."""
    said = (
        "What to run MODEL on; `normonnx list backends` names them. Settings follow after commas: "
        "ort:cuda,use_tf32=1."
    )
    if not repeatable:
        return click.option(
            "--backend",
            default=default[0],
            show_default=True,
            help=said,
            shell_complete=completing(backend_names),
        )
    return click.option(
        "--backend",
        "backends",
        multiple=True,
        default=default,
        show_default=bool(default),
        help=f"{said} Repeatable.",
        shell_complete=completing(backend_names),
    )


def shape_option(command: Command) -> Command:
    """Shapes of inputs."""
    return click.option(
        "--shape",
        "shapes",
        type=shape,
        multiple=True,
        metavar="NAME=D,D,...",
        help="Shape of an input with dynamic dimensions. Repeatable.",
    )(command)


def input_options(command: Command) -> Command:
    """The inputs: given, or drawn in which shapes and from which seed."""
    for option in (
        click.option(
            "--seed", type=int, default=0, show_default=True, help="Seed of drawn inputs."
        ),
        shape_option,
        click.option(
            "--inputs",
            multiple=True,
            metavar="FILE",
            help="Inputs instead of drawn ones: an .npz with arrays by name, an .npy or .pb for a "
            "single input, NAME=FILE for one of several, or a folder of ONNX test data. "
            "Repeatable; each but NAME=FILE is a case of its own.",
        ),
    ):
        command = option(command)
    return command


def profile_option(command: Command) -> Command:
    """Which kinds of inputs are drawn."""
    return click.option(
        "--profiles",
        default="default",
        show_default=True,
        metavar="default|all|NAME,...",
        help="Kinds of inputs to draw: random and shifted-mean by default; constant, tiny, huge, "
        "subnormal, one-hot, batch-1 and 1x1 as well for all; nan and inf only by name.",
    )(command)


def input_files(inputs: Sequence[str]) -> tuple[Path, ...]:
    """The files that inputs are read from, where they are there."""
    named = [Path(text[number + 1 :]) for text in inputs for number in _equals(text)]
    return tuple(path for path in (*map(Path, inputs), *named) if path.is_file())


def _equals(text: str) -> list[int]:
    return [number for number, letter in enumerate(text) if letter == "="]


def resource_options(command: Command) -> Command:
    """What a backend may take."""
    for option in (
        click.option(
            "--memory",
            type=size,
            metavar="SIZE",
            help="Memory that a backend may take, such as 4GB; most of what is free by default.",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=600.0,
            show_default=True,
            help="Seconds that a backend may take.",
        ),
    ):
        command = option(command)
    return command


def limit_options(command: Command) -> Command:
    """What a backend may take, and what it must do."""
    covering = click.option(
        "--require-coverage",
        type=click.FloatRange(0, 100),
        default=0.0,
        metavar="PERCENT",
        help="Take a backend that runs less of the nodes where it should as unavailable.",
    )
    return resource_options(covering(command))


def tolerance_options(command: Command) -> Command:
    """How far off passes."""
    for option in (
        click.option(
            "--atol",
            type=click.FloatRange(min=0),
            help="The same: |found - truth| <= atol + rtol * |truth| for every entry.",
        ),
        click.option(
            "--rtol",
            type=click.FloatRange(min=0),
            help="Judge by a plain tolerance instead of the noise floor.",
        ),
        click.option(
            "--factor",
            type=click.FloatRange(min=0, min_open=True),
            help="Error over noise floor up to which an output passes; by default 16 for backends, "
            "6 for two models in float64.",
        ),
    ):
        command = option(command)
    return command
