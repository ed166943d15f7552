"""Exhaustion: reversible under antigen and suppression, terminal if the antigen stays."""

from collections.abc import Sequence

from ..car_t_course import CarTCourse
from ..system.system import Flow, Quantity, parameter, total


def share(courses: Sequence[CarTCourse]) -> Quantity:
    """Exhausted share of the CAR-T cells, those not yet engrafted included."""
    everyone = parameter("car_t") + total([cells.infused.symbol for cells in courses])
    tired = total([state.symbol for cells in courses for state in (cells.exhausted, cells.terminal)])
    return Quantity("exhausted_fraction", "", "exhausted share of the CAR-T cells", tired / everyone, "f_X")


def flows(cells: CarTCourse) -> tuple[Flow, ...]:
    """Two exhausted pools, because a checkpoint inhibitor has a window only if exhaustion can become final."""
    stimulus, which = cells.parameter("antigen_stimulus"), cells.suffix.replace("_", " ")
    pressed = stimulus * (1 + parameter("suppression"))
    exhaust = cells.parameter("k_exhaustion") * parameter("modifier_exhaustion") * pressed
    recover = parameter("k_recovery_exhausted") * parameter("modifier_recovery")
    end = parameter("k_terminal_exhaustion") * parameter("modifier_terminal_exhaustion") * stimulus
    death = parameter("k_death_exhausted")
    effector, exhausted, terminal = cells.effector, cells.exhausted, cells.terminal
    return (
        Flow(f"exhaustion{which}", exhaust * effector.symbol, out_of=effector, into=exhausted),
        Flow(f"recovery of exhausted{which}", recover * exhausted.symbol, out_of=exhausted, into=effector),
        Flow(f"death of exhausted{which}", death * exhausted.symbol, out_of=exhausted),
        Flow(f"terminal exhaustion{which}", end * exhausted.symbol, out_of=exhausted, into=terminal),
        Flow(f"death of terminal{which}", death * terminal.symbol, out_of=terminal),
    )
