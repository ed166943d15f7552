"""Repeats: days of doses as a rhythm, and a rhythm as days, free of rounding."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Days at one distance: `first`, `first` + `step`, ...; a single day has step 0."""

    first: float
    step: float
    count: int

    @property
    def days(self) -> tuple[float, ...]:
        """Every day of the run."""
        return tuple(self.first + round(self.step * k, 9) for k in range(self.count))


def runs(days: Sequence[float], *, shortest: int = 3, tolerance: float = 0.0) -> list[Run]:
    """Rising days as runs of at least `shortest` days, and single days; no day moves by more than the tolerance."""
    found, here = [], 0
    while here < len(days):
        step = round(days[here + 1] - days[here], 9) if here + 1 < len(days) else 0.0
        count = 1
        while here + count < len(days) and step > 0:
            if abs(days[here + count] - (days[here] + round(step * count, 9))) > tolerance:
                break
            count += 1
        found.append(Run(days[here], step, count) if count >= shortest else Run(days[here], 0.0, 1))
        here += found[-1].count
    return found


def cycle(days: Sequence[float]) -> tuple[int, tuple[int, ...]] | None:
    """Length of the shortest cycle in which rising days repeat, and its days (1 is the first); None if they do not.

    Only whole days, at least two of them in a cycle, and at least two full cycles.
    """
    since = [round(day - days[0]) for day in days]
    if any(day != days[0] + offset for day, offset in zip(days, since, strict=True)):
        return None
    for several in range(2, len(since) // 2 + 1):
        length = since[several]
        if all(offset == length * (k // several) + since[k % several] for k, offset in enumerate(since)):
            return length, tuple(offset + 1 for offset in since[:several])
    return None
