"""What the laboratory measures: M-protein, free light chain, soluble BCMA."""

import sympy

from ..system.system import Flow, Quantity, State, parameter

_SECRETED = parameter("m_protein_baseline") * (1 - parameter("light_chain_only"))
"""M-protein at baseline; none in patients whose myeloma makes light chains only."""

M_PROTEIN = State("m_protein", "g/L", "serum M-protein", "biomarker", _SECRETED, 1e-6, "M_p")
SOLUBLE_BCMA = State(
    "soluble_bcma", "", "soluble BCMA relative to baseline", "biomarker", sympy.Integer(1), 1e-9, "B_s"
)


def light_chain() -> Quantity:
    """Involved free light chain; its half-life of hours makes it follow the tumour at once."""
    expression = parameter("flc_background") + parameter("flc_baseline") * parameter("tumour") / parameter(
        "tumour_baseline"
    )
    return Quantity("light_chain", "mg/L", "involved serum free light chain", expression, "\\mathrm{FLC}")


def flows(lacking_bcma: sympy.Expr) -> tuple[Flow, ...]:
    """Production in proportion to the cells that make each marker, first-order loss; BCMA is shed by those that have
    it.
    """
    m_loss, s_loss = parameter("k_clearance_m_protein"), parameter("k_clearance_sbcma")
    relative = parameter("tumour") / parameter("tumour_baseline")
    bearing = (parameter("tumour") - lacking_bcma) / parameter("tumour_baseline")
    return (
        Flow("production of M-protein", m_loss * _SECRETED * relative, into=M_PROTEIN),
        Flow("loss of M-protein", m_loss * M_PROTEIN.symbol, out_of=M_PROTEIN),
        Flow("shedding of BCMA", s_loss * parameter("modifier_shedding") * bearing, into=SOLUBLE_BCMA),
        Flow("loss of soluble BCMA", s_loss * SOLUBLE_BCMA.symbol, out_of=SOLUBLE_BCMA),
    )
