"""Before a simulation: everything that the engine wants as arrays, checked."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from ..parameters.errors import InputError, RangeError, unknown
from .dose_plan import Edge
from .engine import drug_levels
from .engine.batch import Numbers
from .pharmacokinetics import exponentials_of, unit_responses
from .regimen import Bolus, Regimen
from .states import State
from .system import System
from .therapy import Therapy, read_therapies

MICROLITRES_PER_LITRE = 1e6
FEWEST_TERMS = 2
"""Exponentials per drug for which there is room at least, so that systems without long sums share compiled code."""


def drugs_of(system: System) -> list[Therapy]:
    """Drugs whose levels a system wants, in its order."""
    shelf = {therapy.key: therapy for therapy in read_therapies()}
    return [shelf[put.drug] for put in system.inputs]


def terms_of(drugs: Sequence[Therapy]) -> int:
    """Exponentials per drug for which there must be room."""
    return max([FEWEST_TERMS, *(exponentials_of(drug.pk) for drug in drugs if drug.pk)])


def needed_parameters(of_equations: Sequence[str], drugs: Sequence[Therapy], system: System) -> tuple[str, ...]:
    """Every parameter a simulation needs: those of the equations, of the drugs' pharmacokinetics, and of the dose."""
    names = list(of_equations)
    for drug in drugs:
        names += [name for _, name in drug.pk.names] if drug.pk else []
    if any(is_infused(state) for state in system.states):
        names.append("blood_volume")
    return tuple(dict.fromkeys(names))


def columns_of(names: Sequence[str], patients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters by name, one number per patient each.

    Raises
    ------
    UnknownNameError
        If one is missing.
    InputError
        If they are not one finite number per patient.
    """
    for name in names:
        if name not in patients:
            raise unknown("parameter", name, patients, "patients")
    columns = {name: np.atleast_1d(np.asarray(patients[name], dtype=float)) for name in names}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) > 1 or any(column.ndim != 1 or column.size == 0 for column in columns.values()):
        raise InputError(f"patients: the parameters have the shapes {sorted(shapes)}; one value per patient is right.")
    for name, column in columns.items():
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            raise RangeError(f"patient {bad[0]}: {name} = {column[bad[0]]}; expected a finite number.")
    return columns


def check_times(times: Sequence[float] | np.ndarray) -> np.ndarray:
    """Increasing days from day 0 on, as an array."""
    grid = np.asarray(times, dtype=float)
    if grid.ndim != 1 or grid.size == 0 or not np.all(np.isfinite(grid)):
        raise InputError(f"times: expected a list of finite days, got an array of shape {grid.shape}.")
    if grid[0] < 0 or np.any(np.diff(grid) <= 0):
        raise InputError("times: expected increasing days from day 0 on.")
    return grid


def numbers_of(
    system: System, drugs: Sequence[Therapy], order: Sequence[str], columns: Mapping[str, np.ndarray]
) -> Numbers:
    """What the engine wants of a system and its patients; `order` is that of the parameters."""
    if not order:
        raise InputError(f"system '{system.name}' uses no parameter, so nothing tells how many patients there are.")
    parameters = np.ascontiguousarray(np.stack([columns[name] for name in order], axis=1))
    n = len(parameters)
    weight, rate = unit_responses(drugs, columns, n, terms_of(drugs))
    index = {state: i for i, state in enumerate(system.states)}
    return Numbers(
        parameters, weight, rate, _scale(system, columns, n),
        np.array([state.tolerance for state in system.states]),
        np.array([-np.inf if state.signed else 0.0 for state in system.states]),
        np.array([index[s] for s in (system.branching.states if system.branching else ())], dtype=np.int64),
    )  # fmt: skip


def _scale(system: System, patients: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """What one unit of a dose adds to each state: cells become cells per microlitre of blood."""
    scale = np.ones((n, len(system.states)))
    for i, state in enumerate(system.states):
        if is_infused(state):
            scale[:, i] = 1.0 / (patients["blood_volume"] * MICROLITRES_PER_LITRE)
    return scale


def is_infused(state: State) -> bool:
    """Whether CAR-T cells are given into a state."""
    return state.name == "infused" or state.name.startswith("infused_")


Channels = dict[str, tuple[int, ...]]
"""Where the doses of a therapy arrive: places of states, or the number of states plus the place of a drug."""


def dose_edges(
    regimen: Regimen, system: System, stop: float, start: float = 0.0, suffix: Callable[[Bolus], str] = lambda dose: ""
) -> tuple[list[Edge], Channels]:
    """Dose edges of a regimen that starts on a day, and the channels on which each therapy is audited.

    `suffix` is the ending of the states of the cells that a dose belongs to.
    """
    states = [state.name for state in system.states]
    drugs = [put.drug for put in system.inputs]
    rows: list[Edge] = []
    channels: Channels = {}
    products = set(regimen.products)
    for dose in regimen.doses:
        day = start + dose.day
        if day > stop:
            continue
        if dose.therapy in products and isinstance(dose, Bolus):
            name = f"infused{suffix(dose)}"
            target = states.index(name) if name in states else -1
            channel, kind = target, drug_levels.STATE_BOLUS
        else:
            target = drugs.index(dose.therapy) if dose.therapy in drugs else -1
            channel, kind = len(states) + target, drug_levels.DRUG_BOLUS
        if target < 0:
            raise InputError(f"system '{system.name}' has no place for a dose of {dose.therapy}.")
        channels[dose.therapy] = tuple(dict.fromkeys((*channels.get(dose.therapy, ()), channel)))
        end = day if isinstance(dose, Bolus) else day + dose.duration
        if end == day:  # an infusion too short for the clock is a jump too
            rows.append((day, kind, target, dose.amount, day))
        else:
            speed = dose.amount / (end - day)  # of the days as rounded, so that a short infusion is whole
            rows.append((day, drug_levels.DRUG_RATE, target, speed, day))
            rows.append((min(end, stop), drug_levels.DRUG_RATE, target, -speed, day))
    return rows, channels


def joined(channels: Sequence[Channels]) -> Channels:
    """Channels of several regimens together."""
    together: Channels = {}
    for part in channels:
        for therapy, mine in part.items():
            together[therapy] = tuple(dict.fromkeys((*together.get(therapy, ()), *mine)))
    return together


def eradication_grid(stop: float, infusions: Sequence[float] = ()) -> np.ndarray:
    """Widths (days) of the intervals on which eradication is computed: fine after day 0 and after every infusion."""
    starts = sorted({0.0, *(day for day in infusions if 0.0 < day < stop)})
    edges = []
    for start, end in pairwise([*starts, stop]):
        since = np.concatenate([np.arange(0.0, 40.0, 0.5), np.arange(40.0, 200.0, 2.0), np.arange(200.0, stop, 5.0)])
        edges.append(start + since[since < end - start])
    return np.diff(np.append(np.concatenate(edges), stop))
