"""A number along what is varied (dose, day, depth): points with their interval over posterior draws, several panels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MultipleLocator,
    NullFormatter,
    NullLocator,
)

from ...parameters.errors import InputError, RangeError
from .checks import Numbers, check_rising, check_some, numbers
from .picture import Picture
from .style import (
    DARK_GREY,
    GREY,
    SMALL_SIZE,
    TEXT_SIZE,
    Look,
    axes_at,
    draw_title,
    house_style,
    look,
    new_figure,
    number_text,
    spread_apart,
    text_at,
    text_colour,
    text_height,
    wrapped,
)

# What a course picture draws: series with their spread between patients, panels with their lines.


@dataclass(frozen=True, eq=False)
class BandSpec:
    """One series: 5th, 50th and 95th percentile between patients at each time; NaN where nobody is followed."""

    label: str
    times_days: Numbers
    p5: Numbers
    p50: Numbers
    p95: Numbers

    def __post_init__(self) -> None:
        where = f"course '{self.label}'"
        times = check_rising(numbers(self.times_days, "times_days", where, finite=True), "times_days", where)
        if not times.size:
            raise InputError(f"{where}: there are no times; give at least one.")
        rows = [numbers(getattr(self, name), name, where, like=times) for name in ("p5", "p50", "p95")]
        for lower, upper, words in ((rows[0], rows[1], "p5 above p50"), (rows[1], rows[2], "p50 above p95")):
            crossed = np.flatnonzero(lower > upper * (1 + 1e-9) + 1e-12)
            if crossed.size:
                index = int(crossed[0])
                raise RangeError(f"{where}: {words} at day {times[index]:g}: {lower[index]:g} > {upper[index]:g}.")


@dataclass(frozen=True, eq=False)
class Panel:
    """One set of axes.

    Parameters
    ----------
    log
        Logarithmic axis; values of zero or less are then not drawn.
    lines
        Horizontal lines (value, label): a limit of an assay, a threshold.
    low, high
        Limits of the axis, chosen from the numbers and lines where not given. A logarithmic axis then spans at most
        eight decades; give `low` for cellular kinetics, a little below the limit of the assay.
    """

    title: str
    y_label: str
    series: Sequence[BandSpec]
    log: bool = False
    lines: Sequence[tuple[float, str]] = ()
    low: float | None = None
    high: float | None = None


# The drawing of courses over time: axes, bands and labels, placed in inches.


DAYS_PER_MONTH = 30.4375
_COURSE_LEFT, _COURSE_RIGHT, _COURSE_ACROSS, _COURSE_DOWN = (
    0.75,
    1.15,
    2.75,
    2.05,
)  # inches: margins for labels, size of the axes
_RAISED = str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def draw_panels(panels: Sequence[Panel], title: str, in_months: bool, last: float, origin: str, note: str) -> Figure:
    """The whole figure; its size follows from the number of panels."""
    per_row = min(2, len(panels))
    rows = math.ceil(len(panels) / per_row)
    across = _COURSE_ACROSS if per_row == 2 else 4.6
    unit_across, unit_down = _COURSE_LEFT + across + _COURSE_RIGHT, _COURSE_DOWN + 0.85
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
        left, top = (index % per_row) * unit_across + _COURSE_LEFT, 0.65 + (index // per_row) * unit_down
        axes = axes_at(figure, left, top, across, _COURSE_DOWN)
        _draw_course_panel(axes, panel, looks, days_per_unit, end)
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


def _draw_course_panel(axes: Axes, panel: Panel, looks: dict[str, Look], days_per_unit: float, end: float) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_ylabel(panel.y_label)
    if panel.log:
        axes.set_yscale("log", nonpositive="mask")
    low, high = _limits(panel)
    axes.set_ylim(low, high)
    axes.set_xlim(0, end)
    _course_set_ticks(axes, panel.log, end, months=days_per_unit > 1)
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


def _course_set_ticks(axes: Axes, log: bool, last: float, months: bool) -> None:
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
        return min(max(share, 0.0), 1.0) * _COURSE_DOWN

    entries: list[tuple[float, str, str, str]] = []
    for series in panel.series:
        p50 = np.asarray(series.p50, dtype=float)
        seen = p50[np.isfinite(p50) & ((p50 > 0) | (not panel.log))]
        at = place(float(seen[-1])) if seen.size else 0.0
        colour = text_colour(looks[series.label].colour)
        entries.append((at, wrapped(series.label, _COURSE_RIGHT - 0.2, SMALL_SIZE, True), colour, "bold"))
    for value, label in panel.lines:
        entries.append((place(value), wrapped(label, _COURSE_RIGHT - 0.2, SMALL_SIZE), DARK_GREY, "normal"))
    heights = [text_height(text, SMALL_SIZE) + 0.03 for _, text, _, _ in entries]
    places = spread_apart([at for at, *_ in entries], heights, -0.1, _COURSE_DOWN + 0.1)
    for (wanted, text, colour, weight), at in zip(entries, places, strict=True):
        axes.annotate(
            text,
            xy=(1, wanted / _COURSE_DOWN),
            xycoords="axes fraction",
            xytext=(1 + 0.1 / across, at / _COURSE_DOWN),
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


# Courses over time with the spread between patients: cellular kinetics, antigen density, tumour burden, M-protein.


__all__ = ["BandSpec", "Panel", "course_picture"]


def course_picture(
    panels: Sequence[Panel],
    *,
    name: str,
    title: str,
    time_unit: Literal["auto", "days", "months"] = "auto",
    origin: str = "infusion",
    note: str = "",
) -> Picture:
    """Median and 5 to 95 % band between patients over time, two panels in a row.

    Parameters
    ----------
    time_unit
        Unit of the time axis of all panels; "auto" takes months for courses of more than 200 days.
    origin
        What day 0 is.
    """
    where = f"picture {name}"
    check_some(panels, "panels", where)
    for panel in panels:
        check_some(panel.series, f"series in panel '{panel.title}'", where)
        for value, label in panel.lines:
            if not math.isfinite(value) or (panel.log and value <= 0):
                raise RangeError(f"{where}, panel '{panel.title}': line '{label}' = {value} cannot stand on this axis.")
    if time_unit not in ("auto", "days", "months"):
        raise InputError(f"{where}: time_unit is {time_unit!r}; write 'auto', 'days' or 'months'.")
    last = max(float(np.max(series.times_days)) for panel in panels for series in panel.series)
    in_months = time_unit == "months" or (time_unit == "auto" and last > 200)
    with house_style():
        figure = draw_panels(panels, title, in_months, last, origin, note)
    return Picture(name=name, title=title, alt=_alt(panels, title, origin), figure=figure, table=_course_table(panels))


def _alt(panels: Sequence[Panel], title: str, origin: str) -> str:
    sentences = [f"{title}. Median and 5 to 95 % between patients over days since {origin}."]
    for panel in panels:
        parts = []
        for series in panel.series:
            times, p50 = np.asarray(series.times_days, dtype=float), np.asarray(series.p50, dtype=float)
            if np.any(np.isfinite(p50)):
                top, end = int(np.nanargmax(p50)), int(np.flatnonzero(np.isfinite(p50))[-1])
                parts.append(
                    f"{series.label}: median highest at day {times[top]:.0f} with {number_text(p50[top])}, "
                    f"{number_text(p50[end])} at day {times[end]:.0f}"
                )
        lines = "".join(f"; line at {number_text(value)}: {label}" for value, label in panel.lines)
        sentences.append(f"{panel.title} ({panel.y_label}): " + "; ".join(parts) + lines + ".")
    return " ".join(sentences)


def _course_table(panels: Sequence[Panel]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {key: [] for key in ("panel", "unit", "series", "day", "p5", "p50", "p95")}
    for panel in panels:
        for series in panel.series:
            for row in zip(series.times_days, series.p5, series.p50, series.p95, strict=True):
                cells = (panel.title, panel.y_label, series.label, *(float(value) for value in row))
                for key, cell in zip(columns, cells, strict=True):
                    columns[key].append(cell)
        for value, label in panel.lines:
            cells = (panel.title, panel.y_label, f"line: {label}", None, None, float(value), None)
            for key, cell in zip(columns, cells, strict=True):
                columns[key].append(cell)
    return columns


_ALONG_LEFT, _ALONG_RIGHT, _ALONG_ACROSS, _ALONG_DOWN = (
    0.75,
    1.25,
    2.75,
    2.05,
)  # inches: margins for labels, size of the axes


@dataclass(frozen=True, eq=False)
class LineSpec:
    """One series: values at `x` with their interval; NaN leaves a gap."""

    label: str
    x: Numbers
    value: Numbers
    low: Numbers
    high: Numbers

    def __post_init__(self) -> None:
        where = f"line '{self.label}'"
        x = check_rising(numbers(self.x, "x", where, finite=True), "x", where)
        check_some(x, "points", where)
        for name in ("value", "low", "high"):
            numbers(getattr(self, name), name, where, like=x)


@dataclass(frozen=True, eq=False)
class AlongPanel:
    """One set of axes; `marks` are vertical lines (x, label): what is usual, what was reported.

    `log` is for the axis of x. `zero` draws the line at zero that parts gains from losses.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[LineSpec]
    log: bool = False
    marks: Sequence[tuple[float, str]] = ()
    zero: bool = False


