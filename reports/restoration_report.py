"""What would have prevented relapses, as pictures, tables and numbers."""

from collections.abc import Mapping

import numpy as np

from ..model.relapse import CAUSES
from ..trials.mechanism_restoration import ALIKE, LEAST, NONE, WORTH, Prevention
from .figures.intervals import EffectRowSpec, effect_picture
from .figures.picture import Picture
from .figures.shares import shares_picture
from .report import Table
from .run_files import NumberRow, estimate_row

BOOKS, FULL = "missing on the day of progression", "restored in full from day 0"
BEST_TENTH = "as in the best tenth from day 0"
_NOTE = "Value at the estimate (central 95 % of posterior draws), among relapses of the patients as they are."
_CROSS_NOTE = f"""Percent of all relapses, at the estimate. Where several causes suffice alone the bookkeeping shares
the relapse between them. Main mechanism: largest gain, if {LEAST:g} months or more."""


def shares_of_relapses(prevention: Prevention) -> Picture:
    """Main mechanisms by both ways of sorting, and by restorations of one strength."""
    full, best, value = prevention.mechanisms.full, prevention.mechanisms.best, prevention.value
    order = (*full, "cells gone", NONE)

    def bar(values: Mapping[str, float]) -> Mapping[str, float]:
        return {name: values.get(name, 0.0) / 100.0 for name in order}

    books = {name: prevention.booked(name).value for name in dict.fromkeys(ALIKE.values())}
    return shares_picture(
        {BOOKS: bar(books), FULL: bar(value.shares(full)), BEST_TENTH: bar(value.shares(best))},
        name="prevention_shares", title="What is missing at a relapse, and what would have prevented it (simulated)",
        note="Upper bar: bookkeeping on that day; none alone are several together and never expanded. Others: the "
        f"largest gain, if {LEAST:g} months or more. Restorations in full differ in strength.",
    )  # fmt: skip


def gain_of_relapses(prevention: Prevention) -> Picture:
    """Gain of every restoration, in the relapses of the patients as they are."""
    gains = [(restoration.name, prevention.gain(restoration)) for restoration in prevention.mechanisms.single]
    return effect_picture(
        [EffectRowSpec(name, gain.value, gain.low, gain.high, True) for name, gain in gains],
        name="prevention_gain", title="What each restoration would add to a relapse (simulated)",
        x_label="Months of progression-free time gained until month 36, mean of relapses", sides=("lost", "gained"),
        note="All are thought experiments. Interval: central 95 % of posterior draws.",
    )  # fmt: skip


def shares_table(prevention: Prevention) -> Table:
    """Percent of relapses by main mechanism, three ways."""
    full, best = prevention.mechanisms.full, prevention.mechanisms.best
    rows = []
    for name in (*full, "cells gone", NONE):
        booked = prevention.booked(name).text(".0f") if name in ALIKE.values() else ""
        shares = [prevention.share(name, way).text(".0f") if name in (*full, NONE) else "" for way in (full, best)]
        rows.append((name, booked, *shares))
    return Table("Shares of relapses", ("mechanism", f"{BOOKS}, %", f"{FULL}, %", f"{BEST_TENTH}, %"), rows, _NOTE)


def cross_table(prevention: Prevention) -> Table:
    """Main mechanism (restored in full) against the cause of the bookkeeping, percent of all relapses."""
    full, value = prevention.mechanisms.full, prevention.value
    main, rows = value.main(full), []
    for k, name in enumerate((*full, NONE)):
        cells = [100.0 * value.mean(value.causes[:, c] * (main == k)) for c in range(len(CAUSES))]
        rows.append((name, *(f"{cell:.1f}" for cell in (*cells, sum(cells)))))
    return Table("Prevention against bookkeeping", ("main mechanism", *CAUSES, "all"), rows, _CROSS_NOTE)


