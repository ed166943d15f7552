"""What cannot be a trial: contradictions of a design, each one clear error.

Designs and arms are of any type here: `design.py` imports these checks, so that they cannot import its classes.
"""

import math
from collections.abc import Sequence
from typing import Any

from perdure.experiments.trials.eligibility import RESPONSE
from perdure.model.lines import STEP
from perdure.model.plan import PROGRESSION, wait_for_cells
from perdure.parameters.errors import InputError, RangeError, RegimenError, unknown
from perdure.parameters.population import read_populations
from perdure.parameters.units import DAYS_PER_MONTH

ENDPOINTS = ("pfs", "os", "orr", "cr", "mrd_1e-5", "mrd_1e-6", "dor", "ttnt")
RATE = "rate"
TESTS = ("logrank", "max_combo", "restricted_mean", RATE)
TIME_ZEROS = ("infusion", "apheresis", "randomisation")
LARGEST_BLOCK = 60
VISITS_OF_RESPONSE = 3
"""A response counts from this visit on: two in a row confirm it, after the baseline."""


def population_of(name: str, where: str) -> str:
    """A population that exists."""
    if not name:
        raise InputError(f'{where}: has no population; write population = "late_line" at the top of the file.')
    known = read_populations()[0]
    if name not in known:
        raise unknown("population", name, known, where)
    return name


def check_arms(arms: Sequence[Any]) -> None:
    """There are arms, each with a name of its own."""
    if not arms:
        raise InputError("arm: there is none; write at least one [[arm]] with a name and what is given.")
    names = [arm.name for arm in arms]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"arm: name = '{name}' stands {names.count(name)} times; give every arm its own name.")


def check_design(design: Any) -> None:
    """Check a design as a whole; see `Design` for what its fields mean."""
    check_arms(design.arms)
    for kind, name, known in (
        ("time zero", design.time_zero, TIME_ZEROS), ("endpoint", design.endpoint, ENDPOINTS),
        ("test", design.test, TESTS),
    ):  # fmt: skip
        if name not in known:
            raise unknown(kind, name, known)
    _check_numbers(design)
    _check_follow_up(design)
    _check_test(design)
    _check_shares(design)
    _check_time_zero(design)
    for arm in design.arms:
        _check_cells(design, arm)
        _check_lines(design, arm)
    if design.time_zero == "randomisation":
        _check_same_before(design)
    elif design.time_zero == "apheresis" and not any(arm.plan.first.infusions for arm in design.arms):
        raise RegimenError(
            "time_zero = 'apheresis', but no arm is given cells; choose another time zero or give cells."
        )


def _check_numbers(design: Any) -> None:
    for name, low, high, right in (
        ("patients", 2, math.inf, "a whole number of at least 2"),
        ("accrual_months", 0.0, math.inf, "0 (all at once) or more"),
        ("follow_up_months", 0.0, math.inf, "months after the last patient has entered, more than 0"),
        ("visit_days", 1.0, 365.0, "days between visits, from 1 to 365"),
    ):
        value = getattr(design, name)
        if not low <= value < math.inf or value > high:
            raise RangeError(f"{name} = {value:g}; give {right}.")
    if int(design.patients) != design.patients:
        raise RangeError(f"patients = {design.patients:g}; give a whole number of at least 2.")
    for name, right in (("alpha", "the two-sided level, such as 0.05"), ("power", "the power wanted, such as 0.8")):
        value = getattr(design, name)
        if not 0.0 < value < 1.0:
            raise RangeError(f"{name} = {value:g}; give a number between 0 and 1: {right}.")
    for name in ("dropout_per_year", "not_infused"):
        value = getattr(design, name)
        if not 0.0 <= value < 1.0:
            raise RangeError(f"{name} = {value:g}; give a share from 0 to less than 1, such as 0.05.")


def _check_follow_up(design: Any) -> None:
    days = design.follow_up_months * DAYS_PER_MONTH
    if days < design.visit_days:
        raise RangeError(
            f"follow_up_months = {design.follow_up_months:g} ({days:.0f} days) is shorter than the interval between "
            f"visits, visit_days = {design.visit_days:g}; follow longer, or visit more often."
        )
    try:
        _ = design.visits
    except RangeError as problem:
        raise RangeError(
            f"accrual_months = {design.accrual_months:g}, follow_up_months = {design.follow_up_months:g} and "
            f"visit_days = {design.visit_days:g} do not go together: {problem}"
        ) from None


def _check_test(design: Any) -> None:
    rates = design.endpoint in ("orr", "cr") or design.endpoint.startswith("mrd")
    if rates != (design.test == RATE):
        right = f"'{RATE}'" if rates else ", ".join(f"'{test}'" for test in TESTS if test != RATE)
        kind = "is had or not" if rates else "comes after a time"
        raise InputError(
            f"test = '{design.test}' does not go with endpoint = '{design.endpoint}', which {kind}; give {right}."
        )
    until = design.restricted_months
    if until is None:
        return
    if design.test != "restricted_mean":
        raise InputError(f"restricted_months = {until:g} is for test = 'restricted_mean', not for '{design.test}'.")
    if not 0.0 < until <= design.months:
        raise RangeError(
            f"restricted_months = {until:g}; give more than 0 and at most the longest follow-up, {design.months:g}."
        )


