"""How much work does the engine's stiff method need for how many digits of classical stiff problems?

Work-precision tables against Radau, BDF and LSODA of scipy on the same equations as plain Python, all with the exact
Jacobian except LSODA. `scd` are the significant correct digits of the worst state at the end; `mescd` the same with
errors measured as the step control does, relative to |y| + tolerance/rtol. The ratios are how much longer a method
takes than the engine for the same mescd, interpolated between the engine's rows (empty outside of them): the engine
with one patient, where the call itself costs a millisecond or two, and with a batch of equal patients, per patient.

    python benchmarks/stiff.py --quick
    python benchmarks/stiff.py --problems robertson hires --rtol 1e-4 1e-6
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from ratios import Benchmark, fastest
from scipy.integrate import solve_ivp

from perdure.model.engine.referee import Equations
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.model.stiff_problems import JUDGED, Problem, significant_digits
from perdure.model.system.system import parameter

PEERS = ("Radau", "BDF", "LSODA")
DIGITS = 5.0
"""mescd at which the ratios of a run are recorded: most methods reach it at the usual tolerances."""
ROUNDS = 5
"""Rounds of which the fastest run counts; these runs are short, so that a neighbour's work can spoil one."""
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


def judged(problem: Problem, method: str, rtol: float, seconds: float, steps: int, states: np.ndarray) -> Row:
    """The row of a run that took so long and ended in these states."""
    if states.size == 0:
        return Row(method, rtol, steps, math.nan, math.nan, seconds)
    right = np.array(list(problem.reference.values()))
    small = np.array([state.tolerance for state in problem.system.states])
    mixed = float(np.max(np.abs(states - right) / (np.abs(right) + small / rtol)))
    scd = min(significant_digits(*each) for each in zip(states.tolist(), right.tolist(), small.tolist(), strict=True))
    return Row(method, rtol, steps, min(16.0, -math.log10(mixed)) if mixed > 0.0 else 16.0, scd, seconds)


def engine(problem: Problem, rtol: float, patients: int) -> Run:
    solver = Solver(rtol=rtol, method="stiff", max_step=math.inf, workers=1)
    many = {name: np.repeat(values, patients) for name, values in problem.parameters.items()}

    def run() -> tuple[int, np.ndarray]:
        solution = simulate(many, Regimen(()), times=[problem.until], system=problem.system, solver=solver)
        final_values = np.array([solution[name][0, -1] for name in problem.reference])
        return int(solution.steps[0]), final_values[:0] if solution.failures else final_values

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


def tables(benchmark: Benchmark, problem: Problem, tolerances: Sequence[float], at_least: float) -> None:
    """Print the rows of one problem, and record how much longer each peer takes for as many digits."""
    print(f"\n{problem.title}: {len(problem.system.states)} states, until {problem.until:g}")
    heads = f"{'method':>24s} {'rtol':>7s} {'steps':>7s} {'mescd':>6s} {'scd':>6s}"
    print(f"{heads} {'ms/solve':>9s} {'ratio':>7s} {'batch':>7s}")
    runs = [("engine, stiff", r, engine(problem, r, 1), 1) for r in tolerances]
    runs += [(f"the same, of {MANY} at once", r, engine(problem, r, MANY), MANY) for r in tolerances]
    runs += [(f"scipy {method}", r, scipy_method(problem, r, method), 1) for method in PEERS for r in tolerances]
    times = fastest([run for _, _, run, _ in runs], rounds=ROUNDS, seconds=at_least)
    rows = [
        judged(problem, method, rtol, seconds / patients, steps, states)
        for (method, rtol, _, patients), (seconds, (steps, states)) in zip(runs, times, strict=True)
    ]
    n = len(tolerances)
    alone, batch, peers = rows[:n], rows[n : 2 * n], rows[2 * n :]
    for row in rows:
        ratios = [row.seconds / time_of(own, row.mescd) for own in (alone, batch)]
        print(
            f"{row.method:>24s} {row.rtol:7.0e} {row.steps:7d} {row.mescd:6.2f} {row.scd:6.2f} "
            f"{1e3 * row.seconds:9.3f}" + "".join(f" {r:7.1f}" if math.isfinite(r) else f" {'':>7s}" for r in ratios),
            flush=True,
        )
    for method in PEERS:
        theirs = time_of([row for row in peers if row.method == f"scipy {method}"], DIGITS)
        for name, own in (("engine", alone), (f"engine, {MANY} at once", batch)):
            title, ours = f"{problem.key}: scipy {method} / {name}", time_of(own, DIGITS)
            if math.isfinite(theirs / ours):
                meaning = f"seconds of the peer per solve over those of the engine, at mescd {DIGITS:g}"
                benchmark.record(title, theirs / ours, meaning)
            else:
                benchmark.not_run[title] = f"the tolerances do not reach down and up to {DIGITS:g} digits"


def main() -> int:
    known = {build.__name__: build for build in JUDGED}
    tolerances = [10.0**-power for power in range(3, 11)]
    few = ["robertson", "hires", "oregonator"]
    benchmark = Benchmark("stiff", __doc__, quick={"problems": few, "rtol": tolerances[:5]})
    options = benchmark.options
    options.add_argument("--problems", nargs="+", choices=sorted(known), default=list(known))
    options.add_argument("--rtol", nargs="+", type=float, default=tolerances)
    options.add_argument("--seconds", type=float, default=0.05, help="at least so long for each row and round")
    chosen = benchmark.parse()
    for name in chosen.problems:
        tables(benchmark, known[name](), chosen.rtol, chosen.seconds)
    return benchmark.finish(sizes=["rtol"])


if __name__ == "__main__":
    raise SystemExit(main())
