"""Pictures of a trial design: power and assurance, the true effect over posterior draws, one simulated trial."""

import numpy as np

from perdure.experiments.pictures.curves import CurveToDraw
from perdure.experiments.pictures.picture import Picture
from perdure.experiments.pictures.power_curve import (
    AssuranceToDraw,
    PowerToDraw,
    effect_picture_of_draws,
    power_picture,
)
from perdure.experiments.pictures.survival import survival_picture
from perdure.experiments.trials.analysis import ArmSummary
from perdure.experiments.trials.design_result import DesignResult

ENDPOINTS = {
    "pfs": "Progression-free survival", "os": "Overall survival", "dor": "Duration of response",
    "ttnt": "Time to next therapy", "orr": "Overall response", "cr": "Complete response",
    "mrd_1e-5": "Residual disease below 1e-5", "mrd_1e-6": "Residual disease below 1e-6",
}  # fmt: skip
TESTS = {
    "logrank": "log-rank test", "max_combo": "MaxCombo test", "restricted_mean": "test of the restricted mean",
    "rate": "test of two rates",
}  # fmt: skip
TICKS = (1.0, 2.0, 3.0, 6.0, 12.0)


def power_picture_of(found: DesignResult) -> Picture:
    """Power at the estimate, and assurance, against patients."""
    curve, design = found.curve, found.design
    line = np.linspace(float(curve.sizes[0]), float(curve.sizes[-1]), 100)
    spread = np.array([np.percentile(one.power, [2.5, 97.5]) for one in found.assurances])
    note = (
        f"Success: p below {design.alpha:g} in favour of {found.name}. {curve.trials} trials of a size (power), "
        f"{found.planned.trials} in each of {len(found.planned.power)} draws (assurance)."
    )
    if not found.size.within:
        note += f" {100 * design.power:g} % power lies outside of these sizes."
    return power_picture(
        PowerToDraw(curve.sizes.astype(float), curve.power, curve.low, curve.high, line, curve.smooth.at(line)),
        AssuranceToDraw(
            [float(one.patients) for one in found.assurances], [one.value for one in found.assurances],
            [one.low for one in found.assurances], [one.high for one in found.assurances],
            spread[:, 0], spread[:, 1],
        ),
        target=design.power, planned=int(design.patients),
        size=(found.size.patients, found.size.low, found.size.high), note=note,
    )  # fmt: skip


def effect_pictures(found: DesignResult) -> list[Picture]:
    """The true effect over posterior draws, in the first two ways to measure it, where that is finite in all draws."""
    pictures = []
    for effect in found.truth.effects[:2]:
        scale = 100.0 if "rate" in effect.name else 1.0
        values, estimate = scale * found.planned.effect(effect.name), scale * effect.value
        if not (np.isfinite(values).all() and np.isfinite(estimate)):
            continue
        words = ENDPOINTS[found.design.endpoint]
        unit = " (percentage points)" if scale > 1.0 else ""
        name = "true_" + "_".join("".join(c if c.isalnum() else " " for c in effect.name).split())
        pictures.append(
            effect_picture_of_draws(
                values, estimate=estimate, none=effect.none, more_is_better=effect.more_is_better,
                x_label=f"{words}: {effect.name}{unit}", name=name,
                title=f"True {effect.name.split(',')[0]}, {found.name} against {found.design.arms[0].name}",
                note="True: as a very large trial of this design would find it.",
            )
        )  # fmt: skip
    return pictures


def example_picture(found: DesignResult) -> Picture | None:
    """Kaplan-Meier curves of the example trial; of progression-free survival if the endpoint is a rate."""
    design = found.design
    endpoint = design.endpoint if design.test != "rate" else "pfs"
    analysis = found.analyses[endpoint]
    curves = [_curve(arm) for arm in analysis.arms if arm.curve is not None]
    if not curves:
        return None
    horizon = float(max(1.0, *(curve.end() for curve in curves)))
    every = next((tick for tick in TICKS if horizon / tick <= 10), 24.0)
    return survival_picture(
        curves, name="example_trial", title=f"One simulated trial of {int(design.patients)} patients",
        horizon_months=horizon, risk_every_months=every, outcome=ENDPOINTS[endpoint],
        origin="first response" if endpoint == "dor" else design.time_zero,
        note="One trial of many that could happen, and its Kaplan-Meier estimates.",
    )  # fmt: skip


def _curve(arm: ArmSummary) -> CurveToDraw:
    curve = arm.curve
    if curve is None:
        raise ValueError(arm.name)
    grid = np.linspace(0.0, curve.followed_until, 120)
    low, high = curve.interval_at(grid)
    return CurveToDraw(
        label=arm.name, times=curve.times, survival=curve.survival, at_risk=curve.at_risk,
        censor_times=curve.censor_times, band_times=grid, sample_low=low, sample_high=high, trial_size=arm.evaluable,
        median=arm.median.value, last_patient=curve.followed_until,
    )  # fmt: skip
