"""Joint fit of all evidence by rounds: simulate, train the emulator, maximise, simulate near the posterior mode.

Round by round the emulator is learnt from all points so far, the highest posterior is searched on it from several
starts, and the next points are drawn around it; the first round covers the prior (and is the prior-predictive check).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ...parameters.errors import FileError, RangeError
from ..observations import Study
from .design import Design, EvaluationLog, Staged, evaluate, labelled, prior_points
from .emulator import Emulator, patient_noise, train_emulator
from .problem import Problem, Sizes
from .search import Starts, climb, search_from
from .search_space import REACH


@dataclass(frozen=True)
class FitSettings:
    """Sizes and seeds of a joint fit.

    Attributes
    ----------
    prior, per_round, last
        Evaluations in the first round, in each of the `widths` but the last, and in the last.
    widths
        How wide each round after the first is drawn, in SDs of the posterior so far.
    later_every
        Later lines of therapy are simulated at every so many points.
    repeats
        Points of each round that are simulated twice, with other patients, to know the noise.
    starts, by_cma, cma_evaluations
        Searches of the last round by the gradient, by CMA-ES, and evaluations of each of the latter.
    draws
        Posterior draws that are kept.
    """

    prior: int = 256
    per_round: int = 80
    last: int = 200
    widths: tuple[float, ...] = (1.8, 1.4, 1.2, 1.1, 1.0)
    later_every: int = 3
    repeats: int = 12
    starts: int = 24
    by_cma: int = 4
    cma_evaluations: int = 40000
    draws: int = 200
    seed: int = 20260101
    sizes: Sizes = field(default_factory=lambda: Sizes(250, 100, 60))

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("prior", "per_round", "last", "later_every", "repeats", "starts", "draws"):
            if getattr(self, name) < 1:
                raise RangeError(f"{name} = {getattr(self, name)}; expected at least 1.")
        if not self.widths:
            raise RangeError("widths = (); expected at least one round after that of the prior.")
        if not 0 <= self.by_cma <= self.starts:
            raise RangeError(f"by_cma = {self.by_cma} of {self.starts} starts; expected no more than there are.")


@dataclass(frozen=True, eq=False)
class JointFit:
    """What the rounds have found: points, emulator, noise (items,) between sets of patients, and the searches."""

    design: Design
    emulator: Emulator
    noise: np.ndarray
    starts: Starts
    covariance: np.ndarray


def joint_fit(
    problem: Problem, settings: FitSettings, ledger: EvaluationLog, *, threads: int = 2, progress: Staged | None = None
) -> JointFit:
    """Fit all evidence of role 'fit' jointly; what was simulated before is taken from the ledger."""
    size, first = problem.space.size, settings.seed
    points = prior_points(settings.prior, size, settings.seed)
    later = np.arange(len(points)) < len(points) // settings.later_every // 2
    design = evaluate(
        problem, points, first_seed=first, later=later, ledger=ledger, threads=threads,
        progress=labelled(progress, "prior"),
    )  # fmt: skip
    first += len(points)
    emulator, centre, covariance, noise = None, np.zeros(size), None, np.zeros(len(problem.items))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for k, width in enumerate(settings.widths, start=1):
        emulator = train_emulator(problem, design, centre=centre, covariance=covariance, noise=noise, before=emulator)
        starts = [centre, *(0.7 * prior_points(4, size, settings.seed + k))]
        tops = [climb(emulator.with_gradient, start) for start in starts]
        centre = max(tops, key=lambda top: top.log_posterior).point
        covariance = np.linalg.inv(emulator.precision(centre))
        n = settings.last if k == len(settings.widths) else settings.per_round
        points = around(centre, covariance, n, width, settings.seed + k)
        points[-settings.repeats :] = points[: settings.repeats]
        later = np.arange(n) % settings.later_every == 0
        later[-settings.repeats :] = later[: settings.repeats]
        new = evaluate(
            problem, points, first_seed=first, later=later, ledger=ledger, threads=threads,
            progress=labelled(progress, f"round {k} of {len(settings.widths)}, worst: {worst_of(emulator, centre)}"),
        )  # fmt: skip
        first += n
        pairs.append((new.models[: settings.repeats], new.models[-settings.repeats :]))
        noise = patient_noise(problem, *(np.concatenate(side) for side in zip(*pairs, strict=True)))
        design = design.joined(new)
    emulator = train_emulator(problem, design, centre=centre, covariance=covariance, noise=noise, before=emulator)
    starts = search_from(
        [centre, *(0.8 * prior_points(settings.starts - 1, size, settings.seed + 99))], emulator.log_posterior,
        emulator.with_gradient, emulator.precision, by_cma=settings.by_cma, evaluations=settings.cma_evaluations,
        progress=labelled(progress, "search"),
    )  # fmt: skip
    return JointFit(design, emulator, noise, starts, np.linalg.inv(emulator.precision(starts.best.point)))


def worst_of(emulator: Emulator, point: np.ndarray) -> str:
    """Id of the result that is met worst at a point, by its weighted log-likelihood."""
    return emulator.items[int(np.argmin(emulator.log_likelihoods(point[None, :])[0]))].id


def around(centre: np.ndarray, covariance: np.ndarray, n: int, width: float, seed: int) -> np.ndarray:
    """Points (n, size) around a centre, `width` times as wide as a normal distribution with the covariance."""
    normal = prior_points(n, len(centre), seed)
    return np.clip(centre + width * normal @ np.linalg.cholesky(covariance).T, -REACH, REACH)


def open_evaluation_log(path: Path, problem: Problem, settings: FitSettings, *, resume: bool) -> EvaluationLog:
    """The ledger of a fit; one of an earlier fit is an error unless it shall go on.

    Raises
    ------
    FileError
        If a ledger lies there and `resume` was not asked for, or it belongs to another fit.
    """
    if path.exists() and not resume:
        raise FileError(f"{path}: an earlier fit stopped here; go on with --resume, or delete the file to start anew.")
    identity = {
        "sizes": asdict(settings.sizes), "seed": settings.seed, "free": list(problem.space.ids),
        "evidence": checksum(problem.studies), "numbers": numbers_checksum(problem),
    }  # fmt: skip
    return EvaluationLog(path, identity)


def checksum(studies: Iterable[Study]) -> str:
    """Checksum of the evidence, so that a fit is not resumed with other evidence."""
    return _digest("".join(study.model_dump_json() for study in studies))


def numbers_checksum(problem: Problem) -> str:
    """Checksum of all numbers and priors of the catalogue, which decide what a point means."""
    parameters = problem.space.parameters
    return _digest("".join(f"{name} {parameters[name].value!r} {parameters[name].prior!r};" for name in parameters))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
