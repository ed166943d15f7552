"""Watching observables while patients are followed: the moment at which one goes beyond its limit.

A watch has an observable, a direction (1: above the limit, -1: below), and a limit per patient. It is armed while the
value is on the near side. If the value lies beyond at the end of a step, the moment is bracketed on the continuous
extension, the step is repeated up to there, and the event is one only if the value lies beyond there too: else the
integration goes on and meets it a moment later. What crosses and comes back within one step is not seen.
"""

from .drug_levels import drug_inputs
from .example_equations import forcing, observe
from .explicit import interpolate, prepare
from .lanes import LANES, Floats, Int, Ints, Lanes, Mask, any_lane, in_lane, lanes, where

ARMED, BEYOND, OFF = 0, 1, 2
"""A watch of a patient: waits for the crossing; waits until the value is back; does not look."""
HALVINGS = 50
UNKNOWN = float("nan")


def look(after: Lanes, p, c, f, x, drugs, at, seen) -> None:
    """Observables of the states `at`, so many days into the segment."""
    drug_inputs(after, drugs, x)
    forcing(p, c, x, f)
    observe(p, c, f, at, seen)


def settle(lane: Int, who: Int, watches: Int, watch: Ints, limits: Floats, armed: Ints, seen) -> Int:
    """Note on which side of its limits one patient is; returns the first watch that has just gone beyond, -1 if none.

    A value has come back if it is off the limit by more than what two ways to compute it differ.
    """
    crossed = -1
    for w in range(watches):
        place = who * watches + w
        ahead = float(watch[2 * w + 1]) * (seen[watch[2 * w], lane] - limits[place])
        if armed[place] == BEYOND and ahead < -1e-9 * abs(limits[place]):
            armed[place] = ARMED
        if armed[place] == ARMED and ahead > 0.0 and crossed < 0:
            armed[place] = BEYOND
            crossed = w
    return crossed


def first_crossing(
    looking: Mask, after: Lanes, step: Lanes, seat: Ints, watches: Int, watch: Ints, limits: Floats, armed: Ints,
    lowest: Floats, p, c, f, x, drugs, y, end, k, dense, trial, seen, inner, limit,
) -> Lanes:
    """Earliest fraction of a step at which a value in `seen`, those of its end, went beyond; 2 where none did.

    The first places of `seat` are the patients; `limit` is working memory for one vector.
    """
    earliest = lanes(2.0)
    for w in range(watches):
        for lane in range(LANES):
            place = seat[lane] * watches + w
            limit[0, lane] = UNKNOWN  # nothing lies beyond it
            if in_lane(looking, lane) and armed[place] == ARMED:
                limit[0, lane] = limits[place]
        sign = float(watch[2 * w + 1])
        beyond = sign * (seen[watch[2 * w]] - limit[0]) > 0.0
        if any_lane(beyond):
            prepare(step, y, end, k, dense)
            near = lanes(0.0)
            far = lanes(1.0)
            for _ in range(HALVINGS):
                middle = 0.5 * (near + far)
                interpolate(middle, lowest, y, dense, trial)
                look(after + middle * step, p, c, f, x, drugs, trial, inner)
                past = sign * (inner[watch[2 * w]] - limit[0]) > 0.0
                far = where(past, middle, far)
                near = where(past, near, middle)
            earliest = where(beyond, min(earliest, far), earliest)
    return earliest
