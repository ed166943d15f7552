"""Tables, pictures and report of a user's own patients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from ..fitting.calibration.calibration import read_calibration
from ..fitting.patients.cellular_kinetics import CellularKinetics, tisagenlecleucel
from ..fitting.patients.data import Longitudinal, Subject, read_longitudinal
from ..fitting.patients.diagnostics import shrinkage
from ..fitting.patients.map_fit import IndividualFit, individual_fits
from ..fitting.patients.mechanistic import (
    OBSERVED,
    RESIDUALS,
    TRANSGENE_SCALE,
    Mechanistic,
    mechanistic_model,
    with_immunity,
)
from ..fitting.patients.population import PopulationFit, fit_population
from ..fitting.patients.progression import FEW, MONTHS, Progression, likely_ways, predict_progression, wider
from ..fitting.patients.structure import PopulationModel
from ..model.catalogue import read_catalogue
from ..parameters.errors import InputError, unknown
from ..parameters.units import DAYS_PER_MONTH
from .figures.own_patients import KindToDraw, PatientToDraw, fits_picture
from .figures.own_population import (
    CheckToDraw,
    PointsToDraw,
    check_picture,
    deviations_picture,
    observed_picture,
    residual_picture,
)
from .figures.picture import Picture
from .report import Report, Section, Table, aligned, write_report
from .run_files import RunFolder, new_run
from .settings import Progress

# Does the model describe a user's patients? Shrinkage, residuals, and the numbers of a visual predictive check.


MOST_BINS = 8
REPLICATES = 200
FEWEST = 5
"""Fewer patients with a kind of measurement have no percentiles to check."""
_PERCENTILES = (5.0, 50.0, 95.0)


def deviations_of(model: PopulationModel, fits: Sequence[IndividualFit]) -> dict[str, np.ndarray]:
    """Deviations (patients,) of the estimates in SDs between patients, by parameter that differs between them."""
    sd = np.sqrt(np.diag(model.omega))
    eta = np.array([fit.eta for fit in fits])
    return {name: eta[:, k] / sd[k] for k, name in enumerate(model.structure.ids) if sd[k] > 0.0}


def shrinkage_of(model: PopulationModel, fits: Sequence[IndividualFit]) -> dict[str, float]:
    """Shrinkage of each parameter (`diagnostics.shrinkage`); NaN for a single patient."""
    if len(fits) < 2:
        return dict.fromkeys(deviations_of(model, fits), float("nan"))
    return shrinkage(model, np.array([fit.eta for fit in fits]))


def points_of(
    ways: Sequence[PopulationModel], fits: Sequence[IndividualFit], kinds: Sequence[KindToDraw], seed: int
) -> list[PointsToDraw]:
    """Every measurement with both predictions and its weighted residual, by kind that was measured.

    `ways` are the models by which each patient was fitted.

    The residual of a value below the limit is drawn from the part of the normal below it (Nguyen et al. 2012).
    """
    rng = np.random.default_rng(seed)
    subjects = [fit.subject for fit in fits]
    typical = [way.structure.predict(way.typical[None], [one])[0] for way, one in zip(ways, subjects, strict=True)]
    found = []
    for kind in kinds:
        places = [np.flatnonzero(subject.kind == kind.key) for subject in subjects]
        if not sum(map(len, places)):
            continue

        def put(parts: Sequence[np.ndarray], places: Sequence[np.ndarray] = places) -> np.ndarray:
            return np.concatenate([part[place] for part, place in zip(parts, places, strict=True)])

        value, below = put([s.value for s in subjects]), put([s.below for s in subjects])
        individual, error = put([fit.prediction for fit in fits]), ways[0].residual[kind.key]
        residual = error.standardised(value, individual)
        residual = np.where(below, drawn_below(residual, rng), residual)
        who = [s.id for s, place in zip(subjects, places, strict=True) for _ in place]
        days = put([s.time for s in subjects])
        found.append(PointsToDraw(kind, who, days, value, below, individual, put(typical), residual))
    return found


def drawn_below(cut: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normals (n,) below a cut (n,); next to the cut where the probability of lying below it underflows."""
    share = rng.uniform(size=cut.shape) * ndtr(cut)
    return np.where(share > 0.0, ndtri(np.maximum(share, 1e-300)), cut)


