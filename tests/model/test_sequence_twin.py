"""Several courses of CAR-T cells, with drugs: the generated equations against the same ones written by hand."""

import math
import runpy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from written import equations

from perdure.model.car_t_course import FIRST, CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.myeloma import myeloma
from perdure.model.system.system import System
from perdure.model.therapy import Therapy, read_therapies, read_therapy
from perdure.parameters.parameter import Parameter

TWINS = Path(__file__).parent.parent / "twins"
TWIN = SimpleNamespace(**runpy.run_path(str(TWINS / "sequence_twin.py")))
FIRST_TWIN = SimpleNamespace(**runpy.run_path(str(TWINS / "myeloma_twin.py")))
CASES = 300
AGREE = 1e-12
"""Largest difference, relative to the sum of the absolute terms of an equation."""
ROUNDING = 1e-15
"""Of a reach through two antigens, which the model writes as one minus a product."""

EVERY_DRUG = tuple(therapy.key for therapy in read_therapies() if therapy.kind == "drug")
SYSTEMS: dict[str, tuple[tuple[CarTCourse, ...], tuple[str, ...]]] = {
    "BCMA, then GPRC5D with another binder": (
        (CarTCourse(("BCMA",), "", ""), CarTCourse(("GPRC5D",), "_2", "_2")),
        ("teclistamab", "talquetamab", "nivolumab"),
    ),
    "BCMA or CS1, then BCMA or GPRC5D with the same binder": (
        (CarTCourse(("BCMA", "CS1"), "", ""), CarTCourse(("BCMA", "GPRC5D"), "_2", "")),
        ("belantamab_mafodotin", "crenigacestat", "cevostamab"),
    ),
    "BCMA, with drugs that need no antigen": (
        (FIRST,),
        ("lenalidomide", "proteasome_inhibitor", "venetoclax", "radiotherapy", "lymphodepletion", "daratumumab",
         "autologous_transplant", "epigenetic_modulator"),
    ),
    "BCMA or CD19, with a bispecific against BCMA or CD38": (
        (CarTCourse(("BCMA", "CD19"), "", ""),), ("cd38_bcma_bispecific",),
    ),
    "GPRC5D alone, without drugs": ((CarTCourse(("GPRC5D",), "", ""),), ()),
    "three courses of two families, with every drug": (
        (CarTCourse(("GPRC5D",), "", ""), CarTCourse(("BCMA", "CD19"), "_2", "_2"), CarTCourse(("BCMA",), "_3", "")),
        EVERY_DRUG,
    ),
}  # fmt: skip
FEWER = {"three courses of two families, with every drug": 100}
ONES = ("fitness", "immunity", "host_exhausted")
"""States between 0 and 1, of any course."""
ABSENT = ("infused", "memory", "exhausted", "terminal")
"""Pools of CAR-T cells that may be empty."""

every_system = pytest.mark.parametrize("name", SYSTEMS)


def courses_of(name: str) -> tuple[CarTCourse, ...]:
    return SYSTEMS[name][0]


def drugs_of(name: str) -> tuple[Therapy, ...]:
    return tuple(read_therapy(drug) for drug in SYSTEMS[name][1])


@cache
def system(name: str) -> System:
    return myeloma(drugs_of(name), courses_of(name))


@cache
def code(name: str) -> dict[str, Any]:
    """The generated functions, as plain Python."""
    space: dict[str, Any] = {"math": math}
    exec(equations(system(name), stiff=False).source, space)
    return space


def entry(name: str) -> Parameter:
    """Entry of the catalogue; that of a further course is the one without the suffix."""
    catalogue = read_catalogue()
    return catalogue[name if name in catalogue.names else name.rpartition("_")[0]]


def somewhere(parameter: Parameter, rng: np.random.Generator) -> float:
    """A value anywhere in the range of a parameter; for a trait, also the zero of those who do not have it."""
    if parameter.drawn_with and rng.random() < 0.5:
        return 0.0
    if parameter.low <= 0:
        return rng.uniform(parameter.low, parameter.high)
    return math.exp(rng.uniform(math.log(parameter.low), math.log(parameter.high)))


def any_state(which: System, rng: np.random.Generator) -> dict[str, float]:
    """Any state that a patient can be in; some pools of CAR-T cells may be empty."""
    decades = {"tumour": (0, 11), "CAR-T": (-6, 4), "host": (-2, 3.4), "biomarker": (-2, 2)}
    y = {}
    for state in which.states:
        if state.group == "tumour composition" or state.name.startswith(ONES):
            y[state.name] = rng.random()
        elif state.name.startswith(ABSENT) and rng.random() < 0.15:
            y[state.name] = 0.0
        else:
            y[state.name] = 10 ** rng.uniform(*decades[state.group])
    return y


def any_level(rng: np.random.Generator) -> float:
    """No drug, or any amount of it from nearly nothing to saturation."""
    return 0.0 if rng.random() < 0.3 else 10 ** rng.uniform(-5, 2.5)


