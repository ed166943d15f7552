"""From vein to vein: who is lost while waiting, what bridging can and cannot do, three ways to count, and the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import vein_to_vein
from perdure.experiments.vein_to_vein import (
    ALONE,
    GROWN,
    HIGH,
    LOST,
    LOW,
    PER_APHERESED,
    RAPID,
    USUAL,
    WORKS,
    WORSE,
    Waiting,
    alive_at_infusion,
    name_of,
    words,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.overall_survival import hazard_after_progression
from perdure.model.processes.tumour import burden_untreated
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, treat_arm
from perdure.trials.measures import RESPONSE, RESTRICTED_PFS


@pytest.fixture(scope="module")
def found() -> Waiting:
    return vein_to_vein.run((RAPID, USUAL), patients=40, draws=2, patients_per_draw=20, months=24.0, seed=4)


def test_the_longer_the_wait_the_more_is_lost(found: Waiting) -> None:
    short, usual = name_of(RAPID), name_of(USUAL)
    for measure in (LOST, WORSE, GROWN):
        assert found.waits.estimate(short, measure).value < found.waits.estimate(usual, measure).value
    assert found.waits.gain(short, PER_APHERESED).value > 0.0


def test_counting_from_infusion_hides_who_is_lost(found: Waiting) -> None:
    for wait in (RAPID, USUAL):
        arm = name_of(wait)
        counted = found.waits.estimate(arm, PER_APHERESED).value
        seen = found.waits.estimate(arm, RESTRICTED_PFS).value
        lost = found.waits.estimate(arm, LOST).value / 100.0
        assert counted < seen
        assert counted > seen * (1.0 - 3.0 * lost)  # no more than three times as if the average patient were lost


def test_who_waits_untreated_grows_and_dies_by_the_closed_forms() -> None:
    parameters = read_calibration().parameters()
    one = treat_arm(Arm("wait", words(USUAL)), parameters, patients=30, seed=4, months=6.0)
    grown = burden_untreated(one.patients, USUAL) / one.patients["tumour_baseline"]
    assert GROWN.read(one) == pytest.approx(one.median(grown), rel=0.02)
    days = np.linspace(0.0, USUAL, 2000)
    hazard = [
        hazard_after_progression(
            one.patients,
            one.patients["tumour_progressed"] * burden_untreated(one.patients, day) / one.patients["tumour_baseline"],
        )
        + one.patients["hazard_death_first_year"]
        for day in days
    ]
    expected = np.exp(-np.trapezoid(np.array(hazard), days, axis=0))
    np.testing.assert_allclose(alive_at_infusion(one), expected, rtol=2e-3)


def test_nobody_is_lost_who_does_not_wait() -> None:
    parameters = read_calibration().parameters()
    one = treat_arm(Arm("at once", "ide-cel"), parameters, patients=20, seed=4, months=12.0)
    assert LOST.read(one) == WORSE.read(one) == 0.0
    assert GROWN.read(one) == pytest.approx(1.0, abs=0.05)  # over the single day that is looked at
    assert PER_APHERESED.read(one) == pytest.approx(one.outcomes.progression_free().restricted_mean(12.0))


def test_a_bridge_that_works_keeps_the_tumour_smaller_and_saves_lives(found: Waiting) -> None:
    usual, some, everybody = name_of(USUAL), name_of(USUAL, "chemotherapy"), name_of(USUAL, WORKS)
    for measure in (GROWN, LOST, WORSE):
        values = [found.waits.estimate(arm, measure).value for arm in (everybody, some, usual)]
        assert values == sorted(values)


def test_those_with_more_tumour_do_worse_whatever_they_are_given(found: Waiting) -> None:
    assert found.chosen.share(HIGH).value + found.chosen.share(LOW).value == pytest.approx(100.0)
    assert found.chosen.share(HIGH).value == pytest.approx(79.0, abs=2.5)
    for arm in (name_of(35.0), name_of(35.0, "chemotherapy")):
        high, low = (found.chosen.estimate(arm, RESTRICTED_PFS, group).value for group in (HIGH, LOW))
        assert high < low
    assert found.chosen.estimate(ALONE, RESPONSE, HIGH).value < found.chosen.estimate(name_of(35.0), RESPONSE).value


def test_the_words_and_pictures_hold_what_was_computed(found: Waiting) -> None:
    said = " ".join(vein_to_vein.sentences(found))
    assert found.waits.gain(name_of(RAPID), PER_APHERESED).text("+.2f") in said
    assert found.waits.estimate(name_of(USUAL), LOST).text(".1f") in said
    picture = vein_to_vein.wait_picture(found.waits)
    drawn = {
        (line, x): value
        for panel, line, x, value in zip(*(picture.table[key] for key in ("panel", "line", "x", "value")), strict=True)
        if panel == "Lost while waiting"
    }
    assert drawn["die", USUAL] == found.waits.estimate(name_of(USUAL), LOST).value
    assert name_of(USUAL, WORKS) in vein_to_vein.back_picture(found.waits).table["label"]


def test_every_finding_names_its_evidence(found: Waiting) -> None:
    sources = [finding.source for finding in vein_to_vein.findings(found)]
    assert {"afrough_2023_bridged_pfs_median", "us_consortium_bridging_orr", "sperling_2023_orr"} <= set(sources)


def test_the_run_is_written(found: Waiting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vein_to_vein, "run", lambda **_: found)
    folder = vein_to_vein.main(Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None))
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert PER_APHERESED.name in written
    assert "Afrough 2023" in written
    assert (folder / "report.html").exists()
