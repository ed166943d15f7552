"""What is found of a trial design: power, sample size, assurance, the true effect, and one trial as an example."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Progress, Sizes, no_progress, posterior_parameters
from ..fitting.studies import read_studies
from ..model.simulate import Solver
from ..parameters.errors import FileError, unknown
from ..parameters.parameter_set import ParameterSet
from .analysis import Analysis, Truth, analyse
from .conduct import Trials, conduct
from .design import RATES, TIMES, Design, read_scenario
from .pool import Pool, make_pool
from .power import (
    Assurance,
    PowerCurve,
    SampleSize,
    assurance,
    check_sizes,
    pool_error,
    power_curve,
    sample_size,
    stream,
    true_effect,
)
from .provenance import Provenance, provenance_of_plan

SHARES_OF_PLAN = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
"""Sizes that are simulated if none are given, as shares of the patients that are planned."""
TRIALS_PER_DRAW = 50
SIZES = Sizes(patients_per_draw=150)
THREADS = 2


@dataclass(frozen=True, eq=False)
class DesignResult:
    """What was found of a design, comparing one arm with the reference.

    Attributes
    ----------
    provenance
        Of every arm, in the order of the design.
    truth, error
        True effect at the estimate, and its standard error from the number of virtual patients (on the log scale for a
        hazard ratio).
    curve, size
        Power at the estimate by size, and the size that has the power.
    per_draw
        Virtual patients in the pool of every draw.
    assurances
        At some of the sizes, in rising order; `planned` is that of the patients that are planned.
    example, analyses
        One simulated trial of the planned size, and its analysis by endpoint.
    """

    design: Design
    arm: int
    provenance: tuple[Provenance, ...]
    pool: Pool
    truth: Truth
    error: float
    curve: PowerCurve
    size: SampleSize
    per_draw: int
    assurances: tuple[Assurance, ...]
    example: Trials
    analyses: Mapping[str, Analysis]

    @property
    def planned(self) -> Assurance:
        """Assurance with the patients that are planned."""
        return next(planned for planned in self.assurances if planned.patients == self.design.patients)

    @property
    def power(self) -> tuple[float, float, float]:
        """Power at the estimate with the patients that are planned, and its Monte-Carlo interval."""
        k = self.curve.sizes.tolist().index(self.design.patients)
        return float(self.curve.power[k]), float(self.curve.low[k]), float(self.curve.high[k])

    @property
    def name(self) -> str:
        """Name of the arm that is compared with the reference."""
        return self.design.arms[self.arm].name


def run_design(
    design: Design,
    calibration: Calibration,
    *,
    arm: int = 1,
    trial_sizes: Sequence[int] = (),
    trials: int = 200,
    sizes: Sizes = SIZES,
    trials_per_draw: int = TRIALS_PER_DRAW,
) -> DesignResult:
    """Simulate a design at the estimate and at posterior draws.

    Parameters
    ----------
    arm
        Which arm is compared with the reference, arm 0.
    trial_sizes
        Patients of the trials that are simulated; by default a fifth to twice of those planned, which always belong.
    trials
        Simulated trials at every size.
    sizes
        Virtual patients in the pool at the estimate, and in that of every draw; the same people in all of them.
    """
    planned, seed = int(design.patients), sizes.seed
    wanted = sorted({*(trial_sizes or (max(10, round(share * planned)) for share in SHARES_OF_PLAN)), planned})
    check_sizes(wanted, trials)
    pool = make_pool(design, calibration.parameters(), patients=sizes.patients, seed=seed)
    truth = true_effect(design, pool, seed=seed, arm=arm)
    curve = power_curve(design, pool, sizes=wanted, trials=trials, seed=seed, arm=arm, progress=sizes.progress)
    drawn = posterior_parameters(calibration, sizes.draws)
    pools = make_pools(design, drawn, patients=sizes.patients_per_draw, seed=seed, progress=sizes.progress)
    truths = [true_effect(design, drawn_pool, seed=seed, arm=arm) for drawn_pool in pools]
    some = sorted({*wanted[:: max(1, len(wanted) // 5)], planned, wanted[-1]})
    assured = []
    for k, size in enumerate(some):
        assured.append(
            assurance(design, pools, patients=size, trials_per_pool=trials_per_draw, seed=seed, arm=arm, truths=truths)
        )
        sizes.progress("assurance", k + 1, len(some))
    example = conduct(design, pool, trials=1, patients=planned, seed=stream(seed, 1))
    studies = read_studies()
    return DesignResult(
        design=design,
        arm=arm,
        provenance=tuple(provenance_of_plan(a.plan, a.population, studies, calibration.missed) for a in design.arms),
        pool=pool,
        truth=truth,
        error=pool_error(design, pool, seed=seed, arm=arm),
        curve=curve,
        size=sample_size(design, curve, truth, arm=arm),
        per_draw=sizes.patients_per_draw,
        assurances=tuple(assured),
        example=example,
        analyses={name: analyse(for_endpoint(design, name), example, 0, arm) for name in (*TIMES, *RATES)},
    )


def make_pools(
    design: Design, drawn: Sequence[ParameterSet], *, patients: int, seed: int, progress: Progress = no_progress
) -> list[Pool]:
    """One pool for each set of parameters, of the same people; two at a time, since each is too small for two cores."""
    done = 0

    def pool_at(parameters: ParameterSet) -> Pool:
        return make_pool(design, parameters, patients=patients, seed=seed, solver=Solver(rtol=1e-5, workers=1))

    pools = []
    with ThreadPoolExecutor(THREADS) as threads:
        for done, pool in enumerate(threads.map(pool_at, drawn), start=1):
            pools.append(pool)
            progress("posterior draws", done, len(drawn))
    return pools


def for_endpoint(design: Design, endpoint: str) -> Design:
    """The same trial with another endpoint and its usual test (log-rank, or two rates); its own stays as it is."""
    if endpoint == design.endpoint:
        return design
    return replace(design, endpoint=endpoint, test="", restricted_months=None)


def arm_of(design: Design, name: str) -> int:
    """Place of the arm that is compared with the reference: the second one if no name is given.

    Raises
    ------
    UnknownNameError
        If no arm beside the reference has that name.
    """
    names = [arm.name for arm in design.arms]
    if not name:
        return 1
    if name not in names[1:]:
        raise unknown("arm beside the reference", name, names[1:])
    return names.index(name)


def read_design(file: str | Path) -> Design:
    """The design of a scenario file.

    Raises
    ------
    InputError
        If the file cannot be read, contradicts itself, or has no [trial].
    """
    scenario = read_scenario(file)
    if scenario.design is None:
        raise FileError(f"{Path(file).name}: has no [trial]; write one with patients, follow_up_months and endpoint.")
    return scenario.design
