"""Cohorts of any size: patients are made, simulated and reduced part by part, here or on a cluster.

A part is a pure function of its description: which patients of which cohort, under which regimen. So the result has the
same bits for any number of threads, processes or machines, and a part that was lost is simply computed again.
"""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

import numpy as np

from .. import __version__
from ..parameters.errors import InputError, RangeError, RegimenError, SimulationError, unknown
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import Draws, draw, make_patients
from .endpoints import BY_BRANCH, Outcomes, Visits, outcomes_of_part
from .engine.source import engine_source
from .imwg import Response
from .myeloma import assemble
from .preparation import drugs_of, terms_of
from .reduction import BLOCK, Part, Reduction, Running
from .regimens.regimen import Regimen
from .simulate import Solver, simulate
from .solution import Failure

# Endpoints of a large cohort, accumulated over its parts.


LEFT_OUT = "soluble_bcma"
"""The one endpoint with a value per visit, which would need more memory than all others together."""

_BRANCHES = ("relapse", "eradicated")
_ARRAYS = tuple(each.name for each in fields(Outcomes) if each.name not in {"visits", "responses", LEFT_OUT})


@dataclass(frozen=True)
class Endpoints:
    """Every endpoint of `model.endpoints` per patient; the result is the `Outcomes` of the whole cohort.

    About 250 bytes per patient. `soluble_bcma` has no columns there: ask for it with `Courses`.
    """

    visits: Visits = field(default_factory=Visits)

    @property
    def days(self) -> np.ndarray:
        """Days that have to be recorded: those of the visits and those that show the peak."""
        return self.visits.grid

    def reduce(self, part: Part) -> dict[str, np.ndarray]:
        """Endpoints of a part, exactly as those of a trial with these patients only."""
        outcomes = outcomes_of_part(part.recorded(self.days), part.patients, part.draws, self.visits)
        arrays = {name: getattr(outcomes, name) for name in _ARRAYS}
        for branch, response in zip(_BRANCHES, outcomes.responses, strict=True):
            arrays |= {f"{branch} {each.name}": getattr(response, each.name) for each in fields(Response)}
        return arrays

    def begin(self, n: int) -> "OutcomeAccumulator":
        """Empty accumulator."""
        return OutcomeAccumulator(self.visits, n)


