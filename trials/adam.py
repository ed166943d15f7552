"""Tables of one simulated trial, as a statistician expects them: ADSL (subjects), ADTTE (times), ADRS (responses).

Names of columns follow CDISC ADaM (ADaM Basic Data Structure for Time-to-Event Analyses 1.0) where it has them; no
conformance is claimed. Study day 1 is time zero. Every STUDYID begins with SIM: nobody in these tables exists.
"""

import re
from typing import Any

import numpy as np

from ..parameters.errors import RangeError
from ..parameters.units import DAYS_PER_MONTH
from .conduct import Trials
from .design import Design
from .pool import RESPONSES, Pool

Table = dict[str, Any]
"""Columns by name: arrays of equal length."""
PARAMETERS = {
    "pfs": ("PFS", "Progression-free survival (months)"),
    "os": ("OS", "Overall survival (months)"),
    "dor": ("DOR", "Duration of response (months)"),
    "ttnt": ("TTNT", "Time to next therapy or death (months)"),
}
_EVENTS = {"pfs": "Progression", "dor": "Progression", "ttnt": "Next therapy", "os": "Death"}
_CENSORED = {"pfs": "last assessment", "dor": "last assessment", "ttnt": "last contact", "os": "last contact"}
REACHED = {
    "PR": ("CPR", "Confirmed partial response or better"),
    "VGPR": ("CVGPR", "Confirmed very good partial response or better"),
    "CR": ("CCR", "Confirmed complete response"),
    "mrd_1e-5": ("MRD5", "Residual disease below 1e-5"),
    "mrd_1e-6": ("MRD6", "Residual disease below 1e-6"),
}


def adsl(design: Design, pool: Pool, trials: Trials, trial: int = 0) -> Table:
    """One row per subject: arm, stratum, months of entry after the first, end of observation, and whether infused.

    ENTRYM and FUPM are months; EOSDY is the study day of death, loss or analysis; VPATIENT the row of the virtual
    patient in the pool, by which the same patient is found in other trials.

    Raises
    ------
    RangeError
        If there is no such trial.
    """
    subjects = _subjects(design, pool, trials, trial)
    dead = trials.event["os"][trial]
    followed = np.where(dead, np.minimum(trials.time["os"][trial], trials.followed[trial]), trials.followed[trial])
    ended = np.where(trials.lost[trial], "LOST TO FOLLOW-UP", "FOLLOWED TO ANALYSIS")
    return {
        **subjects,
        "TRT01PN": trials.arm[trial] + 1,
        "STRATUMN": trials.stratum[trial] + 1,
        "ITTFL": np.full(len(followed), "Y"),
        "INFFL": np.where(trials.infused[trial], "Y", "N"),
        "ENTRYM": trials.entry[trial],
        "FUPM": followed,
        "EOSDY": _study_day(followed),
        "EOSSTT": np.where(dead, "DEATH", ended),
        "VPATIENT": trials.row[trial],
    }


def adtte(design: Design, pool: Pool, trials: Trials, trial: int = 0, *, since: str = "") -> Table:
    """One row per subject and time-to-event endpoint that applies: AVAL (months), CNSR (1: censored), EVNTDESC, ADY.

    `since` says in PARAM from when times count, if not from the design's time zero (`infused_only`). AVAL and CNSR are
    the times and events of the trial as they are; duration of response counts from the first response.

    Raises
    ------
    RangeError
        If there is no such trial.
    """
    subjects = _subjects(design, pool, trials, trial)
    died = {name: trials.event["os"][trial] & (trials.time[name][trial] == trials.time["os"][trial])
            for name in ("pfs", "ttnt", "os")}  # fmt: skip
    died["dor"] = died["pfs"]
    lost = np.where(trials.lost[trial], "Lost to follow-up", "Analysis")
    parts = []
    for name, (code, label) in PARAMETERS.items():
        months, event = trials.time[name][trial], trials.event[name][trial]
        applies = np.isfinite(months)
        end = trials.time["pfs"][trial] if name == "dor" else months
        reason = np.char.add(lost, f", {_CENSORED[name]}")
        description = np.where(event, np.where(died[name], "Death", _EVENTS[name]), reason)
        origin = "first response" if name == "dor" else since or design.time_zero
        rows = {
            **subjects,
            "PARAMCD": np.full(len(months), code),
            "PARAM": np.full(len(months), f"{label} from {origin}"),
            "AVAL": months,
            "CNSR": np.where(event, 0, 1),
            "EVNTDESC": description,
            "ADY": _study_day(end),
        }
        parts.append({column: values[applies] for column, values in rows.items()})
    return _joined(parts)


def adrs(design: Design, pool: Pool, trials: Trials, trial: int = 0) -> Table:
    """One row per subject for the best response (BOR), and one for each level of response: AVALC, ADY of the visit.

    BOR is the best confirmed response known when observation ended: CR, VGPR, PR, MR, SD, PD, or NE if it ended before
    the second visit after the baseline. ADY is missing (NaN) where nothing was reached.

    Raises
    ------
    RangeError
        If there is no such trial.
    """
    subjects = _subjects(design, pool, trials, trial)
    at = (trials.arm[trial], trials.branch[trial], trials.row[trial])
    end = pool.origin + trials.followed[trial] * DAYS_PER_MONTH
    second = 2.0 * pool.visit_days
    progression = pool.course.progression[at]
    best = np.where(np.minimum(end, pool.course.death[at]) < second, "NE", "SD").astype("<U4")
    best = np.where((progression <= second) & (progression <= end), "PD", best)
    day = np.where(best == "PD", progression, np.nan)
    days = {name: np.where(pool.course.reached[name][at] <= end, pool.course.reached[name][at], np.nan)
            for name in pool.course.reached}  # fmt: skip
    for name in RESPONSES:
        best = np.where(np.isfinite(days[name]), name, best)
        day = np.where(np.isfinite(days[name]), days[name], day)
    parts = [_response(subjects, "BOR", "Best confirmed response", best, day - pool.origin)]
    for name, (code, label) in REACHED.items():
        flag = np.where(np.isfinite(days[name]), "Y", "N")
        parts.append(_response(subjects, code, label, flag, days[name] - pool.origin))
    return _joined(parts)


def _response(subjects: Table, code: str, label: str, value: np.ndarray, days: np.ndarray) -> Table:
    n = len(value)
    return {
        **subjects,
        "PARAMCD": np.full(n, code),
        "PARAM": np.full(n, label),
        "AVALC": value.astype("<U4"),
        "ADY": _study_day(days / DAYS_PER_MONTH),
    }


def _subjects(design: Design, pool: Pool, trials: Trials, trial: int) -> Table:
    count, n = trials.arm.shape
    if not 0 <= trial < count:
        raise RangeError(f"trial = {trial}; there are trials 0 to {count - 1}.")
    study = "SIM-" + (re.sub(r"[^A-Z0-9]+", "-", design.title.upper()).strip("-")[:24].strip("-") or "TRIAL")
    return {
        "STUDYID": np.full(n, study),
        "USUBJID": np.array([f"{study}-{trial + 1:03d}-{k + 1:04d}" for k in range(n)]),
        "TRT01P": np.array(pool.arms)[trials.arm[trial]],
        "STRATUM": np.array(pool.strata)[trials.stratum[trial]],
    }


def _study_day(months: np.ndarray) -> np.ndarray:
    """Study day of a moment, day 1 being time zero; there is no day 0, so that earlier days are negative."""
    days = np.floor(months * DAYS_PER_MONTH + 1e-6)
    return np.where(days >= 0, days + 1, days)


def _joined(parts: list[Table]) -> Table:
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}
