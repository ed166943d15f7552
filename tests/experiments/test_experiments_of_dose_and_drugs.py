"""Dose, lymphodepletion, iberdomide, lenalidomide: small runs, the laws that hold at any calibration, the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import dose_response, iberdomide, lenalidomide_maintenance, lymphodepletion
from perdure.fitting.calibration.calibration import read_calibration
from perdure.reports.experiment_report import Answer, file_name
from perdure.reports.settings import Settings
from perdure.trials.measures import PEAK, RESPONSE, RESTRICTED_PFS
from perdure.trials.search import Axis

SMALL = {"patients": 40, "draws": 2, "patients_per_draw": 20, "months": 24.0, "seed": 11}
AXES = (
    Axis("dose", "mg", (10.0, 25.0)),
    Axis("start day", "", (30.0, 90.0)),
    Axis("duration", "months", (6.0, 18.0)),
)  # fmt: skip


def test_more_cells_never_lower_the_peak_and_rise_to_more_responses() -> None:
    found = dose_response.run((1e6, 50e6, 1600e6), **SMALL)
    doses, names = dose_response.in_order(found)
    assert doses == [1.0, 50.0, 450.0, 1600.0]
    peaks = [found.estimate(name, PEAK).value for name in names]
    assert peaks == sorted(peaks)
    assert peaks[-1] / peaks[0] < 1600.0  # cells make up for a small dose by dividing
    assert found.gain(names[0], RESPONSE, names[-1]).value < 0.0


def test_less_lymphodepletion_never_means_a_higher_peak() -> None:
    found = lymphodepletion.run((1.0, 0.5, 0.0), products=("ide-cel",), **SMALL)["ide-cel"]
    peaks = [found.treated[k].outcomes.c_max for k in range(3)]  # complete, half, none
    assert np.all(peaks[0] >= peaks[1])
    assert np.all(peaks[1] >= peaks[2])
    assert found.footings[0].calibrated
    assert not found.footings[1].calibrated


def test_iberdomide_and_lenalidomide_change_nothing_before_they_are_given() -> None:
    found = iberdomide.run(**SMALL)
    peaks = [one.outcomes.t_max for one in found.treated]
    early = peaks[0] < 21.0
    assert early.any()
    for one in found.treated[1:]:
        assert np.allclose(one.outcomes.c_max[early], found.treated[0].outcomes.c_max[early], rtol=1e-3)


@pytest.fixture(scope="module")
def maintenance() -> lenalidomide_maintenance.Maintenance:
    return lenalidomide_maintenance.run(axes=AXES, **SMALL)


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
    said = " ".join(lenalidomide_maintenance.sentences(maintenance))
    early = maintenance.groups.arms[1].name
    assert maintenance.groups.gain(early, RESTRICTED_PFS).text(".1f") in said
    assert early in said


@pytest.mark.parametrize("module", [dose_response, lymphodepletion, iberdomide])
def test_an_answer_is_told_in_words_pictures_numbers_and_findings(module, tmp_path: Path) -> None:  # noqa: ANN001
    said: list[str] = []
    settings = Settings(patients=30, draws=2, patients_per_draw=12, folder=tmp_path, say=said.append)
    answer: Answer = module.answer(settings, read_calibration())
    assert answer.findings
    assert all(finding.source for finding in answer.findings)
    assert {picture.name for picture in answer.pictures}
    assert answer.numbers
    assert answer.notices


def test_a_run_leaves_its_report_numbers_tables_and_pictures(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(patients=30, draws=2, patients_per_draw=12, folder=tmp_path, say=said.append)
    folder = iberdomide.main(settings)
    for name in ("report.html", "numbers.csv", "maintenance.csv", "iberdomide_pfs.svg", "iberdomide_gain.png"):
        assert (folder / name).is_file(), name
    assert any("Iberdomide adds" in line for line in said)
    assert "Iberdomide adds" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_title_of_a_table_becomes_a_file_name() -> None:
    assert file_name("Depth, cilta-cel (all)") == "depth_cilta_cel_all"
    assert file_name("±") == "table"
