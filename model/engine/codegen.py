"""From a system to straight-line code: every value once, as early as it can be known.

What needs parameters only is computed once per patient (`constants`), what needs parameters and drug inputs only when
drug levels change (`forcing`), the moving rest at every evaluation (`rhs`), down to single factors and terms.
First-order flows are gathered into one coefficient per state; every other flow stands once, for both of its ends.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from ...parameters.errors import InputError
from ..system.system import State, System
from .hoisting import CONSTANT, DRIVEN, MOVING, Graph, Node, write_function

# Derivatives of generated equations, through their named locals: backwards for the Jacobian, forwards for time.
#
# Griewank & Walther, Evaluating Derivatives, second edition (2008), chapters 3 and 4.


class _Chain:
    """Partial derivatives along the chain, each a local of its own where it is more than a name."""

    def __init__(self, graph: Graph, values: Mapping[Node, Node], prefix: str) -> None:
        self.graph, self.values, self.prefix = graph, values, prefix
        self.locals: dict[Node, Node] = {}
        self.names: dict[Node, Node] = {}
        self.known: dict[tuple[Node, int], dict[Node, Node]] = {}

    def partials(self, node: Node, floor: int) -> dict[Node, Node]:
        """Derivatives of a value with respect to atoms of at least a level."""
        if (node, floor) not in self.known:
            nodes = self.graph.partials(node, floor)
            self.known[node, floor] = {atom: self.local(value) for atom, value in nodes.items()}
        return self.known[node, floor]

    def local(self, node: Node) -> Node:
        """The value itself if it is a number, a name or known early, else a local with it."""
        node = self.graph.hoist(node, DRIVEN)
        sign = node.parts[0] if node.kind == "product" and abs(node.parts[0]) == 1.0 else 1.0
        plain = self.graph.product([(node, 1.0)], sign)
        if plain.level == CONSTANT or plain.kind == "atom":
            return node
        if plain not in self.names:
            self.names[plain] = self.graph.atom(f"{self.prefix}_{len(self.names)}", plain.level)
            self.locals[self.names[plain]] = plain
        return self.graph.product([(self.names[plain], 1.0)], sign)


def jacobian_entries(
    graph: Graph, sides: Sequence[Node], values: Mapping[Node, Node], states: Sequence[Node]
) -> tuple[dict[tuple[int, int], Node], dict[Node, Node]]:
    """Non-zero derivatives of `sides` with respect to states, by (row, column) in rows, and the locals they need.

    `values` gives the value of every local of the sides, each after those it builds on.
    """
    chain = _Chain(graph, values, "d")
    columns = {atom: column for column, atom in enumerate(states)}
    entries: dict[tuple[int, int], Node] = {}
    for row, side in enumerate(sides):
        gathered = {atom: [value] for atom, value in chain.partials(side, MOVING).items()}
        for atom in reversed(list(values)):
            if atom in gathered:
                outer = chain.local(_total(graph, gathered.pop(atom)))
                for inner, partial in chain.partials(values[atom], MOVING).items():
                    gathered.setdefault(inner, []).append(graph.times(outer, partial))
        for atom in sorted(gathered, key=columns.__getitem__):
            entry = graph.hoist(_total(graph, gathered[atom]), DRIVEN)
            if entry is not graph.zero:
                entries[row, columns[atom]] = entry
    return entries, chain.locals


def slopes(
    graph: Graph, outputs: Sequence[Node], values: Mapping[Node, Node], given: Mapping[Node, Node]
) -> tuple[list[Node], dict[Node, Node]]:
    """Derivatives of `outputs` with respect to time, where atoms have the derivatives `given`, and the locals used."""
    chain = _Chain(graph, values, "d")
    speeds = dict(given)

    def speed(node: Node) -> Node:
        partials = chain.partials(node, DRIVEN).items()
        terms = [graph.times(partial, speeds[atom]) for atom, partial in partials if atom in speeds]
        return graph.hoist(_total(graph, terms), DRIVEN)

    for atom, node in values.items():
        derivative = speed(node)
        if derivative is not graph.zero:
            speeds[atom] = chain.local(derivative)
    return [speed(output) for output in outputs], chain.locals


def _total(graph: Graph, nodes: Sequence[Node]) -> Node:
    return graph.sum([(1.0, node) for node in nodes])


# Sparse elimination written out: LU factors of g I - J without pivoting, for a pattern that never changes.
#
# The order of elimination limits fill-in (Markowitz 1957, Management Science 3:255), with pivots from the diagonal; the
# factors are generated as straight-line code, as KPP does for kinetics (Sandu, Potra, Carmichael & Damian 1996, Journal
# of Computational Physics 129:101).


Place = tuple[int, int]
"""Row and column."""


@dataclass(frozen=True)
class Elimination:
    """Order of the pivots, and every place of the factors (fill-in and diagonal included) in the order of storage."""

    order: tuple[int, ...]
    places: tuple[Place, ...]
    fill: int


def eliminate(size: int, pattern: Iterable[Place]) -> Elimination:
    """Symbolic elimination of a matrix with these non-zeros; its diagonal always counts as non-zero.

    The next pivot is the one with the smallest (row length - 1) x (column length - 1), the first of equals.
    """
    rows: list[set[int]] = [{i} for i in range(size)]
    columns: list[set[int]] = [{i} for i in range(size)]
    for row, column in pattern:
        rows[row].add(column)
        columns[column].add(row)
    before = sum(map(len, rows))
    kept: list[set[int]] = [set(row) for row in rows]
    left, order = set(range(size)), []
    while left:
        pivot = min(left, key=lambda i: ((len(rows[i]) - 1) * (len(columns[i]) - 1), i))
        order.append(pivot)
        left.remove(pivot)
        right, below = rows[pivot] - {pivot}, columns[pivot] - {pivot}
        for row in below:
            rows[row] |= right
            kept[row] |= right
            rows[row].discard(pivot)
        for column in right:
            columns[column] |= below
            columns[column].discard(pivot)
    rank = {pivot: k for k, pivot in enumerate(order)}
    places = sorted(((i, j) for i in range(size) for j in kept[i]), key=lambda place: (rank[place[0]], rank[place[1]]))
    return Elimination(tuple(order), tuple(places), len(places) - before)


def factor_lines(elimination: Elimination, pattern: Sequence[Place]) -> list[str]:
    """Statements that fill `m` from the non-zeros `j` (in the order of `pattern`) and the diagonal's `g[0]`.

    Row by row (Doolittle): below the diagonal the multipliers, on it reciprocals of the pivots, above it the rest.
    """
    rank = {pivot: k for k, pivot in enumerate(elimination.order)}
    store = {place: k for k, place in enumerate(elimination.places)}
    given = {place: k for k, place in enumerate(pattern)}
    lines = []
    for (i, j), k in store.items():
        terms = ["g[0]"] if i == j else []
        terms += [f"-j[{given[i, j]}]"] if (i, j) in given else []
        earlier = elimination.order[: min(rank[i], rank[j])]
        both = [pivot for pivot in earlier if (i, pivot) in store and (pivot, j) in store]
        terms += [f"-m[{store[i, pivot]}] * m[{store[pivot, j]}]" for pivot in both]
        value = " + ".join(terms).replace("+ -", "- ")
        if i == j:
            value = f"1.0 / ({value})"
        elif rank[i] > rank[j]:
            value = f"({value}) * m[{store[j, j]}]"
        lines.append(f"m[{k}] = {value}")
    return lines


def solve_lines(elimination: Elimination) -> list[str]:
    """Statements that solve with the factors `m`, in place of the right-hand side `b`."""
    order, store = elimination.order, {place: k for k, place in enumerate(elimination.places)}
    lines = []
    for k, i in enumerate(order):
        terms = [f" - m[{store[i, j]}] * b[{j}]" for j in order[:k] if (i, j) in store]
        lines += [f"b[{i}] = b[{i}]{''.join(terms)}"] if terms else []
    for k, i in reversed(list(enumerate(order))):
        terms = [f" - m[{store[i, j]}] * b[{j}]" for j in order[k + 1 :] if (i, j) in store]
        value = f"(b[{i}]{''.join(terms)})" if terms else f"b[{i}]"
        lines.append(f"b[{i}] = {value} * m[{store[i, i]}]")
    return lines


# Markers: states produced in proportion to others and lost at a constant rate, on which nothing else depends.
#
# Serum proteins that tell of a tumour are of this kind. They are often the fastest states that remain late in a course,
# and would then decide the step of an explicit method although nothing depends on them; so their equation is solved
# exactly instead (`markers`).


@dataclass(frozen=True)
class Marker:
    """y' = production - loss y, the production a sum of parameters times other states."""

    place: int
    state: State
    production: sympy.Expr
    loss: sympy.Expr


