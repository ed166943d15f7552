"""The table beside projected sequences: every reported result of a later line, and nothing else."""

from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.calibration.predictions import can_predict
from perdure.fitting.studies import read_studies
from perdure.model.regimens.sentence import read_plan
from perdure.reports.line_report import reported_of_later_lines
from perdure.trials.provenance import Provenance, provenance_of_plan


def test_every_result_of_a_later_line_stands_beside_the_model() -> None:
    reported = reported_of_later_lines(read_calibration(), patients=40)
    asked = [
        (study.study, item.text)
        for study in read_studies()
        for item in study.items
        if item.scenario and study.scenario(item.scenario).line > 1 and item.role in {"fit", "check"}
        if can_predict(item)
    ]
    rows = [dict(zip(reported.columns, map(str, row), strict=True)) for row in reported.rows]
    assert [(row["study"], row["reported"]) for row in rows] == asked
    assert ("Hu 2023", "< 30.0 %") in asked
    for row in rows:
        assert row["given"].startswith("Day 0: ")
        assert "after" in row["given"].lower() or "progression" in row["given"].lower(), row["given"]
        float(row["misfit"])


def test_a_sequence_rests_on_its_own_results_or_says_what_is_missing() -> None:
    studies = read_studies()
    fitted = read_plan("ide-cel; at progression talquetamab")
    assert provenance_of_plan(fitted, "late_line", studies) == Provenance(
        True, "this sequence was fitted to MonumenTAL-1"
    )
    missed = provenance_of_plan(fitted, "late_line", studies, ("jakubowiak_2023_prior_car_t_orr",))
    assert not missed.calibrated
    assert missed.reason == "the fit misses what was reported of this sequence (MonumenTAL-1)"
    for plan, population in ((fitted, "mixed_line"), (read_plan("ide-cel; at progression venetoclax"), "late_line")):
        provenance = provenance_of_plan(plan, population, studies)
        assert not provenance.calibrated
        assert "this sequence was not fitted" in provenance.reason


def test_the_shipped_fit_names_the_results_that_it_misses() -> None:
    shipped = read_calibration()
    assert "hu_2023_same_product_again_orr" in shipped.missed
    assert "crb_401_pfs_median" not in shipped.missed
    assert all(abs(row["misfit"]) <= 2.0 for name, row in shipped.misfits.items() if name not in shipped.missed)
