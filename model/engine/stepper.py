"""The integrator of one patient.

An explicit Runge-Kutta pair of order 5(4) with a continuous extension of order 4 (Dormand & Prince 1980; Hairer,
Norsett & Wanner, Solving Ordinary Differential Equations I, second edition, section II.5 and II.6). The model is
only mildly stiff, because fast linear pharmacokinetics is solved in closed form and enters as an input.

The integration restarts at every dose and every end of an infusion. Output times never end a step: they are read
from the continuous extension, so that results do not depend on the output grid.
"""

import math

from .drug_levels import DRUG_BOLUS, STATE_BOLUS, advance_drugs, drug_inputs, drugs_present
from .example_equations import constants, forcing, initial, observe, rhs

OK, NOT_FINITE, TOO_MANY_STEPS, STEP_TOO_SMALL = 0, 1, 2, 3


def interpolate(theta, h, y, end, k, at):
    """State at a fraction `theta` of a finished step (continuous extension of order 4), not below zero."""
    rest = 1.0 - theta
    for i in range(y.shape[0]):
        change = end[i] - y[i]
        slope = h * k[0, i] - change
        curve = change - h * k[6, i] - slope
        bend = h * (
            -12715105075.0 / 11282082432.0 * k[0, i]
            + 87487479700.0 / 32700410799.0 * k[2, i]
            - 10690763975.0 / 1880347072.0 * k[3, i]
            + 701980252875.0 / 199316789632.0 * k[4, i]
            - 1453857185.0 / 822651844.0 * k[5, i]
            + 69997945.0 / 29380423.0 * k[6, i]
        )
        at[i] = max(0.0, y[i] + theta * (change + rest * (slope + theta * (curve + rest * bend))))


def stages(p, c, f_rest, forced, t, h, weight, rate, coefficient, infusion, y, k, x, f, trial, end):
    """Six stages of the step from `t` (days since the segment began); returns nothing, fills `k` and `end`."""
    n = y.shape[0]
    for i in range(n):
        trial[i] = y[i] + h * 0.2 * k[0, i]
    if forced:
        drug_inputs(t + 0.2 * h, weight, rate, coefficient, infusion, x)
        forcing(p, c, x, f)
    else:
        f = f_rest
    rhs(p, c, f, trial, k[1])
    for i in range(n):
        trial[i] = y[i] + h * (3.0 / 40.0 * k[0, i] + 9.0 / 40.0 * k[1, i])
    if forced:
        drug_inputs(t + 0.3 * h, weight, rate, coefficient, infusion, x)
        forcing(p, c, x, f)
    rhs(p, c, f, trial, k[2])
    for i in range(n):
        trial[i] = y[i] + h * (44.0 / 45.0 * k[0, i] - 56.0 / 15.0 * k[1, i] + 32.0 / 9.0 * k[2, i])
    if forced:
        drug_inputs(t + 0.8 * h, weight, rate, coefficient, infusion, x)
        forcing(p, c, x, f)
    rhs(p, c, f, trial, k[3])
    for i in range(n):
        trial[i] = y[i] + h * (
            19372.0 / 6561.0 * k[0, i]
            - 25360.0 / 2187.0 * k[1, i]
            + 64448.0 / 6561.0 * k[2, i]
            - 212.0 / 729.0 * k[3, i]
        )
    if forced:
        drug_inputs(t + 8.0 / 9.0 * h, weight, rate, coefficient, infusion, x)
        forcing(p, c, x, f)
    rhs(p, c, f, trial, k[4])
    for i in range(n):
        trial[i] = y[i] + h * (
            9017.0 / 3168.0 * k[0, i] - 355.0 / 33.0 * k[1, i] + 46732.0 / 5247.0 * k[2, i] + 49.0 / 176.0 * k[3, i]
            - 5103.0 / 18656.0 * k[4, i]
        )  # fmt: skip
    if forced:
        drug_inputs(t + h, weight, rate, coefficient, infusion, x)
        forcing(p, c, x, f)
    rhs(p, c, f, trial, k[5])
    for i in range(n):
        end[i] = y[i] + h * (
            35.0 / 384.0 * k[0, i] + 500.0 / 1113.0 * k[2, i] + 125.0 / 192.0 * k[3, i] - 2187.0 / 6784.0 * k[4, i]
            + 11.0 / 84.0 * k[5, i]
        )  # fmt: skip
    rhs(p, c, f, end, k[6])


def error_of(h, y, end, k, tolerance, rtol):
    """Root mean square of the error estimate over its tolerance; NaN if anything is not finite."""
    total = 0.0
    for i in range(y.shape[0]):
        e = h * (
            71.0 / 57600.0 * k[0, i] - 71.0 / 16695.0 * k[2, i] + 71.0 / 1920.0 * k[3, i]
            - 17253.0 / 339200.0 * k[4, i] + 22.0 / 525.0 * k[5, i] - 1.0 / 40.0 * k[6, i]
        )  # fmt: skip
        scaled = e / (tolerance[i] + rtol * max(abs(y[i]), abs(end[i])))
        total += scaled * scaled
    return math.sqrt(total / y.shape[0])


