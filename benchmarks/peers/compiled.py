"""The equations as machine code (numba), for the peers that are given functions.

All numbers of a patient stand in one array, because that is what the libraries hand through. Drug levels are sums of
exponentials in closed form; where no drug is left, what they act on is not computed again.
"""

import importlib
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from peers.problem import Problem
from perdure.model.engine.codegen import generate
from perdure.model.engine.referee import jacobian

numba: Any = importlib.import_module("numba")  # not a dependency of perdure, so not always there

GONE = 35.0
"""An exponential this far down its exponent (6e-16 of a dose) is nothing in double precision."""


class CompiledEquations:
    """Right-hand side and Jacobian as compiled functions of (day, states, result, numbers of the patient).

    The numbers are, one after the other: parameters; quantities of parameters only; quantities driven by drugs as they
    are without drugs; tolerances; rates of the exponentials; number of the present segment; room for driven
    quantities, drug levels and states; first days of the segments; coefficients of the exponentials in each of them.
    """

    def __init__(self, problem: Problem) -> None:
        code = generate(problem.system)
        space: dict[str, Any] = {"math": math}
        exec(code.source, space)
        n, drugs, segments = problem.start.shape[1], problem.weight.shape[1], len(problem.segments)
        n_c, n_f = (1 + max(map(int, re.findall(rf"\b{letter}\[(\d+)\]", code.source)), default=-1) for letter in "cf")
        sizes = [len(code.parameters), n_c, n_f, n, 2 * drugs, 1, n_f, drugs, n, segments, 2 * drugs * segments]
        self.ends = tuple(np.cumsum(sizes).tolist())
        self.now = self.ends[4]
        self.forcing, self.rhs = _compile(space["forcing"]), _compile(space["rhs"])
        self.fill = _compile(jacobian(problem.system))
        self.numbers = np.stack([self._numbers(problem, i, n_c) for i in range(problem.n)])

    def _numbers(self, problem: Problem, patient: int, n_c: int) -> np.ndarray:
        equations, rate, drugs = problem.people[patient], problem.rate[patient].ravel(), problem.weight.shape[1]
        parts = np.split(np.zeros(self.ends[-1]), self.ends[:-1])
        parts[0][:], parts[1][:], parts[3][:], parts[4][:] = equations.p, equations.c[:n_c], problem.tolerance, rate
        self.forcing(parts[0], parts[1], np.zeros(drugs), parts[2])
        coefficient = np.zeros(2 * drugs)
        for k, segment in enumerate(problem.segments):
            parts[9][k] = segment.days[0]
            coefficient = coefficient * np.exp(-rate * (parts[9][k] - parts[9][max(k - 1, 0)]))
            for drug, amount in segment.doses:
                coefficient[2 * drug : 2 * drug + 2] += amount * problem.weight[patient, drug]
            parts[10][2 * drugs * k : 2 * drugs * (k + 1)] = coefficient
        return np.concatenate(parts)

    @cache  # noqa: B019  (lives as long as the equations)
    def slope(self, restarts: bool) -> Callable[..., None]:
        """Compiled right-hand side: slope(day, y, dy, numbers)."""
        rhs, forcing, levels = self.rhs, self.forcing, self.levels(restarts)
        to_p, to_c, to_undrugged, _, _, to_now, to_f, to_x, *_ = self.ends

        @_compile
        def slope(day, y, dy, d):  # noqa: ANN001, ANN202
            p, c = d[:to_p], d[to_p:to_c]
            if levels(day, d):
                forcing(p, c, d[to_f:to_x], d[to_now:to_f])
                rhs(p, c, d[to_now:to_f], y, dy)
            else:
                rhs(p, c, d[to_c:to_undrugged], y, dy)

        return slope

    @cache  # noqa: B019
    def matrix(self, restarts: bool) -> Callable[..., None]:
        """Compiled exact Jacobian: matrix(day, y, m, numbers)."""
        levels, fill = self.levels(restarts), self.fill
        to_p, to_f, to_x = self.ends[0], self.ends[6], self.ends[7]

        @_compile
        def matrix(day, y, m, d):  # noqa: ANN001, ANN202
            levels(day, d)
            fill(d[:to_p], d[to_f:to_x], y, m)
            for state in range(len(y)):
                if y[state] < 0.0:  # the equations take it for 0, so nothing depends on it; CVODE stalls without this
                    m[:, state] = 0.0

        return matrix

    @cache  # noqa: B019
    def function(self, signature: Any, restarts: bool) -> Any:
        """C function of (day, states, derivatives, numbers); states in units of their tolerance."""
        _, _, to_undrugged, to_scale, _, _, _, to_x, to_y, _, size = self.ends
        slope, n = self.slope(restarts), to_y - to_x
        view = numba.carray

        def scaled(day, u, du, data):  # noqa: ANN001, ANN202
            d, given, out = view(data, (size,)), view(u, (n,)), view(du, (n,))
            scale, y = d[to_undrugged:to_scale], d[to_x:to_y]
            for i in range(n):
                y[i] = given[i] * scale[i]
            slope(day, y, out, d)
            for i in range(n):
                out[i] /= scale[i]

        return numba.cfunc(signature, error_model="numpy")(scaled)

    @cache  # noqa: B019
    def levels(self, restarts: bool) -> Any:
        """Compiled drug levels of a day, written among the numbers; returns whether there is any drug.

        An engine that restarts at doses says in which segment it is; for another one the segment is looked up.
        """
        at_rate, now, _, at_x, to_x, at_days, to_days, _ = self.ends[3:]
        drugs, segments, gone = to_x - at_x, to_days - at_days, GONE

        @_compile
        def levels(day, d):  # noqa: ANN001, ANN202
            low, high = 0, segments
            if restarts:
                low = int(d[now])
            else:
                while high - low > 1:
                    middle = (low + high) // 2
                    if d[at_days + middle] <= day:
                        low = middle
                    else:
                        high = middle
            after, base, present = day - d[at_days + low], to_days + 2 * drugs * low, False
            for drug in range(drugs):
                level = 0.0
                for k in range(2 * drug, 2 * drug + 2):
                    if d[base + k] != 0.0 and d[at_rate + k] * after < gone:
                        level += d[base + k] * math.exp(-d[at_rate + k] * after)
                        present = True
                d[at_x + drug] = max(level, 0.0)
            return present

        return levels


@cache
def compiled(problem: Problem) -> CompiledEquations:
    """The compiled equations of a problem, once for all peers."""
    return CompiledEquations(problem)


def _compile(function: Any) -> Any:
    # without Python's check of every division; no fast-math: the peers round as the others do
    return numba.njit(function, error_model="numpy")
