"""The headline numbers under two ways to make virtual patients, in words, tables and one picture."""

import math
from collections.abc import Sequence

from ..fitting.prevalence.weights import NOTABLE
from ..trials.measures import RESTRICTED_MONTHS
from ..trials.prevalence_projection import (
    COMPLETE,
    EQUAL_START,
    FITTED_START,
    GAIN,
    HEADLINES,
    MEDIAN,
    METHODS,
    PFS_12,
    PFS_24,
    RESPONSE,
    SAMPLED,
    TwoPopulations,
)
from .figures.paired_intervals import MethodsRowSpec, methods_picture
from .figures.picture import Picture
from .report import Table


def reading(populations: Sequence[TwoPopulations]) -> str:
    """What the comparison says, in words."""
    outside = [
        f"{population.name}, {headline} ({sampled.text('.1f')}, weighted {_printed(value)})"
        for population in populations
        for headline in HEADLINES
        for value in (population.estimate(FITTED_START, headline).value,)
        for sampled in (population.estimate(SAMPLED, headline),)
        if not round(sampled.low, 1) <= round(value, 1) <= round(sampled.high, 1)  # as printed
    ]
    total = len(populations) * len(HEADLINES)
    words = f"{total - len(outside)} of {total} headline numbers, weighted from the fit, lie in the interval of the fit"
    starts = [
        abs(population.estimate(FITTED_START, name).value - population.estimate(EQUAL_START, name).value)
        for population in populations
        for name in (RESPONSE, COMPLETE, PFS_12, PFS_24)
    ]
    return (
        words + ("; outside: " + "; ".join(outside) if outside else "")
        + f". The two starts of the weighting differ by at most {max(starts):.1f} percentage points. "
        + " ".join(_effective(population) for population in populations)
    )  # fmt: skip


def _printed(number: float) -> str:
    return "NR" if math.isinf(number) else f"{number:.1f}"


def _effective(population: TwoPopulations) -> str:
    parts = [
        f"{weighing.prevalence.effective:.0f} {start} (largest weight {100.0 * weighing.prevalence.largest:.2f} %)"
        for start, weighing in population.weighed.items()
    ]
    kept = int(population.cohort.plausible.sum())
    return (
        f"{population.name}: {kept} of {population.cohort.patients.n} plausible; effective number {', '.join(parts)}."
    )


def notices(populations: Sequence[TwoPopulations]) -> list[str]:
    """Results that the weights cannot meet, and results that they were not asked to meet."""
    lines = []
    for population in populations:
        for start, weighing in population.weighed.items():
            prevalence = weighing.prevalence
            missed = ((population.shares[j], prevalence.misfits[j]) for j in prevalence.unmet)
            unmet = [
                f"{share.study} {share.item.endpoint.replace('_', ' ')} ({misfit:+.1f})" for share, misfit in missed
            ]
            words = "; ".join(unmet) or f"every result is met within {NOTABLE:g} errors"
            lines.append(f"{population.name}, {start}: {'not met: ' if unmet else ''}{words}.")
        for left in population.left:
            lines.append(f"{population.name}: {left.study} {left.item.endpoint} was left out: {left.reason}.")
    return lines


_HEADLINE_NOTE = """Value (95 % interval). Of the fit: posterior draws. Of the weights: reported results drawn within
their sampling errors, one by one, and patients by the Bayesian bootstrap; the typical patient and the drug stay at the
estimate, so that what is not known of them is not in these intervals."""


def headline_table(populations: Sequence[TwoPopulations]) -> Table:
    """Headline numbers by product, one column a method."""
    rows = [
        (population.name, headline, *(population.estimate(method, headline).text(".1f") for method in METHODS))
        for population in populations
        for headline in HEADLINES
    ]
    return Table("Headlines", ("product", "number", *METHODS), rows, _HEADLINE_NOTE)


def share_table(populations: Sequence[TwoPopulations]) -> Table:
    """Reported results as shares of patients, under every set of weights."""
    head = ("product", "study", "result", "reported", "as a share, %", "error", "fit", "weighted", "equal, weighted")
    rows = []
    for population in populations:
        fitted, equal = (population.weighed[start].prevalence for start in (FITTED_START, EQUAL_START))
        for share in population.shares:
            under = (share.under(weights) for weights in (fitted.base, fitted.weights, equal.weights))
            cells = [f"{100.0 * number:.1f}" for number in (share.reported, share.error, *under)]
            rows.append((population.name, share.study, share.item.endpoint.replace("_", " "), share.item.text, *cells))
    return Table("Shares", head, rows)


def limit_table(populations: Sequence[TwoPopulations]) -> Table:
    """Limits of plausibility, and how many patients broke each."""
    rows = [
        (population.name, limit.text, str(count), limit.source, limit.note)
        for population in populations
        for limit, count in population.cohort.broken.items()
    ]
    return Table("Limits", ("product", "limit", "implausible", "source", "note"), rows)


def picture(populations: Sequence[TwoPopulations]) -> Picture:
    """Every headline under the three ways."""
    units = {RESPONSE: "%", COMPLETE: "%", PFS_12: "%", PFS_24: "%", MEDIAN: "months", GAIN: _GAIN_UNIT}
    rows = []
    for population in populations:
        for headline in HEADLINES:
            estimates = [population.estimate(method, headline) for method in METHODS]
            values = tuple((estimate.value, estimate.low, estimate.high) for estimate in estimates)
            rows.append(MethodsRowSpec(population.name, headline.partition(",")[0], units[headline], values))
    return methods_picture(
        rows, METHODS, name="two_populations", title="Headline numbers under two ways to make virtual patients",
        note="Intervals, 95 %: of the fit over posterior draws; of the weights over reported results within their "
        "sampling errors and over patients. All patients are simulated.",
    )  # fmt: skip


_GAIN_UNIT = f"months without progression, of the first {RESTRICTED_MONTHS:g}"
