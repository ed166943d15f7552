"""What venetoclax gains in patients of whom only some depend on BCL-2: along what is varied, and for whom."""

from collections.abc import Mapping, Sequence

from ..trials.bcl2_dependence import PATIENTS, VenetoclaxMaintenance
from ..trials.measures import RESTRICTED_MONTHS, RESTRICTED_PFS
from .figures.courses import AlongPanel, LineSpec
from .report import Table
from .run_files import NumberRow, estimate_row


def gain_panel(
    venetoclax: VenetoclaxMaintenance, title: str, x_label: str, arms: Mapping[float, str], *, log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> AlongPanel:  # fmt: skip
    """Gain along what is varied, a line for everybody and for the groups in which it is larger.

    Parameters
    ----------
    arms
        Names of arms by what they are drawn at; those that were not simulated are left out.
    """
    simulated = {arm.name for arm in venetoclax.maintenance.arms}
    points = {x: arms[x] for x in sorted(arms) if arms[x] in simulated}
    lines = []
    for patients in PATIENTS[:3]:
        gains = [venetoclax.gain(arm, patients) for arm in points.values()]
        value, low, high = ([getattr(gain, part) for gain in gains] for part in ("value", "low", "high"))
        lines.append(LineSpec(patients, list(points), value, low, high))
    return AlongPanel(title, x_label, "gain in restricted mean PFS (months)", lines, log, marks, zero=True)


def patients_table(venetoclax: VenetoclaxMaintenance, arms: Mapping[str, str]) -> Table:
    """For whom: who depends on BCL-2, what is gained, and what death rate would cancel the gain of the first arm.

    Parameters
    ----------
    arms
        Names of arms by how the table calls them.
    """
    first = next(iter(arms.values()))
    rows = [
        (
            patients, venetoclax.dependence.percent(patients).text(".0f"),
            venetoclax.response_alone(patients).text(".0f"),
            *(venetoclax.gain(arm, patients).text("+.1f") for arm in arms.values()),
            venetoclax.tolerable(first, patients).text(".1f"),
        )
        for patients in PATIENTS
    ]  # fmt: skip
    gains = (f"gain with {arm}, months" for arm in arms)
    head = ("patients", "depend on BCL-2, %", "respond to venetoclax alone, %", *gains)
    note = f"Gains in restricted mean PFS over {RESTRICTED_MONTHS:g} months."
    return Table("For whom", (*head, "extra deaths a year that cancel it, %"), rows, note)


def gain_rows(venetoclax: VenetoclaxMaintenance) -> list[NumberRow]:
    """What every arm gains in groups of which only some depend on BCL-2."""
    measure = RESTRICTED_PFS
    return [
        estimate_row(
            f"{arm.name} ({patients})", f"gain in {measure.name}", venetoclax.gain(arm.name, patients), measure.unit
        )
        for arm in venetoclax.maintenance.arms[1:]
        for patients in PATIENTS[1:]
    ]  # fmt: skip
