"""Markers, solved exactly: y' = production - loss y, where the production is a sum of other states.

Over a step the other states are a polynomial of degree 4, the continuous extension, so the production is one too, and
the marker follows in closed form: a polynomial and one exponential. This is done where a step is longer than 1 / loss;
there the explicit method would be near the limit of its stability, and its step would be decided by a state that
nothing depends on. Over shorter steps the marker is integrated with the others.
"""

from .example_equations import N_MARKERS, N_STATES, marker_losses, marker_sources, marker_values, set_markers
from .lanes import Float, Int, Lanes, any_lane, exp, first_lane, lane_scratch, lanes, max, part, where

FORM = 7
"""What describes a marker over a step: five coefficients, that of the exponential, and loss x step (0: not solved)."""
N_FORMS = FORM * N_MARKERS
SOLVED_FROM = 1.0
"""Loss x step from which a marker is solved; below, its closed form would lose digits."""


def add_sources(weight: Float, stage: Int, p, c, k, more, bend) -> None:
    """Add what the slopes of one stage would produce."""
    marker_sources(p, c, part(k, stage * N_STATES), more)
    for m in range(N_MARKERS):
        bend[m] = bend[m] + weight * more[m]


def solve_markers(shared: Int, h: Lanes, p, c, y, end, k, forms) -> None:
    """Solve the markers over a step: fills `forms`, and corrects `end` and the slope at the end in `k`.

    With `shared`, the first lane decides for all which are solved, as it decides their steps.
    """
    n = N_STATES
    loss = lane_scratch(N_MARKERS)
    marker_losses(p, c, loss)
    longest = lanes(0.0)
    for m in range(N_MARKERS):
        forms[FORM * m + 6] = 0.0
        longest = max(longest, loss[m] * h)
    if any_lane(longest > SOLVED_FROM):
        at_begin = lane_scratch(N_MARKERS)
        at_end = lane_scratch(N_MARKERS)
        rise = lane_scratch(N_MARKERS)
        fall = lane_scratch(N_MARKERS)
        more = lane_scratch(N_MARKERS)
        bend = lane_scratch(N_MARKERS)
        before = lane_scratch(N_MARKERS)
        after = lane_scratch(N_MARKERS)
        slope = lane_scratch(N_MARKERS)
        marker_sources(p, c, y, at_begin)
        marker_sources(p, c, end, at_end)
        marker_sources(p, c, k, rise)
        marker_sources(p, c, part(k, 6 * n), fall)
        for m in range(N_MARKERS):
            bend[m] = 69997945.0 / 29380423.0 * fall[m] - 12715105075.0 / 11282082432.0 * rise[m]
        add_sources(87487479700.0 / 32700410799.0, 2, p, c, k, more, bend)
        add_sources(-10690763975.0 / 1880347072.0, 3, p, c, k, more, bend)
        add_sources(701980252875.0 / 199316789632.0, 4, p, c, k, more, bend)
        add_sources(-1453857185.0 / 822651844.0, 5, p, c, k, more, bend)
        marker_values(y, before)
        marker_values(end, after)
        marker_values(part(k, 6 * n), slope)
        for m in range(N_MARKERS):
            # the production as a polynomial: the continuous extension (`interpolate`), multiplied out
            change = at_end[m] - at_begin[m]
            first = h * rise[m] - change
            second = change - h * fall[m] - first
            third = h * bend[m]
            z = loss[m] * h
            decides = z
            if shared != 0:
                decides = first_lane(z)
            solved = decides > SOLVED_FROM
            per = h / where(solved, z, 1.0)
            inverse = 1.0 / where(solved, z, 1.0)
            q4 = per * third
            q3 = -per * (second + 2.0 * third) - 4.0 * inverse * q4
            q2 = per * (second + third - first) - 3.0 * inverse * q3
            q1 = per * (change + first) - 2.0 * inverse * q2
            q0 = per * at_begin[m] - inverse * q1
            fading = before[m] - q0
            exact = q0 + q1 + q2 + q3 + q4 + fading * exp(-z)
            forms[FORM * m] = q0
            forms[FORM * m + 1] = q1
            forms[FORM * m + 2] = q2
            forms[FORM * m + 3] = q3
            forms[FORM * m + 4] = q4
            forms[FORM * m + 5] = fading
            forms[FORM * m + 6] = where(solved, z, 0.0)
            after[m] = where(solved, exact, after[m])
            slope[m] = where(solved, at_end[m] - loss[m] * exact, slope[m])
        set_markers(after, end)
        set_markers(slope, part(k, 6 * n))


def forgive_markers(forms, errors) -> None:
    """Leave solved markers out of the error estimate, which is that of the step they did not take."""
    own = lane_scratch(N_MARKERS)
    marker_values(errors, own)
    for m in range(N_MARKERS):
        own[m] = where(forms[FORM * m + 6] > 0.0, 0.0, own[m])
    set_markers(own, errors)


def markers_within(theta: Lanes, forms, at) -> None:
    """Put the markers at a fraction of a step into the states `at`, where they were solved."""
    own = lane_scratch(N_MARKERS)
    marker_values(at, own)
    for m in range(N_MARKERS):
        z = forms[FORM * m + 6]
        q = forms[FORM * m + 3] + theta * forms[FORM * m + 4]
        q = forms[FORM * m + 1] + theta * (forms[FORM * m + 2] + theta * q)
        exact = forms[FORM * m] + theta * q + forms[FORM * m + 5] * exp(-z * theta)
        own[m] = where(z > 0.0, max(exact, 0.0), own[m])
    set_markers(own, at)
