"""Leave-one-trial-out: posterior predictive of each trial from the rest of the evidence, beside its report.

The posterior without a trial is the full one with the trial's likelihood divided out, if Pareto-smoothed weights allow
(Vehtari, Gelman and Gabry 2017), and else is sampled again. A prediction is the model's value at those draws, with the
error of the emulator and the sampling error of a trial of that size (`synthetic`), so that it can be judged by what was
reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from ...parameters.errors import RangeError
from ..calibration.convergence import PARETO_LIMIT, pareto_smoothed
from ..calibration.smc import SmcSettings, sample_smc
from ..observations import Observation
from ..posterior import interval
from .synthetic import HELD, draw_values, probability

LEVELS = (0.5, 0.8, 0.95)
"""Central predictive intervals that are counted."""

CURVE = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Nominal levels of the calibration curve."""

PREDICTED = 4000
"""Draws behind each predictive interval."""

LogLikelihoods = Callable[[np.ndarray], np.ndarray]
"""Weighted log likelihoods (m, items) of points (m, numbers) in prior SDs."""

Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Model values (m, items) with the error of the emulator added, on whatever scale it lives."""


Sample = Callable[[Callable[[np.ndarray], np.ndarray], np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Prediction:
    """A report of a trial that was left out, and what the other trials say of it, in the unit of the report.

    Attributes
    ----------
    reported
        As printed; `value` is its number, or the bound beyond which a median lies.
    median
        Of the predictive distribution; `lows` and `highs` are its central intervals at `LEVELS`.
    inside
        Whether each interval holds the report, or something beyond its bound.
    place
        Randomised probability integral transform (Czado 2009): uniform if predictions are calibrated. None for a result
        that is yes or no, for which `chance` is the probability that it is found as reported.
    """

    study: str
    item: str
    kind: str
    reported: str
    value: float | None
    median: float | None
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    inside: tuple[bool, ...]
    place: float | None
    chance: float | None

    @property
    def numeric(self) -> bool:
        """Whether the report is a number, so that its coverage counts."""
        return bool(self.lows)


@dataclass(frozen=True)
class LeftOut:
    """How the posterior without a trial was found: the shape of the weights' tail, and the draws that they are worth.

    `resampled` says that the weights could not be trusted (k-hat from 0.7) and the posterior was sampled again.
    """

    study: str
    k_hat: float
    effective: float
    resampled: bool


@dataclass(frozen=True)
class Coverage:
    """How many of `total` reports lie in intervals of a nominal level, with a 95 % interval for the share.

    The interval (Clopper and Pearson 1934) takes reports as independent, which those of one trial are not.
    """

    level: float
    inside: int
    total: int

    @property
    def share(self) -> float:
        """Observed coverage."""
        return self.inside / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share."""
        out = self.total - self.inside
        low = float(beta.ppf(0.025, self.inside, out + 1)) if self.inside else 0.0
        high = float(beta.ppf(0.975, self.inside + 1, out)) if out else 1.0
        return low, high

    @property
    def text(self) -> str:
        """As a sentence's end: '61 of 80 (76 %, 65-85) in 80 % intervals'."""
        low, high = self.interval
        inside = f"{self.inside} of {self.total} ({100 * self.share:.0f} %, {100 * low:.0f}-{100 * high:.0f})"
        return f"{inside} in {100 * self.level:.0f} % intervals"


@dataclass(frozen=True)
class LeaveOneOut:
    """Predictions of every report by the trials that it is not from."""

    predictions: tuple[Prediction, ...]
    trials: tuple[LeftOut, ...]

    def coverage(self) -> tuple[Coverage, ...]:
        """Counted at each of `LEVELS`, over the reports that are numbers."""
        return coverage_of(self.predictions)

    def curve(self) -> tuple[Coverage, ...]:
        """Calibration curve: nominal level against the share of reports whose place is inside, at `CURVE`."""
        places = np.array([prediction.place for prediction in self.predictions if prediction.place is not None])
        return tuple(Coverage(c, int(np.sum(np.abs(2.0 * places - 1.0) <= c)), len(places)) for c in CURVE)

    def by_trial(self) -> dict[str, Coverage]:
        """Coverage of the 95 % intervals in every trial."""
        return {
            trial.study: coverage_of(
                [prediction for prediction in self.predictions if prediction.study == trial.study]
            )[-1]
            for trial in self.trials
        }


