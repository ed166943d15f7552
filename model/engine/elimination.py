"""Sparse elimination written out: LU factors of g I - J without pivoting, for a pattern that never changes.

The order of elimination limits fill-in (Markowitz 1957, Management Science 3:255), with pivots from the diagonal; the
factors are generated as straight-line code, as KPP does for kinetics (Sandu, Potra, Carmichael & Damian 1996, Journal
of Computational Physics 129:101).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
