"""A table of chances as colours: white at none of the draws, blue at all of them, every cell with its percentage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ...fitting.identifiability.influence import Pulls
from ...parameters.errors import InputError, RangeError
from .checks import check_some
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
    text_height,
    text_on,
    text_width,
    wrapped,
)

# Tables as colours: evidence pull, correlations; blue below zero, white at zero, vermillion above.


_HEAT_COLOURS = LinearSegmentedColormap.from_list("blue_white_vermillion", [BLUE, "#FFFFFF", VERMILLION])
_CELL_DOWN, _CELL_ACROSS, _LABEL_ROOM, _HEAT_TOP, _HEAT_BAR = 0.2, 0.36, 2.9, 0.5, 0.14  # inches
_WRITTEN = 0.05  # of the limit: smaller values are left to their colour


def heat_picture(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    title: str,
    scale: str,
    limit: float | None = None,
    note: str = "",
) -> Picture:
    """Values (rows, columns) as colours centred at zero, each with its number; missing ones stay grey.

    Parameters
    ----------
    scale
        What the colour means, with its unit; the label of the colour bar.
    limit
        Value of the deepest colours; otherwise the largest size.
    """
    table = np.asarray(values, dtype=float)
    check_some(rows, "rows", f"picture {name}")
    if table.shape != (len(rows), len(columns)):
        raise InputError(f"picture {name}: values are {table.shape}, and there are {len(rows)} x {len(columns)} names.")
    most = limit or float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    with house_style():
        labels = [wrapped(row, _LABEL_ROOM, SMALL_SIZE).replace("\n", " ") for row in rows]
        left = 0.25 + max(text_width(label, SMALL_SIZE) for label in labels)
        above = 0.15 + max(text_width(column, SMALL_SIZE) for column in columns)
        across, down = _CELL_ACROSS * len(columns), _CELL_DOWN * len(rows)
        width = max(left + across + 0.3, text_width(title, 11, bold=True) + 0.3, left + 3.0)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        bottom = _HEAT_TOP + above + down
        figure = new_figure(width, bottom + 0.75 + (0.16 * (notes.count("\n") + 1) if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, left, _HEAT_TOP + above, across, down)
        norm = Normalize(-most, most)
        axes.set_facecolor("#D9D9D9")
        axes.pcolormesh(np.ma.masked_invalid(table), cmap=_HEAT_COLOURS, norm=norm, edgecolors="white", linewidth=0.5)
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value) and abs(value) >= _WRITTEN * most:
                colour = to_hex(_HEAT_COLOURS(norm(value)))
                text = _heat_number(value)
                axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=5.5, color=text_on(colour))
        axes.set_ylim(len(rows), 0)
        axes.set_xlim(0, len(columns))
        axes.set_yticks(np.arange(len(rows)) + 0.5, labels, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=SMALL_SIZE, color=BLACK, rotation=90)
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        bar = axes_at(figure, left, bottom + 0.2, min(max(across, 2.0), 3.2), _HEAT_BAR)
        figure.colorbar(ScalarMappable(norm, _HEAT_COLOURS), cax=bar, orientation="horizontal")
        bar.set_xlabel(scale, fontsize=SMALL_SIZE)
        if notes:
            text_at(figure, 0.12, bottom + 0.72, notes, linespacing=1.2)
    order = np.argsort(-np.abs(np.nan_to_num(table)), axis=None)
    places = [np.unravel_index(k, table.shape) for k in order[:5]]
    strongest = "; ".join(f"{rows[i]}, {columns[j]}: {_heat_number(float(table[i, j]))}" for i, j in places)
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {len(rows)} rows by {len(columns)} columns; the colour is {scale}, from {_heat_number(-most)} "
        f"to {_heat_number(most)}. Strongest: {strongest}.",
        figure=figure,
        table={"row": list(rows)} | {column: table[:, j].tolist() for j, column in enumerate(columns)},
    )


def pull_picture(
    pulls: Pulls,
    *,
    items: int = 30,
    numbers: int = 25,
    name: str = "evidence_pull",
    title: str = "Which result pulls which number where",
) -> Picture:
    """The items and numbers with the strongest pulls, in the order of the evidence and of the numbers."""
    table = pulls.pulls
    rows = np.sort(np.argsort(-np.abs(table).max(axis=1))[:items])
    columns = np.sort(np.argsort(-np.abs(table[rows]).max(axis=0))[:numbers])
    hidden = f"Left out: {len(table) - len(rows)} results, {table.shape[1] - len(columns)} numbers, with weaker pulls."
    return heat_picture(
        table[np.ix_(rows, columns)],
        [pulls.labels[int(i)] for i in rows],
        [pulls.ids[int(j)] for j in columns],
        name=name,
        title=title,
        scale="pull, posterior SDs (above 0: upwards)",
        note=hidden if len(rows) < len(table) or len(columns) < table.shape[1] else "",
    )


def correlation_picture(
    correlation: np.ndarray,
    ids: Sequence[str],
    *,
    numbers: int = 30,
    name: str = "correlations",
    title: str = "Which numbers trade off against one another",
) -> Picture:
    """Posterior correlations (d, d) of the numbers with the strongest ones; the diagonal is left out."""
    table = np.array(correlation, dtype=float)
    np.fill_diagonal(table, np.nan)
    order = np.sort(np.argsort(-np.nanmax(np.abs(table), axis=1))[:numbers])
    names = [str(ids[int(k)]) for k in order]
    note = f"The other {len(ids) - len(order)} numbers have weaker correlations." if len(order) < len(ids) else ""
    return heat_picture(
        table[np.ix_(order, order)], names, names, name=name, title=title, scale="posterior correlation", limit=1.0,
        note=note,
    )  # fmt: skip


def _heat_number(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212") if np.isfinite(value) else "none"


# A response surface: cells of two axes, a panel for each value of a third, every cell with its interval.


_SURFACE_COLOURS = LinearSegmentedColormap.from_list("vermillion_white_blue", [VERMILLION, "#FFFFFF", BLUE])
_SURFACE_ACROSS, _SURFACE_DOWN, _GAP, _SURFACE_TOP, _SURFACE_BAR = 0.84, 0.46, 0.3, 0.55, 0.14  # inches
_KEY = (
    ("best", "thick frame: best"),
    ("as_good", "thin frame: not told from it"),
    ("ruled_out", "hatched edge: beyond the limit"),
)


@dataclass(frozen=True)
class CellSpec:
    """One point of the surface: its value and interval; `ruled_out` by a limit, `best`, or `as_good` as the best."""

    value: float
    low: float
    high: float
    ruled_out: bool = False
    best: bool = False
    as_good: bool = False


def surface_picture(
    panels: Sequence[Sequence[Sequence[CellSpec]]],
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
        across, down = _SURFACE_ACROSS * len(columns), _SURFACE_DOWN * len(rows)
        width = max(left + len(panels) * (across + _GAP) + 0.1, text_width(title, 11, bold=True) + 0.3)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        bottom = _SURFACE_TOP + 0.25 + down
        figure = new_figure(width, bottom + 1.15 + 0.16 * (notes.count("\n") + 1 if notes else 0))
        draw_title(figure, title)
        for k, panel in enumerate(panels):
            axes = axes_at(figure, left + k * (across + _GAP), _SURFACE_TOP + 0.25, across, down)
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


def _draw_panel(axes: Axes, panel: Sequence[Sequence[CellSpec]], norm: Normalize) -> None:
    for i, row in enumerate(panel):
        for j, cell in enumerate(row):
            known = np.isfinite(cell.value)
            colour = to_hex(_SURFACE_COLOURS(norm(cell.value))) if known else "#D9D9D9"
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
            ink = text_on(colour)
            if known:
                axes.text(
                    j + 0.5,
                    i + 0.36,
                    _surface_number(cell.value),
                    ha="center",
                    va="center",
                    fontsize=TEXT_SIZE,
                    color=ink,
                )
                span = f"{_surface_number(cell.low)} to {_surface_number(cell.high)}"
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
    bar = axes_at(figure, left, top, width, _SURFACE_BAR)
    figure.colorbar(ScalarMappable(norm, _SURFACE_COLOURS), cax=bar, orientation="horizontal", ticks=MaxNLocator(5))
    bar.set_xlabel(scale, fontsize=SMALL_SIZE)


def _table(
    panels: Sequence[Sequence[Sequence[CellSpec]]], titles: Sequence[str], rows: Sequence[str], columns: Sequence[str]
) -> dict[str, list[object]]:
    flat = [
        (titles[k], rows[i], columns[j], cell)
        for k, panel in enumerate(panels)
        for i, row in enumerate(panel)
        for j, cell in enumerate(row)
    ]
    table: dict[str, list[object]] = {
        "panel": [entry[0] for entry in flat],
        "row": [entry[1] for entry in flat],
        "column": [entry[2] for entry in flat],
    }
    for field in ("value", "low", "high", "ruled_out", "best", "as_good"):
        table[field] = [getattr(entry[3], field) for entry in flat]
    return table


def _words(
    panels: Sequence[Sequence[Sequence[CellSpec]]], titles: Sequence[str], rows: Sequence[str],
    columns: Sequence[str], row_axis: str, column_axis: str, title: str, scale: str,
) -> str:  # fmt: skip
    cells = [
        (
            cell.value,
            f"{_surface_number(cell.value)} ({_surface_number(cell.low)} to {_surface_number(cell.high)}) "
            f"at {titles[k]}, {rows[i]}, {columns[j]}",
        )
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


def _surface_number(value: float) -> str:
    return f"{value:+.1f}".replace("-", "\u2212") if np.isfinite(value) else "?"


_CHANCE_COLOURS = LinearSegmentedColormap.from_list("white_blue", ["#FFFFFF", BLUE])
_CHANCE_ACROSS, _CHANCE_DOWN, _CHANCE_TOP = 0.6, 0.32, 0.55  # inches


def chance_picture(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    name: str,
    title: str,
    row_axis: str,
    column_axis: str,
    note: str = "",
) -> Picture:
    """Chances in percent (rows, columns); a missing one stays grey.

    Raises
    ------
    InputError, RangeError
        If the table does not fit the names; if a chance is not between 0 and 100.
    """
    where = f"picture {name}"
    table = np.asarray(values, dtype=float)
    check_some(rows, "rows", where)
    if table.shape != (len(rows), len(columns)):
        raise InputError(f"{where}: values are {table.shape}, and there are {len(rows)} x {len(columns)} names.")
    known = table[np.isfinite(table)]
    if known.size and not (known.min() >= 0.0 and known.max() <= 100.0):
        raise RangeError(f"{where}: chances from {known.min():g} to {known.max():g}; give percent, from 0 to 100.")
    with house_style():
        left = 0.55 + max(text_width(row, SMALL_SIZE) for row in rows)
        across, down = _CHANCE_ACROSS * len(columns), _CHANCE_DOWN * len(rows)
        width = max(left + across + 0.2, text_width(title, 11, bold=True) + 0.3)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        figure = new_figure(width, _CHANCE_TOP + down + 0.6 + (text_height(notes, SMALL_SIZE) + 0.1 if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, left, _CHANCE_TOP, across, down)
        axes.set_facecolor("#D9D9D9")
        axes.pcolormesh(
            np.ma.masked_invalid(table), cmap=_CHANCE_COLOURS, vmin=0.0, vmax=100.0, edgecolors="white", linewidth=0.8
        )
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                ink = text_on(to_hex(_CHANCE_COLOURS(value / 100.0)))
                axes.text(j + 0.5, i + 0.5, f"{value:.0f} %", ha="center", va="center", fontsize=SMALL_SIZE, color=ink)
        axes.set_ylim(len(rows), 0)
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xlabel(column_axis, fontsize=SMALL_SIZE)
        axes.set_ylabel(row_axis, fontsize=SMALL_SIZE)
        axes.tick_params(length=0)
        if notes:
            text_at(figure, 0.12, _CHANCE_TOP + down + 0.55, notes, linespacing=1.2)
    said = "; ".join(
        f"{row}: " + ", ".join(f"{column} {table[i, j]:.0f} %" for j, column in enumerate(columns))
        for i, row in enumerate(rows)
    )
    return Picture(
        name=name, title=title, alt=f"{title}. Rows: {row_axis}; columns: {column_axis}. {said}.", figure=figure,
        table={"row": list(rows)} | {column: table[:, j].tolist() for j, column in enumerate(columns)},
    )  # fmt: skip
