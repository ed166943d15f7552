"""What the model says about each report, on patients whose answer is known, and which arm is simulated for whom."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.optimize import brentq

from perdure.fitting.calibration import problem
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.calibration.predictions import (
    SUSTAINED_MONTHS,
    EvidenceArm,
    arms_of,
    can_predict,
    predict,
    run_arm,
)
from perdure.fitting.calibration.problem import compare
from perdure.fitting.observations import Treatment
from perdure.fitting.studies import Observation, Study, read_studies
from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Outcomes, Visits
from perdure.model.imwg import CR, PD, PR, SD, VGPR, Response
from perdure.model.regimens.regimen import infuse
from perdure.model.simulate import Solver
from perdure.parameters.units import DAYS_PER_MONTH

CATALOGUE = read_catalogue()
STUDIES = read_studies()
QUICK = Solver(rtol=1e-4, workers=1)
ARM = EvidenceArm("ide_cel", "late_line", ((1.0, infuse("ide_cel")),), Visits(months=36.0))
MONTH, NEVER, NAN = DAYS_PER_MONTH, np.inf, np.nan

# Six made-up patients. The first branch relapses, the second is eradicated; the sixth could not be integrated.
GONE = np.array([0.0, 0.25, 0.5, 1.0, 0.0, 0.0])
BEST = np.array([[PD, PR, VGPR, CR, SD, CR], [PD, CR, CR, CR, SD, CR]])
PROGRESSION = np.array([[60.0, 300.0, 800.0, 500.0, NEVER, NEVER], [60.0, NEVER, NEVER, NEVER, NEVER, NEVER]])
FIRST = np.where(BEST >= PR, 28.0, NEVER)
DEATH = np.array([NEVER, NEVER, NEVER, NEVER, 200.0, NEVER])
C_MAX = np.array([5.0, 50.0, 300.0, 400.0, 20.0, NAN])


def response(branch: int) -> Response:
    rows = np.zeros(6)
    return Response(BEST[branch], PROGRESSION[branch], PROGRESSION[branch] + 20.0, rows, FIRST[branch], rows)


MADE_UP = Outcomes(
    visits=ARM.visits,
    weight=np.stack([1.0 - GONE, GONE]),
    responses=(response(0), response(1)),
    death=DEATH,
    c_max=C_MAX,
    t_max=np.array([9.0, 10.0, 11.0, 12.0, 20.0, NAN]),
    auc_28=np.zeros(6), usable=np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
    persistence=np.array([[50.0, 200.0, 350.0, 420.0, 30.0, NAN], [50.0, 600.0, 700.0, 900.0, 30.0, NAN]]),
    least_tumour=np.array([[1e11, 1e8, 5e6, 1e6, 1e10, NAN], [1e11, 0.0, 0.0, 0.0, 1e10, NAN]]),
    density_before=np.array([300.0, 500.0, 700.0, 900.0, 1100.0, NAN]),
    density_at_progression=np.array([290.0, 200.0, 400.0, 100.0, NAN, NAN]),
    tumour_at_progression=np.where(np.isfinite(PROGRESSION), 2e11, NAN),
    cause_shares=np.zeros((6, 5)),
    soluble_bcma=np.outer([1.0, 0.5, 0.1, 0.2, 2.0, NAN], np.linspace(1.0, 0.0, len(ARM.visits.days))),
    marrow_cells=np.full(6, 1e12),
)  # fmt: skip


def item(endpoint: str, kind: str = "proportion", unit: str = "%", **more: object) -> Observation:
    entry = {"id": "trial_item", "endpoint": endpoint, "kind": kind, "unit": unit, "role": "fit"}
    entry |= {"value": 10.0, "n": 50}
    return Observation.model_validate({**entry, **more})


def study(*items: Observation, name: str = "trial_1", **more: object) -> Study:
    entry = {
        "name": name, "study": name.upper(), "title": "A trial.", "time_zero": "first infusion", "product": "ide_cel",
        "population": "late_line", "visit_interval_days": 28.0, "items": items,
    }  # fmt: skip
    return Study.model_validate({**entry, **more})


def predicted(one: Observation) -> float:
    return predict(one, MADE_UP, CATALOGUE, ARM)


PFS_RATE = {"endpoint": "pfs_rate", "kind": "rate"}
PERSISTENCE = {"endpoint": "persistence_median", "kind": "median", "unit": "days"}


# ----------------------------------------------------------------------------------------------- made-up patients
@pytest.mark.parametrize(
    ("endpoint", "right"),
    [
        ("orr", 100.0 * 3.0 / 5.0),
        ("cr_rate", 100.0 * (0.25 + 0.5 + 1.0) / 5.0),
        ("mrd_negative_rate", 100.0 * (0.25 + 1.0 + 1.0) / 5.0),  # below 1e7 of 1e12 marrow cells
        ("mrd_negative_cr_rate", 100.0 * (0.25 + 0.5 + 1.0) / 5.0),
    ],
)
def test_a_response_rate_counts_each_branch_by_its_probability(endpoint: str, right: float) -> None:
    assert predicted(item(endpoint)) == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("months", "alive"),
    [
        (2.0, 5.0),  # the first progresses on day 60, on average half a gap between visits later
        (2.5, 4.0),
        (6.0, 4.0),
        (7.0, 3.0),  # the fifth has died on day 200
        (12.0, 2.25),
        (30.0, 1.75),
    ],
)
def test_a_rate_without_progression_is_the_weight_of_those_still_without(months: float, alive: float) -> None:
    assert predicted(item(**PFS_RATE, time_months=months)) == pytest.approx(100.0 * alive / 5.0, rel=1e-12)


def test_medians_are_those_of_the_curves_with_expected_dates() -> None:
    # Steps of 1/5, 1/5 and 0.75/5 take the curve through one half on day 314; of three responders 1.25 relapse.
    pfs = predicted(item("pfs_median", "median", "months"))
    assert pfs == pytest.approx(MADE_UP.progression_free("expected").smooth_median())
    assert MADE_UP.progression_free("expected").median() == pytest.approx(314.0 / MONTH)
    dor = predicted(item("dor_median", "median", "months", group="responders"))
    assert dor == MADE_UP.duration_of_response("expected").smooth_median()
    assert dor == np.inf


def test_persistence_is_the_median_of_its_group() -> None:
    assert SUSTAINED_MONTHS == 24.0  # 730.5 days
    # Responders by branch, as persistence: weight. Sustained: the third (350: 0.5) and every eradicated branch.
    assert predicted(item(**PERSISTENCE, group="sustained best response")) == pytest.approx(700.0)
    assert predicted(item(**PERSISTENCE, group="best response not sustained")) == pytest.approx(200.0)
    assert predicted(item(**PERSISTENCE, group="responders")) == pytest.approx(650.0)  # half of the weight on each side


def test_density_is_the_median_of_all_before_and_of_relapsing_responders_after() -> None:
    assert predicted(item("density_before", "median", "molecules/cell")) == pytest.approx(700.0)
    after = predicted(item("density_at_progression", "median", "molecules/cell"))
    assert after == pytest.approx(200.0)  # 200 with weight 0.75, 400 with 0.5, 100 with none


def test_the_day_of_the_peak_is_the_median_of_those_who_could_be_integrated() -> None:
    assert predicted(item("t_max", "median", "day")) == pytest.approx(11.0)


def test_soluble_bcma_is_read_at_the_nearest_visit() -> None:
    days = ARM.visits.days
    at = float(np.linspace(1.0, 0.0, len(days))[2])  # two months are 61 days, and the nearest visit is on day 56
    others = CATALOGUE["fraction_sbcma_other_cells"].value
    found = predicted(item("sbcma_relative", "ratio", "ratio", time_months=2.0))
    assert found == pytest.approx(others + (1.0 - others) * 0.5 * at)


def test_a_split_compares_high_peaks_with_low_ones() -> None:
    split = {"kind": "split", "unit": "cells/mm3", "value": None}

    def excess(ratio: float) -> float:
        """Score of Cox's partial likelihood; by event its weight, and the weights followed below and above."""
        rows = ((1.0, 3.0, 2.0), (1.0, 2.0, 2.0), (0.75, 1.0, 2.0), (0.5, 0.25, 2.0))  # days 74, 200, 314, 814
        return 0.5 - sum(died * above * ratio / (below + above * ratio) for died, below, above in rows)

    by_hand = brentq(excess, 1e-6, 10.0)
    assert predicted(item("expansion_split", **split, threshold=100.0)) == pytest.approx(by_hand, rel=1e-9)
    assert predicted(item("expansion_split", **split, threshold=30.0)) == 0.0  # all events of both come below
    assert np.isnan(predicted(item("expansion_split", **split, threshold=1.0)))
    assert np.isnan(predicted(item("expansion_split", **split, threshold=1e4)))


