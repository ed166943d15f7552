"""R-hat, effective sample size, and Pareto-k.

Rank-normalised split R-hat and bulk and tail effective sample sizes after Vehtari, Gelman, Simpson, Carpenter and
Bürkner 2021 (Bayesian Analysis 16:667); Pareto-smoothed importance sampling after Vehtari, Simpson, Gelman, Yao and
Gabry 2024 (JMLR 25:72), its generalised Pareto fit after Zhang and Stephens 2009 (Technometrics 51:316).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from ...parameters.errors import RangeError

R_HAT_LIMIT = 1.01
"""Above it chains have not met (Vehtari 2021)."""

ESS_LIMIT = 400.0
"""Below it the diagnostics themselves are not to be trusted (Vehtari 2021: 100 for each of four chains)."""

PARETO_LIMIT = 0.7
"""Above it a mean under the weights is not to be trusted (Vehtari 2024)."""

FEWEST_DRAWS = 4
"""Two in either half of a chain: fewer have no variance."""


@dataclass(frozen=True, eq=False)
class Convergence:
    """Diagnostics of every number; arrays (numbers,)."""

    r_hat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray

    @property
    def converged(self) -> bool:
        """Whether every number is inside both limits."""
        enough = np.minimum(self.ess_bulk, self.ess_tail) >= ESS_LIMIT
        return bool(np.all((self.r_hat <= R_HAT_LIMIT) & enough))


def convergence(chains: np.ndarray) -> Convergence:
    """Diagnose chains, array (draws, chains, numbers); a number that never moves has R-hat and sizes NaN."""
    chains = np.asarray(chains, dtype=float)
    if chains.ndim != 3 or chains.shape[0] < FEWEST_DRAWS:
        raise RangeError(
            f"chains = an array of shape {chains.shape}; expected (draws, chains, numbers), "
            f"with {FEWEST_DRAWS} draws or more."
        )
    diagnostics = [(r_hat(chain), ess_bulk(chain), ess_tail(chain)) for chain in np.moveaxis(chains, 2, 0)]
    columns = np.array(diagnostics).reshape(-1, 3).T
    return Convergence(*columns)


def r_hat(chains: np.ndarray) -> float:
    """Larger of the rank-normalised split R-hat of a number, (draws, chains), and of its distance from the median."""
    folded = np.abs(chains - np.median(chains))
    return float(np.maximum(_r_hat(_normal_scores(_split(chains))), _r_hat(_normal_scores(_split(folded)))))


def ess_bulk(chains: np.ndarray) -> float:
    """Effective sample size for the centre of a number, (draws, chains): that of its normal scores, halves apart."""
    return ess(_normal_scores(_split(chains)))


def ess_tail(chains: np.ndarray) -> float:
    """Smaller of the effective sample sizes for the 5 % and the 95 % quantile of a number, (draws, chains)."""
    halves = _split(chains)
    return min(ess((halves <= np.quantile(chains, level)).astype(float)) for level in (0.05, 0.95))


def ess(chains: np.ndarray) -> float:
    """Effective sample size of the mean of chains (draws, chains), by Geyer's initial monotone sequence (Geyer 1992).

    At most draws log10(draws), as in Vehtari 2021, for chains that alternate. NaN if nothing moves.
    """
    draws, count = chains.shape
    covariance = _autocovariance(chains)
    within = covariance[0].mean() * draws / (draws - 1.0)
    between = chains.mean(axis=0).var(ddof=1) if count > 1 else 0.0
    total = within * (draws - 1.0) / draws + between
    if not total > 0.0:
        return float("nan")
    correlation = 1.0 - (within - covariance.mean(axis=1) * draws / (draws - 1.0)) / total
    correlation[0] = 1.0
    pairs = correlation[: draws // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs < 0.0)
    kept = np.minimum.accumulate(pairs[: negative[0] if negative.size else None])
    size = draws * count
    time = max(-1.0 + 2.0 * float(kept.sum()), 1.0 / np.log10(size))
    return size / time


def _autocovariance(chains: np.ndarray) -> np.ndarray:
    """Of every chain at every lag, (draws, chains), divided by the number of draws; by fast Fourier transform."""
    draws = len(chains)
    padded = 1 << (2 * draws - 1).bit_length()
    spectrum = np.fft.rfft(chains - chains.mean(axis=0), n=padded, axis=0)
    return np.fft.irfft(np.abs(spectrum) ** 2, n=padded, axis=0)[:draws] / draws


def _split(chains: np.ndarray) -> np.ndarray:
    """Halves of chains as chains of their own; the middle draw of an odd number is left out."""
    half = len(chains) // 2
    return np.concatenate([chains[:half], chains[-half:]], axis=1)


def _normal_scores(chains: np.ndarray) -> np.ndarray:
    """Ranks over all chains as quantiles of the standard normal, with the offset 3/8 (Blom 1958)."""
    ranks = rankdata(chains, method="average").reshape(chains.shape)
    return ndtri((ranks - 0.375) / (chains.size + 0.25))


def _r_hat(chains: np.ndarray) -> float:
    """Root of the pooled variance over that within chains (Gelman and Rubin 1992)."""
    draws = len(chains)
    within = chains.var(axis=0, ddof=1).mean()
    between = chains.mean(axis=0).var(ddof=1)
    if within > 0.0:
        return float(np.sqrt((draws - 1.0) / draws + between / within))
    return float("inf") if between > 0.0 else float("nan")


def nested_r_hat(chains: np.ndarray) -> np.ndarray:
    """Nested R-hat (numbers,) of groups of chains, (groups, draws, chains, numbers), after Margossian et al. 2024.

    It asks whether the means of the groups agree, not of the chains: many short chains that together know the posterior
    well pass. Half of the runs are not set apart, so give what is left after burn-in.
    """
    if chains.ndim != 4 or min(chains.shape[:3]) < 2:
        raise RangeError(f"chains = an array of shape {chains.shape}; expected (groups, draws, chains, numbers).")
    means = chains.mean(axis=1)
    between = means.mean(axis=1).var(axis=0, ddof=1)
    within = (means.var(axis=1, ddof=1) + chains.var(axis=1, ddof=1).mean(axis=1)).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(1.0 + between / within)


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Importance weights (draws,) that add up to 1, and the shape of their tail."""

    weights: np.ndarray
    k_hat: float

    @property
    def effective(self) -> float:
        """Effective number of draws (Kong 1992)."""
        return float(1.0 / np.sum(self.weights**2))


