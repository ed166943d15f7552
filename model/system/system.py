"""A system is a frozen tuple of flows; equations and Jacobian are derived from it, never written."""

from dataclasses import dataclass, field
from functools import cached_property

import sympy

from ...parameters.errors import InputError, unknown

# States, named quantities and drug inputs.


def symbol(name: str) -> sympy.Symbol:
    """Symbol of a state, quantity, input or parameter; a name has one meaning in the whole model."""
    return sympy.Symbol(name, real=True)


@dataclass(frozen=True)
class State:
    """Something that is integrated.

    `initial` is its value at day 0, an expression in parameters. `tolerance` is the absolute tolerance of the
    integrator, in the state's own unit. A `signed` state may be negative; otherwise values below zero are read as zero.
    """

    name: str
    unit: str
    meaning: str
    group: str
    initial: sympy.Expr
    tolerance: float
    latex: str
    signed: bool = False

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this state in expressions."""
        return symbol(self.name)


@dataclass(frozen=True)
class Quantity:
    """A named expression that flows and observers share, for example the antigen stimulus."""

    name: str
    unit: str
    meaning: str
    expression: sympy.Expr
    latex: str

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this quantity in expressions."""
        return symbol(self.name)


@dataclass(frozen=True)
class Input:
    """A drug concentration (or amount) that linear pharmacokinetics supplies in closed form."""

    name: str
    unit: str
    meaning: str
    drug: str
    latex: str

    @property
    def symbol(self) -> sympy.Symbol:
        """Symbol of this input in expressions."""
        return symbol(self.name)


# Building blocks of rate equations.


def parameter(name: str) -> sympy.Symbol:
    """A number of the catalogue, by name."""
    return symbol(name)


def saturating(amount: sympy.Expr, half: sympy.Expr) -> sympy.Expr:
    """Share of the maximum reached at `amount`: amount / (half + amount) (Michaelis and Menten)."""
    return amount / (half + amount)


