"""Local treatment of a share of the tumour at the first progression, and the time until the next one.

Everything is restricted to `HORIZON` months, in those who come to the first progression within as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..fitting.posterior import Estimate, Posterior, interval
from ..model.imwg import PR
from ..parameters.units import DAYS_PER_MONTH
from .arm import Change
from .compare import EVERYBODY
from .treat import ArmResult

HORIZON = 18.0
"""Months."""
WORTH = 1.0
"""Months: a gain that is shorter than the gap between two visits is called futile."""
SLOW, FAST = "slower half", "faster half"
"""Halves of the patients by the growth rate of the tumour."""
Results = Mapping[str, ArmResult]
"""Arms by name."""
Key = tuple[str, str]
"""What is measured ("gain", "free", "doubling", "response", "last line", "failed"), and where: a group with a share
in the field, a dose, or an order."""


def irradiated(share: float) -> str:
    """How the arm is called in which so much of the tumour (0 to 1) is in the field."""
    return f"{100 * share:g} % in the field"


def in_field(share: float) -> Change:
    """Virtual patients with this share of the tumour in the field of radiotherapy; none means no radiotherapy at all.

    A share is the same for everybody, from 0 to 1.
    """

    def change(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        field = np.full_like(values["fraction_in_field_radiotherapy"], share)
        if share > 0.0:
            return {"fraction_in_field_radiotherapy": field}
        untouched = np.zeros_like(values["max_inhibition_suppression_radiotherapy"])
        return {"fraction_in_field_radiotherapy": field, "max_inhibition_suppression_radiotherapy": untouched}

    return change


def begins_early(result: ArmResult) -> np.ndarray:
    """Whether (n,) the line begins so early that what follows can be seen to the end."""
    return np.nan_to_num(result.since, nan=np.inf) <= HORIZON * DAYS_PER_MONTH


def months_free(result: ArmResult) -> np.ndarray:
    """Months (2, n) without progression or death from the start of a line, at most `HORIZON`."""
    day = np.minimum(result.outcomes.progression(), result.outcomes.death)
    return np.minimum(day / DAYS_PER_MONTH, HORIZON)


def weights(result: ArmResult) -> np.ndarray:
    """Weights (2, n) of who comes to a line; zero for the others."""
    return np.where(np.isfinite(result.since), result.outcomes.weight * result.outcomes.usable, 0.0)


def mean_months_free(result: ArmResult, keep: np.ndarray) -> float:
    """Mean months without progression or death of some patients (n,); in a second line, of those who begin it early."""
    weight = weights(result) * keep
    if result.line == 2:
        weight = weight * begins_early(result)
    return float(np.sum(weight * months_free(result)) / np.sum(weight))


def response_rate(result: ArmResult, keep: np.ndarray) -> float:
    """Share (0 to 1) of some patients (n,) who reach at least a partial response in a line."""
    weight = weights(result) * keep
    return float(np.sum(weight * (result.outcomes.best >= PR)) / np.sum(weight))


def months_until_failure(before: ArmResult, last: ArmResult) -> float:
    """Mean months from the start of the line before until the last line has failed or the patient is dead.

    Who never comes to the last line counts until death, or `HORIZON`.
    """
    came, wait = np.isfinite(last.since), (last.since - before.since) / DAYS_PER_MONTH
    early = begins_early(before)
    total = np.where(came, np.minimum(np.nan_to_num(wait) + months_free(last), HORIZON), 0.0)
    weight, others = weights(last) * early, weights(before) * early * ~came
    return float((np.sum(weight * total) + np.sum(others * months_free(before))) / (np.sum(weight) + np.sum(others)))


def measure(
    results: Results, *, untreated: str, shares: Sequence[float], doses: Mapping[str, str], orders: Sequence[str],
    before: Mapping[str, str],
) -> dict[Key, float]:  # fmt: skip
    """Measure what is gained by which field and dose, and what the next line does in which order.

    Parameters
    ----------
    untreated
        The arm without local treatment.
    doses
        By dose the arm in which it is given.
    orders, before
        Arms with a next line, and the arm that shows the line before it, where there is one.

    Returns
    -------
    dict
        Gains and times in months, doubling times in days, responses in percent.
    """
    early, growth = begins_early(results[untreated]), results[untreated].patients["k_growth_tumour"]
    middle = np.median(growth[early])
    groups = {EVERYBODY: np.ones(growth.size, dtype=bool), SLOW: growth <= middle, FAST: growth > middle}
    numbers: dict[Key, float] = {}
    for group, belongs in groups.items():
        free = mean_months_free(results[untreated], belongs)
        numbers["free", group] = free
        numbers["doubling", group] = np.log(2.0) / float(np.median(growth[belongs & early]))
        for share in shares:
            arm = irradiated(share)
            numbers["gain", f"{group}, {arm}"] = mean_months_free(results[arm], belongs) - free
    for dose, arm in doses.items():
        numbers["gain", dose] = mean_months_free(results[arm], groups[EVERYBODY]) - numbers["free", EVERYBODY]
    for order in orders:
        last, line_before = results[order], results[before.get(order, order)]
        keep = begins_early(line_before)
        held = mean_months_free(last, keep)
        numbers["response", order] = 100.0 * response_rate(last, keep)
        numbers["last line", order] = held
        numbers["failed", order] = months_until_failure(line_before, last) if order in before else held
    return numbers


@dataclass(frozen=True, eq=False)
class Irradiation:
    """Every number at the estimate and at the draws, along the shares in the field."""

    shares: tuple[float, ...]
    posterior: Posterior[Results, Mapping[Key, float]]

    def draws_of(self, what: str, where: str) -> np.ndarray:
        """A number at every draw, without the Monte Carlo error of few patients."""
        low, high = (-HORIZON, HORIZON) if what == "gain" else (0.0, 100.0)
        return self.posterior.numbers(lambda numbers: numbers[what, where], low, high).centred

    def estimate(self, what: str, where: str) -> Estimate:
        """A number with its 95 % interval over posterior draws."""
        return Estimate(self.posterior.value[what, where], *interval(self.draws_of(what, where)))

    def difference(self, what: str, where: str, against: str) -> Estimate:
        """A number less the same elsewhere, paired draw by draw."""
        value = self.posterior.value[what, where] - self.posterior.value[what, against]
        return Estimate(value, *interval(self.draws_of(what, where) - self.draws_of(what, against)))

    def gain(self, share: float, group: str = EVERYBODY) -> Estimate:
        """Months gained until the next progression, with this share in the field."""
        return self.estimate("gain", f"{group}, {irradiated(share)}")

    def needed(self, group: str = EVERYBODY, worth: float = WORTH) -> Estimate:
        """Percent of the tumour that must lie in the field for a gain of so many months; infinite if all is too few."""
        places = [f"{group}, {irradiated(share)}" for share in self.shares]
        value = self._crossing([self.posterior.value["gain", place] for place in places], worth)
        gains = np.array([self.draws_of("gain", place) for place in places]).T
        return Estimate(value, *interval(np.array([self._crossing(list(row), worth) for row in gains])))

    def _crossing(self, gains: Sequence[float], worth: float) -> float:
        """By interpolation from no field and no gain."""
        rising = np.maximum.accumulate([0.0, *gains])
        at = 100.0 * np.array([0.0, *self.shares])
        return float(np.interp(worth, rising, at)) if rising[-1] >= worth else np.inf
