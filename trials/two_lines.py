"""What is measured of two lines of therapy: each line, and the time to the second progression (PFS2)."""

from ..model.imwg import PR
from ..model.lines import LATEST_MONTHS
from .measures import RESPONSE, Measure
from .treat import ArmResult

LAST_LINE_MONTHS = 24.0
QUARTERS = tuple(float(month) for month in range(3, 37, 3))
"""Months at which PFS2 is measured for the band of its curve."""


def pfs2_at(months: float) -> Measure:
    """PFS2 at so many months: the share without second progression."""

    def read(result: ArmResult) -> float:
        return 100.0 * float(result.time_to_second().at(months))

    return Measure(f"PFS2 at {months:g} months", "%", read, 0.0, 100.0)


def _restricted_pfs2(result: ArmResult) -> float:
    return result.time_to_second().restricted_mean(min(LATEST_MONTHS, result.outcomes.visits.months))


def _time_in_control(result: ArmResult) -> float:
    return result.time_to_second(waiting=False).restricted_mean(min(LATEST_MONTHS, result.outcomes.visits.months))


def _first_response(result: ArmResult) -> float:
    return 100.0 * result.first_line.rate(result.first_line.best >= PR)


def _first_mean(result: ArmResult) -> float:
    return result.first_line.progression_free().restricted_mean(LATEST_MONTHS)


def _last_mean(result: ArmResult) -> float:
    months = min(LAST_LINE_MONTHS, result.outcomes.visits.months)
    return result.outcomes.progression_free().restricted_mean(months)


FIRST_RESPONSE = Measure("response, line 1", "%", _first_response, 0.0, 100.0)
FIRST_MEAN = Measure("mean PFS of line 1 to month 36", "months", _first_mean, 0.0, LATEST_MONTHS)
LAST_RESPONSE = Measure("response, line 2", "%", RESPONSE.read, 0.0, 100.0)
LAST_MEAN = Measure("mean PFS of line 2 to month 24", "months", _last_mean, 0.0, LAST_LINE_MONTHS)
SECOND = Measure("restricted mean PFS2 to month 36", "months", _restricted_pfs2, 0.0, LATEST_MONTHS)
CONTROL = Measure("time in control to month 36", "months", _time_in_control, 0.0, LATEST_MONTHS)
"""PFS2 without the wait for cells, in which nothing holds the tumour."""
LINE_BY_LINE = (FIRST_RESPONSE, FIRST_MEAN, LAST_RESPONSE, LAST_MEAN, SECOND, CONTROL)
"""They need `with_first_line`."""
