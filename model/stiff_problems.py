"""Classical stiff problems with published solutions, and two of which a law is known: the engine is judged on them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import sympy
from scipy.linalg import expm

from .system.system import Flow, State, System, parameter

# A classical problem: a system, its parameters, and the published solution.


TEST_SET = "Test Set for IVP Solvers (Mazzia and Magherini, release 2.4)"
BOOK = "Hairer and Wanner, Solving Ordinary Differential Equations II, IV.10"
IN_DOUBLE = (
    "there computed in double precision with RADAU, which holds fewer digits than are printed. "
    "Reference by `extended`: with 10^-16 and 10^-17 in each step it is the same in 14 digits"
)
IN_LONGER = (
    "there computed with RADAU5 in the longer numbers of a Cray C90. "
    "Confirmed by `extended` with 10^-16 and with 10^-17 in each step"
)


@dataclass(frozen=True, eq=False)
class Problem:
    """An initial value problem with a solution to compare with.

    Attributes
    ----------
    parameters : mapping of str to array (1,)
        Rate constants and initial values by name, as one virtual patient.
    until : float
        Where the solution is known, in the unit of time of the publication.
    reference : mapping of str to float
        Exact solution at `until`, rounded, by the name of the state (`extended` computes it).
    published : mapping of str to float
        The same as it was published; empty for problems of our own.
    digits : int
        Significant digits that both share in every state above its tolerance.
    source : str
        Where the problem and its solution were published, and how the reference was computed.
    """

    key: str
    title: str
    system: System
    parameters: Mapping[str, np.ndarray]
    until: float
    reference: Mapping[str, float]
    published: Mapping[str, float]
    digits: int
    source: str


def species(
    meanings: Mapping[str, str], unit: str, tolerance: float | Mapping[str, float], present: Iterable[str]
) -> dict[str, State]:
    """States by name; those `present` begin at the parameter `initial_NAME`, the others at zero."""
    there = set(present)
    return {
        name: State(
            name, unit, meaning, "species", parameter(f"initial_{name}") if name in there else sympy.Integer(0),
            tolerance[name] if isinstance(tolerance, Mapping) else tolerance, f"\\mathrm{{{name}}}".replace("_", "\\_"),
        )
        for name, meaning in meanings.items()
    }  # fmt: skip


def reaction(name: str, rate: sympy.Expr, taken: Sequence[State] = (), made: Sequence[State] = ()) -> tuple[Flow, ...]:
    """One flow for each molecule: what is taken becomes what is made, pair by pair; a catalyst is not listed."""
    return tuple(
        Flow(name if number == 1 else f"{name}, molecule {number}", rate, out_of, into)
        for number, (out_of, into) in enumerate(zip_longest(taken, made), start=1)
    )


def system_of(key: str, states: Iterable[State], flows: Iterable[Flow]) -> System:
    """System of these flows with all of its states as observables."""
    states = tuple(states)
    return System(key, states, (), (), tuple(flows), tuple(state.name for state in states))


def numbers(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Numbers by name as the parameters of one virtual patient: arrays of shape (1,)."""
    return {name: np.array([float(value)]) for name, value in values.items()}


def significant_digits(value: float, exact: float, tolerance: float = 0.0) -> float:
    """Number of significant digits of a value, at most sixteen.

    What has fallen below its tolerance needs no digits: it is right if it stays near there (16), and wrong if not (0).
    """
    if abs(exact) <= tolerance:
        return 16.0 if abs(value) <= 100.0 * tolerance else 0.0
    error = abs(value - exact) / abs(exact)
    return min(16.0, -math.log10(error)) if error > 0.0 else 16.0


# Robertson's autocatalytic reaction: three species, time scales from microseconds to thousands of years.


