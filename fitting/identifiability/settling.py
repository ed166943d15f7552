"""Evidence that would settle a free number, in a sentence, from a table beside this file."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...parameters.files import complain, read_toml
from .records import Record

FILE = Path(__file__).with_name("settling_evidence.toml")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    evidence: str = Field(min_length=1)
    basis: Literal["computed", "domain knowledge"]


@dataclass(frozen=True)
class Settling(Record):
    """A measurement that would decide a number, the entry of the table that says so, and what stands behind it."""

    key: str
    evidence: str
    basis: Literal["computed", "domain knowledge"]


@cache
def settling_table(path: Path = FILE) -> dict[str, Settling]:
    """All entries by key; raises FileError if one is incomplete."""
    entries = {}
    for key, entry in read_toml(path).items():
        try:
            read = _Entry.model_validate(entry)
        except ValidationError as problem:
            raise complain(problem, f"{path.name}, [{key}]", _Entry.model_fields) from None
        entries[key] = Settling(key, read.evidence, read.basis)
    return entries


def settling_evidence(name: str) -> Settling | None:
    """The entry of a number: its own, that of its name without product or population, or the longest pattern that fits.

    None if the table does not know it.
    """
    table = settling_table()
    parts = name.split(".")
    for first in range(len(parts)):
        if (shorter := ".".join(parts[first:])) in table:
            return table[shorter]
    shorter = [".".join(parts[first:]) for first in range(len(parts))]
    fitting = [key for key in table if any(fnmatchcase(text, key) for text in shorter)]
    return table[max(fitting, key=len)] if fitting else None
