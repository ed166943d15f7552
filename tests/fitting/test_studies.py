"""The evidence: as shipped and read, each way to be wrong has one clear answer, conflicts are kept and widened."""

import math
from pathlib import Path

import pytest

from perdure.fitting.studies import ENDPOINTS, Observation, birge_weight, in_conflict, items, read_studies, read_study
from perdure.parameters.errors import EvidenceError, FileError, InputError, UnknownNameError

HEADER = """
study = "TRIAL-1"
title = "A trial."
time_zero = "first infusion"
product = "ide_cel"
population = "late_line"
visit_interval_days = 28
n = 50
"""
ORR: dict[str, object] = {
    "id": "trial_1_orr",
    "rows": ["X001"],
    "endpoint": "orr",
    "kind": "proportion",
    "value": 80.0,
    "unit": "%",
    "n": 50,
    "events": 40,
    "role": "fit",
    "citation": "Somebody 2024",
    "origin": "review",
    "quote": "forty of fifty responded",
}


def written(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(written(part) for part in value) + "]"
    return repr(value)


def item_text(**changes: object) -> str:
    """One [[item]] like ORR with changes; None leaves a key out."""
    entry = {key: value for key, value in {**ORR, **changes}.items() if value is not None}
    return "\n[[item]]\n" + "\n".join(f"{key} = {written(value)}" for key, value in entry.items()) + "\n"


def evidence_file(folder: Path, *entries: str, header: str = HEADER, name: str = "trial_1.toml") -> Path:
    path = folder / name
    path.write_text(header + "".join(entries), encoding="utf-8")
    return path


def complaint(path: Path, kind: type[InputError] = EvidenceError) -> str:
    with pytest.raises(InputError) as caught:
        read_study(path)
    assert caught.type is kind
    return str(caught.value)


# ------------------------------------------------------------------------------------------- the shipped evidence


def test_the_shipped_evidence_is_valid_and_sorted() -> None:
    studies = read_studies()
    names = [study.name for study in studies]
    assert names == sorted(names)
    assert {"crb_401", "legend_2", "cartitude_2_c", "cartitude_2_d", "fumanba_1", "lummicar_1"} <= set(names)


def test_no_id_and_no_row_is_used_twice() -> None:
    entries = [item for study in read_studies() for item in study.items]
    rows = [row for item in entries for row in item.rows]
    assert len({item.id for item in entries}) == len(entries)
    assert len(set(rows)) == len(rows) == 186  # every row of the collected table stands in exactly one item


def test_every_fitted_item_can_be_weighed_and_traced() -> None:
    for study, item in items(read_studies(), role="fit"):
        weighed = item.n is not None or item.low is not None or item.high is not None or item.threshold is not None
        assert weighed or item.kind == "value", item.id  # a percentage without its patients is scored as of ten
        assert item.quote, item.id
        assert item.citation, item.id
        assert item.origin == "review" or item.origin.startswith("public: "), item.id
        allowed = {"start of therapy", "first infusion"} if item.scenario else {"first infusion"}
        assert study.time_zero in allowed, item.id
        assert study.product or item.scenario, item.id
        assert study.population or item.scenario, item.id


def test_whatever_is_assumed_or_weighed_down_says_why() -> None:
    for study in read_studies():
        if study.time_zero == "first infusion":
            assert study.time_zero_note.startswith("assumed: "), study.name
        for item in study.items:
            assert item.weight == pytest.approx(1.0) or item.note, item.id
            elsewhere = item.origin.startswith(("public: ", "memory: "))
            assert item.rows or elsewhere or "no row of its own" in item.note, item.id


def test_the_roles_are_told_apart() -> None:
    studies = read_studies()
    counts = [len(items(studies, role=role)) for role in ("fit", "outcome", "check", "context")]
    assert sum(counts) == sum(len(study.items) for study in studies)
    assert min(counts) > 0


def test_an_unknown_role_is_refused_with_the_near_match() -> None:
    with pytest.raises(UnknownNameError, match=r"no role 'fitt'\. Did you mean 'fit'"):
        items(read_studies(), role="fitt")


def test_the_anchors_of_the_fit_are_as_printed() -> None:
    printed = {item.id: item.text for _, item in items(read_studies(), role="fit")}
    assert printed["legend_2_pfs_60"] == "21.0 % (12.2-31.4)"
    assert printed["fumanba_1_pfs_median"] == "not reached (> 13.8 months)"
    assert printed["cartitude_2_c_pfs_median"] == "9.1 months (1.5-NE)"
    assert printed["perica_2023_density_before"] == "670 molecules/cell (IQR 380-850)"
    assert printed["perica_2023_function_threshold"] == "lost below 50 molecules/cell"
    assert printed["caillot_2024_expansion_split"] == "split at 180 cells/mm3"


def test_ranges_ratios_and_words_are_printed_too() -> None:
    printed = {item.id: item.text for study in read_studies() for item in study.items}
    assert printed["hu_2023_same_product_again_orr"] == "< 30.0 %"
    assert printed["hu_2023_relapse_12"] == "> 50.0 %"
    assert printed["min_2025_primary_resistance"] == "10.0-20.0 %"
    assert printed["lenalidomide_maintenance_hazard_ratio"] == "0.46 (95% CrI 0.36-0.56)"
    assert "minimal response" in printed["bernabei_2018_best_response"]


def test_every_endpoint_of_the_vocabulary_is_used() -> None:
    assert {item.endpoint for study in read_studies() for item in study.items} == set(ENDPOINTS)


# ------------------------------------------------------------------------------------------------------ bad input


def test_a_good_file_is_read(tmp_path: Path) -> None:
    study = read_study(evidence_file(tmp_path, item_text()))
    assert (study.name, study.product, study.items[0].text) == ("trial_1", "ide_cel", "80.0 %")


def test_what_was_read_cannot_be_changed(tmp_path: Path) -> None:
    item = read_study(evidence_file(tmp_path, item_text())).items[0]
    with pytest.raises(ValueError, match="frozen"):
        item.value = 90.0  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(item, Observation)


BAD_ITEMS = [
    pytest.param({"low": 85.0, "high": 95.0, "interval": "95% CI"}, "value = 80", EvidenceError, id="outside"),
    pytest.param({"low": 90.0, "high": 70.0, "interval": "95% CI"}, "low = 90", EvidenceError, id="reversed"),
    pytest.param({"low": 70.0, "high": 90.0}, "low = 70", EvidenceError, id="interval without a name"),
    pytest.param({"interval": "95% CI"}, "interval = '95% CI'", EvidenceError, id="interval without bounds"),
    pytest.param({"value": 108.0}, "value = 108", EvidenceError, id="percentage above 100"),
    pytest.param({"value": -1.0}, "value = -1", EvidenceError, id="percentage below 0"),
    pytest.param({"n": None, "events": None}, "needs 'n'", EvidenceError, id="proportion without n"),
    pytest.param({"events": 51}, "events = 51", EvidenceError, id="more events than patients"),
    pytest.param({"events": 30}, "value = 80 %, but 30 of 50", EvidenceError, id="events and percentage disagree"),
    pytest.param({"kind": "proprtion"}, "no kind 'proprtion'. Did you mean 'proportion'", UnknownNameError, id="kind"),
    pytest.param({"role": "chek"}, "no role 'chek'. Did you mean 'check'", UnknownNameError, id="role"),
    pytest.param({"endpoint": "or"}, "no endpoint 'or'. Did you mean 'orr'", UnknownNameError, id="endpoint"),
    pytest.param({"kind": "median"}, "kind = 'median'", EvidenceError, id="kind against endpoint"),
    pytest.param({"unit": "months"}, "unit = 'months'", EvidenceError, id="unit against endpoint"),
    pytest.param({"wieght": 0.5}, "no key 'wieght'. Did you mean 'weight'", UnknownNameError, id="key"),
    pytest.param({"weight": 1.5}, "weight = 1.5", FileError, id="weight above 1"),
    pytest.param({"value": "80"}, "value = '80'", FileError, id="a number in quotation marks"),
    pytest.param({"threshold": 50.0}, "threshold = 50", EvidenceError, id="threshold of a proportion"),
    pytest.param({"quote": None}, "quote = ''", EvidenceError, id="fitted without a quote"),
    pytest.param({"citation": ""}, "citation = ''", EvidenceError, id="fitted without a citation"),
    pytest.param({"unit": None}, "'unit' is missing", FileError, id="no unit"),
]


@pytest.mark.parametrize(("changes", "said", "kind"), BAD_ITEMS)
def test_a_bad_item_is_refused_with_file_item_and_value(
    tmp_path: Path, changes: dict[str, object], said: str, kind: type[InputError]
) -> None:
    message = complaint(evidence_file(tmp_path, item_text(**changes)), kind)
    assert "trial_1.toml" in message
    assert "trial_1_orr" in message
    assert said in message


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_value_that_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    text = item_text().replace("value = 80.0", f"value = {number}")
    message = complaint(evidence_file(tmp_path, text), FileError)
    assert message.startswith("trial_1.toml, item 'trial_1_orr': value = ")
    assert number in message


def test_an_item_without_id_is_named_by_its_number(tmp_path: Path) -> None:
    message = complaint(evidence_file(tmp_path, item_text(), item_text(id=None)), FileError)
    assert message == "trial_1.toml, item number 2: 'id' is missing."


def test_a_rate_needs_its_time(tmp_path: Path) -> None:
    message = complaint(evidence_file(tmp_path, item_text(endpoint="pfs_rate", kind="rate")))
    assert "'trial_1_orr': kind = 'rate' needs 'time_months'" in message


def test_a_median_that_was_not_reached_needs_its_bound(tmp_path: Path) -> None:
    entry = item_text(endpoint="pfs_median", kind="median_not_reached", unit="months", value=None)
    assert "kind = 'median_not_reached' needs 'low'" in complaint(evidence_file(tmp_path, entry))


def test_a_split_needs_its_threshold_and_no_value(tmp_path: Path) -> None:
    split = {"endpoint": "expansion_split", "kind": "split", "unit": "cells/mm3"}
    without = evidence_file(tmp_path, item_text(**split, value=None))
    assert "kind = 'split' needs 'threshold'" in complaint(without)
    with_value = evidence_file(tmp_path, item_text(**split, threshold=180.0))
    assert "value = 80 has no meaning for kind = 'split'" in complaint(with_value)


def test_a_range_needs_a_bound(tmp_path: Path) -> None:
    message = complaint(evidence_file(tmp_path, item_text(kind="range", value=None, role="check")))
    assert "kind = 'range' needs 'low' or 'high'" in message


def test_a_fitted_item_needs_n_or_an_interval(tmp_path: Path) -> None:
    entry = item_text(endpoint="pfs_median", kind="median", unit="months", n=None, events=None)
    assert "'trial_1_orr': n, low and high are missing" in complaint(evidence_file(tmp_path, entry))


def test_a_fitted_item_needs_a_product_and_a_time_zero(tmp_path: Path) -> None:
    nothing = HEADER.replace('"ide_cel"', '""')
    assert "'trial_1_orr': role = 'fit', and product = ''" in complaint(
        evidence_file(tmp_path, item_text(), header=nothing)
    )
    undated = HEADER.replace('"first infusion"', '"not stated"')
    assert "time_zero = 'not stated'" in complaint(evidence_file(tmp_path, item_text(), header=undated))


def test_a_simulated_product_needs_its_population_and_its_visits(tmp_path: Path) -> None:
    header = HEADER.replace('population = "late_line"\n', "")
    message = complaint(evidence_file(tmp_path, item_text(), header=header))
    assert message.startswith("trial_1.toml: product = 'ide_cel' is to be simulated, and population = ''")


def test_an_id_is_used_once_across_files(tmp_path: Path) -> None:
    evidence_file(tmp_path, item_text())
    evidence_file(tmp_path, item_text(rows=["X002"]), name="trial_2.toml")
    with pytest.raises(EvidenceError, match=r"trial_2\.toml, item 'trial_1_orr': id .* already in trial_1\.toml"):
        read_studies(tmp_path)


def test_a_row_stands_for_one_item_only(tmp_path: Path) -> None:
    message = complaint(evidence_file(tmp_path, item_text(), item_text(id="trial_1_again")))
    assert message.startswith("trial_1.toml, item 'trial_1_again': row 'X001' is used already in trial_1.toml")


def test_an_unknown_key_of_the_file_is_refused_with_the_near_match(tmp_path: Path) -> None:
    header = HEADER.replace("population =", "popluation =")
    message = complaint(evidence_file(tmp_path, item_text(), header=header), UnknownNameError)
    assert message == "trial_1.toml: There is no key 'popluation'. Did you mean 'population'?"


def test_an_unknown_time_zero_is_refused(tmp_path: Path) -> None:
    header = HEADER.replace('"first infusion"', '"birth"')
    message = complaint(evidence_file(tmp_path, item_text(), header=header), FileError)
    assert message.startswith("trial_1.toml: time_zero = 'birth' is wrong")


def test_a_file_without_items_is_refused(tmp_path: Path) -> None:
    assert "trial_1.toml: item = []" in complaint(evidence_file(tmp_path), FileError)
    single = "\n[item]\nid = 'x'\n"
    assert "[[item]]" in complaint(evidence_file(tmp_path, single), FileError)


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("study = ", "is not valid TOML")])
def test_an_empty_or_malformed_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    message = complaint(evidence_file(tmp_path, header=text), FileError)
    assert "trial_1.toml" in message
    assert said in message


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file" in complaint(tmp_path / "trial_9.toml", FileError)
    with pytest.raises(FileError, match="holds no evidence"):
        read_studies(tmp_path)


