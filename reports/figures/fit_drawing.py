"""The drawing of reported against model intervals: one panel for each unit, words on both sides."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .forest_axes import KEY_ROW, draw_interval, draw_point, padded, place_key, set_axes
from .labels import text_height, text_width, wrapped
from .rows import FitRowToDraw
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
    new_figure,
    text_at,
    text_colour,
)

# Heading of the panel of each unit, and whether its axis is logarithmic; other units get a linear axis.
UNITS: dict[str, tuple[str, bool]] = {
    "%": ("Per cent", False),
    "months": ("Months (log axis)", True),
    "days": ("Days (log axis)", True),
    "molecules/cell": ("Molecules per cell (log axis)", True),
}
LARGE_MISFIT = 2.0
_ROW, _ACROSS, _TOP, _BETWEEN, _RIGHT = 0.29, 3.3, 0.78, 0.72, 0.85  # inches
_STUDY_ROOM, _LABEL_ROOM = 1.9, 2.4  # inches: widest columns of words
_RED = text_colour(VERMILLION)


def draw_fit(rows: Sequence[FitRowToDraw], title: str, note: str) -> Figure:
    """The whole figure; its height follows from the rows."""
    present = dict.fromkeys(row.unit for row in rows)
    units = [unit for unit in UNITS if unit in present] + [unit for unit in present if unit not in UNITS]
    studies = {row.study: wrapped(row.study, _STUDY_ROOM, SMALL_SIZE, bold=True) for row in rows}
    labels = {row.label: wrapped(row.label, _LABEL_ROOM, SMALL_SIZE) for row in rows}
    label_at = 0.3 + max(text_width(text, SMALL_SIZE, bold=True) for text in studies.values())
    left = label_at + 0.2 + max(text_width(text, SMALL_SIZE) for text in labels.values())
    groups = [[row for row in rows if row.unit == unit] for unit in units]
    heights = [_row_heights(group, studies, labels) for group in groups]
    body = sum(sum(group) + _BETWEEN for group in heights)
    key = _key(rows)
    width = left + _ACROSS + _RIGHT
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _TOP + body - 0.25
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    top = _TOP
    for unit, group, rooms in zip(units, groups, heights, strict=True):
        heading, log = UNITS.get(unit, (unit, False))
        axes = axes_at(figure, left, top, _ACROSS, sum(rooms))
        set_axes(axes, _limits(group, unit, log), log, sum(rooms))
        text_at(figure, 0.15, top - 0.24, heading, fontsize=TEXT_SIZE, fontweight="bold", color=BLACK)
        text_at(figure, width - 0.12, top - 0.2, "misfit", ha="right")
        at, before = 0.0, ""
        for row, room in zip(group, rooms, strict=True):
            middle = top + at + room / 2
            if row.study != before:
                _draw_rule(axes, at, left)
                text_at(figure, 0.15, middle, studies[row.study], va="center", fontweight="bold", linespacing=1.1)
            text_at(figure, label_at, middle, labels[row.label], va="center", linespacing=1.1)
            _draw_row(axes, row, at + room / 2)
            _write_misfit(figure, row.misfit, width - 0.12, middle)
            at, before = at + room, row.study
        top += sum(rooms) + _BETWEEN
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.05, notes, linespacing=1.2)
    return figure


def _row_heights(rows: Sequence[FitRowToDraw], studies: dict[str, str], labels: dict[str, str]) -> list[float]:
    """Room for the words of each row; the name of a study stands on its first row only."""
    heights, before = [], ""
    for row in rows:
        texts = [labels[row.label]] + ([studies[row.study]] if row.study != before else [])
        heights.append(max([_ROW, *(text_height(text, SMALL_SIZE) + 0.08 for text in texts)]))
        before = row.study
    return heights


def _limits(rows: Sequence[FitRowToDraw], unit: str, log: bool) -> tuple[float, float]:
    if unit == "%":
        return 0.0, 100.0
    fields = ("reported", "low", "high", "model", "model_low", "model_high")
    return padded([getattr(row, field) for row in rows for field in fields], log)


def _draw_rule(axes: Axes, at: float, left: float) -> None:
    """A thin line over the first row of a study, from the words on the left to those on the right."""
    axes.plot(
        [-(left - 0.15) / _ACROSS, 1 + (_RIGHT - 0.12) / _ACROSS],
        [at, at],
        transform=axes.get_yaxis_transform(),
        color=LIGHT_GREY,
        linewidth=0.7,
        clip_on=False,
        zorder=0,
    )


def _draw_row(axes: Axes, row: FitRowToDraw, at: float) -> None:
    """Reported above, model below."""
    draw_interval(axes, (row.low, row.high), at - 0.055, DARK_GREY)
    draw_point(axes, row.reported, at - 0.055, DARK_GREY, "s", filled=True, size=4.5)
    large = abs(row.misfit) > LARGE_MISFIT
    colour = _RED if large else BLUE
    draw_interval(axes, (row.model_low, row.model_high), at + 0.055, colour)
    draw_point(axes, row.model, at + 0.055, colour, "D" if large else "o", filled=row.role == "fit", size=5)


def _write_misfit(figure: Figure, misfit: float, right: float, middle: float) -> None:
    if math.isnan(misfit):
        text_at(figure, right, middle, "\u2013", va="center", ha="right")
        return
    number = f"{misfit:+.1f}".replace("-", "\u2212")
    if abs(misfit) > LARGE_MISFIT:
        words = ("\u25b2 " if misfit > 0 else "\u25bc ") + number
        text_at(figure, right, middle, words, va="center", ha="right", color=_RED, fontweight="bold")
    else:
        text_at(figure, right, middle, number, va="center", ha="right")


def _key(rows: Sequence[FitRowToDraw]) -> list[Line2D]:
    def line(colour: str, marker: str, words: str, filled: bool = True) -> Line2D:
        face = colour if filled else "white"
        return Line2D(
            [], [], color=colour, marker=marker, markerfacecolor=face, markersize=5, linewidth=1.6, label=words
        )

    key = [line(DARK_GREY, "s", "Reported, with its interval")]
    if any(row.role == "fit" for row in rows):
        key.append(
            line(BLUE, "o", "Model, with what the posterior leaves open; filled: the calibration has seen the number")
        )
    others = list(dict.fromkeys(row.role for row in rows if row.role != "fit"))
    if others:
        key.append(
            line(BLUE, "o", f"Model, with what the posterior leaves open; open: {', '.join(others)}", filled=False)
        )
    if any(abs(row.misfit) > LARGE_MISFIT for row in rows):
        words = "Diamond, and \u25b2 (model too high) or \u25bc (too low): misfit beyond 2"
        key.append(line(_RED, "D", words))
    key.append(Line2D([], [], linestyle="none", label="Misfit: model minus reported, in standard errors"))
    if any(math.isinf(value) for row in rows for value in (row.reported, row.high, row.model, row.model_high)):
        key.append(
            Line2D(
                [], [], color=DARK_GREY, marker=">", markersize=4.5, linestyle="none", label="Arrow, NR: not reached"
            )
        )
    return key
