"""Dose plans: what every patient of a batch has been given, and what is still to come and may change."""

from collections.abc import Sequence

import numpy as np

from .engine.batch import Schedule
from .engine.drug_levels import DRUG_RATE, STATE_BOLUS

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
        """Put by what is to come of a therapy; an infusion under way ends now, and what is left of it is lost."""
        if channel not in self._held[who]:
            rest = self._take_out(who, channel, day)
            begins = rest[(rest[:, KIND] != DRUG_RATE) | (rest[:, AMOUNT] > 0), BEGUN]
            self._held[who][channel] = rest[np.isin(rest[:, BEGUN], begins)]

    def resume(self, who: int, channel: int, day: float) -> None:
        """Take up again what was put by and begins on this day or later."""
        waiting = self._held[who].pop(channel, None)
        if waiting is not None:
            self._replace(who, self._tables[who][self.given[who] :], waiting[waiting[:, BEGUN] >= day])

    def total(self, channel: int) -> np.ndarray:
        """Prescribed amount of a therapy by patient."""
        found: dict[int, float] = {}
        for table in self._tables:
            if id(table) not in found:
                mine = table[self._channel(table) == channel]
                rates = mine[mine[:, KIND] == DRUG_RATE]
                speed = np.cumsum(rates[:, AMOUNT])[:-1]
                found[id(table)] = float(
                    mine[mine[:, KIND] != DRUG_RATE, AMOUNT].sum() + (speed * np.diff(rates[:, DAY])).sum()
                )
        return np.array([found[id(table)] for table in self._tables])

    def _channel(self, edges: np.ndarray) -> np.ndarray:
        return np.where(edges[:, KIND] == STATE_BOLUS, 0, self._states) + edges[:, TARGET].astype(np.int64)

    def _take_out(self, who: int, channel: int, day: float) -> np.ndarray:
        """Remove what is to come of a therapy, and return it; the infusions that run now end."""
        table, given = self._tables[who], self.given[who]
        past, coming = table[:given], table[given:]
        mine = self._channel(coming) == channel
        rates = past[(self._channel(past) == channel) & (past[:, KIND] == DRUG_RATE)]
        speed = float(np.cumsum(rates[:, AMOUNT])[-1]) if len(rates) else 0.0  # added up as the engine does
        runs = speed > 1e-9 * np.abs(rates[:, AMOUNT]).max(initial=0.0)
        end = np.array([[day, DRUG_RATE, channel - self._states, -speed, day]]) if runs else np.zeros((0, 5))
        self._replace(who, coming[~mine], end)
        return coming[mine]

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
