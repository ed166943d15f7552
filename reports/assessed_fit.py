"""A fit with its assessment, computed once for its report, with readable labels of parameters and results."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..fitting.calibration.assessment import Assessment, AssessmentSettings, assess
from ..fitting.calibration.calibration import Calibration
from ..fitting.calibration.emulator import Emulator
from ..fitting.calibration.long_checks import LongChecks
from ..fitting.calibration.points import FitPoints
from ..fitting.calibration.predictions import can_predict
from ..fitting.calibration.problem import Problem
from ..fitting.calibration.search_space import SearchSpace
from ..fitting.fit_table import FitRow
from ..fitting.identifiability.verdict import settling_evidence, verdicts
from ..fitting.observations import Observation, Study
from ..fitting.posterior import Sizes
from ..fitting.validation.user_evidence import SEED as HELD_OUT_SEED
from ..fitting.validation.user_evidence import UserValidation, validate_user_evidence
from ..model.therapy import read_therapies, read_therapy
from ..trials.prevalence_projection import TwoPopulations, project_both
from .figures.style import number_text
from .run_files import RunFolder

# Labels


_WORDS = {
    "k_growth_tumour": "tumour growth rate", "exponent_growth": "slowing of growth",
    "k_kill_max": "maximal killing rate", "half_kill": "CAR-T cells at half killing", "density_bcma": "BCMA density",
    "sd_density": "spread of antigen density", "k_relaxation_density": "return of antigen density",
    "hill_density": "steepness in antigen", "k_expansion": "expansion rate", "car_t_capacity": "CAR-T capacity",
    "fraction_fitness_lost": "fitness lost per division", "suppression_baseline": "suppression",
    "k_exhaustion": "exhaustion rate", "hill_competition_host": "steepness of host competition",
    "fraction_engrafted": "share engrafted", "half_density_kill": "antigen at half effect",
    "half_density": "antigen at half effect", "k_death_memory": "memory loss rate",
    "k_memory_formation": "memory formation rate", "k_clearance_sbcma": "clearance of sBCMA",
    "fraction_sbcma_other_cells": "sBCMA from other cells", "fraction_null_bcma": "BCMA-null share",
    "fraction_carriers_bcma_loss": "carriers of BCMA loss", "k_exhaustion_host": "host T-cell exhaustion",
    "k_recovery_host_exhausted": "host T-cell recovery", "effect_host_exhaustion_product": "host exhaustion on product",
    "fraction_resistant": "resistant share", "fraction_sensitive": "sensitive patients",
    "k_rejection_host": "rejection by host", "effect": "effect",
}  # fmt: skip
_ENDPOINTS = {
    "scr": "sCR", "t max": "time of peak",
    "sbcma relative at": "sBCMA relative at",
    "density before": "BCMA density before", "density at progression": "BCMA density at progression",
    "function threshold": "BCMA threshold of function",
}  # fmt: skip

Value = TypeVar("Value")


def number_label(name: str) -> str:
    """An estimated parameter in words: 'ide-cel: share engrafted', 'late to mixed lines: suppression, relative'."""
    owner, base = "", name
    for therapy in read_therapies():
        if base.startswith(f"{therapy.key}."):
            owner, base = therapy.short, base.removeprefix(f"{therapy.key}.")
        elif base.endswith(f"_{therapy.key}"):
            owner, base = therapy.short, base.removesuffix(f"_{therapy.key}")
    kind = ""
    for suffix, words in ((".spread", ", spread"), (".factor", ", relative")):
        if base.endswith(suffix):
            base, kind = base.removesuffix(suffix), words
    population, _, rest = base.rpartition(".")
    words = _WORDS.get(rest, rest.replace("_", " ")) + kind
    owner = _tidy(owner or population)
    return f"{owner}: {words}" if owner else words


def _tidy(key: str) -> str:
    """A key as the field writes it: 'after ide-cel', 'BCMA-CD19 CAR-T', 'GC012F'."""
    words = key.replace("-", " ").replace("_", " ").split()
    text = " ".join(w.upper() if w == "bcma" or (any(c.isdigit() for c in w) and w[0].isalpha()) else w for w in words)
    return text.replace(" cel", "-cel").replace("car t", "CAR-T")


def number_labels(space: SearchSpace) -> dict[str, str]:
    """Label of every coordinate; the own part of a parameter that is pooled over a class is labelled as such."""
    shared = {name for family in space.families for name in family.members}
    own = {name: number_label(name) + (", own part" if name in shared else "") for name in space.ids}
    return own | {family.name: f"class: {family.name}" for family in space.families}


def result_label(study: Study, item: Observation) -> str:
    """A reported result in words: 'CRB-401 (ide-cel): ORR'."""
    nothing = float("nan")
    words = FitRow(study.study, item, nothing, nothing, nothing, nothing).label
    for short, long in _ENDPOINTS.items():
        if words == short or words.startswith((f"{short},", f"{short} ")):
            words = long + words.removeprefix(short)
    words = words.replace(" at 1 months", " at 1 month")
    given = _tidy(item.scenario if item.scenario else read_therapy(study.product).short)
    is_named = bool(item.scenario and item.group) or given.casefold() in f"{study.study} {words}".casefold()
    return f"{study.study}: {words}" if is_named else f"{study.study} ({given}): {words}"


def result_labels(problem: Problem) -> dict[str, str]:
    """Label of every fitted result by id; the reported value distinguishes results of the same words."""
    plain = [result_label(study, item) for study, item in problem.fitted]
    labels: dict[str, str] = {}
    for label, (_, item) in zip(plain, problem.fitted, strict=True):
        distinct = f"{label} [{item.text}]" if plain.count(label) > 1 else label
        labels[item.id] = f"{distinct} [{item.id}]" if distinct in labels.values() else distinct
    return labels


def renamed(value: Value, words: Mapping[str, str]) -> Value:
    """The same dataclass, tuple or dictionary with every text that is a key of `words` replaced."""
    return _renamed(value, words)  # pyright: ignore[reportReturnType]


def _renamed(value: object, words: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return words.get(value, value)
    if isinstance(value, tuple | list):
        return type(value)(_renamed(entry, words) for entry in value)
    if isinstance(value, dict):
        return {_renamed(key, words): _renamed(entry, words) for key, entry in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _renamed(getattr(value, field.name), words) for field in dataclasses.fields(value)}
        return type(value)(**fields)
    return value


# The fit and its assessment


SIZES = Sizes(patients=300, draws=12, patients_per_draw=80)
"""Virtual patients and posterior draws of what the report simulates: results held out, and both populations."""
REPEATS = 40
"""Repetitions behind the intervals of the prevalence-weighted population."""


@dataclass(frozen=True, eq=False)
class AssessedFit:
    """A fit, its assessment and validation.

    Attributes
    ----------
    numbers, results
        Label of every coordinate of the search space, and of every fitted result by id.
    assessment
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
    assessment: Assessment
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
        """A table of the calibration's own record; empty if it has none of that name."""
        table = self.calibration.about.get(key, {})
        return table if isinstance(table, Mapping) else {}

    def item(self, name: str) -> Observation:
        """A fitted result by id."""
        return next(item for item in self.problem.items if item.id == name)


