"""Trials run on a pool: who enters when, is drawn into which arm, is lost when, and what the analysis then knows.

All trials of a design are run at once. Each kind of luck has a stream of its own, so that another dropout or another
accrual leaves the patients, their arms and their futures as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..parameters.errors import InputError, RangeError
from ..parameters.units import DAYS_PER_MONTH
from .design import Design
from .pool import REACHED, Course, Pool

RATE_OF = {"orr": "PR", "cr": "CR", "mrd_1e-5": "mrd_1e-5", "mrd_1e-6": "mrd_1e-6"}
"""What a patient must have reached for each endpoint of yes or no."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Many simulated trials of one design; arrays (trials, patients), patients in the order in which they enter.

    Attributes
    ----------
    arm, stratum
        Places in `Pool.arms` and `Pool.strata`.
    row, branch
        Which virtual patient of the pool, and which of its futures: 0 the tumour comes back, 1 it was eradicated.
    entry
        Months after the first patient in.
    followed
        Months from time zero to the analysis, or to when the patient was lost.
    lost
        Whether the patient would have been lost before the analysis; who has died before that is among them.
    infused
        Whether cells were given.
    time, event
        'pfs', 'os', 'dor', 'ttnt': months from time zero (of 'dor' from the first response), and whether it came;
        NaN, False where it does not apply.
    holds
        'orr', 'cr', 'mrd_1e-5', 'mrd_1e-6': whether it is known to have come.
    """

    arm: np.ndarray
    stratum: np.ndarray
    row: np.ndarray
    entry: np.ndarray
    time: Mapping[str, np.ndarray]
    event: Mapping[str, np.ndarray]
    holds: Mapping[str, np.ndarray]
    branch: np.ndarray
    followed: np.ndarray
    lost: np.ndarray
    infused: np.ndarray


def conduct(design: Design, pool: Pool, *, trials: int, patients: int, seed: int) -> Trials:
    """Run trials of a design; one seed gives the same trials.

    Parameters
    ----------
    design
        Accrual, dropout, follow-up, blocks and strata.
    pool
        Virtual patients under every arm, as `make_pool` gives them.
    trials, patients
        How many trials, and patients in each (all arms together).
    seed
        Root of the luck of who enters when, in which arm, and who is lost.

    Returns
    -------
    Trials
        Arrays (trials, patients): arm, entry and times in months, and whether each endpoint came.

    Raises
    ------
    InputError
        If the pool was made for another design (other arms, visits, time zero, or a shorter follow-up).
    RangeError
        If a number of trials or patients is not positive.

    Examples
    --------
    >>> from perdure import Arm, conduct, make_pool, read_calibration
    >>> from perdure.trials.design import Design
    >>> arms = (Arm("alone", "ide-cel"), Arm("with", "ide-cel; lenalidomide 10 mg daily from day 30 for 5 months"))
    >>> months = {"accrual_months": 3.0, "follow_up_months": 6.0}
    >>> design = Design("Maintenance", arms, "infusion", patients=20, endpoint="pfs", **months)
    >>> pool = make_pool(design, read_calibration().parameters(), patients=20, seed=1)
    >>> trials = conduct(design, pool, trials=5, patients=20, seed=1)
    >>> trials.time["pfs"].shape, bool(trials.time["pfs"].max() <= 9.0)
    ((5, 20), True)
    """
    for name, number in (("trials", trials), ("patients", patients)):
        if int(number) != number or number < 1:
            raise RangeError(f"{name} = {number}; give a whole number of at least 1.")
    _check_pool(design, pool)
    who, luck, arms, accrual, dropout = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(5))
    shape = (trials, patients)
    first, row = _drawn(who, pool, shape)
    chance = pool.eradicated[0, row]
    u = luck.random(shape)
    u = np.where(first == 1, u * chance, chance + u * (1.0 - chance))  # a number below the chance means eradicated
    stratum = pool.stratum[first, row]
    arm = permuted_blocks(arms, design.block, stratum, len(pool.strata))
    branch = (u < pool.eradicated[arm, row]).astype(np.int64)
    entry = np.sort(accrual.random(shape), axis=1) * design.accrual_months
    entry = entry - entry[:, :1]
    analysis = entry[:, -1:] + design.follow_up_months - entry
    leaves = dropout.exponential(size=shape) / max(-math.log1p(-design.dropout_per_year), 1e-300) * 12.0
    followed = np.minimum(analysis, leaves)
    at = (arm, branch, row)
    time, event, holds = _seen(pool.course, at, pool.origin, pool.origin + followed * DAYS_PER_MONTH, pool.visit_days)
    return Trials(
        arm, stratum, row, entry, time, event, holds, branch, followed, leaves < analysis, pool.infused[at]
    )  # fmt: skip


def infused_only(pool: Pool, trials: Trials) -> Trials:
    """The same trials as if only those who were infused had been reported, from their infusion on.

    Times count from infusion, responses from the baseline measured then. Patients who were not infused, or not yet at
    the analysis, have NaN times and no response; `infused` says who is left.
    """
    at, wait = (trials.arm, trials.branch, trials.row), pool.wait[trials.arm]
    followed = trials.followed + (pool.origin - wait) / DAYS_PER_MONTH
    infused = trials.infused & (followed > 0)
    time, event, holds = _seen(
        pool.after_infusion, at, 0.0, np.maximum(followed, 0.0) * DAYS_PER_MONTH, pool.visit_days
    )
    return replace(
        trials,
        time={name: np.where(infused, value, np.nan) for name, value in time.items()},
        event={name: value & infused for name, value in event.items()},
        holds={name: value & infused for name, value in holds.items()},
        followed=np.where(infused, followed, np.nan),
        infused=infused,
    )


def permuted_blocks(rng: np.random.Generator, block: tuple[int, ...], stratum: np.ndarray, strata: int) -> np.ndarray:
    """Arms (trials, patients) drawn in permuted blocks within each stratum, in the order of entry.

    `block` is the number of patients of every arm in a block.
    """
    trials, patients = stratum.shape
    pattern = np.repeat(np.arange(len(block)), block)
    blocks = -(-patients // len(pattern))
    order = np.argsort(rng.random((strata, trials, blocks, len(pattern))), axis=-1)
    sequence = pattern[order].reshape(strata, trials, -1)
    arm = np.zeros(stratum.shape, dtype=np.int64)
    for index in range(strata):
        in_stratum = stratum == index
        place = np.maximum(np.cumsum(in_stratum, axis=1) - 1, 0)
        arm = np.where(in_stratum, np.take_along_axis(sequence[index], place, axis=1), arm)
    return arm


def _drawn(rng: np.random.Generator, pool: Pool, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Branch in the first arm, and row, of patients drawn from the eligible ones with replacement."""
    cumulative = np.cumsum(pool.weight.ravel())
    cell = np.searchsorted(cumulative, rng.random(shape) * cumulative[-1], side="right")
    last = np.flatnonzero(pool.weight.ravel())[-1]
    return np.divmod(np.minimum(cell, last), pool.n)


