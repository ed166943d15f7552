"""`perdure plan` says a plan back before anything runs; `perdure follow` runs it, line by line."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.model.regimens.event_table import read_events
from perdure.model.regimens.sentence import read_plan

Perdure = Callable[..., tuple[int, str, str]]
WORDS = (
    "ide-cel 450e6 cells day 0; lenalidomide 10 mg days 1-21 of 28 from day 30 for 2 cycles; at progression talquetamab"
)


def test_a_plan_is_said_back_in_full(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("plan", WORDS)
    assert code == 0
    assert "450 million cells on day 0" in out
    assert "lenalidomide 10 mg, 42 doses from day 30 to day 78" in out
    assert "At progression: talquetamab" in out
    again = read_plan(out.split("As a sentence: ")[1])
    assert [line.regimen.doses for line in again.lines] == [line.regimen.doses for line in read_plan(WORDS).lines]


def test_a_plan_can_stand_in_a_file_and_its_doses_go_into_an_event_table(run_perdure: Perdure, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("ide-cel  # cells\nlenalidomide 10 mg daily from day 30 for 7 days\n")
    code, out, _ = run_perdure("plan", "mine.txt", "--events", "mine.csv")
    assert code == 0
    assert "7 doses" in out
    assert read_events(tmp_path / "mine.csv").total("lenalidomide") == 70.0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("ide-cell", "There is no therapy 'ide-cell'"),
        ("ide-cel; lenalidomide 10 furlongs daily for 7 days", "furlongs"),
        ("ide-cel; lenalidomide 10 mg daily", "without an end|no end|does not end|for|until"),
        ("lenalidomide maintenance 10 mg daily from day 0 for 7 days; ide-cel day 30", "maintenance"),
    ],
)
def test_a_mistake_in_a_plan_is_one_sentence_and_nothing_runs(words: str, complaint: str, run_perdure: Perdure) -> None:
    code, out, error = run_perdure("plan", words)
    assert code == 2
    assert not out
    assert error.startswith("perdure: ")
    assert re.search(complaint, error)


def test_following_a_plan_reports_every_line_with_its_standing(run_perdure: Perdure) -> None:
    sizes = ("--patients", "40", "--draws", "2", "--patients-per-draw", "30", "--months", "6")
    code, out, _ = run_perdure("follow", "ide-cel; at progression selinexor", *sizes)
    assert code == 0
    for words in ("line 1", "come to this line", "median PFS", "line 2, extrapolated: ", "not medical advice"):
        assert words in out
    assert "line 1, calibrated" in out
    code, out, _ = run_perdure("follow", "ide-cel; at progression selinexor", "--line", "2", *sizes)
    assert code == 0
    assert "line 1" not in out
