"""Estimated parameters of the fit, in units of their prior standard deviations."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...model.regimens.sentence import read_plan
from ...model.therapy import Therapy, read_therapies
from ...parameters.errors import FitError
from ...parameters.parameter_set import ParameterSet
from ...parameters.population import read_populations
from ...parameters.prior import Prior
from ..observations import Observation, Scenario, Study
from .predictions import arms_of

# Hierarchical (partially pooled) parameters: exchangeable between the products of a class.
#
# In prior SDs, such a parameter is sqrt(SHARE) c + sqrt(1 - SHARE) u: c is the coordinate of the class, u that of
# the product, both standard normal. So every parameter keeps the prior of its own file, any two of a group correlate by
# SHARE, and evidence on some products informs the others (partial pooling; Gelman & Hill 2007, chapter
# 12).


SHARE = 0.5
"""Share of the prior variance that a class has in common: assumed, half, since neither none nor all is credible."""


@dataclass(frozen=True)
class PooledParameters:
    """Exchangeable parameters: a class of therapies, and the ids of the parameters that are pooled."""

    name: str
    meaning: str
    members: tuple[str, ...]


def _of_cells(number: str, therapies: tuple[Therapy, ...], target: str = "") -> tuple[str, ...]:
    chosen = [therapy for therapy in therapies if therapy.kind == "car_t" and (not target or target in therapy.targets)]
    return tuple(f"{product.key}.{number}" for product in chosen)


def _of_bispecifics(number: str, therapies: tuple[Therapy, ...]) -> tuple[str, ...]:
    return tuple(f"{number}_{therapy.key}" for therapy in therapies if therapy.group == "bispecific antibody")


def families(therapies: tuple[Therapy, ...] | None = None) -> tuple[PooledParameters, ...]:
    """All groups of hierarchical parameters, with those members that have a prior."""
    shelf = therapies or read_therapies()
    known = {number.id for therapy in shelf for number in therapy.parameters if number.prior is not None}
    every = (
        PooledParameters(
            "engraftment of CAR-T products", "share of the infused cells that engraft",
            _of_cells("fraction_engrafted", shelf),
        ),
        PooledParameters(
            "reach of BCMA CAR-T products", "antigen density at which half of the effect is reached",
            _of_cells("half_density_kill", shelf, "BCMA"),
        ),
        PooledParameters(
            "memory formation of CAR-T products", "rate at which effector cells become memory cells",
            _of_cells("k_memory_formation", shelf),
        ),
        PooledParameters(
            "memory loss of CAR-T products", "loss rate of memory cells", _of_cells("k_death_memory", shelf)
        ),
        PooledParameters(
            "killing by bispecific antibodies", "maximal rate of killing", _of_bispecifics("k_kill_max", shelf)
        ),
        PooledParameters(
            "resistance to bispecific antibodies", "share of the tumour that is resistant before treatment",
            _of_bispecifics("fraction_resistant", shelf),
        ),
    )  # fmt: skip
    return tuple(
        PooledParameters(family.name, family.meaning, tuple(name for name in family.members if name in known))
        for family in every
    )


# Relevance: the parameters of a therapy that is not given, or of a population that is not treated, cannot bear on a
# result.


def relevant(ids: Sequence[str], study: Study, item: Observation) -> np.ndarray:
    """Places in `ids` (k,) of the parameters that can bear on a result."""
    given, population = _given(study, item)
    return np.array([i for i, name in enumerate(ids) if _bears(name, given, population)], dtype=int)


def _bears(name: str, given: set[str], population: set[str]) -> bool:
    owner = name.split(".", maxsplit=1)[0]
    if owner in _populations():
        return owner in population
    therapy = _owners().get(name)
    return therapy is None or therapy in given


def _owners() -> dict[str, str]:
    return {parameter.id: therapy.key for therapy in read_therapies() for parameter in therapy.parameters}


def _populations() -> set[str]:
    return set(read_populations()[0])


def _given(study: Study, item: Observation) -> tuple[set[str], set[str]]:
    """Therapies that patients of a result were given, and their populations; also those that it is compared with."""
    if not item.scenario:
        arm = arms_of([study], (item.role,))[study.name]
        doses = [dose.therapy for _, regimen in arm.regimens for dose in regimen.doses]
        return {study.product, *doses}, {study.population}
    scenario = study.scenario(item.scenario)
    scenarios: list[Scenario] = [scenario, *([study.scenario(scenario.against)] if scenario.against else [])]
    lines = [line for scenario in scenarios for line in read_plan(scenario.plan).lines]
    populations = {scenario.population for scenario in scenarios}
    return {dose.therapy for line in lines for dose in line.regimen.doses}, populations


SHARED_FREE = (
    "k_growth_tumour", "k_growth_tumour.spread", "exponent_growth", "k_kill_max", "half_kill", "density_bcma",
    "sd_density", "k_relaxation_density", "hill_density", "k_expansion", "car_t_capacity", "car_t_capacity.spread",
    "fraction_fitness_lost", "suppression_baseline", "k_exhaustion", "hill_competition_host",
    "ide_cel.fraction_engrafted", "ide_cel.half_density_kill", "ide_cel.k_death_memory", "ide_cel.k_memory_formation",
    "cilta_cel.fraction_engrafted", "cilta_cel.half_density_kill", "cilta_cel.k_death_memory",
    "cilta_cel.k_memory_formation", "equ_cel.fraction_engrafted", "equ_cel.half_density_kill", "equ_cel.k_death_memory",
    "zevor_cel.fraction_engrafted", "zevor_cel.half_density_kill", "zevor_cel.k_death_memory",
    "mixed_line.k_growth_tumour.factor", "mixed_line.k_growth_tumour.spread", "mixed_line.suppression_baseline.factor",
    "earlier_line.k_growth_tumour.factor", "prior_bcma.density_bcma.factor", "prior_bcma.suppression_baseline.factor",
    "k_clearance_sbcma", "fraction_sbcma_other_cells", "fraction_null_bcma", "fraction_carriers_bcma_loss",
    "k_exhaustion_host", "k_recovery_host_exhausted", "effect_host_exhaustion_product", "effect_nivolumab",
    "effect_pembrolizumab",
)  # fmt: skip
"""Numbers that the joint fit changes, beside those that the therapies' own files name as `fitted`."""

