"""Persistence: who becomes immune, what that costs, and how it goes with the length of the response."""

import numpy as np
import pytest

from perdure.experiments import persistence
from perdure.experiments.persistence import EVERYBODY_IMMUNE, HUMAN, MURINE, NOBODY, Persistence, loss_name
from perdure.fitting.posterior import Sizes
from perdure.trials.measures import PERSISTENCE, RESTRICTED_PFS


@pytest.fixture(scope="module")
def result() -> Persistence:
    sizes = Sizes(patients=60, draws=2, patients_per_draw=30, seed=4)
    return persistence.run(sizes=sizes, losses=(0.5, 1.0, 2.0), months=48.0)


def test_who_is_immune_with_the_human_binder_is_so_with_the_murine_one(result: Persistence) -> None:
    murine, human, nobody, everybody = (arm.patients["immunogenic"] > 0 for arm in result.binder.results)
    assert np.all(human <= murine)
    assert human.sum() < murine.sum()
    assert not nobody.any()
    assert everybody.all()


def test_more_immunity_never_lengthens_persistence_or_survival(result: Persistence) -> None:
    order = (EVERYBODY_IMMUNE, MURINE, HUMAN, NOBODY)
    for measure in (PERSISTENCE, RESTRICTED_PFS):
        values = [result.binder.estimate(arm, measure).value for arm in order]
        assert values == sorted(values)


def test_the_calibrated_loss_is_the_reference_itself(result: Persistence) -> None:
    assert result.memory.gain(loss_name(1.0), RESTRICTED_PFS).value == 0.0
    assert result.memory.gain(loss_name(0.5), RESTRICTED_PFS).value > 0.0 > result.memory.gain(
        loss_name(2.0), RESTRICTED_PFS
    ).value  # fmt: skip


def test_responders_are_grouped_by_how_long_they_respond(result: Persistence) -> None:
    shares = [result.legend.share(group).value for group in ("sustained response", "response that ended")]
    assert 0.0 < shares[0] < 100.0
    assert sum(shares) <= 100.0


def test_the_words_hold_what_was_computed(result: Persistence) -> None:
    sentences = " ".join(persistence.sentences(result))
    assert result.binder.gain(HUMAN, RESTRICTED_PFS).text(".1f") in sentences
    sources = {finding.source for finding in persistence.findings(result)}
    assert sources == {"legend_2_persistence_sustained", "min_2025"}
