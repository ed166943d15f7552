"""Whether a model describes a user's patients: observed and predicted, residuals, predictive check, deviations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from scipy.special import ndtr

from ...parameters.errors import InputError
from .checks import FloatArray, check_some
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
    number_text,
    text_at,
    text_colour,
    wrapped,
)

# A user's own patients: what was measured and what the model made of it, patient by patient.


_PATIENT_LEFT, _ACROSS, _RIGHT, _DOWN, _GAP, _PATIENT_TOP = 0.8, 2.75, 1.05, 1.35, 0.75, 0.85  # inches


@dataclass(frozen=True, eq=False)
class KindSpec:
    """One kind of measurement: its name, its unit, and whether its axis is logarithmic."""

    key: str
    label: str
    unit: str
    log: bool


@dataclass(frozen=True, eq=False)
class PatientSpec:
    """Measurements of one kind in one patient, with the curves of the model.

    Attributes
    ----------
    days, values, below : arrays (obs,)
        Measurements; where `below`, the value is the limit.
    curve_days, individual, typical : arrays (times,)
        The patient's fitted curve and that of a typical patient of the population.
    words
        What is said beside the name of the patient.
    """

    subject: str
    kind: str
    days: FloatArray
    values: FloatArray
    below: FloatArray
    curve_days: FloatArray
    individual: FloatArray
    typical: FloatArray
    words: str = ""


def fits_picture(
    patients: Sequence[PatientSpec], kinds: Sequence[KindSpec], *, name: str = "fits", title: str = "Fits"
) -> Picture:
    """A row for each patient, a panel for each kind: measurements, limits, the fitted and the typical curve.

    Raises
    ------
    InputError
        If there is nobody to draw, or a kind is not declared.
    """
    check_some(patients, "patients", f"picture {name}")
    known = {kind.key: k for k, kind in enumerate(kinds)}
    for patient in patients:
        if patient.kind not in known:
            raise InputError(f"picture {name}: kind '{patient.kind}' is not declared; known: {', '.join(known)}.")
    names = list(dict.fromkeys(patient.subject for patient in patients))
    step_down, step_across = _DOWN + _GAP, _PATIENT_LEFT + _ACROSS + _RIGHT
    with house_style():
        figure = new_figure(step_across * len(kinds), _PATIENT_TOP + len(names) * step_down + 0.35)
        draw_title(figure, title)
        text_at(
            figure, 0.12, 0.33, "● measured    ▽ below the limit, drawn at the limit    - - limit of the assay",
        )  # fmt: skip
        highest = {k.key: _highest([p for p in patients if p.kind == k.key]) for k in kinds}
        for row, subject in enumerate(names):
            by_kind = {patient.kind: patient for patient in patients if patient.subject == subject}
            words = next((patient.words for patient in by_kind.values() if patient.words), "")
            top = _PATIENT_TOP + row * step_down
            words = f"{subject}   {words}".rstrip()
            text_at(figure, 0.12, top - 0.22, words, color=BLACK, fontweight="bold")
            for kind in kinds:
                if kind.key in by_kind:
                    left = known[kind.key] * step_across + _PATIENT_LEFT
                    axes = axes_at(figure, left, top, _ACROSS, _DOWN)
                    high = highest[kind.key] if kind.log else _highest([by_kind[kind.key]])
                    _draw_patient(axes, by_kind[kind.key], kind, high, last=row == len(names) - 1)
    return Picture(name, title, _alt(title, patients, kinds), figure, _table(patients))


def _highest(patients: Sequence[PatientSpec]) -> float:
    every = [part for p in patients for part in (p.values, p.individual, p.typical)]
    values = np.concatenate(every) if every else np.ones(1)
    return float(np.max(values[np.isfinite(values)], initial=1e-3))


def _draw_patient(axes: Axes, patient: PatientSpec, kind: KindSpec, highest: float, last: bool) -> None:
    below, days = np.asarray(patient.below, dtype=bool), np.maximum(patient.days, 0.0)
    limits = patient.values[below]
    low = 0.3 * min([highest / 1e3, *limits, *patient.values[~below & (patient.values > 0)]])
    axes.plot(patient.curve_days, patient.typical, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)), label="typical")
    axes.plot(patient.curve_days, patient.individual, color=BLUE, linewidth=1.7, label="fitted")
    axes.plot(days[~below], patient.values[~below], "o", color=BLACK, markersize=4, label="measured", clip_on=False)
    axes.plot(
        days[below], limits, "v", color=text_colour(VERMILLION), markerfacecolor="white", markersize=5,
        label="below the limit", clip_on=False,
    )  # fmt: skip
    if limits.size:
        axes.axhline(limits[-1], color=text_colour(VERMILLION), linewidth=0.8, linestyle=(0, (5, 3)), zorder=1)
    scale(axes, kind, low, highest)
    end = float(max(patient.curve_days.max(), days.max(), 1.0))
    axes.set_xlim(0, end)
    axes.set_ylabel(wrapped(f"{kind.label} ({kind.unit})", _DOWN + 0.2, SMALL_SIZE), fontsize=SMALL_SIZE)
    if last:
        axes.set_xlabel("Days since infusion")
    for curve, words, colour in (
        (patient.individual, "fitted", text_colour(BLUE)), (patient.typical, "typical", DARK_GREY),
    ):  # fmt: skip
        _beside(axes, curve, words, colour, low)
    _apart(axes)


def scale(axes: Axes, kind: KindSpec, low: float, high: float, *, which: str = "y") -> None:
    """Limits and ticks of an axis for a kind."""
    setting = {"y": (axes.set_yscale, axes.set_ylim, axes.yaxis), "x": (axes.set_xscale, axes.set_xlim, axes.xaxis)}
    set_scale, set_limits, axis = setting[which]
    if kind.log:
        set_scale("log", nonpositive="mask")
        set_limits(low, 2.0 * high)
        axis.set_major_locator(LogLocator(base=10, numticks=6))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value, digits=1)))
        axis.set_minor_formatter(NullFormatter())
    else:
        set_limits(0, 1.1 * high)
    axes.grid(axis=which)  # pyright: ignore[reportArgumentType]


def _beside(axes: Axes, curve: FloatArray, words: str, colour: str, low: float) -> None:
    seen = curve[np.isfinite(curve)]
    if seen.size:
        at = max(float(seen[-1]), axes.get_ylim()[0])
        axes.annotate(
            words, (1.0, at), xycoords=("axes fraction", "data"), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=SMALL_SIZE, color=colour, fontweight="bold" if words == "fitted" else "normal",
        )  # fmt: skip


def _apart(axes: Axes) -> None:
    """Two words beside the axes must not lie on each other."""
    labels = [text for text in axes.texts if text.get_text() in ("fitted", "typical")]
    if len(labels) == 2:
        places = [axes.transData.transform((0, label.xy[1]))[1] for label in labels]  # pyright: ignore[reportAttributeAccessIssue]
        missing = 12.0 - abs(places[0] - places[1]) * 72 / axes.figure.dpi  # pyright: ignore[reportAttributeAccessIssue]
        if missing > 0:
            signs = (1, -1) if places[0] >= places[1] else (-1, 1)
            for label, sign in zip(labels, signs, strict=True):
                label.set_position((5, sign * missing / 2))


def _alt(title: str, patients: Sequence[PatientSpec], kinds: Sequence[KindSpec]) -> str:
    sentences = [f"{title}. A row for each patient, with measurements, fitted curve and typical curve."]
    units = {kind.key: f"{kind.label}, {kind.unit}" for kind in kinds}
    for patient in patients:
        below = np.asarray(patient.below, dtype=bool)
        seen = patient.values[~below]
        span = f"from {number_text(seen.min())} to {number_text(seen.max())}" if seen.size else "none above the limit"
        counts = f"{len(seen)} measured, {span}; {int(below.sum())} below the limit"
        sentences.append(f"{patient.subject}, {units[patient.kind]}: {counts}.")
    return " ".join(sentences)


def _table(patients: Sequence[PatientSpec]) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {key: [] for key in ("subject", "kind", "series", "day", "value")}

    def add(patient: PatientSpec, series: str, days: FloatArray, values: FloatArray) -> None:
        for day, value in zip(days, values, strict=True):
            for key, cell in zip(table, (patient.subject, patient.kind, series, float(day), float(value)), strict=True):
                table[key].append(cell)

    for patient in patients:
        below = np.asarray(patient.below, dtype=bool)
        add(patient, "measured", patient.days[~below], patient.values[~below])
        add(patient, "limit of a value below it", patient.days[below], patient.values[below])
        add(patient, "fitted", patient.curve_days, patient.individual)
        add(patient, "typical", patient.curve_days, patient.typical)
    return table


_POPULATION_LEFT, _SIDE, _STEP, _POPULATION_TOP, _ROW = 0.75, 2.3, 3.35, 0.95, 3.0  # inches
_FORBIDDEN = text_colour(VERMILLION)


@dataclass(frozen=True, eq=False)
class PointsSpec:
    """All measurements of one kind: arrays (n,); where `below`, the value is the limit, and the residual is one drawn
    from what lies below it.
    """

    kind: KindSpec
    subject: Sequence[str]
    day: FloatArray
    value: FloatArray
    below: FloatArray
    individual: FloatArray
    typical: FloatArray
    residual: FloatArray


@dataclass(frozen=True, eq=False)
class CheckSpec:
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

    kind: KindSpec
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


def observed_picture(points: Sequence[PointsSpec], *, name: str = "observed_predicted") -> Picture:
    """Measurements against the prediction for a typical patient (left) and for the patient (right), a row per kind."""
    check_some(points, "kinds", f"picture {name}")
    title = "Observed against predicted"
    with house_style():
        figure = new_figure(2 * _STEP + 0.1, _POPULATION_TOP + len(points) * _ROW)
        draw_title(figure, title)
        words = "● measured    ▽ below the limit, drawn at the limit    line: observed = predicted"
        text_at(figure, 0.12, 0.36, words)
        for row, point in enumerate(points):
            both = np.concatenate([point.value, point.individual, point.typical])
            both, kind = both[np.isfinite(both) & (both > 0)], replace(point.kind, log=True)
            seen = point.value[point.value > 0]
            low = 0.1 * float(seen.min()) if seen.size else 0.1
            for column, (words, predicted) in enumerate(
                (("typical patient", point.typical), ("this patient", point.individual))
            ):
                axes = axes_at(figure, _POPULATION_LEFT + column * _STEP, _POPULATION_TOP + row * _ROW, _SIDE, _SIDE)
                axes.set_title(f"{point.kind.label}, {words}")
                for which in ("x", "y"):
                    scale(axes, kind, low, float(both.max(initial=1.0)), which=which)
                axes.axline((low, low), (2 * low, 2 * low), color=GREY, linewidth=1.0, zorder=1)
                _marks(axes, np.maximum(predicted, 1.1 * low), point.value, point.below)
                axes.set_xlabel(f"Predicted ({point.kind.unit})")
                axes.set_ylabel(f"Observed ({point.kind.unit})")
    return Picture(name, title, f"{title}. {_words(points)}", figure, _points_table(points))


def residual_picture(points: Sequence[PointsSpec], *, name: str = "residuals") -> Picture:
    """Individual weighted residuals against time (left) and against the prediction (right), a row per kind."""
    check_some(points, "kinds", f"picture {name}")
    title = "Residuals, in standard deviations of the residual error"
    with house_style():
        figure = new_figure(2 * _STEP + 0.1, _POPULATION_TOP + len(points) * _ROW)
        draw_title(figure, title)
        words = "● measured    ▽ below the limit: drawn at random from what lies below it    - - 95 % of a normal"
        text_at(figure, 0.12, 0.36, words)
        for row, point in enumerate(points):
            largest = max(3.0, float(np.nanmax(np.abs(point.residual), initial=0.0)) * 1.1)
            for column in (0, 1):
                axes = axes_at(figure, _POPULATION_LEFT + column * _STEP, _POPULATION_TOP + row * _ROW, _SIDE, _SIDE)
                axes.set_title(f"{point.kind.label}")
                for at, dashes in ((0.0, "-"), (1.96, (0, (5, 3))), (-1.96, (0, (5, 3)))):
                    axes.axhline(at, color=GREY, linewidth=0.9, linestyle=dashes, zorder=1)
                axes.set_ylabel("Residual (SD)")
                axes.set_xlabel("Days since infusion" if column == 0 else f"Predicted ({point.kind.unit})")
                x = np.maximum(point.day, 0.0) if column == 0 else point.individual
                if column == 1 and point.kind.log:
                    lowest = max(float(x[x > 0].min(initial=1.0)), float(x.max(initial=1.0)) / 1e6)
                    scale(axes, point.kind, 0.7 * lowest, float(x.max(initial=1.0)), which="x")
                    x = np.maximum(x, 0.7 * lowest)
                _marks(axes, x, point.residual, point.below)
                axes.set_ylim(-largest, largest)
    return Picture(name, title, f"{title}. {_words(points)}", figure, _points_table(points))


def _marks(axes: Axes, x: FloatArray, y: FloatArray, below: FloatArray) -> None:
    hidden = np.asarray(below, dtype=bool)
    axes.plot(x[~hidden], y[~hidden], "o", color=BLUE, markersize=3.5, alpha=0.75, markeredgewidth=0)
    axes.plot(x[hidden], y[hidden], "v", color=_FORBIDDEN, markerfacecolor="none", markersize=4)


def _words(points: Sequence[PointsSpec]) -> str:
    sentences = []
    for point in points:
        seen = ~np.asarray(point.below, dtype=bool)
        mean, sd = float(np.mean(point.residual)), float(np.std(point.residual))
        sentences.append(
            f"{point.kind.label}: {int(seen.sum())} measurements and {int((~seen).sum())} below the limit in "
            f"{len(set(point.subject))} patients; residuals with mean {number_text(mean)} and SD {number_text(sd)}."
        )
    return " ".join(sentences)


def _points_table(points: Sequence[PointsSpec]) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {
        key: [] for key in ("subject", "kind", "day", "value", "below_limit", "individual", "typical", "residual")
    }
    for point in points:
        rows = zip(
            point.subject, [point.kind.key] * len(point.day), point.day, point.value,
            np.asarray(point.below, dtype=bool), point.individual, point.typical, point.residual, strict=True,
        )  # fmt: skip
        for row in rows:
            for key, cell in zip(table, row, strict=True):
                table[key].append(cell)
    return table


def check_picture(checks: Sequence[CheckSpec], *, name: str = "predictive_check", note: str = "") -> Picture:
    """Visual predictive check: percentiles of the measurements over simulated bands, and the share below the limit."""
    check_some(checks, "kinds", f"picture {name}")
    title = "Visual predictive check"
    across, right = 4.3, 1.25
    with house_style():
        figure = new_figure(_POPULATION_LEFT + across + right, _POPULATION_TOP + len(checks) * 3.75 + 0.2)
        draw_title(figure, title)
        words = "● measured    lines: 5, 50 and 95 % of the measurements    bands: 95 % of simulated data sets"
        text_at(figure, 0.12, 0.36, f"{words}\n{note}")
        for row, check in enumerate(checks):
            top = _POPULATION_TOP + row * 3.75
            axes = axes_at(figure, _POPULATION_LEFT, top, across, 2.0)
            axes.set_title(f"{check.kind.label} ({check.kind.unit})")
            _draw_check(axes, check)
            lower = axes_at(figure, _POPULATION_LEFT, top + 2.2, across, 0.75, sharex=axes)
            lower.fill_between(check.day, check.below_low, check.below_high, color=LIGHT_GREY, linewidth=0)
            lower.plot(check.day, check.below, color=_FORBIDDEN, marker="v", markersize=3.5, linewidth=1.2)
            lower.set_ylim(-0.03, 1.03)
            lower.set_ylabel("Share below\nthe limit", fontsize=SMALL_SIZE)
            lower.set_xlabel("Days since infusion")
            axes.tick_params(labelbottom=False)
    sentences = [_check_words(check) for check in checks]
    return Picture(name, title, f"{title}. {' '.join(sentences)}", figure, _check_table(checks))


def _draw_check(axes: Axes, check: CheckSpec) -> None:
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


def _check_words(check: CheckSpec) -> str:
    seen = np.isfinite(check.observed)
    inside = (check.observed >= np.nan_to_num(check.low)) & (check.observed <= check.high)
    return (
        f"{check.kind.label}: {int((inside & seen).sum())} of {int(seen.sum())} observed percentiles lie within the "
        f"bands of simulated data sets."
    )


def _check_table(checks: Sequence[CheckSpec]) -> dict[str, list[object]]:
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
        figure = new_figure(left + across + 1.5, _POPULATION_TOP + step * len(deviations) + 0.5)
        draw_title(figure, title)
        text_at(figure, 0.12, 0.36, "● one patient    hill: between patients of the population    right: shrinkage")
        axes = axes_at(figure, left, _POPULATION_TOP - 0.2, across, step * len(deviations))
        span = max(3.0, 1.1 * max(float(np.max(np.abs(values))) for values in deviations.values()))
        grid = np.linspace(-span, span, 300)
        hill = np.gradient(ndtr(grid), grid)
        for row, (parameter, values) in enumerate(deviations.items()):
            axes.fill_between(grid, row, row - 0.75 * hill / hill.max(), color=LIGHT_GREY, linewidth=0)
            heights = row - 0.08 - 0.35 * (np.arange(len(values)) % 3) / 2.0  # side by side, so that none hides another
            axes.plot(values, heights, "o", color=BLUE, markersize=4, alpha=0.8, markeredgewidth=0)
            text_at(figure, 0.15, _POPULATION_TOP - 0.2 + step * (row + 0.75), parameter, va="center", color=BLACK)
            share = shrinkage.get(parameter, np.nan)
            words = f"{100 * share:.0f} %" if np.isfinite(share) else "one patient"
            text_at(
                figure,
                left + across + 0.12,
                _POPULATION_TOP - 0.2 + step * (row + 0.75),
                words,
                va="center",
                color=DARK_GREY,
            )
        axes.set_ylim(len(deviations) - 0.8, -1.0)
        axes.set_yticks([])
        axes.set_xlim(-span, span)
        axes.axvline(0.0, color=GREY, linewidth=0.9, zorder=1)
        axes.set_xlabel("Deviation (SD between patients)")
    sentences = [
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
    return Picture(name, title, f"{title}. {' '.join(sentences)}", figure, table)
