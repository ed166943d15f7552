"""Relapses after CAR-T cells treated again with one mechanism restored from day 0, and what each restoration gains.

The same virtual patients are treated as they are and with each restoration, and each relapse is sorted by what gains
most; beside it stands the bookkeeping on the day of progression (`model.relapse`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Estimate, Posterior, Sizes, over_posterior
from ..model.relapse import CAUSES
from ..model.simulate import Solver
from ..parameters.parameter_set import ParameterSet
from ..parameters.units import DAYS_PER_MONTH
from .arm import Arm
from .measures import RESTRICTED_MONTHS
from .treat import ArmResult, treat

LEAST = 3.0
"""Months that a restoration must gain to be the main one of a relapse; a choice (three visits)."""
WORTH = 6.0
"""Months of gain by which a restoration is counted as large; a choice."""
BEST_SHARE = 0.1
"""Of the patients, those who are best in a number."""
MIXING = 0.5
"""Rate per day at which cells are mixed again where density is 'held': faster than killing selects, so that the spread
between the cells stays that of day 0 (at 0.5, 2 and 10 per day the results are the same within a month)."""
EXPANSION = ("car_t_capacity", "fraction_engrafted", "k_expansion")
"""What makes cells expand and is the patient's or the product's own."""
NONE = "none alone"
ALIKE: Mapping[str, str] = {
    "antigen low or lost": "antigen", "cells exhausted": "exhaustion", "cells gone": "cells gone",
    "several together": NONE, "never expanded": NONE,
}  # fmt: skip
"""Causes of the bookkeeping beside the mechanisms here. Why cells are gone it does not say, so that they stay apart."""

Patients = Mapping[str, np.ndarray]
Restore = Callable[[Patients, ArmResult], Patients]
"""Other parameters of the patients, from those they have and from how the same patients fared as they are."""


@dataclass(frozen=True)
class Restoration:
    """One mechanism restored from day 0: its name, and how."""

    name: str
    restore: Restore


def scaled(name: str, **factors: float) -> Restoration:
    """Parameters times a factor; zero takes a process away."""
    return Restoration(name, lambda values, real: {key: factor * values[key] for key, factor in factors.items()})


def at_best(
    name: str, *, least: Sequence[str] = (), most: Sequence[str] = (), absent: Sequence[str] = ()
) -> Restoration:  # fmt: skip
    """Parameters at least (or at most) where the best tenth of the patients begins; `absent` are zero in them."""

    def restore(values: Patients, real: ArmResult) -> Patients:
        new = {key: np.maximum(values[key], np.quantile(values[key], 1.0 - BEST_SHARE)) for key in least}
        new |= {key: np.minimum(values[key], np.quantile(values[key], BEST_SHARE)) for key in most}
        return new | {key: np.zeros_like(values[key]) for key in absent}

    return Restoration(name, restore)


def no_escape(name: str) -> Restoration:
    """Cells are mixed all the time, so that killing cannot select, and none can lose BCMA."""

    def restore(values: Patients, real: ArmResult) -> Patients:
        none = np.zeros_like(values["fraction_null_bcma"])
        held = np.full_like(values["k_relaxation_density"], MIXING)
        return {"fraction_null_bcma": none, "probability_loss_bcma": none, "k_relaxation_density": held}

    return Restoration(name, restore)


def best_expansion(name: str) -> Restoration:
    """At least the median of those with the tenth highest peaks; three best tenths at once would be too much."""

    def restore(values: Patients, real: ArmResult) -> Patients:
        peak = real.outcomes.c_max
        best = peak >= np.quantile(peak, 1.0 - BEST_SHARE)
        return {key: np.maximum(values[key], np.median(values[key][best])) for key in EXPANSION}

    return Restoration(name, restore)


def together(*parts: Restoration, name: str = "") -> Restoration:
    """Several restorations at once; they change different parameters."""

    def restore(values: Patients, real: ArmResult) -> Patients:
        return {key: value for part in parts for key, value in part.restore(values, real).items()}

    return Restoration(name or " + ".join(part.name for part in parts), restore)


@dataclass(frozen=True, eq=False)
class Mechanisms:
    """What is restored: each mechanism in full, as it is in the best tenth of the patients, pairs, and all of them.

    Attributes
    ----------
    full, best
        By mechanism: restored as far as it goes, and as it is in the best tenth of the patients.
    whole
        All mechanisms in full at once.
    yardsticks
        Restorations that are no mechanism of their own.
    """

    full: Mapping[str, Restoration]
    best: Mapping[str, Restoration]
    whole: Restoration
    yardsticks: Sequence[Restoration] = ()

    @property
    def single(self) -> tuple[Restoration, ...]:
        """Every restoration that is made alone, once: some are the same in full and as in the best tenth."""
        full = tuple(self.full.values())
        best = (restoration for restoration in self.best.values() if restoration not in full)
        return (*full, *best, *self.yardsticks)

    @cached_property
    def pairs(self) -> Mapping[tuple[str, str], Restoration]:
        """Two mechanisms in full at once, by their names."""
        return {names: together(*(self.full[name] for name in names)) for names in combinations(self.full, 2)}


@dataclass(frozen=True, eq=False)
class Restored:
    """What restorations gain in the relapses of virtual patients at one set of parameters; arrays (n,).

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

    real: ArmResult
    relapses: np.ndarray
    gain: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    everybody: Mapping[str, float]

    def mean(self, values: np.ndarray) -> float:
        """Mean over relapses; NaN if there are none."""
        total = float(self.relapses.sum())
        return float(np.sum(self.relapses * values)) / total if total > 0 else float("nan")

    def mean_gain(self, restoration: Restoration) -> float:
        """Months that a restoration adds to a relapse, mean over relapses."""
        return self.mean(self.gain[restoration.name])

    def percent_kept(self, restoration: Restoration) -> float:
        """Percent of relapses in whose place there is neither progression nor death until month 36."""
        return 100.0 * self.mean(self.kept[restoration.name])

    def main(self, restorations: Mapping[str, Restoration]) -> np.ndarray:
        """Which mechanism gains most, as its place in `restorations`; one more where none gains `LEAST` months."""
        gains = np.stack([self.gain[restoration.name] for restoration in restorations.values()])
        return np.where(gains.max(axis=0) >= LEAST, gains.argmax(axis=0), len(restorations))

    def shares(self, restorations: Mapping[str, Restoration]) -> Mapping[str, float]:
        """Percent of relapses by their main mechanism."""
        main = self.main(restorations)
        return {name: 100.0 * self.mean(main == k) for k, name in enumerate((*restorations, NONE))}

    def several(self, restorations: Mapping[str, Restoration]) -> float:
        """Percent of relapses in which two or more mechanisms would gain `LEAST` months, each alone."""
        enough = np.stack([self.gain[restoration.name] >= LEAST for restoration in restorations.values()])
        return 100.0 * self.mean(enough.sum(axis=0) >= 2)

    @cached_property
    def causes(self) -> np.ndarray:
        """Share of each cause of the bookkeeping (`model.relapse`) in each relapse: array (n, causes)."""
        return self.real.outcomes.cause_shares

    def among(self, keep: np.ndarray) -> ArmResult:
        """The patients as they are, each counted by the probability of a relapse that is kept."""
        known = self.causes.sum(axis=1) > 0
        return self.real.among(np.stack([keep & known & (self.relapses > 0), np.zeros(len(keep))]))

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


