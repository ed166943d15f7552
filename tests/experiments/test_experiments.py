"""Each experiment answers its question in numbers, and keeps to what must hold of them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from perdure.experiments import overview, typical_patient
from perdure.experiments.typical_patient import Course, typical_values
from perdure.fitting.calibration.calibration import Calibration
from perdure.fitting.studies import read_studies
from perdure.model.processes.tumour import growth_rate
from perdure.model.simulate import Solver
from perdure.parameters.errors import RangeError, UnknownNameError
from perdure.reports.registry import all_experiments, find_experiment
from perdure.reports.settings import Settings
from perdure.trials import projection
from perdure.trials.provenance import default_scenarios

SOLVER = Solver(rtol=1e-5, workers=1)
# The numbers before any fit, so that what must hold does not hang on the latest calibration.
UNFITTED = Calibration("unfitted", estimate={}, draws=[{}, {}, {}], misfits={}, shrinkage={}, about={})
EXPERIMENTS = [entry.name for entry in all_experiments()]


@cache
def courses(draws: int = 3) -> tuple[Course, ...]:
    return typical_patient.run(draws=draws, calibration=UNFITTED, solver=SOLVER)


# The shelf


def test_every_experiment_asks_a_question_and_says_how_long_it_takes() -> None:
    assert {"expansion_threshold", "overview", "typical_patient"} <= set(EXPERIMENTS)
    for entry in all_experiments():
        assert entry.question.endswith("?")
        assert entry.time


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_numbers_to_run_and_a_report_to_write(name: str) -> None:
    module = find_experiment(name)
    assert callable(getattr(module, "run", None))
    assert callable(module.main)


def test_an_experiment_that_is_not_there_has_near_matches() -> None:
    with pytest.raises(UnknownNameError, match=r"There is no experiment 'overveiw'\. Did you mean 'overview'\?"):
        find_experiment("overveiw")


@pytest.mark.parametrize(
    ("size", "value"), [("patients", 9), ("patients_per_draw", -5), ("draws", 1), ("seed", -1)]
)  # fmt: skip
def test_a_size_that_cannot_be_is_refused(size: str, value: int) -> None:
    with pytest.raises(RangeError, match=rf"{size} = {value}; expected"):
        Settings(**{size: value})  # pyright: ignore[reportArgumentType]


# Overview


def test_the_overview_holds_every_fitted_result_of_an_arm_and_every_default_scenario(tmp_path: Path) -> None:
    told: list[str] = []
    settings = Settings(
        patients=20, draws=2, patients_per_draw=10, folder=tmp_path, progress=lambda label, *_: told.append(label)
    )
    rows, projections = overview.run(settings)
    # what was reported of other therapies and of later lines stands in the catalogue
    items = [item for study in read_studies() for item in study.items if not item.scenario]
    fitted = {item.id for item in items if item.role == "fit"}
    assert fitted == {row.item.id for row in rows if row.item.role == "fit"}
    assert [p.scenario.name for p in projections] == [scenario.name for scenario in default_scenarios()]
    assert {"fit table", "posterior draws"} <= set(told)
    assert list(tmp_path.iterdir()) == []


def test_a_product_alone_gains_nothing_over_itself_and_rests_on_reported_efficacy() -> None:
    alone, with_drug = projection.run(
        default_scenarios()[:2], patients=40, draws=2, patients_per_draw=20, months=24.0, solver=SOLVER
    )
    gain = alone.numbers["gain in restricted mean PFS, months"]
    assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)
    assert alone.footing.calibrated
    assert not with_drug.footing.calibrated
    assert "lenalidomide" in with_drug.footing.reason
    for found in (alone, with_drug):
        assert found.band.shape == (2, 25)
        assert sum(found.causes.values()) == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_array_equal(alone.trial.outcomes.death, with_drug.trial.outcomes.death)


# Typical patient


def test_a_typical_patient_has_none_of_the_traits_that_are_there_or_not() -> None:
    parameters = UNFITTED.parameters()
    values = typical_values(parameters, "ide_cel", "late_line")
    for name, value in parameters.typical("ide_cel", "late_line").items():
        absent = parameters[name].drawn_with or name in typical_patient.OTHER_DEATHS
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
