"""SAEM: typical values, between-patient variability and residual errors by maximum likelihood.

Stochastic approximation EM (Delyon, Lavielle and Moulines 1999, Ann Stat 27:94; Kuhn and Lavielle 2005, Comput Stat
Data Anal 49:1020): individual parameters are drawn given the data (`conditional.py`), and what is maximised is averaged
over the iterations with weights that fall in the second phase. Typical values and spread follow from averaged sums;
residual errors, and typical values of parameters without spread, from steps along the score (Gu and Kong 1998, PNAS
95:7270), since they have no such sums. The result is the mean of the estimates of the second phase (Polyak and Juditsky
1992, SIAM J Control Optim 30:838), which does not depend on how fast the weights fall.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...parameters.errors import FitError, unknown
from .conditional import Chain
from .data import Subject
from .residual import Residual
from .structure import PopulationModel

_STEP = 2e-3  # finite difference of the score of typical values without spread
_LONGEST = 0.5  # longest change of a log SD or of such a typical value in one iteration
_ANNEALING = 0.97  # in the first half of the first phase no variance falls faster than this (Lavielle 2014, ch. 9)
_FALL = 0.7  # the weights of the second phase fall as k to the power of minus this; between a half and one
_ROWS = 60  # with fewer subjects each gets several chains


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where a population fit ended.

    Attributes
    ----------
    model
        The model with estimated typical values, omega and residual errors.
    held
        (ids,) bool: typical values that were not estimated.
    correlated
        Whether the covariances of omega were estimated.
    names, trace
        Names, and (iterations, names) the estimates after each iteration: typical values, SDs of the logs, residual
        SDs.
    explored
        Iterations of the first phase.
    """

    model: PopulationModel
    held: np.ndarray
    correlated: bool
    names: tuple[str, ...]
    trace: np.ndarray
    explored: int


