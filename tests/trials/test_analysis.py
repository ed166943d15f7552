"""One trial analysed: against lifelines, in the right direction, and without an answer where there is none."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time

from perdure.parameters.errors import InputError, RangeError
from perdure.trials.analysis import analyse, horizon, landmark_months, primary_test, rows_of, truth_of
from perdure.trials.arm import Arm
from perdure.trials.conduct import Trials
from perdure.trials.design import Design

ARMS = tuple(Arm(name, "ide-cel", "late_line") for name in ("reference", "new", "third"))
DESIGN = Design("Three arms", ARMS, "infusion", 300, 6.0, 18.0, "pfs")


def made(n: int = 450, trials: int = 1, hazards: tuple[float, ...] = (0.1, 0.06, 0.3), late: float = 0.0) -> Trials:
    """Trials with exponential times; `late`: months until which all arms have the hazard of the reference."""
    rng = np.random.default_rng(8)
    shape = (trials, n)
    arm = np.broadcast_to(np.arange(n) % 3, shape)
    due = rng.exponential(size=shape)
    base, own = hazards[0], np.array(hazards)[arm]
    day = np.where(due < base * late, due / base, late + (due - base * late) / own)
    followed = rng.uniform(18.0, 24.0, shape)
    event = day <= followed
    responds = rng.random(shape) < np.array([0.3, 0.6, 0.1])[arm]
    time = np.minimum(day, followed)
    times = dict.fromkeys(("pfs", "os", "ttnt"), time) | {"dor": np.where(responds, time, np.nan)}
    events = dict.fromkeys(("pfs", "os", "ttnt"), event) | {"dor": event & responds}
    rates: tuple[str, ...] = ("orr", "cr", "mrd_1e-5", "mrd_1e-6")
    holds: dict[str, np.ndarray] = dict.fromkeys(rates, responds)
    none = np.zeros(shape, dtype=int)
    return Trials(
        arm, rng.integers(2, size=shape), none, rng.random(shape), times, events, holds, none, followed, none > 0,
        none == 0,
    )  # fmt: skip


def frame(trials: Trials, arm: int = 1) -> pd.DataFrame:
    table = pd.DataFrame(
        {"time": trials.time["pfs"][0], "event": trials.event["pfs"][0], "arm": trials.arm[0],
         "stratum": trials.stratum[0]}
    )  # fmt: skip
    table = table[(table.arm == 0) | (table.arm == arm)]
    return table.assign(arm=(table.arm == arm).astype(int))


def test_medians_hazard_ratio_and_restricted_means_are_those_of_lifelines() -> None:
    trials = made()
    found, table = analyse(DESIGN, trials), frame(made())
    assert [arm.name for arm in found.arms] == ["reference", "new"]
    curves = [KaplanMeierFitter().fit(part.time, part.event) for _, part in table.groupby("arm")]
    for arm, curve in zip(found.arms, curves, strict=True):
        assert arm.median.value == curve.median_survival_time_
        assert arm.median.low < arm.median.value < arm.median.high
        assert arm.fraction.value == pytest.approx(float(curve.predict(12.0)))
        assert arm.mean.value == pytest.approx(restricted_mean_survival_time(curve, t=18.0))
    cox = CoxPHFitter().fit(table, "time", "event", strata=["stratum"])
    ratio = found.effects[0]
    assert (ratio.name, ratio.value) == ("hazard ratio", pytest.approx(math.exp(cox.params_["arm"]), rel=1e-5))
    low, high = np.exp(cox.confidence_intervals_.loc["arm"])
    assert (ratio.low, ratio.high) == pytest.approx((low, high), rel=1e-4)
    assert found.effects[1].value == pytest.approx(found.arms[1].mean.value - found.arms[0].mean.value)
    assert found.success
    assert found.p < 0.05
    assert found.z > 0


def test_a_third_arm_is_left_out_and_can_be_chosen() -> None:
    trials = made()
    assert len(rows_of(DESIGN, trials, 0).event) == 300
    harmed = analyse(DESIGN, trials, arm=2)
    assert harmed.arms[1].name == "third"
    assert harmed.p < 0.05
    assert harmed.z < 0
    assert not harmed.success
    assert not harmed.effects[0].better
    with pytest.raises(RangeError, match="arm = 3; the design has arms 1 to 2"):
        rows_of(DESIGN, trials, 0, 3)


@pytest.mark.parametrize(
    ("endpoint", "test"),
    [("pfs", "logrank"), ("pfs", "max_combo"), ("pfs", "restricted_mean"), ("os", "logrank"), ("orr", "rate")],
)
def test_every_test_is_positive_where_the_arm_is_better_and_negative_where_arms_are_swapped(
    endpoint: str, test: str
) -> None:
    design, trials = replace(DESIGN, endpoint=endpoint, test=test), made()
    swapped = replace(trials, arm=np.where(trials.arm < 2, 1 - trials.arm, 2))
    there, back = (primary_test(design, rows_of(design, one, 0)) for one in (trials, swapped))
    assert there.z > 2
    assert back.z == pytest.approx(-there.z)
    assert back.p == pytest.approx(there.p)


def test_strata_change_the_test_if_the_trial_has_them() -> None:
    trials = made()
    plain = replace(trials, stratum=np.zeros_like(trials.stratum))
    for endpoint, test in (("pfs", "logrank"), ("orr", "rate")):
        design = replace(DESIGN, endpoint=endpoint, test=test)
        z = [primary_test(design, rows_of(design, one, 0)).z for one in (trials, plain)]
        assert z[0] != z[1]
        assert z[0] == pytest.approx(z[1], abs=0.5)


def test_duration_of_response_is_of_responders_alone() -> None:
    design, trials = replace(DESIGN, endpoint="dor"), made()
    found = analyse(design, trials)
    for k, arm in enumerate(found.arms):
        responders = trials.holds["orr"][0][trials.arm[0] == k].sum()
        assert arm.evaluable == responders < arm.patients


def test_where_nobody_responds_there_is_no_effect_and_no_success() -> None:
    trials = made()
    none = {name: np.full_like(time, np.nan) for name, time in trials.time.items()}
    found = analyse(replace(DESIGN, endpoint="dor"), replace(trials, time=none))
    assert found.effects == ()
    assert not found.success
    assert math.isnan(found.p)
    assert found.arms[0].curve is None
    assert found.arms[0].evaluable == 0


def test_one_responder_who_has_just_responded_breaks_nothing() -> None:
    trials = made()
    time = np.full_like(trials.time["dor"], np.nan)
    time[0, :2] = 0.0  # one in the reference, one in the arm
    event = np.zeros_like(trials.event["dor"])
    alone = replace(trials, time={"dor": time}, event={"dor": event})
    for test in ("logrank", "max_combo", "restricted_mean"):
        found = analyse(replace(DESIGN, endpoint="dor", test=test), alone)
        assert math.isnan(found.p)
        assert math.isnan(found.arms[0].mean.value)
        assert not found.success


def test_the_restricted_mean_goes_as_far_as_the_design_says_or_both_arms_are_followed() -> None:
    trials = made()
    design = replace(DESIGN, test="restricted_mean", restricted_months=10.0)
    assert horizon(design, rows_of(design, trials, 0)) == 10.0
    assert horizon(DESIGN, rows_of(DESIGN, trials, 0)) == 18.0
    cut = {"pfs": np.minimum(trials.time["pfs"], 7.0)}
    short = replace(trials, time=cut, event={"pfs": trials.event["pfs"] & (trials.time["pfs"] < 7.0)})
    assert horizon(DESIGN, rows_of(DESIGN, short, 0)) == 7.0
    ended = replace(short, event={"pfs": np.ones_like(trials.event["pfs"])})  # a curve that ends at zero is known after
    assert horizon(DESIGN, rows_of(DESIGN, ended, 0)) == 18.0
    assert analyse(design, trials).effects[0].name == "difference in restricted mean, months"
    assert [landmark_months(replace(DESIGN, follow_up_months=m)) for m in (18.0, 7.0, 2.0)] == [12.0, 6.0, 2.0]


def test_a_late_effect_is_seen_in_the_second_half_of_the_events() -> None:
    late = truth_of(DESIGN, made(600, 30, hazards=(0.1, 0.04, 0.1), late=5.0))
    assert late.early == pytest.approx(1.0, abs=0.1)
    assert late.late == pytest.approx(0.4, abs=0.05)
    assert late.early > late.value("hazard ratio") > late.late
    found = analyse(DESIGN, made(3000, hazards=(0.1, 0.04, 0.1), late=5.0))
    assert found.proportional.p < 0.01
    assert found.proportional.z < 0
    constant = truth_of(DESIGN, made(600, 30))
    assert constant.early == pytest.approx(0.6, abs=0.06)
    assert constant.late == pytest.approx(0.6, abs=0.06)
    assert math.isnan(constant.value("no such effect"))


def test_a_rate_has_a_wilson_interval_and_a_difference() -> None:
    design, trials = replace(DESIGN, endpoint="orr", test="rate"), made()
    found = analyse(design, trials)
    rates = [float(np.mean(trials.holds["orr"][0][trials.arm[0] == k])) for k in (0, 1)]
    assert [arm.fraction.value for arm in found.arms] == pytest.approx(rates)
    assert found.effects[0].value == pytest.approx(rates[1] - rates[0])
    assert found.effects[0].low < found.effects[0].value < found.effects[0].high
    assert math.isnan(found.proportional.p)
    assert truth_of(design, trials).rates == pytest.approx(rates)


def test_without_any_event_nothing_is_claimed() -> None:
    trials = made()
    none = replace(trials, event={name: np.zeros_like(event) for name, event in trials.event.items()})
    found = analyse(DESIGN, none)
    assert math.isnan(found.p)
    assert not found.success
    assert found.arms[0].median.value == math.inf
    assert math.isnan(truth_of(DESIGN, none).early)
    with pytest.raises(InputError, match="defined for nobody"):
        truth_of(replace(DESIGN, endpoint="dor"), replace(trials, time={"dor": np.full((1, 450), np.nan)}))