# items that cannot be right


MEDIAN = """
[[item]]
id       = "trial_1_median"
endpoint = "pfs_median"
kind     = "median"
value    = 12.0
unit     = "months"
n        = 40
role     = "fit"
citation = "Somebody 2024"
origin   = "public: the paper"
quote    = "twelve months"
"""


@pytest.mark.parametrize(
    ("before", "after", "said", "kind"),
    [
        ('"pfs_median"', '"pfs_interval"', "no endpoint 'pfs_interval'", UnknownNameError),
        ("n  ", "from_months = 3.0\nn  ", "from_months = 3 belongs to the intervals of a [[curve]]", EvidenceError),
        (
            '"months"',
            '"weeks"',
            "unit = 'weeks' does not go with endpoint 'pfs_median'; expected 'months'",
            EvidenceError,
        ),
        ('"months"', '"%"', "unit = '%' does not go with", EvidenceError),
        ("n        = 40", "n        = 0", "n = 0 is wrong", FileError),
        ("n        = 40", "n        = 40.5", "n = 40.5 is wrong", FileError),
        ("n        = 40", "n        = -4", "n = -4 is wrong", FileError),
        ("n        = 40", "", "n, low and high are missing", EvidenceError),
        ("= 12.0", "= -12.0", "value = -12 months is impossible", EvidenceError),
        ("n  ", "time_months = -1.0\nn  ", "time_months = -1.0 is wrong", FileError),
        (
            "n  ",
            'low = 14.0\nhigh = 20.0\ninterval = "95% CI"\nn  ',
            "value = 12 lies outside its interval",
            EvidenceError,
        ),
        ("n  ", 'low = -1.0\nhigh = 20.0\ninterval = "95% CI"\nn  ', "low = -1 months is impossible", EvidenceError),
        ("n  ", "events = 20\nevents = 21\nn  ", "is not valid TOML", FileError),
    ],
)
def test_a_wrong_item_is_refused_with_its_file(
    tmp_path: Path, before: str, after: str, said: str, kind: type[InputError]
) -> None:
    with pytest.raises(InputError) as caught:
        read_study(evidence_file(tmp_path, MEDIAN.replace(before, after, 1)))
    assert caught.type is kind
    assert said in str(caught.value)
    assert "trial_1" in str(caught.value)


