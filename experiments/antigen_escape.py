"""Does the antigen fade after CAR-T cells, and how much of relapse does that explain?

Two answers that must not be mixed up: what would still hold the tumour on the day it is seen to grow (bookkeeping), and
how many relapses there would be if no cell could escape by its antigen from infusion on (thought experiments).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.observations import Item
from perdure.fitting.posterior import interval
from perdure.fitting.studies import read_studies
from perdure.model.relapse import CAUSES
from perdure.model.simulate import Solver
from perdure.reports import comparison_report as told
from perdure.reports.experiment_report import Answer, Finding, tell
from perdure.reports.figures.course import BandToDraw, Panel, course_picture
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.shares import shares_picture
from perdure.reports.report import Section, Table
from perdure.reports.run_files import NumberRow, estimate_row
from perdure.reports.settings import Settings
from perdure.trials.compare import EVERYBODY, Arm, Change, Comparison, compare
from perdure.trials.measures import MEDIAN_PFS, PFS_24, RESTRICTED_PFS, Measure, Treated
from perdure.trials.projection import Estimate, Progress
from perdure.trials.treat import SEED, Trial, treat

TIME = "about half a minute"
MIXING = 0.5
"""Rate per day at which cells are mixed again where density is 'held': faster than killing selects, so that the spread
between the cells stays that of day 0 (at 0.5, 2 and 10 per day the results are the same within a month)."""
LOST = 50.0
"""Molecules per cell below which CAR-T cells do nothing in vitro (Perica 2023)."""
FACTORS = (0.25, 0.5, 2.0, 4.0)
REAL, NO_NULL, HELD, NEITHER = "as it is", "no BCMA-null clones", "density held", "no escape at all"


def _no_null(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    none = np.zeros_like(values["fraction_null_bcma"])
    return {"fraction_null_bcma": none, "probability_loss_bcma": none}


def _held(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"k_relaxation_density": np.full_like(values["k_relaxation_density"], MIXING)}


def _neither(values: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {**_no_null(values), **_held(values)}


def _times(factor: float) -> Change:
    return lambda values: {"density_bcma": factor * values["density_bcma"]}


def arms_of(given: str = "ide-cel", population: str = "late_line", factors: Sequence[float] = FACTORS) -> list[Arm]:
    """The patients as they are, and every thought experiment on their antigen."""
    changes: list[tuple[str, Change | None]] = [(REAL, None), (NO_NULL, _no_null), (HELD, _held), (NEITHER, _neither)]
    changes += [(f"density x {factor:g}", _times(factor)) for factor in factors]
    return [Arm(name, given, population, change) for name, change in changes]


def _relapsing(read: np.ndarray) -> np.ndarray:
    """A number of each relapse: only the branch in which the tumour comes back counts."""
    return np.stack([read, np.full(len(read), np.nan)])


def _below(one: Treated) -> float:
    density = one.outcomes.density_at_progression
    low = np.where(np.isnan(density), np.nan, 100.0 * (density < LOST))
    return one.mean(_relapsing(low))


def _cause(one: Treated) -> float:
    return 100.0 * float(one.outcomes.cause_share()[CAUSES.index("antigen low or lost")])


BEFORE = Measure("BCMA before treatment", "molecules/cell", lambda one: one.median(one.outcomes.density_before))
AFTER = Measure(
    "BCMA at progression", "molecules/cell", lambda one: one.median(_relapsing(one.outcomes.density_at_progression))
)  # fmt: skip
BELOW = Measure("progressions with cells below 50 molecules", "%", _below, 0.0, 100.0)
CAUSE = Measure("relapses that the antigen of day 0 would hold", "%", _cause, 0.0, 100.0)
MEASURES = (BEFORE, AFTER, BELOW, CAUSE, MEDIAN_PFS, PFS_24, RESTRICTED_PFS)
CARRIERS, LOW, HIGH = "carriers of BCMA-null cells", "BCMA below 670 at start", "BCMA of 670 or more at start"
GROUPS = {
    CARRIERS: lambda one: one.patients["fraction_null_bcma"] > 0,
    LOW: lambda one: one.outcomes.density_before < reported("perica_2023_density_before").value,
    HIGH: lambda one: one.outcomes.density_before >= reported("perica_2023_density_before").value,
}


@cache
def reported(item: str) -> Item:
    """An item of the evidence by its id."""
    return next(one for study in read_studies() for one in study.items if one.id == item)


@dataclass(frozen=True, eq=False)
class Escape:
    """The thought experiments, and the course of the antigen in the patients as they are (at the estimate)."""

    comparison: Comparison
    trial: Trial


def run(
    *,
    factors: Sequence[float] = FACTORS,
    calibration: Calibration | None = None,
    patients: int = 1000,
    draws: int = 40,
    patients_per_draw: int = 120,
    months: float = 36.0,
    seed: int = SEED,
    progress: Progress | None = None,
) -> Escape:
    """The same virtual patients after ide-cel, as they are and with their antigen changed."""
    calibration = calibration or read_calibration()
    comparison = compare(
        arms_of(factors=factors), calibration, measures=MEASURES, groups=GROUPS, patients=patients, draws=draws,
        patients_per_draw=patients_per_draw, months=months, seed=seed, progress=progress,
    )  # fmt: skip
    trial = treat(
        "ide_cel", patients=patients, months=months, seed=seed, parameters=calibration.parameters(),
        solver=Solver(rtol=1e-5),
    )  # fmt: skip
    return Escape(comparison, trial)


def explained(found: Comparison, arm: str, group: str = EVERYBODY) -> Estimate:
    """Share of the progressions and deaths until 24 months that do not happen in a thought experiment, in percent."""

    def share(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(real < 100.0, 100.0 * (other - real) / (100.0 - real), np.nan)

    first = found.arms[0].name
    value = share(*(np.array(found.estimate(name, PFS_24, group).value) for name in (first, arm)))
    drawn = share(*(found.draws_of(name, PFS_24, "", group) for name in (first, arm)))
    return Estimate(float(value), *interval(drawn))


def null_relapses(trial: Trial) -> float:
    """Share of the progressions in which most cells have lost BCMA, in percent, at the estimate."""
    outcomes = trial.outcomes
    shown = outcomes.progression()[0]
    at = np.clip(np.searchsorted(trial.solution.times, np.where(np.isfinite(shown), shown, 0.0)), 0, None)
    lost = trial.solution["null_fraction"][np.arange(outcomes.n), np.minimum(at, len(trial.solution.times) - 1)] > 0.5
    weight = outcomes.weight[0] * outcomes.usable * np.isfinite(shown)
    return float(100.0 * np.sum(weight * lost) / np.sum(weight)) if weight.sum() > 0 else float("nan")


def answer(settings: Settings, calibration: Calibration) -> Answer:
    """Compute, and put the answer into words, pictures and tables."""
    found = run(calibration=calibration, **settings.sizes)
    return Answer(
        title="Antigen escape after CAR-T cells: how much of relapse does it explain?",
        subtitle="BCMA on the tumour cells of virtual late-line patients after ide-cel",
        sentences=sentences(found),
        sections=(
            Section("Does the antigen fade?", _FADE_TEXT, [density_picture(found.trial)]),
            Section(
                "How much of relapse does it explain?", _WHY_TEXT,
                [
                    told.gain_picture(
                        found.comparison, name="escape_gain", title="If the antigen were another",
                        note="Against the patients as they are. Hollow: a thought experiment. Interval: 95 % of draws.",
                    ),
                    told.pfs_picture(
                        found.comparison, name="escape_pfs", title="With and without escape (simulated)",
                        arms=(REAL, NEITHER),
                    ),
                    cause_picture(found.comparison),
                ],
                [told.table_of(found.comparison, "Antigen"), explained_table(found.comparison)],
            ),
            Section("In whom?", "", tables=[told.group_table(found.comparison, "No escape, by patients", NEITHER)]),
        ),
        numbers=[*told.numbers_of(found.comparison), *_explained_numbers(found.comparison)],
        notices=[*told.notices_of(found.comparison), _LIMITS],
        given=told.given_of(found.comparison),
        findings=findings(found.comparison, calibration),
    )  # fmt: skip


def sentences(found: Escape) -> tuple[str, ...]:
    """The answer in words."""
    arms = found.comparison
    before, after = (arms.estimate(REAL, one).text(".0f") for one in (BEFORE, AFTER))
    gain, share = arms.gain(NEITHER, RESTRICTED_PFS), explained(arms, NEITHER)
    gone = CAUSES.index("cells gone")
    return (
        f"It fades: median BCMA falls from {before} to {after} molecules per cell at progression.",
        f"Without any escape {share.text('.0f')} % of the progressions and deaths until 24 months would not happen, "
        f"and restricted mean PFS would be {gain.text('.1f')} months longer; BCMA-null clones alone explain "
        f"{explained(arms, NO_NULL).text('.0f')} %, and most cells have lost BCMA in "
        f"{null_relapses(found.trial):.1f} % of the progressions.",
        "Yet giving the antigen of day 0 back on the day of progression would hold only "
        f"{arms.estimate(REAL, CAUSE).text('.0f')} % of the relapses: cells with little antigen survive the first "
        "weeks and are the seed of the relapse, and when it is seen more CAR-T cells are what is missing in "
        f"{100.0 * arms.treated[0].outcomes.cause_share()[gone]:.0f} %.",
    )


def density_picture(trial: Trial) -> Picture:
    """Course of the density, and of the share of the maximal effect that it allows, in those without progression."""
    times, outcomes = trial.solution.times, trial.outcomes
    seen = times[None, :] <= np.minimum(outcomes.progression()[0], outcomes.death)[:, None]
    panels = []
    for title, label, name, log in (
        ("BCMA on the tumour cells", "Molecules per cell", "density_mean", True),
        ("What it allows the CAR-T cells", "Share of the maximal effect", "susceptibility", False),
    ):
        values = np.where(seen & (outcomes.usable > 0)[:, None], trial.solution[name], np.nan)
        kept = np.isfinite(values).sum(axis=0) >= max(0.05 * outcomes.n, 2)
        low, middle, high = np.nanpercentile(values[:, kept], [5, 50, 95], axis=0)
        lines = [(LOST, "function lost in vitro")] if log else []
        lines += [(float(reported(item).value or np.nan), words) for item, words in _LINES] if log else []
        panels.append(Panel(title, label, [BandToDraw("ide-cel", times[kept], low, middle, high)], log, lines))
    return course_picture(
        panels, name="density_course", title="BCMA after ide-cel, until progression",
        note="Patients without progression so far; later those with much BCMA are left. Cells without BCMA left out.",
    )  # fmt: skip


_LINES = (
    ("perica_2023_density_before", "reported before"), ("perica_2023_density_at_progression", "reported at progression")
)  # fmt: skip


def cause_picture(found: Comparison) -> Picture:
    """What would have held each relapse on its day, by thought experiment."""
    named = zip(found.arms, found.treated, strict=True)
    some = [(arm.name, one) for arm, one in named if arm.name in (REAL, NO_NULL, HELD, NEITHER)]
    shares = {name: dict(zip(CAUSES, np.nan_to_num(one.outcomes.cause_share()), strict=True)) for name, one in some}
    beside = {name: f"{100.0 - PFS_24.read(one):.0f} % progress or die by 24 months" for name, one in some}
    return shares_picture(
        {name: {cause: float(value) for cause, value in own.items()} for name, own in shares.items()},
        name="escape_causes", title="What is missing on the day of progression", beside=beside,
        note="One restoration alone that would hold the tumour on that day; several share a relapse.",
    )  # fmt: skip


def explained_table(found: Comparison) -> Table:
    """What every thought experiment prevents."""
    head = ("if", "progressions and deaths until 24 months prevented, %", "restricted mean PFS gained, months")
    rows = [
        (arm.name, explained(found, arm.name).text(".0f"), found.gain(arm.name, RESTRICTED_PFS).text("+.1f"))
        for arm in found.arms[1:]
    ]
    return Table("Explained by the antigen", head, rows, "Value at the estimate (central 95 % of posterior draws).")


def _explained_numbers(found: Comparison) -> list[NumberRow]:
    rows = [(arm.name, explained(found, arm.name)) for arm in found.arms[1:]]
    return [estimate_row(name, "events until 24 months prevented", n, "%") for name, n in rows]


def findings(found: Comparison, calibration: Calibration) -> tuple[Finding, ...]:
    """What flow cytometry saw in patients, and titrated antigen in the dish."""
    made = []
    for measure, item in ((BEFORE, "perica_2023_density_before"), (AFTER, "perica_2023_density_at_progression")):
        value, known = found.estimate(REAL, measure), reported(item)
        met = known.low is not None and known.high is not None and known.low <= value.value <= known.high
        made.append(Finding(f"{measure.name} lies in the reported quartiles", known.text, item, value.text(".0f"), met))
    drop = found.estimate(REAL, AFTER).value < found.estimate(REAL, BEFORE).value
    change = f"{found.estimate(REAL, BEFORE).value:.0f} to {found.estimate(REAL, AFTER).value:.0f}"
    words = "BCMA is lower at progression than before"
    made.append(Finding(words, "p = 0.011", "perica_2023_density_at_progression", change, drop))
    typical = calibration.parameters().typical("ide_cel", "late_line")
    reach = (LOST / typical["half_density_kill"]) ** typical["hill_density"]
    kill = typical["k_kill_max"] * reach / (1.0 + reach)
    what = "below 50 molecules per cell killing is slower than growth"
    told = f"killing {kill:.4f}, growth {typical['k_growth_tumour']:.4f} per day"
    lost = kill < typical["k_growth_tumour"]
    made.append(Finding(what, "function lost", "perica_2023_function_threshold", told, lost))
    return tuple(made)


def main(settings: Settings) -> Path:
    """Answer the question, and write the report; returns its folder."""
    return tell(settings, "antigen_escape", answer)


_FADE_TEXT = """CAR-T cells kill the cells with much antigen first. What survives carries less, and drifts back towards
the tumour's own distribution over months. Selection and down-regulation of the antigen give the same densities; the
model has selection only, so that it cannot tell them apart."""
_WHY_TEXT = """Density held: cells are mixed anew all the time, so that killing cannot select. No BCMA-null clones: no
cell can lose BCMA. Density x 2: every cell carries twice as much, as if the CAR needed half as much."""
_LIMITS = """BCMA-null clones: how many patients carry a first loss is a prior (6.7 %, Da Via 2021), and no trial has
decided it. Relapses on extramedullary sites, and mutations that change the epitope, are not in the model."""
