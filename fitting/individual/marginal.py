"""The likelihood of a population model: each subject's data, averaged over what the subject's parameters may be.

Importance sampling with Student proposals around the conditional mean of each subject (Lavielle 2014, chapter 9).
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln, logsumexp

from .data import Subject
from .rows import Rows
from .structure import PopulationModel

_FREEDOM = 5.0  # the tails of the proposals are heavier than those of what they stand for
_ROWS = 500  # rows in one call of the structure


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
    copies = max(1, min(draws, _ROWS // n))
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
