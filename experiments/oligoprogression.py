"""Radiotherapy for oligoprogression after CAR-T cells: does it delay the next line, and when is it futile?

At the first progression after ide-cel a share of the tumour lies in the field, from a tenth to nearly all of it. What
is gained until the next progression is compared with no treatment in the same patients; then talquetamab, at once,
together with radiotherapy, or only when the disease progresses again.
"""

from collections.abc import Sequence
from pathlib import Path

from perdure.experiments.answer import Answer, Finding, tell
from perdure.experiments.parts.local_treatment import (
    AT_ONCE,
    DOSES,
    EVERYBODY,
    FAST,
    FIRST,
    FIRST_HALF,
    GROUPS,
    HALF,
    HORIZON,
    LATER,
    MOST,
    OPTIONS,
    POPULATION,
    SHARES,
    SLOW,
    USUAL,
    WATCH,
    WITH_HALF,
    WORTH,
    Irradiated,
    numbers,
)
from perdure.experiments.pictures.along import AlongPanel, LineToDraw, along_picture
from perdure.experiments.pictures.forest import effect_picture
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.rows import EffectRowToDraw
from perdure.experiments.projection import Progress
from perdure.experiments.report.report import Section, Table
from perdure.experiments.report.run_files import NumberRow, estimate_row
from perdure.experiments.scenarios import footing_of_plan
from perdure.experiments.settings import Settings
from perdure.experiments.treat import SEED
from perdure.fitting.calibration import Calibration, read_calibration
from perdure.fitting.reported import read_studies
from perdure.model.language.sentence import read_plan

TIME = "about a minute and a half"


def run(
    shares: Sequence[float] = SHARES,
    *,
    calibration: Calibration | None = None,
    patients: int = 300,
    draws: int = 12,
    patients_per_draw: int = 80,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Irradiated:
    """Every share, dose and order in the same patients, at the estimate and at posterior draws."""
    calibration = calibration or read_calibration()
    draws = min(draws, len(calibration.draws))
    best = numbers(calibration.parameters(), patients, seed, shares)
    few = numbers(calibration.parameters(), patients_per_draw, seed, shares)
    drawn = []
    for k in range(draws):
        drawn.append(numbers(calibration.draw(k), patients_per_draw, seed, shares))
        if progress is not None:
            progress("posterior draws", k + 1, draws)
    return Irradiated(tuple(sorted({*shares, HALF, MOST})), best, few, drawn)


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(
        calibration=calibration, patients=min(settings.patients, 300), draws=min(settings.draws, 12),
        patients_per_draw=min(settings.patients_per_draw, 80), seed=settings.seed, progress=settings.progress,
    )  # fmt: skip
    return Answer(
        title="Radiotherapy for oligoprogression after CAR-T cells",
        subtitle="Virtual late-line patients at their first progression after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("How much is gained, and when not", _TEXT, [gain_picture(found)], [share_table(found)]),
            Section("Can the next line wait?", _WAIT, [order_picture(found)], [order_table(found)]),
        ),
        numbers=numbers_of(found),
        notices=notices(calibration),
        findings=findings(found),
    )


def sentences(found: Irradiated) -> tuple[str, ...]:
    """The answer in words."""
    least, most = found.shares[0], found.shares[-1]
    slow, fast = (found.best["doubling", group] for group in (SLOW, FAST))
    dose = found.difference("gain", "30 Gy in 10", "8 Gy once")
    return (
        f"With {100 * least:g} % of the tumour in the field radiotherapy delays the next progression by "
        f"{found.gain(least).text('.1f')} months, with half of it by {found.gain(HALF).text('.1f')}, with "
        f"{100 * most:g} % by {found.gain(most).text('.1f')}: it buys the time in which the tumour outside grows to "
        "what was killed inside.",
        f"It is futile (less than {WORTH:g} month) below {found.needed().text('.0f')} % in the field; below "
        f"{found.needed(SLOW).text('.0f')} % in slow disease (median doubling time {slow:.0f} days), and below "
        f"{found.needed(FAST).text('.0f')} % in fast disease ({fast:.0f} days).",
        f"The dose: 30 Gy instead of 8 Gy in the same field changes the gain by {dose.text('+.2f')} months.",
        "Can talquetamab wait? Started at the next progression, after radiotherapy of half "
        f"of the tumour, {found.estimate('response', FIRST_HALF).text('.0f')} % respond (at once "
        f"{found.estimate('response', AT_ONCE).text('.0f')} %), and it holds "
        f"{found.estimate('on talquetamab', FIRST_HALF).text('.1f')} months (at once "
        f"{found.estimate('on talquetamab', AT_ONCE).text('.1f')}). Of the time that radiotherapy first seems to add, "
        f"{found.difference('failed', WATCH, AT_ONCE).text('.1f')} months are those of waiting alone; "
        f"{found.difference('failed', FIRST_HALF, WATCH).text('.1f')} are its own.",
        "Given together with talquetamab at once, radiotherapy of half the tumour adds "
        f"{found.difference('failed', WITH_HALF, AT_ONCE).text('.1f')} months.",
    )


