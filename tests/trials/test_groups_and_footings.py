"""Groups of patients and the footing of an arm: the same rules in plans of one line and of several."""

from collections.abc import Callable

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.trials.arm import Arm
from perdure.trials.compare import EVERYBODY, Comparison, compare
from perdure.trials.measures import RESPONSE, Measure, restricted_mean
from perdure.trials.treat import ArmResult

MEAN = restricted_mean(12.0)
MEASURES = (RESPONSE, MEAN)
SIZES = Sizes(patients=40, draws=2, patients_per_draw=30)
LATE, LATE_OR_NEVER, NOBODY, UNKNOWN = "late", "late, unknown if it never came", "nobody", "unknown of everybody"
FAST = "fast growth"
GIVEN = {
    "one line": ("ide-cel", "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 12 months"),
    "two lines": ("ide-cel; at progression talquetamab", "ide-cel; at progression venetoclax"),
}
LINES = {"one line": 1, "two lines": 0}


def faster_growth(patients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"k_growth_tumour": 2.0 * patients["k_growth_tumour"]}


def fast(result: ArmResult) -> np.ndarray:
    return result.patients["k_growth_tumour"] > 0.02  # per day: a doubling in less than five weeks


def late(day: Callable[[ArmResult], np.ndarray], never: float) -> Callable[[ArmResult], np.ndarray]:
    """Who comes to something after the median of those who do; `never` is said of those to whom it never comes."""

    def belongs(result: ArmResult) -> np.ndarray:
        days = day(result)
        came = np.isfinite(days)
        assert 0 < came.sum() < days.size
        return np.where(came, days > np.median(days[came]), never)

    return belongs


@pytest.fixture(scope="module", params=list(LINES))
def comparison(request: pytest.FixtureRequest) -> Comparison:
    """A therapy with results of its own and another one, each in the patients as they are and in changed ones."""
    fitted, extrapolated = GIVEN[request.param]
    arms = (
        Arm("fitted", fitted),
        Arm("extrapolated", extrapolated),
        Arm("fitted, changed", fitted, change=faster_growth),
        Arm("extrapolated, changed", extrapolated, change=faster_growth),
    )
    # Progression is a day of either branch, the start of the second line a day of the patient.
    day = {"one line": lambda result: result.outcomes.progression(), "two lines": lambda result: result.since}
    groups = {
        LATE: late(day[request.param], 0.0),
        LATE_OR_NEVER: late(day[request.param], np.nan),
        NOBODY: lambda result: np.zeros(result.outcomes.n),
        UNKNOWN: lambda result: np.full(result.outcomes.n, np.nan),
        FAST: fast,
    }
    return compare(
        arms, read_calibration(), line=LINES[request.param], measures=MEASURES, groups=groups, sizes=SIZES, months=12.0
    )


def names(comparison: Comparison) -> list[str]:
    return [arm.name for arm in comparison.arms]


def numbers(comparison: Comparison, arm: str, measure: Measure, group: str) -> np.ndarray:
    """At the estimate, its interval, and at every draw."""
    estimate = comparison.estimate(arm, measure, group)
    return np.array([estimate.value, estimate.low, estimate.high, *comparison.draws_of(arm, measure, group=group)])


def test_whoever_a_group_says_nothing_of_does_not_belong_to_it(comparison: Comparison) -> None:
    for measure in comparison.measures:  # the share of the group among them
        for arm in names(comparison):
            unknown = numbers(comparison, arm, measure, LATE_OR_NEVER)
            assert np.isfinite(unknown).all()
            np.testing.assert_array_equal(unknown, numbers(comparison, arm, measure, LATE))
    assert 0.0 < comparison.share(LATE).value < comparison.share(EVERYBODY).value


def test_a_group_is_made_of_those_who_belong_to_it_in_the_first_arm(comparison: Comparison) -> None:
    seen, changed = (fast(comparison.results[i]) for i in (0, 2))
    assert 0 < seen.sum() < changed.sum()
    for i, arm in enumerate(names(comparison)):
        members = comparison.results[i].among(seen)
        for measure in comparison.measures:
            assert comparison.estimate(arm, measure, FAST).value == measure.read(members)


@pytest.mark.parametrize("group", [NOBODY, UNKNOWN])
def test_a_group_that_nobody_belongs_to_has_no_number_and_not_zero(comparison: Comparison, group: str) -> None:
    for measure in MEASURES:
        for arm in names(comparison):
            assert np.isnan(numbers(comparison, arm, measure, group)).all()
            assert np.isnan(comparison.chance(arm, measure, group=group))
            gain = comparison.gain(arm, measure, group=group)
            assert np.isnan([gain.value, gain.low, gain.high]).all()


def test_everybody_has_a_number_beside_a_group_without_anybody(comparison: Comparison) -> None:
    for arm in names(comparison):
        assert np.isfinite(numbers(comparison, arm, MEAN, EVERYBODY)).all()


def test_changed_patients_are_a_thought_experiment_and_keep_why_the_therapy_is_extrapolated(
    comparison: Comparison,
) -> None:
    provenance = dict(zip(names(comparison), comparison.provenance, strict=True))
    assert provenance["fitted"].calibrated
    assert not provenance["extrapolated"].calibrated
    for name in ("fitted", "extrapolated"):
        changed = provenance[f"{name}, changed"]
        assert not changed.calibrated
        assert "thought experiment" in changed.reason
    assert provenance["extrapolated"].reason in provenance["extrapolated, changed"].reason
    # Nothing is extrapolated of a fitted therapy but the patients themselves.
    assert provenance["fitted"].reason not in provenance["fitted, changed"].reason
    assert ";" not in provenance["fitted, changed"].reason
