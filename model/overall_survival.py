"""Overall survival: death without progression, or after it at a hazard that the relapse itself sets.

From the day of progression on the hazard of death is constant in each patient::

    h = hazard_death_progressed * (k / k_growth_progressed)^a * (T / tumour_progressed)^b * hazard_ratio_line^(line - 1)

with the patient's growth rate k at the usual burden, the burden T at the visit that shows progression, and the line of
the plan that has failed. Everything that is given afterwards is in that one hazard: it is that of patients who go on to
whatever else there is. The form is assumed (powers are proportional hazards in the logarithms; the speed of the relapse
foretells survival: European Journal of Haematology 1996, 57:247). The rate is read at the usual burden, as a tumour
near its capacity has stopped growing and is not harmless. `fitting/calibration/overall_survival_fit.py` has the
evidence.

A plan that treats on after progression has further lines, each with endpoints of its own (`lines`): death after
progression on the last of them is asked for with its `line`, and that of a line before it is what would happen without.
"""

from collections.abc import Mapping

import numpy as np

from ..parameters.errors import RangeError
from ..parameters.patients import Draws
from ..parameters.units import DAYS_PER_MONTH
from .endpoints import Outcomes
from .statistics.survival import SurvivalCurve, kaplan_meier

DEATH = "death after progression"
"""Name of the random numbers; a later line has its own."""


def hazard_after_progression(patients: Mapping[str, np.ndarray], tumour: np.ndarray, *, line: int = 1) -> np.ndarray:
    """Hazard of death after progression, 1/day, of patients (n,) with these burdens (n,) or (2, n) at progression.

    A burden beyond the capacity counts as the capacity; NaN (no progression) stays NaN.

    Raises
    ------
    RangeError
        If `line` is not a whole number of at least 1.
    """
    if int(line) != line or line < 1:
        raise RangeError(f"line = {line}; the first line is 1, give a whole number of at least 1.")
    growth = patients["k_growth_tumour"] / patients["k_growth_progressed"]
    burden = np.minimum(tumour, patients["tumour_capacity"]) / patients["tumour_progressed"]
    return (
        patients["hazard_death_progressed"]
        * growth ** patients["exponent_death_growth"]
        * burden ** patients["exponent_death_burden"]
        * patients["hazard_ratio_line"] ** (line - 1)
    )


def death_after_progression(
    patients: Mapping[str, np.ndarray], progression: np.ndarray, tumour: np.ndarray, draws: Draws, *, line: int = 1
) -> np.ndarray:
    """Day of death after progression (2, n), infinite where there is no progression.

    A patient dies at the same cumulative hazard whatever the arm, by the random number of `draws`: arms are paired.

    Parameters
    ----------
    progression : array (2, n)
        Day that shows progression in each branch, infinite if none.
    tumour : array (2, n)
        Cells then (`Outcomes.tumour_at_progression`).
    line
        Line of the plan that has failed, 1 for the first.

    Raises
    ------
    RangeError
        If `line` is not a whole number of at least 1, or there are fewer random numbers than patients.
    """
    n = progression.shape[-1]
    if draws.n < n:
        raise RangeError(f"draws of {draws.n} patients for {n}; give the draws that made them.")
    hazard = hazard_after_progression(patients, tumour, line=line)
    uniform = draws.uniform_of(DEATH if line == 1 else f"{DEATH}, line {line}")[:n]
    progressed = np.isfinite(progression) & np.isfinite(hazard)
    with np.errstate(divide="ignore"):
        wait = -np.log1p(-uniform) / np.where(progressed, hazard, 0.0)
    return np.where(progressed, np.where(progressed, progression, 0.0) + wait, np.inf)


def overall_survival(outcomes: Outcomes, death_after: np.ndarray, *, patients: float | None = None) -> SurvivalCurve:
    """Overall survival: death without progression, or after it.

    Branches count with their weights. The curve ends with the follow-up: who would progress later is not yet known to.

    Parameters
    ----------
    outcomes
        Endpoints of the line.
    death_after : array (2, n)
        Day of death after progression, as `death_after_progression` gives it (its hazard and source are at the top of
        `model.overall_survival`); infinite without progression.
    patients
        Sample size of the band; by default the number of patients simulated.

    Returns
    -------
    SurvivalCurve
        Months from the start of the line.

    Raises
    ------
    InputError
        If no patient counts.

    Examples
    --------
    >>> from perdure import overall_survival, treat
    >>> from perdure.model.overall_survival import death_after_progression
    >>> arm = treat("ide-cel", patients=20, months=6.0)
    >>> seen = arm.outcomes
    >>> death = death_after_progression(arm.patients, seen.progression(), seen.tumour_at_progression, arm.people)
    >>> overall_survival(seen, death).at(6.0) >= seen.progression_free().at(6.0)
    True
    """
    day = np.minimum(outcomes.death, death_after).ravel()
    until, keep = outcomes.visits.until, outcomes.flat_weight > 0
    people = float(outcomes.flat_weight.sum()) if patients is None else patients  # two branches are one patient
    time, event = np.minimum(day, until) / DAYS_PER_MONTH, day <= until
    return kaplan_meier(time[keep], event[keep], outcomes.flat_weight[keep], patients=people)
