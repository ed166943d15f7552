"""Trials run on a pool whose truth is known: survival, losses, blocks, pairing and tables come out as they must."""

from dataclasses import replace

import numpy as np
import pytest
from lifelines import ExponentialFitter, KaplanMeierFitter

from perdure.parameters.errors import InputError, RangeError
from perdure.parameters.units import DAYS_PER_MONTH
from perdure.reports.figures.picture import csv_text
from perdure.trials.adam import adrs, adsl, adtte
from perdure.trials.arm import Arm
from perdure.trials.conduct import Trials, conduct, infused_only, permuted_blocks
from perdure.trials.design import Design
from perdure.trials.pool import DAYS, REACHED, Course, Pool

ARMS = tuple(Arm(name, "ide-cel", "late_line") for name in ("reference", "new"))
DESIGN = Design("A known truth", ARMS, "infusion", 200, 12.0, 24.0, "pfs", visit_days=7.0)
N = 4000
HAZARDS = np.array([0.10, 0.06])  # progression, 1/month, by arm
DEATH = 0.02


def synthetic(n: int = N, wait: float = 0.0, eradicated: float = 0.0, seed: int = 1) -> Pool:
    """Exponential times: everybody responds on day 28 in the first arm, on day 56 in the second."""
    rng = np.random.default_rng(seed)
    visit = DESIGN.visit_days
    luck = rng.exponential(size=n)
    progression = np.stack([np.full((2, n), np.inf) for _ in HAZARDS])
    for arm, hazard in enumerate(HAZARDS):
        progression[arm, 0] = np.ceil(luck / hazard * DAYS_PER_MONTH / visit) * visit
    death = np.broadcast_to(rng.exponential(1 / DEATH, n) * DAYS_PER_MONTH, progression.shape)
    response = np.stack([np.full((2, n), 28.0), np.full((2, n), 56.0)])
    response = np.where(response + visit < np.minimum(progression, death), response, np.inf)
    reached = {name: response + visit if name in ("MR", "PR") else np.full_like(response, np.inf) for name in REACHED}
    course = Course(progression, death, progression + 2 * visit, response, reached)
    infused = death >= wait
    after = Course(
        **{name: getattr(course, name) - wait for name in DAYS}, reached={k: day - wait for k, day in reached.items()}
    )
    stratum = np.broadcast_to((np.arange(n) % 3 == 0).astype(int), (2, n))
    weight = np.stack([np.full(n, 1 - eradicated), np.full(n, eradicated)])
    return Pool(
        ("reference", "new"), course, np.full((2, n), eradicated), weight, stratum, ("low", "high"), infused,
        np.full(2, wait), after, 0.0, DESIGN.months, visit,
    )  # fmt: skip


def run(
    design: Design = DESIGN, pool: Pool | None = None, trials: int = 40, patients: int = 1000, seed: int = 3
) -> Trials:
    return conduct(design, pool or synthetic(), trials=trials, patients=patients, seed=seed)


# Survival


@pytest.mark.parametrize("arm", [0, 1])
def test_the_hazard_of_the_pool_comes_back(arm: int) -> None:
    pool, found = synthetic(), run()
    mine = found.arm == arm
    fitted = ExponentialFitter().fit(found.time["os"][mine], found.event["os"][mine])
    assert 1 / fitted.lambda_ == pytest.approx(DEATH, rel=0.05)
    days = np.minimum(pool.course.progression, pool.course.death)[arm, 0] / DAYS_PER_MONTH
    curve = KaplanMeierFitter().fit(found.time["pfs"][mine], found.event["pfs"][mine])
    for month in (3, 6, 12, 20, 30):
        assert float(curve.predict(month)) == pytest.approx(np.mean(days > month), abs=0.012)
        exact = np.exp(-(HAZARDS[arm] + DEATH) * month)
        assert float(curve.predict(month)) == pytest.approx(exact, abs=0.04)  # visits show progression a little later


