"""Radiotherapy for oligoprogression after CAR-T cells: does it delay the next line, and when is it futile?

At the first progression after ide-cel a share of the tumour lies in the field, from a tenth to nearly all of it. What
is gained until the next progression is compared with no treatment in the same patients; then talquetamab, at once,
together with radiotherapy, or only when the disease progresses again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Estimate, Posterior, Sizes, interval, over_posterior
from perdure.fitting.studies import read_studies
from perdure.model.simulate import Solver
from perdure.parameters.parameter_set import ParameterSet
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.figures.along import AlongPanel, LineToDraw, along_picture
from perdure.reports.figures.forest import EffectRowToDraw, effect_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.local_treatment import (
    HORIZON,
    begins_early,
    in_field,
    mean_months_free,
    months_until_failure,
    response_rate,
)
from perdure.trials.provenance import footing_of_plan
from perdure.trials.treat import ArmResult, treat

TIME = "about a minute and a half"
SIZES = Sizes(patients=300, draws=12, patients_per_draw=80)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HALF, MOST = 0.5, 0.9
"""Shares in the field that are followed into the next line."""
WORTH = 1.0
"""Months: a gain that is shorter than the gap between two visits is called futile."""
DOSES = {
    "8 Gy once": "radiotherapy 8 Gy day 0",
    "20 Gy in 5": "radiotherapy 4 Gy days 0-4",
    "30 Gy in 10": "radiotherapy 3 Gy days 0-4; radiotherapy 3 Gy days 7-11",
}
USUAL = DOSES["20 Gy in 5"]
LATER = "; at progression talquetamab"
EVERYBODY, SLOW, FAST = "everybody", "slower half", "faster half"
GROUPS = (EVERYBODY, SLOW, FAST)
UNTREATED = "no treatment"
AT_ONCE, WATCH = "talquetamab at once", "no treatment, then talquetamab"
FIRST_HALF, FIRST_MOST = "half irradiated, then talquetamab", "90 % irradiated, then talquetamab"
WITH_HALF, WITH_MOST = "half irradiated and talquetamab at once", "90 % irradiated and talquetamab at once"
OPTIONS = (AT_ONCE, WATCH, FIRST_HALF, FIRST_MOST, WITH_HALF, WITH_MOST)


def irradiated(share: float) -> str:
    """How the arm is called in which so much of the tumour (0 to 1) gets the usual dose."""
    return f"{100 * share:g} % in the field"


BEFORE = {WATCH: UNTREATED, FIRST_HALF: irradiated(HALF), FIRST_MOST: irradiated(MOST)}
"""The arm that shows the line before talquetamab, where there is one."""


def at_progression(name: str, words: str, share: float = 0.0) -> Arm:
    """What is given at the first progression after ide-cel, with this share of the tumour in the field."""
    return Arm(name, f"ide-cel; at progression {words}", change=in_field(share))


def arms_of(shares: Sequence[float] = SHARES) -> tuple[Arm, ...]:
    """No treatment, every share in the field, other doses to half of it, and every order with talquetamab."""
    return (
        at_progression(UNTREATED, USUAL),
        *(at_progression(irradiated(share), USUAL, share) for share in shares),
        *(at_progression(dose, words, HALF) for dose, words in DOSES.items() if words != USUAL),
        at_progression(AT_ONCE, "talquetamab"),
        at_progression(WATCH, USUAL + LATER),
        at_progression(FIRST_HALF, USUAL + LATER, HALF),
        at_progression(FIRST_MOST, USUAL + LATER, MOST),
        at_progression(WITH_HALF, f"talquetamab; {USUAL}", HALF),
        at_progression(WITH_MOST, f"talquetamab; {USUAL}", MOST),
    )


Results = Mapping[str, ArmResult]
"""Arms by name."""
Key = tuple[str, str]
"""What is measured, and where: a group and share, a dose, or an option."""


def follow(arm: Arm, parameters: ParameterSet, patients: int, seed: int) -> ArmResult:
    """The last line of an arm, until the horizon."""
    solver = Solver(rtol=1e-4, workers=1)
    return treat(arm, patients=patients, seed=seed, months=HORIZON, parameters=parameters, solver=solver)


def measure(results: Results, shares: Sequence[float]) -> dict[Key, float]:
    """Every number of the arms with one set of parameters."""
    untreated = results[UNTREATED]
    early, growth = begins_early(untreated), untreated.patients["k_growth_tumour"]
    middle = np.median(growth[early])
    groups = {EVERYBODY: np.ones(untreated.outcomes.n, dtype=bool), SLOW: growth <= middle, FAST: growth > middle}
    numbers: dict[Key, float] = {}
    for group, belongs in groups.items():
        free = mean_months_free(untreated, belongs)
        numbers["free", group] = free
        numbers["doubling", group] = np.log(2.0) / float(np.median(growth[belongs & early]))
        for share in shares:
            gained = mean_months_free(results[irradiated(share)], belongs) - free
            numbers["gain", f"{group}, {irradiated(share)}"] = gained
    for dose, words in DOSES.items():
        result = results[irradiated(HALF) if words == USUAL else dose]
        numbers["gain", dose] = mean_months_free(result, groups[EVERYBODY]) - numbers["free", EVERYBODY]
    for option in OPTIONS:
        last, before = results[option], results[BEFORE.get(option, option)]
        keep = begins_early(before)
        held = mean_months_free(last, keep)
        numbers["response", option] = 100.0 * response_rate(last, keep)
        numbers["on talquetamab", option] = held
        numbers["failed", option] = months_until_failure(before, last) if option in BEFORE else held
    return numbers


@dataclass(frozen=True, eq=False)
class Irradiation:
    """Every number at the estimate and at the draws, along the shares in the field."""

    shares: tuple[float, ...]
    posterior: Posterior[Results, Mapping[Key, float]]

    def draws_of(self, what: str, where: str) -> np.ndarray:
        """A number at every draw, without the Monte Carlo error of few patients."""
        low, high = (-HORIZON, HORIZON) if what == "gain" else (0.0, 100.0)
        return self.posterior.numbers(lambda numbers: numbers[what, where], low, high).centred

    def estimate(self, what: str, where: str) -> Estimate:
        """A number with its 95 % interval over posterior draws."""
        return Estimate(self.posterior.value[what, where], *interval(self.draws_of(what, where)))

    def difference(self, what: str, where: str, against: str) -> Estimate:
        """A number less the same elsewhere, paired draw by draw."""
        value = self.posterior.value[what, where] - self.posterior.value[what, against]
        return Estimate(value, *interval(self.draws_of(what, where) - self.draws_of(what, against)))

    def gain(self, share: float, group: str = EVERYBODY) -> Estimate:
        """Months gained until the next progression, with this share in the field."""
        return self.estimate("gain", f"{group}, {irradiated(share)}")

    def needed(self, group: str = EVERYBODY, worth: float = WORTH) -> Estimate:
        """Percent of the tumour that must lie in the field for a gain of so many months; infinite if all is too few."""
        places = [f"{group}, {irradiated(share)}" for share in self.shares]
        value = self._crossing([self.posterior.value["gain", place] for place in places], worth)
        gains = np.array([self.draws_of("gain", place) for place in places]).T
        return Estimate(value, *interval(np.array([self._crossing(list(row), worth) for row in gains])))

    def _crossing(self, gains: Sequence[float], worth: float) -> float:
        """By interpolation from no field and no gain."""
        rising = np.maximum.accumulate([0.0, *gains])
        at = 100.0 * np.array([0.0, *self.shares])
        return float(np.interp(worth, rising, at)) if rising[-1] >= worth else np.inf


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, shares: Sequence[float] = SHARES
) -> Irradiation:
    """Every share, dose and order in the same patients, at the estimate and at posterior draws."""
    shares = tuple(sorted({*shares, HALF, MOST}))
    arms = arms_of(shares)

    def simulate(parameters: ParameterSet, patients: int) -> Results:
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda arm: follow(arm, parameters, patients, sizes.seed), arms))
        return {result.arm.name: result for result in results}

    posterior = over_posterior(
        simulate, lambda results: measure(results, shares), calibration or read_calibration(), sizes
    )  # fmt: skip
    return Irradiation(shares, posterior)


def findings(irradiation: Irradiation) -> tuple[Finding, ...]:
    """What the review says of radiotherapy after CAR-T cells."""
    gain = irradiation.gain(HALF)
    response = irradiation.difference("response", FIRST_HALF, AT_ONCE)
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


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """How much is gained, when nothing is, and whether the next line can wait."""
    sizes = replace(
        settings.sizes, patients=min(settings.patients, SIZES.patients), draws=min(settings.draws, SIZES.draws),
        patients_per_draw=min(settings.patients_per_draw, SIZES.patients_per_draw),
    )  # fmt: skip
    irradiation = run(calibration, sizes)
    then_talquetamab = at_progression(WATCH, USUAL + LATER)
    footing = footing_of_plan(
        then_talquetamab.plan, then_talquetamab.population, read_studies(), calibration.missed
    )  # fmt: skip
    return ExperimentReport(
        title="Radiotherapy for oligoprogression after CAR-T cells",
        subtitle="Virtual late-line patients at their first progression after ide-cel",
        sentences=sentences(irradiation),
        sections=(
            Section(
                "How much is gained, and when not", _TEXT, [gain_picture(irradiation)], [_share_table(irradiation)]
            ),
            Section("Can the next line wait?", _WAIT, [order_picture(irradiation)], [_order_table(irradiation)]),
        ),
        numbers=_number_rows(irradiation),
        notices=[f"{footing.flag}. {footing.reason[0].upper()}{footing.reason[1:]}.", _NOTICE],
        findings=findings(irradiation),
    )


def sentences(irradiation: Irradiation) -> tuple[str, ...]:
    """The answer in words."""
    estimate, difference = irradiation.estimate, irradiation.difference
    least, most = irradiation.shares[0], irradiation.shares[-1]
    slow, fast = (irradiation.posterior.value["doubling", group] for group in (SLOW, FAST))
    return (
        f"With {100 * least:g} % of the tumour in the field radiotherapy delays the next progression by "
        f"{irradiation.gain(least).text('.1f')} months, with half of it by {irradiation.gain(HALF).text('.1f')}, with "
        f"{100 * most:g} % by {irradiation.gain(most).text('.1f')}: it buys the time in which the tumour outside grows "
        "to what was killed inside.",
        f"It is futile (less than {WORTH:g} month) below {irradiation.needed().text('.0f')} % in the field; below "
        f"{irradiation.needed(SLOW).text('.0f')} % in slow disease (median doubling time {slow:.0f} days), and below "
        f"{irradiation.needed(FAST).text('.0f')} % in fast disease ({fast:.0f} days).",
        "The dose: 30 Gy instead of 8 Gy in the same field changes the gain by "
        f"{difference('gain', '30 Gy in 10', '8 Gy once').text('+.2f')} months.",
        "Can talquetamab wait? Started at the next progression, after radiotherapy of half of the tumour, "
        f"{estimate('response', FIRST_HALF).text('.0f')} % respond (at once "
        f"{estimate('response', AT_ONCE).text('.0f')} %), and it holds "
        f"{estimate('on talquetamab', FIRST_HALF).text('.1f')} months (at once "
        f"{estimate('on talquetamab', AT_ONCE).text('.1f')}). Of the time that radiotherapy first seems to add, "
        f"{difference('failed', WATCH, AT_ONCE).text('.1f')} months are those of waiting alone; "
        f"{difference('failed', FIRST_HALF, WATCH).text('.1f')} are its own.",
        "Given together with talquetamab at once, radiotherapy of half the tumour adds "
        f"{difference('failed', WITH_HALF, AT_ONCE).text('.1f')} months.",
    )


def gain_picture(irradiation: Irradiation) -> Picture:
    """Months gained along the share in the field, for slow and fast disease."""
    shares, needed = [100 * share for share in irradiation.shares], irradiation.needed().value
    lines = []
    for group in (SLOW, EVERYBODY, FAST):
        gains = [irradiation.gain(share, group) for share in irradiation.shares]
        lines.append(
            LineToDraw(group, shares, [g.value for g in gains], [g.low for g in gains], [g.high for g in gains])
        )
    panel = AlongPanel(
        "Gain until the next progression", "share of the tumour in the field (%)",
        "gain in progression-free time (months)", lines, zero=True,
        marks=[(needed, f"{WORTH:g} month gained")] if needed < 100.0 else (),
    )  # fmt: skip
    return along_picture(
        [panel], name="oligoprogression", title="20 Gy at progression (simulated)",
        note="Halves by the growth rate of the tumour.",
    )  # fmt: skip


def order_picture(irradiation: Irradiation) -> Picture:
    """Months until talquetamab has failed, against talquetamab at once."""
    gains = {option: irradiation.difference("failed", option, AT_ONCE) for option in OPTIONS[1:]}
    return effect_picture(
        [EffectRowToDraw(option, gain.value, gain.low, gain.high, True) for option, gain in gains.items()],
        name="oligoprogression_order", title=f"Against {AT_ONCE}",
        x_label=f"Difference in months from the first progression until talquetamab has failed, of {HORIZON:g}",
        sides=("shorter", "longer"), note="Same virtual patients; interval: central 95 % of posterior draws.",
    )  # fmt: skip


def _share_table(irradiation: Irradiation) -> Table:
    rows = [
        (f"{100 * share:g} %, 20 Gy", *(irradiation.gain(share, group).text(".1f") for group in GROUPS))
        for share in irradiation.shares
    ]
    rows += [(f"{100 * HALF:g} %, {dose}", irradiation.estimate("gain", dose).text(".1f"), "", "") for dose in DOSES]
    untreated = [irradiation.estimate("free", group).text(".1f") for group in GROUPS]
    rows.append(("months without any treatment", *untreated))
    return Table("Months gained until the next progression", ("in the field", *GROUPS), rows, _NOTE)


def _order_table(irradiation: Irradiation) -> Table:
    columns = {
        "response in the last line, %": ("response", ".0f"), "months in the last line": ("on talquetamab", ".1f"),
        "months from the first progression": ("failed", ".1f"),
    }  # fmt: skip
    rows = [
        (option, *(irradiation.estimate(what, option).text(form) for what, form in columns.values()))
        for option in OPTIONS
    ]
    return Table("Radiotherapy and talquetamab", ("order", *columns), rows, _NOTE)


def _number_rows(irradiation: Irradiation) -> list[NumberRow]:
    names = {
        "gain": ("gain until the next progression", "months"), "free": ("months until progression", "months"),
        "response": ("overall response", "%"), "on talquetamab": ("restricted mean PFS of the last line", "months"),
        "failed": ("months until the last line has failed", "months"),
    }  # fmt: skip
    rows = [
        estimate_row(where, names[what][0], irradiation.estimate(what, where), names[what][1])
        for what, where in irradiation.posterior.value
        if what in names
    ]
    needed = "share in the field that gains a month"
    return [*rows, *(estimate_row(group, needed, irradiation.needed(group), "%") for group in GROUPS)]


_TEXT = """The field is a share of the whole tumour, the same for everybody; a share is a thought experiment, since no
report says how much of the disease an oligoprogression holds. Cells do not move in or out of the field, and the rest of
the tumour grows as it did."""
_WAIT = f"""Time runs from the first progression; patients who come to it within {HORIZON:g} months count. A next
progression is judged from a new baseline, so that waiting alone seems to gain time: compare with no treatment first."""
_NOTE = f"Value at the estimate (central 95 % of posterior draws); means restricted to {HORIZON:g} months."
_NOTICE = """One tumour stands for all lesions: a lesion that grows alone while the others are held by CAR-T cells is
not modelled, nor are relief of pain, fractures, marrow reserve, or effects outside the field. Deaths without
progression count, deaths of the progressing disease do not."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
