"""Goodness of fit of a population model: shrinkage, residuals and visual predictive checks; numbers only.

Everything simulated draws new patients from the population and new measurement errors, at the times of the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ...parameters.errors import RangeError, unknown
from .data import Subject
from .observations import Rows
from .structure import PopulationModel

PERCENTILES = (5.0, 50.0, 95.0)
"""Percentiles of a visual predictive check."""

INTERVAL = (2.5, 50.0, 97.5)
"""Percentiles over the replicates: a 95 % interval and its middle."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """One row for each observation of all subjects, in their order.

    Attributes
    ----------
    subject, kind
        (observations,) names.
    time
        (observations,) days.
    value, below
        (observations,) as in `Subject`.
    population, individual
        (observations,) predictions at the typical values, and at the individual parameters.
    iwres
        (observations,) (y - individual) / SD, on the log scale for a log error; NaN where below the limit.
    npd
        (observations,) normalised prediction discrepancies: standard normal, each by itself, if the model is right.
    """

    subject: np.ndarray
    kind: np.ndarray
    time: np.ndarray
    value: np.ndarray
    below: np.ndarray
    population: np.ndarray
    individual: np.ndarray
    iwres: np.ndarray
    npd: np.ndarray

    @property
    def epsilon_shrinkage(self) -> dict[str, float]:
        """For each kind 1 - SD(iwres) (Savic and Karlsson 2009, AAPS J 11:558)."""
        return {str(kind): float(1.0 - np.nanstd(self.iwres[self.kind == kind])) for kind in np.unique(self.kind)}


@dataclass(frozen=True, eq=False)
class VPC:
    """Visual predictive check of one kind of observation, as numbers.

    Attributes
    ----------
    kind
        What was observed.
    edges
        (bins + 1,) days; a bin holds its lower edge, the last also its upper one.
    middle, n
        (bins,) median day and number of observations.
    observed
        (3, bins) the 5th, 50th and 95th percentile; NaN where it lies below the limit.
    simulated
        (3, 3, bins) for each of these the 2.5th, 50th and 97.5th percentile over the replicates; NaN likewise.
    below_observed, below_simulated
        (bins,) and (3, bins) the fraction below the limit.
    limit
        The limit of quantification that was applied to the simulated values (0: none).
    """

    kind: str
    edges: np.ndarray
    middle: np.ndarray
    n: np.ndarray
    observed: np.ndarray
    simulated: np.ndarray
    below_observed: np.ndarray
    below_simulated: np.ndarray
    limit: float


def shrinkage(model: PopulationModel, eta: np.ndarray) -> dict[str, float]:
    """For each parameter with spread 1 - SD(eta) / omega (Savic and Karlsson 2009, AAPS J 11:558).

    Parameters
    ----------
    model
        The fitted population.
    eta
        (subjects, ids) individual estimates on the log scale; by custom the MAP estimates. Near 1 the data say nothing
        about the individuals, and plots of the individual estimates mislead.
    """
    spread = np.sqrt(np.diag(model.omega))
    ids = model.structure.ids
    return {ids[k]: float(1.0 - np.std(eta[:, k]) / spread[k]) for k in np.flatnonzero(model.free)}


def simulate_data(model: PopulationModel, subjects: Sequence[Subject], replicates: int, seed: int) -> np.ndarray:
    """Measurements (replicates, observations) of new patients with the times and doses of the subjects; no limit."""
    rng, rows = np.random.default_rng([seed, 3]), Rows(tuple(subjects))
    size, direction = np.linalg.eigh(model.omega)
    root = direction * np.sqrt(np.maximum(size, 0.0))
    result = np.empty((replicates, len(rows.value)))
    for k in range(replicates):
        eta = rng.standard_normal((len(rows.subjects), len(root))) @ root.T
        prediction = rows.predict(model.structure, model.values(eta))
        for kind, place in rows.where.items():
            result[k, place] = model.residual[kind].simulate(prediction[place], rng)
    return result


def residuals(
    model: PopulationModel, subjects: Sequence[Subject], eta: np.ndarray, replicates: int = 500, seed: int = 0
) -> Residuals:
    """Residuals of every observation.

    The prediction discrepancy is the share of simulated values below the observed one (Mentré and Escolano 2006, J
    Pharmacokinet Pharmacodyn 33:345), normalised by the inverse normal CDF; below the limit it is uniform up to the
    simulated share below the limit (Nguyen, Comets and Mentré 2012, J Pharmacokinet Pharmacodyn 39:499). Observations
    of one subject remain correlated, so that tests which assume independence do not apply.

    Parameters
    ----------
    model
        The fitted population.
    subjects
        The data.
    eta
        (subjects, ids) individual estimates on the log scale.
    replicates
        Simulated data sets behind the discrepancies.
    seed
        Same seed, same result.
    """
    model.check(subjects)
    rows = Rows(tuple(subjects))
    typical = rows.predict(model.structure, np.tile(model.typical, (len(subjects), 1)))
    individual = rows.predict(model.structure, model.values(eta))
    iwres = np.empty(len(rows.value))
    for kind, place in rows.where.items():
        iwres[place] = model.residual[kind].standardised(rows.value[place], individual[place])
    share = (simulate_data(model, subjects, replicates, seed) < rows.value).mean(axis=0)
    uniform = np.random.default_rng([seed, 4]).uniform(size=len(share))
    share = np.where(rows.below, uniform * share, share)
    half = 0.5 / replicates
    return Residuals(
        subject=np.array([subject.id for subject in subjects])[rows.row],
        kind=np.concatenate([subject.kind for subject in subjects]),
        time=np.concatenate([subject.time for subject in subjects]),
        value=rows.value,
        below=rows.below,
        population=typical,
        individual=individual,
        iwres=np.where(rows.below, np.nan, iwres),
        npd=ndtri(np.clip(share, half, 1.0 - half)),
    )


def vpc(
    model: PopulationModel,
    subjects: Sequence[Subject],
    kind: str,
    bins: int | Sequence[float] = 8,
    replicates: int = 300,
    seed: int = 0,
) -> VPC:
    """Visual predictive check: percentiles of the data in bins of time beside those of simulated data.

    Values below the limit count as lower than all others, in the data and in the simulation (Bergstrand and Karlsson
    2009, AAPS J 11:371). The limit applied to simulated values is the median limit in the data of this kind.

    Parameters
    ----------
    model
        The population.
    subjects
        The data.
    kind
        What was observed.
    bins
        Number of bins with about as many observations each (fewer where times repeat), or their edges in days.
    replicates
        Simulated data sets.
    seed
        Same seed, same result.

    Raises
    ------
    UnknownNameError, RangeError
        For a kind that was not observed, or edges that leave an observation out.
    """
    model.check(subjects)
    rows = Rows(tuple(subjects))
    if kind not in rows.where:
        raise unknown("kind of observation", kind, rows.where)
    place = rows.where[kind]
    time = np.concatenate([subject.time for subject in subjects])[place]
    below, limit = rows.below[place], 0.0
    if below.any():
        limit = float(np.median(rows.value[place][below]))
    value = np.where(below, -np.inf, rows.value[place])
    simulated = simulate_data(model, subjects, replicates, seed)[:, place]
    simulated = np.where(simulated < limit, -np.inf, simulated) if below.any() else simulated
    edges = _edges(time, bins)
    bin_of = np.minimum(np.searchsorted(edges, time, side="right") - 1, len(edges) - 2)
    groups = [np.flatnonzero(bin_of == k) for k in range(len(edges) - 1)]
    observed = np.stack([_percentiles(value[group], PERCENTILES) for group in groups], axis=-1)
    each = np.stack([_percentiles(simulated[:, group], PERCENTILES) for group in groups], axis=-1)
    lost = np.stack([np.isneginf(simulated[:, group]).mean(axis=1) for group in groups], axis=-1)
    return VPC(
        kind=kind,
        edges=edges,
        middle=np.array([np.median(time[group]) for group in groups]),
        n=np.array([len(group) for group in groups]),
        observed=_hidden(observed),
        simulated=_hidden(np.swapaxes(_percentiles(np.moveaxis(each, 1, -1), INTERVAL), 0, 1)),
        below_observed=np.array([below[group].mean() for group in groups]),
        below_simulated=np.quantile(lost, np.array(INTERVAL) / 100.0, axis=0),
        limit=limit,
    )


def _edges(time: np.ndarray, bins: int | Sequence[float]) -> np.ndarray:
    if isinstance(bins, int):
        if bins < 1:
            raise RangeError(f"bins is {bins}; at least one is needed.")
        edges = np.unique(np.quantile(time, np.linspace(0.0, 1.0, bins + 1), method="inverted_cdf"))
        edges = edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1.0])
    else:
        edges = np.asarray(bins, float)
        if len(edges) < 2 or (np.diff(edges) <= 0.0).any() or time.min() < edges[0] or time.max() > edges[-1]:
            raise RangeError(
                f"bins: the edges {list(bins)} must rise, and hold all times ({time.min():g} to {time.max():g} days)."
            )
    # An empty bin has no percentiles: it joins the one before it, the first the one after it.
    filled = np.histogram(time, edges)[0] > 0
    kept = [edges[0], *edges[1:-1][filled[1:] & (np.cumsum(filled)[:-1] > 0)], edges[-1]]
    return np.array(kept)


def _percentiles(values: np.ndarray, percentiles: Sequence[float]) -> np.ndarray:
    """(percentiles, ...) along the last axis; each is one of the values, so that minus infinity stays what it is."""
    return np.quantile(values, np.array(percentiles) / 100.0, axis=-1, method="inverted_cdf")


def _hidden(values: np.ndarray) -> np.ndarray:
    return np.where(np.isneginf(values), np.nan, values)
