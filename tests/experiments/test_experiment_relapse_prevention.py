"""What would have prevented each relapse: what must hold of restorations, of how relapses are sorted, and of pairs."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import relapse_prevention
from perdure.experiments.relapse_prevention import ALL, BEST, COMPLETE, MECHANISMS, SLOW, run
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.simulate import Solver
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports import restoration_report
from perdure.reports.experiment_report import run_experiment
from perdure.reports.figures.picture import picture_png
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.mechanism_restoration import (
    EXPANSION,
    LEAST,
    NONE,
    Prevention,
    Restoration,
    Restored,
    restore,
    scaled,
    together,
)
from perdure.trials.treat import ArmResult, treat

MONTHS = 30.0


@cache
def prevention() -> Prevention:
    return run(sizes=Sizes(patients=80, draws=2, patients_per_draw=40), months=MONTHS)


def treated(restoration: Restoration | None = None) -> ArmResult:
    real = prevention().value.real
    change = None if restoration is None else lambda values: restoration.restore(values, real)
    return treat(Arm("alone", "ide-cel", change=change), patients=80, months=MONTHS, solver=Solver(rtol=1e-5))


def small(*restorations: Restoration) -> Restored:
    parameters = read_calibration().parameters()
    return restore("ide-cel", "late_line", restorations, parameters, patients=60, months=24.0, seed=3)


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
    for restoration in (COMPLETE["persistence"], COMPLETE["antigen"], SLOW):
        gain = RESTRICTED_PFS.read(treated(restoration)) - real
        assert prevention().value.everybody[restoration.name] == pytest.approx(gain, abs=1e-6)


def test_relapses_saved_by_eradication_are_those_that_were_not_eradicated_before() -> None:
    """Drawn instead of computed: one uniform number per patient decides in both worlds."""
    restoration, value = COMPLETE["antigen"], prevention().value
    real, other = treated().outcomes, treated(restoration).outcomes
    reach = MONTHS
    rng = np.random.default_rng(5)
    uniform = rng.random((20_000, real.n))
    gone, spared = uniform < real.weight[1], uniform < other.weight[1]
    months = [np.minimum(np.minimum(o.progression(), o.death) / DAYS_PER_MONTH, reach) for o in (real, other)]
    gains = np.where(spared, months[1][1], months[1][0]) - months[0][0]
    drawn = np.sum(gains * ~gone, axis=0) / np.sum(~gone, axis=0)
    often = np.sum(~gone, axis=0) > 5_000
    assert (other.weight[1] > real.weight[1] + 0.05).any()
    np.testing.assert_allclose(value.gain[restoration.name][often], drawn[often], atol=0.6)
    relapsing = value.relapses > 0
    np.testing.assert_allclose(value.relapses[relapsing], real.weight[0][relapsing])


def test_the_more_of_a_mechanism_is_restored_the_more_is_gained() -> None:
    half, none = scaled("half", k_growth_tumour=0.75), scaled("slow", k_growth_tumour=0.5)
    slower = small(half, none)
    assert 0.0 < slower.mean(slower.gain["half"]) < slower.mean(slower.gain["slow"])
    value = prevention().value
    for name in ("exhaustion", "persistence", "marrow"):
        whole, part = (value.mean_gain(way[name]) for way in (COMPLETE, BEST))
        assert 0.0 < part < whole


def test_the_best_tenth_is_a_floor_that_leaves_the_better_patients_alone() -> None:
    real = prevention().value.real
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
    value = prevention().value
    for way in (COMPLETE, BEST):
        assert sum(value.shares(way).values()) == pytest.approx(100.0)
        main = value.main(way)
        gains = np.stack([value.gain[restoration.name] for restoration in way.values()])
        has = main < len(way)
        np.testing.assert_array_equal(gains.max(axis=0)[~has] < LEAST, True)
        np.testing.assert_array_equal(gains[main[has], np.flatnonzero(has)], gains.max(axis=0)[has])
    none = replace(value, gain={name: np.full_like(gain, LEAST - 0.1) for name, gain in value.gain.items()})
    assert none.shares(COMPLETE)[NONE] == pytest.approx(100.0)
    assert none.several(COMPLETE) == 0.0
    every = replace(value, gain={name: np.full_like(gain, LEAST) for name, gain in value.gain.items()})
    assert every.several(COMPLETE) == pytest.approx(100.0)


def test_the_bookkeeping_is_that_of_the_model() -> None:
    shares = 100.0 * prevention().value.real.outcomes.cause_share()
    both = [prevention().booked(name).value for name in ("antigen", "exhaustion", "cells gone", NONE)]
    np.testing.assert_allclose(both, [*shares[:3], shares[3] + shares[4]])


def test_a_pair_changes_what_both_change_and_gains_at_least_the_better_one() -> None:
    first, second = COMPLETE["antigen"], COMPLETE["persistence"]
    real = prevention().value.real
    both = together(first, second).restore(real.patients, real)
    assert set(both) == set(first.restore(real.patients, real)) | set(second.restore(real.patients, real))
    value, combined = prevention().value, prevention().combined
    gain = combined.mean_gain(MECHANISMS.pairs["antigen", "persistence"])
    assert gain >= max(value.mean_gain(restoration) for restoration in (first, second))
    assert combined.mean_gain(ALL) >= gain
    names = [set(restoration.restore(real.patients, real)) for restoration in COMPLETE.values()]
    assert len(set.union(*names)) == sum(map(len, names))


def test_a_contrast_is_the_difference_between_the_relapses_of_two_groups() -> None:
    value = prevention().value
    marrow = COMPLETE["marrow"]
    needy = value.suppressed
    assert needy.sum() == 40
    with_it, without = (
        np.average(value.gain[marrow.name][keep], weights=value.relapses[keep]) for keep in (needy, ~needy)
    )  # fmt: skip
    assert value.contrast(marrow, needy) == pytest.approx(with_it - without)
    assert np.isnan(value.contrast(marrow, np.ones(80, dtype=bool)))


def test_the_sentences_and_tables_hold_the_numbers_and_the_findings_can_fail() -> None:
    text = " ".join(relapse_prevention.sentences(prevention()))
    assert prevention().share("antigen").text(".0f") in text
    assert prevention().booked("cells gone").text(".0f") in text
    assert prevention().gain(SLOW).text(".1f") in text
    cross = restoration_report.cross_table(prevention())
    assert sum(float(str(row[-1])) for row in cross.rows) == pytest.approx(100.0, abs=0.4)
    posterior = prevention().posterior
    flat = replace(
        posterior, value=all_the_same(posterior.value), draws=tuple(map(all_the_same, posterior.draws))
    )  # fmt: skip
    blind = replace(prevention(), posterior=flat)
    assert not any(finding.met for finding in relapse_prevention.findings(blind))


def all_the_same(restored: Restored) -> Restored:
    """Every restoration gains one month in every patient."""
    return replace(restored, gain={name: np.full_like(gain, 1.0) for name, gain in restored.gain.items()})


def test_the_pictures_show_what_was_computed() -> None:
    bars = restoration_report.shares_of_relapses(prevention())
    forest = restoration_report.gain_of_relapses(prevention())
    drawn = np.array(bars.table["share"], dtype=float).reshape(3, -1)
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    assert 100.0 * drawn[1, 0] == pytest.approx(prevention().share("antigen").value)
    gains = [prevention().gain(restoration).value for restoration in MECHANISMS.single]
    np.testing.assert_allclose(np.array(forest.table["estimate"], dtype=float), gains)
    for picture in (bars, forest):
        assert picture_png(picture).startswith(b"\x89PNG")


def test_a_run_leaves_its_numbers(tmp_path: Path) -> None:
    settings = Settings(patients=30, draws=2, patients_per_draw=20, folder=tmp_path, say=lambda _: None)
    folder = run_experiment(settings, "relapse_prevention", relapse_prevention.report)
    written = (folder / "numbers.csv").read_text(encoding="utf-8")
    for restoration in (*MECHANISMS.single, ALL):
        assert f"{restoration.name},gain of a relapse" in written
