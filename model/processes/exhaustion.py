"""Exhaustion: reversible under antigen and suppression, terminal if the antigen stays."""

from ..flow import Flow
from ..rates import parameter
from ..states import Quantity
from .car_t import EFFECTOR, EXHAUSTED, INFUSED, TERMINAL


def share() -> Quantity:
    """Exhausted share of the CAR-T cells, those not yet engrafted included."""
    everyone = parameter("car_t") + INFUSED.symbol
    expression = (EXHAUSTED.symbol + TERMINAL.symbol) / everyone
    return Quantity("exhausted_fraction", "", "exhausted share of the CAR-T cells", expression, "f_X")


def flows() -> tuple[Flow, ...]:
    """Two exhausted pools, because a checkpoint inhibitor has a window only if exhaustion can become final."""
    stimulus = parameter("antigen_stimulus")
    exhaust = parameter("k_exhaustion") * parameter("modifier_exhaustion") * stimulus * (1 + parameter("suppression"))
    recover = parameter("k_recovery_exhausted") * parameter("modifier_recovery")
    return (
        Flow("exhaustion", exhaust * EFFECTOR.symbol, out_of=EFFECTOR, into=EXHAUSTED),
        Flow("recovery of exhausted", recover * EXHAUSTED.symbol, out_of=EXHAUSTED, into=EFFECTOR),
        Flow("death of exhausted", parameter("k_death_exhausted") * EXHAUSTED.symbol, out_of=EXHAUSTED),
        Flow(
            "terminal exhaustion", parameter("k_terminal_exhaustion") * stimulus * EXHAUSTED.symbol,
            out_of=EXHAUSTED, into=TERMINAL,
        ),
        Flow("death of terminal", parameter("k_death_exhausted") * TERMINAL.symbol, out_of=TERMINAL),
    )  # fmt: skip
