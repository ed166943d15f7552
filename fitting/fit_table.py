"""How well a calibration explains what was reported: every item, reported and modelled, with the misfit."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ..model.simulate import Solver
from ..model.therapy import Grade, Therapy, read_therapies, read_therapy
from ..parameters.parameter_set import ParameterSet
from .calibration.calibration import Calibration
from .calibration.likelihood import ObservationMatch
from .calibration.predictions import arms_of, compare_sequences, plan_of
from .calibration.problem import compare
from .observations import Observation, Study
from .posterior import Numbers, Posterior, Sizes, no_progress, over_posterior
from .studies import read_studies

SEED = 20262
"""Virtual patients of the table; others than those of the fit, so that the misfit includes what was overfitted."""
SIZES = Sizes(patients=600, patients_per_draw=150, seed=SEED)


@dataclass(frozen=True)
class FitRow:
    """One reported result; model interval: central 95 % of the posterior draws, in the unit of the report."""

    study: str
    item: Observation
    model: float
    low: float
    high: float
    misfit: float

    @property
    def label(self) -> str:
        """Endpoint in words, with time and group where there are any."""
        words = self.item.endpoint.replace("_", " ").replace("pfs", "PFS").replace("dor", "DOR").replace("orr", "ORR")
        words = words.replace("mrd", "MRD").replace(" cr ", " CR ").removesuffix(" rate").replace("cr rate", "CR")
        words = "CR" if words == "cr" else words
        if self.item.from_months is not None:
            words = words.removesuffix(" interval") + f" from {self.item.from_months:g} to"
        elif self.item.time_months:
            words += " at"
        if self.item.time_months:
            words += f" {self.item.time_months:g} months"
        return f"{words}, {self.item.group}" if self.item.group else words

    @property
    def model_text(self) -> str:
        """Model value with its interval."""
        if self.item.kind == "split":
            return f"HR {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        if self.item.kind in ("direction", "ratio"):
            return f"ratio {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        if self.item.kind == "ceiling":
            return f"kill/growth {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        form = ".1f" if self.item.unit in {"%", "months"} else ".3g"
        return f"{_number(self.model, form)} ({_number(self.low, form)}-{_number(self.high, form)})"


def fit_table(
    calibration: Calibration,
    *,
    studies: Iterable[Study] | None = None,
    roles: Sequence[str] = ("fit", "check"),
    sizes: Sizes = SIZES,
    solver: Solver | None = None,
) -> tuple[FitRow, ...]:
    """Compare a calibration with every item that the model computes, at the estimate and over posterior draws.

    Parameters
    ----------
    calibration
        The fit that is judged.
    studies
        The evidence; all that is shipped by default.
    roles
        Which items: 'fit' (in the fit), 'outcome' (in the fits of death and toxicity), 'check' (never fitted),
        'context'.
    sizes
        Virtual patients and posterior draws; other patients than those of the fit.
    solver
        How to integrate; `Solver(rtol=1e-5, workers=1)` by default.

    Returns
    -------
    tuple of FitRow
        One for each item: model value with its 95 % interval (unit of the report), and the misfit in standard errors.

    Raises
    ------
    UnknownNameError
        If a study names a product or a population that is not known.
    SimulationError
        If no patient of an arm could be integrated.

    Examples
    --------
    >>> from perdure import Sizes, fit_table, read_calibration, read_studies
    >>> karmma = [study for study in read_studies() if study.name == "karmma"]
    >>> rows = fit_table(read_calibration(), studies=karmma, sizes=Sizes(patients=20, draws=2, patients_per_draw=10))
    >>> rows[0].label, rows[0].item.text, 0.0 <= rows[0].model <= 100.0
    ('ORR', '73.4 %', True)
    """
    chosen = tuple(read_studies() if studies is None else studies)
    solver = solver or Solver(rtol=1e-5, workers=1)

    def matches(parameters: ParameterSet, patients: int) -> tuple[ObservationMatch, ...]:
        return compare(parameters, chosen, n=patients, seed=sizes.seed, solver=solver, roles=roles)

    return fit_rows(over_posterior(matches, _all, calibration, sizes, label="fit table"))


def _all(matches: tuple[ObservationMatch, ...]) -> tuple[ObservationMatch, ...]:
    return matches


def fit_rows(posterior: Posterior[tuple[ObservationMatch, ...], tuple[ObservationMatch, ...]]) -> tuple[FitRow, ...]:
    """A row for every result that was matched at the estimate and at posterior draws."""
    rows = []
    for i, match in enumerate(posterior.value):
        model = model_numbers(posterior, i).estimate
        rows.append(FitRow(match.study, match.item, match.model, model.low, model.high, match.misfit))
    return tuple(rows)


def model_numbers(posterior: Posterior[tuple[ObservationMatch, ...], tuple[ObservationMatch, ...]], i: int) -> Numbers:
    """What the model says of the i-th result at the estimate and at posterior draws, in the unit of the report."""
    top = 100.0 if posterior.value[i].item.unit == "%" else np.inf
    return posterior.numbers(lambda matches: matches[i].model, 0.0, top)


def _number(value: float, form: str) -> str:
    return "NR" if np.isinf(value) else f"{value:{form}}"


# Every result about a therapy or a sequence of them beside the model's answer, with its misfit and standing.


THERAPY_SEED = 20263
"""Virtual patients of the table; others than those of the fit."""
THERAPY_SIZES = Sizes(patients=600, draws=12, patients_per_draw=150, seed=THERAPY_SEED)

_ROLES = ("fit", "check")


@dataclass(frozen=True)
class TherapyRow:
    """A result beside the model's answer, and the therapy that it is about.

    `plan` is what was given, in words; `grade` is the standing of the therapy's efficacy in the model.
    """

    row: FitRow
    therapy: Therapy
    plan: str
    line: int

    @property
    def grade(self) -> Grade:
        """What the efficacy of the therapy rests on."""
        return self.therapy.grade


def therapy_table(
    calibration: Calibration,
    *,
    studies: Sequence[Study] | None = None,
    sizes: Sizes = THERAPY_SIZES,
    threads: int = 2,
) -> tuple[TherapyRow, ...]:
    """Compare a calibration with every result about a therapy, at the estimate and over posterior draws.

    The therapy of a row is the one whose file names the result, else the last that its line gives. Results of a product
    alone are there too; rows are in the order of the therapies.
    """
    every = tuple(read_studies() if studies is None else studies)
    chosen = tuple(study for study in every if study.scenarios)

    def matches(parameters: ParameterSet, patients: int) -> tuple[ObservationMatch, ...]:
        def of(study: Study) -> tuple[ObservationMatch, ...]:
            solver = Solver(rtol=1e-4, workers=1)
            return compare_sequences(parameters, [study], n=patients, seed=sizes.seed, roles=_ROLES, solver=solver)

        with ThreadPoolExecutor(threads) as pool:
            return tuple(match for rows in pool.map(of, chosen) for match in rows)

    posterior = over_posterior(matches, _all, calibration, sizes, label="every therapy")
    by_study = {study.study: study for study in every}
    quiet = replace(sizes, progress=no_progress)
    rows = [
        TherapyRow(row, read_therapy(by_study[row.study].product), _given(by_study[row.study]), 1)
        for row in fit_table(calibration, studies=every, sizes=quiet)
        if not row.item.scenario
    ]
    for row in fit_rows(posterior):
        study = by_study[row.study]
        scenario = study.scenario(row.item.scenario)
        rows.append(TherapyRow(row, therapy_of(study, row.item), plan_of(scenario).text, scenario.line))
    order = {therapy.key: place for place, therapy in enumerate(by_group())}
    return tuple(sorted(rows, key=lambda row: (order[row.therapy.key], row.row.study)))


def _given(study: Study) -> str:
    """Treatment of the arm of a study, in words."""
    arm = arms_of([study], ("fit", "check"))[study.name]
    return " or ".join(f"{regimen.text} ({100 * share:.0f} %)" for share, regimen in arm.regimens)


def therapy_of(study: Study, item: Observation) -> Therapy:
    """The therapy that a result is about: the one whose file names it, else the last that its line gives."""
    named = [therapy for therapy in read_therapies() if item.id in therapy.evidence]
    scenario = study.scenario(item.scenario)
    line = plan_of(scenario).lines[scenario.line - 1]
    given = [dose.therapy for dose in line.regimen.doses]
    for therapy in named:
        if therapy.key in given:
            return therapy
    last = max(line.regimen.doses, key=lambda dose: dose.day).therapy
    return next(therapy for therapy in (*named, *read_therapies()) if named or therapy.key == last)


def by_group() -> tuple[Therapy, ...]:
    """Every therapy, group by group in the order of the review."""
    groups = (
        "CAR-T product", "bispecific antibody", "checkpoint inhibitor", "antibody-drug conjugate", "antibody",
        "small molecule", "transplant", "radiotherapy", "conditioning", "hypothetical",
    )  # fmt: skip
    return tuple(sorted(read_therapies(), key=lambda therapy: (groups.index(therapy.group), therapy.key)))
