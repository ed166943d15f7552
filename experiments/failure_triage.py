"""Which salvage for which failure mechanism, and how many patients would a biomarker-stratified trial need?

Virtual patients whom ide-cel has failed are sorted by why it failed, and each salvage is given to the same patients. A
trial stratified by a biomarker of the cause would have to find these patients first: the rarer the cause, the more must
be looked at. No such biomarker is validated; here the cause is known because the patients are virtual.
"""

from collections.abc import Mapping
from dataclasses import replace

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.reports.cause_report import causes_table, gain_picture, numbers_of, percent, signed, trials_table
from perdure.reports.experiment_report import ExperimentReport, Finding
from perdure.reports.report import Section
from perdure.reports.settings import Settings
from perdure.trials.causes import EVERYBODY, RESTRICTED_MONTHS, SIZES, CauseTable, cause_table
from perdure.trials.provenance import provenance_of_plan

TIME = "about two minutes"
POPULATION = "late_line"
COMPARATOR = "combination chemotherapy"
"""It needs neither antigen nor T cells: that ide-cel has failed, and why, hardly touches what it does."""
CELLS = "ide-cel; at progression: lymphodepletion days 23-25; {} on day 28"
DRUG = "ide-cel; at progression: {}"
SAME, OTHER = "ide-cel again", "OriCAR-017 (GPRC5D)"
SALVAGES: Mapping[str, str] = {
    COMPARATOR: DRUG.format("combination-chemotherapy"),
    SAME: CELLS.format("ide-cel again"),
    OTHER: CELLS.format("oricar-017"),
    "teclistamab (BCMA)": DRUG.format("teclistamab"),
    "talquetamab (GPRC5D)": DRUG.format("talquetamab"),
    "belantamab mafodotin": DRUG.format("belantamab-mafodotin"),
    "nivolumab": DRUG.format("nivolumab"),
    "selinexor": DRUG.format("selinexor"),
}
"""Each salvage as a plan; cells are infused four weeks after progression, drugs start at once."""
LOST = "antigen low or lost"


def run(
    calibration: Calibration | None = None,
    sizes: Sizes = SIZES,
    *,
    salvages: Mapping[str, str] | None = None,
    comparator: str = COMPARATOR,
    population: str = POPULATION,
    most: int = 100,
    most_per_draw: int = 30,
) -> CauseTable:
    """Every salvage against the comparator, by cause of failure; of each cause at most so many patients go on."""
    plans = {name: read_plan(plan) for name, plan in (SALVAGES if salvages is None else salvages).items()}
    return cause_table(
        plans, comparator, calibration or read_calibration(), population=population, sizes=sizes, most=most,
        most_per_draw=most_per_draw,
    )  # fmt: skip


def findings(causes: CauseTable) -> tuple[Finding, ...]:
    """What the review proposes, where the model has enough patients to agree or not."""
    if not causes.enough(LOST) or OTHER not in causes.therapies or SAME not in causes.therapies:
        return ()
    other, same = causes.gain(LOST, OTHER), causes.gain(LOST, SAME)
    return (
        Finding(
            "where the antigen is low or lost, cells against another one gain more than the same cells again",
            "the review proposes to choose the salvage by the failure mechanism, and here to change the target",
            "review",
            f"{OTHER} {other.text('+.1f')}, {SAME} {same.text('+.1f')} months over {causes.comparator}",
            other.value > same.value,
        ),
    )


def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
    """The answer in words, a picture and tables; the first line is quick, and gets more patients."""
    sizes = replace(
        settings.sizes, patients=5 * settings.patients, draws=min(settings.draws, SIZES.draws),
        patients_per_draw=16 * settings.patients_per_draw,
    )  # fmt: skip
    causes = run(
        calibration, sizes, most=max(settings.patients // 10, 2), most_per_draw=max(settings.patients_per_draw // 4, 2)
    )  # fmt: skip
    return ExperimentReport(
        title="Which salvage for which failure mechanism?",
        subtitle="Virtual late-line patients whom ide-cel has failed, sorted by why",
        sentences=sentences(causes),
        sections=(
            Section("What each salvage gains, by cause", _GAIN_TEXT, [gain_picture(causes)], [causes_table(causes)]),
            Section("A trial stratified by cause", _TRIAL_TEXT, tables=[trials_table(causes)]),
        ),
        numbers=numbers_of(causes),
        notices=notices(calibration),
        findings=findings(causes),
    )


def sentences(causes: CauseTable) -> tuple[str, ...]:
    """The answer in plain words."""
    shares = ", ".join(f"{group} {percent(causes.prevalence(group))}" for group in causes.causes)
    gains = []
    for group in causes.groups:
        therapy = causes.best_therapy(group) if causes.enough(group) else ""
        if therapy and therapy != causes.comparator:
            gains.append(f"{group}: {therapy} {causes.gain(group, therapy).text('+.1f')}")
        else:
            gains.append(f"{group}: {'no therapy gains' if therapy else 'too few patients to say'}")
    return (
        f"Why ide-cel fails, share of the relapses: {shares}.",
        f"Most months over {causes.comparator} ({RESTRICTED_MONTHS:g} months of the salvage): {'; '.join(gains)}.",
        f"Choosing by cause adds {signed(causes.gain_of_triage())} months on average to giving everybody "
        f"{causes.best_therapy(EVERYBODY)}: a rare cause can matter much to those who have it, and little to the mean.",
    )


def notices(calibration: Calibration) -> list[str]:
    """What the causes rest on, and whether every salvage is calibrated or extrapolated."""
    studies, lines = read_studies(), []
    for name, plan in SALVAGES.items():
        provenance = provenance_of_plan(read_plan(plan), POPULATION, studies, calibration.missed)
        lines.append(
            f"{name}: {provenance.flag}. {provenance.reason[0].upper()}{provenance.reason[1:].removesuffix('.')}."
        )
    return [_CAUSES_NOTICE, *lines]


_GAIN_TEXT = """Every salvage is given to the same virtual patients at the progression after ide-cel; cells count from
their infusion four weeks later. A row holds the patients of one cause, each with the share that this cause has in the
relapse. Where most relapses are of one kind, rows of rare causes rest on few patients, and on what the model assumes
of antigen and exhaustion, not on data of such patients. An estimate outside its own interval is not typical of the
draws: the estimate has the highest posterior probability, the interval holds the middle of the draws."""
_TRIAL_TEXT = """A trial that takes only patients of one cause needs fewer of them where the effect is larger there; but
for each of them so many must be looked at as the cause is rare. The last column is to be compared with the trial in
whoever progresses, which looks at nobody in vain."""
_CAUSES_NOTICE = """The causes are bookkeeping on the model: which single restoration would still have held the tumour.
No trial has measured them, and no biomarker of them is validated."""

if __name__ == "__main__":  # the same options as `perdure run`
    from perdure.app.main import run_script

    run_script(__file__)