def _check_shares(design: Any) -> None:
    if len(design.arms) < 2:
        raise InputError(
            f"arm: a trial compares arms, and there is only '{design.arms[0].name}'; write another [[arm]]."
        )
    for arm in design.arms:
        if not 0.0 < arm.share < math.inf:
            raise RangeError(f"arm '{arm.name}': share = {arm.share:g}, an arm without patients; give more than 0.")
        if arm.population != design.population:
            raise InputError(
                f"arm '{arm.name}': population = '{arm.population}', and '{design.population}' in "
                f"'{design.arms[0].name}'; the arms of a trial draw from one population."
            )
    total = sum(arm.share for arm in design.arms)
    counts = design.block
    if min(counts) < 1 or sum(counts) > LARGEST_BLOCK:
        shares = ", ".join(f"{arm.share:g}" for arm in design.arms)
        raise RangeError(
            f"arm: shares {shares} need blocks of {sum(counts)} patients; give small whole numbers (2 and 1)."
        )
    for arm in design.arms:
        expected = design.patients * arm.share / total
        if expected < 1.0:
            raise RangeError(
                f"arm '{arm.name}': of {design.patients} patients {expected:.2g} belong to it; give more patients."
            )


def _check_time_zero(design: Any) -> None:
    day, zero = design.randomised_on_day, design.time_zero
    if zero == "randomisation":
        if day is None:
            raise InputError("time_zero = 'randomisation' needs randomised_on_day, a day after infusion (such as 30).")
        if not 0.0 < day < math.inf:
            raise RangeError(f"randomised_on_day = {day:g}; give a day after infusion (day 0), such as 30.")
    elif day is not None:
        raise InputError(f"randomised_on_day = {day:g}, but time_zero = '{zero}'; give time_zero = 'randomisation'.")
    if zero != "apheresis" and design.not_infused:
        raise InputError(f"not_infused = {design.not_infused:g}, but time_zero = '{zero}'; it is for 'apheresis'.")
    earliest = VISITS_OF_RESPONSE * design.visit_days
    for part in (*design.eligible, *design.strata):
        if part.what == RESPONSE and (day is None or day < earliest):
            told = f"on day {day:g} (randomised_on_day)" if day is not None else f"at time_zero = '{zero}'"
            raise InputError(
                f"what = 'response': none is confirmed {told} with visit_days = {design.visit_days:g}; "
                f"randomise on day {earliest:g} or later, or ask for a parameter."
            )


def _check_cells(design: Any, arm: Any) -> None:
    infusions, where = arm.plan.first.infusions, f"arm '{arm.name}'"
    if design.time_zero == "apheresis":
        if infusions and wait_for_cells(arm.plan.first) <= 0.0:
            raise RegimenError(
                f"{where}: cells on day 0, which is the day of apheresis (time_zero); give them later, "
                "for example 'ide-cel on day 42', or count from infusion."
            )
        if design.visits.until - wait_for_cells(arm.plan.first) < (VISITS_OF_RESPONSE + 1) * design.visit_days:
            raise RegimenError(
                f"{where}: cells on day {wait_for_cells(arm.plan.first):g} leave fewer than {VISITS_OF_RESPONSE} "
                f"visits after them (follow_up_months = {design.follow_up_months:g}); give them earlier."
            )
    elif 0.0 not in infusions:
        first = f"the first cells come on day {min(infusions):g}" if infusions else "no cells are given"
        raise RegimenError(
            f"{where}: {first}, and time_zero = '{design.time_zero}' counts from an infusion on day 0; "
            "give cells on day 0, or choose time_zero = 'apheresis'."
        )


def _check_lines(design: Any, arm: Any) -> None:
    later = False
    for line in arm.plan.lines[1:]:
        if later and line.when != PROGRESSION:
            raise RegimenError(
                f"arm '{arm.name}': 'at {line.when}' after 'at progression'; "
                "a trial follows a response only in the first line."
            )
        later = later or line.when == PROGRESSION
    if later and design.visit_days % STEP > 1e-9:
        raise RangeError(
            f"visit_days = {design.visit_days:g}; with a line 'at progression' (arm '{arm.name}') give a multiple of "
            f"{STEP:g} days, such as 28."
        )


def _check_same_before(design: Any) -> None:
    """Nobody can be treated by an arm before it is drawn."""
    day, first = design.origin, design.arms[0]
    given = [one for one in first.plan.first.doses if one.day < day]
    for arm in design.arms[1:]:
        other = [one for one in arm.plan.first.doses if one.day < day]
        differing = [one for one in (*given, *other) if (one in given) != (one in other)]
        if differing or len(given) != len(other):
            one = differing[0] if differing else given[0]
            raise RegimenError(
                f"arms '{first.name}' and '{arm.name}' differ before randomised_on_day = {day:g} ({one.therapy} on day "
                f"{one.day:g}); give the same until then, or randomise earlier."
            )
        if _at_response(first) != _at_response(arm):
            raise RegimenError(
                f"arms '{first.name}' and '{arm.name}' give different things at a response, which may come before "
                f"randomised_on_day = {day:g}; let them differ from a day on."
            )


def _at_response(arm: Any) -> list[object]:
    return [(line.when, line.regimen.doses) for line in arm.plan.lines[1:] if line.when != PROGRESSION]
