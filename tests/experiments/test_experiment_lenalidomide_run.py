"""Lenalidomide maintenance: the limit on tablets, groups that add up, and the words of a small run."""

import pytest

from perdure.experiments import lenalidomide_maintenance
from perdure.fitting.posterior import Sizes
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.search import Axis

SMALL = Sizes(patients=40, draws=2, patients_per_draw=20, seed=11)
AXES = (
    Axis("dose", "mg", (10.0, 25.0)),
    Axis("start day", "", (30.0, 90.0)),
    Axis("duration", "months", (6.0, 18.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def maintenance() -> lenalidomide_maintenance.Maintenance:
    return lenalidomide_maintenance.run(sizes=SMALL, axes=AXES, months=24.0)


def test_the_limit_on_tablets_rules_out_long_courses(maintenance: lenalidomide_maintenance.Maintenance) -> None:
    surface = maintenance.surface
    assert surface.table(lambda point: point.gain.value).shape == (2, 2, 2)
    for point in surface.points:
        assert point.limited is not None
        assert point.allowed == (point.limited.value <= 550.0)


def test_groups_of_the_maintenance_question_add_up(maintenance: lenalidomide_maintenance.Maintenance) -> None:
    groups = maintenance.groups
    by_response = [groups.share(name).value for name in ("CR", "PR or VGPR, not CR", "no response")]
    assert sum(by_response) == pytest.approx(100.0)
    assert groups.share("high burden").value + groups.share("low burden").value == pytest.approx(100.0)


def test_the_words_hold_the_numbers_that_were_computed(maintenance: lenalidomide_maintenance.Maintenance) -> None:
    sentences = " ".join(lenalidomide_maintenance.sentences(maintenance))
    early = maintenance.groups.arms[1].name
    assert maintenance.groups.gain(early, RESTRICTED_PFS).text(".1f") in sentences
    assert early in sentences
