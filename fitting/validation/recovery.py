"""Parameter recovery: fit reports simulated from known parameters, and count how often the intervals cover them.

Truths are draws of the posterior, so that the question is about the evidence as it is: would trials of these sizes
recover these parameters? They are not draws of the prior that the intervals assume, so coverage near the nominal one is
expected and not exactly it. (Exact is the rank test of `simulation_based`, with truths from the prior.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import RangeError
from ..observations import Observation
from ..posterior import interval
from .leave_out import Coverage, LogLikelihoods, Noise
from .simulation_based import Sampler, smc_sampler
from .synthetic import synthesise

LEVELS = (0.5, 0.95)
"""Central posterior intervals that are counted."""


@dataclass(frozen=True)
class ParameterRecovery:
    """How one number was found again.

    Attributes
    ----------
    inside
        Truths inside the interval, at each of `LEVELS`.
    bias
        Mean of (posterior mean - truth) / posterior SD over the repeats; its SD is `spread`, 1 if intervals are right.
    shrinkage
        1 - (posterior SD / prior SD)^2, mean over the repeats: 0 if the reports say nothing of the number.
    """

    name: str
    inside: tuple[int, ...]
    bias: float
    spread: float
    shrinkage: float


@dataclass(frozen=True)
class Recovery:
    """All numbers over all repeats; `held` are the ids of results that stayed as reported at least once."""

    numbers: tuple[ParameterRecovery, ...]
    repeats: int
    held: tuple[str, ...]

    def coverage(self, name: str) -> tuple[Coverage, ...]:
        """Of one number, at each of `LEVELS`."""
        recovered = next(number for number in self.numbers if number.name == name)
        return tuple(Coverage(level, recovered.inside[k], self.repeats) for k, level in enumerate(LEVELS))

    def total(self) -> tuple[Coverage, ...]:
        """Of all numbers together, at each of `LEVELS`."""
        count = self.repeats * len(self.numbers)
        return tuple(
            Coverage(level, sum(number.inside[k] for number in self.numbers), count) for k, level in enumerate(LEVELS)
        )

    @property
    def worst(self) -> ParameterRecovery:
        """The number whose 95 % intervals held the truth least often."""
        return min(self.numbers, key=lambda number: number.inside[-1])


def simulate_and_recover(
    names: Sequence[str],
    items: Sequence[Observation],
    models: Callable[[np.ndarray], np.ndarray],
    likelihood_of: Callable[[Sequence[Observation]], LogLikelihoods],
    truths: np.ndarray,
    *,
    repeats: int = 50,
    sampler: Sampler | None = None,
    noise: Noise | None = None,
    tempered: bool = True,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Recovery:
    """Draw reports from `repeats` truths and count how often the posterior intervals hold them.

    Parameters
    ----------
    truths
        Posterior draws (m, numbers) in prior SDs; each serves once if there are enough.
    tempered
        Draw a result of weight below one as imprecisely as it is weighted (`synthesise`); without, as precisely as its
        trial was, and intervals are then too wide.
    """
    if truths.ndim != 2 or truths.shape[1] != len(names):
        raise RangeError(f"truths = an array of shape {truths.shape}; expected (draws, {len(names)}).")
    sampler = sampler or smc_sampler(len(names))
    order = np.random.default_rng(seed).permutation(len(truths))
    inside = np.zeros((len(LEVELS), len(names)), dtype=int)
    scores, variances, held = [], [], set()
    for repeat in range(repeats):
        rng = np.random.default_rng((seed, repeat))
        truth = truths[order[repeat % len(order)]]
        values = models(truth[None, :])
        drawn = synthesise(items, (values if noise is None else noise(values, rng))[0], rng, tempered=tempered)
        held |= set(drawn.failed)
        terms = likelihood_of(drawn.items)
        points = sampler(lambda at, terms=terms: terms(at).sum(axis=1), int(rng.integers(2**31)))
        for k, level in enumerate(LEVELS):
            bounds = np.array([interval(column, level) for column in points.T])
            inside[k] += (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
        sd = points.std(axis=0, ddof=1)
        scores.append((points.mean(axis=0) - truth) / sd)
        variances.append(sd**2)
        if progress is not None:
            progress(repeat + 1, repeats)
    bias, spread = np.mean(scores, axis=0), np.std(scores, axis=0)
    shrinkage = 1.0 - np.mean(variances, axis=0)
    numbers = tuple(
        ParameterRecovery(
            name, tuple(int(count) for count in inside[:, j]), float(bias[j]), float(spread[j]), float(shrinkage[j])
        )
        for j, name in enumerate(names)
    )
    return Recovery(numbers, repeats, tuple(sorted(held)))
