"""Agreement of two samplers on one posterior, and posterior correlations between parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import RangeError

NOTABLE = 0.5
"""Correlations below it are left unsaid: a quarter of the variance, and no more than a quarter, is shared."""


@dataclass(frozen=True)
class Difference:
    """How far two sets of draws of a number lie apart: means in SDs of the first set, and ratio of the SDs."""

    name: str
    mean: float
    sd_ratio: float


@dataclass(frozen=True)
class Agreement:
    """Differences of every number, and those that are largest.

    Attributes
    ----------
    differences
        In the order of the numbers.
    expected
        SD of the difference of means that sampling alone would give, in posterior SDs; two and a half of it is usual
        for the largest of a hundred.
    """

    differences: tuple[Difference, ...]
    expected: float

    @property
    def furthest(self) -> Difference:
        """The number whose means differ most."""
        return max(self.differences, key=lambda difference: abs(difference.mean))

    @property
    def widest(self) -> Difference:
        """The number whose SDs differ most."""
        return max(self.differences, key=lambda difference: abs(np.log(difference.sd_ratio)))

    @property
    def root_mean_square(self) -> float:
        """Of the differences of means, in posterior SDs."""
        return float(np.sqrt(np.mean([difference.mean**2 for difference in self.differences])))

    @property
    def text(self) -> str:
        """In one sentence."""
        far, wide = self.furthest, self.widest
        return (
            f"Means of {len(self.differences)} numbers differ by {self.root_mean_square:.2f} posterior SDs (root mean "
            f"square; {self.expected:.2f} expected of the draws' number alone), most in {far.name} ({far.mean:+.2f}); "
            f"SDs differ most in {wide.name} (ratio {wide.sd_ratio:.2f})."
        )


def agreement(
    names: Sequence[str], first: np.ndarray, second: np.ndarray, *, sizes: tuple[float, float] | None = None
) -> Agreement:
    """Compare two sets of draws (draws, numbers) of the same posterior.

    `sizes` are the effective numbers of draws; without them every draw counts as independent.
    """
    for draws in (first, second):
        if draws.ndim != 2 or draws.shape[1] != len(names) or len(draws) < 2:
            raise RangeError(f"draws = an array of shape {draws.shape}; expected (two draws or more, {len(names)}).")
    sd_first, sd_second = first.std(axis=0, ddof=1), second.std(axis=0, ddof=1)
    means = (second.mean(axis=0) - first.mean(axis=0)) / sd_first
    rows = zip(names, means, sd_second / sd_first, strict=True)
    n_first, n_second = sizes or (len(first), len(second))
    expected = float(np.sqrt(1.0 / n_first + 1.0 / n_second))
    return Agreement(tuple(Difference(name, float(mean), float(ratio)) for name, mean, ratio in rows), expected)


@dataclass(frozen=True)
class Tie:
    """Posterior correlation of two parameters."""

    first: str
    second: str
    correlation: float

    @property
    def text(self) -> str:
        """What the evidence says about the two together, in a sentence."""
        share = f"correlation {self.correlation:+.2f}"
        if self.correlation > 0:
            together = f"{self.first} and {self.second} rise together"
            return f"{together} ({share}): the evidence fixes their difference better."
        return f"{self.first} falls as {self.second} rises ({share}): the evidence fixes their sum better."


def correlations(draws: np.ndarray) -> np.ndarray:
    """Correlation matrix (numbers, numbers) of draws (draws, numbers), in prior SDs; 0 where a number does not vary."""
    away = draws - draws.mean(axis=0)
    scale = np.sqrt(np.sum(away**2, axis=0))
    scaled = np.divide(away, scale, out=np.zeros_like(away), where=scale > 0)
    matrix = np.clip(scaled.T @ scaled, -1.0, 1.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def strongest(names: Sequence[str], draws: np.ndarray, *, most: int = 10, least: float = NOTABLE) -> tuple[Tie, ...]:
    """At most so many pairs of numbers with a correlation of at least so much, strongest first."""
    matrix = correlations(draws)
    rows, columns = np.triu_indices(len(names), k=1)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    ties = [Tie(names[i], names[j], float(matrix[i, j])) for i, j in pairs]
    kept = [tie for tie in ties if abs(tie.correlation) >= least]
    return tuple(sorted(kept, key=lambda tie: -abs(tie.correlation))[:most])
