"""Power, sample size and assurance of a design by simulation, each with its Monte-Carlo error.

Power is the share of simulated trials that succeed (two-sided p below alpha, in favour of the arm) if the parameters
are those of the pool. Assurance (O'Hagan, Stevens & Campbell 2005) is its mean over posterior draws, one pool each.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from ..model.statistics.proportions import wilson
from ..model.statistics.sizes import events_needed, patients_needed_for_rates
from ..parameters.errors import InputError, RangeError
from .analysis import Truth, effects_of, rows_of, successes, truth_of
from .conduct import Trials, conduct
from .design import Design
from .pool import Pool

Z = 1.959964
"""Standard errors on either side of a 95 % interval."""
STEPS = 60
LEVEL_SD = 0.25
SMALLEST = 10
LARGE = 40_000
"""Simulated patients in whom the true effect of a pool is measured: its own error is then small."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Smooth:
    """Power as a function of patients n: the probit of power is `level + slope sqrt(n)`.

    That is its form for any asymptotically normal test of a fixed effect (level then is the normal quantile of
    alpha / 2). `covariance` (2, 2) is the Monte-Carlo error of both.
    """

    level: float
    slope: float
    covariance: np.ndarray

    def at(self, sizes: np.ndarray) -> np.ndarray:
        """Power (0 to 1) with so many patients."""
        return ndtr(self.level + self.slope * np.sqrt(np.asarray(sizes, dtype=float)))

    def size(self, power: float) -> tuple[float, float, float]:
        """Patients at which the curve reaches a power, and their 95 % interval; infinite where it never does.

        The interval holds all sizes at which the power cannot be told from that one (Fieller 1954).
        """
        wanted = float(ndtri(power))
        root = max((wanted - self.level) / self.slope, 0.0) if self.slope > 0 else math.inf
        (v_level, both), (_, v_slope) = self.covariance
        # all x = sqrt(n) with (level + slope x - wanted)^2 <= Z^2 var(level + slope x), that is a x^2 + 2 b x + c <= 0
        a = self.slope**2 - Z**2 * v_slope
        b = (self.level - wanted) * self.slope - Z**2 * both
        c = (self.level - wanted) ** 2 - Z**2 * v_level
        half = math.sqrt(max(b * b - a * c, 0.0))
        low, high = sorted(((-b - half) / a, (-b + half) / a))
        if a > 0:  # the slope is told from zero: between the roots, and nowhere if more patients only harm
            return root**2, max(low, 0.0) ** 2 if high > 0 else math.inf, high**2 if high > 0 else math.inf
        return root**2, high**2 if low < 0 < high else 0.0, math.inf


@dataclass(frozen=True, eq=False)
class PowerCurve:
    """Power by size; all arrays (sizes,).

    `low` and `high` are the Monte-Carlo interval (95 %, Wilson 1927) of `trials` simulated trials: it narrows with more
    of them, and holds for the patients of this pool. `events` are the mean numbers of events in both arms.
    """

    sizes: np.ndarray
    power: np.ndarray
    low: np.ndarray
    high: np.ndarray
    successes: np.ndarray
    trials: int
    events: np.ndarray
    alpha: float

    @cached_property
    def smooth(self) -> Smooth:
        """The curve through all sizes."""
        return smoothed(self.sizes, self.successes, self.trials, self.alpha)


@dataclass(frozen=True)
class SampleSize:
    """The smallest trial that has the power, with the Monte-Carlo interval of that size; infinite where none has it.

    `within` is whether it lies among the sizes that were simulated. `closed_form` is what a formula says of the pool's
    own effect (Schoenfeld 1983 with its hazard ratio for times, Fleiss 1980 for rates; NaN if the arm is not better),
    `events` the events that Schoenfeld asks for.
    """

    power: float
    patients: float
    low: float
    high: float
    within: bool
    closed_form: float
    events: float


