"""What a course picture draws: series with their spread between patients, panels with their lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...parameters.errors import InputError, RangeError
from .checks import Numbers, check_rising, numbers


@dataclass(frozen=True, eq=False)
class BandToDraw:
    """One series: 5th, 50th and 95th percentile between patients at each time; NaN where nobody is followed."""

    label: str
    times_days: Numbers
    p5: Numbers
    p50: Numbers
    p95: Numbers

    def __post_init__(self) -> None:
        where = f"course '{self.label}'"
        times = check_rising(numbers(self.times_days, "times_days", where, finite=True), "times_days", where)
        if not times.size:
            raise InputError(f"{where}: there are no times; give at least one.")
        rows = [numbers(getattr(self, name), name, where, like=times) for name in ("p5", "p50", "p95")]
        for lower, upper, words in ((rows[0], rows[1], "p5 above p50"), (rows[1], rows[2], "p50 above p95")):
            crossed = np.flatnonzero(lower > upper * (1 + 1e-9) + 1e-12)
            if crossed.size:
                index = int(crossed[0])
                raise RangeError(f"{where}: {words} at day {times[index]:g}: {lower[index]:g} > {upper[index]:g}.")


@dataclass(frozen=True, eq=False)
class Panel:
    """One set of axes.

    Parameters
    ----------
    log
        Logarithmic axis; values of zero or less are then not drawn.
    lines
        Horizontal lines (value, label): a limit of an assay, a threshold.
    low, high
        Limits of the axis, chosen from the numbers and lines where not given. A logarithmic axis then spans at most
        eight decades; give `low` for cellular kinetics, a little below the limit of the assay.
    """

    title: str
    y_label: str
    series: Sequence[BandToDraw]
    log: bool = False
    lines: Sequence[tuple[float, str]] = ()
    low: float | None = None
    high: float | None = None
