"""Which salvage for which cause: what each cause means, too few patients are said, and what the whole triage finds."""

from dataclasses import replace
from pathlib import Path

import pytest

from perdure.experiments import failure_triage
from perdure.experiments.failure_triage import COMPARATOR, LOST, SALVAGES
from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.regimens.sentence import read_plan
from perdure.model.relapse import CAUSES
from perdure.reports.cause_report import MEANING
from perdure.reports.experiment_report import run_experiment
from perdure.reports.settings import Settings
from perdure.trials.causes import SIZES

SAME, DRUG = "ide-cel again", "teclistamab (BCMA)"


def test_every_cause_has_a_meaning_and_every_salvage_is_a_second_line_after_ide_cel() -> None:
    assert tuple(MEANING) == CAUSES
    assert LOST in CAUSES
    assert COMPARATOR in SALVAGES
    first = {read_plan(words).first.doses for words in SALVAGES.values()}
    assert first == {read_plan("ide-cel").first.doses}
    assert all(len(read_plan(words).lines) == 2 for words in SALVAGES.values())


def test_a_small_triage_says_too_few_and_prints_no_number_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: SALVAGES[name] for name in (COMPARATOR, DRUG, SAME)}
    monkeypatch.setattr(failure_triage, "SALVAGES", few)
    printed: list[str] = []
    settings = Settings(patients=10, draws=2, patients_per_draw=10, folder=tmp_path, say=printed.append)
    folder = run_experiment(settings, "failure_triage", failure_triage.report)
    assert {"report.html", "cause_by_therapy.png", "causes.csv", "trials.csv"} <= {f.name for f in folder.iterdir()}
    said = "\n".join(printed)
    assert "too few" in said
    assert "Choosing by cause adds" in said


@pytest.mark.long
def test_the_whole_triage_finds_that_few_relapses_are_of_a_cause_that_changes_the_choice() -> None:
    causes = failure_triage.run(read_calibration(), replace(SIZES, draws=4))
    assert causes.prevalence("cells gone").value > 0.7
    assert causes.prevalence(LOST).value < 0.05
    assert causes.gain_of_triage().value < 0.5
