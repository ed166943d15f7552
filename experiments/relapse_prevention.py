"""What would have prevented each relapse after CAR-T cells: antigen, exhaustion, persistence, expansion, or the marrow?

The bookkeeping (`model.relapse`) asks what would still hold the tumour on the day of progression. Here the same virtual
patients are treated again with one mechanism restored from day 0, and each relapse is sorted by what gains most.
"""

from collections.abc import Mapping

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.model.relapse import CAUSES
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section
from perdure.reports.restoration_report import (
    cross_table,
    gain_of_relapses,
    gain_table,
    numbers_of,
    pairs_table,
    shares_of_relapses,
    shares_table,
    traits_table,
)
from perdure.reports.settings import Settings
from perdure.trials.measures import RESTRICTED_MONTHS
from perdure.trials.mechanism_restoration import (
    LEAST,
    NONE,
    Mechanisms,
    Prevention,
    Restoration,
    at_best,
    best_expansion,
    no_escape,
    prevent,
    scaled,
    together,
)
from perdure.trials.provenance import provenance_of_plan

TIME = "about twenty seconds"
GIVEN, POPULATION = "ide-cel", "late_line"
COMPLETE: Mapping[str, Restoration] = {
    "antigen": no_escape("no antigen escape"),
    "exhaustion": scaled("cells that never tire", k_exhaustion=0.0),
    "persistence": scaled("cells that persist", immunogenic=0.0, k_death_memory=0.0),
    "expansion": best_expansion("expansion as in the best tenth"),
    "marrow": scaled("no suppression by the marrow", suppression_baseline=0.0),
}
"""Every mechanism of the cells restored as far as it goes; there is no end to expansion, so it is that of the best."""
BEST: Mapping[str, Restoration] = {
    "antigen": at_best(
        "BCMA as in the best tenth", least=["density_bcma"], absent=["fraction_null_bcma", "probability_loss_bcma"]
    ),
    "exhaustion": at_best("tiring as in the best tenth", most=["k_exhaustion"]),
    "persistence": at_best("persistence as in the best tenth", most=["k_death_memory"], absent=["immunogenic"]),
    "expansion": COMPLETE["expansion"],
    "marrow": at_best("marrow as in the best tenth", most=["suppression_baseline"]),
}  # fmt: skip
"""Every mechanism as it is in the best tenth of the patients: restorations of about the same strength."""
FITNESS = scaled("cells that divide without end", fraction_fitness_lost=0.0)
SLOW = scaled("growth halved", k_growth_tumour=0.5)
ALL = together(*COMPLETE.values(), name="all five")
MECHANISMS = Mechanisms(COMPLETE, BEST, ALL, yardsticks=(FITNESS, SLOW))
"""The yardsticks are not among the five: the wearing out of cells by division, and disease that is slower."""
THRESHOLD = 180.0
"""Peak of CAR-T cells per mm3 at which patients are dichotomised (Caillot 2024)."""
NAMED = ("antigen", "exhaustion", "marrow")
"""What the review names as leading to failure."""
SOME = 5.0
"""Percent of relapses from which on a mechanism counts as one of those that matter; a choice."""


def run(
    calibration: Calibration | None = None, sizes: Sizes | None = None, *, months: float = RESTRICTED_MONTHS
) -> Prevention:  # fmt: skip
    """The same virtual patients after ide-cel with every restoration; pairs of them at the estimate only."""
    return prevent(
        GIVEN, POPULATION, MECHANISMS, calibration or read_calibration(), sizes=sizes or Sizes(), months=months
    )  # fmt: skip


