"""What drugs do to cells: nothing without drug, the maximum of the file at saturation, and only to the right target."""

import math
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perdure.model.car_t_course import FIRST, CarTCourse
from perdure.model.catalogue import read_catalogue
from perdure.model.engine.codegen import generate
from perdure.model.myeloma import myeloma
from perdure.model.regimens.regimen import Bolus, Regimen, give
from perdure.model.simulate import Solver, simulate
from perdure.model.system.system import System
from perdure.model.therapy import GRADED, Attack, read_therapies, read_therapy

SHELF = {therapy.key: therapy for therapy in read_therapies() if therapy.kind == "drug"}
ON_TUMOUR = {key: one for key, drug in SHELF.items() for one in drug.attacks if one.means != "lymphocytes"}
"""How a drug kills tumour cells."""
SLOPE = {key: one.number("slope") for key, drug in SHELF.items() for one in drug.attacks if one.means == "lymphocytes"}
EFFECTS = sorted({(key, effect.on) for key, drug in SHELF.items() for effect in drug.effects})
SATURATED = [key for key, attack in ON_TUMOUR.items() if attack.number("k_kill")]
BOUND = [key for key, attack in ON_TUMOUR.items() if attack.number("half_binding")]
TARGETED = [key for key, attack in ON_TUMOUR.items() if attack.antigens]
BY_DENSITY = [key for key, attack in ON_TUMOUR.items() if attack.number("half_density")]
REDIRECTED = [key for key, attack in ON_TUMOUR.items() if attack.means == "redirected"]
WITH_RESISTANCE = [key for key, attack in ON_TUMOUR.items() if attack.number("resistant")]

BOTH = CarTCourse(("BCMA", "GPRC5D"), "", "")
TYPICAL = read_catalogue().typical("ide_cel", "late_line")
STILL = {"k_growth_tumour": 1e-12, "k_turnover_tumour": 0.0}
"""A tumour that nothing but treatment changes."""
CELLS = {"infused": 3.0, "effector": 20.0, "memory": 5.0, "exhausted": 4.0, "terminal": 2.0, "fitness": 0.7}
MUCH = 1e12
"""A saturating level, mg/L or mg, and a saturating number of T cells."""
RAYS = "radiotherapy"


def machine_of(system: System) -> SimpleNamespace:
    """The generated functions of a system, as plain Python."""
    space: dict[str, Any] = {"math": math}
    exec(generate(system).source, space)
    return SimpleNamespace(system=system, **{name: thing for name, thing in space.items() if name != "math"})


def cells_beside(drug: str) -> CarTCourse:
    """Cells that make the model follow the antigens of the drug."""
    return BOTH if "GPRC5D" in SHELF[drug].targets else FIRST


@cache
def machine(drug: str) -> SimpleNamespace:
    return machine_of(myeloma((SHELF[drug],), (cells_beside(drug),)))


@cache
def without(cells: CarTCourse) -> SimpleNamespace:
    return machine_of(myeloma((), (cells,)))


def look(
    code: SimpleNamespace, level: float, changed: Mapping[str, float] | None = None, **states: float
) -> SimpleNamespace:
    """Slopes, net growth of the tumour lines and values of a typical patient of day 0, changed as asked."""
    p, names = {**TYPICAL, **(changed or {})}, [state.name for state in code.system.states]
    numbers = [p[name] for name in code.system.parameters]
    c, f, y = np.zeros(code.SIZES[1]), np.zeros(code.SIZES[2]), np.zeros(code.SIZES[0])
    code.constants(numbers, c)
    code.forcing(numbers, c, [level for _ in code.system.inputs], f)
    code.initial(numbers, c, y)
    for name, value in states.items():
        y[names.index(name)] = value
    slope, rates, moves = np.zeros(code.SIZES[0]), np.zeros(code.SIZES[4] + 1), np.zeros(code.SIZES[5])
    code.rhs(numbers, c, f, y, slope)
    code.branching_rates(numbers, c, f, y, rates, moves)
    lines = [state.name for state in code.system.branching.states]
    return SimpleNamespace(
        p=p, y=dict(zip(names, y.tolist(), strict=True)), slope=dict(zip(names, slope.tolist(), strict=True)),
        net=dict(zip(lines, rates[:-1].tolist(), strict=True)),
    )  # fmt: skip


def killing(drug: str, level: float, changed: Mapping[str, float] | None = None, **states: float) -> dict[str, float]:
    """What the drug kills of every line, per cell and day, in a tumour that hardly grows."""
    changed = {**STILL, **(changed or {})}
    none, some = (look(machine(drug), x, changed, **states).net for x in (0.0, level))
    return {line: none[line] - some[line] for line in none}


