"""One folder per run, complete or not there at all, with a manifest of how it came about."""

import dataclasses
import hashlib
import json
import math
import platform
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ..model.solution import Failure
from ..parameters.errors import FileError, InputError
from ..parameters.versions import version_of
from .figures.checks import check_name
from .figures.columns import Columns, write_csv
from .figures.picture import Picture, save_picture

LIBRARIES = ("numpy", "scipy", "llvmlite", "pint", "matplotlib")
MANIFEST = "manifest.json"


class RunFolder:
    """The folder of a run while it is written; `new_run` makes one.

    `path` is a hidden folder until the run has succeeded, and its final place from then on.
    """

    def __init__(self, path: Path, name: str, command: str, seeds: Mapping[str, object]) -> None:
        self.path = path
        self.name = name
        self.started = datetime.now().astimezone()
        self._command = command
        self._seeds = dict(seeds)
        self._inputs: list[dict[str, object]] = []
        self._failures: list[object] = []
        self._timings: dict[str, float] = {}

    def save(self, picture: Picture) -> tuple[Path, ...]:
        """Save a picture as SVG, PNG, CSV and TXT."""
        for suffix in ("svg", "png", "csv", "txt"):
            self._free(f"{picture.name}.{suffix}")
        return save_picture(picture, self.path)

    def write_table(self, name: str, columns: Columns) -> Path:
        """Write columns of equal length to NAME.csv."""
        return write_csv(self._free(f"{check_name(name, 'table')}.csv"), columns)

    def write_json(self, name: str, value: object) -> Path:
        """Write a value to NAME.json; see `jsonable` for numbers that JSON does not know."""
        path = self._free(f"{check_name(name, 'file')}.json")
        path.write_text(_json_text(value), encoding="utf-8", newline="\n")
        return path

    def note_input(self, path: str | Path) -> None:
        """Put a file that the run has read into the manifest, with its checksum."""
        file = Path(path)
        if not file.is_file():
            raise FileError(f"{file}: there is no such file to note as an input.")
        self._inputs.append({"path": str(path), "bytes": file.stat().st_size, "sha256": sha256(file)})

    def note_seeds(self, seeds: Mapping[str, object]) -> None:
        """Put further seeds into the manifest, by what they are for."""
        self._seeds.update(seeds)

    def note_failures(self, failures: Iterable[object]) -> None:
        """Put what failed into the manifest: failed patients, or sentences, or mappings.

        A failed patient also gets a file in the folder `failures`, for `perdure reproduce`.
        """
        for failure in failures:
            if isinstance(failure, Failure):
                file = failure.write(self.path / "failures").relative_to(self.path).as_posix()
                failure = {"patient": failure.patient, "reason": failure.reason, "day": failure.day, "file": file}
            self._failures.append(failure)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Time the block; the seconds of blocks with the same name add up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._timings[what] = self._timings.get(what, 0.0) + time.perf_counter() - start

    def manifest(self) -> dict[str, Any]:
        """What is known about the run by now, with the files that it has written."""
        now = datetime.now().astimezone()
        files = sorted(path for path in self.path.rglob("*") if path.is_file() and path.name != MANIFEST)
        return jsonable(
            {
                "name": self.name,
                "command": self._command,
                "perdure": version_of("perdure"),
                "python": platform.python_version(),
                "libraries": {name: version_of(name) for name in LIBRARIES},
                "platform": platform.platform(),
                "seeds": self._seeds,
                "started": self.started.isoformat(timespec="seconds"),
                "ended": now.isoformat(timespec="seconds"),
                "seconds": round((now - self.started).total_seconds(), 3),
                "timings": {what: round(seconds, 3) for what, seconds in self._timings.items()},
                "inputs": self._inputs,
                "outputs": [
                    {
                        "path": path.relative_to(self.path).as_posix(),
                        "bytes": path.stat().st_size,
                        "sha256": sha256(path),
                    }
                    for path in files
                ],
                "failures": self._failures,
            }
        )

    def _free(self, file: str) -> Path:
        if file == MANIFEST or (self.path / file).exists():
            raise InputError(f"run {self.name}: there is already a file '{file}'; give each its own name.")
        return self.path / file


@contextmanager
def new_run(root: str | Path, name: str, command: str, seeds: Mapping[str, object]) -> Iterator[RunFolder]:
    """Write a run into ROOT/NAME-YYYYmmdd-HHMMSS, which appears only when the block has ended well.

    After an error or Ctrl-C nothing is left behind. If the folder exists, -2, -3 and so on is added.

    Parameters
    ----------
    command
        The command line, or what else started the run.
    seeds
        What each seed was for, and the seed.
    """
    check_name(name, "run")
    place = Path(root)
    if place.exists() and not place.is_dir():
        raise FileError(f"{place}: runs are kept in a folder, and this is a file.")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise FileError(f"{place}: this folder for runs cannot be made ({problem}); name another one.") from problem
    # A sibling, so that the last step is a rename within one file system: it happens wholly or not at all.
    hidden = place / f".{name}-{secrets.token_hex(6)}"
    hidden.mkdir()
    run = RunFolder(hidden, name, command, seeds)
    try:
        yield run
        (hidden / MANIFEST).write_text(_json_text(run.manifest()), encoding="utf-8", newline="\n")
        run.path = _renamed(hidden, place / f"{name}-{run.started:%Y%m%d-%H%M%S}")
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def jsonable(value: object) -> Any:
    """The value in what JSON knows: NaN becomes null, infinities the words "inf" and "-inf".

    Arrays become lists, dataclasses and mappings objects, paths text; anything else raises InputError.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path | datetime):
        return str(value)
    raise InputError(
        f"{type(value).__name__} {value!r:.60} cannot be written as JSON; use numbers, text, lists or mappings."
    )


def _json_text(value: object) -> str:
    return json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _renamed(hidden: Path, wanted: Path) -> Path:
    for number in count(1):
        target = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        if target.exists():
            continue
        try:
            return hidden.rename(target)
        except OSError:
            # Another run may have taken the name since we looked.
            if not target.exists():
                raise
    raise AssertionError("count() does not end")