def findings(prevention: Prevention) -> tuple[Finding, ...]:
    """What the review names as reasons of failure, and what was seen to go with it."""
    shares = {name: prevention.share(name) for name in NAMED}
    low_peak = prevention.posterior.estimate(
        lambda restored: restored.contrast(COMPLETE["expansion"], restored.real.outcomes.c_max <= THRESHOLD)
    )
    marrow = prevention.posterior.estimate(
        lambda restored: restored.contrast(COMPLETE["marrow"], restored.suppressed)
    )  # fmt: skip
    value = prevention.value
    outcomes, escaped = value.real.outcomes, value.main(COMPLETE) == list(COMPLETE).index("antigen")
    before, after = (
        value.median(density, escaped) for density in (outcomes.density_before, outcomes.density_at_progression)
    )
    return (
        Finding(
            f"antigen, exhaustion and the marrow each are the main mechanism in at least {SOME:g} % of relapses",
            "the review names these three as what leads to failure", "review",
            ", ".join(f"{name} {share.text('.0f')} %" for name, share in shares.items()),
            all(share.value >= SOME for share in shares.values()),
            "exhaustion: the fit knows only the sum of exhaustion, suppression, loss of fitness and crowding (docs/"
            "what_the_data_cannot_say.md), and how it is shared out among them rests on priors",
        ),
        Finding(
            "where the antigen is the main mechanism, BCMA is lower at progression than before",
            "670 before, 390 at progression (p = 0.011)", "perica_2023_density_at_progression",
            f"{before:.0f} to {after:.0f}", after < before,
        ),
        Finding(
            f"expansion is what patients with a peak of at most {THRESHOLD:g} per mm3 lack",
            "longer PFS above (Caillot 2024)", "caillot_2024_expansion_split",
            f"best expansion gains {low_peak.text('+.1f')} months more in them", low_peak.low > 0.0,
        ),
        Finding(
            "a suppressive marrow costs those who have it",
            "suppressive monocytes at leukapheresis in non-responders (Rade 2024)", "rade_2024_suppression_response",
            f"no suppression gains {marrow.text('+.1f')} months more in the half with more", marrow.low > 0.0,
        ),
    )  # fmt: skip


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """The answer in words, pictures and tables."""
    prevention = run(calibration, settings.sizes)
    plan = read_plan(GIVEN)
    provenance = provenance_of_plan(plan, POPULATION, read_studies(), calibration.missed)
    as_it_is = f"Ide-cel as it is: {provenance.flag}. {provenance.reason[0].upper()}{provenance.reason[1:]}."
    sorting = [shares_table(prevention), cross_table(prevention)]
    return ExperimentReport(
        title="What would have prevented each relapse after CAR-T cells?",
        subtitle="Ide-cel in virtual late-line patients; relapses until month 36",
        sentences=sentences(prevention),
        sections=(
            Section("Two ways of sorting", _SORT_TEXT, [shares_of_relapses(prevention)], sorting),
            Section(
                "How much each would gain", _GAIN_TEXT, [gain_of_relapses(prevention)], [gain_table(prevention)]
            ),
            Section("Whose relapse is it?", _WHOSE_TEXT, tables=[traits_table(prevention)]),
            Section("Two at once", _PAIR_TEXT, tables=[pairs_table(prevention)]),
        ),
        numbers=numbers_of(prevention),
        notices=[_STRENGTH, as_it_is, _LIMITS],
        findings=findings(prevention),
        given=[("patients as they are, and with every restoration", plan.text)],
    )  # fmt: skip


def sentences(prevention: Prevention) -> tuple[str, ...]:
    """The answer in words."""
    value, combined = prevention.value, prevention.combined
    full = sorted(COMPLETE, key=lambda name: -prevention.share(name).value)
    best = sorted(BEST, key=lambda name: -prevention.share(name, BEST).value)
    main, gone = value.main(COMPLETE), value.causes[:, CAUSES.index("cells gone")]
    within = [
        100.0 * value.mean(gone * (main == list(COMPLETE).index(name))) / (value.mean(gone) or np.nan)
        for name in full[:2]
    ]
    first, second = full[:2]
    pair = next(pair for names, pair in MECHANISMS.pairs.items() if set(names) == {first, second})
    alone = [value.mean_gain(COMPLETE[name]) for name in (first, second)]
    return (
        f"Restored in full from day 0, the largest gain ({LEAST:g} months or more) comes from "
        + ", ".join(f"{name} in {prevention.share(name).text('.0f')} %" for name in full)
        + f" of the relapses; in {prevention.share(NONE).text('.0f')} % no single one gains {LEAST:g} months, and in "
        f"{prevention.percent(lambda restored: restored.several(COMPLETE)).text('.0f')} % two or more would, each "
        "alone.",
        f"On the day of progression the bookkeeping blames cells gone for {prevention.booked('cells gone').text('.0f')}"
        f" % and low antigen for {prevention.booked('antigen').text('.0f')} %. Of what it calls cells gone, {first} "
        f"from day 0 on would have gained most in {within[0]:.0f} % and {second} in {within[1]:.0f} %.",
        "A relapse would be put off (months until month 36) by "
        + ", ".join(f"{COMPLETE[name].name} {prevention.gain(COMPLETE[name]).text('.1f')}" for name in full)
        + f". For comparison: {SLOW.name} {prevention.gain(SLOW).text('.1f')}, {FITNESS.name} "
        f"{prevention.gain(FITNESS).text('.1f')}; counted as a sixth mechanism these would gain most in "
        f"{prevention.share('fitness', {**COMPLETE, 'fitness': FITNESS}).text('.0f')} %.",
        "With each mechanism only as it is in the best tenth of patients: "
        + ", ".join(f"{name} {prevention.share(name, BEST).text('.0f')} %" for name in best)
        + f", {NONE} {prevention.share(NONE, BEST).text('.0f')} %.",
        f"{COMPLETE[first].name.capitalize()} and {COMPLETE[second].name} together gain "
        f"{combined.mean_gain(pair):.1f} months, against {sum(alone):.1f} as a sum of both alone; all five "
        f"{combined.mean_gain(ALL):.1f}.",
    )


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
_STRENGTH = """The restorations are thought experiments of different strength: exhaustion, escape, suppression and loss
of memory taken away altogether is not the same dose as the expansion of the best tenth. The shares say where the
leverage is, not how often something is at fault. With every mechanism as in the best tenth of patients the strengths
are alike, and then the shares depend on how much patients are assumed to differ in each."""
_LIMITS = """Expansion: capacity, engraftment and division rate at least the median of those with the tenth highest
peaks. Persistence: no immunity against the CAR and no loss of memory cells. How fast CAR-T cells tire, are suppressed
and wear out is known together, not apart (docs/what_the_data_cannot_say.md), so that the draws decide their order."""

if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
