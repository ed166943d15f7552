"""Risk of cytokine release and neurotoxicity: laws of the curve, the fit against known truths, the shipped values."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, norm

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.calibration.search_space import estimated_parameters
from perdure.fitting.calibration.smc import SmcSettings
from perdure.fitting.calibration.toxicity_fit import (
    Contrast,
    Report,
    ToxicityEvidence,
    ToxicityHierarchy,
    counted,
    fit_evidence,
    fit_toxicity,
    log_ratio_of_medians,
    rates,
    read_peaks,
    report,
    toxicity_evidence,
)
from perdure.fitting.studies import items, read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.toxicity import (
    crs_probability,
    icans_probability,
    severe_crs_probability,
    severe_icans_probability,
)
from perdure.parameters.errors import EvidenceError, FileError, FitError, InputError, RangeError, UnknownNameError
from perdure.parameters.parameter_set import read_set

Risk = Callable[[Mapping[str, np.ndarray], np.ndarray], np.ndarray]
BOTH = ((crs_probability, severe_crs_probability, "crs"), (icans_probability, severe_icans_probability, "icans"))
CATALOGUE = read_catalogue()
STUDIES = {study.name: study for study in read_studies()}
NUMBERS = read_set("toxicity").names


def patients(n: int) -> dict[str, np.ndarray]:
    return {name: np.full(n, CATALOGUE[name].value) for name in NUMBERS}


def various(n: int, seed: int) -> dict[str, np.ndarray]:
    """Patients whose numbers lie anywhere in their ranges."""
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(CATALOGUE[name].low, CATALOGUE[name].high, n) for name in NUMBERS}


# ---------------------------------------------------------------------------------------------------------- the curve


@pytest.mark.parametrize(("some", "severe", "name"), BOTH)
def test_at_the_reference_peak_the_risk_is_what_the_parameters_say(some: Risk, severe: Risk, name: str) -> None:
    one, peak = patients(1), np.array([CATALOGUE["car_t_peak_reference"].value])
    share = CATALOGUE[f"probability_{name}"].value
    assert some(one, peak) == pytest.approx([share])
    assert severe(one, peak) == pytest.approx([share * CATALOGUE[f"fraction_severe_{name}"].value])


@pytest.mark.parametrize(("some", "severe", "name"), BOTH)
def test_the_curve_is_logistic_in_the_log_of_the_peak_with_one_slope(some: Risk, severe: Risk, name: str) -> None:
    peak = np.geomspace(0.01, 1e4, 50)
    many = patients(50)
    log_ratio = np.log(peak / many["car_t_peak_reference"])
    slope, share = many[f"slope_{name}"], many[f"probability_{name}"]
    assert some(many, peak) == pytest.approx(expit(logit(share) + slope * log_ratio))
    worst = expit(logit(share * many[f"fraction_severe_{name}"]) + slope * log_ratio)
    assert severe(many, peak) == pytest.approx(worst)


def test_a_doubled_peak_multiplies_the_odds_by_two_to_the_slope() -> None:
    at, twice = (crs_probability(patients(1), np.array([peak]))[0] for peak in (60.0, 120.0))
    assert twice / (1 - twice) == pytest.approx(2.0 ** CATALOGUE["slope_crs"].value * at / (1 - at))


@pytest.mark.parametrize(("some", "severe", "name"), BOTH)
def test_severe_never_exceeds_any_and_both_rise_with_the_peak(some: Risk, severe: Risk, name: str) -> None:
    many = various(400, seed=3)
    before = np.zeros(400)
    for peak in (0.0, 1e-3, 1.0, 30.0, 125.0, 1000.0, 1e5):
        at = np.full(400, peak)
        assert (severe(many, at) <= some(many, at) + 1e-12).all()
        assert (some(many, at) >= before - 1e-12).all()
        assert ((some(many, at) >= 0) & (some(many, at) <= 1)).all()
        before = some(many, at)


@pytest.mark.parametrize(("some", "severe", "name"), BOTH)
def test_without_cells_there_is_no_risk_and_without_limit_it_is_certain(some: Risk, severe: Risk, name: str) -> None:
    assert (some(patients(2), np.zeros(2)) == 0.0).all()
    assert (severe(patients(2), np.zeros(2)) == 0.0).all()
    assert some(patients(2), np.full(2, 1e60)) == pytest.approx(np.ones(2))


def test_a_patient_that_could_not_be_integrated_has_no_risk_but_nan() -> None:
    found = icans_probability(patients(2), np.array([np.nan, 100.0]))
    assert np.isnan(found).tolist() == [True, False]


def test_wrong_input_to_the_curve_is_one_clear_error() -> None:
    with pytest.raises(RangeError, match=r"c_max = -1 cells/uL"):
        crs_probability(patients(2), np.array([5.0, -1.0]))
    with pytest.raises(InputError, match=r"shape \(3,\); expected one peak for each patient, \(2,\)"):
        crs_probability(patients(2), np.ones(3))
    without = {name: values for name, values in patients(2).items() if name != "slope_icans"}
    with pytest.raises(UnknownNameError, match=r"no parameter 'slope_icans'"):
        icans_probability(without, np.ones(2))


# -------------------------------------------------------------------------------------------------------- the numbers


def test_no_joint_fit_changes_the_numbers_of_toxicity() -> None:
    assert not set(NUMBERS) & set(estimated_parameters())
    assert not set(NUMBERS) & set(read_calibration().estimate)
    assert all(CATALOGUE[name].prior for name in NUMBERS if name != "car_t_peak_reference")


def test_the_shipped_values_are_what_a_small_fit_gives() -> None:
    """Tolerance: 0.25 on the logit or log scale, below half of any width, and 25 % of the widths."""
    fits = fit_toxicity(patients=200, seed=5, settings=SmcSettings(particles=300, seed=5))
    for fit in fits.values():
        for one in fit.shipped():
            prior = CATALOGUE[one.name].prior
            assert prior is not None
            assert prior.kind == one.kind
            assert prior.sd == pytest.approx(one.sd, rel=0.25), one.name
            scale = np.log if one.kind == "lognormal" else logit
            assert scale(one.value) == pytest.approx(scale(CATALOGUE[one.name].value), abs=0.25), one.name
    text = report(fits)
    for part in ("fumanba_1", "Li 2024", "POLARIS", "ratio of median peaks", "[slope_icans] value"):
        assert part in text
    rows = {(row.study, row.endpoint): row for row in fits["crs"].rows()}
    assert rows["karmma", "severe_crs_rate"].reported == pytest.approx(100 * 12 / 127)
    assert all(row.low <= row.model <= row.high for row in rows.values())
    assert rows["Li 2024", "crs_rate"].misfit > 1.0  # 38 % where others have 76 to 100 %: the model is above the report


# ------------------------------------------------------------------------------------------------------- the evidence


def test_every_item_of_the_four_endpoints_that_decides_is_of_car_t_cells() -> None:
    used = [item.id for _, item in items(STUDIES.values(), "outcome") if re.search("crs|icans", item.endpoint)]
    assert {"crb_401_crs", "lummicar_1_icans", "polaris_crs", "xia_2023_crs", "li_2024_crs", "du_2023_icans"} <= set(
        used
    )
    assert {"sperling_2023_severe_crs", "sperling_2023_severe_icans", "karmma_crs", "fumanba_1_icans"} <= set(used)
    assert not [name for name in used if "teclistamab" in name or "talquetamab" in name]


def test_a_percentage_without_patients_borrows_those_of_its_response_rate() -> None:
    by_id = {item.id: (item, study) for study in STUDIES.values() for item in study.items}
    assert counted(*by_id["sperling_2023_crs"]) == (45.0, 43.0)
    assert counted(*by_id["du_2023_crs"]) == (29.0, 25.0)
    assert counted(*by_id["li_2024_crs"]) == (16.0, 6.0)
    item, study = by_id["sperling_2023_severe_crs"]
    alone = study.model_copy(update={"items": (item,), "n": None})
    assert counted(item, alone) == pytest.approx((10.0, 1.1))


def test_a_study_that_cannot_be_simulated_or_reports_severe_cases_alone_is_refused() -> None:
    study = STUDIES["sperling_2023"]
    severe = tuple(item for item in study.items if item.endpoint == "severe_crs_rate")
    with pytest.raises(EvidenceError, match=r"severe crs and not that of any grade"):
        toxicity_evidence(CATALOGUE, [study.model_copy(update={"items": severe})], n=5, seed=1, peaks=())
    with pytest.raises(EvidenceError, match=r"no product and no scenario of a first line"):
        toxicity_evidence(CATALOGUE, [study.model_copy(update={"scenarios": ()})], n=5, seed=1, peaks=())


def test_the_error_of_a_ratio_of_medians_reproduces_its_p_value(tmp_path: Path) -> None:
    for one in read_peaks():
        assert 2 * norm.sf(abs(one.log_ratio) / one.error) == pytest.approx(one.p)
        assert f"{one.with_toxicity:.0f} vs {one.without:.0f}" in one.quote
    wrong = tmp_path / "peaks.toml"
    wrong.write_text("[odd]\nstudy = 'x'\nwithout = -1.0\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"peaks\.toml, \[odd\]"):
        read_peaks(wrong)


# ------------------------------------------------------------------------------------------------------ the hierarchy


def peaks(median: float, sd: float = 1.0, count: int = 16) -> np.ndarray:
    return median + sd * norm.ppf((np.arange(count) + 0.5) / count)


def test_the_likelihood_is_the_binomial_of_averaged_probabilities() -> None:
    one = Report("one", "crs", 20.0, 12.0, 5.0, peaks(0.3))
    hierarchy = ToxicityHierarchy(ToxicityEvidence("crs", (one,)))
    points = np.random.default_rng(1).standard_normal((6, hierarchy.size))
    at = hierarchy.values(points)
    by_hand = []
    for k in range(6):
        logit_any = at.logit_any[k] + at.any_effect[k, 0]
        reference = expit(logit_any) * expit(at.logit_share[k] + at.share_effect[k, 0])
        some = np.mean([expit(logit_any + at.slope[k] * x) for x in one.log_peaks])
        severe = np.mean([expit(logit(reference) + at.slope[k] * x) for x in one.log_peaks])
        by_hand.append(binom.logpmf(12, 20, some) + binom.logpmf(5, 12, severe / some))
    found = hierarchy.log_likelihood(points)
    assert np.diff(found) == pytest.approx(np.diff(by_hand))  # up to a constant


def test_the_ratio_of_medians_is_that_of_simulated_patients() -> None:
    one = Contrast("one", "icans", 0.0, 1.0, peaks(0.0, 1.2, 400))
    rng = np.random.default_rng(2)
    drawn = 1.2 * rng.standard_normal(400_000)
    sick = rng.random(400_000) < expit(-2.0 + 0.9 * drawn)
    simulated = np.median(drawn[sick]) - np.median(drawn[~sick])
    assert log_ratio_of_medians(np.array([-2.0]), np.array([0.9]), one) == pytest.approx([simulated], abs=0.03)
    assert log_ratio_of_medians(np.array([-2.0]), np.array([0.0]), one) == pytest.approx([0.0], abs=1e-9)


def made(slope: float, studies: int, n: int, seed: int) -> ToxicityEvidence:
    """Evidence of studies with widely different peaks, drawn from the model: spread 0.3, any -0.5, share -1.5."""
    rng, reports = np.random.default_rng(seed), []
    for k, median in enumerate(np.linspace(-2.5, 2.5, studies)):
        own = 0.3 * rng.standard_normal(2)
        at = peaks(median)
        some, severe = rates(np.array([-0.5 + own[0]]), np.array([-1.5 + own[1]]), np.array([slope]), at)
        events = rng.binomial(n, some[0])
        reports.append(Report(f"study {k}", "crs", n, events, rng.binomial(events, severe[0] / some[0]), at))
    return ToxicityEvidence("crs", tuple(reports))


@pytest.mark.parametrize("slope", [0.4, 1.2])
def test_a_known_slope_is_found_again_in_many_studies_of_different_peaks(slope: float) -> None:
    fit = fit_evidence(made(slope, studies=10, n=400, seed=7), settings=SmcSettings(particles=300, seed=2))
    low, high = np.quantile(fit.draws.slope, (0.005, 0.995))
    assert low < slope < high
    assert np.median(fit.draws.slope) == pytest.approx(slope, rel=0.2)
    assert fit.shrinkage["log_slope"] > 0.9
    assert np.median(fit.draws.logit_any) == pytest.approx(-0.5, abs=0.4)
    assert np.median(fit.draws.spread) == pytest.approx(0.3, abs=0.2)


def test_one_small_study_leaves_the_slope_to_its_prior() -> None:
    one = ToxicityEvidence("icans", (Report("one", "icans", 10.0, 3.0, None, peaks(0.0)),))
    fit = fit_evidence(one, settings=SmcSettings(particles=1000, seed=3))
    assert abs(fit.shrinkage["log_slope"]) < 0.15
    assert np.median(fit.draws.slope) == pytest.approx(fit.hierarchy.prior.slope, rel=0.2)


def test_medians_within_a_study_move_the_slope() -> None:
    reports = (Report("one", "icans", 50.0, 8.0, None, peaks(0.0)),)
    steep = Contrast("two", "icans", 1.5, 0.2, peaks(0.0))
    with_it, without = (
        fit_evidence(ToxicityEvidence("icans", reports, told), settings=SmcSettings(particles=400, seed=4))
        for told in ((steep,), ())
    )
    assert np.median(with_it.draws.slope) > 1.5 * np.median(without.draws.slope)
    assert with_it.shrinkage["log_slope"] > 0.6
    (row,) = with_it.contrast_rows()
    assert row.reported == pytest.approx(np.exp(1.5))


def test_nothing_to_fit_is_an_error() -> None:
    with pytest.raises(FitError, match=r"no report of crs has the role 'outcome'"):
        ToxicityHierarchy(ToxicityEvidence("crs", ()))
