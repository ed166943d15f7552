"""Two runs side by side: inputs that differ, and every number that both have."""

import hashlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..parameters.errors import FileError, InputError
from ..parameters.versions import version_of
from .figures.paired_intervals import Interval, PairSpec, pairs_picture
from .figures.picture import Picture
from .report import Report, Section, Table, aligned, cell_text
from .run_files import KINDS, NumberRow, SavedRun

# Entries of a manifest that are no inputs, or differ between any two runs.
_NO_INPUT = ("name", "started", "ended", "seconds", "timings", "outputs", "failures")
_IRRELEVANT_OPTIONS = ("--out",)
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class RunInput:
    """An input of two runs, in words."""

    name: str
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
        finite = math.isfinite(self.first.value) and math.isfinite(self.second.value)
        return self.second.value - self.first.value if finite else math.nan

    @property
    def overlap(self) -> bool | None:
        """Whether the intervals have a point in common; None unless both are known, of the same kind and level."""
        first, second = self.first, self.second
        if not (first.has_interval and second.has_interval):
            return None
        if (first.kind, first.level) != (second.kind, second.level):
            return None
        return first.low <= second.high and second.low <= first.high


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs and what they share.

    Attributes
    ----------
    inputs
        As far as the folders record them; see `differing`.
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
        """Inputs that differ."""
        return tuple(entry for entry in self.inputs if entry.first != entry.second)

    @cached_property
    def shared_seeds(self) -> Mapping[str, object]:
        """Seeds of virtual patients that are the same in both; empty as soon as one differs."""
        first, second = (
            {name: seed for name, seed in run.manifest["seeds"].items() if name != "calibration"}
            for run in (self.first, self.second)
        )
        shared = {name: seed for name, seed in first.items() if name in second}
        return shared if all(second[name] == seed for name, seed in shared.items()) else {}


def compare_runs(first: SavedRun, second: SavedRun) -> RunComparison:
    """Put two runs side by side; arms and measures are matched by their names and unit.

    Raises
    ------
    FileError
        If one of them has no numbers.
    InputError
        If both are the same folder, or no number is of the same arm, measure and unit.
    """
    if first.path.resolve() == second.path.resolve():
        raise InputError(f"{first.path}: this run was given twice; name two runs to compare.")
    first_rows, second_rows = _numbers(first), _numbers(second)
    shared, only_first, only_second = _matched(first_rows, second_rows)
    if not shared:
        raise InputError(
            f"{first.path} and {second.path}: no number is of the same arm, measure and unit, so there is nothing to "
            f"compare. Arms of the first: {_arms(first_rows)}; of the second: {_arms(second_rows)}."
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
    first: Sequence[NumberRow], second: Sequence[NumberRow]
) -> tuple[tuple[SharedNumber, ...], tuple[NumberRow, ...], tuple[NumberRow, ...]]:
    """Match rows of the same kind of interval first; the rest by arm, measure and unit alone."""
    partner: dict[int, int] = {}
    for with_kind in (True, False):
        unmatched: dict[tuple[str, ...], list[int]] = {}
        for j, row in enumerate(second):
            if j not in partner.values():
                unmatched.setdefault(_key(row, with_kind), []).append(j)
        for i, row in enumerate(first):
            if i not in partner and (free := unmatched.get(_key(row, with_kind))):
                partner[i] = free.pop(0)
    taken = set(partner.values())
    return (
        tuple(SharedNumber(row, second[partner[i]]) for i, row in enumerate(first) if i in partner),
        tuple(row for i, row in enumerate(first) if i not in partner),
        tuple(row for j, row in enumerate(second) if j not in taken),
    )


def _key(row: NumberRow, with_kind: bool) -> tuple[str, ...]:
    return (row.arm, row.measure, row.unit, *([row.kind] if with_kind else []))


def _inputs(first: SavedRun, second: SavedRun) -> tuple[RunInput, ...]:
    firsts, seconds = (dict(_recorded(run)) for run in (first, second))
    return tuple(
        RunInput(name, firsts.get(name, NOT_GIVEN), seconds.get(name, NOT_GIVEN))
        for name in dict.fromkeys([*firsts, *seconds])
    )


