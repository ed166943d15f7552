"""The drawing of effects: one row each, words left, numbers right, the reference line between."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .forest_axes import KEY_ROW, draw_interval, draw_point, padded, place_key, set_axes
from .labels import text_height, text_width, wrapped
from .rows import EffectRowToDraw
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    new_figure,
    text_at,
    text_colour,
)

_ACROSS, _TOP, _LABEL_ROOM = 3.3, 0.5, 3.0  # inches


def draw_effects(
    rows: Sequence[EffectRowToDraw],
    title: str,
    x_label: str,
    reference: float,
    log: bool,
    sides: tuple[str, str],
    note: str,
) -> Figure:
    """The whole figure; `sides` say what it means to stand left and right of the reference line."""
    labels = [wrapped(row.label, _LABEL_ROOM, TEXT_SIZE) for row in rows]
    numbers = effect_texts(rows, reference)
    left = 0.35 + max(text_width(text, TEXT_SIZE) for text in labels)
    right = 0.3 + max(text_width(text, SMALL_SIZE) for text in numbers)
    heights = [max(0.32, text_height(text, TEXT_SIZE) + 0.1) for text in labels]
    down = sum(heights)
    below = _TOP + down + (0.85 if any(sides) else 0.65)
    key = _key(rows)
    width = max(left + _ACROSS + right, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    axes = axes_at(figure, left, _TOP, _ACROSS, down)
    set_axes(
        axes,
        padded([value for row in rows for value in (row.estimate, row.low, row.high)] + [reference], log),
        log,
        down,
    )
    axes.axvline(reference, color=BLACK, linewidth=1.0, zorder=1)
    axes.set_xlabel(x_label, labelpad=19 if any(sides) else 4)
    for words, align, shift in ((f"\u2190 {sides[0]}", "right", -4), (f"{sides[1]} \u2192", "left", 4)):
        if words.strip("\u2190\u2192 "):
            axes.annotate(
                words,
                xy=(reference, -0.24 / down),
                xycoords=("data", "axes fraction"),
                xytext=(shift, 0),
                textcoords="offset points",
                ha=align,
                va="top",
                fontsize=SMALL_SIZE,
                color=DARK_GREY,
            )
    at = 0.0
    for row, label, number, height in zip(rows, labels, numbers, heights, strict=True):
        colour = text_colour(VERMILLION) if row.extrapolated else BLUE
        middle = at + height / 2
        text_at(figure, 0.15, _TOP + middle, label, va="center", fontsize=TEXT_SIZE, color=BLACK, linespacing=1.15)
        draw_interval(axes, (row.low, row.high), middle, colour, width=1.8, dashed=row.extrapolated)
        marker = "D" if row.extrapolated else "o"
        draw_point(axes, row.estimate, middle, colour, marker, filled=not row.extrapolated, size=6)
        text_at(figure, left + _ACROSS + 0.15, _TOP + middle, number, va="center", linespacing=1.15, color=colour)
        at += height
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.05, notes, linespacing=1.2)
    return figure


def effect_texts(rows: Sequence[EffectRowToDraw], reference: float) -> list[str]:
    """Estimate and interval of each row in words, all with the same decimals; differences carry their sign."""
    sizes = [abs(value) for row in rows for value in (row.estimate, row.low, row.high) if math.isfinite(value)]
    largest = max(sizes, default=1.0)
    decimals = 0 if largest >= 1000 else 1 if largest >= 3 else 2 if largest >= 0.3 else 3

    def written(value: float) -> str:
        if not math.isfinite(value):
            return "NR"
        return format(value, f"{'+' if reference == 0 else ''}.{decimals}f").replace("-", "\u2212")

    return [
        f"{written(row.estimate)}  ({written(row.low)} to {written(row.high)})"
        + ("\nextrapolates" if row.extrapolated else "")
        for row in rows
    ]


def _key(rows: Sequence[EffectRowToDraw]) -> list[Line2D]:
    words = "Estimate with 95 % interval: uncertainty about parameters"
    key = [Line2D([], [], color=BLUE, marker="o", markersize=6, linewidth=1.8, label=words)]
    if any(row.extrapolated for row in rows):
        key.append(
            Line2D(
                [],
                [],
                color=text_colour(VERMILLION),
                marker="D",
                markerfacecolor="white",
                markersize=6,
                linewidth=1.8,
                linestyle=(0, (3, 1.5)),
                label="Open diamond, dashed: extrapolates beyond what the model was calibrated on",
            )
        )
    return key
