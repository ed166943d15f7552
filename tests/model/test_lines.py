"""Lines of therapy: each is judged from its own start, and finds what the ones before have left behind."""

from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.endpoints import Visits, outcomes
from perdure.model.lines import LATEST_MONTHS, STEP, LineOutcomes, follow_line, rebase_time
from perdure.model.regimens.plan import Plan, usual
from perdure.model.regimens.regimen import Bolus, Regimen, give, infuse
from perdure.model.regimens.sentence import read_plan
from perdure.model.simulate import simulate
from perdure.parameters.errors import NoPatientsError, RangeError, RegimenError
from perdure.parameters.patients import Draws, draw, make_patients

N, SEED = 80, 5
YEAR = Visits(28.0, 12.0)
CELLS = "ide-cel; at progression: lymphodepletion days 23-25; {} on day 28"


@cache
def people(plan: Plan, n: int = N) -> tuple[Mapping[str, np.ndarray], Draws]:
    numbers = read_calibration().parameters()
    draws = draw(numbers, n, SEED)
    return make_patients(numbers, draws, product=plan.products, population="late_line"), draws


def line_of(
    words: str, changed: Mapping[str, float] | None = None, line: int = 0, visits: Visits = YEAR
) -> LineOutcomes:
    plan = read_plan(words)
    patients, draws = people(plan)
    patients = {**patients, **{name: np.full(N, value) for name, value in (changed or {}).items()}}
    return follow_line(patients, draws, plan, line=line, visits=visits)


def response(line: LineOutcomes) -> float:
    return line.outcomes.overall_response_rate


# The clock


def test_the_first_line_is_what_a_trial_of_it_reports() -> None:
    plan = Plan.of(infuse("ide_cel"))
    patients, draws = people(plan)
    found = follow_line(patients, draws, plan, visits=YEAR)
    alone = outcomes(simulate(patients, plan.first, times=YEAR.grid), patients, draws, YEAR)
    np.testing.assert_array_equal(found.outcomes.best[0], alone.best[0])
    assert found.share == 1.0
    np.testing.assert_array_equal(found.since, 0.0)
    # eradication goes on until the end of a simulation, and this one ends a visit later
    assert found.outcomes.progression_free().at(6.0) == pytest.approx(float(alone.progression_free().at(6.0)), abs=5e-3)


def test_a_later_line_starts_at_the_visit_that_shows_progression() -> None:
    plan = read_plan("ide-cel; at progression talquetamab")
    patients, draws = people(plan)
    found = follow_line(patients, draws, plan, visits=YEAR)
    came = np.isfinite(found.since)
    assert 0.5 < came.mean() < 1.0
    np.testing.assert_allclose(found.since[came] % 28.0, 0.0)
    assert found.since[came].max() <= LATEST_MONTHS * 30.4375
    assert found.share <= came.mean()
    assert np.all(found.outcomes.flat_weight.reshape(2, -1)[:, ~came] == 0.0)


def test_cells_of_a_later_line_count_from_their_infusion() -> None:
    patients, draws = people(read_plan(CELLS.format("equ-cel")))
    plan = read_plan(CELLS.format("equ-cel"))
    from_infusion = follow_line(patients, draws, plan, visits=YEAR)
    from_decision = follow_line(patients, draws, plan, visits=YEAR, until_infusion=False)
    np.testing.assert_allclose(from_infusion.since, from_decision.since + 28.0)


def test_nobody_dies_before_a_line_and_comes_to_it() -> None:
    deadly = {"hazard_death_first_year": 0.01, "hazard_death_later": 0.01}  # per day: half are dead after 69 days
    plan = read_plan("ide-cel; at progression talquetamab")
    draws = people(plan)[1]
    found = line_of("ide-cel; at progression talquetamab", deadly)
    came = np.isfinite(found.since)
    assert 0.1 < came.mean() < 0.6
    death = -np.log1p(-draws.death) / 0.01
    assert np.all(found.since[came] < death[came])


def test_a_clock_of_ones_own_is_the_same_course_moved() -> None:
    plan = Plan.of(infuse("ide_cel"))
    patients, _ = people(plan)
    solution = simulate(patients, plan.first, times=np.arange(0.0, 400.0, STEP))
    since = np.full(N, 28.0)
    since[0] = np.nan
    moved = rebase_time(solution, since, Visits(28.0, 6.0))
    late = solution.times >= 28.0
    np.testing.assert_array_equal(moved["car_t"][1:], solution["car_t"][1:, late][:, : len(moved.times)])
    assert np.isnan(moved.eradication[0])
    with pytest.raises(RangeError, match=r"day 401\.5 was not recorded|was not recorded"):
        rebase_time(solution, np.full(N, 300.0), Visits(28.0, 6.0))


def test_a_line_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(RangeError, match="line = 3; the plan has 2"):
        line_of("ide-cel; at progression talquetamab", line=3)
    with pytest.raises(RangeError, match=r"visits every 30 days; give a multiple of 3\.5 days"):
        line_of("ide-cel", visits=Visits(30.0, 12.0))
    with pytest.raises(NoPatientsError, match="none of 80 virtual patients comes to line 2"):
        line_of("ide-cel; at progression talquetamab", {"hazard_death_first_year": 50.0})


# What a line leaves behind