def robertson() -> Problem:
    """A -> B, 2 B -> B + C, B + C -> A + C over eleven decades of time."""
    state = species(
        {"A": "species A", "B": "species B, the short-lived one", "C": "species C"},
        "mol/L", {"A": 1e-15, "B": 1e-21, "C": 1e-12}, ("A",),
    )  # fmt: skip
    a, b, c = state.values()
    flows = (
        *reaction("A -> B", parameter("k_1") * a.symbol, (a,), (b,)),
        *reaction("2 B -> B + C", parameter("k_2") * b.symbol**2, (b,), (c,)),
        *reaction("B + C -> A + C", parameter("k_3") * b.symbol * c.symbol, (b,), (a,)),
    )
    return Problem(
        key="robertson",
        title="Robertson: an autocatalytic reaction",
        system=system_of("robertson", state.values(), flows),
        parameters=numbers({"k_1": 0.04, "k_2": 3e7, "k_3": 1e4, "initial_A": 1.0}),
        until=1e11,
        reference={"A": 2.0833401497012943e-08, "B": 8.3333607703347834e-14, "C": 0.99999997916651517},
        published={"A": 0.2083340149701255e-07, "B": 0.8333360770334713e-13, "C": 0.9999999791665050},
        digits=13,
        source=f"Robertson 1966; {BOOK}; {TEST_SET}, problem ROBER, {IN_DOUBLE}.",
    )


# HIRES: how phytochrome mediates the high irradiance response of plants.


PUBLISHED_HIRES = {
    "P_r": 0.7371312573325668e-3, "P_fr": 0.1442485726316185e-3, "P_r_X": 0.5888729740967575e-4,
    "P_fr_X": 0.1175651343283149e-2, "P_r_X_prime": 0.2386356198831331e-2,
    "P_fr_X_prime": 0.6238968252742796e-2, "P_fr_X_prime_E": 0.2849998395185769e-2,
    "E": 0.2850001604814231e-2,
}  # fmt: skip


def hires() -> Problem:
    """Eight reactants: phytochrome in its two forms, free, bound to X, to X', and to X' with the enzyme."""
    state = species(
        {
            "P_r": "phytochrome that absorbs red light", "P_fr": "phytochrome that absorbs far-red light",
            "P_r_X": "P_r bound to the receptor X", "P_fr_X": "P_fr bound to the receptor X",
            "P_r_X_prime": "P_r bound to X'", "P_fr_X_prime": "P_fr bound to X'",
            "P_fr_X_prime_E": "P_fr bound to X' and the enzyme", "E": "enzyme",
        },
        "", 1e-12, ("P_r", "E"),
    )  # fmt: skip
    red, far, red_x, far_x, red_x1, far_x1, far_x1_e, enzyme = state.values()
    k = {n: parameter(f"k_{n}") for n in ("1", "2", "3", "4", "5", "6", "plus", "minus", "star")}
    flows = (
        *reaction("synthesis", parameter("o_ks"), (), (red,)),
        *reaction("P_r -> P_fr", k["1"] * red.symbol, (red,), (far,)),
        *reaction("P_fr -> P_r", k["2"] * far.symbol, (far,), (red,)),
        *reaction("P_fr + X -> P_fr X", k["3"] * far.symbol, (far,), (far_x,)),
        *reaction("P_r X -> P_r + X", k["6"] * red_x.symbol, (red_x,), (red,)),
        *reaction("P_r X -> P_fr X", k["1"] * red_x.symbol, (red_x,), (far_x,)),
        *reaction("P_fr X -> P_r X", k["2"] * far_x.symbol, (far_x,), (red_x,)),
        *reaction("P_fr X -> P_fr X'", k["4"] * far_x.symbol, (far_x,), (far_x1,)),
        *reaction("P_r X' -> P_r X", k["5"] * red_x1.symbol, (red_x1,), (red_x,)),
        *reaction("P_r X' -> P_fr X'", k["1"] * red_x1.symbol, (red_x1,), (far_x1,)),
        *reaction("P_fr X' -> P_r X'", k["2"] * far_x1.symbol, (far_x1,), (red_x1,)),
        *reaction("P_fr X' + E -> P_fr X' E", k["plus"] * far_x1.symbol * enzyme.symbol, (far_x1, enzyme), (far_x1_e,)),
        *reaction("P_fr X' E -> P_fr X' + E", k["minus"] * far_x1_e.symbol, (far_x1_e,), (far_x1, enzyme)),
        *reaction("P_fr X' E -> P_r X' + E", k["2"] * far_x1_e.symbol, (far_x1_e,), (red_x1, enzyme)),
        *reaction("P_fr X' E -> E", k["star"] * far_x1_e.symbol, (far_x1_e,), (enzyme,)),
    )
    return Problem(
        key="hires",
        title="HIRES: the high irradiance response of plants",
        system=system_of("hires", state.values(), flows),
        parameters=numbers(
            {
                "k_1": 1.71, "k_2": 0.43, "k_3": 8.32, "k_4": 0.69, "k_5": 0.035, "k_6": 8.32, "k_plus": 280.0,
                "k_minus": 0.69, "k_star": 0.69, "o_ks": 0.0007, "initial_P_r": 1.0, "initial_E": 0.0057,
            }
        ),
        until=321.8122,
        reference=PUBLISHED_HIRES,
        published=PUBLISHED_HIRES,
        digits=15,
        source=f"Schäfer 1975; {BOOK}; {TEST_SET}, problem HIRES, {IN_LONGER}.",
    )  # fmt: skip


