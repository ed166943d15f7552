"""A run leaves one complete folder or nothing; a report is one file that needs nothing else. Numbers are synthetic."""

import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from perdure.parameters.errors import FileError, InputError
from perdure.reports import run_files
from perdure.reports.figures.picture import Picture
from perdure.reports.figures.shares import shares_picture
from perdure.reports.report import NOT_ADVICE, Report, Section, Table, cell_text, jsonable, report_html, write_report
from perdure.reports.run_files import new_run

SEEDS = {"virtual patients": 1, "posterior": 2}


def picture(name: str = "shares", title: str = "Synthetic <shares>") -> Picture:
    return shares_picture({"A & B": {"antigen lost": 0.4, "CAR-T gone": 0.6}}, name=name, title=title)


def report(**changes: object) -> Report:
    table = Table(
        "Synthetic <table>",
        ("product", "n", "median (months)", "interval"),
        (("a", 97, 34.9, "26 to 44"), ("b", 128, math.inf, None), ("c", np.int64(5), np.float64(-2.5), "")),
        "Note <on> the table.",
    )
    settings: dict[str, object] = {
        "title": "Which <one> & why?",
        "subtitle": "Subtitle <s>",
        "intro": "First <p> paragraph.\n\nSecond paragraph.",
        "sections": (
            Section("Section <1>", "Text <a>.\n\nMore text.", (picture(),), (table,)),
            Section("Second", "Text"),
        ),
        "notices": ("Extrapolates <beyond> the data.",),
        "manifest": {"seeds": SEEDS, "command": "perdure <report>", "failures": []},
    }
    return Report(**(settings | changes))  # pyright: ignore[reportArgumentType]


