"""The explicit method by itself, run as plain Python with one lane: its order, its error estimate, its extension.

On y' = (1 + x) sqrt(y) with a drug x = exp(-rate t), sqrt(y) is known by integrating x.
"""

import math

import numpy as np
import pytest

from perdure.model.engine import explicit
from perdure.model.engine.drug_levels import COEFFICIENT, N_LEVELS, N_MOVING, RATE, SHARE, drug_inputs
from perdure.model.engine.lanes import LaneArray, lane_array, part

FADING = 1.7
SIZES = 1 / np.array([12, 16, 24, 32, 48])


def exact(t: float) -> float:
    return (1.0 + 0.5 * (t + (1.0 - math.exp(-FADING * t)) / FADING)) ** 2


def growth_of_a_root(p: LaneArray, c: LaneArray, f: LaneArray, y: LaneArray, dy: LaneArray) -> None:
    dy[0] = f[0] * math.sqrt(y[0])


class Steps:
    """Steps of fixed size with the functions of the engine."""

    def __init__(self, h: float, tolerance: float = 1.0) -> None:
        self.h, self.t, self.tolerance = h, 0.0, [tolerance]
        self.y, self.end, self.k = LaneArray([1.0]), lane_array(1), lane_array(8)
        self.p, self.c, self.f, self.x = LaneArray([1.0, 1.0]), LaneArray([2.0]), lane_array(6), lane_array(6)
        self.drugs = lane_array(2 * N_LEVELS + N_MOVING)
        self.drugs[RATE], self.drugs[SHARE], self.drugs[COEFFICIENT] = FADING, 1.0 / FADING, 1.0
        drug_inputs(0.0, self.drugs, self.x)
        explicit.forcing(self.p, self.c, self.x, self.f)
        explicit.rhs(self.p, self.c, self.f, self.y, self.k)

    def take(self) -> float:
        """One step, which leaves its end in `end`; returns its error over the tolerance, drugs' part left out."""
        explicit.attempt(
            True, 0, self.t, self.h, 1e300, self.tolerance, 1.0, self.p, self.c, self.f, self.x, self.drugs, self.y,
            self.k, lane_array(1), self.end,
        )  # fmt: skip
        weights = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
        return abs(self.h * sum(weight * self.k[i] for i, weight in enumerate(weights)))

    def accept(self) -> None:
        self.t += self.h
        self.y[0], self.k[0] = self.end[0], self.k[6]

    def at(self, theta: float) -> float:
        dense, found = lane_array(4), lane_array(1)
        explicit.prepare(self.h, self.y, self.end, self.k, dense)
        explicit.interpolate(theta, [0.0], self.y, dense, found)
        return found[0]


@pytest.fixture(autouse=True)
def _equation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explicit, "rhs", growth_of_a_root)


def slope_of(sizes: np.ndarray, errors: list[float]) -> float:
    """Order seen in errors: the slope of their logarithm."""
    return float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def test_the_pair_is_of_order_5() -> None:
    errors = []
    for h in SIZES:
        steps = Steps(h)
        for _ in range(round(1 / h)):
            steps.take()
            steps.accept()
        errors.append(abs(steps.y[0] - exact(1.0)))
    assert 4.7 < slope_of(SIZES, errors) < 5.4


def test_the_error_estimate_is_of_order_4_and_not_below_the_error() -> None:
    estimates = []
    for h in SIZES:
        steps = Steps(h)
        estimates.append(steps.take())
        assert estimates[-1] > abs(steps.end[0] - exact(h))
    assert 4.7 < slope_of(SIZES, estimates) < 5.4


def test_the_error_is_measured_in_tolerances() -> None:
    for rtol, tolerance in ((1e-6, 0.0), (0.0 + 1e-300, 1e-3), (1e-4, 1e-4)):
        steps = Steps(0.1, tolerance)
        found = explicit.attempt(
            False, 0, 0.0, 0.1, rtol, steps.tolerance, 1.0, steps.p, steps.c, steps.f, steps.x, steps.drugs, steps.y,
            steps.k, lane_array(1), steps.end,
        )  # fmt: skip
        weights = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
        estimate = abs(0.1 * sum(weight * steps.k[i] for i, weight in enumerate(weights)))
        assert found == pytest.approx(explicit.STRICT * estimate / (tolerance + rtol * steps.end[0]), rel=1e-12)


def test_the_continuous_extension_is_of_order_4() -> None:
    errors = []
    for h in SIZES:
        steps = Steps(h)
        steps.take()
        errors.append(max(abs(steps.at(theta) - exact(theta * h)) for theta in np.linspace(0.05, 0.95, 19)))
    assert 4.7 < slope_of(SIZES, errors) < 5.4  # local error of an extension of order 4


def test_the_continuous_extension_meets_both_ends_of_its_step() -> None:
    steps = Steps(0.25)
    steps.take()
    assert steps.at(0.0) == pytest.approx(1.0, rel=1e-15)
    assert steps.at(1.0) == pytest.approx(steps.end[0], rel=1e-15)


def forced(values: list[float]) -> LaneArray:
    """Forced values at 0.2, 0.3, 0.8, 8/9, 1 and 0 of a step, as `attempt` leaves them."""
    return LaneArray(values)


def test_what_a_drug_does_within_the_first_stage_is_seen() -> None:
    fast = forced([2.0, 2.0, 2.0, 2.0, 2.0, 1.0])  # absorbed and saturated before the second stage
    assert explicit.missed_effect(0.1, 1.0, fast) == pytest.approx(35 / 384 * 0.5 * 0.1, rel=1e-12)


def test_a_smooth_effect_is_resolved() -> None:
    places = [0.2, 0.3, 0.8, 8 / 9, 1.0, 0.0]
    for power in range(5):  # both quadratures are exact for polynomials of degree 4
        assert explicit.missed_effect(1.0, 1.0, forced([place**power for place in places])) < 1e-14
    assert explicit.missed_effect(1.0, 1.0, forced([place**5 for place in places])) == pytest.approx(1 / 270 + 1 / 5400)


def test_part_of_an_array_is_the_same_memory() -> None:
    array = lane_array(3)
    part(array, 1)[0] = 4.0
    assert (array[0], array[1], array[1, 0]) == (0.0, 4.0, 4.0)
