"""What does the time from apheresis to infusion cost, and would rapid manufacture or bridging give it back?

The same virtual patients wait from five to sixty days for their cells, with and without bridging. Three ways to count
stand side by side: from infusion (who is lost while waiting is not seen), per patient apheresed (who is lost counts as
nothing gained), and from apheresis as trials by intention to treat count (a progression while waiting is the event).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.model.imwg import HIGH_M_PROTEIN, RISE_LIGHT_CHAIN, RISE_M_PROTEIN, RISE_M_PROTEIN_HIGH, RISE_RELATIVE
from perdure.model.overall_survival import hazard_after_progression
from perdure.model.processes.tumour import burden_untreated
from perdure.model.regimens.regimen import Regimen
from perdure.model.simulate import Solver, simulate
from perdure.model.statistics.proportions import clopper_pearson
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.comparison_report import given_of, line_along, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, LineToDraw, along_picture
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, Change, Comparison, Group, compare
from perdure.trials.measures import MEDIAN_PFS, PEAK, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS, Measure, Treated
from perdure.trials.projection import Progress
from perdure.trials.treat import SEED

# What happens between apheresis and infusion: growth, progression and death of virtual patients who wait for cells.


USUAL = 49.0
REPORTED_WAITS = ((44.0, "CARTITUDE-4"), (USUAL, "KarMMa-3"))
"""Median days from apheresis to infusion (PMC10873054)."""
NOT_INFUSED = {"KarMMa": (12, 140), "KarMMa-3": (29, 254)}
"""Patients who were apheresed or randomised and never had cells, for whatever reason (PMC10873054)."""


def words(wait: float, bridging: str = "", product: str = "ide-cel") -> str:
    """The plan of a wait in words: the last five days are for lymphodepletion."""
    cells = f"lymphodepletion days {wait - 5:g}-{wait - 3:g}; {product} on day {wait:g}"
    return f"{bridging}; {cells}" if bridging else cells


@lru_cache(maxsize=4)
def _course(one: Treated) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days, tumour (n, days) and M-protein (n, days) from apheresis until the cells of this arm."""
    wait = min(one.regimen.infusions, default=0.0)
    before = tuple(
        dose for dose in one.regimen.doses
        if dose.day < wait and dose.therapy not in {"lymphodepletion", *one.regimen.products}
    )  # fmt: skip
    days = np.linspace(0.0, max(wait, 1.0), 15)
    full = {**one.patients, "fraction_lymphodepletion": np.zeros(one.outcomes.n)}
    found = simulate(full, Regimen(before, "while waiting"), times=days, solver=Solver(rtol=1e-5))
    return days, found["tumour"], found["m_protein"]


def alive_at_infusion(one: Treated) -> np.ndarray:
    """Probability (n,) of being alive when the cells come.

    Hazard while waiting: that of death without progression, and that of a myeloma that has progressed
    (`overall_survival`), since who waits for cells has one. Whoever is apheresed counts as having just progressed, at
    the usual burden of that, and the hazard moves with the burden from there on: how it differs between the burdens at
    apheresis and at a relapse after CAR-T cells was never seen.
    """
    days, tumour, _ = _course(one)
    burden = one.patients["tumour_progressed"] * (tumour.T / tumour[:, 0])
    hazard = hazard_after_progression(one.patients, burden) + one.patients["hazard_death_first_year"]
    wait = min(one.regimen.infusions, default=0.0)
    return np.exp(-np.trapezoid(hazard, days, axis=0)) if wait else np.ones(one.outcomes.n)


def progressed_at_infusion(one: Treated) -> np.ndarray:
    """Whether (n,) the marker has risen by what counts as progression (Kumar 2016) when the cells come."""
    _, tumour, protein = _course(one)
    light = one.patients["light_chain_only"] > 0.5
    chains = one.patients["flc_baseline"] * tumour[:, -1] / one.patients["tumour_baseline"]
    first = np.where(light, one.patients["flc_baseline"], protein[:, 0])
    last = np.where(light, chains, protein[:, -1])
    least = np.where(light, RISE_LIGHT_CHAIN, RISE_M_PROTEIN)
    high = ~light & (first >= HIGH_M_PROTEIN)
    return last - first >= np.where(high, RISE_M_PROTEIN_HIGH, np.maximum(RISE_RELATIVE * first, least))


