"""Does the antigen fade after CAR-T cells, and how much of relapse does that explain?

Two answers that must not be mixed up: what would still hold the tumour on the day it is seen to grow (bookkeeping), and
how many relapses there would be if no cell could escape by its antigen from infusion on (thought experiments).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.observations import Observation
from perdure.fitting.posterior import Estimate, Sizes, interval
from perdure.fitting.studies import read_studies
from perdure.model.simulate import Solver
from perdure.reports.antigen_report import cause_picture, density_picture
from perdure.reports.comparison_report import INTERVAL, arms_section, group_table, report_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section, Table
from perdure.reports.run_files import estimate_row
from perdure.reports.settings import Settings
from perdure.trials.antigen_density import AFTER, BEFORE, BELOW, CAUSE, LOST, cause_percent, null_relapses
from perdure.trials.arm import Arm, Change
from perdure.trials.compare import EVERYBODY, Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PFS_24, RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat

TIME = "about half a minute"
SIZES = Sizes()
MIXING = 0.5
"""Rate per day at which cells are mixed again where density is 'held': faster than killing selects, so that the spread
between the cells stays that of day 0 (at 0.5, 2 and 10 per day the results are the same within a month)."""


def _no_null(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    none = np.zeros_like(values["fraction_null_bcma"])
    return {"fraction_null_bcma": none, "probability_loss_bcma": none}


def _held(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_relaxation_density": np.full_like(values["k_relaxation_density"], MIXING)}


def _times(factor: float) -> Change:
    return lambda values: {"density_bcma": factor * values["density_bcma"]}


FACTORS = (0.25, 0.5, 2.0, 4.0)
REAL, NO_NULL, HELD, NEITHER = "as it is", "no BCMA-null clones", "density held", "no escape at all"
CHANGES: Mapping[str, Change | None] = {
    REAL: None, NO_NULL: _no_null, HELD: _held, NEITHER: lambda values: {**_no_null(values), **_held(values)},
}  # fmt: skip
"""The patients as they are, and thought experiments on how the antigen can be escaped."""


def arms_of(given: str = "ide-cel", population: str = "late_line", factors: Sequence[float] = FACTORS) -> list[Arm]:
    """The patients as they are, and every thought experiment on their antigen."""
    changes = {**CHANGES, **{f"density x {factor:g}": _times(factor) for factor in factors}}
    return [Arm(name, given, population, change) for name, change in changes.items()]


MEASURES = (BEFORE, AFTER, BELOW, CAUSE, MEDIAN_PFS, PFS_24, RESTRICTED_PFS)
DENSITY_BEFORE, DENSITY_AT_PROGRESSION = "perica_2023_density_before", "perica_2023_density_at_progression"
EXPLAINED = ("if", "progressions and deaths until 24 months prevented, %", "restricted mean PFS gained, months")
REPORTED = {DENSITY_BEFORE: "reported before", DENSITY_AT_PROGRESSION: "reported at progression"}


@cache
def reported(item: str) -> Observation:
    """An item of the evidence by its id."""
    return next(row for study in read_studies() for row in study.items if row.id == item)


GROUPS = {
    "carriers of BCMA-null cells": lambda result: result.patients["fraction_null_bcma"] > 0,
    "BCMA below 670 at start": lambda result: result.outcomes.density_before < reported(DENSITY_BEFORE).value,
    "BCMA of 670 or more at start": lambda result: result.outcomes.density_before >= reported(DENSITY_BEFORE).value,
}
"""In whom: who carries a first loss, and density dichotomised at the reported median."""


@dataclass(frozen=True, eq=False)
class Escape:
    """The thought experiments, and the course of the antigen in the patients as they are (at the estimate)."""

    comparison: Comparison
    course: ArmResult

    def explained(self, arm: str, group: str = EVERYBODY) -> Estimate:
        """Share of the progressions and deaths until 24 months that a thought experiment prevents, in percent."""

        def share(real: np.ndarray, other: np.ndarray) -> np.ndarray:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(real < 100.0, 100.0 * (other - real) / (100.0 - real), np.nan)

        real, other = (self.comparison.numbers(name, PFS_24, "", group) for name in (REAL, arm))
        return Estimate(float(share(real.value, other.value)), *interval(share(real.centred, other.centred)))


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, factors: Sequence[float] = FACTORS,
    months: float = 36.0,
) -> Escape:  # fmt: skip
    """The same virtual patients after ide-cel, as they are and with their antigen changed."""
    calibration = calibration or read_calibration()
    arms = arms_of(factors=factors)
    comparison = compare(arms, calibration, measures=MEASURES, groups=GROUPS, sizes=sizes, months=months)
    course = treat(
        arms[0], patients=sizes.patients, months=months, seed=sizes.seed, parameters=calibration.parameters(),
        solver=Solver(rtol=1e-5),
    )  # fmt: skip
    return Escape(comparison, course)


def findings(escape: Escape, calibration: Calibration) -> tuple[Finding, ...]:
    """What flow cytometry saw in patients, and titrated antigen in the dish."""
    density = {measure: escape.comparison.estimate(REAL, measure) for measure in (BEFORE, AFTER)}
    quartiles = []
    for measure, key in ((BEFORE, DENSITY_BEFORE), (AFTER, DENSITY_AT_PROGRESSION)):
        value, item = density[measure], reported(key)
        met = item.low is not None and item.high is not None and item.low <= value.value <= item.high
        what = f"{measure.name} lies in the reported quartiles"
        quartiles.append(Finding(what, item.text, key, value.text(".0f"), met))
    typical = calibration.parameters().typical("ide_cel", "late_line")
    reach = (LOST / typical["half_density_kill"]) ** typical["hill_density"]
    killing, growth = typical["k_kill_max"] * reach / (1.0 + reach), typical["k_growth_tumour"]
    return (
        *quartiles,
        Finding(
            "BCMA is lower at progression than before", "p = 0.011", DENSITY_AT_PROGRESSION,
            f"{density[BEFORE].value:.0f} to {density[AFTER].value:.0f}", density[AFTER].value < density[BEFORE].value,
        ),
        Finding(
            "below 50 molecules per cell killing is slower than growth", "function lost",
            "perica_2023_function_threshold", f"killing {killing:.4f}, growth {growth:.4f} per day", killing < growth,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Whether BCMA fades, how much of relapse that explains, and in whom."""
    escape = run(calibration, settings.sizes)
    comparison = escape.comparison
    explained = {arm.name: escape.explained(arm.name) for arm in comparison.arms[1:]}
    rows = [(arm, n.text(".0f"), comparison.gain(arm, RESTRICTED_PFS).text("+.1f")) for arm, n in explained.items()]
    prevented = Table("Explained by the antigen", EXPLAINED, rows, INTERVAL)
    densities = [(float(reported(key).value or np.nan), words) for key, words in REPORTED.items()]
    course = density_picture(escape.course, [(LOST, "function lost in vitro"), *densities])
    return report_of(
        comparison,
        title="Antigen escape after CAR-T cells: how much of relapse does it explain?",
        subtitle="BCMA on the tumour cells of virtual late-line patients after ide-cel",
        sentences=sentences(escape),
        sections=(
            Section("Does the antigen fade?", _FADE_TEXT, [course]),
            arms_section(
                comparison, "How much of relapse does it explain?", name="escape", table="Antigen", text=_WHY_TEXT,
                pfs="With and without escape (simulated)", arms=(REAL, NEITHER), gain="If the antigen were another",
                note="Against the patients as they are. Hollow: a thought experiment. Interval: 95 % of draws.",
                pictures=[cause_picture(comparison, tuple(CHANGES))], tables=[prevented],
            ),
            Section("In whom?", "", tables=[group_table(comparison, "No escape, by patients", NEITHER)]),
        ),
        numbers=[estimate_row(arm, "events until 24 months prevented", n, "%") for arm, n in explained.items()],
        notices=[_LIMITS],
        findings=findings(escape, calibration),
    )  # fmt: skip


