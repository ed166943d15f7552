"""Cohorts of virtual patients dichotomised at the peak of their CAR-T cells: survival above and below, and the gain.

A cohort can be made alike in some parameters, which then have their typical value in every patient: what is left of the
difference between the two groups is due to the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Estimate, Numbers, Posterior, Sizes, over_posterior
from ..model.regimens.regimen import infuse
from ..model.simulate import Solver
from ..model.statistics.cox import hazard_ratio
from ..model.statistics.survival import SurvivalCurve, kaplan_meier
from ..parameters.errors import RangeError
from ..parameters.parameter_set import ParameterSet
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm, Change
from .measures import RESTRICTED_MONTHS
from .treat import FIRST_LINE_MONTHS, ArmResult, treat

GROUP_SIZE = 50
"""Patients in each group of the study whose numbers at risk and sampling error are drawn."""
NOBODY = 1e-6
"""A branch of a patient's future with less weight holds nobody: it would only stretch the curves."""


@dataclass(frozen=True, eq=False)
class Dichotomised:
    """A cohort in two groups at one set of parameters: progression-free survival by peak, and the hazard ratio.

    `gain_months` is the difference in restricted mean progression-free survival, above less below. It can be compared
    between cohorts; the hazard ratio cannot, as it moves away from one when patients are made more alike, even if the
    peak does the same for each of them.
    """

    share_above: float
    above: SurvivalCurve
    below: SurvivalCurve
    ratio: float
    gain_months: float


@dataclass(frozen=True, eq=False)
class DichotomisedCohort:
    """A cohort at the estimate and at the posterior draws; with so few patients all peaks can lie on one side."""

    name: str
    posterior: Posterior[Dichotomised, Dichotomised | None]

    @property
    def value(self) -> Dichotomised:
        """The two groups at the estimate."""
        return self.posterior.simulated

    def numbers(
        self, read: Callable[[Dichotomised], float | np.ndarray], low: float = 0.0, high: float = np.inf
    ) -> Numbers:
        """A number or a curve at the estimate and at the draws; it cannot lie outside [low, high]."""
        return self.posterior.numbers(lambda groups: np.nan if groups is None else read(groups), low, high)

    def estimate(self, read: Callable[[Dichotomised], float], low: float = 0.0, high: float = np.inf) -> Estimate:
        """A number at the estimate, with the central 95 % of the draws."""
        return self.numbers(read, low, high).estimate

    @property
    def gain_months(self) -> Estimate:
        """Difference in restricted mean progression-free survival, in months."""
        return self.estimate(lambda groups: groups.gain_months, low=-np.inf)

    @property
    def ratio(self) -> Estimate:
        """Hazard ratio, above against below."""
        return self.estimate(lambda groups: groups.ratio)


def dichotomise_cohorts(
    cohorts: Mapping[str, tuple[str, ...]],
    calibration: Calibration,
    *,
    product: str,
    population: str,
    threshold: float,
    sizes: Sizes,
    months: float = FIRST_LINE_MONTHS,
    solver: Solver | None = None,
) -> tuple[DichotomisedCohort, ...]:
    """Dichotomise cohorts at the peak of CAR-T cells in blood, at the estimate and at posterior draws.

    Parameters
    ----------
    cohorts
        By name: the parameters that have their typical value in every patient instead of a spread.
    threshold
        Peak in cells per microlitre.
    months
        Follow-up from the infusion.

    Returns
    -------
    tuple
        Without the cohorts whose peaks all lie on one side at the estimate.

    Raises
    ------
    RangeError
        If that is so in every cohort.
    """
    solver = solver or Solver(rtol=1e-5)

    def simulate(parameters: ParameterSet, patients: int) -> dict[str, Dichotomised | None]:
        typical = parameters.typical(product, population)

        def groups(name: str) -> Dichotomised | None:
            arm = Arm(name, infuse(product), population, _alike({key: typical[key] for key in cohorts[name]}))
            result = treat(
                arm, patients=patients, seed=sizes.seed, months=months, parameters=parameters, solver=solver,
                keep_courses=False,
            )  # fmt: skip
            return dichotomise(result, threshold)

        return {name: groups(name) for name in cohorts}

    posterior = over_posterior(simulate, lambda groups: groups, calibration, sizes)
    results = []
    for name, groups in posterior.value.items():
        if groups is not None:  # draws with all peaks on one side say nothing of this cohort
            drawn = tuple(draw[name] for draw in posterior.draws if draw[name] is not None)
            results.append(DichotomisedCohort(name, Posterior(groups, groups, posterior.few[name], drawn)))
    if not results:
        raise RangeError(f"threshold = {threshold:g} cells/uL: everybody peaks on one side; choose one in between.")
    return tuple(results)


def _alike(values: Mapping[str, float]) -> Change:
    return lambda patients: {name: np.full_like(patients[name], value) for name, value in values.items()}


def dichotomise(result: ArmResult, threshold: float) -> Dichotomised | None:
    """The patients of an arm with a peak above a threshold and those without; None if one of the groups is empty."""
    outcomes = result.outcomes
    kept = outcomes.flat_weight > NOBODY
    weight = outcomes.flat_weight[kept]
    above = np.tile(outcomes.c_max > threshold, 2)[kept]  # both branches of a patient share the peak
    if above.all() or not above.any():
        return None
    day, visits = np.minimum(outcomes.progression(), outcomes.death).ravel()[kept], outcomes.visits
    time, event = np.minimum(day, visits.until) / DAYS_PER_MONTH, day <= visits.until

    def curve(group: np.ndarray) -> SurvivalCurve:
        return kaplan_meier(time[group], event[group], weight[group], patients=GROUP_SIZE)

    high, low = curve(above), curve(~above)
    reach = min(RESTRICTED_MONTHS, visits.months)
    gain = high.restricted_mean(reach) - low.restricted_mean(reach)
    share = float(weight[above].sum() / weight.sum())
    ratio = hazard_ratio(time, event, above, weight, ties="breslow").value
    return Dichotomised(share, high, low, ratio, gain)
