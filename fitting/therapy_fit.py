"""The second stage: numbers of one therapy, decided by its own results while everything else is held.

A therapy's file names the numbers that its evidence decides, three at most. So few are sampled outright (`particles`),
each particle weighed by the likelihood of the therapy's results at the estimate of the first stage. Their weighted
mean, in prior SDs, is the estimate; draws are resampled from them. Uncertainty of the first stage is added when its
draws are joined with these, and not told from theirs: a joint fit would know more.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..model.simulate import Solver
from ..model.therapy import Therapy, read_therapies
from ..parameters.errors import FitError
from ..parameters.parameter_set import ParameterSet
from ..parameters.versions import version_of
from .calibration import Calibration, rounded, short
from .items import Study
from .likelihood import ItemMatch
from .particles import ROUNDS, weigh
from .search_space import REACH, SearchSpace
from .sequences import compare_sequences

MOST_FREE = 3
"""Numbers of one therapy that particles can cover."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TherapyFitSettings:
    """Particles per round (a power of two), virtual patients per scenario, draws, and the seed of a second stage."""

    particles: int = 128
    patients: int = 300
    draws: int = 120
    seed: int = 20260102
    threads: int = 2


@dataclass(frozen=True, eq=False)
class TherapyFit:
    """What the evidence of one therapy says of its numbers.

    Attributes
    ----------
    ids
        The numbers.
    point
        The estimate, in prior SDs.
    draws : array (draws, numbers)
        Equally likely, in prior SDs.
    effective
        Effective number of particles.
    matches
        The therapy's results at the estimate.
    """

    ids: tuple[str, ...]
    point: np.ndarray
    draws: np.ndarray
    effective: float
    matches: tuple[ItemMatch, ...]

    @property
    def shrinkage(self) -> np.ndarray:
        """Per number: 1 if the evidence decides, 0 if only the prior speaks."""
        return np.clip(1.0 - self.draws.std(axis=0), 0.0, 1.0)


def fittable(therapies: Sequence[Therapy] | None = None) -> tuple[Therapy, ...]:
    """Therapies with numbers that their evidence decides; those that decide shared numbers come first."""
    chosen = [therapy for therapy in (therapies or read_therapies()) if therapy.fitted]
    own = {therapy.key: {parameter.id for parameter in therapy.parameters} for therapy in chosen}
    return tuple(sorted(chosen, key=lambda therapy: (set(therapy.fitted) <= own[therapy.key], therapy.key)))


def fit_therapy(
    therapy: Therapy, parameters: ParameterSet, studies: Sequence[Study], settings: TherapyFitSettings,
    *, progress: Progress | None = None,
) -> TherapyFit:  # fmt: skip
    """Weigh the particles of one therapy by its results.

    Raises
    ------
    FitError
        If it has too many numbers for particles, or no result to decide them.
    """
    if not 1 <= len(therapy.fitted) <= MOST_FREE:
        raise FitError(f"{therapy.key}: {len(therapy.fitted)} fitted numbers; particles cover 1 to {MOST_FREE}.")
    space = SearchSpace(therapy.fitted, parameters)
    solver = Solver(rtol=1e-4, workers=1)

    def matches_at(point: np.ndarray) -> tuple[ItemMatch, ...]:
        return compare_sequences(
            space.at(point), studies, n=settings.patients, seed=settings.seed, roles=("therapy",),
            only=therapy.evidence, solver=solver,
        )  # fmt: skip

    done = 0

    def log_likelihoods(points: np.ndarray) -> np.ndarray:
        nonlocal done
        logs = np.empty(len(points))
        with ThreadPoolExecutor(settings.threads) as pool:
            for k, found in enumerate(pool.map(matches_at, points)):
                if not found:
                    raise FitError(f"{therapy.key}: no result of role 'therapy' among its evidence {therapy.evidence}.")
                logs[k] = sum(match.item.weight * match.log_likelihood for match in found)
                done += 1
                if progress is not None:
                    progress(therapy.short, done, ROUNDS * settings.particles)
        return logs

    seed = int.from_bytes(therapy.key.encode(), "big") % 2**32 + settings.seed
    found = weigh(log_likelihoods, space.size, per_round=settings.particles, reach=REACH, seed=seed)
    draws = found.resampled(settings.draws, seed)
    return TherapyFit(therapy.fitted, found.mean, draws, found.effective, matches_at(found.mean))


def fit_therapies(
    calibration: Calibration, studies: Sequence[Study], settings: TherapyFitSettings | None = None,
    *, therapies: Sequence[Therapy] | None = None, progress: Progress | None = None,
) -> Calibration:  # fmt: skip
    """Decide the numbers of all therapies that have any, one after the other, on top of a first stage."""
    settings = settings or TherapyFitSettings()
    estimate: dict[str, float] = {}
    draws: list[dict[str, float]] = [{} for _ in range(settings.draws)]
    misfits: dict[str, dict[str, float]] = {}
    shrinkage: dict[str, float] = {}
    effective: dict[str, float] = {}
    for therapy in fittable(therapies):
        parameters = calibration.parameters().with_values(estimate, grade="calibrated")
        found = fit_therapy(therapy, parameters, studies, settings, progress=progress)
        space = SearchSpace(found.ids, parameters)
        estimate |= rounded(space, found.point)
        for row, point in zip(draws, found.draws, strict=True):
            row |= rounded(space, point)
        misfits |= {m.item.id: {"model": short(m.model), "misfit": short(m.misfit)} for m in found.matches}
        shrinkage |= {name: short(value) for name, value in zip(found.ids, found.shrinkage, strict=True)}
        effective[therapy.key] = short(found.effective)
    about = {
        "first_stage": calibration.name,
        "particles": ROUNDS * settings.particles,
        "patients_per_scenario": settings.patients,
        "seed": settings.seed,
        "effective_particles": effective,
        "versions": {package: version_of(package) for package in ("numpy", "scipy", "llvmlite")},
    }
    return Calibration("therapies", estimate, draws, misfits, shrinkage, about)
