"""What happens inside one typical patient after ide-cel and after cilta-cel?

Every parameter has its typical value and no yes-or-no trait is present: M-protein is secreted, the CAR meets no
immunity, no cell has lost an antigen. The assay measures without error and nobody dies of something else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import interval
from perdure.model.endpoints import MRD_LIMITS, Outcomes, Visits, outcomes
from perdure.model.imwg import CATEGORIES
from perdure.model.processes.tumour import growth_rate
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.model.solution import Solution
from perdure.model.therapy import read_therapy
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw
from perdure.reports.figures.bands import BandToDraw, Panel
from perdure.reports.figures.course import course_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.projection_report import LOST
from perdure.reports.report import Report, Section, Table, write_report
from perdure.reports.run_folder import RunFolder, new_run
from perdure.reports.settings import Settings
from perdure.trials.projection import Estimate

TIME = "a few seconds"
MONTHS = 60.0
PATIENTS = (("ide_cel", "late_line"), ("cilta_cel", "mixed_line"))
"""Each product with the population in which its efficacy was calibrated: two patients, not one patient twice."""
CELL_DAYS = 120.0
"""Days of the picture of the CAR-T cells."""
OTHER_DEATHS = ("hazard_death_first_year", "hazard_death_later")


@dataclass(frozen=True, eq=False)
class Course:
    """One typical patient after one product: time courses, response and key dates.

    The first row of `solution` and of `values` is the patient at the estimate, the others are posterior draws. Each of
    `dates` is a number at the estimate with the central 95 % of the draws, in the unit that its key names; days count
    from the infusion.
    """

    product: str
    population: str
    solution: Solution
    values: Mapping[str, np.ndarray]
    response: str
    dates: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        """Short name of the product."""
        return read_therapy(self.product).short


def run(
    patients: Sequence[tuple[str, str]] = PATIENTS,
    *,
    months: float = MONTHS,
    draws: int = 40,
    calibration: Calibration | None = None,
    solver: Solver | None = None,
) -> tuple[Course, ...]:
    """Treat the typical patient of each population with the product named before it."""
    calibration = calibration or read_calibration()
    sets = [calibration.parameters(), *(calibration.draw(k) for k in range(min(draws, len(calibration.draws))))]
    return tuple(_course(product, population, sets, Visits(months=months), solver) for product, population in patients)


def typical_values(parameters: ParameterSet, product: str, population: str) -> dict[str, float]:
    """Typical value of every parameter, without traits that a patient has or has not, and without other deaths."""
    values = parameters.typical(product, population)
    traits = [name for name in values if parameters[name].drawn_with]
    return values | dict.fromkeys([*traits, *OTHER_DEATHS], 0.0)


def _course(
    product: str, population: str, sets: Sequence[ParameterSet], visits: Visits, solver: Solver | None
) -> Course:
    rows = [typical_values(parameters, product, population) for parameters in sets]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    solution = simulate(values, infuse(product), times=visits.grid, solver=solver)
    people = draw(sets[0], len(rows), 0)
    exact = replace(people, errors=np.zeros((people.n, len(visits.days), 2)))
    found = outcomes(solution, values, exact, visits)
    return Course(
        product=product,
        population=population,
        solution=solution,
        values=values,
        response=CATEGORIES[found.best[0, 0]],
        dates={name: Estimate(float(row[0]), *interval(row[1:])) for name, row in _dates(solution, found).items()},
    )


def _dates(solution: Solution, found: Outcomes) -> dict[str, np.ndarray]:
    """Key dates and levels of every row."""
    days, tumour, density = solution.times, solution["tumour"], solution["density_mean"]
    few = tumour < MRD_LIMITS["1e-5"] * found.marrow_cells[:, None]
    response = found.responses[0]
    return {
        "CAR-T cells at their peak, day": found.t_max,
        "CAR-T cells at their peak, cells/uL": found.c_max,
        "partial response first seen, day": response.first_response,
        "tumour below 1e-5 of the marrow, day": np.where(few.any(axis=1), days[few.argmax(axis=1)], np.inf),
        "tumour at its smallest, day": days[tumour.argmin(axis=1)],
        "tumour at its smallest, cells": tumour.min(axis=1),
        "CAR-T cells last above the assay limit, day": found.persistence[0],
        "progression by the marker, day": response.progression,
        "visit that shows progression, day": response.shown,
        "BCMA before, molecules/cell": found.density_before,
        "BCMA at its lowest, molecules/cell": density.min(axis=1),
        "BCMA at progression, molecules/cell": found.density_at_progression,
        "probability that every tumour cell died out, %": 100.0 * solution.eradication,
    }


def main(settings: Settings) -> Path:
    """Compute, print the key dates, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    seeds = {"calibration": calibration.about.get("seed")}
    with new_run(settings.folder, "typical_patient", settings.command, seeds) as folder:
        with folder.timed("simulation"):
            courses = run(draws=settings.draws, calibration=calibration)
        settings.say(_text(courses))
        with folder.timed("pictures and report"):
            _write(folder, calibration, courses)
    return folder.path


def _rows(courses: Sequence[Course]) -> list[tuple[str, ...]]:
    rows = [("best response", *(course.response for course in courses))]
    for key in courses[0].dates:
        form = ".2g" if key.endswith(", cells") else ".0f"
        rows.append((key, *(course.dates[key].text(form).replace("nan", "none") for course in courses)))
    return rows


