"""Suppressive microenvironment: follows the tumour burden with a delay."""

import sympy

from ..system.system import Flow, State, parameter, saturating


def _target(burden: sympy.Expr) -> sympy.Expr:
    """Level towards which suppression moves at a burden."""
    share = parameter("fraction_suppression_alone")
    rise = parameter("max_suppression_burden") * saturating(burden, parameter("half_suppression_burden"))
    return parameter("suppression_baseline") * (share + rise)


SUPPRESSION = State(
    "suppression", "", "suppressive microenvironment", "host", _target(parameter("tumour_baseline")), 1e-7, "S"
)


def flows() -> tuple[Flow, ...]:
    """First-order approach to a level set by the tumour burden and by drugs."""
    rate, level = parameter("k_suppression"), parameter("modifier_suppression") * _target(parameter("tumour"))
    return (
        Flow("build-up of suppression", rate * level, into=SUPPRESSION),
        Flow("decay of suppression", rate * SUPPRESSION.symbol, out_of=SUPPRESSION),
    )
