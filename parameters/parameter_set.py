"""A frozen set of parameters, addressed by name; a change makes a new set."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from .errors import FileError, UnitError, unknown
from .files import read_toml
from .parameter import Grade, Parameter, read_parameter
from .population import Population, read_populations

_SETS = Path(__file__).parent / "sets"


class ParameterSet(Mapping[str, Parameter]):
    """All parameters by id, with the populations that change them.

    A shared value holds for everybody; a product or a population may replace it (`owner.name`), and a
    population may multiply it (`owner.name.factor`) or change its between-patient spread (`owner.name.spread`).
    """

    def __init__(self, parameters: Iterable[Parameter], populations: Mapping[str, Population]) -> None:
        table: dict[str, Parameter] = {}
        for parameter in parameters:
            if parameter.id in table:
                raise FileError(f"'{parameter.id}' is declared twice; a parameter stands in one file only.")
            table[parameter.id] = parameter
        self._table = MappingProxyType(table)
        self.populations = MappingProxyType(dict(populations))
        for parameter in table.values():
            # A population may change a number that a drug brings along later, so it is checked when it is used.
            if parameter.id.split(".")[0] not in self.populations:
                self._check_owner(parameter)

    def __getitem__(self, name: str) -> Parameter:
        """Parameter by id; an unknown one is an error with near matches."""
        try:
            return self._table[name]
        except KeyError:
            raise unknown("parameter", name, self._table) from None

    def __contains__(self, name: object) -> bool:
        """Whether there is a parameter of that id."""
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        """Ids, in the order of the files."""
        return iter(self._table)

    def __len__(self) -> int:
        """Number of parameters."""
        return len(self._table)

    def _check_owner(self, parameter: Parameter) -> None:
        """An entry of a product or population must change a shared parameter that exists, in the unit of that one."""
        parts = parameter.id.split(".")
        shared = parts[0] if len(parts) == 1 or parts[1] == "spread" else parts[1]
        if shared not in self._table:
            raise unknown("parameter", shared, self.names, f"[{parameter.id}]")
        right = "" if parts[-1] in {"factor", "spread"} else self._table[shared].unit
        if parameter.unit != right:
            raise UnitError(f"[{parameter.id}] is in '{parameter.unit}', and should be in '{right}' like '{shared}'.")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the shared parameters, without spreads and without owners."""
        return tuple(name for name in self._table if "." not in name)

    @property
    def owners(self) -> tuple[str, ...]:
        """Products and populations that change something."""
        return tuple(dict.fromkeys(n.split(".")[0] for n in self._table if n.split(".")[0] not in self._table))

    def with_parameters(self, parameters: Iterable[Parameter]) -> "ParameterSet":
        """Same set with more parameters, for example those of a product."""
        return ParameterSet([*self._table.values(), *parameters], self.populations)

    def with_values(
        self, values: Mapping[str, object] | None = None, *, grade: Grade | None = None, **more: object
    ) -> "ParameterSet":
        """Same set with other values, each in that parameter's own unit or with a unit of its own.

        `with_values({"cilta_cel.half_density_kill": 120.0}, k_growth_tumour="0.01 1/day")`
        """
        table = dict(self._table)
        for name, value in {**(values or {}), **more}.items():
            table[name] = self[name].with_value(value, grade)
        return ParameterSet(table.values(), self.populations)

    def typical(self, product: str = "", population: str = "") -> dict[str, float]:
        """Typical value of every shared parameter for a product in a population.

        Raises
        ------
        UnknownNameError
            If the population or the product is not known.
        """
        self._check_known(product, population)
        values = {}
        for name in self.names:
            value = self._table[name].value
            for owner in (product, population):
                if f"{owner}.{name}" in self._table:
                    value = self._table[f"{owner}.{name}"].value
            if f"{population}.{name}.factor" in self._table:
                value *= self._table[f"{population}.{name}.factor"].value
            values[name] = min(max(value, self._table[name].low), self._table[name].high)
        return values

    def spreads(self, population: str = "", product: str = "") -> dict[str, float]:
        """Between-patient SD of the logarithm, for every parameter that varies between patients."""
        self._check_known(product, population)
        result = {}
        for name in self.names:
            for key in (f"{name}.spread", f"{product}.{name}.spread", f"{population}.{name}.spread"):
                if key in self._table:
                    result[name] = self._table[key].value
        return result

    def _check_known(self, product: str, population: str) -> None:
        if population and population not in self.populations:
            raise unknown("population", population, self.populations)
        if product and product not in self.owners:
            raise unknown("product", product, set(self.owners) - set(self.populations))
        if population:
            for name, parameter in self._table.items():
                if name.startswith(f"{population}."):
                    self._check_owner(parameter)


def read_set(name: str = "", *, folder: Path = _SETS) -> ParameterSet:
    """Read the shipped parameters and populations, or (by `name`) one set file only.

    A set that ends with .toml is a user's own file.
    """
    files = sorted(folder.glob("*.toml"))
    if name:
        files = [Path(name) if name.endswith(".toml") else folder / f"{name}.toml"]
    if not files:
        raise FileError(f"{folder}: holds no parameter files (*.toml).")
    parameters: list[Parameter] = []
    for path in files:
        for key, entry in read_toml(path).items():
            if not isinstance(entry, dict):
                raise FileError(
                    f"{path.name}: '{key} = {entry!r}' stands outside a table; write [{key}] with value, unit, source."
                )
            parameters.extend(read_parameter(key, entry, path.name))
    populations, of_populations = ({}, ()) if name else read_populations()
    return ParameterSet([*parameters, *of_populations], populations)
