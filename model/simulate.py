"""Simulation of virtual patients under a regimen: the only entry to the engine."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from ..parameters.errors import DoseAuditError, RangeError
from .adaptive import AdaptiveDosing, Note, events, started
from .engine.batch import Batch, Recording
from .engine.choice import make_engine
from .myeloma import assemble
from .preparation import (
    Channels,
    Edge,
    check_times,
    columns_of,
    dose_edges,
    drugs_of,
    eradication_grid,
    joined,
    needed_parameters,
    numbers_of,
    terms_of,
)
from .regimens.regimen import Regimen
from .regimens.rules import Rule
from .solution import Solution, case_of, ledger
from .system.system import System

# Threads: the compiled engine releases the interpreter lock while it runs.


CHUNK = 256
"""Patients that a thread takes at a time; what they keep for eradication is about 0.1 MB each."""


def in_threads(part: Callable[[int, int, np.ndarray], None], n: int, threads: int) -> None:
    """Share patients over threads in chunks; each patient's result does not depend on the sharing.

    On Ctrl-C the engine is told to stop, and does so within a step.
    """
    halt = np.zeros(1, dtype=np.int64)
    # with several threads a few chunks for each, so that they end together; not too few patients, or vectors run empty
    size = CHUNK if threads == 1 else max(32, min(CHUNK, -(-n // (threads * 3))))
    chunks = [(first, min(first + size, n)) for first in range(0, n, size)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            for result in [pool.submit(part, first, last, halt) for first, last in chunks]:
                result.result()
        except BaseException:
            halt[0] = 1
            pool.shutdown(wait=False, cancel_futures=True)
            raise


FIRST_STEP = 0.02
"""First trial step, days."""


@dataclass(frozen=True)
class Solver:
    """How to integrate; nothing here changes what is simulated.

    Attributes
    ----------
    rtol
        Relative tolerance per step, 1e-13 to 1e-2; absolute tolerances are declared with the states.
    max_step
        Longest step in days.
    most_steps
        Steps after which a patient counts as failed.
    few
        Tumour cells below which the probability of eradication is worth computing; 0 computes none.
    workers
        Threads; 0 stands for all cores. Results do not depend on it.
    method
        The integrator: 'explicit' (Dormand & Prince 1980, order 5(4)), or 'stiff' (Rodas5P, Steinebach 2023) for
        systems with rates that are far apart.
    engine
        What runs it: 'compiled', or some hundred times slower 'scipy'; 'auto' is 'compiled' where there is llvmlite.
    exact_outputs
        Whether the compiled engine ends a step at every output (and at every interval of eradication), instead of
        reading it from the continuous extension; results then depend on the output grid, within the tolerance.

    Raises
    ------
    RangeError
        If a tolerance, a step, a number of steps, cells or workers is out of its range.

    Examples
    --------
    >>> from perdure import Solver
    >>> Solver(rtol=1e-9, method="stiff").method
    'stiff'
    """

    rtol: float = 1e-6
    max_step: float = 30.0
    most_steps: int = 200_000
    few: float = 1e6
    workers: int = 0
    method: Literal["explicit", "stiff"] = "explicit"
    engine: Literal["auto", "compiled", "scipy"] = "auto"
    exact_outputs: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 1e-13 <= self.rtol <= 1e-2:
            raise RangeError(f"rtol = {self.rtol:g}; expected between 1e-13 and 1e-2.")
        if not self.max_step > 0 or self.most_steps < 1 or self.workers < 0 or self.few < 0:
            raise RangeError("max_step and most_steps must be positive, few and workers not negative.")

    def settings(self, stop: float) -> np.ndarray:
        """What the integrators read, of a simulation until the day `stop`.

        Returns
        -------
        array (6,)
            Last day, tolerance, longest step (days), most steps, first step (days), exact outputs (0 or 1).
        """
        numbers = (stop, self.rtol, self.max_step, self.most_steps, FIRST_STEP, self.exact_outputs)
        return np.array(numbers, dtype=float)

    @property
    def threads(self) -> int:
        """Number of threads: `workers`, or all cores if it is 0."""
        return self.workers or os.cpu_count() or 1


def simulate(
    patients: Mapping[str, np.ndarray],
    regimen: Regimen,
    *,
    times: Sequence[float] | np.ndarray,
    until: float | None = None,
    rules: Sequence[Rule] = (),
    system: System | None = None,
    solver: Solver | None = None,
) -> Solution:
    """Simulate virtual patients under a regimen from day 0.

    Parameters
    ----------
    patients
        Parameters by name, arrays of shape (n,), as `make_patients` returns them.
    regimen
        What is given; days count from the first CAR-T infusion.
    times
        Days at which the time courses are recorded, increasing, from day 0. They do not influence the
        integration, unless the solver's `exact_outputs` asks for it.
    until
        Last day of the simulation, by default the last of `times`; eradication is by this day.
    rules
        What is done when something is seen in a patient (`rules`).
    system
        The model; myeloma with all shipped drugs by default.
    solver
        How to integrate; `Solver()` by default.

    Returns
    -------
    Solution
        Time courses by name, arrays (n, times) in `solution.units`; NaN for patients that could not be integrated, who
        are listed in `solution.failures`.

    Raises
    ------
    InputError
        If a parameter is missing (of a second CAR-T product too: `make_patients(product=(one, other))`) or not finite,
        or the times are not increasing.
    DoseAuditError
        If what was delivered differs from what was prescribed.

    Examples
    --------
    >>> from perdure import draw, infuse, make_patients, read_calibration, simulate
    >>> numbers = read_calibration().parameters()
    >>> patients = make_patients(numbers, draw(numbers, 20, seed=1), product="ide_cel", population="late_line")
    >>> solution = simulate(patients, infuse("ide_cel"), times=range(0, 61))
    >>> solution["car_t"].shape, solution.units["car_t"]
    ((20, 61), 'cell/uL')
    """
    parts = (regimen, *started(rules))
    cast = assemble(*parts)
    system = system or cast.system
    solver = solver or Solver()
    grid = check_times(times)
    stop = float(grid[-1] if until is None else until)
    if not stop > 0 or not np.isfinite(stop) or stop < grid[-1]:
        raise RangeError(f"until = {stop:g}; give a day after 0 and not before the last of the times ({grid[-1]:g}).")
    drugs = drugs_of(system)

    def edges(part: Regimen, day: float = 0.0) -> tuple[list[Edge], Channels]:
        number = next(k for k, known in enumerate(parts) if known is part)
        return dose_edges(part, system, stop, day, lambda dose: cast.suffix(number, dose))

    channels = joined([edges(part)[1] for part in parts])
    steering = AdaptiveDosing(tuple(rules), regimen, system, stop, lambda part, day: edges(part, day)[0], channels)
    compiled = make_engine(system, terms_of(drugs), solver.method, solver.engine)
    columns = columns_of((*needed_parameters(compiled.parameters, drugs, system), *steering.parameters), patients)
    numbers = numbers_of(system, drugs, compiled.parameters, columns)
    n = len(numbers.parameters)
    followed = solver.few > 0 and len(numbers.branching) > 0
    widths = eradication_grid(stop, [*regimen.infusions, *steering.infusions]) if followed else np.zeros(0)
    recording = Recording(steering.times(grid), widths)
    settings = solver.settings(stop)
    out = np.empty((n, len(grid), len(system.observables)))
    delivered = np.zeros((n, len(system.states) + len(drugs)))
    reason, reached = np.zeros(n, dtype=np.int64), np.zeros(n)
    steps, probability = np.zeros(n, dtype=np.int64), np.zeros(n)
    asked = np.searchsorted(recording.times, grid)
    by_rules = {therapy: np.zeros(n) for therapy in channels} if rules else {}
    notes: list[Note] = []

    def part(first: int, last: int, halt: np.ndarray) -> None:
        here = slice(first, last)
        batch = Batch(compiled, numbers.rows(here), recording, settings, halt)
        course = steering.follow(batch, {name: columns[name][here] for name in steering.parameters})
        probability[here] = batch.eradication(course.schedule, solver.few)
        out[here], delivered[here] = batch.observed(asked), batch.delivered
        reason[here], reached[here], steps[here] = batch.reason, batch.day, batch.steps
        notes.extend((r, first + who, day) for r, who, day in course.notes)
        for therapy, due in by_rules.items():
            due[here] = sum(course.plans.total(channel) for channel in channels[therapy])

    in_threads(part, n, solver.threads)
    out[reason != 0] = np.nan
    used = asdict(replace(solver, engine=compiled.name))
    names = [rule.name for rule in rules]
    failures = ledger(reason, reached, columns, lambda: case_of(regimen, grid, stop, used, system, names))
    amounts = {therapy: delivered[:, list(places)].sum(axis=1) for therapy, places in channels.items()}
    _audit(regimen, amounts, reason == 0, stop, by_rules)
    units = {variable.name: variable.unit for variable in (*system.states, *system.quantities)}
    return Solution(
        regimen, grid, system.observables, {name: units[name] for name in system.observables}, out, probability,
        amounts, failures, steps, events(rules, notes, reason == 0),
    )  # fmt: skip


def _audit(
    regimen: Regimen, amounts: Mapping[str, np.ndarray], fine: np.ndarray, stop: float,
    by_rules: Mapping[str, np.ndarray] | None = None,
) -> None:  # fmt: skip
    for therapy, delivered in amounts.items():
        due = by_rules[therapy] if by_rules else np.full(len(fine), regimen.total(therapy, stop))
        wrong = np.flatnonzero(fine & ~np.isclose(delivered, due, rtol=1e-9, atol=0.0))
        if wrong.size:
            raise DoseAuditError(
                f"{therapy}: patient {wrong[0]} received {delivered[wrong[0]]:.6g}, prescribed were "
                f"{due[wrong[0]]:.6g}; this is a defect of the engine, please report it with the regimen."
            )
