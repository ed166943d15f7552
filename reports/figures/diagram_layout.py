"""Where the boxes, arrows and words of a model diagram stand.

Each group is a frame with its states below each other. What comes from outside enters a state on the left, what is
lost leaves it on the right, each in a row of its own with its name at the free end. A flow between two states that
stand next to each other is an arrow between them. Every other one leaves in a row of its own that carries its name,
goes along a lane, and arrives in a row of its own. So no two names ever compete for the same place.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, permutations, product

from .style import text_height, text_width, wrapped

# The parts of a model diagram and their measures, in inches from the upper left corner.


NODE_SIZE, WORD_SIZE = 8.0, 7.5  # points
NODE_WIDTH, NODE_ROOM, WORD_ROOM = 1.4, 1.25, 1.3  # width of a box; widest lines in it and beside it
STUB, LANE, GUTTER = 0.3, 0.12, 0.22  # arrows from and to outside; distance of lanes; room between columns
MARGIN, PAD, HEADING, TOP = 0.15, 0.13, 0.3, 0.5  # around everything; in a frame; over its boxes; for the title
GAP, BETWEEN = 0.18, 0.22  # between boxes; between frames

Point = tuple[float, float]
Ends = tuple[str | None, str | None]


@dataclass
class Row:
    """One flow at one side of a box; a flow carries its name where it leaves, so that arriving needs less room.

    Parameters
    ----------
    order
        Sorts the rows of a side from top to bottom such that their lines do not cross.
    """

    flow: int
    kind: str  # "enters" from outside, "is lost", "leaves" for another box, "arrives" from one
    text: str
    order: tuple[float, float]
    y: float = 0.0

    @property
    def height(self) -> float:
        """Room that the row needs."""
        return text_height(self.text, WORD_SIZE) + 0.06 if self.text else 0.17


@dataclass
class Box:
    """One state while it is laid out; x and y are its upper left corner."""

    name: str
    text: str
    group: str
    column: int
    left: list[Row] = field(default_factory=list)
    right: list[Row] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> float:
        """Room for the name of the state and for the rows on both sides."""
        rows = [sum(row.height for row in side) + 0.06 for side in (self.left, self.right)]
        return max(text_height(self.text, NODE_SIZE) + 0.14, *rows)

    def spread_rows(self) -> None:
        """Give every row its y, each side centred on the box."""
        for side in (self.left, self.right):
            at = self.y + (self.height - sum(row.height for row in side)) / 2
            for row in side:
                row.y = at + row.height / 2
                at += row.height


@dataclass(frozen=True)
class Word:
    """The name of a flow; `align` says which side of it stands at x."""

    text: str
    x: float
    y: float
    align: str


@dataclass(frozen=True)
class Route:
    """The line of a flow from its start to its arrow head; its corners are to be rounded."""

    points: tuple[Point, ...]
    from_outside: bool = False


@dataclass(frozen=True)
class Frame:
    """Around the boxes of one group."""

    group: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """The finished places; `routes` and `words` have one entry for each flow."""

    width: float
    height: float
    boxes: Mapping[str, Box]
    frames: tuple[Frame, ...]
    routes: tuple[Route, ...]
    words: tuple[Word, ...]


# In which order the states of a diagram stand, and in which column each group stands.


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
                flow = next((flow for flow, own in enumerate(ends) if own == pair), None)
                if flow is not None:
                    drawn[flow] = pair
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


_TO_WORD = 0.06  # from the end of an arrow to its name
_ON_LINE = 0.12  # from a box to a name that stands on its line
_NEXT_TO = 0.13  # from the middle of a box to the arrow up or down


def lay_out(states: Sequence[tuple[str, str, str]], flows: Sequence[tuple[str, Ends]], columns: int) -> Layout:
    """Places for states (name, label, group) and flows (label, ends), in so many columns."""
    page = _Page(states, flows, columns)
    page.set_columns()
    page.set_heights()
    page.set_lanes()
    page.set_widths()
    return page.layout()


class _Page:
    """A diagram while it is laid out: first what stands where from top to bottom, then from left to right."""

    def __init__(self, states: Sequence[tuple[str, str, str]], flows: Sequence[tuple[str, Ends]], columns: int) -> None:
        self.ends = [pair for _, pair in flows]
        self.texts = [wrapped(label, WORD_ROOM, WORD_SIZE) for label, _ in flows]
        self.groups = ordered_groups(states)
        self.group_of = {name: group for name, _, group in states}
        members = {group: [name for name, _, own in states if own == group] for group in self.groups}
        self.order = {group: best_order(members[group], self.ends) for group in self.groups}
        self.between = neighbours(self.order, self.ends)
        self.labels = {name: wrapped(label, NODE_ROOM, NODE_SIZE, bold=True) for name, label, _ in states}
        self.columns = min(columns, len(self.groups))
        self.boxes = self.filled_boxes(dict.fromkeys(self.groups, 0))
        self.frames: list[Frame] = []
        self.lanes: dict[int, float] = {}  # flow within a column: lane, then x
        self.gutter_lanes: dict[tuple[int, int], float] = {}  # flow and gutter: lane, then x
        self.channels: dict[int, float] = {}  # flow that passes whole columns below: y

    def filled_boxes(self, column_of: Mapping[str, int]) -> dict[str, Box]:
        """The boxes with the rows of all flows that are not drawn between neighbours."""
        names = [name for group in self.groups for name in self.order[group]]
        boxes = {name: Box(name, self.labels[name], group, column_of[group]) for name, group in self._grouped(names)}
        rank = {name: place for place, name in enumerate(names)}
        for flow, (source, target) in enumerate(self.ends):
            if flow in self.between:
                continue
            text = self.texts[flow]
            if source is None and target is not None:
                boxes[target].left.append(Row(flow, "enters", text, (1.0, flow)))
            elif target is None and source is not None:
                boxes[source].right.append(Row(flow, "is lost", text, (1.0, flow)))
            elif source is not None and target is not None:
                sender, receiver = boxes[source], boxes[target]
                leaving = sender.left if receiver.column < sender.column else sender.right
                arriving = receiver.left if receiver.column > sender.column else receiver.right
                leaving.append(Row(flow, "leaves", text, _row_order(rank[target] - rank[source], flow)))
                arriving.append(Row(flow, "arrives", "", _row_order(rank[source] - rank[target], flow)))
        for box in boxes.values():
            box.left.sort(key=lambda row: row.order)
            box.right.sort(key=lambda row: row.order)
        return boxes

    def _grouped(self, names: Sequence[str]) -> list[tuple[str, str]]:
        return [(name, self.group_of[name]) for name in names]

    def gap(self, upper: str, lower: str) -> float:
        """Room between two boxes, for the words beside their arrows."""
        own = [self.texts[flow] for flow, pair in self.between.items() if set(pair) == {upper, lower}]
        return max([GAP, *(max(0.42, text_height(text, WORD_SIZE) + 0.14) for text in own)])

    def frame_height(self, group: str) -> float:
        """From the upper to the lower edge of the frame of a group."""
        names = self.order[group]
        gaps = sum(self.gap(upper, lower) for upper, lower in pairwise(names))
        return HEADING + sum(self.boxes[name].height for name in names) + gaps + PAD

    def set_columns(self) -> None:
        """Share the groups among the columns; where a flow leaves and arrives depends on it."""
        links = [(self.group_of[a], self.group_of[b]) for a, b in self.ends if a is not None and b is not None]
        column_of = best_columns(self.groups, self.columns, links, self.frame_height)
        used = sorted(set(column_of.values()))
        self.columns = len(used)
        self.boxes = self.filled_boxes({group: used.index(column) for group, column in column_of.items()})

    def column_of(self, group: str) -> int:
        """Column in which a group stands."""
        return self.boxes[self.order[group][0]].column

    def set_heights(self) -> None:
        """Stack the frames of each column, and the boxes of each frame."""
        bottoms = [TOP] * self.columns
        for group in self.groups:
            column, height = self.column_of(group), self.frame_height(group)
            at = bottoms[column]
            self.frames.append(Frame(group, 0.0, at, 0.0, height))
            bottoms[column] = at + height + BETWEEN
            at += HEADING
            for index, name in enumerate(self.order[group]):
                at += self.gap(self.order[group][index - 1], name) if index else 0.0
                self.boxes[name].y = at
                self.boxes[name].spread_rows()
                at += self.boxes[name].height
        self.bottom = max(bottoms) - BETWEEN

    def row_y(self, flow: int, kind: str) -> float:
        """Height of the row in which a flow leaves or arrives."""
        return next(
            row.y for box in self.boxes.values() for row in box.left + box.right if (row.flow, row.kind) == (flow, kind)
        )

    def set_lanes(self) -> None:
        """A lane for each flow that is not between neighbours: short ones inside, none shared by two that overlap."""
        taken: dict[int, list[list[tuple[float, float]]]] = {}
        spans = {}
        for flow, (source, target) in enumerate(self.ends):
            if flow in self.between or source is None or target is None:
                continue
            spans[flow] = tuple(sorted((self.row_y(flow, "leaves"), self.row_y(flow, "arrives"))))
        for flow, (top, bottom) in sorted(spans.items(), key=lambda item: item[1][1] - item[1][0]):
            source, target = (self.boxes[name or ""].column for name in self.ends[flow])
            if source == target:
                lanes = taken.setdefault(source, [])
                free = (lane for lane, own in enumerate(lanes) if all(bottom < a or top > b for a, b in own))
                lane = next(free, len(lanes))
                lanes[lane:] = lanes[lane:] or [[]]
                lanes[lane].append((top, bottom))
                self.lanes[flow] = lane
            else:
                first, last = (source, target - 1) if target > source else (source - 1, target)
                for gutter in dict.fromkeys((first, last)):
                    used = sum(1 for _, other in self.gutter_lanes if other == gutter)
                    self.gutter_lanes[flow, gutter] = used
                if first != last:
                    self.channels[flow] = self.bottom + LANE * (1 + len(self.channels))

    def set_widths(self) -> None:
        """Put the columns side by side, as wide as their words and lanes need."""
        x = MARGIN
        in_gutter = Counter(gutter for _, gutter in self.gutter_lanes)
        for column in range(self.columns):
            own = [box for box in self.boxes.values() if box.column == column]
            beside = [self.texts[flow] for flow, (a, _) in self.between.items() if self.boxes[a].column == column]
            half = (
                max((text_width(text, WORD_SIZE) + _NEXT_TO + _TO_WORD for text in beside), default=0.0)
                - NODE_WIDTH / 2
            )
            left = max([0.0, half, *(_room(row) for box in own for row in box.left)])
            right = max([0.0, half, *(_room(row) for box in own for row in box.right)])
            flows = [flow for flow in self.lanes if self.boxes[self.ends[flow][0] or ""].column == column]
            lanes = 1 + max((self.lanes[flow] for flow in flows), default=-1)
            for box in own:
                box.x = x + PAD + left
            first_lane = x + PAD + left + NODE_WIDTH + right + LANE / 2
            for flow in flows:
                self.lanes[flow] = first_lane + LANE * self.lanes[flow]
            width = PAD + left + NODE_WIDTH + right + lanes * LANE + PAD
            for place, frame in enumerate(self.frames):
                if self.column_of(frame.group) == column:
                    self.frames[place] = Frame(frame.group, x, frame.y, width, frame.height)
            for flow, gutter in self.gutter_lanes:
                if gutter == column:
                    self.gutter_lanes[flow, gutter] = x + width + GUTTER / 2 + LANE * self.gutter_lanes[flow, gutter]
            x += width + GUTTER + LANE * max(0, in_gutter[column] - 1)
        self.right = x - GUTTER

    def layout(self) -> Layout:
        """The places, with a route and a word for each flow."""
        drawn = [
            self._neighbour(flow) if flow in self.between else self._row_flow(flow) for flow in range(len(self.ends))
        ]
        height = self.bottom + LANE * (len(self.channels) + 1) + MARGIN
        routes, words = tuple(route for route, _ in drawn), tuple(word for _, word in drawn)
        return Layout(self.right + MARGIN, height, self.boxes, tuple(self.frames), routes, words)

    def _neighbour(self, flow: int) -> tuple[Route, Word]:
        """Straight down on the left of the middle, straight up on the right of it."""
        source, target = (self.boxes[name] for name in self.between[flow])
        down = target.y > source.y
        x = source.x + NODE_WIDTH / 2 + (-_NEXT_TO if down else _NEXT_TO)
        start = source.y + source.height if down else source.y
        end = target.y if down else target.y + target.height
        side = -_TO_WORD if down else _TO_WORD
        return Route(((x, start), (x, end))), Word(
            self.texts[flow], x + side, (start + end) / 2, "right" if down else "left"
        )

    def _row_flow(self, flow: int) -> tuple[Route, Word]:
        text = self.texts[flow]
        source, target = (self.boxes[name or other or ""] for name, other in (self.ends[flow], self.ends[flow][::-1]))
        if self.ends[flow][1] is None:
            start, y = source.x + NODE_WIDTH, next(row.y for row in source.right if row.flow == flow)
            return Route(((start, y), (start + STUB, y))), Word(text, start + STUB + _TO_WORD, y, "left")
        if self.ends[flow][0] is None:
            start, y = target.x - STUB, next(row.y for row in target.left if row.flow == flow)
            return Route(((start, y), (target.x, y)), True), Word(text, start - _TO_WORD, y, "right")
        start_y, end_y = self.row_y(flow, "leaves"), self.row_y(flow, "arrives")
        leftward = target.column < source.column
        start = source.x if leftward else source.x + NODE_WIDTH
        end = target.x if target.column > source.column else target.x + NODE_WIDTH
        word = Word(text, start + (-_ON_LINE if leftward else _ON_LINE), start_y, "right" if leftward else "left")
        return Route(((start, start_y), *self._corners(flow, start_y, end_y), (end, end_y))), word

    def _corners(self, flow: int, start: float, end: float) -> list[Point]:
        if flow in self.lanes:
            return [(self.lanes[flow], start), (self.lanes[flow], end)]
        xs = [x for (own, _), x in self.gutter_lanes.items() if own == flow]
        if flow not in self.channels:
            return [(xs[0], start), (xs[0], end)]
        below = self.channels[flow]
        return [(xs[0], start), (xs[0], below), (xs[1], below), (xs[1], end)]


def _row_order(ahead: int, flow: int) -> tuple[float, float]:
    """Rows whose flow goes up stand above, the nearest first; those that go down below, the nearest last."""
    return (0.0, -ahead + flow / 1000) if ahead < 0 else (2.0, -ahead + flow / 1000)


def _room(row: Row) -> float:
    """Width that a row needs beside its box."""
    if not row.text:
        return 0.0
    on_line = row.kind == "leaves"
    return text_width(row.text, WORD_SIZE) + (2 * _ON_LINE if on_line else STUB + 2 * _TO_WORD)
