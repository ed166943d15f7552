"""A whole curve as evidence: what it becomes, how much it says, what the model answers, and evidence that is wrong."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from perdure.fitting.calibration.likelihood import match
from perdure.fitting.calibration.predictions import EvidenceArm, arms_of, can_predict, predict, run_arm
from perdure.fitting.calibration.problem import compare
from perdure.fitting.km_reconstruction import FEWEST_EVENTS, intervals, reconstruct_curve
from perdure.fitting.observations import Curve
from perdure.fitting.studies import read_studies, read_study
from perdure.model.catalogue import read_catalogue
from perdure.model.endpoints import Outcomes, Visits
from perdure.model.simulate import Solver
from perdure.model.statistics.survival import SurvivalCurve, kaplan_meier
from perdure.parameters.errors import EvidenceError, FileError, InputError, UnknownNameError

CATALOGUE = read_catalogue()
QUICK = Solver(rtol=1e-4, workers=1)
HEADER = """
study = "TRIAL-1"
title = "A trial."
time_zero = "first infusion"
product = "ide_cel"
population = "late_line"
visit_interval_days = 28
n = 40
"""
# 40 patients, followed for two years: 90 % at 3 months, 75 at 6, 60 at 9, 50 at 12, 35 at 18, 30 at 24.
CURVE = """
[[curve]]
id       = "trial_1_pfs"
rows     = ["X001"]
endpoint = "pfs"
points   = [[0, 100], [1, 97.5], [2, 95], [3, 90], [4, 85], [5, 80], [6, 75], [8, 65], [9, 60], [12, 50], [18, 35], [24, 30]]
at_risk  = [[0, 40], [3, 37], [6, 30], [9, 24], [12, 19], [18, 11], [24, 0]]
role     = "fit"
citation = "Somebody 2024, Figure 2"
origin   = "public: the paper"
quote    = "Figure 2: progression-free survival"
note     = "Read off by hand."
"""  # noqa: E501
MEDIAN = """
[[item]]
id       = "trial_1_median"
endpoint = "pfs_median"
kind     = "median"
value    = 12.0
unit     = "months"
n        = 40
role     = "fit"
citation = "Somebody 2024"
origin   = "public: the paper"
quote    = "twelve months"
"""


def evidence_file(folder: Path, *parts: str, header: str = HEADER) -> Path:
    path = folder / "trial_1.toml"
    path.write_text(header + "".join(parts), encoding="utf-8")
    return path


def curve(patients: tuple[np.ndarray, np.ndarray], table: np.ndarray, endpoint: str = "pfs") -> Curve:
    """The curve of patients, read without error after every step and at the end."""
    found = kaplan_meier(*patients)
    months = np.union1d(found.times, patients[0].max())
    at_risk = [(float(row), float((patients[0] >= row).sum())) for row in table]
    points = list(
        zip(
            months.tolist(),
            (100.0 * found.survival[np.searchsorted(found.times, months, "right") - 1]).tolist(),
            strict=True,
        )
    )
    return Curve.model_validate(
        {"id": "made", "endpoint": endpoint, "points": points, "at_risk": at_risk, "role": "fit"}
    )


def exponential(n: int, rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    event, lost = rng.exponential(1.0 / rate, n), rng.uniform(6.0, 36.0, n)
    return np.minimum(event, lost), event <= lost


# -------------------------------------------------------------------------------------------- what a curve becomes
def test_a_curve_becomes_one_binomial_result_per_interval(tmp_path: Path) -> None:
    study = read_study(evidence_file(tmp_path, CURVE))
    found = [(item.id, item.from_months, item.time_months, item.n, item.events) for item in study.items]
    assert found == [
        ("trial_1_pfs_1", 0.0, 3.0, 40, 36),  # 4 events; the table has 37 at month 3, so 1 of 40 is censored before
        ("trial_1_pfs_2", 3.0, 6.0, 34, 28),  # 35 after the events of month 3, 1 censored; 6 events
        ("trial_1_pfs_3", 6.0, 9.0, 28, 23),
        ("trial_1_pfs_4", 9.0, 12.0, 20, 17),  # of 22 three are censored and three have an event
        ("trial_1_pfs_5", 12.0, 24.0, 12, 8),  # 3 events at month 18; the last one alone would be too few
    ]
    assert {item.kind for item in study.items} == {"proportion"}
    assert [item.rows for item in study.items] == [("X001",), (), (), (), ()]
    assert study.items[0].note.startswith("Read off by hand. Curve of 12 points, met within ")
    assert study.items[0].quote == "Figure 2: progression-free survival"
    assert study.curves[0].points[3] == (3.0, 90.0)


@pytest.mark.parametrize("seed", range(4))
def test_the_intervals_multiply_to_the_curve(seed: int) -> None:
    patients = exponential(300, 0.08, seed)
    made = intervals(curve(patients, np.arange(0.0, 36.0, 3.0)), "made")
    assert made[0].from_months == 0.0
    assert all(one.time_months == two.from_months for one, two in pairwise(made))
    assert min((item.n or 0) - (item.events or 0) for item in made) >= FEWEST_EVENTS
    assert sum((item.n or 0) - (item.events or 0) for item in made) == pytest.approx(patients[1].sum(), abs=2)
    truth, product = kaplan_meier(*patients), 1.0
    for item in made:
        product *= (item.value or 0.0) / 100.0
        if truth.at_risk(item.time_months or 0.0) >= 20:  # where fewer are left one patient is more than that
            assert product == pytest.approx(truth.at(item.time_months or 0.0), abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_a_curve_says_as_much_as_its_patients(seed: int) -> None:
    """Of exponential patients: best rate d/T, with information d for its logarithm (Cox & Oakes 1984)."""
    patients = exponential(400, 0.08, seed)
    made = intervals(curve(patients, np.arange(0.0, 36.0, 3.0)), "made")

    def loss(log_rate: float) -> float:
        spans = [(item, (item.time_months or 0.0) - (item.from_months or 0.0)) for item in made]
        return -sum(match(item, 100.0 * np.exp(-np.exp(log_rate) * span)).log_likelihood for item, span in spans)

    exact = patients[1].sum() / patients[0].sum()
    best = cast(Any, minimize_scalar(loss, bounds=(-5.0, 0.0), method="bounded")).x
    assert np.exp(best) == pytest.approx(exact, rel=0.02)
    step = 0.02
    information = (loss(best + step) - 2.0 * loss(best) + loss(best - step)) / step**2
    assert information == pytest.approx(patients[1].sum(), rel=0.05)


def test_with_the_number_of_patients_alone_intervals_are_three_months() -> None:
    made = intervals(curve(exponential(300, 0.08, 1), np.zeros(1)), "made")
    assert [item.time_months for item in made[:4]] == [3.0, 6.0, 9.0, 12.0]


def test_a_curve_with_few_events_is_one_interval() -> None:
    times = np.array([2.0, 5.0, *np.linspace(6.0, 12.0, 18)])
    (only,) = intervals(curve((times, times < 5.5), np.array([0.0, 3.0, 6.0, 9.0])), "made")
    assert (only.from_months, only.time_months, only.events) == (0.0, 12.0, (only.n or 0) - 2)


def test_a_reported_number_of_events_is_met_or_the_curve_refused(tmp_path: Path) -> None:
    study = read_study(evidence_file(tmp_path, CURVE.replace("role ", "events = 25\nrole ")))
    assert reconstruct_curve(study.curves[0], "").n_events == pytest.approx(25, abs=2)
    with pytest.raises(EvidenceError, match=r"curve 'trial_1_pfs': events = 5, and points and numbers .* imply \d+"):
        read_study(evidence_file(tmp_path, CURVE.replace("role ", "events = 5\nrole ")))


# ---------------------------------------------------------------------------------------------- what the model says
ITEMS = intervals(curve(exponential(80, 0.08, 2), np.arange(0.0, 24.0, 4.0)), "made")


def test_follow_up_covers_the_whole_curve_and_the_way_to_the_response(tmp_path: Path) -> None:
    study = read_study(evidence_file(tmp_path, CURVE))
    assert arms_of([study])["trial_1"].visits.months == 24.0
    durations = read_study(evidence_file(tmp_path, CURVE.replace('"pfs"', '"dor"')))
    assert arms_of([durations])["trial_1"].visits.months == 27.0
    late = CURVE.replace("[24, 30]", "[24, 30], [66, 25]").replace("[24, 0]", "[66, 0]")
    assert arms_of([read_study(evidence_file(tmp_path, late))])["trial_1"].visits.months == 66.0


def test_the_model_answers_every_interval_and_they_multiply_to_its_curve(tmp_path: Path) -> None:
    study = read_study(
        evidence_file(tmp_path, CURVE, CURVE.replace('"pfs"', '"dor"').replace("_pfs", "_dor").replace("X001", "X002"))
    )
    assert all(can_predict(item) for item in study.items)
    arm = arms_of([study])["trial_1"]
    outcome = run_arm(CATALOGUE, arm, n=60, seed=1, solver=QUICK)
    whole = {"pfs": outcome.progression_free("expected"), "dor": outcome.duration_of_response("expected")}
    for endpoint, model in whole.items():
        own = [item for item in study.items if item.endpoint == f"{endpoint}_interval"]
        said = np.array([predict(item, outcome, CATALOGUE, arm) for item in own]) / 100.0
        np.testing.assert_allclose(np.cumprod(said), model.at([item.time_months or 0.0 for item in own]), rtol=1e-12)
        assert np.all(np.isfinite(said))
    silent = tuple(replace(response, best=np.zeros(60)) for response in outcome.responses)
    assert np.isnan(predict(study.items[-1], replace(outcome, responses=(silent[0], silent[1])), CATALOGUE, arm))
    rows = compare(CATALOGUE, [study], n=60, seed=1, solver=QUICK, threads=1)
    assert [row.item.id for row in rows] == [item.id for item in study.items]
    assert all(np.isfinite(row.misfit) for row in rows)


@dataclass(frozen=True)
class Known:
    """Outcomes of which only the curve is asked."""

    found: SurvivalCurve

    def progression_free(self, dated: str) -> SurvivalCurve:
        return self.found


def test_the_answer_is_the_share_of_those_who_come_so_far() -> None:
    item = ITEMS[0].model_copy(update={"from_months": 2.0, "time_months": 4.0})
    arm = EvidenceArm("ide_cel", "late_line", (), Visits())

    def answer(months: list[float]) -> float:
        outcome = cast(Outcomes, cast(Any, Known(kaplan_meier(months, np.ones(len(months))))))
        return predict(item, outcome, CATALOGUE, arm)

    assert answer([1.0, 3.0, 4.0, 9.0, 9.0]) == pytest.approx(50.0)  # of four without an event by month 2
    assert answer([1.0, 1.5, 2.0]) == 0.0  # nobody comes so far: as bad as nobody staying
    assert np.isfinite(match(item, 0.0).misfit)


# -------------------------------------------------------------------------------------------------- counting twice
def test_a_fitted_curve_beside_a_fitted_median_of_the_same_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"curve 'trial_1_pfs': role = 'fit', and so is 'trial_1_median'.*'check'"):
        read_study(evidence_file(tmp_path, CURVE, MEDIAN))
    again = CURVE.replace("trial_1_pfs", "trial_1_again").replace("X001", "X002")
    with pytest.raises(EvidenceError, match="and so is 'trial_1_"):
        read_study(evidence_file(tmp_path, CURVE, again))


@pytest.mark.parametrize(
    ("curve_text", "item_text"),
    [
        (CURVE.replace('"fit"', '"check"'), MEDIAN),
        (CURVE, MEDIAN.replace('"fit"', '"check"')),
        (CURVE, MEDIAN.replace('"pfs_median"', '"dor_median"')),
        (CURVE.replace("role ", 'group = "high risk"\nrole '), MEDIAN),
    ],
    ids=["curve checked", "median checked", "another endpoint", "other patients"],
)
def test_what_does_not_count_twice_is_read(tmp_path: Path, curve_text: str, item_text: str) -> None:
    assert len(read_study(evidence_file(tmp_path, curve_text, item_text)).items) == 6


def test_the_duration_of_response_is_always_about_responders(tmp_path: Path) -> None:
    durations = CURVE.replace('"pfs"', '"dor"').replace("role ", 'group = "responders"\nrole ')
    with pytest.raises(EvidenceError, match="count twice"):
        read_study(evidence_file(tmp_path, durations, MEDIAN.replace('"pfs_median"', '"dor_median"')))


# ---------------------------------------------------------------------------------------------------- wrong curves
@pytest.mark.parametrize(
    ("before", "after", "said", "kind"),
    [
        ('"pfs"', '"os"', "no endpoint 'os'", UnknownNameError),
        ('"fit"', '"fitt"', "no role 'fitt'. Did you mean 'fit'", UnknownNameError),
        ("quote ", "qoute ", "no key 'qoute'. Did you mean 'quote'", UnknownNameError),
        ("points ", "# points ", "'points' is missing", FileError),
        ("[3, 90]", "[3, 90, 1]", "points.3", FileError),
        ("[3, 90]", "[3, 190]", "survival = 190 at time 3; expected 0 to 100", EvidenceError),
        ("[3, 90]", "[3, 60]", "belongs to a rise", EvidenceError),
        ("[3, 90]", "[1.5, 90]", "time 1.5 comes after 2; sort", EvidenceError),
        ("[3, 37]", "[3, 47]", "47 at risk at time 3 after 40 before", EvidenceError),
        ("[24, 0]", "[30, 2]", "2 at risk at time 30, and the last point is at 24", EvidenceError),
        ("[0, 40], ", "", "must begin with the number of patients at time 0", EvidenceError),
        ("[9, 24]", "[9, 29]", "are these the numbers of another arm", EvidenceError),
        ('quote    = "Figure 2: progression-free survival"', "", "quote = '' and role = 'fit'", EvidenceError),
        ("role ", "events = 60\nrole ", "events = 60 of 40 patients", EvidenceError),
        ("role ", 'scenario = "later"\nrole ', "no scenario 'later'", UnknownNameError),
    ],
)
def test_a_wrong_curve_is_refused_with_file_curve_and_value(
    tmp_path: Path, before: str, after: str, said: str, kind: type[InputError]
) -> None:
    with pytest.raises(InputError) as caught:
        read_study(evidence_file(tmp_path, CURVE.replace(before, after, 1)))
    assert caught.type is kind
    assert said in str(caught.value)
    assert "trial_1.toml" in str(caught.value)


def test_fractions_are_not_taken_for_percentages(tmp_path: Path) -> None:
    points = "points   = [[0, 1.0], [6, 0.75], [12, 0.5], [18, 0.35], [24, 0.3]]"
    lines = [points if line.startswith("points") else line for line in CURVE.splitlines()]
    with pytest.raises(EvidenceError, match="the highest point is 1; expected pairs of months and percent"):
        read_study(evidence_file(tmp_path, "\n".join(lines)))


def test_a_scenario_is_followed_until_the_end_of_its_curve(tmp_path: Path) -> None:
    scenario = '\n[[scenario]]\nname = "later"\nplan = "ide-cel"\npopulation = "late_line"\nmonths = {}\n'
    text = CURVE.replace("role ", 'scenario = "later"\nrole ', 1)
    with pytest.raises(EvidenceError, match=r"scenario 'later' has months = 18\.0; the curve needs at least 24"):
        read_study(evidence_file(tmp_path, text, scenario.format(18)))
    assert len(read_study(evidence_file(tmp_path, text, scenario.format(24))).items) == 5


def test_an_id_is_used_once_also_by_curves(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="curve 'trial_1_pfs': id 'trial_1_pfs' is used already"):
        read_study(evidence_file(tmp_path, CURVE, CURVE.replace("X001", "X002")))
    evidence_file(tmp_path, CURVE)
    (tmp_path / "trial_2.toml").write_text(HEADER + CURVE.replace("X001", "X002"), encoding="utf-8")
    with pytest.raises(EvidenceError, match=r"trial_2\.toml, curve 'trial_1_pfs': id .* already in trial_1\.toml"):
        read_studies(tmp_path)