def lacks(line: str, antigen: str) -> bool:
    """Has this line of cells lost the antigen?"""
    places = line.removeprefix("tumour_").split("_")
    return line == "null_bcma" if len(places) < 2 or line == "null_bcma" else places[GRADED.index(antigen)] == "null"


def lacks_all(line: str, attack: Attack) -> bool:
    return all(lacks(line, antigen) for antigen in attack.antigens if antigen in GRADED)


def reached(attack: Attack, share: float) -> dict[str, float]:
    """Numbers that let a share of all cells carry enough of the fixed antigens."""
    return {f"fraction_reached_{antigen.lower()}": share for antigen in attack.antigens if antigen not in GRADED}


def at_best(attack: Attack) -> dict[str, float]:
    """Numbers with which nothing but the drug itself limits its attack."""
    return reached(attack, 1.0) | ({attack.number("half_density"): 1e-12} if attack.number("half_density") else {})


def follow(drug: str, regimen: Regimen, times: np.ndarray, **changed: float) -> Mapping[str, np.ndarray]:
    """Time courses of one typical patient with nothing but this drug."""
    patient = {name: np.array([value]) for name, value in {**TYPICAL, **changed}.items()}
    solution = simulate(patient, regimen, times=times, system=machine(drug).system, solver=Solver(rtol=1e-9))
    return {name: solution[name][0] for name in ("tumour", "host")}


@pytest.mark.parametrize("drug", SHELF)
def test_without_drug_the_equations_are_those_without_the_drug(drug: str) -> None:
    some = look(machine(drug), 0.0, None, **CELLS, host_exhausted=0.2)
    none = look(without(cells_beside(drug)), 0.0, None, **CELLS, host_exhausted=0.2)
    assert some.net == pytest.approx(none.net, rel=1e-12)
    for state, slope in none.slope.items():
        assert some.slope[state] == pytest.approx(slope, rel=1e-11)
        assert some.y[state] == none.y[state]
    own = set(some.slope) - set(none.slope)
    assert own == {state for state in own if state.endswith(drug)}
    for state in own:  # nothing selects; lost sensitivity comes back
        back = 0.0 if state.startswith("in_field") else some.p["k_regain_sensitivity"]
        assert some.slope[state] == pytest.approx(back * some.y[state] * (1 - some.y[state]), rel=1e-12)


@pytest.mark.parametrize("drug", SATURATED)
def test_a_saturating_level_kills_at_the_maximal_rate_of_the_file_and_half_of_that_at_the_half(drug: str) -> None:
    attack = ON_TUMOUR[drug]
    best, free = at_best(attack), {"suppression": 0.0, "host": 1e6 * MUCH, "soluble_bcma": 0.0}
    rate = TYPICAL[attack.number("k_kill")]
    share = 1 - TYPICAL[attack.number("resistant")] if attack.number("resistant") else 1.0
    most, half = killing(drug, MUCH, best, **free), killing(drug, TYPICAL[attack.number("half")], best, **free)
    hit = [line for line in most if attack.means == "direct" or reached(attack, 1.0) or not lacks_all(line, attack)]
    for line in hit:
        assert most[line] == pytest.approx(rate * share, rel=1e-6)
        assert half[line] == pytest.approx(rate * share / 2, rel=1e-6)
    if attack.number("sensitive"):
        assert max(map(abs, killing(drug, MUCH, best | {attack.number("sensitive"): 0.0}, **free).values())) < 1e-15


PROBES = {  # a state whose slope is proportional to the process where that state is empty, as here
    "suppression": ("suppression", {"suppression": 0.0}), "shedding": ("soluble_bcma", {"soluble_bcma": 0.0}),
    "exhaustion": ("exhausted", {"exhausted": 0.0}), "terminal_exhaustion": ("terminal", {"terminal": 0.0}),
    "recovery": ("host_exhausted", {"host_exhausted": 0.5}), "expansion": ("fitness", {}),
    "growth": ("null_bcma", {f"tumour_{k}": 0.0 for k in range(1, 8)}),
}  # fmt: skip


