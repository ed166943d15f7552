"""Arms on the same virtual patients: pairing, groups, gains and chances, and where they stand."""

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes
from perdure.model.imwg import PR
from perdure.model.simulate import Solver
from perdure.parameters.errors import InputError, UnknownNameError
from perdure.reports.comparison_report import gain_picture, group_table, notices_of, numbers_of, pfs_picture, table_of
from perdure.trials.arm import Arm
from perdure.trials.compare import EVERYBODY, Comparison, compare
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
from perdure.trials.treat import ArmResult, treat

SIZES, MONTHS = Sizes(patients=60, draws=3, patients_per_draw=30, seed=7), 24.0
MAINTENANCE = "ide-cel; lenalidomide 10 mg on days 1-21 of 28 from day 30 for 12 months"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    arms = (
        Arm("alone", "ide-cel"),
        Arm("again", "ide-cel"),
        Arm("maintenance", MAINTENANCE),
        Arm("fast growth", "ide-cel", change=lambda patients: {"k_growth_tumour": 1.5 * patients["k_growth_tumour"]}),
    )
    groups = {
        "responders": lambda result: result.outcomes.best >= PR,
        "nobody": lambda result: np.zeros(result.outcomes.n),
    }
    return compare(arms, read_calibration(), groups=groups, sizes=SIZES, months=MONTHS)


def test_an_arm_gains_nothing_over_itself_in_any_draw(comparison: Comparison) -> None:
    assert np.all(comparison.draws_of("again", RESTRICTED_PFS, "alone") == 0.0)
    assert comparison.gain("again", RESTRICTED_PFS).value == 0.0
    assert comparison.chance("again", RESTRICTED_PFS) == 0.5


def test_faster_growth_shortens_survival_in_every_draw(comparison: Comparison) -> None:
    assert np.all(comparison.draws_of("fast growth", RESTRICTED_PFS, "alone") < 0.0)
    assert comparison.chance("fast growth", RESTRICTED_PFS) == 0.0


def test_the_estimate_is_what_treat_says_of_the_same_patients(comparison: Comparison) -> None:
    trial = treat("ide-cel", patients=60, seed=7, months=24.0)
    assert comparison.estimate("alone", MEDIAN_PFS).value == pytest.approx(trial.pfs().median(), abs=1e-9)
    response = 100.0 * trial.outcomes.rate(trial.outcomes.best >= PR)
    assert comparison.estimate("alone", RESPONSE).value == pytest.approx(response, abs=1e-9)


def test_a_gain_is_the_difference_of_the_estimates(comparison: Comparison) -> None:
    maintenance, alone = (comparison.estimate(arm, RESTRICTED_PFS).value for arm in ("maintenance", "alone"))
    assert comparison.gain("maintenance", RESTRICTED_PFS).value == pytest.approx(maintenance - alone, abs=1e-12)


def test_a_group_holds_the_same_people_in_every_arm(comparison: Comparison) -> None:
    share = comparison.share("responders").value
    assert share == pytest.approx(comparison.estimate("alone", RESPONSE).value, abs=1e-9)
    assert comparison.estimate("alone", RESPONSE, "responders").value == pytest.approx(100.0)


def test_a_group_without_patients_has_no_number(comparison: Comparison) -> None:
    assert np.isnan(comparison.estimate("alone", RESTRICTED_PFS, "nobody").value)


def test_changed_patients_are_a_thought_experiment_and_a_drug_is_extrapolated(comparison: Comparison) -> None:
    assert comparison.provenance[0].calibrated
    assert not comparison.provenance[2].calibrated
    assert "thought experiment" in comparison.provenance[3].reason
    assert any("fast growth" in line for line in notices_of(comparison))


def test_bands_and_pictures_show_what_was_computed(comparison: Comparison) -> None:
    band = comparison.band("alone")
    assert band.shape == (3, 25)
    assert np.all(band[:, 0] == 1.0)
    assert band.min() >= 0.0
    pfs = pfs_picture(comparison, name="pfs", title="Curves", arms=("alone", "maintenance"))
    assert "maintenance" in pfs.alt
    gain = gain_picture(comparison, name="gain", title="Gains", groups=(EVERYBODY, "responders", "nobody"))
    assert len(gain.table["label"]) == 6  # the group without patients has no rows


def test_tables_and_numbers_hold_every_arm(comparison: Comparison) -> None:
    table = table_of(comparison, "Arms")
    assert [row[0] for row in table.rows] == ["alone", "again", "maintenance", "fast growth"]
    assert len(table.columns) == 1 + len(EFFICACY) + 1 + 1
    assert [row[0] for row in group_table(comparison, "For whom", "maintenance").rows] == list(comparison.groups)
    numbers = numbers_of(comparison)
    assert len(numbers) == 3 * (4 * (len(EFFICACY) + 1) + 3)


def test_unknown_names_are_refused_with_near_matches(comparison: Comparison) -> None:
    with pytest.raises(UnknownNameError, match="maintenance"):
        comparison.estimate("maintenence", RESTRICTED_PFS)
    with pytest.raises(UnknownNameError, match="measure"):
        comparison.estimate("alone", MRD)
    with pytest.raises(UnknownNameError, match="responders"):
        comparison.gain("again", RESTRICTED_PFS, group="responder")


def test_arms_without_names_of_their_own_are_refused() -> None:
    with pytest.raises(InputError, match="a name of its own"):
        compare((Arm("same", "ide-cel"), Arm("same", "ide-cel")), read_calibration(), sizes=SIZES, months=MONTHS)


def treated(arm: Arm, *, patients: int) -> ArmResult:
    """One line, as `compare` treats it."""
    return treat(arm, line=1, patients=patients, months=12.0, seed=3, solver=Solver(rtol=1e-5), keep_courses=False)


def test_cells_that_come_later_are_counted_from_their_infusion_or_from_apheresis() -> None:
    words = "lymphodepletion days 25-27; ide-cel on day 28"
    infusion = treated(Arm("from infusion", words), patients=40)
    apheresis = treated(Arm("from apheresis", words, from_infusion=False), patients=40)
    longer = RESTRICTED_PFS.read(apheresis) - RESTRICTED_PFS.read(infusion)
    assert -0.7 < longer < 28.0 / 30.4375 + 0.05  # the wait itself counts; who progresses in it does so early


def test_an_antibody_alone_can_be_an_arm() -> None:
    assert 0.0 < RESPONSE.read(treated(Arm("teclistamab", "teclistamab"), patients=30)) < 100.0


def test_the_mean_and_the_median_count_branches_by_their_probability(comparison: Comparison) -> None:
    alone = comparison.results[0]
    assert alone.mean(np.ones(alone.outcomes.n)) == pytest.approx(1.0)
    values = np.where(np.arange(alone.outcomes.n) % 2 == 0, 3.0, np.nan)
    assert alone.median(values) == 3.0
    assert np.isnan(alone.median(np.full(alone.outcomes.n, np.nan)))
    assert 0.0 < PERSISTENCE.read(alone) < 24 * 30.4375


def test_days_of_treatment_are_counted_from_the_plan(comparison: Comparison) -> None:
    measure: Measure = days_of_treatment("lenalidomide")
    assert measure.read(comparison.results[0]) == 0.0
    assert measure.read(comparison.results[2]) == pytest.approx(21 * 12 * 30.4375 / 28, abs=21)
