"""Numbers of two runs side by side: each with its own interval, and no interval of their difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...parameters.errors import InputError, RangeError
from .checks import check_some
from .intervals import KEY_ROW, UNITS, draw_interval, draw_point, padded, place_key, set_axes
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    LIGHT_GREY,
    LOOKS,
    SKY_BLUE,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    number_text,
    text_at,
    text_colour,
    text_height,
    text_width,
    wrapped,
)

# Predictive intervals beside what was reported: one row for each report, one panel for each unit.


_PREDICTIVE_ROW, _PREDICTIVE_ACROSS, _PREDICTIVE_TOP, _PREDICTIVE_BETWEEN, _PREDICTIVE_RIGHT, _ROOM = (
    0.2,
    3.2,
    0.8,
    0.75,
    1.75,
    3.3,
)  # inches
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
        figure = _draw_predictive(rows, title, levels, note)
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


def _draw_predictive(rows: Sequence[PredictedRow], title: str, levels: Sequence[float], note: str) -> Figure:
    present = dict.fromkeys(row.unit for row in rows)
    units = [unit for unit in UNITS if unit in present] + [unit for unit in present if unit not in UNITS]
    labels = {row.label: wrapped(row.label, _ROOM, SMALL_SIZE) for row in rows}
    left = 0.35 + max(text_width(label, SMALL_SIZE) for label in labels.values())
    heights = {
        unit: [
            max(_PREDICTIVE_ROW, text_height(labels[row.label], SMALL_SIZE) + 0.05) for row in rows if row.unit == unit
        ]
        for unit in units
    }
    key = _predictive_key(levels)
    width = max(left + _PREDICTIVE_ACROSS + _PREDICTIVE_RIGHT, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _PREDICTIVE_TOP + sum(sum(rooms) + _PREDICTIVE_BETWEEN for rooms in heights.values()) - 0.25
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    top = _PREDICTIVE_TOP
    for unit in units:
        group, rooms = [row for row in rows if row.unit == unit], heights[unit]
        heading, log = UNITS.get(unit, (unit, all(row.reported > 0 for row in group)))
        axes = axes_at(figure, left, top, _PREDICTIVE_ACROSS, sum(rooms))
        values = [value for row in group for value in (row.reported, row.lows[-1], row.highs[-1])]
        set_axes(axes, (0.0, 100.0) if unit == "%" else padded(values, log), log, sum(rooms))
        text_at(figure, 0.15, top - 0.24, heading, fontsize=TEXT_SIZE, fontweight="bold", color=BLACK)
        text_at(figure, left + _PREDICTIVE_ACROSS + 0.2, top - 0.2, f"reported in {100 * levels[-1]:.0f} % interval")
        at = 0.0
        for row, room in zip(group, rooms, strict=True):
            _draw_row(axes, row, at + room / 2, len(levels))
            text_at(figure, 0.15, top + at + room / 2, labels[row.label], va="center", linespacing=1.1, color=BLACK)
            look = {} if row.inside else {"color": _RED, "fontweight": "bold"}
            text_at(figure, left + _PREDICTIVE_ACROSS + 0.2, top + at + room / 2, _words(row), va="center", **look)
            at += room
        top += sum(rooms) + _PREDICTIVE_BETWEEN
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


def _predictive_key(levels: Sequence[float]) -> list[Line2D]:
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


# The picture of headline numbers under several ways to make virtual patients: one panel for each unit.


_METHODS_ACROSS, _METHODS_TOP, _METHODS_BETWEEN, _STEP, _METHODS_RIGHT = 3.6, 0.78, 0.8, 0.155, 0.35  # inches
_GROUP_ROOM = 1.5


@dataclass(frozen=True)
class MethodsRowSpec:
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
    rows: Sequence[MethodsRowSpec], methods: Sequence[str], *, name: str, title: str, note: str = ""
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
        figure = _draw_methods(rows, methods, title, note)
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


def _draw_methods(rows: Sequence[MethodsRowSpec], methods: Sequence[str], title: str, note: str) -> Figure:
    units = list(dict.fromkeys(row.unit for row in rows))
    groups = {row.group: wrapped(row.group, _GROUP_ROOM, SMALL_SIZE, bold=True) for row in rows}
    label_at = 0.3 + max(text_width(text, SMALL_SIZE, bold=True) for text in groups.values())
    left = label_at + 0.2 + max(text_width(row.label, SMALL_SIZE) for row in rows)
    room = _STEP * len(methods) + 0.12
    heights = [room * sum(row.unit == unit for row in rows) for unit in units]
    width = max(left + _METHODS_ACROSS + _METHODS_RIGHT, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _METHODS_TOP + sum(heights) + _METHODS_BETWEEN * len(units) - 0.3
    figure = new_figure(
        width, below + KEY_ROW * len(methods) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0)
    )
    draw_title(figure, title)
    top = _METHODS_TOP
    for unit, height in zip(units, heights, strict=True):
        unit_rows = [row for row in rows if row.unit == unit]
        axes = axes_at(figure, left, top, _METHODS_ACROSS, height)
        set_axes(axes, _limits(unit_rows, unit), False, height)
        heading = "Per cent" if unit == "%" else unit[:1].upper() + unit[1:]
        text_at(figure, 0.15, top - 0.24, heading, fontsize=TEXT_SIZE, fontweight="bold", color=BLACK)
        before = ""
        for k, row in enumerate(unit_rows):
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
        top += height + _METHODS_BETWEEN
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


def _limits(rows: Sequence[MethodsRowSpec], unit: str) -> tuple[float, float]:
    """All of a percentage scale; otherwise from zero, or below it where an interval goes there."""
    if unit == "%":
        return 0.0, 100.0
    low, high = padded([number for row in rows for value in row.values for number in value] + [0.0], False)
    return (0.0 if all(number >= 0 for row in rows for value in row.values for number in value) else low), high


def _rule(axes: Axes, at: float, left: float) -> None:
    """A thin line over the first row of a group, from its words on the left to the end of the axis."""
    axes.plot(
        [-(left - 0.15) / _METHODS_ACROSS, 1.0], [at, at], transform=axes.get_yaxis_transform(), color=LIGHT_GREY,
        linewidth=0.7, clip_on=False, zorder=0,
    )  # fmt: skip


_PAIR_ACROSS, _PAIR_TOP, _LABEL_ROOM, _PAIR_ROW, _APART = 3.3, 0.5, 2.6, 0.42, 0.085  # inches
_COLOURS, _MARKERS = (BLUE, text_colour(VERMILLION)), ("o", "D")

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class PairSpec:
    """One number in two runs: (value, low, high) each; infinite where not reached, NaN where there is none."""

    label: str
    first: Interval
    second: Interval

    def __post_init__(self) -> None:
        for _, low, high in (self.first, self.second):
            if low > high:
                raise RangeError(f"pair '{self.label}': the interval goes from {low:g} to {high:g}.")


def pairs_picture(
    rows: Sequence[PairSpec], *, name: str, title: str, x_label: str, runs: tuple[str, str], interval: str
) -> Picture:
    """One row for each number: the first run above, filled; the second below, open.

    Parameters
    ----------
    runs
        What the two runs are called.
    interval
        What the lines are, as in "95 % interval about parameters"; empty without intervals.
    """
    check_some(rows, "numbers", f"picture {name}")
    with house_style():
        figure = _draw_pair(rows, title, x_label, runs, interval)
    said = "; ".join(f"{row.label}: {_text(row.first)} against {_text(row.second)}" for row in rows)
    lines = f", with {interval}" if interval else ""
    table = {"label": [row.label for row in rows]}
    for run in ("first", "second"):
        for k, what in enumerate(("value", "low", "high")):
            table[f"{run} {what}"] = [getattr(row, run)[k] for row in rows]
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {runs[0]}, against {runs[1]}{lines}. {said}.",
        figure=figure,
        table=table,
    )


def _draw_pair(rows: Sequence[PairSpec], title: str, x_label: str, runs: tuple[str, str], interval: str) -> Figure:
    labels = [wrapped(row.label, _LABEL_ROOM, TEXT_SIZE) for row in rows]
    left = 0.35 + max(text_width(text, TEXT_SIZE) for text in labels)
    right = 0.3 + max(text_width(_text(number), SMALL_SIZE) for row in rows for number in (row.first, row.second))
    heights = [max(_PAIR_ROW, text_height(text, TEXT_SIZE) + 0.1) for text in labels]
    down = sum(heights)
    below = _PAIR_TOP + down + 0.65
    key = _pair_key(runs, interval)
    width = max(
        left + _PAIR_ACROSS + right,
        text_width(title, 11, bold=True) + 0.3,
        0.6 + max(text_width(str(line.get_label()), SMALL_SIZE) for line in key),
    )
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15)
    draw_title(figure, title)
    axes = axes_at(figure, left, _PAIR_TOP, _PAIR_ACROSS, down)
    limits = padded([value for row in rows for value in (*row.first, *row.second)], False)
    set_axes(axes, limits, False, down)
    if limits[0] < 0 < limits[1]:
        axes.axvline(0, color=BLACK, linewidth=0.8, zorder=1)
    axes.set_xlabel(x_label)
    at = 0.0
    for row, label, height in zip(rows, labels, heights, strict=True):
        middle = at + height / 2
        if at:
            axes.axhline(at, color=LIGHT_GREY, linewidth=0.7, zorder=0)
        text_at(figure, 0.15, _PAIR_TOP + middle, label, va="center", fontsize=TEXT_SIZE, color=BLACK, linespacing=1.15)
        for k, number in enumerate((row.first, row.second)):
            place = middle + (2 * k - 1) * _APART
            draw_interval(axes, number[1:], place, _COLOURS[k], width=1.8)
            if math.isfinite(number[0]):  # what is not reached is told by the text on the right
                draw_point(axes, number[0], place, _COLOURS[k], _MARKERS[k], filled=k == 0, size=5)
            text_at(figure, left + _PAIR_ACROSS + 0.2, _PAIR_TOP + place, _text(number), va="center", color=_COLOURS[k])
        at += height
    place_key(figure, key, below)
    return figure


def _text(number: Interval) -> str:
    value, low, high = (_one(each) for each in number)
    known = not (math.isnan(number[1]) or math.isnan(number[2]))
    return f"{value} ({low} to {high})" if known else value


def _one(value: float) -> str:
    if math.isnan(value):
        return "not known"
    return "NR" if math.isinf(value) else f"{value:.4g}".replace("-", "\u2212")


def _pair_key(runs: tuple[str, str], interval: str) -> list[Line2D]:
    key = [
        Line2D(
            [], [], color=colour, marker=marker, markersize=5, linewidth=1.8, label=run,
            markerfacecolor=colour if k == 0 else "white",
        )
        for k, (run, colour, marker) in enumerate(zip(runs, _COLOURS, _MARKERS, strict=True))
    ]  # fmt: skip
    if interval:
        key.append(Line2D([], [], color=DARK_GREY, linewidth=1.8, label=f"Lines: {interval}"))
    return key