def test_bounds_of_a_percentage_are_percentages(tmp_path: Path) -> None:
    rate = MEDIAN.replace('"pfs_median"', '"pfs_rate"').replace('"median"', '"rate"').replace('"months"', '"%"')
    rate = rate.replace("n  ", 'time_months = 12.0\nlow = 8.0\nhigh = 104.0\ninterval = "95% CI"\nn  ', 1)
    with pytest.raises(EvidenceError, match="high = 104 % is impossible; expected 0 to 100"):
        read_study(evidence_file(tmp_path, rate))


def test_an_id_is_used_once_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="item 'trial_1_median': id 'trial_1_median' is used already"):
        read_study(evidence_file(tmp_path, MEDIAN, MEDIAN))


# reports that contradict each other


SAME_PATIENTS = {"bridged_pfs"}
"""Two reports of one consortium."""


def rate(value: float, n: int) -> Observation:
    report = {"id": f"rate_{value:.0f}_{n}", "endpoint": "orr", "kind": "proportion", "unit": "%", "role": "fit"}
    return Observation.model_validate({**report, "value": value, "n": n})


def median(value: float, n: int) -> Observation:
    report = {"id": f"median_{value:.0f}_{n}", "endpoint": "pfs_median", "kind": "median", "unit": "months"}
    return Observation.model_validate({**report, "role": "fit", "value": value, "n": n})


