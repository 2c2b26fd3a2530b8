"""An inspection as a person reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType

from normonnx.core.inspection import AffineFound, Inspection, NormFound
from normonnx.reporting import terminal
from normonnx.reporting.figures import count, listed, printable, size
from normonnx.reporting.grouping import group


def inspection(
    found: Inspection, *, name: str, nbytes: int | None = None, every_node: bool = False
) -> RenderableType:
    """The model in a few lines: what it is, its normalizations, what would fold and what not.

    Args:
        found: What `normonnx.inspect` returned.
        name: What to call the model.
        nbytes: Its size on disk, where it has one.
        every_node: Also list every normalization and affine with its reason.
    """
    return terminal.stacked(_blocks(found, name, nbytes, every_node=every_node))


def _blocks(
    found: Inspection, name: str, nbytes: int | None, *, every_node: bool
) -> Iterator[RenderableType]:
    yield terminal.heading(name)
    yield terminal.indented(terminal.pairs(_facts(found, nbytes)))
    for title, items in (("normalizations", found.norms), ("per-channel affines", found.affines)):
        if not items:
            continue
        foldable = sum(item.foldable for item in items)
        yield terminal.heading(f"{title}: {len(items)}, of which {foldable} would fold")
        rows = [
            (str(one.count), one.op_type, "yes" if folds else "no", one.reason, _whose(one.nodes))
            for folds in (True, False)
            for one in group(item for item in items if item.foldable is folds)
        ]
        yield terminal.indented(terminal.table((">", "operator", "folds", "why", "nodes"), rows))
    if not found.norms:
        yield terminal.line("no normalization found")
    if found.near_misses:
        yield terminal.heading(f"nearly a normalization: {len(found.near_misses)}")
        missing = [
            (str(one.count), one.op_type, one.reason, _whose(one.nodes))
            for one in group(found.near_misses)
        ]
        titles = (">", "ends in", "what is missing", "nodes")
        yield terminal.indented(terminal.table(titles, missing))
    if every_node:
        yield _listing(found)


def _facts(found: Inspection, nbytes: int | None) -> Iterator[tuple[str, str]]:
    if nbytes is not None:
        yield "size", size(nbytes)
    yield "written by", found.producer or "unknown"
    yield "opset", f"{found.opset} (IR version {found.ir_version})"
    common = ", ".join(
        f"{number} {printable(op_type)}" for op_type, number in Counter(found.nodes).most_common(6)
    )
    yield "nodes", f"{sum(found.nodes.values())}: {common}{', ...' if len(found.nodes) > 6 else ''}"  # noqa: PLR2004


def _whose(nodes: tuple[str, ...]) -> str:
    return listed(nodes, most=1)


def _placed(one: NormFound | AffineFound) -> str:
    """Its reason; before that its place and parameters, where it was recognised."""
    if isinstance(one, AffineFound) or not one.spelling:
        return one.reason
    shown = [f"{name} {_shown(value)}" for name, value in one.attributes.items()]
    sizes = [f"{name} {_shown(shape)}" for name, shape in one.parameters.items()]
    what = f"{one.norm} of {one.normalizes!r} {_shown(one.shape)}"
    return f"{', '.join([what, *shown, *sizes])}; {one.reason}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join('?' if each is None else str(each) for each in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listing(found: Inspection) -> RenderableType:
    everything: tuple[NormFound | AffineFound, ...] = (*found.norms, *found.affines)
    rows = [
        (one.node, one.spelled, "yes" if one.foldable else "no", _placed(one)) for one in everything
    ]
    title = terminal.heading(f"{count(len(rows), 'node')} in full")
    return terminal.stacked(
        (title, terminal.indented(terminal.table(("node", "operator", "folds", "why"), rows)))
    )
