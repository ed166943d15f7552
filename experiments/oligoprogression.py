"""Radiotherapy for oligoprogression after CAR-T cells: does it delay the next line, and when is it futile?

At the first progression after ide-cel a share of the tumour lies in the field, from a tenth to nearly all of it. What
is gained until the next progression is compared with no treatment in the same patients; then talquetamab, at once,
together with radiotherapy, or only when the disease progresses again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes, over_posterior
from perdure.fitting.studies import read_studies
from perdure.model.simulate import Solver
from perdure.parameters.parameter_set import ParameterSet
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.local_treatment_report import gain_picture, number_rows, order_picture, order_table, share_table
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import EVERYBODY
from perdure.trials.local_treatment import (
    FAST,
    HORIZON,
    SLOW,
    WORTH,
    Irradiation,
    Key,
    Results,
    in_field,
    irradiated,
    measure,
)
from perdure.trials.provenance import provenance_of_plan
from perdure.trials.treat import ArmResult, treat

TIME = "about a minute and a half"
SIZES = Sizes(patients=300, draws=12, patients_per_draw=80)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HALF, MOST = 0.5, 0.9
"""Shares in the field that are followed into the next line."""
DOSES = {
    "8 Gy once": "radiotherapy 8 Gy day 0",
    "20 Gy in 5": "radiotherapy 4 Gy days 0-4",
    "30 Gy in 10": "radiotherapy 3 Gy days 0-4; radiotherapy 3 Gy days 7-11",
}
USUAL = DOSES["20 Gy in 5"]
LATER = "; at progression talquetamab"
GROUPS = (EVERYBODY, SLOW, FAST)
UNTREATED = "no treatment"
AT_ONCE, WATCH = "talquetamab at once", "no treatment, then talquetamab"
FIRST_HALF, FIRST_MOST = "half irradiated, then talquetamab", "90 % irradiated, then talquetamab"
WITH_HALF, WITH_MOST = "half irradiated and talquetamab at once", "90 % irradiated and talquetamab at once"
OPTIONS = (AT_ONCE, WATCH, FIRST_HALF, FIRST_MOST, WITH_HALF, WITH_MOST)
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


def follow(arm: Arm, parameters: ParameterSet, patients: int, seed: int) -> ArmResult:
    """The last line of an arm, until the horizon."""
    solver = Solver(rtol=1e-4, workers=1)
    return treat(arm, patients=patients, seed=seed, months=HORIZON, parameters=parameters, solver=solver)


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

    def numbers(results: Results) -> Mapping[Key, float]:
        doses = {dose: irradiated(HALF) if words == USUAL else dose for dose, words in DOSES.items()}
        return measure(results, untreated=UNTREATED, shares=shares, doses=doses, orders=OPTIONS, before=BEFORE)

    return Irradiation(shares, over_posterior(simulate, numbers, calibration or read_calibration(), sizes))


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
    irradiation = run(calibration, settings.sizes.at_most(SIZES))
    then_talquetamab = at_progression(WATCH, USUAL + LATER)
    provenance = provenance_of_plan(
        then_talquetamab.plan, then_talquetamab.population, read_studies(), calibration.missed
    )  # fmt: skip
    return ExperimentReport(
        title="Radiotherapy for oligoprogression after CAR-T cells",
        subtitle="Virtual late-line patients at their first progression after ide-cel",
        sentences=sentences(irradiation),
        sections=(
            Section(
                "How much is gained, and when not", _TEXT, [gain_picture(irradiation, (SLOW, EVERYBODY, FAST))],
                [share_table(irradiation, GROUPS, usual="20 Gy", doses=tuple(DOSES), dosed=HALF)],
            ),
            Section(
                "Can the next line wait?", _WAIT, [order_picture(irradiation, OPTIONS, "talquetamab")],
                [order_table(irradiation, OPTIONS, "Radiotherapy and talquetamab")],
            ),
        ),
        numbers=number_rows(irradiation, GROUPS),
        notices=[f"{provenance.flag}. {provenance.reason[0].upper()}{provenance.reason[1:]}.", _NOTICE],
        findings=findings(irradiation),
    )  # fmt: skip


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
        f"{estimate('last line', FIRST_HALF).text('.1f')} months (at once "
        f"{estimate('last line', AT_ONCE).text('.1f')}). Of the time that radiotherapy first seems to add, "
        f"{difference('failed', WATCH, AT_ONCE).text('.1f')} months are those of waiting alone; "
        f"{difference('failed', FIRST_HALF, WATCH).text('.1f')} are its own.",
        "Given together with talquetamab at once, radiotherapy of half the tumour adds "
        f"{difference('failed', WITH_HALF, AT_ONCE).text('.1f')} months.",
    )


_TEXT = """The field is a share of the whole tumour, the same for everybody; a share is a thought experiment, since no
report says how much of the disease an oligoprogression holds. Cells do not move in or out of the field, and the rest of
the tumour grows as it did."""
_WAIT = f"""Time runs from the first progression; patients who come to it within {HORIZON:g} months count. A next
progression is judged from a new baseline, so that waiting alone seems to gain time: compare with no treatment first."""
_NOTICE = """One tumour stands for all lesions: a lesion that grows alone while the others are held by CAR-T cells is
not modelled, nor are relief of pain, fractures, marrow reserve, or effects outside the field. Deaths without
progression count, deaths of the progressing disease do not."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
