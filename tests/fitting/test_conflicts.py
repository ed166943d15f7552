"""Reports that contradict each other are all kept, and widened by as much as they disagree."""

import math

import pytest

from perdure.fitting.observations import Observation
from perdure.fitting.studies import birge_weight, in_conflict, read_studies

SAME_PATIENTS = {"bridged_pfs"}
"""Two reports of one consortium."""


def rate(value: float, n: int) -> Observation:
    report = {"id": f"rate_{value:.0f}_{n}", "endpoint": "orr", "kind": "proportion", "unit": "%", "role": "fit"}
    return Observation.model_validate({**report, "value": value, "n": n})


def median(value: float, n: int) -> Observation:
    report = {"id": f"median_{value:.0f}_{n}", "endpoint": "pfs_median", "kind": "median", "unit": "months"}
    return Observation.model_validate({**report, "role": "fit", "value": value, "n": n})


def test_two_percentages_have_the_chi_square_of_their_two_by_two_table() -> None:
    # 10 of 40 and 30 of 60: pooled share 0.4, Pearson's chi-square 6.25 with one degree of freedom
    items = [rate(25.0, 40), rate(50.0, 60)]
    assert birge_weight(items, same_patients=False) == pytest.approx(1.0 / 6.25)


def test_two_medians_are_compared_on_the_log_scale() -> None:
    error = 1.0 / math.log(2.0) / 10.0  # of the log of a median of 100 exponential times
    apart = math.log(2.0) ** 2 / (2.0 * error**2)
    assert birge_weight([median(6.0, 100), median(12.0, 100)], same_patients=False) == pytest.approx(1.0 / apart)


def test_reports_that_agree_keep_their_weight_and_those_of_the_same_patients_share_one() -> None:
    assert birge_weight([rate(50.0, 20), rate(55.0, 20)], same_patients=False) == 1.0
    assert birge_weight([rate(50.0, 20), rate(55.0, 20)], same_patients=True) == 0.5


def test_the_shipped_conflicts_are_as_wide_as_they_disagree() -> None:
    conflicts = in_conflict(read_studies())
    assert set(conflicts) == {"bridged_pfs", "belantamab_after_car_t", "chemotherapy_response"}
    for name, items in conflicts.items():
        assert len(items) > 1, name
        right = birge_weight(items, same_patients=name in SAME_PATIENTS)
        for item in items:
            assert item.role == "fit", item.id
            assert item.weight == pytest.approx(right, rel=0.02), item.id
            assert "Birge" in item.note, item.id
