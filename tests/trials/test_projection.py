"""Arms share their patients, a drug without effect does nothing, and what is borrowed is flagged."""

from dataclasses import replace

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Estimate, Sizes
from perdure.fitting.studies import read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver
from perdure.parameters.errors import RangeError
from perdure.reports.settings import Settings
from perdure.trials.arm import Arm
from perdure.trials.compare import BAND_MONTHS, Comparison, compare
from perdure.trials.measures import COMPLETE, EFFICACY, PFS_24, RESPONSE, RESTRICTED_MONTHS, RESTRICTED_PFS
from perdure.trials.provenance import Provenance, provenance_of_plan
from perdure.trials.standard_regimens import default_arms, lenalidomide_maintenance, secretase_inhibitor
from perdure.trials.treat import treat

CATALOGUE = read_catalogue()
STUDIES = read_studies()
QUICK = Solver(rtol=1e-5, workers=1)
ALONE, WITH_DRUGS, ELSEWHERE = (
    Arm("ide-cel alone", infuse("ide_cel")),
    Arm("+ both", infuse("ide_cel") + lenalidomide_maintenance() + secretase_inhibitor()),
    Arm("earlier", infuse("ide_cel"), "earlier_line"),
)
PATIENTS, DRAWS = 40, 3
VALUES = ({"k_growth_tumour": 0.012}, {"k_growth_tumour": 0.009}, {"k_growth_tumour": 0.015}, {"k_growth_tumour": 0.02})


PRIORS = {name: entry.value for name, entry in CATALOGUE.items() if entry.prior}
"""Every number that a draw would take from its prior."""


def calibration(*rows: dict[str, float], **known: float) -> Calibration:
    """An estimate and draws that differ in the growth of the tumour only."""
    full = [{**PRIORS, **known, **row} for row in rows or VALUES]
    return Calibration("by_hand", full[0], full[1:], {}, {}, {})


def project(*arms: Arm, known: Calibration, solver: Solver = QUICK) -> Comparison:
    return compare(arms, known, sizes=Sizes(PATIENTS, DRAWS, PATIENTS, seed=5), solver=solver, keep_courses=True)


def numbers(comparison: Comparison) -> list[Estimate]:
    """Every number of every arm, with its gain over the first."""
    estimates = [comparison.estimate(arm.name, measure) for arm in comparison.arms for measure in EFFICACY]
    return [*estimates, *(comparison.gain(arm.name, RESTRICTED_PFS) for arm in comparison.arms)]


@pytest.fixture(scope="module")
def pair() -> Comparison:
    """A product alone and with two drugs that work."""
    return project(ALONE, WITH_DRUGS, known=calibration(effect_lenalidomide=1.0, fraction_sensitive_lenalidomide=0.9))


@pytest.fixture(scope="module")
def inert() -> Comparison:
    """The same two drugs when nothing they touch answers; a fine tolerance, because the tablets restart the solver."""
    nothing = calibration(
        effect_lenalidomide=0.0, max_growth_inhibition_lenalidomide=0.0, max_inhibition_crenigacestat=0.0
    )
    return project(ALONE, WITH_DRUGS, known=nothing, solver=Solver(rtol=1e-9, workers=1))


# --------------------------------------------------------------------------------------------------- paired patients
def test_arms_are_given_to_the_same_patients(pair: Comparison) -> None:
    alone, both = pair.results
    assert list(alone.patients) == list(both.patients)
    for name, values in alone.patients.items():
        np.testing.assert_array_equal(values, both.patients[name])
    np.testing.assert_array_equal(alone.outcomes.death, both.outcomes.death)
    np.testing.assert_array_equal(alone.outcomes.density_before, both.outcomes.density_before)


def test_the_first_arm_gains_nothing_over_itself(pair: Comparison) -> None:
    gain = pair.gain(ALONE.name, RESTRICTED_PFS)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_a_gain_is_the_difference_of_the_restricted_means(pair: Comparison) -> None:
    means = [result.pfs().restricted_mean(RESTRICTED_MONTHS) for result in pair.results]
    for arm, mean in zip(pair.arms, means, strict=True):
        assert pair.estimate(arm.name, RESTRICTED_PFS).value == pytest.approx(mean, rel=1e-12)
        assert pair.gain(arm.name, RESTRICTED_PFS).value == pytest.approx(mean - means[0], abs=1e-12)
    gain = pair.gain(WITH_DRUGS.name, RESTRICTED_PFS)
    assert gain.value > 0.5  # drugs that help all, in nine of ten patients twice
    assert gain.low > 0.0


def test_each_product_is_compared_with_itself_alone() -> None:
    means = []
    for arms in default_arms().values():
        products = {arm.plan.products for arm in arms}
        assert len(products) == 1
        assert not arms[0].plan.first.drugs
        alone = project(arms[0], known=calibration())
        assert alone.gain(arms[0].name, RESTRICTED_PFS).value == 0.0
        means.append(alone.estimate(arms[0].name, RESTRICTED_PFS).value)
    assert means[0] != means[1]


