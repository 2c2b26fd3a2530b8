"""Matplotlib as reports use it: the same fonts and lines whatever a user has set, and no window."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from normonnx.core.errors import UnavailableError
from normonnx.reporting.html.dressing import COLOR, dressed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS: Final = 72.0  # pixels of a picture to matplotlib's inch
_SETTINGS: Final[dict[Any, Any]] = {
    "axes.edgecolor": COLOR["grid"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOR["muted"],
    "axes.labelsize": 11,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "grid.color": COLOR["grid"],
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it is read aloud, found and selected
    "svg.hashsalt": "normonnx",
    "text.color": COLOR["ink"],
    "text.parse_math": False,  # a name with dollar signs is no formula
    "xtick.color": COLOR["muted"],
    "xtick.labelsize": 11,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": COLOR["muted"],
    "ytick.labelsize": 11,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True, slots=True)
class Words:
    """A chart for those who can't see it.

    Attributes:
        identifier: Unique in the page.
        title: What it shows.
        text: The same in a sentence or two.
    """

    identifier: str
    title: str
    text: str


def check_installed() -> None:
    """Check that reports can be made.

    Raises:
        UnavailableError: jinja2 or matplotlib is missing.
    """
    try:
        import jinja2  # noqa: F401  # only asked for
        import matplotlib.figure  # noqa: F401  # the same
    except ImportError as error:
        message = f'--html needs jinja2 and matplotlib ({error}); pip install "normonnx[report]"'
        raise UnavailableError(message) from error


@contextmanager
def settings() -> Iterator[None]:
    """What charts are drawn with; the user's own settings are back afterwards."""
    import matplotlib as mpl

    from normonnx.reporting.cube_picture import quiet

    with quiet(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def figure(width: float, height: float) -> Figure:
    """An empty figure of a size in pixels."""
    from matplotlib.figure import Figure as Made

    return Made(figsize=(width / POINTS, height / POINTS), dpi=POINTS)


def axes(made: Figure, *, left: float, bottom: float, right: float = 8.0, top: float = 8.0) -> Axes:
    """Axes that leave so many pixels at each side."""
    width, height = (inches * POINTS for inches in made.get_size_inches())
    frame = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return made.add_axes(frame)


def svg(made: Figure, words: Words) -> str:
    """The figure as one element for a page."""
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return dressed(buffer.getvalue(), words.identifier, words.title, words.text)
