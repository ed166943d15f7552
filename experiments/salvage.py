"""CAR-T cells have failed: which therapy next, by how much, and how sure are we?

Virtual patients who progress after ide-cel get each therapy of the review in turn, on the same patients. What the first
line has left behind (antigen, clones, immunity against the CAR, exhausted T cells) decides what the next one finds.
"""

from collections.abc import Mapping
from dataclasses import replace

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.regimens.sentence import read_plan
from perdure.reports.comparison_report import gain_picture, report_of, table_of
from perdure.reports.experiment_report import ExperimentReport
from perdure.reports.line_report import RESTRICTED_YEAR, compare_plans, line_picture, reported_of_later_lines
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.compare import Comparison
from perdure.trials.treat import LATER_LINE_MONTHS

TIME = "about four minutes"
SIZES = Sizes(patients=400, draws=12, patients_per_draw=120)
CELLS = "ide-cel; at progression: lymphodepletion days 23-25; {} on day 28"
DRUG = "ide-cel; at progression: {}"
SALVAGES: Mapping[str, str] = {
    "ide-cel again": CELLS.format("ide-cel again"),
    "equ-cel (BCMA, human binder)": CELLS.format("equ-cel"),
    "OriCAR-017 (GPRC5D)": CELLS.format("oricar-017"),
    "BCMA/GPRC5D CAR-T": CELLS.format("bcma-gprc5d-car-t"),
    "universal CAR-T (BCMA)": CELLS.format("universal-car-t"),
    "teclistamab (BCMA)": DRUG.format("teclistamab"),
    "talquetamab (GPRC5D)": DRUG.format("talquetamab"),
    "cevostamab (FcRH5)": DRUG.format("cevostamab"),
    "belantamab mafodotin": DRUG.format("belantamab-mafodotin"),
    "nivolumab": DRUG.format("nivolumab"),
    "daratumumab": DRUG.format("daratumumab"),
    "proteasome inhibitor": DRUG.format("proteasome-inhibitor"),
    "selinexor": DRUG.format("selinexor"),
    "combination chemotherapy": DRUG.format("combination-chemotherapy"),
    "autologous transplant": DRUG.format("autologous-transplant"),
}
"""Each salvage as a plan; cells are infused four weeks after progression, drugs start at once."""
CURVES = ("ide-cel again", "OriCAR-017 (GPRC5D)", "teclistamab (BCMA)", "talquetamab (GPRC5D)", "belantamab mafodotin")
"""Salvages whose curves are drawn: more would not be legible."""


def run(
    calibration: Calibration | None = None, sizes: Sizes = SIZES, *, salvages: Mapping[str, str] = SALVAGES,
    population: str = "late_line", months: float = LATER_LINE_MONTHS,
) -> Comparison:  # fmt: skip
    """The last line of every salvage; gains are against the first."""
    plans = {name: read_plan(words) for name, words in salvages.items()}
    return compare_plans(plans, population, calibration or read_calibration(), months=months, sizes=sizes)


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """Every salvage on the same virtual patients, and what was reported of such lines."""
    sizes = replace(
        settings.sizes, patients=min(settings.patients, SIZES.patients), draws=min(settings.draws, SIZES.draws)
    )
    comparison = run(calibration, sizes)
    reported = reported_of_later_lines(calibration, patients=sizes.patients)
    first = comparison.arms[0].name
    pictures = [
        gain_picture(
            comparison, name="salvage_gain", title=f"Against {first}", measure=RESTRICTED_YEAR,
            sides=("shorter", "longer"), note="Same virtual patients; interval: central 95 % of posterior draws.",
        ),
        line_picture(
            comparison, name="salvage_pfs", title="Progression-free survival of the next line (simulated)", arms=CURVES,
            note="Cells: from their infusion. Band: central 95 % of posterior draws.",
        ),
    ]  # fmt: skip
    answer = report_of(
        comparison,
        title="CAR-T cells have failed: which therapy next?",
        subtitle="Virtual patients who progress after ide-cel, each salvage on the same patients",
        sentences=sentences(comparison),
        sections=[
            Section(
                "Gain, and how sure", _GAIN_TEXT.format(first), pictures,
                [table_of(comparison, "Salvage", gains=(RESTRICTED_YEAR,))],
            ),
            Section("Can it be believed?", _BELIEF_TEXT, tables=[reported]),
        ],
        gains=(RESTRICTED_YEAR,),
    )  # fmt: skip
    return replace(answer, for_reference=(reported.title,))


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """The answer in words."""
    first = comparison.arms[0].name
    gains = {arm.name: comparison.gain(arm.name, RESTRICTED_YEAR) for arm in comparison.arms[1:]}
    most = sorted(gains, key=lambda name: -gains[name].value)[:3]
    sure = [name for name, gain in gains.items() if gain.low > 0.0]
    return (
        f"Most restricted mean PFS over 12 months, less that of {first}: "
        + "; ".join(f"{name} {gains[name].text('+.1f')} months" for name in most)
        + f". The interval is above zero for {len(sure)} of {len(gains)} salvages.",
        _INTRO,
    )


_INTRO = (
    "All patients are simulated. What one line leaves to the next follows from the mechanisms and from the results of "
    "later lines that were fitted; a table shows how well those are met. For the same product given again the model "
    "answers too high."
)
_BELIEF_TEXT = """What trials and centres reported of a line after the first, and the model's answer for such patients.
Where the model answers too high, so does the projection above."""
_GAIN_TEXT = """Every salvage is given to the same virtual patients, and compared with {}. Cells are counted from their
infusion four weeks after progression, so that who is lost while waiting is not counted against them."""


if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
