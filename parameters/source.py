"""Where a number comes from."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import FileError, unknown
from .files import read_toml

ASSUMED = "assumed"
"""The one word that may stand in place of a source, together with a reason."""

_FILE = Path(__file__).parent / "sources.toml"


@dataclass(frozen=True)
class Source:
    """A publication or a record: what it is, and what of it was really seen."""

    key: str
    citation: str
    seen_in: str
    confidence: str


@cache
def read_sources(path: Path = _FILE) -> dict[str, Source]:
    """Read all sources, by key."""
    sources = {}
    for key, entry in read_toml(path).items():
        missing = {"citation", "seen_in", "confidence"} - set(entry)
        if missing:
            raise FileError(f"{path}, [{key}]: '{sorted(missing)[0]}' is missing.")
        if entry["confidence"] not in {"high", "medium", "low"}:
            raise FileError(f"{path}, [{key}]: confidence = {entry['confidence']!r}; expected high, medium or low.")
        sources[key] = Source(key, entry["citation"], entry["seen_in"], entry["confidence"])
    return sources


def check_source(key: str, note: str, where: str) -> str:
    """Return `key` if it is a known source, or 'assumed' with a reason; otherwise say what is missing."""
    if key == ASSUMED:
        if not note.strip():
            raise FileError(f"{where}: source = 'assumed' needs a note that gives the reason.")
        return key
    if key not in read_sources():
        raise unknown("source", key, [*read_sources(), ASSUMED], where)
    return key
