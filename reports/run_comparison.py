"""Two runs side by side: what went in that differs, and every number that both have."""

import hashlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..parameters.errors import FileError, InputError
from ..parameters.versions import version_of
from .figures.picture import Picture
from .figures.run_pairs import Interval, PairToDraw, pairs_picture
from .report import Report, Section, Table, aligned, cell_text
from .run_files import KINDS, NumberRow, SavedRun

# Of a manifest: what is no input, or differs between any two runs.
_NO_INPUT = ("name", "started", "ended", "seconds", "timings", "outputs", "failures")
_NO_MATTER = ("--out",)
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class RunInput:
    """One thing that went into two runs, in words."""

    what: str
    first: str
    second: str


@dataclass(frozen=True)
class SharedNumber:
    """A number of the same arm, measure and unit in two runs."""

    first: NumberRow
    second: NumberRow

    @property
    def difference(self) -> float:
        """Second minus first; NaN where one of them is not known or not reached."""
        known = math.isfinite(self.first.value) and math.isfinite(self.second.value)
        return self.second.value - self.first.value if known else math.nan

    @property
    def overlap(self) -> bool | None:
        """Whether the intervals have a point in common; None unless both are known, of one kind and level."""
        one, two = self.first, self.second
        if not (one.has_interval and two.has_interval and one.kind == two.kind and one.level == two.level):
            return None
        return one.low <= two.high and two.low <= one.high


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs and what they share.

    Attributes
    ----------
    inputs
        What went in, as far as the folders tell; see `differing`.
    shared
        Numbers of both, in the order of the first.
    only_first, only_second
        Numbers of one of them.
    """

    first: SavedRun
    second: SavedRun
    inputs: tuple[RunInput, ...]
    shared: tuple[SharedNumber, ...]
    only_first: tuple[NumberRow, ...]
    only_second: tuple[NumberRow, ...]

    @property
    def differing(self) -> tuple[RunInput, ...]:
        """What went in and differs."""
        return tuple(one for one in self.inputs if one.first != one.second)

    @cached_property
    def shared_seeds(self) -> Mapping[str, object]:
        """Seeds of virtual patients that are the same in both; empty as soon as one differs."""
        one, two = (
            {name: seed for name, seed in run.manifest["seeds"].items() if name != "calibration"}
            for run in (self.first, self.second)
        )
        both = {name: seed for name, seed in one.items() if name in two}
        return both if all(two[name] == seed for name, seed in both.items()) else {}


def compare_runs(first: SavedRun, second: SavedRun) -> RunComparison:
    """Put two runs side by side; arms and measures are matched by their names and unit.

    Raises
    ------
    FileError
        If one of them has left no numbers.
    InputError
        If both are the same folder, or no number is of the same arm, measure and unit.
    """
    if first.path.resolve() == second.path.resolve():
        raise InputError(f"{first.path}: this run was given twice; name two runs to compare.")
    one, two = _numbers(first), _numbers(second)
    shared, only_first, only_second = _matched(one, two)
    if not shared:
        raise InputError(
            f"{first.path} and {second.path}: no number is of the same arm, measure and unit, so there is nothing to "
            f"compare. Arms of the first: {_arms(one)}; of the second: {_arms(two)}."
        )
    return RunComparison(first, second, _inputs(first, second), shared, only_first, only_second)


def _numbers(run: SavedRun) -> tuple[NumberRow, ...]:
    if run.numbers is None:
        raise FileError(
            f"{run.path}: this run has left no numbers.csv, so there is nothing to compare. Older runs did not write "
            "one, and some experiments have no numbers: make the run again, or compare their reports by eye."
        )
    return run.numbers


def _arms(rows: Sequence[NumberRow]) -> str:
    names = list(dict.fromkeys(row.arm for row in rows))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _matched(
    one: Sequence[NumberRow], two: Sequence[NumberRow]
) -> tuple[tuple[SharedNumber, ...], tuple[NumberRow, ...], tuple[NumberRow, ...]]:
    """Rows with the same kind of interval meet first; what then is left, by arm, measure and unit alone."""
    partner: dict[int, int] = {}
    for with_kind in (True, False):
        places: dict[tuple[str, ...], list[int]] = {}
        for j, row in enumerate(two):
            if j not in partner.values():
                places.setdefault(_key(row, with_kind), []).append(j)
        for i, row in enumerate(one):
            if i not in partner and (free := places.get(_key(row, with_kind))):
                partner[i] = free.pop(0)
    taken = set(partner.values())
    return (
        tuple(SharedNumber(row, two[partner[i]]) for i, row in enumerate(one) if i in partner),
        tuple(row for i, row in enumerate(one) if i not in partner),
        tuple(row for j, row in enumerate(two) if j not in taken),
    )


def _key(row: NumberRow, with_kind: bool) -> tuple[str, ...]:
    return (row.arm, row.measure, row.unit, *([row.kind] if with_kind else []))


def _inputs(first: SavedRun, second: SavedRun) -> tuple[RunInput, ...]:
    one, two = (dict(_told(run)) for run in (first, second))
    return tuple(
        RunInput(what, one.get(what, NOT_GIVEN), two.get(what, NOT_GIVEN)) for what in dict.fromkeys([*one, *two])
    )


def _told(run: SavedRun) -> Iterator[tuple[str, str]]:
    """What the folder tells of what went in, by name."""
    manifest = run.manifest
    yield "command", str(manifest["command"])
    yield from _options(str(manifest["command"]))
    yield from _calibration(run)
    for key, value in manifest.items():
        if key == "inputs":
            for file in filter(lambda one: isinstance(one, Mapping), value):
                yield f"content of {file.get('path')}", f"sha256 {str(file.get('sha256'))[:12]}"
        elif key != "command" and key not in _NO_INPUT:
            yield from _flat(key, value)
    yield "noted failures", str(len(manifest["failures"]))


def _flat(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}: {key}", item)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _options(command: str) -> Iterator[tuple[str, str]]:
    """Options of a command line with their values: sizes, seed, calibration as they were typed."""
    try:
        words = shlex.split(command)
    except ValueError:  # whatever else started the run
        return
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if word.startswith("--") and name not in _NO_MATTER:
            following = words[place + 1 : place + 2]
            yield name, value or (following[0] if following and not following[0].startswith("--") else "given")


def _calibration(run: SavedRun) -> Iterator[tuple[str, str]]:
    file = run.path / "calibration.json"
    if not file.is_file():
        return
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        about = json.dumps(read["about"], sort_keys=True).encode()
        yield "calibration", str(read["name"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(f"{file}: it does not tell the calibration ({type(problem).__name__}: {problem}).") from problem
    yield "record of the calibration", f"sha256 {hashlib.sha256(about).hexdigest()[:12]}"


# Two runs side by side in words: on the console, and as a report with pictures.


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
    return PairToDraw(label, _interval_of(pair.first), _interval_of(pair.second))


def _interval_of(row: NumberRow) -> Interval:
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
