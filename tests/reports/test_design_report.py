"""The command `perdure design`: from a scenario file to power, assurance, pictures and the subjects of one trial."""

import csv
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from perdure.app.design import design as command
from perdure.app.design import numbers
from perdure.fitting.calibration.calibration import read_calibration
from perdure.fitting.posterior import Sizes, posterior_parameters
from perdure.model.simulate import Solver
from perdure.parameters.errors import FileError, InputError, RangeError, UnknownNameError
from perdure.reports.design_report import (
    as_text,
    effect_pictures,
    example_picture,
    notices,
    number_rows,
    percent,
    power_picture_of,
    power_table,
    sections_of,
    sentences,
    size_table,
)
from perdure.reports.report import Report, report_html
from perdure.reports.run_files import read_run
from perdure.trials.design_run import DesignResult, arm_of, for_endpoint, make_pools, read_design, run_design
from perdure.trials.pool import make_pool

SCENARIO = """
title = "Two products, a small trial"
population = "late_line"
[[arm]]
name  = "ide-cel"
given = "ide-cel"
[[arm]]
name  = "cilta-cel"
given = "cilta-cel"
[trial]
time_zero = "infusion"
patients = 40
accrual_months = 3
follow_up_months = 9
endpoint = "pfs"
"""
DRAWS = 2


def written(folder: Path, text: str = SCENARIO) -> Path:
    file = folder / "scenario.toml"
    file.write_text(text, encoding="utf-8")
    return file


