"""Response and progression by the criteria of the International Myeloma Working Group, from measured markers.

Criteria: Kumar et al. 2016, Lancet Oncology 17:e328. Only the serum criteria: M-protein, or the difference of free
light chains in patients without measurable M-protein. Urine, imaging and new bone lesions are not modelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..parameters.patients import Draws

CATEGORIES = ("PD", "SD", "MR", "PR", "VGPR", "CR")
"""Best responses in rising order; a category is its index here."""
PD, SD, MR, PR, VGPR, CR = range(len(CATEGORIES))

RISE_RELATIVE = 0.25  # progression: at least 25 % above the lowest confirmed value
RISE_M_PROTEIN = 5.0  # and at least 5 g/L
RISE_M_PROTEIN_HIGH, HIGH_M_PROTEIN = 10.0, 50.0  # but 10 g/L are sufficient if the lowest value was at least 50 g/L
RISE_LIGHT_CHAIN = 100.0  # mg/L, where only light chains are measurable
REDUCTIONS = ((MR, 0.25), (PR, 0.50), (VGPR, 0.90))  # fall from baseline for each category


@dataclass(frozen=True, eq=False)
class Markers:
    """Markers at visits, arrays (n, visits), the first visit being the baseline before treatment.

    `measured` carries assay error, `true` does not; both are in g/L, or in mg/L where `light_chain` (n,) is true.
    `negative` says whether the marker is below what the laboratory can see, marrow and light chain included.
    """

    days: np.ndarray
    measured: np.ndarray
    true: np.ndarray
    negative: np.ndarray
    light_chain: np.ndarray


@dataclass(frozen=True, eq=False)
class Response:
    """Best confirmed response and progression of every patient.

    Attributes
    ----------
    best : array (n,)
        Index into `CATEGORIES`.
    progression : array (n,)
        Day on which the measured marker crosses the limit, by interpolation between visits; infinite if it does not.
    shown : array (n,)
        Day of the visit that shows it (infinite if none).
    before : array (n,)
        Day of the visit before that; of the last visit made if there is no progression.
    first_response : array (n,)
        Day of the visit that first shows a partial response or better that is confirmed; infinite if none.
    best_change : array (n,)
        Largest relative fall (negative) or smallest rise of the marker before progression; NaN without any visit.
    """

    best: np.ndarray
    progression: np.ndarray
    shown: np.ndarray
    before: np.ndarray
    first_response: np.ndarray
    best_change: np.ndarray


def measure(
    days: np.ndarray,
    m_protein: np.ndarray,
    tumour: np.ndarray,
    patients: Mapping[str, np.ndarray],
    draws: Draws,
) -> Markers:
    """Measured markers of every patient at the visits.

    Error of the assay: proportional (`error_m_protein`) and additive (`error_floor_m_protein`), from each patient's own
    draws, so that arms share the same errors (common random numbers).
    """
    column = {name: patients[name][:, None] for name in patients}
    only_light = patients["light_chain_only"] > 0.5
    light = column["flc_baseline"] * tumour / column["tumour_baseline"]  # involved minus uninvolved chain
    true = np.where(only_light[:, None], light, m_protein)
    errors = draws.assay_of(len(days))[: len(true)]
    floor = np.where(only_light[:, None], 0.0, column["error_floor_m_protein"])
    measured = np.maximum(true * (1.0 + column["error_m_protein"] * errors[..., 0]) + floor * errors[..., 1], 0.0)
    seen = np.where(
        only_light[:, None], light + column["flc_background"] > column["limit_flc"], true > column["limit_m_protein"]
    )
    marrow = tumour > column["fraction_marrow_complete"] * column["marrow_cells"]
    return Markers(days, measured, true, ~(seen | marrow), only_light)


def assess_response(markers: Markers, death: np.ndarray | None = None) -> Response:
    """Best confirmed response and progression.

    A category needs two consecutive visits, and so does progression; progression is measured from the lowest confirmed
    value. Complete response is read from the true marker (immunofixation sees, it does not weigh). There are no visits
    after the day of `death` (n,); who dies before a response is confirmed has none, and counts as stable disease.
    """
    level, days = markers.measured, markers.days
    n, visits = level.shape
    made = days[None, :] <= (np.full(n, np.inf) if death is None else death)[:, None]
    base = level[:, 0]
    pair = np.maximum(level[:, :-1], level[:, 1:])  # value confirmed by visits j and j+1
    lowest = np.empty_like(level)
    lowest[:, :2] = base[:, None]
    if visits > 2:
        lowest[:, 2:] = np.minimum(base[:, None], np.minimum.accumulate(pair, axis=1)[:, : visits - 2])
    light = markers.light_chain[:, None]
    quarter = np.maximum(RISE_RELATIVE * lowest, np.where(light, RISE_LIGHT_CHAIN, RISE_M_PROTEIN))
    limit = lowest + np.where(~light & (lowest >= HIGH_M_PROTEIN), RISE_M_PROTEIN_HIGH, quarter)
    worse = level >= limit
    worse[:, 0] = False
    confirmed = np.zeros_like(worse)  # the last visit has none after it that could confirm a rise
    confirmed[:, :-1] = worse[:, :-1] & worse[:, 1:] & made[:, 1:]
    any_worse = confirmed.any(axis=1)
    at = np.where(any_worse, confirmed.argmax(axis=1), visits)
    rows = np.arange(n)
    here = np.minimum(at, visits - 1)
    earlier = np.maximum(here - 1, 0)
    rise = level[rows, here] - level[rows, earlier]
    share = np.clip((limit[rows, here] - level[rows, earlier]) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    crossing = days[earlier] + share * (days[here] - days[earlier])
    progression = np.where(any_worse, crossing, np.inf)
    shown = np.where(any_worse, days[here], np.inf)
    before = np.where(any_worse, days[earlier], days[made.sum(axis=1) - 1])

    usable = (np.arange(2, visits)[None, :] < at[:, None]) & made[:, 2:]  # visits j and j+1 both before progression
    fall = 1.0 - pair[:, 1:] / np.maximum(base, 1e-12)[:, None]
    best = np.where(at <= 2, PD, SD)
    first = np.full(n, np.inf)
    for category, needed in REDUCTIONS:
        reached = usable & (fall >= needed)
        best = np.where(reached.any(axis=1), category, best)
        if category == PR:
            first = np.where(reached.any(axis=1), days[np.minimum(reached.argmax(axis=1) + 1, visits - 1)], np.inf)
    negative = usable & markers.negative[:, 1:-1] & markers.negative[:, 2:]
    complete = negative.any(axis=1) & (best >= PR)
    best = np.where(complete, CR, best)
    until_progression = (np.arange(1, visits)[None, :] < np.maximum(at, 2)[:, None]) & made[:, 1:]
    change = np.where(until_progression, level[:, 1:] / np.maximum(base, 1e-12)[:, None] - 1.0, np.inf).min(axis=1)
    return Response(best, progression, shown, before, first, np.where(np.isfinite(change), change, np.nan))
