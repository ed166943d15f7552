"""The calibration from scratch: search, covariance, posterior draws, one file."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..model.catalogue import read_catalogue
from ..parameters.errors import FileError, RangeError
from .calibration import Calibration, make_calibration, write_calibration
from .fit import SearchSettings, search
from .items import Study
from .ledger import Ledger
from .posterior import laplace, metropolis
from .problem import Problem
from .reported import read_studies
from .search_space import REFERENCE_FREE, SearchSpace

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FitSettings:
    """Sizes and seeds of a calibration: evaluations of the search, posterior draws and Metropolis moves of each."""

    evaluations: int = 2400
    draws: int = 120
    moves: int = 8
    patients: int = 300
    seed: int = 20260101
    search_seed: int = 1

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("evaluations", "draws", "moves", "patients"):
            if getattr(self, name) < 2:
                raise RangeError(f"{name} = {getattr(self, name)}; expected at least 2.")
        SearchSettings(seed=self.search_seed)  # refused here, before a ledger is begun


def reference_fit(
    out: Path, settings: FitSettings, *, resume: bool = False, progress: Progress | None = None
) -> Calibration:
    """Fit all evidence of role 'fit' jointly and write the calibration.

    The search writes a ledger beside `out`; with `resume` it goes on from there, otherwise an old ledger is an error.

    Raises
    ------
    FileError
        If `out` is not a .json file, or a ledger of an earlier fit lies there and `resume` was not asked for.
    """
    if out.suffix != ".json":
        raise FileError(f"{out}: the calibration is written as .json; name it for example {out.with_suffix('.json')}.")
    ledger = out.with_suffix(".ledger")
    if ledger.exists() and not resume:
        raise FileError(
            f"{ledger}: an earlier fit stopped here; go on with --resume, or delete the file to start anew."
        )
    if not out.parent.is_dir():
        raise FileError(f"{out.parent}: there is no such folder for the calibration.")
    problem = Problem(
        SearchSpace(REFERENCE_FREE, read_catalogue()), read_studies(), n=settings.patients, seed=settings.seed
    )

    def report(label: str) -> Callable[[int, int], None]:
        def feed(done: int, total: int) -> None:
            if progress is not None:
                progress(label, done, total)

        return feed

    identity = {**asdict(settings), "free": list(problem.space.ids), "evidence": _checksum(problem.studies)}
    log_posterior = Ledger(ledger, identity).remembered(lambda point: problem.evaluate(point).log_posterior)
    found = search(
        log_posterior, np.zeros(problem.space.size), SearchSettings(settings.evaluations, seed=settings.search_seed),
        progress=report("search"),
    )  # fmt: skip
    covariance = laplace(problem.residuals, found.point, progress=report("covariance"))
    posterior = metropolis(
        log_posterior, found.point, covariance, draws=settings.draws, moves=settings.moves,
        seed=settings.search_seed, progress=report("posterior"),
    )  # fmt: skip
    about = {"settings": asdict(settings), "search_evaluations": found.evaluations, "free": len(problem.space.ids)}
    calibration = make_calibration(out.stem, problem, found.point, problem.evaluate(found.point), posterior, about)
    write_calibration(calibration, out)
    ledger.unlink(missing_ok=True)
    return calibration


def _checksum(studies: Iterable[Study]) -> str:
    """Checksum of the evidence, so that a fit is not resumed with other evidence."""
    text = "".join(study.model_dump_json() for study in studies)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