@pytest.mark.parametrize(("drug", "process"), EFFECTS)
def test_a_saturating_level_changes_a_process_by_the_whole_effect_of_the_file(drug: str, process: str) -> None:
    effects = [effect for effect in SHELF[drug].effects if effect.on == process]
    changed = {name: 0.4 for effect in effects for name in effect.strength if TYPICAL[name] == 0.0}
    if drug in ON_TUMOUR and ON_TUMOUR[drug].number("k_kill"):
        changed[ON_TUMOUR[drug].number("k_kill")] = 0.0
    state, states = PROBES[process]

    def factor(level: float) -> float:
        some, none = (look(machine(drug), x, changed, **{**CELLS, **states}).slope[state] for x in (level, 0.0))
        return some / none

    def expected(part: float) -> float:
        strengths = [(effect.form, math.prod({**TYPICAL, **changed}[s] for s in effect.strength)) for effect in effects]
        return math.prod(math.exp(s * part) if form == "exponential" else 1 - s * part for form, s in strengths)

    assert factor(MUCH) == pytest.approx(expected(1.0), rel=1e-6)
    assert expected(1.0) != 1.0
    assert factor(TYPICAL[effects[0].half]) == pytest.approx(expected(0.5), rel=1e-9)


@pytest.mark.parametrize("drug", TARGETED)
def test_cells_without_the_target_are_spared(drug: str) -> None:
    attack = ON_TUMOUR[drug]
    found, some = killing(drug, MUCH, reached(attack, 0.0)), killing(drug, MUCH, reached(attack, 0.3))
    for line, rate in found.items():
        assert rate == 0.0 if lacks_all(line, attack) else rate > 0
    assert any(lacks_all(line, attack) for line in found)
    if reached(attack, 0.3):
        assert min(some.values()) == pytest.approx(0.3 * max(killing(drug, MUCH, at_best(attack)).values()), rel=1e-6)


@pytest.mark.parametrize("drug", REDIRECTED)
def test_redirected_t_cells_kill_only_if_there_are_some_that_are_not_exhausted(drug: str) -> None:
    usual, best = max(killing(drug, MUCH).values()), ON_TUMOUR[drug].number("k_kill")
    assert usual > 0.01 * TYPICAL[best]
    assert max(killing(drug, MUCH, host=1e-9).values()) < 1e-9 * usual
    assert max(killing(drug, MUCH, host_exhausted=1.0).values()) < 1e-9 * usual
    assert max(killing(drug, MUCH, host_exhausted=0.5).values()) < usual
    assert max(killing(drug, MUCH, suppression=3.0).values()) == pytest.approx(
        max(killing(drug, MUCH, suppression=0.0).values()) / 4, rel=1e-9
    )
    tired = look(machine(drug), MUCH).slope["host_exhausted"] - look(machine(drug), 0.0).slope["host_exhausted"]
    assert 0 < tired < TYPICAL["k_exhaustion_host"]


@pytest.mark.parametrize("drug", BY_DENSITY)
def test_fewer_molecules_on_a_cell_mean_less_killing(drug: str) -> None:
    attack = ON_TUMOUR[drug]
    antigen = next(one for one in attack.antigens if one in GRADED)
    only = reached(attack, 0.0)
    found, fewer = killing(drug, MUCH, only), killing(drug, MUCH, only | {f"density_{antigen.lower()}": 100.0})
    carrying = [line for line in found if not lacks(line, antigen)]
    assert all(0 < fewer[line] < found[line] for line in carrying)
    ladder = [f"tumour_{k}" for k in range(1, 8)] if antigen == "BCMA" else [f"tumour_1_{k}" for k in range(1, 6)]
    rising = [found[line] for line in ladder]
    assert rising == sorted(rising)
    assert rising[-1] > 1.2 * rising[0]