def _text(courses: Sequence[Course]) -> str:
    rows = [("", *(course.name for course in courses)), *_rows(courses)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _write(folder: RunFolder, calibration: Calibration, courses: Sequence[Course]) -> None:
    head, rows = ("what", *(course.name for course in courses)), _rows(courses)
    folder.write_table("dates", {name: [row[i] for row in rows] for i, name in enumerate(head)})
    folder.write_json("calibration", {"name": calibration.name, "about": calibration.about})
    folder.note_failures([failure for course in courses for failure in course.solution.failures])
    tumour, cells = _tumour_picture(courses), _cell_picture(courses)
    for picture in (tumour, cells):
        folder.save(picture)
    report = Report(
        title="One typical patient after ide-cel, and one after cilta-cel",
        subtitle="Typical values of every parameter, none of the yes-or-no traits",
        intro=_INTRO,
        notices=["The two patients belong to different populations, so the products are not to be compared."],
        sections=[
            Section("Key dates", "", (), [Table("Key dates", head, rows, _NOTE)]),
            Section("Tumour and antigen", _TUMOUR_TEXT, [tumour]),
            Section("CAR-T cells", _CELL_TEXT, [cells]),
        ],
        manifest=folder.manifest(),
    )
    write_report(folder.path / "report.html", report)


_INTRO = """A typical patient is not the average patient: a median over a population is not what happens at median
values. The courses show the mechanism; what a trial would see is in the report of 'perdure run'."""
_NOTE = """Value at the estimate (central 95 % of posterior draws, each the typical patient of that draw). NR: not
reached within follow-up; none: there is nothing to take it from. The smallest tumour is an expected number of cells,
and progression is that of a tumour that was not eradicated."""
_TUMOUR_TEXT = """The tumour shrinks as long as killing is faster than growth, and is smallest where the two meet.
A small tumour grows several times faster than the one that was treated.
M-protein follows with its half-life of weeks. Cells with much antigen die first, so that the mean density falls, and
rises again when the attack is over. Every course ends at the visit that shows progression."""
_CELL_TEXT = """Effector cells expand while there is antigen and room, become exhausted by antigen, and leave memory
cells behind when the antigen is gone."""
_WHO = "One typical patient for each product, at the estimate; late-line patient for ide-cel, mixed-line for cilta-cel."


def _line(course: Course, label: str, values: np.ndarray, until: float = np.inf) -> BandToDraw:
    """One course of the patient at the estimate, up to the visit that shows progression."""
    end = min(until, course.dates["visit that shows progression, day"].value)
    keep = course.solution.times <= end
    line = values[0][keep]
    return BandToDraw(label, course.solution.times[keep], line, line, line)


def _tumour_picture(courses: Sequence[Course]) -> Picture:
    def lines(value: Callable[[Solution], np.ndarray]) -> list[BandToDraw]:
        return [_line(course, course.name, value(course.solution)) for course in courses]

    kill = lines(lambda solution: solution["kill_pressure"] * solution["susceptibility"])
    tumour, protein, density = (
        lines(lambda solution, name=name: solution[name]) for name in ("tumour", "m_protein", "density_mean")
    )
    growth = [
        _line(course, f"growth, {course.name}", growth_rate(course.values, course.solution["tumour"]))
        for course in courses
    ]
    fewest = max(0.5 * min(course.solution["tumour"][0].min() for course in courses), 1.0)
    residual = MRD_LIMITS["1e-5"] * courses[0].values["marrow_cells"][0]
    panels = [
        Panel("Tumour", "Cells in the body", tumour, log=True, lines=[(residual, "1e-5 of the marrow")], low=fewest),
        Panel("M-protein", "Serum M-protein (g/L)", protein),
        Panel("Killing and growth", "Rate per tumour cell (1/day)", [*kill, *growth], log=True, low=1e-3),
        Panel("Antigen", "BCMA (molecules/cell)", density, lines=[(LOST, "function lost in vitro")]),
    ]
    title = "Inside a typical patient: tumour and antigen (simulated)"
    return _of_one(course_picture(panels, name="tumour", title=title, note=_WHO), courses)


def _cell_picture(courses: Sequence[Course]) -> Picture:
    panels = []
    for course in courses:
        found = course.solution
        pools = {
            "effector": found["effector"],
            "memory": found["memory"],
            "exhausted": found["car_t"] - found["effector"] - found["memory"],
        }
        series = [_line(course, name, np.maximum(values, 0.0), CELL_DAYS) for name, values in pools.items()]
        limit = [(float(course.values["limit_car_t"][0]), "assay limit")]
        panels.append(Panel(f"After {course.name}", "CAR-T cells in blood (cells/uL)", series, True, limit, low=0.01))
    title = "Inside a typical patient: CAR-T cells (simulated)"
    return _of_one(course_picture(panels, name="cells", title=title, note=_WHO), courses)


def _of_one(picture: Picture, courses: Sequence[Course]) -> Picture:
    """The picture without its key and columns about the spread between patients: there is one patient to a line."""
    for key in list(picture.figure.legends):
        key.remove()
    kept = {"panel": "panel", "unit": "unit", "series": "series", "day": "day", "p50": "value"}
    panels = ", ".join(dict.fromkeys(map(str, picture.table["panel"])))
    told = [f"{c.name}: " + "; ".join(f"{key} {date.text('.3g')}" for key, date in c.dates.items()) for c in courses]
    return replace(
        picture,
        alt=f"{picture.title}. One patient to a line, one panel each for {panels}. {'. '.join(told)}.",
        table={kept[name]: column for name, column in picture.table.items() if name in kept},
    )
