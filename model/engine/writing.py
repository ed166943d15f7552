"""Nodes printed as straight-line Python: shared values once, as few divisions as possible."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .hoisting import Node

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
        found: dict[Node, Node] = {}
        for k, (node, parts) in enumerate(long):
            inner = next((other for other, fewer in long[k + 1 :] if fewer < parts), None)
            if inner is not None:
                found[node] = inner
                self.uses[inner] += 1
        return found

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
