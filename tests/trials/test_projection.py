"""Projections: arms share their patients, a drug without effect does nothing, and what is borrowed is flagged."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver
from perdure.parameters.errors import RangeError
from perdure.reports.settings import Settings
from perdure.trials.projection import BAND_MONTHS, RESTRICTED_MONTHS, Projection, run
from perdure.trials.provenance import (
    Footing,
    Scenario,
    default_scenarios,
    footing,
    lenalidomide_maintenance,
    secretase_inhibitor,
)
from perdure.trials.treat import treat

CATALOGUE = read_catalogue()
STUDIES = read_studies()
GAIN, MEAN = "gain in restricted mean PFS, months", "restricted mean PFS, months"
QUICK = Solver(rtol=1e-5, workers=1)
ALONE, WITH_DRUGS, ELSEWHERE = (
    Scenario("ide_cel", "late_line", "ide-cel alone", infuse("ide_cel")),
    Scenario("ide_cel", "late_line", "+ both", infuse("ide_cel") + lenalidomide_maintenance() + secretase_inhibitor()),
    Scenario("ide_cel", "earlier_line", "earlier", infuse("ide_cel")),
)
PATIENTS, DRAWS = 40, 3
VALUES = ({"k_growth_tumour": 0.012}, {"k_growth_tumour": 0.009}, {"k_growth_tumour": 0.015}, {"k_growth_tumour": 0.02})


PRIORS = {name: entry.value for name, entry in CATALOGUE.items() if entry.prior}
"""Every number that a draw would take from its prior."""


def calibration(*rows: dict[str, float], **known: float) -> Calibration:
    """An estimate and draws that differ in the growth of the tumour only."""
    full = [{**PRIORS, **known, **row} for row in rows or VALUES]
    return Calibration("by_hand", full[0], full[1:], {}, {}, {})


def project(*scenarios: Scenario, known: Calibration, solver: Solver = QUICK) -> tuple[Projection, ...]:
    return run(
        scenarios, patients=PATIENTS, draws=DRAWS, patients_per_draw=PATIENTS, calibration=known, solver=solver, seed=5
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Projection, ...]:
    """A product alone and with two drugs that work."""
    return project(ALONE, WITH_DRUGS, known=calibration(effect_lenalidomide=1.0, fraction_sensitive_lenalidomide=0.9))


@pytest.fixture(scope="module")
def inert() -> tuple[Projection, ...]:
    """The same two drugs when nothing they touch answers; a fine tolerance, because the tablets restart the solver."""
    nothing = calibration(
        effect_lenalidomide=0.0, max_growth_inhibition_lenalidomide=0.0, max_inhibition_crenigacestat=0.0
    )
    return project(ALONE, WITH_DRUGS, known=nothing, solver=Solver(rtol=1e-9, workers=1))


# --------------------------------------------------------------------------------------------------- paired patients
def test_scenarios_are_given_to_the_same_patients(pair: tuple[Projection, ...]) -> None:
    alone, both = (projection.trial for projection in pair)
    assert list(alone.patients) == list(both.patients)
    for name, values in alone.patients.items():
        np.testing.assert_array_equal(values, both.patients[name])
    np.testing.assert_array_equal(alone.outcomes.death, both.outcomes.death)
    np.testing.assert_array_equal(alone.outcomes.density_before, both.outcomes.density_before)


def test_the_first_scenario_of_a_product_gains_nothing_over_itself(pair: tuple[Projection, ...]) -> None:
    gain = pair[0].numbers[GAIN]
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_a_gain_is_the_difference_of_the_restricted_means(pair: tuple[Projection, ...]) -> None:
    curves = [projection.trial.pfs() for projection in pair]
    means = [curve.restricted_mean(RESTRICTED_MONTHS) for curve in curves]
    for projection, mean in zip(pair, means, strict=True):
        assert projection.numbers[MEAN].value == pytest.approx(mean, rel=1e-12)
        assert projection.numbers[GAIN].value == pytest.approx(mean - means[0], abs=1e-12)
    assert pair[1].numbers[GAIN].value > 0.5  # drugs that help all, in nine of ten patients twice
    assert pair[1].numbers[GAIN].low > 0.0


def test_each_product_is_compared_with_its_own_first_scenario() -> None:
    other = Scenario("cilta_cel", "mixed_line", "cilta-cel alone", infuse("cilta_cel"))
    one, two = project(ALONE, other, known=calibration())
    assert one.numbers[GAIN].value == two.numbers[GAIN].value == 0.0
    assert one.numbers[MEAN].value != two.numbers[MEAN].value


# --------------------------------------------------------------------------------------------- drugs without effect
def test_drugs_without_effect_change_nothing(inert: tuple[Projection, ...]) -> None:
    alone, with_drugs = inert
    assert with_drugs.trial.regimen.drugs == ("crenigacestat", "lenalidomide")
    assert with_drugs.trial.solution.delivered["lenalidomide"].min() > 0.0  # they were taken
    mean = alone.numbers[MEAN].value
    for bound in ("value", "low", "high"):
        assert getattr(with_drugs.numbers[GAIN], bound) == pytest.approx(0.0, abs=1e-6 * mean)
    for name in ("overall response, %", "complete response, %", "PFS at 24 months, %"):
        assert with_drugs.numbers[name].value == pytest.approx(alone.numbers[name].value, abs=1e-4)
    np.testing.assert_allclose(with_drugs.band, alone.band, atol=1e-6)
    for cause, share in alone.causes.items():
        assert with_drugs.causes[cause] == pytest.approx(share, abs=1e-5)


# -------------------------------------------------------------------------------------------------- bands and numbers
def test_the_band_has_a_curve_for_every_draw(pair: tuple[Projection, ...]) -> None:
    for projection in pair:
        assert projection.band.shape == (DRAWS, len(BAND_MONTHS))
        np.testing.assert_allclose(projection.band[:, 0], 1.0)
        assert np.all((projection.band >= 0.0) & (projection.band <= 1.0))
        # With as many patients per draw as at the estimate nothing is moved, and a curve only falls.
        assert np.all(np.diff(projection.band, axis=1) <= 1e-12)
        assert projection.failed_share == 0.0


def test_slower_growth_keeps_patients_longer_without_progression(pair: tuple[Projection, ...]) -> None:
    order = np.argsort([row["k_growth_tumour"] for row in VALUES[1:]])
    areas = pair[0].band[:, BAND_MONTHS <= RESTRICTED_MONTHS].sum(axis=1)
    assert np.all(np.diff(areas[order]) < 0.0)


def test_intervals_are_those_of_the_draws_and_causes_add_up(pair: tuple[Projection, ...]) -> None:
    for projection in pair:
        assert sum(projection.causes.values()) == pytest.approx(1.0)
        for name, estimate in projection.numbers.items():
            assert estimate.low <= estimate.high, name
            assert not np.isnan(estimate.low), name


def test_fewer_patients_per_draw_do_not_move_the_band_away_from_the_estimate() -> None:
    # Draws that all equal the estimate: whatever differs between 40 patients and 20 of them is sampling error.
    same = calibration(*[VALUES[0]] * 3)
    (only,) = run((ALONE,), patients=40, draws=2, patients_per_draw=20, calibration=same, solver=QUICK, seed=5)
    np.testing.assert_allclose(only.band, np.tile(only.trial.pfs().at(BAND_MONTHS), (2, 1)), atol=1e-12)
    for name, estimate in only.numbers.items():
        assert (estimate.low, estimate.high) == pytest.approx((estimate.value, estimate.value)), name


# ------------------------------------------------------------------------------------------------------------- flags
def test_a_fitted_product_alone_is_calibrated_and_combinations_are_extrapolated(pair: tuple[Projection, ...]) -> None:
    alone, both = (projection.footing for projection in pair)
    assert (alone.flag, both.flag) == ("calibrated", "extrapolated")
    assert alone.reason.startswith("product and population were fitted to ")
    assert "lenalidomide" in both.reason
    assert "crenigacestat was never fitted together with this product" in both.reason
    assert footing(ELSEWHERE, STUDIES).reason.startswith("ide_cel in earlier_line: its efficacy was fitted elsewhere (")
    assert footing(ALONE, ()) == Footing(False, "ide_cel in late_line: its efficacy was not fitted")


def test_default_scenarios_are_flagged_by_their_drugs() -> None:
    scenarios = default_scenarios()
    assert len({(scenario.product, scenario.name) for scenario in scenarios}) == len(scenarios) == 8
    for scenario in scenarios:
        found = footing(scenario, STUDIES)
        assert found.calibrated == (not scenario.regimen.drugs)
        assert len(found.reason) > 20


def test_the_sizes_of_a_run_are_checked() -> None:
    for name, value in (("patients", 9), ("patients_per_draw", 3), ("draws", 1), ("seed", -1)):
        with pytest.raises(RangeError, match=f"{name} = {value}; expected "):
            replace(Settings(), **{name: value})


# -------------------------------------------------------------------------------------------------------- population
@pytest.mark.parametrize(("product", "population"), [("ide_cel", "late_line"), ("cilta_cel", "mixed_line")])
def test_twice_as_many_patients_give_the_same_answer_within_the_sampling_error(product: str, population: str) -> None:
    few, many = (
        treat(product, population, patients=n, months=30.0, parameters=CATALOGUE, solver=QUICK).outcomes
        for n in (300, 600)
    )
    # The first 300 are the same people, so that the difference is half of that between two independent halves:
    # SE^2 = (p(1-p)/300 + p(1-p)/300) / 4 = p(1-p)/600. The branches of a patient only make it smaller.
    shares = {
        "overall response": (few.overall_response_rate, many.overall_response_rate),
        "free of progression at 24 months": tuple(float(o.progression_free().at(24.0)) for o in (few, many)),
    }
    for name, (of_few, of_many) in shares.items():
        assert 0.02 < of_many < 0.98, name  # otherwise nothing is shown
        assert abs(of_few - of_many) < 2.6 * np.sqrt(of_many * (1.0 - of_many) / 600.0), name
