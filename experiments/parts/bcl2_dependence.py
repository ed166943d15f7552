"""Who depends on BCL-2, what venetoclax after CAR-T cells gains in a group, and how many deaths would cancel that."""

from dataclasses import dataclass

import numpy as np

from perdure.experiments.arms.comparison import Comparison
from perdure.experiments.arms.measures import RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS, Measure, Treated
from perdure.experiments.projection import BAND_MONTHS, Estimate
from perdure.fitting.anchored import interval
from perdure.model.imwg import CR
from perdure.parameters.units import DAYS_PER_MONTH

ALONE = "ide-cel alone"
GIVEN, START = 24.0, 60.0
"""Months of treatment and day of its start; by two months blood counts have mostly recovered (assumed)."""
TRANSLOCATED, OTHERS = (12, 30), (2, 36)
"""Responders with t(11;14) and without in the phase 1 (Kumar 2017; items venetoclax_phase_1_t1114_orr, ..._orr)."""
PREVALENCE = 0.175
"""Share of myeloma with t(11;14): the middle of 15 to 20 % at diagnosis, as in venetoclax_phase_1_unselected_orr."""
DEPENDENT, WITH, WITHOUT, ALL = "BCL-2 dependent", "with t(11;14)", "without t(11;14)", "everybody"
WHO = (DEPENDENT, WITH, ALL, WITHOUT)


@dataclass(frozen=True, eq=False)
class Maintained:
    """Venetoclax after ide-cel, venetoclax alone as in its phase 1, and who depends on BCL-2.

    `maintenance` and `alone` are of patients who all depend on BCL-2. `dependent` is the share of all patients who do,
    at the estimate, `drawn` (draws,) the same at the draws.
    """

    maintenance: Comparison
    alone: Comparison
    dependent: float
    drawn: np.ndarray

    def share(self, who: str) -> tuple[float, np.ndarray]:
        """Share of a group that depends on BCL-2, at the estimate and at the draws: as responders were distributed."""
        per_dependent = {
            DEPENDENT: np.inf, ALL: 1.0, WITH: _of_responders() / PREVALENCE,
            WITHOUT: (1.0 - _of_responders()) / (1.0 - PREVALENCE),
        }[who]  # fmt: skip
        return min(1.0, self.dependent * per_dependent), np.minimum(1.0, self.drawn * per_dependent)

    def gain(self, arm: str, who: str = DEPENDENT) -> Estimate:
        """Restricted mean PFS that an arm gains in a group: nothing in those who do not depend on BCL-2."""
        share, shares = self.share(who)
        value = self.maintenance.gain(arm, RESTRICTED_PFS).value
        return Estimate(share * value, *interval(shares * self.maintenance.draws_of(arm, RESTRICTED_PFS, ALONE)))

    def response_alone(self, who: str) -> Estimate:
        """Response to venetoclax alone in a group, %."""
        share, shares = self.share(who)
        name = self.alone.arms[0].name
        value = self.alone.estimate(name, RESPONSE).value
        return Estimate(share * value, *interval(shares * self.alone.draws_of(name, RESPONSE)))

    def tolerable(self, arm: str, who: str) -> Estimate:
        """Extra deaths a year of treatment, in %, that would cancel what an arm gains in a group."""
        share, shares = self.share(who)
        i = [one.name for one in self.maintenance.arms].index(arm)
        grid = BAND_MONTHS[: self.maintenance.curves.shape[2]]
        kept, none = (np.asarray(self.maintenance.treated[k].outcomes.progression_free().at(grid)) for k in (i, 0))
        bands = zip(self.maintenance.band(arm), self.maintenance.band(ALONE), shares, strict=True)
        drawn = [deaths_that_cancel(grid, part * one + (1 - part) * other, other) for one, other, part in bands]
        return Estimate(deaths_that_cancel(grid, share * kept + (1 - share) * none, none), *interval(np.array(drawn)))


def _of_responders() -> float:
    """Share of responders to venetoclax who have t(11;14), in patients as they come."""
    with_it = PREVALENCE * TRANSLOCATED[0] / TRANSLOCATED[1]
    return with_it / (with_it + (1.0 - PREVALENCE) * OTHERS[0] / OTHERS[1])


def deaths_that_cancel(months: np.ndarray, kept: np.ndarray, none: np.ndarray) -> float:
    """Deaths a year (%) while on treatment that bring the restricted mean of curve `kept` down to that of `none`.

    Zero if nothing is gained. Curves are arrays (months,); treatment lasts from `START` for `GIVEN` months.
    """
    within = months <= RESTRICTED_MONTHS
    exposed = np.clip(months - START / DAYS_PER_MONTH, 0.0, GIVEN)[within] / 12.0
    hazards = np.linspace(0.0, 3.0, 601)
    survival = kept[within] * np.exp(-hazards[:, None] * exposed)
    left = np.trapezoid(survival - none[within], months[within], axis=1)
    hazard = float(np.interp(0.0, left[::-1], hazards[::-1])) if left[0] > 0 else 0.0
    return 100.0 * (1.0 - np.exp(-hazard))


def _still_in_response(one: Treated) -> float:
    """Of complete responses that last nine months, how many last sixteen, in %."""
    outcomes = one.outcomes
    first = np.stack([response.first_response for response in outcomes.responses])
    end = np.minimum(outcomes.progression(), outcomes.death)
    months = np.where(np.isfinite(first), end - np.where(np.isfinite(first), first, 0.0), -1.0) / DAYS_PER_MONTH
    weight = outcomes.weight * outcomes.usable * (outcomes.best >= CR)
    lasting = float(np.sum(weight * (months >= 9.0)))
    return 100.0 * float(np.sum(weight * (months >= 16.0))) / lasting if lasting > 0 else float("nan")


STILL = Measure("CR of nine months that lasts sixteen", "%", _still_in_response, 0.0, 100.0)
