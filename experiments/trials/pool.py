"""The virtual patients of a trial, every arm simulated once on all of them: trials are drawn from this pool."""

from dataclasses import dataclass

import numpy as np

from perdure.experiments.trials.arm_runs import ArmRun, run_arm
from perdure.experiments.trials.courses import RESPONSES, Course, stacked
from perdure.experiments.trials.design import Design
from perdure.experiments.trials.eligibility import Criterion, asked, strata_of
from perdure.model.imwg import CATEGORIES, SD
from perdure.model.simulate import Solver
from perdure.parameters.errors import InputError, SimulationError
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw


@dataclass(frozen=True, eq=False)
class Pool:
    """Virtual patients under every arm; branches are relapse and eradicated.

    Attributes
    ----------
    arms
        Names of the arms.
    course
        Days from day 0 of the plans: arrays (arms, 2, n).
    eradicated : array (arms, n)
        Probability of the second branch.
    weight : array (2, n)
        Probability that the patient of the first arm is in this branch and eligible; zero who is not.
    stratum : array (2, n)
        Number of the stratum; their names are `strata`.
    infused : array (arms, 2, n)
        Who gets cells.
    wait : array (arms,)
        Day of the first cells.
    after_infusion
        Of those infused, days from infusion.
    origin, months, visit_days
        Day of time zero, months simulated from then on, days between visits.
    """

    arms: tuple[str, ...]
    course: Course
    eradicated: np.ndarray
    weight: np.ndarray
    stratum: np.ndarray
    strata: tuple[str, ...]
    infused: np.ndarray
    wait: np.ndarray
    after_infusion: Course
    origin: float
    months: float
    visit_days: float

    @property
    def n(self) -> int:
        """Number of virtual patients, eligible or not."""
        return self.weight.shape[1]

    @property
    def eligible_share(self) -> float:
        """Share of the virtual patients who could enter."""
        return float(self.weight.sum() / self.n)


def make_pool(
    design: Design, parameters: ParameterSet, *, patients: int, seed: int, solver: Solver | None = None
) -> Pool:
    """Treat the same virtual patients in every arm of a design.

    Parameters
    ----------
    patients
        Virtual patients; trials draw from the eligible ones with replacement, so have a few hundred of them.
    solver
        `Solver(rtol=1e-5)` by default.

    Raises
    ------
    InputError
        If nobody is eligible, or what is asked of patients depends on the arm.
    SimulationError
        If no patient could be integrated in all arms.
    """
    people = draw(parameters, patients, seed)
    solver = solver or Solver(rtol=1e-5)
    runs = [run_arm(design, arm, parameters, people, solver) for arm in design.arms]
    usable = np.all([np.isfinite(run.eradicated) for run in runs], axis=0)
    if not usable.any():
        raise SimulationError(f"none of {patients} patients could be integrated in all {len(runs)} arms.")
    gone = np.nan_to_num(runs[0].eradicated)
    weight = np.stack([1.0 - gone, gone]) * usable
    course, origin = runs[0].course, design.origin
    # Arms do the same until time zero, so the first tells of all who is there then, and with which response.
    if origin > 0:
        weight = weight * (np.minimum(course.progression, course.death) > origin)
        _anybody(weight, f"alive and without progression on day {origin:g} (randomised_on_day)")
    response = _response_by(course, origin)
    patients_of = tuple(run.patients for run in runs)
    for criterion in design.eligible:
        values = asked(criterion, patients_of, response)
        fulfilled = weight * criterion.fulfilled(values)
        _anybody(fulfilled, f"eligible with {criterion.text}", _range(criterion, values, weight))
        weight = fulfilled
    stratum, names = strata_of(design.strata, patients_of, response)
    return Pool(
        arms=tuple(arm.name for arm in design.arms),
        course=stacked([run.course for run in runs]),
        eradicated=np.stack([np.nan_to_num(run.eradicated) for run in runs]),
        weight=weight,
        stratum=stratum,
        strata=names,
        infused=_infused(runs),
        wait=np.array([run.wait for run in runs]),
        after_infusion=stacked([run.after_infusion for run in runs]),
        origin=origin,
        months=design.months,
        visit_days=design.visit_days,
    )


def _infused(runs: list[ArmRun]) -> np.ndarray:
    return np.stack([run.infused for run in runs])


def _response_by(course: Course, day: float) -> np.ndarray:
    """Best response that is confirmed by a day, as its place in `imwg.CATEGORIES`: array (2, n)."""
    best = np.full(course.progression.shape, SD)
    for name in RESPONSES:
        best = np.where(course.reached[name] <= day, CATEGORIES.index(name), best)
    return best


def _anybody(weight: np.ndarray, what: str, told: str = "") -> None:
    if not weight.sum() > 0:
        raise InputError(f"none of {weight.shape[1]} virtual patients is {what}{told}; ask for less.")


def _range(criterion: Criterion, values: np.ndarray, weight: np.ndarray) -> str:
    known = values[weight > 0]
    low, high = known.min(), known.max()
    if criterion.what == "response":
        return f" (they have {CATEGORIES[low]} to {CATEGORIES[high]})"
    return f" (it lies between {low:.3g} and {high:.3g})"
