"""What would have prevented each relapse after CAR-T cells: antigen, exhaustion, persistence, expansion, or the marrow?

The bookkeeping (`model.relapse`) asks what would still hold the tumour on the day of progression. Here the same virtual
patients are treated again with one mechanism restored from day 0, and each relapse is sorted by what gains most.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perdure.experiments.answer import Answer, Finding, tell
from perdure.experiments.parts.relapse_levers import (
    ALIKE,
    ALL,
    BEST,
    BEST_TENTH,
    BOOKS,
    COMPLETE,
    FITNESS,
    FULL,
    GIVEN,
    LEAST,
    NONE,
    PAIRS,
    POPULATION,
    SINGLE,
    SLOW,
    WITH_FITNESS,
    WORTH,
    Prevention,
    levers,
    numbers,
)
from perdure.experiments.pictures.forest import effect_picture
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.rows import EffectRowToDraw
from perdure.experiments.pictures.shares import shares_picture
from perdure.experiments.projection import Progress
from perdure.experiments.report.report import Section, Table
from perdure.experiments.scenarios import footing_of_plan
from perdure.experiments.settings import Settings
from perdure.experiments.treat import SEED
from perdure.fitting.calibration import Calibration, read_calibration
from perdure.fitting.reported import read_studies
from perdure.model.language.sentence import read_plan
from perdure.model.relapse import CAUSES

TIME = "about twenty seconds"
SPLIT = 180.0
"""Peak of CAR-T cells per mm3 that parts patients (Caillot 2024)."""
NAMED = ("antigen", "exhaustion", "marrow")
"""What the review names as leading to failure."""
SOME = 5.0
"""Percent of relapses from which on a mechanism counts as one of those that matter; a choice."""


def run(
    *,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 36.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Prevention:
    """The same virtual patients after ide-cel with every restoration; pairs of them at the estimate only."""
    calibration = calibration or read_calibration()
    drawn, draws = [], min(draws, len(calibration.draws))
    best, few = (
        levers(calibration.parameters(), patients=n, months=months, seed=seed) for n in (patients, patients_per_draw)
    )
    pairs = levers(calibration.parameters(), (*PAIRS.values(), ALL), patients=patients, months=months, seed=seed)
    for k in range(draws):
        drawn.append(levers(calibration.draw(k), patients=patients_per_draw, months=months, seed=seed))
        if progress is not None:
            progress("posterior draws", k + 1, draws)
    return Prevention(best, few, drawn, pairs)


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    plan = read_plan(GIVEN)
    foot = footing_of_plan(plan, POPULATION, read_studies(), calibration.missed)
    return Answer(
        title="What would have prevented each relapse after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients; relapses until month 36",
        sentences=sentences(found),
        sections=(
            Section("Two ways of sorting", _SORT_TEXT, [shares(found)], [shares_table(found), cross_table(found)]),
            Section("How much each would gain", _GAIN_TEXT, [gains(found)], [gain_table(found)]),
            Section("Whose relapse is it?", _WHOSE_TEXT, tables=[traits_table(found)]),
            Section("Two at once", _PAIR_TEXT, tables=[pair_table(found)]),
        ),
        numbers=numbers(found),
        notices=[_STRENGTH, f"Ide-cel as it is: {foot.flag}. {foot.reason[0].upper()}{foot.reason[1:]}.", _LIMITS],
        findings=findings(found),
        given=[("patients as they are, and with every restoration", plan.text)],
    )


def sentences(found: Prevention) -> tuple[str, ...]:
    """The answer in words."""
    best, full = found.best, sorted(COMPLETE, key=lambda one: -found.share(one).value)
    main, gone = best.main(COMPLETE), best.causes[:, CAUSES.index("cells gone")]
    within = {
        name: 100.0 * best.mean(gone * (main == list(COMPLETE).index(name))) / (best.mean(gone) or np.nan)
        for name in full
    }
    by_tenth = sorted(BEST, key=lambda one: -found.share(one, BEST).value)
    first, second = full[:2]
    pair = next(one for names, one in PAIRS.items() if set(names) == {first, second})
    alone = [best.mean(best.gain[COMPLETE[name].name]) for name in (first, second)]
    return (
        f"Restored in full from day 0, the largest gain ({LEAST:g} months or more) comes from "
        + ", ".join(f"{name} in {found.share(name).text('.0f')} %" for name in full)
        + f" of the relapses; in {found.share(NONE).text('.0f')} % no single one gains {LEAST:g} months, and in "
        f"{found.percent(lambda one: one.several(COMPLETE)).text('.0f')} % two or more would, each alone.",
        f"On the day of progression the bookkeeping blames cells gone for {found.booked('cells gone').text('.0f')} % "
        f"and low antigen for {found.booked('antigen').text('.0f')} %. Of what it calls cells gone, {first} from "
        f"day 0 on would have gained most in {within[first]:.0f} % and {second} in {within[second]:.0f} %.",
        "A relapse would be put off (months until month 36) by "
        + ", ".join(f"{COMPLETE[name].name} {found.gain(COMPLETE[name]).text('.1f')}" for name in full)
        + f". For comparison: {SLOW.name} {found.gain(SLOW).text('.1f')}, {FITNESS.name} "
        f"{found.gain(FITNESS).text('.1f')}; counted as a sixth mechanism these would gain most in "
        f"{found.share('fitness', WITH_FITNESS).text('.0f')} %.",
        "With each mechanism only as it is in the best tenth of patients: "
        + ", ".join(f"{name} {found.share(name, BEST).text('.0f')} %" for name in by_tenth)
        + f", {NONE} {found.share(NONE, BEST).text('.0f')} %.",
        f"{COMPLETE[first].name.capitalize()} and {COMPLETE[second].name} together gain "
        f"{found.pairs.mean(found.pairs.gain[pair.name]):.1f} months, against {sum(alone):.1f} as a sum of "
        f"both alone; all five {found.pairs.mean(found.pairs.gain[ALL.name]):.1f}.",
    )


def shares(found: Prevention) -> Picture:
    """Main mechanisms by both ways of sorting, and by restorations of one strength."""
    order = (*COMPLETE, "cells gone", NONE)

    def bar(values: Mapping[str, float]) -> Mapping[str, float]:
        return {name: values.get(name, 0.0) / 100.0 for name in order}

    books = {name: found.booked(name).value for name in dict.fromkeys(ALIKE.values())}
    return shares_picture(
        {BOOKS: bar(books), FULL: bar(found.best.shares(COMPLETE)), BEST_TENTH: bar(found.best.shares(BEST))},
        name="prevention_shares", title="What is missing at a relapse, and what would have prevented it (simulated)",
        note="Upper bar: bookkeeping on that day; none alone are several together and never expanded. Others: the "
        f"largest gain, if {LEAST:g} months or more. Restorations in full differ in strength.",
    )  # fmt: skip


def gains(found: Prevention) -> Picture:
    """Gain of every restoration, in the relapses of the patients as they are."""
    rows = [EffectRowToDraw(one.name, (g := found.gain(one)).value, g.low, g.high, True) for one in SINGLE]
    return effect_picture(
        rows, name="prevention_gain", title="What each restoration would add to a relapse (simulated)",
        x_label="Months of progression-free time gained until month 36, mean of relapses", sides=("lost", "gained"),
        note="All are thought experiments. Interval: central 95 % of posterior draws.",
    )  # fmt: skip


def shares_table(found: Prevention) -> Table:
    """Percent of relapses by main mechanism, three ways."""
    rows = []
    for name in (*COMPLETE, "cells gone", NONE):
        booked = found.booked(name).text(".0f") if name in ALIKE.values() else ""
        own = [found.share(name, one).text(".0f") if name in (*COMPLETE, NONE) else "" for one in (COMPLETE, BEST)]
        rows.append((name, booked, *own))
    return Table("Shares of relapses", ("mechanism", f"{BOOKS}, %", f"{FULL}, %", f"{BEST_TENTH}, %"), rows, _NOTE)


def cross_table(found: Prevention) -> Table:
    """Main mechanism (restored in full) against the cause of the bookkeeping, percent of all relapses."""
    main, rows = found.best.main(COMPLETE), []
    for k, name in enumerate((*COMPLETE, NONE)):
        cells = [100.0 * found.best.mean(found.best.causes[:, c] * (main == k)) for c in range(len(CAUSES))]
        rows.append((name, *(f"{one:.1f}" for one in (*cells, sum(cells)))))
    return Table("Prevention against bookkeeping", ("main mechanism", *CAUSES, "all"), rows, _CROSS_NOTE)


def gain_table(found: Prevention) -> Table:
    """Every restoration: months, and how often it is large."""
    rows = [
        (
            one.name, found.gain(one).text(".1f"), found.everybody(one).text(".1f"), found.worth(one).text(".0f"),
            found.kept(one).text(".0f"),
        )
        for one in SINGLE
    ]  # fmt: skip
    head = (
        "restoration", "months gained by a relapse", "months gained, all patients",
        f"relapses gaining {WORTH:g} months, %", "relapses kept free until month 36, %",
    )  # fmt: skip
    return Table("Restorations", head, rows, _NOTE)


def traits_table(found: Prevention) -> Table:
    """What could be known of the patients of each main mechanism."""
    best, rows, main = found.best, [], found.best.main(COMPLETE)
    patients = best.real.patients
    traits = (
        ("BCMA, molecules/cell", patients["density_bcma"], ".0f"),
        ("burden, 1e11 cells", patients["tumour_baseline"] / 1e11, ".1f"),
        ("doubling time, days", np.log(2.0) / patients["k_growth_tumour"], ".0f"),
        ("suppression", patients["suppression_baseline"], ".2f"),
        ("peak, cells/uL (known by day 28)", best.real.outcomes.c_max, ".0f"),
    )
    for k, name in enumerate((*COMPLETE, NONE)):
        keep = main == k
        immune = 100.0 * best.among(keep).mean(patients["immunogenic"])
        medians = [f"{best.median(values, keep):{form}}" for _, values, form in traits]
        rows.append((name, f"{100.0 * best.mean(keep):.0f}", *medians, f"{immune:.0f}"))
    head = ("main mechanism", "relapses, %", *(words for words, _, _ in traits), "can become immune, %")
    return Table("Patients by main mechanism", head, rows, "At the estimate; medians of the relapses of a row.")


def pair_table(found: Prevention) -> Table:
    """Pairs of restorations in full: more or less than the sum?"""
    best, pairs, rows = found.best, found.pairs, []
    for (first, second), pair in PAIRS.items():
        one, two = (best.mean(best.gain[COMPLETE[name].name]) for name in (first, second))
        both, kept = pairs.mean(pairs.gain[pair.name]), 100.0 * pairs.mean(pairs.kept[pair.name])
        parts = [100.0 * best.mean(best.kept[COMPLETE[name].name]) for name in (first, second)]
        rows.append(
            (f"{first} and {second}", f"{both:.1f}", f"{one + two:.1f}", f"{both - one - two:+.1f}", f"{kept:.0f}",
             f"{kept - sum(parts):+.0f}")
        )  # fmt: skip
    every = f"{pairs.mean(pairs.gain[ALL.name]):.1f}", f"{100.0 * pairs.mean(pairs.kept[ALL.name]):.0f}"
    rows.append((ALL.name, every[0], "", "", every[1], ""))
    head = (
        "restored in full", "months gained", "sum of both alone", "more than the sum",
        "kept free until month 36, %", "more than the sum, points",
    )  # fmt: skip
    return Table("Pairs", head, rows, "At the estimate, mean of relapses.")


def findings(found: Prevention) -> tuple[Finding, ...]:
    """What the review names as reasons of failure, and what was seen to go with it."""
    shares = {name: found.share(name) for name in NAMED}
    low = found.over(lambda one: one.contrast(COMPLETE["expansion"], one.real.outcomes.c_max <= SPLIT))
    marrow = found.over(lambda one: one.contrast(COMPLETE["marrow"], one.suppressed))
    outcomes, mine = found.best.real.outcomes, found.best.main(COMPLETE) == list(COMPLETE).index("antigen")
    before, after = (found.best.median(x, mine) for x in (outcomes.density_before, outcomes.density_at_progression))
    return (
        Finding(
            f"antigen, exhaustion and the marrow each are the main lever in at least {SOME:g} % of relapses",
            "the review names these three as what leads to failure", "review",
            ", ".join(f"{name} {value.text('.0f')} %" for name, value in shares.items()),
            all(value.value >= SOME for value in shares.values()),
            "exhaustion: the fit knows only the sum of exhaustion, suppression, loss of fitness and crowding (docs/"
            "what_the_data_cannot_say.md), and how it is shared out among them rests on priors",
        ),
        Finding(
            "where the antigen is the main lever, BCMA is lower at progression than before",
            "670 before, 390 at progression (p = 0.011)", "perica_2023_density_at_progression",
            f"{before:.0f} to {after:.0f}", after < before,
        ),
        Finding(
            f"expansion is what patients with a peak of at most {SPLIT:g} per mm3 lack",
            "longer PFS above (Caillot 2024)", "caillot_2024_expansion_split",
            f"best expansion gains {low.text('+.1f')} months more in them", low.low > 0.0,
        ),
        Finding(
            "a suppressive marrow costs those who have it",
            "suppressive monocytes at leukapheresis in non-responders (Rade 2024)", "rade_2024_suppression_response",
            f"no suppression gains {marrow.text('+.1f')} months more in the half with more", marrow.low > 0.0,
        ),
    )  # fmt: skip


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "relapse_prevention", answer)


_SORT_TEXT = """Bookkeeping takes each relapse on the day on which it is seen: what would still hold the tumour? Cells
gone then says that they are too few for the antigen that is left, and not why this tumour was still there. Prevention
asks what, done better from infusion on, would have put the relapse off the longest. The cells that survive the first
weeks with little antigen, and cells that are cleared before the last tumour cell, are decided long before that day."""
_GAIN_TEXT = """Month 36 ends the count, so that a relapse on month 30 can gain 6 months at most. One random number
decides in both worlds whether a patient's tumour is eradicated, so that every relapse has one counterpart. Growth
halved is a yardstick that is no mechanism of the cells. Cells that divide without end (no loss of fitness) are neither
exhaustion nor persistence alone, and stand beside them."""
_WHOSE_TEXT = """What could be measured before infusion, and the peak soon after it, by what would gain most. These are
medians of wide and overlapping groups, not a test by which a patient could be sorted."""
_PAIR_TEXT = """Less than the sum: either would do for the same relapses, or month 36 is reached (nobody can gain more).
More than the sum: neither is enough where both are lacking."""
_NOTE = "Value at the estimate (central 95 % of posterior draws), among relapses of the patients as they are."
_CROSS_NOTE = f"""Percent of all relapses, at the estimate. Where several causes suffice alone the bookkeeping shares
the relapse between them. Main mechanism: largest gain, if {LEAST:g} months or more."""
_STRENGTH = """The restorations are thought experiments of different strength: exhaustion, escape, suppression and loss
of memory taken away altogether is not the same dose as the expansion of the best tenth. The shares say where the
leverage is, not how often something is at fault. With every mechanism as in the best tenth of patients the strengths
are alike, and then the shares depend on how much patients are assumed to differ in each."""
_LIMITS = """Expansion: capacity, engraftment and division rate at least the median of those with the tenth highest
peaks. Persistence: no immunity against the CAR and no loss of memory cells. How fast CAR-T cells tire, are suppressed
and wear out is known together, not apart (docs/what_the_data_cannot_say.md), so that the draws decide their order."""
