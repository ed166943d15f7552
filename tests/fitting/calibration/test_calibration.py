"""A calibration as a file: what is written is read, draws keep what was fitted, each damage has its own message."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perdure.fitting.calibration.calibration import Calibration, read_calibration, rounded, write_calibration
from perdure.fitting.calibration.search_space import PRIOR_ONLY, SearchSpace, drawn_from_priors
from perdure.model.catalogue import read_catalogue
from perdure.parameters.errors import FileError, InputError, RangeError, UnknownNameError

CATALOGUE = read_catalogue()
MADE_UP = Calibration(
    name="made_up",
    estimate={"k_growth_tumour": 0.02, "ide_cel.half_density_kill": 300.0},
    draws=[
        {"k_growth_tumour": 0.018, "ide_cel.half_density_kill": 320.0},
        {"k_growth_tumour": 0.025, "ide_cel.half_density_kill": 260.0},
        {"k_growth_tumour": 0.021, "ide_cel.half_density_kill": 290.0},
    ],
    misfits={"trial_1_orr": {"model": 75.2, "misfit": -0.13}},
    shrinkage={"k_growth_tumour": 0.9, "ide_cel.half_density_kill": 0.4},
    about={"seed": 1},
)
FITTED = set(MADE_UP.estimate)


def damaged(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Path of a calibration file with one thing wrong."""
    path = folder / "made_up.json"
    write_calibration(MADE_UP, path)
    table = json.loads(path.read_text(encoding="utf-8"))
    change(table)
    path.write_text(json.dumps(table), encoding="utf-8")
    return str(path)


def complaint(name: str, kind: type[InputError] = FileError) -> str:
    with pytest.raises(InputError) as caught:
        read_calibration(name)
    assert caught.type is kind
    return str(caught.value)


# -------------------------------------------------------------------------------------------------- writing, reading
@pytest.mark.parametrize("name", ["made_up.json", "made_up.json.gz"])
def test_a_calibration_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_calibration(MADE_UP, path)
    assert read_calibration(str(path)) == MADE_UP
    assert [entry.name for entry in tmp_path.iterdir()] == [name]  # the draft is gone
    written = path.read_bytes()
    write_calibration(MADE_UP, path)
    assert path.read_bytes() == written  # no date of writing in it


def test_a_file_of_the_user_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "made_up.json"
    write_calibration(MADE_UP, path)
    assert read_calibration(str(path)).estimate["k_growth_tumour"] == pytest.approx(0.02)
    damaged(tmp_path, lambda table: table["estimate"].update(k_growth_tumour=0.03))
    assert read_calibration(str(path)).estimate["k_growth_tumour"] == pytest.approx(0.03)


def test_the_shipped_calibration_fits_the_catalogue() -> None:
    shipped = read_calibration()
    assert shipped is read_calibration("reference")
    assert len(shipped.draws) >= 2
    assert set(shipped.shrinkage) == set(shipped.estimate)
    for k in range(len(shipped.draws)):
        assert set(shipped.draws[k]) == set(shipped.estimate)
    fitted = shipped.parameters()
    for name in CATALOGUE:
        assert fitted[name].value == pytest.approx(shipped.estimate.get(name, CATALOGUE[name].value))
        assert (fitted[name].grade == "calibrated") == (name in shipped.estimate)


def test_values_of_a_point_have_five_digits_and_stay_inside_their_ranges() -> None:
    space = SearchSpace(tuple(name for name, parameter in CATALOGUE.items() if parameter.prior), CATALOGUE)
    for end in (-100.0, 100.0):
        CATALOGUE.with_values(rounded(space, np.full(space.size, end)))  # a value outside its range is an error
    for name, value in rounded(space, np.zeros(space.size)).items():
        assert value == pytest.approx(CATALOGUE[name].value, rel=1e-4)
        assert len(f"{value:.15g}".replace(".", "").split("e")[0].strip("0")) <= 5


# ------------------------------------------------------------------------------------------------------------- draws
def test_a_draw_keeps_what_was_fitted() -> None:
    for k, draw in enumerate(MADE_UP.draws):
        drawn = MADE_UP.draw(k)
        for name, value in draw.items():
            assert drawn[name].value == pytest.approx(value, rel=1e-12)


def test_a_draw_is_the_same_each_time() -> None:
    one, again = MADE_UP.draw(1), MADE_UP.draw(1)
    assert {name: one[name].value for name in one} == {name: again[name].value for name in again}


def test_the_numbers_of_drugs_are_drawn_from_their_priors_inside_their_ranges() -> None:
    drawn = [MADE_UP.draw(k) for k in range(3)]
    for name in (*PRIOR_ONLY, *drawn_from_priors(CATALOGUE, MADE_UP.estimate)):
        values = {numbers[name].value for numbers in drawn}
        assert len(values) == 3, name
        assert all(CATALOGUE[name].low <= value <= CATALOGUE[name].high for value in values), name


def test_the_draws_of_a_prior_have_its_median_and_its_spread() -> None:
    n = 400
    many = Calibration("many", {}, [{} for _ in range(n)], {}, {}, {})
    drawn = [many.draw(k) for k in range(n)]
    for name in ("effect_lenalidomide", "max_growth_inhibition_lenalidomide", "half_effect_crenigacestat"):
        prior = CATALOGUE[name].prior
        assert prior is not None
        coordinates = np.array([prior.coordinate(numbers[name].value) for numbers in drawn])
        assert np.abs(coordinates).max() <= 3.0 + 1e-9
        # The Monte-Carlo errors of a mean and of an SD of standard normals, four of them; cutting at 3 costs 1 %.
        assert coordinates.mean() == pytest.approx(0.0, abs=4.0 / np.sqrt(n))
        assert coordinates.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(2.0 * n) + 0.01)


