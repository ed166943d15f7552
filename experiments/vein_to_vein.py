"""What does the time from apheresis to infusion cost, and would rapid manufacture or bridging give it back?

The same virtual patients wait from five to sixty days for their cells, with and without bridging. Three ways to count
stand side by side: from infusion (who is lost while waiting is not seen), per patient apheresed (who is lost counts as
nothing gained), and from apheresis as trials by intention to treat count (a progression while waiting is the event).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.model.processes.tumour import burden_untreated
from perdure.model.statistics.proportions import clopper_pearson
from perdure.reports.bridging_report import per_apheresed_picture, wait_picture
from perdure.reports.comparison_report import given_of, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.bridging import DIED, GROWTH, PER_APHERESED, PROGRESSED
from perdure.trials.compare import Comparison, Group, compare
from perdure.trials.measures import MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS
from perdure.trials.treat import ArmResult

TIME = "about a minute and a half"
SIZES = Sizes(patients=1000, draws=40, patients_per_draw=120)
USUAL, RAPID = 49.0, 14.0
"""Days from apheresis to infusion: the median of KarMMa-3, and about what is left if making the cells takes two."""
WAITS = (5.0, RAPID, 28.0, USUAL, 60.0)
"""Days from apheresis to infusion; lymphodepletion takes the last five, so that nobody's wait is shorter."""
REPORTED_WAITS = ((44.0, "CARTITUDE-4"), (USUAL, "KarMMa-3"))
"""Median days from apheresis to infusion (PMC10873054)."""
NOT_INFUSED, RANDOMISED = 29, 254
"""Patients of KarMMa-3 who never had cells, for whatever reason (PMC10873054)."""
AFROUGH_WAIT, AFROUGH_SHARE = 35.0, 0.79
"""Days of growth after which the share with the most tumour is bridged, as in Afrough 2023."""
MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PER_APHERESED, DIED, PROGRESSED, GROWTH, PEAK)

BRIDGE = "combination-chemotherapy 680 mg days 0-3"
PROTEASOME_INHIBITOR = f"proteasome-inhibitor 2.2 mg weekly from day 0 for {USUAL - 7:g} days"
CHEMOTHERAPY, INHIBITOR, EFFECTIVE = "chemotherapy", "proteasome inhibitor", "chemotherapy that works in everybody"
FROM_APHERESIS, NO_TIME = "from apheresis", "2 days, no time for lymphodepletion"
ALONE, HIGH, LOW = "chemotherapy, no cells", "the 79 % with the most tumour", "the 21 % with the least"


def name_of(wait: float, how: str = "") -> str:
    """How an arm is called."""
    return f"{wait:g} days, {how}" if how else f"{wait:g} days"


def plan_of(wait: float, bridging: str = "", product: str = "ide-cel") -> str:
    """The plan of a wait in words: the last five days are for lymphodepletion."""
    cells = f"lymphodepletion days {wait - 5:g}-{wait - 3:g}; {product} on day {wait:g}"
    return f"{bridging}; {cells}" if bridging else cells


WAYS = (
    name_of(5.0), name_of(RAPID), name_of(28.0), NO_TIME, name_of(USUAL, CHEMOTHERAPY), name_of(USUAL, INHIBITOR),
    name_of(USUAL, EFFECTIVE), name_of(USUAL, "PHE885"), name_of(RAPID, "PHE885"),
)  # fmt: skip
"""Arms that shorten or bridge the usual wait, as they are drawn."""


def _effective(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"sensitive_combination_chemotherapy": np.ones_like(values["sensitive_combination_chemotherapy"])}


def arms_of(waits: Sequence[float] = WAITS) -> tuple[Arm, ...]:
    """The usual wait without bridging first, against which everything else is measured."""
    others = sorted({*waits, RAPID, USUAL} - {USUAL})
    every = sorted({*others, USUAL})
    return (
        Arm(name_of(USUAL), plan_of(USUAL)),
        *(Arm(name_of(wait), plan_of(wait)) for wait in others),
        Arm(NO_TIME, "ide-cel on day 2"),
        *(Arm(name_of(wait, CHEMOTHERAPY), plan_of(wait, BRIDGE)) for wait in every if wait >= RAPID),
        Arm(name_of(USUAL, INHIBITOR), plan_of(USUAL, PROTEASOME_INHIBITOR)),
        Arm(name_of(USUAL, EFFECTIVE), plan_of(USUAL, BRIDGE), change=_effective),
        *(Arm(name_of(wait, "PHE885"), plan_of(wait, product="phe885")) for wait in (RAPID, USUAL)),
        Arm(name_of(RAPID, "CT071"), plan_of(RAPID, product="ct071")),
        *(Arm(name_of(wait, FROM_APHERESIS), plan_of(wait), from_infusion=False) for wait in every),
    )


