"""Predictive intervals beside what was reported: one row for each report, one panel for each unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...parameters.errors import RangeError
from .checks import check_some
from .fit_drawing import UNITS
from .forest_axes import KEY_ROW, draw_interval, draw_point, padded, place_key, set_axes
from .labels import number_text, text_height, text_width, wrapped
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    SKY_BLUE,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
)

_ROW, _ACROSS, _TOP, _BETWEEN, _RIGHT, _ROOM = 0.2, 3.2, 0.8, 0.75, 1.75, 3.3  # inches
_RED = text_colour(VERMILLION)
_WIDTHS = {1: (1.6,), 2: (4.5, 1.4), 3: (6.0, 3.4, 1.2)}


@dataclass(frozen=True)
class PredictedRow:
    """One report and the central intervals predicted for it, narrowest first; all in `unit`.

    `beyond`: the report is that the number lies above `reported`.
    """

    label: str
    unit: str
    reported: float
    median: float
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    inside: bool
    beyond: bool = False

    def __post_init__(self) -> None:
        if not self.lows or len(self.lows) != len(self.highs):
            raise RangeError(f"predicted row '{self.label}': {len(self.lows)} lower limits; one for each upper one.")


def predicted_picture(
    rows: Sequence[PredictedRow], *, name: str, title: str, levels: Sequence[float] = (0.95,), note: str = ""
) -> Picture:
    """Reports against their predictive intervals at `levels`, in the order given within each unit."""
    check_some(rows, "rows", f"picture {name}")
    if any(len(row.lows) != len(levels) for row in rows):
        raise RangeError(f"picture {name}: a row needs an interval for each of {len(levels)} levels.")
    with house_style():
        figure = _draw(rows, title, levels, note)
    out = [row for row in rows if not row.inside]
    named = "; ".join(f"{row.label}: {_words(row)}" for row in out[:8])
    widest = f"{100 * levels[-1]:.0f} %"
    alt = (
        f"{title}. {len(rows)} reports with predicted intervals; {len(rows) - len(out)} lie inside the {widest} one"
        + (f". Outside: {named}." if out else ".")
    )
    table: dict[str, list[object]] = {
        field: [getattr(row, field) for row in rows] for field in ("label", "unit", "reported", "beyond", "median")
    }
    for k, level in enumerate(levels):
        table[f"low_{100 * level:.0f}"] = [row.lows[k] for row in rows]
        table[f"high_{100 * level:.0f}"] = [row.highs[k] for row in rows]
    table["inside"] = [row.inside for row in rows]
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _words(row: PredictedRow) -> str:
    reported = ("> " if row.beyond else "") + number_text(row.reported)
    return f"{reported} in {number_text(row.lows[-1])} to {number_text(row.highs[-1])}"


def _draw(rows: Sequence[PredictedRow], title: str, levels: Sequence[float], note: str) -> Figure:
    present = dict.fromkeys(row.unit for row in rows)
    units = [unit for unit in UNITS if unit in present] + [unit for unit in present if unit not in UNITS]
    labels = {row.label: wrapped(row.label, _ROOM, SMALL_SIZE) for row in rows}
    left = 0.35 + max(text_width(label, SMALL_SIZE) for label in labels.values())
    heights = {
        unit: [max(_ROW, text_height(labels[row.label], SMALL_SIZE) + 0.05) for row in rows if row.unit == unit]
        for unit in units
    }
    key = _key(levels)
    width = max(left + _ACROSS + _RIGHT, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _TOP + sum(sum(rooms) + _BETWEEN for rooms in heights.values()) - 0.25
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    top = _TOP
    for unit in units:
        group, rooms = [row for row in rows if row.unit == unit], heights[unit]
        heading, log = UNITS.get(unit, (unit, all(row.reported > 0 for row in group)))
        axes = axes_at(figure, left, top, _ACROSS, sum(rooms))
        values = [value for row in group for value in (row.reported, row.lows[-1], row.highs[-1])]
        set_axes(axes, (0.0, 100.0) if unit == "%" else padded(values, log), log, sum(rooms))
        text_at(figure, 0.15, top - 0.24, heading, fontsize=TEXT_SIZE, fontweight="bold", color=BLACK)
        text_at(figure, left + _ACROSS + 0.2, top - 0.2, f"reported in {100 * levels[-1]:.0f} % interval")
        at = 0.0
        for row, room in zip(group, rooms, strict=True):
            _draw_row(axes, row, at + room / 2, len(levels))
            text_at(figure, 0.15, top + at + room / 2, labels[row.label], va="center", linespacing=1.1, color=BLACK)
            look = {} if row.inside else {"color": _RED, "fontweight": "bold"}
            text_at(figure, left + _ACROSS + 0.2, top + at + room / 2, _words(row), va="center", **look)
            at += room
        top += sum(rooms) + _BETWEEN
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.05, notes, linespacing=1.2)
    return figure


def _draw_row(axes: Axes, row: PredictedRow, at: float, levels: int) -> None:
    for k in reversed(range(levels)):
        width = _WIDTHS[min(levels, 3)][min(k, 2)]
        draw_interval(axes, (row.lows[k], row.highs[k]), at, SKY_BLUE if k < levels - 1 else BLUE, width=width)
    if math.isfinite(row.median):
        axes.plot([row.median], [at], marker="|", color=BLACK, markersize=6, zorder=3, clip_on=False)
    marker = ">" if row.beyond else "s" if row.inside else "D"
    draw_point(axes, row.reported, at, BLACK if row.inside else _RED, marker, filled=True, size=3.8)


def _key(levels: Sequence[float]) -> list[Line2D]:
    named = ", ".join(f"{100 * level:.0f} %" for level in reversed(levels))
    return [
        Line2D([], [], color=BLUE, linewidth=1.6, marker="|", markeredgecolor=BLACK,
               label=f"Predicted: median, and central {named}" + (" (thin to thick)" if len(levels) > 1 else "")),
        Line2D([], [], linestyle="none", marker="s", markersize=3.8, color=BLACK, label="Reported, inside"),
        Line2D([], [], linestyle="none", marker="D", markersize=3.8, color=_RED,
               label=f"Reported, outside the {100 * levels[-1]:.0f} % interval"),
        Line2D([], [], linestyle="none", marker=">", markersize=3.8, color=BLACK,
               label="Arrow: reported as not reached by then, or beyond the axis"),
    ]  # fmt: skip
