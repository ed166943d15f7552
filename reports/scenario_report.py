"""A scenario of the user's own, projected: every arm with efficacy and risk, on the same virtual patients."""

from pathlib import Path

import numpy as np

from ..fitting.calibration.calibration import Calibration
from ..fitting.posterior import Sizes
from ..model.therapy import read_therapy
from ..parameters.errors import InputError
from ..trials.arm import Arm
from ..trials.attribution import decompose
from ..trials.compare import Comparison, compare
from ..trials.design import TrialScenario, read_scenario
from ..trials.measures import ALIVE_24, EFFICACY, PFS_24, RESTRICTED_PFS, SEVERE_CRS, SEVERE_ICANS
from .attribution_report import why_picture, why_table
from .comparison_report import gain_picture, notices_of, numbers_of, pfs_picture, table_of
from .experiment_report import ExperimentReport, Reporter, run_experiment
from .report import Section, Table
from .settings import Settings

MONTHS = 60.0
MOST_CURVES = 5
PROJECTION = Sizes()
MEASURES = (*EFFICACY, ALIVE_24, SEVERE_CRS, SEVERE_ICANS)


def project(
    scenario: TrialScenario,
    calibration: Calibration,
    *,
    sizes: Sizes = PROJECTION,
    months: float = MONTHS,
    every: float = 28.0,
) -> Comparison:
    """Every arm of a scenario; what is reported is the first line of its plan, and the first arm is the reference."""
    arms = [Arm(arm.name, arm.plan, arm.population) for arm in scenario.arms]
    return compare(arms, calibration, measures=MEASURES, sizes=sizes, months=months, every=every)


def project_file(file: Path, settings: Settings, *, why: bool = True) -> Path:
    """Project the arms of a scenario file and write the run; returns its folder.

    With `why`, every difference from the first arm is split by mechanism, where that has a meaning.

    Raises
    ------
    InputError
        If the file is wrong (`read_scenario`).
    """
    return run_experiment(settings, "project", report_of(read_scenario(file), why=why), inputs=(file,))


def report_of(scenario: TrialScenario, *, why: bool = True) -> Reporter:
    """The report of a scenario, to be run like that of an experiment."""

    def report(settings: Settings, calibration: Calibration) -> ExperimentReport:
        comparison = project(scenario, calibration, sizes=settings.sizes)
        cells = _with_cells(scenario)
        shown = tuple(measure for measure in MEASURES if cells or measure not in (SEVERE_CRS, SEVERE_ICANS))
        drawn = [arm.name for arm in comparison.arms[:MOST_CURVES]]
        pictures = [pfs_picture(comparison, name="pfs", title=scenario.title, arms=drawn)]
        if len(comparison.arms) > 1:
            pictures.append(gain_picture(comparison, name="gain", title=f"Against {comparison.arms[0].name}"))
        sections = [reason_section(comparison, calibration, settings)] if why and len(comparison.arms) > 1 else []
        return ExperimentReport(
            title=scenario.title,
            subtitle=f"Projection of {len(comparison.arms)} arms on the same virtual patients",
            sentences=sentences(comparison),
            sections=(
                Section(
                    "Efficacy and risk",
                    _TEXT if cells else "",
                    pictures,
                    [table_of(comparison, "Arms", measures=shown)],
                ),
                *sections,
                Section("What was given", "", tables=[plans_table(scenario)]),
            ),
            numbers=numbers_of(comparison),
            notices=[
                *notices_of(comparison),
                *([_FIRST] if any(len(arm.plan.lines) > 1 for arm in scenario.arms) else []),
            ],
        )

    return report


def sentences(comparison: Comparison) -> tuple[str, ...]:
    """The answer in words: what every arm gains over the first, and how sure that is."""
    first = comparison.arms[0].name
    sentences = [
        f"{first}: progression-free survival at 24 months {comparison.estimate(first, PFS_24).text('.0f')} %, "
        f"restricted mean PFS over 36 months {comparison.estimate(first, RESTRICTED_PFS).text('.1f')} months."
    ]
    for arm in comparison.arms[1:]:
        gain, chance = comparison.gain(arm.name, RESTRICTED_PFS), comparison.chance(arm.name, RESTRICTED_PFS)
        sure = f"in {100 * chance:.0f} % of the posterior draws it gains" if np.isfinite(chance) else "not comparable"
        sentences.append(f"{arm.name} against {first}: {gain.text('+.1f')} months; {sure}.")
    return tuple(sentences)


def reason_section(comparison: Comparison, calibration: Calibration, settings: Settings) -> Section:
    """Every arm's difference from the first, split by mechanism (`decomposition`), with fewer patients and draws."""
    sizes = settings.sizes.divided_by(patients=5, draws=5, patients_per_draw=2, fewest_per_draw=12)
    pictures, tables, left_out = [], [], []
    for number, arm in enumerate(comparison.arms[1:], start=1):
        try:
            decomposition = decompose(comparison.arms[0], arm, calibration, sizes=sizes)
        except InputError as problem:
            left_out.append(f"{arm.name}: not split by mechanism. {problem}")
            continue
        if not decomposition.mechanisms:
            left_out.append(f"{arm.name}: no mechanism differs from {comparison.arms[0].name}.")
            continue
        title = f"Through what: {arm.name} less {comparison.arms[0].name}"
        pictures.append(why_picture(decomposition, name=f"why_{number}", title=title))
        tables.append(why_table(decomposition, f"Why, {arm.name}"))
    return Section("Why", "\n\n".join((_WHY_TEXT, *left_out)), pictures, tables)


def plans_table(scenario: TrialScenario) -> Table:
    """Every arm as it was read, in a plain sentence."""
    rows = [(arm.name, arm.population.replace("_", " "), arm.plan.text) for arm in scenario.arms]
    return Table("Plans", ("arm", "population", "read as"), rows)


def _with_cells(scenario: TrialScenario) -> bool:
    therapies = {dose.therapy for arm in scenario.arms for dose in arm.plan.first.doses}
    return any(read_therapy(therapy).kind == "car_t" for therapy in therapies)


_FIRST = """What is reported is the first line of every plan; overall survival here does not follow the later ones
(perdure design does, perdure follow reports them)."""
_WHY_TEXT = """The difference in restricted mean PFS is split between the mechanisms by which the arms differ: a part is
what a mechanism adds, averaged over all orders of putting the mechanisms in place (Shapley values), so that the parts
add up to the whole. It is computed with fewer virtual patients than the tables above."""
_TEXT = """Risks of cytokine release syndrome and neurotoxicity follow from the peak of CAR-T cells alone; other
toxicity is not modelled. Overall survival adds what happens after progression, from a hazard that the speed and burden
of the relapse set."""
