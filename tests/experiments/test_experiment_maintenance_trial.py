"""Trials of maintenance against none: who can enter, what a small one can show, and the words."""

import numpy as np
import pytest

from perdure.experiments import maintenance_trial
from perdure.experiments.maintenance_trial import DESIGNS, MaintenanceTrials
from perdure.fitting.posterior import Sizes


@pytest.fixture(scope="module")
def maintenance() -> MaintenanceTrials:
    names = ("everybody, from day 30", "high burden, from day 30")
    return maintenance_trial.run(
        sizes=Sizes(patients=60, draws=2, patients_per_draw=30, seed=3),
        designs={name: DESIGNS[name] for name in names}, trial_sizes=(100, 400), trials=20,
    )  # fmt: skip


def test_only_some_can_enter_a_trial_of_those_with_a_large_tumour(maintenance: MaintenanceTrials) -> None:
    everybody, high = (result.pool.eligible_share for result in maintenance.designs.values())
    assert 0.0 < high < everybody <= 1.0


def test_both_arms_are_the_same_before_they_are_drawn() -> None:
    for design in DESIGNS.values():
        none, drug = ([d for d in arm.plan.first.doses if d.day < design.origin] for arm in design.arms)
        assert none == drug


def test_a_trial_of_seventeen_shows_nothing_more_often_than_not(maintenance: MaintenanceTrials) -> None:
    assert 0.0 <= maintenance.small <= 0.5
    (finding,) = maintenance_trial.findings(maintenance)
    assert finding.met == (maintenance.small < 0.3)


def test_assurance_lies_between_none_and_one_and_the_words_hold_it(maintenance: MaintenanceTrials) -> None:
    said = maintenance_trial.sentences(maintenance)
    assert len(said) == 2
    for result in maintenance.designs.values():
        assert 0.0 <= result.planned.value <= 1.0
        assert np.isfinite(result.truth.value("hazard ratio"))
    assert [row[0] for row in maintenance_trial.designs_table(maintenance).rows] == list(maintenance.designs)
