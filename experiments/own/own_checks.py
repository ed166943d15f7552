"""Does the model describe a user's patients? Shrinkage, residuals, and the numbers of a visual predictive check."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtr, ndtri

from perdure.experiments.pictures.own_patients import KindToDraw
from perdure.experiments.pictures.own_population import CheckToDraw, PointsToDraw
from perdure.fitting.individual.data import Subject
from perdure.fitting.individual.diagnostics import shrinkage
from perdure.fitting.individual.map_fit import IndividualFit
from perdure.fitting.individual.mechanistic import Mechanistic, with_immunity
from perdure.fitting.individual.structure import PopulationModel

MOST_BINS = 8
REPLICATES = 200
FEWEST = 5
"""Fewer patients with a kind of measurement have no percentiles to check."""
_PERCENTILES = (5.0, 50.0, 95.0)


def deviations_of(model: PopulationModel, fits: Sequence[IndividualFit]) -> dict[str, np.ndarray]:
    """Deviations (patients,) of the estimates in SDs between patients, by parameter that differs between them."""
    sd = np.sqrt(np.diag(model.omega))
    eta = np.array([fit.eta for fit in fits])
    return {name: eta[:, k] / sd[k] for k, name in enumerate(model.structure.ids) if sd[k] > 0.0}


def shrinkage_of(model: PopulationModel, fits: Sequence[IndividualFit]) -> dict[str, float]:
    """Shrinkage of each parameter (`diagnostics.shrinkage`); NaN for a single patient."""
    if len(fits) < 2:
        return dict.fromkeys(deviations_of(model, fits), float("nan"))
    return shrinkage(model, np.array([fit.eta for fit in fits]))


def points_of(
    ways: Sequence[PopulationModel], fits: Sequence[IndividualFit], kinds: Sequence[KindToDraw], seed: int
) -> list[PointsToDraw]:
    """Every measurement with both predictions and its weighted residual, by kind that was measured.

    `ways` are the models by which each patient was fitted.

    The residual of a value below the limit is drawn from the part of the normal below it (Nguyen et al. 2012).
    """
    rng = np.random.default_rng(seed)
    subjects = [fit.subject for fit in fits]
    typical = [way.structure.predict(way.typical[None], [one])[0] for way, one in zip(ways, subjects, strict=True)]
    found = []
    for kind in kinds:
        places = [np.flatnonzero(subject.kind == kind.key) for subject in subjects]
        if not sum(map(len, places)):
            continue

        def put(parts: Sequence[np.ndarray], places: Sequence[np.ndarray] = places) -> np.ndarray:
            return np.concatenate([part[place] for part, place in zip(parts, places, strict=True)])

        value, below = put([s.value for s in subjects]), put([s.below for s in subjects])
        individual, error = put([fit.prediction for fit in fits]), ways[0].residual[kind.key]
        residual = error.standardised(value, individual)
        residual = np.where(below, drawn_below(residual, rng), residual)
        who = [s.id for s, place in zip(subjects, places, strict=True) for _ in place]
        days = put([s.time for s in subjects])
        found.append(PointsToDraw(kind, who, days, value, below, individual, put(typical), residual))
    return found


def drawn_below(cut: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard normals (n,) below a cut (n,); next to the cut where the probability of lying below it underflows."""
    share = rng.uniform(size=cut.shape) * ndtr(cut)
    return np.where(share > 0.0, ndtri(np.maximum(share, 1e-300)), cut)