BRIDGED, NOT_BRIDGED = name_of(AFROUGH_WAIT, CHEMOTHERAPY), name_of(AFROUGH_WAIT)
AFROUGH_ARMS = (
    Arm(NOT_BRIDGED, plan_of(AFROUGH_WAIT)),
    Arm(BRIDGED, plan_of(AFROUGH_WAIT, BRIDGE)),
    Arm(ALONE, BRIDGE),
)


def _burden(result: ArmResult) -> np.ndarray:
    burden = burden_untreated(result.patients, AFROUGH_WAIT)
    return burden >= np.quantile(burden, 1.0 - AFROUGH_SHARE)


GROUPS: Mapping[str, Group] = {HIGH: _burden, LOW: lambda result: ~_burden(result)}


@dataclass(frozen=True, eq=False)
class Waiting:
    """Waits against each other, and bridging given to those with the most tumour, as it was in practice."""

    days: tuple[float, ...]
    waits: Comparison
    afrough: Comparison

    def arms(self, how: str = "") -> dict[float, str]:
        """Names of the arms of one kind by days of waiting."""
        names = [arm.name for arm in self.waits.arms]
        return {wait: name_of(wait, how) for wait in self.days if name_of(wait, how) in names}


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, waits: Sequence[float] = WAITS,
    months: float = 40.0,
) -> Waiting:  # fmt: skip
    """Every wait on the same virtual patients, and the comparison of Afrough 2023 as it was made."""
    few = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS)
    return Waiting(
        tuple(sorted({*waits, RAPID, USUAL})),
        compare(arms_of(waits), calibration, measures=MEASURES, sizes=sizes, months=months),
        compare(AFROUGH_ARMS, calibration, measures=few, groups=GROUPS, sizes=sizes, months=months),
    )


