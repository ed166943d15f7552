"""Whether intervals hold what they say: calibration curve, ranks of simulated truths, and truths found again."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import binom

from ...fitting.validation.leave_out import Coverage
from ...fitting.validation.recovery import LEVELS, Recovery
from ...fitting.validation.simulation_based import Calibrated
from .checks import check_some
from .forest_axes import set_axes
from .labels import text_height, text_width, wrapped
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    LIGHT_GREY,
    SMALL_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
)

_RED = text_colour(VERMILLION)


def coverage_picture(
    curve: Sequence[Coverage],
    *,
    name: str = "calibration_curve",
    title: str = "Calibration curve: nominal against observed coverage",
    note: str = "",
) -> Picture:
    """Share of reports inside central intervals of every nominal level, with the band that calibrated ones stay in.

    The band holds 95 % of binomial counts at each level, for independent reports.
    """
    check_some(curve, "levels", f"picture {name}")
    check_some(range(curve[0].total), "reports", f"picture {name}")
    nominal = np.array([one.level for one in curve])
    share = np.array([one.share for one in curve])
    low, high = _band(nominal, curve[0].total)
    out = (share < low - 1e-12) | (share > high + 1e-12)
    with house_style():
        notes = wrapped(note, 5.4, SMALL_SIZE) if note else ""
        figure = new_figure(5.8, 4.75 + (text_height(notes, SMALL_SIZE) if notes else 0.0))
        draw_title(figure, title)
        axes = axes_at(figure, 0.75, 0.5, 3.5, 3.5)
        axes.fill_between(100 * nominal, 100 * low, 100 * high, color=LIGHT_GREY, linewidth=0)
        axes.plot([0, 100], [0, 100], color=GREY, linewidth=0.9)
        axes.plot(100 * nominal, 100 * share, color=BLUE, marker="o", markersize=3.5, linewidth=1.4)
        axes.plot(100 * nominal[out], 100 * share[out], linestyle="none", marker="D", markersize=5, color=_RED)
        axes.set(xlim=(0, 100), ylim=(0, 100), xlabel="nominal level of the interval, %")
        axes.set_ylabel("reports inside, %")
        for top, text in ((0.7, "above the line:\nintervals too wide"), (3.0, "below the line:\nintervals too narrow")):
            text_at(figure, 4.4, top, text)
        text_at(figure, 4.4, 1.6, f"grey: 95 % of\ncalibrated counts\nof {curve[0].total} reports")
        if notes:
            text_at(figure, 0.12, 4.6, notes, linespacing=1.2)
    told = "; ".join(one.text for one in curve if round(one.level, 2) in (0.5, 0.8, 0.95))
    where = ", ".join(f"{100 * level:.0f} %" for level in nominal[out])
    alt = f"{title}. {told}. " + (f"Outside the binomial band at {where}." if out.any() else "Inside the band.")
    table = {
        "nominal": nominal.tolist(), "inside": [one.inside for one in curve], "reports": [one.total for one in curve],
        "observed": share.tolist(), "band_low": low.tolist(), "band_high": high.tolist(),
    }  # fmt: skip
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _band(level: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares between which 95 % of binomial counts lie."""
    return binom.ppf(0.025, total, level) / total, binom.ppf(0.975, total, level) / total


_PANEL, _DOWN, _GAP, _ROW_GAP, _LEFT = 1.15, 0.72, 0.16, 0.5, 0.62  # inches


def ranks_picture(
    found: Calibrated,
    *,
    shown: int = 30,
    columns: int = 6,
    name: str = "ranks",
    title: str = "Simulation-based calibration: ranks of true values among posterior draws",
) -> Picture:
    """ECDF of the ranks minus that of uniform ranks, with its simultaneous 95 % band (Säilynoja 2022): one panel each.

    The log likelihood and the numbers that are furthest from uniform, by the chi-square test of their rank histograms.
    """
    p_values = found.p_values(_bins(found.draws + 1))
    order = sorted(found.names[:-1], key=lambda one: p_values[one])
    panels = [found.names[-1], *order][:shown]
    low, high = found.band()
    out = found.outside()
    rows = math.ceil(len(panels) / columns)
    with house_style():
        notes = f"{len(found.names) - len(panels)} other numbers are nearer to uniform." if rows else ""
        figure = new_figure(_LEFT + columns * (_PANEL + _GAP) + 0.1, 0.75 + rows * (_DOWN + _ROW_GAP) + 0.45)
        draw_title(figure, title)
        for index, one in enumerate(panels):
            row, column = divmod(index, columns)
            left, top = _LEFT + column * (_PANEL + _GAP), 0.85 + row * (_DOWN + _ROW_GAP)
            axes = axes_at(figure, left, top, _PANEL, _DOWN)
            _draw_ranks(axes, found, one, (low, high), one in out)
            label = wrapped(one, _PANEL + 0.1, SMALL_SIZE - 1)
            colour = _RED if one in out else BLACK
            text_at(figure, left, top - 0.03, label, va="bottom", fontsize=SMALL_SIZE - 1, color=colour)
            if column:
                axes.set_yticklabels([])
            if index + columns >= len(panels):
                axes.set_xlabel("rank", fontsize=SMALL_SIZE)
            else:
                axes.set_xticklabels([])
        text_at(figure, 0.12, 0.75 + rows * (_DOWN + _ROW_GAP) + 0.22, f"ECDF minus uniform; grey: 95 % band. {notes}")
    named = ", ".join(out) or "none"
    alt = (
        f"{title}. {len(found.ranks)} repeats, {found.draws} draws each. {len(out)} of {len(found.names)} quantities "
        f"leave the simultaneous 95 % band: {named}."
    )
    cells = [(one, rank) for one in panels for rank in range(found.draws)]
    ecdf = {one: found.ecdf(one) for one in panels}
    table = {
        "quantity": [one for one, _ in cells], "rank": [rank for _, rank in cells],
        "ecdf": [float(ecdf[one][0][rank]) for one, rank in cells],
        "uniform": [float(ecdf[one][1][rank]) for one, rank in cells],
        "band_low": [float(low[rank]) for _, rank in cells], "band_high": [float(high[rank]) for _, rank in cells],
    }  # fmt: skip
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def _bins(ranks: int) -> int:
    """Bins of the histogram: the divisor of the possible ranks that is nearest to ten."""
    return min((k for k in range(2, ranks + 1) if ranks % k == 0), key=lambda k: abs(k - 10))