class OutcomeAccumulator:
    """Endpoints of the parts of a cohort as they come in, put together as those of one arm."""

    def __init__(self, visits: Visits, n: int) -> None:
        self.visits, self.n = visits, n
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, first: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Put the endpoints of a part at its place; `first` is its first patient."""
        for name, values in arrays.items():
            axis = 1 if name in BY_BRANCH else 0
            if name not in self.arrays:
                shape = list(values.shape)
                shape[axis] = self.n
                self.arrays[name] = np.empty(shape, dtype=values.dtype)
            rows = slice(first, first + values.shape[axis])
            self.arrays[name][(slice(None), rows) if axis else rows] = values

    def result(self) -> Outcomes:
        """The outcomes of the whole cohort."""
        relapse, eradicated = (
            Response(**{each.name: self.arrays[f"{branch} {each.name}"] for each in fields(Response)})
            for branch in _BRANCHES
        )
        values = {name: self.arrays[name] for name in _ARRAYS}
        left_out = {LEFT_OUT: np.empty((self.n, 0))}
        return Outcomes(visits=self.visits, responses=(relapse, eradicated), **left_out, **values)


# Parts of a cohort: specification, simulation and reduction of each.


MOST_FAILURES = 100
"""Failures that are listed; all are counted."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Virtual patients that are made when they are simulated, and never held all at once.

    They are those of `make_patients(catalogue, draw(catalogue, n, seed), product=..., population=...)`.

    Raises
    ------
    RangeError, UnknownNameError
        If `n` or the seed is not a whole number, or the product or population is not known.
    """

    catalogue: ParameterSet
    n: int
    seed: int
    product: str | tuple[str, ...] = ""
    population: str = ""

    def __post_init__(self) -> None:
        """Check what can be checked without patients."""
        draw(self.catalogue, 1, self.seed)
        if int(self.n) != self.n or self.n < 1:
            raise RangeError(f"number of virtual patients = {self.n}; expected a whole number of at least 1.")
        for product in self.products or ("",):
            self.catalogue.typical(product, self.population)

    @property
    def products(self) -> tuple[str, ...]:
        """The products, as `Regimen.products` gives them."""
        return tuple(name for name in ((self.product,) if isinstance(self.product, str) else self.product) if name)

    def part(self, first: int, last: int) -> tuple[Mapping[str, np.ndarray], Draws]:
        """Parameters and randomness of patients `first` to `last` (not included)."""
        draws = draw(self.catalogue, last - first, self.seed, first=first)
        return make_patients(self.catalogue, draws, product=self.product, population=self.population), draws


@dataclass(frozen=True, eq=False)
class Setting:
    """Everything that the parts of one scenario have in common, and all that a distant worker is sent."""

    cohort: Cohort
    regimen: Regimen
    reductions: Mapping[str, Reduction]
    solver: Solver

    def run(self, first: int, last: int) -> "Finished":
        """Make, simulate and reduce patients `first` to `last` (not included)."""
        patients, draws = self.cohort.part(first, last)
        times = np.unique(np.concatenate([np.asarray(wanted.days) for wanted in self.reductions.values()]))
        solution = simulate(patients, self.regimen, times=times, solver=self.solver)
        part = Part(first, patients, draws, solution)
        failures = tuple(replace(f, patient=first + f.patient) for f in solution.failures[:MOST_FAILURES])
        arrays = {
            (key, name): array
            for key, wanted in self.reductions.items()
            for name, array in wanted.reduce(part).items()
        }  # fmt: skip
        return Finished(last - first, len(solution.failures), failures, arrays)

    @property
    def description(self) -> str:
        """All that decides what a part results in, as text."""
        cohort = self.cohort
        numbers = [(number.id, number.value, number.low, number.high) for number in cohort.catalogue.values()]
        links = [(key, population.correlations) for key, population in cohort.catalogue.populations.items()]
        people = (cohort.n, cohort.seed, cohort.product, cohort.population)
        system = assemble(self.regimen).system
        equations = engine_source(system, terms_of(drugs_of(system)), self.solver.method).text
        wanted = sorted(self.reductions.items())
        return repr((people, numbers, links, self.regimen, wanted, self.solver, equations))


@dataclass(frozen=True, eq=False)
class Finished:
    """What is left of a part: `arrays` by reduction and name."""

    patients: int
    failed: int
    failures: tuple[Failure, ...]
    arrays: Mapping[tuple[str, str], np.ndarray]


# Checkpoints: finished parts in a folder, so that an interrupted simulation can be resumed.


class Checkpoints:
    """One file for each part, in a folder for each setting, named after everything that decides its results.

    A file is whole or absent; one that was damaged afterwards counts as absent. Parts that another version of perdure
    computed are not found.
    """

    def __init__(self, folder: Path, descriptions: Sequence[str]) -> None:
        names = [hashlib.sha256(f"{__version__}\n{text}".encode()).hexdigest()[:24] for text in descriptions]
        self._folders = [folder / name for name in names]
        for place in self._folders:
            place.mkdir(parents=True, exist_ok=True)

    def _path(self, setting: int, first: int, last: int) -> Path:
        return self._folders[setting] / f"{first}-{last}.npz"

    def has(self, setting: int, first: int, last: int) -> bool:
        """Whether there is a file for a part."""
        return self._path(setting, first, last).exists()

    def find(self, setting: int, first: int, last: int) -> Finished | None:
        """The result of a part; None if there is no file or it is damaged."""
        try:
            with self._path(setting, first, last).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                about = json.loads(file["about"].item())
                arrays = {(owner, name): file[f"{k}"] for k, (owner, name) in enumerate(about["arrays"])}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        failures = tuple(Failure(**failure) for failure in about["failures"])
        return Finished(about["patients"], about["failed"], failures, arrays)

    def store(self, setting: int, first: int, last: int, finished: Finished) -> None:
        """Keep the result of a part."""
        about = {
            "patients": finished.patients,
            "failed": finished.failed,
            "failures": [asdict(failure) for failure in finished.failures],
            "arrays": list(finished.arrays),
        }
        content = io.BytesIO()
        arrays = {f"{k}": array for k, array in enumerate(finished.arrays.values())}
        arrays["about"] = np.array(json.dumps(about))
        np.savez(content, allow_pickle=False, **arrays)
        path = self._path(setting, first, last)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content.getvalue())
        os.replace(draft, path)


# Executors: the threads of this process, or the workers of a dask client.


AHEAD = 1000
"""Parts that are handed out before the first of them has been counted: enough for every core, few enough to hold."""
RETRIES = 3
"""How often a cluster tries again after an error, of a full disk for example; lost workers are not errors."""


class Runnable(Protocol):
    """What parts have in common; `run` is a pure function."""

    def run(self, first: int, last: int) -> Any:
        """Result of the patients `first` to `last` (not included)."""
        ...


class CheckpointStore(Protocol):
    """Results of an earlier call."""

    def has(self, setting: int, first: int, last: int) -> bool:
        """Whether there is a file for a part."""
        ...

    def find(self, setting: int, first: int, last: int) -> Any:
        """The result of a part; None if there is none."""
        ...

    def store(self, setting: int, first: int, last: int, finished: Any) -> None:
        """Keep the result of a part."""
        ...


Job = tuple[int, int, int]
"""Number of a setting, first patient, last patient (not included)."""
Submit = Callable[[int, int, int], Any]
"""Starts a job and returns its future: with `add_done_callback`, `result` and `cancel`."""


@contextmanager
def thread_executor(settings: Sequence[Runnable], threads: int) -> Iterator[Submit]:
    """Compute parts by threads of this process."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield lambda setting, first, last: pool.submit(settings[setting].run, first, last)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def dask_executor(settings: Sequence[Runnable], client: Any) -> Iterator[Submit]:
    """Compute parts by the workers of a `dask.distributed.Client`.

    A setting is sent once, as a task and not as data: if the worker that holds it dies, the cluster makes it again.
    """
    shared = [client.submit(_itself, setting, pure=False) for setting in settings]
    yield lambda setting, first, last: client.submit(
        _run, shared[setting], first, last, pure=False, retries=RETRIES
    )  # fmt: skip


