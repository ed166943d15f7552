"""The scheduler: follow patients from dose to dose, several side by side, each on its own clock.

Every lane of the vector carries one patient with its own time and step size. When a patient is finished, the next one
takes its seat, so that no lane waits for another. Nothing in a lane depends on its neighbours: results are the same
for any order of patients and any number of lanes.

The integration restarts at every dose and at every end of an infusion. Output times never end a step: they are read
from the continuous extension, so that results do not depend on the output grid.
"""

from .drug_levels import N_LEVELS, N_MOVING, bring_drugs, drug_inputs
from .example_equations import (
    N_CONSTANTS,
    N_DRUGS,
    N_FORCED,
    N_OBSERVED,
    N_PARAMETERS,
    N_STATES,
    constants,
    forcing,
    initial,
    rhs,
)
from .explicit import END_SLOPE, N_DENSE, N_STAGES, REUSES_SLOPE, attempt, interpolate, prepare
from .lanes import (
    LANES,
    Floats,
    Int,
    Ints,
    any_lane,
    finite,
    first_lane,
    halted,
    in_lane,
    int_array,
    lane_array,
    lanes,
    max,
    min,
    where,
)
from .markers import N_FORMS
from .seats import (
    ALIVE,
    ARRIVED,
    CLOCK,
    COUNT,
    DOSED,
    DUE,
    EMPTY,
    FIRST,
    FRESH,
    LAST,
    NOT_FINITE,
    OK,
    OPENING,
    PAUSE,
    SEATED,
    START,
    STATE,
    STEP_TOO_SMALL,
    TOO_MANY_STEPS,
    WHO,
    H,
    T,
    begin,
    depart,
    leave,
    leave_at_event,
    pass_time,
    record,
    restore,
)
from .watch import first_crossing, look


