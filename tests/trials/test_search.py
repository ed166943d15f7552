"""Search over regimens: the surface, limits, chances, and the compass between the points of the grid."""

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.regimens.regimen import infuse
from perdure.parameters.errors import InputError, RangeError
from perdure.reports.figures.tables import CellSpec, surface_picture
from perdure.trials.arm import Arm
from perdure.trials.measures import RESPONSE, RESTRICTED_PFS, SEVERE_CRS, Measure, days_of_treatment
from perdure.trials.search import Axis, Limit, point_name, search

ALONE = Arm("alone", "ide-cel")
SIZES = Sizes(patients=40, draws=3, patients_per_draw=20, seed=5)
MONTHS = 18.0
BURDEN = Measure("burden", "cells", lambda result: float(np.median(result.patients["tumour_baseline"])))


def scaled(factor: float) -> Arm:
    """Ide-cel in patients whose growth is multiplied, so that less is better and the best is known."""
    return Arm("", "ide-cel", change=lambda patients: {"k_growth_tumour": factor * patients["k_growth_tumour"]})


def bent(factor: float) -> Arm:
    """The best lies at a factor of 0.6: growth is multiplied by 1 + |factor - 0.6|."""
    return scaled(1.0 + abs(factor - 0.6))


def test_the_best_point_is_the_one_with_the_least_growth_in_every_draw() -> None:
    axis = Axis("growth", "x", (0.5, 1.0, 2.0))
    surface = search(ALONE, scaled, [axis], RESTRICTED_PFS, read_calibration(), sizes=SIZES, months=MONTHS)
    assert surface.best is not None
    assert surface.best.at == (0.5,)
    assert [point.chance_best for point in surface.points] == [1.0, 0.0, 0.0]
    assert surface.points[1].gain.value == 0.0  # the reference itself
    assert surface.points[0].gain.value > 0.0 > surface.points[2].gain.value
    assert surface.as_good == (surface.points[0],)
    assert surface.evaluated == 4


def test_the_compass_finds_the_optimum_between_the_points() -> None:
    axis = Axis("factor", "x", (0.0, 0.5, 1.0))
    surface = search(ALONE, bent, [axis], RESTRICTED_PFS, read_calibration(), refine=4, sizes=SIZES, months=MONTHS)
    assert surface.best is not None
    assert surface.best.at == (0.5,)
    assert surface.refined is not None
    where, gain = surface.refined
    assert abs(float(where[0]) - 0.6) < abs(0.5 - 0.6)
    assert gain > surface.best.gain.value


def test_a_limit_rules_points_out_however_good_they_are() -> None:
    axes = [Axis("months", "", (3.0, 12.0))]
    given = lambda months: Arm("", f"ide-cel; lenalidomide 25 mg daily from day 14 for {months:g} months")  # noqa: E731
    limit = Limit(days_of_treatment("lenalidomide"), 100.0)
    surface = search(ALONE, given, axes, RESTRICTED_PFS, read_calibration(), limit=limit, sizes=SIZES, months=MONTHS)
    assert [point.allowed for point in surface.points] == [True, False]
    assert surface.points[1].chance_best == 0.0
    assert surface.best is surface.points[0]
    strict = search(
        ALONE, given, axes, RESTRICTED_PFS, read_calibration(), limit=Limit(limit.measure, 10.0), sizes=SIZES,
        months=MONTHS,
    )  # fmt: skip
    assert strict.best is None
    assert strict.as_good == ()


def test_words_are_compared_and_never_interpolated() -> None:
    axes = [Axis("drug", "", ("lenalidomide", "iberdomide")), Axis("start", "days", (14.0, 60.0))]
    surface = search(
        ALONE, lambda drug, day: Arm("", f"ide-cel; {drug} daily from day {day:g} for 6 months"), axes, RESTRICTED_PFS,
        read_calibration(), refine=1, sizes=SIZES, months=MONTHS,
    )  # fmt: skip
    assert surface.table(lambda point: point.gain.value).shape == (2, 2)
    assert [arm.name for arm in surface.comparison.arms[1:3]] == [
        "drug lenalidomide, start 14 days", "drug lenalidomide, start 60 days"
    ]  # fmt: skip
    assert surface.refined is None or surface.refined[0][0] in axes[0].values


def test_sequences_are_searched_by_their_last_line_and_never_refined() -> None:
    given = lambda drug: Arm("", f"ide-cel; at progression {drug}")  # noqa: E731
    axis = Axis("salvage", "", ("nivolumab", "talquetamab"))
    surface = search(given("selinexor"), given, [axis], RESPONSE, read_calibration(), line=0, sizes=SIZES, months=6.0)
    assert surface.best is not None
    assert surface.best.at == ("talquetamab",)
    with pytest.raises(InputError, match="refine = 1 with sequences"):
        search(given("selinexor"), given, [axis], RESPONSE, read_calibration(), line=0, refine=1, sizes=SIZES)


def test_the_risk_of_severe_crs_can_be_the_limit_of_a_dose() -> None:
    axis = Axis("dose", "million cells", (1.0, 450.0))
    given = lambda cells: Arm("", infuse("ide_cel", cells * 1e6))  # noqa: E731
    usual = search(ALONE, given, [axis], RESTRICTED_PFS, read_calibration(), sizes=SIZES, months=MONTHS)
    low, high = (SEVERE_CRS.read(result) for result in usual.comparison.results[1:])
    assert low < high
    limit = Limit(SEVERE_CRS, 0.5 * (low + high), sure=0.0)
    limited = search(ALONE, given, [axis], RESTRICTED_PFS, read_calibration(), limit=limit, sizes=SIZES, months=MONTHS)
    assert [point.allowed for point in limited.points] == [True, False]
    assert usual.best is not None
    assert limited.best is not None
    assert (usual.best.at, limited.best.at) == ((450.0,), (1.0,))


@pytest.mark.parametrize(
    ("values", "words"), [((), "at least one"), ((1.0, 1.0), "each once"), ((2.0, 1.0), "rising order")]
)
def test_an_axis_that_cannot_be_searched_is_refused(values: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Axis("dose", "mg", values)


def test_a_search_without_axes_or_with_an_endless_limit_is_refused() -> None:
    with pytest.raises(InputError, match="at least one thing to vary"):
        search(ALONE, scaled, [], RESTRICTED_PFS, read_calibration(), sizes=SIZES, months=MONTHS)
    with pytest.raises(RangeError, match="limit on burden"):
        Limit(BURDEN, float("inf"))


def test_a_point_is_named_by_its_place() -> None:
    assert point_name([Axis("dose", "mg", (5.0,)), Axis("drug", "", ("a",))], (5.0, "a")) == "dose 5 mg, drug a"


def test_the_picture_of_a_surface_tells_its_least_and_its_most() -> None:
    cells = [[CellSpec(0.5, 0.1, 0.9, best=True), CellSpec(-0.2, -0.4, 0.0, ruled_out=True)]]
    words = {
        "panel_titles": ["5 mg"], "rows": ["day 30"], "columns": ["6", "12"], "row_axis": "start",
        "column_axis": "months", "name": "surface", "title": "Surface", "scale": "gain (months)",
    }  # fmt: skip
    picture = surface_picture([cells], **words)
    assert "From \u22120.2" in picture.alt
    assert "+0.5 (+0.1 to +0.9) at 5 mg, day 30, 6" in picture.alt
    assert picture.table["best"] == [True, False]
    with pytest.raises(InputError, match="1 rows of 2 cells"):
        surface_picture([[cells[0][:1]]], **words)
