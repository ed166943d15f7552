"""Population fit: estimates, standard errors, marginal likelihood, and empirical Bayes estimates."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from .conditional import Chain
from .data import Subject
from .observations import Rows
from .saem import Estimate, estimate
from .structure import PopulationModel

# Marginal likelihood: the likelihood of each subject, integrated over the individual parameters.
#
# Importance sampling with Student proposals around the conditional mean of each subject (Lavielle 2014, chapter 9).


_FREEDOM = 5.0  # the tails of the proposals are heavier than those of what they stand for
_ROWS_AT_ONCE = 500  # rows in one call of the structure


def marginal_log_likelihood(
    model: PopulationModel,
    subjects: Sequence[Subject],
    mean: np.ndarray,
    covariance: np.ndarray,
    draws: int,
    seed: int,
) -> tuple[float, float]:
    """Marginal log-likelihood log p(data) of all subjects, and its Monte Carlo standard error.

    Parameters
    ----------
    model
        The population.
    subjects
        The data.
    mean, covariance
        (subjects, ids) and (subjects, ids, ids) of the logs of the individual parameters given the data, roughly.
    draws
        Draws for each subject.
    seed
        Same seed, same result.
    """
    rng, n = np.random.default_rng([seed, 2]), len(subjects)
    free = np.flatnonzero(model.free)
    mu, d = np.log(model.typical), len(free)
    place = np.ix_(free, free)
    if not d:
        rows = Rows(tuple(subjects))
        prediction = rows.predict(model.structure, np.tile(model.typical, (n, 1)))
        return float(rows.log_likelihood(prediction, model.residual).sum()), 0.0
    # A little of the population is added, so that no direction is left out where a chain happened not to move.
    wide = covariance[:, free[:, None], free] + 0.01 * model.omega[place]
    root = np.linalg.cholesky(wide)
    half_log_det = np.log(np.einsum("sii->si", root)).sum(axis=1)
    precision = np.linalg.inv(model.omega[place])
    prior_constant = -0.5 * np.linalg.slogdet(2.0 * math.pi * model.omega[place])[1]
    constant = gammaln(0.5 * (_FREEDOM + d)) - gammaln(0.5 * _FREEDOM) - 0.5 * d * math.log(_FREEDOM * math.pi)
    copies = max(1, min(draws, _ROWS_AT_ONCE // n))
    rows, weights = Rows(tuple(subjects) * copies), []
    for _ in range(-(-draws // copies)):
        noise = rng.standard_normal((copies, n, d)) / np.sqrt(rng.chisquare(_FREEDOM, (copies, n, 1)) / _FREEDOM)
        phi = np.tile(mu, (copies, n, 1))
        phi[..., free] = mean[:, free] + np.einsum("sij,csj->csi", root, noise)
        with np.errstate(over="ignore"):
            prediction = rows.predict(model.structure, np.exp(phi.reshape(copies * n, -1)))
        likelihood = rows.log_likelihood(prediction, model.residual).reshape(copies, n)
        away = phi[..., free] - mu[free]
        prior = prior_constant - 0.5 * np.einsum("csi,ij,csj->cs", away, precision, away)
        proposal = constant - half_log_det - 0.5 * (_FREEDOM + d) * np.log1p((noise**2).sum(axis=2) / _FREEDOM)
        weights.append(likelihood + prior - proposal)
    log_weight = np.concatenate(weights)
    each = np.asarray(logsumexp(log_weight, axis=0)) - math.log(len(log_weight))
    variance = np.exp(log_weight - each).var(axis=0) / len(log_weight)
    return float(each.sum()), float(np.sqrt(variance.sum()))


# Standard errors: the observed information, from individual parameters drawn at the estimates.
#
# Louis (1982, J R Stat Soc B 44:226): minus the expected second derivatives of the complete log-likelihood, minus the
# variance of its score, both over the conditional distribution of the individual parameters.


_STEP = 1e-2  # finite differences in the logs of typical values without spread and of residual SDs
_FEWEST_ROWS = 60  # with fewer subjects each gets several chains


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


def draw(fitted: Estimate, subjects: Sequence[Subject], sweeps: int, seed: int, burn: int = 60) -> Drawn:
    """Draw individual parameters at the estimates, `sweeps` times after `burn`, and take the information from them."""
    model, n = fitted.model, len(subjects)
    mu, copies = np.log(model.typical), max(1, -(-_FEWEST_ROWS // n))
    chain = Chain(model.structure, subjects, copies, np.random.default_rng([seed, 1]))
    chain.start(mu, model.omega, model.residual)
    for _ in range(burn):
        chain.sweep(mu, model.omega, model.residual, tune=True)
    population, errors = _Population(fitted), _Errors(fitted, chain)
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

    def __init__(self, fitted: Estimate) -> None:
        ids = fitted.model.structure.ids
        self.free = np.flatnonzero(fitted.model.free)
        self.moving = np.flatnonzero(fitted.model.free & ~fitted.held)
        self.pairs = [(i, j) for i in self.free for j in self.free if i == j or (fitted.correlated and j < i)]
        self.mu, self.omega = np.log(fitted.model.typical), fitted.model.omega
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

    def __init__(self, fitted: Estimate, chain: Chain) -> None:
        self.chain, self.residual = chain, fitted.model.residual
        self.common = np.flatnonzero(~fitted.model.free & ~fitted.held)
        below = chain.rows.below
        kinds = [kind for kind, place in chain.rows.where.items() if not below[place].all()]
        self.errors = [(kind, k) for kind in kinds for k in range(len(self.residual[kind].needed))]
        ids = fitted.model.structure.ids
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


@dataclass(frozen=True, eq=False)
class PopulationFit:
    """Result of `fit_population`.

    Attributes
    ----------
    model
        The fitted population.
    names, covariance
        Names and (names, names) covariance of the estimates: logs of typical values, elements of omega, logs of
        residual SDs; the inverse of the observed information.
    information_by
        How that was computed, see `Drawn`.
    log_likelihood, log_likelihood_error
        Marginal log-likelihood and its Monte Carlo standard error.
    parameters
        Number of estimated parameters.
    eta_mean, eta_covariance
        (subjects, ids) and (subjects, ids, ids) of the deviations on the log scale, given the data.
    estimate
        The course of the iterations.
    """

    model: PopulationModel
    names: tuple[str, ...]
    covariance: np.ndarray
    information_by: str
    log_likelihood: float
    log_likelihood_error: float
    parameters: int
    eta_mean: np.ndarray
    eta_covariance: np.ndarray
    estimate: Estimate

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 parameters - 2 log-likelihood."""
        return 2.0 * self.parameters - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        """Schwarz's criterion with the number of subjects, log(subjects) parameters - 2 log-likelihood."""
        return math.log(len(self.eta_mean)) * self.parameters - 2.0 * self.log_likelihood

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard error of each of `names`; of a log it is the relative standard error of the parameter itself."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def standard_error_of_spread(self, name: str) -> float:
        """Standard error of the SD (not the variance) of the log of a parameter, by the delta method."""
        k = self.model.structure.ids.index(name)
        return self.standard_errors[f"omega {name} {name}"] / (2.0 * math.sqrt(self.model.omega[k, k]))


