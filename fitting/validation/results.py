"""Results of validation as JSON files: what is shipped can be read again as what it was."""

import json
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ...parameters.errors import FileError

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
    found = table.pop("kind", None) if isinstance(table, dict) else None
    if found != kind.__name__:
        raise FileError(f"{path}: kind = {found!r}; expected '{kind.__name__}'.")
    try:
        return TypeAdapter(kind).validate_python(table)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FileError(f"{path}: {place}: {first['msg']}.") from None
