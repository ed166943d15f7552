"""Tempered sequential Monte Carlo (Del Moral, Doucet and Jasra 2006): from the prior to the posterior in small steps.

Particles start as draws of the prior. The likelihood is raised to a power that grows from 0 to 1, each time so far that
a set effective share of the particles is left (Jasra 2011); they are resampled systematically (Kitagawa 1996) and moved
by Metropolis-Hastings steps until they have forgotten where they were. Nothing is known beforehand, neither optimum nor
covariance. So it judges the ensemble sampler, finds several modes with their weights, and gives the evidence integral.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...parameters.errors import FitError, RangeError
from .search_space import REACH

LogLikelihood = Callable[[np.ndarray], np.ndarray]
"""Log likelihoods (m,) of points (m, numbers) in prior SDs, up to a constant."""

ACCEPTANCE = 0.3
"""Share of proposals to be taken, between the 0.23 and 0.44 that are best for many and for few dimensions."""

FORGOTTEN = 0.95
"""Share of the numbers whose correlation with where they were must be small, before a move ends."""

PAIRS = 0.35
"""Share of moves along the difference of two particles: they know more than one mode, the Gaussian does not."""


@dataclass(frozen=True)
class SmcSettings:
    """How thoroughly to sample.

    Attributes
    ----------
    kept
        Effective share of the particles that a rise of the power leaves.
    correlation
        What correlation with the state before the moves counts as forgotten; not below 2 / sqrt(particles), the noise.
    rounds
        Most moves at one power.
    """

    particles: int = 1000
    kept: float = 0.6
    correlation: float = 0.15
    rounds: int = 60
    seed: int = 1

    def __post_init__(self) -> None:
        """Shares are shares, and a covariance needs particles."""
        if self.particles < 20 or self.rounds < 1 or self.seed < 0:
            raise RangeError(
                f"particles = {self.particles}, rounds = {self.rounds}, seed = {self.seed} of sequential Monte Carlo; "
                "expected at least 20, 1 and 0."
            )
        for name in ("kept", "correlation"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise RangeError(f"{name} = {getattr(self, name)} of sequential Monte Carlo; expected between 0 and 1.")


@dataclass(frozen=True, eq=False)
class SmcRun:
    """Equally likely draws of the posterior, and how they were found.

    Attributes
    ----------
    points
        Array (particles, numbers), in prior SDs.
    log_likelihood
        Of the points, (particles,).
    powers
        Powers of the likelihood, rising to 1, (stages,).
    rounds
        Moves at each power, (stages,).
    acceptance
        Share of proposals that were taken at each power, (stages,).
    remembered
        Correlation with the state before the moves, below which `FORGOTTEN` of the numbers are, (stages,).
    log_evidence
        Log of the mean of the likelihood over the prior, with the constant of the likelihood.
    evaluations
        Points at which the likelihood was computed.
    """

    points: np.ndarray
    log_likelihood: np.ndarray
    powers: np.ndarray
    rounds: np.ndarray
    acceptance: np.ndarray
    remembered: np.ndarray
    log_evidence: float
    evaluations: int

    def draws(self, n: int, seed: int) -> np.ndarray:
        """Draws (n, numbers), each particle at most once if there are enough of them."""
        enough = n <= len(self.points)
        return self.points[np.random.default_rng(seed).choice(len(self.points), size=n, replace=not enough)]


def sample_smc(
    log_likelihood: LogLikelihood,
    numbers: int,
    settings: SmcSettings | None = None,
    *,
    reach: float = REACH,
    progress: Callable[[float], None] | None = None,
) -> SmcRun:
    """Sample the posterior of a likelihood under a standard normal prior, cut at `reach` prior SDs.

    `progress` is told the power that was reached. FitError if no particle of the prior has a finite likelihood.
    """
    settings = settings or SmcSettings()
    cloud = _Cloud(log_likelihood, numbers, reach, settings)
    power, evidence = 0.0, 0.0
    stages: list[tuple[float, int, float, float]] = []
    while power < 1.0:
        rise = _rise(cloud.values, 1.0 - power, settings.kept)
        logs = rise * cloud.values
        evidence += float(np.logaddexp.reduce(logs)) - np.log(len(logs))
        power = min(power + rise, 1.0) if rise < 1.0 - power else 1.0
        cloud.resample(logs)
        stages.append((power, *cloud.move(power)))
        if progress is not None:
            progress(power)
    powers, rounds, acceptance, remembered = np.array(stages).T
    return SmcRun(
        cloud.points, cloud.values, powers, rounds.astype(int), acceptance, remembered, evidence, cloud.evaluations
    )


def sample_smc_from(
    log_likelihood: LogLikelihood, mean: np.ndarray, covariance: np.ndarray, settings: SmcSettings | None = None
) -> SmcRun:
    """As `sample_smc`, from a Gaussian like the posterior instead of the prior: fewer stages, the same target.

    The Gaussian should be wider than the posterior. Where many similar posteriors are sampled, that of one starts the
    others. The powers are those of posterior over Gaussian; `log_likelihood` of the run is that of the points.
    """
    root = np.linalg.cholesky(covariance)
    constant = float(np.log(np.diag(root)).sum())

    def ratio(scaled: np.ndarray) -> np.ndarray:
        points = mean + scaled @ root.T
        values = np.full(len(points), -np.inf)
        inside = np.abs(points).max(axis=1) <= REACH
        if inside.any():
            values[inside] = log_likelihood(points[inside])
        return values + 0.5 * np.sum(scaled**2 - points**2, axis=1) + constant

    run = sample_smc(ratio, len(mean), settings, reach=np.inf)
    points = mean + run.points @ root.T
    likelihood = run.log_likelihood - constant + 0.5 * np.sum(points**2 - run.points**2, axis=1)
    return replace(run, points=points, log_likelihood=likelihood)


def _rise(values: np.ndarray, most: float, kept: float) -> float:
    """Largest rise of the power that leaves an effective share `kept`, by bisection."""

    def share(rise: float) -> float:
        weights = np.exp(rise * (values - values.max()))
        return float(weights.sum() ** 2 / np.sum(weights**2)) / len(values)

    if share(most) >= kept:
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= kept else (low, middle)
    return max(low, 1e-12)


class _Cloud:
    """The particles of a run: where they are, their likelihoods, and the size of their steps."""

    def __init__(self, log_likelihood: LogLikelihood, numbers: int, reach: float, settings: SmcSettings) -> None:
        self.ask = log_likelihood
        self.reach = reach
        self.settings = settings
        self.rng = np.random.default_rng(settings.seed)
        self.evaluations = 0
        self.step = np.array([0.9, 2.38 / np.sqrt(2.0 * numbers)])  # of a Gaussian move, and along a pair
        points = self.rng.standard_normal((settings.particles, numbers))
        while (outside := np.abs(points) > reach).any():
            points[outside] = self.rng.standard_normal(int(outside.sum()))
        self.points = points
        self.values = self._likelihood(points)
        if not np.isfinite(self.values).any():
            raise FitError(
                "no particle of the prior has a finite likelihood; check the likelihood at the prior median."
            )

    def _likelihood(self, points: np.ndarray) -> np.ndarray:
        values = np.full(len(points), -np.inf)
        inside = np.abs(points).max(axis=1) <= self.reach
        if inside.any():
            likelihoods = np.asarray(self.ask(points[inside]), dtype=float)
            values[inside] = np.where(np.isnan(likelihoods), -np.inf, likelihoods)
            self.evaluations += int(inside.sum())
        return values

    def resample(self, logs: np.ndarray) -> None:
        """Replace the particles by as many, each on average as often as its weight says."""
        weights = np.exp(logs - logs.max())
        places = (self.rng.random() + np.arange(len(weights))) / len(weights)
        reached = np.cumsum(weights) / weights.sum()
        chosen = np.minimum(np.searchsorted(reached, places), len(weights) - 1)
        self.points, self.values = self.points[chosen], self.values[chosen]

    def move(self, power: float) -> tuple[int, float, float]:
        """Move all particles until they forgot where they were: number of moves, acceptance, what they remember.

        The Gaussian and the pairs are those of the start of the moves, so that every move leaves the target as it is.
        At the last power they move twice as often.
        """
        start, level = self.points, np.append(self.points, self.values[:, None], axis=1)
        mean, root, inverse = _gaussian(start, len(np.unique(self.values)))
        limit = max(self.settings.correlation, 2.0 / np.sqrt(len(start)))
        taken, done, remembered, planned = 0.0, 0, 1.0, self.settings.rounds
        while done < planned:
            taken += self._once(power, start, mean, root, inverse)
            done += 1
            now = np.append(self.points, self.values[:, None], axis=1)
            remembered = float(np.quantile(_correlation(level, now), FORGOTTEN))
            if remembered <= limit and planned == self.settings.rounds:
                planned = done if power < 1.0 else 2 * done
        return done, taken / done, remembered

    def _once(self, power: float, start: np.ndarray, mean: np.ndarray, root: np.ndarray, inverse: np.ndarray) -> float:
        """Move every particle once, either by the Gaussian or by a pair; adapt both steps; returns the acceptance."""
        rng, count = self.rng, len(start)
        paired = rng.random(count) < PAIRS
        before = (self.points - mean) @ inverse.T
        step = self.step[0] * rng.random((count, 1)) ** 0.5
        after = np.sqrt(1.0 - step**2) * before + step * rng.standard_normal(before.shape)
        proposal = mean + after @ root.T
        factor = np.where(paired, 0.0, 0.5 * np.sum(after**2 - before**2, axis=1))
        first, second = rng.integers(count, size=(2, count))
        length = np.where(rng.random(count) < 0.1, 1.0, self.step[1] * rng.random(count) * 2.0)
        proposal[paired] = (self.points + length[:, None] * (start[first] - start[second]))[paired]
        values = self._likelihood(proposal)
        with np.errstate(invalid="ignore"):
            gain = power * (values - self.values) - 0.5 * np.sum(proposal**2 - self.points**2, axis=1) + factor
        taken = np.log(rng.random(count)) < gain
        self.points = np.where(taken[:, None], proposal, self.points)
        self.values = np.where(taken, values, self.values)
        usual = length != 1.0
        for k, group in enumerate((~paired, paired & usual)):
            if group.any():
                self.step[k] *= np.exp(taken[group].mean() - ACCEPTANCE)
        self.step = np.minimum(self.step, (1.0, 2.0))
        return float(taken.mean())


def _correlation(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Correlation of every column of two arrays (particles, columns); one that does not vary counts as forgotten."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    scale = np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))
    return np.divide(np.sum(a * b, axis=0), scale, out=np.zeros(len(scale)), where=scale > 0)


def _gaussian(points: np.ndarray, distinct: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of particles, of which so many are distinct, a square root of their covariance, and its inverse.

    Directions whose variance differs from that of most by no more than sampling does (Marchenko and Pastur 1967) get
    that of most: the prior makes a spiked covariance model (Donoho, Gavish and Johnstone 2018), and noise in a hundred
    dimensions would cost acceptance.
    """
    size = points.shape[1]
    mean = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T).reshape(size, size))
    ratio = min(size / distinct, 1.0)
    usual = float(np.median(values)) / (1.0 - ratio / 3.0)  # the median of their law, to within two percent
    noise = (values > usual * (1.0 - ratio**0.5) ** 2) & (values < usual * (1.0 + ratio**0.5) ** 2)
    values = np.where(noise, usual, np.maximum(values, 1e-8))
    return mean, vectors * np.sqrt(values), (vectors / np.sqrt(values)).T
