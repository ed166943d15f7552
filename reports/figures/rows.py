"""What a forest plot draws: one row for each reported number, one for each effect."""

import math
from dataclasses import dataclass

from ...parameters.errors import RangeError


@dataclass(frozen=True)
class FitRowToDraw:
    """One reported number against the model's answer, both in `unit`.

    Parameters
    ----------
    unit
        "%", "months", "days", "molecules/cell" or any other; rows of one unit share an axis.
    reported, low, high
        What the study says and its interval; not finite where it was not reported or not reached.
    model, model_low, model_high
        The model's answer and what the posterior leaves open about it.
    misfit
        Model minus reported in standard errors; beyond 2 it is marked.
    role
        "fit" for what the calibration has seen; any other word ("held out") is drawn open and told in the key.
    """

    study: str
    label: str
    unit: str
    reported: float
    low: float
    high: float
    model: float
    model_low: float
    model_high: float
    misfit: float
    role: str = "fit"

    def __post_init__(self) -> None:
        _check_interval(self.low, self.high, f"fit row '{self.study}: {self.label}', reported")
        _check_interval(self.model_low, self.model_high, f"fit row '{self.study}: {self.label}', model")


@dataclass(frozen=True)
class EffectRowToDraw:
    """One effect with its interval; `extrapolated` where the model leaves what it was calibrated on."""

    label: str
    estimate: float
    low: float
    high: float
    extrapolated: bool = False

    def __post_init__(self) -> None:
        _check_interval(self.low, self.high, f"effect '{self.label}'")
        if math.isnan(self.estimate):
            raise RangeError(f"effect '{self.label}': the estimate is not a number; leave out what failed, and say so.")


def _check_interval(low: float, high: float, where: str) -> None:
    if math.isfinite(low) and math.isfinite(high) and low > high:
        raise RangeError(f"{where}: the interval goes from {low:g} to {high:g}; write the lower limit first.")