def findings(waiting: Waiting) -> tuple[Finding, ...]:
    """What was reported of bridging, of who never got cells, and of cells that are made in two days."""
    waits, afrough = waiting.waits, waiting.afrough
    bridged, others = afrough.estimate(BRIDGED, MEDIAN_PFS, HIGH), afrough.estimate(NOT_BRIDGED, MEDIAN_PFS, LOW)
    response, reported = afrough.estimate(ALONE, RESPONSE, HIGH), clopper_pearson(20, 169)
    died = waits.estimate(name_of(USUAL), DIED)
    rapid = []
    for product, source, events, n in (("PHE885", "sperling_2023_orr", 44, 45), ("CT071", "du_2024_orr", 16, 17)):
        orr, rate = waits.estimate(name_of(RAPID, product), RESPONSE), clopper_pearson(events, n)
        rapid.append(
            Finding(
                f"nearly all respond to rapidly made cells ({product})", f"{events} of {n}", source,
                f"{orr.text('.0f')} % after {RAPID:g} days", 100 * rate.low <= orr.value <= 100 * rate.high,
                "First cohorts of the product; the calibrated response of late-line patients is lower.",
            )
        )  # fmt: skip
    return (
        Finding(
            "bridged patients progress earlier than those without bridging",
            "median PFS 8.1 or 6.7 months against 11.5", "afrough_2023_bridged_pfs_median",
            f"{bridged.text('.1f')} against {others.text('.1f')} months, bridging going to those with the most tumour",
            bridged.value < others.value,
        ),
        Finding(
            "few respond to bridging", "20 of 169 (12 %), therapies of all kinds", "us_consortium_bridging_orr",
            f"{response.text('.0f')} % to one cycle of chemotherapy",
            100 * reported.low <= response.value <= 100 * reported.high,
            "12, 49 and 0 % of three cohorts contradict each other; the model stands between them.",
        ),
        Finding(
            "no more die while waiting than never got cells",
            f"{NOT_INFUSED} of {RANDOMISED} were not infused, for any reason", "PMC10873054",
            f"{died.text('.1f')} % die within {USUAL:g} days",
            died.high <= 100 * clopper_pearson(NOT_INFUSED, RANDOMISED).high,
            "the estimate is, the interval is not: how steeply the hazard of death rises with the burden is not known.",
        ),
        *rapid,
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """What waiting costs, what would give it back, and why bridged patients do worse in reports."""
    waiting = run(calibration, settings.sizes)
    waits, afrough = waiting.waits, waiting.afrough
    along = wait_picture(
        waits, waiting.arms(), bridged=waiting.arms(CHEMOTHERAPY), from_apheresis=waiting.arms(FROM_APHERESIS),
        reported=REPORTED_WAITS,
    )  # fmt: skip
    by_burden = [table_of(afrough, f"Afrough 2023, {group}", group=group) for group in GROUPS]
    return ExperimentReport(
        title="What does the time from vein to vein cost?",
        subtitle="Ide-cel in virtual late-line patients, with and without bridging",
        sentences=sentences(waiting),
        sections=(
            Section("Along the wait", _TEXT, [along], [table_of(waits, "Waits")]),
            Section("What would give it back", _BACK_TEXT, [per_apheresed_picture(waits, WAYS)]),
            Section("Why bridged patients do worse in reports", _AFROUGH_TEXT, tables=by_burden),
        ),
        numbers=[
            *numbers_of(waits, gains=(RESTRICTED_PFS, PER_APHERESED)),
            *(replace(row, arm=f"Afrough 2023: {row.arm}") for row in numbers_of(afrough)),
        ],
        notices=[*notices_of(waits), _NOTICE],
        given=given_of(waits),
        findings=findings(waiting),
    )


def sentences(waiting: Waiting) -> tuple[str, ...]:
    """The answer in words."""
    waits, usual, rapid = waiting.waits, name_of(USUAL), name_of(RAPID)
    early, late = (name_of(wait, FROM_APHERESIS) for wait in (RAPID, USUAL))
    bridged = waiting.afrough.estimate(BRIDGED, MEDIAN_PFS, HIGH)
    others = waiting.afrough.estimate(NOT_BRIDGED, MEDIAN_PFS, LOW)
    bridge = waiting.afrough.gain(BRIDGED, RESTRICTED_PFS, "", HIGH)
    return (
        f"Cells after {RAPID:g} days instead of {USUAL:g} gain {waits.gain(rapid, PER_APHERESED).text('+.2f')} months "
        f"without progression per patient apheresed (of {RESTRICTED_MONTHS:g}). Counted from infusion it is "
        f"{waits.gain(rapid, RESTRICTED_PFS).text('+.2f')}, because who is lost is not seen; from apheresis, with "
        f"progression while waiting as the event, {waits.gain(early, RESTRICTED_PFS, late).text('+.2f')}.",
        f"In {USUAL:g} days the median tumour grows to {waits.estimate(usual, GROWTH).text('.1f')} times its size, "
        f"{waits.estimate(usual, PROGRESSED).text('.0f')} % of patients progress and "
        f"{waits.estimate(usual, DIED).text('.1f')} % die before their infusion.",
        "In the same patients chemotherapy as a bridge gains "
        f"{waits.gain(name_of(USUAL, CHEMOTHERAPY), PER_APHERESED).text('+.2f')} months, and one that works in "
        f"everybody {waits.gain(name_of(USUAL, EFFECTIVE), PER_APHERESED).text('+.2f')}; "
        f"{NO_TIME.replace(',', ' with')} changes it by {waits.gain(NO_TIME, PER_APHERESED).text('+.1f')}.",
        f"If the bridge goes to those with more tumour, as in practice, the bridged reach a median of "
        f"{bridged.text('.1f')} months and the others {others.text('.1f')}: that is who they are, not what they were "
        f"given, which changes their restricted mean by {bridge.text('+.1f')} months.",
        f"Rapidly made cells are also other cells: PHE885 instead of ide-cel after {RAPID:g} days changes the months "
        f"per patient apheresed by {waits.gain(name_of(RAPID, 'PHE885'), PER_APHERESED, rapid).text('+.1f')}; that "
        "rests on one response rate, and is not what the time gives back.",
    )


_TEXT = """Late-line patients as they are at infusion are taken as they are at apheresis, so that levels are those of a
group a few weeks further on; differences between waits are what counts. Deaths while waiting follow the hazard of a
myeloma that has progressed, learnt from patients after CAR-T cells: who is apheresed counts as having just progressed.
How steeply it rises with the burden is hardly known, which widens the interval upwards; the share who were never
infused (a finding below) bounds it, and was not used to narrow it.
The last five days of every wait are for lymphodepletion: making cells in two days cannot make a wait of two days."""
_BACK_TEXT = """Each against the usual wait, in the same patients. PHE885 stands for rapidly made cells: its product,
not only its time, differs. A bridge that works in everybody is a thought experiment."""
_AFROUGH_TEXT = """As in the report, the bridge is given to the 79 % with the most tumour after five weeks of growth.
Compare the bridged of the first table with the others of the second: they do worse. Then compare both arms within a
table, the same people: the bridge did not do it."""
_NOTICE = """Not modelled: failed manufacture, withdrawal, infection or organ damage that forbid the infusion, and what
bridging does to fitness or to T cells collected before. The hazard of a progressed myeloma may be too high for patients
chosen for a trial, most of whom were bridged with what still worked: fewer progress while waiting there than here
without a bridge."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
