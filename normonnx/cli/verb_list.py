"""`normonnx list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import click

from normonnx.cli.options import check_json, json_option, report
from normonnx.core.errors import ExitCode


def _norms() -> Mapping[str, str]:
    from normonnx.catalogue.operators import NORM_OPERATORS

    found: dict[str, list[str]] = {}
    for (domain, op_type), norm in NORM_OPERATORS.items():
        found.setdefault(norm, []).append(f"{domain}::{op_type}" if domain else op_type)
    return {norm: ", ".join(found[norm]) for norm in sorted(found)}


def _passes() -> Mapping[str, str]:
    from normonnx.pipeline import PASSES

    return PASSES


def _targets() -> Mapping[str, str]:
    from normonnx.pipeline import TARGETS

    return TARGETS


def _backends() -> Mapping[str, str]:
    from normonnx.runtime.backends import BACKENDS

    return BACKENDS


_TABLES: Final[Mapping[str, Callable[[], Mapping[str, str]]]] = {
    "norms": _norms,
    "passes": _passes,
    "targets": _targets,
    "backends": _backends,
}


@click.command("list")
@click.argument("what", type=click.Choice(list(_TABLES)))
@json_option
def list_(what: str, *, json_to: str | None) -> ExitCode:
    """List what there is to choose from."""
    from normonnx.reporting import terminal

    check_json(json_to)
    found = _TABLES[what]()
    entries = [{"name": name, "description": said} for name, said in found.items()]
    return report(
        "list",
        ExitCode.OK,
        {"what": what, "entries": entries},
        terminal.pairs(found.items()),
        json_to=json_to,
    )
