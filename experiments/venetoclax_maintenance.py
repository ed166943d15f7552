"""Venetoclax as maintenance after CAR-T cells: for whom, at which dose, and for how long?

Only myeloma that depends on BCL-2 answers, so all virtual patients are given that trait, and what is gained counts in a
group by the share of it that has the trait: with t(11;14), without, everybody. Doses run from the 10 mg of a case
report (Deng 2022) to 800 mg; then durations and days of start at 400 mg. Infections and deaths by venetoclax are not in
the model: how many would cancel the gain is computed instead.
"""

from collections.abc import Mapping, Sequence

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.imwg import CR, PR
from perdure.model.statistics.proportions import clopper_pearson
from perdure.reports.bcl2_report import gain_panel, gain_rows, patients_table
from perdure.reports.comparison_report import given_of, group_table, notices_of, numbers_of, pfs_picture, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.courses import along_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.bcl2_dependence import (
    ALL,
    DEPENDENT,
    LASTING,
    PATIENTS,
    PREVALENCE,
    TRANSLOCATED,
    WITH,
    VenetoclaxMaintenance,
    bcl2_dependent,
    read_dependence,
)
from perdure.trials.compare import Group, compare
from perdure.trials.measures import MEDIAN_PFS, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS

TIME = "about a minute and a half"
SIZES = Sizes()
DOSES = (10.0, 50.0, 100.0, 400.0, 800.0)
"""mg a day: of the case report, to that of its trials in myeloma."""
DURATIONS = (1.0, 3.0, 12.0, 24.0)
"""In months."""
STARTS = (30.0, 60.0, 180.0, 274.0)
DOSE, DURATION, START = 400.0, 24.0, 60.0
"""What the others are varied around; by two months blood counts have mostly recovered (assumed)."""
CASE_DOSES = (10.0, 100.0, 400.0)
"""The case report: from the ninth month, two weeks of four; 100 mg, if its 10 mg lost a zero."""


def maintenance(dose: float = DOSE, duration: float = DURATION, start: float = START) -> Arm:
    """Ide-cel, and venetoclax daily from a day on for so many months, in patients who all depend on BCL-2."""
    words = f"ide-cel; venetoclax {dose:g} mg daily from day {start:g} for {duration:g} months"
    return Arm(f"{dose:g} mg for {duration:g} months from day {start:g}", words, change=bcl2_dependent)


def case_report(dose: float) -> Arm:
    """Ide-cel, and venetoclax as in the case report, in patients who all depend on BCL-2."""
    words = f"ide-cel; venetoclax {dose:g} mg daily days 1-14 of 28 from day 274 for 7 months"
    return Arm(f"as in the case report, {dose:g} mg", words, change=bcl2_dependent)


ALONE = Arm("ide-cel alone", "ide-cel")
PHASE_1 = Arm("venetoclax alone", "venetoclax 1200 mg daily until progression", change=bcl2_dependent)
USUAL, LOW, SHORT = maintenance().name, maintenance(10.0).name, maintenance(duration=3.0).name
SHOWN = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)
GROUPS: Mapping[str, Group] = {
    "complete response to the cells": lambda result: result.outcomes.best >= CR,
    "PR or VGPR, no CR": lambda result: (result.outcomes.best >= PR) & (result.outcomes.best < CR),
}


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, doses: Sequence[float] = DOSES,
    durations: Sequence[float] = DURATIONS, starts: Sequence[float] = STARTS, months: float = 40.0,
) -> VenetoclaxMaintenance:  # fmt: skip
    """Doses, durations and starts in the same virtual patients, all of whom depend on BCL-2."""
    calibration = calibration or read_calibration()
    arms = [ALONE, maintenance(), *map(maintenance, doses), *(maintenance(duration=length) for length in durations)]
    arms += [*(maintenance(start=day) for day in starts), *map(case_report, CASE_DOSES)]
    different = list({arm.name: arm for arm in arms}.values())
    return VenetoclaxMaintenance(
        compare(different, calibration, measures=(*SHOWN, LASTING), groups=GROUPS, sizes=sizes, months=months),
        compare((PHASE_1,), calibration, measures=(RESPONSE,), sizes=sizes, months=12.0),
        read_dependence(calibration, sizes.draws), START, DURATION,
    )  # fmt: skip


