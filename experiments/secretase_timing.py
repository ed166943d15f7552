"""When should a gamma-secretase inhibitor be given with BCMA CAR-T cells, and for how long?

Crenigacestat 25 mg three times a week at every start and duration, in the same virtual patients after ide-cel: the gain
as a surface, its chance, the gain by BCMA before treatment, and a course that waits until the density is low.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.regimens.regimen import infuse
from perdure.model.regimens.rules import Rule, below, every, start
from perdure.reports.antigen_report import antigen_course
from perdure.reports.comparison_report import gain_picture, given_of, group_table, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.reports.surface_report import chance_surface, chances, gain_surface
from perdure.trials.arm import Arm
from perdure.trials.compare import Comparison, Group, compare
from perdure.trials.guided_treatment import GuidedTreatment, guided_treatment
from perdure.trials.measures import COMPLETE, MEDIAN_PFS, RESPONSE, RESTRICTED_PFS
from perdure.trials.search import Axis, Surface, search
from perdure.trials.standard_regimens import secretase_inhibitor

TIME = "about one minute"
SIZES = Sizes()
AXES = (
    Axis("from day", "", (-7.0, 0.0, 7.0, 14.0, 30.0, 60.0, 90.0, 180.0)),
    Axis("for", "weeks", (1.0, 3.0, 6.0, 12.0, 26.0, 52.0)),
)
WORTH = 1.0
"""Months of restricted mean PFS that are asked for when the chance of a gain is counted; a choice."""
WEEKS = 12.0


def inhibitor(day: float, weeks: float) -> Arm:
    """Ide-cel, and crenigacestat three times a week from a day on for so many weeks."""
    given = infuse("ide_cel") + secretase_inhibitor(day, day + 7.0 * weeks)
    return Arm(f"{weeks:g} weeks from day {day:g}", given)


ALONE = Arm("ide-cel alone", infuse("ide_cel"))
COURSES = (inhibitor(0.0, 3.0), inhibitor(0.0, WEEKS), inhibitor(30.0, WEEKS))
MEASURES = (RESPONSE, COMPLETE, MEDIAN_PFS, RESTRICTED_PFS)


LOW, HIGH = "BCMA in the lower half", "BCMA in the upper half"
GROUPS: Mapping[str, Group] = {
    LOW: lambda result: result.outcomes.density_before < np.median(result.outcomes.density_before),
    HIGH: lambda result: result.outcomes.density_before >= np.median(result.outcomes.density_before),
}
LOW_DENSITY = 390.0
"""Molecules per cell below which the guided course begins: what was measured at progression (Perica 2023)."""
GUIDED = f"{WEEKS:g} weeks from a visit with BCMA below {LOW_DENSITY:g}"


def when_low(limit: float = LOW_DENSITY) -> Rule:
    """The inhibitor from the first monthly visit with a mean density below the limit."""
    course = secretase_inhibitor(0.0, 7.0 * WEEKS)
    return Rule("inhibitor", below("density_mean", limit), start(course), every(28))


@dataclass(frozen=True, eq=False)
class Timing:
    """The surface of start and duration, courses by patients, and the guided course."""

    surface: Surface
    courses: Comparison
    guided: GuidedTreatment


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, axes: tuple[Axis, Axis] = AXES,
    courses: Sequence[Arm] = COURSES, rule: Rule | None = None, months: float = 36.0,
) -> Timing:  # fmt: skip
    """The surface has a third of the patients and half of the draws of the courses, since it has 48 regimens."""
    calibration = calibration or read_calibration()
    smaller = sizes.divided_by(patients=3, draws=2, patients_per_draw=2)
    surface = search(ALONE, inhibitor, axes, RESTRICTED_PFS, calibration, sizes=smaller, months=months)
    comparison = compare((ALONE, *courses), calibration, measures=MEASURES, groups=GROUPS, sizes=sizes, months=months)
    guided = guided_treatment(comparison, ALONE.name, rule or when_low(), calibration, sizes, months=months)
    return Timing(surface, comparison, guided)


def findings(timing: Timing) -> tuple[Finding, ...]:
    """What the review says of the inhibitor, in words."""
    gain = timing.courses.gain(COURSES[0].name, RESTRICTED_PFS)
    better = timing.courses.gain(COURSES[0].name, COMPLETE)
    return (
        Finding(
            "the inhibitor makes CAR-T cells more effective", "improving efficacy", "cowan_2023_antigen_shedding",
            f"{gain.text('+.1f')} months, {better.text('+.0f')} points of complete response",
            gain.low > 0.0 and better.value > 0.0,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """When, how long, what it does, and for whom."""
    timing = run(calibration, settings.sizes)
    surface, courses = timing.surface, timing.courses
    return ExperimentReport(
        title="A gamma-secretase inhibitor with CAR-T cells: when, and how long?",
        subtitle="Crenigacestat 25 mg three times a week, virtual late-line patients after ide-cel",
        sentences=sentences(timing),
        sections=(
            Section("When, and how long", _SURFACE_TEXT, surface_pictures(surface)),
            Section(
                "What it does", _COURSE_TEXT,
                [
                    antigen_course(
                        (ALONE, COURSES[1]), calibration.parameters(), patients=min(settings.patients, 400),
                        name="secretase_course", title="The antigen with the inhibitor and without",
                    )
                ],
            ),
            Section(
                "For whom", "The same patients in every course, dichotomised at the median of BCMA before treatment.",
                [
                    gain_picture(
                        courses, name="secretase_groups", title="What the inhibitor would gain, by BCMA at start",
                        groups=courses.groups,
                    )
                ],
                [
                    table_of(courses, "Courses"),
                    *(group_table(courses, f"By patients, {arm.name}", arm.name) for arm in courses.arms[2:]),
                ],
            ),
        ),
        numbers=[*numbers_of(courses), *number_rows(timing)],
        notices=[*notices_of(courses), _LIMITS], given=given_of(courses), findings=findings(timing),
    )  # fmt: skip


def sentences(timing: Timing) -> tuple[str, ...]:
    """The answer in words."""
    surface, courses, guided = timing.surface, timing.courses, timing.guided
    best = max(surface.points, key=lambda point: point.gain.value)
    gains = surface.table(lambda point: point.gain.value)
    starts, weeks = (axis.values for axis in surface.axes)
    firsts = zip(weeks, gains.argmax(axis=0), gains.max(axis=0), strict=True)
    last = courses.arms[-1].name
    low, high = (courses.gain(last, RESTRICTED_PFS, "", group).text("+.1f") for group in (LOW, HIGH))
    return (
        f"Most is gained with {best.at[1]:g} weeks from day {best.at[0]:g}: {best.gain.text('+.1f')} months of "
        f"restricted mean PFS over 36 months. From day {starts[-1]:g} on no course gains more than "
        f"{gains[-1].max():.1f} months.",
        "The best start by duration (gain in months): "
        + "; ".join(f"{week:g} weeks from day {starts[i]:g} ({gain:+.1f})" for week, i, gain in firsts)
        + ".",
        f"With {last} patients in the lower half of BCMA gain {low} months, those in the upper half {high}.",
        f"Waiting for a monthly visit with BCMA below {LOW_DENSITY:g} molecules per cell, and {WEEKS:g} weeks from "
        f"then, treats {guided.treated.text('.0f')} % of the patients (median day {guided.median_day:.0f}) and gains "
        f"{guided.gain.text('+.1f')} months.",
    )


def surface_pictures(surface: Surface) -> list[Picture]:
    """Start by duration: the gain with its interval, and how many draws gain a month or more."""
    where = {"row_axis": "first day after infusion", "rows": "day {:g}", "column_axis": "duration (weeks)"}
    return [
        gain_surface(
            surface, name="secretase_gain", title="What the inhibitor would gain over ide-cel alone", **where,
            panels=["crenigacestat 25 mg three times a week"],
            scale="gain in restricted mean PFS over 36 months (months)",
        ),
        chance_surface(
            surface, WORTH, name="secretase_chance", title=f"Chance that the inhibitor gains {WORTH:g} month or more",
            **where,
        ),
    ]  # fmt: skip


def number_rows(timing: Timing) -> list[NumberRow]:
    """Gain and chance of every point of the surface, then the guided course."""
    rows, name = [], f"gain in {RESTRICTED_PFS.name}"
    for point, chance in zip(timing.surface.points, chances(timing.surface, WORTH).ravel(), strict=True):
        arm = f"surface: {point.at[1]:g} weeks from day {point.at[0]:g}"
        rows.append(estimate_row(arm, name, point.gain, "months"))
        rows.append(NumberRow(arm, f"draws that gain {WORTH:g} month", float(chance), unit="%"))
    rows.append(estimate_row(GUIDED, name, timing.guided.gain, "months"))
    return [*rows, estimate_row(GUIDED, "treated", timing.guided.treated, "%")]


_SURFACE_TEXT = """BCMA follows the block of its shedding within a day, so nothing is gained before there are CAR-T
cells. The block must cover the weeks in which they are many and the tumour small: the cells with little antigen that
survive then without it are the seed of the relapse."""
_COURSE_TEXT = """The inhibitor takes soluble BCMA out of the blood, which then marks neither burden nor response."""
_LIMITS = """Not in the model: diarrhoea and rash, other proteins that gamma-secretase cuts (Notch, on T cells too), and
soluble BCMA as a sink for CAR-T cells. How strongly crenigacestat blocks shedding in patients is a prior; no trial has
decided it. That BCMA of few remaining cells can be measured at a visit is an assumption of the guided course."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
