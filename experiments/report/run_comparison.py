"""Two runs side by side: what went in that differs, and every number that both have."""

import hashlib
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from perdure.experiments.report.run_files import NumberRow, SavedRun
from perdure.parameters.errors import FileError, InputError

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