def _months_per_apheresed(one: Treated) -> float:
    until = min(RESTRICTED_MONTHS, one.outcomes.visits.months) * DAYS_PER_MONTH
    day = np.minimum(np.minimum(one.outcomes.progression(), one.outcomes.death), until)
    return one.mean(alive_at_infusion(one) * day / DAYS_PER_MONTH)


def _growth(one: Treated) -> float:
    tumour = _course(one)[1]
    return one.median(tumour[:, -1] / tumour[:, 0])


LOST = Measure("die before infusion", "%", lambda one: 100.0 * one.mean(1.0 - alive_at_infusion(one)), 0.0, 100.0)
WORSE = Measure(
    "progress before infusion", "%", lambda one: 100.0 * one.mean(progressed_at_infusion(one).astype(float)), 0.0, 100.0
)  # fmt: skip
GROWN = Measure("median tumour at infusion, that at apheresis being 1", "", _growth)
PER_APHERESED = Measure(
    "months without progression after infusion, per patient apheresed", "months", _months_per_apheresed
)  # fmt: skip
"""Restricted mean PFS from infusion, nothing for who dies before it: no month of waiting counts as gained."""

MEASURES = (RESPONSE, MEDIAN_PFS, RESTRICTED_PFS, PER_APHERESED, LOST, WORSE, GROWN, PEAK)
"""What is read off an arm of patients who wait."""


TIME = "about a minute and a half"
RAPID = 14.0
"""Days from apheresis to infusion that are about what is left if making the cells takes two days."""
WAITS = (5.0, RAPID, 28.0, USUAL, 60.0)
"""Days from apheresis to infusion; lymphodepletion takes the last five, so that nobody's wait is shorter."""
AFROUGH_WAIT, AFROUGH_SHARE = 35.0, 0.79
CHEMOTHERAPY = "combination-chemotherapy 680 mg days 0-3"
NO_TIME = "2 days, no time for lymphodepletion"
WORKS = "chemotherapy that works in everybody"
INHIBITOR = "proteasome inhibitor"
ALONE, HIGH, LOW = "chemotherapy, no cells", "the 79 % with the most tumour", "the 21 % with the least"


@dataclass(frozen=True, eq=False)
class Waiting:
    """Waits against each other, and bridging given to those with the most tumour, as it was in practice."""

    waits: Comparison
    chosen: Comparison


def name_of(wait: float, how: str = "") -> str:
    """How an arm is called."""
    return f"{wait:g} days, {how}" if how else f"{wait:g} days"


def _works(one: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"sensitive_combination_chemotherapy": np.ones_like(one["sensitive_combination_chemotherapy"])}


def arms_of(waits: Sequence[float] = WAITS) -> tuple[Arm, ...]:
    """The usual wait without bridging first, against which everything else is measured."""
    some = sorted({*waits, RAPID, USUAL} - {USUAL})
    inhibitor = f"proteasome-inhibitor 2.2 mg weekly from day 0 for {USUAL - 7:g} days"
    works: Change = _works
    return (
        Arm(name_of(USUAL), words(USUAL)),
        *(Arm(name_of(wait), words(wait)) for wait in some),
        Arm(NO_TIME, "ide-cel on day 2"),
        *(Arm(name_of(w, "chemotherapy"), words(w, CHEMOTHERAPY)) for w in sorted({*some, USUAL}) if w >= RAPID),
        Arm(name_of(USUAL, INHIBITOR), words(USUAL, inhibitor)),
        Arm(name_of(USUAL, WORKS), words(USUAL, CHEMOTHERAPY), change=works),
        *(Arm(name_of(wait, "PHE885"), words(wait, product="phe885")) for wait in (RAPID, USUAL)),
        Arm(name_of(RAPID, "CT071"), words(RAPID, product="ct071")),
        *(Arm(name_of(w, "from apheresis"), words(w), from_infusion=False) for w in sorted({*some, USUAL})),
    )


