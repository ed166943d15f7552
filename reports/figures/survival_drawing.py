"""The drawing of survival curves: axes, numbers at risk and the key, placed in inches."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .checks import FloatArray
from .curves import CurveToDraw, SurvivalPanel
from .labels import spread_apart, text_height, text_width, wrapped
from .style import (
    BLACK,
    DARK_GREY,
    GREY,
    LOOKS,
    SMALL_SIZE,
    TEXT_SIZE,
    Look,
    axes_at,
    draw_title,
    look,
    new_figure,
    text_at,
    text_colour,
)

_RIGHT, _DOWN = 1.7, 2.9  # inches: margin for the labels of curves, height of the axes
_RISK_ROOM, _RISK_ROW, _KEY_ROW = 1.5, 0.16, 0.165  # inches: widest label of a row of counts, height of rows


def draw_panels(
    panels: Sequence[SurvivalPanel],
    ticks: FloatArray,
    horizon: float,
    title: str,
    note: str,
    outcome: str,
    origin: str,
    risk_title: str,
) -> Figure:
    """The whole figure; its size follows from the number of panels, curves and lines of the key."""
    per_row = min(2, len(panels))
    rows = math.ceil(len(panels) / per_row)
    across = 4.3 if per_row == 1 else 3.5
    curves = [curve for panel in panels for curve in panel.curves]
    risk_labels = {
        curve.label: wrapped(curve.label, _RISK_ROOM, SMALL_SIZE) for curve in curves if curve.at_risk is not None
    }
    left_margin = max([0.75, *(text_width(text, SMALL_SIZE) + 0.4 for text in risk_labels.values())])
    risk_down = max(_counts_height(panel.curves, risk_labels) for panel in panels)
    panel_title = 0.22 if any(panel.title for panel in panels) else 0.0
    unit_across = left_margin + across + _RIGHT
    unit_down = panel_title + _DOWN + 0.55 + risk_down + 0.12
    markers = _reported_markers(curves)
    key = _key(curves, markers)
    notes = wrapped(note, per_row * unit_across - 0.4, SMALL_SIZE) if note else ""
    key_down = len(key) * _KEY_ROW + 0.15 + (text_height(notes, SMALL_SIZE) + 0.1 if notes else 0.0)
    figure = new_figure(per_row * unit_across, 0.42 + rows * unit_down + key_down)
    draw_title(figure, title)
    for index, panel in enumerate(panels):
        left = (index % per_row) * unit_across + left_margin
        top = 0.42 + (index // per_row) * unit_down + panel_title
        axes = axes_at(figure, left, top, across, _DOWN)
        if panel.title:
            axes.set_title(panel.title)
        _set_axes(axes, ticks, horizon, outcome, origin)
        for number, curve in enumerate(panel.curves):
            _draw_curve(axes, curve, look(number), horizon)
            _draw_reported(axes, curve, look(number), markers, horizon)
        _label_curves(axes, panel.curves, horizon, across)
        if risk_down:
            counts = axes_at(figure, left, top + _DOWN + 0.55, across, risk_down, label="numbers at risk")
            _draw_counts(counts, (across, risk_down), panel.curves, risk_labels, ticks, horizon, risk_title)
    below = 0.42 + rows * unit_down
    figure.legend(
        handles=key,
        loc="upper left",
        bbox_to_anchor=(0.07 / figure.get_figwidth(), 1 - below / figure.get_figheight()),
        borderaxespad=0,
        handlelength=2.6,
        labelspacing=0.35,
        labelcolor=DARK_GREY,
    )
    if notes:
        text_at(figure, 0.12, below + len(key) * _KEY_ROW + 0.12, notes, linespacing=1.2)
    return figure


def _set_axes(axes: Axes, ticks: FloatArray, horizon: float, outcome: str, origin: str) -> None:
    axes.set_xlim(0, horizon)
    axes.set_ylim(0, 102)
    axes.set_xticks(ticks)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y")
    axes.set_xlabel(f"Months since {origin}")
    axes.set_ylabel(f"{outcome} (%)")


def _draw_curve(axes: Axes, curve: CurveToDraw, appearance: Look, horizon: float) -> None:
    end = min(curve.end(), horizon)
    moments = np.asarray(curve.band_times, dtype=float)
    # A band that stops between two of its times is cut where the last patient leaves, not a grid point earlier.
    grid = np.append(moments[moments < end], end) if moments.size and moments[-1] >= end else moments
    if curve.parameter_low is not None and curve.parameter_high is not None:
        low, high = (100 * np.interp(grid, moments, values) for values in (curve.parameter_low, curve.parameter_high))
        axes.fill_between(
            grid, low, high, color=appearance.colour, alpha=0.2, linewidth=0, label=f"_band {curve.label}"
        )
    if curve.sample_low is not None and curve.sample_high is not None:
        for values in (curve.sample_low, curve.sample_high):
            line = 100 * np.interp(grid, moments, values)
            axes.plot(grid, line, color=appearance.colour, linewidth=0.8, linestyle=(0, (3, 2.5)), label="_sampling")
    times, survival = curve.steps(horizon)
    axes.step(
        times,
        100 * survival,
        where="post",
        color=appearance.colour,
        linewidth=1.9,
        linestyle=appearance.dashes,
        label=curve.label,
    )
    ticks = np.asarray(curve.censor_times, dtype=float)
    ticks = ticks[ticks <= end]
    if ticks.size:
        axes.plot(
            ticks,
            100 * curve.survival_at(ticks),
            linestyle="none",
            marker="|",
            markersize=6.5,
            markeredgewidth=0.9,
            color=text_colour(appearance.colour),
            label="_censored",
        )


def _reported_markers(curves: Sequence[CurveToDraw]) -> dict[str, str]:
    """One marker for each source of reported points, the same in all panels."""
    labels = dict.fromkeys(point.label for curve in curves for point in curve.reported)
    return {label: LOOKS[index % len(LOOKS)].marker for index, label in enumerate(labels)}


def _draw_reported(axes: Axes, curve: CurveToDraw, appearance: Look, markers: dict[str, str], horizon: float) -> None:
    for point in curve.reported:
        if point.months > horizon:
            continue
        errors = np.nan_to_num([[max(0.0, point.value - point.low)], [max(0.0, point.high - point.value)]])
        axes.errorbar(
            [point.months],
            [100 * point.value],
            yerr=100 * errors,
            linestyle="none",
            marker=markers[point.label],
            markersize=5,
            markerfacecolor="white",
            color=text_colour(appearance.colour),
            elinewidth=1,
            capsize=2.5,
            zorder=5,
        )


def _label_curves(axes: Axes, curves: Sequence[CurveToDraw], horizon: float, across: float) -> None:
    """Labels stand right of the axes; a grey dotted line leads from the end of a curve to its own."""
    texts = []
    for curve in curves:
        words = [wrapped(curve.label, _RIGHT - 0.3, TEXT_SIZE, bold=True)]
        words += [wrapped(curve.median_text(), _RIGHT - 0.3, SMALL_SIZE)] if curve.median_text() else []
        texts.append(words)
    heights = [text_height("\n".join(words), TEXT_SIZE) + 0.06 for words in texts]
    wanted = [curve.steps(horizon)[1][-1] * _DOWN / 1.02 for curve in curves]
    places = spread_apart(wanted, heights, 0.0, _DOWN)
    beside = horizon * (1 + 0.16 / across)
    for number, (curve, words, height, place) in enumerate(zip(curves, texts, heights, places, strict=True)):
        end, last = (values[-1] for values in curve.steps(horizon))
        colour = text_colour(look(number).colour)
        at = place / _DOWN * 102
        axes.plot(
            [end, beside - horizon * 0.01],
            [100 * last, at],
            color=GREY,
            linewidth=0.6,
            linestyle=(0, (1, 2.5)),
            clip_on=False,
            label="_leader",
            zorder=1,
        )
        top = at + (height / 2 - 0.03) / _DOWN * 102
        axes.text(
            beside, top, words[0], color=colour, fontsize=TEXT_SIZE, fontweight="bold", va="top", linespacing=1.15
        )
        if len(words) > 1:
            lower = top - text_height(words[0], TEXT_SIZE) / _DOWN * 102
            axes.text(beside, lower, words[1], color=colour, fontsize=SMALL_SIZE, va="top", linespacing=1.2)


def _counts_height(curves: Sequence[CurveToDraw], labels: dict[str, str]) -> float:
    """Inches that the title and the rows of counts need; nothing where there are no counts."""
    rows = [_RISK_ROW * (labels[curve.label].count("\n") + 1) + 0.03 for curve in curves if curve.label in labels]
    return sum(rows) + _RISK_ROW + 0.05 if rows else 0.0


def _draw_counts(
    axes: Axes,
    size: tuple[float, float],
    curves: Sequence[CurveToDraw],
    labels: dict[str, str],
    ticks: FloatArray,
    horizon: float,
    risk_title: str,
) -> None:
    """Rows of counts under the ticks of the axes above, each with the label of its curve on the left."""
    across, down = size
    axes.set_axis_off()
    axes.set_xlim(0, horizon)
    axes.set_ylim(down, 0)
    beside = -0.22 / across * horizon
    axes.text(
        beside, _RISK_ROW / 2, risk_title, ha="left", va="center", color=BLACK, fontweight="bold", fontsize=SMALL_SIZE
    )
    at = _RISK_ROW + 0.05
    for number, curve in enumerate(curves):
        counts = curve.at_risk_at(ticks)
        if counts is None:
            continue
        row = _RISK_ROW * (labels[curve.label].count("\n") + 1) + 0.03
        at += row / 2
        colour = text_colour(look(number).colour)
        axes.text(
            beside, at, labels[curve.label], ha="right", va="center", color=colour, fontsize=SMALL_SIZE, linespacing=1.1
        )
        for month, count in zip(ticks, counts, strict=True):
            shade = DARK_GREY if count > 0 else GREY
            axes.text(month, at, f"{count:.0f}", ha="center", va="center", color=shade, fontsize=SMALL_SIZE)
        at += row / 2


def _key(curves: Sequence[CurveToDraw], markers: dict[str, str]) -> list[Line2D | Patch]:
    """What each kind of mark means, in words; only kinds that are there."""
    key: list[Line2D | Patch] = [Line2D([], [], color=DARK_GREY, linewidth=1.9, label="Step curve: estimate")]
    if any(curve.parameter_low is not None for curve in curves):
        words = "Filled band: uncertainty about parameters, what the posterior leaves open (95 %)"
        key.append(Patch(color=GREY, alpha=0.3, linewidth=0, label=words))
    sizes: dict[int, list[str]] = {}
    for curve in curves:
        if curve.sample_low is not None and curve.trial_size is not None:
            sizes.setdefault(curve.trial_size, []).append(curve.label)
    if sizes:
        if len(sizes) == 1:
            who = f"a trial of {next(iter(sizes))} patients"
        else:
            who = "a trial of " + ", ".join(
                f"{size} patients ({', '.join(dict.fromkeys(names))})" for size, names in sizes.items()
            )
        words = f"Thin dashed lines: sampling error of {who} (95 %)"
        key.append(Line2D([], [], color=DARK_GREY, linewidth=0.8, linestyle=(0, (3, 2.5)), label=words))
    if any(len(curve.censor_times) for curve in curves):
        key.append(
            Line2D([], [], color=DARK_GREY, marker="|", linestyle="none", markersize=6.5, label="Tick: censored")
        )
    for label, marker in markers.items():
        words = f"Reported, with its interval: {label}"
        key.append(
            Line2D(
                [],
                [],
                color=DARK_GREY,
                marker=marker,
                markerfacecolor="white",
                linestyle="none",
                markersize=5,
                label=words,
            )
        )
    if any(curve.median_interval is not None for curve in curves):
        key.append(
            Line2D(
                [],
                [],
                linestyle="none",
                label="Median with 95 % interval, uncertainty about parameters; NR: not reached",
            )
        )
    return key
