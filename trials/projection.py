"""What would lenalidomide or a gamma-secretase inhibitor add to ide-cel and to cilta-cel, and how sure are we?

Every regimen is given to the same virtual patients. Three uncertainties stay apart: between patients (the curve
itself), about parameters (posterior draws, the band), from the sample size (a trial of so many patients, dashed).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..fitting.calibration.calibration import Calibration, read_calibration
from ..fitting.posterior import anchored, interval
from ..fitting.studies import read_studies
from ..model.relapse import CAUSES
from ..model.simulate import Solver
from ..parameters.parameter_set import ParameterSet
from .provenance import Footing, Scenario, default_scenarios, footing
from .treat import SEED, Trial, treat

MONTHS = 60.0
RESTRICTED_MONTHS = 36.0
"""Restricted mean progression-free survival is taken over so many months."""
BAND_MONTHS = np.arange(0.0, MONTHS + 0.5, 1.0)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over posterior draws."""

    value: float
    low: float
    high: float

    def text(self, form: str = ".3g") -> str:
        """`8.8 (5.9-11.9)`, infinite as NR (not reached)."""

        def one(number: float) -> str:
            return "NR" if np.isinf(number) else f"{number:{form}}"

        return f"{one(self.value)} ({one(self.low)} to {one(self.high)})"


@dataclass(frozen=True, eq=False)
class Projection:
    """What is projected for one scenario.

    `trial` holds the virtual patients at the estimate; `band` (draws, months) the survival curves of the draws;
    `gain_months` is the difference in restricted mean progression-free survival from the first scenario of the product.
    """

    scenario: Scenario
    footing: Footing
    trial: Trial
    band: np.ndarray
    numbers: Mapping[str, Estimate]
    causes: Mapping[str, float]
    failed_share: float


def run(
    scenarios: Sequence[Scenario] | None = None,
    *,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 150,
    months: float = MONTHS,
    seed: int = SEED,
    calibration: Calibration | None = None,
    solver: Solver | None = None,
    progress: Progress | None = None,
) -> tuple[Projection, ...]:
    """Project every scenario at the estimate and at posterior draws.

    Returns
    -------
    tuple of Projection
        In the order of the scenarios. Numbers: 'overall response, %', 'complete response, %', 'median PFS, months',
        'PFS at 24 months, %', 'restricted mean PFS, months' and 'gain in restricted mean PFS, months' (against the
        first scenario of the same product, paired on the same patients).
    """
    scenarios = tuple(scenarios or default_scenarios())
    calibration = calibration or read_calibration()
    solver = solver or Solver(rtol=1e-5)
    draws = min(draws, len(calibration.draws))
    best = _trials(scenarios, calibration.parameters(), patients, seed, months, solver, progress, "projecting")
    bands: list[list[np.ndarray]] = [[] for _ in scenarios]
    values: list[list[dict[str, float]]] = [[] for _ in scenarios]
    failed = [trial.solution.failed_share for trial in best]
    few = _trials(scenarios, calibration.parameters(), patients_per_draw, seed, months, solver, None, "")
    at_few, grid = _numbers(scenarios, few, months), BAND_MONTHS[months >= BAND_MONTHS]
    for k in range(draws):
        trials = _trials(scenarios, calibration.draw(k), patients_per_draw, seed, months, solver, None, "")
        numbers = _numbers(scenarios, trials, months)
        for i, trial in enumerate(trials):
            bands[i].append(np.asarray(trial.pfs().at(grid)))
            values[i].append(numbers[i])
            failed[i] = max(failed[i], trial.solution.failed_share)
        if progress is not None:
            progress("posterior draws", k + 1, draws)
    studies = read_studies()
    at_best = _numbers(scenarios, best, months)
    return tuple(
        Projection(
            scenario=scenario,
            footing=footing(scenario, studies),
            trial=best[i],
            band=anchored(best[i].pfs().at(grid), np.array(bands[i]), few[i].pfs().at(grid), 0.0, 1.0),
            numbers={
                name: _estimate(name, at_best[i][name], [v[name] for v in values[i]], at_few[i][name])
                for name in at_best[i]
            },
            causes=dict(zip(CAUSES, map(float, best[i].outcomes.cause_share()), strict=True)),
            failed_share=failed[i],
        )
        for i, scenario in enumerate(scenarios)
    )


def _trials(
    scenarios: Sequence[Scenario], parameters: ParameterSet, patients: int, seed: int, months: float, solver: Solver,
    progress: Progress | None, label: str,
) -> list[Trial]:  # fmt: skip
    trials = []
    for k, scenario in enumerate(scenarios):
        trials.append(
            treat(
                scenario.product, scenario.population, scenario.regimen, patients=patients, seed=seed, months=months,
                parameters=parameters, solver=solver,
            )
        )  # fmt: skip
        if progress is not None:
            progress(label, k + 1, len(scenarios))
    return trials


def _numbers(scenarios: Sequence[Scenario], trials: Sequence[Trial], months: float) -> list[dict[str, float]]:
    first: dict[str, float] = {}
    rows = []
    reach = min(RESTRICTED_MONTHS, months)
    for scenario, trial in zip(scenarios, trials, strict=True):
        curve = trial.pfs()
        mean = curve.restricted_mean(reach)
        first.setdefault(scenario.product, mean)
        rows.append(
            {
                "overall response, %": 100.0 * trial.outcomes.overall_response_rate,
                "complete response, %": 100.0 * trial.outcomes.complete_response_rate,
                "median PFS, months": curve.median(),
                "PFS at 24 months, %": 100.0 * float(curve.at(min(24.0, months))),
                "restricted mean PFS, months": mean,
                "gain in restricted mean PFS, months": mean - first[scenario.product],
            }
        )
    return rows


def _estimate(name: str, value: float, draws: Sequence[float], anchor: float) -> Estimate:
    """The value at the estimate, with the central 95 % of the draws."""
    least = -np.inf if name.startswith("gain") else 0.0
    most = 100.0 if name.endswith("%") else np.inf
    return Estimate(value, *interval(anchored(value, np.array(draws), anchor, least, most)))