def test_entry_and_analysis_censor_as_the_closed_form_says() -> None:
    found = run()
    # lived through follow-up of 24 to 36 months, evenly: mean of exp(-h t)
    low, high = np.exp(-DEATH * 24), np.exp(-DEATH * 36)
    assert np.mean(~found.event["os"]) == pytest.approx((low - high) / (DEATH * 12), abs=0.01)
    assert found.followed.min() == pytest.approx(24.0)
    assert found.followed[:, 0] == pytest.approx(24.0 + found.entry[:, -1])
    assert not found.lost.any()
    np.testing.assert_array_equal(found.entry, np.sort(found.entry, axis=1))
    assert found.entry.mean() == pytest.approx(6.0, abs=0.1)


def test_all_at_once_have_the_same_follow_up() -> None:
    found = run(replace(DESIGN, accrual_months=0.0))
    np.testing.assert_array_equal(found.entry, 0.0)
    np.testing.assert_allclose(found.followed, 24.0)


def test_dropout_loses_the_share_of_a_year_that_is_asked_for() -> None:
    found = run(replace(DESIGN, dropout_per_year=0.2, accrual_months=0.0))
    assert np.mean(found.followed < 12) == pytest.approx(0.2, abs=0.005)
    assert np.mean(found.lost) == pytest.approx(1 - 0.8**2, abs=0.007)
    rate = -np.log(0.8) / 12  # competing exponentials: events before both dropout and the analysis
    expected = DEATH / (DEATH + rate) * (1 - np.exp(-(DEATH + rate) * 24))
    assert np.mean(found.event["os"]) == pytest.approx(expected, abs=0.015)


