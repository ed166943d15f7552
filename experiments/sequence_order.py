"""CAR-T cells first and the bispecific antibody at progression, or the other way round?

Both orders on the same virtual patients: response line by line, time to the second progression (PFS2), time in control
without the wait for cells, the exhaustion that an antibody leaves in the T cells, and the interval before the cells.
"""

from collections.abc import Sequence

from perdure.fitting.calibration.calibration import MISSED, Calibration, read_calibration
from perdure.fitting.calibration.likelihood import match
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.reports.comparison_report import given_of, notices_of, numbers_of, table_of
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section
from perdure.reports.run_files import estimate_row
from perdure.reports.sequence_report import exhaustion_picture, gain_picture, interval_picture, pfs2_picture
from perdure.reports.settings import Settings
from perdure.trials.compare import compare
from perdure.trials.host_exhaustion import HALF_YEAR, host_exhaustion
from perdure.trials.sequences import USUAL_WAIT, Orders, Pair
from perdure.trials.two_lines import CONTROL, FIRST_RESPONSE, LAST_RESPONSE, LINE_BY_LINE, QUARTERS, pfs2_at

TIME = "about two minutes"
SIZES = Sizes(patients=250, draws=16, patients_per_draw=40)
MONTHS = 36.0
WAITS = (28.0, 84.0, 168.0)
"""Days from progression under the antibody to the cells of the first pair, instead of the usual ones."""
PAIRS = (
    Pair("ide-cel", "teclistamab", "late_line"), Pair("ide-cel", "talquetamab", "late_line"),
    Pair("cilta-cel", "teclistamab", "mixed_line"), Pair("cilta-cel", "talquetamab", "mixed_line"),
)  # fmt: skip


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, pairs: Sequence[Pair] = PAIRS,
    waits: Sequence[float] = WAITS, months: float = MONTHS,
) -> Orders:  # fmt: skip
    """Both orders of every pair, the second without exhaustion too; the first pair with other intervals."""
    calibration = calibration or read_calibration()
    arms = [arm for pair in pairs for arm in (pair.cells_first, pair.antibody_first, pair.rested)]
    comparison = compare(
        [*arms, *(pairs[0].after(wait) for wait in waits)], calibration, line=0, sizes=sizes, months=months,
        measures=(*LINE_BY_LINE, *(pfs2_at(month) for month in QUARTERS if month <= months)), with_first_line=True,
        label="following lines",
    )  # fmt: skip
    exhaustion = {
        antibody: host_exhaustion(
            pair.after(HALF_YEAR + 28.0), calibration.parameters(), sizes.patients, sizes.seed
        )
        for antibody, pair in {pair.antibody: pair for pair in pairs}.items()
    }  # fmt: skip
    return Orders(tuple(pairs), tuple(waits), comparison, exhaustion)


UNDECIDED = "the interval holds zero: how fast host T cells tire and recover is known by priors only"
REPORTED = (
    ("majestec_1_orr", PAIRS[0].antibody_first.name, FIRST_RESPONSE),
    ("jakubowiak_2023_prior_car_t_orr", PAIRS[1].cells_first.name, LAST_RESPONSE),
    ("cartitude_2_c_after_bispecific_orr", PAIRS[2].antibody_first.name, LAST_RESPONSE),
)


