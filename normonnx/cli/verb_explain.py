"""`normonnx explain`: what a normalization is, in words, numbers and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from normonnx.cli.completion import completing, norm_names
from normonnx.cli.options import check_json, examples, json_option, report
from normonnx.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from normonnx.core.explanations import NormExplained

_FOR_EXAMPLE = "normonnx explain GroupNorm"


@click.command(
    "explain",
    epilog=examples(
        ("formula, axes, forms, counterparts", "explain GroupNorm"),
        ("side by side", "explain --compare BatchNorm LayerNorm InstanceNorm GroupNorm"),
        ("a picture", "explain torch.nn.GroupNorm --picture norm.svg"),
    ),
)
@click.argument("names", nargs=-1, metavar="NORM...", shell_complete=completing(norm_names))
@click.option(
    "--compare", is_flag=True, help="Draw several side by side, and what sets them apart."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw it as FILE, which ends in .svg or .png.",
)
@json_option
def explain(
    names: tuple[str, ...], *, compare: bool, picture: Path | None, json_to: str | None
) -> ExitCode:
    """Say what a normalization is.

    Its formula, the axes that its statistics are taken over as a picture, when to use it, inputs
    and attributes, forms, and its counterparts. NORM is a name in any case, another name of the
    field, an ONNX operator, or a layer of torch or scikit-learn.
    """
    from normonnx.reporting import norm_view, terminal

    found = _found(names, compare=compare)
    _check_places(picture, json_to)
    if picture is not None:
        from normonnx.reporting.cube_picture import draw

        with terminal.progress(f"drawing {picture.name}"):
            draw(found, picture)
    view = norm_view.comparison if compare else norm_view.explanations
    blocks = [view(found)]
    if picture is not None:
        blocks.append(terminal.line(f"{picture} written"))
    content = {"norms": found, "compared": compare, "picture": picture}
    return report("explain", ExitCode.OK, content, *blocks, json_to=json_to)


def _found(names: tuple[str, ...], *, compare: bool) -> list[NormExplained]:
    """The normalizations that were named, each once.

    Raises:
        UsageError: One is not known, or there are too few.
    """
    from normonnx.catalogue.contents import CATALOGUE
    from normonnx.catalogue.explaining import explained

    if not names:
        message = f"no NORM was named, as in `{_FOR_EXAMPLE}`; known: {', '.join(CATALOGUE)}"
        raise UsageError(message)
    found = {norm.name: explained(norm) for norm in map(CATALOGUE.__getitem__, names)}
    if compare and len(found) == 1:
        message = f"--compare has {', '.join(found)} alone; name two normalizations or more"
        raise UsageError(message)
    return list(found.values())


def _check_places(picture: Path | None, json_to: str | None) -> None:
    """Fail before anything is drawn where it could not be written.

    Raises:
        UsageError: A file can't be written, or both are one.
        UnavailableError: There is nothing to draw with.
    """
    if picture is None:
        check_json(json_to)
        return
    from normonnx.graph.paths import writable_output
    from normonnx.reporting.cube_picture import check_installed, format_of

    format_of(picture)
    writable_output(picture, example=f"norms{picture.suffix}")
    check_json(json_to, inputs=(picture,))
    check_installed()
