"""One line of several plans on the same virtual patients: its numbers, its gain over the first plan, a table."""

from collections.abc import Mapping

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Sizes
from ..model.regimens.plan import Plan
from ..model.simulate import Solver
from ..trials.arm import Arm
from ..trials.compare import Comparison, compare
from ..trials.measures import LATER_LINE, Measure, restricted_mean
from ..trials.treat import LATER_LINE_MONTHS

SIZES = Sizes(patients=400, draws=12, patients_per_draw=120)
"""Of later lines, which take longer to simulate than first ones."""
THREADS = 2
FOLLOWING = Solver(rtol=1e-4, workers=1)
RESTRICTED_YEAR = restricted_mean(12.0)


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


def lines_table(comparison: Comparison, *, gains: bool = True) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and cells: value (95 % of draws) of every number, with the gain over the first plan."""
    measures: list[Measure] = list(comparison.measures[:-1])
    head = ("given", *(measure.label for measure in measures))
    head += (f"gain in {RESTRICTED_YEAR.label}",) if gains else ()
    rows = []
    for arm, footing in zip(comparison.arms, comparison.footings, strict=True):
        cells = [comparison.estimate(arm.name, measure).text(".1f") for measure in measures]
        cells += [comparison.gain(arm.name, RESTRICTED_YEAR).text(".1f")] if gains else []
        rows.append((arm.name, *cells, footing.flag))
    return (*head, "standing"), rows
