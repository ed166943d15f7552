"""Sensitivity indices as bars: for each result, the numbers that move it most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from ...fitting.identifiability.sensitivity import Morris, Sobol
from ...parameters.errors import unknown
from .checks import check_some
from .labels import text_width, wrapped
from .picture import Picture
from .style import BLACK, BLUE, ORANGE, SMALL_SIZE, axes_at, draw_title, house_style, new_figure, text_at, text_colour

_ACROSS, _ROW, _TOP, _BELOW, _GAP, _ROOM = 2.3, 0.26, 0.8, 0.62, 0.35, 2.0  # inches


@dataclass(frozen=True, eq=False)
class _Series:
    """One kind of bar: words of the key, values, (outputs, d), and intervals, (outputs, d, 2), or none."""

    words: str
    values: np.ndarray
    interval: np.ndarray | None
    colour: str


def sobol_picture(
    found: Sobol,
    outputs: Sequence[str] = (),
    *,
    most: int = 8,
    name: str = "sobol",
    title: str = "Sobol indices: shares of the variance of each result",
    note: str = "",
) -> Picture:
    """Total and first-order indices of the numbers with the largest total ones; `outputs` or all, one panel each."""
    series = (
        _Series("total: with all interactions", found.total, found.total_interval, BLUE),
        _Series("first order: alone", found.first, found.first_interval, ORANGE),
    )
    return _picture(found, outputs, series, most, name, title, "share of variance", note)


def morris_picture(
    found: Morris,
    outputs: Sequence[str] = (),
    *,
    most: int = 8,
    name: str = "morris",
    title: str = "Elementary effects on each result",
    note: str = "",
) -> Picture:
    """Mean size of the elementary effects, and their SD (interactions and curvature), in the unit of each output."""
    series = (
        _Series("\u03bc*: mean size of the effect", found.mu_star, found.mu_star_interval, BLUE),
        _Series("\u03c3: its SD", found.sigma, None, ORANGE),
    )
    return _picture(found, outputs, series, most, name, title, "effect of the whole range", note)


def _picture(
    found: Sobol | Morris,
    outputs: Sequence[str],
    series: tuple[_Series, _Series],
    most: int,
    name: str,
    title: str,
    x_label: str,
    note: str,
) -> Picture:
    check_some(found.outputs, "outputs", f"picture {name}")
    for output in outputs:
        if output not in found.outputs:
            raise unknown("output", output, found.outputs, f"picture {name}")
    shown = [found.outputs.index(output) for output in outputs or found.outputs]
    bars = min(most, len(found.ids))
    top = {k: np.argsort(-series[0].values[k])[:bars] for k in shown}
    columns = min(len(shown), 2)
    lines = math.ceil(len(shown) / columns)
    with house_style():
        used = [found.ids[j] for k in shown for j in top[k]]
        left = 0.3 + max(text_width(wrapped(text, _ROOM, SMALL_SIZE), SMALL_SIZE) for text in used)
        step, down = left + _ACROSS + _GAP, bars * _ROW
        width = max(columns * step, text_width(title, 11, bold=True) + 0.3, 4.8)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        height = _TOP + lines * (down + _BELOW + 0.2) + (0.16 * (notes.count("\n") + 1) if notes else 0.0)
        figure = new_figure(width, height)
        draw_title(figure, title)
        at = 0.15
        for each in series:
            text_at(figure, at, 0.36, f"\u25a0 {each.words}", color=text_colour(each.colour))
            at += text_width(f"\u25a0 {each.words}", SMALL_SIZE) + 0.35
        for index, k in enumerate(shown):
            row, column = divmod(index, columns)
            axes = axes_at(figure, left + column * step, _TOP + row * (down + _BELOW + 0.2), _ACROSS, down)
            _draw(axes, [found.ids[j] for j in top[k]], series, k, top[k])
            axes.set_title(found.outputs[k])
            axes.set_xlabel(x_label, fontsize=SMALL_SIZE)
        if notes:
            text_at(figure, 0.12, height - 0.16 * (notes.count("\n") + 1) - 0.05, notes, linespacing=1.2)
    told = "; ".join(
        f"{found.outputs[k]}: "
        + ", ".join(f"{found.ids[j]} {series[0].values[k, j]:.2g} ({series[1].values[k, j]:.2g})" for j in top[k][:3])
        for k in shown[:12]
    )
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. Bars of the {bars} largest for each of {len(shown)} results. Largest {series[0].words} (in "
        f"brackets {series[1].words}): {told}.",
        figure=figure,
        table=_table(found, series, shown),
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


def _table(found: Sobol | Morris, series: tuple[_Series, _Series], shown: list[int]) -> dict[str, list[object]]:
    cells = [(k, j) for k in shown for j in range(len(found.ids))]
    table: dict[str, list[object]] = {
        "output": [found.outputs[k] for k, _ in cells],
        "number": [found.ids[j] for _, j in cells],
    }
    for each in series:
        key = each.words.split(":")[0].replace(" ", "_").replace("\u03bc*", "mu_star").replace("\u03c3", "sigma")
        table[key] = [float(each.values[cell]) for cell in cells]
        if each.interval is not None:
            table[f"{key}_low"] = [float(each.interval[cell][0]) for cell in cells]
            table[f"{key}_high"] = [float(each.interval[cell][1]) for cell in cells]
    return table