def find_markers(system: System) -> tuple[Marker, ...]:
    """The markers of a system, in the order of its states."""
    needed = {state.name: system.ancestors(system.equations[state.name]) for state in system.states}
    followed = system.branching.states if system.branching else ()
    markers = []
    for place, state in enumerate(system.states):
        others = (names for name, names in needed.items() if name != state.name)
        if state in followed or any(state.name in names for names in others):
            continue
        whole: dict[sympy.Basic, Any] = {}  # quantities that it needs, written out
        for quantity in system.quantities:
            if quantity.name in needed[state.name]:
                whole[quantity.symbol] = quantity.expression.xreplace(whole)
        equation: Any = system.equations[state.name].xreplace(whole)
        marker = _as_marker(system, place, state, equation)
        if marker is not None:
            markers.append(marker)
    return tuple(markers)


def _as_marker(system: System, place: int, state: State, equation: Any) -> Marker | None:
    states = [other.symbol for other in system.states]
    late = {*states, *(put.symbol for put in system.inputs)}
    coefficients: dict[sympy.Basic, Any] = {}
    for symbol in states:
        if equation.has(symbol):
            coefficients[symbol] = sympy.diff(equation, symbol)
            if coefficients[symbol].free_symbols & late:
                return None
    if state.symbol not in coefficients:
        return None
    linear = sympy.Add(*(value * symbol for symbol, value in coefficients.items()))
    if sympy.expand(equation - linear) != 0:  # something is produced whatever the states are, or by a drug
        return None
    loss = -coefficients.pop(state.symbol)
    return Marker(place, state, sympy.Add(*(value * symbol for symbol, value in coefficients.items())), loss)


