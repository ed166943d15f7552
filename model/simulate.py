"""The one door to the engine: virtual patients and a regimen in, time courses out."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..parameters.errors import DoseAuditError, InputError, RangeError, unknown
from .engine import drug_levels
from .engine.compiled import compile_system
from .myeloma import myeloma
from .pharmacokinetics import unit_responses
from .regimen import Bolus, Regimen
from .solution import REASONS, Failure, Solution
from .system import System
from .therapy import Therapy, read_therapies

MICROLITRES_PER_LITRE = 1e6


@dataclass(frozen=True)
class Solver:
    """How to integrate; nothing here changes what is simulated.

    `rtol` is the relative tolerance per step; absolute tolerances are declared with the states. `few` is the
    number of tumour cells below which the probability of eradication is worth computing.
    """

    rtol: float = 1e-6
    max_step: float = 30.0
    most_steps: int = 200_000
    few: float = 1e6
    workers: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 1e-13 <= self.rtol <= 1e-2:
            raise RangeError(f"rtol = {self.rtol:g}; expected between 1e-13 and 1e-2.")
        if not self.max_step > 0 or self.most_steps < 1 or self.workers < 0 or self.few < 0:
            raise RangeError("max_step and most_steps must be positive, few and workers not negative.")

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
    system: System | None = None,
    solver: Solver | None = None,
) -> Solution:
    """Simulate virtual patients under a regimen from day 0.

    Parameters
    ----------
    patients
        Parameters by name, arrays of shape (n,), as `make_patients` returns them.
    times
        Days at which the time courses are recorded, increasing, from day 0. They do not influence the integration.
    until
        Last day of the simulation, by default the last of `times`; eradication is by this day.
    system
        The model; myeloma with all shipped drugs by default.

    Raises
    ------
    InputError
        If a parameter is missing or not finite, the times are not increasing, or the regimen holds two CAR-T products.
    DoseAuditError
        If what was delivered differs from what was prescribed.
    """
    system = system or myeloma()
    solver = solver or Solver()
    grid = _check_times(times)
    stop = float(grid[-1] if until is None else until)
    if not stop > 0 or not np.isfinite(stop) or stop < grid[-1]:
        raise RangeError(f"until = {stop:g}; give a day after 0 and not before the last of the times ({grid[-1]:g}).")
    compiled = compile_system(system)
    shelf = {therapy.key: therapy for therapy in read_therapies()}
    drugs = [shelf[put.drug] for put in system.inputs]
    columns = _columns(_needed(compiled.parameters, drugs, system), patients)
    p = np.ascontiguousarray(np.stack([columns[name] for name in compiled.parameters], axis=1))
    n = len(p)
    weight, rate = unit_responses(drugs, columns, n)
    events, channels = _events(regimen, system, stop)
    scale = _scale(system, columns, n)
    widths = eradication_grid(stop, [dose.day for dose in regimen.doses if dose.therapy == regimen.product])
    middles = np.cumsum(widths) - 0.5 * widths
    index = {state: i for i, state in enumerate(system.states)}
    branching = np.array([index[s] for s in (system.branching.states if system.branching else ())], dtype=np.int64)
    tolerance = np.array([state.tolerance for state in system.states])
    out = np.empty((n, len(grid), len(system.observables)))
    delivered = np.zeros((n, len(system.states) + len(drugs)))
    reason, reached = np.zeros(n, dtype=np.int64), np.zeros(n)
    steps, probability = np.zeros(n, dtype=np.int64), np.zeros(n)
    settings = np.array([stop, solver.rtol, solver.max_step, float(solver.most_steps)])

    def part(first: int, last: int) -> None:
        compiled.run(
            first, last, p, *events, scale, weight, rate, grid, middles, widths, settings, tolerance, branching,
            solver.few, out, delivered, reason, reached, steps, probability,
        )  # fmt: skip

    _in_threads(part, n, solver.threads)
    failures = tuple(
        Failure(int(i), REASONS[int(reason[i])], float(reached[i]), {name: float(columns[name][i]) for name in columns})
        for i in np.flatnonzero(reason)
    )
    amounts = {therapy: delivered[:, channel] for therapy, channel in channels.items()}
    _audit(regimen, amounts, reason == 0, stop)
    units = {thing.name: thing.unit for thing in (*system.states, *system.quantities)}
    return Solution(
        regimen, grid, system.observables, {name: units[name] for name in system.observables}, out, probability,
        amounts, failures, steps,
    )  # fmt: skip


def eradication_grid(stop: float, infusions: Sequence[float] = ()) -> np.ndarray:
    """Widths (days) of the intervals on which eradication is computed: fine after day 0 and after every infusion."""
    starts = sorted({0.0, *(day for day in infusions if 0.0 < day < stop)})
    edges = []
    for start, end in pairwise([*starts, stop]):
        since = np.concatenate([np.arange(0.0, 40.0, 0.5), np.arange(40.0, 200.0, 2.0), np.arange(200.0, stop, 5.0)])
        edges.append(start + since[since < end - start])
    return np.diff(np.append(np.concatenate(edges), stop))


def _in_threads(part: Callable[[int, int], None], n: int, threads: int) -> None:
    """Share patients over threads in chunks; each patient's result does not depend on the sharing."""
    chunks = np.linspace(0, n, min(n, threads * 8) + 1).astype(int)
    pairs = list(pairwise(chunks))
    if threads == 1 or len(pairs) == 1:
        for first, last in pairs:
            part(int(first), int(last))
        return
    with ThreadPoolExecutor(threads) as pool:
        for result in [pool.submit(part, int(first), int(last)) for first, last in pairs]:
            result.result()


