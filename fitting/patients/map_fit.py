"""Empirical Bayes estimates: the most probable individual parameters (MAP) and their uncertainty.

Maximises log p(data | eta) + log p(eta), below-limit data by M3, by a Levenberg-Marquardt search (Marquardt 1963) from
several starts. All patients, starts, differences and trial steps of half a round share one call of the structure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import FitError
from .data import Subject
from .observations import Rows
from .structure import PopulationModel

_STEP = 2e-3  # finite difference of the slopes, on the log scale: well above the tolerance of a numerical solution
_CURVE = 3e-2  # the same of the second differences, which divide by its square
_DAMPINGS = (0.0, 0.03, 0.3, 3.0, 30.0, 300.0)  # tried side by side: one call costs less than one more round
_FURTHEST = 1.5  # longest step of one round, on the log scale
_REACH = 0.2  # of the first steps along the axes, quartered when nothing helps
_CLOSE = 1e-5  # an expected gain of -2 log-likelihood below this ends the search


@dataclass(frozen=True, eq=False)
class IndividualFit:
    """Individual parameters of one subject.

    Attributes
    ----------
    subject
        The subject.
    eta
        (ids,) most probable deviations from the typical values, on the log scale.
    values
        (ids,) individual parameters, natural.
    covariance
        (ids, ids) covariance of eta given the data: the inverse of the numerical Hessian (Laplace).
    ofv
        -2 [log p(data | eta) + log p(eta)], all constants included.
    log_likelihood
        log p(data | eta).
    prediction
        (observations,) at the estimate.
    agreeing
        Share of the starts that ended within 0.01 of the best `ofv`.
    converged
        Whether the best start ended before the rounds did.
    """

    subject: Subject
    eta: np.ndarray
    values: np.ndarray
    covariance: np.ndarray
    ofv: float
    log_likelihood: float
    prediction: np.ndarray
    agreeing: float
    converged: bool

    def draws(self, n: int, seed: int) -> np.ndarray:
        """Individual parameters (n, ids), natural, drawn from the Laplace approximation around the estimate."""
        root = _root(self.covariance)
        noise = np.random.default_rng(seed).standard_normal((n, len(self.eta)))
        return self.values * np.exp(noise @ root.T)


def individual_fit(model: PopulationModel, subject: Subject, starts: int = 4, rounds: int = 40) -> IndividualFit:
    """MAP estimate of one subject; see `fit_patients`."""
    return fit_patients(model, [subject], starts, rounds)[0]


def fit_patients(
    model: PopulationModel, data: Sequence[Subject], starts: int = 4, rounds: int = 40
) -> tuple[IndividualFit, ...]:
    """Most probable individual parameters of each subject (MAP, empirical Bayes), and how sure they are (Laplace).

    Data below the limit of quantification count by the M3 method (Beal 2001); the search is that of Marquardt 1963.

    Parameters
    ----------
    model
        The population the subjects come from.
    data
        The subjects.
    starts
        Starts of the search for each subject: the typical values, and draws from the population.
    rounds
        Most rounds of the search.

    Returns
    -------
    tuple of IndividualFit
        One for each subject: `values` (ids,) in the unit of each parameter, `covariance` (ids, ids) of their
        logarithms, and `prediction` (observations,) in the unit of each measurement.

    Raises
    ------
    UnknownNameError, RangeError
        If the model has no residual error for what was observed, or one that cannot describe it.
    FitError
        If the structure cannot predict the data of a subject from any start, or nothing differs between subjects.

    Examples
    --------
    >>> import numpy as np
    >>> from perdure import fit_patients, mechanistic_model
    >>> from perdure.fitting.patients.data import Subject
    >>> time, value = np.array([0.0, 7.0, 14.0, 28.0, 56.0]), np.array([50.0, 250.0, 400.0, 20.0, 8.0])
    >>> kind = np.array(["m_protein", "car_t", "car_t", "m_protein", "m_protein"])
    >>> subject = Subject("A", time, kind, value, below=np.zeros(5, dtype=bool))
    >>> model = mechanistic_model("ide_cel")
    >>> fit = fit_patients(model, [subject], starts=1, rounds=4)[0]
    >>> fit.prediction.shape, fit.values.shape == model.typical.shape
    ((5,), True)
    """
    subjects = list(data)
    model.check(subjects)
    if not model.free.any():
        raise FitError("no parameter differs between subjects, so that there is nothing individual to fit; give omega.")
    rng = np.random.default_rng(0)
    first = 0.7 * rng.standard_normal((starts, int(model.free.sum()))) @ _root(_free_omega(model)).T
    first[0] = 0.0
    search = _Search(model, [subject for subject in subjects for _ in range(starts)])
    eta, objective, ended = search.run(np.tile(first, (len(subjects), 1)), rounds)
    objective = objective.reshape(len(subjects), starts)
    for subject, objectives in zip(subjects, objective, strict=True):
        if not np.isfinite(objectives).any():
            raise FitError(f"subject {subject.id}: the model cannot predict the data from any of {starts} starts.")
    best = np.argmin(objective, axis=1) + starts * np.arange(len(subjects))
    agreeing = np.mean(objective < objective.min(axis=1, keepdims=True) + 0.01, axis=1)
    search = _Search(model, subjects)
    covariance = search.covariance(eta[best])
    whole = np.zeros((len(subjects), len(model.typical)))
    whole[:, model.free] = eta[best]
    values = model.values(whole)
    prediction = search.rows.predict(model.structure, values)
    likelihood = search.rows.log_likelihood(prediction, model.residual)
    parts = np.split(prediction, np.cumsum([len(subject.time) for subject in subjects])[:-1])
    return tuple(
        IndividualFit(
            subject=subject,
            eta=whole[k],
            values=values[k],
            covariance=covariance[k],
            ofv=float(objective.min(axis=1)[k]),
            log_likelihood=float(likelihood[k]),
            prediction=parts[k],
            agreeing=float(agreeing[k]),
            converged=bool(ended[best[k]]),
        )
        for k, subject in enumerate(subjects)
    )


class _Search:
    """The rows of one search, and what is minimised: -2 log p(data, eta)."""

    def __init__(self, model: PopulationModel, subjects: Sequence[Subject]) -> None:
        self.model = model
        self.subjects = tuple(subjects)
        self.rows = Rows(self.subjects)
        self.precision = np.linalg.inv(_free_omega(model))
        self.constant = np.linalg.slogdet(2.0 * np.pi * _free_omega(model))[1]
        self.n = len(self.precision)

    def predictions(self, eta: np.ndarray, chosen: np.ndarray) -> tuple[Rows, np.ndarray]:
        """Predictions for free deviations (variants, chosen, free) of the chosen rows; flat, variant by variant."""
        rows = Rows(tuple(self.subjects[k] for k in chosen) * len(eta))
        whole = np.zeros((len(rows.subjects), len(self.model.typical)))
        whole[:, self.model.free] = eta.reshape(-1, self.n)
        return rows, rows.predict(self.model.structure, self.model.values(whole))

    def objective(self, eta: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """-2 log p(data, eta), (variants, chosen); infinite where there is no prediction."""
        return self._objective(eta, *self.predictions(eta, chosen))

    def _objective(self, eta: np.ndarray, rows: Rows, prediction: np.ndarray) -> np.ndarray:
        likelihood = rows.log_likelihood(prediction, self.model.residual).reshape(eta.shape[:2])
        return -2.0 * likelihood + np.einsum("vri,ij,vrj->vr", eta, self.precision, eta) + self.constant

    def run(self, eta: np.ndarray, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Search from eta (rows, free): end points, their -2 log p, and whether each ended by itself."""
        eta = eta.copy()
        value = self.objective(eta[None], np.arange(len(eta)))[0]
        reach = np.full(len(eta), _REACH)
        active = np.isfinite(value)
        for _ in range(rounds):
            chosen = np.flatnonzero(active)
            if not chosen.size:
                break
            slope, curve = self.slopes(eta[chosen], chosen)
            steps = self._steps(slope, curve, reach[chosen])
            trial = self.objective(eta[chosen] + steps, chosen)
            here, pick = np.arange(len(chosen)), np.argmin(trial, axis=0)
            gain = value[chosen] - trial[pick, here]
            better = gain > 0.0
            eta[chosen[better]] += steps[pick, here][better]
            value[chosen[better]] = trial[pick, here][better]
            stuck = gain < _CLOSE
            # At a smooth optimum the slopes promise nothing; at a kink (a peak time on a sample) they promise in vain.
            promised = 0.5 * np.einsum("ri,ri->r", slope, np.linalg.solve(curve, slope[..., None])[..., 0])
            reach[chosen] = np.where(stuck, 0.25 * reach[chosen], _REACH)
            active[chosen] = ~stuck | ((promised > _CLOSE) & (reach[chosen] > 1e-3))
        return eta, value, ~active

    def _steps(self, slope: np.ndarray, curve: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Trial steps (trials, rows, free): damped Newton steps, and steps along the axes for where slopes mislead."""
        diagonal = np.eye(self.n) * np.einsum("rii->ri", curve)[:, None, :]
        newton = np.stack([-np.linalg.solve(curve + k * diagonal, slope[..., None])[..., 0] for k in _DAMPINGS])
        longest = np.abs(newton).max(axis=2, keepdims=True)
        newton *= np.minimum(1.0, _FURTHEST / np.maximum(longest, 1e-12))
        axes = np.concatenate([np.eye(self.n), -np.eye(self.n)])[:, None, :] * reach[:, None]
        return np.concatenate([newton, axes])

    def slopes(self, eta: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (chosen, free) and Gauss-Newton Hessian (chosen, free, free) of -2 log p, always positive definite.

        A measurement adds 2 f' f'/SD^2 + 4 SD' SD'/SD^2 to the Hessian, its expectation; a below-limit one twice the
        square of the slope of sqrt(-2 log probability).
        """
        shift = _STEP * np.concatenate([np.eye(self.n), -np.eye(self.n)])
        variants = eta + shift[:, None, :]
        rows, prediction = self.predictions(variants, chosen)
        objective = self._objective(variants, rows, prediction)
        slope = ((objective[: self.n] - objective[self.n :]) / (2.0 * _STEP)).T
        shape = (2, self.n, len(prediction) // (2 * self.n))
        z, log_sd = (part.reshape(shape) for part in rows.misfit(prediction, self.model.residual))
        d_sd = (log_sd[0] - log_sd[1]) / (2.0 * _STEP)
        d_z = (z[0] - z[1]) / (2.0 * _STEP) + z.mean(axis=0) * d_sd
        each = 2.0 * d_z[:, None] * d_z[None] + 4.0 * d_sd[:, None] * d_sd[None]
        begins = np.flatnonzero(np.diff(rows.row[: shape[2]], prepend=-1))
        sums = np.add.reduceat(np.nan_to_num(each, posinf=0.0, neginf=0.0), begins, axis=2)
        return np.nan_to_num(slope, posinf=0.0, neginf=0.0), np.moveaxis(sums, 2, 0) + 2.0 * self.precision

    def covariance(self, eta: np.ndarray) -> np.ndarray:
        """Covariance (rows, ids, ids) of the deviations around eta (rows, free): inverse of the Hessian of -log p.

        Second differences; where they are not positive definite, at a kink, the Gauss-Newton Hessian.
        """
        n, chosen = self.n, np.arange(len(eta))
        pairs = [(i, j) for i in range(n) for j in range(i)]
        unit = _CURVE * np.eye(n)
        shift = [np.zeros(n), *unit, *-unit]
        shift += [a * unit[i] + b * unit[j] for i, j in pairs for a, b in ((1, 1), (-1, -1), (1, -1), (-1, 1))]
        values = self.objective(eta + np.array(shift)[:, None, :], chosen)
        hessian = np.empty((len(eta), n, n))
        for i in range(n):
            hessian[:, i, i] = (values[1 + i] + values[1 + n + i] - 2.0 * values[0]) / _CURVE**2
        for k, (i, j) in enumerate(pairs):
            four = values[1 + 2 * n + 4 * k : 5 + 2 * n + 4 * k]
            hessian[:, i, j] = hessian[:, j, i] = (four[0] + four[1] - four[2] - four[3]) / (4.0 * _CURVE**2)
        finite = np.isfinite(hessian).all(axis=(1, 2))
        smallest = np.linalg.eigvalsh(np.where(np.reshape(finite, (-1, 1, 1)), hessian, 0.0))[:, 0]
        smooth = finite & (smallest > 0.0)
        hessian[~smooth] = self.slopes(eta, chosen)[1][~smooth]
        result = np.zeros((len(eta), len(self.model.typical), len(self.model.typical)))
        result[np.ix_(chosen, self.model.free, self.model.free)] = np.linalg.inv(0.5 * hessian)
        return result


def _free_omega(model: PopulationModel) -> np.ndarray:
    return model.omega[np.ix_(model.free, model.free)]


def _root(covariance: np.ndarray) -> np.ndarray:
    """A matrix whose product with its transpose is the covariance, zero rows allowed."""
    size, direction = np.linalg.eigh(covariance)
    return direction * np.sqrt(np.maximum(size, 0.0))
