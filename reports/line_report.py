"""One line of several plans on the same virtual patients: compared, drawn, and beside what was reported of such."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.calibration.likelihood import ObservationMatch
from ..fitting.calibration.predictions import compare_sequences, plan_of
from ..fitting.fit_table import THERAPY_SEED
from ..fitting.observations import Study
from ..fitting.posterior import Sizes
from ..fitting.studies import read_studies
from ..model.regimens.plan import Plan
from ..model.simulate import Solver
from ..trials.arm import Arm
from ..trials.compare import Comparison, compare
from ..trials.measures import LATER_LINE, restricted_mean
from ..trials.treat import LATER_LINE_MONTHS
from .comparison_report import curve_of
from .figures.picture import Picture
from .figures.survival import survival_picture
from .report import Table

SIZES = Sizes(patients=400, draws=12, patients_per_draw=120)
"""Of later lines, which take longer to simulate than first ones."""
THREADS = 2
FOLLOWING = Solver(rtol=1e-4, workers=1)
RESTRICTED_YEAR = restricted_mean(12.0)
_REPORTED_NOTE = """Model at the estimate; misfit in standard errors, beyond 2 is notable. Role fit: part of the joint
fit; role check: no fit has seen it. A percentage without its number of patients is scored as of
ten."""


def compare_plans(
    plans: Mapping[str, Plan], population: str, calibration: Calibration, *, line: int = 0,
    months: float = LATER_LINE_MONTHS, sizes: Sizes = SIZES,
) -> Comparison:  # fmt: skip
    """Compare a line of every plan (by default its last) in the order of the plans; curves are kept half-monthly."""
    arms = [Arm(name, plan, population) for name, plan in plans.items()]
    return compare(
        arms, calibration, measures=LATER_LINE, line=line, sizes=sizes, months=months,
        band_months=np.arange(0.0, months + 0.25, 0.5), threads=THREADS, label="following", solver=FOLLOWING,
        half_weekly=True,
    )  # fmt: skip


def line_picture(comparison: Comparison, *, name: str, title: str, arms: Sequence[str], note: str) -> Picture:
    """Progression-free survival of some arms from the start of a later line."""
    return survival_picture(
        [curve_of(comparison, arm.name) for arm in comparison.arms if arm.name in arms], name=name, title=title,
        horizon_months=comparison.results[0].outcomes.visits.months, risk_every_months=3, origin="start of the line",
        note=note,
    )  # fmt: skip


def reported_of_later_lines(
    calibration: Calibration, *, patients: int = SIZES.patients, seed: int = THERAPY_SEED
) -> Table:
    """Every reported result about a line after the first, with what was given and the misfit.

    Parameters
    ----------
    patients, seed
        Virtual patients of each result, who are others than those of the fit.
    """
    parameters = calibration.parameters()
    studies = [study for study in read_studies() if any(scenario.line > 1 for scenario in study.scenarios)]

    def later(study: Study) -> tuple[ObservationMatch, ...]:
        lines = {scenario.name for scenario in study.scenarios if scenario.line > 1}
        ids = [item.id for item in study.items if item.scenario in lines]
        return compare_sequences(parameters, [study], n=patients, seed=seed, only=ids, solver=FOLLOWING)

    with ThreadPoolExecutor(THREADS) as pool:
        matches = list(pool.map(later, studies))
    cells = [_cells(study, match) for study, own in zip(studies, matches, strict=True) for match in own]
    head = ("study", "result", "patients", "given", "reported", "model", "misfit")
    return Table("Reported", head, cells, _REPORTED_NOTE)


def _cells(study: Study, match: ObservationMatch) -> tuple[str, ...]:
    item = match.item
    patients = "n not reported" if item.n is None else str(item.n)
    result = f"{item.endpoint.replace('_', ' ')}, role: {item.role}"
    given = plan_of(study.scenario(item.scenario)).text
    return study.study, result, patients, given, item.text, f"{match.model:.1f} {item.unit}", f"{match.misfit:+.1f}"