def fit_population(
    start: PopulationModel,
    subjects: Sequence[Subject],
    *,
    correlated: bool = False,
    no_spread: Collection[str] = (),
    held: Collection[str] = (),
    explore: int = 300,
    smooth: int = 200,
    sweeps: int = 300,
    draws: int = 2000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> PopulationFit:
    """Fit a population to longitudinal data by SAEM (Delyon, Lavielle & Moulines 1999; Kuhn & Lavielle 2005).

    Standard errors come from the observed information (Louis 1982), the likelihood from importance sampling.

    Parameters
    ----------
    start
        Structure and first guesses; the spread should rather be too wide. The kinds of residual error stay as they are.
    subjects
        The data, at least two subjects.
    correlated
        Estimate the covariances between parameters too, and not only their variances.
    no_spread
        Parameters that are the same for all subjects, beside those without spread in `start`.
    held
        Parameters whose typical value stays as it is in `start`.
    explore, smooth
        Iterations of the first phase, which finds the place, and of the second, which averages.
    sweeps
        Draws of the individual parameters behind the standard errors.
    draws
        Draws for each subject behind the marginal likelihood.
    seed
        Same seed, same result.
    progress
        Called with the iterations done and their number.

    Returns
    -------
    PopulationFit
        The fitted `model` (typical values in the unit of each parameter), the covariance of the estimates,
        log-likelihood, AIC and BIC, and the deviations of each subject (subjects, ids) on the log scale.

    Raises
    ------
    UnknownNameError, RangeError
        If a name is not a parameter, or the residual errors cannot describe the data.
    FitError
        If the structure cannot predict a subject, or there are fewer than two.

    Examples
    --------
    >>> import numpy as np
    >>> from perdure import fit_population
    >>> from perdure.fitting.patients.cellular_kinetics import tisagenlecleucel
    >>> from perdure.fitting.patients.data import Subject
    >>> days, kind, below = np.array([4.0, 9.0, 14.0, 28.0]), np.full(4, "transgene"), np.zeros(4, dtype=bool)
    >>> copies = {"A": [2e3, 2e4, 15e3, 3e3], "B": [5e2, 9e3, 12e3, 15e2], "C": [9e2, 15e3, 6e3, 9e2]}
    >>> subjects = [Subject(name, days, kind, np.array(value), below) for name, value in copies.items()]
    >>> fit = fit_population(tisagenlecleucel(), subjects, explore=4, smooth=4, sweeps=10, draws=20)  # far too few
    >>> fit.model.structure.ids[:2], fit.eta_mean.shape
    (('c_max', 't_max'), (3, 6))
    """
    fitted = estimate(
        start,
        subjects,
        correlated=correlated,
        no_spread=no_spread,
        held=held,
        explore=explore,
        smooth=smooth,
        seed=seed,
        progress=progress,
    )
    drawn = draw(fitted, subjects, sweeps, seed)
    likelihood, error = marginal_log_likelihood(fitted.model, subjects, drawn.mean, drawn.covariance, draws, seed)
    return PopulationFit(
        model=fitted.model,
        names=drawn.names,
        covariance=np.linalg.pinv(drawn.information),
        information_by=drawn.by,
        log_likelihood=likelihood,
        log_likelihood_error=error,
        parameters=len(drawn.names),
        eta_mean=drawn.mean - np.log(fitted.model.typical),
        eta_covariance=drawn.covariance,
        estimate=fitted,
    )
