"""Dose, lymphodepletion, iberdomide: small runs, the laws that hold at any calibration, the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import dose_response, iberdomide, lymphodepletion
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.reports.experiment_report import ExperimentReport, file_name, run_experiment
from perdure.reports.settings import Settings
from perdure.trials.measures import PEAK, RESPONSE

SMALL = Sizes(patients=40, draws=2, patients_per_draw=20, seed=11)


def test_more_cells_never_lower_the_peak_and_rise_to_more_responses() -> None:
    comparison = dose_response.run(sizes=SMALL, doses=(1e6, 50e6, 1600e6), months=24.0)
    doses, names = dose_response.rising(comparison)
    assert doses == [1.0, 50.0, 450.0, 1600.0]
    peaks = [comparison.estimate(name, PEAK).value for name in names]
    assert peaks == sorted(peaks)
    assert peaks[-1] / peaks[0] < 1600.0  # cells make up for a small dose by dividing
    assert comparison.gain(names[0], RESPONSE, names[-1]).value < 0.0


def test_less_lymphodepletion_never_means_a_higher_peak() -> None:
    comparisons = lymphodepletion.run(sizes=SMALL, depths=(1.0, 0.5, 0.0), products=("ide-cel",), months=24.0)
    comparison = comparisons["ide-cel"]
    peaks = [comparison.results[k].outcomes.c_max for k in range(3)]  # complete, half, none
    assert np.all(peaks[0] >= peaks[1])
    assert np.all(peaks[1] >= peaks[2])
    assert comparison.provenance[0].calibrated
    assert not comparison.provenance[1].calibrated


def test_iberdomide_and_lenalidomide_change_nothing_before_they_are_given() -> None:
    alone, *maintained = iberdomide.run(sizes=SMALL, months=24.0).results
    early = alone.outcomes.t_max < 21.0
    assert early.any()
    for result in maintained:
        assert np.allclose(result.outcomes.c_max[early], alone.outcomes.c_max[early], rtol=1e-3)


@pytest.mark.parametrize("module", [dose_response, lymphodepletion, iberdomide])
def test_a_report_holds_words_pictures_numbers_and_findings(module, tmp_path: Path) -> None:  # noqa: ANN001
    lines: list[str] = []
    settings = Settings(patients=30, draws=2, patients_per_draw=12, folder=tmp_path, say=lines.append)
    report: ExperimentReport = module.report(settings, read_calibration())
    assert report.sentences
    assert report.findings
    assert all(finding.source for finding in report.findings)
    assert {picture.name for picture in report.pictures}
    assert report.numbers
    assert report.notices


def test_a_run_leaves_its_report_numbers_tables_and_pictures(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = Settings(patients=30, draws=2, patients_per_draw=12, folder=tmp_path, say=lines.append)
    folder = run_experiment(settings, "iberdomide", iberdomide.report)
    for name in ("report.html", "numbers.csv", "maintenance.csv", "iberdomide_pfs.svg", "iberdomide_gain.png"):
        assert (folder / name).is_file(), name
    assert any("Iberdomide adds" in line for line in lines)
    assert "Iberdomide adds" in (folder / "report.html").read_text(encoding="utf-8")


def test_the_title_of_a_table_becomes_a_file_name() -> None:
    assert file_name("Depth, cilta-cel (all)") == "depth_cilta_cel_all"
    assert file_name("±") == "table"
