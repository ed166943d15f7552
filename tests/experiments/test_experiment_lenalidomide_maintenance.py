"""Lenalidomide after CAR-T cells: the limit on tablets, groups that add up, the surface drawn and ranked, the words."""

import pytest

from perdure.experiments import lenalidomide_maintenance
from perdure.experiments.lenalidomide_maintenance import EARLY, Maintenance, sentences, surface_section
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.reports.figures.picture import Picture
from perdure.reports.surface_report import best_points_table
from perdure.trials.arm import Arm
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.search import Axis, Surface, search

AXES = (
    Axis("dose", "mg", (10.0, 25.0)),
    Axis("start day", "", (30.0, 90.0)),
    Axis("duration", "months", (6.0, 18.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def maintenance() -> Maintenance:
    sizes = Sizes(patients=40, draws=2, patients_per_draw=20, seed=11)
    return lenalidomide_maintenance.run(sizes=sizes, axes=AXES, months=24.0)


def test_the_limit_on_tablets_rules_out_long_courses(maintenance: Maintenance) -> None:
    surface = maintenance.surface
    assert surface.table(lambda point: point.gain.value).shape == (2, 2, 2)
    for point in surface.points:
        assert point.limited is not None
        assert point.allowed == (point.limited.value <= 550.0)


def test_groups_of_the_maintenance_question_add_up(maintenance: Maintenance) -> None:
    comparison = maintenance.comparison
    by_response = [comparison.share(name).value for name in ("CR", "PR or VGPR, not CR", "no response")]
    assert sum(by_response) == pytest.approx(100.0)
    assert comparison.share("high burden").value + comparison.share("low burden").value == pytest.approx(100.0)


def test_the_words_hold_the_numbers_that_were_computed(maintenance: Maintenance) -> None:
    said = " ".join(sentences(maintenance))
    assert maintenance.comparison.gain(EARLY.name, RESTRICTED_PFS).text(".1f") in said
    assert EARLY.name in said


def test_every_dose_has_its_panel_and_the_table_says_who_keeps_the_limit(maintenance: Maintenance) -> None:
    section = surface_section(maintenance.surface)
    (picture,), (table,) = section.pictures, section.tables
    assert isinstance(picture, Picture)
    assert picture.table["value"] == [point.gain.value for point in maintenance.surface.points]
    assert picture.table["panel"] == ["10 mg"] * 4 + ["25 mg"] * 4
    assert table.columns[-2:] == ("days of tablets", "within the limit")
    kept = {row[:3]: row[-1] for row in table.rows}
    for point in maintenance.surface.points:
        assert kept[tuple(f"{value:g}" for value in point.at)] == ("yes" if point.allowed else "no")


@pytest.fixture(scope="module")
def two_durations() -> Surface:
    axes = (Axis("dose", "mg", (10.0,)), Axis("start day", "", (30.0,)), Axis("duration", "months", (6.0, 12.0)))
    given = lambda dose, day, months: Arm(  # noqa: E731
        "", f"ide-cel; lenalidomide {dose:g} mg on days 1-21 of 28 from day {day:g} for {months:g} months"
    )
    return search(
        Arm("alone", "ide-cel"), given, axes, RESTRICTED_PFS, read_calibration(),
        sizes=Sizes(patients=40, draws=3, patients_per_draw=20, seed=5), months=18.0,
    )  # fmt: skip


def test_the_maintenance_surface_becomes_a_picture_and_a_ranked_table(two_durations: Surface) -> None:
    section = surface_section(two_durations)
    (picture,) = section.pictures
    assert isinstance(picture, Picture)
    assert len(picture.table["value"]) == 2
    gains = [float(str(row[3]).split()[0]) for row in section.tables[0].rows]
    assert gains == sorted(gains, reverse=True)


def test_a_search_without_a_limit_or_a_better_point_in_between_has_no_columns_for_one(two_durations: Surface) -> None:
    table = best_points_table(two_durations, "Best", most=1)
    assert len(table.rows) == 1
    assert table.columns == (
        "dose, mg", "start day", "duration, months", "gain, months", "draws that gain, %",
        "draws in which it is the best, %",
    )  # fmt: skip
    assert len(table.rows[0]) == len(table.columns)
    assert table.note.startswith("Nothing between")