def test_the_threshold_of_function_is_killing_over_growth() -> None:
    typical = CATALOGUE.typical("ide_cel", "late_line")
    half = typical["half_density_kill"]
    one = item("function_threshold", "ceiling", "molecules/cell", value=None, threshold=half)
    assert predicted(one) == pytest.approx(0.5 * typical["k_kill_max"] / typical["k_growth_tumour"])


def test_nobody_to_compute_it_from_is_not_a_number() -> None:
    nobody = replace(MADE_UP, responses=(replace(MADE_UP.responses[0], best=np.zeros(6)),) * 2)
    for one in (item(**PERSISTENCE, group="responders"), item("density_at_progression", "median", "molecules/cell")):
        assert np.isnan(predict(one, nobody, CATALOGUE, ARM))


def test_only_groups_and_kinds_that_are_computed_are_predicted() -> None:
    assert can_predict(item("orr"))
    assert can_predict(item("orr", group="first 33 patients"))
    assert not can_predict(item("orr", group="high risk"))
    assert not can_predict(item("orr", kind="range", value=None, low=20.0))
    assert not can_predict(item("crs_rate"))


# ------------------------------------------------------------------------------------------------------------ arms
@pytest.mark.parametrize(
    ("asked", "months"),
    [
        (item("t_max", "median", "day"), 4.0),
        (item("orr"), 18.0),
        (item("pfs_median", "median", "months", value=5.0), 18.0),
        (item("pfs_median", "median", "months", value=15.0), 30.0),
        (item("pfs_median", "median_not_reached", "months", value=None, low=20.0, interval="follow-up"), 40.0),
        (item(**PFS_RATE, time_months=36.0), 36.0),
        (item(**PFS_RATE, time_months=72.0), 60.0),
        (item("dor_median", "median", "months", value=50.0), 60.0),
        (item(**PERSISTENCE), 60.0),
    ],
    ids=lambda value: f"{value.endpoint} {value.value}" if isinstance(value, Observation) else f"{value:g}",
)
def test_follow_up_is_as_long_as_the_items_ask_for(asked: Observation, months: float) -> None:
    arm = arms_of([study(item("t_max", "median", "day"), asked)])["trial_1"]
    assert arm.visits.months == months


