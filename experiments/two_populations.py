"""Do the headline numbers depend on how virtual patients are made?

Patients sampled from the fitted distributions, against plausible patients with prevalence weights
(`weighed_projection`): response, progression-free survival, and what lenalidomide adds, under both.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.two_populations import MethodsRowToDraw, methods_picture
from perdure.experiments.projection import RESTRICTED_MONTHS, Progress
from perdure.experiments.report.report import Report, Section, Table, write_report
from perdure.experiments.report.run_folder import new_run
from perdure.experiments.report.text import aligned, columns
from perdure.experiments.settings import Settings
from perdure.experiments.treat import SEED
from perdure.experiments.weighed_projection import (
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
    project_both,
)
from perdure.fitting.calibration import Calibration
from perdure.fitting.virtual_patients.prevalence import NOTABLE

TIME = "about half a minute"
DRAWS = 20
"""Posterior draws behind each interval of the first way."""


def run(
    calibration: Calibration, *, patients: int = 1000, draws: int = DRAWS, patients_per_draw: int = 120,
    repeats: int = 100, seed: int = SEED, progress: Progress | None = None,
) -> tuple[TwoPopulations, ...]:  # fmt: skip
    """Headline numbers of ide-cel and cilta-cel under both ways; three times `patients` are sampled widely."""
    return project_both(
        calibration, patients=patients, draws=draws, patients_per_draw=patients_per_draw, plausible=3 * patients,
        repeats=repeats, seed=seed, progress=progress,
    )  # fmt: skip


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


_HEAD = ("product", "number", *METHODS)


def _cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
    return [
        (one.name, headline, *(one.estimate(method, headline).text(".1f") for method in METHODS))
        for one in found
        for headline in HEADLINES
    ]


_SHARE_HEAD = ("product", "study", "result", "reported", "as a share, %", "error", "fit", "weighted", "equal, weighted")


def _share_cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
    rows = []
    for one in found:
        fitted, equal = (one.weighed[start].prevalence for start in (FITTED_START, EQUAL_START))
        for share in one.shares:
            under = (share.under(weights) for weights in (fitted.base, fitted.weights, equal.weights))
            cells = [f"{100.0 * number:.1f}" for number in (share.reported, share.error, *under)]
            rows.append((one.name, share.study, share.item.endpoint.replace("_", " "), share.item.text, *cells))
    return rows


_LIMIT_HEAD = ("product", "limit", "implausible", "source", "note")


def _limit_cells(found: Sequence[TwoPopulations]) -> list[tuple[str, ...]]:
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


def main(settings: Settings) -> Path:
    """Compute, print, draw, and write the report; returns its folder."""
    calibration = settings.read_calibration()
    with new_run(settings.folder, "two_populations", settings.command, {"patients": settings.seed}) as folder:
        with folder.timed("simulation"):
            found = run(
                calibration, patients=settings.patients, draws=min(settings.draws, DRAWS),
                patients_per_draw=settings.patients_per_draw, seed=settings.seed, progress=settings.progress,
            )  # fmt: skip
        cells, shares, limits = _cells(found), _share_cells(found), _limit_cells(found)
        settings.say(aligned(_HEAD, cells))
        settings.say("\n" + reading(found))
        for name, head, rows in (
            ("headlines", _HEAD, cells), ("shares", _SHARE_HEAD, shares), ("limits", _LIMIT_HEAD, limits),
        ):  # fmt: skip
            folder.write_table(name, columns(head, rows))
        drawn = picture(found)
        folder.save(drawn)
        report = Report(
            title="Do the headline numbers depend on how virtual patients are made?",
            subtitle="Patients sampled from the fit, and plausible patients with prevalence weights",
            intro=reading(found),
            notices=notices(found),
            sections=[
                Section("Headline numbers", _TEXT, [drawn], [Table("Both ways", _HEAD, cells, _NOTE)]),
                Section("What was to be met", _SHARE_TEXT, tables=[Table("Shares", _SHARE_HEAD, shares)]),
                Section("Who is implausible", _LIMIT_TEXT, tables=[Table("Limits", _LIMIT_HEAD, limits)]),
            ],
            manifest=folder.manifest(),
        )
        write_report(folder.path / "report.html", report)
    return folder.path


_GAIN_UNIT = f"months without progression, of the first {RESTRICTED_MONTHS:g}"
_TEXT = """Where the marks of a row stand together, the number does not hang on the way. The weights move the virtual
trial onto the results of this product alone, where the joint fit also answers to every other trial and to its priors.
The typical patient is that of the fit in both ways."""
_NOTE = """Value (95 % interval). Of the fit: posterior draws. Of the weights: reported results drawn within their
sampling errors, one by one, and patients by the Bayesian bootstrap; the typical patient and the drug stay at the
estimate, so that what is not known of them is not in these intervals."""
_SHARE_TEXT = """Each result as a share of patients: a median is the time by which half have had the event. Columns:
under the base weights of the fit, and weighted from either start."""
_LIMIT_TEXT = """Patients sampled widely who break a limit; one patient may break several. Whoever breaks any is taken
out of the second way."""
