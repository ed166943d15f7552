"""CAR-T cells first and the bispecific antibody at progression, or the other way round?

Both orders on the same virtual patients: response line by line, time to the second progression (PFS2), time in control
without the wait for cells, the exhaustion that an antibody leaves in the T cells, and the interval before the cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.calibration.likelihood import match
from perdure.fitting.posterior import Estimate, Sizes
from perdure.fitting.studies import read_studies
from perdure.reports.comparison_report import given_of, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.course import BandToDraw, Panel, course_picture
from perdure.reports.figures.curves import CurveToDraw
from perdure.reports.figures.forest import EffectRowToDraw, effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.survival import survival_picture
from perdure.reports.report import Section
from perdure.reports.run_files import estimate_row
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, compare
from perdure.trials.host_exhaustion import HALF_YEAR, host_exhaustion
from perdure.trials.measures import Measure
from perdure.trials.two_lines import CONTROL, FIRST_RESPONSE, LAST_RESPONSE, LINE_BY_LINE, pfs2_at

TIME = "about two minutes"
SIZES = Sizes(patients=250, draws=16, patients_per_draw=40)
MONTHS = 36.0
QUARTERS = tuple(float(month) for month in range(3, 37, 3))
"""Months at which the band of PFS2 is drawn."""
USUAL_WAIT = 42.0
"""Days from progression to cells that have to be made, as in the evidence files (assumed there)."""
WAITS = (28.0, 84.0, 168.0)


@dataclass(frozen=True)
class Pair:
    """A product in the population in which it was calibrated, and an antibody, to be given in both orders."""

    cells: str
    antibody: str
    population: str

    @property
    def cells_first(self) -> Arm:
        """Cells on day 0, the antibody when progression is seen."""
        given = f"{self.cells}; at progression: {self.antibody}"
        return Arm(f"{self.cells}, then {self.antibody}", given, self.population)

    @property
    def antibody_first(self) -> Arm:
        """The antibody until progression, then cells that have to be made."""
        return self.after(USUAL_WAIT)

    def after(self, wait: float) -> Arm:
        """The antibody until progression, and cells so many days later."""
        cells = f"lymphodepletion days {wait - 5:g}-{wait - 3:g}; {self.cells} on day {wait:g}"
        name = f"{self.antibody}, then {self.cells}" + ("" if wait == USUAL_WAIT else f" after {wait:g} days")
        return Arm(name, f"{self.antibody}; at progression: {cells}", self.population)

    @property
    def rested(self) -> Arm:
        """The antibody first, if it exhausted no T cells: a thought experiment."""
        arm = self.antibody_first
        return replace(arm, name=f"{arm.name}, no exhaustion", change=_no_exhaustion)


def _no_exhaustion(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_exhaustion_host": np.zeros_like(values["k_exhaustion_host"])}


PAIRS = (
    Pair("ide-cel", "teclistamab", "late_line"), Pair("ide-cel", "talquetamab", "late_line"),
    Pair("cilta-cel", "teclistamab", "mixed_line"), Pair("cilta-cel", "talquetamab", "mixed_line"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Orders:
    """Every order of every pair, and how exhausted the T cells are after the antibody (days, 5-50-95 %) by antibody."""

    pairs: tuple[Pair, ...]
    comparison: Comparison
    exhaustion: Mapping[str, tuple[np.ndarray, np.ndarray]]

    def gain(self, pair: Pair, measure: Measure = CONTROL) -> Estimate:
        """What cells first gain over the antibody first, in the same patients."""
        return self.comparison.gain(pair.cells_first.name, measure, pair.antibody_first.name)

    @property
    def other_waits(self) -> list[tuple[float, str]]:
        """Other intervals before the cells of the first pair, each with the name of its arm."""
        names = [arm.name for arm in self.comparison.arms]
        waits = [(wait, self.pairs[0].after(wait).name) for wait in WAITS]
        return [(wait, name) for wait, name in waits if name in names]


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, pairs: Sequence[Pair] = PAIRS,
    waits: Sequence[float] = WAITS, months: float = MONTHS,
) -> Orders:  # fmt: skip
    """Both orders of every pair, the second without exhaustion too; the first pair with other intervals."""
    calibration = calibration or read_calibration()
    arms = [arm for pair in pairs for arm in (pair.cells_first, pair.antibody_first, pair.rested)]
    comparison = compare(
        [*arms, *(pairs[0].after(wait) for wait in waits)], calibration, line=0, sizes=sizes, months=months,
        measures=(*LINE_BY_LINE, *(pfs2_at(month) for month in QUARTERS if month <= months)), with_first_line=True,
        label="following lines",
    )  # fmt: skip
    exhaustion = {
        antibody: host_exhaustion(
            pair.after(HALF_YEAR + 28.0), calibration.parameters(), sizes.patients, sizes.seed
        )
        for antibody, pair in {pair.antibody: pair for pair in pairs}.items()
    }  # fmt: skip
    return Orders(tuple(pairs), comparison, exhaustion)


UNDECIDED = "the interval holds zero: how fast host T cells tire and recover is known by priors only"
REPORTED = (
    ("majestec_1_orr", PAIRS[0].antibody_first.name, FIRST_RESPONSE),
    ("jakubowiak_2023_prior_car_t_orr", PAIRS[1].cells_first.name, LAST_RESPONSE),
    ("cartitude_2_c_after_bispecific_orr", PAIRS[2].antibody_first.name, LAST_RESPONSE),
)


def findings(orders: Orders) -> tuple[Finding, ...]:
    """What the review recommends of the order, and the responses it quotes of single lines in it."""
    comparison, rows = orders.comparison, []
    for pair in orders.pairs:
        gain = orders.gain(pair)
        cost = comparison.gain(pair.antibody_first.name, LAST_RESPONSE, pair.rested.name)
        rows += [
            Finding(
                f"{pair.cells} before {pair.antibody} holds longer than after it",
                "cells are to be prioritised over bispecific antibodies", "review, section 2.4.3",
                f"{gain.text('+.1f')} months in control", gain.low > 0, UNDECIDED,
            ),
            Finding(
                f"exhaustion under {pair.antibody} costs response to {pair.cells}",
                "prolonged exposure may lead to T-cell exhaustion", "review, section 2.4.3",
                f"{cost.text('+.0f')} points of response", cost.high < 0, UNDECIDED,
            ),
        ]  # fmt: skip
    items = {item.id: item for study in read_studies() for item in study.items}
    for key, name, measure in REPORTED:
        if name in [arm.name for arm in comparison.arms]:
            response = comparison.estimate(name, measure)
            met = abs(match(items[key], response.value).misfit) <= MISSED
            rows.append(Finding(f"{measure.name}: {name}", items[key].text, key, f"{response.text('.0f')} %", met))
    return tuple(rows)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Which order holds longer, what the antibody leaves, and what the interval before the cells changes."""
    sizes = replace(
        settings.sizes, patients=min(settings.patients, SIZES.patients), draws=min(settings.draws, SIZES.draws),
        patients_per_draw=min(settings.patients_per_draw, SIZES.patients_per_draw),
    )  # fmt: skip
    orders = run(calibration, sizes)
    comparison, what = orders.comparison, f"gain in {CONTROL.name}"
    gains = [
        estimate_row(f"{pair.cells} before {pair.antibody}", what, orders.gain(pair), "months") for pair in orders.pairs
    ]
    left = [
        _exhaustion_picture(orders), _interval_picture(orders, LAST_RESPONSE, "order_interval_response"),
        _interval_picture(orders, CONTROL, "order_interval_control"),
    ]  # fmt: skip
    lines = table_of(comparison, "Line by line", gains=(), measures=LINE_BY_LINE)
    return ExperimentReport(
        title="CAR-T cells first, or the bispecific antibody first?",
        subtitle="Both orders on the same virtual patients",
        sentences=sentences(orders),
        sections=(
            Section("Which order", _ORDER_TEXT, [_gain_picture(orders), _pfs2_picture(orders)], [lines]),
            Section("Why", _WHY_TEXT, left),
        ),
        numbers=[*numbers_of(comparison, gains=(CONTROL,)), *gains],
        notices=[*notices_of(comparison), _LIMITS],
        given=given_of(comparison),
        findings=findings(orders),
    )


