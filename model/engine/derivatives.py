"""Derivatives of generated equations, through their named locals: backwards for the Jacobian, forwards for time.

Griewank & Walther, Evaluating Derivatives, second edition (2008), chapters 3 and 4.
"""

from collections.abc import Mapping, Sequence

from .hoisting import CONSTANT, DRIVEN, MOVING, Graph, Node


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
            found = self.graph.partials(node, floor)
            self.known[node, floor] = {atom: self.local(value) for atom, value in found.items()}
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
        found = speed(node)
        if found is not graph.zero:
            speeds[atom] = chain.local(found)
    return [speed(output) for output in outputs], chain.locals


def _total(graph: Graph, nodes: Sequence[Node]) -> Node:
    return graph.sum([(1.0, node) for node in nodes])