def gain_picture(found: Irradiated) -> Picture:
    """Months gained along the share in the field, for slow and fast disease."""
    shares = [100 * share for share in found.shares]
    lines = []
    for group in (SLOW, EVERYBODY, FAST):
        gains = [found.gain(share, group) for share in found.shares]
        lines.append(
            LineToDraw(group, shares, [g.value for g in gains], [g.low for g in gains], [g.high for g in gains])
        )
    panel = AlongPanel(
        "Gain until the next progression", "share of the tumour in the field (%)",
        "gain in progression-free time (months)", lines, zero=True,
        marks=[(found.needed().value, f"{WORTH:g} month gained")] if found.needed().value < 100.0 else (),
    )  # fmt: skip
    return along_picture(
        [panel], name="oligoprogression", title="20 Gy at progression (simulated)",
        note="Halves by the growth rate of the tumour.",
    )  # fmt: skip


def order_picture(found: Irradiated) -> Picture:
    """Months until talquetamab has failed, against talquetamab at once."""
    rows = []
    for option in OPTIONS[1:]:
        one = found.difference("failed", option, AT_ONCE)
        rows.append(EffectRowToDraw(option, one.value, one.low, one.high, True))
    return effect_picture(
        rows, name="oligoprogression_order", title=f"Against {AT_ONCE}",
        x_label=f"Difference in months from the first progression until talquetamab has failed, of {HORIZON:g}",
        sides=("shorter", "longer"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def share_table(found: Irradiated) -> Table:
    """Gains by share in the field and group, and by dose."""
    rows = [
        (f"{100 * share:g} %, 20 Gy", *(found.gain(share, group).text(".1f") for group in GROUPS))
        for share in found.shares
    ]
    rows += [(f"{100 * HALF:g} %, {dose}", found.estimate("gain", dose).text(".1f"), "", "") for dose in DOSES]
    rows.append(("months without any treatment", *(found.estimate("free", group).text(".1f") for group in GROUPS)))
    return Table("Months gained until the next progression", ("in the field", *GROUPS), rows, _NOTE)


def order_table(found: Irradiated) -> Table:
    """What talquetamab does at once, later, and together with radiotherapy."""
    rows = [
        (
            option, found.estimate("response", option).text(".0f"),
            found.estimate("on talquetamab", option).text(".1f"), found.estimate("failed", option).text(".1f"),
        )
        for option in OPTIONS
    ]  # fmt: skip
    head = ("order", "response in the last line, %", "months in the last line", "months from the first progression")
    return Table("Radiotherapy and talquetamab", head, rows, _NOTE)


def numbers_of(found: Irradiated) -> list[NumberRow]:
    """Every number for `numbers.csv`."""
    names = {
        "gain": ("gain until the next progression", "months"), "free": ("months until progression", "months"),
        "response": ("overall response", "%"), "on talquetamab": ("restricted mean PFS of the last line", "months"),
        "failed": ("months until the last line has failed", "months"),
    }  # fmt: skip
    rows = [
        estimate_row(where, names[what][0], found.estimate(what, where), names[what][1])
        for what, where in found.best
        if what in names
    ]
    needed = [
        estimate_row(group, "share in the field that gains a month", found.needed(group), "%") for group in GROUPS
    ]
    return [*rows, *needed]


def notices(calibration: Calibration) -> list[str]:
    """Where the projection stands."""
    footing = footing_of_plan(read_plan(FIRST + USUAL + LATER), POPULATION, read_studies(), calibration.missed)
    return [f"{footing.flag}. {footing.reason[0].upper()}{footing.reason[1:]}.", _NOTICE]


def findings(found: Irradiated) -> tuple[Finding, ...]:
    """What the review says of radiotherapy after CAR-T cells."""
    gain = found.gain(HALF)
    response = found.difference("response", FIRST_HALF, AT_ONCE)
    return (
        Finding(
            "radiotherapy delays systemic progression",
            "it may, to isolated lesions after failure of CAR-T cells against BCMA (no number)", "min_2025",
            f"{gain.text('+.1f')} months with half of the tumour in the field", gain.low > 0.0,
        ),
        Finding(
            "radiotherapy is a bridge to the next line",
            "it may be (no number)", "min_2025",
            f"response to talquetamab afterwards {response.text('+.0f')} points, against talquetamab at once",
            response.high >= 0.0,
        ),
    )  # fmt: skip


_TEXT = """The field is a share of the whole tumour, the same for everybody; a share is a thought experiment, since no
report says how much of the disease an oligoprogression holds. Cells do not move in or out of the field, and the rest of
the tumour grows as it did."""
_WAIT = f"""Time runs from the first progression; patients who come to it within {HORIZON:g} months count. A next
progression is judged from a new baseline, so that waiting alone seems to gain time: compare with no treatment first."""
_NOTE = f"Value at the estimate (central 95 % of posterior draws); means restricted to {HORIZON:g} months."
_NOTICE = """One tumour stands for all lesions: a lesion that grows alone while the others are held by CAR-T cells is
not modelled, nor are relief of pain, fractures, marrow reserve, or effects outside the field. Deaths without
progression count, deaths of the progressing disease do not."""


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "oligoprogression", answer)