class Links(HTMLParser):
    """Collects tags, and whatever an attribute points to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for key, value in attrs if key in {"src", "href", "srcset", "action", "data"}]
        self.ids += [value or "" for key, value in attrs if key == "id"]


def parsed(text: str) -> Links:
    links = Links()
    links.feed(text)
    return links


def test_a_report_loads_nothing_and_runs_nothing() -> None:
    text = report_html(report())
    links = parsed(text)
    assert links.targets
    assert all(target.startswith(("data:", "#")) for target in links.targets)
    assert not {"script", "link", "iframe", "object"} & set(links.tags)
    assert not re.search(r"url\(|@import", text)


def test_the_contents_lead_to_every_section() -> None:
    links = parsed(report_html(report()))
    inside = [target[1:] for target in links.targets if target.startswith("#")]
    assert inside == ["section-1", "section-2", "provenance"]
    assert set(inside) <= set(links.ids)
    assert len(links.ids) == len(set(links.ids))


def test_a_report_holds_every_alt_text_and_the_numbers_of_every_figure() -> None:
    text = report_html(report())
    assert f'alt="{html.escape(picture().alt)}"' in text
    assert 'download="shares.csv"' in text


def test_whatever_a_user_writes_stays_text() -> None:
    text = report_html(report())
    for tag in ("<one>", "<s>", "<p> paragraph", "<a>", "<1>", "<table>.", "<beyond>", "<on>", "<report>", "<shares>"):
        assert tag not in text
    assert "Which &lt;one&gt; &amp; why?" in text


def test_a_report_says_what_it_is_not_and_which_uncertainties_there_are() -> None:
    for own in (report(), Report("Empty")):
        text = report_html(own)
        assert NOT_ADVICE in text
        assert NOT_ADVICE == "A research and design tool. Not medical advice."
        for kind in ("Between patients", "About parameters", "From the sample size"):
            assert kind in text


def test_numbers_stand_right_and_words_left() -> None:
    text = report_html(report())
    assert '<td class="number">34.9</td>' in text
    assert '<td class="number">NR</td>' in text
    assert '<td class="number">\u22122.5</td>' in text
    assert "<td>26 to 44</td>" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "\u2013"), (math.nan, "\u2013"), (True, "yes"), (128, "128"), (0.123456, "0.1235"), (-3.0, "\u22123")],
)
def test_an_entry_is_written_for_people(value: object, text: str) -> None:
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("columns", "cell", "expected"),
    [(7, "8.8 (5.9 to 11.9)", "upright"), (13, "lenalidomide", "landscape squeezed"), (10, "unreached", "landscape")],
)
def test_a_table_that_is_too_wide_for_a_page_turns_it_or_is_squeezed(columns: int, cell: str, expected: str) -> None:
    table = Table("t", [f"measure {k}" for k in range(columns)], [[cell] * columns])
    text = report_html(Report("R", sections=[Section("S", tables=[table])]))
    assert f'<div class="wide short {expected}">' in text


def test_on_paper_figures_and_short_tables_are_whole_and_long_ones_repeat_their_head() -> None:
    text = report_html(Report("R", sections=[Section("S", tables=[Table("t", ("a",), [[k] for k in range(26)])])]))
    assert '<div class="wide upright">' in text
    paper = text[text.index("@media print") :]
    assert re.search(r"figure, tr,[^{]*\{ break-inside: avoid; \}", paper)
    assert ".short { break-inside: avoid; }" in paper
    assert "thead { display: table-header-group; }" in paper
    assert re.search(r"\.wide \{ overflow: visible;", paper)
    assert re.search(r"\.screen, figcaption \{ display: none; \}", paper)
    assert "@page landscape { size: A4 landscape; }" in text


def test_a_report_is_written_whole_and_the_same_again(tmp_path: Path) -> None:
    path = write_report(tmp_path / "new" / "report.html", report())
    first = path.read_bytes()
    assert write_report(path, report()).read_bytes() == first
    left = {"report.html", "report.json", "table_1_1.csv", *(f"shares.{end}" for end in ("svg", "png", "csv", "txt"))}
    assert {file.name for file in path.parent.iterdir()} == left


def test_a_table_or_a_picture_that_cannot_be_shown_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: 1 entries for 2 columns"):
        Table("t", ("a", "b"), ((1,),))
    with pytest.raises(InputError, match="2 pictures are called 'shares'"):
        write_report(tmp_path / "new" / "report.html", report(sections=(Section("s", "", (picture(), picture())),)))
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_one_folder_with_a_manifest_that_tells_how(tmp_path: Path) -> None:
    source = tmp_path / "input.toml"
    source.write_text("dose = 1\n", encoding="utf-8")
    with new_run(tmp_path / "runs", "demo", "perdure demo --small", SEEDS) as run:
        assert run.path.name.startswith(".demo-")
        run.note_input(source)
        with run.timed("fit table"):
            run.write_table("numbers", {"month": [1.0, 2.0], "share": [0.5, math.nan]})
        with run.timed("fit table"):
            run.write_json("answer", {"median": math.inf, "low": np.float64(2.5), "missing": math.nan})
        run.save(picture())
        run.note_failures([{"patient": 7, "reason": "step size too small"}, "patient 9 was not tried"])
    folders = list((tmp_path / "runs").iterdir())
    assert folders == [run.path]
    assert re.fullmatch(r"demo-\d{8}-\d{6}", run.path.name)
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == "perdure demo --small"
    assert manifest["seeds"] == SEEDS
    assert manifest["libraries"]["numpy"] == version("numpy")
    assert set(manifest["libraries"]) == {"numpy", "scipy", "llvmlite", "pint", "matplotlib"}
    assert manifest["started"] <= manifest["ended"]
    assert {"perdure", "python", "platform", "seconds"} <= set(manifest)
    assert list(manifest["timings"]) == ["fit table"]
    assert manifest["failures"][0] == {"patient": 7, "reason": "step size too small"}
    assert manifest["inputs"][0]["sha256"] == hashlib.sha256(b"dose = 1\n").hexdigest()
    written = {path.name for path in run.path.iterdir()} - {"manifest.json"}
    assert {entry["path"] for entry in manifest["outputs"]} == written
    for entry in manifest["outputs"]:
        assert entry["sha256"] == hashlib.sha256((run.path / entry["path"]).read_bytes()).hexdigest()
    assert (run.path / "numbers.csv").read_text(encoding="utf-8") == "month,share\n1,0.5\n2,\n"
    answer = json.loads((run.path / "answer.json").read_text(encoding="utf-8"))
    assert answer == {"median": "inf", "low": 2.5, "missing": None}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_run_that_is_cut_off_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    def cut_off() -> None:
        with new_run(tmp_path, "demo", "command", {}) as run:
            run.write_table("numbers", {"a": [1]})
            raise error

    with pytest.raises(error):
        cut_off()
    assert list(tmp_path.iterdir()) == []


def test_runs_of_the_same_second_get_numbers(tmp_path: Path) -> None:
    wanted = tmp_path / "demo-20260101-000000"
    paths = []
    for _ in range(3):
        hidden = tmp_path / ".hidden"
        hidden.mkdir()
        (hidden / "file").write_text("", encoding="utf-8")
        paths.append(run_files._renamed(hidden, wanted).name)
    assert paths == [wanted.name, f"{wanted.name}-2", f"{wanted.name}-3"]


def test_a_file_of_a_run_is_never_overwritten(tmp_path: Path) -> None:
    with new_run(tmp_path, "demo", "command", {}) as run:
        run.write_table("numbers", {"a": [1]})
        with pytest.raises(InputError, match=r"numbers\.csv"):
            run.write_table("numbers", {"a": [2]})
        with pytest.raises(InputError, match=r"manifest\.json"):
            run.write_json("manifest", {})
        run.save(picture())
        with pytest.raises(InputError, match=r"shares\.svg"):
            run.save(picture())
    assert (run.path / "numbers.csv").read_text(encoding="utf-8") == "a\n1\n"


def test_what_a_run_cannot_write_is_refused_in_words(tmp_path: Path) -> None:
    with new_run(tmp_path, "demo", "command", {}) as run:
        with pytest.raises(FileError, match="no such file"):
            run.note_input(tmp_path / "missing.toml")
        with pytest.raises(InputError, match="equally long"):
            run.write_table("numbers", {"a": [1], "b": []})
        with pytest.raises(InputError, match="file name"):
            run.write_table("../numbers", {"a": [1]})
    with pytest.raises(InputError, match="cannot be written as JSON"):
        jsonable({"a": object()})
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(FileError, match="this is a file"), new_run(tmp_path / "file", "demo", "command", {}):
        pass


def test_a_library_that_is_not_installed_is_unknown() -> None:
    assert run_files.version_of("a-library-that-nobody-has") == "not installed"
