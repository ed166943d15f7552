"""Venetoclax as maintenance after CAR-T cells: for whom, at which dose, and for how long?

Only myeloma that depends on BCL-2 answers, so all virtual patients are given that trait, and what is gained counts in a
group by the share of it that has the trait: with t(11;14), without, everybody. Doses run from the 10 mg of a case
report (Deng 2022) to 800 mg; then durations and days of start at 400 mg. Infections and deaths by venetoclax are not in
the model: how many would cancel the gain is computed instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import interval
from perdure.model.imwg import CR, PR
from perdure.model.statistics.proportions import clopper_pearson
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.comparison_report import given_of, group_table, notices_of, numbers_of, pfs_picture, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, LineToDraw, along_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Comparison, Group, compare
from perdure.trials.measures import MEDIAN_PFS, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS, Measure, Treated
from perdure.trials.projection import BAND_MONTHS, Estimate, Progress
from perdure.trials.treat import SEED

# Who depends on BCL-2, what venetoclax after CAR-T cells gains in a group, and how many deaths would cancel that.


ALONE = "ide-cel alone"
GIVEN, START = 24.0, 60.0
"""Months of treatment and day of its start; by two months blood counts have mostly recovered (assumed)."""
TRANSLOCATED, OTHERS = (12, 30), (2, 36)
"""Responders with t(11;14) and without in the phase 1 (Kumar 2017; items venetoclax_phase_1_t1114_orr, ..._orr)."""
PREVALENCE = 0.175
"""Share of myeloma with t(11;14): the middle of 15 to 20 % at diagnosis, as in venetoclax_phase_1_unselected_orr."""
DEPENDENT, WITH, WITHOUT, ALL = "BCL-2 dependent", "with t(11;14)", "without t(11;14)", "everybody"
WHO = (DEPENDENT, WITH, ALL, WITHOUT)


@dataclass(frozen=True, eq=False)
class Maintained:
    """Venetoclax after ide-cel, venetoclax alone as in its phase 1, and who depends on BCL-2.

    `maintenance` and `alone` are of patients who all depend on BCL-2. `dependent` is the share of all patients who do,
    at the estimate, `drawn` (draws,) the same at the draws.
    """

    maintenance: Comparison
    alone: Comparison
    dependent: float
    drawn: np.ndarray

    def share(self, who: str) -> tuple[float, np.ndarray]:
        """Share of a group that depends on BCL-2, at the estimate and at the draws: as responders were distributed."""
        per_dependent = {
            DEPENDENT: np.inf, ALL: 1.0, WITH: _of_responders() / PREVALENCE,
            WITHOUT: (1.0 - _of_responders()) / (1.0 - PREVALENCE),
        }[who]  # fmt: skip
        return min(1.0, self.dependent * per_dependent), np.minimum(1.0, self.drawn * per_dependent)

    def gain(self, arm: str, who: str = DEPENDENT) -> Estimate:
        """Restricted mean PFS that an arm gains in a group: nothing in those who do not depend on BCL-2."""
        share, shares = self.share(who)
        value = self.maintenance.gain(arm, RESTRICTED_PFS).value
        return Estimate(share * value, *interval(shares * self.maintenance.draws_of(arm, RESTRICTED_PFS, ALONE)))

    def response_alone(self, who: str) -> Estimate:
        """Response to venetoclax alone in a group, %."""
        share, shares = self.share(who)
        name = self.alone.arms[0].name
        value = self.alone.estimate(name, RESPONSE).value
        return Estimate(share * value, *interval(shares * self.alone.draws_of(name, RESPONSE)))

    def tolerable(self, arm: str, who: str) -> Estimate:
        """Extra deaths a year of treatment, in %, that would cancel what an arm gains in a group."""
        share, shares = self.share(who)
        i = [one.name for one in self.maintenance.arms].index(arm)
        grid = BAND_MONTHS[: self.maintenance.curves.shape[2]]
        kept, none = (np.asarray(self.maintenance.treated[k].outcomes.progression_free().at(grid)) for k in (i, 0))
        bands = zip(self.maintenance.band(arm), self.maintenance.band(ALONE), shares, strict=True)
        drawn = [deaths_that_cancel(grid, part * one + (1 - part) * other, other) for one, other, part in bands]
        return Estimate(deaths_that_cancel(grid, share * kept + (1 - share) * none, none), *interval(np.array(drawn)))


def _of_responders() -> float:
    """Share of responders to venetoclax who have t(11;14), in patients as they come."""
    with_it = PREVALENCE * TRANSLOCATED[0] / TRANSLOCATED[1]
    return with_it / (with_it + (1.0 - PREVALENCE) * OTHERS[0] / OTHERS[1])


def deaths_that_cancel(months: np.ndarray, kept: np.ndarray, none: np.ndarray) -> float:
    """Deaths a year (%) while on treatment that bring the restricted mean of curve `kept` down to that of `none`.

    Zero if nothing is gained. Curves are arrays (months,); treatment lasts from `START` for `GIVEN` months.
    """
    within = months <= RESTRICTED_MONTHS
    exposed = np.clip(months - START / DAYS_PER_MONTH, 0.0, GIVEN)[within] / 12.0
    hazards = np.linspace(0.0, 3.0, 601)
    survival = kept[within] * np.exp(-hazards[:, None] * exposed)
    left = np.trapezoid(survival - none[within], months[within], axis=1)
    hazard = float(np.interp(0.0, left[::-1], hazards[::-1])) if left[0] > 0 else 0.0
    return 100.0 * (1.0 - np.exp(-hazard))


def _still_in_response(one: Treated) -> float:
    """Of complete responses that last nine months, how many last sixteen, in %."""
    outcomes = one.outcomes
    first = np.stack([response.first_response for response in outcomes.responses])
    end = np.minimum(outcomes.progression(), outcomes.death)
    months = np.where(np.isfinite(first), end - np.where(np.isfinite(first), first, 0.0), -1.0) / DAYS_PER_MONTH
    weight = outcomes.weight * outcomes.usable * (outcomes.best >= CR)
    lasting = float(np.sum(weight * (months >= 9.0)))
    return 100.0 * float(np.sum(weight * (months >= 16.0))) / lasting if lasting > 0 else float("nan")


STILL = Measure("CR of nine months that lasts sixteen", "%", _still_in_response, 0.0, 100.0)


TIME = "about a minute and a half"
DOSES = (10.0, 50.0, 100.0, 400.0, 800.0)
"""mg a day: of the case report, to that of its trials in myeloma."""
SHORT = 3.0
MONTHS = (1.0, SHORT, 12.0, 24.0)
STARTS = (30.0, 60.0, 180.0, 274.0)
DOSE = 400.0
"""mg a day, around which duration and start are varied."""
CASE_DAY, CASE_DOSES = 274.0, (10.0, 100.0, 400.0)
"""The case report: from the ninth month, two weeks of four; 100 mg, if its 10 mg lost a zero."""


SHOWN = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)


def _responders(least: int, below: int = CR + 1) -> Group:
    return lambda one: (one.outcomes.best >= least) & (one.outcomes.best < below)


RESPONDERS = {"complete response to the cells": _responders(CR), "PR or VGPR, no CR": _responders(PR, CR)}


def name_of(dose: float = DOSE, months: float = GIVEN, start: float = START) -> str:
    """How an arm is called."""
    return f"{dose:g} mg for {months:g} months from day {start:g}"


def case_name(dose: float) -> str:
    """How an arm of the case report is called."""
    return f"as in the case report, {dose:g} mg"


def _dependent(one: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"sensitive_venetoclax": np.ones_like(one["sensitive_venetoclax"])}


def _maintained(dose: float = DOSE, months: float = GIVEN, start: float = START) -> Arm:
    words = f"ide-cel; venetoclax {dose:g} mg daily from day {start:g} for {months:g} months"
    return Arm(name_of(dose, months, start), words, change=_dependent)


def run(
    doses: Sequence[float] = DOSES,
    *,
    given: Sequence[float] = MONTHS,
    starts: Sequence[float] = STARTS,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 40.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Maintained:
    """Doses, durations and starts in the same virtual patients, all of whom depend on BCL-2."""
    calibration = calibration or read_calibration()
    sizes: dict[str, Any] = {
        "patients": patients, "draws": draws, "patients_per_draw": patients_per_draw, "seed": seed, "progress": progress
    }  # fmt: skip
    arms = [_maintained(dose) for dose in doses]
    arms += [_maintained(months=one) for one in given] + [_maintained(start=day) for day in starts]
    case = "ide-cel; venetoclax {:g} mg daily days 1-14 of 28 from day {:g} for 7 months"
    arms += [Arm(case_name(one), case.format(one, CASE_DAY), change=_dependent) for one in CASE_DOSES]
    unique = {arm.name: arm for arm in [Arm(ALONE, "ide-cel"), _maintained(), *arms]}
    phase_1 = Arm("venetoclax alone", "venetoclax 1200 mg daily until progression", change=_dependent)
    share = "fraction_sensitive_venetoclax"
    used = min(draws, len(calibration.draws))
    return Maintained(
        compare(
            tuple(unique.values()), calibration, measures=(*SHOWN, STILL),
            groups=RESPONDERS, months=months, **sizes,
        ),
        compare((phase_1,), calibration, measures=(RESPONSE,), months=12.0, **sizes),
        calibration.parameters()[share].value,
        np.array([calibration.draw(k)[share].value for k in range(used)]),
    )  # fmt: skip


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    pfs = pfs_picture(
        found.maintenance, name="venetoclax_pfs", title="Venetoclax for two years, BCL-2 dependent myeloma (simulated)",
        arms=(ALONE, *(name_of(dose) for dose in (DOSES[0], DOSE))),
    )  # fmt: skip
    return Answer(
        title="Venetoclax after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(found),
        sections=(
            Section(
                "Dose, duration, start", _TEXT, [along(found), pfs],
                [table_of(found.maintenance, "Venetoclax", measures=SHOWN)],
            ),
            Section(
                "For whom", _WHO,
                tables=[who_table(found), group_table(found.maintenance, "By response to the cells", name_of())],
            ),
        ),
        numbers=[
            *numbers_of(found.maintenance),
            *(
                estimate_row(f"{arm} ({who})", f"gain in {RESTRICTED_PFS.name}", found.gain(arm, who), "months")
                for arm in (one.name for one in found.maintenance.arms[1:])
                for who in WHO[1:]
            ),
        ],
        notices=[*notices_of(found.maintenance), _NOTICE],
        given=given_of(found.maintenance),
        findings=findings(found),
    )  # fmt: skip


def sentences(found: Maintained) -> tuple[str, ...]:
    """The answer in words."""
    one, arms = found.maintenance, [arm.name for arm in found.maintenance.arms]
    low, usual, short = name_of(DOSES[0]), name_of(), name_of(months=SHORT)
    kept = one.gain(low, RESTRICTED_PFS, usual)
    said = [
        f"Two years of venetoclax at {DOSE:g} mg add {found.gain(usual).text('.1f')} months of restricted mean PFS "
        f"over {RESTRICTED_MONTHS:g} months in BCL-2 dependent myeloma, {found.gain(usual, WITH).text('.1f')} in "
        f"patients with t(11;14), of whom {100 * found.share(WITH)[0]:.0f} % depend on it, and "
        f"{found.gain(usual, ALL).text('.1f')} in everybody.",
        f"Given daily, {DOSES[0]:g} mg differ from {DOSE:g} mg by {kept.text('+.1f')} months in dependent myeloma, "
        f"and {SHORT:g} months of {DOSE:g} mg from {GIVEN:g} by "
        f"{one.gain(short, RESTRICTED_PFS, usual).text('+.1f')}. What neither can change are the cells that "
        "resist; how little is enough rests on the prior of the concentration of half effect.",
        f"The gain would be cancelled by {found.tolerable(usual, DEPENDENT).text('.0f')} % extra deaths a year of "
        f"treatment in dependent myeloma, by {found.tolerable(usual, WITH).text('.0f')} % in patients with t(11;14) "
        f"and by {found.tolerable(usual, ALL).text('.0f')} % in everybody; infections are not in the model.",
    ]
    case = case_name(CASE_DOSES[0])
    if case in arms:
        said.append(
            "Does the case report prove it? Of complete responses that last nine months "
            f"{one.estimate(ALONE, STILL).text('.0f')} % last sixteen without venetoclax, "
            f"{one.estimate(case, STILL).text('.0f')} % with its {CASE_DOSES[0]:g} mg in dependent myeloma, "
            f"{one.estimate(case_name(CASE_DOSES[1]), STILL).text('.0f')} % with {CASE_DOSES[1]:g} mg."
        )
    return tuple(said)


def along(found: Maintained) -> Picture:
    """Gain along dose, duration and day of start, by who is given it."""
    known = {arm.name for arm in found.maintenance.arms}

    def panel(title: str, x_label: str, points: Sequence[tuple[float, str]], log: bool = False) -> AlongPanel:
        points = [(x, arm) for x, arm in sorted(points) if arm in known]
        lines = []
        for who in WHO[:3]:
            gains = [found.gain(arm, who) for _, arm in points]
            lines.append(
                LineToDraw(who, [x for x, _ in points], [g.value for g in gains], [g.low for g in gains],
                           [g.high for g in gains])
            )  # fmt: skip
        marks = [(CASE_DOSES[0], "case report")] if log else ()
        return AlongPanel(title, x_label, "gain in restricted mean PFS (months)", lines, log, marks, zero=True)

    panels = [
        panel(f"Dose, {GIVEN:g} months", "venetoclax (mg a day)", [(dose, name_of(dose)) for dose in DOSES], log=True),
        panel(f"Duration, {DOSE:g} mg", "duration (months)", [(one, name_of(months=one)) for one in MONTHS]),
        panel(f"Start, {DOSE:g} mg", "first day (days after infusion)", [(day, name_of(start=day)) for day in STARTS]),
    ]
    return along_picture(panels, name="venetoclax_gain", title="Venetoclax after ide-cel: what it gains (simulated)")


def who_table(found: Maintained) -> Table:
    """For whom: who depends on BCL-2, what is gained, and what death rate would cancel it."""
    usual, low = name_of(), name_of(DOSES[0])
    rows = []
    for who in WHO:
        share, drawn = found.share(who)
        rows.append(
            (
                who, Estimate(100 * share, *interval(100 * drawn)).text(".0f"), found.response_alone(who).text(".0f"),
                found.gain(usual, who).text("+.1f"), found.gain(low, who).text("+.1f"),
                found.tolerable(usual, who).text(".1f"),
            )
        )  # fmt: skip
    head = (
        "patients", "depend on BCL-2, %", "respond to venetoclax alone, %", f"gain with {DOSE:g} mg, months",
        f"gain with {DOSES[0]:g} mg, months", "extra deaths a year that cancel it, %",
    )  # fmt: skip
    return Table("For whom", head, rows, f"Gains in restricted mean PFS over {RESTRICTED_MONTHS:g} months.")


def findings(found: Maintained) -> tuple[Finding, ...]:
    """What was reported of venetoclax, alone and after CAR-T cells."""
    made = []
    for who, source, events, n in (
        (WITH, "venetoclax_phase_1_t1114_orr", *TRANSLOCATED),
        (ALL, "venetoclax_phase_1_unselected_orr", 8, 66),  # 11.6 % of 66, rounded to whole patients
    ):
        response, rate = found.response_alone(who), clopper_pearson(events, n)
        made.append(
            Finding(
                f"venetoclax alone: response, {who}", f"{100 * rate.value:.0f} % ({events} of {n})", source,
                f"{response.text('.0f')} %", 100 * rate.low <= response.value <= 100 * rate.high,
            )
        )  # fmt: skip
    case = case_name(CASE_DOSES[0])
    still = found.maintenance.estimate(case, STILL)
    made.append(
        Finding(
            "a complete response of nine months lasts sixteen or more with 10 mg of venetoclax",
            "one patient, t(11;14) not reported", "deng_2022_response_duration",
            f"{still.text('.0f')} % of such responses do in BCL-2 dependent myeloma", still.value >= 5.0,
        )
    )  # fmt: skip
    return tuple(made)


_TEXT = """Everybody here depends on BCL-2, which is a thought experiment; the other lines are that gain times the share
of a group that does. Daily from day 60 for two years, unless the axis says otherwise. Rates of killing and the
concentration of half effect were never measured in patients: only how many respond is known, and low doses rest on
priors."""
_WHO = f"""Among those who responded to venetoclax alone most had t(11;14); with that, and with t(11;14) in
{100 * PREVALENCE:g} % of myeloma at diagnosis, follows who depends on BCL-2. Deaths that cancel the gain: a constant
rate while on {DOSE:g} mg, on top of all else. Who has which response to the cells is seen without venetoclax, among
patients who all depend on BCL-2."""
_NOTICE = """Infections and deaths by venetoclax, low blood counts and its effects on T cells are not modelled; a trial
with bortezomib lost lives to infections. Whether myeloma after CAR-T cells depends on BCL-2 as often is not known."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "venetoclax_maintenance", answer)
