"""A cause table as a picture, tables and numbers: gain of each salvage by cause of failure, and sizes of trials."""

import math
from collections.abc import Mapping

from ..fitting.posterior import Estimate
from ..trials.causes import EVERYBODY, FOLLOW_UP_MONTHS, LEAST, RESTRICTED_MONTHS, CauseTable
from .figures.cause_table import CauseCell, cause_picture
from .figures.picture import Picture
from .report import Table
from .run_files import NumberRow, estimate_row

MEANING: Mapping[str, str] = {
    "antigen low or lost": "with the antigen of day 0, the CAR-T cells that are there would still hold the tumour",
    "cells exhausted": "they would if all of them worked",
    "cells gone": "the patient's own peak of CAR-T cells, working as well as those that are left, would",
    "several together": "only more than one of these together would",
    "never expanded": "not even all of these together would",
}
"""What each cause means (`model.relapse`); where several suffice alone, they share the relapse."""
_CAUSES_NOTE = """Share: value at the estimate (central 95 % of {} posterior draws). Effective patients: Kish's number
of the simulated patients who go on to a salvage."""
_TRIAL_NOTE = """Against {}, two equal arms, 80 % power, two-sided 5 %, {:g} months of follow-up for everybody, no
dropout: events after Schoenfeld 1983, over the share with an event. Value (central 95 % of posterior draws); none: no
number of patients shows a benefit, because there is none. A test of the cause without error is taken for granted.
Numbers below about 40 say that the effect is large, not that so small a trial would do."""


def gain_picture(causes: CauseTable) -> Picture:
    """Gain of every salvage in the patients of each cause."""
    rows, cells = [], []
    for group in causes.groups:
        share = "" if group == EVERYBODY else f"{100 * causes.prevalence(group).value:.0f} % of relapses, "
        rows.append(f"{group[0].upper()}{group[1:]}\n({share}n = {math.floor(causes.size(group))})")
        cells.append([_cell(causes, group, therapy) for therapy in causes.therapies])
    return cause_picture(
        cells, rows, causes.therapies, name="cause_by_therapy", title="Gain of each salvage by cause of failure",
        scale=f"months of restricted mean PFS over {RESTRICTED_MONTHS:g} months, against {causes.comparator}",
        note="Frame: the largest gain for this cause. Bold: the 95 % interval (posterior draws, in brackets) holds "
        "the estimate and leaves out zero. n: effective number of simulated patients; with fewer than "
        f"{LEAST:g} nothing is said.",
    )  # fmt: skip


def _cell(causes: CauseTable, group: str, therapy: str) -> CauseCell:
    if not causes.enough(group):
        return CauseCell(math.nan, math.nan, math.nan)
    gain = causes.gain(group, therapy)
    return CauseCell(gain.value, gain.low, gain.high)


def causes_table(causes: CauseTable) -> Table:
    """Every cause: what it means, how often it is, how many patients and draws stand behind its row."""
    rows = [
        (
            group, MEANING.get(group, ""), percent(causes.prevalence(group)), str(math.floor(causes.size(group))),
            str(causes.draws_behind(group)), "" if causes.enough(group) else "too few",
        )
        for group in causes.causes
    ]  # fmt: skip
    head = ("cause", "at progression", "share of relapses", "effective patients", "draws with enough", "row")
    return Table("Causes", head, rows, _CAUSES_NOTE.format(len(causes.posterior.draws)))


def trials_table(causes: CauseTable) -> Table:
    """How many patients a trial in each cause would need, and how many must be looked at to find them."""
    rows = []
    for group in causes.groups:
        for therapy in causes.therapies if causes.enough(group) else ():
            ratio = causes.ratio(group, therapy)
            rows.append(
                (
                    group, therapy, signed(causes.gain(group, therapy)), ratio.text(".2f"),
                    people(causes.patients_needed(group, therapy)), people(causes.patients_screened(group, therapy)),
                )
            )  # fmt: skip
        if not causes.enough(group):
            rows.append((group, "all", "too few", "too few", "too few", "too few"))
    head = ("cause", "salvage", "gain, months", "hazard ratio", "patients in the trial", "patients to be looked at")
    return Table("Trials", head, rows, _TRIAL_NOTE.format(causes.comparator, FOLLOW_UP_MONTHS))


def numbers_of(causes: CauseTable) -> list[NumberRow]:
    """Every number, of cells with enough patients."""
    rows = [estimate_row(group, "share of relapses", causes.prevalence(group), "") for group in causes.causes]
    for group in filter(causes.enough, causes.groups):
        for therapy in causes.therapies:
            arm = f"{therapy} ({group})"
            rows.append(estimate_row(arm, "gain in restricted mean PFS", causes.gain(group, therapy), "months"))
            rows.append(estimate_row(arm, "hazard ratio", causes.ratio(group, therapy), ""))
            rows.append(estimate_row(arm, "patients needed", causes.patients_needed(group, therapy), ""))
            rows.append(estimate_row(arm, "patients to be looked at", causes.patients_screened(group, therapy), ""))
    return [*rows, estimate_row("choice by cause", "gain over one salvage for all", causes.gain_of_triage(), "months")]


def people(patients: Estimate) -> str:
    """Numbers of patients: whole, and 'none' where no number shows a benefit, as there is none."""

    def printed(number: float) -> str:
        if math.isnan(number):
            return "?"
        if math.isinf(number):
            return "none"
        return f"{math.ceil(number):,}" if number <= 20_000 else "above 20,000"

    if math.isinf(patients.value):
        return "none: not better"
    if math.isnan(patients.low):
        return f"{printed(patients.value)} (no interval)"
    return f"{printed(patients.value)} ({printed(patients.low)} to {printed(patients.high)})"


def percent(share: Estimate) -> str:
    """A share, 0 to 1, in percent with its interval."""
    return Estimate(*(100.0 * value for value in (share.value, share.low, share.high))).text(".0f") + " %"


def signed(gain: Estimate) -> str:
    """A gain with its interval and its sign; a zero as written has a plus."""
    values = (f"{round(value, 1) + 0.0:+.1f}" for value in (gain.value, gain.low, gain.high))
    return "{} ({} to {})".format(*values)
