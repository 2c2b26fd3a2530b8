"""`normonnx list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import click

from normonnx.cli.options import check_json, examples, json_option, report
from normonnx.core.errors import ExitCode

Entries: TypeAlias = Sequence[Mapping[str, object]]


def _named(found: Mapping[str, str]) -> Entries:
    return [{"name": name, "description": said} for name, said in found.items()]


def _norms() -> Entries:
    from normonnx.catalogue.contents import CATALOGUE

    return [
        {
            "name": norm.name,
            "description": norm.equation,
            "operators": ", ".join(
                f"{domain}::{op_type}" if domain else op_type
                for domain, op_type in (*norm.readers, *norm.fused)
            )
            or None,
        }
        for norm in CATALOGUE.values()
    ]


def _passes() -> Entries:
    from normonnx.pipeline import PASSES

    return _named(PASSES)


def _targets() -> Entries:
    from normonnx.lower import stored
    from normonnx.lower.targets import TARGETS, kernels_of
    from normonnx.runtime.kernel_registry import installed
    from normonnx.runtime.probing import probe

    backends = {found.name: found for found in probe()}
    entries = []
    for target in TARGETS.values():
        kernels = kernels_of(target, installed(target.provider) if target.provider else None)
        costs = stored.shipped(target.name)
        backend = backends.get(target.backend or "")
        entries.append(
            {
                "name": target.name,
                "description": target.about,
                "kernels": kernels.source if kernels else None,
                "costs": ", ".join(costs.machine.values()) if costs else None,
                "here": backend.here or None if backend else None,
                "missing": backend.missing if backend and not backend.here else None,
            }
        )
    return entries


def _backends() -> Entries:
    from normonnx.runtime.probing import probe

    return [
        {
            "name": found.name,
            "description": found.description,
            "here": found.here or None,
            "missing": None if found.here else found.missing,
        }
        for found in probe()
    ]


_TABLES: Final[Mapping[str, Callable[[], Entries]]] = {
    "norms": _norms,
    "passes": _passes,
    "targets": _targets,
    "backends": _backends,
}


@click.command(
    "list",
    epilog=examples(
        ("what runs models here", "list backends"),
        ("where models can be optimized for", "list targets"),
    ),
)
@click.argument("what", type=click.Choice(list(_TABLES)))
@json_option
def list_(what: str, *, json_to: str | None) -> ExitCode:
    """List what there is to choose from; of backends and targets, also what is here."""
    from normonnx.reporting import terminal

    check_json(json_to)
    with terminal.progress(f"looking for {what}"):
        entries = _TABLES[what]()
    titles = list(dict.fromkeys(key for entry in entries for key in entry))
    rows = [[str(entry[key] or "") for key in titles] for entry in entries]
    return report(
        "list",
        ExitCode.OK,
        {"what": what, "entries": entries},
        terminal.table(titles, rows),
        json_to=json_to,
    )