def test_only_items_of_the_asked_roles_lengthen_the_follow_up() -> None:
    one = study(item("orr"), item(**PFS_RATE, time_months=48.0, role="check"))
    assert arms_of([one])["trial_1"].visits.months == 18.0
    assert arms_of([one], ("fit", "check"))["trial_1"].visits.months == 48.0
    assert arms_of([study(item("orr", role="check"))]) == {}


def test_studies_of_the_same_treatment_share_one_arm_and_its_longest_follow_up() -> None:
    first, second = study(item("orr")), study(item(**PFS_RATE, time_months=40.0), name="trial_2")
    other = study(item("orr"), name="trial_3", visit_interval_days=84.0)
    arms = arms_of([first, second, other])
    assert arms["trial_1"] == arms["trial_2"] != arms["trial_3"]
    assert arms["trial_1"].visits.months == 40.0
    assert len(set(arms.values())) == 2  # each is simulated once, as the next test says


def test_an_arm_that_studies_share_is_simulated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[EvidenceArm] = []

    def counted(parameters: object, arm: EvidenceArm, **more: object) -> Outcomes:
        runs.append(arm)
        return MADE_UP

    monkeypatch.setattr(problem, "run_arm", counted)
    arms = arms_of(STUDIES)
    assert len(set(arms.values())) < len(arms)  # otherwise nothing is shown here
    compare(CATALOGUE, STUDIES, n=6, seed=1, roles=("fit",), threads=1)
    assert len(runs) == len(set(runs)) == len(set(arms.values()))


