"""Venetoclax after CAR-T cells: whom it cannot help, how groups add up, what cancels the gain, and the words."""

from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import venetoclax_maintenance
from perdure.experiments.venetoclax_maintenance import ALONE, DURATION, START, USUAL, case_report, maintenance
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.simulate import Solver
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.experiment_report import run_experiment
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.bcl2_dependence import (
    ALL,
    DEPENDENT,
    LASTING,
    OTHERS,
    PREVALENCE,
    TRANSLOCATED,
    WITH,
    WITHOUT,
    VenetoclaxMaintenance,
    deaths_that_cancel,
)
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.treat import treat


@pytest.fixture(scope="module")
def venetoclax() -> VenetoclaxMaintenance:
    sizes = Sizes(patients=50, draws=2, patients_per_draw=25, seed=4)
    return venetoclax_maintenance.run(
        sizes=sizes, doses=(1e-6, 10.0, 400.0), durations=(3.0,), starts=(274.0,), months=24.0
    )


def test_a_dose_of_next_to_nothing_gains_nothing_and_more_gains_something(venetoclax: VenetoclaxMaintenance) -> None:
    assert venetoclax.gain(maintenance(1e-6).name).value == pytest.approx(0.0, abs=0.02)
    assert venetoclax.gain(maintenance(10.0).name).value > 0.1
    assert venetoclax.gain(maintenance(400.0).name).value > 0.5


def test_who_does_not_depend_on_bcl2_gains_nothing() -> None:
    words = "ide-cel; venetoclax 400 mg daily from day 60 for 12 months"
    treated, alone = (
        treat(
            Arm(name, given, change=lambda values: {"sensitive_venetoclax": 0.0 * values["sensitive_venetoclax"]}),
            patients=30, seed=4, months=18.0, solver=Solver(rtol=1e-5),
        )
        for name, given in (("venetoclax", words), ("ide-cel alone", "ide-cel"))
    )  # fmt: skip
    assert RESTRICTED_PFS.read(treated) == pytest.approx(RESTRICTED_PFS.read(alone), abs=0.02)


def test_nothing_differs_before_the_first_tablet(venetoclax: VenetoclaxMaintenance) -> None:
    results = venetoclax.maintenance.result
    late, alone = (results(arm.name).outcomes for arm in (case_report(400.0), ALONE))
    early = alone.progression()[0] < 274.0 - 56.0  # progression is confirmed by the next visit
    assert early.sum() > 5
    np.testing.assert_array_equal(late.progression()[0][early], alone.progression()[0][early])


def test_groups_are_weighted_to_everybody(venetoclax: VenetoclaxMaintenance) -> None:
    share_with, share_without, share_all = (venetoclax.dependence.share(who)[0] for who in (WITH, WITHOUT, ALL))
    assert PREVALENCE * share_with + (1 - PREVALENCE) * share_without == pytest.approx(share_all)
    assert venetoclax.dependence.share(DEPENDENT)[0] == 1.0
    arm = maintenance(400.0).name
    gains = [venetoclax.gain(arm, who).value for who in (DEPENDENT, WITH, ALL, WITHOUT)]
    assert gains == sorted(gains, reverse=True)
    assert gains[2] == pytest.approx(share_all * gains[0])


def test_deaths_that_cancel_a_gain_cancel_it() -> None:
    months = np.arange(0.0, 61.0)
    none, kept = np.exp(-months / 10.0), np.exp(-months / 14.0)
    course = {"start": START, "duration": DURATION}
    hazard = -np.log1p(-deaths_that_cancel(months, kept, none, **course) / 100.0)
    exposed = np.clip(months - START / DAYS_PER_MONTH, 0.0, DURATION) / 12.0
    left = np.trapezoid((kept * np.exp(-hazard * exposed) - none)[:37], months[:37])
    assert left == pytest.approx(0.0, abs=0.01)
    assert deaths_that_cancel(months, none, kept, **course) == 0.0
    assert deaths_that_cancel(months, none, none, **course) == 0.0


def test_the_numbers_of_the_phase_1_are_those_of_the_evidence() -> None:
    items = {item.id: item for study in read_studies() for item in study.items}
    translocated, everybody = items["venetoclax_phase_1_t1114_orr"], items["venetoclax_phase_1_orr"]
    assert (translocated.events, translocated.n) == TRANSLOCATED
    assert everybody.events is not None
    assert everybody.n is not None
    events, patients = OTHERS
    assert (events, patients) == (everybody.events - 12, everybody.n - 30)


def test_the_words_and_pictures_hold_what_was_computed(venetoclax: VenetoclaxMaintenance) -> None:
    said = " ".join(venetoclax_maintenance.sentences(venetoclax))
    assert venetoclax.gain(USUAL, WITH).text(".1f") in said
    assert venetoclax.tolerable(USUAL, ALL).text(".0f") in said
    assert venetoclax.maintenance.estimate(case_report(10.0).name, LASTING).text(".0f") in said
    picture = venetoclax_maintenance.along(venetoclax)
    drawn = zip(*(picture.table[key] for key in ("panel", "line", "x", "value")), strict=True)
    values = {(line, x): value for panel, line, x, value in drawn if str(panel).startswith("Dose")}
    assert values[DEPENDENT, 400.0] == venetoclax.gain(USUAL).value


def test_the_run_is_written(venetoclax: VenetoclaxMaintenance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venetoclax_maintenance, "run", lambda *_: venetoclax)
    settings = Settings(patients=40, draws=2, folder=tmp_path, say=lambda _: None)
    folder = run_experiment(settings, "venetoclax_maintenance", venetoclax_maintenance.report)
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    assert f"({WITH})" in written
    assert (folder / "for_whom.csv").exists()