def restore(
    given: str,
    population: str,
    restorations: Sequence[Restoration],
    parameters: ParameterSet,
    *,
    patients: int,
    months: float,
    seed: int,
) -> Restored:
    """Treat the same virtual patients as they are and with each restoration.

    One random number per patient decides in every arm whether the tumour is eradicated (with the larger probability
    whenever with the smaller), so that a relapse of the patients as they are has one counterpart with the restoration:
    with eradication probabilities P and Q it is eradicated with probability max(0, Q - P) / (1 - P).

    Parameters
    ----------
    given, population
        What the patients get, in a sentence, and who they are.
    months
        Follow-up; gains are counted until month 36 or its end.
    """

    def treated(arm: Arm) -> ArmResult:
        return treat(
            arm, line=1, parameters=parameters, patients=patients, months=months, seed=seed, solver=Solver(rtol=1e-5),
            keep_courses=False,
        )  # fmt: skip

    real = treated(Arm("as they are", given, population))
    reach = min(RESTRICTED_MONTHS, months)
    before, gone = _free_months(real, reach), real.outcomes.weight[1]
    usable = real.outcomes.usable.copy()
    gain, kept, mean = {}, {}, {}
    for restoration in restorations:
        arm = Arm(restoration.name, given, population, lambda values, r=restoration: r.restore(values, real))
        result = treated(arm)
        after, spared = _free_months(result, reach), result.outcomes.weight[1]
        saved = np.clip((spared - gone) / np.maximum(1.0 - gone, 1e-9), 0.0, 1.0)
        gain[restoration.name] = (1.0 - saved) * after[0] + saved * after[1] - before[0]
        kept[restoration.name] = (1.0 - saved) * (after[0] >= reach) + saved * (after[1] >= reach)
        whole, weight = np.sum(result.outcomes.weight * after, axis=0), real.outcomes.weight
        mean[restoration.name] = whole - np.sum(weight * before, axis=0)
        usable *= result.outcomes.usable  # who fails in one arm counts in none
    relapses = real.outcomes.weight[0] * usable * real.outcomes.cause_shares.sum(axis=1)
    gain, kept, mean = ({key: np.nan_to_num(value) for key, value in part.items()} for part in (gain, kept, mean))
    everybody = {name: float(np.average(value, weights=usable)) for name, value in mean.items()}
    return Restored(real, relapses, gain, kept, everybody)


