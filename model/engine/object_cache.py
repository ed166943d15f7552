"""The user's cache of compiled models: files are whole or absent, and rebuilt when damaged."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

_CHECKSUM = 32


def cache_folder() -> Path:
    """Folder of compiled models: `PERDURE_CACHE`, else the user's cache folder, else a temporary one."""
    chosen = os.environ.get("PERDURE_CACHE")
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    try:
        folder = Path(chosen) if chosen else (Path(base) if base else Path.home() / ".cache") / "perdure"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for this process, which goes with it."""
    return tempfile.TemporaryDirectory(prefix="perdure-")


def cached(key: str, make: Callable[[], bytes]) -> bytes:
    """What is stored under a key; made and stored if there is nothing, or if what is there is damaged."""
    path = cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.model"
    stored = _read(path)
    if stored is not None:
        return stored
    content = make()
    with suppress(OSError):  # a full disk costs the next start a second, and this one nothing
        _write(path, hashlib.sha256(content).digest() + content)
    return content


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also with two processes at once."""
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(draft, path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes | None:
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[_CHECKSUM:]
    return content if content and hashlib.sha256(content).digest() == stored[:_CHECKSUM] else None
