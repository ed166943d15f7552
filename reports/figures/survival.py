"""Survival curves with their three kinds of uncertainty kept apart, and the numbers at risk below."""

import math
from collections.abc import Sequence

import numpy as np

from ...parameters.errors import RangeError
from .checks import FloatArray, check_some
from .curves import CurveToDraw, ReportedPoint, SurvivalPanel
from .labels import number_text
from .picture import Picture
from .style import house_style
from .survival_drawing import draw_panels

__all__ = ["CurveToDraw", "ReportedPoint", "SurvivalPanel", "survival_grid", "survival_picture"]


def survival_picture(
    curves: Sequence[CurveToDraw],
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
