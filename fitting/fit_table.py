"""How well a calibration explains what was reported: every item, reported and modelled, with the misfit."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..model.simulate import Solver
from .anchored import anchored, interval
from .calibration import Calibration
from .items import Item, Study
from .joint.problem import compare
from .likelihood import ItemMatch
from .reported import read_studies

SEED = 20262
"""Virtual patients of the table; others than those of the fit, so that the misfit includes what was overfitted."""


@dataclass(frozen=True)
class FitRow:
    """One reported result; model interval: central 95 % of the posterior draws, in the unit of the report."""

    study: str
    item: Item
    model: float
    low: float
    high: float
    misfit: float

    @property
    def label(self) -> str:
        """Endpoint in words, with time and group where there are any."""
        words = self.item.endpoint.replace("_", " ").replace("pfs", "PFS").replace("dor", "DOR").replace("orr", "ORR")
        words = words.replace("mrd", "MRD").replace(" cr ", " CR ").removesuffix(" rate").replace("cr rate", "CR")
        words = "CR" if words == "cr" else words
        if self.item.from_months is not None:
            words = words.removesuffix(" interval") + f" from {self.item.from_months:g} to"
        elif self.item.time_months:
            words += " at"
        if self.item.time_months:
            words += f" {self.item.time_months:g} months"
        return f"{words}, {self.item.group}" if self.item.group else words

    @property
    def model_text(self) -> str:
        """Model value with its interval."""
        if self.item.kind == "split":
            return f"HR {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        if self.item.kind in ("direction", "ratio"):
            return f"ratio {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        if self.item.kind == "ceiling":
            return f"kill/growth {self.model:.2f} ({self.low:.2f}-{self.high:.2f})"
        form = ".1f" if self.item.unit in {"%", "months"} else ".3g"
        return f"{_number(self.model, form)} ({_number(self.low, form)}-{_number(self.high, form)})"


def fit_table(
    calibration: Calibration,
    *,
    studies: Iterable[Study] | None = None,
    roles: Sequence[str] = ("fit", "check"),
    patients: int = 600,
    draws: int = 40,
    patients_per_draw: int = 150,
    seed: int = SEED,
    solver: Solver | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FitRow, ...]:
    """Compare a calibration with every item that the model computes, at the estimate and over posterior draws."""
    chosen = tuple(read_studies() if studies is None else studies)
    solver = solver or Solver(rtol=1e-5, workers=1)
    draws = min(draws, len(calibration.draws))
    best = compare(calibration.parameters(), chosen, n=patients, seed=seed, solver=solver, roles=roles)
    few = compare(calibration.parameters(), chosen, n=patients_per_draw, seed=seed, solver=solver, roles=roles)
    values: list[list[float]] = [[] for _ in best]
    for k in range(draws):
        rows = compare(calibration.draw(k), chosen, n=patients_per_draw, seed=seed, solver=solver, roles=roles)
        for i, row in enumerate(rows):
            values[i].append(row.model)
        if progress is not None:
            progress("fit table", k + 1, draws)
    return tuple(fit_row(match, anchor.model, drawn) for match, anchor, drawn in zip(best, few, values, strict=True))


def fit_row(match: ItemMatch, anchor: float, drawn: Sequence[float]) -> FitRow:
    """A row from the value at the estimate, there with as few patients as a draw has (`anchor`), and at the draws."""
    top = 100.0 if match.item.unit == "%" else np.inf
    low, high = interval(anchored(match.model, np.array(drawn), anchor, 0.0, top))
    return FitRow(match.study, match.item, match.model, low, high, match.misfit)


def _number(value: float, form: str) -> str:
    return "NR" if np.isinf(value) else f"{value:{form}}"
