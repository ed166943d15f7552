"""What is shown of a user's own patients: shrinkage, residuals, predictive check, pictures, the command."""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from perdure.app.patients import patients
from perdure.fitting.patients.data import Longitudinal, Subject, read_measurements
from perdure.fitting.patients.map_fit import individual_fit
from perdure.fitting.patients.mechanistic import mechanistic, mechanistic_model, with_immunity
from perdure.fitting.patients.structure import PopulationModel
from perdure.parameters.errors import InputError, UnknownNameError
from perdure.reports.figures.patients import fits_picture
from perdure.reports.patients_report import KINDS, bins, check_of, drawn_below, run, shrinkage_of

FILE = Path(__file__).parent.parent / "data" / "simulated_patients.csv"


@cache
def model() -> PopulationModel:
    return mechanistic_model("ide_cel", "late_line")


@cache
def data() -> Longitudinal:
    return read_measurements(FILE)


# Checks


def test_shrinkage_is_one_for_patients_without_information_and_unknown_for_one_patient() -> None:
    fits = [replace(individual_fit(model(), data().subject("SIM05")), eta=np.zeros(len(model().typical)))] * 3
    assert set(shrinkage_of(model(), fits).values()) == {1.0}
    assert all(np.isnan(value) for value in shrinkage_of(model(), fits[:1]).values())


def test_residuals_of_hidden_values_lie_below_the_limit_and_are_normal_if_the_limit_is_far_above() -> None:
    rng = np.random.default_rng(3)
    assert np.all(drawn_below(np.full(1000, -1.0), rng) <= -1.0)
    free = drawn_below(np.full(4000, 40.0), rng)
    assert abs(free.mean()) < 0.06
    assert free.std() == pytest.approx(1.0, abs=0.05)
    assert drawn_below(np.array([-60.0]), rng) == pytest.approx(-60.0)


def test_data_simulated_from_the_model_lie_in_the_bands_of_its_predictive_check() -> None:
    rng = np.random.default_rng(4)
    one = Subject("one", np.array([7.0, 14.0, 28.0]), np.full(3, "car_t"), np.ones(3), np.zeros(3, dtype=bool))
    eta = rng.multivariate_normal(np.zeros(len(model().typical)), model().omega, size=60)
    values = model().values(eta)
    prone = rng.uniform(size=60) < mechanistic(model()).share_immune
    people = []
    for k in range(60):
        way = with_immunity(model(), bool(prone[k]))
        value = way.residual["car_t"].simulate(way.structure.predict(values[k : k + 1], [one])[0], rng)
        people.append(replace(one, id=str(k), value=value))
    check = check_of(model(), people, KINDS, replicates=100)[0]
    inside = (check.observed >= check.low) & (check.observed <= check.high)
    assert inside.mean() >= 7 / 9
    assert np.all(check.below == 0.0)


def test_bins_are_distinct_days_or_quantiles_of_them() -> None:
    assert bins(np.array([7.0, 0.0, 7.0, 28.0])).tolist() == [1, 0, 1, 2]
    many = bins(np.arange(100.0))
    assert many.min() == 0
    assert np.all(np.bincount(many) > 5)


# Command line


def typed(*arguments: str) -> Result:
    app = Typer()
    app.command()(patients)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_writes_estimates_progression_and_pictures(tmp_path: Path) -> None:
    done = typed(str(FILE), "--subject", "SIM05", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "SIM05" in done.output
    assert "not medical advice" in done.output
    folder = next(tmp_path.iterdir())
    names = {path.name for path in folder.iterdir()}
    pictures = {"fits", "observed_predicted", "residuals", "deviations"}
    assert {"estimates.csv", "progression.csv", "report.html", *(f"{name}.png" for name in pictures)} <= names
    with (folder / "progression.csv").open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert float(row["low_day"]) <= float(row["median_day"]) <= float(row["high_day"])
    with (folder / "fits.csv").open(encoding="utf-8") as file:
        drawn = [row for row in csv.DictReader(file) if row["series"] == "limit of a value below it"]
    assert len(drawn) == int(data().subject("SIM05").below.sum())


@pytest.mark.parametrize(
    ("option", "value"),
    [("--structure", "kinetic"), ("--fit", "populatoin"), ("--subject", "SIM5"), ("--product", "ide")],
)
def test_a_name_that_is_not_there_has_near_matches(option: str, value: str, tmp_path: Path) -> None:
    done = typed(str(FILE), option, value, "--out", str(tmp_path))
    assert isinstance(done.exception, UnknownNameError)
    assert list(tmp_path.iterdir()) == []


def test_a_population_of_one_patient_is_refused() -> None:
    alone = replace(data(), subjects=data().subjects[:1])
    with pytest.raises(InputError, match="population of one patient"):
        run(alone, fit="population")


def test_nobody_to_draw_is_an_error() -> None:
    with pytest.raises(InputError, match="no patients to draw"):
        fits_picture([], KINDS)