@dataclass(frozen=True, eq=False)
class Assurance:
    """Probability of success over posterior draws, and its Monte-Carlo interval (95 %).

    Attributes
    ----------
    power : array (draws,)
        Share of the `trials` trials of each draw that succeed.
    between, within
        Standard deviation of the true power between draws, and of its estimate from so few trials.
    better : array (draws,)
        Whether the arm is truly better than the reference, by the effect on the design's endpoint.
    exists
        Share of the draws in which it is, with its interval from the number of draws (Wilson 1927).
    """

    patients: int
    trials: int
    power: np.ndarray
    value: float
    low: float
    high: float
    between: float
    within: float
    truths: tuple[Truth, ...]
    better: np.ndarray
    exists: tuple[float, float, float]

    @property
    def power_if_better(self) -> float:
        """Mean power in the draws in which the arm is better; NaN if there is none."""
        return float(self.power[self.better].mean()) if self.better.any() else math.nan

    def effect(self, name: str) -> np.ndarray:
        """True effect of that name in every draw (draws,)."""
        return np.array([truth.value(name) for truth in self.truths])


def power_curve(
    design: Design,
    pool: Pool,
    *,
    sizes: Sequence[int],
    trials: int = 200,
    seed: int,
    arm: int = 1,
    progress: Progress | None = None,
) -> PowerCurve:
    """Simulate trials of every size from one pool, and count those that succeed.

    A trial succeeds if its two-sided p is below the design's level, in favour of the arm.

    Parameters
    ----------
    design
        The trial, with its test, endpoint and level.
    pool
        Virtual patients under every arm, as `make_pool` gives them.
    sizes
        Numbers of patients (all arms together), rising, at least 10.
    trials
        Simulated trials of each size, at least 2; 200 to mean much.
    seed
        Same seed, same result.
    arm
        Place of the arm that is compared with the reference, the first being 0.
    progress
        Called as `progress(label, done, total)` after every size.

    Returns
    -------
    PowerCurve
        Arrays (sizes,): power from 0 to 1 with its Monte-Carlo interval (95 %, Wilson 1927), and the mean number of
        events.

    Raises
    ------
    InputError
        If there is no size, or the pool was made for another design.
    RangeError
        If sizes do not rise or are too small, there are fewer than two trials, or there is no such arm.

    Examples
    --------
    >>> from perdure import Arm, make_pool, power_curve, read_calibration
    >>> from perdure.trials.design import Design
    >>> arms = (Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months"))
    >>> months = {"accrual_months": 3.0, "follow_up_months": 6.0}
    >>> design = Design("Maintenance", arms, "infusion", patients=20, endpoint="pfs", **months)
    >>> pool = make_pool(design, read_calibration().parameters(), patients=20, seed=1)
    >>> curve = power_curve(design, pool, sizes=(20, 40), trials=10, seed=1)
    >>> curve.power.shape, bool((curve.low <= curve.power).all())
    ((2,), True)
    """
    check_sizes(sizes, trials)
    counted, events = [], []
    for k, size in enumerate(sizes):
        simulated = conduct(design, pool, trials=trials, patients=int(size), seed=stream(seed, int(size)))
        counted.append(int(successes(design, simulated, arm).sum()))
        events.append(rows_of(design, simulated, None, arm).event.sum() / trials)
        if progress is not None:
            progress("power", k + 1, len(sizes))
    rates = [wilson(count, trials) for count in counted]
    power, low, high = (np.array([getattr(rate, name) for rate in rates]) for name in ("value", "low", "high"))
    return PowerCurve(
        np.array(sizes, dtype=int), power, low, high, np.array(counted), trials, np.array(events), design.alpha
    )


