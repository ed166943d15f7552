"""Radiotherapy of a share of the tumour at the first progression after CAR-T cells, and a next line before or after."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from perdure.experiments.projection import Estimate
from perdure.fitting.anchored import anchored, interval
from perdure.model.endpoints import Visits
from perdure.model.imwg import PR
from perdure.model.language.sentence import read_plan
from perdure.model.lines import LineOutcomes, follow_line
from perdure.model.simulate import Solver
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import Draws, draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH

POPULATION = "late_line"
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HALF, MOST = 0.5, 0.9
"""Shares in the field that are followed into the next line."""
HORIZON = 18.0
"""Months: everything is restricted to so long after the first progression, in those who come to it within as long."""
WORTH = 1.0
"""Months: a gain that is shorter than the gap between two visits is called futile."""
FIRST, USUAL = "ide-cel; at progression ", "radiotherapy 4 Gy days 0-4"
DOSES = {
    "8 Gy once": "radiotherapy 8 Gy day 0",
    "20 Gy in 5": USUAL,
    "30 Gy in 10": "radiotherapy 3 Gy days 0-4; radiotherapy 3 Gy days 7-11",
}
LATER = "; at progression talquetamab"
EVERYBODY, SLOW, FAST = "everybody", "slower half", "faster half"
GROUPS = (EVERYBODY, SLOW, FAST)
AT_ONCE, WATCH = "talquetamab at once", "no treatment, then talquetamab"
FIRST_HALF, FIRST_MOST = "half irradiated, then talquetamab", "90 % irradiated, then talquetamab"
WITH_HALF, WITH_MOST = "half irradiated and talquetamab at once", "90 % irradiated and talquetamab at once"
OPTIONS = (AT_ONCE, WATCH, FIRST_HALF, FIRST_MOST, WITH_HALF, WITH_MOST)
UNTREATED = "no treatment"
Key = tuple[str, str]
"""What is measured, and where: a group and share, a dose, or an option."""


def key_of(group: str, share: float) -> str:
    """Where a gain is measured: a group of patients with a share of the tumour (0 to 1) in the field."""
    return f"{group}, {100 * share:g} % in the field"


@dataclass(frozen=True, eq=False)
class People:
    """Virtual patients with what stays the same in all that is given to them."""

    values: Mapping[str, np.ndarray]
    draws: Draws

    def follow(self, words: str, share: float = 0.0) -> LineOutcomes:
        """The last line of a plan, with this share of the tumour in the field; none means no radiotherapy at all."""
        changed = {**self.values, "fraction_in_field_radiotherapy": np.full(self.draws.n, share)}
        if share == 0.0:
            changed["max_inhibition_suppression_radiotherapy"] = np.zeros(self.draws.n)
        visits, solver = Visits(28.0, HORIZON), Solver(rtol=1e-4, workers=1)
        return follow_line(changed, self.draws, read_plan(FIRST + words), visits=visits, solver=solver)


def months_free(line: LineOutcomes) -> np.ndarray:
    """Months (2, n) without progression or death from the start of a line, at most `HORIZON`."""
    day = np.minimum(line.outcomes.progression(), line.outcomes.death)
    return np.minimum(day / DAYS_PER_MONTH, HORIZON)


def weights(line: LineOutcomes) -> np.ndarray:
    """Weights (2, n) of who comes to a line; zero for the others."""
    return np.where(np.isfinite(line.since), line.outcomes.weight * line.outcomes.usable, 0.0)


def months_until_failure(before: LineOutcomes, last: LineOutcomes) -> float:
    """Mean months from the start of the line before until the last line has failed or the patient is dead.

    Who never comes to the last line counts until death, or `HORIZON`.
    """
    came, wait = np.isfinite(last.since), (last.since - before.since) / DAYS_PER_MONTH
    early = early_relapse(before)
    total = np.where(came, np.minimum(np.nan_to_num(wait) + months_free(last), HORIZON), 0.0)
    weight, others = weights(last) * early, weights(before) * early * ~came
    return float((np.sum(weight * total) + np.sum(others * months_free(before))) / (np.sum(weight) + np.sum(others)))


def early_relapse(line: LineOutcomes) -> np.ndarray:
    """Whether (n,) the line begins so early that what follows can be seen to the end."""
    return np.nan_to_num(line.since, nan=np.inf) <= HORIZON * DAYS_PER_MONTH


def numbers(parameters: ParameterSet, patients: int, seed: int, shares: Sequence[float] = SHARES) -> dict[Key, float]:
    """Everything that is measured, with one set of parameters."""
    people = draw(parameters, patients, seed)
    one = People(make_patients(parameters, people, product=("ide_cel",), population=POPULATION), people)
    shares = tuple(sorted({*shares, HALF, MOST}))
    jobs: dict[str, tuple[str, float]] = {UNTREATED: (USUAL, 0.0)}
    jobs |= {key_of(EVERYBODY, share): (USUAL, share) for share in shares}
    jobs |= {dose: (words, HALF) for dose, words in DOSES.items() if words != USUAL}
    jobs |= {AT_ONCE: ("talquetamab", 0.0), WATCH: (USUAL + LATER, 0.0)}
    jobs |= {FIRST_HALF: (USUAL + LATER, HALF), FIRST_MOST: (USUAL + LATER, MOST)}
    jobs |= {WITH_HALF: (f"talquetamab; {USUAL}", HALF), WITH_MOST: (f"talquetamab; {USUAL}", MOST)}
    with ThreadPoolExecutor(2) as pool:
        lines = dict(zip(jobs, pool.map(lambda job: one.follow(*job), jobs.values()), strict=True))
    untreated = lines[UNTREATED]
    growth = one.values["k_growth_tumour"]
    middle = np.median(growth[early_relapse(untreated)])
    groups = {EVERYBODY: np.ones(people.n, dtype=bool), SLOW: growth <= middle, FAST: growth > middle}
    found: dict[Key, float] = {("relapse", "within the horizon"): 100.0 * float(np.mean(early_relapse(untreated)))}
    for group, belongs in groups.items():
        base = _mean(untreated, belongs)
        found["free", group] = base
        found["doubling", group] = np.log(2.0) / float(np.median(growth[belongs & early_relapse(untreated)]))
        for share in shares:
            found["gain", key_of(group, share)] = _mean(lines[key_of(EVERYBODY, share)], belongs) - base
    lines[next(name for name, words in DOSES.items() if words == USUAL)] = lines[key_of(EVERYBODY, HALF)]
    found |= {("gain", dose): _mean(lines[dose], groups[EVERYBODY]) - found["free", EVERYBODY] for dose in DOSES}
    before = {
        WATCH: untreated, FIRST_HALF: lines[key_of(EVERYBODY, HALF)], FIRST_MOST: lines[key_of(EVERYBODY, MOST)]
    }  # fmt: skip
    for option in OPTIONS:
        last = lines[option]
        keep = early_relapse(before.get(option, last))
        weight = weights(last) * keep
        found["response", option] = 100.0 * float(np.sum(weight * (last.outcomes.best >= PR)) / np.sum(weight))
        found["on talquetamab", option] = _mean(last, keep)
        found["failed", option] = (
            months_until_failure(before[option], last) if option in before else found["on talquetamab", option]
        )
    return found


def _mean(line: LineOutcomes, belongs: np.ndarray) -> float:
    weight = weights(line) * belongs
    if line.number == 2:
        weight = weight * early_relapse(line)
    return float(np.sum(weight * months_free(line)) / np.sum(weight))


@dataclass(frozen=True, eq=False)
class Irradiated:
    """Every number at the estimate (many and few patients) and at the draws."""

    shares: tuple[float, ...]
    best: Mapping[Key, float]
    few: Mapping[Key, float]
    drawn: Sequence[Mapping[Key, float]]

    def _draws(self, key: Key) -> np.ndarray:
        values = np.array([one[key] for one in self.drawn])
        low, high = (-HORIZON, HORIZON) if key[0] == "gain" else (0.0, 100.0)
        return anchored(self.best[key], values, self.few[key], low, high)

    def estimate(self, what: str, where: str) -> Estimate:
        """A number with its 95 % interval over posterior draws."""
        return Estimate(self.best[what, where], *interval(self._draws((what, where))))

    def difference(self, what: str, where: str, against: str) -> Estimate:
        """A number less the same elsewhere, paired draw by draw."""
        value = self.best[what, where] - self.best[what, against]
        return Estimate(value, *interval(self._draws((what, where)) - self._draws((what, against))))

    def gain(self, share: float, group: str = EVERYBODY) -> Estimate:
        """Months gained until the next progression, with this share in the field."""
        return self.estimate("gain", key_of(group, share))

    def needed(self, group: str = EVERYBODY, worth: float = WORTH) -> Estimate:
        """Percent of the tumour that must lie in the field for a gain of so many months; infinite if all is too few."""
        keys = [("gain", key_of(group, share)) for share in self.shares]
        value = self._crossing([self.best[key] for key in keys], worth)
        drawn = np.array([self._draws(key) for key in keys]).T
        return Estimate(value, *interval(np.array([self._crossing(list(row), worth) for row in drawn])))

    def _crossing(self, gains: Sequence[float], worth: float) -> float:
        """By interpolation from no field and no gain."""
        rising = np.maximum.accumulate([0.0, *gains])
        at = 100.0 * np.array([0.0, *self.shares])
        return float(np.interp(worth, rising, at)) if rising[-1] >= worth else np.inf
