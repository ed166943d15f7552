"""Every error of perdure, in one tree.

::

    PerdureError
    ├── InputError            something a user gave is wrong; the command line ends with exit code 2
    │   ├── UnknownNameError      a name that does not exist (with near matches)
    │   ├── UnitError             a unit that does not fit
    │   ├── RangeError            a number outside its range, or not a number
    │   ├── FileError             a file that is missing, empty, malformed or incomplete
    │   ├── RegimenError          a regimen that contradicts itself
    │   ├── EvidenceError         a reported result that cannot be right
    │   └── NoPatientsError           no patient belongs to the group in question
    └── RunError              the input was fine, the computation was not; exit code 1
        ├── DoseAuditError        delivered and prescribed doses differ
        ├── SimulationError       no patient could be integrated
        └── FitError              a calibration that cannot go on

Each message says what, where, its value, and what would be right.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PerdureError(Exception):
    """Root of every error that perdure raises on purpose.

    Its children are `InputError` (what a user gave is wrong) and `RunError` (the computation failed); the tree stands
    at the top of `parameters.errors`. The message says what, where, its value, and what would be right.

    Examples
    --------
    >>> from perdure import PerdureError, infuse
    >>> try:
    ...     infuse("ide_cell")
    ... except PerdureError as problem:
    ...     print(type(problem).__name__)
    UnknownNameError
    """


class InputError(PerdureError, ValueError):
    """Something a user gave is wrong; a `ValueError` too, and exit code 2 of the command line.

    Unknown names, units that do not fit, numbers outside their range, malformed files and contradictions have classes
    of their own below it.

    Examples
    --------
    >>> from perdure import InputError, give
    >>> try:
    ...     give("lenalidomide", "10 kg/m", start=0, months=1)
    ... except InputError as problem:
    ...     print(type(problem).__name__)
    UnitError
    """


class UnknownNameError(InputError):
    """A name that does not exist."""


class UnitError(InputError):
    """A unit that does not fit."""


class RangeError(InputError):
    """A number outside its range, or not a number at all."""


class FileError(InputError):
    """A file that is missing, empty, malformed or incomplete."""


class RegimenError(InputError):
    """A regimen that contradicts itself."""


class EvidenceError(InputError):
    """A reported result that cannot be right."""


class NoPatientsError(InputError):
    """A question about patients of whom there are none."""


class RunError(PerdureError, RuntimeError):
    """The input was fine, the computation was not."""


class DoseAuditError(RunError):
    """Delivered and prescribed doses differ."""


class SimulationError(RunError):
    """No patient could be integrated."""


class FitError(RunError):
    """A calibration that cannot go on."""


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UnknownNameError:
    """Say that a name does not exist, and which ones are near.

    Returns the error instead of raising it, so that the caller's `raise` shows where it happened.
    """
    names = sorted(known)
    near = get_close_matches(str(name), names, n=3, cutoff=0.5)
    if near:
        quoted = [f"'{match}'" for match in near]
        hint = "Did you mean " + (quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " or " + quoted[-1]) + "?"
    elif len(names) <= 12:
        hint = "Known: " + (", ".join(names) or "none") + "."
    else:
        hint = f"There are {len(names)} known names, none of them near."
    place = f"{where}: " if where else ""
    return UnknownNameError(f"{place}There is no {kind} '{name}'. {hint}")
