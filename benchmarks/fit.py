"""How long does one joint likelihood take, how much does the emulator save, and what would others cost?

Simulated with our engine, with scipy's LSODA (the same equations, patients and endpoints' grid, so many patients as it
gets through), and by the emulator that the shipped calibration rests on; then one patient of a user's own. All in one
run and in processor time, so that the ratios hold on a noisy machine.

    python benchmarks/fit.py --quick
    python benchmarks/fit.py --patients 500
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from peers.lsoda_scipy import ScipyLsoda
from peers.problem import Problem as SamePatients
from ratios import Benchmark, fastest

from perdure.fitting.calibration.design import prior_points
from perdure.fitting.calibration.points import read_points
from perdure.fitting.calibration.problem import Problem, Sizes
from perdure.fitting.calibration.rounds import FitSettings
from perdure.fitting.calibration.search_space import joint_space
from perdure.fitting.patients.data import Subject
from perdure.fitting.patients.map_fit import individual_fit
from perdure.fitting.patients.mechanistic import mechanistic_model
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.patients import draw, make_patients

RTOL = 1e-4
DAYS = np.append(np.arange(0.0, 1800.0, 30.4375), 1826.0)
LEAST = 0.2
"""Seconds of a turn; the shortest runs take milliseconds."""

PATIENT, SCIPY = "one patient over five years", "one patient with scipy LSODA"
EVERY_LINE, EMULATED = "joint likelihood, with every later line of therapy", "joint likelihood by the emulator"
OWN = "fit of one patient of a user's own"

Runs = dict[str, tuple[Callable[[], object], int]]
"""What is timed, by name: a run, and how many of what is named it does."""


def main() -> int:
    benchmark = Benchmark("fit", __doc__, quick={"patients": 20, "few": 4})
    options = benchmark.options
    options.add_argument("--patients", type=int, default=500, help="per arm and scenario (default 500)")
    options.add_argument("--few", type=int, default=8, help="patients that scipy is given (default 8)")
    chosen = benchmark.parse()
    runs = {
        **one_patient(chosen.patients, chosen.few),
        **likelihood(chosen.patients, as_fitted=not chosen.quick),
        **own_patient(),
    }
    for run, _ in runs.values():
        run()  # compiles
    times = fastest([run for run, _ in runs.values()], seconds=LEAST)
    costs = {name: seconds / many for (name, (_, many)), (seconds, _) in zip(runs.items(), times, strict=True)}
    for name, cost in costs.items():
        print(f"{name}: {cost:.3g} s")
    meaning = "processor time of scipy over that of our engine, at the same tolerance"
    benchmark.record(f"{SCIPY} / perdure", costs[SCIPY] / costs[PATIENT], meaning)
    for name in (EVERY_LINE, EMULATED, OWN):
        meaning = "processor time of ours over that of scipy, the yardstick"
        benchmark.record(f"{name} / {SCIPY}", costs[name] / costs[SCIPY], meaning, higher_is_better=False)
    return benchmark.finish(sizes=["patients", "few"])


def one_patient(n: int, few: int) -> Runs:
    """Patients over five years at the centre of the calibration, `n` with our engine and a few with scipy."""
    parameters = joint_space(read_catalogue()).at(read_points().centre)
    crowd = make_patients(parameters, draw(parameters, n, 1), product="ide_cel", population="late_line")
    regimen, solver = infuse("ide_cel"), Solver(rtol=RTOL, workers=1)
    peer = ScipyLsoda(SamePatients({name: np.asarray(values)[:few] for name, values in crowd.items()}, regimen, DAYS))
    return {
        PATIENT: (partial(simulate, crowd, regimen, times=DAYS, solver=solver), n),
        SCIPY: (partial(peer.run, RTOL), few),
    }


def likelihood(n: int, *, as_fitted: bool) -> Runs:
    """One joint likelihood, simulated part by part and by the emulator; and at the sizes of the fit if asked for."""
    problem = Problem(joint_space(read_catalogue()), read_studies(), Sizes(n, n, n))
    points = read_points()
    arms_alone = Problem(
        problem.space,
        tuple(
            study.model_copy(update={"items": tuple(item for item in study.items if not item.scenario)})
            for study in problem.studies
            if study.product
        ),
        problem.sizes,
    )  # fmt: skip
    parts = {
        "joint likelihood, the arms of CAR-T products alone": (arms_alone, False),
        "joint likelihood, with the first lines of every other therapy": (problem, False),
        EVERY_LINE: (problem, True),
    }
    if as_fitted:
        sizes = FitSettings().sizes
        usual = Problem(problem.space, problem.studies, sizes)
        title = f"joint likelihood of the fit ({sizes.arm}, {sizes.first_line} and {sizes.later_line} patients)"
        parts |= {f"{title}, without later lines": (usual, False), f"{title}, as at every third point": (usual, True)}
    both = [points.centre, points.centre]  # two at once, as in the fit
    many = np.clip(points.centre + 0.1 * prior_points(200, problem.space.size, 1), -4.0, 4.0)
    simulated: Runs = {
        name: (partial(part.models_of, both, [1, 2], later=later), len(both)) for name, (part, later) in parts.items()
    }
    return simulated | {EMULATED: (partial(points.emulator(problem).log_posterior, many), len(many))}


def own_patient() -> Runs:
    """The fit of one patient of a user's own."""
    model = mechanistic_model(product="ide_cel", population="late_line")
    days = np.array([0.0, 7.0, 11.0, 14.0, 21.0, 28.0, 60.0, 90.0])
    subject = Subject(
        "simulated", days, np.array(["car_t"] * 8),
        np.array([0.5, 40.0, 120.0, 80.0, 30.0, 12.0, 3.0, 1.0]), np.zeros(8, dtype=bool), (), {},
    )  # fmt: skip
    return {OWN: (partial(individual_fit, model, subject), 1)}


if __name__ == "__main__":
    raise SystemExit(main())
