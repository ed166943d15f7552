"""A user's own patients: individual and population fits, predictive checks, time to progression, and their report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from ..fitting.calibration.calibration import read_calibration
from ..fitting.patients.cellular_kinetics import CellularKinetics, tisagenlecleucel
from ..fitting.patients.data import Longitudinal, Subject, read_measurements
from ..fitting.patients.diagnostics import shrinkage
from ..fitting.patients.map_fit import IndividualFit, fit_patients
from ..fitting.patients.mechanistic import (
    OBSERVED,
    RESIDUALS,
    TRANSGENE_SCALE,
    Mechanistic,
    mechanistic_model,
    with_immunity,
)
from ..fitting.patients.population import PopulationFit, fit_population
from ..fitting.patients.progression import FEW, MONTHS, Progression, predict_progression, weigh_immunity, wider
from ..fitting.patients.structure import PopulationModel
from ..fitting.posterior import Progress
from ..model.catalogue import read_catalogue
from ..parameters.errors import InputError, unknown
from ..parameters.units import DAYS_PER_MONTH
from .figures.patients import (
    CheckSpec,
    KindSpec,
    PatientSpec,
    PointsSpec,
    check_picture,
    deviations_picture,
    fits_picture,
    observed_picture,
    residual_picture,
)
from .figures.picture import Columns
from .report import Report, Section, Table, aligned, columns
from .run_files import new_run, write_run

# Shrinkage, residuals, and the visual predictive check


MOST_BINS = 8
REPLICATES = 200
FEWEST = 5
"""Patients with a kind of measurement, below which its percentiles are not checked."""
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
    ways: Sequence[PopulationModel], fits: Sequence[IndividualFit], kinds: Sequence[KindSpec], seed: int
) -> list[PointsSpec]:
    """Every measurement with population and individual prediction and its weighted residual, by kind of measurement.

    `ways` are the models with which the patients were fitted. The residual of a value below the limit of quantification
    is drawn from the normal truncated at it (Nguyen et al. 2012).
    """
    rng = np.random.default_rng(seed)
    subjects = [fit.subject for fit in fits]
    typical = [
        way.structure.predict(way.typical[None], [subject])[0] for way, subject in zip(ways, subjects, strict=True)
    ]
    points = []
    for kind in kinds:
        places = [np.flatnonzero(subject.kind == kind.key) for subject in subjects]
        if not sum(map(len, places)):
            continue

        def joined(parts: Sequence[np.ndarray], places: Sequence[np.ndarray] = places) -> np.ndarray:
            return np.concatenate([part[place] for part, place in zip(parts, places, strict=True)])

        value, below = joined([s.value for s in subjects]), joined([s.below for s in subjects])
        individual, error = joined([fit.prediction for fit in fits]), ways[0].residual[kind.key]
        residual = error.standardised(value, individual)
        residual = np.where(below, drawn_below(residual, rng), residual)
        ids = [s.id for s, place in zip(subjects, places, strict=True) for _ in place]
        days = joined([s.time for s in subjects])
        points.append(PointsSpec(kind, ids, days, value, below, individual, joined(typical), residual))
    return points


def drawn_below(cut: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normals (n,) truncated to lie below a cut (n,); the cut itself where their probability underflows."""
    share = rng.uniform(size=cut.shape) * ndtr(cut)
    return np.where(share > 0.0, ndtri(np.maximum(share, 1e-300)), cut)


def check_of(
    model: PopulationModel, subjects: Sequence[Subject], kinds: Sequence[KindSpec], *,
    replicates: int = REPLICATES, seed: int = 1,
) -> list[CheckSpec]:  # fmt: skip
    """Visual predictive check (Holford 2005; share below the limit as in Bergstrand and Karlsson 2009), by kind.

    Every replicate has the patients, times and limits of the data with new random effects and errors. Bins are the
    distinct days, or quantiles of them if there are more than `MOST_BINS`. A kind measured in fewer than `FEWEST`
    patients is left out.
    """
    rng = np.random.default_rng(seed)
    n = len(subjects)
    size, direction = np.linalg.eigh(model.omega)
    eta = rng.standard_normal((replicates * n, len(model.typical))) @ (direction * np.sqrt(np.maximum(size, 0.0))).T
    predicted = _predicted(model, model.values(eta), list(subjects) * replicates, rng)
    checks = []
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
        checks.append(_check(kind, days, np.where(below, -np.inf, value), simulated, group, value, below))
    return checks


