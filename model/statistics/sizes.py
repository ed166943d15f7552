"""Sample size: events and patients that a two-arm trial needs, by formula.

`alpha` is the whole error of the test, `sided` 2 or 1, `share` the part of the patients in group 1. The formulas hold
for proportional hazards, or for two rates; a trial whose effect comes late needs simulation. Bad input: RangeError.
"""

import math

from .checks import NORMAL, check

# A number that is whole but for rounding is not taken to the next one.
ROUNDING = 1e-9


def events_needed(
    hazard_ratio: float, power: float = 0.8, alpha: float = 0.05, sided: int = 2, share: float = 0.5
) -> int:
    """Events in both groups that the log-rank test needs: (z_alpha + z_power)^2 / (share (1 - share) log^2 HR).

    Schoenfeld 1983. A hazard ratio and its inverse need the same.
    """
    where = "events_needed"
    wanted = "finite and more than 0, and not 1: no number of events shows no difference"
    check(where, "hazard_ratio", hazard_ratio, 0 < hazard_ratio < math.inf and hazard_ratio != 1, wanted)
    both = _critical(where, alpha, sided) + _of_power(where, power, alpha, sided)
    _check_part(where, "share", share)
    return _up(both**2 / (share * (1.0 - share) * math.log(hazard_ratio) ** 2))


def patients_needed_for_rates(
    rate_0: float, rate_1: float, power: float = 0.8, alpha: float = 0.05, sided: int = 2, share: float = 0.5
) -> int:
    """Patients in both groups that the score test of two rates needs, without continuity correction.

    Normal approximation with the pooled variance under the null hypothesis and the separate ones under the alternative
    (Fleiss, Tytun & Ury 1980).
    """
    where = "patients_needed_for_rates"
    for name, rate in (("rate_0", rate_0), ("rate_1", rate_1)):
        check(where, name, rate, 0 <= rate <= 1, "between 0 and 1")
    check(where, "rate_1", rate_1, rate_1 != rate_0, "another than rate_0")
    _check_part(where, "share", share)
    pooled = share * rate_1 + (1.0 - share) * rate_0
    under_null = math.sqrt(pooled * (1.0 - pooled) / (share * (1.0 - share)))
    otherwise = math.sqrt(rate_1 * (1.0 - rate_1) / share + rate_0 * (1.0 - rate_0) / (1.0 - share))
    sum_of_both = _critical(where, alpha, sided) * under_null + _of_power(where, power, alpha, sided) * otherwise
    return _up((sum_of_both / (rate_1 - rate_0)) ** 2)


def _critical(where: str, alpha: float, sided: int) -> float:
    _check_part(where, "alpha", alpha)
    check(where, "sided", sided, sided in (1, 2), "1 or 2")
    return NORMAL.inv_cdf(1.0 - alpha / sided)


def _of_power(where: str, power: float, alpha: float, sided: int) -> float:
    check(where, "power", power, alpha / sided < power < 1, f"above alpha / sided = {alpha / sided:g} and below 1")
    return NORMAL.inv_cdf(power)


def _check_part(where: str, name: str, value: float) -> None:
    check(where, name, value, 0 < value < 1, "between 0 and 1")


def _up(number: float) -> int:
    return math.ceil(number * (1.0 - ROUNDING))