def estimate(
    start: PopulationModel,
    subjects: Sequence[Subject],
    *,
    correlated: bool = False,
    no_spread: Collection[str] = (),
    held: Collection[str] = (),
    explore: int = 300,
    smooth: int = 200,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Estimate:
    """Estimate a population by SAEM; `fit_population` adds standard errors and the likelihood.

    Parameters
    ----------
    start
        Structure and first guesses; the spread should rather be too wide. The kinds of residual error stay as they are.
    subjects
        The data.
    correlated
        Estimate the covariances between parameters too, and not only their variances.
    no_spread
        Parameters that are the same for all subjects, beside those without spread in `start`.
    held
        Parameters whose typical value stays as it is in `start`.
    explore, smooth
        Iterations of the first phase, which finds the place, and of the second, which averages.
    seed
        Same seed, same result.
    progress
        Called with the iterations done and their number.

    Raises
    ------
    UnknownNameError, RangeError
        If a name is not a parameter, or the residual errors cannot describe the data.
    FitError
        If the structure cannot predict a subject, or there are fewer than two.
    """
    work = _Work(start, subjects, correlated, no_spread, held, seed)
    trace = []
    for k in range(explore + smooth):
        weight = 1.0 if k < explore else (k - explore + 1.0) ** -_FALL
        work.iterate(weight, tune=k < explore, anneal=k < explore // 2)
        if k >= explore:
            work.average()
        trace.append(work.numbers())
        if progress:
            progress(k + 1, explore + smooth)
    work.settle()
    return Estimate(work.model(), work.held, correlated, work.names(), np.array(trace), explore)


class _Work:
    """The present estimates, their chains and their averages."""

    def __init__(
        self,
        start: PopulationModel,
        subjects: Sequence[Subject],
        correlated: bool,
        no_spread: Collection[str],
        held: Collection[str],
        seed: int,
    ) -> None:
        ids = start.structure.ids
        for name in (*no_spread, *held):
            if name not in ids:
                raise unknown("individual parameter", name, ids)
        if len(subjects) < 2:
            raise FitError(f"a population of {len(subjects)} subject cannot be fitted; give at least two.")
        self.start, self.correlated, self.n = start, correlated, len(subjects)
        self.free = start.free & ~np.isin(ids, list(no_spread))
        self.held = np.isin(ids, list(held))
        self.common = ~self.free & ~self.held
        self.mu = np.log(start.typical)
        self.omega = np.where(np.outer(self.free, self.free), start.omega, 0.0)
        if not correlated:
            self.omega = np.diag(np.diag(self.omega))
        start.check(subjects)
        kinds = sorted({str(kind) for subject in subjects for kind in subject.kind})
        self.residual = {kind: start.residual[kind] for kind in kinds}
        self.copies = max(1, -(-_ROWS // self.n))
        self.chain = Chain(start.structure, subjects, self.copies, np.random.default_rng(seed))
        self.chain.start(self.mu, self.omega, self.residual)
        lost = ~np.isfinite(self.chain.rows.log_likelihood(self.chain.prediction, self.residual))
        if lost.any():
            name = self.chain.rows.subjects[int(np.flatnonzero(lost)[0])].id
            raise FitError(f"subject {name}: the model cannot predict the data near the typical values of the start.")
        self.first, self.second = np.zeros(len(ids)), np.zeros((len(ids), len(ids)))
        self.curvature = np.zeros((int(self.common.sum()),) * 2)
        self.along = np.zeros((self.n, int(self.free.sum()), int(self.common.sum())))
        self.averaged, self.means = 0, []

    def iterate(self, weight: float, tune: bool, anneal: bool) -> None:
        """Draw, average, maximise."""
        self.chain.hold(self.mu, self.omega)
        self.chain.sweep(self.mu, self.omega, self.residual, tune)
        phi = self.chain.phi
        self.first += weight * (phi.mean(axis=0) - self.first)
        self.second += weight * (phi.T @ phi / len(phi) - self.second)
        residual = {kind: self._error(kind, weight, anneal) for kind in self.residual}
        common = self._common(weight)
        self._population(anneal)
        self.mu, self.residual = np.where(self.common, common, self.mu), residual

    def _population(self, anneal: bool) -> None:
        """Typical values and omega that maximise the averaged likelihood."""
        mu, moving = self.mu.copy(), self.free & ~self.held
        mu[moving] = self.first[moving]
        if (still := self.free & self.held).any():
            pull = self.omega[np.ix_(moving, still)] @ np.linalg.inv(self.omega[np.ix_(still, still)])
            mu[moving] -= pull @ (self.first[still] - mu[still])
        omega = self.second - np.outer(self.first, mu) - np.outer(mu, self.first) + np.outer(mu, mu)
        omega = np.where(np.outer(self.free, self.free), omega, 0.0)
        if not self.correlated:
            omega = np.diag(np.diag(omega))
        if anneal:
            least = _ANNEALING * np.diag(self.omega)
            omega += np.diag(np.maximum(least - np.diag(omega), 0.0))
        self.mu, self.omega = mu, omega + 1e-10 * np.diag(self.free.astype(float))

    def _error(self, kind: str, weight: float, anneal: bool) -> Residual:
        """Residual error after one step along the averaged score; the information is that of data without a limit."""
        error, place = self.residual[kind], self.chain.rows.where[kind]
        value, below = self.chain.rows.value[place], self.chain.rows.below[place]
        if below.all():
            return error
        slope, share = error.slope(value, below, self.chain.prediction[place])
        step = weight * np.linalg.solve(2.0 * share @ share.T + 1e-8 * np.eye(len(share)), share @ slope)
        if anneal:
            step = np.maximum(step, 0.5 * np.log(_ANNEALING))
        return error.with_numbers(error.numbers * np.exp(np.clip(step, -_LONGEST, _LONGEST)))

    def _common(self, weight: float) -> np.ndarray:
        """Logs of all typical values, those of parameters without spread after one step along their score.

        The score is taken with each subject's own parameters moving along as its data ask for: their slopes, zero on
        average, are added in the measure that makes the sum vary least (a control variate).
        """
        mu, common, free = self.mu.copy(), np.flatnonzero(self.common), np.flatnonzero(self.free)
        if not common.size:
            return mu
        slope, curve = self._slopes(np.concatenate([common, free]))
        c = len(common)
        if free.size:
            precision = np.linalg.inv(self.omega[np.ix_(free, free)])
            slope[:, c:] -= (self.chain.phi - mu)[:, free] @ precision
            curve[:, c:, c:] += precision
        along = np.tile(np.concatenate([np.tile(np.eye(c), (self.n, 1, 1)), self.along], axis=1), (self.copies, 1, 1))
        score = np.einsum("rpc,rp->c", along, slope)
        self.curvature += weight * (np.einsum("rpc,rpq,rqd->cd", along, curve, along) - self.curvature)
        answer = -np.linalg.solve(curve[:, c:, c:], curve[:, c:, :c]).reshape(self.copies, self.n, len(free), c)
        self.along += min(weight, 0.1) * (answer.mean(axis=0) - self.along)
        step = np.clip(weight * np.linalg.solve(self.curvature + 1e-9 * np.eye(c), score), -_LONGEST, _LONGEST)
        mu[common] += step
        self.chain.phi[:, free] += along[:, c:] @ step
        return mu

    def _slopes(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (rows, places) of the log-likelihood, and their expected information (rows, places, places)."""
        rows, slope, d_z, d_sd = self.chain.rows, [], [], []
        for place in places:
            shift = _STEP * (np.arange(len(self.mu)) == place)
            both = [self.chain.predict(self.chain.phi + sign * shift) for sign in (1.0, -1.0)]
            above, under = (rows.log_likelihood(prediction, self.residual) for prediction in both)
            slope.append((above - under) / (2.0 * _STEP))
            (z_above, sd_above), (z_under, sd_under) = (rows.misfit(prediction, self.residual) for prediction in both)
            d_sd.append((sd_above - sd_under) / (2.0 * _STEP))
            d_z.append((z_above - z_under) / (2.0 * _STEP) + 0.5 * (z_above + z_under) * d_sd[-1])
        z, sd = np.nan_to_num(d_z), np.nan_to_num(d_sd)
        begins = np.flatnonzero(np.diff(rows.row, prepend=-1))
        curve = np.add.reduceat(z[:, None] * z + 2.0 * sd[:, None] * sd, begins, axis=2)
        return np.nan_to_num(np.array(slope).T), np.moveaxis(curve, 2, 0)

    def average(self) -> None:
        """Take the present estimates into their mean."""
        self.averaged += 1
        now = [self.mu, self.omega, *(np.log(error.numbers) for error in self.residual.values())]
        if self.averaged == 1:
            self.means = now
        self.means = [mean + (part - mean) / self.averaged for mean, part in zip(self.means, now, strict=True)]

    def settle(self) -> None:
        """Replace the estimates by their means, if there are any."""
        if self.averaged:
            self.mu, self.omega, *logs = self.means
            pairs = zip(self.residual.items(), logs, strict=True)
            self.residual = {kind: error.with_numbers(np.exp(log)) for (kind, error), log in pairs}

    def model(self) -> PopulationModel:
        """The present estimates as a model."""
        residual: Mapping[str, Residual] = {**self.start.residual, **self.residual}
        return replace(self.start, typical=np.exp(self.mu), omega=self.omega, residual=residual)

    def names(self) -> tuple[str, ...]:
        """Names of `numbers`."""
        ids = np.array(self.start.structure.ids)
        errors = [f"residual {kind} {name}" for kind, error in self.residual.items() for name in error.needed]
        return (*(f"typical {name}" for name in ids), *(f"sd {name}" for name in ids[self.free]), *errors)

    def numbers(self) -> np.ndarray:
        """Typical values, SDs of the logs where there is spread, residual SDs."""
        errors = [error.numbers for error in self.residual.values()]
        return np.concatenate([np.exp(self.mu), np.sqrt(np.diag(self.omega)[self.free]), *errors])