def findings(orders: Orders) -> tuple[Finding, ...]:
    """What the review recommends of the order, and the responses it quotes of single lines in it."""
    comparison, rows = orders.comparison, []
    for pair in orders.pairs:
        gain = orders.gain(pair)
        cost = comparison.gain(pair.antibody_first.name, LAST_RESPONSE, pair.rested.name)
        rows += [
            Finding(
                f"{pair.cells} before {pair.antibody} holds longer than after it",
                "cells are to be prioritised over bispecific antibodies", "review, section 2.4.3",
                f"{gain.text('+.1f')} months in control", gain.low > 0, UNDECIDED,
            ),
            Finding(
                f"exhaustion under {pair.antibody} costs response to {pair.cells}",
                "prolonged exposure may lead to T-cell exhaustion", "review, section 2.4.3",
                f"{cost.text('+.0f')} points of response", cost.high < 0, UNDECIDED,
            ),
        ]  # fmt: skip
    items = {item.id: item for study in read_studies() for item in study.items}
    for key, name, measure in REPORTED:
        if name in [arm.name for arm in comparison.arms]:
            response = comparison.estimate(name, measure)
            met = abs(match(items[key], response.value).misfit) <= MISSED
            rows.append(Finding(f"{measure.name}: {name}", items[key].text, key, f"{response.text('.0f')} %", met))
    return tuple(rows)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Which order holds longer, what the antibody leaves, and what the interval before the cells changes."""
    orders = run(calibration, settings.sizes.at_most(SIZES))
    comparison, what = orders.comparison, f"gain in {CONTROL.name}"
    gains = [
        estimate_row(f"{pair.cells} before {pair.antibody}", what, orders.gain(pair), "months") for pair in orders.pairs
    ]
    left = [
        exhaustion_picture(orders), interval_picture(orders, LAST_RESPONSE, "order_interval_response"),
        interval_picture(orders, CONTROL, "order_interval_control"),
    ]  # fmt: skip
    lines = table_of(comparison, "Line by line", gains=(), measures=LINE_BY_LINE)
    return ExperimentReport(
        title="CAR-T cells first, or the bispecific antibody first?",
        subtitle="Both orders on the same virtual patients",
        sentences=sentences(orders),
        sections=(
            Section("Which order", _ORDER_TEXT, [gain_picture(orders), pfs2_picture(orders)], [lines]),
            Section("Why", _WHY_TEXT, left),
        ),
        numbers=[*numbers_of(comparison, gains=(CONTROL,)), *gains],
        notices=[*notices_of(comparison), _LIMITS],
        given=given_of(comparison),
        findings=findings(orders),
    )


def sentences(orders: Orders) -> tuple[str, ...]:
    """The answer in words."""
    comparison, pair = orders.comparison, orders.pairs[0]
    loss = comparison.gain(pair.rested.name, LAST_RESPONSE, pair.antibody_first.name)
    middle = orders.exhaustion[pair.antibody][1][1]

    def in_order(pair: Pair) -> str:
        chance = comparison.chance(pair.cells_first.name, CONTROL, pair.antibody_first.name)
        return (
            f"{pair.cells} before {pair.antibody}: {orders.gain(pair).text('+.1f')} months in control of 36 against "
            f"the other order, better in {100 * chance:.0f} % of the draws."
        )

    return (
        *map(in_order, orders.pairs),
        f"At progression under {pair.antibody} {100 * middle[0]:.0f} % of the T cells are exhausted (median), and "
        f"{100 * middle[-1]:.0f} % half a year later; without that {loss.text('+.0f')} points more would respond to "
        f"{pair.cells} afterwards.",
        *(
            f"A wait of {wait:g} days before the cells instead of {USUAL_WAIT:g} changes time in control by "
            f"{orders.gain_of_wait(wait).text('+.1f')} months, in a model in which nobody dies waiting."
            for wait in orders.waits[-1:]
        ),
    )  # fmt: skip


_ORDER_TEXT = """PFS2 runs from the first infusion or dose to the second progression or death; it is put together
patient by patient from both lines and their futures, eradication included (trials/treat.py says how). Time in control
leaves out the days between progression and cells, in which nothing holds the tumour. Each product stands in the
population in which it was calibrated, so that products are not to be compared."""
_WHY_TEXT = """An antibody redirects the patient's own T cells and exhausts them while it is given; cells made of them
then expand less. They recover over months once it is stopped. How fast they tire and recover, and what a product made
of them loses, is known by priors only; hence the wide intervals, and the order is not decided."""
_LIMITS = """Cells on day 0 are there at once, while cells of a second line have to be made: the wait before a first
product, and who is lost in it, are not counted. Antibodies are given until progression; a fixed duration, and death
from infection under them, are not in the model. Between progression and cells nobody dies."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
