"""Validation that takes long, and is therefore shipped as a result: simulation-based calibration, parameter recovery.

Both are run on the emulator of a fit, in portions; the file is whole after each of them, so that a run that was cut off
goes on from there: `python -m perdure.fitting.calibration.long_checks --calibration fit.json.gz`.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ...model.catalogue import read_catalogue
from ...parameters.errors import FileError, RangeError
from ..observations import Observation
from ..studies import read_studies
from ..validation.leave_out import LogLikelihoods
from ..validation.recovery import ParameterRecovery, Recovery, simulate_and_recover
from ..validation.simulation_based import Calibrated, simulation_based_calibration
from .calibration import is_file
from .emulator import Emulator, on_one_blas_thread
from .points import FitPoints, read_points
from .problem import Problem
from .search import sample_posterior
from .search_space import joint_space

SUFFIX = ".checks.json.gz"
PORTION = 5
"""Repeats between two writings of the file."""
DRAWS = 99
"""Posterior draws among which a truth is ranked."""

_FOLDER = Path(__file__).parent.parent / "calibrations"


@dataclass(frozen=True)
class LongChecks:
    """Both checks so far; `mark` says of which fit and of how many particles they are."""

    mark: str
    ranks: Calibrated | None = None
    recovery: Recovery | None = None

    @property
    def repeats(self) -> tuple[int, int]:
        """Repeats of the first and of the second check that are done."""
        return (len(self.ranks.ranks) if self.ranks else 0), (self.recovery.repeats if self.recovery else 0)


def checks_file(calibration: str) -> Path:
    """Where the long checks of a shipped calibration, or of a user's own file, lie: beside it."""
    path = Path(calibration) if is_file(calibration) else _FOLDER / calibration
    return path.with_name(path.name.split(".")[0] + SUFFIX)


def mark_of(points: FitPoints, particles: int) -> str:
    """What tells the checks of one fit from those of another."""
    known = hashlib.sha256(points.draws.astype(np.float32).tobytes())
    known.update(points.centre.tobytes())
    return f"{known.hexdigest()[:16]}, {particles} particles around the mode"


def same_fit(checks: LongChecks, points: FitPoints) -> bool:
    """Whether checks are of this fit and were sampled as they are now, whatever the number of particles."""
    before, after = mark_of(points, 0).split(" 0 ")
    return checks.mark.startswith(before) and checks.mark.endswith(after)


def read_checks(path: Path) -> LongChecks | None:
    """The checks in a file, None if there is none; FileError if it holds something else."""
    try:
        table = json.loads(gzip.decompress(path.read_bytes()))
        return TypeAdapter(LongChecks).validate_python(table)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, ValidationError) as problem:
        raise FileError(f"{path}: does not hold the long checks of a fit ({problem}).") from problem


