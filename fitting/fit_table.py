"""How well a calibration explains what was reported: every item, reported and modelled, with the misfit."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..model.simulate import Solver
from ..model.therapy import Grade, Therapy, read_therapies, read_therapy
from ..parameters.parameter_set import ParameterSet
from .calibration.calibration import Calibration
from .calibration.likelihood import ItemMatch
from .calibration.predictions import arms_of, compare_sequences, plan_of
from .calibration.problem import compare
from .observations import Item, Study
from .posterior import anchored, interval
from .studies import read_studies

SEED = 20262
"""Virtual patients of the table; others than those of the fit, so that the misfit includes what was overfitted."""


@dataclass(frozen=True)
class FitRow:
    """One reported result; model interval: central 95 % of the posterior draws, in the unit of the report."""

    study: str
    item: Item
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
    patients: int = 600,
    draws: int = 40,
    patients_per_draw: int = 150,
    seed: int = SEED,
    solver: Solver | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FitRow, ...]:
    """Compare a calibration with every item that the model computes, at the estimate and over posterior draws."""
    chosen = tuple(read_studies() if studies is None else studies)
    solver = solver or Solver(rtol=1e-5, workers=1)
    draws = min(draws, len(calibration.draws))
    best = compare(calibration.parameters(), chosen, n=patients, seed=seed, solver=solver, roles=roles)
    few = compare(calibration.parameters(), chosen, n=patients_per_draw, seed=seed, solver=solver, roles=roles)
    values: list[list[float]] = [[] for _ in best]
    for k in range(draws):
        rows = compare(calibration.draw(k), chosen, n=patients_per_draw, seed=seed, solver=solver, roles=roles)
        for i, row in enumerate(rows):
            values[i].append(row.model)
        if progress is not None:
            progress("fit table", k + 1, draws)
    return tuple(fit_row(match, anchor.model, drawn) for match, anchor, drawn in zip(best, few, values, strict=True))


def fit_row(match: ItemMatch, anchor: float, drawn: Sequence[float]) -> FitRow:
    """A row from the value at the estimate, there with as few patients as a draw has (`anchor`), and at the draws."""
    top = 100.0 if match.item.unit == "%" else np.inf
    low, high = interval(anchored(match.model, np.array(drawn), anchor, 0.0, top))
    return FitRow(match.study, match.item, match.model, low, high, match.misfit)


def _number(value: float, form: str) -> str:
    return "NR" if np.isinf(value) else f"{value:{form}}"


# Every result about a therapy or a sequence of them beside the model's answer, with its misfit and standing.


THERAPY_SEED = 20263
"""Virtual patients of the table; others than those of the fit."""

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
    patients: int = 600,
    draws: int = 12,
    patients_per_draw: int = 150,
    seed: int = THERAPY_SEED,
    threads: int = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[TherapyRow, ...]:
    """Compare a calibration with every result about a therapy, at the estimate and over posterior draws.

    The therapy of a row is the one whose file names the result, else the last that its line gives. Results of a product
    alone are there too; rows are in the order of the therapies.
    """
    every = tuple(read_studies() if studies is None else studies)
    chosen = tuple(study for study in every if study.scenarios)
    draws = min(draws, len(calibration.draws))
    done = 0

    def all_of(parameters: ParameterSet, n: int, label: str) -> tuple[ItemMatch, ...]:
        nonlocal done
        solver = Solver(rtol=1e-4, workers=1)
        found: list[ItemMatch] = []
        with ThreadPoolExecutor(threads) as pool:
            jobs = pool.map(
                lambda study: compare_sequences(parameters, [study], n=n, seed=seed, roles=_ROLES, solver=solver),
                chosen,
            )
            for rows in jobs:
                found += rows
        done += 1
        if progress is not None:
            progress(label, done, draws + 2)
        return tuple(found)

    best = all_of(calibration.parameters(), patients, "every therapy")
    few = all_of(calibration.parameters(), patients_per_draw, "every therapy")
    drawn = [all_of(calibration.draw(k), patients_per_draw, "every therapy") for k in range(draws)]
    by_study = {study.study: study for study in every}
    rows = [
        TherapyRow(row, read_therapy(by_study[row.study].product), _given(by_study[row.study]), 1)
        for row in fit_table(
            calibration, studies=every, patients=patients, draws=draws, patients_per_draw=patients_per_draw, seed=seed
        )
        if not row.item.scenario
    ]
    for i, match in enumerate(best):
        study = by_study[match.study]
        scenario = study.scenario(match.item.scenario)
        row = fit_row(match, few[i].model, [one[i].model for one in drawn])
        rows.append(TherapyRow(row, therapy_of(study, match.item), plan_of(scenario).text, scenario.line))
    order = {therapy.key: place for place, therapy in enumerate(by_group())}
    return tuple(sorted(rows, key=lambda one: (order[one.therapy.key], one.row.study)))


def _given(study: Study) -> str:
    """Treatment of the arm of a study, in words."""
    arm = arms_of([study], ("fit", "check"))[study.name]
    return " or ".join(f"{regimen.text} ({100 * share:.0f} %)" for share, regimen in arm.regimens)


def therapy_of(study: Study, item: Item) -> Therapy:
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