PRIOR_ONLY = (
    "k_internalisation_bcma",
    "hazard_death_progressed", "exponent_death_growth", "exponent_death_burden", "hazard_ratio_line",
    "probability_crs", "fraction_severe_crs", "slope_crs", "probability_icans", "fraction_severe_icans", "slope_icans",
)  # fmt: skip
"""Shared numbers, beside those of therapies, that projections draw from their priors unless they were fitted.

Those of death and toxicity have as priors what `fitting/calibration/` has found.
"""


def estimated_parameters() -> tuple[str, ...]:
    """Ids of all numbers that the joint fit changes."""
    own = [name for therapy in read_therapies() for name in therapy.fitted]
    return tuple(dict.fromkeys([*SHARED_FREE, *own]))


def drawn_from_priors(parameters: ParameterSet, fitted: Collection[str]) -> tuple[str, ...]:
    """Numbers that a projection draws from their priors: what no evidence has decided, and on which no fit has leant.

    Those are `PRIOR_ONLY`, the numbers of every drug, and those of CAR-T products none of whose numbers was fitted. All
    other numbers that were not fitted stay at the value at which the rest was fitted: drawing them on their own would
    widen the projections by combinations that the evidence has ruled out.
    """
    names = list(PRIOR_ONLY)
    for therapy in read_therapies():
        own = [parameter.id for parameter in therapy.parameters]
        if therapy.kind == "drug" or not set(own) & set(fitted):
            names += own
    return tuple(name for name in names if parameters[name].prior is not None and name not in fitted)


