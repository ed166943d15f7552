"""Columns of data that come from outside: lists of numbers, or one clear error."""

import numpy as np
from numpy.typing import ArrayLike

from ..parameters.errors import InputError


def list_of_numbers(where: str, name: str, values: ArrayLike) -> np.ndarray:
    """The values as an array (n,) of floats; InputError if they are no numbers, no list, or none."""
    try:
        column = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {name} is {values!r:.60}, and should be a list of numbers") from None
    if column.ndim != 1 or column.size == 0:
        raise InputError(f"{where}: {name} has shape {column.shape}, and should be a list, one value per patient")
    return column
