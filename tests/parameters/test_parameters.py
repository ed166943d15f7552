"""A number has a unit, a range, a prior and a source; what is wrong in a file is said in words to act on."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.parameters.errors import FileError, InputError, PerdureError, RangeError, UnitError, UnknownNameError
from perdure.parameters.parameter import read_parameter
from perdure.parameters.parameter_set import read_set
from perdure.parameters.prior import Kind, Prior
from perdure.parameters.source import read_sources

GOOD = {
    "value": "1.2", "unit": '"1/day"', "low": "0.01", "high": "10.0", "source": '"assumed"',
    "note": '"because a test needs it"',
}  # fmt: skip


def entry(name: str = "k_kill", /, **changes: str | None) -> str:
    lines = {**GOOD, **changes}
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in lines.items() if value is not None), ""])


def write(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# Reading


def test_a_good_entry_is_read_with_everything_it_says(tmp_path: Path) -> None:
    text = entry(prior='{ kind = "lognormal", sd = 0.5 }', symbol="'k'", meaning='"kill rate"')
    parameter = read_set(write(tmp_path, text))["k_kill"]
    assert (parameter.value, parameter.unit, parameter.low, parameter.high) == (1.2, "1/day", 0.01, 10.0)
    assert (parameter.source, parameter.grade) == ("assumed", "assumed")
    assert (parameter.meaning, parameter.symbol) == ("kill rate", "k")
    assert parameter.prior == Prior("lognormal", 1.2, 0.5)


def test_value_and_range_are_put_into_days_together(tmp_path: Path) -> None:
    parameter = read_set(write(tmp_path, entry(value="1.0", low="0.5", high="2.0", unit='"1/hour"')))["k_kill"]
    assert parameter.unit == "1/day"
    assert (parameter.low, parameter.value, parameter.high) == pytest.approx((12.0, 24.0, 48.0), rel=1e-12)


def test_the_median_of_a_prior_is_the_value_in_the_unit_it_is_used_in(tmp_path: Path) -> None:
    text = entry(value="1.0", low="0.5", high="2.0", unit='"1/hour"', prior="{ sd = 0.5 }")
    prior = read_set(write(tmp_path, text))["k_kill"].prior
    assert prior is not None
    assert prior.value(0.0) == pytest.approx(24.0, rel=1e-12)


def test_a_spread_is_a_parameter_of_its_own(tmp_path: Path) -> None:
    text = entry() + "\n[k_kill.spread]\nvalue = 0.4\nsource = 'assumed'\nnote = 'a test'\nprior = { sd = 0.3 }\n"
    parameters = read_set(write(tmp_path, text))
    assert tuple(parameters) == ("k_kill", "k_kill.spread")
    spread = parameters["k_kill.spread"]
    assert (spread.value, spread.unit, spread.low, spread.high) == (0.4, "", 0.0, 3.0)
    assert spread.prior == Prior("lognormal", 0.4, 0.3)
    assert parameters.names == ("k_kill",)
    assert parameters.spreads() == {"k_kill": 0.4}


@pytest.mark.parametrize("grade", ["literature", "derived"])
def test_a_number_without_a_source_is_never_more_than_assumed(tmp_path: Path, grade: str) -> None:
    assert read_set(write(tmp_path, entry(grade=f'"{grade}"')))["k_kill"].grade == "assumed"


# Bad input

BAD: dict[str, tuple[dict[str, str | None], type[InputError], tuple[str, ...]]] = {
    "above its range": ({"value": "12.0"}, RangeError, ("value = 12 1/day", "outside [0.01, 10]")),
    "below its range": ({"value": "0.001"}, RangeError, ("value = 0.001 1/day", "outside [0.01, 10]")),
    "range upside down": ({"low": "20.0"}, RangeError, ("low = 20 is above high = 10",)),
    "not a number": ({"value": "nan"}, FileError, ("value = nan", "finite")),
    "infinite": ({"high": "inf"}, FileError, ("high = inf", "finite")),
    "a text": ({"value": '"fast"'}, FileError, ("value = 'fast' is wrong", "number")),
    "a number in quotes": ({"value": '"1.2"'}, FileError, ("value = '1.2' is wrong", "number")),
    "a yes": ({"value": "true"}, FileError, ("value = True is wrong", "number")),
    "no value": ({"value": None}, FileError, ("'value' is missing",)),
    "no range": ({"high": None}, FileError, ("'high' is missing",)),
    "no source": ({"source": None}, FileError, ("'source' is missing",)),
    "no reason": ({"note": None}, FileError, ("source = 'assumed' needs a note that gives the reason",)),
    "an empty reason": ({"note": '"  "'}, FileError, ("source = 'assumed' needs a note",)),
    "an unknown source": ({"source": '"perica_2022"'}, UnknownNameError, ("no source 'perica_2022'", "'perica_2023'")),
    "an unknown key": ({"souce": '"assumed"'}, UnknownNameError, ("There is no key 'souce'", "Did you mean 'source'?")),
    "an unknown grade": ({"grade": '"certain"'}, FileError, ("grade = 'certain' is wrong", "'literature'")),
    "a grade only a fit gives": ({"grade": '"calibrated"'}, FileError, ("grade = 'calibrated' is wrong",)),
    "no such unit": ({"unit": '"1/dya"'}, UnitError, ("'1/dya' is not a unit", "1/day")),
    "no such prior": ({"prior": '{ kind = "beta", sd = 1.0 }'}, FileError, ("prior.kind = 'beta'", "'lognormal'")),
    "a prior without width": ({"prior": "{ sd = 0.0 }"}, FileError, ("prior.sd = 0.0", "greater than 0")),
    "a logit above one": (
        {"prior": '{ kind = "logitnormal", sd = 1.0 }'},
        FileError, ("logitnormal prior needs a value between 0 and 1", "1.2"),
    ),
    "a log of nothing": (
        {"value": "0.0", "low": "0.0", "prior": "{ sd = 1.0 }"},
        FileError, ("lognormal prior needs a positive value", "0"),
    ),
    "a spread without reason": (
        {"spread": '{ value = 0.3, source = "assumed" }'}, FileError, ("[k_kill.spread]", "needs a note"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_entry_is_refused_with_its_file_its_name_and_what_would_be_right(tmp_path: Path, case: str) -> None:
    changes, kind, parts = BAD[case]
    with pytest.raises(kind) as caught:
        read_set(write(tmp_path, entry(**changes)))
    message = str(caught.value)
    assert "mine.toml, [k_kill" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [("", "is empty"), ("# only a comment\n", "is empty"), ("[k_kill\nvalue = 1", "is not valid TOML"),
     ("value = 1.2\n", "'value = 1.2' stands outside a table; write [value]"),
     (entry() + entry(), "is not valid TOML")],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_its_name(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(FileError) as caught:
        read_set(write(tmp_path, text))
    assert "mine.toml" in str(caught.value)
    assert part in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"nowhere\.toml: there is no such file"):
        read_set(str(tmp_path / "nowhere.toml"))
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(FileError, match=r"picture\.toml: cannot be read as text"):
        read_set(str(tmp_path / "picture.toml"))


def test_a_folder_without_parameter_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="holds no parameter files"):
        read_set(folder=tmp_path)


def test_a_parameter_that_stands_in_two_files_is_refused(tmp_path: Path) -> None:
    write(tmp_path, entry("k_twice"), "one.toml")
    write(tmp_path, entry("k_twice"), "two.toml")
    with pytest.raises(FileError, match="'k_twice' is declared twice; a parameter stands in one file only"):
        read_set(folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "part"),
    [("[x]\ncitation = 'A'\nseen_in = 'abstract'\n", "[x]: 'confidence' is missing"),
     ("[x]\ncitation = 'A'\nseen_in = 'it'\nconfidence = 'sure'\n", "confidence = 'sure'; expected high, medium")],
)  # fmt: skip
def test_a_source_says_what_was_seen_of_it_and_how_sure_we_are(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(FileError) as caught:
        read_sources(Path(write(tmp_path, text)))
    assert part in str(caught.value)


@given(
    value=st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.booleans(), st.none(), st.lists(st.integers())),
    unit=st.text(max_size=8),
    source=st.one_of(st.text(max_size=8), st.just("assumed")),
)
def test_whatever_an_entry_holds_it_is_read_or_refused_with_its_place(value: object, unit: str, source: str) -> None:
    table = {"value": value, "low": -1e9, "high": 1e9, "unit": unit, "source": source, "note": "a test"}
    said, inside = "", False
    try:
        (parameter,) = read_parameter("k_kill", table, "mine.toml")
        inside = parameter.low <= parameter.value <= parameter.high
    except PerdureError as error:
        said = str(error)
    assert inside or "mine.toml" in said


# Changing values


def test_another_value_makes_another_set_and_leaves_the_first_alone(tmp_path: Path) -> None:
    before = read_set(write(tmp_path, entry()))
    after = before.with_values(k_kill=2.0)
    assert (before["k_kill"].value, after["k_kill"].value) == (1.2, 2.0)
    assert after["k_kill"].source == before["k_kill"].source


def test_a_value_may_bring_its_own_unit(tmp_path: Path) -> None:
    parameters = read_set(write(tmp_path, entry()))
    assert parameters.with_values({"k_kill": "0.1 1/hour"})["k_kill"].value == pytest.approx(2.4, rel=1e-12)


def test_a_calibrated_value_is_graded_as_such(tmp_path: Path) -> None:
    parameters = read_set(write(tmp_path, entry()))
    assert parameters.with_values({"k_kill": 2.0}, grade="calibrated")["k_kill"].grade == "calibrated"


@pytest.mark.parametrize(
    ("name", "value", "kind", "part"),
    [("k_kil", 1.0, UnknownNameError, "There is no parameter 'k_kil'. Did you mean 'k_kill'?"),
     ("k_kill", 12.0, RangeError, "k_kill: 12 1/day lies outside [0.01, 10]"),
     ("k_kill", math.nan, RangeError, "k_kill: nan is not a finite number"),
     ("k_kill", "1 mg", UnitError, "k_kill: 1 mg cannot be read as '1/day'"),
     ("k_kill", "fast", RangeError, "k_kill: 'fast' is not a number with a unit")],
)  # fmt: skip
def test_a_bad_new_value_is_refused(
    tmp_path: Path, name: str, value: object, kind: type[InputError], part: str
) -> None:
    parameters = read_set(write(tmp_path, entry()))
    with pytest.raises(kind) as caught:
        parameters.with_values({name: value})
    assert part in str(caught.value)


def test_nothing_in_a_set_can_be_written_to(tmp_path: Path) -> None:
    parameters = read_set(write(tmp_path, entry()))
    with pytest.raises(AttributeError):
        parameters["k_kill"].value = 3.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        parameters._table["k_kill"] = parameters["k_kill"]  # type: ignore[index]


# Priors

KINDS = st.sampled_from(["lognormal", "normal", "logitnormal"])


@given(kind=KINDS, median=st.floats(0.05, 0.95), sd=st.floats(0.05, 1.5), coordinate=st.floats(-4.0, 4.0))
def test_a_coordinate_goes_to_its_value_and_back(kind: Kind, median: float, sd: float, coordinate: float) -> None:
    prior = Prior(kind, median, sd)
    assert prior.coordinate(prior.value(coordinate)) == pytest.approx(coordinate, rel=1e-7, abs=1e-7)


@given(kind=KINDS, median=st.floats(0.05, 0.95), sd=st.floats(0.05, 1.5), coordinate=st.floats(0.01, 4.0))
def test_a_prior_is_centred_on_its_median_and_rises_with_its_coordinate(
    kind: Kind, median: float, sd: float, coordinate: float
) -> None:
    prior = Prior(kind, median, sd)
    assert prior.value(0.0) == pytest.approx(median, rel=1e-12)
    assert prior.value(-coordinate) < median < prior.value(coordinate)


@given(median=st.floats(0.05, 0.95), sd=st.floats(0.05, 1.5), coordinate=st.floats(-8.0, 8.0))
def test_a_share_stays_between_nothing_and_all(median: float, sd: float, coordinate: float) -> None:
    assert 0.0 < Prior("logitnormal", median, sd).value(coordinate) < 1.0


def test_one_sd_of_a_lognormal_prior_is_a_factor() -> None:
    assert Prior("lognormal", 100.0, math.log(2.0)).value(1.0) == pytest.approx(200.0, rel=1e-12)
    assert Prior("lognormal", 100.0, math.log(2.0)).text == "lognormal, median 100, SD 0.693147 on the log scale"
