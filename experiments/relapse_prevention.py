"""What would have prevented each relapse after CAR-T cells: antigen, exhaustion, persistence, expansion, or the marrow?

The bookkeeping (`model.relapse`) asks what would still hold the tumour on the day of progression. Here the same virtual
patients are treated again with one mechanism restored from day 0, and each relapse is sorted by what gains most.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np

from perdure.experiments.antigen_escape import MIXING
from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import anchored, interval
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.model.relapse import CAUSES
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.figures.shares import shares_picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, treat_arm
from perdure.trials.measures import RESTRICTED_MONTHS, Treated
from perdure.trials.projection import Estimate, Progress
from perdure.trials.provenance import footing_of_plan
from perdure.trials.treat import SEED

# The same patients again with one mechanism restored from day 0: what each restoration gains in every relapse.


BOOKS, FULL = "missing on the day of progression", "restored in full from day 0"
BEST_TENTH = "as in the best tenth from day 0"
GIVEN, POPULATION = "ide-cel", "late_line"
LEAST = 3.0
"""Months that a restoration must gain to be the main one of a relapse; a choice (three visits)."""
WORTH = 6.0
"""Months of gain by which a restoration is counted as large; a choice."""
TENTH = 0.1
NONE = "none alone"
ALIKE: Mapping[str, str] = {
    "antigen low or lost": "antigen", "cells exhausted": "exhaustion", "cells gone": "cells gone",
    "several together": NONE, "never expanded": NONE,
}  # fmt: skip
"""Causes of the bookkeeping beside the mechanisms here. Why cells are gone it does not say, so that they stay apart."""
EXPANSION = ("car_t_capacity", "fraction_engrafted", "k_expansion")
"""What makes cells expand and is the patient's or the product's own."""
Restore = Callable[[Mapping[str, np.ndarray], Treated], Mapping[str, np.ndarray]]
"""Other parameters of the patients, from those they have and from how the same patients fared as they are."""


@dataclass(frozen=True)
class Restoration:
    """One mechanism restored from day 0: its name, and how."""

    name: str
    restore: Restore


def scaled(name: str, **factors: float) -> Restoration:
    """Parameters times a factor; zero takes a process away."""
    return Restoration(name, lambda values, real: {one: factor * values[one] for one, factor in factors.items()})


def at_best(
    name: str, *, least: Sequence[str] = (), most: Sequence[str] = (), absent: Sequence[str] = ()
) -> Restoration:  # fmt: skip
    """Parameters at least (or at most) where the best tenth of the patients begins; `absent` are zero in them."""

    def restore(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
        found = {one: np.maximum(values[one], np.quantile(values[one], 1.0 - TENTH)) for one in least}
        found |= {one: np.minimum(values[one], np.quantile(values[one], TENTH)) for one in most}
        return found | {one: np.zeros_like(values[one]) for one in absent}

    return Restoration(name, restore)


def _no_escape(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
    """Cells are mixed anew all the time, so that killing cannot select, and none can lose BCMA (`antigen_escape`)."""
    none = np.zeros_like(values["fraction_null_bcma"])
    held = np.full_like(values["k_relaxation_density"], MIXING)
    return {"fraction_null_bcma": none, "probability_loss_bcma": none, "k_relaxation_density": held}


def _expansion(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
    """At least the median of those with the tenth highest peaks; three best tenths at once would be too much."""
    peak = real.outcomes.c_max
    best = peak >= np.quantile(peak, 1.0 - TENTH)
    return {one: np.maximum(values[one], np.median(values[one][best])) for one in EXPANSION}


_BEST_EXPANSION = Restoration("expansion as in the best tenth", _expansion)
COMPLETE: Mapping[str, Restoration] = {
    "antigen": Restoration("no antigen escape", _no_escape),
    "exhaustion": scaled("cells that never tire", k_exhaustion=0.0),
    "persistence": scaled("cells that persist", immunogenic=0.0, k_death_memory=0.0),
    "expansion": _BEST_EXPANSION,
    "marrow": scaled("no suppression by the marrow", suppression_baseline=0.0),
}
"""Every mechanism of the cells restored as far as it goes; there is no end to expansion, so it is that of the best."""
BEST: Mapping[str, Restoration] = {
    "antigen": at_best(
        "BCMA as in the best tenth", least=["density_bcma"], absent=["fraction_null_bcma", "probability_loss_bcma"]
    ),
    "exhaustion": at_best("tiring as in the best tenth", most=["k_exhaustion"]),
    "persistence": at_best("persistence as in the best tenth", most=["k_death_memory"], absent=["immunogenic"]),
    "expansion": _BEST_EXPANSION,
    "marrow": at_best("marrow as in the best tenth", most=["suppression_baseline"]),
}  # fmt: skip
"""Every mechanism as it is in the best tenth of the patients: restorations of about the same strength."""
FITNESS = scaled("cells that divide without end", fraction_fitness_lost=0.0)
SLOW = scaled("growth halved", k_growth_tumour=0.5)
YARDSTICKS = (FITNESS, SLOW)
"""Not among the five: the wearing out of cells by division, and disease that is slower."""


def together(*parts: Restoration) -> Restoration:
    """Several restorations at once; they change different parameters."""

    def restore(values: Mapping[str, np.ndarray], real: Treated) -> Mapping[str, np.ndarray]:
        return {name: value for part in parts for name, value in part.restore(values, real).items()}

    return Restoration(" + ".join(part.name for part in parts), restore)


PAIRS: Mapping[tuple[str, str], Restoration] = {
    (first, second): together(COMPLETE[first], COMPLETE[second]) for first, second in combinations(COMPLETE, 2)
}
ALL = Restoration("all five", together(*COMPLETE.values()).restore)
WITH_FITNESS = {**COMPLETE, "fitness": FITNESS}
SINGLE = (*COMPLETE.values(), *(one for one in BEST.values() if one is not _BEST_EXPANSION), *YARDSTICKS)


@dataclass(frozen=True, eq=False)
class Levers:
    """What restorations gain in the relapses of virtual patients; arrays (n,).

    Attributes
    ----------
    real
        The patients as they are.
    relapses
        Probability that a patient's tumour progresses within the follow-up: the relapses that are sorted.
    gain, kept
        By restoration: months of progression-free time that it adds to a relapse until month 36 (or the end of
        follow-up), and probability that neither progression nor death comes until then.
    everybody
        By restoration: months gained, mean of all patients.
    """

    real: Treated
    relapses: np.ndarray
    gain: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    everybody: Mapping[str, float]

    def mean(self, values: np.ndarray) -> float:
        """Mean over relapses; NaN if there are none."""
        total = float(self.relapses.sum())
        return float(np.sum(self.relapses * values)) / total if total > 0 else float("nan")

    def main(self, restorations: Mapping[str, Restoration]) -> np.ndarray:
        """Which mechanism gains most, as its place in `restorations`; one more where none gains `LEAST` months."""
        gains = np.stack([self.gain[one.name] for one in restorations.values()])
        return np.where(gains.max(axis=0) >= LEAST, gains.argmax(axis=0), len(restorations))

    def shares(self, restorations: Mapping[str, Restoration]) -> Mapping[str, float]:
        """Percent of relapses by their main mechanism."""
        main = self.main(restorations)
        return {name: 100.0 * self.mean(main == k) for k, name in enumerate((*restorations, NONE))}

    def several(self, restorations: Mapping[str, Restoration]) -> float:
        """Percent of relapses in which two or more mechanisms would gain `LEAST` months, each alone."""
        enough = np.stack([self.gain[one.name] >= LEAST for one in restorations.values()])
        return 100.0 * self.mean(enough.sum(axis=0) >= 2)

    @cached_property
    def causes(self) -> np.ndarray:
        """Share of each cause of the bookkeeping (`model.relapse`) in each relapse: array (n, causes)."""
        return self.real.outcomes.cause_shares

    def among(self, keep: np.ndarray) -> Treated:
        """The patients as they are, each counted by the probability of a relapse that is kept."""
        shown = self.causes.sum(axis=1) > 0
        return self.real.among(np.stack([keep & shown & (self.relapses > 0), np.zeros(len(keep))]))

    def median(self, values: np.ndarray, keep: np.ndarray) -> float:
        """Median of a number per patient among the relapses that are kept."""
        return self.among(keep).median(np.stack([values, values]))

    @property
    def suppressed(self) -> np.ndarray:
        """The half of the patients with more suppression by the marrow: array (n,) of bool."""
        strength = self.real.patients["suppression_baseline"]
        return strength >= np.median(strength)

    def contrast(self, restoration: Restoration, needy: np.ndarray) -> float:
        """Months that a restoration gains in the relapses of some patients, less those in the others."""
        gain = self.gain[restoration.name]
        means = []
        for keep in (needy, ~needy):
            total = np.sum(self.relapses * keep)
            means.append(np.sum(self.relapses * gain * keep) / total if total > 0 else np.nan)
        return float(means[0] - means[1])


def levers(
    parameters: ParameterSet, restorations: Sequence[Restoration] = SINGLE, *, patients: int, months: float, seed: int
) -> Levers:
    """Treat the same virtual patients as they are and with each restoration.

    One random number per patient decides in every arm whether the tumour is eradicated (with the larger probability
    whenever with the smaller), so that a relapse of the patients as they are has one counterpart with the restoration:
    with eradication probabilities P and Q it is eradicated with probability max(0, Q - P) / (1 - P).
    """
    sizes = {"patients": patients, "months": months, "seed": seed}
    real = treat_arm(Arm("as they are", GIVEN, POPULATION), parameters, **sizes)
    reach = min(RESTRICTED_MONTHS, months)
    before, gone = _free_months(real, reach), real.outcomes.weight[1]
    usable = real.outcomes.usable.copy()
    gain, kept, mean = {}, {}, {}
    for one in restorations:
        arm = Arm(one.name, GIVEN, POPULATION, change=lambda values, one=one: one.restore(values, real))
        outcomes = (treated := treat_arm(arm, parameters, **sizes)).outcomes
        after, spared = _free_months(treated, reach), outcomes.weight[1]
        saved = np.clip((spared - gone) / np.maximum(1.0 - gone, 1e-9), 0.0, 1.0)
        gain[one.name] = (1.0 - saved) * after[0] + saved * after[1] - before[0]
        kept[one.name] = (1.0 - saved) * (after[0] >= reach) + saved * (after[1] >= reach)
        mean[one.name] = np.sum(outcomes.weight * after, axis=0) - np.sum(real.outcomes.weight * before, axis=0)
        usable *= outcomes.usable  # who fails in one arm counts in none
    relapses = real.outcomes.weight[0] * usable * real.outcomes.cause_shares.sum(axis=1)
    clean = [{name: np.nan_to_num(value) for name, value in found.items()} for found in (gain, kept, mean)]
    everybody = {name: float(np.average(value, weights=usable)) for name, value in clean[2].items()}
    return Levers(real, relapses, clean[0], clean[1], everybody)


def _free_months(one: Treated, reach: float) -> np.ndarray:
    """Months without progression or death until `reach`: array (2, n)."""
    return np.minimum(np.minimum(one.outcomes.progression(), one.outcomes.death) / DAYS_PER_MONTH, reach)


@dataclass(frozen=True, eq=False)
class Prevention:
    """Restorations at the estimate, there with as few patients as a draw has, at the draws; pairs at the estimate."""

    best: Levers
    few: Levers
    drawn: Sequence[Levers]
    pairs: Levers

    def over(self, read: Callable[[Levers], float], low: float = -np.inf, high: float = np.inf) -> Estimate:
        """A number at the estimate with the central 95 % of the posterior draws; it cannot lie outside [low, high]."""
        draws = anchored(read(self.best), np.array([read(one) for one in self.drawn]), read(self.few), low, high)
        return Estimate(read(self.best), *interval(draws))

    def percent(self, read: Callable[[Levers], float]) -> Estimate:
        """The same of a number in percent."""
        return self.over(read, 0.0, 100.0)

    def share(self, mechanism: str, restorations: Mapping[str, Restoration] = COMPLETE) -> Estimate:
        """Percent of relapses with this main mechanism."""
        return self.percent(lambda one: one.shares(restorations)[mechanism])

    def booked(self, cause: str) -> Estimate:
        """Percent of relapses that the bookkeeping gives to a cause, or to a mechanism by `ALIKE`."""
        places = [k for k, name in enumerate(CAUSES) if cause in (name, ALIKE[name])]
        return self.percent(lambda one: 100.0 * one.mean(one.causes[:, places].sum(axis=1)))

    def gain(self, restoration: Restoration) -> Estimate:
        """Months that a restoration adds to a relapse."""
        return self.over(lambda one: one.mean(one.gain[restoration.name]))

    def everybody(self, restoration: Restoration) -> Estimate:
        """Months that it adds on average in all patients."""
        return self.over(lambda one: one.everybody[restoration.name])

    def worth(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in which it gains at least `WORTH` months."""
        return self.percent(lambda one: 100.0 * one.mean(one.gain[restoration.name] >= WORTH))

    def kept(self, restoration: Restoration) -> Estimate:
        """Percent of relapses in whose place there is neither progression nor death until month 36."""
        return self.percent(lambda one: 100.0 * one.mean(one.kept[restoration.name]))


def numbers(found: Prevention) -> list[NumberRow]:
    """Every number with an interval, and the pairs at the estimate."""
    rows = [estimate_row(name, "share of relapses, bookkeeping", found.booked(name), "%") for name in CAUSES]
    for way, ones in ((FULL, COMPLETE), (BEST_TENTH, BEST)):
        shown = {f"{name}, {way}": found.share(name, ones) for name in (*ones, NONE)}
        rows += [estimate_row(name, "share of relapses", share, "%") for name, share in shown.items()]
    for one in SINGLE:
        rows.append(estimate_row(one.name, "gain of a relapse", found.gain(one), "months"))
        rows.append(estimate_row(one.name, "gain of all patients", found.everybody(one), "months"))
        rows.append(estimate_row(one.name, f"relapses that gain {WORTH:g} months", found.worth(one), "%"))
        rows.append(estimate_row(one.name, "relapses kept free until month 36", found.kept(one), "%"))
    pairs = found.pairs
    for one in (*PAIRS.values(), ALL):
        rows.append(NumberRow(one.name, "gain of a relapse", pairs.mean(pairs.gain[one.name]), unit="months"))
    return rows


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
