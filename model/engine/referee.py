"""The slow independent judge of the engine: one patient, integrated by scipy.

It shares with the engine what the equations say (`codegen`, run as plain Python) and nothing of how they are solved:
other methods, other step control, its own segments, its own superposition of doses.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import sympy
from scipy.integrate import solve_ivp
from sympy.printing.pycode import PythonCodePrinter

from ...parameters.errors import SimulationError
from ..myeloma import assemble
from ..pharmacokinetics import exponentials
from ..regimens.regimen import Bolus, Dose, Infusion, Regimen
from ..system.system import System
from ..therapy import read_therapies
from .codegen import generate

_MICROLITRES_PER_LITRE = 1e6
_GONE = 60.0
"""An exponential this far down its exponent (1e-26 of a dose) is left out."""


def referee(
    patients: Mapping[str, np.ndarray],
    regimen: Regimen,
    times: Sequence[float] | np.ndarray,
    *,
    system: System | None = None,
    method: Literal["Radau", "LSODA"] = "Radau",
    rtol: float = 1e-9,
    patient: int = 0,
) -> dict[str, np.ndarray]:
    """Time courses of one patient: every state and every observable, by name.

    Parameters
    ----------
    patients, regimen, times, system
        As for `simulate`. At the time of a dose the course shows the value just before it, at day 0 just after it.
    method
        Radau (implicit Runge-Kutta, with the exact Jacobian) or LSODA (multistep, with a Jacobian of its own).
    rtol
        Relative tolerance; the absolute one is a thousandth of what each state declares.

    Raises
    ------
    SimulationError
        If scipy gives up.
    """
    patient_equations = Equations(system or assemble(regimen).system, patients, patient)
    states = patient_equations.integrate(regimen, np.asarray(times, dtype=float), method, rtol)
    return patient_equations.named(regimen, np.asarray(times, dtype=float), states)


class Levels:
    """Drug levels of one patient by superposition: each dose is a unit response of its own, moved and scaled."""

    def __init__(self, system: System, patients: Mapping[str, np.ndarray], patient: int) -> None:
        shelf = {therapy.key: therapy for therapy in read_therapies()}
        self.drugs = tuple(put.drug for put in system.inputs)
        self.responses: dict[str, tuple[tuple[float, float], ...]] = {}
        for drug in self.drugs:
            pk = shelf[drug].pk
            if pk is not None:
                weight, rate = exponentials(pk, patients)
                terms = zip(weight[patient], rate[patient], strict=True)
                self.responses[drug] = tuple((float(w), float(k)) for w, k in terms if k > 0)

    def after(self, doses: Sequence[Dose], start: float) -> Callable[[float], list[float]]:
        """Level of every drug as a function of the day, from these doses only, for days from `start` on."""
        terms: list[tuple[int, Dose, float, float]] = []
        for dose in doses:
            end = dose.day + (dose.duration if isinstance(dose, Infusion) else 0.0)
            for weight, rate in self.responses.get(dose.therapy, ()):
                if rate * (start - end) < _GONE:
                    terms.append((self.drugs.index(dose.therapy), dose, weight, rate))

        def at(day: float) -> list[float]:
            total = [0.0] * len(self.drugs)
            for drug, dose, weight, rate in terms:
                total[drug] += _one_dose(dose, day - dose.day, weight, rate)
            return [max(level, 0.0) for level in total]

        return at


def _one_dose(dose: Dose, after: float, weight: float, rate: float) -> float:
    """What one exponential leaves of one dose `after` days."""
    if isinstance(dose, Bolus):
        return dose.amount * weight * math.exp(-rate * after)
    speed = dose.amount / dose.duration * weight / rate
    if after <= dose.duration:
        return -speed * math.expm1(-rate * after)
    return speed * (math.exp(-rate * (after - dose.duration)) - math.exp(-rate * after))


class Equations:
    """The equations of a system with the numbers of one patient, as plain Python."""

    def __init__(self, system: System, patients: Mapping[str, np.ndarray], patient: int = 0) -> None:
        self.system = system
        code = generate(system)
        self.functions: dict[str, Any] = {"math": math}
        exec(code.source, self.functions)
        self.p = [float(np.atleast_1d(patients[name])[patient]) for name in code.parameters]
        self.sizes = self.functions["SIZES"]
        self.c = [0.0] * self.sizes[1]
        self.functions["constants"](self.p, self.c)
        self.levels = Levels(system, patients, patient)
        volume = patients.get("blood_volume")
        self.blood = math.nan if volume is None else float(np.atleast_1d(volume)[patient])

    def initial(self) -> np.ndarray:
        """Values at day 0, before any dose."""
        y = np.empty(self.sizes[0])
        self.functions["initial"](self.p, self.c, y)
        return y

    def forced(self, x: Sequence[float]) -> list[float]:
        """Quantities that need parameters and drug levels only."""
        f = [0.0] * self.sizes[2]
        self.functions["forcing"](self.p, self.c, x, f)
        return f

    def slope(self, levels: Callable[[float], list[float]]) -> Callable[[float, np.ndarray], list[float]]:
        """Right-hand side as scipy wants it."""
        rhs = self.functions["rhs"]

        def right_hand_side(day: float, y: np.ndarray) -> list[float]:
            dy = [0.0] * len(y)
            rhs(self.p, self.c, self.forced(levels(day)), y.tolist(), dy)
            return dy

        return right_hand_side

    def integrate(
        self, regimen: Regimen, grid: np.ndarray, method: str, rtol: float, *, slack: float = 1e-3
    ) -> np.ndarray:
        """States at the times of `grid`: array (times, states); `slack` multiplies the declared absolute tolerances."""
        stop = float(grid[-1])
        tolerance = [state.tolerance * slack for state in self.system.states]
        derivatives = jacobian(self.system) if method == "Radau" else None
        # Radau's interpolant is of a lower order than its steps, so it also stops at every output time.
        marks = sorted({0.0, stop, *_edges(regimen, stop), *(map(float, grid) if derivatives else ())})
        y = self.initial() + self.cells(regimen, 0.0)
        states = np.full((len(grid), len(y)), np.nan)
        states[grid == 0.0] = y
        for start, end in pairwise(marks):
            levels = self.levels.after([dose for dose in regimen.doses if dose.day <= start], start)
            inside = np.flatnonzero((grid > start) & (grid <= end))
            wanted = np.unique(np.append(grid[inside], end))
            more: dict[str, Any] = {"jac": self._slopes_of(derivatives, levels)} if derivatives else {}
            answer = solve_ivp(
                self.slope(levels), (start, end), y, method=method, rtol=rtol, atol=tolerance, t_eval=wanted, **more
            )
            if not answer.success:
                raise SimulationError(f"{method} stopped between day {start:g} and day {end:g}: {answer.message}")
            states[inside] = answer.y.T[: len(inside)]
            y = np.maximum(answer.y[:, -1], 0.0) + self.cells(regimen, end)
        return np.maximum(states, 0.0)

    def _slopes_of(
        self, derivatives: Callable[..., None], levels: Callable[[float], list[float]]
    ) -> Callable[[float, np.ndarray], np.ndarray]:
        def matrix(day: float, y: np.ndarray) -> np.ndarray:
            result = np.zeros((len(y), len(y)))
            derivatives(self.p, levels(day), y.tolist(), result)
            return result

        return matrix

    def cells(self, regimen: Regimen, day: float) -> np.ndarray:
        """What the cells given on a day add to the states: cells per microlitre of blood."""
        jump, cast = np.zeros(self.sizes[0]), assemble(regimen)
        for dose in regimen.doses:
            if dose.day == day and isinstance(dose, Bolus) and dose.therapy not in self.levels.drugs:
                place = [state.name for state in self.system.states].index(f"infused{cast.suffix(0, dose)}")
                jump[place] += dose.amount / (self.blood * _MICROLITRES_PER_LITRE)
        return jump

    def named(self, regimen: Regimen, grid: np.ndarray, states: np.ndarray) -> dict[str, np.ndarray]:
        """Courses of all states and observables by name."""
        seen = np.empty((len(grid), self.sizes[3]))
        with np.errstate(all="ignore"):  # a share of nothing is NaN, here as in the engine
            for row, day in enumerate(grid):
                before = [dose for dose in regimen.doses if dose.day < day or dose.day <= day == 0.0]
                f = self.forced(self.levels.after(before, float(day))(float(day)))
                self.functions["observe"](self.p, self.c, f, states[row], seen[row])
        courses = {state.name: states[:, i] for i, state in enumerate(self.system.states)}
        return {**courses, **{name: seen[:, i] for i, name in enumerate(self.system.observables)}}


def _edges(regimen: Regimen, stop: float) -> set[float]:
    """Days on which a dose or an infusion begins, or an infusion ends."""
    edges = {dose.day for dose in regimen.doses}
    edges |= {dose.day + dose.duration for dose in regimen.doses if isinstance(dose, Infusion)}
    return {edge for edge in edges if 0.0 < edge < stop}


class _Printer(PythonCodePrinter):
    """Python of expressions in which names have places of their own; what derivatives share is printed once."""

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__({"fully_qualified_modules": True, "standard": "python3"})
        self._places = places
        self._printed: dict[sympy.Basic, str] = {}

    def _print_Symbol(self, expr: sympy.Symbol) -> str:  # noqa: N802
        return self._places[expr.name]

    def _print(self, expr: Any, **settings: Any) -> str:
        if not isinstance(expr, sympy.Expr) or settings:
            return super()._print(expr, **settings)
        if expr not in self._printed:
            self._printed[expr] = super()._print(expr)
        return self._printed[expr]


def jacobian(system: System) -> Callable[..., None]:
    """Exact derivatives of the equations as a function of (parameters, drug levels, states) that fills a matrix."""
    index = {state.name: i for i, state in enumerate(system.states)}
    places = {name: f"p[{i}]" for i, name in enumerate(system.parameters)}
    places |= {put.name: f"x[{i}]" for i, put in enumerate(system.inputs)}
    places |= {name: f"s_{name}" for name in index}
    places |= {quantity.name: f"v_{quantity.name}" for quantity in system.quantities}
    printer = _Printer(places)
    text = printer.doprint

    signed = {state.name for state in system.states if state.signed}
    lines = [f"s_{name} = y[{i}]" if name in signed else f"s_{name} = max(y[{i}], 0.0)" for name, i in index.items()]
    lines += [f"v_{quantity.name} = {text(quantity.expression)}" for quantity in system.quantities]
    lines += [f"m[{index[row]}, {index[column]}] = {text(d)}" for (row, column), d in system.jacobian.items()]
    space: dict[str, Any] = {"math": math}
    exec("def fill(p, x, y, m):\n    " + "\n    ".join(lines), space)
    return space["fill"]
