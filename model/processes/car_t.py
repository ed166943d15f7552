"""CAR-T cells: engraftment, antigen-driven expansion in competition with host lymphocytes, memory, finite fitness."""

import sympy

from ..flow import Flow
from ..rates import parameter, total
from ..states import Quantity, State

ZERO, ONE = sympy.Integer(0), sympy.Integer(1)

INFUSED = State("infused", "cell/uL", "infused CAR-T cells, not yet engrafted", "CAR-T", ZERO, 1e-7, "I")
EFFECTOR = State("effector", "cell/uL", "effector CAR-T cells", "CAR-T", ZERO, 1e-7, "E")
MEMORY = State("memory", "cell/uL", "memory CAR-T cells", "CAR-T", ZERO, 1e-7, "M")
EXHAUSTED = State("exhausted", "cell/uL", "reversibly exhausted CAR-T cells", "CAR-T", ZERO, 1e-7, "X")
TERMINAL = State("terminal", "cell/uL", "terminally exhausted CAR-T cells", "CAR-T", ZERO, 1e-7, "Z")
FITNESS = State("fitness", "", "proliferative fitness of the product", "CAR-T", ONE, 1e-8, "F")

ENGRAFTED = (EFFECTOR, MEMORY, EXHAUSTED, TERMINAL)


def pools() -> tuple[Quantity, ...]:
    """All CAR-T cells in blood, and those that count for killing."""
    engaged = EFFECTOR.symbol + parameter("fraction_kill_memory") * MEMORY.symbol
    return (
        Quantity("car_t", "cell/uL", "CAR-T cells in blood", total([state.symbol for state in ENGRAFTED]), "C"),
        Quantity(
            "engaged", "cell/uL", "CAR-T cells weighted by their killing",
            engaged + parameter("fraction_kill_exhausted") * EXHAUSTED.symbol, "E_\\mathrm{eff}",
        ),
    )  # fmt: skip


def proliferation() -> tuple[Quantity, ...]:
    """Room for expansion, and the rate at which an effector cell divides."""
    crowd = (parameter("host") / parameter("half_competition_host")) ** parameter("hill_competition_host")
    return (
        Quantity(
            "room", "", "room left by host lymphocytes and by the CAR-T cells themselves",
            1 / (1 + crowd + parameter("car_t") / parameter("car_t_capacity")), "s",
        ),
        Quantity(
            "proliferation", "1/day", "division rate of an effector CAR-T cell",
            parameter("k_expansion") * parameter("modifier_expansion") * parameter("antigen_stimulus")
            * parameter("room") * FITNESS.symbol / (1 + parameter("suppression")), "\\pi",
        ),
    )  # fmt: skip


def flows() -> tuple[Flow, ...]:
    """Engraftment, expansion, death, memory formation and recall, loss of fitness."""
    engraft = parameter("k_engraftment") * INFUSED.symbol
    taken, memory_share = parameter("fraction_engrafted"), parameter("fraction_memory_product")
    stimulus = parameter("antigen_stimulus")
    effector, memory, form = EFFECTOR.symbol, MEMORY.symbol, parameter("k_memory_formation")
    return (
        Flow("engraftment as effector", taken * (1 - memory_share) * engraft, out_of=INFUSED, into=EFFECTOR),
        Flow("engraftment as memory", taken * memory_share * engraft, out_of=INFUSED, into=MEMORY),
        Flow("loss of infused cells", (1 - taken) * engraft, out_of=INFUSED),
        Flow("expansion", parameter("proliferation") * effector, into=EFFECTOR),
        Flow("death of effector", parameter("k_death_effector") * effector, out_of=EFFECTOR),
        Flow("memory formation", form * (1 - stimulus) * effector, out_of=EFFECTOR, into=MEMORY),
        Flow(
            "memory recall", parameter("k_memory_recall") * stimulus * memory, out_of=MEMORY, into=EFFECTOR,
            gain=parameter("effectors_per_recall"),
        ),
        Flow("death of memory", parameter("k_death_memory") * memory, out_of=MEMORY),
        Flow(
            "loss of fitness", parameter("fraction_fitness_lost") * parameter("proliferation") * FITNESS.symbol,
            out_of=FITNESS,
        ),
    )  # fmt: skip