@dataclass(frozen=True)
class Code:
    """Generated source of the equations and the order of its parameters."""

    source: str
    parameters: tuple[str, ...]


def generate(system: System, *, stiff: bool = False) -> Code:
    """Write the equations of a system as Python functions, which the engine compiles and which also run as they are.

    Parameters
    ----------
    stiff
        Also write what an implicit method needs: derivatives, and sparse LU factors of g I - J.

    Raises
    ------
    InputError
        If a rate holds what cannot be generated, or if states that are followed cell by cell (`Branching`) gain cells
        in a way that is no branching process.
    """
    equations = _Equations(system)
    moving = [equations.rhs(), equations.observe(), equations.branching_rates()]
    implicit, sizes = equations.implicit() if stiff else ([], (0, 0))
    parts = [equations.forcing(), equations.initial(), *moving, equations.exchange(), *equations.markers(), *implicit]
    # The constants come last: only now is it known what the others took from them.
    parts = [equations.sizes(*sizes), equations.constants(), *parts]
    return Code("\n\n\n".join(parts) + "\n", system.parameters)


class _Scope:
    """What names mean in one function: quantities used once are written where they are used, the others are locals."""

    def __init__(self, equations: "_Equations", roots: Sequence[sympy.Expr]) -> None:
        self.graph, self.names = equations.graph, dict(equations.names)
        self.locals: dict[Node, Node] = {}
        needed, uses = [], Counter[str]()
        for expression in roots:
            uses.update(_occurrences(expression))
        for quantity in reversed(equations.moving):
            if uses[quantity.name]:
                needed.append(quantity)
                uses.update(_occurrences(quantity.expression))
        for quantity in reversed(needed):
            node = self.node(quantity.expression)
            self.names[quantity.name] = node if uses[quantity.name] == 1 else self.local(f"v_{quantity.name}", node)

    def node(self, expression: sympy.Expr) -> Node:
        return self.graph.translate(expression, self.names)

    def local(self, name: str, node: Node) -> Node:
        """A local with this value."""
        atom = self.graph.atom(name, MOVING)
        self.locals[atom] = self.graph.hoist(self.graph.collect(node), MOVING)
        return atom


