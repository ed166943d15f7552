"""Courses over time with the spread between patients: cellular kinetics, antigen density, tumour burden, M-protein."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from ...parameters.errors import InputError, RangeError
from .bands import BandToDraw, Panel
from .checks import check_some
from .course_drawing import draw_panels
from .labels import number_text
from .picture import Picture
from .style import house_style

__all__ = ["BandToDraw", "Panel", "course_picture"]


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
    return Picture(name=name, title=title, alt=_alt(panels, title, origin), figure=figure, table=_table(panels))


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


def _table(panels: Sequence[Panel]) -> dict[str, list[object]]:
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
