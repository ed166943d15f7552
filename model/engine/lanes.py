"""The words in which the integrators are written: several patients side by side, one in each lane of a vector.

A function written with these words is ordinary Python. Run as it is, a lane vector is a float (one lane); translated
by `translate`, it is a vector of the processor, and one pass through the code moves as many patients as it has lanes.

Kinds of values, as they are written in annotations (an argument without one is a `LaneArray`):

    Float, Int, Bool        one value, the same for all lanes
    Lanes, Mask             one number, one yes or no, per lane
    Floats, Ints            memory shared with Python: arrays of numbers
    LaneArray               working memory: an array of lane vectors; `a[i]` is a vector, `a[i, lane]` one number

Branches and loops need a value that is the same for all lanes (`any_lane(mask)`); what differs between lanes is chosen
with `where`.
"""

import builtins
import math
from typing import Any

Float = Int = Bool = Lanes = Mask = Floats = Ints = Any

exp, log, sqrt, abs, max, min = math.exp, math.log, math.sqrt, builtins.abs, builtins.max, builtins.min


class LaneArray:
    """Working memory with one lane: numbers at places; also as `a[i, 0]`."""

    def __init__(self, memory: Any, start: int = 0) -> None:
        self.memory, self.start = memory, start

    def __getitem__(self, place: Any) -> Any:
        """Vector `a[i]`, or the number `a[i, lane]`."""
        return self.memory[self.start + (place[0] if isinstance(place, tuple) else place)]

    def __setitem__(self, place: Any, value: Any) -> None:
        """Set the vector `a[i]`, or the number `a[i, lane]`."""
        self.memory[self.start + (place[0] if isinstance(place, tuple) else place)] = value


LANES: int = 1
"""Number of lanes; in translated code that of the vector."""


def lane_array(size: int) -> LaneArray:
    """Working memory for `size` lane vectors, zero at first."""
    return LaneArray([0.0] * size)


def lane_scratch(size: int) -> LaneArray:
    """Working memory for `size` lane vectors that are all set before they are read; in translated code not zero."""
    return lane_array(size)


def int_array(size: int) -> list[int]:
    """Working memory for `size` whole numbers, zero at first."""
    return [0] * size


def lanes(value: float) -> Any:
    """One number in all lanes."""
    return float(value)


def part(array: Any, start: int) -> Any:
    """The array from a place on: the same memory."""
    return LaneArray(array.memory, array.start + start)


def where(mask: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes of the mask, `no` in the others."""
    return yes if mask else no


def any_lane(mask: Any) -> bool:
    """Whether the mask holds in at least one lane."""
    return bool(mask)


def in_lane(mask: Any, lane: int) -> bool:
    """Whether the mask holds in this lane."""
    return bool(mask)


def first_lane(value: Any) -> Any:
    """The number of the first lane, in all lanes."""
    return value


def finite(value: Any) -> bool:
    """Lanes whose number is neither infinite nor NaN."""
    return math.isfinite(value)


def halted(flag: Any) -> bool:
    """Whether another thread has set the first number of the array; looked up anew at every call."""
    return flag[0] != 0
