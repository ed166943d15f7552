"""Scenarios projected from a file, and known findings checked, from Python and from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from perdure.app.main import app
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.parameters.errors import InputError, UnknownNameError
from perdure.reports.experiment_report import Finding, file_name, findings_text
from perdure.reports.registry import checked_experiments, find_checked
from perdure.reports.run_files import read_run
from perdure.reports.scenario_report import project, report_of, sentences
from perdure.reports.settings import Settings
from perdure.trials.design import read_scenario
from perdure.trials.measures import CRS, RESTRICTED_PFS, SEVERE_CRS

SCENARIO = """
title = "Maintenance or none"
population = "late_line"
[[arm]]
name = "none"
given = "ide-cel"
[[arm]]
name = "lenalidomide"
given = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 12 months"
"""
SMALL = Sizes(patients=40, draws=2, patients_per_draw=20, seed=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "maintenance.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


def test_a_scenario_is_projected_with_its_risks(file: Path) -> None:
    comparison = project(read_scenario(file), read_calibration(), months=24.0, sizes=SMALL)
    assert [arm.name for arm in comparison.arms] == ["none", "lenalidomide"]
    assert comparison.gain("lenalidomide", RESTRICTED_PFS).text("+.1f") in " ".join(sentences(comparison))
    # a drug from day 30 on does not touch the peak, and so not the risks that go with it
    assert comparison.gain("lenalidomide", SEVERE_CRS).value == pytest.approx(0.0, abs=0.3)
    with pytest.raises(UnknownNameError):
        comparison.estimate("none", CRS)  # only severe events are shown


def test_the_command_writes_a_run_with_its_input_numbers_and_plans(file: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["project", str(file), "--patients", "30", "--draws", "2", "--patients-per-draw", "12", "--out", str(tmp_path)],
    )
    assert done.exit_code == 0, done.output
    assert "lenalidomide against none" in done.output
    (folder,) = tmp_path.glob("project-*")
    run = read_run(folder)
    assert run.manifest["inputs"][0]["path"] == str(file)
    assert {row.arm for row in run.numbers or ()} == {"none", "lenalidomide"}
    assert (folder / "plans.csv").is_file()


def test_arms_without_cells_have_no_risks_of_cells_in_their_table(tmp_path: Path) -> None:
    path = tmp_path / "drug.toml"
    words = 'population = "late_line"\n[[arm]]\nname = "teclistamab"\ngiven = "teclistamab"\n'
    path.write_text(words, encoding="utf-8")
    settings = Settings(patients=40, draws=2, patients_per_draw=20, folder=tmp_path, say=lambda _: None)
    report = report_of(read_scenario(path))(settings, read_calibration())
    assert not any("CRS" in column for column in report.tables[0].columns)
    assert [picture.name for picture in report.pictures] == ["pfs"]  # nothing to compare with


def test_a_plan_that_goes_on_is_told_to_be_followed_in_its_first_line_only(tmp_path: Path) -> None:
    path = tmp_path / "salvage.toml"
    words = 'population = "late_line"\n[[arm]]\nname = "a"\ngiven = "ide-cel; at progression talquetamab"\n'
    path.write_text(words, encoding="utf-8")
    settings = Settings(patients=20, draws=2, patients_per_draw=12, folder=tmp_path, say=lambda _: None)
    report = report_of(read_scenario(path))(settings, read_calibration())
    assert any("does not follow the later ones" in " ".join(notice.split()) for notice in report.notices)


def test_a_wrong_scenario_names_the_file_and_what_would_be_right(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(SCENARIO.replace("ide-cel; lenalidomide", "ide-cell; lenalidomide"), encoding="utf-8")
    with pytest.raises(InputError, match=r"wrong\.toml.*lenalidomide.*ide-cell"):
        read_scenario(path)


def test_findings_are_checked_and_a_new_miss_ends_with_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["check", "dose_response", "--patients", "30", "--draws", "2", "--patients-per-draw", "12"]
    done = CliRunner().invoke(app, small)
    assert "response rises with the dose" in done.output.replace("\n", " ")
    monkeypatch.setattr(
        "perdure.experiments.dose_response.findings",
        lambda comparison: (Finding("a law that does not hold", "always", "nobody", "never", False),),
    )
    done = CliRunner().invoke(app, small)
    assert done.exit_code == 1
    assert "NOT REPRODUCED" in done.output
    monkeypatch.setattr(
        "perdure.experiments.dose_response.findings",
        lambda comparison: (Finding("a law", "always", "nobody", "never", False, "known for long"),),
    )
    done = CliRunner().invoke(app, small)
    assert done.exit_code == 0
    assert "known for long" in done.output


def test_an_experiment_without_known_findings_says_which_have_some() -> None:
    with pytest.raises(UnknownNameError, match="experiment with known findings"):
        find_checked("overview")
    assert "dose_response" in checked_experiments()
    assert "overview" not in checked_experiments()


def test_the_verdict_is_part_of_the_text() -> None:
    shown = Finding("it holds", "yes", "somebody", "yes", True)
    assert shown.verdict == "reproduced"
    assert "it holds" in findings_text((shown,))
    assert file_name("Findings") == "findings"
