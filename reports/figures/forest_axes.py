"""What forest plots share: their axis, intervals that may leave it, the key below. All heights in inches."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from .labels import number_text
from .style import DARK_GREY, SMALL_SIZE

KEY_ROW = 0.17


def padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Limits of an axis with a margin; of finite values only, and of positive ones if it is logarithmic."""
    kept = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    low, high = min(kept, default=1.0), max(kept, default=10.0)
    if log:
        margin = max(1.15, (high / low) ** 0.06)
        return low / margin, high * margin
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def set_axes(axes: Axes, limits: tuple[float, float], log: bool, down: float) -> None:
    """A value axis below, and nothing but inches from the top as the other one."""
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(log_ticks(*limits)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212")))
    axes.set_xlim(*limits)
    axes.set_ylim(down, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis: whole decades if there are four of them, finer steps if not."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), tuple(range(1, 10)))
    for factors in steps:
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 4:
            return ticks
    return [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def draw_interval(
    axes: Axes, interval: tuple[float, float], at: float, colour: str, *, width: float = 1.6, dashed: bool = False
) -> None:
    """A line between two limits; an arrow head where a limit is not reached or lies beyond the axis."""
    low, high = interval
    left, right = axes.get_xlim()
    if not (math.isfinite(low) or math.isfinite(high)):
        return
    open_left, open_right = not low >= left, not high <= right
    ends = [left if open_left else low, right if open_right else high]
    axes.plot(ends, [at, at], color=colour, linewidth=width, linestyle=(0, (3, 1.5)) if dashed else "-", zorder=2)
    for is_open, end, marker in ((open_left, left, "<"), (open_right, right, ">")):
        if is_open:
            axes.plot([end], [at], marker=marker, color=colour, markersize=4.5, clip_on=False, zorder=2)


def draw_point(
    axes: Axes, value: float, at: float, colour: str, marker: str, *, filled: bool, size: float = 5.0
) -> None:
    """The estimate; NR at the right edge where it was not reached."""
    left, right = axes.get_xlim()
    if math.isinf(value):
        axes.annotate("NR", (right, at), (4, 0), textcoords="offset points", va="center", fontsize=6.5, color=colour)
    elif math.isfinite(value):
        axes.plot(
            [min(max(value, left), right)],
            [at],
            marker=marker,
            markersize=size,
            color=colour,
            markerfacecolor=colour if filled else "white",
            markeredgewidth=1.2,
            linestyle="none",
            clip_on=False,
            zorder=4,
        )


def place_key(figure: Figure, key: Sequence[Line2D], top: float) -> None:
    """One line for each kind of mark, from so many inches below the upper edge."""
    figure.legend(
        handles=list(key),
        loc="upper left",
        bbox_to_anchor=(0.07 / figure.get_figwidth(), 1 - top / figure.get_figheight()),
        borderaxespad=0,
        handlelength=2.6,
        labelspacing=0.35,
        labelcolor=DARK_GREY,
        fontsize=SMALL_SIZE,
    )