def test_what_is_given_before_day_0_prepares_for_cells_of_day_0_only() -> None:
    assert line_of("lymphodepletion days -5 to -3; ide-cel day 0").share == 1.0
    with pytest.raises(RegimenError, match=r"lymphodepletion on day -3, and the first cells on day 2"):
        line_of("lymphodepletion days -3 to -1; ide-cel on day 2")


def test_the_same_target_again_meets_fewer_molecules_and_another_target_as_many_as_ever() -> None:
    plan = read_plan(CELLS.format("bcma-gprc5d-car-t"))
    patients, draws = people(plan)
    found = follow_line(patients, draws, plan, visits=YEAR).outcomes
    came = found.flat_weight.reshape(2, -1)[0] > 0
    solution = simulate(
        patients, plan.first, times=[0.0, 3 * 365.0], rules=plan.rules()
    )  # only to see the densities of day 0
    before = solution["density_mean"][:, 0]
    assert np.median(found.density_before[came] / before[came]) < 0.8
    other = simulate(patients, plan.first, times=np.arange(0.0, 400.0, 7.0), rules=plan.rules())
    at = 20  # day 140: after the first product, before most of the second
    drift = other["density_mean_gprc5d"][:, at] / other["density_mean_gprc5d"][:, 0]
    assert np.median(drift) == pytest.approx(1.0, abs=0.02)


def test_another_target_responds_more_often_than_the_same_product_again() -> None:
    again, other = line_of(CELLS.format("ide-cel again")), line_of(CELLS.format("oricar-017"))
    assert response(again) < response(other) - 0.1


def test_cells_with_a_human_binder_escape_immunity_against_a_murine_one() -> None:
    prone = {"immunogenic": 1.0, "immunogenic_2": 0.0}
    same = line_of(CELLS.format("ide-cel again"), prone).outcomes
    human = line_of(CELLS.format("zevor-cel"), prone).outcomes
    came = same.flat_weight.reshape(2, -1)[0] > 0
    none = line_of(CELLS.format("ide-cel again"), {"immunogenic": 0.0}).outcomes
    assert np.nanmedian(same.persistence[0][came]) < np.nanmedian(human.persistence[0][came])
    assert np.nanmedian(same.persistence[0][came]) < np.nanmedian(none.persistence[0][came])


def test_an_antibody_after_an_antibody_finds_tired_t_cells_and_after_cells_rested_ones() -> None:
    kept = {"fraction_resistant_teclistamab": 0.05}  # so that enough patients come to the second line
    after_antibody = line_of("teclistamab; at progression talquetamab", kept)
    after_cells = line_of("ide-cel; at progression talquetamab")
    assert response(after_antibody) < response(after_cells)
    rested = line_of("teclistamab; at progression talquetamab", {**kept, "k_exhaustion_host": 1e-9})
    assert response(rested) > response(after_antibody)


def test_cells_made_of_exhausted_t_cells_expand_less() -> None:
    peak = {
        share: np.median(line_of("ide-cel", {"fraction_exhausted_host": share}).outcomes.c_max) for share in (0.0, 0.5)
    }
    assert peak[0.5] < 0.5 * peak[0.0]


def test_incomplete_lymphodepletion_lowers_expansion_and_does_not_abolish_it() -> None:
    peak = {
        depth: np.median(line_of("ide-cel", {"fraction_lymphodepletion": depth}).outcomes.c_max) for depth in (1.0, 0.5)
    }
    assert 0.02 * peak[1.0] < peak[0.5] < 0.8 * peak[1.0]


def test_a_conjugate_needs_antigen_and_responds_less_after_cells_that_took_it() -> None:
    naive = line_of("belantamab-mafodotin", line=1)
    after = line_of("ide-cel; at progression belantamab-mafodotin")
    assert response(after) < response(naive)


def test_a_drug_that_does_nothing_to_the_tumour_brings_no_response() -> None:
    assert response(line_of("ide-cel; at progression: nivolumab", {"effect_nivolumab": 0.0})) < 0.03


def test_a_checkpoint_inhibitor_has_a_window() -> None:
    """It can only bring back cells that are there, and exhausted, and not yet beyond return."""
    strong = {"effect_nivolumab": 2.0}
    plan, depth = Plan.of(infuse("ide_cel")), {}
    patients = {**people(plan)[0], **{name: np.full(N, value) for name, value in strong.items()}}
    for start in (14.0, 200.0):
        regimen = infuse("ide_cel") + give("nivolumab", start=start, months=5, every=14.0)
        depth[start] = simulate(patients, regimen, times=np.arange(0.0, 400.0, 7.0))["tumour"].min(axis=1)
    alone = simulate(patients, infuse("ide_cel"), times=np.arange(0.0, 400.0, 7.0))["tumour"].min(axis=1)
    early, late = (np.median(np.log(depth[start] / alone)) for start in (14.0, 200.0))
    assert early < late <= 1e-6


def test_tumour_grows_while_cells_are_made() -> None:
    """Vein-to-vein time: the longer it takes, the larger the tumour that the cells meet, and the fewer respond."""
    rates = []
    for day in (7.0, 70.0):
        plan = Plan.of(usual("lymphodepletion", start=day - 5) + Regimen((Bolus("ide_cel", 450e6, day),)))
        patients, draws = people(plan)
        rates.append(follow_line(patients, draws, plan, visits=YEAR))
    assert response(rates[1]) < response(rates[0])