def _free_months(result: ArmResult, reach: float) -> np.ndarray:
    """Months without progression or death until `reach`: array (2, n)."""
    return np.minimum(np.minimum(result.outcomes.progression(), result.outcomes.death) / DAYS_PER_MONTH, reach)


@dataclass(frozen=True, eq=False)
class Prevention:
    """Every restoration at the estimate and at posterior draws; pairs of them (`combined`) at the estimate only."""

    mechanisms: Mechanisms
    posterior: Posterior[Restored, Restored]
    combined: Restored

    @property
    def value(self) -> Restored:
        """What restorations gain at the estimate."""
        return self.posterior.value

    def percent(self, read: Callable[[Restored], float]) -> Estimate:
        """A number in percent, with its interval over the draws."""
        return self.posterior.estimate(read, 0.0, 100.0)

    def share(self, mechanism: str, restorations: Mapping[str, Restoration] | None = None) -> Estimate:
        """Percent of relapses with this main mechanism, by default of those restored in full."""
        return self.percent(lambda restored: restored.shares(restorations or self.mechanisms.full)[mechanism])

    def booked(self, cause: str) -> Estimate:
        """Percent of relapses that the bookkeeping gives to a cause, or to a mechanism by `ALIKE`."""
        places = [k for k, name in enumerate(CAUSES) if cause in (name, ALIKE[name])]
        return self.percent(lambda restored: 100.0 * restored.mean(restored.causes[:, places].sum(axis=1)))

    def gain(self, restoration: Restoration) -> Estimate:
        """Months that a restoration adds to a relapse."""
        return self.posterior.estimate(lambda restored: restored.mean_gain(restoration))

    def everybody(self, restoration: Restoration) -> Estimate:
        """Months that it adds on average in all patients."""
        return self.posterior.estimate(lambda restored: restored.everybody[restoration.name])

    def worth(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in which it gains at least `WORTH` months."""
        return self.percent(lambda restored: 100.0 * restored.mean(restored.gain[restoration.name] >= WORTH))

    def kept(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in whose place there is neither progression nor death until month 36."""
        return self.percent(lambda restored: restored.percent_kept(restoration))


def prevent(
    given: str,
    population: str,
    mechanisms: Mechanisms,
    calibration: Calibration,
    *,
    sizes: Sizes,
    months: float = RESTRICTED_MONTHS,
) -> Prevention:
    """Restore every mechanism at the estimate and at posterior draws, and pairs of them at the estimate."""

    def restored(restorations: Sequence[Restoration], parameters: ParameterSet, patients: int) -> Restored:
        return restore(given, population, restorations, parameters, patients=patients, months=months, seed=sizes.seed)

    def alone(parameters: ParameterSet, patients: int) -> Restored:
        return restored(mechanisms.single, parameters, patients)

    posterior = over_posterior(alone, lambda restored: restored, calibration, sizes)
    pairs = (*mechanisms.pairs.values(), mechanisms.whole)
    return Prevention(mechanisms, posterior, restored(pairs, calibration.parameters(), sizes.patients))
