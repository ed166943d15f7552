"""The table beside projected sequences: every reported result of a later line, and nothing else."""

from perdure.experiments.later_lines import reported_table
from perdure.fitting.calibration import read_calibration
from perdure.fitting.predictions import can_predict
from perdure.fitting.reported import read_studies


def test_every_result_of_a_later_line_stands_beside_the_model() -> None:
    found = reported_table(read_calibration(), patients=40)
    asked = [
        (study.study, item.text)
        for study in read_studies()
        for item in study.items
        if item.scenario and study.scenario(item.scenario).line > 1 and item.role in {"fit", "check"}
        if can_predict(item)
    ]
    rows = [dict(zip(found.columns, map(str, row), strict=True)) for row in found.rows]
    assert [(row["study"], row["reported"]) for row in rows] == asked
    assert ("Hu 2023", "< 30.0 %") in asked
    for row in rows:
        assert row["given"].startswith("Day 0: ")
        assert "after" in row["given"].lower() or "progression" in row["given"].lower(), row["given"]
        float(row["misfit"])
