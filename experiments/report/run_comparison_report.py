"""Two runs side by side in words: on the console, and as a report with pictures."""

import math
from collections.abc import Iterator, Sequence

from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.run_pairs import Interval, PairToDraw, pairs_picture
from perdure.experiments.report.report import Report, Section, Table, cell_text
from perdure.experiments.report.run_comparison import RunComparison, SharedNumber
from perdure.experiments.report.run_files import KINDS, NumberRow, SavedRun
from perdure.experiments.report.text import aligned
from perdure.parameters.versions import version_of

TOGETHER = ("months", "days", "%")  # measures of these units share an axis; others get a picture each
ROWS = 20  # of a picture, so that it fits a page
ROUNDING = 1e-9  # of the larger number: a smaller difference is shown as none
_OVERLAP = {True: "overlap", False: "apart", None: "\u2013"}
_INPUT_HEAD = ("what went in", "first", "second")
_SHARED_HEAD = ("arm", "measure", "unit", "first", "second", "difference", "intervals", "about")
_ONLY_HEAD = ("run", "arm", "measure", "value")


def lines(found: RunComparison) -> tuple[str, ...]:
    """What is printed: both runs, what went in, every shared number, and what only one of them has."""
    said = [f"First:  {found.first.path}", f"Second: {found.second.path}", ""]
    said += [aligned(_INPUT_HEAD, _input_rows(found)) if found.differing else _NOTHING, _alike(found), ""]
    said.append(aligned(_SHARED_HEAD, [_printed(row) for row in _shared_rows(found)]))
    if found.only_first or found.only_second:
        said += ["", aligned(_ONLY_HEAD, _only_rows(found))]
    return (*said, "", *notes(found))


def notes(found: RunComparison) -> tuple[str, ...]:
    """How the numbers are to be read: sign, what is not known about differences, what overlapping means."""
    seeds = ", ".join(f"{name} {seed}" for name, seed in found.shared_seeds.items())
    paired = (
        f"Both runs drew their virtual patients from the same seed ({seeds}): in the same population, patient i is "
        "the same person in both, and differences are paired."
        if seeds
        else "The runs did not draw their virtual patients from the same seed: part of every difference is chance."
    )
    return (
        "Difference: second minus first, in the unit of the row. Arms and measures are matched by their names.",
        f"{paired} {_NO_INTERVAL}",
        "Each interval is about its own run alone. That two overlap does not say that the numbers are equal.",
    )


def comparison_report(found: RunComparison) -> Report:
    """The comparison as a report: measures in months, in days or in % share a picture, any other has its own."""
    shared = Table("Side by side", _SHARED_HEAD, _shared_rows(found), "NR: not reached. \u2013: not known.")
    only = Table("In one run only", _ONLY_HEAD, _only_rows(found))
    differ = Table("What differs", _INPUT_HEAD, _input_rows(found))
    sections = [
        Section("What went in", "\n\n".join([*([] if found.differing else [_NOTHING]), _alike(found)]),
                tables=[differ] if found.differing else []),
        Section("Every number that both have", "", comparison_pictures(found), [shared]),
        *([Section("What only one of them has", tables=[only])] if only.rows else []),
    ]  # fmt: skip
    return Report(
        title="Two runs side by side",
        subtitle=f"First: {found.first.name}. Second: {found.second.name}.",
        intro=f"{len(found.shared)} numbers are in both runs. All patients are simulated.",
        notices=notes(found),
        sections=sections,
        manifest={"perdure": version_of("perdure"), "first": _origin(found.first), "second": _origin(found.second)},
    )


def _origin(run: SavedRun) -> dict[str, object]:
    """The manifest of a run without its files: the comparison shows none of them."""
    return {key: value for key, value in run.manifest.items() if key != "outputs"}


def comparison_pictures(found: RunComparison) -> list[Picture]:
    """Shared numbers as pictures; a number that is not known in either run is left out."""
    groups: dict[tuple[str, ...], list[SharedNumber]] = {}
    for pair in found.shared:
        if not (math.isnan(pair.first.value) and math.isnan(pair.second.value)):
            measure = "" if pair.first.unit in TOGETHER else pair.first.measure
            groups.setdefault((pair.first.unit, measure, _about(pair)), []).append(pair)
    pictures: list[Picture] = []
    for (unit, measure, about), pairs in groups.items():
        for start in range(0, len(pairs), ROWS):
            pictures.append(
                pairs_picture(
                    [_drawn(pair, not measure) for pair in pairs[start : start + ROWS]],
                    name=f"compared_{len(pictures) + 1}",
                    title=f"{measure[:1].upper()}{measure[1:]}" or f"Numbers in {unit}",
                    x_label=", ".join(filter(None, [measure, unit])),
                    runs=(f"First: {found.first.name}", f"Second: {found.second.name}"),
                    interval=about,
                )
            )
    return pictures


def _drawn(pair: SharedNumber, with_measure: bool) -> PairToDraw:
    label = f"{pair.first.arm}: {pair.first.measure}" if with_measure else pair.first.arm
    return PairToDraw(label, _numbers(pair.first), _numbers(pair.second))


def _numbers(row: NumberRow) -> Interval:
    return row.value, row.low, row.high


def _about(pair: SharedNumber) -> str:
    """What the intervals of a pair are about: one thing, two things, or nothing."""
    both = dict.fromkeys(_interval_words(row) for row in (pair.first, pair.second) if row.has_interval)
    return " against ".join(both)


def _interval_words(row: NumberRow) -> str:
    return f"{100 * row.level:g} % interval {KINDS[row.kind]}"


def _input_rows(found: RunComparison) -> list[tuple[str, ...]]:
    return [(one.what, one.first, one.second) for one in found.differing]


def _alike(found: RunComparison) -> str:
    same = [f"{one.what} {one.first}" for one in found.inputs if one.first == one.second and one.what != "command"]
    return f"The same in both: {'; '.join(same)}." if same else "Nothing that went in is the same in both."


def _shared_rows(found: RunComparison) -> list[tuple[object, ...]]:
    return [
        (
            pair.first.arm, pair.first.measure, pair.first.unit, _number_words(pair.first), _number_words(pair.second),
            _difference(pair), _OVERLAP[pair.overlap], _about(pair) or "no interval",
        )
        for pair in found.shared
    ]  # fmt: skip


def _printed(row: Sequence[object]) -> list[str]:
    """A row of the shared numbers as text, the difference with its sign."""
    return [f"{'+' if isinstance(cell, float) and cell > 0 else ''}{cell_text(cell)}" for cell in row]


def _difference(pair: SharedNumber) -> float:
    """The difference, without what only the last digits of a file make of it."""
    largest = max(abs(pair.first.value), abs(pair.second.value))
    return 0.0 if abs(pair.difference) <= ROUNDING * largest else pair.difference


def _only_rows(found: RunComparison) -> list[tuple[str, ...]]:
    return list(_only("first", found.only_first)) + list(_only("second", found.only_second))


def _only(run: str, rows: Sequence[NumberRow]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        yield run, row.arm, row.measure, f"{_number_words(row)} {row.unit}".strip()


def _number_words(row: NumberRow) -> str:
    interval = f" ({cell_text(row.low)} to {cell_text(row.high)})" if row.has_interval else ""
    return f"{cell_text(row.value)}{interval}"


_NOTHING = "Nothing that went in differs, as far as the folders of the runs tell."
_NO_INTERVAL = (
    "How sure a difference is cannot be told from two folders, so none is given an interval: put both arms into one "
    "run to get it."
)
