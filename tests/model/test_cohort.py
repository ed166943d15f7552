"""Large cohorts: reduced part by part, they give what one simulation of everybody gives, to the last bit."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perdure.model import cohort as cohort_module
from perdure.model.catalogue import read_catalogue
from perdure.model.cohort import (
    LEFT_OUT,
    Cohort,
    CohortResult,
    Endpoints,
    Finished,
    Setting,
    in_order,
    simulate_cohort,
)
from perdure.model.endpoints import Outcomes, Visits, outcomes
from perdure.model.imwg import Response
from perdure.model.reduction import Courses, Moments, Quantiles
from perdure.model.regimens.regimen import Regimen, give, infuse
from perdure.model.simulate import Solver, simulate
from perdure.parameters.errors import InputError, RangeError, RegimenError, SimulationError, UnknownNameError
from perdure.parameters.parameter_set import ParameterSet
from perdure.parameters.patients import draw, make_patients

CATALOGUE = read_catalogue()
VISITS = Visits(months=12.0)
MONTHLY = tuple(30.4375 * month for month in range(12))
KEEP = {
    "endpoints": Endpoints(VISITS),
    "means": Moments(("car_t", "m_protein"), MONTHLY),
    "tumour": Quantiles("tumour", MONTHLY, 1.0, 1e13),
    "soluble BCMA": Courses(("soluble_bcma",), MONTHLY),
}
ALONE = {"alone": infuse("cilta_cel")}
N = 600
PEOPLE = Cohort(CATALOGUE, N, 3, "cilta_cel", "late_line")


def same_outcomes(one: Outcomes, other: Outcomes) -> None:
    for field in fields(Outcomes):
        if field.name not in {"visits", "responses", LEFT_OUT}:
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
    for own, others in zip(one.responses, other.responses, strict=True):
        for field in fields(Response):
            np.testing.assert_array_equal(getattr(own, field.name), getattr(others, field.name), err_msg=field.name)


def same(one: CohortResult, other: CohortResult) -> None:
    assert len(one.draws) == len(other.draws)
    for mine, theirs in zip(one.draws, other.draws, strict=True):
        assert list(mine) == list(theirs)
        for scenario in mine:
            own, others = mine[scenario], theirs[scenario]
            assert (own.n, own.failed, own.failures) == (others.n, others.failed, others.failures)
            same_outcomes(own["endpoints"], others["endpoints"])
            np.testing.assert_array_equal(own["tumour"].counts, others["tumour"].counts)
            np.testing.assert_array_equal(own["soluble BCMA"]["soluble_bcma"], others["soluble BCMA"]["soluble_bcma"])
            for name in ("car_t", "m_protein"):
                np.testing.assert_array_equal(own["means"].mean[name], others["means"].mean[name])
                np.testing.assert_array_equal(own["means"].variance[name], others["means"].variance[name])


@pytest.fixture(scope="module")
def found() -> CohortResult:
    return simulate_cohort(PEOPLE, ALONE, reduce=KEEP)


def everybody(times: Iterable[float], catalogue: ParameterSet = CATALOGUE, solver: Solver | None = None) -> tuple:
    draws = draw(catalogue, N, 3)
    patients = make_patients(catalogue, draws, product="cilta_cel", population="late_line")
    return simulate(patients, ALONE["alone"], times=np.array(list(times)), solver=solver), patients, draws


def test_endpoints_are_those_of_one_simulation_of_everybody(found: CohortResult) -> None:
    solution, patients, draws = everybody(VISITS.grid)
    right = outcomes(solution, patients, draws, VISITS)
    same_outcomes(found["alone"]["endpoints"], right)
    np.testing.assert_array_equal(
        found["alone"]["endpoints"].progression_free().survival, right.progression_free().survival
    )
    assert found["alone"].failed_share == 0.0


def test_courses_means_and_quantiles_are_those_of_one_simulation_of_everybody(found: CohortResult) -> None:
    solution, _, _ = everybody((*MONTHLY, VISITS.until))
    months = len(MONTHLY)
    np.testing.assert_array_equal(
        found["alone"]["soluble BCMA"]["soluble_bcma"], solution["soluble_bcma"][:, :months].astype(np.float32)
    )
    means = found["alone"]["means"]
    assert means.n == N
    np.testing.assert_allclose(means.mean["car_t"], solution["car_t"][:, :months].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(means.variance["car_t"], solution["car_t"][:, :months].var(axis=0, ddof=1), rtol=1e-12)
    tumour = found["alone"]["tumour"]
    exact = np.quantile(solution["tumour"][:, :months], 0.75, axis=0, method="inverted_cdf")
    np.testing.assert_allclose(tumour.quantile(0.75), exact, rtol=tumour.resolution)


@pytest.mark.parametrize(("workers", "most"), [(1, 64), (3, 192), (2, 1024)])
def test_neither_threads_nor_the_size_of_parts_change_a_bit(
    found: CohortResult, workers: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_module, "MOST_PATIENTS", most)
    monkeypatch.setattr(cohort_module, "FEWEST_PARTS", 1)
    same(simulate_cohort(PEOPLE, ALONE, reduce=KEEP, solver=Solver(workers=workers)), found)


def test_regimens_and_posterior_draws_are_given_to_the_same_people(found: CohortResult) -> None:
    regimens = ALONE | {"with lenalidomide": infuse("cilta_cel") + give("lenalidomide", start=30.0, months=3.0)}
    few = Cohort(CATALOGUE, 70, 3, "cilta_cel", "late_line")
    draws = [CATALOGUE, CATALOGUE.with_values(k_growth_tumour=0.02)]
    result = simulate_cohort(few, regimens, reduce=KEEP, draws=draws)
    assert [list(scenarios) for scenarios in result.draws] == [list(regimens)] * 2
    np.testing.assert_array_equal(
        result["alone"]["endpoints"].c_max, found["alone"]["endpoints"].c_max[:70]
    )  # fmt: skip
    second = simulate_cohort(Cohort(draws[1], 70, 3, "cilta_cel", "late_line"), regimens, reduce=KEEP)
    same(CohortResult(result.draws[1:]), second)
    slow, fast = (scenarios["alone"]["endpoints"] for scenarios in result.draws)
    assert fast.progression_free().restricted_mean(12.0) < slow.progression_free().restricted_mean(12.0)
    alone, treated = (result[name]["endpoints"] for name in regimens)
    np.testing.assert_array_equal(alone.death, treated.death)
    assert not np.array_equal(alone.least_tumour, treated.least_tumour)


def test_patients_that_fail_are_listed_by_number_and_left_out() -> None:
    steps = everybody(VISITS.grid)[0].steps
    solver = Solver(most_steps=int(np.quantile(steps, 0.97)))
    lost = np.flatnonzero(steps > solver.most_steps)
    result = simulate_cohort(PEOPLE, ALONE, reduce=KEEP, solver=solver)["alone"]
    solution, patients, draws = everybody(VISITS.grid, solver=solver)
    assert [failure.patient for failure in result.failures] == lost.tolist()
    assert [failure.parameters for failure in result.failures] == [f.parameters for f in solution.failures]
    assert (result.failed, result.n, result.failed_share) == (len(lost), N, solution.failed_share)
    same_outcomes(result["endpoints"], outcomes(solution, patients, draws, VISITS))
    assert np.isnan(result["soluble BCMA"]["soluble_bcma"][lost]).all()
    assert result["means"].n == result["tumour"].n == N - len(lost)


def test_many_failures_are_counted_and_the_first_hundred_listed() -> None:
    steps = everybody(VISITS.grid)[0].steps
    solver = Solver(most_steps=int(np.quantile(steps, 0.3)))
    result = simulate_cohort(PEOPLE, ALONE, reduce=KEEP, solver=solver)["alone"]
    assert result.failed == np.count_nonzero(steps > solver.most_steps) > 400
    assert [f.patient for f in result.failures] == np.flatnonzero(steps > solver.most_steps)[:100].tolist()


def test_a_scenario_without_any_result_is_an_error() -> None:
    with pytest.raises(SimulationError, match=r"'alone': none of 600 patients .* \(more steps than allowed\)"):
        simulate_cohort(PEOPLE, ALONE, reduce=KEEP, solver=Solver(most_steps=1))


class CutOffError(Exception):
    pass


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """First patients of the parts that are simulated from now on."""
    seen: list[int] = []
    run: Callable[[Setting, int, int], Finished] = Setting.run

    def count(setting: Setting, first: int, last: int) -> Finished:
        seen.append(first)
        return run(setting, first, last)

    monkeypatch.setattr(Setting, "run", count)
    return seen


def stop_after(parts: int) -> Callable[[int, int], None]:
    def progress(done: int, planned: int) -> None:
        if done == parts:
            raise CutOffError

    return progress


def test_a_run_that_was_cut_off_goes_on_where_it_was(
    found: CohortResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CutOffError):
        simulate_cohort(PEOPLE, ALONE, reduce=KEEP, keep=tmp_path, progress=stop_after(4), solver=Solver(workers=1))
    kept = len(list(tmp_path.rglob("*.npz")))
    seen, told = counting(monkeypatch), []
    result = simulate_cohort(
        PEOPLE, ALONE, reduce=KEEP, keep=tmp_path, progress=lambda done, planned: told.append((done, planned))
    )
    same(result, found)
    assert kept >= 4
    assert len(seen) == len(told) - kept
    assert told == [(k + 1, len(told)) for k in range(len(told))]
    seen.clear()
    same(simulate_cohort(PEOPLE, ALONE, reduce=KEEP, keep=tmp_path), found)
    assert not seen
    damaged = sorted(tmp_path.rglob("*.npz"))[2]
    damaged.write_bytes(damaged.read_bytes()[:-200])
    same(simulate_cohort(PEOPLE, ALONE, reduce=KEEP, keep=tmp_path), found)
    assert len(seen) == 1
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("changed", ["seed", "value", "regimen", "tolerance", "reduction"])
def test_kept_parts_answer_only_for_the_same_question(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, wanted = Cohort(CATALOGUE, 5, 3, "cilta_cel"), {"mean": Moments(("car_t",), (0.0, 20.0))}
    simulate_cohort(few, ALONE, reduce=wanted, keep=tmp_path)
    seen = counting(monkeypatch)
    simulate_cohort(few, ALONE, reduce=wanted, keep=tmp_path, solver=Solver(workers=2))
    assert not seen
    catalogue = CATALOGUE.with_values(k_kill_max=1.0) if changed == "value" else CATALOGUE
    people = Cohort(catalogue, 5, 4 if changed == "seed" else 3, "cilta_cel")
    regimens = {"alone": infuse("cilta_cel", 5e7)} if changed == "regimen" else ALONE
    if changed == "reduction":
        wanted = {"mean": Moments(("car_t",), (0.0, 21.0))}
    solver = Solver(rtol=1e-5) if changed == "tolerance" else None
    simulate_cohort(people, regimens, reduce=wanted, keep=tmp_path, solver=solver)
    assert seen == [0]


class Unreliable:
    """Finishes the last job first, and reports every job twice."""

    def __init__(self) -> None:
        self.futures: list[tuple[Future, int]] = []

    def submit(self, setting: int, first: int, last: int) -> Future:
        future: Future = Future()
        self.futures.append((future, first))
        add = future.add_done_callback
        future.add_done_callback = lambda call: (add(call), add(call))[0]  # pyright: ignore
        if len(self.futures) == 5:
            self.finish()
        return future

    def finish(self) -> None:
        for future, first in reversed(self.futures):
            future.set_result(f"result {first}")


def test_results_come_once_and_in_order_whoever_finishes_first_and_however_often() -> None:
    jobs = [(0, first, first + 1) for first in range(5)]
    assert list(in_order(jobs, Unreliable().submit)) == [(k, f"result {k}") for k in range(5)]


def test_what_is_not_needed_any_more_is_cancelled() -> None:
    futures: list[Future] = []

    def submit(setting: int, first: int, last: int) -> Future:
        futures.append(Future())
        if first == 0:
            futures[0].set_exception(CutOffError())
        return futures[-1]

    with pytest.raises(CutOffError):
        list(in_order([(0, first, first + 1) for first in range(4)], submit))
    assert [future.cancelled() for future in futures] == [False, True, True, True]


@pytest.mark.parametrize(
    ("arguments", "kind", "part"),
    [({"regimens": {}}, InputError, "give at least one regimen and one reduction"),
     ({"reduce": {}}, InputError, "give at least one regimen and one reduction"),
     ({"regimens": {"other": infuse("ide_cel")}}, RegimenError, "regimen 'other' gives ide_cel"),
     ({"reduce": {"mean": Moments(("car_tea",), (0.0, 1.0))}}, UnknownNameError, "Did you mean 'car_t'")],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(arguments: dict[str, Any], kind: type, part: str) -> None:
    with pytest.raises(kind) as caught:
        simulate_cohort(PEOPLE, **({"regimens": ALONE, "reduce": KEEP} | arguments))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "kind", "part"),
    [({"n": 0}, RangeError, "number of virtual patients = 0"), ({"n": 1.5}, RangeError, "patients = 1.5"),
     ({"seed": -1}, RangeError, "seed = -1"), ({"product": "cilta"}, UnknownNameError, "There is no product 'cilta'"),
     ({"population": "late"}, UnknownNameError, "There is no population 'late'")],
)  # fmt: skip
def test_a_cohort_that_cannot_be_made_is_refused_at_once(changes: dict[str, Any], kind: type, part: str) -> None:
    with pytest.raises(kind) as caught:
        Cohort(**({"catalogue": CATALOGUE, "n": 5, "seed": 3} | changes))
    assert part in str(caught.value)


def test_results_are_asked_for_by_name(found: CohortResult) -> None:
    with pytest.raises(UnknownNameError, match=r"There is no scenario 'alnoe'. Did you mean 'alone'"):
        found["alnoe"]
    with pytest.raises(UnknownNameError, match=r"scenario 'alone': There is no reduction 'endpoint'"):
        found["alone"]["endpoint"]


def test_a_cohort_without_treatment_can_be_followed_too() -> None:
    result = simulate_cohort(
        Cohort(CATALOGUE, 30, 3), {"none": Regimen(())}, reduce={"tumour": Quantiles("tumour", (0.0, 30.0), 1e6, 1e14)}
    )
    before, after = result["none"]["tumour"].quantile(0.5)
    assert after > before
