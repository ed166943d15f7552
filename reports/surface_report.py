"""A searched surface: the gain of every point of its grid as a picture, and the points that gain most as a table."""

from collections.abc import Sequence

import numpy as np

from ..trials.search import Axis, Surface, Value, point_name
from .figures.picture import Picture
from .figures.tables import CellSpec, chance_picture, surface_picture
from .report import Table

INTERVAL = "Below each value: central 95 % of posterior draws, which is about parameters, not about a trial's size."


def gain_surface(
    surface: Surface, *, name: str, title: str, row_axis: str, column_axis: str, scale: str, rows: str = "{:g}",
    columns: str = "{:g}", panels: Sequence[str] = (), note: str = "",
) -> Picture:  # fmt: skip
    """What every point gains over the reference, with its interval.

    Parameters
    ----------
    surface
        Of two axes, rows and columns, or of three: then the first one makes the panels.
    row_axis, column_axis, scale
        What rows, columns and colours are, with their units.
    rows, columns
        How a value of the two axes is written, a format such as `day {:g}`.
    panels
        Titles of the panels.
    note
        More than what the intervals are.
    """
    row_values, column_values = (axis.values for axis in surface.axes[-2:])
    as_good = {id(point) for point in surface.as_good}
    cells = [
        CellSpec(
            point.gain.value, point.gain.low, point.gain.high, not point.allowed, point is surface.best,
            id(point) in as_good,
        )
        for point in surface.points
    ]  # fmt: skip
    across, down = len(column_values), len(row_values)
    lines = [cells[start : start + across] for start in range(0, len(cells), across)]
    return surface_picture(
        [lines[start : start + down] for start in range(0, len(lines), down)], panel_titles=list(panels),
        rows=[rows.format(value) for value in row_values], columns=[columns.format(value) for value in column_values],
        row_axis=row_axis, column_axis=column_axis, name=name, title=title, scale=scale,
        note=" ".join(filter(None, (INTERVAL, note))),
    )  # fmt: skip


def chances(surface: Surface, least: float) -> np.ndarray:
    """Share of posterior draws in which a point gains at least so much over the reference.

    Parameters
    ----------
    least
        In the unit of the objective.

    Returns
    -------
    array
        In percent, shaped like the axes.
    """
    comparison, objective = surface.comparison, surface.objective
    reference, *points = (arm.name for arm in comparison.arms)
    gains = (comparison.draws_of(point, objective, reference) for point in points)
    shape = [len(axis.values) for axis in surface.axes]
    return np.array([100.0 * np.mean(gain >= least) for gain in gains]).reshape(shape)


def chance_surface(
    surface: Surface, least: float, *, name: str, title: str, row_axis: str, column_axis: str, rows: str = "{:g}",
    columns: str = "{:g}",
) -> Picture:  # fmt: skip
    """In what share of the posterior draws every point of two axes gains at least so much."""
    row_values, column_values = (axis.values for axis in surface.axes)
    return chance_picture(
        chances(surface, least), [rows.format(value) for value in row_values],
        [columns.format(value) for value in column_values], name=name, title=title, row_axis=row_axis,
        column_axis=column_axis, note=f"Share of {len(surface.comparison.posterior.draws)} posterior draws.",
    )  # fmt: skip


def best_points_table(surface: Surface, title: str, *, most: int = 10, limit: str = "") -> Table:
    """The points that gain most: gain, chance of a gain and of being the best, and whether they keep the limit.

    Parameters
    ----------
    most
        Number of points that are listed.
    limit
        What the limited measure is called, by default its label.
    """
    limited = surface.limit is not None
    rows = []
    for point in sorted(surface.points, key=lambda point: -point.gain.value)[:most]:
        row = [*(_written(value) for value in point.at), point.gain.text("+.2f"), f"{100 * point.chance:.0f}"]
        row += [f"{100 * point.chance_best:.0f}"]
        row += [f"{point.limited.value:.0f}"] if point.limited else []
        row += ["yes" if point.allowed else "no"] if limited else []
        rows.append(tuple(row))
    head = [*map(_label, surface.axes), f"gain, {surface.objective.unit}", "draws that gain, %"]
    head += ["draws in which it is the best, %"]
    head += [limit or surface.limit.measure.label, "within the limit"] if surface.limit is not None else []
    between = "Nothing between the points of the grid was better."
    if surface.refined is not None:
        place, gain = surface.refined
        between = (
            f"Between the points of the grid the best is {point_name(surface.axes, place)} ({gain:+.2f} "
            f"{surface.objective.unit} at the estimate)."
        )
    return Table(title, tuple(head), rows, between)


def _label(axis: Axis) -> str:
    return f"{axis.name}, {axis.unit}" if axis.unit else axis.name


def _written(value: Value) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value
