"""Two runs side by side: what went in, what both found, and nothing that cannot be known. Numbers are made by hand."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from perdure.app.runs import compare as compare_command
from perdure.parameters.errors import FileError, InputError
from perdure.reports.report import report_html
from perdure.reports.run_comparison import (
    RunComparison,
    SharedNumber,
    compare_runs,
    comparison_pictures,
    comparison_report,
    lines,
)
from perdure.reports.run_files import NumberRow, new_run, read_run, write_numbers

INF, NAN = math.inf, math.nan
NONE = NumberRow("none", "median PFS", 8.8, 5.9, 11.9, "months", 0.95, "parameters")
DRUG = NumberRow("lenalidomide", "median PFS", 12.5, 9.0, INF, "months", 0.95, "parameters")
RESPONSE = NumberRow("none", "overall response", 73.0, 65.0, 80.0, "%", 0.95, "sample")
RATIO = NumberRow("lenalidomide", "hazard ratio", 0.7)


def run_of(folder: Path, rows: Sequence[NumberRow], *, seed: int = 1, words: str = "", name: str = "demo") -> Path:
    """A run with these numbers."""
    with new_run(folder, name, f"perdure run demo {words}".strip(), {"patients": seed, "calibration": 4}) as run:
        write_numbers(run, rows)
    return run.path


def compared(folder: Path, one: Sequence[NumberRow], two: Sequence[NumberRow], **changes: object) -> RunComparison:
    first = run_of(folder, one)
    return compare_runs(read_run(first), read_run(run_of(folder, two, **changes)))  # pyright: ignore[reportArgumentType]


# Comparison


def test_a_difference_is_second_minus_first_and_has_no_interval(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [NONE, DRUG], [replace(NONE, value=10.0), replace(DRUG, value=INF)])
    assert [pair.difference for pair in comparison.shared[:1]] == [pytest.approx(1.2)]
    assert math.isnan(comparison.shared[1].difference)
    assert any("none is given an interval" in line for line in lines(comparison))


def test_a_difference_in_the_last_digits_is_shown_as_none(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [NONE, RATIO], [replace(NONE, value=8.8 + 1e-11), replace(RATIO, value=0.7 + 1e-8)])
    printed = "\n".join(lines(comparison))
    assert re.search(r"median PFS .* 0 +overlap", printed)
    assert "+1e\u221208" in printed


@pytest.mark.parametrize(
    ("second", "overlap"),
    [
        (replace(NONE, value=15.0, low=11.9, high=20.0), True),
        (replace(NONE, value=15.0, low=11.91, high=20.0), False),
        (replace(NONE, value=1.0, low=0.0, high=5.8), False),
        (replace(NONE, low=-INF, high=INF), True),
        (replace(NONE, kind="sample"), None),
        (replace(NONE, level=0.9), None),
        (replace(NONE, low=NAN), None),
    ],
)
def test_intervals_overlap_only_if_they_are_about_the_same(second: NumberRow, overlap: bool | None) -> None:
    assert SharedNumber(NONE, second).overlap is overlap
    assert SharedNumber(second, NONE).overlap is overlap


def test_numbers_meet_by_arm_measure_unit_and_first_of_all_by_kind(tmp_path: Path) -> None:
    sample = replace(NONE, kind="sample", value=9.0)
    in_days = replace(DRUG, unit="days")
    comparison = compared(
        tmp_path, [NONE, sample, DRUG, RATIO], [RESPONSE, in_days, sample, replace(NONE, kind="patients")]
    )
    assert [(pair.first.kind, pair.second.kind) for pair in comparison.shared] == [
        ("parameters", "patients"),
        ("sample", "sample"),
    ]
    assert [row.measure for row in comparison.only_first] == ["median PFS", "hazard ratio"]
    assert comparison.only_second == (RESPONSE, in_days)


def test_a_run_against_its_copy_differs_in_nothing(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [NONE, RESPONSE], [NONE, RESPONSE])
    assert comparison.differing == ()
    assert [pair.difference for pair in comparison.shared] == [0.0, 0.0]
    assert all(pair.overlap for pair in comparison.shared)
    assert "No input differs, as far as the folders of the runs record them." in lines(comparison)


def test_what_went_in_is_told_where_it_differs(tmp_path: Path) -> None:
    read, other = (read_run(run_of(tmp_path, [NONE], words=w, seed=s)) for w, s in
                   (("--patients 400 --out a", 1), ("--patients=1000 --draws 12", 2)))  # fmt: skip
    scenario = {"inputs": [{"path": "scenario.toml", "bytes": 1, "sha256": "a" * 64}], "perdure": "0.0.9"}
    other = replace(other, manifest={**other.manifest, **scenario})
    differing = {entry.name: (entry.first, entry.second) for entry in compare_runs(read, other).differing}
    assert differing.pop("command")[0] == "perdure run demo --patients 400 --out a"
    assert differing.pop("perdure")[1] == "0.0.9"
    assert differing == {
        "--patients": ("400", "1000"),
        "--draws": ("not given", "12"),
        "seeds: patients": ("1", "2"),
        "content of scenario.toml": ("not given", f"sha256 {'a' * 12}"),
    }


def test_a_calibration_of_the_same_name_with_another_record_is_told(tmp_path: Path) -> None:
    folders = [run_of(tmp_path, [NONE]) for _ in range(2)]
    for folder, seed in zip(folders, (4, 5), strict=True):
        text = json.dumps({"name": "reference", "about": {"seed": seed}})
        (folder / "calibration.json").write_text(text, encoding="utf-8")
    comparison = compare_runs(read_run(folders[0]), read_run(folders[1]))
    assert [entry.name for entry in comparison.differing] == ["record of the calibration"]
    (folders[0] / "calibration.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FileError, match="does not tell the calibration"):
        compare_runs(read_run(folders[0]), read_run(folders[1]))


def test_patients_are_called_paired_only_if_their_seeds_agree(tmp_path: Path) -> None:
    printed = "\n".join(lines(compared(tmp_path, [NONE], [NONE])))
    assert "from the same seed (patients 1)" in printed
    assert "differences are paired" in printed
    printed = "\n".join(lines(compared(tmp_path, [NONE], [NONE], seed=2)))
    assert "part of every difference is chance" in printed
    assert "paired" not in printed


def test_what_is_printed_is_aligned_and_says_what_only_one_run_has(tmp_path: Path) -> None:
    second = [replace(NONE, value=10.0), replace(DRUG, value=INF), RATIO]
    printed = "\n".join(lines(compared(tmp_path, [NONE, DRUG, RESPONSE], second)))
    rows = [line for line in printed.split("\n") if re.match("arm|none|lenalidomide ", line)]
    assert len({line.index(word) for line, word in zip(rows, ("measure", "median", "median"), strict=True)}) == 1
    assert "8.8 (5.9 to 11.9)" in rows[1]
    assert "10 (5.9 to 11.9)" in rows[1]
    assert "+1.2" in rows[1]
    assert "NR (9 to NR)" in rows[2]
    assert "overlap" in rows[2]
    assert re.search(r"first +none +overall response +73 \(65 to 80\) %", printed)
    assert re.search(r"second +lenalidomide +hazard ratio +0\.7$", printed, re.MULTILINE)


# Report


def test_the_report_shows_every_shared_number_with_both_intervals(tmp_path: Path) -> None:
    many = [replace(NONE, arm=f"arm {k}") for k in range(25)]
    lost = replace(NONE, arm="lost", value=NAN, low=NAN, high=NAN)
    rows = [*many, RESPONSE, RATIO, lost]
    comparison = compared(tmp_path, rows, [replace(row, value=row.value + 1) for row in rows])
    pictures = comparison_pictures(comparison)
    assert [len(picture.table["label"]) for picture in pictures] == [20, 5, 1, 1]
    assert pictures[0].table["second value"][0] == pytest.approx(9.8)
    assert pictures[0].table["first low"] == [5.9] * 20
    assert "arm 3: median PFS: 8.8 (5.9 to 11.9) against 9.8 (5.9 to 11.9)" in pictures[0].alt
    assert "95 % interval about parameters" in pictures[0].alt
    assert "interval" not in pictures[3].alt
    assert "0.7 against 1.7" in pictures[3].alt
    text = report_html(comparison_report(comparison))
    assert (
        text.count("<img ") == len(re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="[^"]+">', text)) == 4
    )
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert comparison.first.name in text
    assert comparison.second.name in text


def test_the_command_prints_and_writes_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [run_of(tmp_path / "runs", [row]) for row in (NONE, replace(NONE, value=10.0))]
    compare_command(folders[0], folders[1], tmp_path / "out" / "both.html")
    out = capsys.readouterr().out
    assert "+1.2" in out
    assert f"Report: {tmp_path / 'out' / 'both.html'}" in out
    assert "not medical advice" in out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["both.html"]
    compare_command(folders[0], folders[1])
    assert "Report" not in capsys.readouterr().out


# Errors


def broken(file: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(content, encoding="utf-8")


HEAD = "arm,measure,value,low,high,unit,level,kind\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no folder of a run, for there is no manifest.json in it"),
        (broken("manifest.json", "{"), "cannot be read as a manifest"),
        (broken("manifest.json", "[1]"), "missing or broken: command, perdure, seeds, inputs, failures"),
        (
            broken("manifest.json", '{"command": 1, "perdure": "", "seeds": {}, "inputs": [], "failures": []}'),
            "command",
        ),
        (lambda folder: (folder / "numbers.csv").unlink(), "has left no numbers.csv"),
        (broken("numbers.csv", ""), "its columns are none; expected arm, measure"),
        (broken("numbers.csv", "a,b\n"), "its columns are a, b; expected arm, measure"),
        (broken("numbers.csv", HEAD), "there are no numbers in it"),
        (broken("numbers.csv", HEAD + "none,m,1\n"), "row 1: 3 entries; expected 8"),
        (broken("numbers.csv", HEAD + "none,m,ten,,,,,\n"), "row 1: .*'ten'; expected a number, NR, or nothing"),
        (broken("numbers.csv", HEAD + "none,m,1,3,2,,0.95,sample\n"), "row 1: .*goes from 3 to 2"),
        (broken("numbers.csv", HEAD + "none,m,1,,,,,\n" * 2), "'none: m' .* stands there twice"),
    ],
)
def test_a_folder_that_is_broken_is_told_in_one_sentence(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    whole, folder = run_of(tmp_path, [NONE]), run_of(tmp_path, [NONE])
    damage(folder)
    for pair in ((whole, folder), (folder, whole)):
        with pytest.raises(FileError, match=message) as raised:
            compare_command(pair[0], pair[1])
        assert str(folder) in str(raised.value)


def test_what_is_no_run_is_told_with_what_would_be(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "runs", [NONE])
    with pytest.raises(FileError, match="there is no such folder; expected the folder of a run"):
        compare_command(tmp_path / "runs" / "nothing", folder)
    with pytest.raises(FileError, match="this is a file; expected the folder of a run"):
        compare_command(folder / "numbers.csv", folder)
    with pytest.raises(FileError, match=f"Runs are in it, the last one by name is {re.escape(str(folder))}"):
        compare_command(tmp_path / "runs", folder)


def test_runs_that_share_nothing_or_are_one_are_refused(tmp_path: Path) -> None:
    one, two = run_of(tmp_path, [NONE]), run_of(tmp_path, [RATIO, RESPONSE])
    with pytest.raises(InputError, match="Arms of the first: none; of the second: lenalidomide, none"):
        compare_command(one, two)
    with pytest.raises(InputError, match="this run was given twice"):
        compare_command(one, tmp_path / "." / one.name)