def write_checks(checks: LongChecks, path: Path) -> None:
    """Write the checks, whole or not at all, byte for byte the same for the same checks."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(gzip.compress((json.dumps(asdict(checks)) + "\n").encode(), mtime=0))
    draft.replace(path)


@on_one_blas_thread
def run_long_checks(
    problem: Problem, points: FitPoints, path: Path, *, repeats: int = 100, particles: int = 400, seed: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> LongChecks:  # fmt: skip
    """Run both checks until each has `repeats`, going on with those in the file if they are of this fit.

    Raises
    ------
    FileError
        If the file holds checks of another fit, or of another number of particles.
    """
    if repeats < 1 or particles <= DRAWS:
        raise RangeError(f"repeats = {repeats}, particles = {particles}; expected at least 1, and {DRAWS + 1}.")
    mark = mark_of(points, particles)
    checks = read_checks(path) or LongChecks(mark)
    if checks.mark != mark:
        raise FileError(f"{path}: belongs to another fit ({checks.mark}; this one is {mark}); delete it to begin anew.")
    emulator, names = points.emulator(problem), problem.space.names
    while min(checks.repeats) < repeats:
        ranked, recovered = checks.repeats
        if ranked < repeats:
            more = _ranks(names, emulator, min(PORTION, repeats - ranked), particles, seed + 1000 * (1 + ranked))
            checks = replace(checks, ranks=_joined_ranks(checks.ranks, more))
        if recovered < repeats:
            recovery = _recovery(
                names, emulator, points.draws, min(PORTION, repeats - recovered), particles,
                seed + 1000 * (1 + recovered),
            )  # fmt: skip
            checks = replace(checks, recovery=_joined_recovery(checks.recovery, recovery))
        write_checks(checks, path)
        if progress is not None:
            progress("long checks", min(checks.repeats), repeats)
    return checks


class _NearMode:
    """Samples the posterior of synthetic reports, each near its own highest point."""

    def __init__(self, emulator: Emulator, particles: int) -> None:
        self.emulator = self.now = emulator
        self.particles = particles

    def likelihood_of(self, items: Sequence[Observation]) -> LogLikelihoods:
        """Weighted log likelihoods of other reports, which are sampled next."""
        self.now = self.emulator.of_items(items)
        return self.now.log_likelihoods

    def sample(self, _: Callable[[np.ndarray], np.ndarray], seed: int) -> np.ndarray:
        """Draws (particles, numbers) of the posterior of the reports that were given last."""
        return sample_posterior(self.now, self.particles, seed)


def _ranks(names: Sequence[str], emulator: Emulator, repeats: int, particles: int, seed: int) -> Calibrated:
    """Truths from the prior."""
    way = _NearMode(emulator, particles)
    return simulation_based_calibration(
        names, emulator.items, emulator.models, way.likelihood_of, repeats=repeats, draws=DRAWS, sampler=way.sample,
        noise=emulator.noisy, seed=seed,
    )  # fmt: skip


def _recovery(
    names: Sequence[str], emulator: Emulator, draws: np.ndarray, repeats: int, particles: int, seed: int
) -> Recovery:
    """Truths from the posterior."""
    way = _NearMode(emulator, particles)
    return simulate_and_recover(
        names, emulator.items, emulator.models, way.likelihood_of, draws, repeats=repeats, sampler=way.sample,
        noise=emulator.noisy, seed=seed,
    )  # fmt: skip


def _joined_ranks(calibrated: Calibrated | None, more: Calibrated) -> Calibrated:
    if calibrated is None:
        return more
    return replace(calibrated, ranks=(*calibrated.ranks, *more.ranks), tries=calibrated.tries + more.tries)


def _joined_recovery(recovery: Recovery | None, more: Recovery) -> Recovery:
    """Both together: counts add up, means are weighted, and spreads pooled about the common mean."""
    if recovery is None:
        return more
    a, b = recovery.repeats, more.repeats
    numbers = []
    for first, second in zip(recovery.numbers, more.numbers, strict=True):
        bias = (a * first.bias + b * second.bias) / (a + b)
        square = (a * (first.spread**2 + first.bias**2) + b * (second.spread**2 + second.bias**2)) / (a + b)
        inside = tuple(x + y for x, y in zip(first.inside, second.inside, strict=True))
        shrinkage = (a * first.shrinkage + b * second.shrinkage) / (a + b)
        numbers.append(
            ParameterRecovery(first.name, inside, bias, float(np.sqrt(max(square - bias**2, 0.0))), shrinkage)
        )
    return Recovery(tuple(numbers), a + b, tuple(sorted({*recovery.held, *more.held})))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the long checks of a calibration from the command line."""
    parser = argparse.ArgumentParser(prog="python -m perdure.fitting.calibration.long_checks", description=main.__doc__)
    parser.add_argument("--calibration", default="reference", help="a shipped calibration, or a file of a fit")
    parser.add_argument("--repeats", type=int, default=100, help="repeats of each check")
    parser.add_argument("--particles", type=int, default=400, help="posterior draws behind each repeat")
    chosen = parser.parse_args(arguments)
    problem = Problem(joint_space(read_catalogue()), read_studies())
    path = checks_file(chosen.calibration)
    run_long_checks(
        problem, read_points(chosen.calibration), path, repeats=chosen.repeats, particles=chosen.particles,
        progress=lambda label, done, total: print(f"{label}: {done} of {total}", flush=True),
    )  # fmt: skip
    print(f"Written: {path}")


if __name__ == "__main__":
    main()
