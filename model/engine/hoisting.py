"""Expressions as a graph in which equal ones are one node, sorted by how early their value can be known.

A value is constant for a patient, driven by drug inputs alone, or moves with the states. What is known earlier than
the rest of its product or sum is hoisted: it becomes a slot of `c` (constant) or of `f` (driven) and is computed there
once (loop-invariant code motion with value numbering; Muchnick, Advanced Compiler Design and Implementation, 1997).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sympy

from ...parameters.errors import InputError

CONSTANT, DRIVEN, MOVING = 0, 1, 2
"""When a value is known: once per patient, with the drug inputs, or only with the states."""

Kind = Literal["number", "atom", "sum", "product", "power", "call"]


@dataclass(frozen=True, eq=False, slots=True)
class Node:
    """One value: equal values of a graph are the same node.

    `parts` are, by kind: the number; the text of the atom; (coefficient, term) of a sum; the coefficient of a product
    and its (base, exponent); base and exponent of a power whose exponent is no number; name and arguments of a call.
    """

    kind: Kind
    parts: tuple[Any, ...]
    level: int
    serial: int

    @property
    def children(self) -> list["Node"]:
        """Nodes that this one is made of."""
        if self.kind == "sum":
            return [term for _, term in self.parts]
        if self.kind == "product":
            return [base for base, _ in self.parts[1]]
        return list(self.parts[self.kind == "call" :]) if self.kind in ("power", "call") else []


class Graph:
    """Makes nodes, in a normal form, and keeps the slots of `c` and `f`.

    `slots` gives the meaning of the atoms `c[0]`, `c[1]`, ... and `f[0]`, `f[1]`, ..., in their order.
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self._hoisted: dict[tuple[Node, int], Node] = {}
        self._places: dict[Node, Node] = {}
        self.slots: tuple[dict[Node, Node], dict[Node, Node]] = ({}, {})
        self.one, self.zero = self.number(1.0), self.number(0.0)

    def _node(self, kind: Kind, parts: tuple[Any, ...], level: int) -> Node:
        key = (kind, parts, level)
        if key not in self._nodes:
            self._nodes[key] = Node(kind, parts, level, len(self._nodes))
        return self._nodes[key]

    def number(self, value: float) -> Node:
        """A number."""
        return self._node("number", (float(value),), CONSTANT)

    def atom(self, text: str, level: int) -> Node:
        """Something with a place or name in the source: `p[3]`, `y[0]`, a local."""
        return self._node("atom", (text,), level)

    def sum(self, terms: Iterable[tuple[float, Node]]) -> Node:
        """Sum of coefficients times terms."""
        factors: dict[Node, float] = {}
        waiting = list(terms)[::-1]
        while waiting:
            factor, node = waiting.pop()
            if node.kind == "product" and node.parts[0] != 1.0:
                factor, node = factor * node.parts[0], self.product(node.parts[1])
            if node.kind == "number":
                factor, node = factor * node.parts[0], self.one
            if node.kind == "sum" and abs(factor) == 1.0:
                waiting += [(factor * inner, term) for inner, term in node.parts]
            else:
                factors[node] = factors.get(node, 0.0) + factor
        kept = tuple(sorted(((f, n) for n, f in factors.items() if f != 0.0), key=lambda term: term[1].serial))
        if len(kept) < 2:
            return self.product([(kept[0][1], 1.0)], kept[0][0]) if kept else self.zero
        return self._node("sum", kept, max(node.level for _, node in kept))

    def product(self, factors: Iterable[tuple[Node, float]], coefficient: float = 1.0) -> Node:
        """Product of a coefficient and bases to powers; a quotient is a product with negative exponents."""
        powers: dict[Node, float] = {}
        waiting = list(factors)
        while waiting:
            base, exponent = waiting.pop()
            if base.kind == "number":
                coefficient *= base.parts[0] ** exponent
            elif base.kind == "product" and exponent == int(exponent):
                coefficient *= base.parts[0] ** exponent
                waiting += [(inner, power * exponent) for inner, power in base.parts[1]]
            elif _all_negative(base) and exponent == int(exponent):
                coefficient *= (-1.0) ** exponent
                waiting.append((self.sum([(-factor, term) for factor, term in base.parts]), exponent))
            else:
                powers[base] = powers.get(base, 0.0) + exponent
        kept = tuple(sorted(((b, e) for b, e in powers.items() if e != 0.0), key=lambda factor: factor[0].serial))
        if coefficient == 0.0 or not kept:
            return self.number(coefficient)
        if coefficient == 1.0 and len(kept) == 1 and kept[0][1] == 1.0:
            return kept[0][0]
        return self._node("product", (coefficient, kept), max(base.level for base, _ in kept))

    def times(self, *factors: Node) -> Node:
        """Product of nodes."""
        return self.product([(factor, 1.0) for factor in factors])

    def power(self, base: Node, exponent: Node) -> Node:
        """Power with any exponent."""
        if exponent.kind == "number":
            return self.product([(base, exponent.parts[0])])
        return self._node("power", (base, exponent), max(base.level, exponent.level))

    def call(self, name: str, *arguments: Node) -> Node:
        """One of `math.exp`, `math.log`, `max`, `min`."""
        return self._node("call", (name, *arguments), max(argument.level for argument in arguments))

    def translate(self, expression: sympy.Basic, names: Mapping[str, Node]) -> Node:
        """Node of a sympy expression whose symbols have the nodes `names`.

        Raises
        ------
        InputError
            If the expression holds a function that generated code does not know.
        """
        if isinstance(expression, sympy.Symbol):
            return names[expression.name]
        if isinstance(expression, sympy.Number | sympy.NumberSymbol):
            return self.number(float(expression))
        parts = [self.translate(part, names) for part in expression.args]
        if isinstance(expression, sympy.Add):
            return self.sum([(1.0, part) for part in parts])
        if isinstance(expression, sympy.Mul):
            return self.times(*parts)
        if isinstance(expression, sympy.Pow):
            return self.power(*parts)
        known = {sympy.exp: "math.exp", sympy.log: "math.log", sympy.Max: "max", sympy.Min: "min"}
        if expression.func not in known or not parts:
            raise InputError(
                f"'{expression}': the engine knows sums, products, powers, exp, log, Max and Min, "
                f"and not {expression.func.__name__}."
            )
        node = parts[0] if len(parts) > 1 else self.call(known[expression.func], parts[0])
        for part in parts[1:]:
            node = self.call(known[expression.func], node, part)
        return node

    def hoist(self, node: Node, floor: int) -> Node:
        """The same value, with everything that is known before the level `floor` taken from its slot."""
        if node.level < floor:
            return self._early(node)
        if (node, floor) not in self._hoisted:
            self._hoisted[node, floor] = self._hoist_parts(node, floor)
        return self._hoisted[node, floor]

    def _hoist_parts(self, node: Node, floor: int) -> Node:
        if node.kind == "sum":
            early = self.sum([(factor, term) for factor, term in node.parts if term.level < floor])
            late = [self.product([(term, 1.0)], factor) for factor, term in node.parts if term.level >= floor]
            return self.sum([(1.0, self._early(early)), *((1.0, self.hoist(term, floor)) for term in late)])
        if node.kind == "product":
            coefficient, factors = node.parts
            early = self.product([(base, e) for base, e in factors if base.level < floor], abs(coefficient))
            late = [(self.hoist(base, floor), e) for base, e in factors if base.level >= floor]
            return self.product([(self._early(early), 1.0), *late], -1.0 if coefficient < 0 else 1.0)
        if node.kind == "power":
            return self.power(*(self.hoist(part, floor) for part in node.parts))
        if node.kind == "call":
            return self.call(node.parts[0], *(self.hoist(part, floor) for part in node.parts[1:]))
        return node

    def _early(self, node: Node) -> Node:
        """Slot of a value that is known early; numbers, bare parameters and slots stay what they are."""
        slots = self.slots[node.level]
        if node.kind == "number" or node in slots or (node.kind == "atom" and node.level == CONSTANT):
            return node
        if _all_negative(node) or (node.kind == "product" and node.parts[0] < 0.0):
            return self.product([(self._early(self.product([(node, 1.0)], -1.0)), 1.0)], -1.0)
        if node not in self._places:
            place = self.atom(f"{'cf'[node.level]}[{len(slots)}]", node.level)
            self._places[node], slots[place] = place, node
        return self._places[node]

    def collect(self, node: Node) -> Node:
        """The same sum with the factor that most terms share taken out, and so on in what is left."""
        if node.kind != "sum":
            return node
        shared: Counter[Node] = Counter()
        terms: list[tuple[Node, dict[Node, float]]] = []
        for factor, term in node.parts:
            factors = term.parts[1] if term.kind == "product" else ((term, 1.0),)
            whole = self.product([(term, 1.0)], factor)
            number = abs(whole.parts[0]) if whole.kind == "product" else 1.0
            early = self.product([(base, e) for base, e in factors if base.level < MOVING], number)
            bases = {base: e for base, e in factors if base.level == MOVING} | {early: 1.0}
            terms.append((whole, bases))
            shared.update(base for base, exponent in bases.items() if exponent >= 1.0 and base != self.one)
        best = max(shared, key=lambda base: (shared[base], base.level, -base.serial), default=self.one)
        if shared[best] < 2:
            return node
        inside = [(1.0, self.product([(term, 1.0), (best, -1.0)])) for term, bases in terms if bases.get(best, 0) >= 1]
        outside = [(1.0, term) for term, bases in terms if bases.get(best, 0) < 1]
        rest = self.collect(self.sum(outside))
        return self.sum([(1.0, self.times(best, self.collect(self.sum(inside)))), (1.0, rest)])

    def partials(self, node: Node, floor: int) -> dict[Node, Node]:
        """Derivatives with respect to every atom of at least the level `floor`.

        Raises
        ------
        InputError
            For max and min, which have no derivative everywhere.
        """
        if node.level < floor:
            return {}
        if node.kind == "atom":
            return {node: self.one}
        products: dict[Node, list[tuple[float, Node]]] = {}
        for outer, part in self._outer(node):
            for atom, inner in self.partials(part, floor).items():
                products.setdefault(atom, []).append((1.0, self.times(outer, inner)))
        total = {atom: self.sum(terms) for atom, terms in products.items()}
        return {atom: value for atom, value in total.items() if value is not self.zero}

    def _outer(self, node: Node) -> list[tuple[Node, Node]]:
        """Derivative of a node with respect to each of its parts, and the part."""
        if node.kind == "sum":
            return [(self.number(factor), term) for factor, term in node.parts]
        if node.kind == "product":
            return [(self.product([(node, 1.0), (base, -1.0)], e), base) for base, e in node.parts[1]]
        if node.kind == "power":
            base, exponent = node.parts
            less = self.power(base, self.sum([(1.0, exponent), (-1.0, self.one)]))
            return [(self.times(exponent, less), base), (self.times(node, self.call("math.log", base)), exponent)]
        name, inside = node.parts[0], node.parts[1]
        if name == "math.exp":
            return [(node, inside)]
        if name == "math.log":
            return [(self.product([(inside, -1.0)]), inside)]
        raise InputError(f"{name} has no derivative everywhere; a stiff method needs smooth rates.")


