"""Courses of typical patients as pictures and a table: one patient to a line, and no spread between patients."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..model.endpoints import MRD_LIMITS
from ..model.processes.tumour import growth_rate
from ..model.solution import Solution
from ..trials.typical_patient import PROGRESSION_SHOWN, TypicalCourse
from .figures.courses import BandSpec, Panel, course_picture
from .figures.picture import Picture
from .projection_report import LOST
from .report import Table

CELL_DAYS = 120.0
"""Days of the picture of the CAR-T cells."""
_NOTE = """Value at the estimate (central 95 % of posterior draws, each the typical patient of that draw). NR: not
reached within follow-up; none: there is nothing to take it from. The smallest tumour is an expected number of cells,
and progression is that of a tumour that was not eradicated."""


def dates_table(courses: Sequence[TypicalCourse]) -> Table:
    """Best response, key dates and levels, one column per course."""
    rows = [("best response", *(course.response for course in courses))]
    for key in courses[0].dates:
        form = ".2g" if key.endswith(", cells") else ".0f"
        rows.append((key, *(course.dates[key].text(form).replace("nan", "none") for course in courses)))
    return Table("Dates", ("what", *(course.name for course in courses)), rows, _NOTE)


def tumour_picture(courses: Sequence[TypicalCourse], *, note: str) -> Picture:
    """Tumour, M-protein, antigen, and the killing and growth whose balance they follow."""

    def lines(read: Callable[[Solution], np.ndarray]) -> list[BandSpec]:
        return [_line(course, course.name, read(course.solution)) for course in courses]

    kill = lines(lambda solution: solution["kill_pressure"] * solution["susceptibility"])
    growth = [
        _line(course, f"growth, {course.name}", growth_rate(course.values, course.solution["tumour"]))
        for course in courses
    ]
    fewest = max(0.5 * min(course.solution["tumour"][0].min() for course in courses), 1.0)
    residual = [(MRD_LIMITS["1e-5"] * courses[0].values["marrow_cells"][0], "1e-5 of the marrow")]
    lost = [(LOST, "function lost in vitro")]
    tumour, protein, density = (
        lines(lambda solution, name=name: solution[name]) for name in ("tumour", "m_protein", "density_mean")
    )
    panels = [
        Panel("Tumour", "Cells in the body", tumour, log=True, lines=residual, low=fewest),
        Panel("M-protein", "Serum M-protein (g/L)", protein),
        Panel("Killing and growth", "Rate per tumour cell (1/day)", [*kill, *growth], log=True, low=1e-3),
        Panel("Antigen", "BCMA (molecules/cell)", density, lines=lost),
    ]
    title = "Inside a typical patient: tumour and antigen (simulated)"
    return _without_spread(course_picture(panels, name="tumour", title=title, note=note), courses)


def cell_picture(courses: Sequence[TypicalCourse], *, note: str) -> Picture:
    """Effector, memory and exhausted CAR-T cells, one panel per course."""
    panels = []
    for course in courses:
        effector, memory = course.solution["effector"], course.solution["memory"]
        pools = {"effector": effector, "memory": memory, "exhausted": course.solution["car_t"] - effector - memory}
        series = [_line(course, name, np.maximum(cells, 0.0), CELL_DAYS) for name, cells in pools.items()]
        limit = [(float(course.values["limit_car_t"][0]), "assay limit")]
        panels.append(Panel(f"After {course.name}", "CAR-T cells in blood (cells/uL)", series, True, limit, low=0.01))
    title = "Inside a typical patient: CAR-T cells (simulated)"
    return _without_spread(course_picture(panels, name="cells", title=title, note=note), courses)


def _line(course: TypicalCourse, label: str, values: np.ndarray, until: float = np.inf) -> BandSpec:
    """The course of the patient at the estimate, up to the visit that shows progression."""
    kept = course.solution.times <= min(until, course.dates[PROGRESSION_SHOWN].value)
    line = values[0][kept]
    return BandSpec(label, course.solution.times[kept], line, line, line)


def _without_spread(picture: Picture, courses: Sequence[TypicalCourse]) -> Picture:
    """The picture without its key and columns about the spread between patients: there is one patient to a line."""
    for key in list(picture.figure.legends):
        key.remove()
    kept = {"panel": "panel", "unit": "unit", "series": "series", "day": "day", "p50": "value"}
    panels = ", ".join(dict.fromkeys(map(str, picture.table["panel"])))
    dates = [
        f"{course.name}: " + "; ".join(f"{key} {date.text('.3g')}" for key, date in course.dates.items())
        for course in courses
    ]
    return replace(
        picture,
        alt=f"{picture.title}. One patient to a line, one panel each for {panels}. {'. '.join(dates)}.",
        table={kept[name]: column for name, column in picture.table.items() if name in kept},
    )
