"""Whether a model describes a user's patients: observed and predicted, residuals, predictive check, deviations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from scipy.special import ndtr

from .checks import FloatArray, check_some
from .labels import number_text
from .own_patients import KindToDraw, scale
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

_LEFT, _SIDE, _STEP, _TOP, _ROW = 0.75, 2.3, 3.35, 0.95, 3.0  # inches
_FORBIDDEN = text_colour(VERMILLION)


@dataclass(frozen=True, eq=False)
class PointsToDraw:
    """All measurements of one kind: arrays (n,); where `below`, the value is the limit, and the residual is one drawn
    from what lies below it.
    """

    kind: KindToDraw
    subject: Sequence[str]
    day: FloatArray
    value: FloatArray
    below: FloatArray
    individual: FloatArray
    typical: FloatArray
    residual: FloatArray


@dataclass(frozen=True, eq=False)
class CheckToDraw:
    """Visual predictive check of one kind, by bin of time.

    Attributes
    ----------
    day : array (bins,)
        Median day of each bin.
    observed : array (3, bins)
        5th, 50th and 95th percentile of the measurements, NaN where it lies below the limit.
    low, high : arrays (3, bins)
        Central 95 % of the same percentiles over simulated data sets.
    below, below_low, below_high : arrays (bins,)
        Share below the limit: observed, and central 95 % of the simulated shares.
    points_day, points_value : arrays (n,)
        The measurements above the limit.
    limit
        Largest limit of the assay; NaN if nothing lies below one.
    """

    kind: KindToDraw
    day: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    below: FloatArray
    below_low: FloatArray
    below_high: FloatArray
    points_day: FloatArray
    points_value: FloatArray
    limit: float


def observed_picture(points: Sequence[PointsToDraw], *, name: str = "observed_predicted") -> Picture:
    """Measurements against the prediction for a typical patient (left) and for the patient (right), a row per kind."""
    check_some(points, "kinds", f"picture {name}")
    title = "Observed against predicted"
    with house_style():
        figure = new_figure(2 * _STEP + 0.1, _TOP + len(points) * _ROW)
        draw_title(figure, title)
        words = "● measured    ▽ below the limit, drawn at the limit    line: observed = predicted"
        text_at(figure, 0.12, 0.36, words)
        for row, one in enumerate(points):
            both = np.concatenate([one.value, one.individual, one.typical])
            both, kind = both[np.isfinite(both) & (both > 0)], replace(one.kind, log=True)
            seen = one.value[one.value > 0]
            low = 0.1 * float(seen.min()) if seen.size else 0.1
            for column, (words, predicted) in enumerate(
                (("typical patient", one.typical), ("this patient", one.individual))
            ):
                axes = axes_at(figure, _LEFT + column * _STEP, _TOP + row * _ROW, _SIDE, _SIDE)
                axes.set_title(f"{one.kind.label}, {words}")
                for which in ("x", "y"):
                    scale(axes, kind, low, float(both.max(initial=1.0)), which=which)
                axes.axline((low, low), (2 * low, 2 * low), color=GREY, linewidth=1.0, zorder=1)
                _marks(axes, np.maximum(predicted, 1.1 * low), one.value, one.below)
                axes.set_xlabel(f"Predicted ({one.kind.unit})")
                axes.set_ylabel(f"Observed ({one.kind.unit})")
    return Picture(name, title, f"{title}. {_words(points)}", figure, _points_table(points))


def residual_picture(points: Sequence[PointsToDraw], *, name: str = "residuals") -> Picture:
    """Individual weighted residuals against time (left) and against the prediction (right), a row per kind."""
    check_some(points, "kinds", f"picture {name}")
    title = "Residuals, in standard deviations of the residual error"
    with house_style():
        figure = new_figure(2 * _STEP + 0.1, _TOP + len(points) * _ROW)
        draw_title(figure, title)
        words = "● measured    ▽ below the limit: drawn at random from what lies below it    - - 95 % of a normal"
        text_at(figure, 0.12, 0.36, words)
        for row, one in enumerate(points):
            largest = max(3.0, float(np.nanmax(np.abs(one.residual), initial=0.0)) * 1.1)
            for column in (0, 1):
                axes = axes_at(figure, _LEFT + column * _STEP, _TOP + row * _ROW, _SIDE, _SIDE)
                axes.set_title(f"{one.kind.label}")
                for at, dashes in ((0.0, "-"), (1.96, (0, (5, 3))), (-1.96, (0, (5, 3)))):
                    axes.axhline(at, color=GREY, linewidth=0.9, linestyle=dashes, zorder=1)
                axes.set_ylabel("Residual (SD)")
                axes.set_xlabel("Days since infusion" if column == 0 else f"Predicted ({one.kind.unit})")
                x = np.maximum(one.day, 0.0) if column == 0 else one.individual
                if column == 1 and one.kind.log:
                    lowest = max(float(x[x > 0].min(initial=1.0)), float(x.max(initial=1.0)) / 1e6)
                    scale(axes, one.kind, 0.7 * lowest, float(x.max(initial=1.0)), which="x")
                    x = np.maximum(x, 0.7 * lowest)
                _marks(axes, x, one.residual, one.below)
                axes.set_ylim(-largest, largest)
    return Picture(name, title, f"{title}. {_words(points)}", figure, _points_table(points))


def _marks(axes: Axes, x: FloatArray, y: FloatArray, below: FloatArray) -> None:
    hidden = np.asarray(below, dtype=bool)
    axes.plot(x[~hidden], y[~hidden], "o", color=BLUE, markersize=3.5, alpha=0.75, markeredgewidth=0)
    axes.plot(x[hidden], y[hidden], "v", color=_FORBIDDEN, markerfacecolor="none", markersize=4)


def _words(points: Sequence[PointsToDraw]) -> str:
    told = []
    for one in points:
        seen = ~np.asarray(one.below, dtype=bool)
        mean, sd = float(np.mean(one.residual)), float(np.std(one.residual))
        told.append(
            f"{one.kind.label}: {int(seen.sum())} measurements and {int((~seen).sum())} below the limit in "
            f"{len(set(one.subject))} patients; residuals with mean {number_text(mean)} and SD {number_text(sd)}."
        )
    return " ".join(told)


def _points_table(points: Sequence[PointsToDraw]) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {
        key: [] for key in ("subject", "kind", "day", "value", "below_limit", "individual", "typical", "residual")
    }
    for one in points:
        rows = zip(
            one.subject, [one.kind.key] * len(one.day), one.day, one.value, np.asarray(one.below, dtype=bool),
            one.individual, one.typical, one.residual, strict=True,
        )  # fmt: skip
        for row in rows:
            for key, cell in zip(table, row, strict=True):
                table[key].append(cell)
    return table


def check_picture(checks: Sequence[CheckToDraw], *, name: str = "predictive_check", note: str = "") -> Picture:
    """Visual predictive check: percentiles of the measurements over simulated bands, and the share below the limit."""
    check_some(checks, "kinds", f"picture {name}")
    title = "Visual predictive check"
    across, right = 4.3, 1.25
    with house_style():
        figure = new_figure(_LEFT + across + right, _TOP + len(checks) * 3.75 + 0.2)
        draw_title(figure, title)
        words = "● measured    lines: 5, 50 and 95 % of the measurements    bands: 95 % of simulated data sets"
        text_at(figure, 0.12, 0.36, f"{words}\n{note}")
        for row, check in enumerate(checks):
            top = _TOP + row * 3.75
            axes = axes_at(figure, _LEFT, top, across, 2.0)
            axes.set_title(f"{check.kind.label} ({check.kind.unit})")
            _draw_check(axes, check)
            lower = axes_at(figure, _LEFT, top + 2.2, across, 0.75, sharex=axes)
            lower.fill_between(check.day, check.below_low, check.below_high, color=LIGHT_GREY, linewidth=0)
            lower.plot(check.day, check.below, color=_FORBIDDEN, marker="v", markersize=3.5, linewidth=1.2)
            lower.set_ylim(-0.03, 1.03)
            lower.set_ylabel("Share below\nthe limit", fontsize=SMALL_SIZE)
            lower.set_xlabel("Days since infusion")
            axes.tick_params(labelbottom=False)
    told = [_check_words(check) for check in checks]
    return Picture(name, title, f"{title}. {' '.join(told)}", figure, _check_table(checks))


def _draw_check(axes: Axes, check: CheckToDraw) -> None:
    every = np.concatenate([check.points_value, check.high.ravel(), check.observed.ravel()])
    every = every[np.isfinite(every) & (every > 0)]
    limit = check.limit if np.isfinite(check.limit) else np.inf
    lowest = min(float(every.min(initial=1.0)), limit)
    low = 0.5 * max(lowest, float(every.max(initial=1.0)) / 1e6)
    scale(axes, check.kind, low, float(every.max(initial=1.0)))
    looks = ((GREY, (0, (5, 2)), "5 %"), (BLUE, "-", "50 %"), (GREY, (0, (5, 2)), "95 %"))
    for k, (colour, dashes, words) in enumerate(looks):
        floor = np.where(np.isfinite(check.low[k]), check.low[k], low if check.kind.log else 0.0)
        axes.fill_between(check.day, floor, check.high[k], color=colour, alpha=0.22, linewidth=0)
        axes.plot(check.day, check.observed[k], color=text_colour(colour), linestyle=dashes, linewidth=1.6)
        seen = np.flatnonzero(np.isfinite(check.observed[k]))
        if seen.size:
            axes.annotate(
                words, (check.day[seen[-1]], check.observed[k][seen[-1]]), xytext=(5, (-7, 0, 7)[k]),
                textcoords="offset points", va="center", fontsize=SMALL_SIZE, color=text_colour(colour),
            )  # fmt: skip
    axes.plot(
        np.maximum(check.points_day, 0), check.points_value, "o", color=BLACK, markersize=2.5, alpha=0.5,
        markeredgewidth=0,
    )  # fmt: skip
    if np.isfinite(check.limit):
        axes.axhline(check.limit, color=_FORBIDDEN, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            "limit", (1.0, check.limit), xycoords=("axes fraction", "data"), xytext=(3, -9),
            textcoords="offset points", va="center", fontsize=SMALL_SIZE, color=_FORBIDDEN,
        )  # fmt: skip


def _check_words(check: CheckToDraw) -> str:
    seen = np.isfinite(check.observed)
    inside = (check.observed >= np.nan_to_num(check.low)) & (check.observed <= check.high)
    return (
        f"{check.kind.label}: {int((inside & seen).sum())} of {int(seen.sum())} observed percentiles lie within the "
        f"bands of simulated data sets."
    )


def _check_table(checks: Sequence[CheckToDraw]) -> dict[str, list[object]]:
    heads = ("kind", "day", "what", "observed", "simulated_low", "simulated_high")
    table: dict[str, list[object]] = {head: [] for head in heads}
    for check in checks:
        for k, day in enumerate(check.day):
            three = zip(("p5", "p50", "p95"), check.observed[:, k], check.low[:, k], check.high[:, k], strict=True)
            rows = [*three, ("share below the limit", check.below[k], check.below_low[k], check.below_high[k])]
            for row in rows:
                for key, cell in zip(table, (check.kind.key, day, *row), strict=True):
                    table[key].append(cell)
    return table


def deviations_picture(
    deviations: Mapping[str, FloatArray], shrinkage: Mapping[str, float], *, name: str = "deviations"
) -> Picture:
    """Deviation of every patient from the typical one, a row per parameter, in SDs of the population.

    Parameters
    ----------
    deviations : mapping of arrays (patients,)
        By parameter.
    shrinkage
        Share by which the deviations are narrower than the population, by parameter; NaN for a single patient.
    """
    check_some(deviations, "parameters", f"picture {name}")
    title = "Deviations of the patients from the typical patient"
    step, across, left = 0.5, 3.6, 1.9
    with house_style():
        figure = new_figure(left + across + 1.5, _TOP + step * len(deviations) + 0.5)
        draw_title(figure, title)
        text_at(figure, 0.12, 0.36, "● one patient    hill: between patients of the population    right: shrinkage")
        axes = axes_at(figure, left, _TOP - 0.2, across, step * len(deviations))
        span = max(3.0, 1.1 * max(float(np.max(np.abs(values))) for values in deviations.values()))
        grid = np.linspace(-span, span, 300)
        hill = np.gradient(ndtr(grid), grid)
        for row, (parameter, values) in enumerate(deviations.items()):
            axes.fill_between(grid, row, row - 0.75 * hill / hill.max(), color=LIGHT_GREY, linewidth=0)
            heights = row - 0.08 - 0.35 * (np.arange(len(values)) % 3) / 2.0  # side by side, so that none hides another
            axes.plot(values, heights, "o", color=BLUE, markersize=4, alpha=0.8, markeredgewidth=0)
            text_at(figure, 0.15, _TOP - 0.2 + step * (row + 0.75), parameter, va="center", color=BLACK)
            share = shrinkage.get(parameter, np.nan)
            words = f"{100 * share:.0f} %" if np.isfinite(share) else "one patient"
            text_at(figure, left + across + 0.12, _TOP - 0.2 + step * (row + 0.75), words, va="center", color=DARK_GREY)
        axes.set_ylim(len(deviations) - 0.8, -1.0)
        axes.set_yticks([])
        axes.set_xlim(-span, span)
        axes.axvline(0.0, color=GREY, linewidth=0.9, zorder=1)
        axes.set_xlabel("Deviation (SD between patients)")
    told = [
        f"{parameter}: from {number_text(float(values.min()))} to {number_text(float(values.max()))}, shrinkage "
        f"{number_text(100 * shrinkage.get(parameter, np.nan))} %."
        for parameter, values in deviations.items()
    ]
    table: dict[str, list[object]] = {"parameter": [], "deviation": [], "shrinkage": []}
    for parameter, values in deviations.items():
        for value in values:
            row = (parameter, float(value), shrinkage.get(parameter, np.nan))
            for key, cell in zip(table, row, strict=True):
                table[key].append(cell)
    return Picture(name, title, f"{title}. {' '.join(told)}", figure, table)
