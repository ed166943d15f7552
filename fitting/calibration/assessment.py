"""Assessment of a fit: prior predictive check, identifiability, influence of the evidence, leave-one-trial-out.

Everything here works on the emulator of the fit and takes minutes; `long_checks` holds what takes longer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..identifiability.influence import Conflict, Curvature, Pulls, conflicts, curvature, observation_influence
from ..identifiability.profile import Profiles, profile_all
from ..identifiability.sensitivity import TAIL, Morris, Sobol, Spread, morris, sobol
from ..identifiability.verdict import Verdict, verdicts
from ..observations import Observation
from ..validation.leave_out import LeaveOneOut, leave_one_out
from .agreement import Tie, strongest
from .design import Staged, labelled
from .emulator import Emulator, on_one_blas_thread
from .points import FitPoints
from .problem import Problem
from .search import sample_posterior


@dataclass(frozen=True)
class PriorCheck:
    """A reported result among what the model says of it before any evidence: the central 95 % over the prior.

    `place` is the share of the prior's draws below the report; near 0 or 1 the prior finds it surprising.
    """

    study: str
    item: Observation
    low: float
    median: float
    high: float
    place: float

    @property
    def inside(self) -> bool:
        """Whether the report lies in the central 95 %."""
        return 0.025 <= self.place <= 0.975


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that the report of a fit shows, beside the calibration itself."""

    prior: tuple[PriorCheck, ...]
    at: Curvature
    profiles: Profiles
    verdicts: tuple[Verdict, ...]
    pulls: Pulls
    conflicts: tuple[Conflict, ...]
    ties: tuple[Tie, ...]
    sobol: Sobol
    morris: Morris
    left_out: LeaveOneOut


@dataclass(frozen=True)
class AssessmentSettings:
    """Effort: grid points of profiles on each side, Sobol and Morris samples, particles of a resampled posterior."""

    points: int = 6
    iterations: int = 6
    sobol: int = 256
    morris: int = 40
    particles: int = 300
    chosen: tuple[str, ...] = ()


@on_one_blas_thread
def assess(
    problem: Problem, points: FitPoints, emulator: Emulator, settings: AssessmentSettings | None = None,
    *, progress: Staged | None = None,
) -> Assessment:  # fmt: skip
    """Assess a fit from the points it has simulated and from its emulator (`FitPoints.emulator`)."""
    settings = settings or AssessmentSettings()
    stages = ("curvature", "profiles", "pull", "sensitivity", "leave one out")

    def begin(stage: str) -> None:
        if progress is not None:
            progress("assessment", stages.index(stage), len(stages))

    names, labels = problem.space.names, tuple(item.id for item in problem.items)
    begin("curvature")
    near = curvature(emulator.log_likelihoods, points.centre, names, labels)
    begin("profiles")
    profiles = profile_all(
        emulator.log_likelihoods, points.centre, names, chosen=settings.chosen or None, points=settings.points,
        iterations=settings.iterations, at=near,
    )  # fmt: skip
    at = curvature(emulator.log_likelihoods, profiles.optimum, names, labels)
    classified = verdicts(profiles, at, covariance=np.cov(points.draws.T))
    begin("pull")
    pulls = observation_influence(at, log_likelihoods=emulator.log_likelihoods, draws=points.draws)
    opposed = conflicts(at)
    begin("sensitivity")
    numbers = Spread.posterior(points.draws).over(emulator.places)
    indices = sobol(numbers, names, labels, n=settings.sobol)
    before = Spread.prior(len(names)).over(emulator.places)
    effects = morris(before, names, labels, trajectories=settings.morris, tail=TAIL)
    begin("leave one out")
    left_out = leave_each_trial_out(problem, emulator, points, particles=settings.particles, progress=progress)
    return Assessment(
        prior_check(problem, points), at, profiles, classified, pulls, opposed, strongest(names, points.draws), indices,
        effects, left_out,
    )  # fmt: skip


def prior_check(problem: Problem, points: FitPoints) -> tuple[PriorCheck, ...]:
    """Every result that is a number beside the simulated draws of the prior."""
    rows = []
    for k, (study, item) in enumerate(problem.fitted):
        reported = item.value if item.value is not None else item.low if item.low is not None else item.high
        simulated = points.design.models[: points.prior, k]
        simulated = simulated[~np.isnan(simulated)]
        if reported is None or not simulated.size:
            continue
        low, median, high = np.quantile(simulated, [0.025, 0.5, 0.975], method="closest_observation")
        place = float(np.mean(simulated < reported) + 0.5 * np.mean(simulated == reported))
        rows.append(PriorCheck(study.study, item, float(low), float(median), float(high), place))
    return tuple(rows)


def leave_each_trial_out(
    problem: Problem, emulator: Emulator, points: FitPoints, *, particles: int, progress: Staged | None = None
) -> LeaveOneOut:
    """Predict every study from the others; items of one study are left out together."""

    def resample(_: Callable[[np.ndarray], np.ndarray], own: np.ndarray) -> np.ndarray:
        rest = emulator.without([problem.items[k].id for k in np.flatnonzero(own).tolist()])
        return sample_posterior(rest, particles, 1, points.centre)

    return leave_one_out(
        [study.study for study, _ in problem.fitted], problem.items, emulator.log_likelihoods, emulator.models,
        points.draws, noise=emulator.noisy, sample=resample,
        progress=labelled(progress, "leave one out"),
    )  # fmt: skip
