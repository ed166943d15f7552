"""Virtual patients: random numbers keyed by (root seed, patient, name), and the parameters each patient gets."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from .errors import InputError, RangeError, unknown
from .parameter_set import ParameterSet
from .streams import MOST_PATIENTS, stream_keys, uniforms

ASSAY_DRAWS = 160
"""Most visits of a trial, each with assay errors of its own: ten years of monthly ones and more."""

SHARED_BETWEEN_PRODUCTS = "fraction_shared_between_products"
"""Correlation of what a patient's cells are like with a further product and with the first."""


@dataclass(frozen=True, eq=False)
class Draws:
    """The randomness of a virtual population, before any parameter is known.

    Keeping it apart makes common random numbers: two parameter sets, two arms or two regimens are compared on
    the same people. A number belongs to the seed, the patient and the name of what is drawn, and to nothing else, so
    that one name more changes none of the others. Every name has one; a name that is asked for again is remembered.

    Attributes
    ----------
    keys : array (n, 2)
        What tells the patients apart, as `stream_keys` gives it.
    errors : array (n, visits, 2), optional
        Assay errors that take the place of the drawn ones; zeros are an assay without error.
    line
        Line of therapy whose deaths are drawn.
    """

    seed: int
    keys: np.ndarray
    errors: np.ndarray | None = None
    line: int = 1
    _known: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, init=False, repr=False)
    _assay: list[np.ndarray] = field(default_factory=list, init=False, repr=False)

    @property
    def n(self) -> int:
        """Number of virtual patients."""
        return len(self.keys)

    @property
    def assay(self) -> np.ndarray:
        """Assay errors of as many visits as a trial can have: array (n, ASSAY_DRAWS, 2)."""
        return self.assay_of(ASSAY_DRAWS) if self.errors is None else self.errors

    def assay_of(self, visits: int) -> np.ndarray:
        """Standard normals for the proportional and the additive error of the M-protein assay: (n, visits, 2)."""
        if self.errors is not None:
            return self.errors[:, :visits]
        if not self._assay or self._assay[0].shape[1] < visits:
            normal = uniforms(self.keys, [("assay", block) for block in range((visits + 1) // 2)])
            ndtri(normal, out=normal)
            normal.setflags(write=False)
            self._assay[:] = [normal.reshape(self.n, -1, 2)]  # a block of four words has the errors of two visits
        return self._assay[0][:, :visits]

    @property
    def death(self) -> np.ndarray:
        """Uniforms that date death without progression: array (n,)."""
        return self.uniform_of(_numbered("death", self.line))

    def for_line(self, line: int) -> "Draws":
        """The same people in a later line of therapy: deaths there have draws of their own."""
        return replace(self, line=line)

    def normal_of(self, name: str) -> np.ndarray:
        """Standard normals under this name, whatever the name: array (n,)."""
        self.remember((name,))
        return self._known[name][0]

    def uniform_of(self, name: str) -> np.ndarray:
        """Uniforms on (0, 1) under this name, independent of its normals: array (n,)."""
        self.remember((name,))
        return self._known[name][1]

    def remember(self, names: Iterable[str]) -> None:
        """Draw many names together, which takes less time than one after the other."""
        new = tuple(name for name in dict.fromkeys(names) if name not in self._known)
        if not new:
            return
        uniform = uniforms(self.keys, [(name, 0) for name in new], words=2)
        uniform = np.ascontiguousarray(uniform.transpose(2, 1, 0))  # the numbers of one name stand side by side
        ndtri(uniform[0], out=uniform[0])
        uniform.setflags(write=False)
        self._known.update({name: (uniform[0, i], uniform[1, i]) for i, name in enumerate(new)})

    def part(self, first: int, last: int) -> "Draws":
        """The draws of patients `first` to `last` (not included)."""
        keep = slice(first, last)
        errors = None if self.errors is None else self.errors[keep]
        some = Draws(self.seed, self.keys[keep], errors, self.line)
        some._assay.extend(assay[keep] for assay in self._assay)
        some._known.update({name: (normal[keep], uniform[keep]) for name, (normal, uniform) in self._known.items()})
        return some


def draw(parameters: ParameterSet, n: int, seed: int, *, first: int = 0) -> Draws:
    """Draw the randomness of virtual patients, before any parameter is known.

    Patient i is the same whatever `n` and the parameters are, so that arms, regimens and posterior draws are compared
    on the same people (common random numbers). Names that differ between patients are drawn at once, others when asked
    for.

    Parameters
    ----------
    parameters
        The catalogue, at the estimate or at a posterior draw; it says what differs between patients.
    n
        Number of virtual patients.
    seed
        Root of their random streams, a whole number of at least 0.
    first
        Number of the first patient: `draw(parameters, 10, seed, first=90)` are the last ten of a hundred.

    Returns
    -------
    Draws
        Standard normals and uniforms by name, arrays (n,), without unit.

    Raises
    ------
    RangeError
        If `n` is not a positive whole number, or `first` or the seed is not a whole number of at least 0.

    Examples
    --------
    >>> from perdure import draw, read_catalogue
    >>> ten, last = draw(read_catalogue(), 10, 1), draw(read_catalogue(), 1, 1, first=9)
    >>> bool(ten.normal_of("k_expansion")[9] == last.normal_of("k_expansion")[0])
    True
    """
    if int(n) != n or n < 1:
        raise RangeError(f"number of virtual patients = {n}; expected a whole number of at least 1.")
    if int(seed) != seed or seed < 0:
        raise RangeError(f"seed = {seed}; expected a whole number of at least 0.")
    if int(first) != first or first < 0 or first + n > MOST_PATIENTS:
        raise RangeError(f"first patient = {first}, of {n}; expected whole numbers from 0 to {MOST_PATIENTS - 1}.")
    people = _first(int(n), int(seed)) if first == 0 else _people(int(first), int(n), int(seed))
    people.remember(("death", *_varying(parameters)))
    return people


@lru_cache(maxsize=32)
def _first(n: int, seed: int) -> Draws:
    """The first patients of a seed, who are asked for again and again; parts of a large cohort are not kept."""
    return _people(0, n, seed)


def _people(first: int, n: int, seed: int) -> Draws:
    keys = stream_keys(seed, np.arange(first, first + n))
    keys.setflags(write=False)
    return Draws(seed, keys)


def _varying(parameters: ParameterSet) -> tuple[str, ...]:
    """Names with a spread, be it shared or that of a product or population, and what decides who has a trait."""
    spread = [name.split(".")[-2] for name in parameters if name.endswith(".spread")]
    return *spread, *(parameter.drawn_with for parameter in parameters.values() if parameter.drawn_with)


def make_patients(
    parameters: ParameterSet, draws: Draws, *, product: str | Sequence[str] = "", population: str = ""
) -> Mapping[str, np.ndarray]:
    """Parameters of every virtual patient, by name.

    A parameter with a spread is log-normal around its typical value (with the correlations of the population),
    kept inside its range [low, high]. A parameter with `drawn_with` is a trait: its own value in patients who
    have it (with the probability named there), zero in the others.

    Parameters
    ----------
    parameters
        The catalogue, at the estimate or at a posterior draw.
    draws
        The randomness of the patients, as `draw` gives it.
    product
        Key of a CAR-T product, or of several in the order in which they are given. Whatever is a product's own
        (`of_product`) then has one more entry for each further product: `k_expansion_2`, `k_expansion_3`. What a
        patient's cells are like with one product tells something of the next (`fraction_shared_between_products` is the
        correlation with the first), and everything if it is the same product again. Who is prone to a trait is so with
        every product.
    population
        Key of a population, such as 'late_line'.

    Returns
    -------
    mapping of arrays (n,)
        By name, each in the unit that the catalogue gives it.

    Raises
    ------
    UnknownNameError
        If a product, the population, or a parameter that they name is not known.
    InputError
        If the correlations of the population contradict each other.

    Examples
    --------
    >>> from perdure import draw, make_patients, read_catalogue
    >>> catalogue = read_catalogue()
    >>> people = draw(catalogue, 20, seed=1)
    >>> patients = make_patients(catalogue, people, product="ide_cel", population="late_line")
    >>> patients["k_growth_tumour"].shape, catalogue["k_growth_tumour"].unit
    ((20,), '1/day')
    """
    first, *further = (product,) if isinstance(product, str) else tuple(product) or ("",)
    typical, spreads = parameters.typical(first, population), parameters.spreads(population, first)
    for name in typical:
        if (trait := parameters[name].drawn_with) and trait not in typical:
            raise unknown("parameter", trait, typical, f"[{name}], drawn_with")
    draws.remember(_varying(parameters))
    effects = _Effects(draws, _correlated(parameters, draws, population))
    patients = _values(parameters, draws, tuple(typical), typical, spreads, effects)
    own = tuple(name for name in typical if parameters[name].of_product)
    draws.remember(f"{name}_{k}" for k in range(2, len(further) + 2) for name in own if name in spreads)
    for k, key in enumerate(further, start=2):
        before = [first, *further].index(key) + 1
        if before < k:  # the same cells
            patients |= {f"{name}_{k}": patients[_numbered(name, before)] for name in own}
            continue
        if SHARED_BETWEEN_PRODUCTS not in typical:
            raise unknown("parameter", SHARED_BETWEEN_PRODUCTS, typical, f"products {', '.join([first, *further])}")
        numbers, sds = parameters.typical(key, population), parameters.spreads(population, key)
        again = replace(effects, number=k, shared=typical[SHARED_BETWEEN_PRODUCTS])
        values = _values(parameters, draws, own, numbers, sds, again)
        patients |= {f"{name}_{k}": value for name, value in values.items()}
    return patients


def _numbered(name: str, k: int) -> str:
    return name if k == 1 else f"{name}_{k}"


@dataclass(frozen=True)
class _Effects:
    """Standard normals by name, with the population's correlations where it links the name.

    Those of a further product, by its number, are correlated with those of the first: `shared` is the correlation.
    """

    draws: Draws
    linked: Mapping[str, np.ndarray]
    number: int = 1
    shared: float = 1.0

    def __getitem__(self, name: str) -> np.ndarray:
        first = self.linked[name] if name in self.linked else self.draws.normal_of(name)
        if self.number == 1:
            return first
        own = self.draws.normal_of(_numbered(name, self.number))
        return self.shared * first + math.sqrt(1.0 - self.shared**2) * own


def _values(
    parameters: ParameterSet, draws: Draws, names: Iterable[str], typical: Mapping[str, float],
    spreads: Mapping[str, float], effects: _Effects,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Values of every patient for a product, by name."""
    patients = {}
    for name in names:
        parameter, values = parameters[name], np.full(draws.n, typical[name])
        if name in spreads:
            values = np.clip(typical[name] * np.exp(spreads[name] * effects[name]), parameter.low, parameter.high)
        if trait := parameter.drawn_with:
            values = np.where(draws.uniform_of(trait) < typical[trait], values, 0.0)
        patients[name] = values
    return patients


def _correlated(parameters: ParameterSet, draws: Draws, population: str) -> dict[str, np.ndarray]:
    """Standard normals of the names that the population links, correlated by a Cholesky factor; none otherwise."""
    links = parameters.populations[population].correlations if population else ()
    for link in links:
        for name in (link.first, link.second):
            if "." in name or name not in parameters:
                raise unknown("parameter", name, parameters.names, f"population '{population}', correlation")
    if not links:
        return {}
    linked = sorted({name for link in links for name in (link.first, link.second)})
    matrix = np.eye(len(linked))
    for link in links:
        i, j = linked.index(link.first), linked.index(link.second)
        matrix[i, j] = matrix[j, i] = link.value
    try:
        factor = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InputError(
            f"population '{population}': its correlations contradict each other ({[link.value for link in links]})."
        ) from None
    normal = [draws.normal_of(name) for name in linked]
    return {
        name: np.sum([weight * normals for weight, normals in zip(row, normal, strict=True)], axis=0)
        for name, row in zip(linked, factor, strict=True)
    }