class _Equations:
    """Nodes of a system, and its functions."""

    def __init__(self, system: System) -> None:
        self.system, self.graph = system, Graph()
        graph = self.graph
        self.names = {name: graph.atom(f"p[{i}]", CONSTANT) for i, name in enumerate(system.parameters)}
        self.names |= {put.name: graph.atom(f"x[{i}]", DRIVEN) for i, put in enumerate(system.inputs)}
        self.states = {state: graph.atom(f"s_{state.name}", MOVING) for state in system.states}
        self.names |= {state.name: atom for state, atom in self.states.items()}
        self.read = {atom: self._reading(i, state) for i, (state, atom) in enumerate(self.states.items())}
        self.driven: dict[Node, Node] = {}
        self.moving = []
        uses = Counter(name for q in system.quantities for name in _occurrences(q.expression))
        uses.update(name for flow in system.flows for name in [*_occurrences(flow.rate), *_occurrences(flow.gain)])
        late = {state.name for state in system.states}
        for quantity in system.quantities:
            if late & {str(s) for s in quantity.expression.free_symbols}:
                late.add(quantity.name)
                self.moving.append(quantity)
                continue
            node = graph.translate(quantity.expression, self.names)
            if node.level == DRIVEN and uses[quantity.name] > 1:
                atom = graph.atom(f"v_{quantity.name}", DRIVEN)
                self.driven[atom] = graph.hoist(node, DRIVEN)
                node = atom
            self.names[quantity.name] = node
        self.marker_equations = find_markers(system)
        self.branching = system.branching.states if system.branching else ()
        self.moves = self._exchanges()

    def _reading(self, place: int, state: State) -> Node:
        value = self.graph.atom(f"y[{place}]", MOVING)
        return value if state.signed else self.graph.call("max", value, self.graph.zero)

    def sizes(self, entries: int, factors: int) -> str:
        """Sizes that the stepper allocates."""
        constants, forced = map(len, self.graph.slots)
        numbers = (len(self.states), constants, forced, len(self.system.observables))
        last = (len(self.branching), len(self.moves), entries, factors, len(self.marker_equations))
        return f"SIZES = {(*numbers, *last)}"

    def constants(self) -> str:
        """What needs parameters only."""
        return write_function("constants(p, c)", [(at.parts[0], node) for at, node in self.graph.slots[0].items()], {})

    def forcing(self) -> str:
        """What needs parameters and drug inputs only."""
        places = [(at.parts[0], self.graph.hoist(node, DRIVEN)) for at, node in self.graph.slots[1].items()]
        return write_function("forcing(p, c, x, f)", places, self.driven)

    def initial(self) -> str:
        """Values at day 0."""
        values = [self.graph.translate(state.initial, self.names) for state in self.states]
        return write_function("initial(p, c, y)", [(f"y[{i}]", value) for i, value in enumerate(values)], {})

    def rhs(self) -> str:
        """Derivatives of the states."""
        flows = self.system.flows
        scope = _Scope(self, [flow.rate for flow in flows] + [flow.gain for flow in flows if flow.into])
        terms: dict[State, list[tuple[float, Node]]] = {state: [] for state in self.states}
        for i, flow in enumerate(flows):
            rate = scope.node(flow.rate)
            if flow.out_of and flow.into and not self._first_order(rate):
                rate = scope.local(f"flow_{i}", rate)
            if flow.out_of:
                terms[flow.out_of].append((-1.0, rate))
            if flow.into:
                terms[flow.into].append((1.0, self.graph.times(scope.node(flow.gain), rate)))
        sums = [self.graph.collect(self.graph.sum(parts)) for parts in terms.values()]
        self.sides, self.locals = [self.graph.hoist(side, MOVING) for side in sums], scope.locals
        return self._function("rhs(p, c, f, y, dy)", "dy", self.sides, scope.locals)

    def _first_order(self, rate: Node) -> bool:
        """Is this rate a state times something known earlier (or without any state)?"""
        factors = rate.parts[1] if rate.kind == "product" else ((rate, 1.0),)
        late = [(base, e) for base, e in factors if base.level == MOVING]
        return not late or (len(late) == 1 and late[0][1] == 1.0 and late[0][0] in self.read)

    def observe(self) -> str:
        """Observables by name, in their order."""
        roots = [sympy.Symbol(name, real=True) for name in self.system.observables]
        return self._values("observe(p, c, f, y, out)", "out", roots)

    def branching_rates(self) -> str:
        """Net growth per cell without exchange, with the division rate after the last, and exchange rates per cell."""
        division = self.system.branching.division.symbol if self.system.branching else sympy.Integer(0)
        roots = [*(self._net(state) for state in self.branching), division]
        return self._values("branching_rates(p, c, f, y, r, q)", "r", roots, "q", [rate for *_, rate in self.moves])

    def exchange(self) -> str:
        """What the exchange rates do to the survival probabilities: q_ij (u_j - u_i)."""
        lines = [f"du[{i}] += q[{k}] * (u[{j}] - u[{i}])" for k, (i, j, _) in enumerate(self.moves)]
        return write_function("exchange(q, u, du)", [], {}, lines)

    def markers(self) -> list[str]:
        """Production, loss and places of the markers; production also of slopes, so nothing is read as zero."""
        plain = {atom: self.graph.atom(f"y[{i}]", MOVING) for i, atom in enumerate(self.states.values())}
        made = [self.graph.translate(marker.production, self.names) for marker in self.marker_equations]
        lost = [self.graph.translate(marker.loss, self.names) for marker in self.marker_equations]
        made, lost = ([self.graph.hoist(self.graph.collect(node), MOVING) for node in nodes] for nodes in (made, lost))
        sources = write_function(
            "marker_sources(p, c, y, a)", [(f"a[{m}]", node) for m, node in enumerate(made)], plain
        )
        losses = write_function("marker_losses(p, c, r)", [(f"r[{m}]", node) for m, node in enumerate(lost)], {})
        here = [f"a[{m}] = y[{marker.place}]" for m, marker in enumerate(self.marker_equations)]
        back = [f"y[{marker.place}] = a[{m}]" for m, marker in enumerate(self.marker_equations)]
        values = write_function("marker_values(y, a)", [], {}, here)
        return [sources, losses, values, write_function("set_markers(a, y)", [], {}, back)]

    def implicit(self) -> tuple[list[str], tuple[int, int]]:
        """Derivatives and factors for a stiff method, with the number of non-zeros and the size of the factors."""
        graph, atoms = self.graph, list(self.states.values())
        entries, locals_ = jacobian_entries(graph, self.sides, self.locals, atoms)
        known = {**self.read, **self.locals, **locals_}
        jacobian = write_function(
            "jacobian(p, c, f, y, j)", [(f"j[{k}]", node) for k, node in enumerate(entries.values())], known
        )
        forced = [graph.hoist(node, DRIVEN) for node in self.graph.slots[1].values()]
        given = {graph.atom(f"x[{i}]", DRIVEN): graph.atom(f"dx[{i}]", MOVING) for i in range(len(self.system.inputs))}
        speeds, locals_ = slopes(graph, forced, self.driven, given)
        known = {**self.driven, **locals_}
        rise = write_function(
            "forcing_slope(p, c, x, dx, df)", [(f"df[{k}]", node) for k, node in enumerate(speeds)], known
        )
        given = {at: graph.atom(f"df[{k}]", MOVING) for k, at in enumerate(self.graph.slots[1])}
        speeds, locals_ = slopes(graph, self.sides, self.locals, given)
        slope = self._function("slope(p, c, f, df, y, dt)", "dt", speeds, {**self.locals, **locals_})
        elimination = eliminate(len(atoms), entries)
        lines = factor_lines(elimination, list(entries))
        factor = write_function("factor(j, g, m)", [], {}, lines)
        solve = write_function("solve(m, b)", [], {}, solve_lines(elimination))
        return [jacobian, rise, slope, factor, solve], (len(entries), len(elimination.places))

    def _values(
        self, head: str, name: str, roots: Sequence[sympy.Expr], other: str = "", others: Sequence[sympy.Expr] = ()
    ) -> str:
        """A function that fills the array `name` with expressions, and one more array."""
        scope = _Scope(self, [*roots, *others])
        nodes = [self.graph.hoist(scope.node(root), MOVING) for root in [*roots, *others]]
        places = [f"{name}[{i}]" for i in range(len(roots))] + [f"{other}[{i}]" for i in range(len(others))]
        return write_function(head, list(zip(places, nodes, strict=True)), {**self.read, **scope.locals})

    def _function(self, head: str, name: str, nodes: Iterable[Node], locals_: dict[Node, Node]) -> str:
        return write_function(head, [(f"{name}[{i}]", node) for i, node in enumerate(nodes)], {**self.read, **locals_})

    def _exchanges(self) -> list[tuple[int, int, sympy.Expr]]:
        """Moves of a cell from one branching state to another: both places, and the rate per cell."""
        index = {state: i for i, state in enumerate(self.branching)}
        moves = []
        for flow in self.system.flows:
            if flow.into not in index or flow.out_of is None or flow.into is None:
                continue
            if flow.out_of not in index:
                raise InputError(
                    f"flow '{flow.name}' brings cells from '{flow.out_of.name}' to '{flow.into.name}'; states that are "
                    "followed cell by cell arise from one another or by division, so name the origin in `Branching`."
                )
            if not flow.gain.is_number or float(flow.gain) != 1.0:
                raise InputError(
                    f"flow '{flow.name}' from '{flow.out_of.name}' to '{flow.into.name}' has a gain of {flow.gain}; "
                    "between states that are followed cell by cell one cell stays one, so the gain should be 1."
                )
            moves.append((index[flow.out_of], index[flow.into], flow.rate / flow.out_of.symbol))
        return moves

    def _net(self, state: State) -> sympy.Expr:
        """Growth minus loss to anything that is not followed cell by cell, per cell."""
        net = sympy.Integer(0)
        for flow in self.system.flows:
            if flow.into == state and flow.out_of is None:
                net += flow.gain * flow.rate / state.symbol
            elif flow.out_of == state and flow.into not in self.branching:
                net -= flow.rate / state.symbol
        return net


def _occurrences(expression: sympy.Basic) -> list[str]:
    """Names in an expression, as often as they stand in it."""
    if isinstance(expression, sympy.Symbol):
        return [expression.name]
    return [name for part in expression.args for name in _occurrences(part)]