def check_of(
    model: PopulationModel, subjects: Sequence[Subject], kinds: Sequence[KindToDraw], *,
    replicates: int = REPLICATES, seed: int = 1,
) -> list[CheckToDraw]:  # fmt: skip
    """Visual predictive check (Holford 2005; share below the limit as in Bergstrand and Karlsson 2009), by kind.

    Every replicate has the patients, times and limits of the data with new deviations and errors. Bins are the distinct
    days, or quantiles of them if there are more than `MOST_BINS`. A kind measured in fewer than `FEWEST` patients is
    left out.
    """
    rng = np.random.default_rng(seed)
    n = len(subjects)
    size, direction = np.linalg.eigh(model.omega)
    eta = rng.standard_normal((replicates * n, len(model.typical))) @ (direction * np.sqrt(np.maximum(size, 0.0))).T
    predicted = _predicted(model, model.values(eta), list(subjects) * replicates, rng)
    found = []
    for kind in kinds:
        places = [np.flatnonzero(subject.kind == kind.key) for subject in subjects]
        if sum(len(place) > 0 for place in places) < FEWEST:
            continue
        kind = replace(kind, log=True)
        days = np.concatenate([s.time[place] for s, place in zip(subjects, places, strict=True)])
        value = np.concatenate([s.value[place] for s, place in zip(subjects, places, strict=True)])
        below = np.concatenate([s.below[place] for s, place in zip(subjects, places, strict=True)])
        flat = np.concatenate([predicted[k][places[k % n]] for k in range(replicates * n)])
        simulated = model.residual[kind.key].simulate(flat.reshape(replicates, -1), rng)
        limits = _limits(subjects, places)
        hidden = np.where(np.isfinite(limits), simulated < limits, False)
        simulated = np.where(hidden, -np.inf, simulated)
        group = bins(days)
        found.append(_check(kind, days, np.where(below, -np.inf, value), simulated, group, value, below))
    return found


def _predicted(
    model: PopulationModel, values: np.ndarray, subjects: list[Subject], rng: np.random.Generator
) -> list[np.ndarray]:
    """Predictions for patients some of whom, drawn by their share, are prone to immunity against the CAR."""
    structure = model.structure
    if not isinstance(structure, Mechanistic):
        return structure.predict(values, subjects)
    drawn = rng.uniform(size=len(values)) < structure.share_immune
    found: list[np.ndarray] = [np.zeros(0)] * len(values)
    for immune in (False, True):
        rows = np.flatnonzero(drawn == immune)
        some = with_immunity(model, immune).structure.predict(values[rows], [subjects[row] for row in rows])
        for row, one in zip(rows, some, strict=True):
            found[row] = one
    return found


def bins(days: np.ndarray) -> np.ndarray:
    """Number of the bin (n,) of every day, from 0."""
    distinct, group = np.unique(days, return_inverse=True)
    if len(distinct) <= MOST_BINS:
        return group
    edges = np.unique(np.quantile(days, np.linspace(0.0, 1.0, MOST_BINS + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, days, side="left"), return_inverse=True)[1]


def _limits(subjects: Sequence[Subject], places: Sequence[np.ndarray]) -> np.ndarray:
    """Limit (n,) behind every measurement: that of the patient's values below it, else of the others', else none."""
    below = [s.value[place][s.below[place]] for s, place in zip(subjects, places, strict=True)]
    everyone = np.concatenate(below)
    general = float(np.median(everyone)) if everyone.size else np.nan
    return np.concatenate(
        [
            np.full(len(place), float(np.median(mine)) if mine.size else general)
            for mine, place in zip(below, places, strict=True)
        ]
    )


def _check(
    kind: KindToDraw, days: np.ndarray, observed: np.ndarray, simulated: np.ndarray, group: np.ndarray,
    value: np.ndarray, below: np.ndarray,
) -> CheckToDraw:  # fmt: skip
    parts = [np.flatnonzero(group == k) for k in range(group.max() + 1)]
    seen = np.stack([_percentiles(observed[None, part])[:, 0] for part in parts], axis=1)
    each = np.stack([_percentiles(simulated[:, part]) for part in parts], axis=1)  # (3, bins, replicates)
    shares = np.stack([np.mean(np.isneginf(simulated[:, part]), axis=1) for part in parts])
    low, high = np.quantile(each, [0.025, 0.975], axis=2, method="nearest")
    share_low, share_high = np.quantile(shares, [0.025, 0.975], axis=1)
    return CheckToDraw(
        kind=kind,
        day=np.array([max(float(np.median(days[part])), 0.0) for part in parts]),
        observed=_finite(seen),
        low=_finite(low),
        high=_finite(high),
        below=np.array([float(np.mean(below[part])) for part in parts]),
        below_low=share_low,
        below_high=share_high,
        points_day=days[~below],
        points_value=value[~below],
        limit=float(value[below].max()) if below.any() else np.nan,
    )


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Percentiles (3, rows) of rows; minus infinity, below the limit, is the smallest value and not interpolated."""
    return np.quantile(values, np.array(_PERCENTILES) / 100.0, axis=1, method="nearest")


def _finite(values: np.ndarray) -> np.ndarray:
    """What lies below the limit is not shown as a number."""
    return np.where(np.isfinite(values), values, np.nan)
