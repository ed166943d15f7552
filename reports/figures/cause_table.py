"""Cause times therapy: the gain of each therapy in the patients of each cause, as colours with number and interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...parameters.errors import InputError
from .checks import check_some
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    LIGHT_GREY,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_height,
    text_on,
    text_width,
    wrapped,
)

_COLOURS = LinearSegmentedColormap.from_list("vermillion_white_blue", [VERMILLION, "#FFFFFF", BLUE])
_ACROSS, _DOWN, _LABEL_ROOM, _BAR = 0.98, 0.5, 1.9, 0.14  # inches


@dataclass(frozen=True)
class CauseCell:
    """One cell: a gain with its interval; not finite where there are too few patients for a number."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the interval, as it is written, holds the estimate and leaves out zero."""
        if not math.isfinite(self.low):
            return False
        return self.low <= self.value <= self.high and (round(self.low, 1) > 0 or round(self.high, 1) < 0)

    @property
    def text(self) -> str:
        """The number, and below it the interval."""
        if not math.isfinite(self.value):
            return "too few"
        if not math.isfinite(self.low):
            return f"{_signed(self.value)}\nno interval"
        return f"{_signed(self.value)}\n({_signed(self.low)} to {_signed(self.high)})"


def cause_picture(
    cells: Sequence[Sequence[CauseCell]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    title: str,
    scale: str,
    note: str = "",
) -> Picture:
    """Gains as colours centred at zero: blue for a gain, vermillion for a loss, grey where there are too few patients.

    A frame marks the largest gain of each row; a bold number has an interval that holds it and leaves out zero.

    Parameters
    ----------
    cells
        By row (cause) and column (therapy).
    scale
        What the colour means, with its unit.

    Raises
    ------
    InputError
        If the cells are not one for each row and column.
    """
    where = f"picture {name}"
    check_some(rows, "causes", where)
    check_some(columns, "therapies", where)
    if len(cells) != len(rows) or any(len(row) != len(columns) for row in cells):
        raise InputError(f"{where}: give one cell for each of {len(rows)} causes and {len(columns)} therapies.")
    values = np.array([[cell.value for cell in row] for row in cells], dtype=float)
    with house_style():
        figure = _drawn(cells, values, rows, columns, title, scale, note)
    flat = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    best = "; ".join(
        f"{rows[i].splitlines()[0]}: {columns[int(np.nanargmax(values[i]))]} "
        f"{' '.join(cells[i][int(np.nanargmax(values[i]))].text.split())}"
        if np.isfinite(values[i]).any()
        else f"{rows[i].splitlines()[0]}: too few patients"
        for i in range(len(rows))
    )
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. Table of {len(rows)} causes by {len(columns)} therapies; the colour is {scale}. "
        f"Largest of each cause: {best}.",
        figure=figure,
        table={
            "cause": [rows[i].splitlines()[0] for i, _ in flat],
            "therapy": [columns[j] for _, j in flat],
            "gain": [cells[i][j].value for i, j in flat],
            "low": [cells[i][j].low for i, j in flat],
            "high": [cells[i][j].high for i, j in flat],
        },
    )


def _drawn(
    cells: Sequence[Sequence[CauseCell]], values: np.ndarray, rows: Sequence[str], columns: Sequence[str], title: str,
    scale: str, note: str,
) -> Figure:  # fmt: skip
    labels = ["\n".join(wrapped(part, _LABEL_ROOM, SMALL_SIZE) for part in row.splitlines()) for row in rows]
    heads = [wrapped(column, _ACROSS - 0.1, SMALL_SIZE) for column in columns]
    left = 0.3 + max(text_width(label, SMALL_SIZE) for label in labels)
    above = 0.55 + max(text_height(head, SMALL_SIZE) for head in heads)
    heights = [max(_DOWN, text_height(label, SMALL_SIZE) + 0.12) for label in labels]
    across, down = _ACROSS * len(columns), sum(heights)
    width = max(left + across + 0.2, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    bottom = above + down
    figure = new_figure(width, bottom + 0.9 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    norm = Normalize(-most, most)
    axes = axes_at(figure, left, above, across, down)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(down, 0)
    at = 0.0
    for i, (row, height) in enumerate(zip(cells, heights, strict=True)):
        _draw_row(axes, row, values[i], at, height, norm)
        text_at(figure, 0.15, above + at + height / 2, labels[i], va="center", color=BLACK, linespacing=1.2)
        at += height
    for j, head in enumerate(heads):
        text_at(
            figure, left + (j + 0.5) * _ACROSS, above - 0.07, head, ha="center", va="bottom", color=BLACK,
            linespacing=1.15,
        )  # fmt: skip
    axes.axhline(heights[0], color=BLACK, linewidth=1.2)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    bar = axes_at(figure, left, bottom + 0.18, min(max(across, 2.0), 3.2), _BAR)
    figure.colorbar(ScalarMappable(norm, _COLOURS), cax=bar, orientation="horizontal")
    bar.set_xlabel(scale, fontsize=SMALL_SIZE)
    if notes:
        text_at(figure, 0.15, bottom + 0.83, notes, linespacing=1.2)
    return figure


def _draw_row(
    axes: Axes, row: Sequence[CauseCell], values: np.ndarray, at: float, height: float, norm: Normalize
) -> None:
    best = int(np.nanargmax(values)) if np.isfinite(values).any() and np.nanmax(values) > 0 else -1
    for j, cell in enumerate(row):
        known = math.isfinite(cell.value)
        colour = to_hex(_COLOURS(norm(cell.value))) if known else LIGHT_GREY
        axes.add_patch(Rectangle((j, at), 1.0, height, facecolor=colour, edgecolor="white", linewidth=1.0))
        first, _, rest = cell.text.partition("\n")
        ink = text_on(colour) if known else DARK_GREY
        weight = "bold" if cell.sure else "normal"
        middle = at + height / 2
        axes.text(
            j + 0.5, middle - (0.08 if rest else 0.0), first, ha="center", va="center", color=ink, fontsize=TEXT_SIZE,
            fontweight=weight,
        )  # fmt: skip
        axes.text(j + 0.5, middle + 0.11, rest, ha="center", va="center", color=ink, fontsize=6.0)
    if best >= 0:
        frame = Rectangle((best + 0.03, at + 0.03), 0.94, height - 0.06, fill=False, edgecolor=BLACK, linewidth=1.6)
        axes.add_patch(frame)


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "\u2212")
