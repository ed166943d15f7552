"""What do a user's own patients say of themselves, and when will each of them progress?

`perdure patients FILE` runs this. It is no experiment of the shelf, because it needs a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from perdure.experiments.own.own_checks import shrinkage_of
from perdure.experiments.pictures.own_patients import KindToDraw
from perdure.experiments.settings import Progress
from perdure.fitting.calibration import read_calibration
from perdure.fitting.individual.cellular_kinetics import CellularKinetics, tisagenlecleucel
from perdure.fitting.individual.data import Longitudinal, Subject
from perdure.fitting.individual.map_fit import IndividualFit, individual_fits
from perdure.fitting.individual.mechanistic import (
    OBSERVED,
    RESIDUALS,
    TRANSGENE_SCALE,
    Mechanistic,
    mechanistic_model,
)
from perdure.fitting.individual.population import PopulationFit, fit_population
from perdure.fitting.individual.progression import FEW, MONTHS, Progression, predict_progression
from perdure.fitting.individual.structure import PopulationModel
from perdure.fitting.individual.ways import likely_ways
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import InputError, unknown

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
