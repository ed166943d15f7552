"""Cohorts of any size: patients are made, simulated and reduced part by part, here or on a cluster.

A part is a pure function of its description: which patients of which cohort, under which regimen. So the result has the
same bits for any number of threads, processes or machines, and a part that was lost is simply computed again.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..parameters.errors import InputError, RegimenError, SimulationError, unknown
from ..parameters.parameter_set import ParameterSet
from .cohort_parts import MOST_FAILURES, Cohort, Finished, Setting
from .kept_parts import KeptParts
from .part_runs import in_order, on_client, on_threads
from .reduction import BLOCK, Reduction, Running
from .regimen import Regimen
from .simulate import Solver
from .solution import Failure

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
    regimens, reduce
        By names of your choice: `{"alone": infuse("cilta_cel")}` and `{"endpoints": Endpoints(Visits(months=60))}`
        are read as `result["alone"]["endpoints"]`.
    draws
        Catalogues that take the place of the cohort's, one after the other: posterior draws, on the same people.
    client
        A `dask.distributed.Client`: the parts are then computed by its workers. By default, by threads.
    keep
        Folder for finished parts. The same call with the same folder goes on where it was cut off.
    progress
        Called as `progress(done, planned)` whenever a part has been counted.

    Raises
    ------
    InputError
        If there is nothing to simulate, or a regimen gives another CAR-T product than that of the cohort.
    SimulationError
        If none of the patients of a scenario could be integrated.
    """
    solver = solver or Solver()
    settings = _settings(cohort, regimens, reduce, draws, replace(solver, workers=1))
    size = _size_of_parts(cohort.n)
    bounds = [(first, min(first + size, cohort.n)) for first in range(0, cohort.n, size)]
    jobs = [(setting, first, last) for setting in range(len(settings)) for first, last in bounds]
    tallies = [_Tally(setting) for setting in settings]
    kept = None if keep is None else KeptParts(Path(keep), [setting.description for setting in settings])
    place = on_threads(settings, solver.threads) if client is None else on_client(settings, client)
    with place as submit, closing(in_order(jobs, submit, kept)) as results:
        for number, finished in results:
            setting, first, last = jobs[number]
            tallies[setting].add(first, last, finished)
            if progress is not None:
                progress(number + 1, len(jobs))
    names = list(regimens)
    found = [tally.result(names[k % len(names)]) for k, tally in enumerate(tallies)]
    rounds = range(0, len(found), len(names))
    return CohortResult(tuple(dict(zip(names, found[k : k + len(names)], strict=True)) for k in rounds))


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
