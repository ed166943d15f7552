"""Every result about a therapy or a sequence of them beside the model's answer, with its misfit and standing."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..model.simulate import Solver
from ..model.therapy import Therapy, read_therapies, read_therapy
from ..model.therapy_file import Grade
from ..parameters.parameter_set import ParameterSet
from .arms import arms_of
from .calibration import Calibration
from .fit_table import FitRow, fit_row, fit_table
from .items import Item, Study
from .likelihood import ItemMatch
from .reported import read_studies
from .sequences import compare_sequences, plan_of

SEED = 20263
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
    seed: int = SEED,
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
