"""The empirical cellular kinetics of CAR-T cells: expansion to a peak, contraction, persistence.

Stein AM et al. 2019, CPT Pharmacometrics Syst Pharmacol 8:285: transgene of tisagenlecleucel in 90 children and young
adults with acute lymphoblastic leukaemia. The peak is a parameter here, not an outcome: no tumour, no antigen, no dose.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ...parameters.errors import unknown
from .data import Subject
from .residual import Residual
from .structure import PopulationModel

_IDS = ("c_max", "t_max", "fold_expansion", "half_life_contraction", "half_life_persistence", "fraction_persistent")
_KINDS = ("transgene", "car_t")

STEIN_2019 = {
    "c_max": (24000.0, 0.65),
    "t_max": (9.3, 0.38),
    "fold_expansion": (3900.0, 2.4),
    "half_life_contraction": (math.log(2.0) / 0.16, 0.91),
    "half_life_persistence": (math.log(2.0) / 0.0032, 0.86),
    "fraction_persistent": (0.0079, 0.8),
}
"""Typical value and variance of the log between patients: Stein 2019, Table 1, as transcribed in the open model library
nlmixr2lib (the table itself was not seen). The half-lives are ln 2 over the rates alpha and beta of the paper, which
have the same spread on the log scale. Units: copies/ug, days, fold, days, days, fraction."""

STEIN_2019_ERROR = 0.56
"""SD of the residual error on the log scale; same source."""


@dataclass(frozen=True)
class CellularKinetics:
    """Exponential growth to `t_max`, then a biexponential fall (Stein 2019, Figure 2 and supplement).

    With rho = ln(fold_expansion) / t_max and t' = t - t_max::

        t <= t_max:  c_max exp(rho t')
        t >  t_max:  c_max [(1 - F) exp(-alpha t') + F exp(-beta t')]

    where F is `fraction_persistent` and alpha, beta are ln 2 over the half-lives. The doubling time of the expansion is
    t_max ln 2 / ln(fold_expansion). Days count from the infusion, so there is no prediction (NaN) before day 0.

    Attributes
    ----------
    kind
        "transgene" (c_max in copies/ug) or "car_t" (c_max in cells/mm3).
    """

    kind: str = "transgene"

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise unknown("kind of observation", self.kind, _KINDS, "cellular kinetics")

    @property
    def ids(self) -> tuple[str, ...]:
        """Individual parameters: c_max in the unit of the data, t_max and half-lives in days, fold and fraction."""
        return _IDS

    def predict(self, values: np.ndarray, subjects: Sequence[Subject]) -> list[np.ndarray]:
        """Predictions of each row, as `Structure` says.

        Raises
        ------
        UnknownNameError
            If anything else than `kind` was observed.
        """
        time, ends = _layout(self.kind, tuple(subjects))
        result = curve(np.repeat(np.asarray(values, float).T, np.diff(ends), axis=1), time)
        return [result[a:b] for a, b in pairwise(ends)]


@lru_cache(maxsize=16)
def _layout(kind: str, subjects: tuple[Subject, ...]) -> tuple[np.ndarray, list[int]]:
    """Times of all observations behind each other, and where those of each row begin and end."""
    for subject in subjects:
        for other in set(subject.kind.tolist()) - {kind}:
            raise unknown("kind of observation", other, [kind], f"cellular kinetics, subject {subject.id}")
    ends = np.cumsum([0, *(len(subject.time) for subject in subjects)])
    return np.concatenate([subject.time for subject in subjects]), ends.tolist()


def curve(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The curve at each time (n,) days for parameters (6, n) or (6, 1), in the unit of c_max."""
    c_max, t_max, fold, contraction, persistence, fraction = values
    after = time - t_max
    with np.errstate(over="ignore", invalid="ignore"):
        rise = np.exp(np.log(fold) / t_max * np.minimum(after, 0.0))
        since = np.maximum(after, 0.0)
        fall = (1.0 - fraction) * np.exp2(-since / contraction) + fraction * np.exp2(-since / persistence)
        result = c_max * np.where(after < 0.0, rise, fall)
    return np.where((time < 0.0) | (result < 0.0), np.nan, result)


def tisagenlecleucel() -> PopulationModel:
    """The published population of Stein 2019, transgene in copies/ug, without correlations between parameters."""
    typical, variance = np.array([STEIN_2019[name] for name in _IDS]).T
    return PopulationModel(
        CellularKinetics("transgene"), typical, np.diag(variance), {"transgene": Residual("log", STEIN_2019_ERROR)}
    )
