"""Finished parts of a cohort in a folder, so that a long simulation can be cut off and go on."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import __version__
from .cohort_parts import Finished
from .solution import Failure


class KeptParts:
    """One file for each part, in a folder for each setting, named after everything that decides its results.

    A file is whole or absent; one that was damaged afterwards counts as absent. Parts that another version of perdure
    computed are not found.
    """

    def __init__(self, folder: Path, descriptions: Sequence[str]) -> None:
        names = [hashlib.sha256(f"{__version__}\n{text}".encode()).hexdigest()[:24] for text in descriptions]
        self._folders = [folder / name for name in names]
        for place in self._folders:
            place.mkdir(parents=True, exist_ok=True)

    def _path(self, setting: int, first: int, last: int) -> Path:
        return self._folders[setting] / f"{first}-{last}.npz"

    def has(self, setting: int, first: int, last: int) -> bool:
        """Whether there is a file for a part."""
        return self._path(setting, first, last).exists()

    def find(self, setting: int, first: int, last: int) -> Finished | None:
        """The result of a part; None if there is no file or it is damaged."""
        try:
            with self._path(setting, first, last).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                about = json.loads(file["about"].item())
                arrays = {(owner, name): file[f"{k}"] for k, (owner, name) in enumerate(about["arrays"])}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        failures = tuple(Failure(**failure) for failure in about["failures"])
        return Finished(about["patients"], about["failed"], failures, arrays)

    def store(self, setting: int, first: int, last: int, finished: Finished) -> None:
        """Keep the result of a part."""
        about = {
            "patients": finished.patients,
            "failed": finished.failed,
            "failures": [asdict(failure) for failure in finished.failures],
            "arrays": list(finished.arrays),
        }
        content = io.BytesIO()
        arrays = {f"{k}": array for k, array in enumerate(finished.arrays.values())}
        arrays["about"] = np.array(json.dumps(about))
        np.savez(content, allow_pickle=False, **arrays)
        path = self._path(setting, first, last)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(content.getvalue())
        os.replace(draft, path)
