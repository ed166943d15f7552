"""What the model of a patient leaves open beyond the fitted parameters: immunity against the CAR, and others."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .data import Subject
from .map_fit import IndividualFit, individual_fits
from .mechanistic import covariance, mechanistic, with_immunity
from .structure import PopulationModel

ALSO_OPEN = (
    "density_bcma", "k_relaxation_density", "k_exhaustion", "fraction_engrafted", "host_after_lymphodepletion",
    "k_recovery_host",
)  # fmt: skip
"""What joins the fitted parameters in a prediction: no data of one patient tell them apart from those, but they move
both the data and the day of progression."""
UNLIKELY = 9.0
"""Log odds at which immunity, or its absence, is left out."""

Way = tuple[PopulationModel, IndividualFit, float]
"""A model with or without immunity, the fit of a patient by it, and its probability."""


def wider(model: PopulationModel) -> PopulationModel:
    """The model with `ALSO_OPEN` among its individual parameters, as they are in the calibrated population."""
    structure = mechanistic(model)
    more = tuple(name for name in ALSO_OPEN if name not in structure.ids)
    if not more:
        return model
    n = len(structure.ids)
    omega = np.zeros((n + len(more), n + len(more)))
    omega[:n, :n] = model.omega
    omega[n:, n:] = covariance(structure.parameters, more, structure.product, structure.population)
    typical = np.append(model.typical, [structure.typical[name] for name in more])
    return replace(model, structure=replace(structure, ids=(*structure.ids, *more)), typical=typical, omega=omega)


def likely_ways(model: PopulationModel, subjects: Sequence[Subject]) -> list[list[Way]]:
    """For every patient the model without and with immunity against the CAR, the more probable first.

    The probability is the share of the population times the marginal likelihood by Laplace's method (Tierney and Kadane
    1986); a way with odds below e^-`UNLIKELY` is left out.
    """
    ways = [with_immunity(model, immune) for immune in (False, True)]
    ways = [way for way in ways if share_of(way) > 0.0]
    fits = [individual_fits(way, subjects) for way in ways]
    free = model.free
    found = []
    for k in range(len(subjects)):
        mine = [some[k] for some in fits]
        volume = [np.linalg.slogdet(fit.covariance[np.ix_(free, free)])[1] for fit in mine]
        prior = [np.log(share_of(way)) for way in ways]
        evidence = np.array([p + 0.5 * (v - fit.ofv) for p, v, fit in zip(prior, volume, mine, strict=True)])
        share = np.exp(evidence - evidence.max())
        order = [int(j) for j in np.argsort(-evidence) if evidence[j] > evidence.max() - UNLIKELY]
        found.append([(ways[j], mine[j], float(share[j] / share.sum())) for j in order])
    return found


def share_of(way: PopulationModel) -> float:
    """Share of the population that is as immune, or not immune, as the model says."""
    structure = mechanistic(way)
    return structure.share_immune if structure.immune else 1.0 - structure.share_immune
