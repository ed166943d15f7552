"""A user's own patients: what was measured and what the model made of it, patient by patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...parameters.errors import InputError
from .checks import FloatArray, check_some
from .labels import number_text, wrapped
from .picture import Picture
from .style import (
    BLACK,
    BLUE,
    DARK_GREY,
    GREY,
    SMALL_SIZE,
    VERMILLION,
    axes_at,
    draw_title,
    house_style,
    new_figure,
    text_at,
    text_colour,
)

_LEFT, _ACROSS, _RIGHT, _DOWN, _GAP, _TOP = 0.8, 2.75, 1.05, 1.35, 0.75, 0.85  # inches


@dataclass(frozen=True, eq=False)
class KindToDraw:
    """One kind of measurement: its name, its unit, and whether its axis is logarithmic."""

    key: str
    label: str
    unit: str
    log: bool


@dataclass(frozen=True, eq=False)
class PatientToDraw:
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
    patients: Sequence[PatientToDraw], kinds: Sequence[KindToDraw], *, name: str = "fits", title: str = "Fits"
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
    step_down, step_across = _DOWN + _GAP, _LEFT + _ACROSS + _RIGHT
    with house_style():
        figure = new_figure(step_across * len(kinds), _TOP + len(names) * step_down + 0.35)
        draw_title(figure, title)
        text_at(
            figure, 0.12, 0.33, "● measured    ▽ below the limit, drawn at the limit    - - limit of the assay",
        )  # fmt: skip
        highest = {k.key: _highest([p for p in patients if p.kind == k.key]) for k in kinds}
        for row, subject in enumerate(names):
            mine = {patient.kind: patient for patient in patients if patient.subject == subject}
            words = next((patient.words for patient in mine.values() if patient.words), "")
            top = _TOP + row * step_down
            words = f"{subject}   {words}".rstrip()
            text_at(figure, 0.12, top - 0.22, words, color=BLACK, fontweight="bold")
            for kind in kinds:
                if kind.key in mine:
                    left = known[kind.key] * step_across + _LEFT
                    axes = axes_at(figure, left, top, _ACROSS, _DOWN)
                    high = highest[kind.key] if kind.log else _highest([mine[kind.key]])
                    _draw_patient(axes, mine[kind.key], kind, high, last=row == len(names) - 1)
    return Picture(name, title, _alt(title, patients, kinds), figure, _table(patients))


def _highest(patients: Sequence[PatientToDraw]) -> float:
    every = [part for p in patients for part in (p.values, p.individual, p.typical)]
    found = np.concatenate(every) if every else np.ones(1)
    return float(np.max(found[np.isfinite(found)], initial=1e-3))


def _draw_patient(axes: Axes, patient: PatientToDraw, kind: KindToDraw, highest: float, last: bool) -> None:
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


def scale(axes: Axes, kind: KindToDraw, low: float, high: float, *, which: str = "y") -> None:
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


def _alt(title: str, patients: Sequence[PatientToDraw], kinds: Sequence[KindToDraw]) -> str:
    sentences = [f"{title}. A row for each patient, with measurements, fitted curve and typical curve."]
    units = {kind.key: f"{kind.label}, {kind.unit}" for kind in kinds}
    for patient in patients:
        below = np.asarray(patient.below, dtype=bool)
        seen = patient.values[~below]
        span = f"from {number_text(seen.min())} to {number_text(seen.max())}" if seen.size else "none above the limit"
        counts = f"{len(seen)} measured, {span}; {int(below.sum())} below the limit"
        sentences.append(f"{patient.subject}, {units[patient.kind]}: {counts}.")
    return " ".join(sentences)


def _table(patients: Sequence[PatientToDraw]) -> dict[str, list[object]]:
    table: dict[str, list[object]] = {key: [] for key in ("subject", "kind", "series", "day", "value")}

    def add(patient: PatientToDraw, series: str, days: FloatArray, values: FloatArray) -> None:
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
