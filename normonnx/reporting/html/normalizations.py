"""The normalizations of a model, as a section of a report: what they are, and over which axes."""

from __future__ import annotations

from collections.abc import Sequence

from normonnx.core.explanations import NormExplained
from normonnx.core.inspection import Inspection, NormFound
from normonnx.reporting import cube_picture
from normonnx.reporting.figures import count
from normonnx.reporting.html.blocks import (
    Block,
    Column,
    Gallery,
    Listing,
    Paragraph,
    Picture,
    Section,
)
from normonnx.reporting.html.dressing import dressed

_COLUMNS = (
    Column("node"),
    Column("normalization", choice=True),
    Column("spelled"),
    Column("folds", choice=True),
    Column("why", folded=True),
    Column("normalizes", folded=True),
    Column("shape", folded=True),
    Column("attributes", folded=True),
    Column("parameters", folded=True),
    Column("nodes", folded=True),
    Column("stopped upwards", folded=True),
    Column("stopped downwards", folded=True),
)


def section(found: Inspection, explained: Sequence[NormExplained]) -> Section:
    """Every normalization, the axes that its statistics are taken over, and near misses."""
    if not found.norms:
        blocks: tuple[Block, ...] = (Paragraph("The model has no normalization."),)
        return Section("norms", "Normalizations", (*blocks, *_near(found)))
    pictures = [_picture(one, number) for number, one in enumerate(explained)]
    gallery = (Gallery(tuple(pictures)),) if pictures else ()
    listing = Listing("norm-list", _COLUMNS, tuple(map(_row, found.norms)), "normalization")
    foldable = sum(one.foldable for one in found.norms)
    intro = f"{count(len(found.norms), 'normalization')} recognised, of which {foldable} fold."
    blocks = (listing, *gallery, *_near(found))
    return Section("norms", "Normalizations", blocks, intro)


def _near(found: Inspection) -> list[Block]:
    if not found.near_misses:
        return []
    columns = (Column("node"), Column("ends in", choice=True), Column("what is missing"))
    rows = tuple((one.node, one.op_type, one.reason) for one in found.near_misses)
    said = Paragraph("Nearly a normalization, and none:", "quiet")
    return [said, Listing("near-misses", columns, rows, "near miss")]


def _row(one: NormFound) -> tuple[str, ...]:
    return (
        one.node,
        one.norm,
        one.spelled,
        "yes" if one.foldable else "no",
        one.reason,
        one.normalizes,
        _joined(one.shape) if one.shape else "",
        ", ".join(f"{name} {_value(value)}" for name, value in one.attributes.items()),
        ", ".join(f"{name} {_joined(shape)}" for name, shape in one.parameters.items()),
        ", ".join(one.nodes),
        "" if one.up is None else f"{one.up.reason} (at {one.up.node})",
        "" if one.down is None else f"{one.down.reason} (at {one.down.node})",
    )


def _joined(shape: Sequence[object]) -> str:
    return f"({', '.join('?' if dim is None else str(dim) for dim in shape)})"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return _joined(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _picture(one: NormExplained, number: int) -> Picture:
    words = cube_picture.in_words([one])
    svg = dressed(cube_picture.render([one], "svg"), f"axes-{number}", one.name, words)
    return Picture(svg, one.equation, wide=False)
