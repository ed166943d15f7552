"""Cause of failure times therapy: sorting changes no mean, few patients give no number, sizes follow the formula."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration, read_calibration
from perdure.fitting.posterior import Estimate, Posterior, Sizes
from perdure.model.lines import LATEST_MONTHS, LineOutcomes
from perdure.model.regimens.plan import Plan
from perdure.model.regimens.sentence import read_plan
from perdure.model.relapse import CAUSES
from perdure.model.simulate import Solver
from perdure.parameters.errors import InputError, RegimenError, UnknownNameError
from perdure.parameters.patients import draw
from perdure.reports.cause_report import people
from perdure.reports.figures.cause_table import CauseCell, cause_picture
from perdure.trials.causes import (
    EVERYBODY,
    FOLLOW_UP_MONTHS,
    LEAST,
    NOBODY,
    RESTRICTED_MONTHS,
    CauseTable,
    Failed,
    Seen,
    cause_table,
    fail,
    follow_all,
    look,
    sort,
    trial_size,
)
from perdure.trials.treat import treat

PARAMETERS = read_calibration().parameters()
ESTIMATE = replace(read_calibration(), draws=[read_calibration().estimate] * 2)
"""Draws that are the estimate, so that nothing but their few patients could tell them from it."""
COMPARATOR, DRUG, CELLS = "combination chemotherapy", "teclistamab (BCMA)", "ide-cel again"
PLANS = {
    COMPARATOR: read_plan("ide-cel; at progression: combination-chemotherapy"),
    DRUG: read_plan("ide-cel; at progression: teclistamab"),
    CELLS: read_plan("ide-cel; at progression: lymphodepletion days 23-25; ide-cel again on day 28"),
}
PATIENTS, SEED, POPULATION = 60, 5, "late_line"


@cache
def failed(most: int = PATIENTS) -> Failed:
    first = Plan(PLANS[DRUG].lines[:1])
    return fail(PARAMETERS, first, POPULATION, patients=PATIENTS, most=most, seed=SEED)


@cache
def lines() -> Mapping[str, LineOutcomes]:
    return follow_all(PLANS, failed(), PARAMETERS, POPULATION)


def seen() -> Seen:
    return look(failed(), lines(), COMPARATOR)


# Sorting patients by cause


def test_causes_are_those_that_a_trial_of_the_first_line_would_show() -> None:
    trial = treat(
        "ide-cel", patients=PATIENTS, seed=SEED, months=LATEST_MONTHS, parameters=PARAMETERS, solver=Solver(rtol=1e-5)
    )  # fmt: skip
    np.testing.assert_array_equal(failed().prevalence, trial.outcomes.cause_share())
    likely = (trial.outcomes.weight[0] >= NOBODY) & (trial.outcomes.cause_shares.sum(axis=1) > 0)
    assert failed().people.n == likely.sum()
    np.testing.assert_allclose(failed().shares.sum(axis=1), 1.0)
    assert (failed().factor == 1.0).all()


def test_of_every_main_cause_so_many_go_on_and_stand_for_the_rest() -> None:
    few, everyone = failed(3), failed()
    for cause in range(len(CAUSES)):
        mine, all_of_it = (np.argmax(group.shares, axis=1) == cause for group in (few, everyone))
        assert mine.sum() == min(3, all_of_it.sum())
        assert few.factor[mine].sum() == pytest.approx(all_of_it.sum())
    np.testing.assert_array_equal(few.prevalence, everyone.prevalence)


def test_nobody_who_relapses_is_an_error() -> None:
    trial = treat("ide-cel", patients=10, seed=SEED, parameters=PARAMETERS, solver=Solver(rtol=1e-5))
    cured = replace(trial.outcomes, weight=np.stack([np.zeros(10), np.ones(10)]))
    with pytest.raises(InputError, match="none of 10 virtual patients relapses"):
        sort(cured, draw(PARAMETERS, 10, SEED), 5)


# What the salvage shows


@pytest.mark.parametrize("name", [DRUG, CELLS])
def test_in_everybody_the_gain_is_that_of_two_arms_of_all_patients(name: str) -> None:
    def mean(plan: Plan) -> float:
        trial = treat(
            plan, patients=PATIENTS, seed=SEED, months=FOLLOW_UP_MONTHS, parameters=PARAMETERS,
            solver=Solver(rtol=1e-4),
        )  # fmt: skip
        return trial.pfs().restricted_mean(RESTRICTED_MONTHS)

    at = [DRUG, CELLS].index(name)
    # the few who hardly ever relapse are left out
    assert seen().gain[0, at] == pytest.approx(mean(PLANS[name]) - mean(PLANS[COMPARATOR]), abs=0.05)


def test_the_gain_in_everybody_is_the_mean_over_causes_weighed_by_their_patients() -> None:
    shown, outcomes = seen(), lines()[COMPARATOR].outcomes
    weight = (outcomes.weight * outcomes.usable).sum(axis=0) * failed().factor
    of_cause = failed().shares.T @ weight
    there = of_cause > 0
    for j in range(2):
        gain = np.sum(of_cause[there] * shown.gain[1:, j][there]) / of_cause[there].sum()
        assert shown.gain[0, j] == pytest.approx(gain, abs=1e-9)


def test_the_effective_number_is_that_of_patients_and_not_of_their_branches() -> None:
    shown = seen()
    assert shown.size[0] <= failed().people.n
    assert shown.size[0] > 0.8 * failed().people.n
    for c in range(len(CAUSES)):
        assert shown.size[1 + c] <= (failed().shares[:, c] > 0).sum() + 1e-9


def test_a_therapy_against_itself_gains_nothing_and_needs_no_trial() -> None:
    again = {COMPARATOR: lines()[DRUG], DRUG: lines()[DRUG]}
    shown = look(failed(), again, COMPARATOR)
    causes = CauseTable(CAUSES, (DRUG,), COMPARATOR, Posterior(shown, shown, shown, ()))
    assert causes.gain(EVERYBODY, DRUG).value == 0.0
    assert causes.ratio(EVERYBODY, DRUG).value == pytest.approx(1.0)
    assert causes.best_therapy(EVERYBODY) == COMPARATOR
    assert causes.patients_needed(EVERYBODY, DRUG).value > 1e12  # infinite, but for rounding of the ratio


# Numbers of the table


def by_hand(*gains: tuple[float, float], size: float = 50.0, prevalence: float = 0.2) -> Seen:
    """Everybody and two causes, two therapies; hazard ratio 0.5 wherever it gains, else 2."""
    gain = np.array(gains)
    ratio = np.where(gain > 0, math.log(0.5), math.log(2.0))
    sizes = np.array([100.0, size, 100.0])
    return Seen(sizes, np.array([prevalence, 1.0 - prevalence]), gain, ratio, np.full(gain.shape, 0.8))


def table(value: Seen, few: Seen | None = None, draws: tuple[Seen, ...] = ()) -> CauseTable:
    return CauseTable(("rare", "common"), ("one", "two"), "usual", Posterior(value, value, few or value, draws))


def test_a_trial_needs_the_events_of_schoenfeld_over_the_share_with_an_event() -> None:
    events = 4.0 * (1.959964 + 0.841621) ** 2 / math.log(0.5) ** 2
    assert trial_size(0.5, 1.0) == math.ceil(events) == 66
    assert trial_size(0.5, 0.8) == math.ceil(66 / 0.8)
    assert trial_size(0.7, 0.8) > trial_size(0.5, 0.8)
    assert trial_size(1.0, 0.8) == trial_size(1.4, 0.8) == trial_size(0.5, 0.0) == math.inf
    assert math.isnan(trial_size(math.nan, 0.8))


def test_for_a_rare_cause_as_many_more_must_be_looked_at_as_it_is_rare() -> None:
    causes = table(by_hand((1.0, 2.0), (3.0, -1.0), (0.5, 2.5)))
    assert causes.patients_needed("rare", "one").value == trial_size(0.5, 0.8)
    assert causes.patients_screened("rare", "one").value == math.ceil(trial_size(0.5, 0.8) / 0.2)
    assert causes.patients_screened(EVERYBODY, "one").value == trial_size(0.5, 0.8)
    assert causes.patients_screened("rare", "two").value == math.inf
    assert people(causes.patients_screened("rare", "two")) == "none: not better"


def test_choosing_by_cause_adds_what_the_rare_cause_gains_by_another_therapy() -> None:
    causes = table(by_hand((1.0, 2.0), (3.0, -1.0), (0.5, 2.5)))
    assert [causes.best_therapy(group) for group in causes.groups] == ["two", "one", "two"]
    assert causes.gain_of_triage().value == pytest.approx(0.2 * (3.0 + 1.0))
    nobody_gains = table(by_hand((1.0, 2.0), (-3.0, -1.0), (0.5, 2.5)))
    assert nobody_gains.best_therapy("rare") == "usual"
    assert nobody_gains.gain_of_triage().value == pytest.approx(0.2 * 1.0)


def test_intervals_are_of_draws_without_what_few_patients_differ_by() -> None:
    best, few = by_hand((1.0, 2.0), (3.0, -1.0), (0.5, 2.5)), by_hand((1.5, 2.0), (2.0, -1.0), (0.5, 2.5))
    drawn = tuple(by_hand((1.5 + d, 2.0), (2.0 + d, -1.0), (0.5, 2.5), prevalence=0.2 + 0.1 * d) for d in (-1, 0, 1))
    causes = table(best, few, drawn)
    assert causes.gain("rare", "one") == Estimate(3.0, 2.0, 4.0)
    share = causes.prevalence("rare")
    assert (share.value, share.low, share.high) == pytest.approx((0.2, 0.1, 0.3))
    screened = causes.patients_screened("rare", "one")
    assert screened.low == pytest.approx(trial_size(0.5, 0.8) / 0.3)
    assert screened.high == pytest.approx(trial_size(0.5, 0.8) / 0.1)


def test_a_cause_with_few_patients_has_no_number_and_draws_with_few_give_no_interval() -> None:
    gains = ((1.0, 2.0), (3.0, -1.0), (0.5, 2.5))
    assert not table(by_hand(*gains, size=LEAST - 0.5)).enough("rare")
    drawn = (by_hand(*gains), by_hand(*gains, size=1.0), by_hand(*gains, size=2.0))
    causes = table(by_hand(*gains), by_hand(*gains), drawn)
    assert causes.enough("rare")
    assert (causes.draws_behind("rare"), causes.draws_behind("common")) == (1, 3)
    assert math.isnan(causes.gain("rare", "one").low)
    assert causes.gain("common", "one") == Estimate(0.5, 0.5, 0.5)


def test_a_table_at_draws_that_are_the_estimate_has_intervals_of_no_width() -> None:
    plans = {name: PLANS[name] for name in (COMPARATOR, DRUG)}
    pinned = _pinned(ESTIMATE)
    causes = cause_table(
        plans, COMPARATOR, pinned, sizes=Sizes(40, 2, 30, SEED), most=6, most_per_draw=8
    )  # fmt: skip
    assert causes.draws_behind(EVERYBODY) == 2
    gain = causes.gain(EVERYBODY, DRUG)
    assert gain.low == pytest.approx(gain.value, abs=1e-9) == gain.high


def _pinned(calibration: Calibration) -> Calibration:
    """No prior is left to draw from: the estimate holds every number that has one, and so do the draws."""
    known = {name: entry.value for name, entry in PARAMETERS.items() if entry.prior} | dict(calibration.estimate)
    return replace(calibration, estimate=known, draws=[known] * 2)


def test_an_unknown_comparator_and_another_first_line_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="There is no comparator 'chemo'"):
        cause_table(PLANS, "chemo", ESTIMATE)
    mixed = {**PLANS, "other": read_plan("cilta-cel; at progression teclistamab")}
    with pytest.raises(RegimenError, match="'other': give two lines, the first being that of the other plans"):
        cause_table(mixed, COMPARATOR, ESTIMATE)


# What is shown


def test_a_picture_marks_the_best_of_each_cause_and_leaves_few_patients_without_a_number() -> None:
    nothing = CauseCell(math.nan, math.nan, math.nan)
    cells = [[CauseCell(2.0, 1.0, 3.0), CauseCell(1.0, -1.0, 2.0)], [nothing, nothing]]
    causes = ["Common\n(n = 50)", "Rare\n(n = 3)"]
    picture = cause_picture(cells, causes, ["one", "two"], name="p", title="t", scale="m")
    assert "Common: one +2.0" in picture.alt
    assert "Rare: too few patients" in picture.alt
    assert list(picture.table["cause"]) == ["Common", "Common", "Rare", "Rare"]
    assert [cells[0][0].sure, cells[0][1].sure, nothing.sure] == [True, False, False]
    assert not CauseCell(0.2, 0.5, 2.5).sure
    with pytest.raises(InputError, match="one cell for each of 1 causes and 2 therapies"):
        cause_picture(cells, ["Common"], ["one", "two"], name="p", title="t", scale="m")