def test_the_doses_of_a_treatment_are_those_it_describes() -> None:
    plain = Treatment(share=5).regimen("cilta_cel")
    assert plain == infuse("cilta_cel")
    split = Treatment(cells=1e8, split=(0.2, 0.3, 0.5), split_every_days=3.0).regimen("cilta_cel")
    assert [(dose.day, round(dose.amount)) for dose in split.doses] == [(0.0, 2e7), (3.0, 3e7), (6.0, 5e7)]
    tablets = Treatment(drug="lenalidomide", amount="10 mg", start_day=21, months=2, cycle_days=28, days_on=21)
    days = [dose.day for dose in tablets.regimen("cilta_cel").doses if dose.therapy == "lenalidomide"]
    assert days == [*range(21, 42), *range(49, 70), *range(77, 82)]  # 2 months are 60.875 days from day 21


def test_a_mixed_trial_gives_each_treatment_to_its_share_of_the_patients() -> None:
    mixed = arms_of(STUDIES)["cartitude_2_d"]
    assert [share for share, _ in mixed.regimens] == pytest.approx([5.0 / 17.0, 12.0 / 17.0])
    assert [regimen.drugs for _, regimen in mixed.regimens] == [(), ("lenalidomide",)]
    # A drug that works, so that the groups differ; 17 patients are the 5 and the 12 of the trial.
    numbers = CATALOGUE.with_values(effect_lenalidomide=1.0, fraction_sensitive_lenalidomide=1.0)
    together = run_arm(numbers, mixed, n=17, seed=4, solver=QUICK)
    alone, treated = (
        run_arm(numbers, replace(mixed, regimens=((1.0, regimen),)), n=17, seed=4, solver=QUICK)
        for _, regimen in mixed.regimens
    )
    for name in ("auc_28", "cause_shares", "soluble_bcma", "death", "density_before"):
        whole = getattr(together, name)
        np.testing.assert_array_equal(whole[:5], getattr(alone, name)[:5])
        np.testing.assert_array_equal(whole[5:], getattr(treated, name)[5:])
    assert not np.allclose(alone.soluble_bcma[5:], treated.soluble_bcma[5:], rtol=1e-3)


def test_joined_groups_are_the_groups_side_by_side() -> None:
    pair = Outcomes.concatenate([MADE_UP, MADE_UP])
    assert pair.n == 12
    for field in fields(Outcomes):
        one, both = getattr(MADE_UP, field.name), getattr(pair, field.name)
        if field.name == "responses":
            for single, double in zip(one, both, strict=True):
                for part in fields(Response):
                    np.testing.assert_array_equal(getattr(double, part.name), np.tile(getattr(single, part.name), 2))
        elif field.name == "visits":
            assert both == one
        else:
            twice = np.concatenate([one, one], axis=1 if one.shape[0] == 2 else 0)
            np.testing.assert_array_equal(both, twice)
    assert pair.overall_response_rate == pytest.approx(MADE_UP.overall_response_rate, rel=1e-12)
    assert pair.progression_free().median() == MADE_UP.progression_free().median()


# ---------------------------------------------------------------------------------------------- shipped evidence
def test_every_fitted_report_has_a_prediction_and_a_misfit() -> None:
    fitted = [one for entry in STUDIES for one in entry.items if one.role == "fit"]
    asked = [one.id for one in sorted(fitted, key=lambda one: bool(one.scenario))]  # those about a scenario stand last
    rows = compare(read_calibration().parameters(), STUDIES, n=60, seed=2, solver=QUICK, roles=("fit",), sequences=True)
    assert [row.item.id for row in rows] == asked
    for row in rows:
        beyond = row.item.high is None and row.model == np.inf  # nor is its upper bound in the trial
        assert beyond or np.isfinite(row.model), row.item.id
        assert np.isfinite(row.misfit), row.item.id
        assert row.log_likelihood == pytest.approx(-0.5 * row.misfit**2)


def test_before_any_fit_no_report_is_lost() -> None:
    for row in compare(CATALOGUE, STUDIES, n=60, seed=2, solver=QUICK, threads=1):
        assert not np.isnan(row.model), row.item.id  # a median may lie beyond follow-up, and is infinite then
        assert np.isfinite(row.misfit), row.item.id
