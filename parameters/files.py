"""Reading of text and TOML files, with one clear error for each way a file can be wrong."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .errors import FileError, InputError, unknown


def read_text(path: str | Path) -> str:
    """Read a text file, with or without a byte order mark; a missing or unreadable file is a `FileError`."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise FileError(f"{path}: cannot be read as text ({problem}).") from problem


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file into a dictionary; a missing, empty or malformed file is a `FileError`."""
    text = read_text(path)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise FileError(f"{path}: is not valid TOML: {problem}.") from problem
    if not table:
        raise FileError(f"{path}: is empty; expected at least one table.")
    return table


def complain(error: ValidationError, where: str, known: Mapping[str, object]) -> InputError:
    """Turn the first complaint of pydantic into one sentence of ours: what, where, its value, what would be right."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return unknown("key", str(first["loc"][-1]), known, where)
    if first["type"] == "missing":
        return FileError(f"{where}: '{place}' is missing.")
    message = first["msg"].removeprefix("Value error, ")
    return FileError(f"{where}: {place} = {first['input']!r} is wrong: {message}.")


def shipped(folder: Path, name: str, kind: str) -> Path:
    """Path of a shipped TOML file by its name, or of a user's own file when `name` ends with .toml."""
    return shipped_file(folder, name, kind, ".toml")


def shipped_file(folder: Path, name: str, kind: str, suffix: str) -> Path:
    """Path of a shipped file by its name, or of a user's own file when `name` ends with the suffix."""
    if str(name).endswith(suffix):
        return Path(name)
    path = folder / f"{name}{suffix}"
    if not path.is_file():
        names = (file.name.removesuffix(suffix) for file in folder.glob(f"*{suffix}"))
        raise unknown(kind, str(name), [known for known in names if "." not in known])
    return path
