"""How much work does the engine's stiff method need for how many digits of classical stiff problems?

Work-precision tables against Radau, BDF and LSODA of scipy on the same equations as plain Python, all with the exact
Jacobian except LSODA. `scd` are the significant correct digits of the worst state at the end; `mescd` the same with
errors measured as the step control does, relative to |y| + tolerance/rtol. The ratios are how much longer a method
takes than the engine for the same mescd, interpolated between the engine's rows (empty outside of them): the engine
with one patient, where the call itself costs a millisecond or two, and with a batch of equal patients, per patient.

    python benchmarks/stiff.py --problems robertson hires --rtol 1e-4 1e-6
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from perdure.model.classical import JUDGED, Problem
from perdure.model.classical.problem import significant_digits
from perdure.model.engine.referee import Equations
from perdure.model.rates import parameter
from perdure.model.regimen import Regimen
from perdure.model.simulate import Solver, simulate

PEERS = ("Radau", "BDF", "LSODA")
MANY = 64
"""Patients in a batch, for the time per solve where a population shares the vectors."""

Run = Callable[[], tuple[int, np.ndarray]]
"""Solves once; returns steps and the states at the end (none if it gave up)."""


@dataclass(frozen=True)
class Row:
    method: str
    rtol: float
    steps: int
    mescd: float
    scd: float
    seconds: float


def measure(problem: Problem, method: str, rtol: float, run: Run, at_least: float, patients: int = 1) -> Row:
    """Repeat a run for some seconds, after a first one that compiles."""
    steps, found = run()
    start, rounds = time.perf_counter(), 0
    while time.perf_counter() - start < at_least or rounds == 0:
        run()
        rounds += 1
    seconds = (time.perf_counter() - start) / rounds / patients
    if found.size == 0:
        return Row(method, rtol, steps, math.nan, math.nan, seconds)
    right = np.array(list(problem.reference.values()))
    small = np.array([state.tolerance for state in problem.system.states])
    mixed = float(np.max(np.abs(found - right) / (np.abs(right) + small / rtol)))
    scd = min(significant_digits(*each) for each in zip(found.tolist(), right.tolist(), small.tolist(), strict=True))
    return Row(method, rtol, steps, min(16.0, -math.log10(mixed)) if mixed > 0.0 else 16.0, scd, seconds)


def engine(problem: Problem, rtol: float, patients: int) -> Run:
    solver = Solver(rtol=rtol, method="stiff", max_step=math.inf, workers=1)
    many = {name: np.repeat(values, patients) for name, values in problem.parameters.items()}

    def run() -> tuple[int, np.ndarray]:
        solution = simulate(many, Regimen(()), times=[problem.until], system=problem.system, solver=solver)
        found = np.array([solution[name][0, -1] for name in problem.reference])
        return int(solution.steps[0]), found[:0] if solution.failures else found

    return run


def scipy_method(problem: Problem, rtol: float, method: str) -> Run:
    equations, states = Equations(problem.system, problem.parameters), problem.system.states
    slope, start = equations.slope(lambda _: []), equations.initial()
    zero = sympy.Integer(0)
    rows = [[problem.system.jacobian.get((i.name, j.name), zero) for j in states] for i in states]
    numbers = {parameter(name): float(values[0]) for name, values in problem.parameters.items()}
    fill = sympy.lambdify([state.symbol for state in states], sympy.Matrix(rows).subs(numbers).tolist(), modules="math")
    more: dict[str, Any] = {} if method == "LSODA" else {"jac": lambda _, y: np.array(fill(*y.tolist()), dtype=float)}
    small = [state.tolerance for state in states]

    def run() -> tuple[int, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # LSODA warns where it gives up; the table shows it
            answer = solve_ivp(slope, (0.0, problem.until), start, method=method, rtol=rtol, atol=small, **more)
        return len(answer.t) - 1, answer.y[:, -1] if answer.success else answer.y[:0, -1]

    return run


def time_of(rows: Sequence[Row], mescd: float) -> float:
    """Seconds that these rows need for so many digits, on the straight lines between them; NaN outside."""
    known = sorted((row.mescd, math.log(row.seconds)) for row in rows if math.isfinite(row.mescd))
    if len(known) < 2 or not known[0][0] <= mescd <= known[-1][0]:
        return math.nan
    return math.exp(float(np.interp(mescd, [digits for digits, _ in known], [log for _, log in known])))


def tables(problem: Problem, tolerances: Sequence[float], at_least: float) -> None:
    print(f"\n{problem.title}: {len(problem.system.states)} states, until {problem.until:g}")
    heads = f"{'method':>24s} {'rtol':>7s} {'steps':>7s} {'mescd':>6s} {'scd':>6s}"
    print(f"{heads} {'ms/solve':>9s} {'ratio':>7s} {'batch':>7s}")
    alone = [measure(problem, "engine, stiff", r, engine(problem, r, 1), at_least) for r in tolerances]
    batch = [
        measure(problem, f"the same, of {MANY} at once", r, engine(problem, r, MANY), at_least, MANY)
        for r in tolerances
    ]
    peers = [
        measure(problem, f"scipy {method}", rtol, scipy_method(problem, rtol, method), at_least)
        for method in PEERS
        for rtol in tolerances
    ]
    for row in (*alone, *batch, *peers):
        ratios = [row.seconds / time_of(rows, row.mescd) for rows in (alone, batch)]
        print(
            f"{row.method:>24s} {row.rtol:7.0e} {row.steps:7d} {row.mescd:6.2f} {row.scd:6.2f} "
            f"{1e3 * row.seconds:9.3f}" + "".join(f" {r:7.1f}" if math.isfinite(r) else f" {'':>7s}" for r in ratios),
            flush=True,
        )


def main() -> None:
    known = {build.__name__: build for build in JUDGED}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=sorted(known), default=list(known))
    parser.add_argument("--rtol", nargs="+", type=float, default=[1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10])
    parser.add_argument("--seconds", type=float, default=0.2, help="at least so long for each row")
    chosen = parser.parse_args()
    for name in chosen.problems:
        tables(known[name](), chosen.rtol, chosen.seconds)


if __name__ == "__main__":
    main()
