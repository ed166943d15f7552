"""Reports that contradict each other: all are kept, and widened until they agree.

Items of one `conflict` are scored with the weight 1 / R^2, R being the Birge ratio of the group (Birge 1932, The
calculation of errors by the method of least squares): chi-square of the group about its common value, over its degrees
of freedom, never below 1. A log-likelihood times 1 / R^2 is that of errors R times as wide. Reports of the very same
patients also share one weight between them.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from .items import Item, Study
from .likelihood import UNKNOWN_N, log_error


def in_conflict(studies: Iterable[Study]) -> dict[str, tuple[Item, ...]]:
    """Items by the name of their conflict."""
    found: dict[str, list[Item]] = {}
    for study in studies:
        for item in study.items:
            if item.conflict:
                found.setdefault(item.conflict, []).append(item)
    return {name: tuple(items) for name, items in found.items()}


def birge_weight(items: Sequence[Item], *, same_patients: bool) -> float:
    """Weight of every item of a conflict: percentages with a pooled binomial error, medians on the log scale."""
    values = np.array([item.value or 0.0 for item in items])
    if items[0].unit == "%":
        n = np.array([item.n or UNKNOWN_N for item in items], dtype=float)
        share = float(n @ values / n.sum()) / 100.0
        places, errors = values / 100.0, np.sqrt(share * (1.0 - share) / n)
    else:
        places, errors = np.log(values), np.array([log_error(item, above=True) for item in items])
    common = np.average(places, weights=errors**-2.0)
    chi_square = float(np.sum(((places - common) / errors) ** 2))
    return 1.0 / max(1.0, chi_square / (len(items) - 1)) / (len(items) if same_patients else 1)