def smoothed(sizes: np.ndarray, counted: np.ndarray, trials: int, alpha: float) -> Smooth:
    """Probit regression of successes on the square root of patients, by Fisher scoring.

    A prior keeps it finite where every trial succeeds or none does, and steady where the effect is small: the level is
    normal around its theoretical value with SD `LEVEL_SD`, the probit at the largest size around 0 with SD 10.
    """
    x = np.column_stack([np.ones(len(sizes)), np.sqrt(np.asarray(sizes, dtype=float))])
    centre = np.array([float(ndtri(alpha / 2.0)), 0.0])
    precision = np.diag([LEVEL_SD**-2, (x[-1, 1] / 10.0) ** 2])
    beta, information = centre.copy(), precision
    for _ in range(STEPS):
        eta = x @ beta
        p = np.clip(ndtr(eta), 1e-10, 1.0 - 1e-10)
        density = np.exp(-0.5 * eta**2) / math.sqrt(2.0 * math.pi)
        score = x.T @ (density * (counted - trials * p) / (p * (1.0 - p))) - precision @ (beta - centre)
        information = (x.T * (trials * density**2 / (p * (1.0 - p)))) @ x + precision
        step = np.linalg.solve(information, score)
        beta = beta + step / max(1.0, float(np.abs(x @ step).max()))  # at most one probit at a time
        if float(np.abs(x @ step).max()) < 1e-9:
            break
    return Smooth(float(beta[0]), float(beta[1]), np.linalg.inv(information))


def true_effect(design: Design, pool: Pool, *, seed: int, arm: int = 1) -> Truth:
    """Measure the true effect in a pool, on `LARGE` simulated patients of the design; as `truth_of`."""
    return truth_of(design, _large(design, pool, seed), arm)


