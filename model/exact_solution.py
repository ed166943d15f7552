"""The exact solution of a classical problem to as many digits as asked for, in decimal arithmetic.

It confirms the digits of published solutions, so it shares nothing with the engine but what the flows say: the
equations and their Jacobian are taken from the system as they stand, no value is cut at zero, and the method is
extrapolation of the linearly implicit Euler method (Deuflhard 1985; SEULEX of Hairer and Wanner).
"""

from collections.abc import Callable, Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import sympy
from sympy.printing.pycode import PythonCodePrinter

from ..parameters.errors import SimulationError
from .stiff_problems import Problem
from .system.system import System

Vector = list[Decimal]
Matrix = list[Vector]

_PARTS = range(2, 18)
"""A step is taken in so many parts, one number after the other; what they say together is of order 16."""
_MOST_STEPS = 100_000


def extended(problem: Problem, digits: int = 18) -> dict[str, Decimal]:
    """Solution at `until` by name of the state, with a relative error of 10^-digits in each step.

    Raises
    ------
    SimulationError
        If it needs more than a hundred thousand steps.
    """
    with localcontext(Context(prec=2 * digits + 20)) as context:
        # The publications give decimal numbers; their binary neighbours differ in the 17th digit.
        p = {name: Decimal(repr(float(values[0]))) for name, values in problem.parameters.items()}
        slope, derivatives, y = _functions(problem.system, p)
        rtol = Decimal(10) ** -digits
        floor = [Decimal(state.tolerance) for state in problem.system.states]
        now, until, step = Decimal(0), Decimal(repr(problem.until)), Decimal("1e-12")
        for _ in range(_MOST_STEPS):
            step = min(step, until - now)
            new, error = _step(slope(y), derivatives(y), slope, y, step)
            scaled = max(abs(e) / (rtol * (abs(a) + f)) for e, a, f in zip(error, new, floor, strict=True))
            if scaled <= 1:
                now, y = now + step, new
                if now >= until:
                    return dict(zip(problem.reference, map(context.plus, y), strict=True))
            change = 0.9 * float(max(scaled, Decimal("1e-40"))) ** (-1 / len(_PARTS))
            step *= Decimal(min(8.0, max(0.1, change)))
    raise SimulationError(f"{problem.key}: not at {problem.until:g} after {_MOST_STEPS} steps, but at {now:.3g}.")


def _step(
    first: Vector, jacobian: Matrix, slope: Callable[[Vector], Vector], y: Vector, step: Decimal
) -> tuple[Vector, Vector]:
    """Solution after a step, and the difference of the two best extrapolations."""
    table: list[list[Vector]] = []
    for j, parts in enumerate(_PARTS):
        h = step / parts
        factors = _factorise(
            [[(1 if i == k else 0) - h * d for k, d in enumerate(row)] for i, row in enumerate(jacobian)]
        )
        at, change = y, first
        for part in range(parts):
            change = first if part == 0 else slope(at)
            at = [a + d for a, d in zip(at, _solve(factors, [h * c for c in change]), strict=True)]
        row = [at]
        for k in range(1, j + 1):
            ratio = Decimal(parts) / _PARTS[j - k] - 1
            row.append([a + (a - b) / ratio for a, b in zip(row[k - 1], table[j - 1][k - 1], strict=True)])
        table.append(row)
    best, second = table[-1][-1], table[-1][-2]
    return best, [a - b for a, b in zip(best, second, strict=True)]


def _factorise(matrix: Matrix) -> tuple[Matrix, list[int]]:
    """Triangular factors with row exchanges, zeros passed over."""
    n, order = len(matrix), list(range(len(matrix)))
    for column in range(n):
        pivot = max(range(column, n), key=lambda i: abs(matrix[i][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        order[column], order[pivot] = order[pivot], order[column]
        top = matrix[column]
        filled = [k for k in range(column + 1, n) if top[k]]
        for i in range(column + 1, n):
            row = matrix[i]
            if row[column]:
                factor = row[column] = row[column] / top[column]
                for k in filled:
                    row[k] -= factor * top[k]
    return matrix, order


def _solve(factors: tuple[Matrix, list[int]], right: Sequence[Decimal]) -> Vector:
    matrix, order = factors
    x = [right[i] for i in order]
    for i, row in enumerate(matrix):
        x[i] -= sum((row[k] * x[k] for k in range(i) if row[k]), Decimal(0))
    for i in reversed(range(len(x))):
        row = matrix[i]
        x[i] = (x[i] - sum((row[k] * x[k] for k in range(i + 1, len(x)) if row[k]), Decimal(0))) / row[i]
    return x


def _functions(
    system: System, p: dict[str, Decimal]
) -> tuple[Callable[[Vector], Vector], Callable[[Vector], Matrix], Vector]:
    """Equations and Jacobian as functions of the states, and the initial values."""
    names = [state.name for state in system.states]
    places = {sympy.Symbol(name, real=True): sympy.Symbol(f"y[{i}]") for i, name in enumerate(names)}
    places |= {sympy.Symbol(name, real=True): sympy.Symbol(f"p['{name}']") for name in p}
    printer = PythonCodePrinter()

    def text(expression: sympy.Expr) -> str:
        return str(printer.doprint(expression.xreplace(places)))

    zero = sympy.Integer(0)
    rows = [", ".join(text(system.jacobian.get((i, k), zero)) for k in names) for i in names]
    space: dict[str, Any] = {"p": p}
    exec(f"def slope(y): return [{', '.join(text(system.equations[name]) for name in names)}]", space)
    exec(f"def derivatives(y): return [{', '.join(f'[{row}]' for row in rows)}]", space)
    exec(f"start = [{', '.join(text(state.initial) for state in system.states)}]", space)
    return space["slope"], space["derivatives"], [Decimal(value) for value in space["start"]]
