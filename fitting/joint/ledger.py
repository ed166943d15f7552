"""A record of what a fit has already computed, so that it can be cut off at any moment and go on."""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ...parameters.errors import FileError


class Ledger:
    """What was computed at each point, one line each, written as it is computed.

    A fit is deterministic: started again with the same settings it asks for the same points, finds them here, and
    simulates only what is new. A torn last line is dropped. Several threads may write.

    Raises
    ------
    FileError
        If the file belongs to a fit with other evidence, sizes, seeds or free parameters.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, np.ndarray] = {}
        head = json.dumps(dict(identity), sort_keys=True)
        if not path.exists():
            path.write_text(head + "\n", encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a torn line ends anywhere, and -12 of -1234.5 would read as a number
        lines = whole.splitlines()
        if not lines or lines[0] != head:
            raise FileError(
                f"{path}: belongs to a fit with other evidence, sizes, seeds or free parameters; "
                "delete it, or repeat that fit's settings."
            )
        for line in lines[1:]:
            key, *numbers = line.split(" ")
            try:
                self._known[key] = np.array([float(number) for number in numbers])
            except ValueError:
                break
        kept = [head, *(_line(key, values) for key, values in self._known.items())]
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        """Number of points known."""
        return len(self._known)

    def ask(self, key: tuple[object, ...], point: np.ndarray, evaluate: Callable[[], np.ndarray]) -> np.ndarray:
        """What `evaluate` gives at a point under a key, from the record if it is there."""
        digest = hashlib.sha256(json.dumps(key).encode() + np.ascontiguousarray(point, dtype=float).tobytes())
        name = digest.hexdigest()[:20]
        if name not in self._known:
            values = np.asarray(evaluate(), dtype=float)
            with self._lock:
                self._known[name] = values
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_line(name, values) + "\n")
        return self._known[name]


def _line(key: str, values: np.ndarray) -> str:
    return " ".join([key, *(repr(float(value)) for value in values)])
