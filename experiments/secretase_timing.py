"""When should a gamma-secretase inhibitor be given with BCMA CAR-T cells, and for how long?

Crenigacestat 25 mg three times a week at every start and duration, in the same virtual patients after ide-cel: the gain
as a surface, its chance, the gain by BCMA before treatment, and a course that waits until the density is low.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import anchored, interval
from perdure.model.endpoints import Outcomes, Visits, outcomes
from perdure.model.regimens.regimen import infuse
from perdure.model.regimens.rules import Rule, below, every, start
from perdure.model.simulate import Solver, simulate
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients
from perdure.reports.comparison_report import gain_picture, given_of, group_table, notices_of, numbers_of
from perdure.reports.comparison_report import table_of as table_of_arms
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.chance_map import chance_picture
from perdure.reports.figures.course import BandToDraw, Panel, course_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.surface import CellToDraw, surface_picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Comparison, compare
from perdure.trials.measures import COMPLETE, MEDIAN_PFS, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS
from perdure.trials.projection import Estimate, Progress
from perdure.trials.provenance import secretase_inhibitor
from perdure.trials.search import Axis, Surface, search
from perdure.trials.treat import SEED

TIME = "about one minute"
ALONE = Arm("ide-cel alone", infuse("ide_cel"))
AXES = (
    Axis("from day", "", (-7.0, 0.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0)),
    Axis("for", "weeks", (1.0, 3.0, 6.0, 12.0, 26.0, 52.0)),
)
WORTH = 1.0
"""Months of restricted mean PFS that are asked for when the chance of a gain is counted; a choice."""
LOW_DENSITY = 390.0
"""Molecules per cell below which the guided course begins: what was measured at progression (Perica 2023)."""
WEEKS = 12.0
LOW, HIGH = "BCMA in the lower half", "BCMA in the upper half"
GUIDED = f"{WEEKS:g} weeks from a visit with BCMA below {LOW_DENSITY:g}"


def inhibitor(day: float, weeks: float) -> Arm:
    """Ide-cel, and crenigacestat three times a week from a day on for so many weeks."""
    given = infuse("ide_cel") + secretase_inhibitor(day, day + 7.0 * weeks)
    return Arm(f"{weeks:g} weeks from day {day:g}", given)


COURSES = (inhibitor(0.0, 3.0), inhibitor(0.0, WEEKS), inhibitor(30.0, WEEKS))
GROUPS = {
    LOW: lambda one: one.outcomes.density_before < np.median(one.outcomes.density_before),
    HIGH: lambda one: one.outcomes.density_before >= np.median(one.outcomes.density_before),
}


@dataclass(frozen=True, eq=False)
class Guided:
    """The course that waits for a low density: its gain over ide-cel alone, how many came to it, and when."""

    gain: Estimate
    treated: Estimate
    median_day: float


@dataclass(frozen=True, eq=False)
class Timing:
    """The surface of start and duration, courses by patients, and the guided course."""

    surface: Surface
    courses: Comparison
    guided: Guided
    parameters: ParameterSet


def run(
    *,
    axes: tuple[Axis, Axis] = AXES,
    courses: Sequence[Arm] = COURSES,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 36.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Timing:
    """The surface has a third of the patients and draws of the courses, since it has 48 regimens."""
    calibration = calibration or read_calibration()
    surface = search(
        ALONE, inhibitor, axes, RESTRICTED_PFS, calibration, patients=max(patients // 3, 20),
        draws=max(draws // 2, 2), patients_per_draw=max(patients_per_draw // 2, 20), months=months, seed=seed,
        progress=progress,
    )  # fmt: skip
    compared = compare(
        (ALONE, *courses), calibration, measures=(RESPONSE, COMPLETE, MEDIAN_PFS, RESTRICTED_PFS), groups=GROUPS,
        patients=patients, draws=draws, patients_per_draw=patients_per_draw, months=months, seed=seed,
        progress=progress,
    )  # fmt: skip
    waited = guided(compared, calibration, patients, draws, patients_per_draw, months, seed)
    return Timing(surface, compared, waited, calibration.parameters())


def treat_when_low(
    parameters: ParameterSet, *, patients: int, months: float = 36.0, seed: int = SEED, limit: float = LOW_DENSITY
) -> tuple[Outcomes, np.ndarray]:
    """Ide-cel, and the inhibitor from the first monthly visit with a density below the limit; its day, NaN if never."""
    people = draw(parameters, patients, seed)
    values = make_patients(parameters, people, product="ide_cel", population="late_line")
    rule = Rule("inhibitor", below("density_mean", limit), start(secretase_inhibitor(0.0, 7.0 * WEEKS)), every(28))
    visits = Visits(28.0, months)
    solution = simulate(values, infuse("ide_cel"), times=visits.grid, rules=[rule], solver=Solver(rtol=1e-5))
    return outcomes(solution, values, people, visits), solution.events["inhibitor"].first


def guided(
    found: Comparison, calibration: Calibration, patients: int, draws: int, patients_per_draw: int, months: float,
    seed: int,
) -> Guided:  # fmt: skip
    """The guided course in the patients and at the draws of a comparison."""
    sets = [(calibration.parameters(), patients), (calibration.parameters(), patients_per_draw)]
    sets += [(calibration.draw(k), patients_per_draw) for k in range(min(draws, len(calibration.draws)))]
    made = [treat_when_low(parameters, patients=n, months=months, seed=seed) for parameters, n in sets]
    means = np.array([one.progression_free().restricted_mean(min(RESTRICTED_MONTHS, months)) for one, _ in made])
    shares = np.array([100.0 * np.isfinite(day).mean() for _, day in made])
    alone = found.arms[0].name
    gains = anchored(means[0], means[2:], means[1], 0.0, np.inf) - found.draws_of(alone, RESTRICTED_PFS)
    gain = Estimate(float(means[0]) - found.estimate(alone, RESTRICTED_PFS).value, *interval(gains))
    share = Estimate(float(shares[0]), *interval(anchored(shares[0], shares[2:], shares[1], 0.0, 100.0)))
    known = made[0][1][np.isfinite(made[0][1])]
    return Guided(gain, share, float(np.median(known)) if known.size else float("nan"))


def chance(surface: Surface, least: float = WORTH) -> np.ndarray:
    """Share of draws that gain at least so many months: array (starts, durations), in percent."""
    found = surface.comparison
    gains = [found.draws_of(arm.name, RESTRICTED_PFS, found.arms[0].name) for arm in found.arms[1:]]
    return np.array([100.0 * np.mean(one >= least) for one in gains]).reshape([len(a.values) for a in surface.axes])


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    return Answer(
        title="A gamma-secretase inhibitor with CAR-T cells: when, and how long?",
        subtitle="Crenigacestat 25 mg three times a week, virtual late-line patients after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("When, and how long", _SURFACE_TEXT, [gain_map(found.surface), chance_map(found.surface)]),
            Section("What it does", _COURSE_TEXT, [course(found.parameters, min(settings.patients, 400))]),
            Section(
                "For whom", "The same patients in every course, parted at the median of BCMA before treatment.",
                [gain_picture(found.courses, name="secretase_groups", title=_WHOM, groups=found.courses.groups)],
                [table_of_arms(found.courses, "Courses"), *_by_patients(found.courses)],
            ),
        ),
        numbers=[*numbers_of(found.courses), *_rows(found)],
        notices=[*notices_of(found.courses), _LIMITS],
        given=given_of(found.courses),
        findings=findings(found),
    )  # fmt: skip


def _by_patients(found: Comparison) -> list[Table]:
    return [group_table(found, f"By patients, {arm.name}", arm.name) for arm in found.arms[2:]]


def sentences(found: Timing) -> tuple[str, ...]:
    """The answer in words."""
    surface, courses = found.surface, found.courses
    best = max(surface.points, key=lambda point: point.gain.value)
    gains = surface.table(lambda point: point.gain.value)
    starts, weeks = (axis.values for axis in surface.axes)
    firsts = "; ".join(
        f"{week:g} weeks from day {starts[i]:g} ({gains[i, j]:+.1f})"
        for j, week in enumerate(weeks)
        for i in (int(gains[:, j].argmax()),)
    )
    name, waited = courses.arms[-1].name, found.guided
    low, high = (courses.gain(name, RESTRICTED_PFS, "", group).text("+.1f") for group in (LOW, HIGH))
    return (
        f"Most is gained with {best.at[1]:g} weeks from day {best.at[0]:g}: {best.gain.text('+.1f')} months of "
        f"restricted mean PFS over 36 months. From day {starts[-1]:g} on no course gains more than "
        f"{gains[-1].max():.1f} months.",
        f"The best start by duration (gain in months): {firsts}.",
        f"With {name} patients in the lower half of BCMA gain {low} months, those in the upper half {high}.",
        f"Waiting for a monthly visit with BCMA below {LOW_DENSITY:g} molecules per cell, and {WEEKS:g} weeks from "
        f"then, treats {waited.treated.text('.0f')} % of the patients (median day {waited.median_day:.0f}) and gains "
        f"{waited.gain.text('+.1f')} months.",
    )


def gain_map(surface: Surface) -> Picture:
    """Start by duration: the gain and its interval."""
    good, best = {id(point) for point in surface.as_good}, surface.best
    cells = [CellToDraw(p.gain.value, p.gain.low, p.gain.high, False, p is best, id(p) in good) for p in surface.points]
    starts, weeks = (axis.values for axis in surface.axes)
    return surface_picture(
        [[cells[i * len(weeks) : (i + 1) * len(weeks)] for i in range(len(starts))]],
        panel_titles=["crenigacestat 25 mg three times a week"], rows=[f"day {day:g}" for day in starts],
        columns=[f"{week:g}" for week in weeks], row_axis="first day after infusion", column_axis="duration (weeks)",
        name="secretase_gain", title="What the inhibitor would gain over ide-cel alone",
        scale="gain in restricted mean PFS over 36 months (months)",
        note="Below each value: central 95 % of posterior draws, which is about parameters, not about a trial's size.",
    )  # fmt: skip


def chance_map(surface: Surface) -> Picture:
    """Start by duration: how many draws gain a month or more."""
    starts, weeks = (axis.values for axis in surface.axes)
    return chance_picture(
        chance(surface), [f"day {day:g}" for day in starts], [f"{week:g}" for week in weeks],
        name="secretase_chance", title=f"Chance that the inhibitor gains {WORTH:g} month or more",
        row_axis="first day after infusion", column_axis="duration (weeks)",
        note=f"Share of {surface.comparison.drawn.shape[0]} posterior draws.",
    )  # fmt: skip


def course(parameters: ParameterSet, patients: int, until: int = 150) -> Picture:
    """Soluble BCMA and what the density allows, means of a week, with the inhibitor and without, at the estimate."""
    people = draw(parameters, patients, SEED)
    values = make_patients(parameters, people, product="ide_cel", population="late_line")
    panels: dict[str, list[BandToDraw]] = {"soluble_bcma": [], "susceptibility": []}
    for arm in (ALONE, COURSES[1]):
        solution = simulate(values, arm.plan.first, times=np.arange(until + 1.0), solver=Solver(rtol=1e-5))
        usable = np.isfinite(solution.eradication)
        for name, series in panels.items():
            week = np.lib.stride_tricks.sliding_window_view(solution[name][usable], 7, axis=1).mean(axis=2)
            series.append(BandToDraw(arm.name, solution.times[3:-3], *np.percentile(week, [5, 50, 95], axis=0)))
    return course_picture(
        [
            Panel("Soluble BCMA", "Relative to day 0", panels["soluble_bcma"], True, low=1e-3),
            Panel("What BCMA allows the CAR-T cells", "Share of the maximal effect", panels["susceptibility"]),
        ],
        name="secretase_course", title="The antigen with the inhibitor and without", time_unit="days",
        note="All patients, also after progression; means of a week. Soluble BCMA counts what the tumour sheds.",
    )  # fmt: skip


def _rows(found: Timing) -> list[NumberRow]:
    rows, shares = [], chance(found.surface).ravel()
    name = f"gain in {RESTRICTED_PFS.name}"
    for point, share in zip(found.surface.points, shares, strict=True):
        arm = f"surface: {point.at[1]:g} weeks from day {point.at[0]:g}"
        rows.append(estimate_row(arm, name, point.gain, "months"))
        rows.append(NumberRow(arm, f"draws that gain {WORTH:g} month", float(share), unit="%"))
    waited = found.guided
    rows.append(estimate_row(GUIDED, name, waited.gain, "months"))
    return [*rows, estimate_row(GUIDED, "treated", waited.treated, "%")]


def findings(found: Timing) -> tuple[Finding, ...]:
    """What the review says of the inhibitor, in words."""
    gain = found.courses.gain(COURSES[0].name, RESTRICTED_PFS)
    better = found.courses.gain(COURSES[0].name, COMPLETE)
    return (
        Finding(
            "the inhibitor makes CAR-T cells more effective", "improving efficacy", "cowan_2023_antigen_shedding",
            f"{gain.text('+.1f')} months, {better.text('+.0f')} points of complete response",
            gain.low > 0.0 and better.value > 0.0,
        ),
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "secretase_timing", answer)


_WHOM = "What the inhibitor would gain, by BCMA at start"
_SURFACE_TEXT = """BCMA follows the block of its shedding within a day, so nothing is gained before there are CAR-T
cells. The block must cover the weeks in which they are many and the tumour small: the cells with little antigen that
survive then without it are the seed of the relapse."""
_COURSE_TEXT = """The inhibitor takes soluble BCMA out of the blood, which then marks neither burden nor response."""
_LIMITS = """Not in the model: diarrhoea and rash, other proteins that gamma-secretase cuts (Notch, on T cells too), and
soluble BCMA as a sink for CAR-T cells. How strongly crenigacestat blocks shedding in patients is a prior; no trial has
decided it. That BCMA of few remaining cells can be measured at a visit is an assumption of the guided course."""
