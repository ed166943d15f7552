"""Where labels go, so that they do not lie on each other."""

import textwrap
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from .checks import FloatArray
from .style import LINE_HEIGHT


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
