"""The pictures of power and of the true effect: what they show, what they say of it, what they refuse."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from perdure.parameters.errors import InputError, RangeError
from perdure.reports.figures.picture import Picture, picture_svg, save_picture
from perdure.reports.figures.power import AssuranceSpec, PowerSpec, effect_picture_of_draws, power_picture

SIZES = np.array([100.0, 200.0, 300.0, 400.0])
POWER = np.array([0.4, 0.65, 0.82, 0.9])


def power() -> PowerSpec:
    line = np.linspace(100, 400, 31)
    return PowerSpec(SIZES, POWER, POWER - 0.05, POWER + 0.05, line, np.interp(line, SIZES, POWER))


def assured(**changes: object) -> AssuranceSpec:
    numbers: dict[str, object] = {
        "sizes": SIZES[::3], "assurance": [0.35, 0.6], "low": [0.3, 0.5], "high": [0.4, 0.7],
        "spread_low": [0.05, 0.1], "spread_high": [0.8, 1.0],
    }  # fmt: skip
    return AssuranceSpec(**(numbers | changes))  # pyright: ignore[reportArgumentType]


def drawn(size: tuple[float, float, float] | None = (290.0, 250.0, 340.0)) -> Picture:
    return power_picture(power(), assured(), target=0.8, planned=250, size=size, note="A note.")


def words_of(picture: Picture) -> str:
    return " ".join(text.get_text() for legend in picture.figure.legends for text in legend.get_texts())


def test_power_and_assurance_are_told_in_words_and_numbers(tmp_path: Path) -> None:
    picture = drawn()
    assert "40 % with 100, 65 % with 200, 82 % with 300, 90 % with 400" in picture.alt
    assert "35 % with 100, 60 % with 400" in picture.alt
    assert "80 % power with 290 patients (250 to 340)" in picture.alt
    table = {name: list(column) for name, column in picture.table.items()}
    assert table["quantity"].count("power") == 4
    assert table["quantity"].count("assurance") == 2
    k = table["quantity"].index("size with the power wanted")
    assert (table["value"][k], table["low"][k], table["high"][k]) == (290.0, 250.0, 340.0)
    files = save_picture(picture, tmp_path)
    assert all(file.stat().st_size > 100 for file in files)
    assert picture_svg(picture) == picture_svg(drawn())


def test_each_kind_of_uncertainty_has_a_mark_of_its_own_and_says_which_it_is() -> None:
    said = words_of(drawn())
    assert said.count("Monte-Carlo interval") == 3
    assert "uncertainty about parameters" in said
    axes = drawn().figure.axes[0]
    assert sum(isinstance(one, PolyCollection) for one in axes.collections) == 1  # one band, of parameters
    alone = power_picture(power(), target=0.8, planned=250)
    assert "Assurance" not in words_of(alone)
    assert not any(isinstance(one, PolyCollection) for one in alone.figure.axes[0].collections)


@pytest.mark.parametrize("size", [(900.0, 700.0, 1500.0), (np.inf, np.inf, np.inf)])
def test_a_size_beyond_the_axis_is_told_and_not_drawn(size: tuple[float, float, float]) -> None:
    picture = drawn(size)
    assert "Size with" not in words_of(picture)
    assert ("900" in picture.alt) is np.isfinite(size[0]).item()
    assert picture.figure.axes[0].get_xlim()[1] < 500


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow() -> None:
    axes = drawn((380.0, 300.0, np.inf)).figure.axes[0]
    assert [line for line in axes.lines if line.get_marker() == ">"]


def test_numbers_that_are_no_shares_or_do_not_fit_are_refused() -> None:
    with pytest.raises(RangeError, match=r"assurance: high\[0\] = 1.4 lies outside"):
        assured(high=[1.4, 0.5])
    with pytest.raises(InputError, match="low has 1 numbers and should have 2"):
        assured(low=[0.1])
    with pytest.raises(RangeError, match="comes after"):
        assured(sizes=[400.0, 100.0])
    with pytest.raises(RangeError, match="target"):
        power_picture(power(), target=80, planned=250)
    with pytest.raises(InputError, match="there are no draws"):
        effect_picture_of_draws([], estimate=1.0, none=0.0, more_is_better=True, x_label="x")
    with pytest.raises(RangeError, match="finite"):
        effect_picture_of_draws([1.0, np.nan], estimate=1.0, none=0.0, more_is_better=True, x_label="x")


def test_every_draw_is_one_dot_on_the_side_on_which_it_is() -> None:
    values = np.random.default_rng(2).normal(0.9, 0.15, 60)
    for more in (False, True):
        picture = effect_picture_of_draws(
            values, estimate=0.85, none=1.0, more_is_better=more, x_label="Hazard ratio", note="A note."
        )
        better = int(np.sum(values > 1.0 if more else values < 1.0))
        dots = [line for line in picture.figure.axes[0].lines if line.get_marker() == "o"]
        assert [len(np.atleast_1d(line.get_xdata())) for line in dots] == [better, 60 - better]
        assert sum(1 for one in list(picture.table["better"])[:60] if one) == better
        assert f"{100 * better / 60:.0f} % of the draws are better" in picture.alt


def test_dots_of_one_column_do_not_lie_on_each_other() -> None:
    picture = effect_picture_of_draws([1.0] * 7 + [2.0], estimate=1.0, none=0.0, more_is_better=True, x_label="x")
    first = next(line for line in picture.figure.axes[0].lines if line.get_marker() == "o")
    places = np.unique(np.column_stack([np.asarray(row) for row in first.get_data()]), axis=0)
    assert len(places) == 8
    assert picture.figure.axes[0].get_ylim()[1] >= 7


def test_draws_that_are_all_alike_can_be_drawn() -> None:
    picture = effect_picture_of_draws([0.0, 0.0], estimate=0.0, none=0.0, more_is_better=True, x_label="x")
    assert "0 % of the draws are better" in picture.alt
