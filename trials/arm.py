"""An arm: which virtual patients are given what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..model.regimens.event_table import read_events
from ..model.regimens.plan import Plan
from ..model.regimens.regimen import Regimen
from ..model.regimens.sentence import read_plan

Change = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Gets the parameters of the virtual patients by name, arrays (n,), and returns those that are to differ."""
Given = str | Path | Plan | Regimen
"""A sentence, the file of an event table, a plan or a regimen."""


@dataclass(frozen=True)
class Arm:
    """Who is given what.

    Attributes
    ----------
    name
        What the arm is called; each arm of a comparison has its own.
    given
        A sentence, a plan, a regimen, or the path of an event table.
    population
        Key of a population.
    change
        Other parameters of the virtual patients ('what if'): gets them by name, arrays (n,), and returns those that
        differ.
    from_infusion
        Count from the first infusion of cells, not from day 0 of the plan (apheresis), if these differ.
    share
        Patients of a trial that are randomised to it, relative to the other arms.

    Examples
    --------
    >>> from perdure import Arm
    >>> arm = Arm("fast", "ide-cel", change=lambda patients: {"k_growth_tumour": 2.0 * patients["k_growth_tumour"]})
    >>> arm.plan.products
    ('ide_cel',)
    """

    name: str
    given: Given
    population: str = "late_line"
    change: Change | None = None
    from_infusion: bool = True
    share: float = 1.0

    @cached_property
    def plan(self) -> Plan:
        """What is given, as a plan."""
        return as_plan(self.given)


def as_plan(given: Given) -> Plan:
    """Read what is given as a plan.

    Raises
    ------
    InputError
        If a sentence or an event table cannot be read.
    """
    if isinstance(given, Plan):
        return given
    if isinstance(given, Regimen):
        return Plan.of(given)
    return Plan.of(read_events(given)) if isinstance(given, Path) else read_plan(given)