@pytest.mark.parametrize("drug", BOUND)
@pytest.mark.parametrize("soluble", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("level", [0.02, 1.0, 50.0])
def test_soluble_bcma_takes_antibody_by_the_law_of_mass_action(drug: str, soluble: float, level: float) -> None:
    attack, line = ON_TUMOUR[drug], "tumour_7"
    most, part = (killing(drug, x, soluble_bcma=soluble)[line] for x in (MUCH, level))
    occupied = part / most
    free = TYPICAL[attack.number("half")] * occupied / (1 - occupied)
    assert free < level
    mass, total = TYPICAL[attack.number("molar_mass")], TYPICAL["soluble_bcma_baseline"] * soluble
    complexes = (level - free) / mass
    unbound = TYPICAL[attack.number("half_binding")] * complexes / (free / mass)
    assert complexes + unbound == pytest.approx(total, rel=1e-6)
    assert killing(drug, level, soluble_bcma=1e12)[line] < 1e-9 * most


@pytest.mark.parametrize("drug", [drug for drug in SATURATED if drug not in BOUND])
def test_soluble_bcma_binds_no_other_drug(drug: str) -> None:
    level = TYPICAL[ON_TUMOUR[drug].number("half")]
    assert killing(drug, level, soluble_bcma=100.0) == killing(drug, level, soluble_bcma=0.0)


@pytest.mark.parametrize("dose", [1.0, 2.0, 4.0, 8.0])
def test_one_fraction_kills_by_the_linear_quadratic_law(dose: float) -> None:
    numbers = {role: TYPICAL[name] for role, name in ON_TUMOUR[RAYS].numbers}
    nodes, weights = np.polynomial.legendre.leggauss(4)
    shares = (nodes + 1) / 2  # of the dose that is not repaired yet; each lasts half-life / ln 2 / share
    rates = [killing(RAYS, dose * share, {}, in_field_radiotherapy=1.0)["null_bcma"] for share in shares]
    logs = sum(weights / 2 * rates * numbers["half_life"] / math.log(2) / shares)
    assert logs == pytest.approx(numbers["linear"] * dose + numbers["quadratic"] * dose**2, rel=1e-9)
    assert max(map(abs, killing(RAYS, dose, in_field_radiotherapy=0.0).values())) == 0.0


@pytest.mark.parametrize("inside", [0.0, 0.3, 1.0])
def test_fractions_a_day_apart_add_up_in_the_field_and_spare_the_rest(inside: float) -> None:
    attack, dose = ON_TUMOUR[RAYS], 4.0
    one = TYPICAL[attack.number("linear")] * dose + TYPICAL[attack.number("quadratic")] * dose**2
    regimen = Regimen((Bolus(RAYS, dose, 0.0), Bolus(RAYS, dose, 1.0)))
    times = np.array([0.0, 1.0 - 1e-9, 3.0])
    found = follow(RAYS, regimen, times, **STILL, **{attack.number("in_field"): inside})["tumour"]
    left = [1 - inside + inside * math.exp(-fractions * one) for fractions in (0, 1, 2)]
    np.testing.assert_allclose(found / found[0], left, rtol=3e-4)  # 2^-16 of the first dose meets the second


@pytest.mark.parametrize("drug", WITH_RESISTANCE)
def test_resistant_cells_are_all_that_a_drug_leaves_and_no_fewer(drug: str) -> None:
    attack, resistant = ON_TUMOUR[drug], 1e-4
    numbers = {"resistant": resistant, "k_kill": 2.0, "half": 1e-9}
    numbers["half_density"] = 1e-6  # every cell is reached: what is left is resistant, and not merely without antigen
    everywhere = {"fraction_null_bcma": 0.0, "fraction_null_gprc5d": 0.0, "fraction_reached_fcrh5": 1.0}
    changed = STILL | everywhere | {attack.number(role): x for role, x in numbers.items() if attack.number(role)}
    times, regimen = np.linspace(0.0, 30.0, 61), give(drug, start=0.0, stop=30.0)
    left, back = (
        follow(drug, regimen, times, **changed, k_regain_sensitivity=rate)["tumour"] / TYPICAL["tumour_baseline"]
        for rate in (0.0, 0.05)
    )
    assert np.all(left > resistant * (1 - 1e-6))
    assert left[-1] == pytest.approx(resistant, rel=1e-3)
    assert back[-1] < 0.9 * left[-1]  # those that become sensitive again die too


@pytest.mark.parametrize("drug", SLOPE)
def test_what_takes_lymphocytes_takes_host_and_car_t_cells_alike(drug: str) -> None:
    level, off = 2.0, {name: 0.0 for effect in SHELF[drug].effects for name in effect.strength}
    (none, some), rate = (look(machine(drug), x, off, **CELLS) for x in (0.0, level)), TYPICAL[SLOPE[drug]] * level
    for pool in ("host", "effector", "memory", "exhausted", "terminal"):
        assert none.slope[pool] - some.slope[pool] == pytest.approx(rate * none.y[pool], rel=1e-9)
    assert (some.slope["infused"], some.slope["fitness"]) == (none.slope["infused"], none.slope["fitness"])


def test_lymphodepletion_in_its_usual_doses_takes_t_cells_from_400_to_10_on_the_day_of_the_cells() -> None:
    drug = read_therapy("lymphodepletion")
    assert drug.usual == "510 mg days 0-2"
    times, before = np.linspace(0.0, 60.0, 601), {"host_before": 400.0, "fraction_lymphodepletion": 0.0}
    regimen = give(drug.key, start=0.0, stop=3.0)
    alone = follow(drug.key, regimen, times, **before, k_recovery_host=1e-12)["host"]
    real = follow(drug.key, regimen, times, **before)["host"]
    assert alone[0] == real[0] == pytest.approx(400.0)
    assert alone[-1] < 1.0  # if none came back
    assert real[times == 5.0] == pytest.approx(10.0, rel=0.1)
    assert real[-1] == pytest.approx(TYPICAL["host_capacity"], rel=0.01)
