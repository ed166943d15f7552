"""What makes a virtual patient implausible: each limit with its source, or assumed with a reason."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...parameters.parameter_set import ParameterSet
from ..items import Study

BEYOND_RANGE = 1.5
"""A reported range is widened by this factor on both sides: assumed, as a hundred patients do not show the extremes."""


@dataclass(frozen=True)
class Limit:
    """A quantity of a patient and the range in which it is believed; `source` is a key of sources.toml or 'assumed'."""

    of: str
    low: float
    high: float
    unit: str
    source: str
    note: str

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether each value lies strictly between the bounds: a number cut off at its range stands on the bound."""
        return (values > self.low) & (values < self.high)

    @property
    def text(self) -> str:
        """The limit in words, as tables print it."""
        return f"{self.of}: {self.low:.4g} to {self.high:.4g} {self.unit}".rstrip()


def number_limits(parameters: ParameterSet, names: Iterable[str]) -> tuple[Limit, ...]:
    """Numbers of a patient, baseline burden and M-protein among them, lie within the ranges of the catalogue."""
    return tuple(
        Limit(name, one.low, one.high, one.unit, one.source, "range in the catalogue")
        for name in names
        for one in (parameters[name],)
    )


def course_limits(product: str, studies: Iterable[Study] = ()) -> tuple[Limit, ...]:
    """Limits on what happens: the peak and its day, and the tumour until progression is seen."""
    limits = [
        Limit(
            "peak", 0.1, 5000.0, "cell/uL", "assumed",
            "Cells were measurable in every treated patient of the trials that report a peak; above, the CAR-T cells "
            "alone would be a lymphocytosis. The bounds are limit_car_t and the end of the range of car_t_capacity.",
        ),
        Limit(
            "tumour", 0.0, 0.9, "of its capacity", "assumed",
            "Progression is seen before the marrow is full (tumour_capacity, elranatamab_qsp); nobody lives on.",
        ),
        Limit(
            "m_protein", -1.0, 120.0, "g/L", "assumed",
            "Highest value until progression is seen, where M-protein is measured. More is rarely seen: blood becomes "
            "viscous at half of it. Remembered and not looked up.",
        ),
    ]  # fmt: skip
    ranges = [
        (study.study, item.low, item.high)
        for study in studies
        if study.product == product
        for item in study.items
        if item.endpoint == "t_max" and item.interval == "range" and not item.origin.startswith("memory")
    ]
    known = [(name, low, high) for name, low, high in ranges if low is not None and high is not None]
    if known:
        low, high = min(one[1] for one in known), max(one[2] for one in known)
        limits.append(
            Limit(
                "t_max", low / BEYOND_RANGE, high * BEYOND_RANGE, "day", "assumed",
                f"Reported range of {', '.join(one[0] for one in known)}, widened by {BEYOND_RANGE:g} on both sides.",
            )
        )  # fmt: skip
    return tuple(limits)
