"""Who depends on BCL-2, what venetoclax after CAR-T cells gains in a group, and how many deaths would cancel that."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Estimate, interval, posterior_parameters
from ..model.imwg import CR
from ..parameters.units import DAYS_PER_MONTH
from .compare import Comparison
from .measures import RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS, Measure
from .treat import ArmResult

TRANSLOCATED, OTHERS = (12, 30), (2, 36)
"""Responders with t(11;14) and without in the phase 1 (Kumar 2017; items venetoclax_phase_1_t1114_orr, ..._orr)."""
PREVALENCE = 0.175
"""Share of myeloma with t(11;14): the middle of 15 to 20 % at diagnosis, as in venetoclax_phase_1_unselected_orr."""
DEPENDENT, WITH, WITHOUT, ALL = "BCL-2 dependent", "with t(11;14)", "without t(11;14)", "everybody"
PATIENTS = (DEPENDENT, WITH, ALL, WITHOUT)
"""Groups of patients in falling order of how many of them depend on BCL-2."""


def _lasting_share(result: ArmResult) -> float:
    outcomes = result.outcomes
    first = np.stack([response.first_response for response in outcomes.responses])
    end = np.minimum(outcomes.progression(), outcomes.death)
    months = np.where(np.isfinite(first), end - np.where(np.isfinite(first), first, 0.0), -1.0) / DAYS_PER_MONTH
    weight = outcomes.weight * outcomes.usable * (outcomes.best >= CR)
    nine, sixteen = (float(np.sum(weight * (months >= least))) for least in (9.0, 16.0))
    return 100.0 * sixteen / nine if nine > 0 else float("nan")


LASTING = Measure("CR of nine months that lasts sixteen", "%", _lasting_share, 0.0, 100.0)
"""Of complete responses that last nine months, how many last the sixteen of the case report (Deng 2022)."""


def bcl2_dependent(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Virtual patients all of whom depend on BCL-2, as the change of an arm."""
    return {"sensitive_venetoclax": np.ones_like(values["sensitive_venetoclax"])}


@dataclass(frozen=True, eq=False)
class Dependence:
    """Share of all patients who depend on BCL-2.

    Attributes
    ----------
    value
        At the estimate.
    draws : array (draws,)
        At posterior draws.
    """

    value: float
    draws: np.ndarray

    def share(self, patients: str) -> tuple[float, np.ndarray]:
        """Share of a group that depends on BCL-2, at the estimate and at the draws: as responders were distributed."""
        ratio = {
            DEPENDENT: np.inf, ALL: 1.0, WITH: translocated_responders() / PREVALENCE,
            WITHOUT: (1.0 - translocated_responders()) / (1.0 - PREVALENCE),
        }[patients]  # fmt: skip
        return min(1.0, self.value * ratio), np.minimum(1.0, self.draws * ratio)

    def percent(self, patients: str) -> Estimate:
        """The same in percent, with its 95 % interval over posterior draws."""
        share, draws = self.share(patients)
        return Estimate(100 * share, *interval(100 * draws))


def read_dependence(calibration: Calibration, draws: int) -> Dependence:
    """The calibrated share at the estimate and at the first posterior draws."""
    name = "fraction_sensitive_venetoclax"
    drawn = [parameters[name].value for parameters in posterior_parameters(calibration, draws)]
    return Dependence(calibration.parameters()[name].value, np.array(drawn))


def translocated_responders() -> float:
    """Share of responders to venetoclax who have t(11;14), in patients as they come."""
    translocated = PREVALENCE * TRANSLOCATED[0] / TRANSLOCATED[1]
    return translocated / (translocated + (1.0 - PREVALENCE) * OTHERS[0] / OTHERS[1])


@dataclass(frozen=True, eq=False)
class VenetoclaxMaintenance:
    """Venetoclax after CAR-T cells, and alone as in its phase 1.

    Attributes
    ----------
    maintenance, alone
        In patients who all depend on BCL-2; the first arm of `maintenance` is without venetoclax.
    dependence
        How many patients do.
    start, duration
        First day and months of the treatment during which patients would die of it.
    """

    maintenance: Comparison
    alone: Comparison
    dependence: Dependence
    start: float
    duration: float

    def gain(self, arm: str, patients: str = DEPENDENT) -> Estimate:
        """Restricted mean PFS that an arm gains in a group: nothing in those who do not depend on BCL-2."""
        share, shares = self.dependence.share(patients)
        draws = self.maintenance.draws_of(arm, RESTRICTED_PFS, self.maintenance.arms[0].name)
        return Estimate(share * self.maintenance.gain(arm, RESTRICTED_PFS).value, *interval(shares * draws))

    def response_alone(self, patients: str) -> Estimate:
        """Response to venetoclax alone in a group, in percent."""
        share, shares = self.dependence.share(patients)
        arm = self.alone.arms[0].name
        draws = self.alone.draws_of(arm, RESPONSE)
        return Estimate(share * self.alone.estimate(arm, RESPONSE).value, *interval(shares * draws))

    def tolerable(self, arm: str, patients: str) -> Estimate:
        """Extra deaths a year of treatment, in percent, that would cancel what an arm gains in a group."""
        comparison, (share, shares) = self.maintenance, self.dependence.share(patients)
        reference, months = comparison.arms[0].name, comparison.months

        def cancelling(part: float, treated: np.ndarray, untreated: np.ndarray) -> float:
            mixed = part * treated + (1 - part) * untreated
            return deaths_that_cancel(months, mixed, untreated, start=self.start, duration=self.duration)

        curves = (np.asarray(comparison.result(name).pfs().at(months)) for name in (arm, reference))
        bands = zip(shares, comparison.band(arm), comparison.band(reference), strict=True)
        drawn = [cancelling(part, treated, untreated) for part, treated, untreated in bands]
        return Estimate(cancelling(share, *curves), *interval(np.array(drawn)))


def deaths_that_cancel(
    months: np.ndarray, treated: np.ndarray, untreated: np.ndarray, *, start: float, duration: float
) -> float:
    """Deaths a year while on treatment that bring the restricted mean of one curve down to that of another.

    Parameters
    ----------
    months : array (months,)
        Months at which the curves are given.
    treated, untreated : array (months,)
        Progression-free survival with the treatment and without.
    start, duration
        First day of the treatment, and its months.

    Returns
    -------
    float
        In percent; zero if nothing is gained.
    """
    within = months <= RESTRICTED_MONTHS
    exposed = np.clip(months - start / DAYS_PER_MONTH, 0.0, duration)[within] / 12.0
    hazards = np.linspace(0.0, 3.0, 601)
    survival = treated[within] * np.exp(-hazards[:, None] * exposed)
    left = np.trapezoid(survival - untreated[within], months[within], axis=1)
    hazard = float(np.interp(0.0, left[::-1], hazards[::-1])) if left[0] > 0 else 0.0
    return 100.0 * (1.0 - np.exp(-hazard))
