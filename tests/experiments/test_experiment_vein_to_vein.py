"""From vein to vein: who is lost while waiting, what bridging can and cannot do, three ways to count, and the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import vein_to_vein
from perdure.experiments.vein_to_vein import (
    ALONE,
    CHEMOTHERAPY,
    EFFECTIVE,
    FROM_APHERESIS,
    HIGH,
    LOW,
    RAPID,
    USUAL,
    WAYS,
    Waiting,
    name_of,
    plan_of,
)
from perdure.fitting.posterior import Sizes
from perdure.model.overall_survival import hazard_after_progression
from perdure.model.processes.tumour import burden_untreated
from perdure.model.simulate import Solver
from perdure.reports.bridging_report import per_apheresed_picture, wait_picture
from perdure.reports.experiment_report import run_experiment
from perdure.reports.settings import Settings
from perdure.trials.bridging import DIED, GROWTH, PER_APHERESED, PROGRESSED, alive_at_infusion
from perdure.trials.measures import RESPONSE, RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat

FINE = Solver(rtol=1e-5)


@pytest.fixture(scope="module")
def waiting() -> Waiting:
    return vein_to_vein.run(sizes=Sizes(40, 2, 20, seed=4), waits=(RAPID, USUAL), months=24.0)


def treated(given: str, *, patients: int, months: float) -> ArmResult:
    return treat(given, line=1, patients=patients, seed=4, months=months, solver=FINE, keep_courses=False)


def test_the_longer_the_wait_the_more_is_lost(waiting: Waiting) -> None:
    short, usual = name_of(RAPID), name_of(USUAL)
    for measure in (DIED, PROGRESSED, GROWTH):
        assert waiting.waits.estimate(short, measure).value < waiting.waits.estimate(usual, measure).value
    assert waiting.waits.gain(short, PER_APHERESED).value > 0.0


def test_counting_from_infusion_hides_who_is_lost(waiting: Waiting) -> None:
    for wait in (RAPID, USUAL):
        arm = name_of(wait)
        counted = waiting.waits.estimate(arm, PER_APHERESED).value
        seen = waiting.waits.estimate(arm, RESTRICTED_PFS).value
        died = waiting.waits.estimate(arm, DIED).value / 100.0
        assert counted < seen
        assert counted > seen * (1.0 - 3.0 * died)  # no more than three times as if the average patient were lost


def test_who_waits_untreated_grows_and_dies_by_the_closed_forms() -> None:
    result = treated(plan_of(USUAL), patients=30, months=6.0)
    patients = result.patients
    grown = burden_untreated(patients, USUAL) / patients["tumour_baseline"]
    assert GROWTH.read(result) == pytest.approx(result.median(grown), rel=0.02)
    days = np.linspace(0.0, USUAL, 2000)
    hazard = [
        hazard_after_progression(
            patients, patients["tumour_progressed"] * burden_untreated(patients, day) / patients["tumour_baseline"]
        )
        + patients["hazard_death_first_year"]
        for day in days
    ]
    expected = np.exp(-np.trapezoid(np.array(hazard), days, axis=0))
    np.testing.assert_allclose(alive_at_infusion(result), expected, rtol=2e-3)


def test_nobody_is_lost_who_does_not_wait() -> None:
    result = treated("ide-cel", patients=20, months=12.0)
    assert DIED.read(result) == PROGRESSED.read(result) == 0.0
    assert GROWTH.read(result) == pytest.approx(1.0, abs=0.05)  # over the single day that is looked at
    assert PER_APHERESED.read(result) == pytest.approx(result.outcomes.progression_free().restricted_mean(12.0))


def test_a_bridge_that_works_keeps_the_tumour_smaller_and_saves_lives(waiting: Waiting) -> None:
    usual, some, everybody = name_of(USUAL), name_of(USUAL, CHEMOTHERAPY), name_of(USUAL, EFFECTIVE)
    for measure in (GROWTH, DIED, PROGRESSED):
        values = [waiting.waits.estimate(arm, measure).value for arm in (everybody, some, usual)]
        assert values == sorted(values)


def test_those_with_more_tumour_do_worse_whatever_they_are_given(waiting: Waiting) -> None:
    assert waiting.afrough.share(HIGH).value + waiting.afrough.share(LOW).value == pytest.approx(100.0)
    assert waiting.afrough.share(HIGH).value == pytest.approx(79.0, abs=2.5)
    for arm in (name_of(35.0), name_of(35.0, CHEMOTHERAPY)):
        high, low = (waiting.afrough.estimate(arm, RESTRICTED_PFS, group).value for group in (HIGH, LOW))
        assert high < low
    bridge, cells = waiting.afrough.estimate(ALONE, RESPONSE, HIGH), waiting.afrough.estimate(name_of(35.0), RESPONSE)
    assert bridge.value < cells.value


def test_the_words_and_pictures_hold_what_was_computed(waiting: Waiting) -> None:
    said = " ".join(vein_to_vein.sentences(waiting))
    assert waiting.waits.gain(name_of(RAPID), PER_APHERESED).text("+.2f") in said
    assert waiting.waits.estimate(name_of(USUAL), DIED).text(".1f") in said
    picture = wait_picture(
        waiting.waits, waiting.arms(), bridged=waiting.arms(CHEMOTHERAPY), from_apheresis=waiting.arms(FROM_APHERESIS)
    )
    drawn = {
        (line, x): value
        for panel, line, x, value in zip(*(picture.table[key] for key in ("panel", "line", "x", "value")), strict=True)
        if panel == "Lost while waiting"
    }
    assert drawn["die", USUAL] == waiting.waits.estimate(name_of(USUAL), DIED).value
    assert name_of(USUAL, EFFECTIVE) in per_apheresed_picture(waiting.waits, WAYS).table["label"]


def test_every_finding_names_its_evidence(waiting: Waiting) -> None:
    sources = [finding.source for finding in vein_to_vein.findings(waiting)]
    assert {"afrough_2023_bridged_pfs_median", "us_consortium_bridging_orr", "sperling_2023_orr"} <= set(sources)


def test_the_run_is_written(waiting: Waiting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vein_to_vein, "run", lambda *_: waiting)
    settings = Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None)
    folder = run_experiment(settings, "vein_to_vein", vein_to_vein.report)
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert PER_APHERESED.name in written
    assert "Afrough 2023" in written
    assert (folder / "report.html").exists()