# E5: a model of pyrolysis whose concentrations are tiny and whose rate constants span eighteen decades.
#
# In the end B and C annihilate each other and what is left is decided by the rounding of B - C - D, which is zero for
# ever: in double precision hardly a digit is right at the end, and the published digits of B and C part at the third.
# `e5_early` stops before that, when nearly all of A is spent.


def e5() -> Problem:
    """A -> B + C, B + C ->, A + C -> D, D -> C over thirteen decades of time."""
    state = species(
        {"A": "species A", "B": "species B", "C": "species C", "D": "species D"}, "mol/L", 1e-26, ("A",)
    )  # fmt: skip
    a, b, c, d = state.values()
    binding = parameter("k_3") * a.symbol * c.symbol
    flows = (
        *reaction("A -> B + C", parameter("k_1") * a.symbol, (a,), (b, c)),
        *reaction("B + C -> products", parameter("k_2") * b.symbol * c.symbol, (b, c)),
        # One net flow: both directions are far faster than what is left of them, and B - C - D is zero for ever.
        *reaction("A + C -> D, D -> C", binding - parameter("k_4") * d.symbol, (c,), (d,)),
        *reaction("A lost to D", binding, (a,)),
    )
    return Problem(
        key="e5",
        title="E5: pyrolysis",
        system=system_of("e5", state.values(), flows),
        parameters=numbers({"k_1": 7.89e-10, "k_2": 1.13e9, "k_3": 1.1e7, "k_4": 1.13e3, "initial_A": 1.76e-3}),
        until=1e13,
        reference={"A": 0.0, "B": 8.8612335212910842e-23, "C": 8.8612335212910842e-23, "D": 0.0},
        published={"A": 0.1152903278711829e-290, "B": 0.8867655517642120e-22, "C": 0.8854814626268838e-22, "D": 0.0},
        digits=3,
        source=f"Enright, Hull and Lindberg 1975; {BOOK}; {TEST_SET}, problem E5, {IN_DOUBLE}.",
    )


def e5_early() -> Problem:
    """E5 until rounding begins to take over; this is where methods can be told apart."""
    return replace(
        e5(),
        key="e5_early",
        title="E5 until a hundred thousand seconds",
        until=1e5,
        reference={
            "A": 7.4813208224292220e-06, "B": 2.3734781561205976e-12, "C": 2.2123586689581664e-12,
            "D": 1.6111948716243114e-13,
        },
        published={},
        digits=15,
        source=f"Enright, Hull and Lindberg 1975; {BOOK}. Reference by `extended`: with 10^-16 and 10^-17 in each step "
        "it is the same in 15 digits.",
    )  # fmt: skip


# Oregonator: the oscillating reaction of Belousov and Zhabotinskii, in scaled concentrations.


