"""What would have prevented each relapse: what must hold of restorations, of how relapses are sorted, and of pairs."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import relapse_prevention
from perdure.experiments.relapse_prevention import (
    ALL,
    BEST,
    COMPLETE,
    EXPANSION,
    LEAST,
    NONE,
    PAIRS,
    SINGLE,
    SLOW,
    Levers,
    Prevention,
    Restoration,
    levers,
    run,
    scaled,
    together,
)
from perdure.fitting.calibration.calibration import read_calibration
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.figures.picture import picture_png
from perdure.reports.settings import Settings
from perdure.trials.compare import Arm, treat_arm
from perdure.trials.measures import RESTRICTED_PFS, Treated

MONTHS = 30.0


@cache
def found() -> Prevention:
    return run(patients=80, draws=2, patients_per_draw=40, months=MONTHS)


def treated(restoration: Restoration | None = None) -> Treated:
    real = found().best.real
    change = None if restoration is None else lambda values: restoration.restore(values, real)
    arm = Arm("one", "ide-cel", change=change)
    return treat_arm(arm, read_calibration().parameters(), patients=80, months=MONTHS)


def small(*restorations: Restoration) -> Levers:
    return levers(read_calibration().parameters(), restorations, patients=60, months=24.0, seed=3)


def test_a_restoration_that_changes_nothing_gains_nothing_in_anybody() -> None:
    same = small(scaled("same", k_exhaustion=1.0))
    np.testing.assert_array_equal(same.gain["same"], 0.0)
    assert same.everybody["same"] == 0.0
    reach = 24.0 * DAYS_PER_MONTH
    outcomes = same.real.outcomes
    free = np.minimum(outcomes.progression()[0], outcomes.death) >= reach
    np.testing.assert_array_equal(same.kept["same"], free)


def test_the_gain_of_all_patients_is_the_gain_in_restricted_mean_progression_free_survival() -> None:
    real = RESTRICTED_PFS.read(treated())
    for one in (COMPLETE["persistence"], COMPLETE["antigen"], SLOW):
        gain = RESTRICTED_PFS.read(treated(one)) - real
        assert found().best.everybody[one.name] == pytest.approx(gain, abs=1e-6)


def test_relapses_saved_by_eradication_are_those_that_were_not_eradicated_before() -> None:
    """Drawn instead of computed: one uniform number per patient decides in both worlds."""
    one, best = COMPLETE["antigen"], found().best
    real, other = treated().outcomes, treated(one).outcomes
    reach = MONTHS
    rng = np.random.default_rng(5)
    uniform = rng.random((20_000, real.n))
    gone, spared = uniform < real.weight[1], uniform < other.weight[1]
    months = [np.minimum(np.minimum(o.progression(), o.death) / DAYS_PER_MONTH, reach) for o in (real, other)]
    gains = np.where(spared, months[1][1], months[1][0]) - months[0][0]
    drawn = np.sum(gains * ~gone, axis=0) / np.sum(~gone, axis=0)
    often = np.sum(~gone, axis=0) > 5_000
    assert (other.weight[1] > real.weight[1] + 0.05).any()
    np.testing.assert_allclose(best.gain[one.name][often], drawn[often], atol=0.6)
    relapsing = best.relapses > 0
    np.testing.assert_allclose(best.relapses[relapsing], real.weight[0][relapsing])


def test_the_more_of_a_mechanism_is_restored_the_more_is_gained() -> None:
    half, none = scaled("half", k_growth_tumour=0.75), scaled("slow", k_growth_tumour=0.5)
    slower = small(half, none)
    assert 0.0 < slower.mean(slower.gain["half"]) < slower.mean(slower.gain["slow"])
    best = found().best
    for name in ("exhaustion", "persistence", "marrow"):
        whole, part = (best.mean(best.gain[way[name].name]) for way in (COMPLETE, BEST))
        assert 0.0 < part < whole


def test_the_best_tenth_is_a_floor_that_leaves_the_better_patients_alone() -> None:
    real = found().best.real
    values = real.patients
    expansion = COMPLETE["expansion"].restore(values, real)
    assert set(expansion) == set(EXPANSION)
    best = real.outcomes.c_max >= np.quantile(real.outcomes.c_max, 0.9)
    for name, new in expansion.items():
        assert (new >= values[name]).all()
        assert new.min() == pytest.approx(np.median(values[name][best]))
    slower = BEST["exhaustion"].restore(values, real)["k_exhaustion"]
    assert (slower == values["k_exhaustion"]).sum() == 8
    assert slower.max() == pytest.approx(np.quantile(values["k_exhaustion"], 0.1))


def test_every_relapse_has_one_main_mechanism_or_none() -> None:
    best = found().best
    for way in (COMPLETE, BEST):
        assert sum(best.shares(way).values()) == pytest.approx(100.0)
        main = best.main(way)
        gains = np.stack([best.gain[one.name] for one in way.values()])
        has = main < len(way)
        np.testing.assert_array_equal(gains.max(axis=0)[~has] < LEAST, True)
        np.testing.assert_array_equal(gains[main[has], np.flatnonzero(has)], gains.max(axis=0)[has])
    none = replace(best, gain={name: np.full_like(gain, LEAST - 0.1) for name, gain in best.gain.items()})
    assert none.shares(COMPLETE)[NONE] == pytest.approx(100.0)
    assert none.several(COMPLETE) == 0.0
    every = replace(best, gain={name: np.full_like(gain, LEAST) for name, gain in best.gain.items()})
    assert every.several(COMPLETE) == pytest.approx(100.0)


def test_the_bookkeeping_is_that_of_the_model() -> None:
    best = found().best
    shares = 100.0 * best.real.outcomes.cause_share()
    both = [found().booked(name).value for name in ("antigen", "exhaustion", "cells gone", NONE)]
    np.testing.assert_allclose(both, [*shares[:3], shares[3] + shares[4]])


def test_a_pair_changes_what_both_change_and_gains_at_least_the_better_one() -> None:
    first, second = COMPLETE["antigen"], COMPLETE["persistence"]
    real = found().best.real
    both = together(first, second).restore(real.patients, real)
    assert set(both) == set(first.restore(real.patients, real)) | set(second.restore(real.patients, real))
    best, pairs = found().best, found().pairs
    gain = pairs.mean(pairs.gain[PAIRS["antigen", "persistence"].name])
    assert gain >= max(best.mean(best.gain[one.name]) for one in (first, second))
    assert pairs.mean(pairs.gain[ALL.name]) >= gain
    names = [set(one.restore(real.patients, real)) for one in COMPLETE.values()]
    assert len(set.union(*names)) == sum(map(len, names))


def test_a_contrast_is_the_difference_between_the_relapses_of_two_groups() -> None:
    best = found().best
    one = COMPLETE["marrow"]
    needy = best.suppressed
    assert needy.sum() == 40
    with_it, without = (
        np.average(best.gain[one.name][keep], weights=best.relapses[keep]) for keep in (needy, ~needy)
    )  # fmt: skip
    assert best.contrast(one, needy) == pytest.approx(with_it - without)
    assert np.isnan(best.contrast(one, np.ones(80, dtype=bool)))


def test_the_sentences_and_tables_hold_the_numbers_and_the_findings_can_fail() -> None:
    one = found()
    text = " ".join(relapse_prevention.sentences(one))
    assert one.share("antigen").text(".0f") in text
    assert one.booked("cells gone").text(".0f") in text
    assert one.gain(SLOW).text(".1f") in text
    cross = relapse_prevention.cross_table(one)
    assert sum(float(str(row[-1])) for row in cross.rows) == pytest.approx(100.0, abs=0.4)
    flat = {name: np.full(80, 1.0) for name in one.best.gain}
    blind = replace(one, best=replace(one.best, gain=flat), drawn=[replace(k, gain=flat_of(k)) for k in one.drawn])
    assert not any(each.met for each in relapse_prevention.findings(blind))


def test_the_pictures_show_what_was_computed() -> None:
    one = found()
    bars, forest = relapse_prevention.shares(one), relapse_prevention.gains(one)
    drawn = np.array(bars.table["share"], dtype=float).reshape(3, -1)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    assert 100.0 * drawn[1, 0] == pytest.approx(one.share("antigen").value)
    np.testing.assert_allclose(np.array(forest.table["estimate"], dtype=float), [one.gain(r).value for r in SINGLE])
    for picture in (bars, forest):
        assert picture_png(picture).startswith(b"\x89PNG")


def flat_of(one: Levers) -> dict[str, np.ndarray]:
    return {name: np.full_like(gain, 1.0) for name, gain in one.gain.items()}


def test_a_run_leaves_its_numbers(tmp_path: Path) -> None:
    folder = relapse_prevention.main(
        Settings(patients=30, draws=2, patients_per_draw=20, folder=tmp_path, say=lambda _: None)
    )  # fmt: skip
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    for one in (*SINGLE, ALL):
        assert f"{one.name},gain of a relapse" in written
