"""A number along what is varied (dose, day, depth): points with their interval over posterior draws, several panels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ...parameters.errors import RangeError
from .checks import Numbers, check_rising, check_some, numbers
from .labels import number_text, spread_apart, text_height, wrapped
from .picture import Picture
from .style import (
    DARK_GREY,
    GREY,
    SMALL_SIZE,
    TEXT_SIZE,
    axes_at,
    draw_title,
    house_style,
    look,
    new_figure,
    text_at,
    text_colour,
)

_LEFT, _RIGHT, _ACROSS, _DOWN = 0.75, 1.25, 2.75, 2.05  # inches: margins for labels, size of the axes


@dataclass(frozen=True, eq=False)
class LineToDraw:
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
    lines: Sequence[LineToDraw]
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
    unit_across, unit_down = _LEFT + _ACROSS + (_RIGHT if named else 0.25), _DOWN + 0.95
    said = f"{note} Band: central 95 % of posterior draws.".strip()
    with house_style():
        words = wrapped(said, per_row * unit_across - 0.3, SMALL_SIZE)
        figure = new_figure(per_row * unit_across, 0.45 + rows * unit_down + text_height(words, SMALL_SIZE) + 0.1)
        draw_title(figure, title)
        for k, panel in enumerate(panels):
            left, top = (k % per_row) * unit_across + _LEFT, 0.65 + (k // per_row) * unit_down
            axes = axes_at(figure, left, top, _ACROSS, _DOWN)
            _draw_panel(axes, panel, labels)
            if named:
                _name_lines(axes, panel, labels)
        text_at(figure, 0.12, 0.45 + rows * unit_down, words, linespacing=1.2)
    return Picture(name=name, title=title, alt=_words(panels, title), figure=figure, table=_table(panels))


def _draw_panel(axes: Axes, panel: AlongPanel, labels: Sequence[str]) -> None:
    axes.set_title(panel.title, loc="left")
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(wrapped(panel.y_label, _DOWN, TEXT_SIZE))
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
    _set_ticks(axes, panel)
    axes.grid(axis="y")


def _set_ticks(axes: Axes, panel: AlongPanel) -> None:
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
        entries.append((share * _DOWN, wrapped(line.label, _RIGHT - 0.2, SMALL_SIZE, True), line.label))
    heights = [text_height(text, SMALL_SIZE) + 0.03 for _, text, _ in entries]
    places = spread_apart([at for at, *_ in entries], heights, -0.1, _DOWN + 0.1)
    for (wanted, text, label), at in zip(entries, places, strict=True):
        axes.annotate(
            text, xy=(1, wanted / _DOWN), xycoords="axes fraction", xytext=(1 + 0.1 / _ACROSS, at / _DOWN),
            textcoords="axes fraction", va="center", fontsize=SMALL_SIZE, fontweight="bold", linespacing=1.1,
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


def _table(panels: Sequence[AlongPanel]) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {key: [] for key in ("panel", "line", "x", "value", "low", "high")}
    for panel in panels:
        for line in panel.lines:
            for row in zip(line.x, line.value, line.low, line.high, strict=True):
                for key, cell in zip(columns, (panel.title, line.label, *(float(v) for v in row)), strict=True):
                    columns[key].append(cell)
    return columns
