"""What every picture asks of the numbers it gets."""

import re
from collections.abc import Sequence, Sized
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...parameters.errors import InputError, RangeError

Numbers: TypeAlias = Sequence[float] | NDArray[np.float64]
FloatArray: TypeAlias = NDArray[np.float64]


def check_name(name: str, kind: str = "picture") -> str:
    """The name, if it can be a file's name on every system; else InputError."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(
            f"{kind} name {name!r}: it becomes a file name; use letters, digits, '-', '_' and '.', as in 'pfs_cilta'."
        )
    return name


def numbers(
    values: Numbers, what: str, where: str, *, like: FloatArray | None = None, finite: bool = False
) -> FloatArray:
    """A one-dimensional float array, as long as `like`, and finite if asked; else InputError."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {what} must be numbers, and is {values!r:.80}.") from None
    if array.ndim != 1:
        raise InputError(f"{where}: {what} must be one row of numbers, and has shape {array.shape}.")
    if like is not None and array.size != like.size:
        raise InputError(f"{where}: {what} has {array.size} numbers and should have {like.size}.")
    if finite and not np.all(np.isfinite(array)):
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise RangeError(f"{where}: {what}[{index}] is {array[index]}; every one must be a finite number.")
    return array


def check_rising(array: FloatArray, what: str, where: str) -> FloatArray:
    """The array, if it never falls; else RangeError."""
    if array.size and np.any(np.diff(array) < 0):
        index = int(np.flatnonzero(np.diff(array) < 0)[0]) + 1
        raise RangeError(f"{where}: {what}[{index}] = {array[index]:g} comes after {array[index - 1]:g}; sort them.")
    return array


def check_within(array: FloatArray, low: float, high: float, what: str, where: str) -> FloatArray:
    """The array, if every number that is not missing lies in [low, high]; else RangeError."""
    outside = np.flatnonzero((array < low - 1e-9) | (array > high + 1e-9))
    if outside.size:
        index = int(outside[0])
        raise RangeError(f"{where}: {what}[{index}] = {array[index]:g} lies outside [{low:g}, {high:g}].")
    return array


def check_some(items: Sized, what: str, where: str) -> None:
    """Raise InputError if there is nothing to draw."""
    if not len(items):
        raise InputError(f"{where}: there are no {what} to draw; give at least one.")