def oregonator() -> Problem:
    """Three scaled concentrations; their reactions are written term by term, because each has a scale of its own."""
    state = species(
        {"x": "HBrO2, scaled", "y": "Br-, scaled", "z": "Ce(IV), scaled"}, "", 1e-8, ("x", "y", "z")
    )  # fmt: skip
    x, y, z = state.values()
    s, q, w = (parameter(name) for name in ("s", "q", "w"))
    flows = (
        Flow("HBrO2 from Br-", s * y.symbol, into=x),
        Flow("autocatalysis of HBrO2", s * x.symbol, into=x),
        Flow("disproportionation of HBrO2", s * q * x.symbol**2, out_of=x),
        Flow("HBrO2 lost to Br-", s * x.symbol * y.symbol, out_of=x),
        Flow("Br- from Ce(IV)", z.symbol / s, into=y),
        Flow("loss of Br-", y.symbol / s, out_of=y),
        Flow("Br- lost to HBrO2", x.symbol * y.symbol / s, out_of=y),
        Flow("Ce(IV) from autocatalysis", w * x.symbol, into=z),
        Flow("loss of Ce(IV)", w * z.symbol, out_of=z),
    )
    return Problem(
        key="oregonator",
        title="Oregonator: the reaction of Belousov and Zhabotinskii",
        system=system_of("oregonator", state.values(), flows),
        parameters=numbers(
            {"s": 77.27, "q": 8.375e-6, "w": 0.161, "initial_x": 1.0, "initial_y": 2.0, "initial_z": 3.0}
        ),
        until=360.0,
        reference={"x": 1.0008148703185227, "y": 1228.1785215498880, "z": 132.05549428465083},
        published={"x": 0.1000814870318523e1, "y": 0.1228178521549917e4, "z": 0.1320554942846706e3},
        digits=12,
        source=f"Field and Noyes 1974; {BOOK}; {TEST_SET}, problem OREGO, {IN_DOUBLE}.",
    )


# Pollution: the chemical part of an air pollution model, twenty species in twenty-five reactions.


MEANINGS = {
    "NO2": "nitrogen dioxide", "NO": "nitric oxide", "O3P": "atomic oxygen, triplet", "O3": "ozone",
    "HO2": "hydroperoxyl", "OH": "hydroxyl", "HCHO": "formaldehyde", "CO": "carbon monoxide", "ALD": "higher aldehydes",
    "MEO2": "methyl peroxide radical", "C2O3": "peroxyacetyl radical", "CO2": "carbon dioxide",
    "PAN": "peroxyacetyl nitrate", "CH3O": "methoxy radical", "HNO3": "nitric acid",
    "O1D": "atomic oxygen, singlet", "SO2": "sulphur dioxide", "SO4": "sulphate", "NO3": "nitrogen trioxide",
    "N2O5": "dinitrogen pentoxide",
}  # fmt: skip
INITIAL = {"NO": 0.2, "O3": 0.04, "HCHO": 0.1, "CO": 0.3, "ALD": 0.01, "SO2": 0.007}
"""Parts per million at the start; the other species are not there yet."""
REACTIONS = {
    1: (0.35, "NO2 -> NO O3P"), 2: (26.6, "NO O3 -> NO2"), 3: (1.23e4, "HO2 NO -> NO2 OH"),
    4: (8.6e-4, "HCHO -> HO2 HO2 CO"), 5: (8.2e-4, "HCHO -> CO"), 6: (1.5e4, "HCHO OH -> HO2 CO"),
    7: (1.3e-4, "ALD -> MEO2 HO2 CO"), 8: (2.4e4, "ALD OH -> C2O3"), 9: (1.65e4, "C2O3 NO -> NO2 MEO2 CO2"),
    10: (9e3, "C2O3 NO2 -> PAN"), 11: (0.022, "PAN -> C2O3 NO2"), 12: (1.2e4, "MEO2 NO -> CH3O NO2"),
    13: (1.88, "CH3O -> HCHO HO2"), 14: (1.63e4, "NO2 OH -> HNO3"), 15: (4.8e6, "O3P -> O3"),
    16: (3.5e-4, "O3 -> O1D"), 17: (0.0175, "O3 -> O3P"), 18: (1e8, "O1D -> OH OH"), 19: (4.44e11, "O1D -> O3P"),
    20: (1240.0, "SO2 OH -> SO4 HO2"), 21: (2.1, "NO3 -> NO"), 22: (5.78, "NO3 -> NO2 O3P"),
    23: (0.0474, "NO2 O3 -> NO3"), 24: (1780.0, "NO3 NO2 -> N2O5"), 25: (3.12, "N2O5 -> NO3 NO2"),
}  # fmt: skip
"""Rate constants in parts per million and minutes, and what reacts to what; all rates follow mass action."""
PUBLISHED_POLLUTION = {
    "NO2": 0.5646255480022769e-01, "NO": 0.1342484130422339, "O3P": 0.4139734331099427e-08,
    "O3": 0.5523140207484359e-02, "HO2": 0.2018977262302196e-06, "OH": 0.1464541863493966e-06,
    "HCHO": 0.7784249118997964e-01, "CO": 0.3245075353396018, "ALD": 0.7494013383880406e-02,
    "MEO2": 0.1622293157301561e-07, "C2O3": 0.1135863833257075e-07, "CO2": 0.2230505975721359e-02,
    "PAN": 0.2087162882798630e-03, "CH3O": 0.1396921016840158e-04, "HNO3": 0.8964884856898295e-02,
    "O1D": 0.4352846369330103e-17, "SO2": 0.6899219696263405e-02, "SO4": 0.1007803037365946e-03,
    "NO3": 0.1772146513969984e-05, "N2O5": 0.5682943292316392e-04,
}  # fmt: skip


