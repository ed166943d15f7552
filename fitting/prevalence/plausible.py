"""Plausible patients: sampled with inflated between-patient variability, and kept if their course is plausible.

The second way to make a virtual population (Allen, Rieger and Musante 2016): first many plausible patients, then the
prevalence of each (`prevalence`). The first way is to sample patients from the fitted distributions (`run_arm`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...model.endpoints import Outcomes
from ...model.simulate import Solver
from ...model.therapy import read_therapies
from ...parameters.errors import RangeError, SimulationError
from ...parameters.parameter_set import ParameterSet
from ...parameters.patients import Draws, draw, make_patients
from ..calibration.predictions import EvidenceArm, treated
from ..observations import Study

# Limits of plausibility, each with its source, or assumed with a reason.


BEYOND_RANGE = 1.5
"""A reported range is widened by this factor on both sides: assumed, as a hundred patients do not show the extremes."""


@dataclass(frozen=True)
class Limit:
    """A quantity of a patient and the range in which it is believed; `source` is a key of sources.toml or 'assumed'."""

    of: str
    low: float
    high: float
    unit: str
    source: str
    note: str

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether each value lies strictly between the bounds: a number cut off at its range stands on the bound."""
        return (values > self.low) & (values < self.high)

    @property
    def text(self) -> str:
        """The limit in words, as tables print it."""
        return f"{self.of}: {self.low:.4g} to {self.high:.4g} {self.unit}".rstrip()


def number_limits(parameters: ParameterSet, names: Iterable[str]) -> tuple[Limit, ...]:
    """Numbers of a patient, baseline burden and M-protein among them, lie within the ranges of the catalogue."""
    return tuple(
        Limit(name, parameter.low, parameter.high, parameter.unit, parameter.source, "range in the catalogue")
        for name in names
        for parameter in (parameters[name],)
    )


def course_limits(product: str, studies: Iterable[Study] = ()) -> tuple[Limit, ...]:
    """Limits on what happens: the peak and its day, and the tumour until progression is seen."""
    limits = [
        Limit(
            "peak", 0.1, 5000.0, "cell/uL", "assumed",
            "Cells were measurable in every treated patient of the trials that report a peak; above, the CAR-T cells "
            "alone would be a lymphocytosis. The bounds are limit_car_t and the end of the range of car_t_capacity.",
        ),
        Limit(
            "tumour", 0.0, 0.9, "of its capacity", "assumed",
            "Progression is seen before the marrow is full (tumour_capacity, elranatamab_qsp); nobody lives on.",
        ),
        Limit(
            "m_protein", -1.0, 120.0, "g/L", "assumed",
            "Highest value until progression is seen, where M-protein is measured. More is rarely seen: blood becomes "
            "viscous at half of it. Remembered and not looked up.",
        ),
    ]  # fmt: skip
    ranges = [
        (study.study, item.low, item.high)
        for study in studies
        if study.product == product
        for item in study.items
        if item.endpoint == "t_max" and item.interval == "range" and not item.origin.startswith("memory")
    ]
    known = [(name, low, high) for name, low, high in ranges if low is not None and high is not None]
    if known:
        low, high = min(low for _, low, _ in known), max(high for _, _, high in known)
        reporting = ", ".join(name for name, _, _ in known)
        limits.append(
            Limit(
                "t_max", low / BEYOND_RANGE, high * BEYOND_RANGE, "day", "assumed",
                f"Reported range of {reporting}, widened by {BEYOND_RANGE:g} on both sides.",
            )
        )  # fmt: skip
    return tuple(limits)


INFLATION = 1.7
"""Largest factor on the between-patient SDs: assumed. What one in twenty patients of the fitted population exceeds in a
parameter, one in six exceeds here, and most values still lie within their range."""

LEVELS = 3
"""So many factors from 1 to the inflation, each for an equal share of the patients."""


@dataclass(frozen=True, eq=False)
class WideDraws(Draws):
    """The keyed draws of virtual patients, some normals multiplied by each patient's own factor (patients,)."""

    factor: np.ndarray | None = None
    widened: frozenset[str] = frozenset()

    def normal_of(self, name: str) -> np.ndarray:
        """Normals under this name: array (patients,), with SD `factor` instead of 1 if the name is widened."""
        normal = super().normal_of(name)
        return normal if self.factor is None or name not in self.widened else normal * self.factor


@dataclass(frozen=True, eq=False)
class WidePatients:
    """Widely sampled patients: their numbers by name, the draws behind them, and what each stands for in the fit.

    `ratio` (patients,) is the density of the fitted population over that of this one.
    """

    values: Mapping[str, np.ndarray]
    draws: WideDraws
    ratio: np.ndarray

    @property
    def n(self) -> int:
        """Number of patients."""
        return len(self.ratio)


@dataclass(frozen=True, eq=False)
class Cohort:
    """Widely sampled patients in an arm: what happened to them, and who is plausible.

    Attributes
    ----------
    plausible : array (patients,)
        Whether a patient was integrated and keeps every limit.
    broken : mapping
        The limits that somebody breaks, each with how many do; a patient may break several.
    """

    arm: EvidenceArm
    patients: WidePatients
    outcomes: Outcomes
    plausible: np.ndarray
    broken: Mapping[Limit, int]

    @cached_property
    def importance(self) -> np.ndarray:
        """Base weights (patients,) that make the plausible patients those of the fitted population; sum 1."""
        return _shared(self.patients.ratio * self.plausible)

    @cached_property
    def uniform(self) -> np.ndarray:
        """Base weights (patients,) that hold every plausible patient for equally common; sum 1."""
        return _shared(self.plausible.astype(float))