def _burden(high: bool) -> Group:
    def belongs(one: Treated) -> np.ndarray:
        burden = burden_untreated(one.patients, AFROUGH_WAIT)
        return (burden >= np.quantile(burden, 1.0 - AFROUGH_SHARE)) == high

    return belongs


def run(
    waits: Sequence[float] = WAITS,
    *,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 40.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Waiting:
    """Every wait on the same virtual patients, and the comparison of Afrough 2023 as it was made."""
    calibration = calibration or read_calibration()
    sizes: dict[str, Any] = {
        "patients": patients, "draws": draws, "patients_per_draw": patients_per_draw, "months": months, "seed": seed,
        "progress": progress,
    }  # fmt: skip
    chosen = (
        Arm(name_of(AFROUGH_WAIT), words(AFROUGH_WAIT)),
        Arm(name_of(AFROUGH_WAIT, "chemotherapy"), words(AFROUGH_WAIT, CHEMOTHERAPY)),
        Arm(ALONE, CHEMOTHERAPY),
    )
    groups = {HIGH: _burden(True), LOW: _burden(False)}
    return Waiting(
        compare(arms_of(waits), calibration, measures=MEASURES, **sizes),
        compare(chosen, calibration, measures=(RESPONSE, MEDIAN_PFS, RESTRICTED_PFS), groups=groups, **sizes),
    )


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    return Answer(
        title="What does the time from vein to vein cost?",
        subtitle="Ide-cel in virtual late-line patients, with and without bridging",
        sentences=sentences(found),
        sections=(
            Section("Along the wait", _TEXT, [wait_picture(found.waits)], [table_of(found.waits, "Waits")]),
            Section("What would give it back", _BACK, [back_picture(found.waits)]),
            Section(
                "Why bridged patients do worse in reports",
                _CHOSEN,
                tables=[table_of(found.chosen, f"Afrough 2023, {group}", group=group) for group in (HIGH, LOW)],
            ),
        ),
        numbers=[
            *numbers_of(found.waits, gains=(RESTRICTED_PFS, PER_APHERESED)),
            *(replace(row, arm=f"Afrough 2023: {row.arm}") for row in numbers_of(found.chosen)),
        ],
        notices=[*notices_of(found.waits), _NOTICE],
        given=given_of(found.waits),
        findings=findings(found),
    )


def sentences(found: Waiting) -> tuple[str, ...]:
    """The answer in words."""
    one, usual, rapid = found.waits, name_of(USUAL), name_of(RAPID)
    early, late = (name_of(wait, "from apheresis") for wait in (RAPID, USUAL))
    bridged = found.chosen.estimate(name_of(AFROUGH_WAIT, "chemotherapy"), MEDIAN_PFS, HIGH)
    others = found.chosen.estimate(name_of(AFROUGH_WAIT), MEDIAN_PFS, LOW)
    given = found.chosen.gain(name_of(AFROUGH_WAIT, "chemotherapy"), RESTRICTED_PFS, "", HIGH)
    return (
        f"Cells after {RAPID:g} days instead of {USUAL:g} gain {one.gain(rapid, PER_APHERESED).text('+.2f')} months "
        f"without progression per patient apheresed (of {RESTRICTED_MONTHS:g}). Counted from infusion it is "
        f"{one.gain(rapid, RESTRICTED_PFS).text('+.2f')}, because who is lost is not seen; from apheresis, with "
        f"progression while waiting as the event, {one.gain(early, RESTRICTED_PFS, late).text('+.2f')}.",
        f"In {USUAL:g} days the median tumour grows to {one.estimate(usual, GROWN).text('.1f')} times its size, "
        f"{one.estimate(usual, WORSE).text('.0f')} % of patients progress and "
        f"{one.estimate(usual, LOST).text('.1f')} % die before their infusion.",
        "In the same patients chemotherapy as a bridge gains "
        f"{one.gain(name_of(USUAL, 'chemotherapy'), PER_APHERESED).text('+.2f')} months, and one that works in "
        f"everybody {one.gain(name_of(USUAL, WORKS), PER_APHERESED).text('+.2f')}; "
        f"{NO_TIME.replace(',', ' with')} changes it by {one.gain(NO_TIME, PER_APHERESED).text('+.1f')}.",
        f"If the bridge goes to those with more tumour, as in practice, the bridged reach a median of "
        f"{bridged.text('.1f')} months and the others {others.text('.1f')}: that is who they are, not what they were "
        f"given, which changes their restricted mean by {given.text('+.1f')} months.",
        f"Rapidly made cells are also other cells: PHE885 instead of ide-cel after {RAPID:g} days changes the months "
        f"per patient apheresed by {one.gain(name_of(RAPID, 'PHE885'), PER_APHERESED, rapid).text('+.1f')}; that "
        "rests on one response rate, and is not what the time gives back.",
    )


def wait_picture(found: Comparison) -> Picture:
    """Three ways to count, who is lost, and how the tumour grows, along the wait."""
    waits = sorted(wait for wait in WAITS if name_of(wait) in [arm.name for arm in found.arms])
    later = [wait for wait in waits if wait >= RAPID]

    def line(label: str, measure: Measure, how: str = "") -> LineToDraw:
        x = later if how == "chemotherapy" else waits
        return line_along(found, label, x, [name_of(wait, how) for wait in x], measure)

    marks = [(day, label) for day, label in REPORTED_WAITS if day <= max(waits)]
    x_label = "days from apheresis to infusion"
    panels = [
        AlongPanel(
            "Three ways to count", x_label, f"restricted mean PFS to month {RESTRICTED_MONTHS:g} (months)",
            [
                line("from infusion", RESTRICTED_PFS),
                line("per patient apheresed", PER_APHERESED),
                line("from apheresis", RESTRICTED_PFS, "from apheresis"),
            ],
            marks=marks,
        ),
        AlongPanel(
            "Bridging, per patient apheresed", x_label, "months without progression after infusion",
            [line("no bridging", PER_APHERESED), line("chemotherapy", PER_APHERESED, "chemotherapy")], marks=marks,
        ),
        AlongPanel(
            "Lost while waiting", x_label, "share of patients apheresed (%)",
            [line("progress", WORSE), line("die", LOST)],
        ),
        AlongPanel(
            "Growth of the tumour", x_label, "median tumour at infusion (times that at apheresis)",
            [line("no bridging", GROWN), line("chemotherapy", GROWN, "chemotherapy")], marks=marks,
        ),
    ]  # fmt: skip
    return along_picture(
        panels, name="vein_to_vein", title="Waiting for CAR-T cells (simulated)",
        note="Dashed: median times of two trials (PMC10873054).",
    )  # fmt: skip


def back_picture(found: Comparison) -> Picture:
    """What each way to shorten or bridge the wait gains per patient apheresed, against the usual wait."""
    wanted = (
        name_of(5.0), name_of(RAPID), name_of(28.0), NO_TIME, name_of(USUAL, "chemotherapy"),
        name_of(USUAL, INHIBITOR), name_of(USUAL, WORKS), name_of(USUAL, "PHE885"), name_of(RAPID, "PHE885"),
    )  # fmt: skip
    footings = {arm.name: footing for arm, footing in zip(found.arms, found.footings, strict=True)}
    rows = []
    for name in wanted:
        if name in footings:
            gain = found.gain(name, PER_APHERESED)
            rows.append(EffectRowToDraw(name, gain.value, gain.low, gain.high, not footings[name].calibrated))
    return effect_picture(
        rows, name="vein_to_vein_gain", title=f"Instead of {USUAL:g} days without bridging",
        x_label=f"Months without progression after infusion, of {RESTRICTED_MONTHS:g}, per patient apheresed",
        sides=("worse", "better"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def findings(found: Waiting) -> tuple[Finding, ...]:
    """What was reported of bridging, of who never got cells, and of cells that are made in two days."""
    chosen, known = found.chosen, clopper_pearson(20, 169)
    sick = chosen.estimate(name_of(AFROUGH_WAIT, "chemotherapy"), MEDIAN_PFS, HIGH)
    well, response = chosen.estimate(name_of(AFROUGH_WAIT), MEDIAN_PFS, LOW), chosen.estimate(ALONE, RESPONSE, HIGH)
    lost, (out, all_of) = found.waits.estimate(name_of(USUAL), LOST), NOT_INFUSED["KarMMa-3"]
    made = [
        Finding(
            "bridged patients progress earlier than those without bridging",
            "median PFS 8.1 or 6.7 months against 11.5", "afrough_2023_bridged_pfs_median",
            f"{sick.text('.1f')} against {well.text('.1f')} months, bridging going to those with the most tumour",
            sick.value < well.value,
        ),
        Finding(
            "few respond to bridging", "20 of 169 (12 %), therapies of all kinds", "us_consortium_bridging_orr",
            f"{response.text('.0f')} % to one cycle of chemotherapy",
            100 * known.low <= response.value <= 100 * known.high,
            "12, 49 and 0 % of three cohorts contradict each other; the model stands between them.",
        ),
        Finding(
            "no more die while waiting than never got cells", f"{out} of {all_of} were not infused, for any reason",
            "PMC10873054", f"{lost.text('.1f')} % die within {USUAL:g} days",
            lost.high <= 100 * clopper_pearson(out, all_of).high,
            "the estimate is, the interval is not: how steeply the hazard of death rises with the burden is not known.",
        ),
    ]  # fmt: skip
    for product, source, events, n in (("PHE885", "sperling_2023_orr", 44, 45), ("CT071", "du_2024_orr", 16, 17)):
        orr, rate = found.waits.estimate(name_of(RAPID, product), RESPONSE), clopper_pearson(events, n)
        made.append(
            Finding(
                f"nearly all respond to rapidly made cells ({product})", f"{events} of {n}", source,
                f"{orr.text('.0f')} % after {RAPID:g} days", 100 * rate.low <= orr.value <= 100 * rate.high,
                "First cohorts of the product; the calibrated response of late-line patients is lower.",
            )
        )  # fmt: skip
    return tuple(made)


_TEXT = """Late-line patients as they are at infusion are taken as they are at apheresis, so that levels are those of a
group a few weeks further on; differences between waits are what counts. Deaths while waiting follow the hazard of a
myeloma that has progressed, learnt from patients after CAR-T cells: who is apheresed counts as having just progressed.
How steeply it rises with the burden is hardly known, which widens the interval upwards; the share who were never
infused (a finding below) bounds it, and was not used to narrow it.
The last five days of every wait are for lymphodepletion: making cells in two days cannot make a wait of two days."""
_BACK = """Each against the usual wait, in the same patients. PHE885 stands for rapidly made cells: its product, not
only its time, differs. A bridge that works in everybody is a thought experiment."""
_CHOSEN = """As in the report, the bridge is given to the 79 % with the most tumour after five weeks of growth. Compare
the bridged of the first table with the others of the second: they do worse. Then compare both arms within a table, the
same people: the bridge did not do it."""
_NOTICE = """Not modelled: failed manufacture, withdrawal, infection or organ damage that forbid the infusion, and what
bridging does to fitness or to T cells collected before. The hazard of a progressed myeloma may be too high for patients
chosen for a trial, most of whom were bridged with what still worked: fewer progress while waiting there than here
without a bridge."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "vein_to_vein", answer)
