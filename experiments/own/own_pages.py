"""Tables, pictures and report of a user's own patients."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from perdure.experiments.own.own_checks import check_of, deviations_of, points_of
from perdure.experiments.own.own_patients import KINDS, LANDMARKS, OwnPatients, run
from perdure.experiments.pictures.own_patients import PatientToDraw, fits_picture
from perdure.experiments.pictures.own_population import (
    check_picture,
    deviations_picture,
    observed_picture,
    residual_picture,
)
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.report.report import Report, Section, Table, write_report
from perdure.experiments.report.run_folder import RunFolder, new_run
from perdure.experiments.report.text import aligned
from perdure.experiments.settings import Progress
from perdure.fitting.individual.data import Subject, read_longitudinal
from perdure.fitting.individual.mechanistic import Mechanistic
from perdure.fitting.individual.progression import Progression
from perdure.fitting.individual.structure import PopulationModel
from perdure.fitting.individual.ways import wider
from perdure.parameters.units import DAYS_PER_MONTH

PER_PAGE = 5
"""Patients in one picture of fits."""
_INTRO = """The mechanistic model was fitted to each patient by its most probable parameters (maximum a posteriori).
What lies ahead was simulated from draws that agree with the patient's measurements, with all that they leave open. It
is conditional on the model and its calibration to trials, and knows nothing that a clinician knows beside the
numbers."""
_INTRO_KINETICS = """The empirical kinetics of CAR-T cells (Stein 2019) were fitted to each patient. They know of no
tumour, so there is no time to progression; use the mechanistic structure for it."""
_AHEAD = """Months since the first infusion: median, and central 95 % of what agrees with the measurements. Progression
is by IMWG criteria on the serum marker, without deaths. 'past': the patient was followed beyond. A patient whose own
measurements show progression has the day of the visit that shows it. Immune: probability that immunity against the CAR
clears the cells."""
_ESTIMATES = """Most probable value for each patient. Shrinkage near 100 %: the measurements say little of this
parameter, and the value is that of a typical patient."""
_FITS = """Black: measurements. Open triangles: values below the limit of the assay, which count with the probability of
lying below it (method M3 of Beal 2001)."""
_RESIDUALS = """A model that describes the data has residuals around zero without a trend, nearly all within the dashed
lines. With strong shrinkage the right column of the first picture looks better than the model is."""
_DEVIATIONS = "Each dot is a patient. Where shrinkage is strong the dots huddle near zero whatever the patients are."
_CHECK = """Data sets with the same patients, times and limits were simulated; the lines of the measurements should lie
in the bands. With few patients the bands are wide, and the check is weak."""


def analyse(
    file: str | Path,
    *,
    product: str = "ide_cel",
    population: str = "late_line",
    structure: str = "mechanistic",
    fit: str = "individual",
    subject: str = "",
    calibration: str = "reference",
    seed: int = 1,
    folder: str | Path = "runs",
    command: str = "",
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Read a file of measurements, fit, say the results, and write them; returns the folder of the run.

    The choices are those of `own_patients.run`, the formats those of `read_longitudinal`; the errors are theirs.
    """
    data = read_longitudinal(file)
    with new_run(folder, "patients", command, {"draws": seed}) as place:
        place.note_input(file)
        with place.timed("fit and prediction"):
            found = run(
                data, product=product, population=population, structure=structure, fit=fit, subject=subject,
                calibration=calibration, seed=seed, progress=progress,
            )  # fmt: skip
        if found.progression:
            say(aligned(*ahead_table(found)) + "\n")
        say(aligned(*estimate_table(found)))
        for note in found.notes:
            say(f"Note: {note}")
        with place.timed("pictures and report"):
            write_pages(place, found, Path(file).name)
    return place.path


