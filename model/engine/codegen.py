"""From a system to straight-line code: each quantity once, in its order, as early as it can be known.

A quantity that needs parameters only is computed once per patient (`constants`); one that needs parameters and
drug inputs only is computed when drugs are present (`forcing`); the rest at every evaluation (`rhs`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy
from sympy.printing.pycode import PythonCodePrinter

from ..states import Quantity
from ..system import System

_PRINTER = PythonCodePrinter({"fully_qualified_modules": True, "standard": "python3"})


@dataclass(frozen=True)
class Code:
    """Generated source of the equations and the order of its parameters."""

    source: str
    parameters: tuple[str, ...]


def generate(system: System) -> Code:
    """Write the equations of a system as Python functions that numba compiles and that also run as they are."""
    writer = _Writer(system)
    parts = [writer.sizes(), writer.constants(), writer.forcing(), writer.initial(), writer.rhs(), writer.observe()]
    parts += [writer.branching_rates(), writer.exchange()]
    return Code("\n\n".join(parts) + "\n", system.parameters)


class _Writer:
    def __init__(self, system: System) -> None:
        self.system = system
        self.states = {state.name: f"max(y[{i}], 0.0)" for i, state in enumerate(system.states)}
        self.inputs = {put.name: f"x[{i}]" for i, put in enumerate(system.inputs)}
        self.numbers = {name: f"p[{i}]" for i, name in enumerate(system.parameters)}
        forced, moving = set(self.inputs), set(self.states)
        constant: list[Quantity] = []
        driven: list[Quantity] = []
        self.moving: list[Quantity] = []
        for quantity in system.quantities:
            needs = {str(s) for s in quantity.expression.free_symbols}
            if needs & moving:
                moving.add(quantity.name)
                self.moving.append(quantity)
            elif needs & forced:
                forced.add(quantity.name)
                driven.append(quantity)
            else:
                constant.append(quantity)
        self.constant, self.driven = constant, driven
        self.places = {
            **self.states, **self.inputs, **self.numbers,
            **{q.name: f"c[{i}]" for i, q in enumerate(constant)},
            **{q.name: f"f[{i}]" for i, q in enumerate(driven)},
        }  # fmt: skip
        self.branching = system.branching.states if system.branching else ()
        self.moves = self._exchanges()

    def sizes(self) -> str:
        """Sizes that the stepper allocates."""
        sizes = (
            len(self.system.states), len(self.constant), len(self.driven), len(self.system.observables),
            len(self.branching), len(self.moves),
        )  # fmt: skip
        return f"SIZES = {sizes}"

    def constants(self) -> str:
        """Quantities of parameters only."""
        return self._function("constants(p, c)", (), [(f"c[{i}]", q.expression) for i, q in enumerate(self.constant)])

    def forcing(self) -> str:
        """Quantities of parameters and drug inputs."""
        return self._function("forcing(p, c, x, f)", (), [(f"f[{i}]", q.expression) for i, q in enumerate(self.driven)])

    def initial(self) -> str:
        """Values at day 0."""
        places = [(f"y[{i}]", state.initial) for i, state in enumerate(self.system.states)]
        return self._function("initial(p, c, y)", (), places)

    def rhs(self) -> str:
        """Derivatives of the states: every flow once, then the sums."""
        flows: list[tuple[str, sympy.Expr]] = []
        sums: dict[str, list[str]] = {state.name: [] for state in self.system.states}
        for i, flow in enumerate(self.system.flows):
            flows.append((f"flow_{i}", flow.rate))
            if flow.out_of is not None:
                sums[flow.out_of.name].append(f"- flow_{i}")
            if flow.into is not None:
                gain = "" if flow.gain == 1 else f"({self._print(flow.gain)}) * "
                sums[flow.into.name].append(f"+ {gain}flow_{i}")
        lines = [f"dy[{i}] = {' '.join(sums[state.name]) or '0.0'}" for i, state in enumerate(self.system.states)]
        return self._function("rhs(p, c, f, y, dy)", self.moving, flows, lines)

    def observe(self) -> str:
        """Observables by name, in their order."""
        places = [(f"out[{i}]", sympy.Symbol(name, real=True)) for i, name in enumerate(self.system.observables)]
        return self._function("observe(p, c, f, y, out)", self.moving, places)

    def branching_rates(self) -> str:
        """Net growth per cell without exchange, exchange rates per cell, and the division rate."""
        places = [(f"r[{i}]", self._net(state)) for i, state in enumerate(self.branching)]
        places += [(f"q[{i}]", rate) for i, (_, _, rate) in enumerate(self.moves)]
        division = self.system.branching.division.symbol if self.system.branching else sympy.Integer(0)
        end = [f"return {self._print(division)}"]
        return self._function("branching_rates(p, c, f, y, r, q)", self.moving, places, end)

    def exchange(self) -> str:
        """What the exchange rates do to the survival probabilities: q_ij (u_j - u_i)."""
        lines = [f"du[{i}] += q[{k}] * (u[{j}] - u[{i}])" for k, (i, j, _) in enumerate(self.moves)]
        return self._function("exchange(q, u, du)", (), [], lines)

    def _exchanges(self) -> list[tuple[int, int, sympy.Expr]]:
        index = {state: i for i, state in enumerate(self.branching)}
        return [
            (index[flow.out_of], index[flow.into], flow.rate / flow.out_of.symbol)
            for flow in self.system.flows
            if flow.out_of in index and flow.into in index and flow.out_of is not None and flow.into is not None
        ]

    def _net(self, state) -> sympy.Expr:
        """Growth minus loss to the outside, per cell."""
        net = sympy.Integer(0)
        for flow in self.system.flows:
            if flow.into == state and flow.out_of is None:
                net += flow.gain * flow.rate / state.symbol
            elif flow.out_of == state and flow.into is None:
                net -= flow.rate / state.symbol
        return net

    def _function(
        self,
        head: str,
        quantities: Iterable[Quantity],
        places: Sequence[tuple[str, sympy.Expr]],
        lines: Sequence[str] = (),
    ) -> str:
        """One function: the quantities that the rest needs, then `places`, then `lines`."""
        needed = self._needed(quantities, [expression for _, expression in places], "\n".join(lines))
        local: dict[str, str] = {}
        body = []
        wanted = set().union(*(q.expression.free_symbols for q in needed), *(e.free_symbols for _, e in places))
        for name in sorted(str(s) for s in wanted):
            if name in self.states:
                body.append(f"s_{name} = {self.states[name]}")
                local[name] = f"s_{name}"
        for quantity in needed:
            body.append(f"v_{quantity.name} = {self._print(quantity.expression, local)}")
            local[quantity.name] = f"v_{quantity.name}"
        body += [f"{place} = {self._print(expression, local)}" for place, expression in places]
        body += list(lines)
        return f"def {head}:\n    " + "\n    ".join(body or ["pass"])

    def _needed(self, quantities: Iterable[Quantity], expressions: Sequence[sympy.Expr], text: str) -> list[Quantity]:
        wanted = {str(s) for e in expressions for s in e.free_symbols}
        kept = []
        for quantity in reversed(list(quantities)):
            if quantity.name in wanted or f"v_{quantity.name}" in text:
                kept.append(quantity)
                wanted |= {str(s) for s in quantity.expression.free_symbols}
        return kept[::-1]

    def _print(self, expression: sympy.Expr, local: Mapping[str, str] | None = None) -> str:
        places = {**self.places, **(local or {})}
        names = {s: sympy.Symbol(places.get(str(s), str(s))) for s in expression.free_symbols}
        return str(_PRINTER.doprint(expression.xreplace(names)))
