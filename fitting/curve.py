"""A whole Kaplan-Meier curve as evidence: each interval of it is one binomial result.

A curve is reconstructed from its picture (Guyot 2012) and cut at the times of its numbers at risk. Of the n patients
without an event at the beginning of an interval, those censored within it counting half, d have one: the likelihood of
the curve is the product of these binomials, that of the life table (Cutler & Ederer 1958; Kalbfleisch & Prentice 2002).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from ..parameters.errors import EvidenceError, RangeError, unknown
from ..parameters.files import complain
from .items import Curve, Item, Role
from .km_reconstruction import Reconstruction, reconstruct
from .scenario import Scenario

FEWEST_EVENTS = 3
"""Intervals are joined until they hold so many events: assumed, so that no result rests on one click."""

MONTHS_WITHOUT_TABLE = 3.0
"""Length of the intervals where only the number of patients at month 0 is known: assumed, a usual table's step."""

EVENTS_OFF = 0.1
"""Share by which reconstructed and reported numbers of events may differ, beyond two patients: assumed."""

_SAME_PATIENTS = {
    "pfs_interval": {"pfs_median", "pfs_rate", "pfs_interval", "progression_or_death_rate"},
    "dor_interval": {"dor_median", "dor_interval", "response_duration"},
}


def read_curve(entry: dict[str, Any], number: int, file: str) -> Curve:
    """Check one [[curve]] table of an evidence file; errors as in `reported.read_study`."""
    where = f"{file}, curve '{entry['id']}'" if "id" in entry else f"{file}, curve number {number}"
    for key, choices in (("role", get_args(Role)), ("endpoint", ("pfs", "dor"))):
        if key in entry and str(entry[key]) not in choices:
            raise unknown(key, str(entry[key]), choices, where)
    try:
        curve = Curve(**entry)
    except ValidationError as error:
        raise complain(error, where, Curve.model_fields) from None
    highest = max((height for _, height in curve.points), default=0.0)
    if highest <= 1.0:
        raise EvidenceError(f"{where}: the highest point is {highest:g}; expected pairs of months and percent.")
    return curve


def reconstruct_curve(curve: Curve, where: str) -> Reconstruction:
    """Patients behind a curve, times in months.

    Raises
    ------
    EvidenceError
        As `reconstruct`, or if the curve implies another number of events than was reported.
    """
    (times, heights), (table, numbers) = (np.reshape(pairs, (-1, 2)).T for pairs in (curve.points, curve.at_risk))
    try:
        found = reconstruct(times, heights, table, numbers, events=curve.events, percent=True, where=where)
    except RangeError as problem:
        raise EvidenceError(str(problem)) from problem
    if curve.events is not None and abs(found.n_events - curve.events) > max(2.0, EVENTS_OFF * curve.events):
        raise EvidenceError(
            f"{where}: events = {curve.events}, and points and numbers at risk imply {found.n_events}; one is misread."
        )
    return found


def intervals(curve: Curve, where: str, scenario: Scenario | None = None) -> tuple[Item, ...]:
    """The results that a curve stands for: one per interval with at least `FEWEST_EVENTS` events, `<id>_<number>`.

    `n` is the effective number at risk, to the nearest patient, `events` those of them who stay without an event.

    Raises
    ------
    EvidenceError
        As `reconstruct_curve`, or if the scenario is not followed until the end of the curve.
    """
    found = reconstruct_curve(curve, where)
    note = (
        f"{curve.note} Curve of {len(curve.points)} points, met within {100.0 * found.largest_difference:.1f} "
        f"percentage points by {found.n_events} events of {found.n} patients (Guyot 2012)."
    ).strip()
    items = []
    for start, end, n, died in _life_table(found):
        items.append(
            Item(
                id=f"{curve.id}_{len(items) + 1}",
                rows=() if items else curve.rows,
                endpoint=f"{curve.endpoint}_interval",
                kind="proportion",
                value=100.0 * (n - died) / n,
                unit="%",
                n=n,
                events=n - died,
                from_months=start,
                time_months=end,
                note=note,
                **curve.model_dump(include={"group", "scenario", "role", "weight", "citation", "origin", "quote"}),
            )
        )
    needed = items[-1].reach_months
    if scenario is not None and (scenario.months or 0.0) < needed:
        raise EvidenceError(
            f"{where}: scenario '{scenario.name}' has months = {scenario.months}; the curve needs at least {needed:g}."
        )
    return tuple(items)


def _life_table(found: Reconstruction) -> Iterator[tuple[float, float, int, int]]:
    """Beginning, end, effective number at risk and events of each interval; an end belongs to the interval before."""
    last = float(found.times[-1])
    months = MONTHS_WITHOUT_TABLE
    cuts = found.at_risk_times[1:] if found.at_risk_times.size > 1 else np.arange(months, last, months)
    ends = [float(cut) for cut in cuts if cut < last] + [last]
    start = -1.0
    for end in ends:
        within = (found.times > start) & (found.times <= end)
        died = int((within & found.events).sum())
        later = int((found.events & (found.times > end)).sum())
        if end < last and (died < FEWEST_EVENTS or later < FEWEST_EVENTS):
            continue
        censored = int((within & ~found.events & (found.times < end)).sum())
        n = round((found.times > start).sum() - 0.5 * censored)  # a half to the even number: no bias over intervals
        yield max(start, 0.0), end, max(n, died, 1), died
        start = end


def check_counted_once(curves: Mapping[str, tuple[Item, ...]], items: Iterable[Item], file: str) -> None:
    """Refuse a fitted curve (its intervals, by its id) beside a fitted item or curve of the same patients."""
    every = [(item.id, item) for item in items] + [(name, own[0]) for name, own in curves.items()]
    for name, (first, *_) in curves.items():
        for other, item in every:
            same = item.scenario == first.scenario and _group(item) == _group(first)
            about = item.endpoint in _SAME_PATIENTS[first.endpoint]
            if other != name and same and about and item.role == first.role == "fit":
                raise EvidenceError(
                    f"{file}, curve '{name}': role = 'fit', and so is '{other}' of the same patients, who would count "
                    "twice; give one of them role = 'check'."
                )


def _group(item: Item) -> str:
    """Whom a result is about; the duration of response is always about responders."""
    return "" if item.endpoint in _SAME_PATIENTS["dor_interval"] and item.group == "responders" else item.group
