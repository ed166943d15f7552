"""Seats: what happens to a single patient in its lane, from the first day to the last, between the steps."""

from .drug_levels import (
    COEFFICIENT,
    DRUG_BOLUS,
    INFUSION,
    N_MOVING,
    STATE_BOLUS,
    advance_drugs,
    dose_drug,
    drug_inputs,
    drug_jumps,
    drugs_present,
)
from .example_equations import N_DRUGS, N_STATES
from .lanes import LANES, Bool, Float, Floats, Int, Ints, Mask, abs, in_lane, min
from .watch import settle

OK, NOT_FINITE, TOO_MANY_STEPS, STEP_TOO_SMALL, EVENT = 0, 1, 2, 3, 4
T, START, LAST, H, ALIVE, FRESH, DOSED, COUNT, DUE, PAUSE, OPENING, FIRST = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
CLOCK = 12
"""Places in the clock of a lane: day; first and last day of the segment; step; seated, slope unknown, drugs present;
steps taken; day of the next output; day on which a watched value goes beyond its limit; next step is the first after a
dose; the step that would have been right after the last dose (0: not known); number of places."""
WHO, EDGE, MARK, STATE = 0, 1 * LANES, 2 * LANES, 3 * LANES
"""Places of a lane's whole numbers: patient, next dose edge, next output, and one of the following."""
EMPTY, SEATED, ARRIVED, MOVING = 0, 1, 2, 3
FOREVER = 1e300
N_CHECKPOINT = N_STATES + N_MOVING + N_STATES + N_DRUGS + 4
"""A checkpoint: states, drugs, amounts delivered, day, step, next output, next dose edge."""
N_SAVED = N_STATES + N_DRUGS
"""What is saved at an output: states, and levels of the drugs."""


def give(
    lane: Int, seat: Ints, edges: Ints, doses: Floats, targets: Ints, scale: Floats, drugs, delivered, y, clock
) -> None:
    """Every dose edge up to now, once."""
    who = seat[WHO + lane]
    edge = seat[EDGE + lane]
    while edge < edges[2 * who + 1] and doses[2 * edge] <= clock[T, lane]:
        amount = doses[2 * edge + 1]
        kind = targets[2 * edge]
        target = targets[2 * edge + 1]
        if kind == STATE_BOLUS:
            y[target, lane] = y[target, lane] + amount * scale[who * N_STATES + target]
            clock[FRESH, lane] = 1.0
            delivered[target, lane] = delivered[target, lane] + amount
        else:
            fastest = dose_drug(lane, kind, target, amount, drugs)
            # how long the first step may be while the drug is absorbed was learnt after the dose before
            if clock[FIRST, lane] == 0.0:
                clock[FIRST, lane] = 1.0 / fastest
            clock[H, lane] = min(clock[H, lane], clock[FIRST, lane])
            clock[OPENING, lane] = 1.0
            if drug_jumps(lane, kind, target, drugs):
                clock[FRESH, lane] = 1.0
            if kind == DRUG_BOLUS:
                delivered[N_STATES + target, lane] = delivered[N_STATES + target, lane] + amount
        edge = edge + 1
    seat[EDGE + lane] = edge


def pass_time(lane: Int, days: Float, drugs, delivered) -> None:
    """Drugs go on for some days: levels fade, infusions run."""
    for drug in range(N_DRUGS):
        delivered[N_STATES + drug, lane] = delivered[N_STATES + drug, lane] + drugs[INFUSION + drug, lane] * days
    advance_drugs(lane, days, drugs)


def begin(
    lane: Int, seat: Ints, settings: Floats, edges: Ints, doses: Floats, targets: Ints, scale: Floats, fresh, drugs,
    delivered, y, clock,
) -> None:
    """Start a patient at day 0; before it only drugs move, the states are those of day 0."""
    for i in range(N_STATES):
        y[i, lane] = fresh[i, lane]
    for i in range(N_STATES + N_DRUGS):
        delivered[i, lane] = 0.0
    seat[EDGE + lane] = edges[2 * seat[WHO + lane]]
    seat[MARK + lane] = 0
    clock[H, lane] = settings[4]
    clock[FRESH, lane] = 1.0
    day = 0.0
    if seat[EDGE + lane] < edges[2 * seat[WHO + lane] + 1]:
        day = min(0.0, doses[2 * seat[EDGE + lane]])
    while day < 0.0:
        clock[T, lane] = day
        give(lane, seat, edges, doses, targets, scale, drugs, delivered, y, clock)
        then = 0.0
        if seat[EDGE + lane] < edges[2 * seat[WHO + lane] + 1]:
            then = min(0.0, doses[2 * seat[EDGE + lane]])
        pass_time(lane, then - day, drugs, delivered)
        day = then
    clock[T, lane] = 0.0


def save(lane: Int, seat: Ints, checkpoints: Floats, y, drugs, delivered, clock) -> None:
    """Write what is needed to go on with a patient later."""
    at = seat[WHO + lane] * N_CHECKPOINT
    for i in range(N_STATES):
        checkpoints[at + i] = y[i, lane]
    at = at + N_STATES
    for j in range(N_MOVING):
        checkpoints[at + j] = drugs[COEFFICIENT + j, lane]
    at = at + N_MOVING
    for i in range(N_STATES + N_DRUGS):
        checkpoints[at + i] = delivered[i, lane]
    at = at + N_STATES + N_DRUGS
    checkpoints[at] = clock[T, lane]
    checkpoints[at + 1] = clock[H, lane]
    checkpoints[at + 2] = float(seat[MARK + lane])
    checkpoints[at + 3] = float(seat[EDGE + lane])


