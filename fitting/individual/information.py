"""How sure a population fit is: the observed information, from individual parameters drawn at the estimates.

Louis (1982, J R Stat Soc B 44:226): minus the expected second derivatives of the complete log-likelihood, minus the
variance of its score, both over what the data leave open about each subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .conditional import Chain
from .data import Subject
from .saem import Estimate

_STEP = 1e-2  # finite differences in the logs of typical values without spread and of residual SDs
_ROWS = 60  # with fewer subjects each gets several chains


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the data leave open about each subject, and about the estimates.

    Attributes
    ----------
    mean, covariance
        (subjects, ids) and (subjects, ids, ids) of the logs of the individual parameters, given the data.
    names, information
        Names and (names, names) observed information of the estimates: logs of typical values, elements of omega, logs
        of residual SDs.
    by
        "Louis", or "scores" where that matrix is not positive definite: then the sum of the outer products of each
        subject's score (Delattre and Kuhn 2019, arXiv:1909.06094).
    """

    mean: np.ndarray
    covariance: np.ndarray
    names: tuple[str, ...]
    information: np.ndarray
    by: str


def draw(found: Estimate, subjects: Sequence[Subject], sweeps: int, seed: int, burn: int = 60) -> Drawn:
    """Draw individual parameters at the estimates, `sweeps` times after `burn`, and take the information from them."""
    model, n = found.model, len(subjects)
    mu, copies = np.log(model.typical), max(1, -(-_ROWS // n))
    chain = Chain(model.structure, subjects, copies, np.random.default_rng([seed, 1]))
    chain.start(mu, model.omega, model.residual)
    for _ in range(burn):
        chain.sweep(mu, model.omega, model.residual, tune=True)
    population, errors = _Population(found), _Errors(found, chain)
    draws, scores, hessian = [], [], np.zeros((len(errors.names),) * 2)
    for _ in range(sweeps):
        chain.sweep(mu, model.omega, model.residual, tune=False)
        slope, curve = errors.derivatives()
        hessian += curve / (sweeps * copies)
        scores.append(np.concatenate([population.scores(chain.phi), slope], axis=1).reshape(copies, n, -1))
        draws.append(chain.phi.reshape(copies, n, -1))
    phi, score = np.concatenate(draws), np.concatenate(scores)
    mean, expected = phi.mean(axis=0), score.mean(axis=0)
    spread = np.einsum("dsi,dsj->ij", score - expected, score - expected) / len(score)
    complete = np.zeros_like(spread)
    q = len(population.names)
    complete[:q, :q] = -n * population.hessian(phi.reshape(-1, len(mu)))
    complete[q:, q:] = -hessian
    louis, outer = complete - spread, expected.T @ expected
    good = np.linalg.eigvalsh(louis)[0] > 0.0
    deviation = phi - mean
    return Drawn(
        mean=mean,
        covariance=np.einsum("dsi,dsj->sij", deviation, deviation) / len(phi),
        names=(*population.names, *errors.names),
        information=louis if good else outer,
        by="Louis" if good else "scores",
    )


class _Population:
    """Derivatives of the log density of the individual parameters with typical values and omega."""

    def __init__(self, found: Estimate) -> None:
        ids = found.model.structure.ids
        self.free = np.flatnonzero(found.model.free)
        self.moving = np.flatnonzero(found.model.free & ~found.held)
        self.pairs = [(i, j) for i in self.free for j in self.free if i == j or (found.correlated and j < i)]
        self.mu, self.omega = np.log(found.model.typical), found.model.omega
        typical = (f"log typical {ids[k]}" for k in self.moving)
        self.names = (*typical, *(f"omega {ids[i]} {ids[j]}" for i, j in self.pairs))

    def _inverse(self, omega: np.ndarray) -> np.ndarray:
        result = np.zeros_like(omega)
        place = np.ix_(self.free, self.free)
        result[place] = np.linalg.inv(omega[place])
        return result

    def scores(self, phi: np.ndarray) -> np.ndarray:
        """(rows, names) for logs of individual parameters (rows, ids)."""
        inverse = self._inverse(self.omega)
        pull = (phi - self.mu) @ inverse
        spread = [(pull[:, i] * pull[:, j] - inverse[i, j]) * (0.5 if i == j else 1.0) for i, j in self.pairs]
        return np.column_stack([pull[:, self.moving], *spread])

    def hessian(self, phi: np.ndarray) -> np.ndarray:
        """(names, names) mean over the rows, by differences of the mean score, which two sums of phi determine."""
        first, second = phi.mean(axis=0), phi.T @ phi / len(phi)

        def mean_score(mu: np.ndarray, omega: np.ndarray) -> np.ndarray:
            inverse = self._inverse(omega)
            about = second - np.outer(first, mu) - np.outer(mu, first) + np.outer(mu, mu)
            curve = inverse @ about @ inverse - inverse
            spread = [curve[i, j] * (0.5 if i == j else 1.0) for i, j in self.pairs]
            return np.array([*(inverse @ (first - mu))[self.moving], *spread])

        columns = []
        for k in self.moving:
            shift = 1e-4 * (np.arange(len(self.mu)) == k)
            columns.append((mean_score(self.mu + shift, self.omega) - mean_score(self.mu - shift, self.omega)) / 2e-4)
        for i, j in self.pairs:
            size = 1e-4 * np.sqrt(self.omega[i, i] * self.omega[j, j])
            shift = np.zeros_like(self.omega)
            shift[i, j] = shift[j, i] = size
            above, under = mean_score(self.mu, self.omega + shift), mean_score(self.mu, self.omega - shift)
            columns.append((above - under) / (2.0 * size))
        matrix = np.array(columns)
        return 0.5 * (matrix + matrix.T)


class _Errors:
    """Derivatives of the log-likelihood of the data with typical values without spread and with residual errors."""

    def __init__(self, found: Estimate, chain: Chain) -> None:
        self.chain, self.residual = chain, found.model.residual
        self.common = np.flatnonzero(~found.model.free & ~found.held)
        below = chain.rows.below
        kinds = [kind for kind, place in chain.rows.where.items() if not below[place].all()]
        self.errors = [(kind, k) for kind in kinds for k in range(len(self.residual[kind].needed))]
        ids = found.model.structure.ids
        residual = (f"log residual {kind} {self.residual[kind].needed[k]}" for kind, k in self.errors)
        self.names = (*(f"log typical {ids[k]}" for k in self.common), *residual)

    def derivatives(self) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (rows, names), and second derivatives (names, names) summed over the rows, at the present draws."""
        n = len(self.names)
        unit = _STEP * np.eye(n)
        predictions: dict[bytes, np.ndarray] = {}
        here = self._log_likelihood(np.zeros(n), predictions)
        above = np.array([self._log_likelihood(step, predictions) for step in unit]).reshape(n, len(here))
        under = np.array([self._log_likelihood(-step, predictions) for step in unit]).reshape(n, len(here))
        hessian = np.diag((above + under - 2.0 * here).sum(axis=1) / _STEP**2)
        for i in range(n):
            for j in range(i):
                corners = [(1, 1, 1.0), (-1, -1, 1.0), (1, -1, -1.0), (-1, 1, -1.0)]
                total = sum(
                    sign * self._log_likelihood(a * unit[i] + b * unit[j], predictions).sum() for a, b, sign in corners
                )
                hessian[i, j] = hessian[j, i] = total / (4.0 * _STEP**2)
        return ((above - under) / (2.0 * _STEP)).T, hessian

    def _log_likelihood(self, shift: np.ndarray, predictions: dict[bytes, np.ndarray]) -> np.ndarray:
        """(rows,) with the logs of everything shifted."""
        moved = shift[: len(self.common)]
        key = moved.tobytes()
        if key not in predictions:
            phi = self.chain.phi.copy()
            phi[:, self.common] += moved
            predictions[key] = self.chain.predict(phi) if moved.any() else self.chain.prediction
        residual = dict(self.residual)
        for (kind, k), change in zip(self.errors, shift[len(self.common) :], strict=True):
            numbers = residual[kind].numbers
            numbers[k] *= np.exp(change)
            residual[kind] = residual[kind].with_numbers(numbers)
        return self.chain.rows.log_likelihood(predictions[key], residual)
