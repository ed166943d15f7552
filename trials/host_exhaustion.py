"""Exhaustion of the patient's own T cells under an antibody, and their recovery once it is stopped."""

import numpy as np

from ..fitting.posterior import SEED
from ..model.simulate import Solver, simulate
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from .arm import Arm

HALF_YEAR = 182.0
_LATEST = 24.0 * 28.0
"""Days until which a progression is waited for."""


def host_exhaustion(
    arm: Arm, parameters: ParameterSet, patients: int, seed: int = SEED, until: float = HALF_YEAR
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate the exhausted share of the host T cells from progression in the first line on.

    Parameters
    ----------
    arm
        An antibody until progression; its second line gives nothing in the days that are looked at.
    until
        Days after progression.

    Returns
    -------
    tuple of array
        Days (days,) since progression, and the 5th, 50th and 95th percentile (3, days) of the share between patients.
    """
    plan = arm.plan
    people = draw(parameters, patients, seed)
    values = dict(make_patients(parameters, people, product=plan.products, population=arm.population))
    values["fraction_lymphodepletion"] = np.zeros(patients)  # no lymphodepletion before the antibody
    times = np.arange(0.0, _LATEST + until + 1.0, 7.0)
    solution = simulate(values, plan.first, times=times, rules=plan.rules(), solver=Solver(rtol=1e-5))
    begun = solution.events["line 2"].first
    days = np.arange(0.0, until + 1.0, 7.0)
    came = np.isfinite(begun) & (begun + until <= times[-1])
    at = np.searchsorted(times, begun[came, None] + days[None, :] - 1e-6)
    share = np.take_along_axis(solution["host_exhausted"][came], at, axis=1)
    return days, np.percentile(share, [5, 50, 95], axis=0)
