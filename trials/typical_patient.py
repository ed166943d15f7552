"""One typical patient of a population, treated with a product: courses in time, response and key dates.

Every parameter has its typical value and no yes-or-no trait is present. The assay measures without error, and nobody
dies of something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..fitting.posterior import Estimate, interval
from ..model.endpoints import MRD_LIMITS, Outcomes, Visits, outcomes
from ..model.imwg import CATEGORIES
from ..model.regimens.regimen import infuse
from ..model.simulate import Solver, simulate
from ..model.solution import Solution
from ..model.therapy import read_therapy
from ..parameters.parameter_set import ParameterSet
from ..parameters.patients import draw

OTHER_DEATHS = ("hazard_death_first_year", "hazard_death_later")
PROGRESSION_SHOWN = "visit that shows progression, day"


@dataclass(frozen=True, eq=False)
class TypicalCourse:
    """One typical patient after one product.

    Attributes
    ----------
    product, population
        Keys of what was given, and to whom.
    solution
        Courses in time: the first row is the patient at the estimate, the others are posterior draws.
    values
        Parameters by name, arrays with the same rows.
    response
        Best response at the estimate.
    dates
        Key dates and levels at the estimate with the central 95 % of the draws, in the unit that ends the name; days
        count from the infusion.
    """

    product: str
    population: str
    solution: Solution
    values: Mapping[str, np.ndarray]
    response: str
    dates: Mapping[str, Estimate]

    @property
    def name(self) -> str:
        """Short name of the product."""
        return read_therapy(self.product).short


def typical_values(parameters: ParameterSet, product: str, population: str) -> dict[str, float]:
    """Typical value of every parameter, without traits that a patient has or has not, and without other deaths."""
    values = parameters.typical(product, population)
    traits = [name for name in values if parameters[name].drawn_with]
    return values | dict.fromkeys([*traits, *OTHER_DEATHS], 0.0)


def treat_typical(
    product: str, population: str, parameters: Sequence[ParameterSet], visits: Visits, solver: Solver | None = None
) -> TypicalCourse:
    """Give the usual dose of a product to the typical patient of a population.

    Parameters
    ----------
    parameters
        Those of the estimate, then those of posterior draws: one patient each, integrated together.

    Returns
    -------
    TypicalCourse
        With intervals that are NaN if there are no draws.
    """
    rows = [typical_values(values, product, population) for values in parameters]
    values = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    solution = simulate(values, infuse(product), times=visits.grid, solver=solver)
    people = draw(parameters[0], len(rows), 0)
    exact = replace(people, errors=np.zeros((people.n, len(visits.days), 2)))
    endpoints = outcomes(solution, values, exact, visits)
    dates = {name: Estimate(float(row[0]), *interval(row[1:])) for name, row in _key_dates(solution, endpoints).items()}
    return TypicalCourse(product, population, solution, values, CATEGORIES[endpoints.best[0, 0]], dates)


def _key_dates(solution: Solution, endpoints: Outcomes) -> dict[str, np.ndarray]:
    """Key dates and levels by name: arrays with one entry per row."""
    days, tumour, density = solution.times, solution["tumour"], solution["density_mean"]
    few = tumour < MRD_LIMITS["1e-5"] * endpoints.marrow_cells[:, None]
    response = endpoints.responses[0]
    return {
        "CAR-T cells at their peak, day": endpoints.t_max,
        "CAR-T cells at their peak, cells/uL": endpoints.c_max,
        "partial response first seen, day": response.first_response,
        "tumour below 1e-5 of the marrow, day": np.where(few.any(axis=1), days[few.argmax(axis=1)], np.inf),
        "tumour at its smallest, day": days[tumour.argmin(axis=1)],
        "tumour at its smallest, cells": tumour.min(axis=1),
        "CAR-T cells last above the assay limit, day": endpoints.persistence[0],
        "progression by the marker, day": response.progression,
        PROGRESSION_SHOWN: response.shown,
        "BCMA before, molecules/cell": endpoints.density_before,
        "BCMA at its lowest, molecules/cell": density.min(axis=1),
        "BCMA at progression, molecules/cell": endpoints.density_at_progression,
        "probability that every tumour cell died out, %": 100.0 * solution.eradication,
    }