REACH = 4.0
"""The search stays within so many prior SDs."""


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """Estimated parameters of a fit; a point is an array (size,) with a standard normal prior in every coordinate.

    The first coordinates are those of `ids`, the last the class means of the `families` of which a member is estimated.
    Without families a coordinate is a parameter in prior SDs, zero being the prior median.
    """

    ids: tuple[str, ...]
    parameters: ParameterSet
    families: tuple[PooledParameters, ...] = field(default=())

    def __post_init__(self) -> None:
        """Every free parameter needs a prior."""
        if not self.ids:
            raise FitError("the search space is empty; name at least one parameter that has a prior.")
        for name in self.ids:
            if self.parameters[name].prior is None:
                raise FitError(f"{name}: has no prior, so it cannot be free; add prior = {{ kind, sd }} to its entry.")

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.ids) + len(self.families)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every coordinate."""
        return (*self.ids, *(family.name for family in self.families))

    @cached_property
    def mix(self) -> np.ndarray:
        """Matrix (ids, size) that turns a point into prior SDs of the parameters."""
        matrix = np.eye(len(self.ids), self.size)
        for k, family in enumerate(self.families):
            for i, name in enumerate(self.ids):
                if name in family.members:
                    matrix[i, i] = math.sqrt(1.0 - SHARE)
                    matrix[i, len(self.ids) + k] = math.sqrt(SHARE)
        return matrix

    def _prior(self, name: str) -> Prior:
        prior = self.parameters[name].prior
        if prior is None:
            raise FitError(f"{name}: has no prior.")
        return prior

    def _value(self, name: str, coordinate: float) -> float:
        parameter = self.parameters[name]
        return float(min(max(self._prior(name).value(coordinate), parameter.low), parameter.high))

    def values(self, point: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Natural values at a point, kept inside each parameter's range."""
        coordinates = self.mix @ np.asarray(point, dtype=float)
        return {name: self._value(name, float(x)) for name, x in zip(self.ids, coordinates, strict=True)}

    def point(self, values: Mapping[str, float]) -> np.ndarray:
        """Inverse of `values`; a parameter that is not named stays at its prior median.

        Of the points that have these values it is the one with the highest prior density.
        """
        wanted = np.array([self._prior(name).coordinate(values[name]) if name in values else 0.0 for name in self.ids])
        return self.mix.T @ np.linalg.solve(self.mix @ self.mix.T, wanted)

    def at(self, point: Sequence[float] | np.ndarray) -> ParameterSet:
        """The catalogue with the values of a point, and with those that other members of its groups borrow from it."""
        return self.parameters.with_values({**self.values(point), **self.borrowed(point)}, grade="calibrated")

    @cached_property
    def borrowers(self) -> tuple[tuple[str, int], ...]:
        """Hierarchical parameters that are not estimated themselves, each with the coordinate of its class."""
        return tuple(
            (name, len(self.ids) + k)
            for k, family in enumerate(self.families)
            for name in family.members
            if name not in self.ids
        )

    def borrowed(self, point: Sequence[float] | np.ndarray, rng: np.random.Generator | None = None) -> dict[str, float]:
        """Values of the `borrowers`: their mean given the class, or a draw around it."""
        values = {}
        for name, place in self.borrowers:
            own = 0.0 if rng is None else float(np.clip(rng.standard_normal(), -3.0, 3.0))
            values[name] = self._value(name, math.sqrt(SHARE) * float(point[place]) + math.sqrt(1.0 - SHARE) * own)
        return values


def joint_space(parameters: ParameterSet) -> SearchSpace:
    """The space of the joint fit: all `estimated_parameters`, and the families of which one is free."""
    ids = estimated_parameters()
    used = tuple(family for family in families() if set(family.members) & set(ids))
    return SearchSpace(ids, parameters, used)