def test_more_dropout_changes_nobody_and_no_arm() -> None:
    one, other = run(trials=3), run(replace(DESIGN, dropout_per_year=0.3), trials=3)
    for name in ("row", "arm", "entry", "branch", "stratum"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    both = one.event["os"] & other.event["os"]
    np.testing.assert_array_equal(one.time["os"][both], other.time["os"][both])
    assert np.all(other.event["os"] <= one.event["os"])


def test_progression_is_known_at_visits_and_death_on_its_day() -> None:
    found = run(replace(DESIGN, dropout_per_year=0.1), trials=5)
    days, died = found.time["pfs"] * DAYS_PER_MONTH, found.event["os"] & (found.time["pfs"] == found.time["os"])
    at_visit = np.abs(days / 7 - np.round(days / 7)) < 1e-6
    assert np.all(at_visit | died)
    assert np.mean(at_visit[died]) < 0.01
    assert np.all(days <= found.followed * DAYS_PER_MONTH + 1e-9)


def test_duration_of_response_is_that_of_responders_from_their_response() -> None:
    found = run()
    responders = np.isfinite(found.time["dor"])
    np.testing.assert_array_equal(responders, found.holds["orr"])
    first = np.where(found.arm == 0, 28.0, 56.0) / DAYS_PER_MONTH
    np.testing.assert_allclose((found.time["dor"] + first)[responders], found.time["pfs"][responders], atol=1e-12)
    assert not found.event["dor"][~responders].any()
    assert not found.holds["cr"].any()


def test_a_response_after_the_patient_was_lost_is_not_known() -> None:
    found = run(replace(DESIGN, dropout_per_year=0.9))
    confirmed = np.where(found.arm == 0, 35.0, 63.0) / DAYS_PER_MONTH
    assert not found.holds["orr"][found.followed < confirmed].any()


def test_next_therapy_follows_progression() -> None:
    found = run(trials=5)
    known = found.event["pfs"] & found.event["ttnt"]
    later = (found.time["ttnt"] - found.time["pfs"])[known] * DAYS_PER_MONTH
    assert np.all((later >= -1e-9) & (later <= 14.0 + 1e-9))


# Branches and eligibility


def test_each_future_comes_as_often_as_its_probability() -> None:
    found = run(pool=synthetic(eradicated=0.3))
    assert found.branch.mean() == pytest.approx(0.3, abs=0.01)
    cured = found.branch == 1
    np.testing.assert_array_equal(
        found.time["pfs"][cured & found.event["pfs"]], found.time["os"][cured & found.event["pfs"]]
    )


def test_a_better_arm_cures_those_whom_the_first_cures_and_some_more() -> None:
    pool = synthetic(eradicated=0.3)
    pool = replace(pool, eradicated=np.stack([np.full(N, 0.3), np.full(N, 0.5)]))
    found = run(pool=pool)
    for arm, share in ((0, 0.3), (1, 0.5)):
        assert found.branch[found.arm == arm].mean() == pytest.approx(share, abs=0.012)


def test_only_eligible_patients_enter_by_their_weight() -> None:
    pool = synthetic()
    weight = np.zeros((2, N))
    weight[0, :10], weight[0, 5] = 1.0, 3.0
    found = run(pool=replace(pool, weight=weight))
    assert found.row.max() < 10
    assert np.mean(found.row == 5) == pytest.approx(3 / 12, abs=0.01)


# Randomisation


@pytest.mark.parametrize(
    ("shares", "block"), [((1, 1), (2, 2)), ((1, 2), (2, 4)), ((0.5, 1.5), (1, 3)), ((3, 2), (3, 2))]
)
def test_arms_are_balanced_at_the_end_of_every_block_of_every_stratum(
    shares: tuple[float, float], block: tuple[int, ...]
) -> None:
    arms = tuple(replace(arm, share=share) for arm, share in zip(ARMS, shares, strict=True))
    design = replace(DESIGN, arms=arms)
    assert design.block == block
    found, size = run(design, trials=20, patients=333), sum(block)
    for trial in range(20):
        for stratum in (0, 1):
            drawn = found.arm[trial][found.stratum[trial] == stratum]
            whole = drawn[: len(drawn) // size * size].reshape(-1, size)
            np.testing.assert_array_equal(whole.sum(axis=1), block[1])


def test_every_order_within_a_block_is_equally_likely() -> None:
    drawn = permuted_blocks(np.random.default_rng(4), (2, 2), np.zeros((6000, 4), dtype=int), 1)
    orders, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(orders) == 6
    assert counts == pytest.approx(1000, abs=120)


def test_strata_are_those_of_the_patients() -> None:
    found = run(trials=3)
    np.testing.assert_array_equal(found.stratum, found.row % 3 == 0)


# Pairing and determinism


def test_one_seed_gives_the_same_trials_and_another_one_others() -> None:
    one, same, other = run(trials=4), run(trials=4), run(trials=4, seed=4)
    for name in ("arm", "row", "entry", "followed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    for name in one.time:
        np.testing.assert_array_equal(one.time[name], same.time[name])


def test_a_row_is_the_same_patient_in_every_arm() -> None:
    found, pool = run(trials=30), synthetic()
    np.testing.assert_array_equal(
        found.time["os"][found.event["os"]], pool.course.death[0, 0, found.row[found.event["os"]]] / DAYS_PER_MONTH
    )
    # by construction progression in the arms is the same luck at two hazards
    known = found.event["pfs"] & (found.time["pfs"] < found.time["os"])
    first = pool.course.progression[0, 0, found.row] / DAYS_PER_MONTH
    mine = known & (found.arm == 1)
    assert np.all(found.time["pfs"][mine] >= first[mine] - 1e-9)


def test_a_pool_of_another_design_is_refused() -> None:
    pool = synthetic(20)
    with pytest.raises(InputError, match=r"visit_days: 28\.0 in the design, 7\.0 in the pool"):
        run(replace(DESIGN, visit_days=28.0), pool)
    with pytest.raises(InputError, match=r"of 36.5 months; the pool was simulated for 36"):
        run(replace(DESIGN, follow_up_months=24.5), pool)
    with pytest.raises(RangeError, match=r"trials = 0; give a whole number of at least 1"):
        run(pool=pool, trials=0)


# Intention to treat, and infused only


def test_those_infused_have_the_same_end_counted_from_infusion() -> None:
    pool, wait = synthetic(wait=42.0), 42.0 / DAYS_PER_MONTH
    whole = run(pool=pool)
    only = infused_only(pool, whole)
    assert np.mean(only.infused) == pytest.approx(np.exp(-DEATH * wait), abs=0.01)
    assert np.isnan(only.time["os"][~only.infused]).all()
    np.testing.assert_array_equal(only.event["os"][only.infused], whole.event["os"][only.infused])
    np.testing.assert_allclose((only.time["os"] + wait)[only.infused], whole.time["os"][only.infused], atol=1e-9)
    assert not only.holds["orr"][~only.infused].any()


# Tables


def test_the_tables_say_what_the_trial_says_and_that_it_is_simulated() -> None:
    pool, found = synthetic(), run(replace(DESIGN, dropout_per_year=0.1), trials=3, patients=150)
    table = adtte(DESIGN, pool, found, 2)
    assert all(study.startswith("SIM-") for study in table["STUDYID"])
    for name, code in (("pfs", "PFS"), ("os", "OS"), ("dor", "DOR"), ("ttnt", "TTNT")):
        rows, applies = table["PARAMCD"] == code, np.isfinite(found.time[name][2])
        np.testing.assert_array_equal(table["AVAL"][rows], found.time[name][2][applies])
        np.testing.assert_array_equal(table["CNSR"][rows] == 0, found.event[name][2][applies])
        np.testing.assert_array_equal(table["TRT01P"][rows], np.array(pool.arms)[found.arm[2]][applies])
    overall = table["PARAMCD"] == "OS"
    np.testing.assert_array_equal(table["EVNTDESC"][overall] == "Death", table["CNSR"][overall] == 0)
    free = table["PARAMCD"] == "PFS"
    died = found.event["pfs"][2] & (found.time["pfs"][2] == found.time["os"][2])
    np.testing.assert_array_equal(table["EVNTDESC"][free] == "Death", died)


def test_subjects_have_one_row_and_a_name_of_their_own() -> None:
    pool, found = synthetic(), run(trials=2, patients=60)
    table = adsl(DESIGN, pool, found, 1)
    assert len(set(table["USUBJID"])) == 60
    np.testing.assert_array_equal(table["VPATIENT"], found.row[1])
    np.testing.assert_array_equal(table["EOSSTT"] == "DEATH", found.event["os"][1])
    assert csv_text(table, "adsl").count("\n") == 61
    with pytest.raises(RangeError, match=r"trial = 2; there are trials 0 to 1"):
        adsl(DESIGN, pool, found, 2)


def test_best_responses_add_up_to_the_rates() -> None:
    pool, found = synthetic(), run(replace(DESIGN, dropout_per_year=0.5), trials=1, patients=400)
    table = adrs(DESIGN, pool, found)
    best = table["AVALC"][table["PARAMCD"] == "BOR"]
    np.testing.assert_array_equal(np.isin(best, ["PR", "VGPR", "CR"]), found.holds["orr"][0])
    np.testing.assert_array_equal(table["AVALC"][table["PARAMCD"] == "CPR"] == "Y", found.holds["orr"][0])
    assert set(best) <= {"NE", "PD", "SD", "MR", "PR"}
    death = pool.course.death[found.arm[0], found.branch[0], found.row[0]]
    ended = np.minimum(found.followed[0] * DAYS_PER_MONTH, death)
    assert (best == "NE").sum() >= 5
    assert np.all(ended[best == "NE"] < 14.0)
    assert np.all((ended >= 14.0)[best == "SD"])
