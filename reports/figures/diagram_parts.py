"""The parts of a model diagram and their measures, in inches from the upper left corner."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .labels import text_height

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
