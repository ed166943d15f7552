"""CAR-T cells: engraftment, antigen-driven expansion in competition with host lymphocytes, memory, finite fitness."""

from collections.abc import Sequence

from ..car_t_course import CarTCourse
from ..system.system import Flow, Quantity, parameter, saturating, total

FEW = parameter("limit_division")
"""Cells in blood below which nothing divides, and no fitness is used up."""


def pools(courses: Sequence[CarTCourse]) -> tuple[Quantity, ...]:
    """CAR-T cells in blood, of each course and together, and those of each that count for killing."""
    quantities = [
        Quantity(
            f"cells{cells.suffix}", "cell/uL", "CAR-T cells of one course in blood",
            total([state.symbol for state in cells.engrafted]), "C",
        )
        for cells in courses
    ]  # fmt: skip
    everyone = total([cells.parameter("cells") for cells in courses])
    quantities.append(Quantity("car_t", "cell/uL", "CAR-T cells in blood", everyone, "C"))
    for cells in courses:
        engaged = cells.effector.symbol + parameter("fraction_kill_memory") * cells.memory.symbol
        quantities.append(
            Quantity(
                f"engaged{cells.suffix}", "cell/uL", "CAR-T cells weighted by their killing",
                engaged + parameter("fraction_kill_exhausted") * cells.exhausted.symbol, "E_\\mathrm{eff}",
            )
        )  # fmt: skip
    return tuple(quantities)


def room(courses: Sequence[CarTCourse]) -> tuple[Quantity, ...]:
    """Room that host lymphocytes and all CAR-T cells leave for the expansion of each course."""
    crowd = (parameter("host") / parameter("half_competition_host")) ** parameter("hill_competition_host")
    return tuple(
        Quantity(
            f"room{cells.suffix}", "", "room left by host lymphocytes and by the CAR-T cells themselves",
            1 / (1 + crowd + parameter("car_t") / cells.parameter("car_t_capacity")), "s",
        )
        for cells in courses
    )  # fmt: skip


def proliferation(courses: Sequence[CarTCourse]) -> tuple[Quantity, ...]:
    """Rate at which an effector cell of each course divides.

    A product made of exhausted T cells expands less; what the patient's T cells are now stands for what they were when
    they were collected.
    """
    origin = 1 - parameter("effect_host_exhaustion_product") * parameter("host_exhausted")
    return tuple(
        Quantity(
            f"proliferation{cells.suffix}", "1/day", "division rate of an effector CAR-T cell",
            cells.parameter("k_expansion") * parameter("modifier_expansion") * cells.parameter("antigen_stimulus")
            * cells.parameter("room") * cells.fitness.symbol * origin / (1 + parameter("suppression")), "\\pi",
        )
        for cells in courses
    )  # fmt: skip


def flows(cells: CarTCourse) -> tuple[Flow, ...]:
    """Engraftment, expansion, death, memory formation and recall, loss of fitness."""
    engraft = parameter("k_engraftment") * cells.infused.symbol
    taken, memory_share = cells.parameter("fraction_engrafted"), cells.parameter("fraction_memory_product")
    stimulus, divide = cells.parameter("antigen_stimulus"), cells.parameter("proliferation")
    effector, memory = cells.effector, cells.memory
    form, which = cells.parameter("k_memory_formation"), cells.suffix.replace("_", " ")
    # infused cells count too: nothing then jumps within the first step after an infusion, which no error estimate sees
    present = saturating(cells.infused.symbol + cells.parameter("cells"), FEW)
    return (
        Flow(f"engraftment as effector{which}", taken * (1 - memory_share) * engraft, cells.infused, effector),
        Flow(f"engraftment as memory{which}", taken * memory_share * engraft, cells.infused, memory),
        Flow(f"loss of infused cells{which}", (1 - taken) * engraft, out_of=cells.infused),
        Flow(f"expansion{which}", divide * effector.symbol, into=effector),
        Flow(f"death of effector{which}", parameter("k_death_effector") * effector.symbol, out_of=effector),
        Flow(f"memory formation{which}", form * (1 - stimulus) * effector.symbol, out_of=effector, into=memory),
        Flow(
            f"memory recall{which}", parameter("k_memory_recall") * stimulus * memory.symbol, out_of=memory,
            into=effector, gain=parameter("effectors_per_recall"),
        ),
        Flow(f"death of memory{which}", cells.parameter("k_death_memory") * memory.symbol, out_of=memory),
        Flow(
            f"loss of fitness{which}",
            cells.parameter("fraction_fitness_lost") * divide * present * cells.fitness.symbol,
            out_of=cells.fitness,
        ),
    )  # fmt: skip