def sentences(orders: Orders) -> tuple[str, ...]:
    """The answer in words."""
    comparison, pair = orders.comparison, orders.pairs[0]
    loss = comparison.gain(pair.rested.name, LAST_RESPONSE, pair.antibody_first.name)
    middle = orders.exhaustion[pair.antibody][1][1]

    def in_order(pair: Pair) -> str:
        chance = comparison.chance(pair.cells_first.name, CONTROL, pair.antibody_first.name)
        return (
            f"{pair.cells} before {pair.antibody}: {orders.gain(pair).text('+.1f')} months in control of 36 against "
            f"the other order, better in {100 * chance:.0f} % of the draws."
        )

    return (
        *map(in_order, orders.pairs),
        f"At progression under {pair.antibody} {100 * middle[0]:.0f} % of the T cells are exhausted (median), and "
        f"{100 * middle[-1]:.0f} % half a year later; without that {loss.text('+.0f')} points more would respond to "
        f"{pair.cells} afterwards.",
        *(
            f"A wait of {wait:g} days before the cells instead of {USUAL_WAIT:g} changes time in control by "
            f"{comparison.gain(name, CONTROL, pair.antibody_first.name).text('+.1f')} months, in a model in which "
            "nobody dies waiting."
            for wait, name in orders.other_waits if wait == max(WAITS)
        ),
    )  # fmt: skip


