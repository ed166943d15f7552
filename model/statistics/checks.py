"""What statistics of trials share: checked columns, the two-group risk table, a test, a number with its interval."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from ...parameters.errors import InputError, RangeError

NORMAL = NormalDist()


@dataclass(frozen=True)
class Test:
    """A statistic that is standard normal under the null hypothesis, and its two-sided p.

    `z` is positive when group 1 has more events than expected. Both are NaN where the data cannot tell.
    """

    z: float
    p: float


@dataclass(frozen=True)
class Interval:
    """A number with its confidence interval, which comes from the sample size."""

    value: float
    low: float
    high: float

    def minus(self, other: "Interval") -> "Interval":
        """Difference of two independent numbers, with the interval made of theirs (Zou & Donner 2008)."""
        value = self.value - other.value
        low = value - math.hypot(self.value - self.low, other.high - other.value)
        high = value + math.hypot(self.high - self.value, other.value - other.low)
        return Interval(value, low, high)


@dataclass(frozen=True, eq=False)
class RiskTable:
    """Counts at the distinct times with events, one stratum after the other; arrays of equal length.

    `died` and `at_risk` count both groups, `died_1` and `at_risk_1` group 1. `survival` is the Kaplan-Meier curve of
    both groups of the stratum from each time on, `survival_before` just before it (left-continuous).
    """

    time: np.ndarray
    died: np.ndarray
    died_1: np.ndarray
    at_risk: np.ndarray
    at_risk_1: np.ndarray
    survival: np.ndarray
    survival_before: np.ndarray


def tested(z: float) -> Test:
    """The two-sided test of a standard normal statistic."""
    return Test(z, two_sided(z))


def two_sided(z: float) -> float:
    """Probability that a standard normal value is further from zero than `z`."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def half_width(where: str, level: float) -> float:
    """Standard errors on either side of the estimate that cover `level` (0 to 1); else RangeError."""
    check(where, "level", level, 0 < level < 1, "between 0 and 1, such as 0.95")
    return NORMAL.inv_cdf(0.5 + level / 2.0)


def check(where: str, name: str, value: float, right: bool | np.bool_, wanted: str) -> None:
    """Raise RangeError unless it is right."""
    if not right:
        raise RangeError(f"{where}: {name} is {value:g}, and should be {wanted}")


def columns(where: str, **given: ArrayLike | None) -> list[np.ndarray]:
    """Check the columns of a table of patients, and leave out its rows of weight zero.

    Parameters
    ----------
    where
        The function that was called, for the messages.
    **given
        Columns of shape (n,): `time` and `weight` finite and not negative, `values` any numbers, everything else 0 or
        1. A `weight` must come last and stand for somebody; None is a weight of one for every row. A `group` must have
        rows of both kinds.

    Returns
    -------
    list of ndarray
        One float array for each column, in their order, each of as many rows as have a weight.

    Raises
    ------
    InputError, RangeError
        For a wrong shape, length or kind, and for a wrong value.
    """
    checked = [_column(where, name, values) for name, values in given.items() if values is not None]
    for name, column in zip(given, checked, strict=False):
        _same_length(where, name, column.size, checked[0].size)
    if len(checked) < len(given):
        checked.append(np.ones(checked[0].size))
    elif "weight" in given:
        total = float(checked[-1].sum())
        check(where, "the sum of the weights", total, 0 < total < math.inf, "finite and more than 0")
        weighs = checked[-1] > 0
        checked = [column[weighs] for column in checked]
    if "group" in given:
        group = checked[list(given).index("group")]
        if group.min() == group.max():
            who = "in every row that has a weight" if given.get("weight") is not None else "for every patient"
            raise InputError(f"{where}: group is {group[0]:g} {who}, and 0 and 1 should occur")
    return checked


def strata(where: str, stratum: ArrayLike | None, size: int) -> np.ndarray:
    """Codes 0 to k - 1 of the strata, shape (n,), from any labels that can be sorted; None is one stratum."""
    if stratum is None:
        return np.zeros(size, dtype=int)
    labels = np.asarray(stratum)
    if labels.ndim != 1:
        raise InputError(f"{where}: stratum has shape {labels.shape}, and should be a list, one label per patient")
    _same_length(where, "stratum", labels.size, size)
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        row = int(np.argmax(np.isnan(labels)))
        raise RangeError(f"{where}: stratum[{row}] is nan, and should be a label")
    try:
        return np.unique(labels, return_inverse=True)[1]
    except TypeError:
        raise InputError(f"{where}: stratum is {stratum!r:.60}, and its labels should be of one kind") from None


def risk_table(
    time: np.ndarray, event: np.ndarray, group: np.ndarray | None = None, stratum: np.ndarray | None = None
) -> RiskTable:
    """Count events and patients at risk (own time >= t) at each event time, of checked columns of shape (n,)."""
    groups = np.zeros(time.size) if group is None else group
    codes = 0 if stratum is None else int(stratum.max())
    if codes == 0:
        return RiskTable(*_counts(time, event, groups))
    own = [stratum == code for code in range(codes + 1)]
    parts = [_counts(time[rows], event[rows], groups[rows]) for rows in own]
    return RiskTable(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))


def _counts(time: np.ndarray, event: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, ...]:
    order = np.argsort(time, kind="stable")
    ordered, events, groups = time[order], event[order], group[order]
    new = np.empty(ordered.size, dtype=bool)
    new[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    starts = np.flatnonzero(new)
    died = np.add.reduceat(events, starts)
    step = died > 0
    starts, died = starts[step], died[step]
    died_1 = np.add.reduceat(events * groups, np.flatnonzero(new))[step]
    at_risk = (ordered.size - starts).astype(float)
    at_risk_1 = np.cumsum(groups[::-1])[::-1][starts]
    survival = np.cumprod(1.0 - died / at_risk)
    return ordered[starts], died, died_1, at_risk, at_risk_1, survival, np.concatenate(([1.0], survival))[: died.size]


def _column(where: str, name: str, values: ArrayLike) -> np.ndarray:
    try:
        column = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} is {values!r:.60}, and should be a list of numbers") from None
    if column.ndim != 1 or column.size == 0:
        raise InputError(f"{where}: {name} has shape {column.shape}, and should be a list, one value per patient")
    if name in ("time", "weight"):
        good, wanted = (column >= 0) & (column < np.inf), "finite and not negative"
    elif name == "values":
        good, wanted = ~np.isnan(column), "a number"
    else:
        good, wanted = (column == 0) | (column == 1), "0 or 1"
    row = int(np.argmin(good))
    check(where, f"{name}[{row}]", float(column[row]), good[row], wanted)
    return column


def _same_length(where: str, name: str, size: int, wanted: int) -> None:
    if size != wanted:
        raise InputError(f"{where}: {name} has {size} rows, and should have {wanted}")
