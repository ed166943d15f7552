"""What a user types: commands answer, a mistake ends in one sentence and exit code 2, nothing is half-written."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_experiments import OPTIONS

import perdure
from perdure.app import inspection
from perdure.app.main import app
from perdure.fitting.calibration.calibration import read_calibration
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.object_cache import cache_folder
from perdure.model.myeloma import myeloma
from perdure.parameters.errors import RunError
from perdure.reports.registry import all_experiments, checked_experiments
from perdure.reports.report import NOT_ADVICE

START = "from perdure.app.main import main; main()"
HEAVY = {"cma", "jinja2", "matplotlib", "llvmlite", "numpy", "pint", "scipy", "sympy"}  # typer may load pydantic itself
COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]
TABLES = {  # what these write, at least
    "overview": {"fit_table.csv", "projections.csv", "pfs_ide_cel.csv", "pfs_cilta_cel.csv", "causes.csv", "gain.csv"},
    "expansion_threshold": {"split.csv", "pfs_by_peak.csv", "gain_by_peak.csv"},
    "typical_patient": {"dates.csv", "tumour.csv", "cells.csv"},
    "catalogue": {"results.csv", "therapies.csv", "results_fit.csv", "results_check.csv"},
    "antigen_escape": {"density_course.csv", "escape_gain.csv", "escape_pfs.csv", "escape_causes.csv"},
    "secretase_timing": {"secretase_gain.csv", "secretase_chance.csv", "secretase_course.csv", "secretase_groups.csv"},
    "sequence_order": {"order_gain.csv", "order_pfs2.csv", "order_exhaustion.csv", "order_interval_control.csv"},
    "target_switch": {"switch_lost.csv", "switch_pfs.csv", "switch_groups.csv", "switch_why.csv"},
    "salvage": {"salvage.csv", "reported.csv", "salvage_gain.csv", "salvage_pfs.csv"},
}

Perdure = Callable[..., tuple[int, str, str]]


def left_behind(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# Help


def test_help_names_every_command_and_says_what_perdure_is_not(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("--help")
    assert code == 0
    assert "Not medical advice." in out
    named = "run plan follow experiments project design compare report check fit validate patients explain reproduce"
    assert set(COMMANDS) == {*named.split(), "doctor"}
    for command in COMMANDS:
        assert f" {command} " in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, run_perdure: Perdure) -> None:
    code, out, _ = run_perdure(command, "--help")
    assert code == 0
    assert f"perdure {command}" in out


def test_the_version_is_that_of_the_package(run_perdure: Perdure) -> None:
    assert run_perdure("--version") == (0, f"perdure {perdure.__version__}", "")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(argument: str, tmp_path: Path) -> None:
    code = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); " + START
    done = subprocess.run(
        [sys.executable, "-c", code, argument], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stderr.split()
    assert "perdure.app.main" in loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


def test_the_list_of_experiments_holds_every_question(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("experiments")
    assert code == 0
    for entry in all_experiments():
        assert entry.name in out
        assert entry.question in out


# Explain


def test_a_parameter_is_explained_with_value_unit_range_source_and_use(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("explain", "k_kill_max")
    parameter = read_catalogue()["k_kill_max"]
    now = read_calibration().parameters()["k_kill_max"]
    assert code == 0
    assert f"{parameter.meaning} value {now.value:.5g} 1/day ({now.grade})" in out
    assert f"range {parameter.low:g} to {parameter.high:g} 1/day" in out
    assert "source assumed note Start value" in out
    assert "kill_pressure" in out
    assert "killing of tumour_1" in out


def test_a_number_from_a_paper_is_explained_with_its_citation_and_quote(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("explain", "density_bcma")
    assert code == 0
    assert "source Perica 2023, Blood" in out
    assert 'quote "the median BCMA expression decreased from 670' in out


def test_a_quantity_and_a_state_are_explained_with_their_formula(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("explain", "kill_pressure")
    assert code == 0
    assert "unit 1/day formula engaged*k_kill_max/" in out
    code, out, _ = run_perdure("explain", "effector")
    assert code == 0
    assert "unit cell/uL equation d effector/dt = " in out
    assert r"LaTeX \frac{d E}{dt} = " in out
    assert "effector*proliferation" in out


def test_all_equations_are_printed_as_latex_with_the_symbols_of_the_catalogue(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("explain", "equations")
    assert code == 0
    assert out.startswith(r"\begin{aligned}")
    assert out.endswith(r"\end{aligned}")
    assert out.count(r"}{dt} &= ") == len(myeloma(()).states)
    assert r"\frac{d E}{dt} &= " in out
    assert r"\mathrm{k\_" not in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("explain", "k_kil_max"), "There is no parameter, state or quantity 'k_kil_max'. Did you mean 'k_kill_max'"),
        (("run", "nosuch"), "There is no experiment 'nosuch'. "),
        (("run", "overvew"), "There is no experiment 'overvew'. Did you mean 'overview'?"),
        (("run", "--patients", "-5"), "patients = -5; expected at least 10"),
        (("run", "--patients-per-draw", "0"), "patients_per_draw = 0; expected at least 10"),
        (("run", "--draws", "0"), "draws = 0; expected at least 2"),
        (("run", "--seed", "-1"), "seed = -1; expected a whole number of at least 0"),
        (("run", "--calibration", "refrence"), "There is no calibration 'refrence'. Did you mean 'reference'?"),
        (("run", "--calibration", "missing.json"), "missing.json: there is no such file."),
        (("fit", "--patients", "1"), "arm = 1 virtual patients; expected at least 2."),
        (
            ("fit", "--out", "fit.txt"),
            "fit.txt: the calibration is written as .json or .json.gz; name it so, for example fit.json.",
        ),
        (("fit", "--out", "nowhere/fit.json"), "nowhere: there is no such folder for the calibration."),
    ],
)
def test_a_mistake_ends_in_one_sentence_and_leaves_nothing(
    arguments: tuple[str, ...], sentence: str, run_perdure: Perdure, tmp_path: Path
) -> None:
    code, out, err = run_perdure(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"perdure: {sentence}")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("arguments", [("run", "--patients", "many"), ("run", "--nosuch"), ("nosuch",), ("explain",)])
def test_what_no_command_knows_ends_with_exit_code_2(arguments: tuple[str, ...], run_perdure: Perdure) -> None:
    code, out, err = run_perdure(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "Error" in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is not a calibration"),
        ("{ not json", "is not a calibration"),
        ("[1, 2]", "is not a calibration of format 1"),
        ('{"format": 1, "name": "mine"}', "'estimate' is missing."),
    ],
)
@pytest.mark.parametrize("command", ["run", "explain k_kill_max"])
def test_a_calibration_that_is_none_ends_in_one_sentence(
    command: str, content: str, sentence: str, run_perdure: Perdure, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(content, encoding="utf-8")
    code, out, err = run_perdure(*command.split(), "--calibration", "mine.json")
    assert (code, out) == (2, "")
    assert err.startswith("perdure: mine.json: ")
    assert sentence in err
    assert left_behind(tmp_path) == ["mine.json"]


def test_runs_are_not_put_where_a_file_is(run_perdure: Perdure, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file", encoding="utf-8")
    code, out, err = run_perdure("run", "typical_patient", *OPTIONS)
    assert (code, out, err) == (2, "", "perdure: runs: runs are kept in a folder, and this is a file.")


# Run


@pytest.mark.parametrize("name", [entry.name for entry in all_experiments()])
def test_an_experiment_writes_its_report_and_says_where(name: str, experiment_run: Callable[[str], Any]) -> None:
    run = experiment_run(name)
    assert (run.code, run.err) == (0, "")
    folder, out = run.folder, run.out
    where = folder.relative_to(run.place)
    assert re.fullmatch(rf"{name}-\d{{8}}-\d{{6}}", folder.name)
    assert f"Report: {where}/report.html" in out
    assert out.endswith(f"beside it in {where}")
    written = {path.name for path in folder.iterdir()}
    assert written >= TABLES.get(name, set()) | {"report.html", "report.json", "manifest.json"}
    assert "numbers.csv" in written or name not in checked_experiments()
    # of so few patients too few have lost the antigen for a finding about them
    assert "findings.csv" in written or name not in checked_experiments() or name == "failure_triage"
    assert {path.stem for path in folder.glob("*.svg")} <= {path.stem for path in folder.glob("*.csv")}
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert len(list(csv.reader(file))) > 1, path.name
    assert NOT_ADVICE in (folder / "report.html").read_text(encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == f"perdure run {name} {' '.join(OPTIONS)}"
    assert {entry["path"] for entry in manifest["outputs"]} == written - {"manifest.json"}


def test_a_computation_that_fails_ends_with_exit_code_1(run_perdure: Perdure, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(symbol: str, calibration: str) -> str:
        raise RunError(f"{symbol} and {calibration} failed on purpose.")

    monkeypatch.setattr("perdure.app.inspection.explain_symbol", fail)
    assert run_perdure("explain", "k_kill_max") == (1, "", "perdure: k_kill_max and reference failed on purpose.")


def test_an_interrupted_run_leaves_nothing_half_written(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    # A process that was started in the background inherits an ignored SIGINT; a terminal's does not.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); " + START
    command = [sys.executable, "-c", listening, "run", "expansion_threshold", "--draws", "200"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (runs.is_dir() and list(runs.iterdir())):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert left_behind(tmp_path) == ["runs"]


# Doctor


def test_doctor_finds_this_installation_in_order(run_perdure: Perdure) -> None:
    code, out, _ = run_perdure("doctor")
    assert code == 0
    assert "FAIL" not in out
    assert str(cache_folder()) in out
    for what in ("Python", "libraries", "cores", "model", "evidence", "calibration", "engine"):
        assert f"ok {what}:" in out


def test_doctor_says_what_is_wrong_and_ends_with_exit_code_1(
    run_perdure: Perdure, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnosis = inspection.Diagnosis("folder for runs", "it cannot be written", False)
    monkeypatch.setattr(inspection, "examine", lambda: [diagnosis])
    code, out, _ = run_perdure("doctor")
    assert (code, out) == (1, "FAIL folder for runs: it cannot be written")
