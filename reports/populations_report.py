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
from .figures.picture import Picture
from .figures.two_populations import MethodsRowToDraw, methods_picture


def reading(found: Sequence[TwoPopulations]) -> str:
    """What the comparison says, in words."""
    outside = [
        f"{one.name}, {headline} ({sampled.text('.1f')}, weighted {_printed(value)})"
        for one in found
        for headline in HEADLINES
        for value in (one.estimate(FITTED_START, headline).value,)
        for sampled in (one.estimate(SAMPLED, headline),)
        if not round(sampled.low, 1) <= round(value, 1) <= round(sampled.high, 1)  # as printed
    ]
    total = len(found) * len(HEADLINES)
    words = f"{total - len(outside)} of {total} headline numbers, weighted from the fit, lie in the interval of the fit"
    starts = [
        abs(one.estimate(FITTED_START, name).value - one.estimate(EQUAL_START, name).value)
        for one in found
        for name in (RESPONSE, COMPLETE, PFS_12, PFS_24)
    ]
    return (
        words + ("; outside: " + "; ".join(outside) if outside else "")
        + f". The two starts of the weighting differ by at most {max(starts):.1f} percentage points. "
        + " ".join(_effective(one) for one in found)
    )  # fmt: skip


def _printed(number: float) -> str:
    return "NR" if math.isinf(number) else f"{number:.1f}"


def _effective(one: TwoPopulations) -> str:
    parts = [
        f"{weighing.prevalence.effective:.0f} {start} (largest weight {100.0 * weighing.prevalence.largest:.2f} %)"
        for start, weighing in one.weighed.items()
    ]
    kept = int(one.cohort.plausible.sum())
    return f"{one.name}: {kept} of {one.cohort.patients.n} plausible; effective number {', '.join(parts)}."


def notices(found: Sequence[TwoPopulations]) -> list[str]:
    """Results that the weights cannot meet, and results that they were not asked to meet."""
    said = []
    for one in found:
        for start, weighing in one.weighed.items():
            prevalence = weighing.prevalence
            unmet = [
                f"{one.shares[j].study} {one.shares[j].item.endpoint.replace('_', ' ')} ({prevalence.misfits[j]:+.1f})"
                for j in prevalence.unmet
            ]
            words = "; ".join(unmet) or f"every result is met within {NOTABLE:g} errors"
            said.append(f"{one.name}, {start}: {'not met: ' if unmet else ''}{words}.")
        said += [f"{one.name}: {left.study} {left.item.endpoint} was left out: {left.reason}." for left in one.left]
    return said


HEAD = ("product", "number", *METHODS)


def headline_cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
    """Rows of headline numbers by product, one column a method."""
    return [
        (one.name, headline, *(one.estimate(method, headline).text(".1f") for method in METHODS))
        for one in found
        for headline in HEADLINES
    ]


SHARE_HEAD = ("product", "study", "result", "reported", "as a share, %", "error", "fit", "weighted", "equal, weighted")


def share_cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
    """Rows of reported results as shares of patients, under every set of weights."""
    rows = []
    for one in found:
        fitted, equal = (one.weighed[start].prevalence for start in (FITTED_START, EQUAL_START))
        for share in one.shares:
            under = (share.under(weights) for weights in (fitted.base, fitted.weights, equal.weights))
            cells = [f"{100.0 * number:.1f}" for number in (share.reported, share.error, *under)]
            rows.append((one.name, share.study, share.item.endpoint.replace("_", " "), share.item.text, *cells))
    return rows


LIMIT_HEAD = ("product", "limit", "implausible", "source", "note")


def limit_cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
    """Rows of limits of plausibility, and how many patients broke each."""
    return [
        (one.name, limit.text, str(count), limit.source, limit.note)
        for one in found
        for limit, count in one.cohort.broken.items()
    ]


def picture(found: Sequence[TwoPopulations]) -> Picture:
    """Every headline under the three ways."""
    units = {RESPONSE: "%", COMPLETE: "%", PFS_12: "%", PFS_24: "%", MEDIAN: "months", GAIN: _GAIN_UNIT}
    rows = []
    for one in found:
        for headline in HEADLINES:
            values = [one.estimate(method, headline) for method in METHODS]
            label = headline.partition(",")[0]
            rows.append(
                MethodsRowToDraw(one.name, label, units[headline], tuple((v.value, v.low, v.high) for v in values))
            )
    return methods_picture(
        rows, METHODS, name="two_populations", title="Headline numbers under two ways to make virtual patients",
        note="Intervals, 95 %: of the fit over posterior draws; of the weights over reported results within their "
        "sampling errors and over patients. All patients are simulated.",
    )  # fmt: skip


_GAIN_UNIT = f"months without progression, of the first {RESTRICTED_MONTHS:g}"