def check_of(
    model: PopulationModel, subjects: Sequence[Subject], kinds: Sequence[KindToDraw], *,
    replicates: int = REPLICATES, seed: int = 1,
) -> list[CheckToDraw]:  # fmt: skip
    """Visual predictive check (Holford 2005; share below the limit as in Bergstrand and Karlsson 2009), by kind.

    Every replicate has the patients, times and limits of the data with new deviations and errors. Bins are the distinct
    days, or quantiles of them if there are more than `MOST_BINS`. A kind measured in fewer than `FEWEST` patients is
    left out.
    """
    rng = np.random.default_rng(seed)
    n = len(subjects)
    size, direction = np.linalg.eigh(model.omega)
    eta = rng.standard_normal((replicates * n, len(model.typical))) @ (direction * np.sqrt(np.maximum(size, 0.0))).T
    predicted = _predicted(model, model.values(eta), list(subjects) * replicates, rng)
    found = []
    for kind in kinds:
        places = [np.flatnonzero(subject.kind == kind.key) for subject in subjects]
        if sum(len(place) > 0 for place in places) < FEWEST:
            continue
        kind = replace(kind, log=True)
        days = np.concatenate([s.time[place] for s, place in zip(subjects, places, strict=True)])
        value = np.concatenate([s.value[place] for s, place in zip(subjects, places, strict=True)])
        below = np.concatenate([s.below[place] for s, place in zip(subjects, places, strict=True)])
        flat = np.concatenate([predicted[k][places[k % n]] for k in range(replicates * n)])
        simulated = model.residual[kind.key].simulate(flat.reshape(replicates, -1), rng)
        limits = _limits(subjects, places)
        hidden = np.where(np.isfinite(limits), simulated < limits, False)
        simulated = np.where(hidden, -np.inf, simulated)
        group = bins(days)
        found.append(_check(kind, days, np.where(below, -np.inf, value), simulated, group, value, below))
    return found


def _predicted(
    model: PopulationModel, values: np.ndarray, subjects: list[Subject], rng: np.random.Generator
) -> list[np.ndarray]:
    """Predictions for patients some of whom, drawn by their share, are prone to immunity against the CAR."""
    structure = model.structure
    if not isinstance(structure, Mechanistic):
        return structure.predict(values, subjects)
    drawn = rng.uniform(size=len(values)) < structure.share_immune
    found: list[np.ndarray] = [np.zeros(0)] * len(values)
    for immune in (False, True):
        rows = np.flatnonzero(drawn == immune)
        some = with_immunity(model, immune).structure.predict(values[rows], [subjects[row] for row in rows])
        for row, one in zip(rows, some, strict=True):
            found[row] = one
    return found