class Moment:
    """One random patient at one random moment, seen by the generated equations and by the twin."""

    def __init__(self, name: str, seed: int) -> None:
        rng = np.random.default_rng((21, list(SYSTEMS).index(name), seed))
        which, space, named = system(name), code(name), [state.name for state in system(name).states]
        self.p = {parameter: somewhere(entry(parameter), rng) for parameter in which.parameters}
        self.y = any_state(which, rng)
        self.level = {drug: any_level(rng) for drug in SYSTEMS[name][1]}
        self.terms, self.seen, self.net, self.kill = TWIN.equations(
            self.p, self.y, self.level, courses_of(name), drugs_of(name)
        )
        least = min(value for observable, value in self.seen.items() if observable.startswith("susceptibility"))
        self.agree = AGREE + (ROUNDING / least if any(len(one.antigens) > 1 for one in courses_of(name)) else 0.0)
        sizes, numbers = space["SIZES"], [self.p[parameter] for parameter in which.parameters]
        c, f = np.zeros(sizes[1]), np.zeros(sizes[2])
        self.states = np.array([self.y[state] for state in named])
        space["constants"](numbers, c)
        space["forcing"](numbers, c, [self.level[put.drug] for put in which.inputs], f)
        self.slope, self.observed, self.start = np.zeros(sizes[0]), np.zeros(sizes[3]), np.zeros(sizes[0])
        space["rhs"](numbers, c, f, self.states, self.slope)
        space["observe"](numbers, c, f, self.states, self.observed)
        space["initial"](numbers, c, self.start)
        rates, self.moves = np.zeros(sizes[4] + 1), np.zeros(sizes[5])
        space["branching_rates"](numbers, c, f, self.states, rates, self.moves)
        self.rates, self.division = rates[:-1], rates[-1]


@cache
def moments(name: str) -> tuple[Moment, ...]:
    return tuple(Moment(name, seed) for seed in range(FEWER.get(name, CASES)))


@every_system
def test_every_derivative_is_that_of_the_twin(name: str) -> None:
    names, wrong = [state.name for state in system(name).states], {}
    for moment in moments(name):
        assert set(moment.terms) == set(names)
        for state, slope in zip(names, moment.slope, strict=True):
            terms = moment.terms[state]
            error = abs(slope - sum(terms)) / (sum(map(abs, terms)) or 1.0)
            if not error < moment.agree:
                wrong[state] = error
    assert wrong == {}


@every_system
def test_every_observable_is_that_of_the_twin(name: str) -> None:
    for moment in moments(name):
        assert set(moment.seen) == set(system(name).observables)
        expected = [moment.seen[observable] for observable in system(name).observables]
        np.testing.assert_allclose(moment.observed, expected, rtol=moment.agree)


@every_system
def test_every_initial_value_is_that_of_the_twin(name: str) -> None:
    for moment in moments(name):
        start = TWIN.initial(moment.p, courses_of(name), drugs_of(name))
        assert set(start) == {state.name for state in system(name).states}
        np.testing.assert_allclose(moment.start, [start[state.name] for state in system(name).states], rtol=AGREE)


@every_system
def test_the_tumour_of_day_0_adds_up_to_the_baseline_burden(name: str) -> None:
    tumour = [state.group == "tumour" for state in system(name).states]
    for moment in moments(name):
        assert moment.start[tumour].sum() == pytest.approx(moment.p["tumour_baseline"], rel=1e-13)


@every_system
def test_the_branching_process_has_the_rates_of_the_twin(name: str) -> None:
    for moment in moments(name):
        p, nu = moment.p, moment.p["exponent_growth"]
        alone = p["k_growth_tumour"] / (1 - (p["tumour_reference"] / p["tumour_capacity"]) ** nu)
        crowding = ((moment.seen["tumour"] + p["tumour_least"]) / p["tumour_capacity"]) ** nu
        scale = moment.kill + alone * (1 + crowding)
        np.testing.assert_array_less(np.abs(moment.rates - moment.net), moment.agree * scale)
        assert moment.division == pytest.approx(alone + p["k_turnover_tumour"], rel=1e-11)  # near nu = 0 digits cancel


@every_system
def test_the_branching_process_is_on_average_the_equations(name: str) -> None:
    size = code(name)["SIZES"][4]
    assert size == (8 if len(TWIN.followed(courses_of(name), drugs_of(name))) == 1 else 48)
    for moment in moments(name)[:20]:
        exchange = np.zeros((size, size))
        for j in range(size):
            code(name)["exchange"](moment.moves, np.eye(size)[j], exchange[:, j])
        cells = moment.states[:size]
        turnover = np.abs(exchange).T @ cells + np.abs(moment.rates) * cells
        mean = exchange.T @ cells + moment.rates * cells
        np.testing.assert_array_less(np.abs(moment.slope[:size] - mean), 1e-11 * turnover)


def test_both_twins_say_the_same_where_both_speak() -> None:
    drugs = tuple(read_therapy(drug) for drug in FIRST_TWIN.DRUGS)
    which = myeloma(drugs)
    for seed in range(100):
        rng = np.random.default_rng((22, seed))
        p = {parameter: somewhere(entry(parameter), rng) for parameter in which.parameters}
        y, level = any_state(which, rng), {drug: any_level(rng) for drug in FIRST_TWIN.DRUGS}
        first, seen, net = FIRST_TWIN.equations(p, y, level)
        terms, seen_too, net_too, kill = TWIN.equations(p, y, level, (FIRST,), drugs)
        assert set(first) == set(terms)
        for name, parts in first.items():
            assert sum(terms[name]) == pytest.approx(sum(parts), rel=0, abs=AGREE * sum(map(abs, parts)) + 1e-300)
        assert seen == pytest.approx(seen_too, rel=AGREE)
        np.testing.assert_allclose(net, net_too, rtol=0, atol=AGREE * (kill.max() + np.abs(net).max()))
