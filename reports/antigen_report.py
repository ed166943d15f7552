"""Pictures of antigen escape: the course of BCMA and of what it allows, and what is missing at progression."""

from collections.abc import Sequence

import numpy as np

from ..model.relapse import CAUSES
from ..trials.compare import Comparison
from ..trials.measures import PFS_24
from ..trials.treat import ArmResult
from .comparison_report import course_of
from .figures.course import Panel, course_picture
from .figures.picture import Picture
from .figures.shares import shares_picture


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