def hill(ratio: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
    """Share of the maximum at a dimensionless `ratio` to the half-effect level: r^n / (1 + r^n) (Hill)."""
    return ratio**exponent / (1 + ratio**exponent)


def total(terms: "list[sympy.Expr] | tuple[sympy.Expr, ...]") -> sympy.Expr:
    """Sum of several expressions."""
    return sympy.Add(*terms)


# Flows: a mechanism takes from one state and gives to another.


@dataclass(frozen=True)
class Flow:
    """`rate` leaves `out_of` and `gain` times `rate` reaches `into`; either end may be the outside (None).

    The rate is in the unit of `out_of` per day (of `into`, where nothing is left behind).
    """

    name: str
    rate: sympy.Expr
    out_of: State | None = None
    into: State | None = None
    gain: sympy.Expr = field(default_factory=lambda: sympy.Integer(1))

    def __post_init__(self) -> None:
        """A flow needs at least one end."""
        if self.out_of is None and self.into is None:
            raise ValueError(f"flow '{self.name}' has neither an origin nor a destination; give out_of or into.")


@dataclass(frozen=True)
class Branching:
    """States that are also followed cell by cell: what is needed for the probability that all of them die out.

    `division` names the quantity that is the division rate of every one of them.
    """

    states: tuple[State, ...]
    division: Quantity


@dataclass(frozen=True, eq=False)
class System:
    """States, quantities in the order in which they build on one another, inputs, flows.

    Raises
    ------
    InputError
        If a name is used twice, or a quantity builds on one that stands after it.
    """

    name: str
    states: tuple[State, ...]
    quantities: tuple[Quantity, ...]
    inputs: tuple[Input, ...]
    flows: tuple[Flow, ...]
    observables: tuple[str, ...]
    branching: Branching | None = None

    def __post_init__(self) -> None:
        """Check that names are unique and quantities are ordered."""
        names = [variable.name for variable in (*self.states, *self.quantities, *self.inputs)]
        for name in names:
            if names.count(name) > 1:
                raise InputError(
                    f"system '{self.name}': the name '{name}' is used {names.count(name)} times; once is right."
                )
        of_quantities = {quantity.symbol for quantity in self.quantities}
        seen: set[sympy.Basic] = set()
        for quantity in self.quantities:
            early = (quantity.expression.free_symbols & of_quantities) - seen
            if early:
                raise InputError(
                    f"system '{self.name}': '{quantity.name}' builds on '{min(map(str, early))}', "
                    "which stands after it."
                )
            seen.add(quantity.symbol)
        for flow in self.flows:
            for end in (flow.out_of, flow.into):
                if end is not None and end not in self.states:
                    raise unknown("state", end.name, (state.name for state in self.states), f"flow '{flow.name}'")
        # an input is recorded through a quantity
        recorded = [variable.name for variable in (*self.states, *self.quantities)]
        for observable in self.observables:
            if observable not in recorded:
                raise unknown("state or quantity", observable, recorded, f"system '{self.name}', observables")

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that the system uses, in alphabetical order."""
        own = {variable.symbol for variable in (*self.states, *self.quantities, *self.inputs)}
        expressions: list[sympy.Expr] = [q.expression for q in self.quantities]
        expressions += [flow.rate for flow in self.flows] + [flow.gain for flow in self.flows]
        expressions += [state.initial for state in self.states]
        used = set().union(*(expression.free_symbols for expression in expressions))
        return tuple(sorted(str(name) for name in used - own))

    @cached_property
    def equations(self) -> dict[str, sympy.Expr]:
        """Right-hand side of every state, in terms of states, quantities, inputs and parameters; per day."""
        sides: dict[str, list[sympy.Expr]] = {state.name: [] for state in self.states}
        for flow in self.flows:
            if flow.out_of is not None:
                sides[flow.out_of.name].append(-flow.rate)
            if flow.into is not None:
                sides[flow.into.name].append(flow.gain * flow.rate)
        return {name: sympy.Add(*terms) for name, terms in sides.items()}

    @cached_property
    def jacobian(self) -> dict[tuple[str, str], sympy.Expr]:
        """Non-zero derivatives of the equations with respect to the states, by (equation, state).

        Quantities stay named: the chain rule runs through them once, in their order.
        """
        total: dict[sympy.Basic, dict[str, sympy.Expr]] = {
            state.symbol: {state.name: sympy.Integer(1)} for state in self.states
        }
        for quantity in self.quantities:
            total[quantity.symbol] = _chain(quantity.expression, total)
        entries = {}
        for name, side in self.equations.items():
            for state, derivative in _chain(side, total).items():
                entries[name, state] = derivative
        return entries

    def quantity(self, name: str) -> Quantity:
        """Quantity by name."""
        for quantity in self.quantities:
            if quantity.name == name:
                return quantity
        raise unknown("quantity", name, (quantity.name for quantity in self.quantities))

    def flows_with(self, name: str) -> tuple[Flow, ...]:
        """Flows whose rate depends on a parameter, state or quantity, directly or through quantities."""
        reached = {name} | {q.name for q in self.quantities if name in self.ancestors(q.expression)}
        return tuple(flow for flow in self.flows if reached & {str(s) for s in (flow.rate * flow.gain).free_symbols})

    def ancestors(self, expression: sympy.Expr) -> set[str]:
        """Names of everything an expression depends on, through quantities."""
        return set().union(*({str(s)} | self._behind.get(s, frozenset()) for s in expression.free_symbols))

    @cached_property
    def _behind(self) -> dict[sympy.Basic, frozenset[str]]:
        """Names of what each quantity depends on, by its symbol; a quantity stands after those it builds on."""
        behind: dict[sympy.Basic, frozenset[str]] = {}
        for quantity in self.quantities:
            names = ({str(s)} | behind.get(s, frozenset()) for s in quantity.expression.free_symbols)
            behind[quantity.symbol] = frozenset().union(*names)
        return behind


def _chain(expression: sympy.Expr, total: dict[sympy.Basic, dict[str, sympy.Expr]]) -> dict[str, sympy.Expr]:
    """Total derivatives of an expression by state, given those of its symbols."""
    result: dict[str, sympy.Expr] = {}
    for name in sorted(expression.free_symbols & set(total), key=str):
        partial = sympy.diff(expression, name)
        for state, inner in total[name].items():
            result[state] = result.get(state, sympy.Integer(0)) + partial * inner
    return {state: value for state, value in result.items() if value != 0}