def bins(days: np.ndarray) -> np.ndarray:
    """Number of the bin (n,) of every day, from 0."""
    distinct, group = np.unique(days, return_inverse=True)
    if len(distinct) <= MOST_BINS:
        return group
    edges = np.unique(np.quantile(days, np.linspace(0.0, 1.0, MOST_BINS + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, days, side="left"), return_inverse=True)[1]


def _limits(subjects: Sequence[Subject], places: Sequence[np.ndarray]) -> np.ndarray:
    """Limit (n,) behind every measurement: that of the patient's values below it, else of the others', else none."""
    below = [s.value[place][s.below[place]] for s, place in zip(subjects, places, strict=True)]
    everyone = np.concatenate(below)
    general = float(np.median(everyone)) if everyone.size else np.nan
    return np.concatenate(
        [
            np.full(len(place), float(np.median(mine)) if mine.size else general)
            for mine, place in zip(below, places, strict=True)
        ]
    )


def _check(
    kind: KindToDraw, days: np.ndarray, observed: np.ndarray, simulated: np.ndarray, group: np.ndarray,
    value: np.ndarray, below: np.ndarray,
) -> CheckToDraw:  # fmt: skip
    parts = [np.flatnonzero(group == k) for k in range(group.max() + 1)]
    seen = np.stack([_percentiles(observed[None, part])[:, 0] for part in parts], axis=1)
    each = np.stack([_percentiles(simulated[:, part]) for part in parts], axis=1)  # (3, bins, replicates)
    shares = np.stack([np.mean(np.isneginf(simulated[:, part]), axis=1) for part in parts])
    low, high = np.quantile(each, [0.025, 0.975], axis=2, method="nearest")
    share_low, share_high = np.quantile(shares, [0.025, 0.975], axis=1)
    return CheckToDraw(
        kind=kind,
        day=np.array([max(float(np.median(days[part])), 0.0) for part in parts]),
        observed=_finite(seen),
        low=_finite(low),
        high=_finite(high),
        below=np.array([float(np.mean(below[part])) for part in parts]),
        below_low=share_low,
        below_high=share_high,
        points_day=days[~below],
        points_value=value[~below],
        limit=float(value[below].max()) if below.any() else np.nan,
    )


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Percentiles (3, rows) of rows; minus infinity, below the limit, is the smallest value and not interpolated."""
    return np.quantile(values, np.array(_PERCENTILES) / 100.0, axis=1, method="nearest")


def _finite(values: np.ndarray) -> np.ndarray:
    """What lies below the limit is not shown as a number."""
    return np.where(np.isfinite(values), values, np.nan)


# What do a user's own patients say of themselves, and when will each of them progress?
#
# `perdure patients FILE` runs this. It is no experiment of the shelf, because it needs a file.


STRUCTURES, FITS = ("mechanistic", "kinetics"), ("individual", "population")
KINDS = (
    KindToDraw("car_t", "CAR-T cells", "cells/mm\u00b3", log=True),
    KindToDraw("transgene", "Transgene", "copies/\u00b5g", log=True),
    KindToDraw("m_protein", "M-protein", "g/L", log=True),
    KindToDraw("flc", "Light chain", "mg/L", log=True),
)
LANDMARKS = (12.0, 24.0)
"""Months at which the probability of no progression is told."""


@dataclass(frozen=True, eq=False)
class OwnPatients:
    """The fits of all patients, and with the mechanistic structure what lies ahead of each.

    `ways` are the models by which each was fitted: with or without immunity against the CAR, whichever is the more
    probable; `population` is there if a population was fitted; `progression` is empty with the empirical structure.
    """

    data: Longitudinal
    model: PopulationModel
    ways: tuple[PopulationModel, ...]
    fits: tuple[IndividualFit, ...]
    shrinkage: dict[str, float]
    progression: tuple[Progression, ...]
    population: PopulationFit | None
    notes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the individual parameters."""
        return self.model.structure.ids


def run(
    data: Longitudinal,
    *,
    product: str = "ide_cel",
    population: str = "late_line",
    structure: str = "mechanistic",
    fit: str = "individual",
    subject: str = "",
    calibration: str = "reference",
    months: float = MONTHS,
    seed: int = 1,
    progress: Progress | None = None,
) -> OwnPatients:
    """Fit every patient (or the one named), and predict when each progresses.

    Raises
    ------
    InputError
        If a name is not known, a patient has nothing that the structure can describe, or a population is asked of one.
    """
    for kind, name, known in (("structure", structure, STRUCTURES), ("fit", fit, FITS)):
        if name not in known:
            raise unknown(kind, name, known)
    if subject and fit == "individual":
        data = replace(data, subjects=(data.subject(subject),))
    if structure == "kinetics":
        data, model, notes = _kinetics(data)
    else:
        data, notes = _only(data, tuple(OBSERVED))
        numbers = read_calibration(calibration).parameters()
        model = mechanistic_model(product, population, data=data, parameters=numbers)
    fitted = None
    if fit == "population":
        if len(data.subjects) < 2:
            raise InputError(f"{data.file}: a population of one patient cannot be fitted; use --fit individual.")
        feed = (lambda done, total: progress("population", done, total)) if progress else None
        fitted = fit_population(model, data.subjects, seed=seed, progress=feed)
        model = fitted.model
    chosen = (data.subject(subject),) if subject else data.subjects
    ahead = []
    if not isinstance(model.structure, Mechanistic):
        ways, fits = (model,) * len(chosen), individual_fits(model, chosen)
    else:
        first = [likely[0] for likely in likely_ways(model, chosen)]
        ways, fits = tuple(way for way, _, _ in first), tuple(fit for _, fit, _ in first)
        for done, one in enumerate(chosen, start=1):
            ahead.append(predict_progression(model, one, months=months, seed=seed))
            if progress:
                progress("time to progression", done, len(chosen))
    few = [one.subject for one in ahead if one.effective < FEW and not np.isfinite(one.seen)]
    if few:
        notes = (*notes, f"The interval rests on fewer than {FEW:g} effective draws, so it is rough: {', '.join(few)}.")
    shown = replace(data, subjects=tuple(chosen))
    return OwnPatients(shown, model, ways, fits, shrinkage_of(model, fits), tuple(ahead), fitted, (*data.notes, *notes))


def _kinetics(data: Longitudinal) -> tuple[Longitudinal, PopulationModel, tuple[str, ...]]:
    """The empirical structure, for transgene or for cells, whichever was measured in more patients."""
    often = {kind: sum(kind in set(subject.kind) for subject in data.subjects) for kind in ("transgene", "car_t")}
    cells = "transgene" if often["transgene"] >= often["car_t"] else "car_t"
    some, notes = _only(data, (cells,))
    start = tisagenlecleucel()
    if cells == "car_t":
        per_cell = read_catalogue()[TRANSGENE_SCALE].value
        notes = (*notes, f"The published kinetics are of transgene; their peak was divided by {per_cell:g} for cells.")
        scale = np.where(np.array(start.structure.ids) == "c_max", 1.0 / per_cell, 1.0)
        error = {"car_t": RESIDUALS["car_t"]}
        start = replace(start, structure=CellularKinetics("car_t"), typical=start.typical * scale, residual=error)
    return some, start, notes


def _only(data: Longitudinal, kinds: Sequence[str]) -> tuple[Longitudinal, tuple[str, ...]]:
    """The measurements of these kinds from day 0 of cells, and a note on what was left out."""
    subjects, left = [], 0
    for subject in data.subjects:
        keep = np.isin(subject.kind, kinds) & ~(np.isin(subject.kind, ("car_t", "transgene")) & (subject.time <= 0.0))
        left += int((~keep).sum())
        if keep.any():
            subjects.append(_part(subject, keep))
    if not subjects:
        raise InputError(f"{data.file}: there is no measurement of {' or '.join(kinds)} after the infusion.")
    said = f"{left} measurements left out: another kind than {', '.join(kinds)}, or cells before the infusion."
    return replace(data, subjects=tuple(subjects)), ((said,) if left else ())


def _part(subject: Subject, keep: np.ndarray) -> Subject:
    return replace(
        subject, time=subject.time[keep], kind=subject.kind[keep], value=subject.value[keep], below=subject.below[keep]
    )


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
