"""Arms on the same virtual patients: pairing, groups, gains and chances, and where they stand."""

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.imwg import PR
from perdure.parameters.errors import InputError, UnknownNameError
from perdure.reports.comparison_report import gain_picture, group_table, notices_of, numbers_of, pfs_picture, table_of
from perdure.trials.compare import EVERYBODY, Arm, Comparison, compare, treat_arm
from perdure.trials.measures import (
    EFFICACY,
    MEDIAN_PFS,
    MRD,
    PERSISTENCE,
    RESPONSE,
    RESTRICTED_PFS,
    Measure,
    days_of_treatment,
)
from perdure.trials.treat import treat

SIZES = {"patients": 60, "draws": 3, "patients_per_draw": 30, "months": 24.0, "seed": 7}
MAINTENANCE = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 12 months"


@pytest.fixture(scope="module")
def found() -> Comparison:
    arms = (
        Arm("alone", "ide-cel"),
        Arm("again", "ide-cel"),
        Arm("maintenance", MAINTENANCE),
        Arm("fast growth", "ide-cel", change=lambda one: {"k_growth_tumour": 1.5 * one["k_growth_tumour"]}),
    )
    groups = {"responders": lambda one: one.outcomes.best >= PR, "nobody": lambda one: np.zeros(one.outcomes.n)}
    return compare(arms, read_calibration(), groups=groups, **SIZES)


def test_an_arm_gains_nothing_over_itself_in_any_draw(found: Comparison) -> None:
    assert np.all(found.draws_of("again", RESTRICTED_PFS, "alone") == 0.0)
    assert found.gain("again", RESTRICTED_PFS).value == 0.0
    assert found.chance("again", RESTRICTED_PFS) == 0.5


def test_faster_growth_shortens_survival_in_every_draw(found: Comparison) -> None:
    assert np.all(found.draws_of("fast growth", RESTRICTED_PFS, "alone") < 0.0)
    assert found.chance("fast growth", RESTRICTED_PFS) == 0.0


def test_the_estimate_is_what_treat_says_of_the_same_patients(found: Comparison) -> None:
    trial = treat("ide_cel", "late_line", patients=60, seed=7, months=24.0)
    assert found.estimate("alone", MEDIAN_PFS).value == pytest.approx(trial.pfs().median(), abs=1e-9)
    response = 100.0 * trial.outcomes.rate(trial.outcomes.best >= PR)
    assert found.estimate("alone", RESPONSE).value == pytest.approx(response, abs=1e-9)


def test_a_gain_is_the_difference_of_the_estimates(found: Comparison) -> None:
    one, other = (found.estimate(arm, RESTRICTED_PFS).value for arm in ("maintenance", "alone"))
    assert found.gain("maintenance", RESTRICTED_PFS).value == pytest.approx(one - other, abs=1e-12)


def test_a_group_holds_the_same_people_in_every_arm(found: Comparison) -> None:
    share = found.share("responders").value
    assert share == pytest.approx(found.estimate("alone", RESPONSE).value, abs=1e-9)
    assert found.estimate("alone", RESPONSE, "responders").value == pytest.approx(100.0)


def test_a_group_without_patients_has_no_number(found: Comparison) -> None:
    assert np.isnan(found.estimate("alone", RESTRICTED_PFS, "nobody").value)


def test_changed_patients_are_a_thought_experiment_and_a_drug_is_extrapolated(found: Comparison) -> None:
    assert found.footings[0].calibrated
    assert not found.footings[2].calibrated
    assert "thought experiment" in found.footings[3].reason
    assert any("fast growth" in line for line in notices_of(found))


def test_bands_and_pictures_show_what_was_computed(found: Comparison) -> None:
    band = found.band("alone")
    assert band.shape == (3, 25)
    assert np.all(band[:, 0] == 1.0)
    assert band.min() >= 0.0
    pfs = pfs_picture(found, name="pfs", title="Curves", arms=("alone", "maintenance"))
    assert "maintenance" in pfs.alt
    gain = gain_picture(found, name="gain", title="Gains", groups=(EVERYBODY, "responders", "nobody"))
    assert len(gain.table["label"]) == 6  # the group without patients has no rows


def test_tables_and_numbers_hold_every_arm(found: Comparison) -> None:
    table = table_of(found, "Arms")
    assert [row[0] for row in table.rows] == ["alone", "again", "maintenance", "fast growth"]
    assert len(table.columns) == 1 + len(EFFICACY) + 1 + 1
    assert [row[0] for row in group_table(found, "For whom", "maintenance").rows] == list(found.groups)
    numbers = numbers_of(found)
    assert len(numbers) == 3 * (4 * (len(EFFICACY) + 1) + 3)


def test_unknown_names_are_refused_with_near_matches(found: Comparison) -> None:
    with pytest.raises(UnknownNameError, match="maintenance"):
        found.estimate("maintenence", RESTRICTED_PFS)
    with pytest.raises(UnknownNameError, match="measure"):
        found.estimate("alone", MRD)
    with pytest.raises(UnknownNameError, match="responders"):
        found.gain("again", RESTRICTED_PFS, group="responder")


def test_arms_without_names_of_their_own_are_refused() -> None:
    with pytest.raises(InputError, match="a name of its own"):
        compare((Arm("one", "ide-cel"), Arm("one", "ide-cel")), read_calibration(), **SIZES)


def test_cells_that_come_later_are_counted_from_their_infusion_or_from_apheresis() -> None:
    parameters = read_calibration().parameters()
    words = "lymphodepletion days 25-27; ide-cel on day 28"
    sizes = {"patients": 40, "months": 12.0, "seed": 3}
    infusion = treat_arm(Arm("from infusion", words), parameters, **sizes)
    apheresis = treat_arm(Arm("from apheresis", words, from_infusion=False), parameters, **sizes)
    longer = RESTRICTED_PFS.read(apheresis) - RESTRICTED_PFS.read(infusion)
    assert -0.7 < longer < 28.0 / 30.4375 + 0.05  # the wait itself counts; who progresses in it does so early


def test_an_antibody_alone_can_be_an_arm() -> None:
    treated = treat_arm(
        Arm("teclistamab", "teclistamab"), read_calibration().parameters(), patients=30, months=12.0, seed=3
    )
    assert 0.0 < RESPONSE.read(treated) < 100.0


def test_the_mean_and_the_median_count_branches_by_their_probability(found: Comparison) -> None:
    one = found.treated[0]
    assert one.mean(np.ones(one.outcomes.n)) == pytest.approx(1.0)
    values = np.where(np.arange(one.outcomes.n) % 2 == 0, 3.0, np.nan)
    assert one.median(values) == 3.0
    assert np.isnan(one.median(np.full(one.outcomes.n, np.nan)))
    assert 0.0 < PERSISTENCE.read(one) < 24 * 30.4375


def test_days_of_treatment_are_counted_from_the_plan(found: Comparison) -> None:
    measure: Measure = days_of_treatment("lenalidomide")
    assert measure.read(found.treated[0]) == 0.0
    assert measure.read(found.treated[2]) == pytest.approx(21 * 12 * 30.4375 / 28, abs=21)
