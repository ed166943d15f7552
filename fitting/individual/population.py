"""A population fit from data to result: estimates, standard errors, likelihood, and what is left of each subject."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .data import Subject
from .information import draw
from .marginal import marginal_log_likelihood
from .saem import Estimate, estimate
from .structure import PopulationModel


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
        How that was found, see `information.Drawn`.
    log_likelihood, log_likelihood_error
        Marginal log-likelihood and its Monte Carlo standard error.
    parameters
        Number of estimated numbers.
    eta_mean, eta_covariance
        (subjects, ids) and (subjects, ids, ids) of the deviations on the log scale, given the data.
    found
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
    found: Estimate

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
        """Standard error of each of `names`; of a log it is the relative standard error of the number itself."""
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
    """Fit a population to longitudinal data by SAEM.

    Parameters
    ----------
    start, subjects, correlated, no_spread, held, explore, smooth, seed, progress
        As for `saem.estimate`.
    sweeps
        Draws of the individual parameters behind the standard errors.
    draws
        Draws for each subject behind the marginal likelihood.

    Raises
    ------
    UnknownNameError, RangeError, FitError
        As `saem.estimate`.
    """
    found = estimate(
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
    drawn = draw(found, subjects, sweeps, seed)
    likelihood, error = marginal_log_likelihood(found.model, subjects, drawn.mean, drawn.covariance, draws, seed)
    return PopulationFit(
        model=found.model,
        names=drawn.names,
        covariance=np.linalg.pinv(drawn.information),
        information_by=drawn.by,
        log_likelihood=likelihood,
        log_likelihood_error=error,
        parameters=len(drawn.names),
        eta_mean=drawn.mean - np.log(found.model.typical),
        eta_covariance=drawn.covariance,
        found=found,
    )
