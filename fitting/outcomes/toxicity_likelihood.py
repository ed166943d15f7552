"""A hierarchy of studies: binomial events, a slope that all share, and what each study differs by on the logit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logit

from ...parameters.errors import FitError
from .toxicity_evidence import Contrast, ToxicityEvidence

SHARED = ("logit_any", "logit_share", "log_slope", "log_spread")


@dataclass(frozen=True)
class ToxicityPrior:
    """Weakly informative priors, all assumed.

    Attributes
    ----------
    logit_sd
        Of the logit of the probability at the reference peak, and of the share of severe cases: nearly flat in both.
    slope
        Median of the slope, by which the log odds rise when the log peak rises by one: a doubled peak is 1.4-fold odds.
        It is positive, so no fit can find a falling risk: higher lymphocyte peaks, a surrogate, went with CRS after
        ide-cel and cilta-cel (Blood Advances 2024, 8:3859, n = 156), higher CAR-T peaks with ICANS after cilta-cel
        (`peaks_by_toxicity.toml`), though there not with CRS (P = 0.13).
    slope_sd
        Of the log of the slope: 95 % between 0.1 and 2.4.
    spread, spread_sd
        Median of the SD between studies on the logit scale, and the SD of its log: 95 % between 0.25 and 2.6.
    """

    logit_sd: float = 1.5
    slope: float = 0.5
    slope_sd: float = 0.8
    spread: float = 0.8
    spread_sd: float = 0.6


@dataclass(frozen=True, eq=False)
class Values:
    """Points of the hierarchy on their natural scales; arrays (m,) and, for what studies differ by, (m, reports)."""

    logit_any: np.ndarray
    logit_share: np.ndarray
    slope: np.ndarray
    spread: np.ndarray
    any_effect: np.ndarray
    share_effect: np.ndarray


@dataclass(frozen=True, eq=False)
class ToxicityHierarchy:
    """Evidence and priors as a likelihood of points in prior SDs: `SHARED`, then one number for each study effect.

    logit P(any) = logit_any + u + slope x with x = ln(peak / reference), averaged over the virtual patients of the
    study; P(severe) the same with P(any) at the reference multiplied by expit(logit_share + v). u and v are normal with
    the same SD; v only where severe cases were reported. Contrasts are taken as of the average study.
    """

    evidence: ToxicityEvidence
    prior: ToxicityPrior = ToxicityPrior()

    def __post_init__(self) -> None:
        """There must be something to fit."""
        if not self.evidence.reports:
            raise FitError(f"no report of {self.evidence.toxicity} has the role 'outcome'; there is nothing to fit.")

    @cached_property
    def with_severe(self) -> np.ndarray:
        """Which reports say how many cases were severe, of any: indices."""
        return np.array([k for k, one in enumerate(self.evidence.reports) if one.severe is not None and one.events > 0])

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(SHARED) + len(self.evidence.reports) + len(self.with_severe)

    def values(self, points: np.ndarray) -> Values:
        """Natural values of points (m, size)."""
        points, prior, count = np.atleast_2d(points), self.prior, len(self.evidence.reports)
        spread = prior.spread * np.exp(prior.spread_sd * points[:, 3])
        effects = spread[:, None] * points[:, len(SHARED) :]
        share = np.zeros((len(points), count))
        if len(self.with_severe):
            share[:, self.with_severe] = effects[:, count:]
        return Values(
            logit_any=prior.logit_sd * points[:, 0],
            logit_share=prior.logit_sd * points[:, 1],
            slope=prior.slope * np.exp(prior.slope_sd * points[:, 2]),
            spread=spread,
            any_effect=effects[:, :count],
            share_effect=share,
        )

    def log_likelihood(self, points: np.ndarray) -> np.ndarray:
        """Log likelihood (m,) of points (m, size), up to a constant."""
        at = self.values(points)
        total = np.zeros(len(at.slope))
        for k, report in enumerate(self.evidence.reports):
            some, severe = rates(
                at.logit_any + at.any_effect[:, k], at.logit_share + at.share_effect[:, k], at.slope, report.log_peaks
            )
            total += _binomial(report.events, report.n, some)
            if report.severe is not None and report.events > 0:
                total += _binomial(report.severe, report.events, severe / some)
        for contrast in self.evidence.contrasts:
            distance = log_ratio_of_medians(at.logit_any, at.slope, contrast) - contrast.log_ratio
            total -= 0.5 * (distance / contrast.error) ** 2
        return total


def rates(
    logit_any: np.ndarray, logit_share: np.ndarray, slope: np.ndarray, log_peaks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expected shares (m,) of patients with the toxicity of any grade and of grade 3 or more; the peaks are (q,)."""
    rise = slope[:, None] * log_peaks[None, :]
    logit_severe = logit(np.clip(expit(logit_any) * expit(logit_share), 1e-12, 1.0 - 1e-12))
    return expit(logit_any[:, None] + rise).mean(axis=1), expit(logit_severe[:, None] + rise).mean(axis=1)


def log_ratio_of_medians(logit_any: np.ndarray, slope: np.ndarray, contrast: Contrast) -> np.ndarray:
    """Log ratio (m,) of the median peak of patients with the toxicity to that of the others."""
    chance = expit(logit_any[:, None] + slope[:, None] * contrast.log_peaks[None, :])
    return _weighted_median(contrast.log_peaks, chance) - _weighted_median(contrast.log_peaks, 1.0 - chance)


def _weighted_median(rising: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median (m,) of rising values (q,) with weights (m, q), linear between the middles of their weights."""
    middle = np.cumsum(weights, axis=1) - 0.5 * weights
    middle /= weights.sum(axis=1, keepdims=True)
    above = np.clip((middle >= 0.5).argmax(axis=1), 1, len(rising) - 1)
    rows = np.arange(len(weights))
    low, high = middle[rows, above - 1], middle[rows, above]
    part = np.clip((0.5 - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return rising[above - 1] + part * (rising[above] - rising[above - 1])


def _binomial(events: float, n: float, share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 1e-12, 1.0 - 1e-12)
    return events * np.log(share) + (n - events) * np.log1p(-share)
