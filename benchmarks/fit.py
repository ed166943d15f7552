"""How long does one joint likelihood take, how much does the emulator save, and what would others cost?

Simulated with our engine, with scipy's LSODA (the same equations, patients and endpoints' grid, so many patients as it
gets through), and by the emulator that the shipped calibration rests on; then one patient of a user's own. All in one
run, so that the ratios hold on a noisy machine.

    python benchmarks/fit.py --patients 500
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from peers.lsoda_scipy import ScipyLsoda
from peers.problem import Problem as SamePatients

from perdure.fitting.individual.data import Subject
from perdure.fitting.individual.map_fit import individual_fit
from perdure.fitting.individual.mechanistic import mechanistic_model
from perdure.fitting.joint.design import prior_points
from perdure.fitting.joint.points import read_points
from perdure.fitting.joint.problem import Problem, Sizes
from perdure.fitting.joint.rounds import FitSettings
from perdure.fitting.joint.search_space import joint_space
from perdure.fitting.reported import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.patients import draw, make_patients

RTOL = 1e-4
DAYS = np.append(np.arange(0.0, 1800.0, 30.4375), 1826.0)


def seconds(run: Callable[[], object], least: int = 3) -> float:
    """Fastest of some runs, by the clock on the wall."""
    found = []
    for _ in range(least):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--patients", type=int, default=500, help="per arm and scenario (default 500)")
    options.add_argument("--few", type=int, default=8, help="patients that scipy is given (default 8)")
    chosen = options.parse_args()
    n, catalogue = chosen.patients, read_catalogue()

    problem = Problem(joint_space(catalogue), read_studies(), Sizes(n, n, n))
    points = read_points()
    centre = points.centre
    arms = Problem(problem.space, tuple(study for study in problem.studies if study.product), Sizes(n, n, n))
    arms_alone = Problem(
        arms.space,
        tuple(
            study.model_copy(update={"items": tuple(item for item in study.items if not item.scenario)})
            for study in arms.studies
        ),
        arms.sizes,
    )  # fmt: skip
    parts = (
        ("the arms of CAR-T products", arms_alone, False),
        ("and the first lines of every other therapy", problem, False),
        ("and every later line of therapy", problem, True),
    )
    whole, both = 0.0, [centre, centre]  # two at once, one per core, as in the fit
    for name, part, later in parts:
        part.models_of(both, [1, 2], later=later)
        whole = seconds(lambda part=part, later=later: part.models_of(both, [1, 2], later=later)) / 2.0
        print(f"one joint likelihood, {n} patients, two cores, {name}: {whole:.2f} s")

    sizes = FitSettings().sizes
    usual = Problem(problem.space, problem.studies, sizes)
    for name, later in (("without later lines", False), ("with them, as at every third point", True)):
        cost = seconds(lambda later=later: usual.models_of(both, [1, 2], later=later)) / 2.0
        patients = f"{sizes.arm}, {sizes.first_line} and {sizes.later_line} patients"
        print(f"as the fit evaluates it ({patients}), {name}: {cost:.2f} s")

    emulator = points.emulator(problem)
    many = np.clip(centre + 0.1 * prior_points(200, problem.space.size, 1), -4.0, 4.0)
    emulated = seconds(lambda: emulator.log_posterior(many)) / len(many)
    print(f"the same by the emulator: {1e6 * emulated:.0f} us, ratio {whole / emulated:.3g}")

    parameters = problem.space.at(centre)
    crowd = make_patients(parameters, draw(parameters, n, 1), product="ide_cel", population="late_line")
    regimen, solver = infuse("ide_cel"), Solver(rtol=RTOL, workers=1)
    simulate(crowd, regimen, times=DAYS, solver=solver)
    ours = seconds(lambda: simulate(crowd, regimen, times=DAYS, solver=solver)) / n
    few = {name: np.asarray(values)[: chosen.few] for name, values in crowd.items()}
    peer = ScipyLsoda(SamePatients(few, regimen, DAYS))
    theirs = seconds(lambda: peer.run(RTOL), least=1) / chosen.few
    costs = f"{1e6 * ours:.0f} us, scipy LSODA {1e6 * theirs:.0f} us, ratio {theirs / ours:.3g}"
    print(f"one patient over five years: {costs}")

    model = mechanistic_model(product="ide_cel", population="late_line")
    time_points = np.array([0.0, 7.0, 11.0, 14.0, 21.0, 28.0, 60.0, 90.0])
    one = Subject(
        "simulated", time_points, np.array(["car_t"] * 8),
        np.array([0.5, 40.0, 120.0, 80.0, 30.0, 12.0, 3.0, 1.0]), np.zeros(8, dtype=bool), (), {},
    )  # fmt: skip
    individual_fit(model, one)
    alone = seconds(lambda: individual_fit(model, one))
    print(f"maximum a posteriori of one patient, mechanistic model: {alone:.2f} s")


if __name__ == "__main__":
    main()
