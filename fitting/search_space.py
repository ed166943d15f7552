"""Which numbers a fit may change, and how the search sees them: in prior standard deviations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.therapy import read_therapies
from ..parameters.errors import FitError
from ..parameters.parameter_set import ParameterSet
from ..parameters.prior import Prior

REFERENCE_FREE = (
    "k_growth_tumour", "k_growth_tumour.spread", "exponent_growth", "k_kill_max", "half_kill", "density_bcma",
    "sd_density", "k_relaxation_density", "hill_density", "k_expansion", "car_t_capacity", "car_t_capacity.spread",
    "fraction_fitness_lost", "suppression_baseline", "k_exhaustion", "hill_competition_host",
    "ide_cel.fraction_engrafted", "ide_cel.half_density_kill", "ide_cel.k_death_memory", "ide_cel.k_memory_formation",
    "cilta_cel.fraction_engrafted", "cilta_cel.half_density_kill", "cilta_cel.k_death_memory",
    "cilta_cel.k_memory_formation", "equ_cel.fraction_engrafted", "equ_cel.half_density_kill", "equ_cel.k_death_memory",
    "zevor_cel.fraction_engrafted", "zevor_cel.half_density_kill", "zevor_cel.k_death_memory",
    "mixed_line.k_growth_tumour.factor", "mixed_line.k_growth_tumour.spread", "mixed_line.suppression_baseline.factor",
    "earlier_line.k_growth_tumour.factor", "prior_bcma.density_bcma.factor", "prior_bcma.suppression_baseline.factor",
)  # fmt: skip
"""Numbers that the first joint fit changes: those the evidence can inform."""

PRIOR_ONLY = (
    "k_internalisation_bcma", "k_exhaustion_host", "k_recovery_host_exhausted", "effect_host_exhaustion_product",
)  # fmt: skip
"""Shared numbers, beside those of therapies, that projections draw from their priors unless they were fitted."""


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
    """Free parameters of a fit; a point is an array (free,) in prior SDs, zero being the prior median."""

    ids: tuple[str, ...]
    parameters: ParameterSet

    def __post_init__(self) -> None:
        """Every free parameter needs a prior."""
        if not self.ids:
            raise FitError("the search space is empty; name at least one parameter that has a prior.")
        for name in self.ids:
            if self.parameters[name].prior is None:
                raise FitError(f"{name}: has no prior, so it cannot be free; add prior = {{ kind, sd }} to its entry.")

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return len(self.ids)

    def _prior(self, name: str) -> Prior:
        prior = self.parameters[name].prior
        if prior is None:
            raise FitError(f"{name}: has no prior.")
        return prior

    def values(self, point: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Natural values at a point, kept inside each parameter's range."""
        result = {}
        for name, coordinate in zip(self.ids, point, strict=True):
            parameter = self.parameters[name]
            result[name] = float(min(max(self._prior(name).value(float(coordinate)), parameter.low), parameter.high))
        return result

    def point(self, values: dict[str, float]) -> np.ndarray:
        """Inverse of `values`; a parameter that is not named stays at its prior median."""
        return np.array([self._prior(name).coordinate(values[name]) if name in values else 0.0 for name in self.ids])

    def at(self, point: Sequence[float] | np.ndarray) -> ParameterSet:
        """The catalogue with the values of a point."""
        return self.parameters.with_values(self.values(point), grade="calibrated")