def _draw_ranks(
    axes: Axes, found: Calibrated, name: str, band: tuple[np.ndarray, np.ndarray], out: bool
) -> None:  # fmt: skip
    ecdf, uniform = found.ecdf(name)
    ranks = np.arange(found.draws)
    axes.fill_between(ranks, band[0] - uniform, band[1] - uniform, color=LIGHT_GREY, linewidth=0)
    axes.axhline(0.0, color=GREY, linewidth=0.7)
    axes.plot(ranks, ecdf - uniform, color=_RED if out else BLUE, linewidth=1.3)
    most = max(0.3, 1.1 * float(np.abs(ecdf - uniform).max()))
    axes.set(xlim=(0, found.draws), ylim=(-most, most))
    axes.set_yticks([-0.2, 0.0, 0.2], ["\u22120.2", "0", "0.2"])
    axes.tick_params(labelsize=SMALL_SIZE - 1)


_LINE, _ACROSS = 0.17, 1.75  # inches


def recovery_picture(
    found: Recovery,
    *,
    shown: int = 45,
    name: str = "recovery",
    title: str = "Simulate and recover: repeats whose interval held the truth",
) -> Picture:
    """Share of repeats in which the intervals of each number held its true value, beside the band of right intervals.

    Those numbers whose coverage is furthest from nominal, lowest first; all of them are in the table of the picture.
    """
    check_some(found.numbers, "numbers", f"picture {name}")
    level = LEVELS[-1]
    away = sorted(found.numbers, key=lambda one: -abs(one.inside[-1] / found.repeats - level))[:shown]
    rows = sorted(away, key=lambda one: (one.inside[-1], one.inside[0]))
    with house_style():
        left = 0.3 + max(text_width(one.name, SMALL_SIZE) for one in rows)
        down = _LINE * len(rows)
        figure = new_figure(max(left + 2 * (_ACROSS + 0.35) + 0.2, text_width(title, 11, bold=True) + 0.3), down + 1.65)
        draw_title(figure, title)
        for k, nominal in enumerate(LEVELS):
            axes = axes_at(figure, left + k * (_ACROSS + 0.35), 0.75, _ACROSS, down)
            set_axes(axes, (0.0, 100.0), False, down)
            low, high = _band(np.array([nominal]), found.repeats)
            axes.axvspan(100 * low[0], 100 * high[0], color=LIGHT_GREY, linewidth=0)
            axes.axvline(100 * nominal, color=DARK_GREY, linewidth=0.9)
            for row, one in enumerate(rows):
                share = one.inside[k] / found.repeats
                out = not low[0] - 1e-12 <= share <= high[0] + 1e-12
                axes.plot([100 * share], [_LINE * (row + 0.5)], linestyle="none", marker="D" if out else "o",
                          markersize=4, color=_RED if out else BLUE, clip_on=False)  # fmt: skip
            axes.set_title(f"{100 * nominal:.0f} % intervals")
            axes.set_xlabel("repeats inside, %", fontsize=SMALL_SIZE)
        for row, one in enumerate(rows):
            text_at(figure, left - 0.1, 0.75 + _LINE * (row + 0.5), one.name, va="center", ha="right", color=BLACK)
        rest = len(found.numbers) - len(rows)
        words = f"{found.repeats} repeats. Grey: 95 % of counts if intervals are right."
        words += f" {rest} other numbers are nearer to nominal." if rest else ""
        text_at(figure, 0.12, down + 1.4, words)
    total = "; ".join(one.text for one in found.total())
    alt = f"{title}. Over all {len(found.numbers)} numbers: {total}. Lowest: {found.worst.name}, {found.worst.inside}."
    table: dict[str, list[object]] = {"number": [one.name for one in found.numbers]}
    for k, nominal in enumerate(LEVELS):
        table[f"inside_{100 * nominal:.0f}"] = [one.inside[k] for one in found.numbers]
    table["repeats"] = [found.repeats] * len(found.numbers)
    for field in ("bias", "spread", "shrinkage"):
        table[field] = [getattr(one, field) for one in found.numbers]
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)
