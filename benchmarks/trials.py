"""How long virtual trials take, beside what else could do it: ratios from one run, on whatever machine this is.

    python benchmarks/trials.py

1. 1,000 virtual patients in two arms for five years, one with daily lenalidomide: the compiled engine against the same
   model with scipy's integrator, which is timed on a few patients and multiplied.
2. Power at ten sizes, 200 trials each, from one pool: drawn and tested here, against testing the same trials with
   lifelines, and against simulating the patients of every trial anew.
"""

import time
from collections.abc import Callable

import numpy as np
from lifelines.statistics import logrank_test

from perdure import give, infuse, read_calibration, treat
from perdure.experiments.trials.conduct import conduct
from perdure.experiments.trials.design import Design, TrialArm
from perdure.experiments.trials.pool import make_pool
from perdure.experiments.trials.power import power_curve
from perdure.model.language.sentence import read_plan
from perdure.model.regimen import Regimen
from perdure.model.simulate import Solver

PATIENTS, MONTHS, FEW = 1000, 60.0, 4
SIZES = tuple(range(100, 1001, 100))
TRIALS, PEER_TRIALS = 200, 50
DAILY = infuse("ide_cel") + give("lenalidomide", "10 mg", start=30, months=59)


def main() -> None:
    """Print both tables."""
    parameters = read_calibration().parameters()
    treat("ide_cel", patients=10, regimen=DAILY, months=6.0, parameters=parameters)  # compiles

    def arms(n: int, solver: Solver) -> float:
        regimens: tuple[Regimen, ...] = (infuse("ide_cel"), DAILY)
        return seconds(
            lambda: [treat("ide_cel", regimen=r, patients=n, months=MONTHS, solver=solver) for r in regimens]
        )

    ours = arms(PATIENTS, Solver(rtol=1e-5))
    scipy = arms(FEW, Solver(rtol=1e-5, engine="scipy")) * PATIENTS / FEW
    print(f"{PATIENTS} patients x 2 arms x {MONTHS / 12:g} years, one arm with daily doses")
    print(f"  here              {ours:8.1f} s")
    print(f"  scipy integrator  {scipy:8.1f} s ({scipy / ours:.0f} times as long; {FEW} patients, multiplied)")

    plans = {"none": "ide-cel", "lenalidomide": "ide-cel; lenalidomide 10 mg daily from day 30 for 24 months"}
    design = Design(
        "Benchmark", tuple(TrialArm(name, words, read_plan(words), "late_line") for name, words in plans.items()),
        time_zero="infusion", patients=400, accrual_months=18.0, follow_up_months=24.0, endpoint="pfs",
    )  # fmt: skip
    pool = make_pool(design, parameters, patients=PATIENTS, seed=1)
    anew = seconds(lambda: make_pool(design, parameters, patients=PATIENTS, seed=1))
    curve = seconds(lambda: power_curve(design, pool, sizes=SIZES, trials=TRIALS, seed=1))
    trials = conduct(design, pool, trials=PEER_TRIALS, patients=int(np.mean(SIZES)), seed=1)

    def tested() -> None:
        for k in range(PEER_TRIALS):
            first = trials.arm[k] == 0
            time_, event = trials.time["pfs"][k], trials.event["pfs"][k]
            logrank_test(time_[first], time_[~first], event[first], event[~first])

    peer = seconds(tested) * len(SIZES) * TRIALS / PEER_TRIALS
    fresh = anew * sum(SIZES) * TRIALS / (2 * PATIENTS)
    print(f"\nPower at {len(SIZES)} sizes ({SIZES[0]} to {SIZES[-1]} patients), {TRIALS} trials each, from one pool")
    print(f"  drawn and tested here              {curve:8.1f} s (and {anew:.1f} s for the pool)")
    print(f"  tested by lifelines, without draws {peer:8.1f} s ({peer / curve:.0f} times as long)")
    print(f"  every trial simulated anew         {fresh:8.1f} s ({fresh / curve:.0f} times as long; multiplied)")


def seconds(what: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
