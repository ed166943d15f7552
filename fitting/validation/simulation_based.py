"""Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari and Gelman 2018): is the sampler right on average?

A truth is drawn from the prior, reports from the truth, and the posterior of these reports is sampled. The rank of the
truth among the draws is then uniform, if likelihood, synthetic reports and sampler belong together. The log likelihood
is ranked too, because it depends on the reports (Modrák et al. 2023). Results that are yes or no and whose opposite
cannot be reported stay as they are: truths are drawn from the prior given that they hold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.stats import binom, chi2

from ...parameters.errors import FitError, RangeError
from ..calibration.search_space import REACH
from ..calibration.smc import SmcSettings, sample_smc
from ..observations import Observation
from .leave_out import LogLikelihoods, Noise
from .synthetic import HELD, synthesise

Sampler = Callable[[Callable[[np.ndarray], np.ndarray], int], np.ndarray]
"""Draws (m, numbers) of the posterior of a log likelihood (points (m, numbers) to (m,)), from a seed."""

MOST_TRIES = 2000
"""Truths drawn for one that agrees with every result that is held."""

LOG_LIKELIHOOD = "log likelihood"
"""Name of the quantity that is ranked beside the numbers."""


@dataclass(frozen=True)
class Calibrated:
    """Ranks of truths among posterior draws.

    Attributes
    ----------
    names
        The numbers, and the log likelihood.
    ranks
        By repeat and name: how many of `draws` posterior draws lie below the truth, 0 to `draws`.
    tries
        Truths that were drawn for the repeats, because results that are held had to hold.
    """

    names: tuple[str, ...]
    ranks: tuple[tuple[int, ...], ...]
    draws: int
    tries: int

    def histogram(self, name: str, bins: int = 10) -> np.ndarray:
        """Counts (bins,) of the ranks of one number."""
        self._check(bins)
        return np.bincount(self._of(name) * bins // (self.draws + 1), minlength=bins)

    def p_values(self, bins: int = 10) -> dict[str, float]:
        """Of the chi-square test of uniform ranks, by name."""
        expected = len(self.ranks) / bins
        return {
            name: float(chi2.sf(np.sum((self.histogram(name, bins) - expected) ** 2) / expected, bins - 1))
            for name in self.names
        }

    def smallest_p(self, bins: int = 10) -> tuple[str, float]:
        """The number furthest from uniform, and its p-value times the number of tests (Bonferroni)."""
        p_values = self.p_values(bins)
        name = min(p_values, key=lambda number: p_values[number])
        return name, min(1.0, p_values[name] * len(p_values))

    def ecdf(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Share of ranks up to each rank, and what is expected: arrays (draws,)."""
        ranks = np.arange(self.draws)
        cumulative = np.searchsorted(np.sort(self._of(name)), ranks, side="right") / len(self.ranks)
        return cumulative, (ranks + 1.0) / (self.draws + 1.0)

    def band(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Simultaneous band (draws,), (draws,) that the whole ECDF of uniform ranks stays in with this probability."""
        return ecdf_band(len(self.ranks), self.draws, level)

    def outside(self, level: float = 0.95) -> tuple[str, ...]:
        """Names whose ECDF leaves the band; of uniform ranks 1 - level of them do."""
        low, high = self.band(level)
        return tuple(name for name in self.names if np.any((self.ecdf(name)[0] < low) | (self.ecdf(name)[0] > high)))

    def _of(self, name: str) -> np.ndarray:
        return np.array([row[self.names.index(name)] for row in self.ranks])

    def _check(self, bins: int) -> None:
        if bins < 2 or (self.draws + 1) % bins:
            raise RangeError(f"bins = {bins} for {self.draws + 1} possible ranks; expected a divisor of them.")


@cache
def ecdf_band(repeats: int, draws: int, level: float = 0.95, simulations: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Simultaneous band of the ECDF of ranks 0 to `draws`, after Säilynoja, Bürkner and Vehtari 2022, by simulation.

    The pointwise level is that at which so many of simulated uniform samples never leave the pointwise intervals.
    """
    expected = (np.arange(draws) + 1.0) / (draws + 1.0)
    rng = np.random.default_rng((repeats, draws))
    ranks = np.sort(rng.integers(draws + 1, size=(simulations, repeats)), axis=1)
    counts = np.stack([np.searchsorted(row, np.arange(draws), side="right") for row in ranks])
    tail = np.minimum(binom.cdf(counts, repeats, expected), binom.sf(counts - 1, repeats, expected))
    pointwise = float(np.quantile(tail.min(axis=1), 1.0 - level))
    low, high = binom.ppf(pointwise, repeats, expected), binom.isf(pointwise, repeats, expected)
    return low / repeats, high / repeats


def simulation_based_calibration(
    names: Sequence[str],
    items: Sequence[Observation],
    models: Callable[[np.ndarray], np.ndarray],
    likelihood_of: Callable[[Sequence[Observation]], LogLikelihoods],
    *,
    repeats: int = 100,
    draws: int = 99,
    prior_sd: float = 1.0,
    sampler: Sampler | None = None,
    noise: Noise | None = None,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Rank `repeats` truths among `draws` posterior draws of reports that follow from them.

    Parameters
    ----------
    names
        Of the numbers, as many as a point has.
    models
        Values (m, items) at points (m, numbers), in the units of the reports.
    likelihood_of
        Weighted log likelihoods for other reports of the same endpoints.
    prior_sd
        Truths and posteriors have a normal prior of this SD, in prior SDs: below 1 where an emulator does not reach.
    noise
        Error of the emulator, if the likelihood allows for it.
    """
    size = len(names)
    sampler = sampler or smc_sampler(size)
    rows, tries = [], 0
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat))
        truth, reports, tried = _truth(items, models, size, prior_sd, noise, rng)
        tries += tried
        terms = likelihood_of(reports)

        def total(scaled: np.ndarray, terms: LogLikelihoods = terms) -> np.ndarray:
            return terms(prior_sd * scaled).sum(axis=1)

        points = sampler(total, int(rng.integers(2**31)))
        if len(points) < draws:
            raise RangeError(f"the sampler gave {len(points)} draws; expected at least {draws}, to rank among.")
        chosen = points[rng.choice(len(points), size=draws, replace=False)]
        below = np.append(np.sum(chosen < truth, axis=0), _rank(total(chosen), total(truth[None, :])[0], rng))
        rows.append(tuple(int(rank) for rank in below))
        if progress is not None:
            progress(repeat + 1, repeats)
    return Calibrated((*names, LOG_LIKELIHOOD), tuple(rows), draws, tries)


def smc_sampler(size: int, settings: SmcSettings | None = None) -> Sampler:
    """Sequential Monte Carlo with few particles."""
    base = settings or SmcSettings(particles=400)

    def sample(log_likelihood: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
        chosen = SmcSettings(base.particles, base.kept, base.correlation, base.rounds, seed)
        return sample_smc(log_likelihood, size, chosen).points

    return sample


def _rank(values: np.ndarray, truth: float, rng: np.random.Generator) -> int:
    """How many values lie below; ties are broken at random."""
    return int(np.sum(values < truth)) + int(rng.integers(int(np.sum(values == truth)) + 1))


def _truth(
    items: Sequence[Observation], models: Callable[[np.ndarray], np.ndarray], size: int, prior_sd: float,
    noise: Noise | None, rng: np.random.Generator,
) -> tuple[np.ndarray, tuple[Observation, ...], int]:  # fmt: skip
    """A point in units of the prior, the reports that follow from it, and how many points were tried."""
    for tried in range(1, MOST_TRIES + 1):
        truth = rng.standard_normal(size)
        if np.abs(truth).max() > REACH:
            continue
        values = models(prior_sd * truth[None, :])
        drawn = synthesise(items, (values if noise is None else noise(values, rng))[0], rng, tempered=True)
        if not drawn.failed:
            return truth, drawn.items, tried
    held = ", ".join(item.id for item in items if item.kind in HELD) or "none is held: the model has no value for some"
    raise FitError(f"none of {MOST_TRIES} truths from the prior agrees with every result that is held ({held}).")