def gain_table(prevention: Prevention) -> Table:
    """Every restoration: months, and how often it is large."""
    rows = [
        (
            restoration.name, prevention.gain(restoration).text(".1f"), prevention.everybody(restoration).text(".1f"),
            prevention.worth(restoration).text(".0f"), prevention.kept(restoration).text(".0f"),
        )
        for restoration in prevention.mechanisms.single
    ]  # fmt: skip
    head = (
        "restoration", "months gained by a relapse", "months gained, all patients",
        f"relapses gaining {WORTH:g} months, %", "relapses kept free until month 36, %",
    )  # fmt: skip
    return Table("Restorations", head, rows, _NOTE)


def traits_table(prevention: Prevention) -> Table:
    """What could be known of the patients of each main mechanism."""
    full, value = prevention.mechanisms.full, prevention.value
    main, patients, rows = value.main(full), value.real.patients, []
    traits = (
        ("BCMA, molecules/cell", patients["density_bcma"], ".0f"),
        ("burden, 1e11 cells", patients["tumour_baseline"] / 1e11, ".1f"),
        ("doubling time, days", np.log(2.0) / patients["k_growth_tumour"], ".0f"),
        ("suppression", patients["suppression_baseline"], ".2f"),
        ("peak, cells/uL (known by day 28)", value.real.outcomes.c_max, ".0f"),
    )
    for k, name in enumerate((*full, NONE)):
        keep = main == k
        immune = 100.0 * value.among(keep).mean(patients["immunogenic"])
        medians = [f"{value.median(values, keep):{form}}" for _, values, form in traits]
        rows.append((name, f"{100.0 * value.mean(keep):.0f}", *medians, f"{immune:.0f}"))
    head = ("main mechanism", "relapses, %", *(words for words, _, _ in traits), "can become immune, %")
    return Table("Patients by main mechanism", head, rows, "At the estimate; medians of the relapses of a row.")


def pairs_table(prevention: Prevention) -> Table:
    """Pairs of restorations in full: more or less than the sum?"""
    mechanisms, value, combined = prevention.mechanisms, prevention.value, prevention.combined
    rows = []
    for names, pair in mechanisms.pairs.items():
        first, second = (value.mean_gain(mechanisms.full[name]) for name in names)
        both, kept = combined.mean_gain(pair), combined.percent_kept(pair)
        parts = [value.percent_kept(mechanisms.full[name]) for name in names]
        rows.append(
            (" and ".join(names), f"{both:.1f}", f"{first + second:.1f}", f"{both - first - second:+.1f}",
             f"{kept:.0f}", f"{kept - sum(parts):+.0f}")
        )  # fmt: skip
    whole = mechanisms.whole
    rows.append((whole.name, f"{combined.mean_gain(whole):.1f}", "", "", f"{combined.percent_kept(whole):.0f}", ""))
    head = (
        "restored in full", "months gained", "sum of both alone", "more than the sum",
        "kept free until month 36, %", "more than the sum, points",
    )  # fmt: skip
    return Table("Pairs", head, rows, "At the estimate, mean of relapses.")


def numbers_of(prevention: Prevention) -> list[NumberRow]:
    """Every number with an interval, and the pairs at the estimate."""
    mechanisms = prevention.mechanisms
    rows = [estimate_row(name, "share of relapses, bookkeeping", prevention.booked(name), "%") for name in CAUSES]
    for way, restorations in ((FULL, mechanisms.full), (BEST_TENTH, mechanisms.best)):
        shares = {f"{name}, {way}": prevention.share(name, restorations) for name in (*restorations, NONE)}
        rows += [estimate_row(name, "share of relapses", share, "%") for name, share in shares.items()]
    for restoration in mechanisms.single:
        name = restoration.name
        rows.append(estimate_row(name, "gain of a relapse", prevention.gain(restoration), "months"))
        rows.append(estimate_row(name, "gain of all patients", prevention.everybody(restoration), "months"))
        rows.append(estimate_row(name, f"relapses that gain {WORTH:g} months", prevention.worth(restoration), "%"))
        rows.append(estimate_row(name, "relapses kept free until month 36", prevention.kept(restoration), "%"))
    for pair in (*mechanisms.pairs.values(), mechanisms.whole):
        gain = prevention.combined.mean_gain(pair)
        rows.append(NumberRow(pair.name, "gain of a relapse", gain, unit="months"))
    return rows
