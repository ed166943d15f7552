"""An experiment does the same whether it is started by the command, as a script, or by `python -m`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.reports.registry import all_experiments

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--patients", "10", "--draws", "2", "--patients-per-draw", "10")
WAYS = {
    "the command": ("-m", "perdure", "run", "typical_patient"),
    "a script": (str(ROOT / "experiments" / "typical_patient.py"),),
    "a module": ("-m", "perdure.experiments.typical_patient"),
}


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, in a folder."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "120"},
    )  # fmt: skip


def test_every_way_to_start_an_experiment_writes_the_same_numbers(tmp_path: Path) -> None:
    numbers, said = {}, {}
    for way, arguments in WAYS.items():
        folder = tmp_path / way
        folder.mkdir()
        done = started(folder, *arguments, *SMALL)
        assert done.returncode == 0, done.stderr
        (run,) = (folder / "runs").iterdir()
        numbers[way] = (run / "numbers.csv").read_text(encoding="utf-8")
        said[way] = done.stdout.replace(run.name, "RUN")
    assert len(set(numbers.values())) == len(set(said.values())) == 1
    assert "Report: runs/RUN/report.html" in said["a script"]


def test_a_mistake_in_a_script_ends_as_that_of_the_command(tmp_path: Path) -> None:
    done = started(tmp_path, *WAYS["a script"], "--patients", "-5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("perdure: patients = -5; expected at least 10")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [entry.name for entry in all_experiments()])
def test_the_last_lines_of_every_experiment_start_it(name: str) -> None:
    text = (ROOT / "experiments" / f"{name}.py").read_text(encoding="utf-8")
    start = (
        'if __name__ == "__main__":  # the same options as `perdure run`\n'
        "    from perdure.app.main import run_script\n\n"
        "    run_script(__file__)\n"
    )
    assert text.endswith(start)