def follow(
    first: Int, last: Int, halt: Ints, mode: Ints, settings: Floats, tolerance: Floats, lowest: Floats,
    parameters: Floats, rates: Floats, weights: Floats, scale: Floats, edges: Ints, doses: Floats, targets: Ints,
    marks: Int, mark_day: Floats, watches: Int, watch: Ints, limits: Floats, armed: Ints, fired: Ints,
    checkpoints: Floats, saved: Floats, reason: Ints, steps: Ints,
) -> None:
    """Follow patients `first` to `last` (not included).

    `mode`: go on from checkpoints; give the doses of the last day; step together with the first lane. `settings`: last
    day, relative tolerance, longest step, most steps, first step, whether outputs end steps. `edges`: first dose edge
    of every patient, and the one after its last. `doses`: day and amount of every edge; `targets`: its kind and its
    state or drug. Marks are outputs: what is `saved` at their days. `watch`: observable and direction of every watch;
    `limits`, `armed`: by patient and watch; `fired`: the watch that stopped a patient. Patients that have failed stay
    where they are.
    """
    rtol = settings[1]
    shared = mode[2]
    p = lane_array(N_PARAMETERS)
    c = lane_array(N_CONSTANTS)
    f = lane_array(6 * N_FORCED)
    f_rest = lane_array(N_FORCED)
    x = lane_array(6 * N_DRUGS)
    y = lane_array(N_STATES)
    end = lane_array(N_STATES)
    trial = lane_array(N_STATES)
    k = lane_array(N_STAGES * N_STATES + N_FORMS)
    dense = lane_array(N_DENSE * N_STATES + N_FORMS)
    reached = lane_array(N_OBSERVED)
    inner = lane_array(N_OBSERVED)
    limit = lane_array(1)
    drugs = lane_array(2 * N_LEVELS + N_MOVING)
    delivered = lane_array(N_STATES + N_DRUGS)
    clock = lane_array(CLOCK)
    seat = int_array(4 * LANES)
    waiting = first
    empty = 1 * LANES
    while not halted(halt):
        if empty == LANES or (empty > 0 and waiting < last and shared == 0):
            if waiting >= last:
                return
            for lane in range(LANES):
                while waiting < last and reason[waiting] != OK:
                    waiting = waiting + 1
                if seat[STATE + lane] == EMPTY and waiting < last:
                    for i in range(N_PARAMETERS):
                        p[i, lane] = parameters[waiting * N_PARAMETERS + i]
                    bring_drugs(lane, waiting, rates, weights, drugs)
                    seat[WHO + lane] = waiting
                    seat[STATE + lane] = SEATED
                    clock[COUNT, lane] = 0.0
                    waiting = waiting + 1
                    empty = empty - 1
            constants(p, c)
            for drug in range(N_DRUGS):
                x[drug] = 0.0
            forcing(p, c, x, f_rest)
            initial(p, c, trial)
            for lane in range(LANES):
                if seat[STATE + lane] == SEATED:
                    if mode[0] != 0:
                        restore(lane, seat, edges, doses, checkpoints, y, drugs, delivered, clock)
                    else:
                        begin(lane, seat, settings, edges, doses, targets, scale, trial, drugs, delivered, y, clock)
                    seat[STATE + lane] = ARRIVED
        for lane in range(LANES):
            if seat[STATE + lane] == ARRIVED and not depart(
                lane, seat, mode, settings, edges, doses, targets, scale, marks, mark_day, drugs, delivered, y, clock
            ):
                leave(lane, OK, seat, checkpoints, reason, steps, y, drugs, delivered, clock)
                empty = empty + 1
        if watches > 0 and any_lane(clock[FRESH] > 0.0):  # a dose may have carried a value beyond its limit
            look(clock[T] - clock[START], p, c, f, x, drugs, y, reached)
            for lane in range(LANES):
                if clock[FRESH, lane] > 0.0 and leave_at_event(
                    lane, seat, watches, watch, limits, armed, fired, reached, checkpoints, reason, steps, y, drugs,
                    delivered, clock,
                ):  # fmt: skip
                    empty = empty + 1
        if empty == LANES:
            continue
        alive = clock[ALIVE] > 0.0
        t = clock[T]
        after = t - clock[START]
        dosed = any_lane(clock[DOSED] > 0.0)
        if any_lane(clock[FRESH] > 0.0):
            fresh = clock[FRESH] > 0.0
            if dosed:
                drug_inputs(after, drugs, x)
                forcing(p, c, x, f)
                if REUSES_SLOPE == 1:
                    rhs(p, c, f, y, trial)
            elif REUSES_SLOPE == 1:
                rhs(p, c, f_rest, y, trial)
            if REUSES_SLOPE == 1:
                for i in range(N_STATES):
                    k[i] = where(fresh, trial[i], k[i])
            clock[FRESH] = 0.0
        goal = min(clock[LAST], clock[PAUSE])
        if settings[5] > 0.0:
            goal = where(clock[DUE] > t, min(goal, clock[DUE]), goal)
        gap = goal - t
        h = min(clock[H], settings[2])
        if shared != 0:
            h = first_lane(h)
        whole_gap = (h >= gap) | (gap - h < 1e-9 * max(1.0, goal))
        step = where(whole_gap, gap, where(2.0 * h > gap, 0.5 * gap, h))
        error = lanes(0.0)
        segment = clock[LAST] - clock[START]
        if dosed:
            error = attempt(dosed, shared, after, step, rtol, tolerance, segment, p, c, f, x, drugs, y, k, trial, end)
        else:
            error = attempt(
                dosed, shared, after, step, rtol, tolerance, segment, p, c, f_rest, x, drugs, y, k, trial, end
            )  # fmt: skip
        if shared != 0:
            error = first_lane(error)
        clock[COUNT] = clock[COUNT] + where(alive, 1.0, 0.0)
        good = (error <= 1.0) & alive
        then = where(whole_gap, goal, t + step)
        cut = alive & ~alive
        if watches > 0:
            for i in range(N_STATES):
                trial[i] = max(end[i], lowest[i])
            look(then - clock[START], p, c, f, x, drugs, trial, reached)
            looking = good & (then < clock[PAUSE])
            share = first_crossing(
                looking, after, step, seat, watches, watch, limits, armed, lowest, p, c, f, x, drugs, y, end, k, dense,
                trial, reached, inner, limit,
            )  # fmt: skip
            cut = share <= 1.0
            moment = max(t + share * step, t + 1e-12 * max(1.0, t))  # later than now, whatever the rounding
            clock[PAUSE] = where(cut, min(then, moment), clock[PAUSE])
            good = good & ~cut
        due = good & (clock[DUE] <= then)
        if any_lane(due):
            prepare(step, y, end, k, dense)
            while any_lane(due):
                interpolate(where(due, (clock[DUE] - t) / step, 0.0), lowest, y, dense, trial)
                record(due, dosed, seat, marks, mark_day, saved, x, drugs, trial, clock)
                due = good & (clock[DUE] <= then)
        clipped = alive & ~alive
        for i in range(N_STATES):
            below = end[i] < lowest[i]
            clipped = clipped | below
            y[i] = where(good, max(end[i], lowest[i]), y[i])
            if REUSES_SLOPE == 1:
                k[i] = where(good, k[END_SLOPE * N_STATES + i], k[i])
        clock[FRESH] = where(good & clipped, 1.0, 0.0)
        clock[T] = where(good, then, t)
        grow = 0.9 * max(error, 1e-8) ** -0.2
        larger = step * min(5.0, grow)
        larger = where(step < h, max(h, larger), larger)
        opened = good & (clock[OPENING] > 0.0)
        clock[FIRST] = where(opened, step * min(5.0, grow), clock[FIRST])
        clock[OPENING] = where(opened, 0.0, clock[OPENING])
        smaller = where(cut, step, step * where(finite(error), max(0.2, grow), 0.1))
        clock[H] = where(good, larger, where(alive, smaller, clock[H]))
        if watches > 0:
            for lane in range(LANES):
                if in_lane(good, lane) and leave_at_event(
                    lane, seat, watches, watch, limits, armed, fired, reached, checkpoints, reason, steps, y, drugs,
                    delivered, clock,
                ):  # fmt: skip
                    empty = empty + 1
            alive = clock[ALIVE] > 0.0
        lost = alive & ~good & (smaller < 1e-14 * max(1.0, t))
        late = alive & (clock[COUNT] > settings[3])
        arrived = good & alive & (clock[T] >= clock[LAST])
        if any_lane(arrived | lost | late):
            for lane in range(LANES):
                if in_lane(lost, lane) or in_lane(late, lane):
                    why = TOO_MANY_STEPS
                    if in_lane(lost, lane):
                        why = STEP_TOO_SMALL
                        if not in_lane(finite(error), lane):
                            why = NOT_FINITE
                    leave(lane, why, seat, checkpoints, reason, steps, y, drugs, delivered, clock)
                    empty = empty + 1
                elif in_lane(arrived, lane):
                    pass_time(lane, clock[LAST, lane] - clock[START, lane], drugs, delivered)
                    seat[STATE + lane] = ARRIVED
