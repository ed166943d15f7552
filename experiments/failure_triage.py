"""Which salvage for which failure mechanism, and how many patients would a biomarker-stratified trial need?

Virtual patients whom ide-cel has failed are sorted by why it failed, and each salvage is given to the same patients. A
trial stratified by a biomarker of the cause would have to find these patients first: the rarer the cause, the more must
be looked at. No such biomarker is validated; here the cause is known because the patients are virtual.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from perdure.experiments.salvage import POPULATION, SALVAGES
from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.cause_heat import CellToDraw, cause_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.causes import EVERYBODY, FOLLOW_UP_MONTHS, LEAST, RESTRICTED_MONTHS, CauseTable, cause_table
from perdure.trials.projection import Estimate, Progress
from perdure.trials.provenance import footing_of_plan
from perdure.trials.treat import SEED

TIME = "about two minutes"
COMPARATOR = "combination chemotherapy"
"""It needs neither antigen nor T cells: that ide-cel has failed, and why, hardly touches what it does."""
GIVEN = (
    COMPARATOR, "ide-cel again", "OriCAR-017 (GPRC5D)", "teclistamab (BCMA)", "talquetamab (GPRC5D)",
    "belantamab mafodotin", "nivolumab", "selinexor",
)  # fmt: skip
LOST = "antigen low or lost"
MEANING: Mapping[str, str] = {
    LOST: "with the antigen of day 0, the CAR-T cells that are there would still hold the tumour",
    "cells exhausted": "they would if all of them worked",
    "cells gone": "the patient's own peak of CAR-T cells, working as well as those that are left, would",
    "several together": "only more than one of these together would",
    "never expanded": "not even all of these together would",
}
"""What each cause means (`model.relapse`); where several suffice alone, they share the relapse."""


def run(
    calibration: Calibration,
    salvages: Mapping[str, str] | None = None,
    *,
    comparator: str = COMPARATOR,
    population: str = POPULATION,
    patients: int = 5000,
    most: int = 100,
    draws: int = 16,
    patients_per_draw: int = 2000,
    most_per_draw: int = 30,
    seed: int = SEED,
    progress: Progress | None = None,
) -> CauseTable:
    """Every salvage against the comparator, by cause of failure; arguments as in `cause_table`."""
    words = {name: SALVAGES[name] for name in GIVEN} if salvages is None else salvages
    return cause_table(
        {name: read_plan(plan) for name, plan in words.items()}, comparator, calibration, population=population,
        patients=patients, most=most, draws=draws, patients_per_draw=patients_per_draw, most_per_draw=most_per_draw,
        seed=seed, progress=progress,
    )  # fmt: skip


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, a picture and tables; the first line is quick, and gets more patients."""
    found = run(
        calibration, patients=5 * settings.patients, most=max(settings.patients // 10, 2),
        draws=min(settings.draws, 16), patients_per_draw=16 * settings.patients_per_draw,
        most_per_draw=max(settings.patients_per_draw // 4, 2), seed=settings.seed, progress=settings.progress,
    )  # fmt: skip
    return Answer(
        title="Which salvage for which failure mechanism?",
        subtitle="Virtual late-line patients whom ide-cel has failed, sorted by why",
        sentences=sentences(found),
        sections=(
            Section("What each salvage gains, by cause", _GAIN_TEXT, [heat(found)], [causes_table(found)]),
            Section("A trial stratified by cause", _TRIAL_TEXT, tables=[trial_table(found)]),
        ),
        numbers=numbers(found),
        notices=notices(calibration),
        findings=findings(found),
    )


def sentences(found: CauseTable) -> tuple[str, ...]:
    """The answer in plain words."""
    shares = ", ".join(f"{group} {_percent(found.prevalence(group))}" for group in found.causes)
    told = []
    for group in found.groups:
        therapy = found.best_therapy(group) if found.enough(group) else ""
        if therapy and therapy != found.comparator:
            told.append(f"{group}: {therapy} {found.gain(group, therapy).text('+.1f')}")
        else:
            told.append(f"{group}: {'no therapy gains' if therapy else 'too few patients to say'}")
    return (
        f"Why ide-cel fails, share of the relapses: {shares}.",
        f"Most months over {found.comparator} ({RESTRICTED_MONTHS:g} months of the salvage): {'; '.join(told)}.",
        f"Choosing by cause adds {_signed(found.gain_of_triage())} months on average to giving everybody "
        f"{found.best_therapy(EVERYBODY)}: a rare cause can matter much to those who have it, and little to the mean.",
    )


def heat(found: CauseTable) -> Picture:
    """Gain of every salvage in the patients of each cause."""
    rows, cells = [], []
    for group in found.groups:
        share = "" if group == EVERYBODY else f"{100 * found.prevalence(group).value:.0f} % of relapses, "
        rows.append(f"{group[0].upper()}{group[1:]}\n({share}n = {math.floor(found.size(group))})")
        cells.append([_cell(found, group, therapy) for therapy in found.therapies])
    return cause_picture(
        cells, rows, found.therapies, name="cause_by_therapy", title="Gain of each salvage by cause of failure",
        scale=f"months of restricted mean PFS over {RESTRICTED_MONTHS:g} months, against {found.comparator}",
        note="Frame: the largest gain for this cause. Bold: the 95 % interval (posterior draws, in brackets) holds "
        "the estimate and leaves out zero. n: effective number of simulated patients; with fewer than "
        f"{LEAST:g} nothing is said.",
    )  # fmt: skip


def _cell(found: CauseTable, group: str, therapy: str) -> CellToDraw:
    if not found.enough(group):
        return CellToDraw(math.nan, math.nan, math.nan)
    gain = found.gain(group, therapy)
    return CellToDraw(gain.value, gain.low, gain.high)


def causes_table(found: CauseTable) -> Table:
    """Every cause: what it means, how often it is, how many patients and draws stand behind its row."""
    rows = [
        (
            group, MEANING.get(group, ""), _percent(found.prevalence(group)), str(math.floor(found.size(group))),
            str(found.draws_behind(group)), "" if found.enough(group) else "too few",
        )
        for group in found.causes
    ]  # fmt: skip
    head = ("cause", "at progression", "share of relapses", "effective patients", "draws with enough", "row")
    return Table("Causes", head, rows, _CAUSES_NOTE.format(len(found.drawn)))


def trial_table(found: CauseTable) -> Table:
    """How many patients a trial in each cause would need, and how many must be looked at to find them."""
    rows = []
    for group in found.groups:
        for therapy in found.therapies if found.enough(group) else ():
            ratio = found.ratio(group, therapy)
            rows.append(
                (
                    group, therapy, _signed(found.gain(group, therapy)), ratio.text(".2f"),
                    people(found.patients_needed(group, therapy)), people(found.patients_screened(group, therapy)),
                )
            )  # fmt: skip
        if not found.enough(group):
            rows.append((group, "all", "too few", "too few", "too few", "too few"))
    head = ("cause", "salvage", "gain, months", "hazard ratio", "patients in the trial", "patients to be looked at")
    return Table("Trials", head, rows, _TRIAL_NOTE.format(found.comparator, FOLLOW_UP_MONTHS))


def people(found: Estimate) -> str:
    """Numbers of patients: whole, and 'none' where no number shows a benefit, as there is none."""

    def one(number: float) -> str:
        if math.isnan(number):
            return "?"
        if math.isinf(number):
            return "none"
        return f"{math.ceil(number):,}" if number <= 20_000 else "above 20,000"

    if math.isinf(found.value):
        return "none: not better"
    if math.isnan(found.low):
        return f"{one(found.value)} (no interval)"
    return f"{one(found.value)} ({one(found.low)} to {one(found.high)})"


def numbers(found: CauseTable) -> list[NumberRow]:
    """Every number, of cells with enough patients."""
    rows = [estimate_row(group, "share of relapses", found.prevalence(group), "") for group in found.causes]
    for group in (one for one in found.groups if found.enough(one)):
        for therapy in found.therapies:
            arm = f"{therapy} ({group})"
            rows.append(estimate_row(arm, "gain in restricted mean PFS", found.gain(group, therapy), "months"))
            rows.append(estimate_row(arm, "hazard ratio", found.ratio(group, therapy), ""))
            rows.append(estimate_row(arm, "patients needed", found.patients_needed(group, therapy), ""))
            rows.append(estimate_row(arm, "patients to be looked at", found.patients_screened(group, therapy), ""))
    return [*rows, estimate_row("choice by cause", "gain over one salvage for all", found.gain_of_triage(), "months")]


def notices(calibration: Calibration) -> list[str]:
    """What the causes rest on, and where every salvage stands."""
    studies = read_studies()
    standing = []
    for name in GIVEN:
        foot = footing_of_plan(read_plan(SALVAGES[name]), POPULATION, studies, calibration.missed)
        standing.append(f"{name}: {foot.flag}. {foot.reason[0].upper()}{foot.reason[1:].removesuffix('.')}.")
    return [_CAUSES_NOTICE, *standing]


def findings(found: CauseTable) -> tuple[Finding, ...]:
    """What the review proposes, where the model has enough patients to agree or not."""
    cells, again = "OriCAR-017 (GPRC5D)", "ide-cel again"
    if not found.enough(LOST) or cells not in found.therapies or again not in found.therapies:
        return ()
    one, two = found.gain(LOST, cells), found.gain(LOST, again)
    return (
        Finding(
            "where the antigen is low or lost, cells against another one gain more than the same cells again",
            "the review proposes to choose the salvage by the failure mechanism, and here to change the target",
            "review",
            f"{cells} {one.text('+.1f')}, {again} {two.text('+.1f')} months over {found.comparator}",
            one.value > two.value,
        ),
    )


def _percent(found: Estimate) -> str:
    return Estimate(*(100.0 * value for value in (found.value, found.low, found.high))).text(".0f") + " %"


def _signed(found: Estimate) -> str:
    values = (f"{round(value, 1) + 0.0:+.1f}" for value in (found.value, found.low, found.high))
    return "{} ({} to {})".format(*values)


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "failure_triage", answer)


_GAIN_TEXT = """Every salvage is given to the same virtual patients at the progression after ide-cel; cells count from
their infusion four weeks later. A row holds the patients of one cause, each with the share that this cause has in the
relapse. Where most relapses are of one kind, rows of rare causes rest on few patients, and on what the model assumes
of antigen and exhaustion, not on data of such patients. An estimate outside its own interval is not typical of the
draws: the estimate has the highest posterior probability, the interval holds the middle of the draws."""
_TRIAL_TEXT = """A trial that takes only patients of one cause needs fewer of them where the effect is larger there; but
for each of them so many must be looked at as the cause is rare. The last column is to be compared with the trial in
whoever progresses, which looks at nobody in vain."""
_CAUSES_NOTE = """Share: value at the estimate (central 95 % of {} posterior draws). Effective patients: Kish's number
of the simulated patients who go on to a salvage."""
_TRIAL_NOTE = """Against {}, two equal arms, 80 % power, two-sided 5 %, {:g} months of follow-up for everybody, no
dropout: events after Schoenfeld 1983, over the share with an event. Value (central 95 % of posterior draws); none: no
number of patients shows a benefit, because there is none. A test of the cause without error is taken for granted.
Numbers below about 40 say that the effect is large, not that so small a trial would do."""
_CAUSES_NOTICE = """The causes are bookkeeping on the model: which single restoration would still have held the tumour.
No trial has measured them, and no biomarker of them is validated."""