def _recorded(run: SavedRun) -> Iterator[tuple[str, str]]:
    """Inputs that the folder of a run records, by name."""
    manifest = run.manifest
    yield "command", str(manifest["command"])
    yield from _options(str(manifest["command"]))
    yield from _calibration(run)
    for key, value in manifest.items():
        if key == "inputs":
            for file in filter(lambda entry: isinstance(entry, Mapping), value):
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
    except ValueError:  # the run was not started by a command line
        return
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if word.startswith("--") and name not in _IRRELEVANT_OPTIONS:
            following = words[place + 1 : place + 2]
            yield name, value or (following[0] if following and not following[0].startswith("--") else "given")


def _calibration(run: SavedRun) -> Iterator[tuple[str, str]]:
    file = run.path / "calibration.json"
    if not file.is_file():
        return
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        about = json.dumps(entry["about"], sort_keys=True).encode()
        yield "calibration", str(entry["name"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(f"{file}: it does not tell the calibration ({type(problem).__name__}: {problem}).") from problem
    yield "record of the calibration", f"sha256 {hashlib.sha256(about).hexdigest()[:12]}"


# In words on the console, and as a report with pictures


TOGETHER = ("months", "days", "%")  # measures of these units share an axis; others get a picture each
ROWS = 20  # of a picture, so that it fits a page
ROUNDING = 1e-9  # of the larger number; a smaller difference is shown as zero
_OVERLAP = {True: "overlap", False: "apart", None: "\u2013"}
_INPUT_HEAD = ("input", "first", "second")
_SHARED_HEAD = ("arm", "measure", "unit", "first", "second", "difference", "intervals", "about")
_ONLY_HEAD = ("run", "arm", "measure", "value")


def lines(comparison: RunComparison) -> tuple[str, ...]:
    """What is printed: both runs, their inputs, every shared number, and numbers of only one of them."""
    inputs = aligned(_INPUT_HEAD, _input_rows(comparison)) if comparison.differing else _NOTHING
    printed = [f"First:  {comparison.first.path}", f"Second: {comparison.second.path}", ""]
    printed += [inputs, _alike(comparison), ""]
    printed.append(aligned(_SHARED_HEAD, [_printed(row) for row in _shared_rows(comparison)]))
    if comparison.only_first or comparison.only_second:
        printed += ["", aligned(_ONLY_HEAD, _only_rows(comparison))]
    return (*printed, "", *notes(comparison))


def notes(comparison: RunComparison) -> tuple[str, ...]:
    """How to read the numbers: sign, uncertainty of differences, overlap of intervals."""
    seeds = ", ".join(f"{name} {seed}" for name, seed in comparison.shared_seeds.items())
    pairing = (
        f"Both runs drew their virtual patients from the same seed ({seeds}): in the same population, patient i is "
        "the same person in both, and differences are paired."
        if seeds
        else "The runs did not draw their virtual patients from the same seed: part of every difference is chance."
    )
    return (
        "Difference: second minus first, in the unit of the row. Arms and measures are matched by their names.",
        f"{pairing} {_NO_INTERVAL}",
        "Each interval is about its own run alone. That two overlap does not say that the numbers are equal.",
    )


def comparison_report(comparison: RunComparison) -> Report:
    """The comparison as a report: measures in months, in days or in % share a picture, any other has its own."""
    shared = Table("Side by side", _SHARED_HEAD, _shared_rows(comparison), "NR: not reached. \u2013: not known.")
    only = Table("In one run only", _ONLY_HEAD, _only_rows(comparison))
    differ = Table("Inputs that differ", _INPUT_HEAD, _input_rows(comparison))
    sections = [
        Section("Inputs", "\n\n".join([*([] if comparison.differing else [_NOTHING]), _alike(comparison)]),
                tables=[differ] if comparison.differing else []),
        Section("Numbers in both runs", "", comparison_pictures(comparison), [shared]),
        *([Section("Numbers in one run only", tables=[only])] if only.rows else []),
    ]  # fmt: skip
    return Report(
        title="Two runs side by side",
        subtitle=f"First: {comparison.first.name}. Second: {comparison.second.name}.",
        intro=f"{len(comparison.shared)} numbers are in both runs. All patients are simulated.",
        notices=notes(comparison),
        sections=sections,
        manifest={
            "perdure": version_of("perdure"),
            "first": _origin(comparison.first),
            "second": _origin(comparison.second),
        },
    )


def _origin(run: SavedRun) -> dict[str, object]:
    """The manifest of a run without its files: the comparison shows none of them."""
    return {key: value for key, value in run.manifest.items() if key != "outputs"}


def comparison_pictures(comparison: RunComparison) -> list[Picture]:
    """Shared numbers as pictures; a number that is not known in either run is left out."""
    groups: dict[tuple[str, ...], list[SharedNumber]] = {}
    for pair in comparison.shared:
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
                    runs=(f"First: {comparison.first.name}", f"Second: {comparison.second.name}"),
                    interval=about,
                )
            )
    return pictures


