"""Forest plots: reported against model intervals, and effects with their reference line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from ...parameters.errors import RangeError
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
    number_text,
    text_at,
    text_colour,
    text_height,
    text_width,
    wrapped,
)

# What a forest plot draws: one row for each reported number, one for each effect.


@dataclass(frozen=True)
class FitRowSpec:
    """One reported number against the model's answer, both in `unit`.

    Parameters
    ----------
    unit
        "%", "months", "days", "molecules/cell" or any other; rows of one unit share an axis.
    reported, low, high
        What the study says and its interval; not finite where it was not reported or not reached.
    model, model_low, model_high
        The model's answer and what the posterior leaves open about it.
    misfit
        Model minus reported in standard errors; beyond 2 it is marked.
    role
        "fit" for what the calibration has seen; any other word ("held out") is drawn open and told in the key.
    """

    study: str
    label: str
    unit: str
    reported: float
    low: float
    high: float
    model: float
    model_low: float
    model_high: float
    misfit: float
    role: str = "fit"

    def __post_init__(self) -> None:
        _check_interval(self.low, self.high, f"fit row '{self.study}: {self.label}', reported")
        _check_interval(self.model_low, self.model_high, f"fit row '{self.study}: {self.label}', model")


@dataclass(frozen=True)
class EffectRowSpec:
    """One effect with its interval; `extrapolated` where the model leaves what it was calibrated on."""

    label: str
    estimate: float
    low: float
    high: float
    extrapolated: bool = False

    def __post_init__(self) -> None:
        _check_interval(self.low, self.high, f"effect '{self.label}'")
        if math.isnan(self.estimate):
            raise RangeError(f"effect '{self.label}': the estimate is not a number; leave out what failed, and say so.")


def _check_interval(low: float, high: float, where: str) -> None:
    if math.isfinite(low) and math.isfinite(high) and low > high:
        raise RangeError(f"{where}: the interval goes from {low:g} to {high:g}; write the lower limit first.")


# What forest plots share: their axis, intervals that may leave it, the key below. All heights in inches.


KEY_ROW = 0.17


def padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Limits of an axis with a margin; of finite values only, and of positive ones if it is logarithmic."""
    kept = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = min(kept, default=1.0), max(kept, default=10.0)
    if log:
        margin = max(1.15, (high / low) ** 0.06)
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def set_axes(axes: Axes, limits: tuple[float, float], log: bool, down: float) -> None:
    """A value axis below, and nothing but inches from the top as the other one."""
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(*limits)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212")))
    axes.set_xlim(*limits)
    axes.set_ylim(down, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: whole decades if there are four of them, finer steps if not."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), tuple(range(1, 10)))
    for factors in steps:
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            return ticks
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def draw_interval(
    axes: Axes, interval: tuple[float, float], at: float, colour: str, *, width: float = 1.6, dashed: bool = False
) -> None:
    """A line between two limits; an arrow head where a limit is not reached or lies beyond the axis."""
    low, high = interval
    left, right = axes.get_xlim()
    if not (math.isfinite(low) or math.isfinite(high)):
        return
    open_left, open_right = not low >= left, not high <= right
    ends = [left if open_left else low, right if open_right else high]
    axes.plot(ends, [at, at], color=colour, linewidth=width, linestyle=(0, (3, 1.5)) if dashed else "-", zorder=2)
    for is_open, end, marker in ((open_left, left, "<"), (open_right, right, ">")):
        if is_open:
            axes.plot([end], [at], marker=marker, color=colour, markersize=4.5, clip_on=False, zorder=2)


def draw_point(
    axes: Axes, value: float, at: float, colour: str, marker: str, *, filled: bool, size: float = 5.0
) -> None:
    """The estimate; NR at the right edge where it was not reached."""
    left, right = axes.get_xlim()
    if math.isinf(value):
        axes.annotate("NR", (right, at), (4, 0), textcoords="offset points", va="center", fontsize=6.5, color=colour)
    elif math.isfinite(value):
        axes.plot(
            [min(max(value, left), right)],
            [at],
            marker=marker,
            markersize=size,
            color=colour,
            markerfacecolor=colour if filled else "white",
            markeredgewidth=1.2,
            linestyle="none",
            clip_on=False,
            zorder=4,
        )


def place_key(figure: Figure, key: Sequence[Line2D], top: float) -> None:
    """One line for each kind of mark, from so many inches below the upper edge."""
    figure.legend(
        handles=list(key),
        loc="upper left",
        bbox_to_anchor=(0.07 / figure.get_figwidth(), 1 - top / figure.get_figheight()),
        borderaxespad=0,
        handlelength=2.6,
        labelspacing=0.35,
        labelcolor=DARK_GREY,
        fontsize=SMALL_SIZE,
    )


# The drawing of effects: one row each, words left, numbers right, the reference line between.


_EFFECT_ACROSS, _EFFECT_TOP, _EFFECT_LABEL_ROOM = 3.3, 0.5, 3.0  # inches


def draw_effects(
    rows: Sequence[EffectRowSpec],
    title: str,
    x_label: str,
    reference: float,
    log: bool,
    sides: tuple[str, str],
    note: str,
) -> Figure:
    """The whole figure; `sides` say what it means to stand left and right of the reference line."""
    labels = [wrapped(row.label, _EFFECT_LABEL_ROOM, TEXT_SIZE) for row in rows]
    numbers = effect_texts(rows, reference)
    left = 0.35 + max(text_width(text, TEXT_SIZE) for text in labels)
    right = 0.3 + max(text_width(text, SMALL_SIZE) for text in numbers)
    heights = [max(0.32, text_height(text, TEXT_SIZE) + 0.1) for text in labels]
    down = sum(heights)
    below = _EFFECT_TOP + down + (0.85 if any(sides) else 0.65)
    key = _effect_key(rows)
    width = max(left + _EFFECT_ACROSS + right, text_width(title, 11, bold=True) + 0.3)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    axes = axes_at(figure, left, _EFFECT_TOP, _EFFECT_ACROSS, down)
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
        text_at(
            figure, 0.15, _EFFECT_TOP + middle, label, va="center", fontsize=TEXT_SIZE, color=BLACK, linespacing=1.15
        )
        draw_interval(axes, (row.low, row.high), middle, colour, width=1.8, dashed=row.extrapolated)
        marker = "D" if row.extrapolated else "o"
        draw_point(axes, row.estimate, middle, colour, marker, filled=not row.extrapolated, size=6)
        text_at(
            figure,
            left + _EFFECT_ACROSS + 0.15,
            _EFFECT_TOP + middle,
            number,
            va="center",
            linespacing=1.15,
            color=colour,
        )
        at += height
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.05, notes, linespacing=1.2)
    return figure