def along_picture(panels: Sequence[AlongPanel], *, name: str, title: str, note: str = "") -> Picture:
    """Panels side by side, two in a row; the band is the central 95 % of posterior draws."""
    where = f"picture {name}"
    check_some(panels, "panels", where)
    for panel in panels:
        check_some(panel.lines, f"lines in panel '{panel.title}'", where)
        least = min(float(np.min(np.asarray(line.x, dtype=float))) for line in panel.lines)
        if panel.log and least <= 0:
            raise RangeError(f"{where}, panel '{panel.title}': x = {least:g} has no place on a logarithmic axis.")
    per_row = min(2, len(panels))
    rows = math.ceil(len(panels) / per_row)
    labels = list(dict.fromkeys(line.label for panel in panels for line in panel.lines))
    named = len(labels) > 1  # a single line needs no name beside it
    unit_across, unit_down = _ALONG_LEFT + _ALONG_ACROSS + (_ALONG_RIGHT if named else 0.25), _ALONG_DOWN + 0.95
    said = f"{note} Band: central 95 % of posterior draws.".strip()
    with house_style():
        words = wrapped(said, per_row * unit_across - 0.3, SMALL_SIZE)
        figure = new_figure(per_row * unit_across, 0.45 + rows * unit_down + text_height(words, SMALL_SIZE) + 0.1)
        draw_title(figure, title)
        for k, panel in enumerate(panels):
            left, top = (k % per_row) * unit_across + _ALONG_LEFT, 0.65 + (k // per_row) * unit_down
            axes = axes_at(figure, left, top, _ALONG_ACROSS, _ALONG_DOWN)
            _draw_along_panel(axes, panel, labels)
            if named:
                _name_lines(axes, panel, labels)
        text_at(figure, 0.12, 0.45 + rows * unit_down, words, linespacing=1.2)
    return Picture(name=name, title=title, alt=_words(panels, title), figure=figure, table=_along_table(panels))


def _draw_along_panel(axes: Axes, panel: AlongPanel, labels: Sequence[str]) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(wrapped(panel.y_label, _ALONG_DOWN, TEXT_SIZE))
    if panel.log:
        axes.set_xscale("log")
    for line in panel.lines:
        appearance = look(labels.index(line.label))
        x = np.asarray(line.x, dtype=float)
        low, high = (np.asarray(row, dtype=float) for row in (line.low, line.high))
        axes.fill_between(x, low, high, color=appearance.colour, alpha=0.18, linewidth=0)
        axes.plot(
            x, line.value, color=appearance.colour, linestyle=appearance.dashes, marker=appearance.marker,
            markersize=4.0, linewidth=1.6,
        )  # fmt: skip
    if panel.zero:
        axes.axhline(0.0, color=GREY, linewidth=0.9)
    else:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    for value, label in panel.marks:
        axes.axvline(value, color=GREY, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.2)
        axes.annotate(
            label, xy=(value, 0.0), xycoords=("data", "axes fraction"), xytext=(2, 3), textcoords="offset points",
            va="bottom", ha="left", fontsize=6.5, color=DARK_GREY, rotation=90,
        )  # fmt: skip
    _along_set_ticks(axes, panel)
    axes.grid(axis="y")


def _along_set_ticks(axes: Axes, panel: AlongPanel) -> None:
    """Ticks at the points themselves, if they are few and far enough apart."""
    points = sorted({float(x) for line in panel.lines for x in np.asarray(line.x, dtype=float)})
    if not panel.log and (len(points) > 9 or len(points) < 2):
        return
    scale = np.log10(points) if panel.log else np.array(points)
    kept = [0]
    for i in range(1, len(points)):
        if scale[i] - scale[kept[-1]] >= 0.11 * (scale[-1] - scale[0]):
            kept.append(i)
    ticks = [points[i] for i in kept]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([number_text(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def _name_lines(axes: Axes, panel: AlongPanel, labels: Sequence[str]) -> None:
    """Names of the lines, right of the axes at the height where they end."""
    low, high = axes.get_ylim()
    entries = []
    for line in panel.lines:
        known = np.asarray(line.value, dtype=float)
        known = known[np.isfinite(known)]
        share = (float(known[-1]) - low) / (high - low) if known.size else 0.0
        entries.append((share * _ALONG_DOWN, wrapped(line.label, _ALONG_RIGHT - 0.2, SMALL_SIZE, True), line.label))
    heights = [text_height(text, SMALL_SIZE) + 0.03 for _, text, _ in entries]
    places = spread_apart([at for at, *_ in entries], heights, -0.1, _ALONG_DOWN + 0.1)
    for (wanted, text, label), at in zip(entries, places, strict=True):
        axes.annotate(
            text, xy=(1, wanted / _ALONG_DOWN), xycoords="axes fraction",
            xytext=(1 + 0.1 / _ALONG_ACROSS, at / _ALONG_DOWN), textcoords="axes fraction", va="center",
            fontsize=SMALL_SIZE, fontweight="bold", linespacing=1.1,
            color=text_colour(look(labels.index(label)).colour),
        )  # fmt: skip


def _words(panels: Sequence[AlongPanel], title: str) -> str:
    said = [f"{title}. Points with the central 95 % of posterior draws."]
    for panel in panels:
        parts = []
        for line in panel.lines:
            x, value = (np.asarray(row, dtype=float) for row in (line.x, line.value))
            known = np.flatnonzero(np.isfinite(value))
            if known.size:
                first, last = known[0], known[-1]
                parts.append(
                    f"{line.label} from {number_text(float(value[first]))} at {number_text(float(x[first]))} to "
                    f"{number_text(float(value[last]))} at {number_text(float(x[last]))}"
                )
        said.append(f"{panel.title} ({panel.y_label}, along {panel.x_label}): {'; '.join(parts) or 'no values'}.")
    return " ".join(said)


def _along_table(panels: Sequence[AlongPanel]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {key: [] for key in ("panel", "line", "x", "value", "low", "high")}
    for panel in panels:
        for line in panel.lines:
            for row in zip(line.x, line.value, line.low, line.high, strict=True):
                for key, cell in zip(columns, (panel.title, line.label, *(float(v) for v in row)), strict=True):
                    columns[key].append(cell)
    return columns
