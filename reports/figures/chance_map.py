"""A table of chances as colours: white at none of the draws, blue at all of them, every cell with its percentage."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

from ...parameters.errors import InputError, RangeError
from .checks import check_some
from .labels import text_height, text_width, wrapped
from .picture import Picture
from .style import BLACK, BLUE, SMALL_SIZE, axes_at, draw_title, house_style, new_figure, text_at, text_on

_COLOURS = LinearSegmentedColormap.from_list("white_blue", ["#FFFFFF", BLUE])
_ACROSS, _DOWN, _TOP = 0.6, 0.32, 0.55  # inches


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
        across, down = _ACROSS * len(columns), _DOWN * len(rows)
        width = max(left + across + 0.2, text_width(title, 11, bold=True) + 0.3)
        notes = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
        figure = new_figure(width, _TOP + down + 0.6 + (text_height(notes, SMALL_SIZE) + 0.1 if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, left, _TOP, across, down)
        axes.set_facecolor("#D9D9D9")
        axes.pcolormesh(
            np.ma.masked_invalid(table), cmap=_COLOURS, vmin=0.0, vmax=100.0, edgecolors="white", linewidth=0.8
        )
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value):
                ink = text_on(to_hex(_COLOURS(value / 100.0)))
                axes.text(j + 0.5, i + 0.5, f"{value:.0f} %", ha="center", va="center", fontsize=SMALL_SIZE, color=ink)
        axes.set_ylim(len(rows), 0)
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xlabel(column_axis, fontsize=SMALL_SIZE)
        axes.set_ylabel(row_axis, fontsize=SMALL_SIZE)
        axes.tick_params(length=0)
        if notes:
            text_at(figure, 0.12, _TOP + down + 0.55, notes, linespacing=1.2)
    said = "; ".join(
        f"{row}: " + ", ".join(f"{column} {table[i, j]:.0f} %" for j, column in enumerate(columns))
        for i, row in enumerate(rows)
    )
    return Picture(
        name=name, title=title, alt=f"{title}. Rows: {row_axis}; columns: {column_axis}. {said}.", figure=figure,
        table={"row": list(rows)} | {column: table[:, j].tolist() for j, column in enumerate(columns)},
    )  # fmt: skip
