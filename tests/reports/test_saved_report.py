"""A report comes back from its folder bit for bit, alone or with others. Numbers are synthetic."""

import base64
import csv
import dataclasses
import html
import json
import math
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from perdure.app.runs import report as report_command
from perdure.parameters.errors import FileError, InputError
from perdure.reports import report as report_module
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.shares import shares_picture
from perdure.reports.report import (
    Report,
    Section,
    Table,
    read_report,
    report_html,
    table_csv,
    write_html,
    write_report,
)
from perdure.reports.run_files import new_run, read_run

ODD = (
    ("a", 97, 34.9, "26 to 44", math.nan, None),
    ("b", np.int64(128), math.inf, "", math.nan, None),
    ("c", np.float64(1 / 3), -math.inf, Path("x/y"), math.nan, None),
    ('d, \u2013 \u00e4 "q"', -0.0, 1e300, np.bool_(True), math.nan, None),
    ("e\nf", 10**20, 0.1 + 0.2, False, math.nan, None),
)
HEAD = ("arm", "n", "median", "interval", "lost", "nothing")


def picture(name: str = "shares") -> Picture:
    return shares_picture({"A & B": {"antigen lost": 0.4, "CAR-T gone": 0.6}}, name=name, title="Synthetic <shares>")


def report(title: str = "Which <one> & why?", **changes: object) -> Report:
    settings: dict[str, object] = {
        "title": title,
        "subtitle": "Subtitle \u2013 \u00fc",
        "intro": "First.\n\nSecond.",
        "sections": (
            Section(
                "One", "Text.\n\nMore.", (picture("first"), picture("second.2")), (Table("Odd", HEAD, ODD, "Note"),)
            ),
            Section("Two", tables=(Table("Empty", ("a", "b"), ()), Table("Twice", ("a", "a"), ((1, 2.5),)))),
        ),
        "notices": ("Extrapolates <beyond>.",),
        "manifest": {"seeds": {"patients": 1}, "sizes": (1, 2), "not known": math.nan, "far": np.float64(math.inf)},
    }
    return Report(**(settings | changes))  # pyright: ignore[reportArgumentType]


def run_with(folder: Path, own: Report | None, name: str = "demo") -> Path:
    """A run that leaves a report."""
    with new_run(folder, name, f"perdure run {name}", {"patients": 1}) as run:
        if own is not None:
            write_report(run.path / "report.html", dataclasses.replace(own, manifest=run.manifest()))
    return run.path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything, drawn once; tests copy it."""
    return run_with(tmp_path_factory.mktemp("drawn"), report())


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of that run under another name and title."""

    def copy(name: str = "demo", title: str = "Which <one> & why?") -> Path:
        folder = shutil.copytree(drawn, tmp_path / "runs" / name)
        file = folder / "report.json"
        read = json.loads(file.read_text(encoding="utf-8")) | {"title": title}
        file.write_text(json.dumps(read), encoding="utf-8")
        return folder

    return copy


