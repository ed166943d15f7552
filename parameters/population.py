"""Patient populations: between-patient variability, correlations and factors on shared values; one file each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .files import complain, read_toml
from .parameter import Parameter, read_parameter
from .source import check_source

_FOLDER = Path(__file__).parent / "populations"


@dataclass(frozen=True)
class Correlation:
    """Correlation of two log-normal parameters between patients."""

    first: str
    second: str
    value: float


@dataclass(frozen=True)
class Population:
    """Whom a trial enrols, in words; its numbers stand in the catalogue under its key."""

    key: str
    title: str
    meaning: str
    correlations: tuple[Correlation, ...] = ()


class _CorrelationEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    between: tuple[str, str]
    value: float = Field(gt=-1, lt=1)
    source: str
    note: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    correlations: list[_CorrelationEntry] = []
    parameter: dict[str, dict[str, Any]] = {}
    factor: dict[str, dict[str, Any]] = {}
    spread: dict[str, dict[str, Any]] = {}


def read_population(path: Path) -> tuple[Population, tuple[Parameter, ...]]:
    """Read a population file: whom a trial enrols, and the parameters that differ in them.

    Parameters
    ----------
    path
        A TOML file; its name without the ending is the key of the population.

    Returns
    -------
    tuple of Population and tuple of Parameter
        The population with its correlations (of the logarithms, between patients), and its values, factors and spreads,
        each with its unit and source.

    Raises
    ------
    FileError
        If the file is missing or malformed, or has a number without a source.
    UnknownNameError
        If it has an unknown key, or a source that is not known.

    Examples
    --------
    >>> from pathlib import Path
    >>> import perdure
    >>> shipped = Path(perdure.__file__).parent / "parameters" / "populations" / "late_line.toml"
    >>> population, parameters = perdure.read_population(shipped)
    >>> population.title
    'late-line relapsed and refractory myeloma'
    """
    path = Path(path)
    try:
        entry = _File.model_validate(read_toml(path))
    except ValidationError as error:
        raise complain(error, path.name, _File.model_fields) from None
    key = path.stem
    for link in entry.correlations:
        check_source(link.source, link.note, f"{path.name}, correlation {link.between}")
    parameters: list[Parameter] = []
    for kind, suffix in (("parameter", ""), ("factor", ".factor"), ("spread", ".spread")):
        for name, number in getattr(entry, kind).items():
            parameters.extend(read_parameter(f"{key}.{name}{suffix}", number, path.name))
    links = tuple(Correlation(link.between[0], link.between[1], link.value) for link in entry.correlations)
    return Population(key, entry.title, entry.meaning, links), tuple(parameters)


@cache
def read_populations(folder: Path = _FOLDER) -> tuple[Mapping[str, Population], tuple[Parameter, ...]]:
    """Read every population of a folder, with all their parameters."""
    populations, parameters = {}, []
    for path in sorted(folder.glob("*.toml")):
        population, numbers = read_population(path)
        populations[population.key] = population
        parameters.extend(numbers)
    return populations, tuple(parameters)
