"""The maintenance surface: every schedule is drawn, and the table ranks them."""

from perdure.experiments.lenalidomide_maintenance import surface_of, surface_table
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.trials.arm import Arm
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.search import Axis, search


def test_the_maintenance_surface_becomes_a_picture_and_a_ranked_table() -> None:
    axes = (Axis("dose", "mg", (10.0,)), Axis("start day", "", (30.0,)), Axis("duration", "months", (6.0, 12.0)))
    given = lambda dose, day, months: Arm(  # noqa: E731
        "", f"ide-cel; lenalidomide {dose:g} mg on days 1-21 of 28 from day {day:g} for {months:g} months"
    )
    surface = search(
        Arm("alone", "ide-cel"), given, axes, RESTRICTED_PFS, read_calibration(),
        sizes=Sizes(patients=40, draws=3, patients_per_draw=20, seed=5), months=18.0,
    )  # fmt: skip
    assert len(surface_of(surface).table["value"]) == 2
    gains = [float(str(row[3]).split()[0]) for row in surface_table(surface).rows]
    assert gains == sorted(gains, reverse=True)
