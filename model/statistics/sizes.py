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
    _check_ratio(where, hazard_ratio, one_allowed=False)
    both = _critical(where, alpha, sided) + _of_power(where, power, alpha, sided)
    _check_part(where, "share", share)
    return _up(both**2 / (share * (1.0 - share) * math.log(hazard_ratio) ** 2))


def power_of_events(
    events: float, hazard_ratio: float, alpha: float = 0.05, sided: int = 2, share: float = 0.5
) -> float:
    """Power (0 to 1) of the log-rank test with so many events in both groups (Schoenfeld 1983).

    The chance of a significant result in the wrong direction is not counted: at a hazard ratio of one it is
    alpha / sided.
    """
    where = "power_of_events"
    check(where, "events", events, 0 <= events < math.inf, "finite and not negative")
    _check_ratio(where, hazard_ratio, one_allowed=True)
    _check_part(where, "share", share)
    effect = abs(math.log(hazard_ratio)) * math.sqrt(events * share * (1.0 - share))
    return NORMAL.cdf(effect - _critical(where, alpha, sided))


def event_probability(hazard: float, accrual: float, follow_up: float, dropout_hazard: float = 0.0) -> float:
    """Probability (0 to 1) that a patient's event is seen before the data are cut (Lachin & Foulkes 1986).

    Patients enter evenly over `accrual`; the data are cut `follow_up` after the last of them. Event and dropout are
    exponential with their hazards. The unit of time is any, the same for all four.
    """
    where = "event_probability"
    check(where, "hazard", hazard, 0 < hazard < math.inf, "finite and more than 0")
    _check_times(where, accrual, follow_up, dropout_hazard)
    total = hazard + dropout_hazard
    still_in = math.exp(-total * follow_up)
    if total * accrual > 0:
        still_in *= -math.expm1(-total * accrual) / (total * accrual)
    return hazard / total * (1.0 - still_in)


def patients_needed_for_events(
    events: float,
    median: float,
    hazard_ratio: float,
    *,
    accrual: float,
    follow_up: float,
    dropout_hazard: float = 0.0,
    share: float = 0.5,
) -> int:
    """Patients in both groups of whom so many events are expected when the data are cut (Lachin & Foulkes 1986).

    `median` is that of group 0, whose times are exponential; `accrual`, `follow_up` and `dropout_hazard` as in
    `event_probability`, all in one unit of time.
    """
    where = "patients_needed_for_events"
    check(where, "events", events, 0 < events < math.inf, "finite and more than 0")
    check(where, "median", median, 0 < median < math.inf, "finite and more than 0")
    _check_ratio(where, hazard_ratio, one_allowed=True)
    _check_part(where, "share", share)
    _check_times(where, accrual, follow_up, dropout_hazard)
    check(where, "accrual + follow_up", accrual + follow_up, accrual + follow_up > 0, "more than 0")
    hazard = math.log(2.0) / median
    seen_0 = event_probability(hazard, accrual, follow_up, dropout_hazard)
    seen_1 = event_probability(hazard * hazard_ratio, accrual, follow_up, dropout_hazard)
    return _up(events / ((1.0 - share) * seen_0 + share * seen_1))


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


def _check_ratio(where: str, hazard_ratio: float, *, one_allowed: bool) -> None:
    wanted = "finite and more than 0" + ("" if one_allowed else ", and not 1: no number of events shows no difference")
    allowed = 0 < hazard_ratio < math.inf and (one_allowed or hazard_ratio != 1)
    check(where, "hazard_ratio", hazard_ratio, allowed, wanted)


def _check_part(where: str, name: str, value: float) -> None:
    check(where, name, value, 0 < value < 1, "between 0 and 1")


def _check_times(where: str, accrual: float, follow_up: float, dropout_hazard: float) -> None:
    for name, value in (("accrual", accrual), ("follow_up", follow_up), ("dropout_hazard", dropout_hazard)):
        check(where, name, value, 0 <= value < math.inf, "finite and not negative")


def _up(number: float) -> int:
    return math.ceil(number * (1.0 - ROUNDING))