_Seen = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]


def _seen(
    course: Course, at: tuple[np.ndarray, np.ndarray, np.ndarray], origin: float, end: np.ndarray, visit_days: float
) -> _Seen:
    """Times in months, events and responses known on the day `end` of each patient; time zero is the day `origin`."""
    next_visit = (math.floor(origin / visit_days) + 1.0) * visit_days
    last_visit = np.maximum(np.floor(end / visit_days + 1e-9) * visit_days, origin)

    def day_of(values: np.ndarray) -> np.ndarray:
        # The first arm decides who is without event at time zero; who is not by a hair in another is seen next.
        days = values[at]
        return np.where(days <= origin, next_visit, days) if origin > 0 else days

    death = day_of(course.death)
    failure = np.minimum(day_of(course.progression), death)
    treated = np.minimum(day_of(course.next_therapy), death)
    reached = {name: course.reached[name][at] for name in REACHED}
    start = np.maximum(course.first_response[at], origin)
    responder = (reached["PR"] <= end) & (start < failure)
    start = np.where(responder, start, origin)
    time, event = {}, {}
    for name, day, known, begin in (
        ("pfs", failure, last_visit, origin),
        ("os", death, end, origin),
        ("dor", failure, last_visit, start),
        ("ttnt", treated, end, origin),
    ):
        event[name] = day <= end
        time[name] = (np.where(event[name], day, known) - begin) / DAYS_PER_MONTH
    event["dor"] &= responder
    time["dor"] = np.where(responder, time["dor"], np.nan)
    return time, event, {name: reached[need] <= end for name, need in RATE_OF.items()}


def _check_pool(design: Design, pool: Pool) -> None:
    names = tuple(arm.name for arm in design.arms)
    for what, wanted, made in (
        ("arms", names, pool.arms),
        ("visit_days", design.visit_days, pool.visit_days),
        ("day of time zero", design.origin, pool.origin),
    ):
        if wanted != made:
            raise InputError(f"{what}: {wanted} in the design, {made} in the pool; make the pool of this design.")
    if design.months > pool.months + 1e-9:
        raise InputError(
            f"accrual and follow-up of {design.months:g} months; the pool was simulated for {pool.months:g}. "
            "Make a pool of the longest design."
        )