def effect_texts(rows: Sequence[EffectRowSpec], reference: float) -> list[str]:
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


def _effect_key(rows: Sequence[EffectRowSpec]) -> list[Line2D]:
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


# The drawing of reported against model intervals: one panel for each unit, words on both sides.


# Heading of the panel of each unit, and whether its axis is logarithmic; other units get a linear axis.
UNITS: dict[str, tuple[str, bool]] = {
    "%": ("Per cent", False),
    "months": ("Months (log axis)", True),
    "days": ("Days (log axis)", True),
    "molecules/cell": ("Molecules per cell (log axis)", True),
}
LARGE_MISFIT = 2.0
_ROW, _FIT_ACROSS, _FIT_TOP, _BETWEEN, _RIGHT = 0.29, 3.3, 0.78, 0.72, 0.85  # inches
_STUDY_ROOM, _FIT_LABEL_ROOM = 1.9, 2.4  # inches: widest columns of words
_RED = text_colour(VERMILLION)


def draw_fit(rows: Sequence[FitRowSpec], title: str, note: str) -> Figure:
    """The whole figure; its height follows from the rows."""
    present = dict.fromkeys(row.unit for row in rows)
    units = [unit for unit in UNITS if unit in present] + [unit for unit in present if unit not in UNITS]
    studies = {row.study: wrapped(row.study, _STUDY_ROOM, SMALL_SIZE, bold=True) for row in rows}
    labels = {row.label: wrapped(row.label, _FIT_LABEL_ROOM, SMALL_SIZE) for row in rows}
    label_at = 0.3 + max(text_width(text, SMALL_SIZE, bold=True) for text in studies.values())
    left = label_at + 0.2 + max(text_width(text, SMALL_SIZE) for text in labels.values())
    groups = [[row for row in rows if row.unit == unit] for unit in units]
    heights = [_row_heights(group, studies, labels) for group in groups]
    body = sum(sum(group) + _BETWEEN for group in heights)
    key = _fit_key(rows)
    width = left + _FIT_ACROSS + _RIGHT
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _FIT_TOP + body - 0.25
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.15 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    top = _FIT_TOP
    for unit, group, rooms in zip(units, groups, heights, strict=True):
        heading, log = UNITS.get(unit, (unit, False))
        axes = axes_at(figure, left, top, _FIT_ACROSS, sum(rooms))
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


