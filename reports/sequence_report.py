"""Pictures of cells and antibody in both orders: what is gained, PFS2, exhaustion, and the interval between them."""

import numpy as np

from ..fitting.posterior import Estimate
from ..model.lines import LATEST_MONTHS
from ..trials.compare import Comparison
from ..trials.measures import Measure
from ..trials.sequences import USUAL_WAIT, Orders
from ..trials.two_lines import CONTROL, QUARTERS, pfs2_at
from .figures.courses import BandSpec, Panel, course_picture
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .figures.survival import CurveSpec, survival_picture


def _row(label: str, gain: Estimate) -> EffectRowSpec:
    return EffectRowSpec(label, gain.value, gain.low, gain.high, True)


def gain_picture(orders: Orders) -> Picture:
    """What cells first gain, as it is and if the antibody exhausted no T cells."""
    rows = []
    for pair in orders.pairs:
        label = f"{pair.cells} and {pair.antibody}"
        rested = orders.comparison.gain(pair.cells_first.name, CONTROL, pair.rested.name)
        rows += [_row(label, orders.gain(pair)), _row(f"{label}, no exhaustion", rested)]
    return effect_picture(
        rows, name="order_gain", title="Cells first against the antibody first",
        x_label="Difference in time in control until month 36 (months)", sides=("antibody first", "cells first"),
        note="Same virtual patients. Time in control: PFS2 without the wait for cells. Interval: 95 % of draws.",
    )  # fmt: skip


def pfs2_picture(orders: Orders) -> Picture:
    """PFS2 of both orders with the antibody of the first pair."""
    pairs = [pair for pair in orders.pairs if pair.antibody == orders.pairs[0].antibody]
    names = [arm.name for pair in pairs for arm in (pair.cells_first, pair.antibody_first)]
    return survival_picture(
        [_pfs2_curve(orders.comparison, name) for name in names], name="order_pfs2",
        title="Time to second progression (simulated)", origin="start of the first line",
        horizon_months=min(LATEST_MONTHS, orders.comparison.results[0].outcomes.visits.months), risk_every_months=12,
        outcome="Without second progression", note="Each product in its own population.",
    )  # fmt: skip


def _pfs2_curve(comparison: Comparison, name: str) -> CurveSpec:
    result = comparison.result(name)
    curve = result.time_to_second(patients=float(result.outcomes.n))
    months = [month for month in QUARTERS if pfs2_at(month).name in [measure.name for measure in comparison.measures]]
    band = np.array([comparison.draws_of(name, pfs2_at(month)) for month in months]) / 100.0
    low, high = np.nanpercentile(band, [2.5, 97.5], axis=1)
    return CurveSpec(
        label=name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
        censor_times=curve.censor_times, band_times=[0.0, *months], parameter_low=[1.0, *low],
        parameter_high=[1.0, *high], median=curve.median(),
    )  # fmt: skip


def exhaustion_picture(orders: Orders) -> Picture:
    """How exhausted the T cells are from progression under the antibody on."""
    series = [BandSpec(antibody, days, *share) for antibody, (days, share) in orders.exhaustion.items()]
    return course_picture(
        [Panel("Exhausted share of the T cells", "Share", series, low=0.0, high=1.0)],
        name="order_exhaustion", title="What the antibody leaves", origin="progression under the antibody",
        time_unit="days", note="At the estimate; the antibody is stopped at progression, and nothing is given then.",
    )  # fmt: skip


def interval_picture(orders: Orders, measure: Measure, name: str) -> Picture:
    """What another interval between progression under the antibody and the cells changes."""
    pair = orders.pairs[0]
    rows = [_row(f"{wait:g} days", orders.gain_of_wait(wait, measure)) for wait in orders.waits]
    return effect_picture(
        rows or [EffectRowSpec(f"{USUAL_WAIT:g} days", 0.0, 0.0, 0.0)], name=name,
        title=f"Interval between {pair.antibody} and {pair.cells}",
        x_label=f"Difference in {measure.name} from {USUAL_WAIT:g} days ({measure.unit})", sides=("worse", "better"),
        note="Nobody dies and nothing is given in the interval: a limit of the model. Interval: 95 % of draws.",
    )  # fmt: skip
