"""Validation results as JSON files."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ...parameters.errors import FileError

# Dataclasses that can be written to JSON: numbers, strings, arrays and nested records.


def plain(value: Any) -> Any:
    """The same as dictionaries, lists, numbers and words; what is not finite becomes None, as JSON lacks it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


class Record:
    """Base of the results here: `to_dict` gives what `json.dumps` takes."""

    def to_dict(self) -> dict[str, Any]:
        """The fields, by name, in the order of the class."""
        return plain(self)


Result = TypeVar("Result")


def write_result(result: object, path: Path) -> None:
    """Write a frozen dataclass of this folder as JSON, whole or not at all; what is not finite stays so."""
    table = TypeAdapter(type(result)).dump_python(result, mode="python")
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(json.dumps({"kind": type(result).__name__, **table}) + "\n", encoding="utf-8")
    draft.replace(path)


def read_result(kind: type[Result], path: Path) -> Result:
    """Read what `write_result` wrote. FileError if there is no such file, or it holds something else."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise FileError(f"{path}: is not a result of validation ({problem}).") from problem
    name = table.pop("kind", None) if isinstance(table, dict) else None
    if name != kind.__name__:
        raise FileError(f"{path}: kind = {name!r}; expected '{kind.__name__}'.")
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FileError(f"{path}: {place}: {first['msg']}.") from None