def _row_heights(rows: Sequence[FitRowSpec], studies: dict[str, str], labels: dict[str, str]) -> list[float]:
    """Room for the words of each row; the name of a study stands on its first row only."""
    heights, before = [], ""
    for row in rows:
        texts = [labels[row.label]] + ([studies[row.study]] if row.study != before else [])
        heights.append(max([_ROW, *(text_height(text, SMALL_SIZE) + 0.08 for text in texts)]))
        before = row.study
    return heights


def _limits(rows: Sequence[FitRowSpec], unit: str, log: bool) -> tuple[float, float]:
    if unit == "%":
        return 0.0, 100.0
    fields = ("reported", "low", "high", "model", "model_low", "model_high")
    return padded([getattr(row, field) for row in rows for field in fields], log)


def _draw_rule(axes: Axes, at: float, left: float) -> None:
    """A thin line over the first row of a study, from the words on the left to those on the right."""
    axes.plot(
        [-(left - 0.15) / _FIT_ACROSS, 1 + (_RIGHT - 0.12) / _FIT_ACROSS],
        [at, at],
        transform=axes.get_yaxis_transform(),
        color=LIGHT_GREY,
        linewidth=0.7,
        clip_on=False,
        zorder=0,
    )


def _draw_row(axes: Axes, row: FitRowSpec, at: float) -> None:
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


def _fit_key(rows: Sequence[FitRowSpec]) -> list[Line2D]:
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


__all__ = ["EffectRowSpec", "FitRowSpec", "effect_picture", "fit_picture"]


def fit_picture(
    rows: Sequence[FitRowSpec],
    *,
    name: str = "fit",
    title: str = "What studies report, and what the model says",
    note: str = "",
) -> Picture:
    """Reported interval against model interval, one row each, one panel for each unit.

    Rows of one study stand together if they come together; their order is kept. A tall picture: give one study, or one
    unit, at a time where it must fit a page.
    """
    check_some(rows, "rows", f"picture {name}")
    with house_style():
        figure = draw_fit(rows, title, note)
    fields = ("study", "label", "unit", "role", "reported", "low", "high", "model", "model_low", "model_high", "misfit")
    known = [row for row in rows if math.isfinite(row.misfit)]
    worst = sorted((row for row in known if abs(row.misfit) > LARGE_MISFIT), key=lambda row: -abs(row.misfit))
    beyond = "; ".join(
        f"{row.study}, {row.label}: reported {number_text(row.reported)}, model {number_text(row.model)} {row.unit}"
        for row in worst[:5]
    )
    alt = (
        f"{title}. {len(rows)} reported numbers with their intervals against the model's; "
        f"{len(worst)} of {len(known)} misfits are beyond 2 standard errors"
        + (f", the largest: {beyond}." if beyond else ".")
    )
    table = {field: [getattr(row, field) for row in rows] for field in fields}
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def effect_picture(
    rows: Sequence[EffectRowSpec],
    *,
    name: str,
    title: str,
    x_label: str,
    reference: float = 0.0,
    log: bool = False,
    sides: tuple[str, str] = ("", ""),
    note: str = "",
) -> Picture:
    """Forest of effects: differences with a line at zero, or ratios on a log axis with a line at one.

    Parameters
    ----------
    reference, log
        No effect: 0 for a difference; 1, with `log`, for a ratio.
    sides
        What it means to stand left and right of the line, as in ("shorter", "longer").
    """
    where = f"picture {name}"
    check_some(rows, "effects", where)
    if log:
        for row in rows:
            if not (row.estimate > 0 and not row.low <= 0) or reference <= 0:
                raise RangeError(
                    f"{where}: '{row.label}' or the reference is not positive; use log=False, or reference=1."
                )
    with house_style():
        figure = draw_effects(rows, title, x_label, reference, log, sides, note)
    texts = effect_texts(rows, reference)
    parts = [f"{row.label}: {' '.join(text.split())}" for row, text in zip(rows, texts, strict=True)]
    fields = ("label", "estimate", "low", "high", "extrapolated")
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {x_label}, with intervals; no effect is {number_text(reference)}. " + "; ".join(parts) + ".",
        figure=figure,
        table={field: [getattr(row, field) for row in rows] for field in fields},
    )