@cache
def small_design() -> DesignResult:
    """A design that was simulated small; the file is not needed afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        design = read_design(written(Path(folder)))
    return run_design(
        design, read_calibration(), trial_sizes=(20, 60), trials=20, sizes=Sizes(80, DRAWS, 30, seed=5),
        trials_per_draw=6,
    )  # fmt: skip


def typed(*arguments: str) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


# The command


def test_the_command_writes_the_answer_the_pictures_and_the_subjects_of_one_trial(tmp_path: Path) -> None:
    small = ["--sizes", "20,60", "--trials", "10", "--pool", "60", "--draws", "2", "--pool-per-draw", "20"]
    done = typed(str(written(tmp_path)), *small, "--out", str(tmp_path / "runs"))
    assert done.exit_code == 0, done.output
    for word in ("assurance", "power", "Monte-Carlo", "truly better", "not medical advice", "Report: "):
        assert word in done.output
    folder = next((tmp_path / "runs").iterdir())
    for name in ("power", "true_hazard_ratio", "true_difference_in_restricted_mean_months", "example_trial"):
        assert all((folder / f"{name}.{kind}").stat().st_size > 50 for kind in ("png", "svg", "csv", "txt"))
    report = (folder / "report.html").read_text(encoding="utf-8")
    for word in ("Sample size", "Schoenfeld 1983", "Assurance", "Not medical advice", "extrapolated"):
        assert word in report
    subjects = rows(folder / "adsl.csv")
    assert len(subjects) == 40
    assert {row["TRT01P"] for row in subjects} == {"ide-cel", "cilta-cel"}
    times = rows(folder / "adtte.csv")
    assert sum(row["PARAMCD"] == "PFS" for row in times) == 40
    assert rows(folder / "adrs.csv")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"][0]["path"].endswith("scenario.toml")
    saved = read_run(folder)
    assert saved.numbers is not None
    assert "assurance with the patients planned" in {row.measure for row in saved.numbers}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


@pytest.mark.parametrize(
    ("changes", "arguments", "error", "said"),
    [
        ((), ("--arm", "cilta"), UnknownNameError, r"no arm beside the reference 'cilta'.*cilta-cel"),
        ((), ("--sizes", "100,many"), InputError, "whole numbers between commas"),
        ((), ("--sizes", "5"), RangeError, "at least 10 patients"),
        ((), ("--draws", "1"), RangeError, "draws = 1"),
        (("[trial]", "[other]"), (), UnknownNameError, "other"),
        (('endpoint = "pfs"', 'endpoint = "pfz"'), (), UnknownNameError, "pfz"),
        (("accrual_months = 3", "accrual_months = -3"), (), RangeError, "accrual_months = -3"),
    ],
)
def test_what_cannot_be_is_one_clear_error_and_leaves_no_run_behind(
    tmp_path: Path, changes: tuple[str, ...], arguments: tuple[str, ...], error: type[Exception], said: str
) -> None:
    file = written(tmp_path, SCENARIO.replace(changes[0], changes[1]) if changes else SCENARIO)
    done = typed(str(file), *arguments, "--out", str(tmp_path / "runs"))
    assert isinstance(done.exception, error)
    with pytest.raises(error, match=said):
        raise done.exception
    assert not list(tmp_path.glob("runs/*"))


def test_a_scenario_without_a_trial_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"scenario.toml: has no \[trial\]"):
        read_design(written(tmp_path, SCENARIO.partition("[trial]")[0]))


def test_sizes_are_read_in_any_order_and_once() -> None:
    assert numbers("400, 100,200,100,") == (100, 200, 400)
    assert numbers("") == ()


# The numbers


def test_the_patients_that_are_planned_are_always_among_the_sizes() -> None:
    result = small_design()
    assert result.curve.sizes.tolist() == [20, 40, 60]
    assert result.planned.patients == 40
    assert result.power[1] <= result.power[0] <= result.power[2]
    assert len(result.planned.power) == DRAWS
    assert result.example.arm.shape == (1, 40)


def test_one_seed_gives_the_same_pools_whether_alone_or_two_at_a_time() -> None:
    design, drawn = small_design().design, posterior_parameters(read_calibration(), 2)
    pools = make_pools(design, drawn, patients=20, seed=5)
    alone = make_pool(design, drawn[1], patients=20, seed=5, solver=Solver(rtol=1e-5, workers=1))
    assert np.array_equal(pools[1].course.progression, alone.course.progression)
    assert not np.array_equal(pools[0].course.progression, alone.course.progression)


def test_other_endpoints_get_their_usual_test_and_the_primary_one_keeps_its_own() -> None:
    design = replace(small_design().design, test="restricted_mean", restricted_months=6.0)
    assert for_endpoint(design, "pfs") is design
    assert for_endpoint(design, "os").test == "logrank"
    assert for_endpoint(design, "orr").test == "rate"
    assert arm_of(design, "") == 1


# What is shown


def test_every_picture_says_what_it_shows() -> None:
    pictures = [power_picture_of(small_design()), *effect_pictures(small_design())]
    example = example_picture(small_design())
    assert example is not None
    for picture in (*pictures, example):
        assert len(picture.alt) > 100
    assert len(pictures) == 3
    assert "uncertainty about parameters" not in " ".join(
        text.get_text() for legend in example.figure.legends for text in legend.get_texts()
    )


def test_the_report_says_what_is_extrapolated_and_keeps_its_uncertainties_apart() -> None:
    result = small_design()
    told = notices(result)
    assert any(line.startswith("cilta-cel: extrapolated.") for line in told)
    assert any("simulated" in line and "not medical advice" in line for line in told)
    third = replace(result.design.arms[1], name="third")
    design = replace(result.design, arms=(*result.design.arms, third))
    three = replace(result, design=design, provenance=(*result.provenance, result.provenance[0]))
    assert any("without correction" in line for line in notices(three))
    html = report_html(Report("A design", sections=sections_of(result), notices=told))
    for word in ("Monte-Carlo error", "the luck of its sample", "posterior draw", "Proportional hazards"):
        assert word in html


def test_the_first_sentence_is_assurance_then_power() -> None:
    result = small_design()
    said = sentences(result)
    assert said[0].index(percent(result.planned.value)) < said[0].index(percent(result.power[0]))
    never = replace(result, size=replace(result.size, patients=math.inf))
    assert "no gain to find" in sentences(never)[-1]
    beyond = replace(result, size=replace(result.size, within=False))
    assert "only a rough guess" in sentences(beyond)[-1]


def test_tables_hold_the_numbers_they_are_made_of() -> None:
    result = small_design()
    assert [row[0] for row in power_table(result).rows] == ["20", "40", "60"]
    table = {str(row[0]): row[1] for row in size_table(result).rows}
    assert table["true hazard ratio at the estimate"] == f"{result.truth.value('hazard ratio'):.3f}"
    assert "standard error" in size_table(result).note
    kept = {row.measure: row for row in number_rows(result)}
    assert kept["power with the patients planned"].value == 100 * result.power[0]
    ratio = kept["true hazard ratio, over draws"]
    assert ratio.low <= ratio.value <= ratio.high
    assert (ratio.kind, ratio.level) == ("parameters", 0.95)


def test_a_rate_is_shown_as_a_rate() -> None:
    design = replace(small_design().design, endpoint="cr", test="rate")
    result = run_design(
        design, read_calibration(), trial_sizes=(20,), trials=10, sizes=Sizes(40, 2, 20, seed=5), trials_per_draw=4
    )  # fmt: skip
    shown = sections_of(result)
    assert [picture.name for picture in shown[1].pictures] == ["true_rate_difference"]
    assert shown[2].tables[0].columns[-1] == "rate, %"
    assert "percentage points" in shown[1].pictures[0].alt
    assert "Fleiss" in str(size_table(result).rows)


def test_numbers_are_written_for_people() -> None:
    assert [percent(x) for x in (0.5, 0.012, 0.987, 1.0, 0.0)] == ["50 %", "1.2 %", "98.7 %", "100 %", "0 %"]
    assert as_text(math.inf) == "not reached"
    assert as_text(12345.0) == "12\u202f345"
    assert as_text(math.nan) == percent(math.nan) == "\u2013"
