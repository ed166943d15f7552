"""A difference by mechanism: the parts add up, and of the arms in between two arms the outermost are these two."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import permutations
from math import factorial

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.model.catalogue import read_catalogue
from perdure.model.simulate import Solver
from perdure.model.therapy import read_therapy
from perdure.parameters.errors import InputError, RegimenError
from perdure.parameters.parameter_set import ParameterSet
from perdure.reports.attribution_report import cells_of, why_picture
from perdure.reports.figures.contributions import contribution_picture
from perdure.reports.figures.intervals import EffectRowSpec
from perdure.trials.arm import Arm
from perdure.trials.attribution import Decomposition, coalitions, decompose, shapley
from perdure.trials.coalitions import (
    ANTIGEN,
    DRUG_KILL,
    EXHAUSTION,
    EXPANSION,
    MICROENVIRONMENT,
    PERSISTENCE,
    mechanisms_of,
    pair_of,
)
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.treat import ArmResult, treat

CATALOGUE = read_catalogue()
QUICK = Solver(rtol=1e-5)
PATIENTS, MONTHS = 30, 18.0
IDE, CILTA = Arm("ide-cel", "ide-cel"), Arm("cilta-cel", "cilta-cel")
SOONER = Arm("from day 30", "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 6 months")
LATER = Arm("from day 90", "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 90 for 6 months")
INHIBITOR = Arm("inhibitor", "ide-cel; crenigacestat thrice a week from day 0 for 3 weeks")
UNTIL = Arm("until progression", "ide-cel; nivolumab from day 14 until progression")
PAIRS = {
    "another product": (IDE, CILTA),
    "another antigen and a drug": (
        IDE, Arm("GPRC5D", "oricar-017; crenigacestat thrice a week from day 0 for 3 weeks"),
    ),
    "one drug for another": (INHIBITOR, SOONER),
    "the same drug sooner": (LATER, SOONER),
    "a drug until progression": (IDE, UNTIL),
}  # fmt: skip
STRONG = {
    "effect_lenalidomide": 1.0, "effect_nivolumab": 1.0, "fraction_sensitive_lenalidomide": 0.9,
    "max_growth_inhibition_lenalidomide": 0.6,
}  # fmt: skip
"""Drugs that work, so that the parts are not zero."""
PRIORS = {name: entry.value for name, entry in CATALOGUE.items() if entry.prior}
CALIBRATION = Calibration(
    "by_hand", {**PRIORS, **STRONG},
    [{**PRIORS, **STRONG, "k_growth_tumour": k} for k in (0.009, 0.02)], {}, {}, {},
)  # fmt: skip
PARAMETERS = CALIBRATION.parameters()


@cache
def split(reference: Arm, other: Arm, *, draws: int = 0) -> Decomposition:
    return decompose(
        reference, other, CALIBRATION, sizes=Sizes(PATIENTS, draws, patients_per_draw=20, seed=3), months=MONTHS,
        solver=QUICK,
    )  # fmt: skip


def treated(arm: Arm, parameters: ParameterSet, patients: int) -> ArmResult:
    return treat(
        arm, line=1, parameters=parameters, patients=patients, seed=3, months=MONTHS, solver=QUICK, keep_courses=False
    )


# Shapley's values


def random_game(players: str, seed: int) -> dict[frozenset[str], float]:
    rng = np.random.default_rng(seed)
    return {some: float(rng.normal()) for some in coalitions(players)}


def by_orders(players: str, worth: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Shapley's value by its definition: the mean over all orders of arrival."""
    values = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        for k, player in enumerate(order):
            values[player] += worth[frozenset(order[: k + 1])] - worth[frozenset(order[:k])]
    return {player: value / factorial(len(players)) for player, value in values.items()}


@pytest.mark.parametrize("players", ["a", "ab", "abcd", "abcde"])
def test_shapleys_value_is_the_mean_over_all_orders_and_adds_up(players: str) -> None:
    worth = random_game(players, len(players))
    values = shapley(players, worth)
    assert values == pytest.approx(by_orders(players, worth), abs=1e-12)
    assert sum(values.values()) == pytest.approx(worth[frozenset(players)] - worth[frozenset()], abs=1e-12)


def test_one_left_glove_is_worth_two_thirds_of_a_pair_if_there_are_two_right_ones() -> None:
    worth = {some: float("l" in some and len(some) > 1) for some in coalitions("lrs")}
    assert shapley("lrs", worth) == pytest.approx({"l": 2 / 3, "r": 1 / 6, "s": 1 / 6})


