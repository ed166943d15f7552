"""Persistence: who becomes immune, what that costs, and how it goes with the length of the response."""

import numpy as np
import pytest

from perdure.experiments import persistence
from perdure.experiments.persistence import EVERYBODY_IMMUNE, HUMAN, MURINE, NOBODY, Persistence, loss_name
from perdure.trials.measures import PERSISTENCE, RESTRICTED_PFS


@pytest.fixture(scope="module")
def found() -> Persistence:
    return persistence.run((0.5, 1.0, 2.0), patients=60, draws=2, patients_per_draw=30, months=48.0, seed=4)


def test_who_is_immune_with_the_human_binder_is_so_with_the_murine_one(found: Persistence) -> None:
    murine, human, nobody, everybody = (one.patients["immunogenic"] > 0 for one in found.binder.treated)
    assert np.all(human <= murine)
    assert human.sum() < murine.sum()
    assert not nobody.any()
    assert everybody.all()


def test_more_immunity_never_lengthens_persistence_or_survival(found: Persistence) -> None:
    order = (EVERYBODY_IMMUNE, MURINE, HUMAN, NOBODY)
    for measure in (PERSISTENCE, RESTRICTED_PFS):
        values = [found.binder.estimate(arm, measure).value for arm in order]
        assert values == sorted(values)


def test_the_calibrated_loss_is_the_reference_itself(found: Persistence) -> None:
    assert found.memory.gain(loss_name(1.0), RESTRICTED_PFS).value == 0.0
    assert found.memory.gain(loss_name(0.5), RESTRICTED_PFS).value > 0.0 > found.memory.gain(
        loss_name(2.0), RESTRICTED_PFS
    ).value  # fmt: skip


def test_responders_are_parted_by_how_long_they_respond(found: Persistence) -> None:
    shares = [found.legend.share(group).value for group in ("sustained response", "response that ended")]
    assert 0.0 < shares[0] < 100.0
    assert sum(shares) <= 100.0


def test_the_words_hold_what_was_computed(found: Persistence) -> None:
    said = " ".join(persistence.sentences(found))
    assert found.binder.gain(HUMAN, RESTRICTED_PFS).text(".1f") in said
    assert {finding.source for finding in persistence.findings(found)} == {"legend_2_persistence_sustained", "min_2025"}