def _itself(setting: Runnable) -> Runnable:
    return setting


def _run(setting: Runnable, first: int, last: int) -> Any:
    return setting.run(first, last)


def in_order(
    jobs: Sequence[Job], submit: Submit, kept: CheckpointStore | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Number and result of every job, each exactly once and in the order of the jobs, however they finish."""
    arrived: SimpleQueue[int] = SimpleQueue()
    waiting: dict[int, Any] = {}
    early: dict[int, Any] = {}

    def hand_out(number: int) -> None:
        waiting[number] = submit(*jobs[number])
        waiting[number].add_done_callback(partial(_report, arrived, number))

    handed_out = 0
    try:
        for number, job in enumerate(jobs):
            while handed_out < min(len(jobs), number + AHEAD):
                if kept is None or not kept.has(*jobs[handed_out]):
                    hand_out(handed_out)
                handed_out += 1
            if kept is not None and number not in waiting and number not in early:
                stored = kept.find(*job)
                if stored is not None:
                    yield number, stored
                    continue
                hand_out(number)  # its file is damaged
            while number not in early:
                done = arrived.get()
                future = waiting.pop(done, None)
                if future is not None:  # otherwise it was reported twice, and has been counted
                    early[done] = future.result()
                    if kept is not None:
                        kept.store(*jobs[done], early[done])
            yield number, early.pop(number)
    finally:
        for future in waiting.values():
            future.cancel()


def _report(arrived: "SimpleQueue[int]", number: int, future: Any) -> None:
    arrived.put(number)


MOST_PATIENTS = 1024
"""Patients of a part: their time courses take about 25 MB while they are simulated."""
FEWEST_PATIENTS = 128
"""Patients of a part of a small cohort: with fewer, what every part costs would be felt."""
FEWEST_PARTS = 4
"""Small cohorts are divided too, so that every core has its share."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ScenarioResult:
    """What was kept of a cohort under one regimen, at one posterior draw.

    `failures` lists the first hundred of the `failed` patients that could not be integrated.
    """

    scenario: str
    n: int
    failed: int
    failures: tuple[Failure, ...]
    reductions: Mapping[str, Any]

    @property
    def failed_share(self) -> float:
        """Share of patients without a result."""
        return self.failed / self.n

    def __getitem__(self, name: str) -> Any:
        """Result of a reduction."""
        if name not in self.reductions:
            raise unknown("reduction", name, self.reductions, f"scenario '{self.scenario}'")
        return self.reductions[name]


@dataclass(frozen=True, eq=False)
class CohortResult:
    """Results by scenario; `draws[k]` holds those at posterior draw k, in the order of the draws."""

    draws: tuple[Mapping[str, ScenarioResult], ...]

    def __getitem__(self, scenario: str) -> ScenarioResult:
        """Result of a scenario; at the first draw if there are several."""
        if scenario not in self.draws[0]:
            raise unknown("scenario", scenario, self.draws[0])
        return self.draws[0][scenario]


def simulate_cohort(
    cohort: Cohort,
    regimens: Mapping[str, Regimen],
    *,
    reduce: Mapping[str, Reduction],
    draws: Sequence[ParameterSet] = (),
    client: Any = None,
    keep: str | Path | None = None,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> CohortResult:
    """Simulate a cohort of any size under every regimen, keeping only what the reductions ask for.

    The simulation ends on the last day that any of them asks for.

    Parameters
    ----------
    cohort
        Virtual patients that are made when they are simulated (`model.cohort.Cohort`).
    regimens, reduce
        By names of your choice: `{"alone": infuse("cilta_cel")}` and `{"endpoints": Endpoints(Visits(months=60))}`
        are read as `result["alone"]["endpoints"]`.
    draws
        Catalogues that take the place of the cohort's, one after the other: posterior draws, on the same people.
    client
        A `dask.distributed.Client`: the parts are then computed by its workers. By default, by threads.
    keep
        Folder for finished parts. The same call with the same folder goes on where it was cut off.
    solver
        How to integrate; `Solver()` by default.
    progress
        Called as `progress(done, planned)` whenever a part has been counted.

    Returns
    -------
    CohortResult
        By name of regimen and reduction; shape and unit are those of the reduction. The same bits for any number of
        threads or workers.

    Raises
    ------
    InputError
        If there is nothing to simulate, or a regimen gives another CAR-T product than that of the cohort.
    SimulationError
        If none of the patients of a scenario could be integrated.

    Examples
    --------
    >>> from perdure import Visits, infuse, read_calibration, simulate_cohort
    >>> from perdure.model.cohort import Cohort, Endpoints
    >>> cohort = Cohort(read_calibration().parameters(), n=20, seed=1, product="ide_cel", population="late_line")
    >>> reduce = {"endpoints": Endpoints(Visits(months=6.0))}
    >>> result = simulate_cohort(cohort, {"alone": infuse("ide_cel")}, reduce=reduce)
    >>> result["alone"]["endpoints"].overall_response_rate > 0.5
    True
    """
    solver = solver or Solver()
    settings = _settings(cohort, regimens, reduce, draws, replace(solver, workers=1))
    size = _size_of_parts(cohort.n)
    bounds = [(first, min(first + size, cohort.n)) for first in range(0, cohort.n, size)]
    jobs = [(setting, first, last) for setting in range(len(settings)) for first, last in bounds]
    tallies = [_Tally(setting) for setting in settings]
    kept = None if keep is None else Checkpoints(Path(keep), [setting.description for setting in settings])
    place = thread_executor(settings, solver.threads) if client is None else dask_executor(settings, client)
    with place as submit, closing(in_order(jobs, submit, kept)) as results:
        for number, finished in results:
            setting, first, last = jobs[number]
            tallies[setting].add(first, last, finished)
            if progress is not None:
                progress(number + 1, len(jobs))
    names = list(regimens)
    reductions = [tally.result(names[k % len(names)]) for k, tally in enumerate(tallies)]
    rounds = range(0, len(reductions), len(names))
    return CohortResult(tuple(dict(zip(names, reductions[k : k + len(names)], strict=True)) for k in rounds))


@dataclass(eq=False)
class _Tally:
    """The result of a scenario while its parts come in."""

    setting: Setting
    counted: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.running = {key: wanted.begin(self.setting.cohort.n) for key, wanted in self.setting.reductions.items()}

    def add(self, first: int, last: int, finished: Finished) -> None:
        if (first, last) != (self.counted, self.counted + finished.patients):
            raise SimulationError(
                f"patients {first} to {last - 1} came with {finished.patients} results after {self.counted} patients; "
                "this is a defect, please report it."
            )
        self.counted = last
        self.failed += finished.failed
        self.failures += finished.failures[: MOST_FAILURES - len(self.failures)]
        for key, running in self.running.items():
            running.add(first, {name: array for (owner, name), array in finished.arrays.items() if owner == key})

    def result(self, scenario: str) -> ScenarioResult:
        n = self.setting.cohort.n
        if self.counted != n:
            raise SimulationError(f"scenario '{scenario}': {self.counted} of {n} patients were counted.")
        if self.failed == n:
            reasons = ", ".join(sorted({failure.reason for failure in self.failures}))
            raise SimulationError(f"scenario '{scenario}': none of {n} patients could be integrated ({reasons}).")
        reductions = {key: self.running.pop(key).result() for key in list(self.running)}
        return ScenarioResult(scenario, n, self.failed, tuple(self.failures), reductions)


def _settings(
    cohort: Cohort, regimens: Mapping[str, Regimen], reduce: Mapping[str, Reduction], draws: Sequence[ParameterSet],
    solver: Solver,
) -> list[Setting]:  # fmt: skip
    if not regimens or not reduce:
        raise InputError("simulate_cohort: give at least one regimen and one reduction, each under a name.")
    for name, regimen in regimens.items():
        if regimen.products and regimen.products != cohort.products:
            given, made = ", ".join(regimen.products), ", ".join(cohort.products)
            raise RegimenError(f"regimen '{name}' gives {given}; the cohort is made for '{made}'.")
    cohorts = [replace(cohort, catalogue=catalogue) for catalogue in draws] or [cohort]
    return [Setting(people, regimen, dict(reduce), solver) for people in cohorts for regimen in regimens.values()]


def _size_of_parts(n: int) -> int:
    """Patients of a part, whole blocks: not more than memory allows, and some parts for every core."""
    return min(MOST_PATIENTS, max(FEWEST_PATIENTS, BLOCK * -(-n // (FEWEST_PARTS * BLOCK))))