def pollution() -> Problem:
    """Twenty species with the rates of mass action; oxygen and water are there in plenty and not followed."""
    tolerance = dict.fromkeys(MEANINGS, 1e-13) | {"O1D": 1e-20}
    state = species(MEANINGS, "ppm", tolerance, INITIAL)

    def side(text: str) -> tuple[State, ...]:
        return tuple(state[name] for name in text.split())

    flows = []
    for number, (_, equation) in REACTIONS.items():
        taken, made = map(side, equation.split(" -> "))
        rate = parameter(f"k_{number}")
        for reactant in taken:
            rate = rate * reactant.symbol
        flows += reaction(f"{number}: {equation}", rate, taken, made)
    constants = {f"k_{number}": constant for number, (constant, _) in REACTIONS.items()}
    return Problem(
        key="pollution",
        title="Pollution: the chemistry of an air pollution model",
        system=system_of("pollution", state.values(), flows),
        parameters=numbers({**constants, **{f"initial_{name}": amount for name, amount in INITIAL.items()}}),
        until=60.0,
        reference=PUBLISHED_POLLUTION,
        published=PUBLISHED_POLLUTION,
        digits=15,
        source=f"Verwer 1994, SIAM Journal on Scientific Computing 15:1243; {TEST_SET}, problem POLLU, {IN_LONGER}.",
    )  # fmt: skip


# Van der Pol's oscillator: slow creeping, interrupted by sudden jumps.


def van_der_pol() -> Problem:
    """The equation epsilon x'' = (1 - x^2) x' - x; one flow for each term, both states with a sign."""
    state = species(
        {"x": "deflection", "v": "speed of the deflection"}, "", {"x": 1e-10, "v": 1e-8}, ("x",)
    )  # fmt: skip
    x, v = (replace(coordinate, signed=True) for coordinate in state.values())
    epsilon = parameter("epsilon")
    flows = (
        Flow("motion", v.symbol, into=x),
        Flow("excitation", v.symbol / epsilon, into=v),
        Flow("damping", x.symbol**2 * v.symbol / epsilon, out_of=v),
        Flow("restoring force", x.symbol / epsilon, out_of=v),
    )
    return Problem(
        key="van_der_pol",
        title="Van der Pol: a relaxation oscillator",
        system=system_of("van_der_pol", (x, v), flows),
        parameters=numbers({"epsilon": 1e-6, "initial_x": 2.0}),
        until=2.0,
        reference={"x": 1.7061677321704650, "v": -0.89280970102481655},
        published={"x": 0.1706167732170483e1, "v": -0.8928097010247975},
        digits=13,
        source=f"Van der Pol 1926; {BOOK}; {TEST_SET}, problem VDPOLM, {IN_DOUBLE}.",
    )


# A chain of three compartments with a constant input: linear, so the solution is the matrix exponential.


NUMBERS = {"input": 2.0, "k_12": 1.5, "k_21": 0.4, "k_23": 0.9, "k_3": 0.6, "initial_first": 1.0}


