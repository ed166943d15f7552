"""Tables as colours: evidence pull, correlations; blue below zero, white at zero, vermillion above."""

from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex

from ...fitting.identifiability.influence import Pulls
from ...parameters.errors import InputError
from .checks import check_some
from .labels import text_width, wrapped
from .picture import Picture
from .style import BLACK, BLUE, SMALL_SIZE, VERMILLION, axes_at, draw_title, house_style, new_figure, text_at, text_on

_COLOURS = LinearSegmentedColormap.from_list("blue_white_vermillion", [BLUE, "#FFFFFF", VERMILLION])
_CELL_DOWN, _CELL_ACROSS, _LABEL_ROOM, _TOP, _BAR = 0.2, 0.36, 2.9, 0.5, 0.14  # inches
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
        bottom = _TOP + above + down
        figure = new_figure(width, bottom + 0.75 + (0.16 * (notes.count("\n") + 1) if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, left, _TOP + above, across, down)
        norm = Normalize(-most, most)
        axes.set_facecolor("#D9D9D9")
        axes.pcolormesh(np.ma.masked_invalid(table), cmap=_COLOURS, norm=norm, edgecolors="white", linewidth=0.5)
        for (i, j), value in np.ndenumerate(table):
            if np.isfinite(value) and abs(value) >= _WRITTEN * most:
                colour = to_hex(_COLOURS(norm(value)))
                text = _number(value)
                axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=5.5, color=text_on(colour))
        axes.set_ylim(len(rows), 0)
        axes.set_xlim(0, len(columns))
        axes.set_yticks(np.arange(len(rows)) + 0.5, labels, fontsize=SMALL_SIZE, color=BLACK)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize=SMALL_SIZE, color=BLACK, rotation=90)
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        bar = axes_at(figure, left, bottom + 0.2, min(max(across, 2.0), 3.2), _BAR)
        figure.colorbar(ScalarMappable(norm, _COLOURS), cax=bar, orientation="horizontal")
        bar.set_xlabel(scale, fontsize=SMALL_SIZE)
        if notes:
            text_at(figure, 0.12, bottom + 0.72, notes, linespacing=1.2)
    order = np.argsort(-np.abs(np.nan_to_num(table)), axis=None)
    places = [np.unravel_index(k, table.shape) for k in order[:5]]
    strongest = "; ".join(f"{rows[i]}, {columns[j]}: {_number(float(table[i, j]))}" for i, j in places)
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {len(rows)} rows by {len(columns)} columns; the colour is {scale}, from {_number(-most)} to "
        f"{_number(most)}. Strongest: {strongest}.",
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


def _number(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212") if np.isfinite(value) else "none"
