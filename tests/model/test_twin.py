"""The generated equations against the same equations written a second time by hand."""

import math
import runpy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from written import equations

from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.system.system import System
from perdure.model.therapy import read_therapy
from perdure.parameters.parameter import Parameter

TWIN = SimpleNamespace(**runpy.run_path(str(Path(__file__).parent.parent / "twins" / "myeloma_twin.py")))
CASES = 400
AGREE = 1e-12
"""Largest difference, relative to the sum of the absolute terms of an equation."""


@cache
def system() -> System:
    """Myeloma with the drugs that the twin knows."""
    return myeloma(tuple(read_therapy(drug) for drug in TWIN.DRUGS))


@cache
def code() -> dict[str, Any]:
    """The generated functions, as plain Python."""
    space: dict[str, Any] = {"math": math}
    exec(equations(system(), stiff=False).source, space)
    return space


def somewhere(parameter: Parameter, rng: np.random.Generator) -> float:
    """A value anywhere in the range of a parameter; for a trait, also the zero of those who do not have it."""
    if parameter.drawn_with and rng.random() < 0.5:
        return 0.0
    if parameter.low <= 0:
        return rng.uniform(parameter.low, parameter.high)
    return math.exp(rng.uniform(math.log(parameter.low), math.log(parameter.high)))


def any_state(rng: np.random.Generator) -> dict[str, float]:
    """Any state that a patient can be in; some pools of CAR-T cells may be empty."""
    decades = {"tumour": (0, 12), "CAR-T": (-6, 4), "host": (-2, 3.4), "biomarker": (-2, 2)}
    y = {state.name: 10 ** rng.uniform(*decades[state.group]) for state in system().states}
    y |= {name: rng.random() for name in ("fitness", "immunity", "host_exhausted")}
    return y | {name: 0.0 for name in ("infused", "memory", "exhausted", "terminal") if rng.random() < 0.15}


def any_patient(rng: np.random.Generator) -> dict[str, float]:
    catalogue = read_catalogue()
    return {name: somewhere(catalogue[name], rng) for name in system().parameters}


class Moment:
    """One random patient at one random moment, seen by the generated equations and by the twin."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((20, seed))
        drugs = seed % 2 == 0
        names = [state.name for state in system().states]
        self.p, self.y = any_patient(rng), any_state(rng)
        self.level = {drug: 10 ** rng.uniform(-4, 1.5) if drugs else 0.0 for drug in TWIN.DRUGS}
        self.terms, self.seen, self.net = TWIN.equations(self.p, self.y, self.level)
        sizes, self.numbers = code()["SIZES"], [self.p[name] for name in system().parameters]
        self.c, self.f = np.zeros(sizes[1]), np.zeros(sizes[2])
        self.states = np.array([self.y[name] for name in names])
        code()["constants"](self.numbers, self.c)
        code()["forcing"](self.numbers, self.c, [self.level[put.drug] for put in system().inputs], self.f)
        self.slope, self.observed, self.start = np.zeros(sizes[0]), np.zeros(sizes[3]), np.zeros(sizes[0])
        code()["rhs"](self.numbers, self.c, self.f, self.states, self.slope)
        code()["observe"](self.numbers, self.c, self.f, self.states, self.observed)
        code()["initial"](self.numbers, self.c, self.start)
        rates, self.moves = np.zeros(sizes[4] + 1), np.zeros(sizes[5])
        code()["branching_rates"](self.numbers, self.c, self.f, self.states, rates, self.moves)
        self.rates, self.division = rates[:-1], rates[-1]


@cache
def moments() -> tuple[Moment, ...]:
    return tuple(Moment(seed) for seed in range(CASES))


def test_every_derivative_is_that_of_the_twin() -> None:
    worst = {state.name: 0.0 for state in system().states}
    for moment in moments():
        assert set(moment.terms) == set(worst)
        for name, slope in zip(worst, moment.slope, strict=True):
            terms = moment.terms[name]
            scale = sum(map(abs, terms)) or 1.0
            worst[name] = max(worst[name], abs(slope - sum(terms)) / scale)
    assert {name: error for name, error in worst.items() if not error < AGREE} == {}


def test_every_observable_is_that_of_the_twin() -> None:
    for moment in moments():
        assert set(moment.seen) == set(system().observables)
        expected = [moment.seen[name] for name in system().observables]
        np.testing.assert_allclose(moment.observed, expected, rtol=AGREE)


def test_every_initial_value_is_that_of_the_twin() -> None:
    names = [state.name for state in system().states]
    for moment in moments():
        start = TWIN.initial(moment.p)
        np.testing.assert_allclose(moment.start, [start[name] for name in names], rtol=AGREE)


def test_the_tumour_of_day_0_adds_up_to_the_baseline_burden() -> None:
    tumour = [state.group == "tumour" for state in system().states]
    for moment in moments():
        assert moment.start[tumour].sum() == pytest.approx(moment.p["tumour_baseline"], rel=1e-13)


def test_the_branching_process_has_the_rates_of_the_twin() -> None:
    for moment in moments():
        p, nu = moment.p, moment.p["exponent_growth"]
        alone = p["k_growth_tumour"] / (1 - (p["tumour_reference"] / p["tumour_capacity"]) ** nu)
        crowding = ((moment.seen["tumour"] + p["tumour_least"]) / p["tumour_capacity"]) ** nu
        scale = moment.seen["kill_pressure"] + alone * (1 + crowding)
        np.testing.assert_allclose(moment.rates, moment.net, rtol=0, atol=AGREE * scale)
        assert moment.division == pytest.approx(alone + p["k_turnover_tumour"], rel=1e-11)  # near nu = 0 digits cancel


def test_the_branching_process_is_on_average_the_equations() -> None:
    size = code()["SIZES"][4]
    assert size == 8
    for moment in moments()[:40]:
        exchange = np.zeros((size, size))
        for j in range(size):
            code()["exchange"](moment.moves, np.eye(size)[j], exchange[:, j])
        cells = moment.states[:size]
        turnover = np.abs(exchange).T @ cells + np.abs(moment.rates) * cells
        mean = exchange.T @ cells + moment.rates * cells
        np.testing.assert_array_less(np.abs(moment.slope[:size] - mean), 1e-11 * turnover)