def _drawn(pair: SharedNumber, with_measure: bool) -> PairSpec:
    label = f"{pair.first.arm}: {pair.first.measure}" if with_measure else pair.first.arm
    return PairSpec(label, _interval_of(pair.first), _interval_of(pair.second))


def _interval_of(row: NumberRow) -> Interval:
    return row.value, row.low, row.high


def _about(pair: SharedNumber) -> str:
    """What the intervals of a pair are about; both if they differ, nothing without intervals."""
    words = dict.fromkeys(_interval_words(row) for row in (pair.first, pair.second) if row.has_interval)
    return " against ".join(words)


def _interval_words(row: NumberRow) -> str:
    return f"{100 * row.level:g} % interval {KINDS[row.kind]}"


def _input_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    return [(entry.name, entry.first, entry.second) for entry in comparison.differing]


def _alike(comparison: RunComparison) -> str:
    same = [
        f"{entry.name} {entry.first}" for entry in comparison.inputs
        if entry.first == entry.second and entry.name != "command"
    ]  # fmt: skip
    return f"The same in both: {'; '.join(same)}." if same else "No input is the same in both."


def _shared_rows(comparison: RunComparison) -> list[tuple[object, ...]]:
    return [
        (
            pair.first.arm, pair.first.measure, pair.first.unit, _number_words(pair.first), _number_words(pair.second),
            _difference(pair), _OVERLAP[pair.overlap], _about(pair) or "no interval",
        )
        for pair in comparison.shared
    ]  # fmt: skip


def _printed(row: Sequence[object]) -> list[str]:
    """A row of the shared numbers as text, the difference with its sign."""
    return [f"{'+' if isinstance(cell, float) and cell > 0 else ''}{cell_text(cell)}" for cell in row]


def _difference(pair: SharedNumber) -> float:
    """The difference, or zero if it lies within the rounding of the files."""
    largest = max(abs(pair.first.value), abs(pair.second.value))
    return 0.0 if abs(pair.difference) <= ROUNDING * largest else pair.difference


def _only_rows(comparison: RunComparison) -> list[tuple[str, ...]]:
    return list(_only("first", comparison.only_first)) + list(_only("second", comparison.only_second))


def _only(run: str, rows: Sequence[NumberRow]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        yield run, row.arm, row.measure, f"{_number_words(row)} {row.unit}".strip()


def _number_words(row: NumberRow) -> str:
    interval = f" ({cell_text(row.low)} to {cell_text(row.high)})" if row.has_interval else ""
    return f"{cell_text(row.value)}{interval}"


_NOTHING = "No input differs, as far as the folders of the runs record them."
_NO_INTERVAL = (
    "The uncertainty of a difference cannot be computed from two folders, so none is given an interval: put both arms "
    "into one run to get it."
)
