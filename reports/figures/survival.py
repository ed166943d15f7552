"""Survival curves with their three kinds of uncertainty kept apart, and the numbers at risk below."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...parameters.errors import InputError, RangeError
from .checks import FloatArray, Numbers, check_rising, check_some, check_within, numbers
from .picture import Picture
from .style import (
    BLACK,
    DARK_GREY,
    GREY,
    LOOKS,
    SMALL_SIZE,
    TEXT_SIZE,
    Look,
    axes_at,
    draw_title,
    house_style,
    look,
    new_figure,
    number_text,
    spread_apart,
    text_at,
    text_colour,
    text_height,
    text_width,
    wrapped,
)

# What a survival picture draws: curves with their bands, reported points, panels.


@dataclass(frozen=True)
class ReportedPoint:
    """A reported survival probability with its interval; fractions of 1, months since the same origin as the curve."""

    months: float
    value: float
    low: float
    high: float
    label: str


@dataclass(frozen=True, eq=False)
class CurveSpec:
    """One survival curve.

    Parameters
    ----------
    times, survival
        The steps: months, rising, and the fraction (0 to 1) still event-free from each of them on.
    at_risk
        Patients still followed just before a time: a function of months, or one count for each of `at_risk_times`.
        Between two of those the count of the later one holds, so give every time at which somebody leaves.
    censor_times
        Months at which patients were censored; a tick each.
    band_times, parameter_low, parameter_high
        What the posterior leaves open about the curve: the filled band.
    sample_low, sample_high
        Sampling error of a trial of `trial_size` patients, also on `band_times`: thin dashed lines.
    median, median_interval
        Months; not a finite number where it is not reached.
    last_patient
        Months at which the last patient left. If not given it follows from `at_risk`, else from the steps and ticks.
    """

    label: str
    times: Numbers
    survival: Numbers
    at_risk: Callable[[FloatArray], Numbers] | Numbers | None = None
    at_risk_times: Numbers | None = None
    censor_times: Numbers = ()
    band_times: Numbers = ()
    parameter_low: Numbers | None = None
    parameter_high: Numbers | None = None
    sample_low: Numbers | None = None
    sample_high: Numbers | None = None
    trial_size: int | None = None
    median: float | None = None
    median_interval: tuple[float, float] | None = None
    reported: Sequence[ReportedPoint] = ()
    last_patient: float | None = None

    def __post_init__(self) -> None:
        where = f"survival curve '{self.label}'"
        times = check_rising(numbers(self.times, "times", where, finite=True), "times", where)
        check_within(times, 0, math.inf, "times", where)
        survival = numbers(self.survival, "survival", where, like=times, finite=True)
        check_within(survival, 0, 1, "survival", where)
        if np.any(np.diff(survival) > 1e-9):
            index = int(np.flatnonzero(np.diff(survival) > 1e-9)[0]) + 1
            raise RangeError(
                f"{where}: survival[{index}] = {survival[index]:g} is above the one before; it cannot rise."
            )
        band_times = check_rising(numbers(self.band_times, "band_times", where, finite=True), "band_times", where)
        for low, high in (("parameter_low", "parameter_high"), ("sample_low", "sample_high")):
            if (getattr(self, low) is None) != (getattr(self, high) is None):
                raise InputError(f"{where}: give {low} and {high} together, or neither.")
            for name in (low, high):
                if getattr(self, name) is not None:
                    check_within(numbers(getattr(self, name), name, where, like=band_times), 0, 1, name, where)
        if self.sample_low is not None and self.trial_size is None:
            raise InputError(f"{where}: sample_low and sample_high need trial_size, the patients of that trial.")
        numbers(self.censor_times, "censor_times", where, finite=True)
        if self.at_risk is not None and not callable(self.at_risk):
            if self.at_risk_times is None:
                raise InputError(f"{where}: at_risk is a row of counts, so at_risk_times must say when.")
            moments = numbers(self.at_risk_times, "at_risk_times", where, finite=True)
            check_rising(moments, "at_risk_times", where)
            numbers(self.at_risk, "at_risk", where, like=moments, finite=True)

    def steps(self, horizon: float) -> tuple[FloatArray, FloatArray]:
        """Months and fractions to draw: from (0, 1) to the last patient or the horizon, whichever comes first."""
        end = min(self.end(), horizon)
        times, survival = np.asarray(self.times, dtype=float), np.asarray(self.survival, dtype=float)
        kept = times <= end
        times, survival = np.append(0.0, times[kept]), np.append(1.0, survival[kept])
        return np.append(times, end), np.append(survival, survival[-1])

    def survival_at(self, months: FloatArray) -> FloatArray:
        """Fraction event-free at each time (the step that holds from that time on)."""
        index = np.searchsorted(np.asarray(self.times, dtype=float), months, side="right")
        return np.append(1.0, np.asarray(self.survival, dtype=float))[index]

    def at_risk_at(self, months: FloatArray) -> FloatArray | None:
        """Patients still followed just before each time; None if the curve came without them."""
        if self.at_risk is None:
            return None
        if callable(self.at_risk):
            return np.asarray(self.at_risk(months), dtype=float)
        index = np.searchsorted(np.asarray(self.at_risk_times, dtype=float), months, side="left")
        return np.append(np.asarray(self.at_risk, dtype=float), 0.0)[index]

    def end(self) -> float:
        """Months at which the last patient left."""
        if self.last_patient is not None:
            return self.last_patient
        moments = np.concatenate([[0.0], np.asarray(self.times, float), np.asarray(self.censor_times, float)])
        if self.at_risk is not None and not callable(self.at_risk):
            moments = np.append(moments, np.asarray(self.at_risk_times, dtype=float))
        counts = self.at_risk_at(moments)
        return float(moments.max() if counts is None else moments[counts > 0].max(initial=0.0))

    def median_text(self) -> str:
        """The median in one line and its interval in the next; empty if none was given."""
        if self.median is None:
            return ""
        words = f"median {_months_text(self.median)}" + (" mo" if math.isfinite(self.median) else "")
        if self.median_interval is not None:
            low, high = self.median_interval
            words += f"\n({_months_text(low)} to {_months_text(high)})"
        return words


@dataclass(frozen=True, eq=False)
class SurvivalPanel:
    """One set of axes of a grid."""

    title: str
    curves: Sequence[CurveSpec]


def _months_text(months: float) -> str:
    return f"{months:.1f}" if math.isfinite(months) else "NR"


# The drawing of survival curves: axes, numbers at risk and the key, placed in inches.


_RIGHT, _DOWN = 1.7, 2.9  # inches: margin for the labels of curves, height of the axes
_RISK_ROOM, _RISK_ROW, _KEY_ROW = 1.5, 0.16, 0.165  # inches: widest label of a row of counts, height of rows


def draw_panels(
    panels: Sequence[SurvivalPanel],
    ticks: FloatArray,
    horizon: float,
    title: str,
    note: str,
    outcome: str,
    origin: str,
    risk_title: str,
) -> Figure:
    """The whole figure; its size follows from the number of panels, curves and lines of the key."""
    per_row = min(2, len(panels))
    rows = math.ceil(len(panels) / per_row)
    across = 4.3 if per_row == 1 else 3.5
    curves = [curve for panel in panels for curve in panel.curves]
    risk_labels = {
        curve.label: wrapped(curve.label, _RISK_ROOM, SMALL_SIZE) for curve in curves if curve.at_risk is not None
    }
    left_margin = max([0.75, *(text_width(text, SMALL_SIZE) + 0.4 for text in risk_labels.values())])
    risk_down = max(_counts_height(panel.curves, risk_labels) for panel in panels)
    panel_title = 0.22 if any(panel.title for panel in panels) else 0.0
    unit_across = left_margin + across + _RIGHT
    unit_down = panel_title + _DOWN + 0.55 + risk_down + 0.12
    markers = _reported_markers(curves)
    key = _key(curves, markers)
    notes = wrapped(note, per_row * unit_across - 0.4, SMALL_SIZE) if note else ""
    key_down = len(key) * _KEY_ROW + 0.15 + (text_height(notes, SMALL_SIZE) + 0.1 if notes else 0.0)
    figure = new_figure(per_row * unit_across, 0.42 + rows * unit_down + key_down)
    draw_title(figure, title)
    for index, panel in enumerate(panels):
        left = (index % per_row) * unit_across + left_margin
        top = 0.42 + (index // per_row) * unit_down + panel_title
        axes = axes_at(figure, left, top, across, _DOWN)
        if panel.title:
            axes.set_title(panel.title)
        _set_axes(axes, ticks, horizon, outcome, origin)
        for number, curve in enumerate(panel.curves):
            _draw_curve(axes, curve, look(number), horizon)
            _draw_reported(axes, curve, look(number), markers, horizon)
        _label_curves(axes, panel.curves, horizon, across)
        if risk_down:
            counts = axes_at(figure, left, top + _DOWN + 0.55, across, risk_down, label="numbers at risk")
            _draw_counts(counts, (across, risk_down), panel.curves, risk_labels, ticks, horizon, risk_title)
    below = 0.42 + rows * unit_down
    figure.legend(
        handles=key,
        loc="upper left",
        bbox_to_anchor=(0.07 / figure.get_figwidth(), 1 - below / figure.get_figheight()),
        borderaxespad=0,
        handlelength=2.6,
        labelspacing=0.35,
        labelcolor=DARK_GREY,
    )
    if notes:
        text_at(figure, 0.12, below + len(key) * _KEY_ROW + 0.12, notes, linespacing=1.2)
    return figure


def _set_axes(axes: Axes, ticks: FloatArray, horizon: float, outcome: str, origin: str) -> None:
    axes.set_xlim(0, horizon)
    axes.set_ylim(0, 102)
    axes.set_xticks(ticks)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y")
    axes.set_xlabel(f"Months since {origin}")
    axes.set_ylabel(f"{outcome} (%)")


def _draw_curve(axes: Axes, curve: CurveSpec, appearance: Look, horizon: float) -> None:
    end = min(curve.end(), horizon)
    moments = np.asarray(curve.band_times, dtype=float)
    # A band that stops between two of its times is cut where the last patient leaves, not a grid point earlier.
    grid = np.append(moments[moments < end], end) if moments.size and moments[-1] >= end else moments
    if curve.parameter_low is not None and curve.parameter_high is not None:
        low, high = (100 * np.interp(grid, moments, values) for values in (curve.parameter_low, curve.parameter_high))
        axes.fill_between(
            grid, low, high, color=appearance.colour, alpha=0.2, linewidth=0, label=f"_band {curve.label}"
        )
    if curve.sample_low is not None and curve.sample_high is not None:
        for values in (curve.sample_low, curve.sample_high):
            line = 100 * np.interp(grid, moments, values)
            axes.plot(grid, line, color=appearance.colour, linewidth=0.8, linestyle=(0, (3, 2.5)), label="_sampling")
    times, survival = curve.steps(horizon)
    axes.step(
        times,
        100 * survival,
        where="post",
        color=appearance.colour,
        linewidth=1.9,
        linestyle=appearance.dashes,
        label=curve.label,
    )
    ticks = np.asarray(curve.censor_times, dtype=float)
    ticks = ticks[ticks <= end]
    if ticks.size:
        axes.plot(
            ticks,
            100 * curve.survival_at(ticks),
            linestyle="none",
            marker="|",
            markersize=6.5,
            markeredgewidth=0.9,
            color=text_colour(appearance.colour),
            label="_censored",
        )


def _reported_markers(curves: Sequence[CurveSpec]) -> dict[str, str]:
    """One marker for each source of reported points, the same in all panels."""
    labels = dict.fromkeys(point.label for curve in curves for point in curve.reported)
    return {label: LOOKS[index % len(LOOKS)].marker for index, label in enumerate(labels)}


def _draw_reported(axes: Axes, curve: CurveSpec, appearance: Look, markers: dict[str, str], horizon: float) -> None:
    for point in curve.reported:
        if point.months > horizon:
            continue
        errors = np.nan_to_num([[max(0.0, point.value - point.low)], [max(0.0, point.high - point.value)]])
        axes.errorbar(
            [point.months],
            [100 * point.value],
            yerr=100 * errors,
            linestyle="none",
            marker=markers[point.label],
            markersize=5,
            markerfacecolor="white",
            color=text_colour(appearance.colour),
            elinewidth=1,
            capsize=2.5,
            zorder=5,
        )


def _label_curves(axes: Axes, curves: Sequence[CurveSpec], horizon: float, across: float) -> None:
    """Labels stand right of the axes; a grey dotted line leads from the end of a curve to its own."""
    texts = []
    for curve in curves:
        words = [wrapped(curve.label, _RIGHT - 0.3, TEXT_SIZE, bold=True)]
        words += [wrapped(curve.median_text(), _RIGHT - 0.3, SMALL_SIZE)] if curve.median_text() else []
        texts.append(words)
    heights = [text_height("\n".join(words), TEXT_SIZE) + 0.06 for words in texts]
    wanted = [curve.steps(horizon)[1][-1] * _DOWN / 1.02 for curve in curves]
    places = spread_apart(wanted, heights, 0.0, _DOWN)
    beside = horizon * (1 + 0.16 / across)
    for number, (curve, words, height, place) in enumerate(zip(curves, texts, heights, places, strict=True)):
        end, last = (values[-1] for values in curve.steps(horizon))
        colour = text_colour(look(number).colour)
        at = place / _DOWN * 102
        axes.plot(
            [end, beside - horizon * 0.01],
            [100 * last, at],
            color=GREY,
            linewidth=0.6,
            linestyle=(0, (1, 2.5)),
            clip_on=False,
            label="_leader",
            zorder=1,
        )
        top = at + (height / 2 - 0.03) / _DOWN * 102
        axes.text(
            beside, top, words[0], color=colour, fontsize=TEXT_SIZE, fontweight="bold", va="top", linespacing=1.15
        )
        if len(words) > 1:
            lower = top - text_height(words[0], TEXT_SIZE) / _DOWN * 102
            axes.text(beside, lower, words[1], color=colour, fontsize=SMALL_SIZE, va="top", linespacing=1.2)


def _counts_height(curves: Sequence[CurveSpec], labels: dict[str, str]) -> float:
    """Inches that the title and the rows of counts need; nothing where there are no counts."""
    rows = [_RISK_ROW * (labels[curve.label].count("\n") + 1) + 0.03 for curve in curves if curve.label in labels]
    return sum(rows) + _RISK_ROW + 0.05 if rows else 0.0


def _draw_counts(
    axes: Axes,
    size: tuple[float, float],
    curves: Sequence[CurveSpec],
    labels: dict[str, str],
    ticks: FloatArray,
    horizon: float,
    risk_title: str,
) -> None:
    """Rows of counts under the ticks of the axes above, each with the label of its curve on the left."""
    across, down = size
    axes.set_axis_off()
    axes.set_xlim(0, horizon)
    axes.set_ylim(down, 0)
    beside = -0.22 / across * horizon
    axes.text(
        beside, _RISK_ROW / 2, risk_title, ha="left", va="center", color=BLACK, fontweight="bold", fontsize=SMALL_SIZE
    )
    at = _RISK_ROW + 0.05
    for number, curve in enumerate(curves):
        counts = curve.at_risk_at(ticks)
        if counts is None:
            continue
        row = _RISK_ROW * (labels[curve.label].count("\n") + 1) + 0.03
        at += row / 2
        colour = text_colour(look(number).colour)
        axes.text(
            beside, at, labels[curve.label], ha="right", va="center", color=colour, fontsize=SMALL_SIZE, linespacing=1.1
        )
        for month, count in zip(ticks, counts, strict=True):
            shade = DARK_GREY if count > 0 else GREY
            axes.text(month, at, f"{count:.0f}", ha="center", va="center", color=shade, fontsize=SMALL_SIZE)
        at += row / 2


def _key(curves: Sequence[CurveSpec], markers: dict[str, str]) -> list[Line2D | Patch]:
    """What each kind of mark means, in words; only kinds that are there."""
    key: list[Line2D | Patch] = [Line2D([], [], color=DARK_GREY, linewidth=1.9, label="Step curve: estimate")]
    if any(curve.parameter_low is not None for curve in curves):
        words = "Filled band: uncertainty about parameters, what the posterior leaves open (95 %)"
        key.append(Patch(color=GREY, alpha=0.3, linewidth=0, label=words))
    sizes: dict[int, list[str]] = {}
    for curve in curves:
        if curve.sample_low is not None and curve.trial_size is not None:
            sizes.setdefault(curve.trial_size, []).append(curve.label)
    if sizes:
        if len(sizes) == 1:
            who = f"a trial of {next(iter(sizes))} patients"
        else:
            who = "a trial of " + ", ".join(
                f"{size} patients ({', '.join(dict.fromkeys(names))})" for size, names in sizes.items()
            )
        words = f"Thin dashed lines: sampling error of {who} (95 %)"
        key.append(Line2D([], [], color=DARK_GREY, linewidth=0.8, linestyle=(0, (3, 2.5)), label=words))
    if any(len(curve.censor_times) for curve in curves):
        key.append(
            Line2D([], [], color=DARK_GREY, marker="|", linestyle="none", markersize=6.5, label="Tick: censored")
        )
    for label, marker in markers.items():
        words = f"Reported, with its interval: {label}"
        key.append(
            Line2D(
                [],
                [],
                color=DARK_GREY,
                marker=marker,
                markerfacecolor="white",
                linestyle="none",
                markersize=5,
                label=words,
            )
        )
    if any(curve.median_interval is not None for curve in curves):
        key.append(
            Line2D(
                [],
                [],
                linestyle="none",
                label="Median with 95 % interval, uncertainty about parameters; NR: not reached",
            )
        )
    return key


__all__ = ["CurveSpec", "ReportedPoint", "SurvivalPanel", "survival_grid", "survival_picture"]


def survival_picture(
    curves: Sequence[CurveSpec],
    *,
    name: str,
    title: str,
    horizon_months: float,
    risk_every_months: float = 6,
    note: str = "",
    outcome: str = "Progression-free survival",
    origin: str = "infusion",
    risk_title: str = "Number at risk",
) -> Picture:
    """Survival curves on one set of axes; see `survival_grid`."""
    panel = SurvivalPanel("", curves)
    return survival_grid(
        (panel,),
        name=name,
        title=title,
        horizon_months=horizon_months,
        risk_every_months=risk_every_months,
        note=note,
        outcome=outcome,
        origin=origin,
        risk_title=risk_title,
    )


def survival_grid(
    panels: Sequence[SurvivalPanel],
    *,
    name: str,
    title: str,
    horizon_months: float,
    risk_every_months: float = 6,
    note: str = "",
    outcome: str = "Progression-free survival",
    origin: str = "infusion",
    risk_title: str = "Number at risk",
) -> Picture:
    """Survival curves on several axes, two in a row, with the same scales.

    Parameters
    ----------
    risk_every_months
        Distance of the ticks and of the numbers at risk.
    outcome, origin
        For the axes: what is survived, and from when months are counted (infusion, randomisation, apheresis).
    risk_title
        Over the numbers at risk; say "Virtual patients at risk" where they are.
    """
    where = f"picture {name}"
    check_some(panels, "panels", where)
    for panel in panels:
        check_some(panel.curves, f"curves in panel '{panel.title}'", where)
    for what, value in (("horizon_months", horizon_months), ("risk_every_months", risk_every_months)):
        if not (math.isfinite(value) and value > 0):
            raise RangeError(f"{where}: {what} = {value}; it must be a positive number of months.")
    ticks = np.arange(0, horizon_months + 1e-9, risk_every_months)
    with house_style():
        figure = draw_panels(panels, ticks, horizon_months, title, note, outcome, origin, risk_title)
    return Picture(
        name=name,
        title=title,
        alt=_alt(panels, title, horizon_months, outcome, origin),
        figure=figure,
        table=_table(panels, ticks, horizon_months),
    )


def _alt(panels: Sequence[SurvivalPanel], title: str, horizon: float, outcome: str, origin: str) -> str:
    sentences = [f"{title}. {outcome} in per cent over {number_text(horizon)} months since {origin}, as step curves."]
    years = np.arange(12.0, horizon + 1e-9, 12.0)
    for panel in panels:
        for curve in panel.curves:
            seen = years[years <= curve.end()]
            values = [
                f"{100 * value:.0f} % at {month:.0f} months"
                for month, value in zip(seen, curve.survival_at(seen), strict=True)
            ]
            words = [
                f"{panel.title}, {curve.label}" if panel.title else curve.label,
                *values,
                curve.median_text().replace("\n", " "),
            ]
            sentences.append(", ".join(word for word in words if word) + ".")
    return " ".join(sentences)


def _table(panels: Sequence[SurvivalPanel], ticks: FloatArray, horizon: float) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        key: [] for key in ("panel", "curve", "quantity", "months", "value", "low", "high")
    }

    def add(
        panel: str, curve: str, quantity: str, months: object, value: object, low: object = None, high: object = None
    ) -> None:
        for key, cell in zip(columns, (panel, curve, quantity, months, value, low, high), strict=True):
            columns[key].append(cell)

    for panel in panels:
        for curve in panel.curves:
            who = (panel.title, curve.label)
            for months, value in zip(*curve.steps(horizon), strict=True):
                add(*who, "survival", float(months), float(value))
            for months in curve.censor_times:
                if months <= min(curve.end(), horizon):
                    add(*who, "censored", float(months), float(curve.survival_at(np.array([months]))[0]))
            bands = (
                ("uncertainty about parameters", curve.parameter_low, curve.parameter_high),
                (f"sampling error of {curve.trial_size} patients", curve.sample_low, curve.sample_high),
            )
            for quantity, low, high in bands:
                if low is not None and high is not None:
                    for months, below, above in zip(curve.band_times, low, high, strict=True):
                        if months <= min(curve.end(), horizon):
                            add(*who, quantity, float(months), None, float(below), float(above))
            counts = curve.at_risk_at(ticks)
            if counts is not None:
                for months, count in zip(ticks, counts, strict=True):
                    add(*who, "number at risk", float(months), float(count))
            if curve.median is not None:
                low, high = curve.median_interval or (None, None)
                add(*who, "median (months)", None, float(curve.median), low, high)
            for point in curve.reported:
                add(*who, f"reported: {point.label}", point.months, point.value, point.low, point.high)
    return columns
