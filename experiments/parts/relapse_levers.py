"""The same patients again with one mechanism restored from day 0: what each restoration gains in every relapse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from perdure.experiments.antigen_escape import MIXING
from perdure.experiments.arms.comparison import Arm, treat_arm
from perdure.experiments.arms.measures import RESTRICTED_MONTHS, Treated
from perdure.experiments.projection import Estimate
from perdure.experiments.report.run_files import NumberRow, estimate_row
from perdure.fitting.anchored import anchored, interval
from perdure.model.relapse import CAUSES
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.units import DAYS_PER_MONTH

BOOKS, FULL = "missing on the day of progression", "restored in full from day 0"
BEST_TENTH = "as in the best tenth from day 0"
GIVEN, POPULATION = "ide-cel", "late_line"
LEAST = 3.0
"""Months that a restoration must gain to be the main one of a relapse; a choice (three visits)."""
WORTH = 6.0
"""Months of gain by which a restoration is counted as large; a choice."""
TENTH = 0.1
NONE = "none alone"
ALIKE: Mapping[str, str] = {
    "antigen low or lost": "antigen", "cells exhausted": "exhaustion", "cells gone": "cells gone",
    "several together": NONE, "never expanded": NONE,
}  # fmt: skip
"""Causes of the bookkeeping beside the mechanisms here. Why cells are gone it does not say, so that they stay apart."""
EXPANSION = ("car_t_capacity", "fraction_engrafted", "k_expansion")
"""What makes cells expand and is the patient's or the product's own."""
Restore = Callable[[Mapping[str, np.ndarray], Treated], Mapping[str, np.ndarray]]
"""Other parameters of the patients, from those they have and from how the same patients fared as they are."""


@dataclass(frozen=True)
class Restoration:
    """One mechanism restored from day 0: its name, and how."""

    name: str
    restore: Restore


def scaled(name: str, **factors: float) -> Restoration:
    """Parameters times a factor; zero takes a process away."""
    return Restoration(name, lambda values, real: {one: factor * values[one] for one, factor in factors.items()})


def at_best(
    name: str, *, least: Sequence[str] = (), most: Sequence[str] = (), absent: Sequence[str] = ()
) -> Restoration:  # fmt: skip
    """Parameters at least (or at most) where the best tenth of the patients begins; `absent` are zero in them."""

    def restore(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
        found = {one: np.maximum(values[one], np.quantile(values[one], 1.0 - TENTH)) for one in least}
        found |= {one: np.minimum(values[one], np.quantile(values[one], TENTH)) for one in most}
        return found | {one: np.zeros_like(values[one]) for one in absent}

    return Restoration(name, restore)


def _no_escape(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
    """Cells are mixed anew all the time, so that killing cannot select, and none can lose BCMA (`antigen_escape`)."""
    none = np.zeros_like(values["fraction_null_bcma"])
    held = np.full_like(values["k_relaxation_density"], MIXING)
    return {"fraction_null_bcma": none, "probability_loss_bcma": none, "k_relaxation_density": held}


def _expansion(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
    """At least the median of those with the tenth highest peaks; three best tenths at once would be too much."""
    peak = real.outcomes.c_max
    best = peak >= np.quantile(peak, 1.0 - TENTH)
    return {one: np.maximum(values[one], np.median(values[one][best])) for one in EXPANSION}


_BEST_EXPANSION = Restoration("expansion as in the best tenth", _expansion)
COMPLETE: Mapping[str, Restoration] = {
    "antigen": Restoration("no antigen escape", _no_escape),
    "exhaustion": scaled("cells that never tire", k_exhaustion=0.0),
    "persistence": scaled("cells that persist", immunogenic=0.0, k_death_memory=0.0),
    "expansion": _BEST_EXPANSION,
    "marrow": scaled("no suppression by the marrow", suppression_baseline=0.0),
}
"""Every mechanism of the cells restored as far as it goes; there is no end to expansion, so it is that of the best."""
BEST: Mapping[str, Restoration] = {
    "antigen": at_best(
        "BCMA as in the best tenth", least=["density_bcma"], absent=["fraction_null_bcma", "probability_loss_bcma"]
    ),
    "exhaustion": at_best("tiring as in the best tenth", most=["k_exhaustion"]),
    "persistence": at_best("persistence as in the best tenth", most=["k_death_memory"], absent=["immunogenic"]),
    "expansion": _BEST_EXPANSION,
    "marrow": at_best("marrow as in the best tenth", most=["suppression_baseline"]),
}  # fmt: skip
"""Every mechanism as it is in the best tenth of the patients: restorations of about the same strength."""
FITNESS = scaled("cells that divide without end", fraction_fitness_lost=0.0)
SLOW = scaled("growth halved", k_growth_tumour=0.5)
YARDSTICKS = (FITNESS, SLOW)
"""Not among the five: the wearing out of cells by division, and disease that is slower."""


def together(*parts: Restoration) -> Restoration:
    """Several restorations at once; they change different parameters."""

    def restore(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
        return {name: value for part in parts for name, value in part.restore(values, real).items()}

    return Restoration(" + ".join(part.name for part in parts), restore)


PAIRS: Mapping[tuple[str, str], Restoration] = {
    (first, second): together(COMPLETE[first], COMPLETE[second]) for first, second in combinations(COMPLETE, 2)
}
ALL = Restoration("all five", together(*COMPLETE.values()).restore)
WITH_FITNESS = {**COMPLETE, "fitness": FITNESS}
SINGLE = (*COMPLETE.values(), *(one for one in BEST.values() if one is not _BEST_EXPANSION), *YARDSTICKS)


@dataclass(frozen=True, eq=False)
class Levers:
    """What restorations gain in the relapses of virtual patients; arrays (n,).

    Attributes
    ----------
    real
        The patients as they are.
    relapses
        Probability that a patient's tumour progresses within the follow-up: the relapses that are sorted.
    gain, kept
        By restoration: months of progression-free time that it adds to a relapse until month 36 (or the end of
        follow-up), and probability that neither progression nor death comes until then.
    everybody
        By restoration: months gained, mean of all patients.
    """

    real: Treated
    relapses: np.ndarray
    gain: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    everybody: Mapping[str, float]

    def mean(self, values: np.ndarray) -> float:
        """Mean over relapses; NaN if there are none."""
        total = float(self.relapses.sum())
        return float(np.sum(self.relapses * values)) / total if total > 0 else float("nan")

    def main(self, restorations: Mapping[str, Restoration]) -> np.ndarray:
        """Which mechanism gains most, as its place in `restorations`; one more where none gains `LEAST` months."""
        gains = np.stack([self.gain[one.name] for one in restorations.values()])
        return np.where(gains.max(axis=0) >= LEAST, gains.argmax(axis=0), len(restorations))

    def shares(self, restorations: Mapping[str, Restoration]) -> Mapping[str, float]:
        """Percent of relapses by their main mechanism."""
        main = self.main(restorations)
        return {name: 100.0 * self.mean(main == k) for k, name in enumerate((*restorations, NONE))}

    def several(self, restorations: Mapping[str, Restoration]) -> float:
        """Percent of relapses in which two or more mechanisms would gain `LEAST` months, each alone."""
        enough = np.stack([self.gain[one.name] >= LEAST for one in restorations.values()])
        return 100.0 * self.mean(enough.sum(axis=0) >= 2)

    @cached_property
    def causes(self) -> np.ndarray:
        """Share of each cause of the bookkeeping (`model.relapse`) in each relapse: array (n, causes)."""
        return self.real.outcomes.cause_shares

    def among(self, keep: np.ndarray) -> Treated:
        """The patients as they are, each counted by the probability of a relapse that is kept."""
        shown = self.causes.sum(axis=1) > 0
        return self.real.among(np.stack([keep & shown & (self.relapses > 0), np.zeros(len(keep))]))

    def median(self, values: np.ndarray, keep: np.ndarray) -> float:
        """Median of a number per patient among the relapses that are kept."""
        return self.among(keep).median(np.stack([values, values]))

    @property
    def suppressed(self) -> np.ndarray:
        """The half of the patients with more suppression by the marrow: array (n,) of bool."""
        strength = self.real.patients["suppression_baseline"]
        return strength >= np.median(strength)

    def contrast(self, restoration: Restoration, needy: np.ndarray) -> float:
        """Months that a restoration gains in the relapses of some patients, less those in the others."""
        gain = self.gain[restoration.name]
        means = []
        for keep in (needy, ~needy):
            total = np.sum(self.relapses * keep)
            means.append(np.sum(self.relapses * gain * keep) / total if total > 0 else np.nan)
        return float(means[0] - means[1])


def levers(
    parameters: ParameterSet, restorations: Sequence[Restoration] = SINGLE, *, patients: int, months: float, seed: int
) -> Levers:
    """Treat the same virtual patients as they are and with each restoration.

    One random number per patient decides in every arm whether the tumour is eradicated (with the larger probability
    whenever with the smaller), so that a relapse of the patients as they are has one counterpart with the restoration:
    with eradication probabilities P and Q it is eradicated with probability max(0, Q - P) / (1 - P).
    """
    sizes = {"patients": patients, "months": months, "seed": seed}
    real = treat_arm(Arm("as they are", GIVEN, POPULATION), parameters, **sizes)
    reach = min(RESTRICTED_MONTHS, months)
    before, gone = _free_months(real, reach), real.outcomes.weight[1]
    usable = real.outcomes.usable.copy()
    gain, kept, mean = {}, {}, {}
    for one in restorations:
        arm = Arm(one.name, GIVEN, POPULATION, change=lambda values, one=one: one.restore(values, real))
        outcomes = (treated := treat_arm(arm, parameters, **sizes)).outcomes
        after, spared = _free_months(treated, reach), outcomes.weight[1]
        saved = np.clip((spared - gone) / np.maximum(1.0 - gone, 1e-9), 0.0, 1.0)
        gain[one.name] = (1.0 - saved) * after[0] + saved * after[1] - before[0]
        kept[one.name] = (1.0 - saved) * (after[0] >= reach) + saved * (after[1] >= reach)
        mean[one.name] = np.sum(outcomes.weight * after, axis=0) - np.sum(real.outcomes.weight * before, axis=0)
        usable *= outcomes.usable  # who fails in one arm counts in none
    relapses = real.outcomes.weight[0] * usable * real.outcomes.cause_shares.sum(axis=1)
    clean = [{name: np.nan_to_num(value) for name, value in found.items()} for found in (gain, kept, mean)]
    everybody = {name: float(np.average(value, weights=usable)) for name, value in clean[2].items()}
    return Levers(real, relapses, clean[0], clean[1], everybody)


def _free_months(one: Treated, reach: float) -> np.ndarray:
    """Months without progression or death until `reach`: array (2, n)."""
    return np.minimum(np.minimum(one.outcomes.progression(), one.outcomes.death) / DAYS_PER_MONTH, reach)


@dataclass(frozen=True, eq=False)
class Prevention:
    """Restorations at the estimate, there with as few patients as a draw has, at the draws; pairs at the estimate."""

    best: Levers
    few: Levers
    drawn: Sequence[Levers]
    pairs: Levers

    def over(self, read: Callable[[Levers], float], low: float = -np.inf, high: float = np.inf) -> Estimate:
        """A number at the estimate with the central 95 % of the posterior draws; it cannot lie outside [low, high]."""
        draws = anchored(read(self.best), np.array([read(one) for one in self.drawn]), read(self.few), low, high)
        return Estimate(read(self.best), *interval(draws))

    def percent(self, read: Callable[[Levers], float]) -> Estimate:
        """The same of a number in percent."""
        return self.over(read, 0.0, 100.0)

    def share(self, mechanism: str, restorations: Mapping[str, Restoration] = COMPLETE) -> Estimate:
        """Percent of relapses with this main mechanism."""
        return self.percent(lambda one: one.shares(restorations)[mechanism])

    def booked(self, cause: str) -> Estimate:
        """Percent of relapses that the bookkeeping gives to a cause, or to a mechanism by `ALIKE`."""
        places = [k for k, name in enumerate(CAUSES) if cause in (name, ALIKE[name])]
        return self.percent(lambda one: 100.0 * one.mean(one.causes[:, places].sum(axis=1)))

    def gain(self, restoration: Restoration) -> Estimate:
        """Months that a restoration adds to a relapse."""
        return self.over(lambda one: one.mean(one.gain[restoration.name]))

    def everybody(self, restoration: Restoration) -> Estimate:
        """Months that it adds on average in all patients."""
        return self.over(lambda one: one.everybody[restoration.name])

    def worth(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in which it gains at least `WORTH` months."""
        return self.percent(lambda one: 100.0 * one.mean(one.gain[restoration.name] >= WORTH))

    def kept(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in whose place there is neither progression nor death until month 36."""
        return self.percent(lambda one: 100.0 * one.mean(one.kept[restoration.name]))


def numbers(found: Prevention) -> list[NumberRow]:
    """Every number with an interval, and the pairs at the estimate."""
    rows = [estimate_row(name, "share of relapses, bookkeeping", found.booked(name), "%") for name in CAUSES]
    for way, ones in ((FULL, COMPLETE), (BEST_TENTH, BEST)):
        shown = {f"{name}, {way}": found.share(name, ones) for name in (*ones, NONE)}
        rows += [estimate_row(name, "share of relapses", share, "%") for name, share in shown.items()]
    for one in SINGLE:
        rows.append(estimate_row(one.name, "gain of a relapse", found.gain(one), "months"))
        rows.append(estimate_row(one.name, "gain of all patients", found.everybody(one), "months"))
        rows.append(estimate_row(one.name, f"relapses that gain {WORTH:g} months", found.worth(one), "%"))
        rows.append(estimate_row(one.name, "relapses kept free until month 36", found.kept(one), "%"))
    pairs = found.pairs
    for one in (*PAIRS.values(), ALL):
        rows.append(NumberRow(one.name, "gain of a relapse", pairs.mean(pairs.gain[one.name]), unit="months"))
    return rows
