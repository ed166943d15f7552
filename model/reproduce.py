"""Rerun a patient that could not be integrated, from the file that its failure wrote."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..parameters.errors import FileError, InputError
from .adaptive import started
from .myeloma import assemble
from .regimens.regimen import Bolus, Dose, Infusion, Regimen
from .regimens.rules import Rule
from .simulate import Solver, simulate
from .solution import WHAT, Solution, checksum
from .system.system import System


def reproduce(path: str | Path, *, system: System | None = None, rules: Sequence[Rule] = ()) -> Solution:
    """Simulate a patient that could not be integrated once more, from the file that `Failure.write` wrote.

    Parameters
    ----------
    path
        The JSON file; a run keeps them in its folder 'failures'.
    system
        The system that failed; may be omitted if it was the shipped one for myeloma.
    rules
        The rules of the simulation that failed, if it had any.

    Returns
    -------
    Solution
        Of one patient, with courses (1, times) in `units`: the same failure, to the bit on the same processor.

    Raises
    ------
    FileError
        If the file is missing or is not one of a failure.
    InputError
        If the system or the rules are missing or are not those that failed, or it ran compiled and llvmlite is absent.

    Examples
    --------
    >>> from perdure import Solver, draw, infuse, make_patients, read_catalogue, reproduce, simulate
    >>> catalogue = read_catalogue()
    >>> patients = make_patients(catalogue, draw(catalogue, 2, seed=1), product="ide_cel", population="late_line")
    >>> solution = simulate(patients, infuse("ide_cel"), times=range(0, 366), solver=Solver(most_steps=10))
    >>> path = solution.failures[0].write("failures")
    >>> reproduce(path).failures[0].reason
    'more steps than allowed'
    """
    content = _read(Path(path))
    try:
        parameters = {name: np.array([float(value)]) for name, value in content["parameters"].items()}
        case = content["case"]
        name, rows = case["regimen"].values()
        regimen = Regimen(tuple(_dose(*row) for row in rows), name)
        settings: dict[str, Any] = {key: math.inf if value == "inf" else value for key, value in case["solver"].items()}
        solver, times, until = Solver(**settings), np.array(case["times"], dtype=float), float(case["until"])
        wanted, names = case["system"], case["rules"]
        _check_rules(path, names, [rule.name for rule in rules])
        system = _same_system(path, wanted["name"], wanted["equations"], system, (regimen, *started(rules)))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise FileError(f"{path}: is damaged ({problem!r}); give a file as Failure.write writes it.") from problem
    return simulate(parameters, regimen, times=times, until=until, system=system, solver=solver, rules=rules)


def recorded(path: str | Path) -> dict[str, Any]:
    """What a file says of the failure: patient, reason and day."""
    content = _read(Path(path))
    return {name: content.get(name) for name in ("patient", "reason", "day")}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file.") from None
    except (OSError, ValueError) as problem:
        raise FileError(f"{path}: cannot be read as JSON ({problem}).") from problem
    if not isinstance(content, dict) or content.get("what") != WHAT:
        raise FileError(f"{path}: is no file of a failed patient; those are in the folder 'failures' of a run.")
    return content


def _dose(therapy: str, amount: float, day: float, duration: float | None = None) -> Dose:
    return Bolus(therapy, amount, day) if duration is None else Infusion(therapy, amount, duration, day)


def _check_rules(path: str | Path, names: Sequence[str], given: Sequence[str]) -> None:
    """Before the system: what rules may give decides who takes part in it."""
    if list(given) != list(names):
        raise InputError(
            f"{path}: failed under the rules {', '.join(names) or '(none)'}; given are {', '.join(given) or '(none)'}. "
            "Give the same rules: reproduce(path, rules=...)."
        )


def _same_system(
    path: str | Path, name: str, equations: str, system: System | None, parts: Sequence[Regimen]
) -> System:
    """The system that failed: the one given, else the shipped one if its equations are still the same."""
    if system is not None:
        if system.name != name:
            raise InputError(f"{path}: system '{name}' failed; given is '{system.name}'. Give the one that failed.")
        return system
    shipped = assemble(*parts).system
    if shipped.name != name:
        raise InputError(f"{path}: system '{name}' failed, which is not shipped; give it: reproduce(path, system=...).")
    if checksum(shipped) != equations:
        raise InputError(
            f"{path}: the equations of the shipped '{name}' are not those that failed; give these: "
            "reproduce(path, system=...)."
        )
    return shipped