def pareto_smoothed(log_weights: np.ndarray) -> Smoothed:
    """Weights whose largest are replaced by quantiles of a generalised Pareto fitted to them.

    With fewer than 25 draws no tail can be fitted: the weights stay as they are, and k-hat is infinite.
    """
    logs = np.asarray(log_weights, dtype=float) - np.max(log_weights)
    draws = logs.size
    tail = int(min(0.2 * draws, 3.0 * np.sqrt(draws)))
    weights = np.exp(logs)
    if tail < 5:
        return Smoothed(weights / weights.sum(), float("inf"))
    order = np.argsort(logs)
    largest, border = order[-tail:], weights[order[-tail - 1]]
    beyond = weights[largest] - border
    if beyond[-1] <= 1e-12 or np.ptp(beyond) <= 1e-12 * beyond[-1]:
        return Smoothed(weights / weights.sum(), float("-inf"))
    shape, scale = _pareto_fit(np.maximum(beyond, 1e-300))
    places = (np.arange(tail) + 0.5) / tail
    if abs(shape) < 1e-8:
        quantiles = -scale * np.log1p(-places)
    else:
        quantiles = scale * np.expm1(-shape * np.log1p(-places)) / shape
    weights[largest] = np.minimum(border + quantiles, 1.0)
    return Smoothed(weights / weights.sum(), float(shape))


def _pareto_fit(values: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto distribution from sorted values > 0 (Zhang and Stephens 2009).

    The shape is drawn to 0.5 as by ten observations more (Vehtari 2024, its prior for short tails).
    """
    n = len(values)
    count = 30 + int(np.sqrt(n))
    quartile = values[int(n / 4.0 + 0.5) - 1]
    grid = 1.0 - np.sqrt(count / (np.arange(count) + 0.5))
    grid = grid / (3.0 * quartile) + 1.0 / values[-1]
    shapes = np.log1p(-grid[:, None] * values).mean(axis=1)
    profile = n * (np.log(-grid / shapes) - shapes - 1.0)
    weights = np.exp(profile - np.logaddexp.reduce(profile))
    theta = float(np.sum(grid * weights))
    shape = float(np.log1p(-theta * values).mean())
    scale = -shape / theta
    return (n * shape + 10.0 * 0.5) / (n + 10.0), scale
