"""Radiotherapy for oligoprogression after CAR-T cells: does it delay the next line, and when is it futile?

At the first progression after ide-cel a share of the tumour lies in the field, from a tenth to nearly all of it. What
is gained until the next progression is compared with no treatment in the same patients; then talquetamab, at once,
together with radiotherapy, or only when the disease progresses again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import anchored, interval
from perdure.fitting.studies import read_studies
from perdure.model.endpoints import Visits
from perdure.model.imwg import PR
from perdure.model.lines import LineOutcomes, follow_line
from perdure.model.regimens.sentence import read_plan
from perdure.model.simulate import Solver
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import Draws, draw, make_patients
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.along import AlongPanel, LineToDraw, along_picture
from perdure.reports.figures.forest import effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.rows import EffectRowToDraw
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.projection import Estimate, Progress
from perdure.trials.provenance import footing_of_plan
from perdure.trials.treat import SEED

# Radiotherapy of a share of the tumour at the first progression after CAR-T cells, and a next line before or after.


POPULATION = "late_line"
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HALF, MOST = 0.5, 0.9
"""Shares in the field that are followed into the next line."""
HORIZON = 18.0
"""Months: everything is restricted to so long after the first progression, in those who come to it within as long."""
WORTH = 1.0
"""Months: a gain that is shorter than the gap between two visits is called futile."""
FIRST, USUAL = "ide-cel; at progression ", "radiotherapy 4 Gy days 0-4"
DOSES = {
    "8 Gy once": "radiotherapy 8 Gy day 0",
    "20 Gy in 5": USUAL,
    "30 Gy in 10": "radiotherapy 3 Gy days 0-4; radiotherapy 3 Gy days 7-11",
}
LATER = "; at progression talquetamab"
EVERYBODY, SLOW, FAST = "everybody", "slower half", "faster half"
GROUPS = (EVERYBODY, SLOW, FAST)
AT_ONCE, WATCH = "talquetamab at once", "no treatment, then talquetamab"
FIRST_HALF, FIRST_MOST = "half irradiated, then talquetamab", "90 % irradiated, then talquetamab"
WITH_HALF, WITH_MOST = "half irradiated and talquetamab at once", "90 % irradiated and talquetamab at once"
OPTIONS = (AT_ONCE, WATCH, FIRST_HALF, FIRST_MOST, WITH_HALF, WITH_MOST)
UNTREATED = "no treatment"
Key = tuple[str, str]
"""What is measured, and where: a group and share, a dose, or an option."""


def key_of(group: str, share: float) -> str:
    """Where a gain is measured: a group of patients with a share of the tumour (0 to 1) in the field."""
    return f"{group}, {100 * share:g} % in the field"


@dataclass(frozen=True, eq=False)
class People:
    """Virtual patients with what stays the same in all that is given to them."""

    values: Mapping[str, np.ndarray]
    draws: Draws

    def follow(self, words: str, share: float = 0.0) -> LineOutcomes:
        """The last line of a plan, with this share of the tumour in the field; none means no radiotherapy at all."""
        changed = {**self.values, "fraction_in_field_radiotherapy": np.full(self.draws.n, share)}
        if share == 0.0:
            changed["max_inhibition_suppression_radiotherapy"] = np.zeros(self.draws.n)
        visits, solver = Visits(28.0, HORIZON), Solver(rtol=1e-4, workers=1)
        return follow_line(changed, self.draws, read_plan(FIRST + words), visits=visits, solver=solver)


def months_free(line: LineOutcomes) -> np.ndarray:
    """Months (2, n) without progression or death from the start of a line, at most `HORIZON`."""
    day = np.minimum(line.outcomes.progression(), line.outcomes.death)
    return np.minimum(day / DAYS_PER_MONTH, HORIZON)


def weights(line: LineOutcomes) -> np.ndarray:
    """Weights (2, n) of who comes to a line; zero for the others."""
    return np.where(np.isfinite(line.since), line.outcomes.weight * line.outcomes.usable, 0.0)


def months_until_failure(before: LineOutcomes, last: LineOutcomes) -> float:
    """Mean months from the start of the line before until the last line has failed or the patient is dead.

    Who never comes to the last line counts until death, or `HORIZON`.
    """
    came, wait = np.isfinite(last.since), (last.since - before.since) / DAYS_PER_MONTH
    early = early_relapse(before)
    total = np.where(came, np.minimum(np.nan_to_num(wait) + months_free(last), HORIZON), 0.0)
    weight, others = weights(last) * early, weights(before) * early * ~came
    return float((np.sum(weight * total) + np.sum(others * months_free(before))) / (np.sum(weight) + np.sum(others)))


def early_relapse(line: LineOutcomes) -> np.ndarray:
    """Whether (n,) the line begins so early that what follows can be seen to the end."""
    return np.nan_to_num(line.since, nan=np.inf) <= HORIZON * DAYS_PER_MONTH


def numbers(parameters: ParameterSet, patients: int, seed: int, shares: Sequence[float] = SHARES) -> dict[Key, float]:
    """Everything that is measured, with one set of parameters."""
    people = draw(parameters, patients, seed)
    one = People(make_patients(parameters, people, product=("ide_cel",), population=POPULATION), people)
    shares = tuple(sorted({*shares, HALF, MOST}))
    jobs: dict[str, tuple[str, float]] = {UNTREATED: (USUAL, 0.0)}
    jobs |= {key_of(EVERYBODY, share): (USUAL, share) for share in shares}
    jobs |= {dose: (words, HALF) for dose, words in DOSES.items() if words != USUAL}
    jobs |= {AT_ONCE: ("talquetamab", 0.0), WATCH: (USUAL + LATER, 0.0)}
    jobs |= {FIRST_HALF: (USUAL + LATER, HALF), FIRST_MOST: (USUAL + LATER, MOST)}
    jobs |= {WITH_HALF: (f"talquetamab; {USUAL}", HALF), WITH_MOST: (f"talquetamab; {USUAL}", MOST)}
    with ThreadPoolExecutor(2) as pool:
        lines = dict(zip(jobs, pool.map(lambda job: one.follow(*job), jobs.values()), strict=True))
    untreated = lines[UNTREATED]
    growth = one.values["k_growth_tumour"]
    middle = np.median(growth[early_relapse(untreated)])
    groups = {EVERYBODY: np.ones(people.n, dtype=bool), SLOW: growth <= middle, FAST: growth > middle}
    found: dict[Key, float] = {("relapse", "within the horizon"): 100.0 * float(np.mean(early_relapse(untreated)))}
    for group, belongs in groups.items():
        base = _mean(untreated, belongs)
        found["free", group] = base
        found["doubling", group] = np.log(2.0) / float(np.median(growth[belongs & early_relapse(untreated)]))
        for share in shares:
            found["gain", key_of(group, share)] = _mean(lines[key_of(EVERYBODY, share)], belongs) - base
    lines[next(name for name, words in DOSES.items() if words == USUAL)] = lines[key_of(EVERYBODY, HALF)]
    found |= {("gain", dose): _mean(lines[dose], groups[EVERYBODY]) - found["free", EVERYBODY] for dose in DOSES}
    before = {
        WATCH: untreated, FIRST_HALF: lines[key_of(EVERYBODY, HALF)], FIRST_MOST: lines[key_of(EVERYBODY, MOST)]
    }  # fmt: skip
    for option in OPTIONS:
        last = lines[option]
        keep = early_relapse(before.get(option, last))
        weight = weights(last) * keep
        found["response", option] = 100.0 * float(np.sum(weight * (last.outcomes.best >= PR)) / np.sum(weight))
        found["on talquetamab", option] = _mean(last, keep)
        found["failed", option] = (
            months_until_failure(before[option], last) if option in before else found["on talquetamab", option]
        )
    return found


def _mean(line: LineOutcomes, belongs: np.ndarray) -> float:
    weight = weights(line) * belongs
    if line.number == 2:
        weight = weight * early_relapse(line)
    return float(np.sum(weight * months_free(line)) / np.sum(weight))


@dataclass(frozen=True, eq=False)
class Irradiated:
    """Every number at the estimate (many and few patients) and at the draws."""

    shares: tuple[float, ...]
    best: Mapping[Key, float]
    few: Mapping[Key, float]
    drawn: Sequence[Mapping[Key, float]]

    def _draws(self, key: Key) -> np.ndarray:
        values = np.array([one[key] for one in self.drawn])
        low, high = (-HORIZON, HORIZON) if key[0] == "gain" else (0.0, 100.0)
        return anchored(self.best[key], values, self.few[key], low, high)

    def estimate(self, what: str, where: str) -> Estimate:
        """A number with its 95 % interval over posterior draws."""
        return Estimate(self.best[what, where], *interval(self._draws((what, where))))

    def difference(self, what: str, where: str, against: str) -> Estimate:
        """A number less the same elsewhere, paired draw by draw."""
        value = self.best[what, where] - self.best[what, against]
        return Estimate(value, *interval(self._draws((what, where)) - self._draws((what, against))))

    def gain(self, share: float, group: str = EVERYBODY) -> Estimate:
        """Months gained until the next progression, with this share in the field."""
        return self.estimate("gain", key_of(group, share))

    def needed(self, group: str = EVERYBODY, worth: float = WORTH) -> Estimate:
        """Percent of the tumour that must lie in the field for a gain of so many months; infinite if all is too few."""
        keys = [("gain", key_of(group, share)) for share in self.shares]
        value = self._crossing([self.best[key] for key in keys], worth)
        drawn = np.array([self._draws(key) for key in keys]).T
        return Estimate(value, *interval(np.array([self._crossing(list(row), worth) for row in drawn])))

    def _crossing(self, gains: Sequence[float], worth: float) -> float:
        """By interpolation from no field and no gain."""
        rising = np.maximum.accumulate([0.0, *gains])
        at = 100.0 * np.array([0.0, *self.shares])
        return float(np.interp(worth, rising, at)) if rising[-1] >= worth else np.inf


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
