"""Virtual patients: one random stream per (root seed, patient), and the parameters each patient gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .errors import InputError, RangeError, unknown
from .parameter_set import ParameterSet
from .streams import MOST_PATIENTS, stream_keys

ASSAY_DRAWS = 160
"""Standard normals kept per patient for assay error, so that every visit of ten years has its own."""


@dataclass(frozen=True, eq=False)
class Draws:
    """The randomness of a virtual population, before any parameter is known.

    Keeping it apart makes common random numbers: two parameter sets, two arms or two regimens are compared on
    the same people.

    Attributes
    ----------
    normal : array (n, number of shared parameters)
        Standard normals, one column for each shared parameter in alphabetical order.
    uniform : array (n, number of shared parameters)
        Uniforms on (0, 1), for yes-or-no traits.
    assay : array (n, ASSAY_DRAWS, 2)
        Standard normals for the proportional and the additive error of the M-protein assay, by visit.
    death : array (n,)
        Uniforms that date death without progression.
    """

    seed: int
    names: tuple[str, ...]
    normal: np.ndarray
    uniform: np.ndarray
    assay: np.ndarray
    death: np.ndarray

    @property
    def n(self) -> int:
        """Number of virtual patients."""
        return len(self.death)

    def part(self, first: int, last: int) -> "Draws":
        """The draws of patients `first` to `last` (not included)."""
        keep = slice(first, last)
        return Draws(
            self.seed, self.names, self.normal[keep], self.uniform[keep], self.assay[keep], self.death[keep]
        )  # fmt: skip


def draw(parameters: ParameterSet, n: int, seed: int, *, first: int = 0) -> Draws:
    """Draw the randomness of `n` virtual patients; patient i is the same whatever `n` is.

    `first` is the number of the first of them: `draw(parameters, 10, seed, first=90)` are the last ten of a hundred.

    Raises
    ------
    RangeError
        If `n` is not a positive whole number, or `first` or the seed is negative.
    """
    if int(n) != n or n < 1:
        raise RangeError(f"number of virtual patients = {n}; expected a whole number of at least 1.")
    if int(seed) != seed or seed < 0:
        raise RangeError(f"seed = {seed}; expected a whole number of at least 0.")
    if int(first) != first or first < 0 or first + n > MOST_PATIENTS:
        raise RangeError(f"first patient = {first}, of {n}; expected whole numbers from 0 to {MOST_PATIENTS - 1}.")
    names = tuple(sorted(parameters.names))
    return _draw(names, int(n), int(seed)) if first == 0 else _streams(names, int(first), int(n), int(seed))


@lru_cache(maxsize=32)
def _draw(names: tuple[str, ...], n: int, seed: int) -> Draws:
    """The first patients of a seed, who are asked for again and again; parts of a large cohort are not kept."""
    return _streams(names, 0, n, seed)


def _streams(names: tuple[str, ...], first: int, n: int, seed: int) -> Draws:
    width = len(names)
    normal, uniform = np.empty((n, width)), np.empty((n, width))
    assay, death = np.empty((n, ASSAY_DRAWS, 2)), np.empty(n)
    # One generator is set to the beginning of each patient's stream: making a new one takes longer than drawing.
    bits = np.random.Philox(key=0)
    stream, state = np.random.Generator(bits), bits.state
    for patient, key in enumerate(stream_keys(seed, np.arange(first, first + n))):
        state["state"]["key"] = key
        bits.state = state
        death[patient] = stream.random()
        stream.standard_normal(out=assay[patient])
        stream.random(out=uniform[patient])
        stream.standard_normal(out=normal[patient])
    for array in (normal, uniform, assay, death):
        array.setflags(write=False)
    return Draws(seed, names, normal, uniform, assay, death)


def make_patients(
    parameters: ParameterSet, draws: Draws, *, product: str = "", population: str = ""
) -> Mapping[str, np.ndarray]:
    """Parameters of every virtual patient, by name: arrays of shape (n,).

    A parameter with a spread is log-normal around its typical value (with the correlations of the population),
    kept inside its range [low, high]. A parameter with `drawn_with` is a trait: its own value in patients who
    have it (with the probability named there), zero in the others.
    """
    typical = parameters.typical(product, population)
    spreads = parameters.spreads(population, product)
    column = {name: index for index, name in enumerate(draws.names)}
    missing = [name for name in typical if name not in column]
    if missing:
        raise unknown("parameter among the draws", missing[0], column)
    normal = _correlated(parameters, draws, population, column)
    patients = {}
    for name, value in typical.items():
        values = np.full(draws.n, value)
        if name in spreads:
            shared = parameters[name]
            values = np.clip(value * np.exp(spreads[name] * normal[:, column[name]]), shared.low, shared.high)
        trait = parameters[name].drawn_with
        if trait:
            if trait not in column:
                raise unknown("parameter", trait, column, f"[{name}], drawn_with")
            values = np.where(draws.uniform[:, column[trait]] < typical[trait], values, 0.0)
        patients[name] = values
    return patients


def _correlated(parameters: ParameterSet, draws: Draws, population: str, column: Mapping[str, int]) -> np.ndarray:
    """Standard normals with the population's correlations (a Cholesky factor of the linked columns)."""
    links = parameters.populations[population].correlations if population else ()
    if not links:
        return draws.normal
    for link in links:
        for name in (link.one, link.other):
            if name not in column:
                raise unknown("parameter", name, column, f"population '{population}', correlation")
    linked = sorted({name for link in links for name in (link.one, link.other)})
    matrix = np.eye(len(linked))
    for link in links:
        i, j = linked.index(link.one), linked.index(link.other)
        matrix[i, j] = matrix[j, i] = link.value
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError(
            f"population '{population}': its correlations contradict each other ({[link.value for link in links]})."
        ) from None
    columns = [column[name] for name in linked]
    normal = draws.normal.copy()
    normal[:, columns] = draws.normal[:, columns] @ factor.T
    return normal
