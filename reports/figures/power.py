"""Power and assurance against the number of patients, and the true effect over posterior draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from . import style
from .checks import FloatArray, Numbers, check_rising, check_some, check_within, numbers
from .picture import Picture
from .style import BLUE, DARK_GREY, GREY, SMALL_SIZE, VERMILLION, house_style, number_text, text_height, wrapped

_LEFT, _ACROSS, _TOP, _BELOW, _KEY_ROW, _LOW = 0.75, 5.6, 0.5, 0.5, 0.165, 1.7  # inches

Size = tuple[float, float, float]
Key = Sequence[Line2D | Patch]


@dataclass(frozen=True, eq=False)
class PowerSpec:
    """Shares of successful trials (0 to 1) against patients.

    `sizes, power, low, high` are at the estimate, with the Monte-Carlo interval of every point; `line_sizes, line` are
    the smoothed curve.
    """

    sizes: Numbers
    power: Numbers
    low: Numbers
    high: Numbers
    line_sizes: Numbers
    line: Numbers

    def __post_init__(self) -> None:
        _check_points("power curve", self.sizes, power=self.power, low=self.low, high=self.high)
        _check_points("smoothed power curve", self.line_sizes, line=self.line)


@dataclass(frozen=True, eq=False)
class AssuranceSpec:
    """Probability of success (0 to 1) over posterior draws against patients.

    `low, high` are the Monte-Carlo interval of the assurance, `spread_low, spread_high` hold the power in the central
    95 % of the posterior draws.
    """

    sizes: Numbers
    assurance: Numbers
    low: Numbers
    high: Numbers
    spread_low: Numbers
    spread_high: Numbers

    def __post_init__(self) -> None:
        _check_points(
            "assurance", self.sizes, assurance=self.assurance, low=self.low, high=self.high,
            spread_low=self.spread_low, spread_high=self.spread_high,
        )  # fmt: skip


def power_picture(
    power: PowerSpec,
    assurance: AssuranceSpec | None = None,
    *,
    target: float,
    planned: int,
    size: Size | None = None,
    name: str = "power",
    title: str = "Probability of success (simulated trials)",
    note: str = "",
) -> Picture:
    """The power curve at the estimate, and the assurance over posterior draws, on one set of axes.

    `target` is the power that is wanted (0 to 1), `planned` the patients that are planned, and `size` at how many the
    smoothed curve reaches the target, with its interval; not finite where it does not.
    """
    check_within(np.array([target]), 0.0, 1.0, "target", f"picture {name}")
    with house_style():
        edge = 1.04 * float(max([*power.sizes, *power.line_sizes, *(assurance.sizes if assurance else ()), planned]))
        shown = size is not None and size[1] < edge  # where all of its interval lies beyond, there is nothing to draw
        figure, axes = _frame(title, note, _power_key(target, planned, assurance is not None, shown), 3.1)
        axes.set_xlim(0, edge)
        axes.set_ylim(0, 104)
        axes.set_xlabel("Patients in the trial")
        axes.set_ylabel("Successful trials (%)")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.grid(axis="y")
        axes.axhline(100 * target, color=GREY, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
        axes.axvline(planned, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1.5)
        if assurance is not None:
            _draw_assurance(axes, assurance)
        axes.plot(power.line_sizes, _percent(power.line), color=BLUE, linewidth=1.8, zorder=3)
        _whiskers(axes, power.sizes, power.power, power.low, power.high, BLUE, "o")
        if size is not None:
            _draw_size(axes, size, target)
    alt = _power_alt(title, power, assurance, target, size)
    return Picture(name=name, title=title, alt=alt, figure=figure, table=_power_table(power, assurance, size))


def effect_picture_of_draws(
    draws: Numbers,
    *,
    estimate: float,
    none: float,
    more_is_better: bool,
    x_label: str,
    name: str = "true_effect",
    title: str = "True effect over posterior draws",
    note: str = "",
) -> Picture:
    """Every posterior draw as a dot, stacked where they meet, with no effect and the estimate as lines.

    `none` is the value of no effect: 0 for a difference, 1 for a ratio; `more_is_better` says on which side of it the
    arm is better than the reference.
    """
    values = numbers(draws, "draws", f"picture {name}", finite=True)
    check_some(values, "draws", f"picture {name}")
    better = values > none if more_is_better else values < none
    share = 100 * float(better.mean())
    low, median, high = np.percentile(values, [2.5, 50.0, 97.5])
    edge = 0.06 * float(max(np.abs(values - none).max(), abs(estimate - none), 1e-9))
    left, right = min(values.min(), none, estimate) - edge, max(values.max(), none, estimate) + edge
    with house_style():
        figure, axes = _frame(title, note, _effect_key(share), _LOW)
        places, heights, width = _stacked(values, left, right)
        tallest = max(int(heights.max()) + 1, 6)
        axes.set_xlim(left, right)
        axes.set_ylim(0, tallest * 1.12)
        axes.set_xlabel(x_label)
        axes.set_ylabel("Posterior draws")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.axvspan(none, right if more_is_better else left, color=BLUE, alpha=0.07, linewidth=0, zorder=0)
        axes.axvline(none, color=DARK_GREY, linewidth=1.0, zorder=2)
        axes.axvline(estimate, color=VERMILLION, linewidth=1.4, linestyle=(0, (7, 2)), zorder=2)
        size = min(_ACROSS * 72 * width / (right - left), _LOW * 72 / (tallest * 1.12)) * 0.86
        for which, fill in ((better, BLUE), (~better, "white")):
            axes.plot(
                places[which], heights[which] + 0.5, linestyle="none", marker="o", markersize=size, color=BLUE,
                markerfacecolor=fill, markeredgewidth=0.9, zorder=3,
            )  # fmt: skip
        axes.plot([low, high], [tallest * 1.06] * 2, color=BLUE, linewidth=1.6, zorder=3, clip_on=False)
        axes.plot([median], [tallest * 1.06], marker="|", markersize=9, color=BLUE, markeredgewidth=1.6, zorder=3)
    words = f"{number_text(float(median))}, central 95 % {number_text(float(low))} to {number_text(float(high))}"
    alt = (
        f"{title}. {values.size} posterior draws as dots along {x_label}: median {words}; {number_text(estimate)} at "
        f"the estimate. {share:.0f} % of the draws are better than no effect ({number_text(none)})."
    )
    table = {
        "draw": [*range(values.size), None], "effect": [*map(float, values), float(estimate)],
        "better": [*map(bool, better), estimate > none if more_is_better else estimate < none],
        "what": ["posterior draw"] * values.size + ["at the estimate"],
    }  # fmt: skip
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _check_points(what: str, sizes: Numbers, **shares: Numbers) -> None:
    where = check_rising(numbers(sizes, "sizes", what, finite=True), "sizes", what)
    check_some(where, "sizes", what)
    for name, values in shares.items():
        check_within(numbers(values, name, what, like=where, finite=True), 0.0, 1.0, name, what)


def _frame(title: str, note: str, key: Key, down: float) -> tuple[Figure, Axes]:
    """Figure and axes of so many inches, with title, key and note in place."""
    width = _LEFT + _ACROSS + 0.25
    words = wrapped(note, width - 0.3, SMALL_SIZE) if note else ""
    top = _TOP + down + _BELOW
    end = top + _KEY_ROW * len(key) + 0.1
    figure = style.new_figure(width, end + (text_height(words, SMALL_SIZE) + 0.1 if words else 0.0))
    style.draw_title(figure, title)
    if words:
        style.text_at(figure, 0.12, end, words, linespacing=1.2)
    figure.legend(
        handles=list(key), loc="upper left", bbox_to_anchor=(0.07 / width, 1 - top / figure.get_figheight()),
        borderaxespad=0, handlelength=2.8, labelspacing=0.4, labelcolor=DARK_GREY,
    )  # fmt: skip
    return figure, style.axes_at(figure, _LEFT, _TOP, _ACROSS, down)


def _percent(values: Numbers) -> FloatArray:
    return 100.0 * np.asarray(values, dtype=float)


def _whiskers(
    axes: Axes, sizes: Numbers, values: Numbers, low: Numbers, high: Numbers, colour: str, marker: str
) -> None:
    """Points with their Monte-Carlo intervals: thin, with caps."""
    middle = _percent(values)
    arms = np.maximum([middle - _percent(low), _percent(high) - middle], 0.0)
    axes.errorbar(
        np.asarray(sizes, dtype=float), middle, yerr=arms, fmt=marker, color=colour, markersize=4.5,
        markerfacecolor="white", elinewidth=0.9, capsize=2.5, capthick=0.9, zorder=4,
    )  # fmt: skip


def _draw_assurance(axes: Axes, assurance_spec: AssuranceSpec) -> None:
    axes.fill_between(
        np.asarray(assurance_spec.sizes, float), _percent(assurance_spec.spread_low),
        _percent(assurance_spec.spread_high), color=VERMILLION, alpha=0.15, linewidth=0, zorder=1,
    )  # fmt: skip
    axes.plot(
        assurance_spec.sizes,
        _percent(assurance_spec.assurance),
        color=VERMILLION,
        linewidth=1.6,
        linestyle=(0, (7, 2)),
        zorder=3,
    )
    _whiskers(
        axes, assurance_spec.sizes, assurance_spec.assurance, assurance_spec.low, assurance_spec.high, VERMILLION, "s"
    )


def _draw_size(axes: Axes, size: Size, target: float) -> None:
    value, low, high = size
    edge = axes.get_xlim()[1]
    if math.isfinite(low) and low < edge:
        axes.plot([low, min(high, edge)], [100 * target] * 2, color=DARK_GREY, linewidth=2.4, zorder=5)
        if high > edge:
            axes.plot([edge], [100 * target], marker=">", color=DARK_GREY, markersize=5, clip_on=False, zorder=5)
    if math.isfinite(value) and value <= edge:
        axes.plot([value], [100 * target], marker="D", color=DARK_GREY, markersize=5.5, zorder=6)


def _power_key(target: float, planned: int, assured: bool, sized: bool) -> Key:
    thin: dict[str, Any] = {"linewidth": 0.9, "markersize": 4.5}
    key: list[Any] = [
        Line2D([], [], color=BLUE, marker="o", markerfacecolor="white", **thin,
               label="Power at the estimate; whisker: 95 % Monte-Carlo interval of the number of simulated trials"),
        Line2D([], [], color=BLUE, linewidth=1.8, label="The same, smoothed: probit in the square root of patients"),
    ]  # fmt: skip
    if assured:
        key += [
            Line2D([], [], color=VERMILLION, marker="s", markerfacecolor="white", linestyle=(0, (7, 2)), **thin,
                   label="Assurance: mean over posterior draws; whisker: its 95 % Monte-Carlo interval"),
            Patch(color=VERMILLION, alpha=0.15, linewidth=0,
                  label="Band: power in the central 95 % of posterior draws (uncertainty about parameters)"),
        ]  # fmt: skip
    if sized:
        key.append(
            Line2D([], [], color=DARK_GREY, linewidth=2.4, marker="D", markersize=5.5,
                   label=f"Size with {100 * target:g} % power, with the 95 % Monte-Carlo interval of that size")
        )  # fmt: skip
    words = f"{100 * target:g} % power (dashed) and {planned} planned patients (dotted)"
    return [*key, Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (5, 3)), label=words)]


def _effect_key(share: float) -> Key:
    return [
        Line2D([], [], color=BLUE, linestyle="none", marker="o",
               label=f"One posterior draw in which the arm is better than the reference ({share:.0f} %, shaded)"),
        Line2D([], [], color=BLUE, linestyle="none", marker="o", markerfacecolor="white",
               label="One in which it is not"),
        Line2D([], [], color=BLUE, linewidth=1.6, marker="|", markersize=9,
               label="Median and central 95 % of the draws (uncertainty about parameters)"),
        Line2D([], [], color=VERMILLION, linewidth=1.4, linestyle=(0, (7, 2)), label="At the estimate"),
        Line2D([], [], color=DARK_GREY, linewidth=1.0, label="No effect"),
    ]  # fmt: skip


def _stacked(values: FloatArray, left: float, right: float) -> tuple[FloatArray, FloatArray, float]:
    """Centre of the column of each value, how many lie below it there, and the width of a column."""
    width = (right - left) / 40
    column = np.floor((values - left) / width)
    heights = np.zeros(values.size)
    for index in np.unique(column):
        here = np.flatnonzero(column == index)
        heights[here[np.argsort(values[here])]] = np.arange(here.size)
    return left + (column + 0.5) * width, heights, width


def _power_alt(title: str, power: PowerSpec, assurance: AssuranceSpec | None, target: float, size: Size | None) -> str:
    def listed(sizes: Numbers, shares: Numbers) -> str:
        return ", ".join(f"{100 * s:.0f} % with {n:.0f}" for n, s in zip(sizes, shares, strict=True))

    words = [f"{title}. Power at the estimate by patients: {listed(power.sizes, power.power)}."]
    if assurance is not None:
        words.append(f"Assurance over posterior draws: {listed(assurance.sizes, assurance.assurance)}.")
    if size is not None:
        value, low, high = map(number_text, size)
        words.append(f"{100 * target:g} % power with {value} patients ({low} to {high}).")
    return " ".join(words)


def _power_table(power: PowerSpec, a: AssuranceSpec | None, size: Size | None) -> dict[str, list[object]]:
    rows: list[tuple[object, ...]] = [
        ("power", *map(float, row)) for row in zip(power.sizes, power.power, power.low, power.high, strict=True)
    ]
    smooth = zip(power.line_sizes, power.line, strict=True)
    rows += [("smoothed power", float(n), float(p), None, None) for n, p in smooth]
    if a is not None:
        rows += [("assurance", *map(float, row)) for row in zip(a.sizes, a.assurance, a.low, a.high, strict=True)]
        rows += [
            ("power over draws, central 95 %", float(n), None, float(low), float(high))
            for n, low, high in zip(a.sizes, a.spread_low, a.spread_high, strict=True)
        ]
    if size is not None:
        rows.append(("size with the power wanted", None, *map(float, size)))
    return {key: [row[k] for row in rows] for k, key in enumerate(("quantity", "patients", "value", "low", "high"))}
