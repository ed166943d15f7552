"""Everything that a report on a fit shows, computed once, with names that people can read."""

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
from ..fitting.observations import Item, Study
from ..fitting.posterior import Progress, Sizes, no_progress
from ..fitting.validation.user_evidence import SEED as HELD_OUT_SEED
from ..fitting.validation.user_evidence import UserValidation, validate_user_evidence
from ..model.therapy import read_therapies, read_therapy
from ..trials.prevalence_projection import TwoPopulations, project_both
from .figures.labels import number_text
from .run_files import RunFolder

# Names that a reader can take in at a glance, for free numbers and for reported results, in a report on a fit.


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
    """A free number in words: 'ide-cel: share engrafted', 'late to mixed lines: suppression, relative'."""
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
    """Label of every coordinate: those of numbers that share a family's mean say so."""
    shared = {name for family in space.families for name in family.members}
    own = {name: number_label(name) + (", own part" if name in shared else "") for name in space.ids}
    return own | {family.name: f"class: {family.name}" for family in space.families}


def result_label(study: Study, item: Item) -> str:
    """A reported result in words: 'CRB-401 (ide-cel): ORR'."""
    nothing = float("nan")
    words = FitRow(study.study, item, nothing, nothing, nothing, nothing).label
    for short, long in _ENDPOINTS.items():
        if words == short or words.startswith((f"{short},", f"{short} ")):
            words = long + words.removeprefix(short)
    words = words.replace(" at 1 months", " at 1 month")
    given = _tidy(item.scenario if item.scenario else read_therapy(study.product).short)
    known = bool(item.scenario and item.group) or given.casefold() in f"{study.study} {words}".casefold()
    return f"{study.study}: {words}" if known else f"{study.study} ({given}): {words}"


def result_labels(problem: Problem) -> dict[str, str]:
    """Label of every fitted result by id; results with the same words are told apart by what was reported."""
    plain = [result_label(study, item) for study, item in problem.fitted]
    found: dict[str, str] = {}
    for label, (_, item) in zip(plain, problem.fitted, strict=True):
        own = f"{label} [{item.text}]" if plain.count(label) > 1 else label
        found[item.id] = f"{own} [{item.id}]" if own in found.values() else own
    return found


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


@dataclass(frozen=True)
class ReportSizes:
    """Virtual patients and posterior draws where the report simulates: results held out, and both kinds of patients."""

    patients: int = 300
    draws: int = 12
    patients_per_draw: int = 80
    repeats: int = 40

    def of(self, progress: Progress | None) -> Sizes:
        """The sizes of a projection."""
        return Sizes(self.patients, self.draws, self.patients_per_draw, progress=progress or no_progress)


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
        populations = project_both(
            calibration, sizes=sizes.of(progress), plausible=3 * sizes.patients, repeats=sizes.repeats
        )
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
            few = Sizes(max(10, patients), max(2, draws), max(10, per_draw), HELD_OUT_SEED, progress or no_progress)
            found.append(validate_user_evidence(chosen, calibration, sizes=few, shipped=()))
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
