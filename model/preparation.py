"""Input arrays of the engine, prepared from patients and a regimen, and checked."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from ..parameters.errors import InputError, RangeError, unknown
from .engine import drug_levels
from .engine.batch import Numbers, Schedule
from .engine.drug_levels import DRUG_RATE, STATE_BOLUS
from .pharmacokinetics import exponentials_of, unit_responses
from .regimens.regimen import Bolus, Regimen
from .system.system import State, System
from .therapy import Therapy, read_therapies

# Dose plans: past and pending doses of every patient of a batch.


DAY, KIND, TARGET, AMOUNT, BEGUN = range(5)
"""Columns of a dose edge; the last is the day on which its dose begins (an infusion has a second edge, its end)."""

Edge = tuple[float, int, int, float, float]


class DosePlans:
    """One table of dose edges per patient; patients share a table until something changes for one of them.

    A `channel` is a state, or the number of states plus a drug. `given` (n,) counts the edges that lie behind.
    """

    def __init__(self, edges: Sequence[Edge], n: int, states: int) -> None:
        table = _in_order(np.array(edges, dtype=float).reshape(-1, 5))
        self._tables, self._states = [table] * n, states
        self._held: list[dict[int, np.ndarray]] = [{} for _ in range(n)]
        self._doses, self._targets, self._used = np.zeros((0, 2)), np.zeros((0, 2), dtype=np.int64), 0
        self._start = np.full(n, self._store(table))
        self.given = np.zeros(n, dtype=np.int64)

    def coming(self) -> Schedule:
        """What is still to come for every patient."""
        return self._schedule(self._start + self.given)

    def whole(self) -> Schedule:
        """What was given and is still to come, from the beginning."""
        return self._schedule(self._start)

    def _schedule(self, first: np.ndarray) -> Schedule:
        last = self._start + np.array([len(table) for table in self._tables], dtype=np.int64)
        edges = np.ascontiguousarray(np.stack([first, last], axis=1))
        return Schedule(self._doses[: self._used], self._targets[: self._used], edges)

    def come_to(self, next_edge: np.ndarray) -> None:
        """The batch has gone on: its next edges, as places in the last schedule."""
        self.given = next_edge - self._start

    def start(self, who: int, edges: np.ndarray) -> None:
        """Add edges to what is to come; those of a therapy on hold wait with it."""
        of = self._channel(edges)
        for channel, waiting in self._held[who].items():
            self._held[who][channel] = _in_order(np.concatenate([waiting, edges[of == channel]]))
        self._replace(who, self._tables[who][self.given[who] :], edges[~np.isin(of, list(self._held[who]))])

    def stop(self, who: int, channel: int, day: float) -> None:
        """Nothing more of a therapy, held doses included; an infusion under way ends now."""
        self._held[who].pop(channel, None)
        self._take_out(who, channel, day)

    def hold(self, who: int, channel: int, day: float) -> None:
        """Interrupt a therapy: pending doses are held, a running infusion stops and its remainder is lost."""
        if channel not in self._held[who]:
            rest = self._take_out(who, channel, day)
            begins = rest[(rest[:, KIND] != DRUG_RATE) | (rest[:, AMOUNT] > 0), BEGUN]
            self._held[who][channel] = rest[np.isin(rest[:, BEGUN], begins)]

    def resume(self, who: int, channel: int, day: float) -> None:
        """Resume a therapy: held doses that begin on this day or later are given."""
        waiting = self._held[who].pop(channel, None)
        if waiting is not None:
            self._replace(who, self._tables[who][self.given[who] :], waiting[waiting[:, BEGUN] >= day])

    def total(self, channel: int) -> np.ndarray:
        """Prescribed amount of a therapy by patient."""
        totals: dict[int, float] = {}
        for table in self._tables:
            if id(table) not in totals:
                edges = table[self._channel(table) == channel]
                rates = edges[edges[:, KIND] == DRUG_RATE]
                speed = np.cumsum(rates[:, AMOUNT])[:-1]
                totals[id(table)] = float(
                    edges[edges[:, KIND] != DRUG_RATE, AMOUNT].sum() + (speed * np.diff(rates[:, DAY])).sum()
                )
        return np.array([totals[id(table)] for table in self._tables])

    def _channel(self, edges: np.ndarray) -> np.ndarray:
        return np.where(edges[:, KIND] == STATE_BOLUS, 0, self._states) + edges[:, TARGET].astype(np.int64)

    def _take_out(self, who: int, channel: int, day: float) -> np.ndarray:
        """Remove the pending doses of a therapy and return them; running infusions end."""
        table, given = self._tables[who], self.given[who]
        past, coming = table[:given], table[given:]
        of_therapy = self._channel(coming) == channel
        rates = past[(self._channel(past) == channel) & (past[:, KIND] == DRUG_RATE)]
        speed = float(np.cumsum(rates[:, AMOUNT])[-1]) if len(rates) else 0.0  # added up as the engine does
        runs = speed > 1e-9 * np.abs(rates[:, AMOUNT]).max(initial=0.0)
        end = np.array([[day, DRUG_RATE, channel - self._states, -speed, day]]) if runs else np.zeros((0, 5))
        self._replace(who, coming[~of_therapy], end)
        return coming[of_therapy]

    def _replace(self, who: int, *coming: np.ndarray) -> None:
        """Give a patient a new table, with the same past."""
        table = np.concatenate([self._tables[who][: self.given[who]], _in_order(np.concatenate(coming))])
        self._tables[who], self._start[who] = table, self._store(table)

    def _store(self, table: np.ndarray) -> int:
        """Add a table to what the engine reads, and return its place; nothing is ever removed."""
        place, self._used = self._used, self._used + len(table)
        if self._used > len(self._doses):
            more = np.zeros((2 * self._used, 2))
            self._doses = np.concatenate([self._doses[:place], more])
            self._targets = np.concatenate([self._targets[:place], more.astype(np.int64)])
        self._doses[place : self._used] = table[:, [DAY, AMOUNT]]
        self._targets[place : self._used] = table[:, [KIND, TARGET]]
        return place


def _in_order(edges: np.ndarray) -> np.ndarray:
    return edges[np.argsort(edges[:, DAY], kind="stable")]


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
        for therapy, places in part.items():
            together[therapy] = tuple(dict.fromkeys((*together.get(therapy, ()), *places)))
    return together


def eradication_grid(stop: float, infusions: Sequence[float] = ()) -> np.ndarray:
    """Widths (days) of the intervals on which eradication is computed: fine after day 0 and after every infusion."""
    starts = sorted({0.0, *(day for day in infusions if 0.0 < day < stop)})
    edges = []
    for start, end in pairwise([*starts, stop]):
        since = np.concatenate([np.arange(0.0, 40.0, 0.5), np.arange(40.0, 200.0, 2.0), np.arange(200.0, stop, 5.0)])
        edges.append(start + since[since < end - start])
    return np.diff(np.append(np.concatenate(edges), stop))
