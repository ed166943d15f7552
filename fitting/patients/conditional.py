"""Individual parameters drawn from their conditional distribution: Metropolis-Hastings for all subjects at once.

Kernels in turn (Kuhn and Lavielle 2005, Comput Stat Data Anal 49:1020): draws from the population, and random walks
along each parameter and along all together; once enough is known of a subject, also independent draws from a Student
density like its own (in the spirit of Karimi, Lavielle and Moulines 2020, Comput Stat Data Anal 141:123). Below-limit
data enter by their probability (M3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .data import Subject
from .observations import Rows
from .residual import Residual
from .structure import Structure

_ENOUGH = 40  # sweeps after which the draws of a subject say where its next ones may come from
_WANTED = 0.4  # acceptance that the step lengths of the random walks are tuned to


class Chain:
    """Several chains for each subject, all in one array of rows.

    Attributes
    ----------
    rows
        `copies` times the subjects, subject after subject.
    phi
        (rows, ids) logs of the individual parameters.
    prediction
        (observations,) at phi.
    """

    def __init__(
        self, structure: Structure, subjects: Sequence[Subject], copies: int, rng: np.random.Generator
    ) -> None:
        self.structure, self.rng = structure, rng
        self.rows = Rows(tuple(subjects) * copies)
        self.phi = np.empty((0, 0))
        self.prediction = np.empty(0)
        self.steps, self.likelihood = np.empty(0), np.empty(0)
        self.n, self.learned = len(subjects), 0
        self.first, self.second = np.empty(0), np.empty(0)

    def start(self, mu: np.ndarray, omega: np.ndarray, residual: Mapping[str, Residual], tries: int = 20) -> None:
        """Begin each chain at the best of some draws from the population, the typical values among them."""
        free = np.diag(omega) > 0.0
        prior = _Normal(mu[free], np.linalg.cholesky(omega[free][:, free]))
        self.steps = np.full(int(free.sum()) + 1, 0.5)
        best = np.full(len(self.rows.subjects), -np.inf)
        for k in range(tries):
            phi = np.tile(mu, (len(best), 1))
            if k:
                phi[:, free] = prior.draw(self.rng, len(best))
            prediction = self.predict(phi)
            likelihood = self.rows.log_likelihood(prediction, residual)
            if k == 0:
                self.phi, self.prediction, best = phi, prediction, likelihood
            else:
                self._take(likelihood > best, phi, prediction)
                best = np.maximum(best, likelihood)

    def predict(self, phi: np.ndarray) -> np.ndarray:
        """Predictions (observations,) for logs of individual parameters (rows, ids)."""
        with np.errstate(over="ignore"):
            return self.rows.predict(self.structure, np.exp(phi))

    def hold(self, mu: np.ndarray, omega: np.ndarray) -> None:
        """Put the parameters without spread to new typical values."""
        held = np.diag(omega) == 0.0
        if held.any() and not np.array_equal(self.phi[0, held], mu[held]):
            self.phi[:, held] = mu[held]
            self.prediction = self.predict(self.phi)

    def sweep(self, mu: np.ndarray, omega: np.ndarray, residual: Mapping[str, Residual], tune: bool) -> None:
        """One round of all kernels; what they have learned of the subjects changes only while `tune`."""
        free = np.flatnonzero(np.diag(omega) > 0.0)
        if not free.size:
            return
        prior = _Normal(mu[free], np.linalg.cholesky(omega[np.ix_(free, free)]))
        self.likelihood = self.rows.log_likelihood(self.prediction, residual)
        own = self._own(prior, free)
        for known in (prior, own) if own else (prior,):
            new = known.draw(self.rng, len(self.phi))
            ratio = prior.log(new) - prior.log(self.phi[:, free])
            self._step(new, free, ratio + known.log(self.phi[:, free]) - known.log(new), residual)
        together = own or prior
        for k in range(len(free) + 1):
            if k < len(free):
                move = prior.root[k, k] * self.rng.standard_normal((len(self.phi), 1)) * (np.arange(len(free)) == k)
            else:
                move = (together.draw(self.rng, len(self.phi)) - together.mean) / np.sqrt(len(free))
            new = self.phi[:, free] + self.steps[k] * move
            share = self._step(new, free, prior.log(new) - prior.log(self.phi[:, free]), residual)
            if tune:
                self.steps[k] = np.clip(self.steps[k] * np.exp(share - _WANTED), 1e-3, 10.0)
        if tune:
            self._learn(free)

    def _learn(self, free: np.ndarray) -> None:
        """Running mean and covariance of each subject's draws, over the last hundred sweeps or so."""
        self.learned += 1
        weight = max(1.0 / self.learned, 0.01)
        part = self.phi[:, free].reshape(-1, self.n, len(free))
        mean, second = part.mean(axis=0), np.einsum("csi,csj->sij", part, part) / len(part)
        self.first = mean if self.learned == 1 else self.first + weight * (mean - self.first)
        self.second = second if self.learned == 1 else self.second + weight * (second - self.second)

    def _own(self, prior: "_Normal", free: np.ndarray) -> "_Normal | None":
        """A Student density like what is known of each subject, a little wider; none before enough sweeps."""
        if self.learned < _ENOUGH:
            return None
        covariance = self.second - self.first[:, :, None] * self.first[:, None, :]
        root = np.linalg.cholesky(1.2 * covariance + 0.02 * prior.root @ prior.root.T)
        copies = len(self.phi) // self.n
        return _Normal(np.tile(self.first, (copies, 1)), np.tile(root, (copies, 1, 1)), freedom=5.0)

    def _step(self, new: np.ndarray, free: np.ndarray, ratio: np.ndarray, residual: Mapping[str, Residual]) -> float:
        """Take or refuse the proposals (rows, free), given the log ratio without the data; the share taken."""
        phi = self.phi.copy()
        phi[:, free] = new
        prediction = self.predict(phi)
        likelihood = self.rows.log_likelihood(prediction, residual)
        with np.errstate(invalid="ignore"):
            ratio = ratio + likelihood - self.likelihood
        accept = np.log(self.rng.uniform(size=len(phi))) < np.nan_to_num(ratio, nan=-np.inf)
        self._take(accept, phi, prediction)
        self.likelihood = np.where(accept, likelihood, self.likelihood)
        return float(accept.mean())

    def _take(self, accept: np.ndarray, phi: np.ndarray, prediction: np.ndarray) -> None:
        self.phi = np.where(accept[:, None], phi, self.phi)
        self.prediction = np.where(accept[self.rows.row], prediction, self.prediction)


@dataclass(frozen=True)
class _Normal:
    """Normal densities, or Student ones with `freedom`, one for all rows or one for each."""

    mean: np.ndarray
    root: np.ndarray
    freedom: float = np.inf

    @cached_property
    def inverse(self) -> np.ndarray:
        """Inverse of the root."""
        return np.linalg.inv(self.root)

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        noise = rng.standard_normal((n, self.mean.shape[-1]))
        if np.isfinite(self.freedom):
            noise /= np.sqrt(rng.chisquare(self.freedom, (n, 1)) / self.freedom)
        if self.root.ndim == 2:
            return self.mean + noise @ self.root.T
        return self.mean + np.matmul(self.root, noise[..., None])[..., 0]

    def log(self, x: np.ndarray) -> np.ndarray:
        """Log density (rows,) up to a constant that is the same for every x of a row."""
        away = x - self.mean
        away = away @ self.inverse.T if self.root.ndim == 2 else np.matmul(self.inverse, away[..., None])[..., 0]
        squares = (away * away).sum(axis=1)
        if np.isfinite(self.freedom):
            return -0.5 * (self.freedom + x.shape[1]) * np.log1p(squares / self.freedom)
        return -0.5 * squares