def integrate(
    p, doses, kind, target, amount, scale, weight, rate, times, middles, settings, tolerance, out, kept, work
):
    """Integrate one patient from day 0 to `settings[0]`.

    Returns the reason for stopping (0 is success), the day reached and the number of steps. Fills `out` (observables at
    `times`), `kept` (states at `middles`) and, in `work`, the delivered amounts by channel.
    """
    stop, rtol, max_step, most = settings[0], settings[1], settings[2], settings[3]
    c, f, f_rest, x, y, end, trial, k, coefficient, infusion, delivered = work
    n_states = y.shape[0]
    delivered[:] = 0.0
    coefficient[:] = 0.0
    infusion[:] = 0.0
    x[:] = 0.0
    constants(p, c)
    forcing(p, c, x, f_rest)
    initial(p, c, y)
    edge, n_edges = 0, doses.shape[0]
    t = min(0.0, doses[0]) if n_edges > 0 else 0.0
    h, steps, i_time, i_middle = 0.02, 0, 0, 0
    while True:
        while edge < n_edges and doses[edge] <= t:
            channel = target[edge]
            if kind[edge] == STATE_BOLUS:
                y[channel] += amount[edge] * scale[channel]
                delivered[channel] += amount[edge]
            elif kind[edge] == DRUG_BOLUS:
                for j in range(weight.shape[1]):
                    coefficient[channel, j] += amount[edge] * weight[channel, j]
                delivered[n_states + channel] += amount[edge]
            else:
                infusion[channel] += amount[edge]
            if kind[edge] != STATE_BOLUS:
                # the first stage falls on the moment before absorption: a first step that is long against the fastest
                # rate would weigh that moment too much, and the error estimate hardly sees it
                h = min(h, 1.0 / rate[channel].max())
            edge += 1
        if t >= stop:
            break
        forced = drugs_present(coefficient, infusion)
        start = t
        last = min(doses[edge], stop) if edge < n_edges else stop
        if t < 0.0:
            # before day 0 only drugs move: baseline values are those of day 0
            last = min(last, 0.0)
            t = last
        elif forced:
            drug_inputs(0.0, weight, rate, coefficient, infusion, x)
            forcing(p, c, x, f)
            rhs(p, c, f, y, k[0])
        else:
            rhs(p, c, f_rest, y, k[0])
        while t < last:
            h = min(h, max_step)
            gap = last - t
            whole = h >= gap or gap - h < 1e-9 * max(1.0, last)
            step = gap if whole else (0.5 * gap if 2.0 * h > gap else h)
            stages(p, c, f_rest, forced, t - start, step, weight, rate, coefficient, infusion, y, k, x, f, trial, end)
            error = error_of(step, y, end, k, tolerance, rtol)
            steps += 1
            if steps > most:
                return TOO_MANY_STEPS, t, steps
            if not error <= 1.0:
                h = step * (max(0.2, 0.9 * error**-0.2) if math.isfinite(error) else 0.1)
                if h < 1e-10:
                    return (STEP_TOO_SMALL if math.isfinite(error) else NOT_FINITE), t, steps
                continue
            after = last if whole else t + step
            while i_middle < middles.shape[0] and middles[i_middle] <= after:
                interpolate((middles[i_middle] - t) / step, step, y, end, k, kept[i_middle])
                i_middle += 1
            while i_time < times.shape[0] and times[i_time] <= after:
                interpolate((times[i_time] - t) / step, step, y, end, k, trial)
                if forced:
                    drug_inputs(times[i_time] - start, weight, rate, coefficient, infusion, x)
                    forcing(p, c, x, f)
                    observe(p, c, f, trial, out[i_time])
                else:
                    observe(p, c, f_rest, trial, out[i_time])
                i_time += 1
            clipped = False
            for i in range(n_states):
                if end[i] < 0.0:
                    clipped = True
                y[i] = max(end[i], 0.0)
            t = after
            grow = 5.0 if error < 1e-8 else min(5.0, 0.9 * error**-0.2)
            h = max(h, step * grow) if step < h else step * grow
            if clipped:
                if forced:
                    drug_inputs(t - start, weight, rate, coefficient, infusion, x)
                    forcing(p, c, x, f)
                    rhs(p, c, f, y, k[0])
                else:
                    rhs(p, c, f_rest, y, k[0])
            else:
                for i in range(n_states):
                    k[0, i] = k[6, i]
        for drug in range(weight.shape[0]):
            delivered[n_states + drug] += infusion[drug] * (last - start)
        advance_drugs(last - start, weight, rate, coefficient, infusion)
    return OK, t, steps