def test_what_was_neither_fitted_nor_a_drug_stays_at_the_value_at_which_the_rest_was_fitted() -> None:
    drawn = MADE_UP.draw(0)
    from_priors = drawn_from_priors(CATALOGUE, MADE_UP.estimate)
    products = {name.split(".")[0] for name in from_priors if "." in name}
    assert not products & {name.split(".")[0] for name in MADE_UP.estimate}, "a product of which something was fitted"
    for name, parameter in CATALOGUE.items():
        if name not in MADE_UP.draws[0] and name not in from_priors:
            assert drawn[name] == parameter


def test_a_number_that_was_fixed_by_hand_is_not_drawn() -> None:
    fixed = Calibration("fixed", {"effect_lenalidomide": 0.0}, [{"effect_lenalidomide": 0.0}] * 2, {}, {}, {})
    assert [fixed.draw(k)["effect_lenalidomide"].value for k in (0, 1)] == [0.0, 0.0]
    assert fixed.draw(0)["half_effect_crenigacestat"].value != fixed.draw(1)["half_effect_crenigacestat"].value


@pytest.mark.parametrize("index", [-1, 3, 1000])
def test_a_draw_that_does_not_exist_is_refused(index: int) -> None:
    with pytest.raises(RangeError, match=f"draw = {index}; the calibration 'made_up' has draws 0 to 2"):
        MADE_UP.draw(index)


# ------------------------------------------------------------------------------------------------------------ damage
def test_an_unknown_calibration_is_refused_with_the_near_match() -> None:
    assert complaint("refrence", UnknownNameError) == "There is no calibration 'refrence'. Did you mean 'reference'?"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert complaint(str(tmp_path / "mine.json")).endswith("mine.json: there is no such file.")


@pytest.mark.parametrize("text", ["", '{"format": 1, "name"', "\x00\xff"])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="latin-1")
    assert "mine.json: is not a calibration (" in complaint(str(path))


@pytest.mark.parametrize("text", ["[]", "3", '{"name": "mine"}', '{"format": 99}'])
def test_another_format_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text, encoding="utf-8")
    assert "mine.json: is not a calibration of format 1; write one with 'perdure fit'" in complaint(str(path))


@pytest.mark.parametrize("key", ["name", "estimate", "draws", "misfits", "shrinkage", "about"])
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    assert complaint(damaged(tmp_path, lambda table: table.pop(key))).endswith(f"made_up.json: '{key}' is missing.")


def test_an_unknown_key_is_refused_with_the_near_match(tmp_path: Path) -> None:
    message = complaint(damaged(tmp_path, lambda table: table.update(shrinkages={})), UnknownNameError)
    assert message.endswith("made_up.json: There is no key 'shrinkages'. Did you mean 'shrinkage'?")


PLACES = [
    pytest.param(lambda table: table["estimate"], "estimate", id="estimate"),
    pytest.param(lambda table: table["draws"][2], "draws[2]", id="draw"),
]


@pytest.mark.parametrize(("row", "place"), PLACES)
def test_an_unknown_parameter_is_refused_with_its_place(tmp_path: Path, row: Callable[..., Any], place: str) -> None:
    message = complaint(damaged(tmp_path, lambda table: row(table).update(k_grwth_tumour=0.02)), UnknownNameError)
    assert f"made_up.json, {place}: There is no parameter 'k_grwth_tumour'. Did you mean 'k_growth_tumour'" in message


@pytest.mark.parametrize(("row", "place"), PLACES)
@pytest.mark.parametrize(("value", "said"), [(7.0, "7 1/day lies outside [0.0005, 0.15]"), (None, "is not a number")])
def test_a_value_outside_its_range_is_refused_with_its_place(
    tmp_path: Path, row: Callable[..., Any], place: str, value: object, said: str
) -> None:
    message = complaint(damaged(tmp_path, lambda table: row(table).update(k_growth_tumour=value)), RangeError)
    assert f"made_up.json, {place}: k_growth_tumour: " in message
    assert said in message


def test_a_draw_that_lacks_a_fitted_number_is_refused(tmp_path: Path) -> None:
    # It would silently take the value from before the fit.
    message = complaint(damaged(tmp_path, lambda table: table["draws"][1].pop("ide_cel.half_density_kill")))
    assert "made_up.json, draws[1]: 'ide_cel.half_density_kill' is missing; it stands in the estimate" in message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("draws", 3, "draws = 3, and should be a list"),
        ("draws", [7], "draws[0]: is 7"),
        ("draws", [], "draws = [], and should hold the posterior draws"),
        ("misfits", 3, "misfits: is 3, and should be a table"),
        ("shrinkage", {}, "shrinkage: 'ide_cel.half_density_kill' is missing; it stands in the estimate"),
        ("estimate", [], "estimate: is []"),
    ],
)
def test_a_table_of_the_wrong_shape_is_refused(tmp_path: Path, key: str, value: object, said: str) -> None:
    assert said in complaint(damaged(tmp_path, lambda table: table.update({key: value})))
