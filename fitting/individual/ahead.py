"""From a simulation of one patient's draws to the visits ahead: both branches of the tumour, and the judged marker."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...model.imwg import Markers, judge
from ...model.solution import Solution
from .data import Subject
from .mechanistic import on_days


def branches(found: Solution, columns: Mapping[str, np.ndarray]) -> tuple[Solution, Solution]:
    """The simulation given that the tumour comes back, and given that it was eradicated (as in `endpoints`).

    The expected tumour is the mean over both, so the one that survives is larger by 1 / (1 - P) after its lowest point.
    M-protein is linear in the tumour: what was there at the lowest point decays in both.
    """
    tumour, protein = found["tumour"], found["m_protein"]
    lowest = np.where(np.isfinite(tumour), tumour, np.inf).argmin(axis=1)[:, None]
    since = found.times[None, :] - found.times[lowest]
    alive = np.maximum(1.0 - np.nan_to_num(found.eradication), 1e-9)[:, None]
    decay = np.exp(-columns["k_clearance_m_protein"][:, None] * np.maximum(since, 0.0))
    left = np.take_along_axis(protein, lowest, axis=1) * decay
    back = np.where(since > 0, tumour / alive, tumour), np.where(since > 0, left + (protein - left) / alive, protein)
    never = np.where(since > 0, 0.0, tumour), np.where(since > 0, left, protein)
    return _with(found, columns, *back), _with(found, columns, *never)


def _with(found: Solution, columns: Mapping[str, np.ndarray], tumour: np.ndarray, protein: np.ndarray) -> Solution:
    """What can be measured in the same simulation with another tumour and what it secretes."""
    column = {name: columns[name][:, None] for name in ("flc_background", "flc_baseline", "tumour_baseline")}
    light = column["flc_background"] + column["flc_baseline"] * tumour / column["tumour_baseline"]
    courses = np.stack([tumour, protein, light, found["car_t"]], axis=2)
    return replace(found, names=("tumour", "m_protein", "light_chain", "car_t"), courses=courses)


def marker_of(subject: Subject) -> str:
    """The marker by which progression is judged: M-protein if it was measured, else light chain, else '' (none)."""
    return next((kind for kind in ("m_protein", "flc") if kind in set(subject.kind)), "")


def markers_ahead(
    course: Solution, columns: Mapping[str, np.ndarray], subject: Subject, future: np.ndarray, errors: np.ndarray
) -> Markers:
    """The measurements so far in every row, then simulated visits with the error of the assay (`imwg.measure`)."""
    light = columns["light_chain_only"] > 0.5
    above = course["light_chain"] - columns["flc_background"][:, None]  # involved minus uninvolved chain
    true = np.nan_to_num(np.where(light[:, None], above, course["m_protein"]))
    later = true[:, np.searchsorted(course.times, future)]
    floor = np.where(light, 0.0, columns["error_floor_m_protein"])[:, None]
    noise = columns["error_m_protein"][:, None] * errors[..., 0] * later + floor * errors[..., 1]
    days, value, below = measurements(subject)
    background = columns["flc_background"][:, None] if marker_of(subject) == "flc" else 0.0
    so_far = np.maximum(np.tile(value, (len(true), 1)) - background, 0.0)
    if len(days):
        there = true[:, np.searchsorted(course.times, days)]
        so_far = np.where(below, np.minimum(so_far, there), so_far)
    if len(days) and days[0] > 0:  # no baseline was measured, so it is the model's
        days, so_far = np.append(0.0, days), np.concatenate([true[:, :1], so_far], axis=1)
    measured = np.concatenate([so_far, np.maximum(later + noise, 0.0)], axis=1)
    return Markers(np.append(days, future), measured, measured, np.zeros(measured.shape, dtype=bool), light)


def measurements(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Day, value and whether below the limit of the judged marker, as arrays (visits,); before day 0 only the last."""
    here = np.flatnonzero(subject.kind == marker_of(subject))
    days = on_days(subject)[here]
    keep = np.append(np.diff(days) > 0, True)[: len(days)]
    return days[keep], subject.value[here[keep]], subject.below[here[keep]]


def seen_in_data(subject: Subject) -> float:
    """Day of progression that the measurements themselves show and confirm; infinite if they do not."""
    days, value, _ = measurements(subject)
    if len(days) < 3:
        return np.inf
    light = np.array([marker_of(subject) == "flc"])
    one = value[None, :]
    return float(judge(Markers(days, one, one, np.zeros(one.shape, dtype=bool), light)).shown[0])