class Seen(HTMLParser):
    """Every attribute that loads or leads somewhere, every identifier, every alt text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.leads: list[str] = []
        self.ids: list[str] = []
        self.alts: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        known = {key: value or "" for key, value in attrs}
        self.ids += [known["id"]] if "id" in known else []
        self.leads += [known[key] for key in ("href", "action", "data", "srcset", "poster") if key in known]
        self.images += [known["src"]] if "src" in known else []
        self.alts += [known.get("alt", "")] if tag == "img" else []


# Round trip


def test_the_html_that_is_made_again_is_the_first_one_bit_for_bit(drawn: Path, tmp_path: Path) -> None:
    again = write_html(tmp_path / "again.html", report_html(read_report(drawn / "report.json")))
    assert again.read_bytes() == (drawn / "report.html").read_bytes()


def test_what_is_written_is_what_the_report_alone_gives(tmp_path: Path) -> None:
    own = report(sections=[Section("S", "", [picture()], [Table("Odd", HEAD, ODD)])])
    assert write_report(tmp_path / "report.html", own).read_text(encoding="utf-8") == report_html(own)


def test_a_report_that_was_read_is_written_elsewhere_bit_for_bit(drawn: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "again" / "report.html", read_report(drawn / "report.json"))
    written = {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert written == {name: (drawn / name).read_bytes() for name in written}
    assert written.keys() == {path.name for path in drawn.iterdir()} - {"manifest.json"}


def test_a_large_drawing_comes_back_as_the_same_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "_LARGEST_SVG", 10)
    folder = run_with(tmp_path, Report("R", sections=[Section("S", "", [picture()])]))
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    assert report_html(read_report(folder / "report.json")) == text


def test_the_json_is_standard_json_and_names_the_pictures(drawn: Path) -> None:

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    read = json.loads((drawn / "report.json").read_text(encoding="utf-8"), parse_constant=no_constant)
    assert [one["name"] for one in read["sections"][0]["pictures"]] == ["first", "second.2"]
    assert read["sections"][0]["tables"][0]["rows"][1][2] == {"number": "inf"}


def test_the_manifest_lists_what_makes_the_report_again(drawn: Path) -> None:
    listed = {entry["path"] for entry in read_run(drawn).manifest["outputs"]}
    assert {"report.html", "report.json", "first.svg", "first.png", "first.csv", "first.txt"} <= listed
    assert listed == {path.name for path in drawn.iterdir()} - {"manifest.json"}


def test_the_words_of_the_report_come_from_its_file_and_the_drawing_from_its_own(copied: Callable[..., Path]) -> None:
    folder = copied()
    file = folder / "report.json"
    file.write_text(file.read_text(encoding="utf-8").replace("Extrapolates", "Goes"), encoding="utf-8")
    (folder / "first.svg").write_bytes(b"<svg>another</svg>")
    (folder / "first.txt").write_text("Another alt text.\n", encoding="utf-8")
    text = report_html(read_report(file))
    assert "Goes &lt;beyond&gt;." in text
    assert base64.b64encode(b"<svg>another</svg>").decode() in text
    assert Seen(text).alts == ["Another alt text.", picture("second.2").alt]


# Tables and pictures beside the report


def test_every_table_stands_beside_the_report_as_csv(drawn: Path) -> None:
    with (drawn / "table_1_1.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(HEAD)
    assert rows[2] == ["b", "128", "inf", "", "", ""]
    assert rows[4] == ['d, \u2013 \u00e4 "q"', "-0", "1e+300", "yes", "", ""]
    assert rows[5][0] == "e\nf"
    assert (drawn / "table_2_2.csv").read_text(encoding="utf-8") == "a,a\n1,2.5\n"
    assert not (drawn / "table_2_1.csv").exists()


def test_a_table_that_the_run_has_written_is_not_written_twice(tmp_path: Path) -> None:
    table = Table("Numbers", ("month", "share"), ((1.0, 0.5), (2.0, math.nan)))
    with new_run(tmp_path, "demo", "command", {}) as run:
        run.write_table("numbers_of_mine", {"month": [1.0, 2.0], "share": [0.5, math.nan]})
        write_report(run.path / "report.html", Report("R", sections=[Section("S", tables=[table])]))
    assert {path.name for path in run.path.glob("*.csv")} == {"numbers_of_mine.csv"}


def test_a_picture_that_the_run_has_saved_is_left_alone_and_another_is_replaced(tmp_path: Path) -> None:
    with new_run(tmp_path, "demo", "command", {}) as run:
        run.save(picture("first"))
        before = {path.name: path.stat().st_mtime_ns for path in run.path.glob("first.*")}
        write_report(run.path / "report.html", report())
        assert {path.name: path.stat().st_mtime_ns for path in run.path.glob("first.*")} == before
        other = shares_picture({"C": {"antigen lost": 1.0}}, name="first", title="Other")
        write_report(run.path / "report.html", Report("R", sections=[Section("S", "", [other])]))
    assert (run.path / "first.txt").read_text(encoding="utf-8").strip() == other.alt
    assert "C" in (run.path / "first.csv").read_text(encoding="utf-8")


def test_the_html_offers_every_table_and_every_figure_as_csv(drawn: Path) -> None:
    text = (drawn / "report.html").read_text(encoding="utf-8")
    offered = dict(re.findall(r'download="([^"]+)" href="data:text/csv;charset=utf-8;base64,([^"]*)"', text))
    assert set(offered) == {"first.csv", "second.2.csv", "table_1_1.csv", "table_2_2.csv"}
    for name, content in offered.items():
        assert base64.b64decode(content) == (drawn / name).read_bytes()
    assert base64.b64decode(offered["table_1_1.csv"]).decode() == table_csv(Table("t", HEAD, ODD))


# Several runs in one document, and what every document keeps to


@pytest.mark.parametrize("several", [False, True])
def test_a_document_loads_nothing_and_every_image_has_words(
    several: bool, copied: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [copied(f"demo{k}", f"Report {k}") for k in range(1 + several)]
    report_command(folders, tmp_path / "all.html")
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    seen = Seen(text)
    assert len(seen.images) == 2 * (1 + several)
    assert all(source.startswith("data:image/") for source in seen.images)
    assert all(lead.startswith(("data:text/csv", "#")) for lead in seen.leads)
    assert not {"script", "link", "iframe", "object", "base", "video"} & seen.tags
    assert not re.search(r"url\(|@import", text)
    assert all(alt.strip() for alt in seen.alts)
    assert len(seen.ids) == len(set(seen.ids))
    assert {lead[1:] for lead in seen.leads if lead.startswith("#")} <= set(seen.ids)


def test_a_document_of_several_runs_holds_each_whole_and_says_which_it_is(
    copied: Callable[..., Path], tmp_path: Path
) -> None:
    folders = [copied(f"demo{k}", f"Report {k}") for k in range(3)]
    report_command(folders, tmp_path / "deep" / "all.html")
    text = (tmp_path / "deep" / "all.html").read_text(encoding="utf-8")
    assert text.count("<article>") == text.count("</article>") == 3
    for number, folder in enumerate(folders, start=1):
        assert f'<h1 id="run-{number}-top">Report {number - 1}</h1>' in text
        assert f"(run {folder.name})" in text
        assert f'id="run-{number}-picture-first"' in text
    assert text.count(html.escape("Extrapolates <beyond>.")) == 3
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "all.html"]


def test_a_report_of_one_run_is_named_after_it_and_its_folder_stays_as_it_was(
    copied: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.chdir(tmp_path)
    report_command([folder])
    assert capsys.readouterr().out == f"Report: {folder.name}.html\n"
    assert (tmp_path / f"{folder.name}.html").read_bytes() == before[folder / "report.html"]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    report_command([folder, copied("other")])
    assert capsys.readouterr().out == "Report: reports.html\n"


# Errors


def test_a_run_without_a_saved_report_is_told_in_words(tmp_path: Path) -> None:
    old = run_with(tmp_path, None, "old")
    with pytest.raises(FileError, match=r"there is no report\.json in it.*Make the run again"):
        report_command([old], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as a report"),
        ('{"format": 99}', "a report of format 99; this version of perdure reads format 1"),
        ('{"format": 1, "title": "t"}', "no whole report"),
        ('{"format": 1, "title": "t", "subtitle": "", "intro": "", "sections": [7]}', "no whole report"),
    ],
)
def test_a_broken_report_is_told_in_words(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=message):
        read_report(tmp_path / "report.json")


def test_a_picture_whose_file_is_gone_or_strange_is_told_by_name(copied: Callable[..., Path], tmp_path: Path) -> None:
    folder = copied()
    (folder / "second.2.csv").unlink()
    with pytest.raises(FileError, match=r"file 'second\.2\.csv' cannot be read"):
        report_command([folder], tmp_path / "x.html")
    (folder / "second.2.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(FileError, match=r"second\.2\.csv .* not UTF-8"):
        report_command([folder], tmp_path / "x.html")
    file = folder / "report.json"
    file.write_text(file.read_text(encoding="utf-8").replace("second.2", "../second"), encoding="utf-8")
    with pytest.raises(InputError, match="file name"):
        read_report(file)


def test_a_report_goes_to_a_file_and_not_where_a_folder_is(tmp_path: Path) -> None:
    folder = run_with(tmp_path, Report("R"))
    with pytest.raises(FileError, match="a report cannot be written there"):
        report_command([folder], tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileError, match="a report cannot be written there"):
        report_command([folder], tmp_path / "file" / "x.html")
    with pytest.raises(InputError, match="this run was given twice"):
        report_command([folder, tmp_path / "." / folder.name], tmp_path / "x.html")
    assert {path.name for path in tmp_path.iterdir()} == {"file", folder.name}
