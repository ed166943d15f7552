"""The picture of headline numbers under several ways to make virtual patients: one panel for each unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...parameters.errors import InputError, RangeError
from .checks import check_some
from .forest_axes import KEY_ROW, draw_interval, draw_point, padded, place_key, set_axes
from .labels import number_text, text_height, text_width, wrapped
from .picture import Picture
from .style import (
    BLACK,
    LIGHT_GREY,
    LOOKS,
    SMALL_SIZE,
    TEXT_SIZE,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
)

_ACROSS, _TOP, _BETWEEN, _STEP, _RIGHT = 3.6, 0.78, 0.8, 0.155, 0.35  # inches
_GROUP_ROOM = 1.5


@dataclass(frozen=True)
class MethodsRowToDraw:
    """One headline number in `unit`, as (value, low, high) under each way in the order of the picture's `methods`.

    An infinite value is one that is not reached.
    """

    group: str
    label: str
    unit: str
    values: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        for value, low, high in self.values:
            if math.isnan(value):
                raise RangeError(f"row '{self.label}': a value is not a number; leave out what failed, and say so.")
            if math.isfinite(low) and math.isfinite(high) and low > high:
                raise RangeError(f"row '{self.label}': an interval goes from {low:g} to {high:g}; lower limit first.")


def methods_picture(
    rows: Sequence[MethodsRowToDraw], methods: Sequence[str], *, name: str, title: str, note: str = ""
) -> Picture:
    """Headline numbers, one row each, with a mark and an interval for each way to make virtual patients.

    Rows of one unit share a panel with a heading of that name; rows of one group stand together if they come together.
    """
    where = f"picture {name}"
    check_some(rows, "rows", where)
    for row in rows:
        if len(row.values) != len(methods):
            raise InputError(f"{where}: '{row.label}' has {len(row.values)} values for {len(methods)} ways; give each.")
    with house_style():
        figure = _draw(rows, methods, title, note)
    parts = [
        f"{row.group}, {row.label}: " + ", ".join(number_text(value) for value, _, _ in row.values) + f" {row.unit}"
        for row in rows
    ]
    table: dict[str, list[object]] = {key: [getattr(row, key) for row in rows] for key in ("group", "label", "unit")}
    for k, method in enumerate(methods):
        for part, what in enumerate(("", " low", " high")):
            table[method + what] = [row.values[k][part] for row in rows]
    alt = f"{title}. Each number under {', '.join(methods)}, in this order. " + "; ".join(parts) + "."
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _draw(rows: Sequence[MethodsRowToDraw], methods: Sequence[str], title: str, note: str) -> Figure:
    units = list(dict.fromkeys(row.unit for row in rows))
    groups = {row.group: wrapped(row.group, _GROUP_ROOM, SMALL_SIZE, bold=True) for row in rows}
    label_at = 0.3 + max(text_width(text, SMALL_SIZE, bold=True) for text in groups.values())
    left = label_at + 0.2 + max(text_width(row.label, SMALL_SIZE) for row in rows)
    room = _STEP * len(methods) + 0.12
    heights = [room * sum(row.unit == unit for row in rows) for unit in units]
    width = max(left + _ACROSS + _RIGHT, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _TOP + sum(heights) + _BETWEEN * len(units) - 0.3
    figure = new_figure(
        width, below + KEY_ROW * len(methods) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0)
    )
    draw_title(figure, title)
    top = _TOP
    for unit, height in zip(units, heights, strict=True):
        mine = [row for row in rows if row.unit == unit]
        axes = axes_at(figure, left, top, _ACROSS, height)
        set_axes(axes, _limits(mine, unit), False, height)
        heading = "Per cent" if unit == "%" else unit[:1].upper() + unit[1:]
        text_at(figure, 0.15, top - 0.24, heading, fontsize=TEXT_SIZE, fontweight="bold", color=BLACK)
        before = ""
        for k, row in enumerate(mine):
            middle = top + room * (k + 0.5)
            if row.group != before:
                _rule(axes, room * k, left)
                text_at(figure, 0.15, middle, groups[row.group], va="center", fontweight="bold", linespacing=1.1)
            text_at(figure, label_at, middle, row.label, va="center")
            for m, (value, low, high) in enumerate(row.values):
                at, colour = room * k + 0.06 + _STEP * (m + 0.5), text_colour(LOOKS[m].colour)
                draw_interval(axes, (low, high), at, colour)
                draw_point(axes, value, at, colour, LOOKS[m].marker, filled=m == 0)
            before = row.group
        top += height + _BETWEEN
    key = [
        Line2D(
            [], [], color=text_colour(LOOKS[m].colour), marker=LOOKS[m].marker, markersize=5, linewidth=1.6,
            markerfacecolor=text_colour(LOOKS[m].colour) if m == 0 else "white", label=method,
        )
        for m, method in enumerate(methods)
    ]  # fmt: skip
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.05, notes, linespacing=1.2)
    return figure


def _limits(rows: Sequence[MethodsRowToDraw], unit: str) -> tuple[float, float]:
    """All of a percentage scale; otherwise from zero, or below it where an interval goes there."""
    if unit == "%":
        return 0.0, 100.0
    low, high = padded([number for row in rows for value in row.values for number in value] + [0.0], False)
    return (0.0 if all(number >= 0 for row in rows for value in row.values for number in value) else low), high


def _rule(axes: Axes, at: float, left: float) -> None:
    """A thin line over the first row of a group, from its words on the left to the end of the axis."""
    axes.plot(
        [-(left - 0.15) / _ACROSS, 1.0], [at, at], transform=axes.get_yaxis_transform(), color=LIGHT_GREY,
        linewidth=0.7, clip_on=False, zorder=0,
    )  # fmt: skip