def coverage_of(predictions: Sequence[Prediction]) -> tuple[Coverage, ...]:
    """Coverage at each of `LEVELS`."""
    counted = [prediction for prediction in predictions if prediction.numeric]
    return tuple(
        Coverage(level, sum(prediction.inside[k] for prediction in counted), len(counted))
        for k, level in enumerate(LEVELS)
    )


def leave_one_out(
    studies: Sequence[str],
    items: Sequence[Observation],
    log_likelihoods: LogLikelihoods,
    models: Callable[[np.ndarray], np.ndarray],
    draws: np.ndarray,
    *,
    noise: Noise | None = None,
    sample: Sample | None = None,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> LeaveOneOut:
    """Predict every trial from the others.

    Parameters
    ----------
    studies
        Name of the trial of every item; items that share patients should share a name.
    draws
        Of the full posterior, (m, numbers), at least some thousand.
    sample
        Draws (m, numbers) of the posterior without some results, from its log likelihood and the mask (items,) of
        those; sequential Monte Carlo from the prior if it is not given.
    """
    if len(studies) != len(items):
        raise RangeError(f"studies = {len(studies)} names for {len(items)} items; expected one for each.")
    terms = log_likelihoods(draws)
    names = list(dict.fromkeys(studies))
    predictions: list[Prediction] = []
    trials: list[LeftOut] = []
    for number, name in enumerate(names):
        own = np.array([study == name for study in studies])
        rng = np.random.default_rng((seed, number))
        smoothed = pareto_smoothed(-terms[:, own].sum(axis=1))
        if smoothed.k_hat < PARETO_LIMIT:
            chosen = draws[rng.choice(len(draws), size=PREDICTED, p=smoothed.weights)]
            trials.append(LeftOut(name, smoothed.k_hat, smoothed.effective, resampled=False))
        else:
            resampled = (sample or _smc(draws.shape[1], seed))(_without(log_likelihoods, own), own)
            chosen = resampled[rng.integers(len(resampled), size=PREDICTED)]
            trials.append(LeftOut(name, smoothed.k_hat, float(len(resampled)), resampled=True))
        values = models(chosen)
        values = values if noise is None else noise(values, rng)
        predictions += [predicted(name, items[k], values[:, k], rng) for k in np.flatnonzero(own).tolist()]
        if progress is not None:
            progress(number + 1, len(names))
    return LeaveOneOut(tuple(predictions), tuple(trials))


def _without(log_likelihoods: LogLikelihoods, own: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Joint log likelihood (m,) of all results but those marked in `own` (items,)."""
    return lambda points: log_likelihoods(points)[:, ~own].sum(axis=1)


def _smc(numbers: int, seed: int) -> Sample:
    return lambda log_likelihood, _: sample_smc(log_likelihood, numbers, SmcSettings(seed=seed)).points


def predicted(study: str, item: Observation, models: np.ndarray, rng: np.random.Generator) -> Prediction:
    """Judge a report by model values (m,), equally likely; the sampling error of the trial is added here."""
    typical = None if np.isnan(models).all() else float(np.nanmedian(models))
    if item.kind in HELD or item.kind == "direction":
        chance = float(np.mean(probability(item, models)))
        return Prediction(study, item.id, item.kind, item.text, None, typical, (), (), (), None, chance)
    drawn = draw_values(item, models, rng)
    drawn = drawn[~np.isnan(drawn)]
    beyond = item.kind == "median_not_reached"
    value = float((item.low if beyond else item.value) or 0.0)
    if drawn.size == 0:
        return Prediction(study, item.id, item.kind, item.text, value, None, (), (), (), None, None)
    bounds = [interval(drawn, level) for level in LEVELS]
    # a count is as exact as its trial: what would be printed as the same number is the same
    counted = item.unit == "%" and item.kind != "rate"
    slack = 50.0 / (item.n or 1000) if counted else 1e-9 * max(value, 1.0)
    inside = tuple(high > value if beyond else low - slack <= value <= high + slack for low, high in bounds)
    under = float(np.mean(drawn < value - slack))
    over = 1.0 if beyond else float(np.mean(drawn <= value + slack))
    place = under + (over - under) * float(rng.random())
    lows, highs = zip(*bounds, strict=True)
    return Prediction(
        study, item.id, item.kind, item.text, value, float(np.median(drawn)), lows, highs, inside, place,
        float(np.mean(drawn > value)) if beyond else None,
    )  # fmt: skip