def test_who_does_the_same_gets_the_same_and_who_does_nothing_gets_nothing() -> None:
    worth = {some: 3.0 * len(some - {"c"}) ** 2 for some in coalitions("abc")}
    values = shapley("abc", worth)
    assert values["a"] == pytest.approx(values["b"])
    assert values["c"] == pytest.approx(0.0, abs=1e-12)


def test_in_a_game_in_which_nobody_harms_nobody_gets_less_than_nothing() -> None:
    rng = np.random.default_rng(4)
    steps = {some: float(rng.exponential()) for some in coalitions("abcd")}
    worth = {some: sum(steps[part] for part in steps if part <= some) for some in steps}
    assert min(shapley("abcd", worth).values()) > 0.0


def test_values_of_the_sum_of_two_games_are_the_sums_of_the_values() -> None:
    one, two = random_game("abc", 1), random_game("abc", 2)
    both = shapley("abc", {some: one[some] + two[some] for some in one})
    first, second = shapley("abc", one), shapley("abc", two)
    assert both == pytest.approx({player: first[player] + second[player] for player in "abc"})


def test_a_game_with_a_coalition_missing_is_refused() -> None:
    worth = random_game("ab", 1)
    del worth[frozenset("a")]
    with pytest.raises(InputError, match=r"worth of \['a'\] is missing; give all 4"):
        shapley("ab", worth)


# Two arms and what lies between them


@pytest.mark.parametrize("name", PAIRS)
def test_with_none_of_the_mechanisms_it_is_the_reference_and_with_all_the_other_arm_to_the_bit(name: str) -> None:
    reference, other = PAIRS[name]
    pair = pair_of(reference, other, PARAMETERS, patients=PATIENTS, seed=3)
    for arm, mechanisms in ((reference, ()), (other, pair.mechanisms)):
        # a drug with other doses in both arms is compared with itself: with none of it both arms are without it
        between = pair.counterpart(mechanisms) if pair.rescheduled and arm is reference else pair.hybrid(mechanisms)
        if pair.rescheduled and arm is reference:
            assert between.plan == pair.hybrid(()).plan
            between = pair.counterpart(pair.mechanisms)
        result, wanted = (treated(given, PARAMETERS, PATIENTS) for given in (between, arm))
        np.testing.assert_array_equal(result.outcomes.progression(), wanted.outcomes.progression())
        np.testing.assert_array_equal(result.outcomes.weight, wanted.outcomes.weight)
        np.testing.assert_array_equal(result.outcomes.c_max, wanted.outcomes.c_max)
        np.testing.assert_array_equal(result.outcomes.least_tumour, wanted.outcomes.least_tumour)


def test_contributions_add_up_to_the_whole_difference_at_the_estimate_and_in_every_draw() -> None:
    decomposition = split(IDE, PAIRS["another antigen and a drug"][1], draws=2)
    assert decomposition.mechanisms == (ANTIGEN, EXPANSION, PERSISTENCE)

    def difference(parameters: ParameterSet, patients: int) -> float:
        arms = (decomposition.reference, decomposition.other)
        before, after = (RESTRICTED_PFS.read(treated(arm, parameters, patients)) for arm in arms)
        return after - before

    assert decomposition.total.value == difference(PARAMETERS, PATIENTS)
    contributions = [decomposition.contribution(name) for name in decomposition.mechanisms]
    assert sum(part.value for part in contributions) == pytest.approx(decomposition.total.value)
    assert decomposition.numbers.few.sum() == pytest.approx(difference(PARAMETERS, 20))
    for k in range(2):
        assert decomposition.numbers.draws[k].sum() == pytest.approx(difference(CALIBRATION.draw(k), 20))
    assert decomposition.total.low <= decomposition.total.high
    assert all(np.isfinite([part.low, part.high]).all() for part in contributions)


def test_the_reverse_comparison_gives_the_reverse_contributions() -> None:
    for reference, other in (PAIRS["another product"], PAIRS["the same drug sooner"]):
        there, back = split(reference, other).values, split(other, reference).values
        assert back == pytest.approx({name: -value for name, value in there.items()}, abs=1e-4)


