"""Forest plots: reported against model intervals, and effects with their reference line."""

import math
from collections.abc import Sequence

from ...parameters.errors import RangeError
from .checks import check_some
from .effect_drawing import draw_effects, effect_texts
from .fit_drawing import LARGE_MISFIT, draw_fit
from .labels import number_text
from .picture import Picture
from .rows import EffectRowToDraw, FitRowToDraw
from .style import house_style

__all__ = ["EffectRowToDraw", "FitRowToDraw", "effect_picture", "fit_picture"]


def fit_picture(
    rows: Sequence[FitRowToDraw],
    *,
    name: str = "fit",
    title: str = "What studies report, and what the model says",
    note: str = "",
) -> Picture:
    """Reported interval against model interval, one row each, one panel for each unit.

    Rows of one study stand together if they come together; their order is kept. A tall picture: give one study, or one
    unit, at a time where it must fit a page.
    """
    check_some(rows, "rows", f"picture {name}")
    with house_style():
        figure = draw_fit(rows, title, note)
    fields = ("study", "label", "unit", "role", "reported", "low", "high", "model", "model_low", "model_high", "misfit")
    known = [row for row in rows if math.isfinite(row.misfit)]
    worst = sorted((row for row in known if abs(row.misfit) > LARGE_MISFIT), key=lambda row: -abs(row.misfit))
    beyond = "; ".join(
        f"{row.study}, {row.label}: reported {number_text(row.reported)}, model {number_text(row.model)} {row.unit}"
        for row in worst[:5]
    )
    alt = (
        f"{title}. {len(rows)} reported numbers with their intervals against the model's; "
        f"{len(worst)} of {len(known)} misfits are beyond 2 standard errors"
        + (f", the largest: {beyond}." if beyond else ".")
    )
    table = {field: [getattr(row, field) for row in rows] for field in fields}
    return Picture(name=name, title=title, alt=alt, figure=figure, table=table)


def effect_picture(
    rows: Sequence[EffectRowToDraw],
    *,
    name: str,
    title: str,
    x_label: str,
    reference: float = 0.0,
    log: bool = False,
    sides: tuple[str, str] = ("", ""),
    note: str = "",
) -> Picture:
    """Forest of effects: differences with a line at zero, or ratios on a log axis with a line at one.

    Parameters
    ----------
    reference, log
        No effect: 0 for a difference; 1, with `log`, for a ratio.
    sides
        What it means to stand left and right of the line, as in ("shorter", "longer").
    """
    where = f"picture {name}"
    check_some(rows, "effects", where)
    if log:
        for row in rows:
            if not (row.estimate > 0 and not row.low <= 0) or reference <= 0:
                raise RangeError(
                    f"{where}: '{row.label}' or the reference is not positive; use log=False, or reference=1."
                )
    with house_style():
        figure = draw_effects(rows, title, x_label, reference, log, sides, note)
    texts = effect_texts(rows, reference)
    parts = [f"{row.label}: {' '.join(text.split())}" for row, text in zip(rows, texts, strict=True)]
    fields = ("label", "estimate", "low", "high", "extrapolated")
    return Picture(
        name=name,
        title=title,
        alt=f"{title}. {x_label}, with intervals; no effect is {number_text(reference)}. " + "; ".join(parts) + ".",
        figure=figure,
        table={field: [getattr(row, field) for row in rows] for field in fields},
    )