def _all_negative(node: Node) -> bool:
    """Is every term of this sum subtracted?"""
    return node.kind == "sum" and all(factor < 0.0 for factor, _ in node.parts)


# Nodes printed as straight-line Python: shared values once, as few divisions as possible.


_Denominator = tuple[tuple[Node, float], ...]


def write_function(
    head: str, places: Sequence[tuple[str, Node]], meaning: Mapping[Node, Node], lines: Iterable[str] = ()
) -> str:
    """One function that fills `places`; `meaning` gives the value of local atoms, written where first needed."""
    body = [*_Writer([node for _, node in places], meaning).assign(places), *lines]
    return f"def {head}:\n    " + "\n    ".join(body or ["pass"])


class _Writer:
    """Counts what is used more than once, then prints each value as it is first needed."""

    def __init__(self, roots: Iterable[Node], meaning: Mapping[Node, Node]) -> None:
        self.meaning = meaning
        self.uses: Counter[Node] = Counter()
        self.denominators: Counter[_Denominator] = Counter()
        self.bases: Counter[Node] = Counter()
        waiting = list(roots)
        while waiting:
            node = waiting.pop()
            self.uses[node] += 1
            if self.uses[node] == 1:
                waiting += [meaning[node]] if node in meaning else node.children
                below = _below(node)
                self.denominators.update([below] if below else [])
                self.bases.update(base for base, _ in below)
        self.inside = self._sums_in_sums()
        # Either one division per denominator as a whole, or one per factor of the denominators: whichever are fewer.
        self.whole = len(self.denominators) <= len(self.bases)
        self.known: dict[Node | _Denominator, str] = {}
        self.lines: list[str] = []
        self.locals = 0

    def _sums_in_sums(self) -> dict[Node, Node]:
        """For sums that contain all terms of another: the longest such."""
        sums = sorted((node for node in self.uses if node.kind == "sum"), key=lambda n: (-len(n.parts), n.serial))
        long = [(node, frozenset(node.parts)) for node in sums if len(node.parts) > 2]
        nodes: dict[Node, Node] = {}
        for k, (node, parts) in enumerate(long):
            inner = next((other for other, fewer in long[k + 1 :] if fewer < parts), None)
            if inner is not None:
                nodes[node] = inner
                self.uses[inner] += 1
        return nodes

    def assign(self, places: Sequence[tuple[str, Node]]) -> list[str]:
        """Statements that fill the places."""
        for place, node in places:
            value = self.operand(node) if self.uses[node] > 1 else self.value(node)
            self.lines.append(f"{place} = {value}")
        return self.lines

    def operand(self, node: Node) -> str:
        """Name of a value that has one, else its expression."""
        if node in self.known:
            return self.known[node]
        if node in self.meaning:
            return self._define(node, self.meaning[node])
        signed = node.kind == "product" and len(node.parts[1]) == 1 and abs(node.parts[0]) == node.parts[1][0][1] == 1.0
        if self.uses[node] > 1 and node.children and not signed:
            value = self.value(node)
            return self._keep(node, self._local(), value)
        return self.value(node)

    def _define(self, atom: Node, value: Node) -> str:
        """Write a local; a value that has a name already lends it."""
        if value in self.known:
            self.known[atom] = self.known[value]
            return self.known[atom]
        name = self._keep(atom, atom.parts[0], self.value(value))
        if value.children:
            self.known[value] = name
        return name

    def _keep(self, key: Node | _Denominator, name: str, value: str) -> str:
        self.lines.append(f"{name} = {value}")
        self.known[key] = name
        return name

    def _local(self) -> str:
        self.locals += 1
        return f"t_{self.locals}"

    def value(self, node: Node) -> str:
        """Expression of a value."""
        if node in self.meaning:
            return self.operand(node)
        if node.kind == "number":
            return repr(node.parts[0])
        if node.kind == "atom":
            return node.parts[0]
        if node.kind == "sum":
            return self._sum(node)
        if node.kind == "product":
            return self._product(node)
        if node.kind == "power":
            base, exponent = (self._factor(part) for part in node.parts)
            return f"{base}**{exponent}"
        return f"{node.parts[0]}({', '.join(map(self.operand, node.parts[1:]))})"

    def _sum(self, node: Node) -> str:
        text = ""
        parts: tuple[tuple[float, Node], ...] = node.parts
        if node in self.inside:
            parts = ((1.0, self.inside[node]), *(part for part in parts if part not in self.inside[node].parts))
        for coefficient, term in sorted(parts, key=lambda part: _negative(*part)):
            value = self._factor(term) if term.kind == "sum" and abs(coefficient) != 1.0 else self.operand(term)
            if term.kind == "number" or abs(coefficient) != 1.0:
                number = repr(abs(coefficient))
                value = number if term.kind == "number" else f"{number} * {value}"
            minus = coefficient < 0.0
            if value.startswith("-"):
                value, minus = value[1:], not minus
            text += (" - " if minus else " + ") + value
        return text[3:] if text.startswith(" + ") else f"-{text[3:]}"

    def _product(self, node: Node) -> str:
        coefficient, factors = node.parts
        below = _below(node)
        above = [self._raised(base, e) for base, e in factors if e > 0.0]
        above = [repr(abs(coefficient))] * (abs(coefficient) != 1.0) + above
        divisor = ""
        if self.whole and below:
            if self.denominators[below] > 1:
                above.append(self._reciprocal(below))
            else:
                divisor = self._divisor(below)
        elif below:
            alone = tuple((base, e) for base, e in below if self.bases[base] == 1)
            above += [_powered(self._reciprocal(((base, 1.0),)), e) for base, e in below if self.bases[base] > 1]
            divisor = self._divisor(alone)
        text = " * ".join(above) or "1.0"
        return ("-" if coefficient < 0.0 else "") + (f"{text} / {divisor}" if divisor else text)

    def _reciprocal(self, below: _Denominator) -> str:
        if below not in self.known:
            value = f"1.0 / {self._divisor(below)}"
            self._keep(below, self._local(), value)
        return self.known[below]

    def _divisor(self, below: _Denominator) -> str:
        parts = [self._raised(base, e) for base, e in below]
        return parts[0] if len(parts) == 1 else f"({' * '.join(parts)})" if parts else ""

    def _raised(self, base: Node, exponent: float) -> str:
        return _powered(self._factor(base), exponent)

    def _factor(self, node: Node) -> str:
        """Expression that can stand in a product or a power."""
        text = self.operand(node)
        simple = node.kind in ("atom", "call", "number") or node in self.known
        return text if simple and not text.startswith("-") else f"({text})"


def _powered(text: str, exponent: float) -> str:
    if exponent == 1.0:
        return text
    if exponent == 0.5:
        return f"math.sqrt({text})"
    return f"{text}**{int(exponent) if exponent == int(exponent) else repr(exponent)}"


def _below(node: Node) -> _Denominator:
    """What a product is divided by: bases with positive exponents."""
    if node.kind != "product":
        return ()
    return tuple((base, -exponent) for base, exponent in node.parts[1] if exponent < 0.0)


def _negative(coefficient: float, term: Node) -> bool:
    turned = term.kind == "product" and term.parts[0] < 0.0
    return (coefficient < 0.0) != turned