def ahead_table(found: OwnPatients) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table of time to progression, a row per patient; empty rows with the empirical structure."""
    head = ("patient", "measurements", "last, day", "time to progression, months (95 %)", "immune")
    marks = tuple(f"free at {months:g} mo" for months in LANDMARKS)
    rows = []
    for fit, ahead in zip(found.fits, found.progression, strict=False):
        free = tuple(_share(ahead, months) for months in LANDMARKS)
        immune = f"{100 * ahead.immune:.0f} %"
        rows.append((fit.subject.id, str(len(fit.subject.time)), f"{ahead.last:g}", ahead.text, immune, *free))
    return (*head, *marks), rows


def _share(ahead: Progression, months: float) -> str:
    day = months * DAYS_PER_MONTH
    if day > ahead.until:
        return "–"
    if day <= ahead.last and not np.isfinite(ahead.seen):
        return "past"
    return f"{100 * ahead.free_at(months):.0f} %"


def estimate_table(found: OwnPatients) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the estimates: a row per parameter, typical value, shrinkage, and a column per patient."""
    head = ("parameter", "typical", "shrinkage", *(fit.subject.id for fit in found.fits))
    rows = []
    for k, name in enumerate(found.ids):
        share = found.shrinkage.get(name, np.nan)
        shrunk = f"{100 * share:.0f} %" if np.isfinite(share) else "–"
        rows.append(
            (name, f"{found.model.typical[k]:.3g}", shrunk, *(f"{fit.values[k]:.3g}" for fit in found.fits))
        )  # fmt: skip
    return head, rows


def unit_of(model: PopulationModel, name: str, kind: str) -> str:
    """Unit of an individual parameter, as the files say it."""
    if isinstance(model.structure, Mechanistic):
        known = model.structure.parameters
        return known[name].unit if name in known else "copies/ug per cell/uL"
    own = {"c_max": "copies/ug" if kind == "transgene" else "cell/uL"}
    days = {"t_max", "half_life_contraction", "half_life_persistence"}
    return own.get(name, "day" if name in days else "")


def write_pages(folder: RunFolder, found: OwnPatients, file: str) -> None:
    """Write estimates, time to progression, residuals and pictures as files, and the report."""
    folder.write_table("estimates", _estimates(found))
    if found.progression:
        folder.write_table("progression", _progression(found.progression))
    if found.population is not None:
        folder.write_table("population", _population(found))
    pictures = _pictures(found)
    for _, _, some in pictures:
        for picture in some:
            folder.save(picture)
    tables = [Table("Estimates", *estimate_table(found), _ESTIMATES)]
    if found.progression:
        tables.insert(0, Table("Time to progression", *ahead_table(found), _AHEAD))
    if found.population is not None:
        values = _population(found)
        rows = [tuple(row) for row in zip(*values.values(), strict=True)]
        tables.append(Table("Population", tuple(values), rows, "Maximum likelihood (SAEM), with standard errors."))
    report = Report(
        title="A user's own patients",
        subtitle=file,
        intro=_INTRO if found.progression else _INTRO_KINETICS,
        notices=found.notes,
        sections=[Section("In numbers", "", (), tables), *(Section(t, text, some) for t, text, some in pictures)],
        manifest=folder.manifest(),
    )
    write_report(folder.path / "report.html", report)


