"""Each experiment answers its question in numbers, and keeps to what must hold of them."""

import importlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import perdure
from perdure.experiments import overview, typical_patient
from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.posterior import Sizes
from perdure.fitting.studies import read_studies
from perdure.model.processes.tumour import growth_rate
from perdure.model.simulate import Solver
from perdure.parameters.errors import RangeError, UnknownNameError
from perdure.reports.projection_report import named_in_full
from perdure.reports.registry import all_experiments, find_report
from perdure.reports.settings import Settings
from perdure.trials.compare import compare
from perdure.trials.measures import RESTRICTED_PFS
from perdure.trials.standard_regimens import default_arms
from perdure.trials.typical_patient import OTHER_DEATHS, TypicalCourse, typical_values

SOLVER = Solver(rtol=1e-5, workers=1)
# The numbers before any fit, so that what must hold does not hang on the latest calibration.
UNFITTED = Calibration("unfitted", estimate={}, draws=[{}, {}, {}], misfits={}, shrinkage={}, about={})
EXPERIMENTS = [entry.name for entry in all_experiments()]


@cache
def courses(draws: int = 3) -> tuple[TypicalCourse, ...]:
    return typical_patient.run(UNFITTED, draws=draws, solver=SOLVER)


# Every experiment


def test_every_experiment_asks_a_question_and_says_how_long_it_takes() -> None:
    assert {"expansion_threshold", "overview", "typical_patient"} <= set(EXPERIMENTS)
    for entry in all_experiments():
        assert entry.question.endswith("?")
        assert entry.time


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_numbers_to_run_and_a_report_to_write(name: str) -> None:
    assert callable(importlib.import_module(f"perdure.experiments.{name}").run)
    assert callable(find_report(name))


@pytest.mark.parametrize("way", [("experiments/typical_patient.py",), ("-m", "perdure.experiments.typical_patient")])
def test_a_script_does_what_the_command_does(way: tuple[str, ...], tmp_path: Path) -> None:
    root = Path(perdure.__file__).resolve().parent
    command = [sys.executable, *(str(root / part) if part.endswith(".py") else part for part in way)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [*command, "--draws", "2", "--out", "mine"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    (folder,) = (tmp_path / "mine").iterdir()
    assert f"Report: mine/{folder.name}/report.html" in done.stdout
    assert (folder / "numbers.csv").is_file()


def test_an_experiment_that_is_not_there_has_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no experiment 'overveiw'\. Did you mean 'overview'\?"):
        find_report("overveiw")


@pytest.mark.parametrize(
    ("size", "value"), [("patients", 9), ("patients_per_draw", -5), ("draws", 1), ("seed", -1)]
)  # fmt: skip
def test_a_size_that_cannot_be_is_refused(size: str, value: int) -> None:
    with pytest.raises(RangeError, match=rf"{size} = {value}; expected"):
        Settings(**{size: value})  # pyright: ignore[reportArgumentType]


# Overview


def test_the_overview_holds_every_fitted_result_of_an_arm_and_every_default_arm() -> None:
    labels: list[str] = []
    rows, projections = overview.run(sizes=Sizes(20, 2, 10, progress=lambda label, *_: labels.append(label)))
    # what was reported of other therapies and of later lines stands in the catalogue
    items = [item for study in read_studies() for item in study.items if not item.scenario]
    fitted = {item.id for item in items if item.role == "fit"}
    assert fitted == {row.item.id for row in rows if row.item.role == "fit"}
    names = {product: [arm.name for arm in arms] for product, arms in default_arms().items()}
    assert {product: [arm.name for arm in projection.arms] for product, projection in projections.items()} == names
    assert list(dict.fromkeys(labels)) == ["fit table", "ide-cel", "cilta-cel"]


def test_the_report_of_the_overview_names_every_arm_in_full_and_prints_no_table_of_every_number(tmp_path: Path) -> None:
    settings = Settings(patients=20, draws=2, patients_per_draw=10, folder=tmp_path)
    answer = overview.report(settings, UNFITTED)
    assert {row.arm for row in answer.numbers} == {
        f"{product} {what}"
        for product in ("ide-cel", "cilta-cel")
        for what in ("alone", "+ lenalidomide", "+ GSI", "+ both")
    }
    every_number = answer.tables[-1]
    assert answer.for_reference == (every_number.title,)
    assert [row[0] for row in every_number.rows] == list(UNFITTED.parameters())
    assert list(tmp_path.iterdir()) == []  # a report is handed over, and written by who asked for it


def test_a_product_alone_gains_nothing_over_itself_and_rests_on_reported_efficacy() -> None:
    arms = default_arms()["ide_cel"][:2]
    comparison = compare(arms, sizes=Sizes(40, 2, 20), months=24.0, solver=SOLVER)
    gain = comparison.gain(arms[0].name, RESTRICTED_PFS)
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)
    alone, with_drug = comparison.provenance
    assert alone.calibrated
    assert not with_drug.calibrated
    assert "lenalidomide" in with_drug.reason
    for arm, result in zip(comparison.arms, comparison.results, strict=True):
        assert comparison.band(arm.name).shape == (2, 25)
        assert result.outcomes.cause_share().sum() == pytest.approx(1.0, abs=1e-9)
    without, beside = comparison.results
    np.testing.assert_array_equal(without.outcomes.death, beside.outcomes.death)
    (named,) = named_in_full({"ide_cel": comparison})
    assert [arm.name for arm in named.arms] == ["ide-cel alone", "ide-cel + lenalidomide"]
    assert named.gain("ide-cel + lenalidomide", RESTRICTED_PFS) == comparison.gain("+ lenalidomide", RESTRICTED_PFS)


# Typical patient


def test_a_typical_patient_has_none_of_the_traits_that_are_there_or_not() -> None:
    parameters = UNFITTED.parameters()
    values = typical_values(parameters, "ide_cel", "late_line")
    for name, value in parameters.typical("ide_cel", "late_line").items():
        absent = parameters[name].drawn_with or name in OTHER_DEATHS
        assert values[name] == (0.0 if absent else value)


@pytest.mark.parametrize("index", [0, 1])
def test_the_tumour_is_smallest_where_growth_overtakes_killing(index: int) -> None:
    course = courses()[index]
    solution, values = course.solution, course.values
    tumour = solution["tumour"][0]
    lowest = int(tumour.argmin())
    net = growth_rate(values, tumour[None, :])[0] - solution["kill_pressure"][0] * solution["susceptibility"][0]
    assert 0 < lowest < len(tumour) - 1
    assert net[lowest - 1] < 0.0 < net[lowest + 1]
    assert course.dates["tumour at its smallest, day"].value == solution.times[lowest]


@pytest.mark.parametrize("index", [0, 1])
def test_what_happens_to_a_typical_patient_happens_in_order(index: int) -> None:
    dates = {name: date.value for name, date in courses()[index].dates.items()}
    peak, shown = dates["CAR-T cells at their peak, day"], dates["visit that shows progression, day"]
    assert 0.0 < peak < dates["tumour at its smallest, day"] < dates["progression by the marker, day"] <= shown
    assert dates["partial response first seen, day"] < dates["progression by the marker, day"]
    assert dates["BCMA at its lowest, molecules/cell"] < dates["BCMA before, molecules/cell"]


def test_the_estimate_does_not_depend_on_how_many_draws_stand_beside_it() -> None:
    for alone, among in zip(courses(0), courses(), strict=True):
        assert {name: date.value for name, date in alone.dates.items()} == {
            name: date.value for name, date in among.dates.items()
        }
        assert all(np.isnan(date.low) for date in alone.dates.values())
        assert alone.response == among.response
