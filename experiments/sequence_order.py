"""CAR-T cells first and the bispecific antibody at progression, or the other way round?

Both orders on the same virtual patients: response line by line, time to the second progression (PFS2), time in control
without the wait for cells, the exhaustion that an antibody leaves in the T cells, and the interval before the cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.calibration.likelihood import match
from perdure.fitting.studies import read_studies
from perdure.model.imwg import PR
from perdure.model.simulate import Solver, simulate
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients
from perdure.reports.comparison_report import given_of, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.course import BandToDraw, Panel, course_picture
from perdure.reports.figures.curves import CurveToDraw
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.figures.survival import survival_picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Comparison
from perdure.trials.compare_lines import compare_lines, followed
from perdure.trials.measures import RESPONSE, Measure, Treated
from perdure.trials.projection import Estimate, Progress
from perdure.trials.treat import SEED

# CAR-T cells and a bispecific antibody in both orders: plans, measures, and the exhaustion that an antibody leaves.


MONTHS = 36.0
WAIT = 42.0
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
        return self.after(WAIT)

    def after(self, wait: float) -> Arm:
        """The antibody until progression, and cells so many days later."""
        given = (
            f"{self.antibody}; at progression: lymphodepletion days {wait - 5:g}-{wait - 3:g}; "
            f"{self.cells} on day {wait:g}"
        )
        name = f"{self.antibody}, then {self.cells}" + ("" if wait == WAIT else f" after {wait:g} days")
        return Arm(name, given, self.population)

    @property
    def rested(self) -> Arm:
        """The antibody first, if it exhausted no T cells: a thought experiment."""
        arm = self.antibody_first
        return Arm(f"{arm.name}, no exhaustion", arm.given, self.population, _no_exhaustion)


def _no_exhaustion(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_exhaustion_host": np.zeros_like(values["k_exhaustion_host"])}


PAIRS = (
    Pair("ide-cel", "teclistamab", "late_line"), Pair("ide-cel", "talquetamab", "late_line"),
    Pair("cilta-cel", "teclistamab", "mixed_line"), Pair("cilta-cel", "talquetamab", "mixed_line"),
)  # fmt: skip


def _control(one: Treated) -> float:
    return followed(one).time_to_second(waiting=False).restricted_mean(min(MONTHS, one.outcomes.visits.months))


def _second(one: Treated) -> float:
    return followed(one).time_to_second().restricted_mean(min(MONTHS, one.outcomes.visits.months))


def _first_response(one: Treated) -> float:
    first = followed(one).first
    return 100.0 * first.rate(first.best >= PR)


def _first_mean(one: Treated) -> float:
    return followed(one).first.progression_free().restricted_mean(MONTHS)


def _last_mean(one: Treated) -> float:
    return one.outcomes.progression_free().restricted_mean(min(24.0, one.outcomes.visits.months))


def second_at(months: float) -> Measure:
    """PFS2 at so many months: the share without second progression."""

    def read(one: Treated) -> float:
        return 100.0 * float(followed(one).time_to_second().at(months))

    return Measure(f"PFS2 at {months:g} months", "%", read, 0.0, 100.0)


CONTROL = Measure("time in control to month 36", "months", _control, 0.0, MONTHS)
SECOND = Measure("restricted mean PFS2 to month 36", "months", _second, 0.0, MONTHS)
FIRST_RESPONSE = Measure("response, line 1", "%", _first_response, 0.0, 100.0)
FIRST_MEAN = Measure("mean PFS of line 1 to month 36", "months", _first_mean, 0.0, MONTHS)
LAST_RESPONSE = Measure("response, line 2", "%", RESPONSE.read, 0.0, 100.0)
LAST_MEAN = Measure("mean PFS of line 2 to month 24", "months", _last_mean, 0.0, 24.0)
SHOWN = (FIRST_RESPONSE, FIRST_MEAN, LAST_RESPONSE, LAST_MEAN, SECOND, CONTROL)
GRID = tuple(float(month) for month in range(3, 37, 3))


@dataclass(frozen=True, eq=False)
class Orders:
    """Every order of every pair, and how exhausted the T cells are after the antibody (days, 5-50-95 %) by antibody."""

    pairs: tuple[Pair, ...]
    comparison: Comparison
    exhaustion: Mapping[str, tuple[np.ndarray, np.ndarray]]


def exhaustion(
    pair: Pair, parameters: ParameterSet, patients: int, seed: int = SEED, until: float = 182.0
) -> tuple[np.ndarray, np.ndarray]:
    """Exhausted share of the host T cells from progression under the antibody on: days, and 5-50-95 % (3, days)."""
    plan = pair.after(until + 28.0).plan  # nothing more is given in the days that are looked at
    people = draw(parameters, patients, seed)
    values = dict(make_patients(parameters, people, product=plan.products, population=pair.population))
    values["fraction_lymphodepletion"] = np.zeros(patients)  # no lymphodepletion before the antibody
    times = np.arange(0.0, 24.0 * 28.0 + until + 1.0, 7.0)
    solution = simulate(values, plan.first, times=times, rules=plan.rules(), solver=Solver(rtol=1e-5))
    begun = solution.events["line 2"].first
    days = np.arange(0.0, until + 1.0, 7.0)
    came = np.isfinite(begun) & (begun + until <= times[-1])
    at = np.searchsorted(times, begun[came, None] + days[None, :] - 1e-6)
    share = np.take_along_axis(solution["host_exhausted"][came], at, axis=1)
    return days, np.percentile(share, [5, 50, 95], axis=0)


def gain(found: Orders, pair: Pair, measure: Measure = CONTROL) -> Estimate:
    """What cells first gain over the antibody first, in the same patients."""
    return found.comparison.gain(pair.cells_first.name, measure, pair.antibody_first.name)


TIME = "about two minutes"


def run(
    *,
    pairs: Sequence[Pair] = PAIRS,
    waits: Sequence[float] = WAITS,
    calibration: Calibration | None = None,
    patients: int = 250,
    draws: int = 16,
    patients_per_draw: int = 40,
    months: float = MONTHS,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Orders:
    """Both orders of every pair, the second without exhaustion too; the first pair with other intervals."""
    calibration = calibration or read_calibration()
    arms = [arm for pair in pairs for arm in (pair.cells_first, pair.antibody_first, pair.rested)]
    arms += [pairs[0].after(wait) for wait in waits]
    measures = (*SHOWN, *(second_at(month) for month in GRID if month <= months))
    comparison = compare_lines(
        arms, calibration, measures=measures, patients=patients, draws=draws, patients_per_draw=patients_per_draw,
        months=months, seed=seed, progress=progress,
    )  # fmt: skip
    left = {
        pair.antibody: exhaustion(pair, calibration.parameters(), patients, seed)
        for pair in {one.antibody: one for one in pairs}.values()
    }
    return Orders(tuple(pairs), comparison, left)


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(
        calibration=calibration, patients=min(settings.patients, 250), draws=min(settings.draws, 16),
        patients_per_draw=min(settings.patients_per_draw, 40), seed=settings.seed, progress=settings.progress,
    )  # fmt: skip
    return Answer(
        title="CAR-T cells first, or the bispecific antibody first?",
        subtitle="Both orders on the same virtual patients",
        sentences=sentences(found),
        sections=(
            Section("Which order", _ORDER_TEXT, [gain_by_pair(found), curves(found)], [line_table(found)]),
            Section(
                "Why",
                _WHY_TEXT,
                [
                    exhaustion_picture(found),
                    interval_picture(found, LAST_RESPONSE, "order_interval_response"),
                    interval_picture(found, CONTROL, "order_interval_control"),
                ],
            ),
        ),
        numbers=[*numbers_of(found.comparison, gains=(CONTROL,)), *_gain_rows(found)],
        notices=[*notices_of(found.comparison), _LIMITS],
        given=given_of(found.comparison),
        findings=findings(found),
    )


def sentences(found: Orders) -> tuple[str, ...]:
    """The answer in words."""
    arms, said = found.comparison, []
    for pair in found.pairs:
        n = gain(found, pair)
        chance = arms.chance(pair.cells_first.name, CONTROL, pair.antibody_first.name)
        said.append(
            f"{pair.cells} before {pair.antibody}: {n.text('+.1f')} months in control of 36 against the other order, "
            f"better in {100 * chance:.0f} % of the draws."
        )
    pair = found.pairs[0]
    loss = arms.gain(pair.rested.name, LAST_RESPONSE, pair.antibody_first.name)
    middle = found.exhaustion[pair.antibody][1][1]
    said.append(
        f"At progression under {pair.antibody} {100 * middle[0]:.0f} % of the T cells are exhausted (median), and "
        f"{100 * middle[-1]:.0f} % half a year later; without that {loss.text('+.0f')} points more would respond to "
        f"{pair.cells} afterwards."
    )
    known = [arm.name for arm in arms.arms]
    for wait in WAITS[-1:]:
        if pair.after(wait).name in known:
            longer = arms.gain(pair.after(wait).name, CONTROL, pair.antibody_first.name)
            said.append(
                f"A wait of {wait:g} days before the cells instead of {WAIT:g} changes time in control by "
                f"{longer.text('+.1f')} months, in a model in which nobody dies waiting."
            )
    return tuple(said)


def gain_by_pair(found: Orders) -> Picture:
    """What cells first gain, as it is and if the antibody exhausted no T cells."""
    rows = []
    for pair in found.pairs:
        n = gain(found, pair)
        rows.append(EffectRowToDraw(f"{pair.cells} and {pair.antibody}", n.value, n.low, n.high, True))
        n = found.comparison.gain(pair.cells_first.name, CONTROL, pair.rested.name)
        rows.append(EffectRowToDraw(f"{pair.cells} and {pair.antibody}, no exhaustion", n.value, n.low, n.high, True))
    return effect_picture(
        rows, name="order_gain", title="Cells first against the antibody first",
        x_label="Difference in time in control until month 36 (months)",
        sides=("antibody first", "cells first"),
        note="Same virtual patients. Time in control: PFS2 without the wait for cells. Interval: 95 % of draws.",
    )  # fmt: skip


def curves(found: Orders) -> Picture:
    """PFS2 of both orders with the antibody of the first pair."""
    arms, antibody = found.comparison, found.pairs[0].antibody
    drawn = []
    for pair in found.pairs:
        for arm in (pair.cells_first, pair.antibody_first) if pair.antibody == antibody else ():
            one = followed(arms.treated[[each.name for each in arms.arms].index(arm.name)])
            curve = one.time_to_second(patients=float(one.outcomes.n))
            known = [measure.name for measure in arms.measures]
            months = [month for month in GRID if second_at(month).name in known]
            band = np.array([arms.draws_of(arm.name, second_at(month)) for month in months]) / 100.0
            low, high = np.nanpercentile(band, [2.5, 97.5], axis=1)
            drawn.append(
                CurveToDraw(
                    label=arm.name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
                    censor_times=curve.censor_times, band_times=[0.0, *months], parameter_low=[1.0, *low],
                    parameter_high=[1.0, *high], median=curve.median(),
                )
            )  # fmt: skip
    return survival_picture(
        drawn, name="order_pfs2", title="Time to second progression (simulated)", origin="start of the first line",
        horizon_months=min(MONTHS, arms.treated[0].outcomes.visits.months), risk_every_months=12,
        outcome="Without second progression", note="Each product in its own population.",
    )  # fmt: skip


def exhaustion_picture(found: Orders) -> Picture:
    """How exhausted the T cells are from progression under the antibody on."""
    series = [BandToDraw(antibody, days, *share) for antibody, (days, share) in found.exhaustion.items()]
    return course_picture(
        [Panel("Exhausted share of the T cells", "Share", series, low=0.0, high=1.0)],
        name="order_exhaustion", title="What the antibody leaves", origin="progression under the antibody",
        time_unit="days", note="At the estimate; the antibody is stopped at progression, and nothing is given then.",
    )  # fmt: skip


def interval_picture(found: Orders, measure: Measure, name: str) -> Picture:
    """What another interval between progression under the antibody and the cells changes."""
    pair, arms = found.pairs[0], found.comparison
    known = [arm.name for arm in arms.arms]
    rows = []
    for wait in (wait for wait in WAITS if pair.after(wait).name in known):
        n = arms.gain(pair.after(wait).name, measure, pair.antibody_first.name)
        rows.append(EffectRowToDraw(f"{wait:g} days", n.value, n.low, n.high, True))
    return effect_picture(
        rows or [EffectRowToDraw(f"{WAIT:g} days", 0.0, 0.0, 0.0)], name=name,
        title=f"Interval between {pair.antibody} and {pair.cells}",
        x_label=f"Difference in {measure.name} from {WAIT:g} days ({measure.unit})", sides=("worse", "better"),
        note="Nobody dies and nothing is given in the interval: a limit of the model. Interval: 95 % of draws.",
    )  # fmt: skip


def line_table(found: Orders) -> Table:
    """Every order, line by line."""
    return table_of(found.comparison, "Line by line", gains=(), measures=SHOWN)


def _gain_rows(found: Orders) -> list[NumberRow]:
    rows = [(f"{pair.cells} before {pair.antibody}", gain(found, pair)) for pair in found.pairs]
    what = f"gain in {CONTROL.name}"
    return [estimate_row(name, what, n, "months") for name, n in rows]


def findings(found: Orders) -> tuple[Finding, ...]:
    """What the review recommends of the order, and the responses it quotes of single lines in it."""
    arms, made = found.comparison, []
    names = [arm.name for arm in arms.arms]
    for pair in found.pairs:
        n = gain(found, pair)
        what = f"{pair.cells} before {pair.antibody} holds longer than after it"
        known = "cells are to be prioritised over bispecific antibodies"
        told = f"{n.text('+.1f')} months in control"
        made.append(Finding(what, known, "review, section 2.4.3", told, n.low > 0, _UNDECIDED))
        n = arms.gain(pair.antibody_first.name, LAST_RESPONSE, pair.rested.name)
        what = f"exhaustion under {pair.antibody} costs response to {pair.cells}"
        known = "prolonged exposure may lead to T-cell exhaustion"
        told = f"{n.text('+.0f')} points of response"
        made.append(Finding(what, known, "review, section 2.4.3", told, n.high < 0, _UNDECIDED))
    items = {item.id: item for study in read_studies() for item in study.items}
    for key, name, measure in _REPORTED:
        if name in names:
            n = arms.estimate(name, measure)
            what = f"{measure.name}: {name}"
            met = abs(match(items[key], n.value).misfit) <= MISSED
            made.append(Finding(what, items[key].text, key, f"{n.text('.0f')} %", met))
    return tuple(made)


_UNDECIDED = "the interval holds zero: how fast host T cells tire and recover is known by priors only"
_REPORTED = (
    ("majestec_1_orr", Pair("ide-cel", "teclistamab", "late_line").antibody_first.name, FIRST_RESPONSE),
    ("jakubowiak_2023_prior_car_t_orr", Pair("ide-cel", "talquetamab", "late_line").cells_first.name, LAST_RESPONSE),
    ("cartitude_2_c_after_bispecific_orr", PAIRS[2].antibody_first.name, LAST_RESPONSE),
)


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "sequence_order", answer)


_ORDER_TEXT = """PFS2 runs from the first infusion or dose to the second progression or death; it is put together
patient by patient from both lines and their futures, eradication included (trials/compare_lines.py says
how). Time in control leaves out the days between progression and cells, in which nothing holds the tumour. Each product
stands in the population in which it was calibrated, so that products are not to be compared."""
_WHY_TEXT = """An antibody redirects the patient's own T cells and exhausts them while it is given; cells made of them
then expand less. They recover over months once it is stopped. How fast they tire and recover, and what a product made
of them loses, is known by priors only; hence the wide intervals, and the order is not decided."""
_LIMITS = """Cells on day 0 are there at once, while cells of a second line have to be made: the wait before a first
product, and who is lost in it, are not counted. Antibodies are given until progression; a fixed duration, and death
from infection under them, are not in the model. Between progression and cells nobody dies."""