def test_two_percentages_have_the_chi_square_of_their_two_by_two_table() -> None:
    # 10 of 40 and 30 of 60: pooled share 0.4, Pearson's chi-square 6.25 with one degree of freedom
    items = [rate(25.0, 40), rate(50.0, 60)]
    assert birge_weight(items, same_patients=False) == pytest.approx(1.0 / 6.25)


def test_two_medians_are_compared_on_the_log_scale() -> None:
    error = 1.0 / math.log(2.0) / 10.0  # of the log of a median of 100 exponential times
    apart = math.log(2.0) ** 2 / (2.0 * error**2)
    assert birge_weight([median(6.0, 100), median(12.0, 100)], same_patients=False) == pytest.approx(1.0 / apart)


def test_reports_that_agree_keep_their_weight_and_those_of_the_same_patients_share_one() -> None:
    assert birge_weight([rate(50.0, 20), rate(55.0, 20)], same_patients=False) == 1.0
    assert birge_weight([rate(50.0, 20), rate(55.0, 20)], same_patients=True) == 0.5


def test_the_shipped_conflicts_are_as_wide_as_they_disagree() -> None:
    conflicts = in_conflict(read_studies())
    assert set(conflicts) == {"bridged_pfs", "belantamab_after_car_t", "chemotherapy_response"}
    for name, reports in conflicts.items():
        assert len(reports) > 1, name
        right = birge_weight(reports, same_patients=name in SAME_PATIENTS)
        for item in reports:
            assert item.role == "fit", item.id
            assert item.weight == pytest.approx(right, rel=0.02), item.id
            assert "Birge" in item.note, item.id
