"""The drawing of courses over time: axes, bands and labels, placed in inches."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullFormatter

from ...parameters.errors import RangeError
from .bands import Panel
from .labels import number_text, spread_apart, text_height, wrapped
from .style import DARK_GREY, GREY, SMALL_SIZE, Look, axes_at, draw_title, look, new_figure, text_at, text_colour

DAYS_PER_MONTH = 30.4375
_LEFT, _RIGHT, _ACROSS, _DOWN = 0.75, 1.15, 2.75, 2.05  # inches: margins for labels, size of the axes
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def draw_panels(panels: Sequence[Panel], title: str, in_months: bool, last: float, origin: str, note: str) -> Figure:
    """The whole figure; its size follows from the number of panels."""
    per_row = min(2, len(panels))
    rows = math.ceil(len(panels) / per_row)
    across = _ACROSS if per_row == 2 else 4.6
    unit_across, unit_down = _LEFT + across + _RIGHT, _DOWN + 0.85
    notes = wrapped(note, per_row * unit_across - 0.3, SMALL_SIZE) if note else ""
    figure = new_figure(
        per_row * unit_across, 0.4 + rows * unit_down + 0.45 + (text_height(notes, SMALL_SIZE) if notes else 0.0)
    )
    draw_title(figure, title)
    # One look for each label, so that a product keeps its colour from panel to panel.
    labels = dict.fromkeys(series.label for panel in panels for series in panel.series)
    looks = {label: look(index) for index, label in enumerate(labels)}
    days_per_unit = DAYS_PER_MONTH if in_months else 1.0
    end = last / days_per_unit
    end = round(end) if 0 < abs(end - round(end)) < 0.05 else end  # 730 days are 24 months on the axis
    for index, panel in enumerate(panels):
        left, top = (index % per_row) * unit_across + _LEFT, 0.65 + (index // per_row) * unit_down
        axes = axes_at(figure, left, top, across, _DOWN)
        _draw_panel(axes, panel, looks, days_per_unit, end)
        axes.set_xlabel(f"{'Months' if in_months else 'Days'} since {origin}")
        _label_right(axes, panel, looks, across)
    below = 0.42 + rows * unit_down
    key = [
        Line2D([], [], color=DARK_GREY, linewidth=1.8, label="Line: median of the patients at each time"),
        Patch(color=GREY, alpha=0.35, linewidth=0, label="Band: 5 to 95 % between patients"),
    ]
    figure.legend(
        handles=key,
        ncols=2,
        loc="upper left",
        bbox_to_anchor=(0.07 / figure.get_figwidth(), 1 - below / figure.get_figheight()),
        borderaxespad=0,
        labelcolor=DARK_GREY,
        handlelength=2.4,
    )
    if notes:
        text_at(figure, 0.12, below + 0.25, notes, linespacing=1.2)
    return figure


def _draw_panel(axes: Axes, panel: Panel, looks: dict[str, Look], days_per_unit: float, end: float) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_ylabel(panel.y_label)
    if panel.log:
        axes.set_yscale("log", nonpositive="mask")
    low, high = _limits(panel)
    axes.set_ylim(low, high)
    axes.set_xlim(0, end)
    _set_ticks(axes, panel.log, end, months=days_per_unit > 1)
    axes.grid(axis="y")
    for value, _ in panel.lines:
        axes.axhline(value, color=GREY, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
    for series in panel.series:
        times = np.asarray(series.times_days, dtype=float) / days_per_unit
        p5, p50, p95 = (np.asarray(row, dtype=float) for row in (series.p5, series.p50, series.p95))
        if panel.log:
            # A percentile of zero has no place on this axis: the band goes to its edge, the median stops.
            p5, p50 = np.where(p5 > 0, p5, low), np.where(p50 > 0, p50, np.nan)
            p95 = np.where(p95 > 0, p95, np.nan)
        appearance = looks[series.label]
        axes.fill_between(times, p5, p95, color=appearance.colour, alpha=0.18, linewidth=0, label="_band")
        axes.plot(times, p50, color=appearance.colour, linewidth=1.8, linestyle=appearance.dashes, label=series.label)


def _set_ticks(axes: Axes, log: bool, last: float, months: bool) -> None:
    if months:
        steps = (1, 3, 6, 12, 24, 60, 600)
    else:
        steps = (1, 2, 7, 14, 28, 56, 112, 365, 3650)
    axes.xaxis.set_major_locator(MultipleLocator(next((step for step in steps if last / step <= 9), steps[-1])))
    if log:
        axes.yaxis.set_major_locator(LogLocator(base=10, numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _power_text(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _power_text(value: float) -> str:
    """Powers of ten as people write them: 0.01, 1, 100, 10⁶."""
    exponent = round(math.log10(value))
    if -3 <= exponent <= 4:
        return number_text(10.0**exponent, digits=1)
    return "10" + str(exponent).translate(_RAISED)


def _limits(panel: Panel) -> tuple[float, float]:
    """The axis: all medians and upper percentiles, all lines, and low percentiles as far as a reader needs them."""
    values = np.concatenate([np.asarray(row, dtype=float) for s in panel.series for row in (s.p5, s.p50, s.p95)])
    marks = np.array([value for value, _ in panel.lines], dtype=float)
    values = values[np.isfinite(values) & ((values > 0) | (not panel.log))]
    everything = np.append(values, marks)
    if not everything.size:
        everything = np.array([1.0])
    if panel.log:
        # Eight decades are enough for a reader, unless a line stands lower; what is below leaves the axis.
        floor = min(everything.max() / 1e8, *(marks / 30)) if marks.size else everything.max() / 1e8
        low, high = max(everything.min() / 1.5, floor), everything.max() * 2
        low = min(low, high / 10)
    else:
        low, high = min(0.0, float(everything.min())), float(everything.max()) * 1.06
        high = high if high > low else low + 1
    low, high = (panel.low if panel.low is not None else low), (panel.high if panel.high is not None else high)
    if not low < high or (panel.log and low <= 0):
        raise RangeError(f"panel '{panel.title}': the axis cannot go from {low:g} to {high:g}.")
    return float(low), float(high)


def _label_right(axes: Axes, panel: Panel, looks: dict[str, Look], across: float) -> None:
    """Names of series and of lines, right of the axes at the height where they end."""
    low, high = axes.get_ylim()

    def place(value: float) -> float:
        share = math.log(value / low) / math.log(high / low) if panel.log else (value - low) / (high - low)
        return min(max(share, 0.0), 1.0) * _DOWN

    entries: list[tuple[float, str, str, str]] = []
    for series in panel.series:
        p50 = np.asarray(series.p50, dtype=float)
        seen = p50[np.isfinite(p50) & ((p50 > 0) | (not panel.log))]
        at = place(float(seen[-1])) if seen.size else 0.0
        colour = text_colour(looks[series.label].colour)
        entries.append((at, wrapped(series.label, _RIGHT - 0.2, SMALL_SIZE, True), colour, "bold"))
    for value, label in panel.lines:
        entries.append((place(value), wrapped(label, _RIGHT - 0.2, SMALL_SIZE), DARK_GREY, "normal"))
    heights = [text_height(text, SMALL_SIZE) + 0.03 for _, text, _, _ in entries]
    places = spread_apart([at for at, *_ in entries], heights, -0.1, _DOWN + 0.1)
    for (wanted, text, colour, weight), at in zip(entries, places, strict=True):
        axes.annotate(
            text,
            xy=(1, wanted / _DOWN),
            xycoords="axes fraction",
            xytext=(1 + 0.1 / across, at / _DOWN),
            textcoords="axes fraction",
            va="center",
            fontsize=SMALL_SIZE,
            color=colour,
            fontweight=weight,
            linespacing=1.1,
            arrowprops={
                "arrowstyle": "-",
                "color": GREY,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
