"""Treatment guided by a measurement: a drug that is started at the first visit that shows what it is for."""

from dataclasses import dataclass

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Estimate, Sizes, interval, over_posterior
from ..model.endpoints import Outcomes, Visits, outcomes
from ..model.regimens.rules import Rule
from ..model.simulate import Solver, simulate
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from .arm import Arm
from .compare import Comparison
from .measures import RESTRICTED_MONTHS, RESTRICTED_PFS


@dataclass(frozen=True, eq=False)
class GuidedArm:
    """Virtual patients treated under a rule.

    Attributes
    ----------
    outcomes
        Endpoints from day 0, by visits.
    day : array (n,)
        Day of the visit at which the rule applied first; NaN if it never did.
    """

    outcomes: Outcomes
    day: np.ndarray

    @property
    def treated(self) -> float:
        """Share of the patients in whom the rule applied, in percent."""
        return 100.0 * np.isfinite(self.day).mean()

    @property
    def median_day(self) -> float:
        """Median day on which the rule applied first; NaN if it never did."""
        days = self.day[np.isfinite(self.day)]
        return float(np.median(days)) if days.size else float("nan")


@dataclass(frozen=True, eq=False)
class GuidedTreatment:
    """What a rule adds to an arm.

    Attributes
    ----------
    gain
        Restricted mean progression-free survival over the arm without the rule, in months.
    treated
        Share of the patients in whom the rule applies, in percent.
    median_day
        Median day on which it applies first, at the estimate.
    """

    gain: Estimate
    treated: Estimate
    median_day: float


def treat_by_rule(
    arm: Arm, rule: Rule, parameters: ParameterSet, *, patients: int, seed: int, months: float, every: float = 28.0
) -> GuidedArm:
    """Give virtual patients the first line of an arm, and what a rule adds to it.

    Parameters
    ----------
    months, every
        Follow-up in months, and days between assessments of response.
    """
    people = draw(parameters, patients, seed)
    values = make_patients(parameters, people, product=arm.plan.products, population=arm.population)
    visits = Visits(every, months)
    solution = simulate(values, arm.plan.first, times=visits.grid, rules=[rule], solver=Solver(rtol=1e-5))
    return GuidedArm(outcomes(solution, values, people, visits), solution.events[rule.name].first)


def guided_treatment(
    comparison: Comparison, arm: str, rule: Rule, calibration: Calibration, sizes: Sizes, *, months: float
) -> GuidedTreatment:
    """What a rule adds to an arm of a comparison, in its patients and at its posterior draws.

    Parameters
    ----------
    comparison
        Holds restricted mean progression-free survival of the arm without the rule.
    sizes, months
        Those of the comparison.
    """
    until = min(RESTRICTED_MONTHS, months)

    def simulate_rule(parameters: ParameterSet, patients: int) -> GuidedArm:
        given = comparison.result(arm).arm
        return treat_by_rule(given, rule, parameters, patients=patients, seed=sizes.seed, months=months)

    def measure(guided: GuidedArm) -> tuple[float, float]:
        return guided.outcomes.progression_free().restricted_mean(until), guided.treated

    posterior = over_posterior(simulate_rule, measure, calibration, sizes, label="guided treatment")
    mean = posterior.numbers(lambda measured: measured[0], 0.0)
    gains = mean.centred - comparison.draws_of(arm, RESTRICTED_PFS)
    value = float(mean.value) - comparison.estimate(arm, RESTRICTED_PFS).value
    treated = posterior.estimate(lambda measured: measured[1], 0.0, 100.0)
    return GuidedTreatment(Estimate(value, *interval(gains)), treated, posterior.simulated.median_day)
