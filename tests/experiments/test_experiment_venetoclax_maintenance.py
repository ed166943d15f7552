"""Venetoclax after CAR-T cells: whom it cannot help, how groups add up, what cancels the gain, and the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import venetoclax_maintenance
from perdure.experiments import venetoclax_maintenance as bcl2_dependence
from perdure.experiments.venetoclax_maintenance import (
    ALL,
    ALONE,
    DEPENDENT,
    PREVALENCE,
    START,
    STILL,
    WITH,
    WITHOUT,
    Maintained,
    case_name,
    deaths_that_cancel,
    name_of,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.studies import read_studies
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, treat_arm
from perdure.trials.measures import RESTRICTED_PFS


@pytest.fixture(scope="module")
def found() -> Maintained:
    return venetoclax_maintenance.run(
        (1e-6, 10.0, 400.0), given=(3.0,), starts=(274.0,), patients=50, draws=2, patients_per_draw=25, months=24.0,
        seed=4,
    )  # fmt: skip


def test_a_dose_of_next_to_nothing_gains_nothing_and_more_gains_something(found: Maintained) -> None:
    assert found.gain(name_of(1e-6)).value == pytest.approx(0.0, abs=0.02)
    assert found.gain(name_of(10.0)).value > 0.1
    assert found.gain(name_of(400.0)).value > 0.5


def test_who_does_not_depend_on_bcl2_gains_nothing() -> None:
    parameters = read_calibration().parameters()
    words = "ide-cel; venetoclax 400 mg daily from day 60 for 12 months"
    treated, alone = (
        treat_arm(Arm(name, given, change=lambda one: {"sensitive_venetoclax": 0.0 * one["sensitive_venetoclax"]}),
                  parameters, patients=30, seed=4, months=18.0)
        for name, given in (("venetoclax", words), (ALONE, "ide-cel"))
    )  # fmt: skip
    assert RESTRICTED_PFS.read(treated) == pytest.approx(RESTRICTED_PFS.read(alone), abs=0.02)


def test_nothing_differs_before_the_first_tablet(found: Maintained) -> None:
    late, alone = (
        next(one.outcomes for arm, one in zip(found.maintenance.arms, found.maintenance.treated, strict=True)
             if arm.name == name)
        for name in (case_name(400.0), ALONE)
    )  # fmt: skip
    early = alone.progression()[0] < 274.0 - 56.0  # progression is confirmed by the next visit
    assert early.sum() > 5
    np.testing.assert_array_equal(late.progression()[0][early], alone.progression()[0][early])


def test_groups_are_weighted_to_everybody(found: Maintained) -> None:
    share_with, share_without, share_all = (found.share(who)[0] for who in (WITH, WITHOUT, ALL))
    assert PREVALENCE * share_with + (1 - PREVALENCE) * share_without == pytest.approx(share_all)
    assert found.share(DEPENDENT)[0] == 1.0
    arm = name_of(400.0)
    gains = [found.gain(arm, who).value for who in (DEPENDENT, WITH, ALL, WITHOUT)]
    assert gains == sorted(gains, reverse=True)
    assert gains[2] == pytest.approx(share_all * gains[0])


def test_deaths_that_cancel_a_gain_cancel_it() -> None:
    months = np.arange(0.0, 61.0)
    none, kept = np.exp(-months / 10.0), np.exp(-months / 14.0)
    hazard = -np.log1p(-deaths_that_cancel(months, kept, none) / 100.0)
    exposed = np.clip(months - START / DAYS_PER_MONTH, 0.0, bcl2_dependence.GIVEN) / 12.0
    left = np.trapezoid((kept * np.exp(-hazard * exposed) - none)[:37], months[:37])
    assert left == pytest.approx(0.0, abs=0.01)
    assert deaths_that_cancel(months, none, kept) == 0.0
    assert deaths_that_cancel(months, none, none) == 0.0


def test_the_numbers_of_the_phase_1_are_those_of_the_evidence() -> None:
    items = {item.id: item for study in read_studies() for item in study.items}
    translocated, everybody = items["venetoclax_phase_1_t1114_orr"], items["venetoclax_phase_1_orr"]
    assert (translocated.events, translocated.n) == bcl2_dependence.TRANSLOCATED
    assert everybody.events is not None
    assert everybody.n is not None
    events, patients = bcl2_dependence.OTHERS
    assert (events, patients) == (everybody.events - 12, everybody.n - 30)


def test_the_words_and_pictures_hold_what_was_computed(found: Maintained) -> None:
    said = " ".join(venetoclax_maintenance.sentences(found))
    assert found.gain(name_of(), WITH).text(".1f") in said
    assert found.tolerable(name_of(), ALL).text(".0f") in said
    assert found.maintenance.estimate(case_name(10.0), STILL).text(".0f") in said
    picture = venetoclax_maintenance.along(found)
    drawn = zip(*(picture.table[key] for key in ("panel", "line", "x", "value")), strict=True)
    values = {(line, x): value for panel, line, x, value in drawn if str(panel).startswith("Dose")}
    assert values[DEPENDENT, 400.0] == found.gain(name_of()).value


def test_the_run_is_written(found: Maintained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venetoclax_maintenance, "run", lambda **_: found)
    folder = venetoclax_maintenance.main(Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None))
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert f"({WITH})" in written
    assert (folder / "for_whom.csv").exists()
