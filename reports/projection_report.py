"""Pictures of projections and of the fit: from numbers to what `pictures` draws."""

from collections.abc import Sequence

import numpy as np

from ..fitting.fit_table import FitRow
from ..model.imwg import CATEGORIES
from ..model.therapy import read_therapy
from ..parameters.units import DAYS_PER_MONTH
from ..trials.projection import BAND_MONTHS, Projection
from .figures.bands import BandToDraw, Panel
from .figures.course import course_picture
from .figures.curves import CurveToDraw
from .figures.forest import effect_picture, fit_picture
from .figures.picture import Picture
from .figures.rows import EffectRowToDraw, FitRowToDraw
from .figures.shares import shares_picture
from .figures.survival import survival_picture
from .figures.waterfall import waterfall_picture

TRIAL_SIZE = 100
"""Patients per arm of the trial whose sampling error the dashed lines show."""
LOST = 50.0  # molecules/cell, function lost (Perica 2023)
THRESHOLD = 180.0  # cells/uL (Caillot 2024)


def _curve(projection: Projection) -> CurveToDraw:
    outcomes = projection.trial.outcomes
    curve = outcomes.progression_free(patients=float(outcomes.usable.sum()))
    trial = outcomes.progression_free(patients=TRIAL_SIZE)
    months = BAND_MONTHS[: projection.band.shape[1]] if projection.band.size else BAND_MONTHS
    sample = np.array([trial.interval_at(month) for month in months])
    alone = not projection.scenario.name.startswith("+")  # one pair of dashed lines is legible, four are not
    low, high = np.nanpercentile(projection.band, [2.5, 97.5], axis=0)
    median = projection.numbers["median PFS, months"]
    return CurveToDraw(
        label=projection.scenario.name,
        times=curve.times,
        survival=curve.survival,
        at_risk=curve.at_risk,
        censor_times=curve.censor_times,
        band_times=months,
        parameter_low=low,
        parameter_high=high,
        sample_low=sample[:, 0] if alone else None,
        sample_high=sample[:, 1] if alone else None,
        trial_size=TRIAL_SIZE if alone else None,
        median=median.value,
        median_interval=(median.low, median.high),
    )


def survival_pictures(projections: Sequence[Projection]) -> list[Picture]:
    """One picture per product: all its regimens on the same virtual patients."""
    pictures = []
    for product in dict.fromkeys(p.scenario.product for p in projections):
        own = [p for p in projections if p.scenario.product == product]
        title = read_therapy(product).short
        pictures.append(
            survival_picture(
                [_curve(p) for p in own],
                name=f"pfs_{product}",
                title=f"{title} in {own[0].scenario.population.replace('_', ' ')} patients (simulated)",
                horizon_months=float(own[0].trial.outcomes.visits.months),
                note="Same virtual patients in every arm. Dashed lines: first arm only. Combinations are extrapolated.",
            )
        )
    return pictures


def gain_picture(projections: Sequence[Projection]) -> Picture:
    """Difference in restricted mean progression-free survival from the product alone."""
    rows = []
    for p in projections:
        gain = p.numbers["gain in restricted mean PFS, months"]
        if p.scenario.name.startswith("+"):
            label = f"{read_therapy(p.scenario.product).short} {p.scenario.name}"
            rows.append(EffectRowToDraw(label, gain.value, gain.low, gain.high, not p.footing.calibrated))
    return effect_picture(
        rows,
        name="gain",
        title="What each addition would gain",
        x_label="Difference in restricted mean PFS over 36 months (months)",
        sides=("worse", "better"),
        note="Paired on the same virtual patients; interval: central 95 % of posterior draws.",
    )


def cause_picture(projections: Sequence[Projection]) -> Picture:
    """Share of relapses by mechanism."""
    shares = {}
    for p in projections:
        prefix = "" if not p.scenario.name.startswith("+") else f"{read_therapy(p.scenario.product).short} "
        shares[f"{prefix}{p.scenario.name}"] = p.causes
    return shares_picture(
        shares,
        name="causes",
        title="Why virtual patients relapse",
        note="What alone, restored at progression, would still have held the tumour; ties share equally.",
    )


def _bands(projection: Projection, name: str, months: float, *, positive: bool = False) -> BandToDraw:
    solution = projection.trial.solution
    keep = solution.times <= months * DAYS_PER_MONTH
    values = solution[name][:, keep]
    low, middle, high = np.nanpercentile(np.maximum(values, 1e-6) if positive else values, [5, 50, 95], axis=0)
    return BandToDraw(projection.scenario.name, solution.times[keep], low, middle, high)


def course_pictures(projections: Sequence[Projection]) -> list[Picture]:
    """Cellular kinetics, antigen density and exhaustion of each product alone."""
    alone = [p for p in projections if not p.scenario.name.startswith("+")]
    kinetics = [
        Panel(
            p.scenario.name, "CAR-T cells in blood (cells/uL)", [_bands(p, "car_t", 12, positive=True)], log=True,
            lines=[(THRESHOLD, "180 cells/uL"), (0.1, "assay limit")], low=0.01,
        )
        for p in alone
    ]  # fmt: skip
    inside = []
    for p in alone:
        inside.append(
            Panel(
                f"{p.scenario.name}: antigen", "BCMA density (molecules/cell)", [_bands(p, "density_mean", 24)],
                log=True, lines=[(LOST, "function lost in vitro")],
            )
        )  # fmt: skip
        inside.append(
            Panel(
                f"{p.scenario.name}: exhaustion",
                "Exhausted share of CAR-T cells",
                [_bands(p, "exhausted_fraction", 24)],
                low=0.0,
            )
        )
    note = "Median and 5th to 95th percentile of virtual patients."
    return [
        course_picture(kinetics, name="kinetics", title="CAR-T cells in blood (simulated)", note=note),
        course_picture(
            inside, name="antigen_and_exhaustion", title="Antigen density and exhaustion (simulated)", note=note
        ),
    ]


def waterfall_pictures(projections: Sequence[Projection]) -> list[Picture]:
    """Best change of the measured marker in a hundred virtual patients of each product alone."""
    pictures = []
    for p in projections:
        if p.scenario.name.startswith("+"):
            continue
        response = p.trial.outcomes.responses[0]
        pictures.append(
            waterfall_picture(
                100.0 * response.best_change[:TRIAL_SIZE],
                [CATEGORIES[index] for index in response.best[:TRIAL_SIZE]],
                name=f"waterfall_{p.scenario.product}",
                title=f"{p.scenario.name}: best change of M-protein or light chain in "
                f"{min(TRIAL_SIZE, p.trial.outcomes.n)} virtual patients",
            )
        )
    return pictures


def fit_pictures(rows: Sequence[FitRow]) -> list[Picture]:
    """Reported against modelled, for every item that has a number."""
    drawn = [
        FitRowToDraw(
            row.study, row.label, row.item.unit, _known(row.item.value), _known(row.item.low), _known(row.item.high),
            row.model, row.low, row.high, row.misfit, row.item.role,
        )
        for row in rows
        if row.item.value is not None and np.isfinite(row.model)
    ]  # fmt: skip
    return [fit_picture(drawn)]


def _known(number: float | None) -> float:
    return float("nan") if number is None else number