def _large(design: Design, pool: Pool, seed: int) -> Trials:
    return conduct(design, pool, trials=LARGE // 1000, patients=1000, seed=stream(seed, LARGE))


def pool_error(design: Design, pool: Pool, *, seed: int, arm: int = 1, copies: int = 12) -> float:
    """Standard error of the true effect from having no more virtual patients in the pool (bootstrap, Efron 1979).

    Patients are drawn with replacement, in both arms together. On the log scale for a ratio. What the measurement of
    each copy adds is taken off; NaN if fewer than two copies have a finite effect.
    """
    values, measured = [], []
    for k in range(copies):
        drawn = np.random.default_rng((seed, k)).multinomial(pool.n, np.full(pool.n, 1.0 / pool.n))
        copy = replace(pool, weight=pool.weight * drawn)
        for effect in effects_of(design, rows_of(design, _large(design, copy, stream(seed, k)), None, arm))[:1]:
            with np.errstate(divide="ignore"):
                ends = np.array([effect.value, effect.low, effect.high])
                value, low, high = np.log(ends) if effect.none == 1.0 else ends
            if np.isfinite([value, low, high]).all():
                values.append(value)
                measured.append(((high - low) / (2.0 * Z)) ** 2)
    if len(values) < 2:
        return math.nan
    return math.sqrt(max(float(np.var(values, ddof=1)) - float(np.mean(measured)), 0.0))


def sample_size(design: Design, curve: PowerCurve, truth: Truth, *, arm: int = 1) -> SampleSize:
    """Read off the smallest size with the design's power, and put the closed form of the pool's effect beside it."""
    value, low, high = curve.smooth.size(design.power)
    own, reference = design.arms[arm].share, design.arms[0].share
    share, part = own / (own + reference), (own + reference) / sum(design_arm.share for design_arm in design.arms)
    closed, events, ratio = math.nan, math.nan, truth.value("hazard ratio")
    if 0.0 < ratio < 1.0:
        events = float(events_needed(ratio, design.power, design.alpha, share=share))
        closed = math.ceil(events / float(curve.events.sum() / curve.sizes.sum()))
    elif truth.rates[1] > truth.rates[0]:
        closed = math.ceil(patients_needed_for_rates(*truth.rates, design.power, design.alpha, share=share) / part)
    within = bool(curve.sizes[0] <= value <= curve.sizes[-1])
    return SampleSize(design.power, _up(value), _up(low), _up(high), within, closed, events)


def assurance(
    design: Design,
    pools: Sequence[Pool],
    *,
    patients: int,
    trials_per_pool: int = 50,
    seed: int,
    arm: int = 1,
    truths: Sequence[Truth] | None = None,
) -> Assurance:
    """Mean power over pools, one for each posterior draw (O'Hagan, Stevens & Campbell 2005).

    The interval is that of a mean over independent draws (Student), which holds the error from the number of draws and
    from the trials of each; if all trials of all draws agree, it is that of Wilson 1927, with the draws as its number.

    Parameters
    ----------
    design
        The trial, with its test, endpoint and level.
    pools
        At least two, as `make_pool` gives them at posterior draws.
    patients
        Patients of a trial (all arms together).
    trials_per_pool
        Simulated trials of each draw, at least 2.
    seed
        Same seed, same result.
    arm
        Place of the arm that is compared with the reference, the first being 0.
    truths
        `true_effect` of every pool, if known already: they do not depend on the size of the trial.

    Returns
    -------
    Assurance
        Probability of success from 0 to 1 with its Monte-Carlo interval (95 %), and power by draw (draws,).

    Raises
    ------
    RangeError
        If there are fewer than two pools or trials of each, or there is no such arm.
    InputError
        If a pool was made for another design.

    Examples
    --------
    >>> from perdure import Arm, assurance, make_pool, read_calibration
    >>> from perdure.trials.design import Design
    >>> arms = (Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months"))
    >>> months = {"accrual_months": 3.0, "follow_up_months": 6.0}
    >>> design = Design("Maintenance", arms, "infusion", patients=20, endpoint="pfs", **months)
    >>> draws = [read_calibration().draw(k) for k in range(2)]
    >>> pools = [make_pool(design, parameters, patients=20, seed=1) for parameters in draws]
    >>> success = assurance(design, pools, patients=20, trials_per_pool=5, seed=1)
    >>> success.power.shape, success.low <= success.value <= success.high
    ((2,), True)
    """
    if len(pools) < 2 or trials_per_pool < 2:
        raise RangeError(f"{len(pools)} pools of {trials_per_pool} trials; assurance and its error need 2 of both.")
    known = tuple(truths or (true_effect(design, pool, seed=seed, arm=arm) for pool in pools))
    power = np.empty(len(pools))
    for k, pool in enumerate(pools):
        trials = conduct(design, pool, trials=trials_per_pool, patients=patients, seed=stream(seed, patients, k))
        power[k] = successes(design, trials, arm).mean()
    value, total, within = float(power.mean()), float(power.var(ddof=1)), power * (1.0 - power) / (trials_per_pool - 1)
    width = float(stdtrit(len(power) - 1, 0.975)) * math.sqrt(total / len(power))
    low, high = max(value - width, 0.0), min(value + width, 1.0)
    if value in (0.0, 1.0):
        rate = wilson(value * len(power), len(power))
        low, high = rate.low, rate.high
    better = np.array([truth.effects[0].better for truth in known])
    exists = wilson(int(better.sum()), len(better))
    return Assurance(
        patients, trials_per_pool, power, value, low, high, math.sqrt(max(total - float(within.mean()), 0.0)),
        math.sqrt(float(within.mean())), known, better, (exists.value, exists.low, exists.high),
    )  # fmt: skip


def stream(*parts: int) -> int:
    """A seed of its own for every combination of seed, size and draw."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _up(number: float) -> float:
    return float(math.ceil(number)) if math.isfinite(number) else number


def check_sizes(sizes: Sequence[int], trials: int) -> None:
    """Raise InputError or RangeError unless there are rising sizes, each enough for a trial, and trials."""
    if trials < 2:
        raise RangeError(f"trials = {trials}; a power needs at least 2 simulated trials, and 200 to mean much.")
    if not len(sizes):
        raise InputError("sizes: there is none; give numbers of patients, such as 100,200,400.")
    for before, size in zip((0, *sizes), sizes, strict=False):
        if size <= before or size < SMALLEST:
            raise RangeError(f"sizes: {size} after {before}; give rising numbers of at least {SMALLEST} patients.")
