"""Everything that a report on a fit shows, computed once, with names that people can read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from perdure.experiments import two_populations
from perdure.experiments.fit.fit_labels import number_labels, renamed, result_labels
from perdure.experiments.pictures.labels import number_text
from perdure.experiments.report.run_folder import RunFolder
from perdure.experiments.weighed_projection import TwoPopulations
from perdure.fitting.calibration import Calibration
from perdure.fitting.identifiability.settling import settling_evidence
from perdure.fitting.identifiability.verdict import verdicts
from perdure.fitting.items import Item, Study
from perdure.fitting.joint.assessment import Assessment, AssessmentSettings, assess
from perdure.fitting.joint.emulator import Emulator
from perdure.fitting.joint.long_checks import LongChecks
from perdure.fitting.joint.points import FitPoints
from perdure.fitting.joint.problem import Problem
from perdure.fitting.joint.search_space import SearchSpace
from perdure.fitting.predictions import can_predict
from perdure.fitting.validation.user_evidence import UserValidation, validate_user_evidence

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ReportSizes:
    """Virtual patients and posterior draws where the report simulates: results held out, and both kinds of patients."""

    patients: int = 300
    draws: int = 12
    patients_per_draw: int = 80
    repeats: int = 40


@dataclass(frozen=True, eq=False)
class FitContents:
    """A fit and all that was found about it.

    Attributes
    ----------
    numbers, results
        Label of every coordinate of the search space, and of every fitted result by id.
    assessed
        With these labels instead of names and ids.
    checks
        The long checks shipped beside the calibration; None, with the reason in `unchecked`.
    held_out
        Results of role 'check' with their predictions; None if the model computes none.
    """

    calibration: Calibration
    problem: Problem
    points: FitPoints
    emulator: Emulator
    assessed: Assessment
    numbers: Mapping[str, str]
    results: Mapping[str, str]
    checks: LongChecks | None
    unchecked: str
    held_out: UserValidation | None
    populations: tuple[TwoPopulations, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Label of every coordinate, in their order."""
        return tuple(self.numbers[name] for name in self.problem.space.names)

    def about(self, key: str) -> Mapping[str, object]:
        """A table of what the calibration says about itself; empty if it says nothing of it."""
        found = self.calibration.about.get(key, {})
        return found if isinstance(found, Mapping) else {}

    def item(self, name: str) -> Item:
        """A fitted result by id."""
        return next(item for item in self.problem.items if item.id == name)


def contents(
    calibration: Calibration, problem: Problem, points: FitPoints, checks: tuple[LongChecks | None, str],
    settings: AssessmentSettings, sizes: ReportSizes, folder: RunFolder, progress: Progress | None = None,
) -> FitContents:  # fmt: skip
    """Compute everything."""
    numbers, results = number_labels(problem.space), result_labels(problem)
    with folder.timed("emulator"):
        emulator = points.emulator(problem)
    with folder.timed("assessment"):
        assessed = assess(problem, points, emulator, settings, progress=progress)
    with folder.timed("results held out"):
        held = _held_out(calibration, problem, sizes, progress)
    with folder.timed("two populations"):
        populations = two_populations.run(
            calibration, patients=sizes.patients, draws=min(sizes.draws, len(calibration.draws)),
            patients_per_draw=sizes.patients_per_draw, repeats=sizes.repeats, progress=progress,
        )  # fmt: skip
    told = _readable(assessed, problem.space, points, {**numbers, **results}, numbers)
    return FitContents(
        calibration, problem, points, emulator, told, numbers, results, *checks, held, populations
    )  # fmt: skip


def _held_out(
    calibration: Calibration, problem: Problem, sizes: ReportSizes, progress: Progress | None
) -> UserValidation | None:
    """Arms of trials over more draws than sequences of therapies, which cost many times as much."""
    found = []
    for of_sequences, patients, draws, per_draw in (
        (False, sizes.patients, sizes.draws, sizes.patients_per_draw),
        (True, sizes.patients // 3, sizes.draws // 2, sizes.patients_per_draw // 2),
    ):
        chosen = [
            study.model_copy(update={"items": kept})
            for study in problem.studies
            if (kept := tuple(item for item in study.items if _held(study, item, of_sequences)))
        ]
        if chosen:
            found.append(validate_user_evidence(
                chosen, calibration, patients=max(10, patients), draws=max(2, draws),
                patients_per_draw=max(10, per_draw), shipped=(), progress=progress,
            ))  # fmt: skip
    if not found:
        return None
    rows = tuple(row for one in found for row in one.rows)
    return UserValidation(rows, tuple(name for one in found for name in one.not_computed), ())


def _held(study: Study, item: Item, of_sequences: bool) -> bool:
    return item.role == "check" and bool(item.scenario) == of_sequences and can_predict(item) and (
        of_sequences or bool(study.product)
    )  # fmt: skip


def _readable(
    assessed: Assessment, space: SearchSpace, points: FitPoints, words: Mapping[str, str], numbers: Mapping[str, str]
) -> Assessment:
    """The same with labels; verdicts are told anew, in the units of the numbers."""
    names = {label: name for name, label in numbers.items()}
    at, profiles = renamed(assessed.at, words), renamed(assessed.profiles, words)
    told = verdicts(
        profiles, at, covariance=np.atleast_2d(np.cov(points.draws.T)),
        natural=lambda label, coordinate: natural_text(space, names[label], coordinate),
        settling=lambda label: settling_evidence(names[label]),
    )  # fmt: skip
    parts = ("pulls", "conflicts", "ties", "sobol", "morris")
    changed = {part: renamed(getattr(assessed, part), words) for part in parts}
    return Assessment(
        prior=assessed.prior, at=at, profiles=profiles, verdicts=told, left_out=assessed.left_out, **changed
    )


def natural_text(space: SearchSpace, name: str, coordinate: float) -> str:
    """A coordinate in the unit of its number; a class, or a product's own part, in prior SDs."""
    shared = {member for family in space.families for member in family.members}
    prior = space.parameters[name].prior if name in space.ids else None
    if prior is None or name in shared:
        return f"{coordinate:+.2f} prior SDs".replace("-", "\u2212")
    unit = space.parameters[name].unit
    return number_text(prior.value(coordinate)) + (f" {unit}" if unit else "")
