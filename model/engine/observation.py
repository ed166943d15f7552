"""Observables of what was saved at the outputs, several patients side by side."""

from .example_equations import (
    N_CONSTANTS,
    N_DRUGS,
    N_FORCED,
    N_OBSERVED,
    N_PARAMETERS,
    N_STATES,
    constants,
    forcing,
    observe,
)
from .lanes import LANES, Floats, Int, Ints, halted, lane_array, min
from .seats import N_SAVED


def observe_rows(
    first: Int, last: Int, halt: Ints, parameters: Floats, marks: Int, rows: Int, chosen: Ints, saved: Floats,
    out: Floats,
) -> None:
    """Fill `out` (patients, rows, observables) from the marks `chosen`, one for every row.

    What was not reached was saved as NaN and stays so.
    """
    p = lane_array(N_PARAMETERS)
    c = lane_array(N_CONSTANTS)
    f = lane_array(N_FORCED)
    x = lane_array(N_DRUGS)
    y = lane_array(N_STATES)
    seen = lane_array(N_OBSERVED)
    at = first
    while at < last and not halted(halt):
        seated = min(LANES, last - at)
        for lane in range(LANES):
            who = at + min(lane, seated - 1)
            for i in range(N_PARAMETERS):
                p[i, lane] = parameters[who * N_PARAMETERS + i]
        constants(p, c)
        for row in range(rows):
            for lane in range(LANES):
                place = ((at + min(lane, seated - 1)) * marks + chosen[row]) * N_SAVED
                for i in range(N_STATES):
                    y[i, lane] = saved[place + i]
                for drug in range(N_DRUGS):
                    x[drug, lane] = saved[place + N_STATES + drug]
            if N_DRUGS > 0 or row == 0:
                forcing(p, c, x, f)
            observe(p, c, f, y, seen)
            for lane in range(seated):
                for i in range(N_OBSERVED):
                    out[((at + lane) * rows + row) * N_OBSERVED + i] = seen[i, lane]
        at = at + LANES
