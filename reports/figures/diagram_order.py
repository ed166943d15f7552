"""In which order the states of a diagram stand, and in which column each group stands."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, permutations, product

from .diagram_parts import Ends

KNOWN_GROUPS = ("tumour", "CAR-T", "host", "biomarker")
_ALL_ORDERS = 7  # up to so many states every order is tried (5040 of them)


def ordered_groups(states: Sequence[tuple[str, str, str]]) -> list[str]:
    """The groups we know in their usual order, then the others as they come."""
    present = dict.fromkeys(group for _, _, group in states)
    known = [group for group in KNOWN_GROUPS if group in present]
    return known + [group for group in present if group not in KNOWN_GROUPS]


def best_order(names: Sequence[str], ends: Sequence[Ends]) -> list[str]:
    """An order in which flows run between neighbours as far as possible; the given one among equals."""
    places = {name: place for place, name in enumerate(names)}
    links = [(places[a], places[b]) for a, b in ends if a in places and b in places]

    def cost(order: Sequence[int]) -> tuple[int, int]:
        at = {state: place for place, state in enumerate(order)}
        length = sum(abs(at[a] - at[b]) for a, b in links)
        return length, sum(abs(place - state) for place, state in enumerate(order))

    best = tuple(range(len(names)))
    if len(names) <= _ALL_ORDERS:
        best = min(permutations(best), key=cost)
    else:
        better = True
        while better:
            moves = [_moved(best, a, b) for a in range(len(best)) for b in range(len(best)) if a != b]
            candidate = min(moves, key=cost)
            better = cost(candidate) < cost(best)
            best = candidate if better else best
    return [names[place] for place in best]


def neighbours(order: Mapping[str, Sequence[str]], ends: Sequence[Ends]) -> dict[int, tuple[str, str]]:
    """Flows drawn as an arrow between two boxes that stand next to each other: one down and one up for each pair."""
    drawn: dict[int, tuple[str, str]] = {}
    for names in order.values():
        for upper, lower in pairwise(names):
            for pair in ((upper, lower), (lower, upper)):
                found = next((flow for flow, own in enumerate(ends) if own == pair), None)
                if found is not None:
                    drawn[found] = pair
    return drawn


def best_columns(
    groups: Sequence[str], columns: int, links: Sequence[tuple[str, str]], height: Callable[[str], float]
) -> dict[str, int]:
    """Columns of about the same height; among those the one with the fewest flows from column to column."""
    if len(groups) > 8:  # too many ways to try: fill the shortest column
        filled, chosen = [0.0] * columns, {}
        for group in groups:
            chosen[group] = filled.index(min(filled))
            filled[chosen[group]] += height(group)
        return chosen

    heights = [height(group) for group in groups]

    def cost(places: tuple[int, ...]) -> tuple[float, int, tuple[int, ...]]:
        filled = [0.0] * columns
        for place, tall in zip(places, heights, strict=True):
            filled[place] += tall
        at = dict(zip(groups, places, strict=True))
        crossing = sum(at[a] != at[b] for a, b in links)
        return round(max(filled) + 0.5 * crossing, 1), crossing, places

    return dict(zip(groups, min(product(range(columns), repeat=len(groups)), key=cost), strict=True))


def _moved(order: tuple[int, ...], source: int, target: int) -> tuple[int, ...]:
    rest = [*order[:source], *order[source + 1 :]]
    return (*rest[:target], order[source], *rest[target:])
