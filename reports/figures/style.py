"""The look of every picture: fonts, Okabe-Ito colours with line styles and markers, figures without pyplot."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from .checks import FloatArray

BLACK, ORANGE, SKY_BLUE, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, DARK_GREY, LIGHT_GREY = "#8C8C8C", "#4D4D4D", "#D9D9D9"

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 11.0, 8.5, 7.5  # points
LINE_HEIGHT = 1.3  # in font sizes


@dataclass(frozen=True)
class Look:
    """How one series is told from the others: by colour, by dashes and by marker, so that none is needed alone."""

    colour: str
    dashes: tuple[float, tuple[float, ...] | None]
    marker: str


LOOKS: tuple[Look, ...] = (
    Look(BLUE, (0, None), "o"),
    Look(VERMILLION, (0, (7, 2)), "s"),
    Look(GREEN, (0, (8, 2, 2, 2)), "D"),
    Look(PURPLE, (0, (4, 1.5)), "^"),
    Look(ORANGE, (0, (8, 2, 2, 2, 2, 2)), "v"),
    Look(SKY_BLUE, (0, (2, 1)), "P"),
    Look(BLACK, (0, (12, 3)), "X"),
)

_HOUSE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": TEXT_SIZE,
    "axes.titlesize": TEXT_SIZE + 0.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": TEXT_SIZE,
    "axes.labelcolor": DARK_GREY,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.labelsize": TEXT_SIZE - 0.5,
    "ytick.labelsize": TEXT_SIZE - 0.5,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK_GREY,
    "ytick.labelcolor": DARK_GREY,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": SMALL_SIZE,
    "hatch.linewidth": 0.6,
    "lines.solid_capstyle": "butt",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a "$" in somebody's label is a dollar
    "text.usetex": False,
    "svg.fonttype": "path",  # letters as outlines: no font has to be installed where the picture is read
    "path.simplify": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Every figure is built and saved inside this, whatever style its user has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_HOUSE)
        yield


def look(index: int) -> Look:
    """The look of series number `index`; after the seventh, colours return with another line style."""
    first = LOOKS[index % len(LOOKS)]
    turn = index // len(LOOKS)
    return Look(first.colour, LOOKS[(index + turn) % len(LOOKS)].dashes, LOOKS[(index + turn) % len(LOOKS)].marker)


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches that no window system and no pyplot knows of."""
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure


def axes_at(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
    """Axes placed in inches from the left and from the top edge of the figure."""
    across, down = figure.get_size_inches()
    return figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down), **options)


def text_at(figure: Figure, left: float, top: float, text: str, **options: Any) -> None:
    """Text placed in inches from the left and from the top edge of the figure."""
    across, down = figure.get_size_inches()
    settings: dict[str, Any] = {"va": "top", "ha": "left", "color": DARK_GREY, "fontsize": SMALL_SIZE} | options
    figure.text(left / across, 1 - top / down, text, **settings)


def draw_title(figure: Figure, title: str) -> None:
    """The title, bold, top left."""
    text_at(figure, 0.12, 0.1, title, fontsize=TITLE_SIZE, fontweight="bold", color=BLACK)


def text_colour(colour: str) -> str:
    """The same hue, dark enough for small letters on white (contrast 4.5 to 1, WCAG AA)."""
    red, green, blue = to_rgb(colour)
    while 1.05 / (_luminance(red, green, blue) + 0.05) < 4.5:
        red, green, blue = red * 0.95, green * 0.95, blue * 0.95
    return to_hex((red, green, blue))


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on a filled area of this colour."""
    luminance = _luminance(*to_rgb(colour))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _luminance(red: float, green: float, blue: float) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


# Where labels go, so that they do not lie on each other.


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width in inches of the longest line of a text, at a font size in points."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    widths = [
        TextPath((0, 0), line, size=size, prop=font, usetex=False).get_extents().width
        for line in text.split("\n")
        if line.strip()
    ]
    return max(widths, default=0.0) / 72


def text_height(text: str, size: float) -> float:
    """Height in inches of a text with all its lines, at a font size in points."""
    return (text.count("\n") + 1) * size * LINE_HEIGHT / 72


def wrapped(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text in lines no wider than `width` inches, as far as its single words allow."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in textwrap.wrap(paragraph, width=1, break_long_words=False, break_on_hyphens=False):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size, bold) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return "\n".join(lines)


def spread_apart(
    wanted: Sequence[float] | FloatArray, heights: Sequence[float] | FloatArray, low: float, high: float
) -> FloatArray:
    """Centres as near as possible to the wanted ones, such that boxes of these heights do not overlap.

    The least-squares answer (pool adjacent violators), moved into [low, high] if the boxes fit in there at all.
    """
    centres, sizes = np.asarray(wanted, dtype=float), np.asarray(heights, dtype=float)
    if centres.size == 0:
        return centres
    order = np.argsort(centres, kind="stable")
    sizes_sorted = sizes[order]
    offsets = np.concatenate([[0.0], np.cumsum((sizes_sorted[1:] + sizes_sorted[:-1]) / 2)])
    blocks: list[tuple[float, int]] = []
    for value in centres[order] - offsets:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            other, number = blocks.pop()
            mean, count = (mean * count + other * number) / (count + number), count + number
        blocks.append((mean, count))
    placed = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    # Without their offsets the centres are only in rising order, so a plain clip keeps every distance.
    placed = np.minimum(placed, high - sizes_sorted[-1] / 2 - offsets[-1])
    placed = np.maximum(placed, low + sizes_sorted[0] / 2)
    result = np.empty_like(centres)
    result[order] = placed + offsets
    return result


def number_text(value: float, digits: int = 3) -> str:
    """A number for people: three significant digits, thousands kept whole, a true minus sign."""
    if not np.isfinite(value):
        return "NR"
    text = f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
    return text.replace(",", "\u202f").replace("-", "\u2212")
