"""Search over regimens: the whole response surface, the best point under a limit, and how sure it is.

Every point of a grid of doses, days, durations or therapies is an arm on the same virtual patients, at the estimate and
at every posterior draw. Because patients are shared, the surface is smooth in what is varied, and its optimum can be
refined between the points of the grid by a compass search (Hooke & Jeeves 1961).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ..fitting.calibration.calibration import Calibration, read_calibration
from ..fitting.posterior import Estimate, Sizes
from ..model.simulate import Solver
from ..parameters.errors import InputError, RangeError
from .arm import Arm
from .compare import Comparison, compare
from .measures import Measure
from .treat import treat

Value = float | str


@dataclass(frozen=True)
class Axis:
    """What is varied: a name, a unit, and the values of the grid; words are compared but never interpolated."""

    name: str
    unit: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        """Check that there is something to vary."""
        if not self.values or len(set(self.values)) != len(self.values):
            raise InputError(f"axis '{self.name}': values {self.values}; give at least one, each once.")
        if self.is_number and list(self.values) != sorted(self.values):  # type: ignore[type-var]
            raise InputError(f"axis '{self.name}': values {self.values}; give them in rising order.")

    @property
    def is_number(self) -> bool:
        """Whether points between the values have a meaning."""
        return all(isinstance(value, int | float) for value in self.values)


@dataclass(frozen=True)
class Limit:
    """A measure that must stay at or below a value, at the estimate and in a share `sure` of the posterior draws."""

    measure: Measure
    at_most: float
    sure: float = 0.5

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not math.isfinite(self.at_most) or not 0.0 <= self.sure <= 1.0:
            raise RangeError(
                f"limit on {self.measure.name}: at most {self.at_most:g} in a share {self.sure:g} of draws; "
                "give a finite number and a share between 0 and 1."
            )


@dataclass(frozen=True)
class Point:
    """One regimen: its place on every axis, what it gains over the reference, and whether it keeps the limit."""

    at: tuple[Value, ...]
    gain: Estimate
    chance: float
    chance_best: float
    limited: Estimate | None
    allowed: bool


@dataclass(frozen=True, eq=False)
class Surface:
    """What was found: every point of the grid in the order of `product(axes)`, the best one, and the refined one.

    `refined` is None where no axis is a number or nothing between the points was better; `evaluated` counts arms.
    """

    axes: tuple[Axis, ...]
    objective: Measure
    limit: Limit | None
    comparison: Comparison
    points: tuple[Point, ...]
    best: Point | None
    refined: tuple[tuple[Value, ...], float] | None
    evaluated: int

    def table(self, read: Callable[[Point], float]) -> np.ndarray:
        """A number of every point: array shaped like the axes."""
        return np.array([read(point) for point in self.points]).reshape([len(axis.values) for axis in self.axes])

    @property
    def as_good(self) -> tuple[Point, ...]:
        """Allowed points that are the best in at least one draw of twenty: the data do not part them from the best."""
        return tuple(point for point in self.points if point.allowed and point.chance_best >= 0.05)


def search(
    reference: Arm,
    given: Callable[..., Arm],
    axes: Sequence[Axis],
    objective: Measure,
    calibration: Calibration | None = None,
    *,
    limit: Limit | None = None,
    refine: int = 0,
    line: int = 1,
    sizes: Sizes | None = None,
    **how: Any,
) -> Surface:
    """Evaluate every point of a grid of regimens, and refine the best (compass search, Hooke & Jeeves 1961).

    Parameters
    ----------
    reference
        What gains are counted from; it is no point of the grid.
    given
        Makes the arm of a point from one value of every axis.
    axes
        What is varied: `Axis(name, unit, values)`.
    objective
        What is to be as large as possible (`measures`).
    calibration
        The shipped one by default.
    limit
        Which points are allowed at all.
    refine
        Rounds of the compass search between the points of the grid, at the estimate.
    line
        The line that is judged: the first, or 0 for the last one of plans of several lines.
    sizes
        Virtual patients and posterior draws.
    how
        More for `compare`: `months`, `every`.

    Returns
    -------
    Surface
        Every point with what it gains (in the unit of the objective) and the chance that it is the best, the best one,
        and the refined one.

    Raises
    ------
    InputError
        If there is no axis, or sequences are to be refined, which is done for first lines only.

    Examples
    --------
    >>> from perdure import Arm, Sizes, give, infuse, measures, search
    >>> from perdure.trials.search import Axis
    >>> def arm(start):
    ...     return Arm("", infuse("ide_cel") + give("lenalidomide", start=start, months=3))
    >>> axes, sizes = [Axis("start", "days", (14.0, 60.0))], Sizes(patients=20, draws=2, patients_per_draw=10)
    >>> surface = search(Arm("alone", "ide-cel"), arm, axes, measures.RESTRICTED_PFS, sizes=sizes, months=6.0)
    >>> surface.table(lambda point: point.gain.value).shape
    (2,)
    """
    axes = tuple(axes)
    if not axes:
        raise InputError("search: axes = (); give at least one thing to vary.")
    if refine and line != 1:
        raise InputError(f"search: refine = {refine} with sequences; give 0, and more points on the axes.")
    places = list(product(*(axis.values for axis in axes)))
    arms = [_named(given(*at), axes, at) for at in places]
    measures = (objective,) if limit is None else (objective, limit.measure)
    calibration, sizes = calibration or read_calibration(), sizes or Sizes()
    comparison = compare((reference, *arms), calibration, measures=measures, line=line, sizes=sizes, **how)
    allowed = [_allowed(comparison, arm.name, limit) for arm in arms]
    drawn = np.array([comparison.draws_of(arm.name, objective, reference.name) for arm in arms])
    ranked = np.where(np.array(allowed)[:, None] & np.isfinite(drawn), drawn, -np.inf)
    first = ranked.argmax(axis=0)
    points = tuple(
        Point(
            at, comparison.gain(arm.name, objective), comparison.chance(arm.name, objective),
            float(np.mean((first == i) & np.isfinite(ranked[i]))),
            comparison.estimate(arm.name, limit.measure) if limit else None, allowed[i],
        )
        for i, (at, arm) in enumerate(zip(places, arms, strict=True))
    )  # fmt: skip
    possible = [point for point in points if point.allowed and not math.isnan(point.gain.value)]
    best = max(possible, key=lambda point: point.gain.value, default=None)
    refined, more = None, 0
    if best is not None and refine:
        refined, more = _compass(
            reference, given, axes, objective, calibration, limit, best, refine, sizes, how
        )  # fmt: skip
    return Surface(axes, objective, limit, comparison, points, best, refined, len(arms) + 1 + more)


def _named(arm: Arm, axes: Sequence[Axis], at: Sequence[Value]) -> Arm:
    return Arm(point_name(axes, at), arm.given, arm.population, arm.change, arm.from_infusion)


def point_name(axes: Sequence[Axis], at: Sequence[Value]) -> str:
    """A point in words: 'start 30 days, dose 10 mg'."""
    parts = (
        f"{axis.name} {value:g} {axis.unit}".rstrip() if isinstance(value, int | float) else f"{axis.name} {value}"
        for axis, value in zip(axes, at, strict=True)
    )
    return ", ".join(parts)


def _allowed(comparison: Comparison, arm: str, limit: Limit | None) -> bool:
    if limit is None:
        return True
    kept = comparison.draws_of(arm, limit.measure) <= limit.at_most
    return comparison.estimate(arm, limit.measure).value <= limit.at_most and float(np.mean(kept)) >= limit.sure


def _compass(
    reference: Arm, given: Callable[..., Arm], axes: Sequence[Axis], objective: Measure, calibration: Calibration,
    limit: Limit | None, best: Point, rounds: int, sizes: Sizes, how: dict[str, Any],
) -> tuple[tuple[tuple[Value, ...], float] | None, int]:  # fmt: skip
    """Steps half as long in every round, along every axis of numbers, within the grid; at the estimate."""
    parameters = calibration.parameters()
    own = {name: how[name] for name in ("months", "every") if name in how}
    own |= {"patients": sizes.patients, "seed": sizes.seed, "solver": Solver(rtol=1e-5), "keep_courses": False}
    known: dict[tuple[Value, ...], float] = {}

    def value(at: tuple[Value, ...]) -> float:
        if at not in known:
            treated = treat(given(*at), line=1, parameters=parameters, **own)
            fine = limit is None or limit.measure.read(treated) <= limit.at_most
            known[at] = objective.read(treated) if fine else -math.inf
        return known[at]

    base = objective.read(treat(reference, line=1, parameters=parameters, **own))
    here, steps = best.at, [_step(axis) for axis in axes]
    top = value(here)
    for _ in range(rounds):
        steps = [0.5 * step for step in steps]
        for at in _neighbours(axes, here, steps):
            if value(at) > top:
                here, top = at, value(at)
    return ((here, top - base) if here != best.at else None), len(known) + 1


def _step(axis: Axis) -> float:
    numbers = [float(value) for value in axis.values] if axis.is_number else []
    return float(np.min(np.diff(numbers))) if len(numbers) > 1 else 0.0


def _neighbours(
    axes: Sequence[Axis], here: tuple[Value, ...], steps: Sequence[float]
) -> list[tuple[Value, ...]]:  # fmt: skip
    neighbours = []
    for i, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        if not step:
            continue
        low, high = float(axis.values[0]), float(axis.values[-1])
        for sign in (-1.0, 1.0):
            moved = min(max(float(here[i]) + sign * step, low), high)
            if moved != here[i]:
                neighbours.append((*here[:i], moved, *here[i + 1 :]))
    return neighbours
