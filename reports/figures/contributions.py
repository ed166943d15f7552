"""Contributions: a difference between two arms as bars, one for each mechanism, and their sum below."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...fitting.identifiability.sensitivity import Morris, Sobol
from ...parameters.errors import InputError, unknown
from .checks import check_some
from .intervals import KEY_ROW, EffectRowSpec, effect_texts, padded, place_key, set_axes
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    ORANGE,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
    text_height,
    text_width,
    wrapped,
)

_CONTRIBUTION_ACROSS, _CONTRIBUTION_ROW, _CONTRIBUTION_TOP, _LABEL_ROOM, _BAR = 3.3, 0.36, 0.62, 3.1, 0.22  # inches
_ADDS_UP = 1e-6
"""Of the largest part: contributions that miss their total by more do not belong to it."""
_ZERO = re.compile(r"[+\u2212](0\.?0*)(?![\d.])")


def contribution_picture(
    rows: Sequence[EffectRowSpec],
    total: EffectRowSpec,
    *,
    name: str,
    title: str,
    x_label: str,
    sides: tuple[str, str] = ("loss", "gain"),
    note: str = "",
) -> Picture:
    """A waterfall read from above: each bar begins where the one before ended, and the total goes from zero to there.

    Rows are drawn from the largest gain to the largest loss; the interval of each stands around the end of its bar.

    Parameters
    ----------
    rows
        Contributions that add up to `total`.
    sides
        What it means to go left and right.

    Raises
    ------
    InputError
        If there is none, or they do not add up to the total.
    """
    where = f"picture {name}"
    check_some(rows, "contributions", where)
    adds_up = math.fsum(row.estimate for row in rows)
    if not math.isclose(adds_up, total.estimate, rel_tol=0.0, abs_tol=_ADDS_UP * _largest([*rows, total])):
        raise InputError(f"{where}: the contributions add up to {adds_up:g}, and the total is {total.estimate:g}.")
    ordered = sorted(rows, key=lambda row: -row.estimate)
    # a zero has no sign, whatever it was before it was rounded
    texts = [_ZERO.sub(r"\1", text) for text in effect_texts([*ordered, total], 0.0)]
    with house_style():
        figure = _drawn(ordered, total, texts, title, x_label, sides, note)
    summary = "; ".join(
        f"{row.label.partition(':')[0]}: {' '.join(text.split())}"
        for row, text in zip([*ordered, total], texts, strict=True)
    )
    fields = ("label", "estimate", "low", "high")
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {x_label} by mechanism, with intervals: {summary}.",
        figure=figure,
        table={field: [getattr(row, field) for row in (*ordered, total)] for field in fields},
    )


def _largest(rows: Sequence[EffectRowSpec]) -> float:
    return max(1e-12, *(abs(row.estimate) for row in rows))


def _drawn(
    ordered: Sequence[EffectRowSpec], total: EffectRowSpec, texts: Sequence[str], title: str, x_label: str,
    sides: tuple[str, str], note: str,
) -> Figure:  # fmt: skip
    every = [*ordered, total]
    labels = [wrapped(row.label, _LABEL_ROOM, TEXT_SIZE) for row in every]
    heights = [max(_CONTRIBUTION_ROW, text_height(label, TEXT_SIZE) + 0.12) for label in labels]
    left = 0.35 + max(text_width(label, TEXT_SIZE) for label in labels)
    right = 0.5 + max(text_width(text, SMALL_SIZE, bold=True) for text in texts)
    width = max(left + _CONTRIBUTION_ACROSS + right, text_width(title, 11, bold=True) + 0.3)
    down = sum(heights)
    notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    below = _CONTRIBUTION_TOP + down + 0.6
    key = _key(any(row.estimate < 0 and not _is_nothing(text) for row, text in zip(every, texts, strict=True)))
    figure = new_figure(width, below + KEY_ROW * len(key) + 0.2 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
    draw_title(figure, title)
    axes = axes_at(figure, left, _CONTRIBUTION_TOP, _CONTRIBUTION_ACROSS, down)
    starts = _starts(ordered)
    reach = [0.0]
    for row, start in zip(every, starts, strict=True):
        reach += [start + value for value in (row.estimate, row.low, row.high) if math.isfinite(value)]
    set_axes(axes, padded(reach, False), False, down)
    axes.axvline(0.0, color=BLACK, linewidth=1.0, zorder=3)
    axes.set_xlabel(x_label)
    for words, align, shift in ((f"\u2190 {sides[0]}", "right", -4), (f"{sides[1]} \u2192", "left", 4)):
        if words.strip("\u2190\u2192 "):
            axes.annotate(
                words, xy=(0.0, 1.0), xycoords=("data", "axes fraction"), xytext=(shift, 3),
                textcoords="offset points", ha=align, va="bottom", fontsize=SMALL_SIZE, color=DARK_GREY,
            )  # fmt: skip
    at = 0.0
    for number, (row, start, height) in enumerate(zip(every, starts, heights, strict=True)):
        middle, last = at + height / 2, number == len(every) - 1
        if last:
            axes.axhline(at, color=GREY, linewidth=0.8, zorder=1)
        else:
            ends, lower = start + row.estimate, at + height + heights[number + 1] / 2
            axes.plot([ends, ends], [middle, lower], color=GREY, linewidth=0.8, linestyle=(0, (2, 1.5)), zorder=1)
        _draw_bar(axes, row, start, middle, _colour(row, last or _is_nothing(texts[number])))
        weight = "bold" if last else "normal"
        text_at(
            figure,
            0.15,
            _CONTRIBUTION_TOP + middle,
            labels[number],
            va="center",
            fontsize=TEXT_SIZE,
            color=BLACK,
            linespacing=1.15,
        )
        text_at(
            figure,
            left + _CONTRIBUTION_ACROSS + 0.15,
            _CONTRIBUTION_TOP + middle,
            texts[number],
            va="center",
            color=BLACK,
            fontweight=weight,
        )
        at += height
    place_key(figure, key, below)
    if notes:
        text_at(figure, 0.12, below + KEY_ROW * len(key) + 0.08, notes, linespacing=1.2)
    return figure


def _starts(ordered: Sequence[EffectRowSpec]) -> list[float]:
    """Where each bar begins: where the one before ended; the total at zero."""
    starts = [0.0]
    for row in ordered[:-1]:
        starts.append(starts[-1] + row.estimate)
    return [*starts, 0.0]


def _is_nothing(text: str) -> bool:
    """Whether an estimate is zero as it is written."""
    return not text.startswith(("+", "\u2212"))


def _colour(row: EffectRowSpec, neutral: bool) -> str:
    return GREY if neutral else BLUE if row.estimate >= 0 else VERMILLION


def _draw_bar(axes: Axes, row: EffectRowSpec, start: float, middle: float, colour: str) -> None:
    axes.barh(middle, row.estimate, left=start, height=_BAR, color=colour, zorder=2)
    if abs(row.estimate) < 1e-3 * abs(axes.get_xlim()[1] - axes.get_xlim()[0]):  # a bar of no width is not seen
        axes.plot([start] * 2, [middle - _BAR / 2, middle + _BAR / 2], color=colour, linewidth=1.5, zorder=2)
    if math.isfinite(row.low) and math.isfinite(row.high):
        axes.plot([start + row.low, start + row.high], [middle, middle], color=BLACK, linewidth=1.0, zorder=4)
        for end in (row.low, row.high):
            axes.plot([start + end] * 2, [middle - 0.05, middle + 0.05], color=BLACK, linewidth=1.0, zorder=4)


def _key(losses: bool) -> list[Line2D]:
    words = "95 % interval of that contribution: uncertainty about parameters"
    taken = [Line2D([], [], color=VERMILLION, linewidth=6, label="Takes away")]
    return [
        Line2D([], [], color=BLUE, linewidth=6, label="Adds: the bar begins where the one above has ended"),
        *(taken if losses else []),
        Line2D([], [], color=BLACK, linewidth=1.0, marker="|", markersize=5, label=words),
    ]


# Sensitivity indices as bars: for each result, the numbers that move it most.


_INDEX_ACROSS, _INDEX_ROW, _INDEX_TOP, _BELOW, _GAP, _ROOM = 2.3, 0.26, 0.8, 0.62, 0.35, 2.0  # inches


@dataclass(frozen=True, eq=False)
class _Series:
    """One kind of bar: words of the key, values, (outputs, d), and intervals, (outputs, d, 2), or none."""

    words: str
    values: np.ndarray
    interval: np.ndarray | None
    colour: str


def sobol_picture(
    sobol: Sobol,
    outputs: Sequence[str] = (),
    *,
    most: int = 8,
    name: str = "sobol",
    title: str = "Sobol indices: shares of the variance of each result",
    note: str = "",
) -> Picture:
    """Total and first-order indices of the numbers with the largest total ones; `outputs` or all, one panel each."""
    series = (
        _Series("total: with all interactions", sobol.total, sobol.total_interval, BLUE),
        _Series("first order: alone", sobol.first, sobol.first_interval, ORANGE),
    )
    return _picture(sobol, outputs, series, most, name, title, "share of variance", note)


def morris_picture(
    morris: Morris,
    outputs: Sequence[str] = (),
    *,
    most: int = 8,
    name: str = "morris",
    title: str = "Elementary effects on each result",
    note: str = "",
) -> Picture:
    """Mean size of the elementary effects, and their SD (interactions and curvature), in the unit of each output."""
    series = (
        _Series("\u03bc*: mean size of the effect", morris.mu_star, morris.mu_star_interval, BLUE),
        _Series("\u03c3: its SD", morris.sigma, None, ORANGE),
    )
    return _picture(morris, outputs, series, most, name, title, "effect of the whole range", note)


def _picture(
    sensitivity: Sobol | Morris,
    outputs: Sequence[str],
    series: tuple[_Series, _Series],
    most: int,
    name: str,
    title: str,
    x_label: str,
    note: str,
) -> Picture:
    check_some(sensitivity.outputs, "outputs", f"picture {name}")
    for output in outputs:
        if output not in sensitivity.outputs:
            raise unknown("output", output, sensitivity.outputs, f"picture {name}")
    shown = [sensitivity.outputs.index(output) for output in outputs or sensitivity.outputs]
    bars = min(most, len(sensitivity.ids))
    top = {k: np.argsort(-series[0].values[k])[:bars] for k in shown}
    columns = min(len(shown), 2)
    lines = math.ceil(len(shown) / columns)
    with house_style():
        used = [sensitivity.ids[j] for k in shown for j in top[k]]
        left = 0.3 + max(text_width(wrapped(text, _ROOM, SMALL_SIZE), SMALL_SIZE) for text in used)
        step, down = left + _INDEX_ACROSS + _GAP, bars * _INDEX_ROW
        width = max(columns * step, text_width(title, 11, bold=True) + 0.3, 4.8)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        height = _INDEX_TOP + lines * (down + _BELOW + 0.2) + (0.16 * (notes.count("\n") + 1) if notes else 0.0)
        figure = new_figure(width, height)
        draw_title(figure, title)
        at = 0.15
        for each in series:
            text_at(figure, at, 0.36, f"\u25a0 {each.words}", color=text_colour(each.colour))
            at += text_width(f"\u25a0 {each.words}", SMALL_SIZE) + 0.35
        for index, k in enumerate(shown):
            row, column = divmod(index, columns)
            axes = axes_at(figure, left + column * step, _INDEX_TOP + row * (down + _BELOW + 0.2), _INDEX_ACROSS, down)
            _draw(axes, [sensitivity.ids[j] for j in top[k]], series, k, top[k])
            axes.set_title(sensitivity.outputs[k])
            axes.set_xlabel(x_label, fontsize=SMALL_SIZE)
        if notes:
            text_at(figure, 0.12, height - 0.16 * (notes.count("\n") + 1) - 0.05, notes, linespacing=1.2)
    summary = "; ".join(
        f"{sensitivity.outputs[k]}: "
        + ", ".join(
            f"{sensitivity.ids[j]} {series[0].values[k, j]:.2g} ({series[1].values[k, j]:.2g})" for j in top[k][:3]
        )
        for k in shown[:12]
    )
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. Bars of the {bars} largest for each of {len(shown)} results. Largest {series[0].words} (in "
        f"brackets {series[1].words}): {summary}.",
        figure=figure,
        table=_table(sensitivity, series, shown),
    )


def _draw(axes: Axes, labels: list[str], series: tuple[_Series, _Series], k: int, top: np.ndarray) -> None:
    places = np.arange(len(top))
    for shift, each in zip((-0.19, 0.19), series, strict=True):
        values = each.values[k, top]
        axes.barh(places + shift, values, height=0.36, color=each.colour, zorder=2)
        if each.interval is not None:
            low, high = each.interval[k, top].T
            axes.hlines(places + shift, low, high, color=BLACK, linewidth=0.8, zorder=3)
    axes.set_yticks(places, [wrapped(label, _ROOM, SMALL_SIZE) for label in labels], fontsize=SMALL_SIZE, color=BLACK)
    axes.set_ylim(len(top) - 0.5, -0.5)
    axes.axvline(0.0, color=BLACK, linewidth=0.8, zorder=4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _table(sensitivity: Sobol | Morris, series: tuple[_Series, _Series], shown: list[int]) -> dict[str, list[object]]:
    cells = [(k, j) for k in shown for j in range(len(sensitivity.ids))]
    table: dict[str, list[object]] = {
        "output": [sensitivity.outputs[k] for k, _ in cells],
        "number": [sensitivity.ids[j] for _, j in cells],
    }
    for each in series:
        key = each.words.split(":")[0].replace(" ", "_").replace("\u03bc*", "mu_star").replace("\u03c3", "sigma")
        table[key] = [float(each.values[cell]) for cell in cells]
        if each.interval is not None:
            table[f"{key}_low"] = [float(each.interval[cell][0]) for cell in cells]
            table[f"{key}_high"] = [float(each.interval[cell][1]) for cell in cells]
    return table
