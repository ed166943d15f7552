"""Who may enter a trial, and in which stratum: what is asked of a virtual patient, and how it is answered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..model.catalogue import read_catalogue
from ..model.imwg import CATEGORIES
from ..parameters.errors import InputError, RangeError, unknown

RESPONSE = "response"
"""What is asked for if it is no parameter: the best response that is confirmed by time zero."""


@dataclass(frozen=True)
class Criterion:
    """What a patient must fulfil to enter.

    Attributes
    ----------
    what
        A parameter of virtual patients (on day 0), or 'response'.
    above, below
        Limits of a parameter, in its own unit, not included; `below` may also be a category of response ('CR').
    at_least
        Category of response ('PR'), itself included.

    Raises
    ------
    UnknownNameError
        If there is no such parameter or category.
    RangeError, InputError
        If a limit is missing, is of the wrong kind, or no value can fulfil all of them.
    """

    what: str
    above: float | None = None
    below: float | str | None = None
    at_least: str | None = None

    def __post_init__(self) -> None:
        """Check the limits."""
        where = f"eligible, what = '{self.what}'"
        _known(self.what, "eligible")
        if self.above is None and self.below is None and self.at_least is None:
            right = 'at_least = "PR" or below = "CR"' if self.what == RESPONSE else "above or below, a number"
            raise InputError(f"{where}: has no limit; give {right}.")
        if self.what == RESPONSE:
            if self.above is not None:
                raise InputError(f"{where}: above = {self.above:g}; give at_least, a category ({_categories()}).")
            limits = [_category(value, where) for value in (self.at_least, self.below) if value is not None]
            if len(limits) == 2 and limits[0] >= limits[1]:
                raise RangeError(f"{where}: at_least {self.at_least} and below {self.below}; no response is both.")
            return
        if self.at_least is not None:
            raise InputError(f"{where}: at_least = '{self.at_least}' is for 'response'; give above or below, a number.")
        for name, limit in (("above", self.above), ("below", self.below)):
            if limit is not None and (isinstance(limit, str) or not math.isfinite(limit)):
                raise RangeError(f"{where}: {name} = {limit!r}; give a finite number.")
        if self.above is not None and isinstance(self.below, int | float) and self.above >= self.below:
            raise RangeError(f"{where}: above {self.above:g} and below {self.below:g}; no number is both.")

    @property
    def text(self) -> str:
        """In words."""
        parts = [
            f"{word} {limit:g}" if isinstance(limit, int | float) else f"{word} {limit}"
            for word, limit in (("above", self.above), ("at least", self.at_least), ("below", self.below))
            if limit is not None
        ]
        return f"{self.what} {' and '.join(parts)}"

    def fulfilled(self, values: np.ndarray) -> np.ndarray:
        """Whether values of the parameter (or places of the response in `imwg.CATEGORIES`) fulfil it; same shape."""
        holds = np.ones(np.shape(values), dtype=bool)
        if self.above is not None:
            holds &= values > self.above
        if self.at_least is not None:
            holds &= values >= CATEGORIES.index(self.at_least)
        if self.below is not None:
            holds &= values < (CATEGORIES.index(self.below) if isinstance(self.below, str) else self.below)
        return holds


@dataclass(frozen=True)
class Factor:
    """By what the randomisation is stratified: two strata, up to the cut and above it.

    Attributes
    ----------
    what
        A parameter of virtual patients (on day 0), or 'response'.
    cut
        A number, which belongs to the lower stratum; or a category of response ('VGPR'), which belongs to the upper.

    Raises
    ------
    UnknownNameError, RangeError
        If there is no such parameter or category, or the cut is of the wrong kind.
    """

    what: str
    cut: float | str

    def __post_init__(self) -> None:
        """Check the cut."""
        where = f"stratum, what = '{self.what}'"
        _known(self.what, "stratum")
        if self.what == RESPONSE:
            _category(self.cut, where)
        elif isinstance(self.cut, str) or not math.isfinite(self.cut):
            raise RangeError(f"{where}: cut = {self.cut!r}; give a finite number.")

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the lower and the upper stratum."""
        if isinstance(self.cut, str):
            return f"{self.what} below {self.cut}", f"{self.what} {self.cut} or better"
        return f"{self.what} to {self.cut:g}", f"{self.what} above {self.cut:g}"

    def upper(self, values: np.ndarray) -> np.ndarray:
        """Whether each value lies in the upper stratum; same shape."""
        return values >= CATEGORIES.index(self.cut) if isinstance(self.cut, str) else values > self.cut


def asked(
    part: Criterion | Factor, patients: tuple[Mapping[str, np.ndarray], ...], response: np.ndarray | None
) -> np.ndarray:
    """What a criterion or factor looks at, by branch and patient: array (2, n).

    `patients` are the parameters in every arm; `response` (2, n) the best response confirmed by time zero.

    Raises
    ------
    InputError
        If the arms differ in it (a number of the product), so that it cannot be known before randomisation.
    """
    if part.what == RESPONSE:
        if response is None:
            raise InputError("response is asked for, and none is confirmed at time zero.")
        return response
    values = [patient[part.what] for patient in patients]
    if any(not np.array_equal(values[0], other) for other in values[1:]):
        raise InputError(
            f"'{part.what}' is a number of the product and differs between the arms; "
            "ask for something that is known before randomisation, such as 'tumour_baseline'."
        )
    return np.broadcast_to(values[0], (2, len(values[0])))


def strata_of(
    factors: tuple[Factor, ...], patients: tuple[Mapping[str, np.ndarray], ...], response: np.ndarray | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Stratum of every patient by branch (2, n), numbered from 0, and the names of the strata."""
    n = len(next(iter(patients[0].values())))
    stratum, names = np.zeros((2, n), dtype=np.int64), ("",)
    for factor in factors:
        stratum = 2 * stratum + factor.upper(asked(factor, patients, response))
        names = tuple(f"{name}, {label}".removeprefix(", ") for name in names for label in factor.labels)
    return stratum, names if factors else ("all",)


def _known(what: str, where: str) -> None:
    names = read_catalogue().names
    if what != RESPONSE and what not in names:
        raise unknown("parameter of virtual patients", what, (RESPONSE, *names), where)


def _category(value: object, where: str) -> int:
    if value not in CATEGORIES:
        raise unknown("category of response", str(value), CATEGORIES, where)
    return CATEGORIES.index(str(value))


def _categories() -> str:
    return ", ".join(CATEGORIES)
