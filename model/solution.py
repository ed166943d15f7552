"""What a simulation returns: time courses by name, the probability of eradication, and the ledger of failures."""

import hashlib
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..parameters.errors import unknown
from ..parameters.versions import version_of
from .engine.codegen import generate
from .engine.seats import NOT_FINITE, STEP_TOO_SMALL, TOO_MANY_STEPS
from .regimens.regimen import Infusion, Regimen
from .system.system import System

# Failures: why a patient could not be integrated, and a small file that reproduces it.


REASONS = {
    NOT_FINITE: "a value became infinite or not a number",
    TOO_MANY_STEPS: "more steps than allowed",
    STEP_TOO_SMALL: "the step size collapsed",
}
WHAT = "perdure: a virtual patient that could not be integrated"
"""First words of the file of a failure."""
_LIBRARIES = ("perdure", "numpy", "scipy", "llvmlite")


@dataclass(frozen=True)
class Failure:
    """A patient that could not be integrated: why, how far it came, and what it takes to see that again.

    Its results are NaN. `case` is what was asked of all patients, in what JSON knows (`case_of`).
    """

    patient: int
    reason: str
    day: float
    parameters: Mapping[str, float]
    case: Mapping[str, Any]

    def write(self, folder: str | Path) -> Path:
        """Write what `reproduce` needs into a JSON file of the folder, which is made if it is not there.

        Every number is written such that it is read back to the bit. The same failure gives the same file.
        """
        versions = {**{name: version_of(name) for name in _LIBRARIES}, "python": platform.python_version()}
        content = {"what": WHAT, **asdict(self), "versions": versions, "platform": platform.platform()}
        text = _table(content) + "\n"
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"patient_{self.patient}_{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        path.write_text(text, encoding="utf-8", newline="\n")
        return path


def case_of(
    regimen: Regimen,
    times: np.ndarray,
    until: float,
    solver: Mapping[str, Any],
    system: System,
    rules: Sequence[str] = (),
) -> dict[str, Any]:
    """What was asked of all patients: `solver` are the settings by name, `rules` the names of the rules."""
    rows = []
    for dose in regimen.doses:
        over = [float(dose.duration)] if isinstance(dose, Infusion) else []
        rows.append([dose.therapy, float(dose.amount), float(dose.day), *over])
    return {
        "regimen": {"name": regimen.name, "therapy, amount, day, duration of an infusion": rows},
        "times": times.tolist(),
        "until": until,
        "solver": {name: str(value) if value == math.inf else value for name, value in solver.items()},
        "system": {
            "name": system.name,
            "drugs": [put.drug for put in system.inputs],
            "equations": checksum(system),
        },
        "rules": list(rules),
    }


def ledger(
    reason: np.ndarray, day: np.ndarray, columns: Mapping[str, np.ndarray], case: Callable[[], Mapping[str, Any]]
) -> tuple[Failure, ...]:
    """The failures among patients: `reason` (0: it did not fail) and `day` by patient, `columns` their parameters."""
    failed = np.flatnonzero(reason)
    same = case() if len(failed) else {}
    return tuple(
        Failure(int(i), REASONS[int(reason[i])], float(day[i]), {n: float(columns[n][i]) for n in columns}, same)
        for i in failed
    )


def checksum(system: System) -> str:
    """Checksum of a system's equations, by which its failures know it again."""
    return hashlib.sha256(generate(system).source.encode()).hexdigest()[:16]


def _table(value: object, depth: int = 1) -> str:
    """JSON with a line for every entry of a mapping, and one line for a list."""
    if not isinstance(value, Mapping):
        return json.dumps(value, allow_nan=False)
    entries = (f"{' ' * depth}{json.dumps(name)}: {_table(item, depth + 1)}" for name, item in value.items())
    return "{\n" + ",\n".join(entries) + "\n" + " " * (depth - 1) + "}"


@dataclass(frozen=True, eq=False)
class Fired:
    """When a rule fired: `days` (n, most times that it did in one patient), NaN after the last."""

    days: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """Day on which it first fired, by patient; NaN if never, and for patients that could not be integrated."""
        return self.days[:, 0]

    @property
    def count(self) -> np.ndarray:
        """How often it fired, by patient."""
        return np.isfinite(self.days).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Solution:
    """Time courses of virtual patients, by name and never by column.

    Attributes
    ----------
    regimen
        What was given.
    times : array (times,)
        Days since the first infusion.
    names, units
        Observables in the order of `courses`, and the unit of each by name ('' without one).
    courses : array (n, times, observables)
        In `units`; NaN for patients that could not be integrated. `solution[name]` is that of one observable.
    eradication : array (n,)
        Probability that every tumour cell has died out by the end (branching process).
    delivered : mapping of arrays (n,)
        Amount of every therapy that was given until the end, in the unit of its doses.
    failures : tuple of Failure
        Patients that could not be integrated.
    steps : array (n,)
        Steps that the integrator took.
    events : mapping of Fired
        When the rules fired, by name: days (n, firings).

    Examples
    --------
    >>> from perdure import treat
    >>> solution = treat("ide-cel", patients=20, months=6.0).course
    >>> solution["tumour"].shape == (20, len(solution.times)), solution.units["tumour"]
    (True, 'cell')
    """

    regimen: Regimen
    times: np.ndarray
    names: tuple[str, ...]
    units: Mapping[str, str]
    courses: np.ndarray
    eradication: np.ndarray
    delivered: Mapping[str, np.ndarray]
    failures: tuple[Failure, ...]
    steps: np.ndarray
    events: Mapping[str, Fired] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of virtual patients."""
        return self.courses.shape[0]

    @property
    def failed_share(self) -> float:
        """Share of patients without a result."""
        return len(self.failures) / self.n

    def __getitem__(self, name: str) -> np.ndarray:
        """Time course of an observable.

        Returns
        -------
        array (n, times)
            In `units[name]`; NaN for patients that could not be integrated.

        Raises
        ------
        UnknownNameError
            If there is no such observable.
        """
        if name not in self.names:
            raise unknown("observable", name, self.names)
        return self.courses[:, :, self.names.index(name)]
