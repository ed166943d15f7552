"""Where llvmlite is absent: the engine's source run as plain Python, one patient after the other, stepped by scipy.

Equations, drug levels, doses, watches, checkpoints and eradication are the very text that is otherwise compiled (plain
Python has one lane). Only the steps between two doses are another's: those of `scipy.integrate`.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.integrate import RK45, DenseOutput, Radau

from . import lanes
from .lanes import LaneArray, lane_array
from .source import Source

METHODS = {"explicit": RK45, "stiff": Radau}
"""Integrators of scipy by the method that they stand for."""
_WRITTEN = ("halt", "checkpoints", "saved", "out", "reason", "steps", "probability", "armed", "fired")
"""Memory that is shared with Python; what is only read becomes a list, whose numbers are faster."""
_BROKEN = (ArithmeticError, ValueError, TypeError)
"""What plain Python raises where compiled code goes on with infinities and NaN; TypeError: of a complex number."""


class Interpreted:
    """Equations and integrators as plain Python: what `Compiled` is where there is a compiler.

    Patients that are to share the steps of the first of their vector have their own: a vector has one lane here.
    """

    name = "scipy"

    def __init__(self, source: Source, method: str) -> None:
        self.parameters, self.sizes = source.parameters, source.sizes(lanes=1)
        self._arguments, self._solver = source.arguments, METHODS[method]
        words: dict[str, Any] = {name: word for name, word in vars(lanes).items() if not name.startswith("_")}
        exec(source.text, words)
        self._engine = SimpleNamespace(**words)

    def call(self, name: str, *arguments: float | np.ndarray) -> None:
        """Follow some patients, or find their chance of eradication; stops within a step when `halt` is set."""
        given = SimpleNamespace()
        for argument, value in zip(self._arguments[name], arguments, strict=True):
            if isinstance(value, np.ndarray):
                value = value.reshape(-1)
                value = value if argument in _WRITTEN else value.tolist()
            setattr(given, argument, value)
        for who in range(given.first, given.last):
            if given.halt[0]:
                return
            if name == "observe_rows":
                with np.errstate(all="ignore"):  # numpy's numbers, of which a share of nothing is NaN and no error
                    self._engine.observe_rows(**{**vars(given), "first": who, "last": who + 1})
            elif given.reason[who] == self._engine.OK and name == "follow":
                _Patient(self._engine, given, who).follow(self._solver)
            elif given.reason[who] == self._engine.OK:
                self._eradicate(given, who)

    def _eradicate(self, given: SimpleNamespace, who: int) -> None:
        arguments = {**vars(given), "first": who, "last": who + 1, "means": LaneArray(given.means)}
        try:
            self._engine.eradicate(**arguments)
        except _BROKEN:
            given.probability[who] = math.nan


class _Patient:
    """One patient on its way, with the working memory that the scheduler of `follow` wants."""

    def __init__(self, engine: SimpleNamespace, given: SimpleNamespace, who: int) -> None:
        self.engine, self.given = engine, given
        n = engine.N_PARAMETERS
        self.p = given.parameters[who * n : (who + 1) * n]
        self.c, self.f_rest, self.f = [0.0] * engine.N_CONSTANTS, [0.0] * engine.N_FORCED, [0.0] * engine.N_FORCED
        self.x, self.slope = [0.0] * engine.N_DRUGS, [0.0] * engine.N_STATES
        self.y, self.seen = lane_array(engine.N_STATES), [0.0] * engine.N_OBSERVED
        self.drugs = lane_array(2 * engine.N_LEVELS + engine.N_MOVING)
        self.delivered = lane_array(engine.N_STATES + engine.N_DRUGS)
        self.clock, self.seat = lane_array(engine.CLOCK), [who, 0, 0, engine.SEATED]
        self.memory = (self.y, self.drugs, self.delivered, self.clock)

    def follow(self, solver: type[RK45] | type[Radau]) -> None:
        """From dose to dose up to the last day, or to where it fails."""
        given, engine = self.given, self.engine
        with np.errstate(all="ignore"):
            try:
                why = self._take_seat() or self._travel(solver)
            except _BROKEN:
                why = engine.NOT_FINITE
        if not given.halt[0]:
            engine.leave(0, why, self.seat, given.checkpoints, given.reason, given.steps, *self.memory)

    def _take_seat(self) -> int:
        given, engine = self.given, self.engine
        fresh = lane_array(engine.N_STATES)
        engine.bring_drugs(0, self.seat[0], given.rates, given.weights, self.drugs)
        engine.constants(self.p, self.c)
        engine.forcing(self.p, self.c, self.x, self.f_rest)
        engine.initial(self.p, self.c, fresh)
        if given.mode[0]:
            checkpoints = given.checkpoints.tolist()
            engine.restore(0, self.seat, given.edges, given.doses, checkpoints, *self.memory)
        else:
            engine.begin(
                0, self.seat, given.settings, given.edges, given.doses, given.targets, given.scale, fresh, self.drugs,
                self.delivered, self.y, self.clock,
            )  # fmt: skip
        return engine.OK

    def _travel(self, solver: type[RK45] | type[Radau]) -> int:
        given, engine, clock = self.given, self.engine, self.clock
        while engine.depart(
            0, self.seat, given.mode, given.settings, given.edges, given.doses, given.targets, given.scale, given.marks,
            given.mark_day, self.drugs, self.delivered, self.y, clock,
        ):  # fmt: skip
            why = self._segment(solver)
            if why in (engine.OK, engine.EVENT):
                engine.pass_time(0, clock[engine.T] - clock[engine.START], self.drugs, self.delivered)
            if why != engine.OK or given.halt[0]:
                return why
        return engine.OK

    def _segment(self, solver: type[RK45] | type[Radau]) -> int:
        """Steps up to the next dose; returns why it ended before it."""
        given, engine, clock = self.given, self.engine, self.clock
        _, rtol, max_step, most_steps, _, _ = given.settings
        start, last = clock[engine.START], clock[engine.LAST]
        first = min(clock[engine.H], max_step, last - start)
        if clock[engine.DOSED]:
            # scipy does not see a drug that is absorbed within a first stage (`explicit.missed_effect`): it errs by up
            # to the tolerance at every dose, always in the same direction
            rtol = max(0.1 * rtol, 3e-14)
            first = min(first, 1000.0 * rtol * (last - start))
        steps = solver(
            self._slope, start, np.array(self.y.memory), last, rtol=rtol, atol=given.tolerance, max_step=max_step,
            first_step=first,
        )  # fmt: skip
        if self._crossed(np.array(self.y.memory), start):  # a dose may have carried a value beyond its limit
            return engine.EVENT
        before = 0.0
        while steps.status == "running" and not given.halt[0]:
            steps.step()
            clock[engine.COUNT] += 1.0
            if steps.status == "failed":
                finite = all(map(math.isfinite, self.slope))
                return engine.STEP_TOO_SMALL if finite else engine.NOT_FINITE
            now, y = steps.t, np.maximum(steps.y, given.lowest)
            course = steps.dense_output() if given.watches or clock[engine.DUE] <= now else None
            if course is not None:
                now, y = self._up_to_crossing(course, now, y)
                self._record(course, now)
            length = now - clock[engine.T]
            self.y.memory[:], clock[engine.T] = y.tolist(), now
            if self._crossed(y, now):
                return engine.EVENT
            if clock[engine.COUNT] > most_steps:
                return engine.TOO_MANY_STEPS
            # the last step is as short as what is left, and says little of what is possible
            before, clock[engine.H] = length, max(before, length)
        return engine.OK

    def _look(self, y: np.ndarray, day: float) -> LaneArray:
        """Observables; with numpy's numbers, of which a share of nothing is NaN and no error."""
        at, engine = LaneArray(y), self.engine
        after = day - self.clock[engine.START]
        engine.look(after, self.p, self.c, self.f, self.x, self.drugs.memory, at, self.seen)
        return LaneArray(self.seen)

    def _crossed(self, y: np.ndarray, day: float) -> bool:
        """Whether a watched value has gone beyond its limit; notes on which side each is."""
        given = self.given
        if not given.watches:
            return False
        seen, who = self._look(y, day), self.seat[0]
        first = self.engine.settle(0, who, given.watches, given.watch, given.limits, given.armed, seen)
        if first >= 0:
            given.fired[who] = first
        return first >= 0

    def _up_to_crossing(self, course: DenseOutput, now: float, y: np.ndarray) -> tuple[float, np.ndarray]:
        """The step's end, or the first moment in it at which an armed watch lies beyond its limit."""
        given, who = self.given, self.seat[0]

        def beyond(y: np.ndarray, day: float) -> bool:
            seen = self._look(y, day)
            places = [(w, who * given.watches + w) for w in range(given.watches)]
            return any(
                given.armed[at] == self.engine.ARMED
                and given.watch[2 * w + 1] * (seen[given.watch[2 * w]] - given.limits[at]) > 0.0
                for w, at in places
            )

        if not given.watches or not beyond(y, now):
            return now, y
        near = float(course.t_old)
        for _ in range(self.engine.HALVINGS):
            middle = 0.5 * (near + now)
            there = np.maximum(course(middle), given.lowest)
            near, now, y = (near, middle, there) if beyond(there, middle) else (middle, now, y)
        return now, y

    def _slope(self, day: float, y: np.ndarray) -> np.ndarray:
        engine, clock, f = self.engine, self.clock, self.f_rest
        try:
            if clock[engine.DOSED]:
                f = self.f
                engine.drug_inputs(day - clock[engine.START], self.drugs.memory, self.x)
                engine.forcing(self.p, self.c, self.x, f)
            engine.rhs(self.p, self.c, f, y.tolist(), self.slope)
            return np.array(self.slope, dtype=float)
        except _BROKEN:
            self.slope[:] = [math.nan] * len(y)
            return np.array(self.slope)

    def _record(self, course: DenseOutput, until: float) -> None:
        """Outputs that are due by a day, through the scheduler's own bookkeeping."""
        given, engine, clock = self.given, self.engine, self.clock
        dosed = bool(clock[engine.DOSED])
        while clock[engine.DUE] <= until:
            at, x = LaneArray(np.maximum(course(clock[engine.DUE]), given.lowest)), LaneArray(self.x)
            engine.record(
                True, dosed, self.seat, given.marks, given.mark_day, given.saved, x, self.drugs, at, clock
            )  # fmt: skip