def _predicted(
    model: PopulationModel, values: np.ndarray, subjects: list[Subject], rng: np.random.Generator
) -> list[np.ndarray]:
    """Predictions for patients of whom a random share is prone to immunity against the CAR."""
    structure = model.structure
    if not isinstance(structure, Mechanistic):
        return structure.predict(values, subjects)
    drawn = rng.uniform(size=len(values)) < structure.share_immune
    predictions: list[np.ndarray] = [np.zeros(0)] * len(values)
    for immune in (False, True):
        rows = np.flatnonzero(drawn == immune)
        predicted = with_immunity(model, immune).structure.predict(values[rows], [subjects[row] for row in rows])
        for row, prediction in zip(rows, predicted, strict=True):
            predictions[row] = prediction
    return predictions


def bins(days: np.ndarray) -> np.ndarray:
    """Number of the bin (n,) of every day, from 0."""
    distinct, group = np.unique(days, return_inverse=True)
    if len(distinct) <= MOST_BINS:
        return group
    edges = np.unique(np.quantile(days, np.linspace(0.0, 1.0, MOST_BINS + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, days, side="left"), return_inverse=True)[1]


def _limits(subjects: Sequence[Subject], places: Sequence[np.ndarray]) -> np.ndarray:
    """Limit of quantification (n,) of every measurement: of the patient, else of all patients, or NaN."""
    below = [s.value[place][s.below[place]] for s, place in zip(subjects, places, strict=True)]
    everyone = np.concatenate(below)
    general = float(np.median(everyone)) if everyone.size else np.nan
    return np.concatenate(
        [
            np.full(len(place), float(np.median(values)) if values.size else general)
            for values, place in zip(below, places, strict=True)
        ]
    )


def _check(
    kind: KindSpec, days: np.ndarray, observed: np.ndarray, simulated: np.ndarray, group: np.ndarray,
    value: np.ndarray, below: np.ndarray,
) -> CheckSpec:  # fmt: skip
    parts = [np.flatnonzero(group == k) for k in range(group.max() + 1)]
    seen = np.stack([_percentiles(observed[None, part])[:, 0] for part in parts], axis=1)
    each = np.stack([_percentiles(simulated[:, part]) for part in parts], axis=1)  # (3, bins, replicates)
    shares = np.stack([np.mean(np.isneginf(simulated[:, part]), axis=1) for part in parts])
    low, high = np.quantile(each, [0.025, 0.975], axis=2, method="nearest")
    share_low, share_high = np.quantile(shares, [0.025, 0.975], axis=1)
    return CheckSpec(
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
    """Percentiles (3, rows) of rows; minus infinity, below the limit, is the smallest value and is not interpolated."""
    return np.quantile(values, np.array(_PERCENTILES) / 100.0, axis=1, method="nearest")


def _finite(values: np.ndarray) -> np.ndarray:
    """Percentiles below the limit as NaN."""
    return np.where(np.isfinite(values), values, np.nan)


# Fits, and time to progression


STRUCTURES, FITS = ("mechanistic", "kinetics"), ("individual", "population")
KINDS = (
    KindSpec("car_t", "CAR-T cells", "cells/mm\u00b3", log=True),
    KindSpec("transgene", "Transgene", "copies/\u00b5g", log=True),
    KindSpec("m_protein", "M-protein", "g/L", log=True),
    KindSpec("flc", "Light chain", "mg/L", log=True),
)
LANDMARKS = (12.0, 24.0)
"""Months at which the probability of freedom from progression is reported."""


@dataclass(frozen=True, eq=False)
class FittedPatients:
    """The fits of all patients, and with the mechanistic structure their time to progression.

    Attributes
    ----------
    ways
        The models with which the patients were fitted: with or without immunity against the CAR, whichever is the more
        probable.
    progression
        Of every patient; empty with the empirical structure.
    population
        None unless a population was fitted.
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
) -> FittedPatients:
    """Fit every patient (or a single one by name), and predict when each progresses.

    Raises
    ------
    InputError
        If a name is not known, a patient has nothing that the structure can describe, or a population is asked of one.
    """
    for kind, name, names in (("structure", structure, STRUCTURES), ("fit", fit, FITS)):
        if name not in names:
            raise unknown(kind, name, names)
    if subject and fit == "individual":
        data = replace(data, subjects=(data.subject(subject),))
    if structure == "kinetics":
        data, model, notes = _kinetics(data)
    else:
        data, notes = _only(data, tuple(OBSERVED))
        parameters = read_calibration(calibration).parameters()
        model = mechanistic_model(product, population, data=data, parameters=parameters)
    fitted = None
    if fit == "population":
        if len(data.subjects) < 2:
            raise InputError(f"{data.file}: a population of one patient cannot be fitted; use --fit individual.")
        feed = (lambda done, total: progress("population", done, total)) if progress else None
        fitted = fit_population(model, data.subjects, seed=seed, progress=feed)
        model = fitted.model
    chosen = (data.subject(subject),) if subject else data.subjects
    progression = []
    if not isinstance(model.structure, Mechanistic):
        ways, fits = (model,) * len(chosen), fit_patients(model, chosen)
    else:
        first = [likely[0] for likely in weigh_immunity(model, chosen)]
        ways, fits = tuple(way for way, _, _ in first), tuple(fit for _, fit, _ in first)
        for done, patient in enumerate(chosen, start=1):
            progression.append(predict_progression(model, patient, months=months, seed=seed))
            if progress:
                progress("time to progression", done, len(chosen))
    few = [ahead.subject for ahead in progression if ahead.effective < FEW and not np.isfinite(ahead.seen)]
    if few:
        notes = (*notes, f"The interval rests on fewer than {FEW:g} effective draws, so it is rough: {', '.join(few)}.")
    shown = replace(data, subjects=tuple(chosen))
    return FittedPatients(
        shown, model, ways, fits, shrinkage_of(model, fits), tuple(progression), fitted, (*data.notes, *notes)
    )


def _kinetics(data: Longitudinal) -> tuple[Longitudinal, PopulationModel, tuple[str, ...]]:
    """The empirical structure, for transgene or for cells, whichever was measured in more patients."""
    counts = {kind: sum(kind in set(subject.kind) for subject in data.subjects) for kind in ("transgene", "car_t")}
    cells = "transgene" if counts["transgene"] >= counts["car_t"] else "car_t"
    measured, notes = _only(data, (cells,))
    start = tisagenlecleucel()
    if cells == "car_t":
        per_cell = read_catalogue()[TRANSGENE_SCALE].value
        notes = (*notes, f"The published kinetics are of transgene; their peak was divided by {per_cell:g} for cells.")
        scale = np.where(np.array(start.structure.ids) == "c_max", 1.0 / per_cell, 1.0)
        error = {"car_t": RESIDUALS["car_t"]}
        start = replace(start, structure=CellularKinetics("car_t"), typical=start.typical * scale, residual=error)
    return measured, start, notes


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
    note = f"{left} measurements left out: another kind than {', '.join(kinds)}, or cells before the infusion."
    return replace(data, subjects=tuple(subjects)), ((note,) if left else ())


def _part(subject: Subject, keep: np.ndarray) -> Subject:
    return replace(
        subject, time=subject.time[keep], kind=subject.kind[keep], value=subject.value[keep], below=subject.below[keep]
    )


# The report


PER_PAGE = 5
"""Patients in a picture of fits."""
_INTRO = """The mechanistic model was fitted to each patient (maximum a posteriori). The time to progression was
simulated from posterior draws of the patient's parameters. It is conditional on the model and its calibration to
trials, and uses nothing that a clinician knows beside the measurements."""
_INTRO_KINETICS = """The empirical cellular kinetics of CAR-T cells (Stein 2019) were fitted to each patient. They have
no tumour, so there is no time to progression; use the mechanistic structure for it."""
_AHEAD = """Months since the first infusion: median, and central 95 % of the posterior predictive distribution.
Progression is by IMWG criteria on the serum marker, without deaths. 'past': the patient was followed beyond. A patient
whose own measurements show progression has the day of the visit that shows it. Immune: probability that immunity
against the CAR clears the cells."""
_ESTIMATES = """Empirical Bayes estimate of each patient. Shrinkage near 100 %: the measurements hardly inform this
parameter, and the estimate is that of a typical patient."""
_FITS = """Black: measurements. Open triangles: values below the limit of quantification, whose likelihood is the
probability of lying below it (method M3 of Beal 2001)."""
_RESIDUALS = """A model that describes the data has residuals around zero without a trend, nearly all within the dashed
lines. With strong shrinkage the right column of the first picture looks better than the model is."""
_DEVIATIONS = "Each dot is a patient. With strong shrinkage the dots lie near zero whatever the patients are."
_CHECK = """Data sets with the same patients, times and limits were simulated; the percentiles of the measurements
(lines) should lie in the bands. With few patients the bands are wide, and the check is weak."""


def write_patients_report(
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
    """Read a file of measurements, fit, print the results, and write them; returns the folder of the run.

    The options are those of `run`, the formats those of `read_measurements`; the errors are theirs.
    """
    data = read_measurements(file)
    with new_run(folder, "patients", command, {"draws": seed}) as run_folder:
        run_folder.note_input(file)
        with run_folder.timed("fit and prediction"):
            patients = run(
                data, product=product, population=population, structure=structure, fit=fit, subject=subject,
                calibration=calibration, seed=seed, progress=progress,
            )  # fmt: skip
        if patients.progression:
            say(aligned(*ahead_table(patients)) + "\n")
        say(aligned(*estimate_table(patients)))
        for note in patients.notes:
            say(f"Note: {note}")
        with run_folder.timed("pictures and report"):
            report = patients_report(patients, Path(file).name)
            write_run(run_folder, report, tables=_tables(patients))
    return run_folder.path


def ahead_table(patients: FittedPatients) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the table of time to progression, a row per patient; empty rows with the empirical structure."""
    head = ("patient", "measurements", "last, day", "time to progression, months (95 %)", "immune")
    marks = tuple(f"free at {months:g} mo" for months in LANDMARKS)
    rows = []
    for fit, ahead in zip(patients.fits, patients.progression, strict=False):
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


def estimate_table(patients: FittedPatients) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and rows of the estimates: a row per parameter, typical value, shrinkage, and a column per patient."""
    head = ("parameter", "typical", "shrinkage", *(fit.subject.id for fit in patients.fits))
    rows = []
    for k, name in enumerate(patients.ids):
        share = patients.shrinkage.get(name, np.nan)
        shrunk = f"{100 * share:.0f} %" if np.isfinite(share) else "–"
        rows.append(
            (name, f"{patients.model.typical[k]:.3g}", shrunk, *(f"{fit.values[k]:.3g}" for fit in patients.fits))
        )  # fmt: skip
    return head, rows


def unit_of(model: PopulationModel, name: str, kind: str) -> str:
    """Unit of an individual parameter, as the files write it."""
    if isinstance(model.structure, Mechanistic):
        parameters = model.structure.parameters
        return parameters[name].unit if name in parameters else "copies/ug per cell/uL"
    kinetics = {"c_max": "copies/ug" if kind == "transgene" else "cell/uL"}
    days = {"t_max", "half_life_contraction", "half_life_persistence"}
    return kinetics.get(name, "day" if name in days else "")


def patients_report(patients: FittedPatients, file: str) -> Report:
    """Time to progression, estimates, fits, residuals and predictive check; `file` is the name of the measurements."""
    tables = [Table("Estimates", *estimate_table(patients), _ESTIMATES)]
    if patients.progression:
        tables.insert(0, Table("Time to progression", *ahead_table(patients), _AHEAD))
    if patients.population is not None:
        values = _population(patients)
        rows = [tuple(row) for row in zip(*values.values(), strict=True)]
        tables.append(Table("Population", tuple(values), rows, "Maximum likelihood (SAEM), with standard errors."))
    return Report(
        title="A user's own patients",
        subtitle=file,
        intro=_INTRO if patients.progression else _INTRO_KINETICS,
        sections=[Section("Estimates and time to progression", tables=tables), *_picture_sections(patients)],
        notices=patients.notes,
    )


def _picture_sections(patients: FittedPatients) -> list[Section]:
    kinds = [kind for kind in KINDS if any(kind.key in set(fit.subject.kind) for fit in patients.fits)]
    points = points_of(patients.ways, patients.fits, kinds, seed=1)
    pages = []
    for page, first in enumerate(range(0, len(patients.fits), PER_PAGE), start=1):
        drawn = [
            _to_draw(patients, k, kind.key)
            for k in range(first, min(first + PER_PAGE, len(patients.fits)))
            for kind in kinds
            if kind.key in set(patients.fits[k].subject.kind)
        ]
        name = "fits" if len(patients.fits) <= PER_PAGE else f"fits_{page}"
        kinds_of_page = [kind for kind in kinds if any(patient.kind == kind.key for patient in drawn)]
        pages.append(fits_picture(drawn, kinds_of_page, name=name, title="Fits of single patients"))
    deviations = deviations_picture(deviations_of(patients.model, patients.fits), patients.shrinkage)
    sections = [
        Section("Fits", _FITS, pages),
        Section("Residuals", _RESIDUALS, [observed_picture(points), residual_picture(points)]),
        Section("Deviations", _DEVIATIONS, [deviations]),
    ]
    model = patients.model
    if isinstance(model.structure, Mechanistic) and patients.population is None:
        model = wider(model)
    if checks := check_of(model, [fit.subject for fit in patients.fits], kinds):
        sections.append(Section("Visual predictive check", _CHECK, [check_picture(checks)]))
    return sections


def _to_draw(patients: FittedPatients, k: int, kind: str) -> PatientSpec:
    fit = patients.fits[k]
    subject, structure = fit.subject, patients.ways[k].structure
    measured = subject.kind == kind
    end = max(float(subject.time.max()), 1.0)
    days = np.unique(np.concatenate([np.geomspace(0.5, end, 120), np.linspace(0.5, end, 80), subject.time[measured]]))
    days = days[days > 0] if kind in ("car_t", "transgene") else np.append(0.0, days[days > 0])
    grid = Subject(
        subject.id, days, np.full(len(days), kind), np.ones(len(days)), np.zeros(len(days), dtype=bool),
        subject.doses, subject.covariates,
    )  # fmt: skip
    individual, typical = structure.predict(np.stack([fit.values, patients.model.typical]), [grid, grid])
    words = f"progression: {patients.progression[k].text} months" if patients.progression else ""
    if patients.progression and np.isfinite(patients.progression[k].seen):
        words = patients.progression[k].text
    return PatientSpec(
        subject.id, kind, subject.time[measured], subject.value[measured], subject.below[measured], days, individual,
        typical, words,
    )  # fmt: skip


def _tables(patients: FittedPatients) -> Sequence[tuple[str, Columns]]:
    """Names and columns of the CSV files, with every digit and units."""
    tables = [("estimates", _estimates(patients))]
    if patients.progression:
        tables.append(("progression", _progression(patients.progression)))
    if patients.population is not None:
        tables.append(("population", _population(patients)))
    return tables


def _estimates(patients: FittedPatients) -> dict[str, list[object]]:
    rows: list[tuple[object, ...]] = []
    for fit in patients.fits:
        sd = np.sqrt(np.diag(fit.covariance))
        for k, name in enumerate(patients.ids):
            unit = unit_of(patients.model, name, str(fit.subject.kind[0]))
            numbers = (patients.model.typical[k], fit.values[k], sd[k], patients.shrinkage.get(name))
            rows.append((fit.subject.id, name, unit, *numbers))
    heads = ("patient", "parameter", "unit", "typical", "estimate", "sd_log", "shrinkage")
    return columns(heads, rows)


def _progression(progression: Sequence[Progression]) -> dict[str, list[object]]:
    rows = [
        (
            ahead.subject, ahead.last, ahead.seen if np.isfinite(ahead.seen) else None, ahead.median, *ahead.interval,
            ahead.immune,
            *(ahead.free_at(months) for months in LANDMARKS if months * DAYS_PER_MONTH <= ahead.until), ahead.effective,
        )
        for ahead in progression
    ]  # fmt: skip
    marks = tuple(f"free_at_{m:g}_months" for m in LANDMARKS if m * DAYS_PER_MONTH <= progression[0].until)
    heads = ("patient", "last_day", "seen_day", "median_day", "low_day", "high_day", "immune", *marks, "draws")
    return columns(heads, rows)


def _population(patients: FittedPatients) -> dict[str, list[object]]:
    fitted = patients.population
    if fitted is None:
        return {}
    errors = fitted.standard_errors
    rows: list[tuple[object, ...]] = []
    for k, name in enumerate(patients.ids):
        spread = float(np.sqrt(fitted.model.omega[k, k]))
        rows.append((name, float(fitted.model.typical[k]), errors.get(f"log typical {name}", np.nan), spread))
    return columns(("parameter", "typical", "relative_standard_error", "sd_log_between_patients"), rows)
