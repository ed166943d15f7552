"""A calibration file: estimates, posterior draws, misfits, seeds and versions."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ...model.catalogue import read_catalogue
from ...parameters.errors import FileError, InputError, RangeError, unknown
from ...parameters.files import shipped_file
from ...parameters.parameter_set import ParameterSet
from .search_space import SearchSpace, drawn_from_priors

_FOLDER = Path(__file__).parent.parent / "calibrations"
FORMAT = 1
MISSED = 2.0
"""A misfit beyond so many standard errors is notable."""


@dataclass(frozen=True)
class Calibration:
    """Fitted values and posterior draws of the free parameters, by id, each in its parameter's unit and not as a
    logarithm.

    Attributes
    ----------
    name
        What the calibration is called.
    estimate
        The values with the highest posterior probability.
    draws
        Posterior draws, one mapping each; equally likely.
    misfits
        Per fitted item: the model value at the estimate (unit of the report) and the standardised misfit.
    shrinkage
        Per free parameter: 1 if the evidence decides, 0 if only the prior speaks.
    about
        Seeds, sizes, versions and diagnostics of the fit.

    Examples
    --------
    >>> from perdure import read_calibration
    >>> calibration = read_calibration()
    >>> calibration.parameters()["k_kill_max"].value == calibration.estimate["k_kill_max"]
    True
    """

    name: str
    estimate: Mapping[str, float]
    draws: Sequence[Mapping[str, float]]
    misfits: Mapping[str, Mapping[str, float]]
    shrinkage: Mapping[str, float]
    about: Mapping[str, object]

    def parameters(self, catalogue: ParameterSet | None = None) -> ParameterSet:
        """The catalogue with the calibrated values, graded as such.

        Returns
        -------
        ParameterSet
            Parameters by id, each in its own unit.
        """
        return (catalogue or read_catalogue()).with_values(self.estimate, grade="calibrated")

    @property
    def missed(self) -> tuple[str, ...]:
        """Ids of the fitted results whose misfit is beyond two standard errors."""
        return tuple(name for name, row in self.misfits.items() if abs(row["misfit"]) > MISSED)

    def draw(self, index: int, catalogue: ParameterSet | None = None) -> ParameterSet:
        """The catalogue at one posterior draw, with what was never fitted drawn from its prior (`drawn_from_priors`).

        So a drug effect on which there is no evidence keeps the whole width of its prior in every projection.

        Returns
        -------
        ParameterSet
            Parameters by id, each in its own unit; the same for the same index.

        Raises
        ------
        RangeError
            If the calibration has no such draw.
        """
        if not 0 <= index < len(self.draws):
            raise RangeError(f"draw = {index}; the calibration '{self.name}' has draws 0 to {len(self.draws) - 1}.")
        base = catalogue or read_catalogue()
        values = dict(self.draws[index])
        for name in drawn_from_priors(base, self.estimate):
            # a stream for each name, so that another therapy on the shelf changes nothing of this one
            rng = np.random.default_rng((20260101, index, *name.encode()))
            coordinate = float(np.clip(rng.standard_normal(), -3.0, 3.0))
            parameter = base[name]
            if parameter.prior is not None:
                values[name] = min(max(parameter.prior.value(coordinate), parameter.low), parameter.high)
        return base.with_values(values)


def rounded(space: SearchSpace, point: np.ndarray) -> dict[str, float]:
    """Natural values at a point, as a file holds them."""
    return {name: short(value) for name, value in space.values(point).items()}


def short(value: float) -> float:
    """Five significant digits: more would be noise in a text file."""
    return float(f"{value:.5g}")


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration as JSON, compressed if the name ends with .gz, whole or not at all."""
    text = (json.dumps({"format": FORMAT, **asdict(calibration)}, indent=1) + "\n").encode()
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    draft.replace(path)


def is_file(name: str) -> bool:
    """Whether the name of a calibration is that of a user's own file."""
    return str(name).endswith((".json", ".json.gz"))


def read_calibration(name: str = "reference") -> Calibration:
    """Read a calibration: what every projection starts from.

    Parameters
    ----------
    name
        Name of a shipped calibration, or path of a user's own file, which ends with .json or .json.gz.

    Returns
    -------
    Calibration
        Values at the estimate and at posterior draws, by id of the parameter, each in its own unit.

    Raises
    ------
    UnknownNameError
        If there is no such calibration, or it names a parameter that is not in the catalogue.
    FileError
        If the file is missing, or is not a calibration.
    RangeError
        If a value lies outside the range of its parameter.

    Examples
    --------
    >>> from perdure import read_calibration
    >>> calibration = read_calibration()
    >>> calibration.name, len(calibration.draws) > 20
    ('reference', True)
    """
    return _read(Path(name)) if is_file(name) else _shipped_once(name)


@cache
def _shipped_once(name: str) -> Calibration:
    """Shipped files do not change while the program runs; a user's own file may."""
    return _read(shipped_file(_FOLDER, name, "calibration", ".json.gz"))


def _read(path: Path) -> Calibration:
    try:
        content = path.read_bytes()
        table = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, EOFError) as problem:
        raise FileError(f"{path}: is not a calibration ({problem}).") from problem
    if not isinstance(table, dict) or table.pop("format", None) != FORMAT:
        raise FileError(f"{path}: is not a calibration of format {FORMAT}; write one with 'perdure fit'.")
    fields = Calibration.__dataclass_fields__
    for key in (*fields, *table):
        if key not in table:
            raise FileError(f"{path}: '{key}' is missing.")
        if key not in fields:
            raise unknown("key", key, fields, str(path))
    calibration = Calibration(**table)
    _check_values(calibration, path)
    return calibration


def _check_values(calibration: Calibration, path: Path) -> None:
    """An id or value that does not fit the catalogue is an error now, not in the middle of a projection."""
    catalogue = read_catalogue()
    if not isinstance(calibration.draws, list):
        raise FileError(f"{path}: draws = {calibration.draws!r:.60}, and should be a list of tables.")
    if not calibration.draws:
        raise FileError(f"{path}: draws = [], and should hold the posterior draws, or nothing is said of uncertainty.")
    for key in ("misfits", "shrinkage", "about"):
        if not isinstance(getattr(calibration, key), Mapping):
            raise FileError(f"{path}, {key}: is {getattr(calibration, key)!r:.60}, and should be a table.")
    rows = {"estimate": calibration.estimate} | {f"draws[{k}]": row for k, row in enumerate(calibration.draws)}
    for place, row in rows.items():
        if not isinstance(row, Mapping):
            raise FileError(f"{path}, {place}: is {row!r:.60}, and should be a table of values by parameter.")
        missing = sorted(calibration.estimate.keys() - row.keys())
        if missing:
            raise FileError(f"{path}, {place}: '{missing[0]}' is missing; it stands in the estimate.")
        for name, value in row.items():
            try:
                catalogue[name].with_value(value)
            except InputError as problem:
                raise type(problem)(f"{path}, {place}: {problem}") from None
    unsaid = sorted(calibration.estimate.keys() - calibration.shrinkage.keys())
    if unsaid:
        raise FileError(f"{path}, shrinkage: '{unsaid[0]}' is missing; it stands in the estimate.")
