"""Pictures of the antigen: its course with a drug and without, what it allows, and what is missing at progression."""

from collections.abc import Sequence

import numpy as np

from ..fitting.posterior import SEED
from ..model.relapse import CAUSES
from ..model.simulate import Solver, simulate
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw, make_patients
from ..trials.arm import Arm
from ..trials.compare import Comparison
from ..trials.measures import PFS_24
from ..trials.treat import ArmResult
from .comparison_report import course_of
from .figures.courses import BandSpec, Panel, course_picture
from .figures.picture import Picture
from .figures.shares import shares_picture

WEEK = 7
"""Days over which a course is averaged, so that the days between doses do not make it ragged."""


def density_picture(result: ArmResult, densities: Sequence[tuple[float, str]], *, label: str = "ide-cel") -> Picture:
    """Course of the density, and of the share of the maximal effect that it allows, in those without progression.

    Parameters
    ----------
    densities
        What to compare with, in molecules per cell, and what it is.
    label
        What was given.
    """
    density, effect = (
        course_of(result, quantity, label=label, progression_free=True)
        for quantity in ("density_mean", "susceptibility")
    )
    return course_picture(
        [
            Panel("BCMA on the tumour cells", "Molecules per cell", [density], log=True, lines=densities),
            Panel("What it allows the CAR-T cells", "Share of the maximal effect", [effect]),
        ],
        name="density_course", title=f"BCMA after {label}, until progression",
        note="Patients without progression so far; later those with much BCMA are left. Cells without BCMA left out.",
    )  # fmt: skip


def cause_picture(comparison: Comparison, arms: Sequence[str]) -> Picture:
    """What would have held each relapse on its day, in some arms."""
    results = {name: comparison.result(name) for name in arms}
    shares = {name: np.nan_to_num(result.outcomes.cause_share()).tolist() for name, result in results.items()}
    beside = {
        name: f"{100.0 - PFS_24.read(result):.0f} % progress or die by 24 months" for name, result in results.items()
    }
    return shares_picture(
        {name: dict(zip(CAUSES, share, strict=True)) for name, share in shares.items()},
        name="escape_causes", title="What is missing on the day of progression", beside=beside,
        note="One restoration alone that would hold the tumour on that day; several share a relapse.",
    )  # fmt: skip


def antigen_course(
    arms: Sequence[Arm], parameters: ParameterSet, *, patients: int, name: str, title: str, until: int = 150,
    seed: int = SEED,
) -> Picture:  # fmt: skip
    """Soluble BCMA and the share of the maximal effect that its density allows, by arm.

    Parameters
    ----------
    arms
        The virtual patients are those of the first one.
    until
        Last day of the simulation; it begins on day 0.
    """
    people = draw(parameters, patients, seed)
    values = make_patients(parameters, people, product=arms[0].plan.products, population=arms[0].population)
    bands: dict[str, list[BandSpec]] = {"soluble_bcma": [], "susceptibility": []}
    for arm in arms:
        solution = simulate(values, arm.plan.first, times=np.arange(until + 1.0), solver=Solver(rtol=1e-5))
        evaluable, middle = np.isfinite(solution.eradication), solution.times[WEEK // 2 : -(WEEK // 2)]
        for quantity, series in bands.items():
            windows = np.lib.stride_tricks.sliding_window_view(solution[quantity][evaluable], WEEK, axis=1)
            series.append(BandSpec(arm.name, middle, *np.percentile(windows.mean(axis=2), [5, 50, 95], axis=0)))
    return course_picture(
        [
            Panel("Soluble BCMA", "Relative to day 0", bands["soluble_bcma"], True, low=1e-3),
            Panel("What BCMA allows the CAR-T cells", "Share of the maximal effect", bands["susceptibility"]),
        ],
        name=name, title=title, time_unit="days",
        note="All patients, also after progression; means of a week. Soluble BCMA counts what the tumour sheds.",
    )  # fmt: skip