def _shared(weights: np.ndarray) -> np.ndarray:
    total = float(weights.sum())
    if total <= 0:
        raise SimulationError("no plausible patient is left; sample more of them, or inflate the spreads less.")
    return weights / total


def sample_widely(
    parameters: ParameterSet, product: str, population: str, *, n: int, seed: int, inflation: float = INFLATION
) -> WidePatients:
    """Patients whose spreads (SDs of logarithms) are up to `inflation` times those of the parameters.

    One share of the patients has the factor 1, others more. With d widened numbers, the density ratio of the fitted
    population and this mixture depends on the length r of a patient's standard normals only: it is
    exp(-r^2 / 2) / mean_k(c_k^-d exp(-r^2 / (2 c_k^2))), and never above the number of levels (defensive mixture,
    Hesterberg 1995; balance heuristic, Veach and Guibas 1995). Correlations of the population and the ranges of the
    catalogue hold as before. Traits that only some patients have are not widened, nor are the numbers of drugs.

    Raises
    ------
    RangeError
        If `inflation` is not a finite number of at least 1.
    """
    if not 1.0 <= inflation < np.inf:
        raise RangeError(f"inflation = {inflation:g}; expected a number of at least 1, such as {INFLATION}.")
    drugs = [therapy for therapy in read_therapies() if therapy.kind == "drug"]
    of_drugs = {parameter.id for therapy in drugs for parameter in therapy.parameters}
    names = sorted(
        name
        for name, sd in parameters.spreads(population, product).items()
        if sd > 0 and not parameters[name].drawn_with and name not in of_drugs
    )
    people = draw(parameters, n, seed)
    levels = np.geomspace(1.0, inflation, LEVELS)
    factor = levels[np.arange(n) % LEVELS]
    wide = WideDraws(people.seed, people.keys, people.errors, people.line, factor, frozenset(names))
    values = make_patients(parameters, wide, product=product, population=population)
    squared = np.sum([wide.normal_of(name) ** 2 for name in names], axis=0) if names else np.zeros(n)
    logs = -len(names) * np.log(levels) - 0.5 * squared[:, None] / levels**2
    return WidePatients(values, wide, np.exp(-0.5 * squared) / np.exp(logs).mean(axis=1))


def treat_widely(patients: WidePatients, arm: EvidenceArm, solver: Solver | None = None) -> tuple[Outcomes, dict]:
    """Outcomes of these patients in an arm, as `run_arm` has them, and what the limits ask of their courses.

    The second is a mapping of arrays (patients,): the largest `tumour` (cells) and `m_protein` (g/L) until progression
    is seen.
    """
    parts, largest = [], []
    for solution, outcomes in treated(patients.values, patients.draws, arm, solver):
        parts.append(outcomes)
        end = np.minimum(outcomes.responses[0].shown, outcomes.death)[:, None]
        seen = solution.times[None, :] <= end
        largest.append([np.where(seen, solution[name], 0.0).max(axis=1) for name in ("tumour", "m_protein")])
    tumour, protein = (np.concatenate(maxima) for maxima in zip(*largest, strict=True))
    return (parts[0] if len(parts) == 1 else Outcomes.concatenate(parts)), {"tumour": tumour, "m_protein": protein}


def plausible_cohort(
    parameters: ParameterSet, arm: EvidenceArm, studies: Iterable[Study] = (), *, n: int, seed: int,
    inflation: float = INFLATION, solver: Solver | None = None,
) -> Cohort:  # fmt: skip
    """Sample widely, treat, and keep the plausible patients.

    `studies` may report a range in which patients had their peak; it becomes a limit (`limits.course_limits`).
    """
    patients = sample_widely(parameters, arm.product, arm.population, n=n, seed=seed, inflation=inflation)
    outcomes, largest = treat_widely(patients, arm, solver)
    values = {name: patients.values[name] for name in patients.draws.widened}
    inside = outcomes.usable > 0
    broken: dict[Limit, int] = {}
    measured = np.where(patients.values["light_chain_only"] > 0.5, 0.0, largest["m_protein"])
    courses = {
        "peak": outcomes.c_max, "t_max": outcomes.t_max, "m_protein": measured,
        "tumour": largest["tumour"] / patients.values["tumour_capacity"],
    }  # fmt: skip
    limits = [(limit, values[limit.of]) for limit in number_limits(parameters, sorted(values))]
    limits += [(limit, courses[limit.of]) for limit in course_limits(arm.product, studies)]
    for limit, amounts in limits:
        outside = (outcomes.usable > 0) & ~limit.holds(amounts)
        inside = inside & ~outside
        if outside.any():
            broken[limit] = int(outside.sum())
    return Cohort(arm, patients, outcomes, inside, broken)


def weighted(outcome: Outcomes, weights: np.ndarray) -> Outcomes:
    """The same outcomes of patients who are as common as `weights` (patients,): every endpoint then counts so."""
    return replace(outcome, usable=outcome.usable * weights * (len(weights) / weights.sum()))
