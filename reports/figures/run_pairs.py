"""Numbers of two runs side by side: each with its own interval, and no interval of their difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...parameters.errors import RangeError
from .checks import check_some
from .forest_axes import KEY_ROW, draw_interval, draw_point, padded, place_key, set_axes
from .labels import text_height, text_width, wrapped
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
    text_colour,
)

_ACROSS, _TOP, _LABEL_ROOM, _ROW, _APART = 3.3, 0.5, 2.6, 0.42, 0.085  # inches
_COLOURS, _MARKERS = (BLUE, text_colour(VERMILLION)), ("o", "D")

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class PairToDraw:
    """One number in two runs: (value, low, high) each; infinite where not reached, NaN where there is none."""

    label: str
    first: Interval
    second: Interval

    def __post_init__(self) -> None:
        for _, low, high in (self.first, self.second):
            if low > high:
                raise RangeError(f"pair '{self.label}': the interval goes from {low:g} to {high:g}.")


def pairs_picture(
    rows: Sequence[PairToDraw], *, name: str, title: str, x_label: str, runs: tuple[str, str], interval: str
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
        figure = _draw(rows, title, x_label, runs, interval)
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


def _draw(rows: Sequence[PairToDraw], title: str, x_label: str, runs: tuple[str, str], interval: str) -> Figure:
    labels = [wrapped(row.label, _LABEL_ROOM, TEXT_SIZE) for row in rows]
    left = 0.35 + max(text_width(text, TEXT_SIZE) for text in labels)
    right = 0.3 + max(text_width(_text(number), SMALL_SIZE) for row in rows for number in (row.first, row.second))
    heights = [max(_ROW, text_height(text, TEXT_SIZE) + 0.1) for text in labels]
    down = sum(heights)
    below = _TOP + down + 0.65
    key = _key(runs, interval)
    width = max(
        left + _ACROSS + right,
        text_width(title, 11, bold=True) + 0.3,
        0.6 + max(text_width(str(line.get_label()), SMALL_SIZE) for line in key),
    )
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15)
    draw_title(figure, title)
    axes = axes_at(figure, left, _TOP, _ACROSS, down)
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
        text_at(figure, 0.15, _TOP + middle, label, va="center", fontsize=TEXT_SIZE, color=BLACK, linespacing=1.15)
        for k, number in enumerate((row.first, row.second)):
            place = middle + (2 * k - 1) * _APART
            draw_interval(axes, number[1:], place, _COLOURS[k], width=1.8)
            if math.isfinite(number[0]):  # what is not reached is told by the text on the right
                draw_point(axes, number[0], place, _COLOURS[k], _MARKERS[k], filled=k == 0, size=5)
            text_at(figure, left + _ACROSS + 0.2, _TOP + place, _text(number), va="center", color=_COLOURS[k])
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


def _key(runs: tuple[str, str], interval: str) -> list[Line2D]:
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