def restore(lane: Int, seat: Ints, edges: Ints, doses: Floats, checkpoints: Floats, y, drugs, delivered, clock) -> None:
    """Go on from a checkpoint, with the dose edges from its day on."""
    who = seat[WHO + lane]
    at = who * N_CHECKPOINT
    for i in range(N_STATES):
        y[i, lane] = checkpoints[at + i]
    at = at + N_STATES
    for j in range(N_MOVING):
        drugs[COEFFICIENT + j, lane] = checkpoints[at + j]
    at = at + N_MOVING
    for i in range(N_STATES + N_DRUGS):
        delivered[i, lane] = checkpoints[at + i]
    at = at + N_STATES + N_DRUGS
    clock[T, lane] = checkpoints[at]
    clock[H, lane] = checkpoints[at + 1]
    clock[FRESH, lane] = 1.0
    seat[MARK + lane] = int(checkpoints[at + 2])
    seat[EDGE + lane] = edges[2 * who]


def leave(
    lane: Int, why: Int, seat: Ints, checkpoints: Floats, reason: Ints, steps: Ints, y, drugs, delivered, clock
) -> None:
    """Write what became of a patient and free its seat."""
    save(lane, seat, checkpoints, y, drugs, delivered, clock)
    who = seat[WHO + lane]
    reason[who] = why
    for i in range(N_STATES):
        if not (abs(y[i, lane]) < FOREVER):
            reason[who] = NOT_FINITE
        y[i, lane] = 0.0
    steps[who] = steps[who] + int(clock[COUNT, lane])
    seat[STATE + lane] = EMPTY
    clock[ALIVE, lane] = 0.0
    clock[FRESH, lane] = 0.0
    clock[DOSED, lane] = 0.0
    clock[OPENING, lane] = 0.0
    clock[FIRST, lane] = 0.0
    clock[DUE, lane] = FOREVER
    clock[PAUSE, lane] = FOREVER
    clock[T, lane] = 0.0
    clock[START, lane] = 0.0
    clock[LAST, lane] = 0.0
    for j in range(N_MOVING):
        drugs[COEFFICIENT + j, lane] = 0.0


def leave_at_event(
    lane: Int, seat: Ints, watches: Int, watch: Ints, limits: Floats, armed: Ints, fired: Ints, reached,
    checkpoints: Floats, reason: Ints, steps: Ints, y, drugs, delivered, clock,
) -> Bool:
    """Stop a patient if one of the values that it has reached has just gone beyond its limit."""
    if clock[T, lane] >= clock[PAUSE, lane]:
        clock[PAUSE, lane] = FOREVER
    crossed = settle(lane, seat[WHO + lane], watches, watch, limits, armed, reached)
    if crossed < 0:
        return False
    fired[seat[WHO + lane]] = crossed
    pass_time(lane, clock[T, lane] - clock[START, lane], drugs, delivered)
    leave(lane, EVENT, seat, checkpoints, reason, steps, y, drugs, delivered, clock)
    return True


def depart(
    lane: Int, seat: Ints, mode: Ints, settings: Floats, edges: Ints, doses: Floats, targets: Ints, scale: Floats,
    marks: Int, mark_day: Floats, drugs, delivered, y, clock,
) -> Bool:
    """Give what is due now and open the next segment; False if the last day is reached."""
    who = seat[WHO + lane]
    day = clock[T, lane]
    if day < settings[0] or mode[1] != 0:
        give(lane, seat, edges, doses, targets, scale, drugs, delivered, y, clock)
    if day >= settings[0]:
        return False
    clock[START, lane] = day
    clock[LAST, lane] = settings[0]
    if seat[EDGE + lane] < edges[2 * who + 1]:
        clock[LAST, lane] = min(settings[0], doses[2 * seat[EDGE + lane]])
    clock[ALIVE, lane] = 1.0
    clock[DOSED, lane] = drugs_present(lane, drugs)
    clock[PAUSE, lane] = FOREVER
    clock[DUE, lane] = FOREVER
    if seat[MARK + lane] < marks:
        clock[DUE, lane] = mark_day[seat[MARK + lane]]
    seat[STATE + lane] = MOVING
    return True


def record(
    due: Mask, dosed: Bool, seat: Ints, marks: Int, mark_day: Floats, saved: Floats, x, drugs, at, clock
) -> None:
    """Save states and drug levels of every lane whose output is due, and look up its next.

    Observables are computed from them afterwards, side by side: lanes seldom have an output in the same step.
    """
    if dosed:
        drug_inputs(clock[DUE] - clock[START], drugs, x)
    for lane in range(LANES):
        if in_lane(due, lane):
            place = (seat[WHO + lane] * marks + seat[MARK + lane]) * N_SAVED
            for i in range(N_STATES):
                saved[place + i] = at[i, lane]
            for drug in range(N_DRUGS):
                saved[place + N_STATES + drug] = 0.0
                if dosed:
                    saved[place + N_STATES + drug] = x[drug, lane]
            seat[MARK + lane] = seat[MARK + lane] + 1
            clock[DUE, lane] = FOREVER
            if seat[MARK + lane] < marks:
                clock[DUE, lane] = mark_day[seat[MARK + lane]]