def findings(venetoclax: VenetoclaxMaintenance) -> tuple[Finding, ...]:
    """What was reported of venetoclax, alone and after CAR-T cells."""
    rows = []
    for patients, source, events, n in (
        (WITH, "venetoclax_phase_1_t1114_orr", *TRANSLOCATED),
        (ALL, "venetoclax_phase_1_unselected_orr", 8, 66),  # 11.6 % of 66, rounded to whole patients
    ):
        response, rate = venetoclax.response_alone(patients), clopper_pearson(events, n)
        rows.append(
            Finding(
                f"venetoclax alone: response, {patients}", f"{100 * rate.value:.0f} % ({events} of {n})", source,
                f"{response.text('.0f')} %", 100 * rate.low <= response.value <= 100 * rate.high,
            )
        )  # fmt: skip
    still = venetoclax.maintenance.estimate(case_report(10.0).name, LASTING)
    case = Finding(
        "a complete response of nine months lasts sixteen or more with 10 mg of venetoclax",
        "one patient, t(11;14) not reported", "deng_2022_response_duration",
        f"{still.text('.0f')} % of such responses do in BCL-2 dependent myeloma", still.value >= 5.0,
    )  # fmt: skip
    return (*rows, case)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What is gained by which dose, duration and start, and for whom."""
    venetoclax = run(calibration, settings.sizes)
    comparison = venetoclax.maintenance
    pfs = pfs_picture(
        comparison, name="venetoclax_pfs", title="Venetoclax for two years, BCL-2 dependent myeloma (simulated)",
        arms=(ALONE.name, LOW, USUAL),
    )  # fmt: skip
    return ExperimentReport(
        title="Venetoclax after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients",
        sentences=sentences(venetoclax),
        sections=(
            Section(
                "Dose, duration, start", _TEXT, [along(venetoclax), pfs],
                [table_of(comparison, "Venetoclax", measures=SHOWN)],
            ),
            Section(
                "For whom", _WHOM,
                tables=[
                    patients_table(venetoclax, {f"{DOSE:g} mg": USUAL, "10 mg": LOW}),
                    group_table(comparison, "By response to the cells", USUAL),
                ],
            ),
        ),
        numbers=[*numbers_of(comparison), *gain_rows(venetoclax)], notices=[*notices_of(comparison), _NOTICE],
        given=given_of(comparison), findings=findings(venetoclax),
    )  # fmt: skip


def sentences(venetoclax: VenetoclaxMaintenance) -> tuple[str, ...]:
    """The answer in words."""
    comparison = venetoclax.maintenance
    gain = {patients: venetoclax.gain(USUAL, patients).text(".1f") for patients in PATIENTS}
    deaths = {patients: venetoclax.tolerable(USUAL, patients).text(".0f") for patients in PATIENTS}
    lower, shorter = (comparison.gain(arm, RESTRICTED_PFS, USUAL).text("+.1f") for arm in (LOW, SHORT))
    arms = (ALONE, case_report(10.0), case_report(100.0))
    still = [comparison.estimate(arm.name, LASTING).text(".0f") for arm in arms]
    return (
        f"Two years of venetoclax at {DOSE:g} mg add {gain[DEPENDENT]} months of restricted mean PFS over "
        f"{RESTRICTED_MONTHS:g} months in BCL-2 dependent myeloma, {gain[WITH]} in patients with t(11;14), of whom "
        f"{100 * venetoclax.dependence.share(WITH)[0]:.0f} % depend on it, and {gain[ALL]} in everybody.",
        f"Given daily, 10 mg differ from {DOSE:g} mg by {lower} months in dependent myeloma, and 3 months of {DOSE:g} "
        f"mg from {DURATION:g} by {shorter}. What neither can change are the cells that resist; how little is enough "
        "rests on the prior of the concentration of half effect.",
        f"The gain would be cancelled by {deaths[DEPENDENT]} % extra deaths a year of treatment in dependent myeloma, "
        f"by {deaths[WITH]} % in patients with t(11;14) and by {deaths[ALL]} % in everybody; infections are not in the "
        "model.",
        f"Does the case report prove it? Of complete responses that last nine months {still[0]} % last sixteen without "
        f"venetoclax, {still[1]} % with its 10 mg in dependent myeloma, {still[2]} % with 100 mg.",
    )


def along(venetoclax: VenetoclaxMaintenance) -> Picture:
    """Gain along dose, duration and day of start, by who is given it."""
    return along_picture(
        [
            gain_panel(
                venetoclax, f"Dose, {DURATION:g} months", "venetoclax (mg a day)",
                {dose: maintenance(dose).name for dose in DOSES}, log=True, marks=((10.0, "case report"),),
            ),
            gain_panel(
                venetoclax, f"Duration, {DOSE:g} mg", "duration (months)",
                {length: maintenance(duration=length).name for length in DURATIONS},
            ),
            gain_panel(
                venetoclax, f"Start, {DOSE:g} mg", "first day (days after infusion)",
                {day: maintenance(start=day).name for day in STARTS},
            ),
        ],
        name="venetoclax_gain", title="Venetoclax after ide-cel: what it gains (simulated)",
    )  # fmt: skip


_TEXT = """Everybody here depends on BCL-2, which is a thought experiment; the other lines are that gain times the share
of a group that does. Daily from day 60 for two years, unless the axis says otherwise. Rates of killing and the
concentration of half effect were never measured in patients: only how many respond is known, and low doses rest on
priors."""
_WHOM = f"""Among those who responded to venetoclax alone most had t(11;14); with that, and with t(11;14) in
{100 * PREVALENCE:g} % of myeloma at diagnosis, follows who depends on BCL-2. Deaths that cancel the gain: a constant
rate while on {DOSE:g} mg, on top of all else. Who has which response to the cells is seen without venetoclax, among
patients who all depend on BCL-2."""
_NOTICE = """Infections and deaths by venetoclax, low blood counts and its effects on T cells are not modelled; a trial
with bortezomib lost lives to infections. Whether myeloma after CAR-T cells depends on BCL-2 as often is not known."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