def sentences(escape: Escape) -> tuple[str, ...]:
    """The answer in words."""
    comparison = escape.comparison
    before, after, cause = (comparison.estimate(REAL, measure).text(".0f") for measure in (BEFORE, AFTER, CAUSE))
    neither, no_null = (escape.explained(arm).text(".0f") for arm in (NEITHER, NO_NULL))
    return (
        f"It fades: median BCMA falls from {before} to {after} molecules per cell at progression.",
        f"Without any escape {neither} % of the progressions and deaths until 24 months would not happen, and "
        f"restricted mean PFS would be {comparison.gain(NEITHER, RESTRICTED_PFS).text('.1f')} months longer; BCMA-null "
        f"clones alone explain {no_null} %, and most cells have lost BCMA in {null_relapses(escape.course):.1f} % of "
        "the progressions.",
        f"Yet giving the antigen of day 0 back on the day of progression would hold only {cause} % of the relapses: "
        "cells with little antigen survive the first weeks and are the seed of the relapse, and when it is seen more "
        f"CAR-T cells are what is missing in {cause_percent(comparison.result(REAL), 'cells gone'):.0f} %.",
    )


_FADE_TEXT = """CAR-T cells kill the cells with much antigen first. What survives carries less, and drifts back towards
the tumour's own distribution over months. Selection and down-regulation of the antigen give the same densities; the
model has selection only, so that it cannot tell them apart."""
_WHY_TEXT = """Density held: cells are mixed all the time, so that killing cannot select. No BCMA-null clones: no cell
can lose BCMA. Density x 2: every cell carries twice as much, as if the CAR needed half as much."""
_LIMITS = """BCMA-null clones: how many patients carry a first loss is a prior (6.7 %, Da Via 2021), and no trial has
decided it. Relapses on extramedullary sites, and mutations that change the epitope, are not in the model."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