def _check_times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    grid = np.asarray(times, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)):
        raise InputError(f"times: expected a list of finite days, got an array of shape {grid.shape}.")
    if grid[0] < 0 or np.any(np.diff(grid) <= 0):
        raise InputError("times: expected increasing days from day 0 on.")
    return grid


def _needed(of_equations: Sequence[str], drugs: Sequence[Therapy], system: System) -> tuple[str, ...]:
    """Every parameter a simulation needs: those of the equations, of the drugs' pharmacokinetics, and of the dose."""
    names = list(of_equations)
    for drug in drugs:
        names += [name for _, name in drug.pk.names] if drug.pk else []
    if any(state.name == "infused" for state in system.states):
        names.append("blood_volume")
    return tuple(dict.fromkeys(names))


def _columns(names: Sequence[str], patients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name in names:
        if name not in patients:
            raise unknown("parameter", name, patients, "patients")
    columns = {name: np.atleast_1d(np.asarray(patients[name], dtype=float)) for name in names}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or any(column.ndim != 1 or column.size == 0 for column in columns.values()):
        raise InputError(f"patients: the parameters have the shapes {sorted(shapes)}; one value per patient is right.")
    for name, column in columns.items():
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise RangeError(f"patient {bad[0]}: {name} = {column[bad[0]]}; expected a finite number.")
    return columns


def _events(regimen: Regimen, system: System, stop: float) -> tuple[tuple[np.ndarray, ...], dict[str, int]]:
    """Dose edges as arrays (day, kind, target, amount), and the channel on which each therapy is audited."""
    states = [state.name for state in system.states]
    drugs = [put.drug for put in system.inputs]
    rows: list[tuple[float, int, int, float]] = []
    channels: dict[str, int] = {}
    product = regimen.product  # two of them are an error
    for dose in regimen.doses:
        if dose.day > stop:
            continue
        if dose.therapy == product:
            target = states.index("infused") if "infused" in states else -1
            channels[dose.therapy] = target
            kind = drug_levels.STATE_BOLUS
        else:
            target = drugs.index(dose.therapy) if dose.therapy in drugs else -1
            channels[dose.therapy] = len(states) + target
            kind = drug_levels.DRUG_BOLUS
        if target < 0:
            raise InputError(f"system '{system.name}' has no place for a dose of {dose.therapy}.")
        end = dose.day if isinstance(dose, Bolus) else dose.day + dose.duration
        if end == dose.day:  # an infusion too short for the clock is a jump too
            rows.append((dose.day, kind, target, dose.amount))
        else:
            speed = dose.amount / (end - dose.day)  # of the days as rounded, so that a short infusion is whole
            rows.append((dose.day, drug_levels.DRUG_RATE, target, speed))
            rows.append((min(end, stop), drug_levels.DRUG_RATE, target, -speed))
    rows.sort(key=lambda row: row[0])
    table = np.array(rows, dtype=float).reshape(-1, 4)
    events = (
        np.ascontiguousarray(table[:, 0]), table[:, 1].astype(np.int64), table[:, 2].astype(np.int64),
        np.ascontiguousarray(table[:, 3]),
    )  # fmt: skip
    return events, channels


def _scale(system: System, patients: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """What one unit of a dose adds to each state: cells become cells per microlitre of blood."""
    scale = np.ones((n, len(system.states)))
    for i, state in enumerate(system.states):
        if state.name == "infused":
            scale[:, i] = 1.0 / (patients["blood_volume"] * MICROLITRES_PER_LITRE)
    return scale


def _audit(regimen: Regimen, amounts: Mapping[str, np.ndarray], fine: np.ndarray, stop: float) -> None:
    for therapy, delivered in amounts.items():
        prescribed = regimen.total(therapy, stop)
        wrong = np.flatnonzero(fine & ~np.isclose(delivered, prescribed, rtol=1e-9, atol=0.0))
        if wrong.size:
            raise DoseAuditError(
                f"{therapy}: patient {wrong[0]} received {delivered[wrong[0]]:.6g}, prescribed were {prescribed:.6g}; "
                "this is a defect of the engine, please report it with the regimen."
            )
