"""A response surface: cells of two axes, a panel for each value of a third, every cell with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ...parameters.errors import InputError
from .checks import check_some
from .labels import text_width, wrapped
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    SMALL_SIZE,
    TEXT_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_on,
)

_COLOURS = LinearSegmentedColormap.from_list("vermillion_white_blue", [VERMILLION, "#FFFFFF", BLUE])
_ACROSS, _DOWN, _GAP, _TOP, _BAR = 0.84, 0.46, 0.3, 0.55, 0.14  # inches
_KEY = (
    ("best", "thick frame: best"),
    ("as_good", "thin frame: not told from it"),
    ("ruled_out", "hatched edge: beyond the limit"),
)


@dataclass(frozen=True)
class CellToDraw:
    """One point of the surface: its value and interval; `ruled_out` by a limit, `best`, or `as_good` as the best."""

    value: float
    low: float
    high: float
    ruled_out: bool = False
    best: bool = False
    as_good: bool = False


def surface_picture(
    panels: Sequence[Sequence[Sequence[CellToDraw]]],
    *,
    panel_titles: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    row_axis: str,
    column_axis: str,
    name: str,
    title: str,
    scale: str,
    note: str = "",
) -> Picture:
    """Panels of cells [panel][row][column]: blue above zero, vermillion below; value, and its interval underneath.

    Parameters
    ----------
    row_axis, column_axis
        What the rows and the columns are, with their units.
    scale
        What the colour means, with its unit; the label of the colour bar.
    """
    check_some(panels, "panels", f"picture {name}")
    for panel in panels:
        if len(panel) != len(rows) or any(len(row) != len(columns) for row in panel):
            raise InputError(f"picture {name}: every panel needs {len(rows)} rows of {len(columns)} cells.")
    if len(panel_titles) != len(panels):
        raise InputError(f"picture {name}: {len(panel_titles)} titles for {len(panels)} panels.")
    values = np.array([[[cell.value for cell in row] for row in panel] for panel in panels])
    norm = Normalize(-_most(values), _most(values))
    with house_style():
        left = 0.55 + max(text_width(row, SMALL_SIZE) for row in rows)
        across, down = _ACROSS * len(columns), _DOWN * len(rows)
        width = max(left + len(panels) * (across + _GAP) + 0.1, text_width(title, 11, bold=True) + 0.3)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        bottom = _TOP + 0.25 + down
        figure = new_figure(width, bottom + 1.15 + 0.16 * (notes.count("\n") + 1 if notes else 0))
        draw_title(figure, title)
        for k, panel in enumerate(panels):
            axes = axes_at(figure, left + k * (across + _GAP), _TOP + 0.25, across, down)
            axes.set_title(panel_titles[k], fontsize=TEXT_SIZE)
            _draw_panel(axes, panel, norm)
            axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=SMALL_SIZE, color=BLACK)
            axes.set_yticks(np.arange(len(rows)) + 0.5, rows if k == 0 else [""] * len(rows), fontsize=SMALL_SIZE)
            axes.set_xlabel(column_axis, fontsize=SMALL_SIZE)
            if k == 0:
                axes.set_ylabel(row_axis, fontsize=SMALL_SIZE)
        _draw_bar(figure, left, bottom + 0.5, min(max(across, 2.2), 3.2), norm, scale)
        drawn = [cell for panel in panels for row in panel for cell in row]
        key = [words for mark, words in _KEY if any(getattr(cell, mark) for cell in drawn)]
        text_at(figure, left + 3.4, bottom + 0.5, "\n".join(key), linespacing=1.2)
        if notes:
            text_at(figure, 0.12, bottom + 1.08, notes, linespacing=1.2)
    return Picture(
        name=name, title=title, alt=_words(panels, panel_titles, rows, columns, row_axis, column_axis, title, scale),
        figure=figure, table=_table(panels, panel_titles, rows, columns),
    )  # fmt: skip


def _most(values: np.ndarray) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0)) or 1.0


def _draw_panel(axes: Axes, panel: Sequence[Sequence[CellToDraw]], norm: Normalize) -> None:
    for i, row in enumerate(panel):
        for j, cell in enumerate(row):
            known = np.isfinite(cell.value)
            colour = to_hex(_COLOURS(norm(cell.value))) if known else "#D9D9D9"
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
            ink = text_on(colour)
            if known:
                axes.text(
                    j + 0.5, i + 0.36, _number(cell.value), ha="center", va="center", fontsize=TEXT_SIZE, color=ink
                )
                span = f"{_number(cell.low)} to {_number(cell.high)}"
                axes.text(j + 0.5, i + 0.74, span, ha="center", va="center", fontsize=5.6, color=ink)
            if cell.ruled_out:  # hatched in a strip beside the numbers, which stay legible
                strip = Rectangle((j, i), 0.09, 1, fill=False, hatch="//////", edgecolor=DARK_GREY, linewidth=0.0)
                axes.add_patch(strip)
            if cell.best or cell.as_good:
                frame = Rectangle(
                    (j + 0.03, i + 0.05), 0.94, 0.9, fill=False, edgecolor=BLACK, linewidth=2.0 if cell.best else 0.8
                )
                axes.add_patch(frame)
    axes.set_xlim(0, len(panel[0]))
    axes.set_ylim(len(panel), 0)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_bar(figure: Figure, left: float, top: float, width: float, norm: Normalize, scale: str) -> None:
    bar = axes_at(figure, left, top, width, _BAR)
    figure.colorbar(ScalarMappable(norm, _COLOURS), cax=bar, orientation="horizontal", ticks=MaxNLocator(5))
    bar.set_xlabel(scale, fontsize=SMALL_SIZE)


def _table(
    panels: Sequence[Sequence[Sequence[CellToDraw]]], titles: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> dict[str, list[object]]:
    flat = [
        (titles[k], rows[i], columns[j], cell)
        for k, panel in enumerate(panels)
        for i, row in enumerate(panel)
        for j, cell in enumerate(row)
    ]
    table: dict[str, list[object]] = {
        "panel": [one[0] for one in flat], "row": [one[1] for one in flat], "column": [one[2] for one in flat]
    }  # fmt: skip
    for field in ("value", "low", "high", "ruled_out", "best", "as_good"):
        table[field] = [getattr(one[3], field) for one in flat]
    return table


def _words(
    panels: Sequence[Sequence[Sequence[CellToDraw]]], titles: Sequence[str], rows: Sequence[str],
    columns: Sequence[str], row_axis: str, column_axis: str, title: str, scale: str,
) -> str:  # fmt: skip
    cells = [
        (cell.value, f"{_number(cell.value)} ({_number(cell.low)} to {_number(cell.high)}) at {titles[k]}, {rows[i]}, "
        f"{columns[j]}")
        for k, panel in enumerate(panels)
        for i, row in enumerate(panel)
        for j, cell in enumerate(row)
        if np.isfinite(cell.value)
    ]  # fmt: skip
    if not cells:
        return f"{title}. No cell of the surface has a value."
    least, most = min(cells)[1], max(cells)[1]
    return (
        f"{title}. Colour: {scale}; rows: {row_axis}; columns: {column_axis}; {len(panels)} panels. "
        f"From {least} up to {most}."
    )


def _number(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\u2212") if np.isfinite(value) else "?"
