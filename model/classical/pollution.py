"""Pollution: the chemical part of an air pollution model, twenty species in twenty-five reactions."""

from ..rates import parameter
from ..states import State
from .problem import IN_LONGER, TEST_SET, Problem, numbers, reaction, species, system_of

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
PUBLISHED = {
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
        for one in taken:
            rate = rate * one.symbol
        flows += reaction(f"{number}: {equation}", rate, taken, made)
    constants = {f"k_{number}": constant for number, (constant, _) in REACTIONS.items()}
    return Problem(
        key="pollution",
        title="Pollution: the chemistry of an air pollution model",
        system=system_of("pollution", state.values(), flows),
        parameters=numbers({**constants, **{f"initial_{name}": amount for name, amount in INITIAL.items()}}),
        until=60.0,
        reference=PUBLISHED,
        published=PUBLISHED,
        digits=15,
        source=f"Verwer 1994, SIAM Journal on Scientific Computing 15:1243; {TEST_SET}, problem POLLU, {IN_LONGER}.",
    )  # fmt: skip