# --------------------------------------------------------------------------------------------- drugs without effect
def test_drugs_without_effect_change_nothing(inert: Comparison) -> None:
    alone, with_drugs = inert.results
    assert with_drugs.regimen.drugs == ("crenigacestat", "lenalidomide")
    assert with_drugs.course.delivered["lenalidomide"].min() > 0.0  # they were taken
    mean, gain = inert.estimate(ALONE.name, RESTRICTED_PFS).value, inert.gain(WITH_DRUGS.name, RESTRICTED_PFS)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-6 * mean)
    for measure in (RESPONSE, COMPLETE, PFS_24):
        assert measure.read(with_drugs) == pytest.approx(measure.read(alone), abs=1e-4)
    np.testing.assert_allclose(inert.band(WITH_DRUGS.name), inert.band(ALONE.name), atol=1e-6)
    np.testing.assert_allclose(with_drugs.outcomes.cause_share(), alone.outcomes.cause_share(), atol=1e-5)


# -------------------------------------------------------------------------------------------------- bands and numbers
def test_the_band_has_a_curve_for_every_draw(pair: Comparison) -> None:
    for band in (pair.band(arm.name) for arm in pair.arms):
        assert band.shape == (DRAWS, len(BAND_MONTHS))
        np.testing.assert_allclose(band[:, 0], 1.0)
        assert np.all((band >= 0.0) & (band <= 1.0))
        # With as many patients per draw as at the estimate nothing is moved, and a curve only falls.
        assert np.all(np.diff(band, axis=1) <= 1e-12)
    assert pair.failed_share == 0.0


def test_slower_growth_keeps_patients_longer_without_progression(pair: Comparison) -> None:
    order = np.argsort([row["k_growth_tumour"] for row in VALUES[1:]])
    areas = pair.band(ALONE.name)[:, BAND_MONTHS <= RESTRICTED_MONTHS].sum(axis=1)
    assert np.all(np.diff(areas[order]) < 0.0)


def test_intervals_are_those_of_the_draws_and_causes_add_up(pair: Comparison) -> None:
    for result in pair.results:
        assert result.outcomes.cause_share().sum() == pytest.approx(1.0)
    for estimate in numbers(pair):
        assert estimate.low <= estimate.high
        assert not np.isnan(estimate.low)


def test_fewer_patients_per_draw_do_not_move_the_band_away_from_the_estimate() -> None:
    # Draws that all equal the estimate: whatever differs between 40 patients and 20 of them is sampling error.
    same = calibration(*[VALUES[0]] * 3)
    only = compare((ALONE,), same, sizes=Sizes(40, 2, 20, seed=5), solver=QUICK)
    curve = only.result(ALONE.name).pfs().at(BAND_MONTHS)
    np.testing.assert_allclose(only.band(ALONE.name), np.tile(curve, (2, 1)), atol=1e-12)
    for estimate in numbers(only):
        assert (estimate.low, estimate.high) == pytest.approx((estimate.value, estimate.value))


# ------------------------------------------------------------------------------------------------------------- flags
def test_a_fitted_product_alone_is_calibrated_and_combinations_are_extrapolated(pair: Comparison) -> None:
    alone, both = pair.provenance
    assert (alone.flag, both.flag) == ("calibrated", "extrapolated")
    assert alone.reason.startswith("product and population were fitted to ")
    assert "lenalidomide" in both.reason
    assert "crenigacestat was never fitted together with this product" in both.reason
    elsewhere = provenance_of_plan(ELSEWHERE.plan, ELSEWHERE.population, STUDIES)
    assert elsewhere.reason.startswith("ide_cel in earlier_line: its efficacy was fitted elsewhere (")
    nowhere = provenance_of_plan(ALONE.plan, ALONE.population, ())
    assert nowhere == Provenance(False, "ide_cel in late_line: its efficacy was not fitted")


def test_default_arms_are_flagged_by_their_drugs() -> None:
    arms = [(product, arm) for product, own in default_arms().items() for arm in own]
    assert len({(product, arm.name) for product, arm in arms}) == len(arms) == 8
    for product, arm in arms:
        provenance = provenance_of_plan(arm.plan, arm.population, STUDIES)
        assert arm.plan.products == (product,)
        assert provenance.calibrated == (not arm.plan.first.drugs)
        assert len(provenance.reason) > 20


def test_the_sizes_of_a_run_are_checked() -> None:
    for name, value in (("patients", 9), ("patients_per_draw", 3), ("draws", 1), ("seed", -1)):
        with pytest.raises(RangeError, match=f"{name} = {value}; expected "):
            replace(Settings(), **{name: value})


# -------------------------------------------------------------------------------------------------------- population
@pytest.mark.parametrize(("product", "population"), [("ide_cel", "late_line"), ("cilta_cel", "mixed_line")])
def test_twice_as_many_patients_give_the_same_answer_within_the_sampling_error(product: str, population: str) -> None:
    few, many = (
        treat(infuse(product), population, patients=n, months=30.0, parameters=CATALOGUE, solver=QUICK).outcomes
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