def compartments() -> Problem:
    """Input into the first of three compartments, exchange with the second, transfer to the third, loss from there."""
    first = State("first", "mg", "first compartment", "compartments", parameter("initial_first"), 1e-12, "A_1")
    second = State("second", "mg", "second compartment", "compartments", sympy.Integer(0), 1e-12, "A_2")
    third = State("third", "mg", "third compartment", "compartments", sympy.Integer(0), 1e-12, "A_3")
    flows = (
        Flow("input", parameter("input"), into=first),
        Flow("first to second", parameter("k_12") * first.symbol, first, second),
        Flow("second to first", parameter("k_21") * second.symbol, second, first),
        Flow("second to third", parameter("k_23") * second.symbol, second, third),
        Flow("loss", parameter("k_3") * third.symbol, third),
    )
    until = 4.0
    amounts = compartments_exact(until)
    return Problem(
        key="compartments",
        title="Three compartments with a constant input",
        system=system_of("compartments", (first, second, third), flows),
        parameters=numbers(NUMBERS),
        until=until,
        reference=dict(zip(("first", "second", "third"), map(float, amounts), strict=True)),
        published={},
        digits=14,
        source="Exponential of the matrix of rates.",
    )


def compartments_exact(time: float) -> np.ndarray:
    """Amounts at a time: array (3,). The input is a fourth compartment that stays at one."""
    k = NUMBERS
    rates = np.array([
        [-k["k_12"], k["k_21"], 0.0, k["input"]],
        [k["k_12"], -k["k_21"] - k["k_23"], 0.0, 0.0],
        [0.0, k["k_23"], -k["k_3"], 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    return (expm(rates * time) @ np.array([k["initial_first"], 0.0, 0.0, 1.0]))[:3]


# A closed reaction network with a trillion molecules: nothing enters, nothing leaves, not stiff.


TOTAL = 1e12
"""Number of molecules, bound ones counted for each partner."""


def closed_network() -> Problem:
    """An enzyme turns a substrate into a product that is recycled; E + S <-> ES -> E + P, P -> S.

    Substrate, product and complex together stay constant, and so do enzyme and complex.
    """
    state = species(
        {"S": "substrate", "E": "enzyme", "ES": "complex of both", "P": "product"}, "molecule", 1e-3, ("S", "E")
    )  # fmt: skip
    s, e, es, p = state.values()
    flows = (
        *reaction("E + S -> ES", parameter("k_1") * e.symbol * s.symbol, (s, e), (es,)),
        *reaction("ES -> E + S", parameter("k_2") * es.symbol, (es,), (s, e)),
        *reaction("ES -> E + P", parameter("k_3") * es.symbol, (es,), (p, e)),
        *reaction("P -> S", parameter("k_4") * p.symbol, (p,), (s,)),
    )
    return Problem(
        key="closed_network",
        title="A closed reaction network of a trillion molecules",
        system=system_of("closed_network", state.values(), flows),
        parameters=numbers(
            {
                "k_1": 2e-12, "k_2": 0.3, "k_3": 0.8, "k_4": 0.5,
                "initial_S": 0.75 * TOTAL, "initial_E": 0.25 * TOTAL,
            }
        ),
        until=5.0,
        reference={
            "S": 464530100707.67412, "E": 135001153355.05744, "ES": 114998846644.94256, "P": 170471052647.38332,
        },
        published={},
        digits=15,
        source="Our own. Reference by `extended`: with 10^-14 and 10^-18 in each step it is the same in 15 digits.",
    )  # fmt: skip


__all__ = [
    "CLASSICAL", "JUDGED", "Problem", "closed_network", "compartments", "e5", "e5_early", "hires", "oregonator",
    "pollution", "robertson", "van_der_pol",
]  # fmt: skip

CLASSICAL = (robertson, hires, van_der_pol, oregonator, pollution, e5)
"""The stiff problems with published solutions; each is built by calling it."""

JUDGED = (robertson, hires, van_der_pol, oregonator, pollution, e5_early)
"""The same where double precision decides nothing: E5 ends before rounding takes over."""