def test_an_inhibitor_of_shedding_works_by_the_antigen_alone() -> None:
    decomposition = split(IDE, INHIBITOR)
    assert decomposition.mechanisms == (ANTIGEN,)
    whole = decomposition.total.value
    assert decomposition.alone(ANTIGEN) == decomposition.last(ANTIGEN) == whole
    assert decomposition.contribution(ANTIGEN).value == whole
    assert np.isnan(decomposition.total.low)


def test_the_same_drug_at_another_time_differs_by_what_it_does() -> None:
    decomposition = split(LATER, SOONER)
    assert decomposition.mechanisms == mechanisms_of(read_therapy("lenalidomide"))
    assert decomposition.total.value == pytest.approx(sum(decomposition.values.values()))
    assert decomposition.values[DRUG_KILL] != 0.0


def test_a_mechanism_without_effect_contributes_nothing() -> None:
    still = Calibration("still", {**CALIBRATION.estimate, "effect_lenalidomide": 0.0}, [{}], {}, {}, {})
    decomposition = decompose(IDE, SOONER, still, sizes=Sizes(PATIENTS, 0, seed=3), months=MONTHS, solver=QUICK)
    whole = decomposition.total.value
    for name in (EXPANSION, EXHAUSTION, MICROENVIRONMENT):
        assert decomposition.values[name] == pytest.approx(0.0, abs=2e-3 * max(1.0, abs(whole)))
    assert decomposition.values[DRUG_KILL] == pytest.approx(whole, abs=5e-3)


def test_an_arm_against_itself_has_nothing_to_split() -> None:
    decomposition = split(IDE, replace(IDE, name="again"), draws=2)
    assert decomposition.mechanisms == ()
    assert (decomposition.total.value, decomposition.total.low, decomposition.total.high) == (0.0, 0.0, 0.0)


def test_a_thought_experiment_on_the_cells_is_split_like_a_product() -> None:
    fresh = Arm("never tired", "ide-cel", change=lambda patients: {"k_exhaustion": 0.0 * patients["k_exhaustion"]})
    decomposition = split(IDE, fresh)
    assert decomposition.mechanisms == (EXHAUSTION,)
    assert decomposition.total.value >= 0.0


@pytest.mark.parametrize(
    ("other", "error", "words"),
    [
        (Arm("earlier", "ide-cel", "earlier_line"), InputError, "population is late_line and earlier_line"),
        (Arm("antibody", "teclistamab"), RegimenError, "has 1 courses of CAR-T cells and 'antibody' has 0"),
        (
            Arm("slow", "ide-cel", change=lambda patients: {"k_growth_tumour": 0.5 * patients["k_growth_tumour"]}),
            InputError, "differ in k_growth_tumour, which belongs to no mechanism",
        ),
    ],
)  # fmt: skip
def test_arms_that_differ_in_more_than_therapy_are_refused(other: Arm, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        split(IDE, other)


# What is shown


def test_table_and_picture_show_every_mechanism_and_the_sum() -> None:
    decomposition = split(IDE, CILTA, draws=2)
    rows = cells_of(decomposition)
    assert [row[0] for row in rows] == [*decomposition.mechanisms, "all together"]
    picture = why_picture(decomposition, name="why", title="Why")
    shown = np.array(picture.table["estimate"], dtype=float)
    assert shown[:-1].sum() == pytest.approx(shown[-1])
    assert sorted(shown[:-1]) == pytest.approx(sorted(decomposition.values.values()))
    assert "antigen" in picture.alt


def test_a_part_that_is_zero_as_written_has_no_sign() -> None:
    small = EffectRowSpec("small", -0.01, -0.02, 0.03)

    def alt(large: float) -> str:
        rows = [EffectRowSpec("large", large, 0.5 * large, 1.2 * large), small]
        total = EffectRowSpec("sum", large - 0.01, 0.5 * large, 1.2 * large)
        return contribution_picture(rows, total, name="p", title="t", x_label="months").alt

    assert "small: 0.0 (0.0 to 0.0)" in alt(20.0)
    assert "small: \u22120.01 (\u22120.02 to +0.03)" in alt(2.0)


def test_bars_that_do_not_add_up_to_their_total_are_refused() -> None:
    rows = [EffectRowSpec("one", 1.0, 0.5, 2.0), EffectRowSpec("two", -0.5, -1.0, 0.0)]
    with pytest.raises(InputError, match=r"add up to 0\.5, and the total is 0\.6"):
        contribution_picture(rows, EffectRowSpec("sum", 0.6, 0.0, 1.0), name="p", title="t", x_label="months")