def assess_fit(
    calibration: Calibration, problem: Problem, points: FitPoints, checks: tuple[LongChecks | None, str],
    settings: AssessmentSettings, sizes: Sizes, repeats: int, folder: RunFolder,
) -> AssessedFit:  # fmt: skip
    """Compute the assessment, the predictions of results held out, and both virtual populations.

    Parameters
    ----------
    checks
        The long checks, or None and the reason.
    repeats
        See `project_both`.
    folder
        Of the run; its manifest gets the time of every part.
    """
    numbers, results = number_labels(problem.space), result_labels(problem)
    with folder.timed("emulator"):
        emulator = points.emulator(problem)
    with folder.timed("assessment"):
        assessment = assess(problem, points, emulator, settings, progress=sizes.progress)
    with folder.timed("results held out"):
        held_out = _held_out(calibration, problem, sizes)
    with folder.timed("two populations"):
        populations = project_both(calibration, sizes=sizes, plausible=3 * sizes.patients, repeats=repeats)
    labelled = _labelled(assessment, problem.space, points, {**numbers, **results}, numbers)
    return AssessedFit(
        calibration, problem, points, emulator, labelled, numbers, results, *checks, held_out, populations
    )


def _held_out(calibration: Calibration, problem: Problem, sizes: Sizes) -> UserValidation | None:
    """Arms of trials over more draws than sequences of therapies, which cost many times as much."""
    validations = []
    for of_sequences, patients, draws, per_draw in (
        (False, sizes.patients, sizes.draws, sizes.patients_per_draw),
        (True, sizes.patients // 3, sizes.draws // 2, sizes.patients_per_draw // 2),
    ):
        chosen = [
            study.model_copy(update={"items": kept})
            for study in problem.studies
            if (kept := tuple(item for item in study.items if _is_held_out(study, item, of_sequences)))
        ]
        if chosen:
            few = Sizes(max(10, patients), max(2, draws), max(10, per_draw), HELD_OUT_SEED, sizes.progress)
            validations.append(validate_user_evidence(chosen, calibration, sizes=few, shipped=()))
    if not validations:
        return None
    rows = tuple(row for validation in validations for row in validation.rows)
    return UserValidation(rows, tuple(name for validation in validations for name in validation.not_computed), ())


def _is_held_out(study: Study, item: Observation, of_sequences: bool) -> bool:
    return item.role == "check" and bool(item.scenario) == of_sequences and can_predict(item) and (
        of_sequences or bool(study.product)
    )  # fmt: skip


def _labelled(
    assessment: Assessment, space: SearchSpace, points: FitPoints, words: Mapping[str, str], numbers: Mapping[str, str]
) -> Assessment:
    """The same with labels, and verdicts in the units of the parameters."""
    names = {label: name for name, label in numbers.items()}
    at, profiles = renamed(assessment.at, words), renamed(assessment.profiles, words)
    in_units = verdicts(
        profiles, at, covariance=np.atleast_2d(np.cov(points.draws.T)),
        natural=lambda label, coordinate: natural_text(space, names[label], coordinate),
        settling=lambda label: settling_evidence(names[label]),
    )  # fmt: skip
    parts = ("pulls", "conflicts", "ties", "sobol", "morris")
    changed = {part: renamed(getattr(assessment, part), words) for part in parts}
    return Assessment(
        prior=assessment.prior, at=at, profiles=profiles, verdicts=in_units, left_out=assessment.left_out, **changed
    )


def natural_text(space: SearchSpace, name: str, coordinate: float) -> str:
    """A coordinate in the unit of its parameter; a class, or a product's own part, in prior SDs."""
    shared = {member for family in space.families for member in family.members}
    prior = space.parameters[name].prior if name in space.ids else None
    if prior is None or name in shared:
        return f"{coordinate:+.2f} prior SDs".replace("-", "\u2212")
    unit = space.parameters[name].unit
    return number_text(prior.value(coordinate)) + (f" {unit}" if unit else "")