def _pictures(found: OwnPatients) -> list[tuple[str, str, list[Picture]]]:
    """Title, text and pictures of every section."""
    kinds = [kind for kind in KINDS if any(kind.key in set(fit.subject.kind) for fit in found.fits)]
    points = points_of(found.ways, found.fits, kinds, seed=1)
    pages = []
    for page, first in enumerate(range(0, len(found.fits), PER_PAGE), start=1):
        some = [
            _to_draw(found, k, kind.key)
            for k in range(first, min(first + PER_PAGE, len(found.fits)))
            for kind in kinds
            if kind.key in set(found.fits[k].subject.kind)
        ]
        name = "fits" if len(found.fits) <= PER_PAGE else f"fits_{page}"
        here = [kind for kind in kinds if any(one.kind == kind.key for one in some)]
        pages.append(fits_picture(some, here, name=name, title="Fits of single patients"))
    sections = [
        ("Fits", _FITS, pages),
        ("Residuals", _RESIDUALS, [observed_picture(points), residual_picture(points)]),
        ("Deviations", _DEVIATIONS, [deviations_picture(deviations_of(found.model, found.fits), found.shrinkage)]),
    ]
    model = found.model
    if isinstance(model.structure, Mechanistic) and found.population is None:
        model = wider(model)
    if checks := check_of(model, [fit.subject for fit in found.fits], kinds):
        sections.append(("Visual predictive check", _CHECK, [check_picture(checks)]))
    return sections


def _to_draw(found: OwnPatients, k: int, kind: str) -> PatientToDraw:
    fit = found.fits[k]
    subject, structure = fit.subject, found.ways[k].structure
    mine = subject.kind == kind
    end = max(float(subject.time.max()), 1.0)
    days = np.unique(np.concatenate([np.geomspace(0.5, end, 120), np.linspace(0.5, end, 80), subject.time[mine]]))
    days = days[days > 0] if kind in ("car_t", "transgene") else np.append(0.0, days[days > 0])
    asked = Subject(
        subject.id, days, np.full(len(days), kind), np.ones(len(days)), np.zeros(len(days), dtype=bool),
        subject.doses, subject.covariates,
    )  # fmt: skip
    individual, typical = structure.predict(np.stack([fit.values, found.model.typical]), [asked, asked])
    words = f"progression: {found.progression[k].text} months" if found.progression else ""
    if found.progression and np.isfinite(found.progression[k].seen):
        words = found.progression[k].text
    return PatientToDraw(
        subject.id, kind, subject.time[mine], subject.value[mine], subject.below[mine], days, individual, typical, words
    )


def _estimates(found: OwnPatients) -> dict[str, list[object]]:
    rows: list[tuple[object, ...]] = []
    for fit in found.fits:
        sd = np.sqrt(np.diag(fit.covariance))
        for k, name in enumerate(found.ids):
            unit = unit_of(found.model, name, str(fit.subject.kind[0]))
            numbers = (found.model.typical[k], fit.values[k], sd[k], found.shrinkage.get(name))
            rows.append((fit.subject.id, name, unit, *numbers))
    heads = ("patient", "parameter", "unit", "typical", "estimate", "sd_log", "shrinkage")
    return columns_of(heads, rows)


def _progression(ahead: Sequence[Progression]) -> dict[str, list[object]]:
    rows = [
        (
            one.subject, one.last, one.seen if np.isfinite(one.seen) else None, one.median, *one.interval, one.immune,
            *(one.free_at(months) for months in LANDMARKS if months * DAYS_PER_MONTH <= one.until), one.effective,
        )
        for one in ahead
    ]  # fmt: skip
    marks = tuple(f"free_at_{m:g}_months" for m in LANDMARKS if m * DAYS_PER_MONTH <= ahead[0].until)
    heads = ("patient", "last_day", "seen_day", "median_day", "low_day", "high_day", "immune", *marks, "draws")
    return columns_of(heads, rows)


def columns_of(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    """Columns by name."""
    return {head: [row[i] for row in rows] for i, head in enumerate(heads)}


def _population(found: OwnPatients) -> dict[str, list[object]]:
    fitted = found.population
    if fitted is None:
        return {}
    errors = fitted.standard_errors
    rows: list[tuple[object, ...]] = []
    for k, name in enumerate(found.ids):
        spread = float(np.sqrt(fitted.model.omega[k, k]))
        rows.append((name, float(fitted.model.typical[k]), errors.get(f"log typical {name}", np.nan), spread))
    return columns_of(("parameter", "typical", "relative_standard_error", "sd_log_between_patients"), rows)
