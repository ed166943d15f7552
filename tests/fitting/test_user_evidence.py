"""Evidence of a user beside what the shipped calibration predicts: the command, its warnings and its errors."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from perdure.app.evidence import validate
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.studies import read_studies
from perdure.fitting.validation.user_evidence import SIZES, already_used, read_user_evidence, validate_user_evidence
from perdure.parameters.errors import EvidenceError, FileError, InputError

# ------------------------------------------------------------------------------------------------ a user's own evidence
OWN = """
study = "Own trial"
title = "Ide-cel at one centre."
time_zero = "first infusion"
product = "ide_cel"
population = "late_line"
visit_interval_days = 28
n = 40

[[item]]
id = "own_orr"
endpoint = "orr"
kind = "proportion"
value = 80.0
unit = "%"
n = 40
events = 32
role = "context"

[[item]]
id = "own_severe_crs"
endpoint = "severe_crs_rate"
kind = "proportion"
value = 5.0
unit = "%"
n = 40
events = 2
role = "context"
"""
ARGUMENTS = ["--patients", "60", "--draws", "3", "--patients-per-draw", "40"]


def command(*arguments: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(validate)
    done = CliRunner().invoke(app, list(arguments))
    return " ".join(done.output.split()), done.exception


def test_a_user_s_evidence_is_predicted_whatever_its_role_with_both_intervals(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN, encoding="utf-8")
    calibration = read_calibration()
    sizes = replace(SIZES, patients=100, draws=5, patients_per_draw=60)
    validation = validate_user_evidence(read_user_evidence(file), calibration, sizes=sizes)
    assert [row.fit.item.id for row in validation.rows] == ["own_orr"]
    assert validation.not_computed == ("own_severe_crs",)
    assert validation.warnings == ()
    row = validation.rows[0]
    # forty patients add sampling error to what is uncertain about parameters
    sampling = 2.0 * 1.96 * 100.0 * math.sqrt(row.fit.model / 100.0 * (1.0 - row.fit.model / 100.0) / 40)
    width = row.prediction.highs[-1] - row.prediction.lows[-1]
    assert width > 0.85 * max(sampling, row.fit.high - row.fit.low)
    assert row.prediction.inside[-1] == (row.prediction.lows[-1] <= 80.0 <= row.prediction.highs[-1])
    assert validation.coverage()[0].total == 1
    assert read_user_evidence(tmp_path) == read_user_evidence(file)


def test_the_command_prints_the_table_and_warns_of_what_was_fitted(tmp_path: Path) -> None:
    fitted = next(
        one
        for study in read_studies()
        for one in study.items
        if one.role == "fit" and one.kind == "proportion" and one.quote
    )
    copied = OWN.replace("value = 80.0", f'value = {fitted.value}\nquote = """{fitted.quote}"""')
    copied = copied.replace("n = 40\nevents = 32", f"n = {fitted.n}")
    file = tmp_path / "own.toml"
    file.write_text(copied, encoding="utf-8")
    said, problem = command(str(file), *ARGUMENTS)
    assert problem is None
    assert f"Warning: own.toml, item 'own_orr': same quote and value as '{fitted.id}' in the fit" in said
    assert "Own trial ORR" in said
    assert "in 95 % intervals" in said
    assert "Not computed by the model: own_severe_crs." in said
    renamed = read_user_evidence(file)[0].model_copy(update={"items": (fitted,)})
    assert "same id in the fit" in already_used([renamed], read_calibration(), read_studies())[0]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (None, FileError, "there is no such file or folder"),
        (OWN.replace('"%"', '"percent"'), InputError, "unit = 'percent'"),
        (OWN.replace("events = 32", "events = 48"), EvidenceError, "events = 48 of n = 40"),
        (OWN.replace('product = "ide_cel"', ""), EvidenceError, "computes none of the 2 results"),
        ("", InputError, "expected"),
    ],
    ids=["missing", "unit", "events", "no product", "empty"],
)
def test_a_mistake_in_a_user_s_evidence_is_one_clear_error(
    text: str | None, kind: type[Exception], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    _, problem = command(str(file), *ARGUMENTS)
    assert isinstance(problem, kind)
    assert words in str(problem)
    assert "\n" not in str(problem)