def _row(label: str, gain: Estimate) -> EffectRowToDraw:
    return EffectRowToDraw(label, gain.value, gain.low, gain.high, True)


def _gain_picture(orders: Orders) -> Picture:
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


def _pfs2_picture(orders: Orders) -> Picture:
    """Both orders with the antibody of the first pair."""
    pairs = [pair for pair in orders.pairs if pair.antibody == orders.pairs[0].antibody]
    names = [arm.name for pair in pairs for arm in (pair.cells_first, pair.antibody_first)]
    return survival_picture(
        [_pfs2_curve(orders.comparison, name) for name in names], name="order_pfs2",
        title="Time to second progression (simulated)", origin="start of the first line",
        horizon_months=min(MONTHS, orders.comparison.results[0].outcomes.visits.months), risk_every_months=12,
        outcome="Without second progression", note="Each product in its own population.",
    )  # fmt: skip


def _pfs2_curve(comparison: Comparison, name: str) -> CurveToDraw:
    result = comparison.result(name)
    curve = result.time_to_second(patients=float(result.outcomes.n))
    months = [month for month in QUARTERS if pfs2_at(month).name in [measure.name for measure in comparison.measures]]
    band = np.array([comparison.draws_of(name, pfs2_at(month)) for month in months]) / 100.0
    low, high = np.nanpercentile(band, [2.5, 97.5], axis=1)
    return CurveToDraw(
        label=name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
        censor_times=curve.censor_times, band_times=[0.0, *months], parameter_low=[1.0, *low],
        parameter_high=[1.0, *high], median=curve.median(),
    )  # fmt: skip


def _exhaustion_picture(orders: Orders) -> Picture:
    series = [BandToDraw(antibody, days, *share) for antibody, (days, share) in orders.exhaustion.items()]
    return course_picture(
        [Panel("Exhausted share of the T cells", "Share", series, low=0.0, high=1.0)],
        name="order_exhaustion", title="What the antibody leaves", origin="progression under the antibody",
        time_unit="days", note="At the estimate; the antibody is stopped at progression, and nothing is given then.",
    )  # fmt: skip


def _interval_picture(orders: Orders, measure: Measure, name: str) -> Picture:
    """What another interval between progression under the antibody and the cells changes."""
    pair = orders.pairs[0]
    rows = [
        _row(f"{wait:g} days", orders.comparison.gain(arm, measure, pair.antibody_first.name))
        for wait, arm in orders.other_waits
    ]
    return effect_picture(
        rows or [EffectRowToDraw(f"{USUAL_WAIT:g} days", 0.0, 0.0, 0.0)], name=name,
        title=f"Interval between {pair.antibody} and {pair.cells}",
        x_label=f"Difference in {measure.name} from {USUAL_WAIT:g} days ({measure.unit})", sides=("worse", "better"),
        note="Nobody dies and nothing is given in the interval: a limit of the model. Interval: 95 % of draws.",
    )  # fmt: skip


_ORDER_TEXT = """PFS2 runs from the first infusion or dose to the second progression or death; it is put together
patient by patient from both lines and their futures, eradication included (trials/treat.py says how). Time in control
leaves out the days between progression and cells, in which nothing holds the tumour. Each product stands in the
population in which it was calibrated, so that products are not to be compared."""
_WHY_TEXT = """An antibody redirects the patient's own T cells and exhausts them while it is given; cells made of them
then expand less. They recover over months once it is stopped. How fast they tire and recover, and what a product made
of them loses, is known by priors only; hence the wide intervals, and the order is not decided."""
_LIMITS = """Cells on day 0 are there at once, while cells of a second line have to be made: the wait before a first
product, and who is lost in it, are not counted. Antibodies are given until progression; a fixed duration, and death
from infection under them, are not in the model. Between progression and cells nobody dies."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
