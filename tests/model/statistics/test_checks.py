"""Wrong input to the statistics of trials: one clear message, with what, where, its value and what would be right."""

import math
from collections.abc import Callable

import pytest

from perdure.model.statistics.cox import hazard_ratio, proportional_hazards
from perdure.model.statistics.logrank import max_combo, weighted_logrank
from perdure.model.statistics.proportions import (
    clopper_pearson,
    rate_difference,
    rate_test,
    stratified_rate_test,
    wilson,
)
from perdure.model.statistics.restricted_mean import (
    landmark,
    landmark_difference,
    restricted_mean,
    restricted_mean_difference,
)
from perdure.model.statistics.sizes import events_needed, patients_needed_for_rates
from perdure.parameters.errors import InputError, RangeError, UnknownNameError

GOOD = [1.0, 2.0, 3.0, 4.0], [1, 1, 0, 1], [0, 1, 0, 1]
COMPARE = [
    weighted_logrank,
    max_combo,
    hazard_ratio,
    proportional_hazards,
    lambda time, event, group: restricted_mean_difference(time, event, group, 2.0),
    lambda time, event, group: landmark_difference(time, event, group, 2.0),
]


@pytest.mark.parametrize("compare", COMPARE)
@pytest.mark.parametrize(
    ("column", "values", "kind", "message"),
    [
        (0, [1, math.nan, 3, 4], RangeError, r"time\[1\] is nan, and should be finite and not negative"),
        (0, [1, 2, -3, 4], RangeError, r"time\[2\] is -3, and should be finite and not negative"),
        (0, [1, 2, 3, math.inf], RangeError, r"time\[3\] is inf"),
        (0, [], InputError, r"time has shape \(0,\), and should be a list, one value per patient"),
        (0, [[1, 2], [3, 4]], InputError, r"time has shape \(2, 2\)"),
        (0, ["soon", 2, 3, 4], InputError, r"time is \['soon', 2, 3, 4\], and should be a list of numbers"),
        (1, [1, 0, 0.5, 0], RangeError, r"event\[2\] is 0.5, and should be 0 or 1"),
        (1, [1, 0], InputError, r"event has 2 rows, and should have 4"),
        (2, [1, 2, 1, 2], RangeError, r"group\[1\] is 2, and should be 0 or 1"),
        (2, [1, 1, 1, 1], InputError, r"group is 1 for every patient, and 0 and 1 should occur"),
    ],
)
def test_a_column_that_is_wrong_is_named(
    compare: Callable[..., object], column: int, values: list[object], kind: type[Exception], message: str
) -> None:
    columns: list[object] = list(GOOD)
    columns[column] = values
    with pytest.raises(kind, match=message):
        compare(*columns)


@pytest.mark.parametrize("compare", COMPARE[:4])
def test_strata_that_are_wrong_are_named(compare: Callable[..., object]) -> None:
    for stratum, message in (
        ([0, 1], r"stratum has 2 rows, and should have 4"),
        ([0, 1, math.nan, 1], r"stratum\[2\] is nan, and should be a label"),
        ([[0, 1], [0, 1]], r"stratum has shape \(2, 2\)"),
    ):
        with pytest.raises(InputError, match=message):
            compare(*GOOD, stratum=stratum)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: weighted_logrank(*GOOD, rho=-1),
            r"weighted_logrank: rho is -1, and should be finite and not negative",
        ),
        (lambda: max_combo(*GOOD, weights=[(0, math.nan)]), r"max_combo: gamma is nan"),
        (lambda: max_combo(*GOOD, weights=[]), r"max_combo: there are 0 weights, and should be 1 to 10"),
        (lambda: hazard_ratio(*GOOD, level=95), r"hazard_ratio: level is 95, and should be between 0 and 1"),
        (lambda: proportional_hazards([0, 0, 2, 3], [1, 1, 1, 1], GOOD[2], transform="log"), r"an event has time 0"),
        (lambda: restricted_mean([1, 2], [1, 0], 3), r"until is 3, and should be above 0 and no later than .* at 2"),
        (lambda: restricted_mean([1, 2], [1, 0], 0), r"until is 0, and should be above 0"),
        (lambda: restricted_mean([1, 2], [1, 0], math.nan), r"until is nan"),
        (lambda: restricted_mean_difference(*GOOD, 3.5), r"restricted_mean_difference, group 0: until is 3.5"),
        (lambda: landmark([1, 2], [1, 0], -1), r"landmark: at is -1, and should be finite and not negative"),
        (lambda: landmark([1, 2], [1, 0], 1, 2), r"level is 2, and should be between 0 and 1"),
        (lambda: landmark_difference(*GOOD, math.nan), r"landmark_difference: at is nan"),
        (lambda: wilson(3, 2), r"wilson: events is 3, and should be a whole number from 0 to 2"),
        (lambda: wilson(0, 0), r"wilson: n is 0, and should be a whole number of at least 1"),
        (lambda: clopper_pearson(1.5, 2), r"clopper_pearson: events is 1.5"),
        (lambda: clopper_pearson(1, math.nan), r"clopper_pearson: n is nan"),
        (lambda: clopper_pearson(1, 2, 0), r"clopper_pearson: level is 0"),
        (lambda: rate_difference([1, 0], [0, 0]), r"rate_difference: group is 0 for every patient"),
        (lambda: rate_test([1, 2], [0, 1]), r"rate_test: holds\[1\] is 2, and should be 0 or 1"),
        (lambda: stratified_rate_test([1, 0], [0, 1], ["a"]), r"stratum has 1 rows, and should have 2"),
        (lambda: events_needed(1.0), r"hazard_ratio is 1, .* not 1: no number of events shows no difference"),
        (lambda: events_needed(0.5, 0.02), r"power is 0.02, and should be above alpha / sided = 0.025 and below 1"),
        (lambda: events_needed(0.5, sided=3), r"sided is 3, and should be 1 or 2"),
        (lambda: events_needed(0.5, share=1), r"share is 1, and should be between 0 and 1"),
        (lambda: events_needed(0.0), r"hazard_ratio is 0, and should be finite and more than 0"),
        (lambda: patients_needed_for_rates(0.4, 0.4), r"rate_1 is 0.4, and should be another than rate_0"),
        (lambda: patients_needed_for_rates(0.4, 40), r"rate_1 is 40, and should be between 0 and 1"),
    ],
)
def test_a_choice_that_is_wrong_is_answered_with_what_is_right(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_weights_and_ties_that_do_not_go_together_are_named() -> None:
    with pytest.raises(InputError, match=r"hazard_ratio: ties = 'efron' counts whole patients, .* need ties = 'bres"):
        hazard_ratio(*GOOD, [1, 0.5, 1, 1])
    with pytest.raises(UnknownNameError, match=r"There is no way with ties 'breslau'\. Did you mean 'breslow'\?"):
        hazard_ratio(*GOOD, ties="breslau")


def test_an_unknown_transform_is_answered_with_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no transform of time 'ranks'\. Did you mean 'rank'\?"):
        proportional_hazards(*GOOD, transform="ranks")
