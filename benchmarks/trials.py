"""How long virtual trials take, beside what else could do it: ratios of processor time from one run.

    python benchmarks/trials.py --quick

1. 1,000 virtual patients in two arms for five years, one with daily lenalidomide: the compiled engine against the same
   model with scipy's integrator, which is timed on a few patients and multiplied.
2. Power at ten sizes, 200 trials each, from one pool: drawn and tested here, against testing the same trials with
   lifelines, and against simulating the patients of every trial anew.
"""

import argparse
from collections.abc import Callable

import numpy as np
from lifelines.statistics import logrank_test
from ratios import Benchmark, fastest

from perdure import give, infuse, read_calibration, treat
from perdure.model.simulate import Solver
from perdure.trials.arm import Arm
from perdure.trials.conduct import conduct
from perdure.trials.design import Design
from perdure.trials.pool import make_pool
from perdure.trials.power import power_curve

MONTHS = 60.0
SIZES = tuple(range(100, 1001, 100))
PEER_TRIALS = 50
DAILY = infuse("ide_cel") + give("lenalidomide", "10 mg", start=30, months=59)


def main() -> int:
    benchmark = Benchmark("trials", __doc__, quick={"patients": 200, "few": 2, "trials": 50})
    options = benchmark.options
    options.add_argument("--patients", type=int, default=1000, help="in an arm, and in the pool (default 1000)")
    options.add_argument("--few", type=int, default=4, help="patients in an arm that scipy is given (default 4)")
    options.add_argument("--trials", type=int, default=200, help="virtual trials at each size (default 200)")
    chosen = benchmark.parse()
    simulated(benchmark, chosen)
    tested(benchmark, chosen)
    return benchmark.finish(sizes=["patients", "few", "trials"], libraries=["lifelines"])


def simulated(benchmark: Benchmark, chosen: argparse.Namespace) -> None:
    """Two arms, with the compiled engine and with the integrator of scipy."""
    parameters = read_calibration().parameters()
    treat("ide_cel", patients=10, regimen=DAILY, months=6.0, parameters=parameters)  # compiles

    def both(patients: int, solver: Solver) -> None:
        for regimen in (infuse("ide_cel"), DAILY):
            treat("ide_cel", regimen=regimen, patients=patients, months=MONTHS, solver=solver)

    (ours, _), (some, _) = fastest(
        [
            lambda: both(chosen.patients, Solver(rtol=1e-5)),
            lambda: both(chosen.few, Solver(rtol=1e-5, engine="scipy")),
        ]
    )
    scipy = some * chosen.patients / chosen.few
    print(f"{chosen.patients} patients x 2 arms x {MONTHS / 12:g} years, one arm with daily doses")
    print(f"  here              {ours:8.1f} s")
    print(f"  scipy integrator  {scipy:8.1f} s ({chosen.few} patients, multiplied)")
    meaning = "seconds of two arms with scipy's integrator over those of the engine"
    benchmark.record("two arms: scipy / perdure", scipy / ours, meaning)


def tested(benchmark: Benchmark, chosen: argparse.Namespace) -> None:
    """Power at ten sizes from one pool, the same tests with lifelines, and every trial simulated anew."""
    parameters = read_calibration().parameters()
    plans = {"none": "ide-cel", "lenalidomide": "ide-cel; lenalidomide 10 mg daily from day 30 for 24 months"}
    design = Design(
        "Benchmark", tuple(Arm(name, words, "late_line") for name, words in plans.items()),
        time_zero="infusion", patients=400, accrual_months=18.0, follow_up_months=24.0, endpoint="pfs",
    )  # fmt: skip
    pool = make_pool(design, parameters, patients=chosen.patients, seed=1)  # compiles, too
    trials = conduct(design, pool, trials=PEER_TRIALS, patients=int(np.mean(SIZES)), seed=1)

    def logranks() -> None:
        for k in range(PEER_TRIALS):
            first = trials.arm[k] == 0
            time_, event = trials.time["pfs"][k], trials.event["pfs"][k]
            logrank_test(time_[first], time_[~first], event[first], event[~first])

    runs: list[Callable[[], object]] = [
        lambda: make_pool(design, parameters, patients=chosen.patients, seed=1),
        lambda: power_curve(design, pool, sizes=SIZES, trials=chosen.trials, seed=1),
        logranks,
    ]
    anew, curve, peer = (seconds for seconds, _ in fastest(runs))
    peer *= len(SIZES) * chosen.trials / PEER_TRIALS
    fresh = anew * sum(SIZES) * chosen.trials / (2 * chosen.patients)
    sizes = f"{len(SIZES)} sizes ({SIZES[0]} to {SIZES[-1]} patients)"
    print(f"\nPower at {sizes}, {chosen.trials} trials each, from one pool")
    print(f"  drawn and tested here              {curve:8.1f} s (and {anew:.1f} s for the pool)")
    print(f"  tested by lifelines, without draws {peer:8.1f} s")
    print(f"  every trial simulated anew         {fresh:8.1f} s ({fresh / curve:.0f} times as long; multiplied)")
    meaning = "seconds of the log-rank tests with lifelines over those of drawing and testing the same trials here"
    benchmark.record("power: lifelines / perdure", peer / curve, meaning)


if __name__ == "__main__":
    raise SystemExit(main())
