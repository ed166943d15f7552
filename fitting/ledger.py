"""A record of what a fit has already computed, so that it can be cut off at any moment and go on."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ..parameters.errors import FileError


class Ledger:
    """Log posteriors by point, one line each, written as they are computed.

    A fit is deterministic: started again with the same settings it asks for the same points in the same order, finds
    them here, and simulates only what is new. A torn last line is dropped.

    Raises
    ------
    FileError
        If the file belongs to a fit with other evidence, sizes, seeds or free parameters.
    """

    def __init__(self, path: Path, identity: Mapping[str, object]) -> None:
        self._path = path
        self._known: dict[str, float] = {}
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
            key, _, value = line.partition(" ")
            try:
                self._known[key] = float(value)
            except ValueError:
                break
        kept = [head, *(f"{key} {value!r}" for key, value in self._known.items())]
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        """Number of points known."""
        return len(self._known)

    def remembered(self, evaluate: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], float]:
        """The same function, asking this ledger first."""

        def ask(point: np.ndarray) -> float:
            key = hashlib.sha256(np.ascontiguousarray(point, dtype=float).tobytes()).hexdigest()[:20]
            if key not in self._known:
                self._known[key] = float(evaluate(point))
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(f"{key} {self._known[key]!r}\n")
            return self._known[key]

        return ask
